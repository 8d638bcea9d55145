//! What the files hold that a configuration names: read to be checked, and forgotten.

use std::path::Path;

use super::{Carrier, Config};
use crate::net::files::{self, Content, FileError};
use crate::net::ssh::{HostKeys, Passwords};
use crate::net::tls::{Certificate, ServerOptions};

/// The most octets of a TCP MD5 key, as Linux has it.
const MAX_MD5_KEY: usize = 80;

/// What there is to say about files.
#[derive(Debug, Default)]
pub struct Findings {
    /// What no server starts with, a line each.
    pub errors: Vec<String>,
    /// What is unwise, a line each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the files with keys, passwords and tokens that this configuration names. Blocks.
    ///
    /// A server reads them when it opens its places; this is for whoever only wants to know.
    pub fn inspect_files(&self) -> Findings {
        let mut findings = Findings::default();
        for listener in &self.listeners {
            match &listener.carrier {
                Carrier::Tcp(keys) => {
                    let keys = keys.iter().map(|md5| &md5.key_file);
                    keys.for_each(|file| findings.md5(file));
                }
                Carrier::Tls(options) => findings.tls(options),
                Carrier::Ssh(options) => {
                    if let HostKeys::Files(keys) = &options.host_keys {
                        let made = keys.iter().filter(|key| key.exists());
                        made.for_each(|key| findings.is_private(key));
                    }
                    match &options.passwords {
                        Some(Passwords::Users(users)) => findings.is_private(users),
                        Some(Passwords::Single { file, .. }) => findings.secret(file),
                        Some(Passwords::Minted { .. }) | None => {}
                    }
                }
            }
        }
        for source in &self.sources {
            let own = source.tls.certificate.as_ref();
            let keys = own.map(|(_, key)| key).into_iter().chain(&source.ssh.key);
            keys.for_each(|key| findings.is_private(key));
            let secrets = [&source.web.bearer_token, &source.ssh.password_file];
            let secrets = secrets.into_iter().flatten();
            secrets.for_each(|file| findings.secret(file));
        }
        if let Some(options) = &self.http.tls {
            findings.tls(options);
        }
        if let Some(token) = &self.http.token {
            findings.secret(token);
        }
        findings.errors.dedup();
        findings.warnings.dedup();
        findings
    }
}

impl Findings {
    fn tls(&mut self, options: &ServerOptions) {
        if let Certificate::Files { key, .. } = &options.certificate {
            self.is_private(key);
        }
    }

    /// RFC 2385 §4.5 leaves the length open.
    fn md5(&mut self, file: &Path) {
        match self.read(file, files::read_secret(file)) {
            Some(key) if key.len() > MAX_MD5_KEY => {
                let cause = format!(
                    "too long for tcp md5 (found {} octets, expected at most {MAX_MD5_KEY})",
                    key.len()
                );
                self.error(&FileError::new(file, cause));
            }
            Some(_) | None => {}
        }
    }

    fn secret(&mut self, file: &Path) {
        self.read(file, files::read_secret(file));
    }

    fn is_private(&mut self, file: &Path) {
        self.read(file, files::read(file, files::MAX_FILE));
    }

    /// Says what is wrong with a file that is a secret. Gives what it says.
    fn read(&mut self, file: &Path, read: Result<Content, FileError>) -> Option<Content> {
        match read {
            Ok(content) => {
                if content.is_public() {
                    let warning = format!("{}: everybody can read this secret", file.display());
                    self.warnings.push(warning);
                }
                Some(content)
            }
            Err(error) => {
                self.error(&error);
                None
            }
        }
    }

    fn error(&mut self, error: &FileError) {
        self.errors.push(error.to_string());
    }
}
