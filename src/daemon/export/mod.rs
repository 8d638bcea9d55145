//! Documents made of what is served, for everybody who reads documents.
//!
//! They are made by a task of their own, on a thread that may block, one at a time: a stream from
//! the snapshot into files (`make`). Routers never wait for that, and neither does an update: of
//! several that come meanwhile only the newest is made. A document is made when somebody asks for
//! it, and from then on after each update, as long as it was asked for since the last one. Whoever
//! asks while a new one is being made waits for it a while, and then gets the one before.

mod counts;
mod error;
mod file;
mod make;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, info, warn};

pub use self::counts::Counts;
use self::error::ExportError;
pub use self::make::Recipe;
use self::make::{Made, Making};
use super::pipeline::unix_now;
use super::store::{Moment, Store};
use crate::http::backend::{Document, Editing, Edition};
use crate::http::{Refusal, RefusalKind};
use crate::payload::UnixTime;
use crate::rtr::snapshot::Known;
use crate::rtr::{HistoryName, Serial, Snapshot};

/// How long whoever asks waits for a document that is being made, while there is one before it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long after a failure another attempt is made for a file.
const AGAIN: Duration = Duration::from_secs(30);

/// Where documents lie while they are of use: without a state directory, where the system has its
/// temporary files.
pub fn folder(state_dir: Option<&Path>) -> PathBuf {
    state_dir.map_or_else(std::env::temp_dir, |state_dir| state_dir.join("export"))
}

/// What the exporter has made, and how often. Shared by all who ask.
#[derive(Debug)]
pub struct Exporter {
    store: Arc<Store>,
    editions: watch::Receiver<Arc<Editions>>,
    wishes: Arc<Wishes>,
    counts: Arc<Counts>,
}

/// Which documents somebody has asked for since they were made last.
#[derive(Debug, Default)]
struct Wishes {
    wanted: [AtomicBool; 5],
    news: Notify,
}

impl Wishes {
    const ALL: [Document; 5] = [
        Document::Json,
        Document::Statement,
        Document::Csv,
        Document::Bird,
        Document::OpenBgpd,
    ];

    fn flags(&self) -> impl Iterator<Item = (Document, &AtomicBool)> {
        Self::ALL.into_iter().zip(&self.wanted)
    }

    fn want(&self, wanted: Document) {
        for (document, flag) in self.flags() {
            if document == wanted {
                flag.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The statement comes with its document.
    fn wants(&self, document: Document) -> bool {
        let with = |other| document == Document::Json && other == Document::Statement;
        let mut flags = self.flags();
        flags
            .any(|(other, flag)| (other == document || with(other)) && flag.load(Ordering::Relaxed))
    }

    fn forget(&self, made: Document) {
        for (document, flag) in self.flags() {
            if document == made {
                flag.store(false, Ordering::Relaxed);
            }
        }
    }
}

/// What a document was made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Key {
    history: HistoryName,
    serial: Serial,
    revision: u64,
    /// What a leader says of its payloads may come after them.
    known: Option<Known>,
}

impl Key {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            history: snapshot.name(),
            serial: snapshot.serial(),
            revision: snapshot.revision(),
            known: snapshot.known(),
        }
    }
}

/// What is there.
#[derive(Debug, Default)]
struct Editions {
    complete: BTreeMap<Document, Complete>,
    /// Attempts so far.
    attempts: u64,
    /// Why the last attempt at a document failed.
    failures: BTreeMap<Document, String>,
}

#[derive(Clone, Debug)]
struct Complete {
    key: Key,
    /// At which attempt it was made.
    attempt: u64,
    /// From when on it is to be made anew, although nothing else has changed.
    due: UnixTime,
    edition: Arc<Edition>,
}

impl Exporter {
    /// The exporter, and the work that it does until told to stop.
    pub fn new(
        store: Arc<Store>,
        config: watch::Receiver<Arc<Recipe>>,
        folder: PathBuf,
        stop: watch::Receiver<bool>,
    ) -> (Self, impl Future<Output = ()>) {
        let (editions, made) = watch::channel(Arc::default());
        let wishes: Arc<Wishes> = Arc::default();
        let counts: Arc<Counts> = Arc::default();
        let maker = Maker {
            moments: store.subscribe(),
            config,
            folder,
            editions,
            wishes: Arc::clone(&wishes),
            counts: Arc::clone(&counts),
            seen: None,
            filed: None,
            unfiled: false,
            again: None,
        };
        let exporter = Self {
            store,
            editions: made,
            wishes,
            counts,
        };
        (exporter, maker.run(stop))
    }

