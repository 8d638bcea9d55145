//! TLS of a listener and of the HTTP server: a certificate, and what clients have to show.

use std::path::PathBuf;

use super::carrier::Proof;
use super::document::Section;
use super::report::{self, Report};
use super::value;
use crate::net::tls::{Certificate, ClientAuth, ClientCheck, ServerOptions};

/// The keys, which have the same names wherever a server speaks TLS.
pub(super) const KEYS: [&str; 6] = [
    "certificate",
    "key",
    "client-ca",
    "client-auth",
    "match-address",
    "crl",
];

/// What is asked of clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Auth {
    None,
    Optional,
    Required,
}

pub(super) const AUTH: [(&str, Auth); 3] = [
    ("none", Auth::None),
    ("optional", Auth::Optional),
    ("required", Auth::Required),
];

/// What an array of files that is empty is told.
pub(super) const SOME_FILE: &str = "at least one PEM file";

/// The keys as far as they are there.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) client_ca: Option<Vec<PathBuf>>,
    pub(super) client_auth: Option<Auth>,
    pub(super) match_address: Option<bool>,
    pub(super) crl: Option<Vec<PathBuf>>,
}

impl Draft {
    /// Reads the keys of a listener.
    pub(super) fn read(section: &Section<'_>, report: &mut Report) -> Self {
        let file = |raw| report::file(raw, |path| section.document.resolve(path));
        Self {
            certificate: report.take(section, "certificate", file),
            key: report.take(section, "key", file),
            client_ca: report.take_some(section, "client-ca", SOME_FILE, file),
            client_auth: report.take(section, "client-auth", |raw| value::word(raw, &AUTH)),
            match_address: report.take(section, "match-address", value::boolean),
            crl: report.take_some(section, "crl", "at least one file", file),
        }
    }

    /// Whether every client has shown a certificate.
    pub(super) fn proof(&self) -> Proof {
        match (self.client_auth, &self.client_ca) {
            (Some(Auth::Required) | None, Some(_)) => Proof::Login,
            _ => Proof::None,
        }
    }

    /// The whole; `None` without a certificate and its key. `slot` is how the keys begin.
    pub(super) fn finish(self, slot: &str, report: &mut Report) -> Option<ServerOptions> {
        let tried = |key: &str| report.is_tried(&format!("{slot}.{key}"));
        match (tried("certificate"), tried("key")) {
            (true, false) => {
                report.contradiction(&format!("{slot}.certificate"), "needs key beside it");
            }
            (false, true) => {
                report.contradiction(&format!("{slot}.key"), "needs certificate beside it");
            }
            _ => {}
        }
        let clients = self.clients(slot, report);
        let (chain, key) = self.certificate.zip(self.key)?;
        Some(ServerOptions {
            certificate: Certificate::Files { chain, key },
            clients,
        })
    }

    /// The same where TLS need not be spoken.
    pub(super) fn finish_if_any(self, slot: &str, report: &mut Report) -> Option<ServerOptions> {
        let tried = |key: &str| report.is_tried(&format!("{slot}.{key}"));
        if tried("certificate") || tried("key") {
            return self.finish(slot, report);
        }
        for key in KEYS {
            let slot = format!("{slot}.{key}");
            if report.is_tried(&slot) {
                report.contradiction(&slot, "means nothing without certificate");
            }
        }
        None
    }

    fn clients(&self, slot: &str, report: &mut Report) -> ClientAuth {
        let name = |key: &str| format!("{slot}.{key}");
        let named = report.is_tried(&name("client-ca"));
        let auth = self.client_auth.unwrap_or(match named {
            true => Auth::Required,
            false => Auth::None,
        });
        let alone = |report: &mut Report, keys: &[&str], reason: &str| {
            for key in keys {
                if report.is_tried(&name(key)) {
                    report.contradiction(&name(key), reason);
                }
            }
        };
        let check = || ClientCheck {
            ca: self.client_ca.clone().unwrap_or_default(),
            crl: self.crl.clone().unwrap_or_default(),
            match_address: self.match_address.unwrap_or(true),
        };
        match auth {
            Auth::None => {
                let (keys, reason): (&[_], _) = if named {
                    let reason = "means nothing with client-auth = \"none\"";
                    (&["client-ca", "crl", "match-address"], reason)
                } else {
                    let reason = "means nothing without client-ca";
                    (&["crl", "match-address"], reason)
                };
                alone(report, keys, reason);
                ClientAuth::None
            }
            _ if !named => {
                let reason = "needs client-ca: the CAs that client certificates come from";
                alone(report, &["client-auth"], reason);
                alone(
                    report,
                    &["crl", "match-address"],
                    "means nothing without client-ca",
                );
                ClientAuth::None
            }
            Auth::Optional => ClientAuth::Optional(check()),
            Auth::Required => ClientAuth::Required(check()),
        }
    }
}

/// The word for what is asked of clients, and how what they show is checked.
pub(super) fn shown(clients: &ClientAuth) -> (&'static str, Option<&ClientCheck>) {
    let (auth, check) = match clients {
        ClientAuth::None => (Auth::None, None),
        ClientAuth::Optional(check) => (Auth::Optional, Some(check)),
        ClientAuth::Required(check) => (Auth::Required, Some(check)),
    };
    (value::show_word(auth, &AUTH), check)
}
