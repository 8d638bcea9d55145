//! Why there is no document.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a document was not made.
#[derive(Debug)]
pub(super) enum ExportError {
    /// Its file cannot be written.
    Write(PathBuf, io::Error),
    /// The key for GoRTR's signature is not one of P-256.
    NotP256,
    /// There is no randomness for a signature.
    Random,
    /// The thread ended.
    Broken,
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path, _) => write!(f, "cannot write in {}", path.display()),
            Self::NotP256 => f.write_str("GoRTR's signature needs a key of P-256"),
            Self::Random => f.write_str("no randomness for a signature"),
            Self::Broken => f.write_str("the maker ended unexpectedly"),
        }
    }
}

impl Error for ExportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Write(_, error) => Some(error),
            _ => None,
        }
    }
}
