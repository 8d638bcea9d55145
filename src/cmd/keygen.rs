//! `rutter keygen`: keys for what is given out.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ring::rand::SystemRandom;

use super::say;
use super::sign::{Unusable, private_key};
use crate::net::files;
use crate::sign::key::Algorithm;
use crate::sign::{SigningKey, VerifyKey};

/// What is wanted.
#[derive(Clone, Debug)]
pub enum Request {
    /// A new pair.
    Pair {
        /// Where the private key goes.
        private: PathBuf,
        /// Where the public key goes; `None` for beside the private one.
        public: Option<PathBuf>,
        /// The kind.
        algorithm: Algorithm,
    },
    /// The public key of this private one.
    PublicOf(PathBuf),
}

/// Makes a pair of keys, or prints a public key.
///
/// # Errors
///
/// When a file is there already, cannot be written or cannot be read.
pub fn run(request: &Request) -> Result<(), Box<dyn Error>> {
    match request {
        Request::PublicOf(path) => Ok(say(&private_key(path)?.public().to_pem())?),
        Request::Pair {
            private,
            public,
            algorithm,
        } => {
            let public = public
                .clone()
                .unwrap_or_else(|| files::beside(private, ".pub"));
            let pem = SigningKey::generate(*algorithm, &SystemRandom::new())?;
            let key = SigningKey::from_pem(pem.as_bytes(), &SystemRandom::new())?;
            put(private, &pem, 0o600)?;
            if let Err(error) = put(&public, &key.public().to_pem(), 0o644) {
                // Half a pair is of no use, and would be in the way of the next attempt.
                let _ = fs::remove_file(private);
                return Err(error.into());
            }
            Ok(say(&told(private, &public, key.public()))?)
        }
    }
}

fn told(private: &Path, public: &Path, key: &VerifyKey) -> String {
    format!(
        "private key: {}\npublic key:  {}\nalgorithm:   {}\nkey id:      {}\n",
        private.display(),
        public.display(),
        key.algorithm().name(),
        key.id()
    )
}

/// Writes a new file, durably.
fn put(path: &Path, text: &str, mode: u32) -> Result<(), Unusable> {
    let write = || -> io::Result<()> {
        let mut options = File::options();
        let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|cause| Unusable::Write(path.to_owned(), cause))
}
