//! How the octets of a listener travel: which keys go with which transport, and what they say.

use ipnet::IpNet;

use super::document::Section;
use super::report::{self, Report};
use super::scalars::Draft;
use super::{Carrier, Md5, ssh, tls, value};
use crate::net::Transport;
use crate::net::tls::ServerOptions;

/// The keys of plain TCP alone.
const TCP_KEYS: [&str; 1] = ["md5"];

const TRANSPORTS: [(&str, Transport); 3] = [
    ("tcp", Transport::Tcp),
    ("tls", Transport::Tls),
    ("ssh", Transport::Ssh),
];

/// What somebody may call a key of RFC 5925, which Linux has and we do not.
const AO_KEYS: [&str; 6] = [
    "ao",
    "ao-key",
    "ao-keys",
    "tcp-ao",
    "tcp-ao-key",
    "tcp-ao-keys",
];

/// A carrier without what only the whole configuration knows.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    /// All is known.
    Known(Carrier),
    /// SSH.
    Ssh(ssh::Draft),
}

/// Whether a peer has proven who it is once it is through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Proof {
    None,
    Login,
}

/// The keys that belong to some transport.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    let keys = [TCP_KEYS.as_slice(), &tls::KEYS, &ssh::KEYS];
    keys.into_iter().flatten().copied()
}

/// Reports keys that mean nothing for a transport, and those that nobody knows.
pub(super) fn known_keys(section: &Section<'_>, common: &[&'static str], report: &mut Report) {
    let known: Vec<&str> = common.iter().copied().chain(keys()).collect();
    let transport = transport(section);
    for entry in section.entries() {
        let reason = if AO_KEYS.contains(&entry.key) {
            "TCP-AO (RFC 5925) is not to be had here (expected transport = \"tls\" or \"ssh\", or \
             md5 for what is older)"
                .to_owned()
        } else if !known.contains(&entry.key) {
            report.unknown(&entry, &known);
            continue;
        } else {
            let owner = owner(entry.key).filter(|owner| Some(*owner) != transport);
            let Some((owner, transport)) = owner.zip(transport) else {
                continue;
            };
            let (owner, transport) = (owner.name(), transport.name());
            format!("means nothing for transport = {transport:?}: it is for {owner:?}")
        };
        report.wrong(&entry.key_whence(), &entry.path, reason);
    }
}

/// The one transport that has this key.
fn owner(key: &str) -> Option<Transport> {
    let of = |keys: &[&str]| keys.contains(&key);
    match () {
        () if of(&TCP_KEYS) => Some(Transport::Tcp),
        () if of(&tls::KEYS) => Some(Transport::Tls),
        () if of(&ssh::KEYS) => Some(Transport::Ssh),
        () => None,
    }
}

/// The transport, `None` when it is none of ours.
fn transport(section: &Section<'_>) -> Option<Transport> {
    let Some(entry) = section.entry("transport") else {
        return Some(Transport::Tcp);
    };
    value::word(entry.raw(), &TRANSPORTS).ok()
}

/// Reads the carrier of a listener; `None` when its transport is none of ours or something that
/// it cannot do without is missing, which is reported.
pub(super) fn read(
    section: &Section<'_>,
    allow: &[IpNet],
    report: &mut Report,
) -> (Option<Wish>, Proof) {
    report.take(section, "transport", |raw| value::word(raw, &TRANSPORTS));
    match transport(section) {
        None => (None, Proof::None),
        Some(Transport::Tcp) => {
            let md5 = md5(section, report);
            (Some(Wish::Known(Carrier::Tcp(md5))), Proof::None)
        }
        Some(Transport::Tls) => {
            let (options, proof) = tls(section, report);
            let carrier = options.map(|options| Carrier::Tls(Box::new(options)));
            (carrier.map(Wish::Known), proof)
        }
        Some(Transport::Ssh) => {
            let draft = ssh::Draft::read(section, allow, report);
            (Some(Wish::Ssh(draft)), Proof::Login)
        }
    }
}

fn tls(section: &Section<'_>, report: &mut Report) -> (Option<ServerOptions>, Proof) {
    let draft = tls::Draft::read(section, report);
    if ["certificate", "key"].map(|key| section.entry(key).is_none()) == [true, true] {
        let expected = "the PEM files of the server: certificate and key";
        report.missing(section, "certificate", expected);
    }
    let proof = draft.proof();
    (draft.finish(&section.slot, report), proof)
}

impl Wish {
    /// The whole.
    ///
    /// # Errors
    ///
    /// With the key that is missing, and what it is.
    pub(super) fn finish(self, draft: &Draft) -> Result<Carrier, (&'static str, &'static str)> {
        match self {
            Self::Known(carrier) => Ok(carrier),
            Self::Ssh(ssh) => {
                let options = ssh.finish(draft.state_dir.as_deref(), draft.limits.auth_attempts);
                match options {
                    Ok(options) => Ok(Carrier::Ssh(Box::new(options))),
                    Err(reason) => Err(("host-keys", reason)),
                }
            }
        }
    }
}

fn md5(section: &Section<'_>, report: &mut Report) -> Vec<Md5> {
    const EXPECTED: &str =
        "an array such as [{ prefix = \"192.0.2.0/24\", key-file = \"md5.key\" }]";
    let Some(entry) = section.entry("md5") else {
        return Vec::new();
    };
    let Some(tables) = entry.tables() else {
        let reason = value::wrong("not an array of tables", entry.raw(), EXPECTED);
        report.wrong(&entry.whence(), &entry.path, reason);
        return Vec::new();
    };
    report.whence.insert(entry.slot.clone(), entry.key_whence());
    let mut all: Vec<Md5> = Vec::new();
    for table in tables {
        report.unknown_keys(&table, &["prefix", "key-file"]);
        let prefix = report.take(&table, "prefix", |raw| {
            let prefix = value::prefix(raw)?;
            match all
                .iter()
                .any(|other| other.prefix.trunc() == prefix.trunc())
            {
                true => Err(value::wrong("named twice", raw, "one key for each prefix")),
                false => Ok(prefix.trunc()),
            }
        });
        let key_file = report.take(&table, "key-file", |raw| {
            report::file(raw, |path| table.document.resolve(path))
        });
        for (key, expected) in [
            ("prefix", "the addresses of the peers"),
            ("key-file", "the file whose first line is the key"),
        ] {
            if table.entry(key).is_none() {
                report.missing(&table, key, expected);
            }
        }
        if let Some((prefix, key_file)) = prefix.zip(key_file) {
            all.push(Md5 { prefix, key_file });
        }
    }
    all
}
