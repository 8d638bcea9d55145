//! A task per source that delivers lists.
//!
//! [`run`] reads a source again and again and sends an [`Update`] for each attempt. Read in
//! this order: this file, [`list`] and [`error`], `mirror`, then `file` with `look` and `folder`,
//! `http` with `web`, `feed`, and `cache` with `target` for the kinds of sources, `verified` with
//! `mark` for documents that must be signed, `judge` for what a document says of its own age, `intake` for
//! how octets get to a reader that blocks, and `pace` for when to try again.
//!
//! Nothing here knows what becomes of a list or merges; and nothing is logged that an update
//! says: whoever drops an error logs it.

pub mod error;
pub mod list;
pub mod mirror;

mod cache;
mod demo;
mod feed;
mod file;
mod folder;
mod http;
mod intake;
mod judge;
mod look;
mod mark;
mod pace;
mod shelf;
mod stdin;
mod target;
mod verified;
mod watcher;
mod web;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex, mpsc, watch};

use crate::config::{Origin, Source};
use crate::json;
use crate::net::Endpoint;
use crate::payload::UnixTime;
use crate::rtr::Snapshot;

pub use self::error::SourceError;
pub use self::list::{Conditions, List};
pub use self::mirror::Mirror;
use self::shelf::Shelf;
pub(in crate::daemon) use self::watcher::Watcher;
pub use self::web::WebText;

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
    /// Why there was an attempt.
    pub occasion: Occasion,
    /// What there is, or why there is nothing. An error takes back nothing that was delivered,
    /// with one exception: [`SourceError::Expired`].
    pub result: Result<Content, SourceError>,
    /// How long the attempt took.
    pub took: Duration,
}

/// What is known of a source from an earlier run.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The folder where its last good list is kept, `None` when none is. It need not be there.
    pub folder: Option<PathBuf>,
    /// For a feed, the history that was mirrored last, to go on from.
    pub mirrored: Option<Arc<Snapshot>>,
    /// Whether what a leader has is kept like any other list: where it is one source of several.
    pub keeps_mirrors: bool,
}

/// Why there was an attempt to read a source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Occasion {
    /// The start: there was no attempt yet, and this is what was kept of an earlier run.
    Restored,
    /// It was time.
    Schedule,
    /// Something happened: the system told of a change, or a cache said something by itself.
    Event,
    /// Somebody asked for it. The attempt began after this request was made, so it answers all
    /// requests up to and including this one; for a cache, an answer that was under way already
    /// counts.
    Asked(u64),
}

/// What a source has.
#[derive(Debug)]
pub enum Content {
    /// A list that was not delivered yet.
    List(Box<List>),
    /// What a leader's feed has now: its list, and its history. Delivered again when only the
    /// time until which it counts has moved.
    Mirror(Box<List>, Arc<Mirror>),
    /// What was delivered last is still what the source has: after a scheduled look or request,
    /// after an error, or because somebody asked.
    Unchanged {
        /// When that was said, if it makes the list young again: every End of Data of a cache is
        /// an arrival. `None` for files and URLs, where only a new document is.
        arrived: Option<UnixTime>,
    },
}

/// Reads a source until told to stop, and sends what comes of it, beginning at once.
///
/// `requests` has the number of the last request to look now, 0 for none: each time it changes
/// the source looks, fetches or asks at once, and answers with an update of
/// [`Occasion::Asked`], whatever comes of it. Several requests that come while a source is busy
/// become one. It is not waited for when it is gone.
///
/// The channel of updates is the caller's, and bounded. When it is full this waits and reads
/// nothing meanwhile, requests included, so a busy pipeline delays its sources and never queues
/// documents. It ends when `stop` becomes true or its sender is gone, whatever it is doing, or
/// when the receiver of updates is gone. A fetch that is cut off leaves nothing behind.
///
/// `past` is what is known from an earlier run. Where a list was kept it is sent first, as
/// [`Occasion::Restored`].
pub async fn run(
    source: Source,
    place: usize,
    past: Past,
    updates: mpsc::Sender<Update>,
    requests: watch::Receiver<u64>,
    mut stop: watch::Receiver<bool>,
) {
    let shelf = past.folder.clone().filter(|_| is_worth_keeping(&source));
    let outlet = Outlet {
        place,
        updates,
        shelf: Mutex::new(shelf.map(|folder| Shelf::new(folder, &source))),
        // What is mirrored is kept as the state of the server.
        mirrors: past.keeps_mirrors,
    };
    let requests = Requests(requests);
    tokio::select! {
        biased;
        () = super::told(&mut stop) => {}
        Err(Closed) = begin(&source, past, &outlet, requests) => {}
    }
}

