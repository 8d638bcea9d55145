//! Keys that sign what is given out, and keys that what is taken in is verified with.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use super::{Bucket, Export, Scheme, Verify};
use crate::net::files::{self, FileError};
use crate::sign::key::Algorithm;
use crate::sign::{SigningKey, VerifyKey};

/// The keys of [`Export`], as their files say.
#[derive(Clone, Debug, Default)]
pub struct ExportKeys {
    /// Signs the statement of the document, and the manifest of the feed.
    pub sign: Option<Arc<SigningKey>>,
    /// Signs the document as GoRTR does; on P-256.
    pub gortr: Option<Arc<SigningKey>>,
    /// What is unwise about the files, a line each.
    pub warnings: Vec<String>,
}

impl ExportKeys {
    /// Reads them. Blocks.
    ///
    /// # Errors
    ///
    /// With each file that cannot be read, or holds no key that does.
    pub fn load(export: &Export) -> Result<Self, Vec<FileError>> {
        let mut keys = Self::default();
        let mut errors = Vec::new();
        let mut read = |path: &Option<_>, check: fn(&SigningKey) -> Result<(), String>| {
            let path: &Path = path.as_deref()?;
            match signing_key(path).and_then(|(key, public)| {
                check(&key).map_err(|cause| FileError::new(path, cause))?;
                Ok((key, public))
            }) {
                Ok((key, public)) => {
                    let warning = format!("{}: everybody can read this secret", path.display());
                    if public && !keys.warnings.contains(&warning) {
                        keys.warnings.push(warning);
                    }
                    Some(Arc::new(key))
                }
                Err(error) => {
                    errors.push(error);
                    None
                }
            }
        };
        keys.sign = read(&export.sign_key, |_| Ok(()));
        keys.gortr = read(&export.gortr_key, |key| on_p256(key.public()));
        match errors.is_empty() {
            true => Ok(keys),
            false => Err(errors),
        }
    }
}

/// Reads a private key, and whether everybody can. Blocks.
///
/// # Errors
///
/// When the file cannot be read, or holds no such key.
pub fn signing_key(path: &Path) -> Result<(SigningKey, bool), FileError> {
    let text = files::read(path, MAX_KEY)?;
    let key = SigningKey::from_pem(&text, &SystemRandom::new());
    let key = key.map_err(|cause| FileError::new(path, cause))?;
    Ok((key, text.is_public()))
}

impl Verify {
    /// Reads the public keys. Blocks.
    ///
    /// # Errors
    ///
    /// With the first file that cannot be read, or holds no key that the scheme knows.
    pub fn load(&self) -> Result<Vec<VerifyKey>, FileError> {
        let read = |path: &_| {
            let fault = |cause: &dyn fmt::Display| FileError::new(path, cause);
            let text = files::read(path, MAX_KEY)?;
            let key = VerifyKey::from_pem(&text).map_err(|cause| fault(&cause))?;
            match self.scheme {
                Scheme::Jws => {}
                Scheme::Gortr => on_p256(&key).map_err(|cause| fault(&cause))?,
            }
            Ok(key)
        };
        self.keys.iter().map(|path| read(path)).collect()
    }
}

fn on_p256(key: &VerifyKey) -> Result<(), String> {
    match key.algorithm() {
        Algorithm::Es256 => Ok(()),
        found @ Algorithm::EdDsa => Err(format!(
            "signatures of GoRTR take a key on P-256 (found one of {found})"
        )),
    }
}

/// What storage knows us by.
pub struct Credentials {
    /// The access key id.
    pub id: Zeroizing<String>,
    /// The secret access key.
    pub secret: Zeroizing<String>,
    /// Whether everybody can read the file.
    pub is_public: bool,
}

impl fmt::Debug for Credentials {
    /// Without them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Bucket {
    /// Reads the credentials: the first two lines of their file. Blocks.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or one of the lines is not there or not ASCII.
    pub fn credentials(&self) -> Result<Credentials, FileError> {
        let path = &self.credentials;
        let content = files::read(path, MAX_KEY)?;
        let mut lines = content.split(|octet| *octet == b'\n');
        let mut line = |number, what| {
            let line = lines.next().unwrap_or_default().trim_ascii();
            match std::str::from_utf8(line) {
                Ok(line) if !line.is_empty() && line.bytes().all(|c| c.is_ascii_graphic()) => {
                    Ok(Zeroizing::new(line.to_owned()))
                }
                _ => Err(FileError::at(path, number, format!("{what} is not here"))),
            }
        };
        Ok(Credentials {
            id: line(1, "the access key id")?,
            secret: line(2, "the secret access key")?,
            is_public: content.is_public(),
        })
    }
}

/// Far more than the text of any key has, in octets.
const MAX_KEY: u64 = 1 << 16;
