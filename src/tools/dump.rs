//! Getting a whole set, from wherever it is.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::time::Duration;

use tokio::runtime;
use tracing::warn;

use crate::client::{self, FetchError, Progress};
use crate::json::export::ExportMetadata;
use crate::json::{Document, Limits, ReadError, decompress};
use crate::net::files::FileError;
use crate::net::{Endpoint, HostPort, Target, ssh, tls};
use crate::payload::Rows;
use crate::rtr::Versions;
use crate::rtr::client::ClientConfig;

/// What is to be got.
#[derive(Clone, Debug)]
pub struct Request {
    /// From where.
    pub from: Endpoint,
    /// The versions to ask for, the highest first.
    pub versions: Versions,
    /// How long the answer may take.
    pub limit: Duration,
    /// How TLS is spoken with a cache.
    pub tls: tls::ClientOptions,
    /// How SSH is spoken with a cache.
    pub ssh: ssh::ClientOptions,
}

/// A complete set.
#[derive(Clone, Debug)]
pub struct Dumped {
    /// Its rows, those that have expired included: only the caller knows the time.
    pub rows: Rows,
    /// What is known of when it was made, and of its session. A cache does not say when its set
    /// was made.
    pub metadata: ExportMetadata<'static>,
    /// What was bad in a document: how many rows, and which was the first.
    pub skipped: Option<(usize, String)>,
}

/// Why there is no complete set.
#[derive(Debug)]
pub enum DumpError {
    /// The cache did not give it.
    Fetch(HostPort, FetchError),
    /// A file that the transport needs cannot be used.
    Files(Endpoint, FileError),
    /// There is no runtime to talk to a cache with.
    Runtime(io::Error),
    /// The document does not have it.
    Document(Endpoint, ReadError),
    /// The file cannot be opened.
    Open(Endpoint, io::Error),
    /// Nothing can be got from there.
    Unsupported(Endpoint),
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(at, _) => write!(f, "no set from {at}"),
            Self::Files(from, _) => write!(f, "no set from {from}"),
            Self::Runtime(_) => f.write_str("cannot start"),
            Self::Document(from, _) => write!(f, "{from} refused"),
            Self::Open(from, _) => write!(f, "cannot read {from}"),
            Self::Unsupported(from) => {
                write!(
                    f,
                    "{from} cannot be read so far: give tcp://host:port, tls://host:port, http(s)://… or a path"
                )
            }
        }
    }
}

impl Error for DumpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Fetch(_, cause) => Some(cause),
            Self::Files(_, cause) => Some(cause),
            Self::Document(_, cause) => Some(cause),
            Self::Runtime(cause) | Self::Open(_, cause) => Some(cause),
            Self::Unsupported(_) => None,
        }
    }
}

/// Gets a set, and shows how far it is when it comes from a cache.
///
/// # Errors
///
/// When it is not complete; a part of a set is never given.
pub fn dump(request: &Request, show: impl FnMut(Progress)) -> Result<Dumped, DumpError> {
    let from = &request.from;
    match from {
        Endpoint::Tcp(_) | Endpoint::Tls(_) | Endpoint::Ssh { .. } => {
            let target = Target::load(from, &request.tls, &request.ssh);
            let target = target.map_err(|cause| DumpError::Files(from.clone(), cause))?;
            let target = target.ok_or_else(|| DumpError::Unsupported(from.clone()))?;
            for warning in target.warnings() {
                warn!("{warning}");
            }
            from_cache(request, &target, show)
        }
        Endpoint::Stdin => from_document(from, io::stdin().lock()),
        Endpoint::File(path) => {
            let file = File::open(path).map_err(|cause| DumpError::Open(from.clone(), cause))?;
            from_document(from, file)
        }
        Endpoint::Web(_) | Endpoint::Feed(_) | Endpoint::FeedFolder(_) => {
            Err(DumpError::Unsupported(from.clone()))
        }
    }
}

fn from_document(from: &Endpoint, input: impl io::Read) -> Result<Dumped, DumpError> {
    let refused = |cause| DumpError::Document(from.clone(), cause);
    let document = decompress::read(input, &Limits::default()).map_err(refused)?;
    let Document {
        rows,
        metadata,
        skipped,
        ..
    } = document;
    Ok(Dumped {
        rows,
        metadata: ExportMetadata {
            generated: metadata.buildtime.or(metadata.generated),
            valid: metadata.valid,
            serial: metadata.serial,
            ..ExportMetadata::default()
        },
        skipped: skipped
            .first
            .map(|first| (skipped.count, first.to_string())),
    })
}

fn from_cache(
    request: &Request,
    target: &Target,
    show: impl FnMut(Progress),
) -> Result<Dumped, DumpError> {
    let config = ClientConfig {
        versions: request.versions,
        ..ClientConfig::default()
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let fetch = client::fetch(target, config, request.limit, show);
    let fetched = runtime.map_err(DumpError::Runtime)?.block_on(fetch);
    let epoch = fetched.map_err(|cause| DumpError::Fetch(target.at().clone(), cause))?;
    Ok(Dumped {
        rows: Rows::from(epoch.set),
        metadata: ExportMetadata {
            session_id: Some(epoch.session.into_u16()),
            serial: Some(epoch.serial.into_u32()),
            ..ExportMetadata::default()
        },
        skipped: None,
    })
}
