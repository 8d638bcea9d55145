//! Why a source has nothing new to offer.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::intake::Failure;
use crate::json;
use crate::net::Url;

/// Why an attempt to read a source came to nothing.
///
/// No variant shows the user or password of a URL.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// The file is not there or cannot be read.
    File {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The path leads to something that has no end or no contents, such as a folder or a pipe.
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Our side: there can be no HTTP client, for want of trusted certificates or a bad proxy.
    Client {
        /// What the client says.
        error: Cause,
    },
    /// There is no connection to the server or to the proxy, or no answer on it.
    Connect {
        /// What was asked for.
        url: Url,
        /// What the client says.
        error: Cause,
    },
    /// The server, or the way there, was too slow.
    Timeout {
        /// What was asked for.
        url: Url,
        /// What took too long.
        phase: Phase,
        /// How long it may take.
        limit: Duration,
    },
    /// The server answered with something else than a document.
    Status {
        /// What was asked for.
        url: Url,
        /// The HTTP status.
        status: u16,
    },
    /// The answer broke off.
    Transfer {
        /// What was asked for.
        url: Url,
        /// What the client says.
        error: Cause,
    },
    /// There are more octets than a document may have, before they are decompressed.
    TooLarge {
        /// How many it may have.
        limit: u64,
    },
    /// The octets arrived and are no document.
    Document {
        /// What is wrong with them, and where.
        error: json::ReadError,
    },
    /// Our fault: the reader ended without a word.
    Reader,
}

/// An error of a library, as it is.
pub type Cause = Box<dyn Error + Send + Sync>;

/// The parts of a fetch that have a time limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Until there is a connection, TLS included.
    Connect,
    /// From the beginning to the end of the document.
    Total,
}

impl SourceError {
    /// What a failure to read means when the octets come from a file.
    pub(super) fn of_file(failure: Failure, path: &Path) -> Self {
        match failure {
            Failure::Input(error) => Self::File {
                path: path.into(),
                error,
            },
            Failure::TooLarge { limit } => Self::TooLarge { limit },
            Failure::Document(error) => Self::Document { error },
        }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::NotAFile { path } => write!(f, "{} is not a regular file", path.display()),
            Self::Client { .. } => f.write_str("cannot set up an http client"),
            Self::Connect { url, .. } => write!(f, "no answer from {url}"),
            Self::Timeout { url, phase, limit } => {
                let what = match phase {
                    Phase::Connect => "no connection to",
                    Phase::Total => "no complete document from",
                };
                write!(f, "{what} {url} within {limit:?}")
            }
            Self::Status { url, status } => write!(f, "{url} answers with status {status}"),
            Self::Transfer { url, .. } => write!(f, "the answer from {url} broke off"),
            Self::TooLarge { limit } => write!(f, "more than {limit} octets"),
            Self::Document { .. } => f.write_str("the document is refused"),
            Self::Reader => f.write_str("the reader ended unexpectedly"),
        }
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { error, .. } => Some(error),
            Self::Client { error } | Self::Connect { error, .. } | Self::Transfer { error, .. } => {
                Some(&**error)
            }
            Self::Document { error } => Some(error),
            Self::NotAFile { .. }
            | Self::Timeout { .. }
            | Self::Status { .. }
            | Self::TooLarge { .. }
            | Self::Reader => None,
        }
    }
}