/// Whether there can be something of a source to begin with that it does not have itself.
const fn is_worth_keeping(source: &Source) -> bool {
    !matches!(source.origin, Origin::Demo | Origin::At(Endpoint::Stdin))
}

/// Sends what was kept, and then what comes.
async fn begin(
    source: &Source,
    past: Past,
    outlet: &Outlet,
    requests: Requests,
) -> Result<(), Closed> {
    let kept = match past.mirrored {
        None => outlet.restore().await?,
        Some(_) => Conditions::default(),
    };
    deliver(source, past, &kept, outlet, requests).await
}

async fn deliver(
    source: &Source,
    past: Past,
    kept: &Conditions,
    outlet: &Outlet,
    requests: Requests,
) -> Result<(), Closed> {
    let Origin::At(endpoint) = &source.origin else {
        return demo::deliver(outlet, requests).await;
    };
    match endpoint {
        Endpoint::File(_) | Endpoint::Web(_) if source.verify.is_some() => {
            Box::pin(verified::deliver(source, endpoint, &past, outlet, requests)).await
        }
        Endpoint::File(path) => file::deliver(source, path, outlet, requests).await,
        Endpoint::Stdin => stdin::deliver(source, outlet, requests).await,
        Endpoint::Web(url) => Box::pin(http::deliver(source, url, kept, outlet, requests)).await,
        Endpoint::Tcp(_) | Endpoint::Tls(_) | Endpoint::Ssh { .. } => {
            Box::pin(cache::deliver(source, endpoint, outlet, requests)).await
        }
        Endpoint::Feed(url) => Box::pin(feed::on_web(source, url, past, outlet, requests)).await,
        Endpoint::FeedFolder(path) => {
            Box::pin(feed::in_folder(source, path, past, outlet, requests)).await
        }
    }
}

/// Where updates go.
struct Outlet {
    place: usize,
    updates: mpsc::Sender<Update>,
    /// Where what was delivered is kept. Only this task has it.
    shelf: Mutex<Option<Shelf>>,
    /// Whether what a leader has is kept, too.
    mirrors: bool,
}

/// What is to be kept.
enum News {
    List(Box<List>),
    /// What is kept is still what the source has.
    Still(UnixTime),
}

/// The receiver of updates is gone.
#[derive(Debug)]
struct Closed;

impl Outlet {
    /// Waits for room.
    async fn send(
        &self,
        occasion: Occasion,
        result: Result<Content, SourceError>,
        took: Duration,
    ) -> Result<(), Closed> {
        let place = self.place;
        let news = match &result {
            Ok(Content::List(list)) => Some(News::List(list.clone())),
            Ok(Content::Mirror(list, _)) if self.mirrors => Some(News::List(list.clone())),
            Ok(Content::Unchanged {
                arrived: Some(arrived),
            }) => Some(News::Still(*arrived)),
            _ => None,
        };
        let update = Update {
            place,
            occasion,
            result,
            took,
        };
        self.updates.send(update).await.map_err(|_| Closed)?;
        // Nobody waits for the disk.
        if let Some(news) = news.filter(|_| occasion != Occasion::Restored) {
            self.keep(news).await;
        }
        Ok(())
    }

    /// Sends what was kept. Gives what its source can be asked with whether it is the last one.
    async fn restore(&self) -> Result<Conditions, Closed> {
        let Some(mut shelf) = self.shelf.lock().await.take() else {
            return Ok(Conditions::default());
        };
        let started = tokio::time::Instant::now();
        let list = shelf.restore().await;
        *self.shelf.lock().await = Some(shelf);
        match list {
            None => Ok(Conditions::default()),
            Some(list) => {
                let conditions = list.conditions.clone();
                let content = Content::List(Box::new(list));
                let took = started.elapsed();
                self.send(Occasion::Restored, Ok(content), took).await?;
                Ok(conditions)
            }
        }
    }

    async fn keep(&self, news: News) {
        let Some(mut shelf) = self.shelf.lock().await.take() else {
            return;
        };
        match news {
            News::List(list) => shelf.keep(list).await,
            News::Still(arrived) => shelf.renew(arrived).await,
        }
        *self.shelf.lock().await = Some(shelf);
    }
}

/// Where requests to look now come from.
struct Requests(watch::Receiver<u64>);

impl Requests {
    /// Waits for a request that was not seen yet, of several the last; for ever when nobody is
    /// left to make one. What is done after it is an answer to it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that was dropped has seen nothing.
    async fn next(&mut self) -> Occasion {
        if self.0.changed().await.is_err() {
            return std::future::pending().await;
        }
        Occasion::Asked(*self.0.borrow_and_update())
    }
}

fn unix_now() -> UnixTime {
    unix(SystemTime::now())
}

/// What lies before 1970 is its beginning.
fn unix(time: SystemTime) -> UnixTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::new(since.map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
mod tests;