    /// Figures.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A document of what is served now, or was served when it was asked for. Where that takes too
    /// long, one of before if there is one.
    pub fn document(&self, document: Document) -> Editing {
        let Some(asked) = self.store.snapshot().map(|served| Key::of(&served)) else {
            let none = Refusal::new(RefusalKind::Unavailable, "no data to make a document of");
            return Editing::Coming(Box::pin(ready(Err(none))));
        };
        self.wishes.want(document);
        let before = {
            let editions = self.editions.borrow();
            let complete = editions.complete.get(&document);
            if let Some(current) = complete.filter(|complete| complete.is_of(&asked)) {
                return Editing::There(Arc::clone(&current.edition));
            }
            editions.attempts
        };
        let (store, wishes) = (Arc::clone(&self.store), Arc::clone(&self.wishes));
        // It has seen nothing yet, so that what comes from here on is seen at once.
        let mut editions = self.editions.clone();
        Editing::Coming(Box::pin(async move {
            let served = || store.snapshot().map(|served| Key::of(&served));
            wishes.news.notify_one();
            let deadline = Instant::now() + PATIENCE;
            loop {
                let changed = timeout_at(deadline, editions.changed()).await;
                let editions = editions.borrow_and_update();
                let complete = editions.complete.get(&document);
                let failure = editions.failures.get(&document);
                let found = complete.is_some_and(|complete| {
                    // The attempt that was under way may be at one of before; the next one is not.
                    let later = complete.attempt > before + 1;
                    let current = served().is_some_and(|served| complete.is_of(&served));
                    later || current || complete.is_of(&asked)
                });
                // What was in vain is not waited for again.
                let in_vain = editions.attempts > before && failure.is_some();
                if !found && !in_vain && matches!(changed, Ok(Ok(()))) {
                    // Other keys may have come just when it was made.
                    wishes.want(document);
                    wishes.news.notify_one();
                    continue;
                }
                if let Some(reason) = failure {
                    return Err(Refusal::new(RefusalKind::Unavailable, reason));
                }
                let late = || Refusal::new(RefusalKind::Unavailable, "not made in time");
                return complete
                    .map(|one| Arc::clone(&one.edition))
                    .ok_or_else(late);
            }
        }))
    }
}

impl Complete {
    fn is_of(&self, key: &Key) -> bool {
        self.key == *key && unix_now() < self.due
    }
}

/// The task.
struct Maker {
    moments: watch::Receiver<Moment>,
    config: watch::Receiver<Arc<Recipe>>,
    folder: PathBuf,
    editions: watch::Sender<Arc<Editions>>,
    wishes: Arc<Wishes>,
    counts: Arc<Counts>,
    /// What is served, and when it was seen first.
    seen: Option<(Key, UnixTime)>,
    /// What lies in the file that is to be written, and when that is to be written anew.
    filed: Option<(Key, UnixTime)>,
    /// Whether the last attempt at that file was in vain.
    unfiled: bool,
    /// When a file is tried again.
    again: Option<Instant>,
}

