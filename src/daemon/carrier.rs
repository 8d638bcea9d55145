//! What a carrier needs from its files, before anything is opened or changed.

use super::certificates::Certificate;
use crate::config::{Carrier, Config, Md5};
use crate::net::files::FileError;
use crate::net::ssh::SshAcceptor;
use crate::net::tls::{CertificateFacts, ServerOptions, TlsAcceptor};
use crate::net::{Acceptor, Md5Key};
use crate::payload::UnixTime;

/// A carrier with everything that its files say.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The handshake.
    pub(super) acceptor: Acceptor,
    /// The keys of TCP MD5 signatures.
    pub(super) keys: Vec<Md5Key>,
    /// The certificates that it shows or trusts.
    pub(super) certificates: Vec<Certificate>,
    /// The fingerprints of the keys of an SSH host.
    pub(super) fingerprints: Vec<String>,
    /// What is odd about the files.
    pub(super) warnings: Vec<String>,
}

impl Loaded {
    fn plain(acceptor: Acceptor) -> Self {
        Self {
            acceptor,
            keys: Vec::new(),
            certificates: Vec::new(),
            fingerprints: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// Reads what a carrier needs. Blocks.
///
/// # Errors
///
/// When a file cannot be used; the error names it.
pub(super) fn load(carrier: &Carrier) -> Result<Loaded, FileError> {
    match carrier {
        Carrier::Tcp(md5) => signed(md5),
        Carrier::Tls(options) => {
            let acceptor = TlsAcceptor::load(options)?;
            Ok(Loaded {
                certificates: acceptor.certificates().iter().map(certificate).collect(),
                warnings: acceptor.warnings().to_vec(),
                ..Loaded::plain(Acceptor::Tls(acceptor))
            })
        }
        Carrier::Ssh(options) => {
            let acceptor = SshAcceptor::load(options)?;
            let shown = acceptor.fingerprints().iter();
            Ok(Loaded {
                fingerprints: shown.map(ToString::to_string).collect(),
                warnings: acceptor.warnings().to_vec(),
                ..Loaded::plain(Acceptor::Ssh(acceptor))
            })
        }
    }
}

fn certificate(facts: &CertificateFacts) -> Certificate {
    let file = facts.file.as_ref();
    let file = file.map_or_else(|| "minted".into(), |file| file.display().to_string());
    Certificate {
        file: file.into(),
        until: UnixTime::new(facts.not_after),
    }
}

fn signed(md5: &[Md5]) -> Result<Loaded, FileError> {
    let mut loaded = Loaded::plain(Acceptor::Tcp);
    for Md5 { prefix, key_file } in md5 {
        let key = Md5Key::load(*prefix, key_file)?;
        if key.is_public() {
            let warning = format!("{}: everybody can read this key", key_file.display());
            loaded.warnings.push(warning);
        }
        loaded.keys.push(key);
    }
    Ok(loaded)
}

/// What the files of a whole configuration say: each listener's, in their order.
#[derive(Debug)]
pub(super) struct Carriers {
    /// Those of the listeners.
    pub(super) listeners: Vec<Loaded>,
    /// Those of HTTP, where it is spoken over TLS.
    pub(super) http: Option<Web>,
}

/// HTTP over TLS.
#[derive(Debug)]
pub(super) struct Web {
    /// The handshake.
    pub(super) acceptor: TlsAcceptor,
    certificates: Vec<Certificate>,
}

impl Web {
    fn load(options: &ServerOptions) -> Result<Self, FileError> {
        // RFC 7301: no other version of HTTP is spoken.
        let acceptor = TlsAcceptor::load(options)?.speaking("http/1.1");
        let certificates = acceptor.certificates().iter().map(certificate).collect();
        Ok(Self {
            acceptor,
            certificates,
        })
    }
}

impl Carriers {
    /// Reads all of it. Blocks.
    ///
    /// # Errors
    ///
    /// With every file that cannot be used, a line each.
    pub(super) fn load(config: &Config) -> Result<Self, String> {
        let mut faults = Vec::new();
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            match load(&listener.carrier) {
                Ok(loaded) => listeners.push(loaded),
                Err(fault) => faults.push(fault.to_string()),
            }
        }
        let http = config.http.tls.as_ref().map(Web::load).transpose();
        let http = http.unwrap_or_else(|fault| {
            faults.push(fault.to_string());
            None
        });
        match faults.is_empty() {
            true => Ok(Self { listeners, http }),
            false => Err(faults.join("\n")),
        }
    }

    /// All certificates, each file once.
    pub(super) fn certificates(&self) -> Vec<Certificate> {
        let mut all: Vec<Certificate> = Vec::new();
        let shown = self.listeners.iter().flat_map(|one| &one.certificates);
        let web = self.http.iter().flat_map(|web| &web.certificates);
        for certificate in shown.chain(web) {
            if !all.contains(certificate) {
                all.push(certificate.clone());
            }
        }
        all
    }

    /// All warnings, each once.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let listeners = self.listeners.iter().flat_map(|one| &one.warnings);
        let web = self.http.iter().flat_map(|web| web.acceptor.warnings());
        for warning in listeners.chain(web) {
            if !all.contains(warning) {
                all.push(warning.clone());
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_read_and_one_that_everybody_can_read_is_odd() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("md5");
        let md5 = [Md5 {
            prefix: "192.0.2.0/24".parse().unwrap(),
            key_file: path.clone(),
        }];
        let error = load(&Carrier::Tcp(md5.to_vec())).unwrap_err().to_string();
        assert!(error.contains("md5: No such file"), "{error}");
        fs::write(&path, "secret\n").unwrap();
        for (mode, odd) in [(0o644, 1), (0o640, 0)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let loaded = signed(&md5).unwrap();
            assert_eq!((loaded.keys.len(), loaded.warnings.len()), (1, odd));
            assert!(!format!("{loaded:?}").contains("secret"));
        }
    }
}
