//! Who may log in.

use std::net::IpAddr;
use std::sync::Arc;

use russh::keys::ssh_key::PublicKey;
use subtle::ConstantTimeEq;

use super::super::files::{self, FileError};
use super::super::refused::Reason;
use super::{Keys, Passwords};

/// Who may log in, and with what.
#[derive(Clone, Debug)]
pub struct Authority(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    any: bool,
    keys: Option<Vec<PublicKey>>,
    password: Option<(Box<str>, Box<[u8]>)>,
    warnings: Vec<String>,
}

impl Authority {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read or is wrong.
    pub fn load(keys: Option<&Keys>, passwords: Option<&Passwords>) -> Result<Self, FileError> {
        let mut known = Vec::new();
        if let Some(Keys::Authorized(paths)) = keys {
            for path in paths {
                let text = files::read(path, files::MAX_FILE)?;
                for line in String::from_utf8_lossy(&text).lines() {
                    known.push(PublicKey::from_openssh(line).map_err(|e| FileError::new(path, e))?);
                }
            }
        }
        let password = match passwords {
            None => None,
            Some(Passwords::Users(path)) => return Err(FileError::new(path, "not known yet")),
            Some(Passwords::Single { user, file }) => {
                Some((user.clone(), files::read_secret(file)?.to_vec().into()))
            }
        };
        Ok(Self(Arc::new(Inner {
            any: matches!(keys, Some(Keys::Any)),
            keys: keys.map(|_| known),
            password,
            warnings: Vec::new(),
        })))
    }

    /// Whether keys are taken.
    pub fn takes_keys(&self) -> bool {
        self.0.keys.is_some()
    }

    /// Whether passwords are taken.
    pub fn takes_passwords(&self) -> bool {
        self.0.password.is_some()
    }

    /// Judges a key.
    ///
    /// # Errors
    ///
    /// When it is not one of that user.
    pub fn key(&self, _user: &str, key: &PublicKey, _from: IpAddr) -> Result<(), Reason> {
        let mut keys = self.0.keys.iter().flatten();
        let known = self.0.any || keys.any(|known| known.key_data() == key.key_data());
        known.then_some(()).ok_or(Reason::UnknownKey)
    }

    /// Judges a password.
    ///
    /// # Errors
    ///
    /// When it is not that of the user.
    pub async fn password(&self, user: &str, password: &str, _from: IpAddr) -> Result<(), Reason> {
        std::future::ready(()).await;
        let Some((name, secret)) = &self.0.password else {
            return Err(Reason::Password);
        };
        if **name != *user {
            return Err(Reason::UnknownUser);
        }
        let right: bool = secret.ct_eq(password.as_bytes()).into();
        right.then_some(()).ok_or(Reason::Password)
    }

    /// What an operator should hear.
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }
}
