//! Why a source has nothing new to offer.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::intake;
use crate::client::FetchError;
use crate::feed::advance::RollbackError;
use crate::feed::{FeedError, FileName, ManifestError};
use crate::json::ReadError;
use crate::json::error::Form;
use crate::net::dial::HandshakeError;
use crate::net::files::FileError;
use crate::net::{DialError, Endpoint, HostPort, Reason, Url};
use crate::payload::UnixTime;
use crate::rtr::client::Failure;
use crate::sign::gortr::GortrError;
use crate::sign::statement::StatementError;

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
    /// There is no document in the folder.
    NoDocuments {
        /// The folder.
        path: PathBuf,
    },
    /// There are too many documents in the folder.
    TooManyDocuments {
        /// The folder.
        path: PathBuf,
        /// How many there may be.
        limit: usize,
    },
    /// One of the documents in a folder is bad, and so all of them.
    InFolder {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<Self>,
    },
    /// Standard input was read to its end and cannot be read again.
    ReadOnce,
    /// Our side: a file that a request needs cannot be used.
    Secret {
        /// What should be in it.
        what: Box<str>,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: Cause,
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
    /// The certificate of one side is not accepted by the other.
    Certificate {
        /// What was asked for.
        url: Url,
        /// Who refuses.
        by: RefusedBy,
        /// What the client says.
        error: Cause,
    },
    /// The server sends us somewhere else, and we do not go there.
    Redirect {
        /// What was asked for.
        url: Url,
        /// Why not.
        reason: RedirectError,
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
        error: ReadError,
    },
    /// The document says that it was made in the future.
    FromFuture {
        /// When it says that it was made.
        stated: UnixTime,
        /// When it was read.
        now: UnixTime,
    },
    /// The document is too old, and what was delivered before it is better.
    Stale {
        /// When it was made, as it says, or else when it arrived.
        stated: UnixTime,
        /// How old it may be.
        max_age: Duration,
    },
    /// The document says that it counts no more, and what was delivered before it is better.
    NotValid {
        /// Until when it counted.
        valid: UnixTime,
    },
    /// There is no connection to the cache, or no complete answer on it.
    Cache {
        /// The cache.
        at: HostPort,
        /// Why.
        error: FetchError,
    },
    /// The cache has no data (error 2).
    NoData {
        /// The cache.
        at: HostPort,
    },
    /// The cache has been away for longer than its data may be used (RFC 8210 §6), or has said that
    /// it ends for good (8210bis §8.6). Unlike any other error this one takes back what was
    /// delivered.
    Expired {
        /// The cache.
        at: HostPort,
        /// Its expire interval.
        expire: Duration,
    },
    /// What must be signed is not, or not so that it is believed.
    Signature {
        /// The document.
        at: Box<str>,
        /// What is wrong.
        error: SignatureError,
    },
    /// There is no manifest of the kind that is asked for, so it seems to be no feed, or one of
    /// the other kind.
    NoManifest {
        /// The feed.
        at: Endpoint,
        /// The kind.
        expected: ManifestKind,
    },
    /// The manifest of a feed is not believed.
    Manifest {
        /// The feed.
        at: Endpoint,
        /// Why not.
        error: ManifestError,
    },
    /// The manifest of a feed is older than one that was taken before: somebody shows something
    /// old, or the leader was set back.
    Rollback {
        /// The feed.
        at: Endpoint,
        /// What is older.
        error: RollbackError,
    },
    /// A file of a feed is not the one that the manifest names.
    FeedFile {
        /// The file.
        name: FileName,
        /// What is wrong with it.
        error: FeedError,
    },
    /// The files of a feed do not fit together, or not to what was taken before.
    Feed {
        /// The feed.
        at: Endpoint,
        /// What does not fit.
        error: FeedError,
    },
    /// Our fault: the reader ended without a word.
    Reader,
}

/// Why the signature on a document is not believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SignatureError {
    /// There is no statement beside the document.
    Missing,
    /// The statement is not believed, or is on another document.
    Statement(StatementError),
    /// The document has none of GoRTR's fields.
    Unsigned,
    /// The document does not say when it was made and until when it counts, which GoRTR signs.
    Undated,
    /// GoRTR's fields are not believed.
    Gortr(GortrError),
    /// It counts no more since then.
    Over(UnixTime),
    /// It was signed earlier than what was taken before, or is of an earlier serial.
    Back(RollbackError),
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no statement beside it"),
            Self::Statement(error) => error.fmt(f),
            Self::Unsigned => f.write_str("it has no signature and signatureDate"),
            Self::Undated => f.write_str("it has no generated and valid"),
            Self::Gortr(error) => error.fmt(f),
            Self::Over(since) => write!(f, "its signature counts no more since {since}"),
            Self::Back(error) => write!(f, "it goes back: {error}"),
        }
    }
}

