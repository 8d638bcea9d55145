//! What the server asks of whoever runs it.
//!
//! The daemon stands above this row, so it comes as a value: closures that look, and a channel for
//! what changes something.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::documents;
use super::files::Recognition;
use super::metrics::Exposition;
use super::shape::{Problem, Status};
use crate::payload::{Asn, UnixTime};

/// What the daemon hands over.
pub struct Backend {
    /// How it is. Called in the task of a connection: it must not block.
    pub status: Box<dyn Fn() -> Status + Send + Sync>,
    /// Writes its metrics. Called in the task of a connection: it must not block.
    pub metrics: Box<dyn Fn(&mut Exposition) + Send + Sync>,
    /// Says what becomes of a prefix and why, for one origin AS or for all. Called on a thread
    /// that may block.
    pub explain: Box<dyn Fn(IpNet, Option<Asn>) -> Result<Value, Refusal> + Send + Sync>,
    /// Lists what the sources disagree on, at most so many entries. Called on a thread that may
    /// block.
    pub disagreement: Box<dyn Fn(usize) -> Result<Value, Refusal> + Send + Sync>,
    /// Lists routers, at most so many. Called on a thread that may block.
    pub clients: Box<dyn Fn(usize) -> Result<Value, Refusal> + Send + Sync>,
    /// Finds a document, which is made first when it is not there or not of the snapshot that is
    /// served. Called in the task of a connection, where it must not block, and awaited there
    /// within the time of an answer.
    pub documents: Box<dyn Fn(Document) -> Editing + Send + Sync>,
    /// What followers are told; `None` while there is no feed, or nothing to tell.
    pub feed: watch::Receiver<Option<Arc<Announcement>>>,
    /// Where commands go. When it is full, a command is refused: somebody is at it already.
    pub commands: mpsc::Sender<Request>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").finish_non_exhaustive()
    }
}

/// A document that is there, or on its way.
pub enum Editing {
    /// It is there.
    There(Arc<Edition>),
    /// It is being made, or it turns out that it cannot be.
    Coming(Pin<Box<dyn Future<Output = Result<Arc<Edition>, Refusal>> + Send>>),
}

/// A large document that is made of what is served.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Document {
    /// `/rpki.json`: rpki-client's dialect.
    Json,
    /// `/rpki.json.jws`: the signed statement of it.
    Statement,
    /// `/rpki.csv`.
    Csv,
    /// `/rpki.bird`: static tables for BIRD.
    Bird,
    /// `/rpki.openbgpd`: static tables for OpenBGPD.
    OpenBgpd,
}

/// A document that is complete, and stays as it is.
#[derive(Debug)]
pub struct Edition {
    /// Its strong validator without quotes, without the coding.
    pub tag: Box<str>,
    /// When what it says came to be.
    pub modified: UnixTime,
    /// Its media type.
    pub media_type: &'static str,
    /// It as it is, and in other codings, the smallest last.
    pub forms: Vec<Form>,
}

/// A document in one coding. The file may have lost its name.
#[derive(Debug)]
pub struct Form {
    /// `gzip`, `zstd`, or `None` as it is.
    pub coding: Option<&'static str>,
    /// The file, to be read at positions.
    pub file: Arc<File>,
    /// Its octets.
    pub length: u64,
    /// Made once, because it is asked for all the time.
    pub(super) recognition: Recognition,
}

impl Form {
    /// A form of the edition with this tag.
    pub fn new(tag: &str, coding: Option<&'static str>, file: Arc<File>, length: u64) -> Self {
        Self {
            coding,
            file,
            length,
            recognition: documents::recognition(tag, coding),
        }
    }
}

/// What followers are told.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// The manifest as it is served.
    pub text: Bytes,
    /// Whether it is signed: then it is `manifest.jws`, and otherwise `manifest.json`. There is
    /// never both.
    pub signed: bool,
    /// Its strong validator, without quotes.
    pub tag: Box<str>,
    /// When it was made.
    pub issued: UnixTime,
    /// From when on it counts no more.
    pub valid_until: UnixTime,
    /// The folder with the files that it names. A file that it does not name stays there for a
    /// while, for those who have an earlier manifest.
    pub folder: Arc<Path>,
}

/// A command, and where its outcome goes.
#[derive(Debug)]
pub struct Request {
    /// What is to be done.
    pub command: Command,
    /// Who asked: `uid 0` on the control socket, an address elsewhere.
    pub by: Box<str>,
    /// Takes the outcome, in words of JSON, or why there is none. Nobody may be left to hear it.
    pub answer: oneshot::Sender<Result<Value, Refusal>>,
}

/// What can be done to a running server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Read the configuration again and apply it, or leave everything as it is.
    Reload,
    /// Ask a source now; all of them without a name.
    Refresh {
        /// The name.
        source: Option<Box<str>>,
    },
    /// Let the held update with this digest through.
    Approve {
        /// The digest.
        digest: Box<str>,
    },
}

impl Command {
    /// Its word, as in the path.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Refresh { .. } => "refresh",
            Self::Approve { .. } => "approve",
        }
    }
}

/// Why something was not done or is not known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Whose fault it is.
    pub kind: RefusalKind,
    /// What is wrong, on one line.
    pub message: String,
    /// The particulars, a line each.
    pub details: Vec<String>,
}

/// Whose fault a [`Refusal`] is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusalKind {
    /// The request makes no sense: 400.
    Bad,
    /// There is no such thing: 404.
    Unknown,
    /// It makes sense but not now, or not with what is there: 409.
    Conflict,
    /// The server cannot say or do it now: 503.
    Unavailable,
}

impl Refusal {
    /// A refusal without particulars.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// The same refusal with these particulars.
    #[must_use]
    pub fn with(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self {
            error: refusal.message,
            details: refusal.details,
        }
    }
}
