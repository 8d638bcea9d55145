//! A task per source that delivers documents.
//!
//! [`run`] reads a source again and again and sends an [`Update`] for each attempt. Read in
//! this order: this file, [`error`], then `file` and `http` for the two kinds of sources,
//! `intake` for how octets get to a reader that blocks, and `pace` for when to try again.
//!
//! Nothing here knows what becomes of a document, merges, or judges its age; and nothing is
//! logged that an update says: whoever drops an error logs it.

pub mod error;

mod demo;
mod file;
mod http;
mod intake;
mod pace;
mod stdin;
mod watcher;

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::config::{Origin, Source};
use crate::json;
use crate::net::Endpoint;

pub use self::error::SourceError;

/// What a document of this source may cost. `octets` holds twice: as they come, and when
/// decompressed.
fn limits(source: &Source) -> json::Limits {
    json::Limits {
        octets: source.max_octets,
        bad_rows_percent: source.max_bad_rows,
        ..json::Limits::default()
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
    let Origin::At(endpoint) = &source.origin else {
        return demo::deliver(outlet).await;
    };
    match endpoint {
        Endpoint::File(path) => file::deliver(source, path, outlet).await,
        Endpoint::Stdin => stdin::deliver(source, outlet).await,
        Endpoint::Web(url) => Box::pin(http::deliver(source, url, outlet)).await,
        // The configuration lets none of these through yet.
        Endpoint::Tcp(_) | Endpoint::Tls(_) | Endpoint::Ssh { .. } | Endpoint::Feed(_) => {
            outlet.send(Err(SourceError::Reader), Duration::ZERO).await
        }
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