impl Error for SignatureError {}

/// The two kinds of manifests, of which a leader has one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ManifestKind {
    /// `manifest.jws`: what a leader with a key has.
    Signed,
    /// `manifest.json`: what a leader without one has.
    Plain,
}

impl ManifestKind {
    /// The name of the file.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Signed => "manifest.jws",
            Self::Plain => "manifest.json",
        }
    }
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

/// Who does not accept a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusedBy {
    /// We do not accept that of the server.
    Us,
    /// The server does not accept ours, or wants one.
    Server,
}

/// Why a redirection is not followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RedirectError {
    /// There were so many before it.
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// It leaves TLS.
    Insecure,
    /// It does not say where, or to something that is no web address.
    Nowhere,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { limit } => write!(f, "more than {limit} in a row"),
            Self::Insecure => f.write_str("it leads from https to http"),
            Self::Nowhere => f.write_str("it leads to no web address"),
        }
    }
}

impl SourceError {
    /// A short word for the kind of trouble, for metrics and for programs; it stays the same
    /// when the text changes: `file`, `folder`, `read_once`, `secret`, `client`, `unreachable`,
    /// `certificate`, `redirect`, `timeout`, `status`, `html`, `document`, `cut_short`,
    /// `too_large`, `future`, `stale`, `protocol`, `no_data`, `expired`, `manifest`, `signature`,
    /// `signature_expired`, `rollback`, `feed` or `internal`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } | Self::NotAFile { .. } => "file",
            Self::NoDocuments { .. } | Self::TooManyDocuments { .. } => "folder",
            Self::InFolder { error, .. } => error.kind(),
            Self::ReadOnce => "read_once",
            Self::Secret { .. } => "secret",
            Self::Client { .. } => "client",
            Self::Connect { .. } => "unreachable",
            Self::Certificate { .. } => "certificate",
            Self::Redirect { .. } => "redirect",
            Self::Timeout { .. } => "timeout",
            Self::Status { .. } => "status",
            Self::Transfer { .. } => "cut_short",
            Self::TooLarge { .. } => "too_large",
            Self::Document { error } => document_kind(error),
            Self::FromFuture { .. } => "future",
            Self::Stale { .. } | Self::NotValid { .. } => "stale",
            Self::Cache { error, .. } => match error {
                FetchError::Dial(DialError::Handshake { cause, .. }) => handshake_kind(cause),
                FetchError::Dial(_) => "unreachable",
                FetchError::TimedOut(_) => "timeout",
                FetchError::Transport(_) => "cut_short",
                FetchError::NoData => "no_data",
                FetchError::Failed(failure) => failure_kind(failure),
            },
            Self::NoData { .. } => "no_data",
            Self::Expired { .. } => "expired",
            Self::Signature { error, .. } => match error {
                SignatureError::Back(_) => "rollback",
                SignatureError::Over(_) | SignatureError::Statement(StatementError::Expired(_)) => {
                    "signature_expired"
                }
                _ => "signature",
            },
            Self::NoManifest { .. } => "manifest",
            Self::Manifest { error, .. } => manifest_kind(error),
            Self::Rollback { .. } => "rollback",
            Self::FeedFile { .. } | Self::Feed { .. } => "feed",
            Self::Reader => "internal",
        }
    }

    /// What it means that a public key cannot be used: with fewer keys than were named, whoever
    /// changes theirs would be lost.
    pub(super) fn of_key(error: FileError) -> Self {
        Self::Secret {
            what: "public key".into(),
            path: error.path,
            error: String::from(error.cause).into(),
        }
    }

    /// What a failure to read means when the octets come from a file.
    pub(super) fn of_file(failure: intake::Failure, path: &Path) -> Self {
        match failure {
            intake::Failure::Input(error) => Self::File {
                path: path.into(),
                error,
            },
            intake::Failure::TooLarge { limit } => Self::TooLarge { limit },
            intake::Failure::Document(error) => Self::Document { error },
        }
    }
}

fn document_kind(error: &ReadError) -> &'static str {
    match error {
        ReadError::CutShort { .. } => "cut_short",
        ReadError::TooLarge { .. } | ReadError::TooManyRows { .. } => "too_large",
        ReadError::Unreadable {
            looks_like: Form::Markup,
        } => "html",
        // A decompressor that runs out of octets in the middle.
        ReadError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => "cut_short",
        _ => "document",
    }
}

const fn manifest_kind(error: &ManifestError) -> &'static str {
    match error {
        ManifestError::Jws(_) => "signature",
        ManifestError::TooLong => "too_large",
        ManifestError::Expired(_) => "stale",
        ManifestError::NotYet(_) => "future",
        ManifestError::Format(_)
        | ManifestError::Check
        | ManifestError::Malformed(_)
        | ManifestError::Inconsistent(_) => "feed",
    }
}