impl Maker {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let made = tokio::select! {
                biased;
                () = super::told(&mut stop) => return,
                made = self.make_next() => made,
            };
            if made {
                continue;
            }
            let until = self.wake().unwrap_or_else(Instant::now);
            let timed = self.wake().is_some();
            tokio::select! {
                biased;
                () = super::told(&mut stop) => return,
                Ok(()) = self.moments.changed() => {}
                Ok(()) = self.config.changed() => self.reconfigured(),
                () = self.wishes.news.notified() => {}
                () = sleep_until(until), if timed => self.again = None,
            }
        }
    }

    /// Other keys make other documents.
    fn reconfigured(&mut self) {
        self.filed = None;
        self.editions.send_modify(|editions| {
            *editions = Arc::new(Editions {
                attempts: editions.attempts,
                ..Editions::default()
            });
        });
    }

    /// When there is something to do although nothing happens: a file must not get too old.
    fn wake(&self) -> Option<Instant> {
        let due = self.filed.filter(|_| self.config.borrow().file.is_some());
        let due = due.and_then(|(_, due)| {
            Instant::now().checked_add(Duration::from_secs(due.since(unix_now())))
        });
        [due, self.again].into_iter().flatten().min()
    }

    /// Makes one document that is wanted and not there. `false` when there is none.
    async fn make_next(&mut self) -> bool {
        let Some(snapshot) = self.moments.borrow_and_update().snapshot.clone() else {
            return false;
        };
        let key = Key::of(&snapshot);
        let now = unix_now();
        if self.seen.is_none_or(|(seen, _)| seen != key) {
            self.seen = Some((key, now));
        }
        let recipe = Arc::clone(&self.config.borrow());
        let file_due = recipe.file.is_some()
            && self.again.is_none()
            && self
                .filed
                .is_none_or(|(filed, due)| filed != key || due <= now);
        let editions = Arc::clone(&self.editions.borrow());
        let there = |document| {
            let complete = editions.complete.get(&document);
            complete.is_some_and(|complete| complete.is_of(&key))
        };
        let made = [
            Document::Json,
            Document::Csv,
            Document::Bird,
            Document::OpenBgpd,
        ];
        let wanted = made.into_iter().find(|document| {
            let file = *document == Document::Json && file_due;
            file || self.wishes.wants(*document) && !there(*document)
        });
        let Some(document) = wanted else { return false };
        self.wishes.forget(document);
        if document == Document::Json {
            self.wishes.forget(Document::Statement);
        }
        let published = self.seen.map_or(now, |(_, seen)| seen);
        let making = Making {
            snapshot,
            document,
            // One that is made anew because the last one gets old is of this moment.
            made: match editions.complete.get(&document) {
                Some(before) if before.key == key => now,
                _ if published.plus(recipe.valid.as_secs() / 2) > now => published,
                _ => now,
            },
            recipe,
            folder: self.folder.clone(),
            file: file_due && document == Document::Json,
        };
        self.make(key, making).await;
        true
    }

    async fn make(&mut self, key: Key, making: Making) {
        let (document, started) = (making.document, Instant::now());
        let filing = making.file;
        let done = spawn_blocking(move || making.make()).await;
        let done = done.unwrap_or(Err(ExportError::Broken));
        let took = started.elapsed();
        let mut editions = Editions {
            attempts: self.editions.borrow().attempts + 1,
            ..Editions::default()
        };
        {
            let before = self.editions.borrow();
            editions.complete = before.complete.clone();
            editions.failures = before.failures.clone();
        }
        let all = match document {
            Document::Json => &[Document::Json, Document::Statement][..],
            _ => std::slice::from_ref(&document),
        };
        let said = editions.failures.contains_key(&document);
        for document in all {
            editions.failures.remove(document);
        }
        match done {
            Ok(made) => {
                let octets = made.octets();
                self.counts.made(document, took, octets);
                debug!(?document, ?took, octets, "document made");
                if said {
                    info!(?document, "document made again");
                }
                self.file(key, filing, &made);
                take(&mut editions, key, document, made);
            }
            Err(error) => {
                self.counts.failed(document, took);
                let reason = super::with_causes(&error);
                if said {
                    debug!(?document, error = %reason, "document still not made");
                } else {
                    warn!(?document, error = %reason, "document not made");
                }
                if filing {
                    self.again = Some(Instant::now() + AGAIN);
                }
                // Nothing unsigned, and nothing of before, is given out in its place.
                for document in all {
                    editions.complete.remove(document);
                    editions.failures.insert(*document, reason.clone());
                }
            }
        }
        self.editions.send_replace(Arc::new(editions));
    }

    /// Notes whether the file was written.
    fn file(&mut self, key: Key, filing: bool, made: &Made) {
        if !filing {
            return;
        }
        match &made.unfiled {
            None => {
                self.filed = Some((key, made.due));
                if std::mem::take(&mut self.unfiled) {
                    info!("the export file is written again");
                }
            }
            Some(error) => {
                self.counts.unfiled();
                let error = super::with_causes(error);
                // Once, and not with every attempt until it is mended.
                if std::mem::replace(&mut self.unfiled, true) {
                    debug!(%error, "the export file is still not written");
                } else {
                    warn!(%error, "the export file is not written");
                }
                self.again = Some(Instant::now() + AGAIN);
            }
        }
    }
}

/// Puts what was made into its place.
fn take(editions: &mut Editions, key: Key, document: Document, made: Made) {
    let (due, attempt) = (made.due, editions.attempts);
    let complete = |edition: Edition| Complete {
        key,
        attempt,
        due,
        edition: Arc::new(edition),
    };
    match made.statement {
        Some(statement) => {
            let statement = complete(statement);
            editions.complete.insert(Document::Statement, statement);
        }
        None if document == Document::Json => {
            let reason = "nothing is signed here: export.sign-key is not set";
            editions.complete.remove(&Document::Statement);
            let reason = reason.to_owned();
            editions.failures.insert(Document::Statement, reason);
        }
        None => {}
    }
    editions.complete.insert(document, complete(made.document));
}
