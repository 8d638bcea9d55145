//! What the files hold that a configuration names: read to be checked, and forgotten.

use std::fmt;
use std::path::Path;

use super::{Carrier, Config, Origin, Source};
use crate::net::files::{self, Content, FileError};
use crate::net::ssh::SshAcceptor;
use crate::net::tls::{ServerOptions, TlsAcceptor, TlsConnector};
use crate::net::{Endpoint, Target};

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
    /// Reads the files with certificates, keys, users, passwords and tokens that this
    /// configuration names, as whoever uses them does, and makes none. Blocks.
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
                    let (errors, warnings) = SshAcceptor::inspect(options);
                    errors.iter().for_each(|error| findings.error(error));
                    warnings.iter().for_each(|warning| findings.warn(warning));
                }
            }
        }
        for source in &self.sources {
            findings.source(source);
        }
        if let Some(options) = &self.http.tls {
            findings.tls(options);
        }
        if let Some(token) = &self.http.token {
            findings.secret(token);
        }
        findings
    }
}

impl Findings {
    fn tls(&mut self, options: &ServerOptions) {
        match TlsAcceptor::load(options) {
            Ok(acceptor) => {
                let warnings = acceptor.warnings().iter();
                warnings.for_each(|warning| self.warn(warning));
            }
            Err(error) => self.error(&error),
        }
    }

    fn source(&mut self, source: &Source) {
        if let Some(token) = &source.web.bearer_token {
            self.secret(token);
        }
        let Origin::At(endpoint) = &source.origin else {
            return;
        };
        let names_some = !source.tls.ca.is_empty() || source.tls.certificate.is_some();
        let read = match endpoint {
            Endpoint::Tls(_) | Endpoint::Ssh { .. } => {
                let target = Target::load(endpoint, &source.tls, &source.ssh);
                target.map(|target| target.map_or_else(Vec::new, |it| it.warnings().to_vec()))
            }
            Endpoint::Web(_) if names_some => {
                let read = TlsConnector::load(&source.tls);
                read.map(|connector| connector.warnings().to_vec())
            }
            _ => return,
        };
        match read {
            // That anybody is taken for the server, the configuration itself says.
            Ok(_) if source.tls.insecure || source.ssh.insecure => {}
            Ok(warnings) => warnings.iter().for_each(|warning| self.warn(warning)),
            Err(error) => self.error(&error),
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

    /// Says what is wrong with a file that is a secret. Gives what it says.
    fn read(&mut self, file: &Path, read: Result<Content, FileError>) -> Option<Content> {
        match read {
            Ok(content) => {
                if content.is_public() {
                    let warning = format!("{}: everybody can read this secret", file.display());
                    self.warn(&warning);
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
        add(&mut self.errors, error);
    }

    fn warn(&mut self, warning: &str) {
        add(&mut self.warnings, &warning);
    }
}

/// Adds a line that is not there yet: places often share their files.
fn add(lines: &mut Vec<String>, line: &dyn fmt::Display) {
    let line = line.to_string();
    if !lines.contains(&line) {
        lines.push(line);
    }
}
