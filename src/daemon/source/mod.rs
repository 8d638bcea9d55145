//! A task per source that delivers documents.
//!
//! [`run`] reads a [`Source`] again and again and sends an [`Update`] for each attempt. Read in
//! this order: this file, [`error`], then `file` and `http` for the two kinds of sources,
//! `intake` for how octets get to a reader that blocks, and `pace` for when to try again.
//!
//! Nothing here knows what becomes of a document, merges, or judges its age; and nothing is
//! logged that an update says: whoever drops an error logs it.

pub mod error;

mod file;
mod http;
mod intake;
mod pace;
mod stdin;
mod watcher;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::json;
use crate::net::{Endpoint, Url};

pub use self::error::SourceError;

/// Where documents come from, and what one may cost.
#[derive(Clone, Debug)]
pub struct Source {
    /// What the operator calls it.
    pub name: Box<str>,
    /// For a URL, the time between two requests while all is well; up to a tenth is added or taken
    /// away by chance, so that many servers do not ask at once. For a file, the time between two
    /// looks at it, beside those that the system's notice of a change sets off.
    pub refresh: Duration,
    /// For a URL, how long a connection may take.
    pub connect_timeout: Duration,
    /// For a URL, how long everything may take, reading the document included.
    pub total_timeout: Duration,
    /// What a document may cost. `octets` holds twice: as they come, and when decompressed.
    pub limits: json::Limits,
    /// For a URL, the way there.
    pub proxy: Proxy,
    origin: Origin,
}

/// The endpoints that have documents.
#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Stdin,
    Web(Url),
}

/// How a URL is reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Proxy {
    /// As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    /// Without a proxy.
    Direct,
    /// Through this one.
    Through(Url),
}

impl Source {
    /// Time between two requests for a URL.
    const WEB_REFRESH: Duration = Duration::from_secs(600);
    /// Time between two looks at a file: what there is to wait on file systems without notices.
    const FILE_REFRESH: Duration = Duration::from_secs(30);

    /// A source with the defaults of its kind, `None` when the endpoint has no documents: only
    /// paths, standard input and web addresses have.
    pub fn new(name: impl Into<Box<str>>, endpoint: Endpoint) -> Option<Self> {
        let origin = match endpoint {
            Endpoint::File(path) => Origin::File(path),
            Endpoint::Stdin => Origin::Stdin,
            Endpoint::Web(url) => Origin::Web(url),
            Endpoint::Tcp(_) | Endpoint::Tls(_) | Endpoint::Ssh { .. } | Endpoint::Feed(_) => {
                return None;
            }
        };
        let refresh = match origin {
            Origin::Web(_) => Self::WEB_REFRESH,
            Origin::File(_) | Origin::Stdin => Self::FILE_REFRESH,
        };
        Some(Self {
            name: name.into(),
            refresh,
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(120),
            limits: json::Limits::default(),
            proxy: Proxy::default(),
            origin,
        })
    }

    /// Where its documents are.
    pub fn endpoint(&self) -> Endpoint {
        match &self.origin {
            Origin::File(path) => Endpoint::File(path.clone()),
            Origin::Stdin => Endpoint::Stdin,
            Origin::Web(url) => Endpoint::Web(url.clone()),
        }
    }
}

/// What came of an attempt to read a source.
#[derive(Debug)]
pub struct Update {
    /// The place of the source, as [`run`] was told.
    pub place: usize,
    /// What there is, or why there is nothing. An error takes back nothing that was delivered.
    pub result: Result<Content, SourceError>,
    /// How long the attempt took.
    pub took: Duration,
}

/// What a source has.
#[derive(Debug)]
pub enum Content {
    /// A document that was not delivered yet.
    Document(Box<json::Document>),
    /// What was delivered last is still what the source has: after a scheduled look or request,
    /// or after an error.
    Unchanged,
}

/// Reads a source until told to stop, and sends what comes of it, beginning at once.
///
/// The channel is the caller's, and bounded. When it is full this waits and reads nothing
/// meanwhile, so a busy pipeline delays its sources and never queues documents. It ends when
/// `stop` becomes true or its sender is gone, whatever it is doing, or when the receiver of
/// updates is gone. A fetch that is cut off leaves nothing behind.
pub async fn run(
    source: Source,
    place: usize,
    updates: mpsc::Sender<Update>,
    mut stop: watch::Receiver<bool>,
) {
    let outlet = Outlet { place, updates };
    tokio::select! {
        biased;
        // An error means that nobody is left who could tell us to stop.
        _ = stop.wait_for(|stop| *stop) => {}
        Err(Closed) = deliver(&source, &outlet) => {}
    }
}

async fn deliver(source: &Source, outlet: &Outlet) -> Result<(), Closed> {
    match &source.origin {
        Origin::File(path) => file::deliver(source, path, outlet).await,
        Origin::Stdin => stdin::deliver(source, outlet).await,
        Origin::Web(url) => Box::pin(http::deliver(source, url, outlet)).await,
    }
}

/// Where updates go.
struct Outlet {
    place: usize,
    updates: mpsc::Sender<Update>,
}

/// The receiver of updates is gone.
#[derive(Debug)]
struct Closed;

impl Outlet {
    /// Waits for room.
    async fn send(
        &self,
        result: Result<Content, SourceError>,
        took: Duration,
    ) -> Result<(), Closed> {
        let place = self.place;
        let update = Update {
            place,
            result,
            took,
        };
        self.updates.send(update).await.map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests;
