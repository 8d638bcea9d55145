//! What the files hold that a configuration names: read to be checked, and forgotten.

use std::fmt;
use std::path::Path;

use super::{Carrier, Config, Export, ExportKeys, Md5, Origin, Source, Verify};
use crate::net::files::{self, FileError};
use crate::net::ssh::SshAcceptor;
use crate::net::tls::{ServerOptions, TlsAcceptor, TlsConnector};
use crate::net::{Endpoint, Md5Key, Target};

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
                Carrier::Tcp(keys) => keys.iter().for_each(|md5| findings.md5(md5)),
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
        findings.export(&self.export);
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

    fn export(&mut self, export: &Export) {
        match ExportKeys::load(export) {
            Ok(keys) => keys.warnings.iter().for_each(|warning| self.warn(warning)),
            Err(errors) => errors.iter().for_each(|error| self.error(error)),
        }
        if let Some(bucket) = &export.bucket {
            match bucket.credentials() {
                Ok(credentials) if credentials.is_public => self.is_public(&bucket.credentials),
                Ok(_) => {}
                Err(error) => self.error(&error),
            }
        }
    }

    fn source(&mut self, source: &Source) {
        if let Some(Err(error)) = source.verify.as_ref().map(Verify::load) {
            self.error(&error);
        }
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
            Endpoint::Web(_) | Endpoint::Feed(_) if names_some => {
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

    fn md5(&mut self, md5: &Md5) {
        match Md5Key::load(md5.prefix, &md5.key_file) {
            Ok(key) if key.is_public() => self.is_public(&md5.key_file),
            Ok(_) => {}
            Err(error) => self.error(&error),
        }
    }

    fn secret(&mut self, file: &Path) {
        match files::read_secret(file) {
            Ok(content) if content.is_public() => self.is_public(file),
            Ok(_) => {}
            Err(error) => self.error(&error),
        }
    }

    fn is_public(&mut self, file: &Path) {
        let warning = format!("{}: everybody can read this secret", file.display());
        self.warn(&warning);
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