fn handshake_kind(cause: &HandshakeError) -> &'static str {
    use crate::net::ssh::ClientError::{
        ChangedHost, Denied, RevokedHost, UnknownHost, WeakSignatures,
    };
    match cause {
        HandshakeError::Refused(refused) => match refused.reason {
            Reason::Deadline => "timeout",
            Reason::UnknownCa
            | Reason::CertificateTime
            | Reason::Revoked
            | Reason::CertificateUsage
            | Reason::Certificate => "certificate",
            _ => "unreachable",
        },
        HandshakeError::Ssh(UnknownHost { .. } | ChangedHost { .. } | RevokedHost { .. }) => {
            "host_key"
        }
        HandshakeError::Ssh(Denied { .. } | WeakSignatures) => "login",
        _ => "unreachable",
    }
}

fn failure_kind(failure: &Failure) -> &'static str {
    match failure {
        Failure::Closed => "cut_short",
        Failure::Silent => "timeout",
        Failure::TooLarge { .. } => "too_large",
        Failure::Protocol(_) | Failure::Report(_) | Failure::NoCommonVersion { .. } => "protocol",
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::NotAFile { path } => write!(f, "{} is not a regular file", path.display()),
            Self::NoDocuments { path } => write!(f, "no documents in {}", path.display()),
            Self::TooManyDocuments { path, limit } => {
                write!(f, "more than {limit} documents in {}", path.display())
            }
            Self::InFolder { path, error } => write!(f, "{}: {error}", path.display()),
            Self::ReadOnce => f.write_str("standard input can be read only once"),
            Self::Secret { what, path, .. } => {
                write!(f, "cannot use {} as {what}", path.display())
            }
            Self::Client { .. } => f.write_str("cannot set up an http client"),
            Self::Connect { url, .. } => write!(f, "no answer from {url}"),
            Self::Certificate { url, by, .. } => match by {
                RefusedBy::Us => write!(f, "the certificate of {url} is not accepted"),
                RefusedBy::Server => write!(f, "{url} does not accept our certificate"),
            },
            Self::Redirect { url, reason } => {
                write!(f, "a redirection of {url} is not followed: {reason}")
            }
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
            Self::FromFuture { stated, now } => {
                write!(
                    f,
                    "the document is from the future: made {stated}, now {now}"
                )
            }
            Self::Stale { stated, max_age } => write!(
                f,
                "the document is stale: made {stated}, no older than {} s expected",
                max_age.as_secs()
            ),
            Self::NotValid { valid } => {
                write!(f, "the document is stale: it was valid until {valid}")
            }
            Self::Cache { at, .. } => write!(f, "no complete answer from {at}"),
            Self::NoData { at } => write!(f, "{at} has no data yet (error 2)"),
            Self::Expired { at, expire } => write!(
                f,
                "the data of {at} are not to be used any more: older than {} s, or called back",
                expire.as_secs()
            ),
            Self::Signature { at, .. } => write!(f, "{at} is not believed"),
            Self::NoManifest { at, expected } => {
                let missing = expected.file();
                match expected {
                    ManifestKind::Signed => write!(
                        f,
                        "no {missing} at {at}: a leader that does not sign has manifest.json, \
                         which is not taken with verify-key"
                    ),
                    ManifestKind::Plain => write!(
                        f,
                        "no {missing} at {at}: a leader that signs has manifest.jws, which needs \
                         its public key as verify-key"
                    ),
                }
            }
            Self::Manifest { at, .. } => write!(f, "the manifest of {at} is refused"),
            Self::Rollback { at, .. } => write!(f, "the manifest of {at} goes back"),
            Self::FeedFile { name, .. } => write!(f, "{name} is refused"),
            Self::Feed { at, .. } => write!(f, "the files of {at} are refused"),
            Self::Reader => f.write_str("the reader ended unexpectedly"),
        }
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { error, .. } => Some(error),
            Self::Secret { error, .. }
            | Self::Client { error }
            | Self::Connect { error, .. }
            | Self::Certificate { error, .. }
            | Self::Transfer { error, .. } => Some(&**error),
            Self::Document { error } => Some(error),
            Self::InFolder { error, .. } => error.source(),
            Self::Cache { error, .. } => Some(error),
            Self::Signature { error, .. } => Some(error),
            Self::Manifest { error, .. } => Some(error),
            Self::Rollback { error, .. } => Some(error),
            Self::FeedFile { error, .. } | Self::Feed { error, .. } => Some(error),
            _ => None,
        }
    }
}
