//! Keeps what is served for the next start.
//!
//! The pipeline asks before it publishes ([`Keeper::keep`]), tells after it has
//! ([`Keeper::tell`]), and has what may wait written when nothing else happens
//! ([`Keeper::settle`]). The disk is used on threads that may block; the state is locked there
//! only, and only for as long as a step and a manifest take.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tracing::{info, warn};

use super::authority::Authority;
use super::pipeline::{random_name, unix_now};
use super::standing::{Held, Standing};
use super::state::{DiskError, History, KeepError, Loaded, State, StateError, Stored};
use super::stock::Stock;
use crate::feed::Manifest;
use crate::payload::{DataSet, UnixTime};
use crate::rtr::snapshot::{HistoryLimits, Step, Trigger};
use crate::rtr::{HistoryName, Serial, Snapshot, Timing};
use crate::sign::{Digest, hex};

/// How long nothing may happen before what was put off is written.
const QUIET: Duration = Duration::from_secs(2);

/// How long it is put off at most, while updates come all the time.
const LONGEST: Duration = Duration::from_secs(10);

/// How long after an attempt another one is made, if it failed.
const AGAIN: Duration = Duration::from_secs(30);

/// How long after the start of a settling it is looked at again, when another one waits for it.
const BUSY: Duration = Duration::from_secs(1);

/// A state directory in use.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    settling: Option<JoinHandle<()>>,
    /// What was published last, or is about to be.
    latest: Option<(HistoryName, Serial)>,
    /// Since when something is to be written.
    since: Option<Instant>,
    /// When it is to be written.
    due: Option<Instant>,
    /// The last attempt that failed, or may have.
    attempted: Option<Instant>,
}

/// What both the pipeline and the thread that settles use.
#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    /// What the disk holds. Locked for a moment only, and changed with the desk locked.
    held: Mutex<Option<Manifest>>,
    /// What routers were told last. Locked for a moment only.
    told: Mutex<Option<Told>>,
    folder: Arc<Path>,
    stock: watch::Sender<Option<Arc<Stock>>>,
    standing: watch::Sender<Standing>,
}

/// What routers were told: others may be told of this serial.
#[derive(Clone, Copy, Debug)]
struct Told {
    latest: (HistoryName, Serial),
    authority: Authority,
    served: bool,
}

/// What is used on threads that may block.
#[derive(Debug)]
struct Desk {
    state: State,
    /// What was published last, or is about to be.
    latest: Option<Arc<Snapshot>>,
}

/// What was kept from before the start.
#[derive(Debug)]
pub struct Kept {
    /// What is served from the first moment on.
    pub snapshot: Arc<Snapshot>,
    /// Whose history it is.
    pub authority: Authority,
    /// When it was published, and what set it off.
    pub published: (UnixTime, Trigger),
}

impl Keeper {
    /// Opens a state directory and says what was damaged. What has expired since then is no longer
    /// in what is to be served. Blocks.
    ///
    /// # Errors
    ///
    /// When another process has it, or it cannot be written.
    pub fn open(
        path: &Path,
        timing: Timing,
        limits: HistoryLimits,
    ) -> Result<(Self, Option<Kept>), StateError> {
        let (mut state, loaded) = State::open(path, unix_now())?;
        state.set_timing(timing);
        let Loaded { history, damage } = loaded;
        for damage in &damage {
            warn!(%damage, "a part of the state is not believed");
        }
        let mut standing = Standing::new(path);
        let kept = history.map(|history| go_on(&mut state, *history, limits, &mut standing));
        if let Some(kept) = &kept {
            let serial = kept.snapshot.serial();
            let payloads = kept.snapshot.data().rows().len();
            info!(%serial, payloads, folder = %path.display(), "history restored");
        }
        let held = state.manifest().cloned();
        let stored = kept.as_ref().map(|kept| kept.published.0);
        standing.stored = held.as_ref().zip(stored).map(Held::of);
        let shared = Shared {
            folder: Arc::from(state.folder()),
            desk: Mutex::new(Desk {
                state,
                latest: kept.as_ref().map(|kept| Arc::clone(&kept.snapshot)),
            }),
            held: Mutex::new(held),
            told: Mutex::new(None),
            stock: watch::Sender::new(None),
            standing: watch::Sender::new(standing),
        };
        let mut keeper = Self {
            shared: Arc::new(shared),
            settling: None,
            latest: kept.as_ref().map(|kept| of(&kept.snapshot)),
            since: None,
            due: None,
            attempted: None,
        };
        if kept.is_some() {
            keeper.renew();
        }
        Ok((keeper, kept))
    }

    /// Hears of what the disk holds.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Stock>>> {
        self.shared.stock.subscribe()
    }

    /// Hears how the keeping goes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.shared.standing.subscribe()
    }

    /// Makes a snapshot durable before it is published, and gives what is to be published: the
    /// same or, when its history must not go on, the first of another one.
    pub async fn keep(
        &mut self,
        next: Arc<Snapshot>,
        previous: Option<Arc<Snapshot>>,
        authority: Authority,
    ) -> (Arc<Snapshot>, Authority) {
        let shared = Arc::clone(&self.shared);
        let kept = spawn_blocking(move || shared.keep(next, previous.as_deref(), authority));
        match kept.await {
            Ok((snapshot, authority, kept)) => {
                self.put_off(kept);
                self.latest = Some(of(&snapshot));
                (snapshot, authority)
            }
            // What cannot be kept must not be published either.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Tells of what the disk holds, once routers have been told; and of what has become of it.
    pub fn tell(&mut self, authority: Authority, served: bool) {
        *self.shared.told() = self.latest.map(|latest| Told {
            latest,
            authority,
            served,
        });
        self.shared.tell();
    }

    /// When something is to be written, or to be looked at.
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Has the manifest written again when nothing else happens: a leader's word counts for
    /// longer, or routers are told other timers.
    pub fn renew(&mut self) {
        self.put_off(Outcome::Stored);
    }

    /// Writes what was put off, beside everything else.
    pub fn settle(&mut self, snapshot: Option<Arc<Snapshot>>, authority: Authority) {
        let now = Instant::now();
        let settling = self.settling.as_ref();
        if settling.is_some_and(|settling| !settling.is_finished()) {
            self.due = Some(now + BUSY);
            return;
        }
        // After a failure, and only then, this comes again without anybody's doing.
        let failing = self.shared.standing.borrow().failure.is_some();
        let Some(snapshot) = snapshot.filter(|_| failing || self.since.is_some()) else {
            (self.since, self.due) = (None, None);
            return;
        };
        (self.since, self.attempted) = (None, Some(now));
        self.due = Some(now + AGAIN);
        let shared = Arc::clone(&self.shared);
        self.settling = Some(spawn_blocking(move || shared.settle(&snapshot, authority)));
    }

    /// Writes all that was put off, before the server stops.
    pub async fn end(mut self, snapshot: Option<Arc<Snapshot>>, authority: Authority) {
        if let Some(settling) = self.settling.take() {
            // A panic in there was told by itself.
            let _ = settling.await;
        }
        self.since.get_or_insert_with(Instant::now);
        self.settle(snapshot, authority);
        if let Some(settling) = self.settling.take() {
            let _ = settling.await;
        }
    }

    /// Tells routers other timers from now on.
    pub async fn set_timing(&mut self, timing: Timing) {
        let shared = Arc::clone(&self.shared);
        // It cannot fail, and has no outcome.
        let _ = spawn_blocking(move || shared.desk().state.set_timing(timing)).await;
        self.renew();
    }

    /// Puts off what may wait: the longer, the less it matters.
    fn put_off(&mut self, kept: Outcome) {
        let now = Instant::now();
        if kept == Outcome::Failed {
            self.attempted = Some(now);
        }
        let since = *self.since.get_or_insert(now);
        let failing = self.shared.standing.borrow().failure.is_some();
        self.due = Some(match (failing, kept) {
            (true, _) => self.attempted.map_or(now, |at| at + AGAIN),
            // Of a history that is not stored at all a restart would know nothing.
            (false, Outcome::Nothing) => now,
            (false, _) => (now + QUIET).min(since + LONGEST),
        });
    }
}

/// How it went to keep a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// The disk holds its history.
    Stored,
    /// The disk does not hold its history yet.
    Nothing,
    /// It failed.
    Failed,
}

impl Shared {
    fn keep(
        &self,
        next: Arc<Snapshot>,
        previous: Option<&Snapshot>,
        authority: Authority,
    ) -> (Arc<Snapshot>, Authority, Outcome) {
        let (now, mut desk) = (unix_now(), self.desk());
        desk.state.set_authority(authority);
        let kept = desk.state.publish(&next, previous, now);
        let failed = kept.as_ref().err().is_some();
        // Whatever serial of a leader the disk names: nobody here gives it other data.
        let ours = authority == Authority::Own;
        let lost = ours && matches!(kept, Err(KeepError::Lost(_)));
        let (snapshot, authority) = match lost {
            false => (next, authority),
            true => (begin_anew(&mut desk.state, &next), Authority::Own),
        };
        desk.latest = Some(Arc::clone(&snapshot));
        self.hold(&desk.state, now);
        if let Err(failure) = &kept {
            self.standing.send_modify(|standing| standing.fail(failure));
        }
        let outcome = match (failed, kept) {
            (true, _) => Outcome::Failed,
            (false, Ok(Stored::Behind)) if self.held().is_none() => Outcome::Nothing,
            (false, _) => Outcome::Stored,
        };
        (snapshot, authority, outcome)
    }

    fn settle(&self, snapshot: &Arc<Snapshot>, authority: Authority) {
        let begun = {
            let mut desk = self.desk();
            let latest = desk.latest.as_ref();
            if !latest.is_some_and(|latest| Arc::ptr_eq(latest, snapshot)) {
                // It comes again with what was published meanwhile.
                return;
            }
            desk.state.set_authority(authority);
            desk.state.begin_settle(snapshot, unix_now())
        };
        // Publications go on while this is written.
        let written = begun.map(|begun| begun.map(|settling| settling.write(snapshot)));
        let (now, mut desk) = (unix_now(), self.desk());
        let latest = desk.latest.clone();
        let done = written.and_then(|settled| match settled.zip(latest) {
            Some((settled, latest)) => desk.state.end_settle(settled, &latest, now),
            None => Ok(()),
        });
        self.hold(&desk.state, now);
        drop(desk);
        self.standing.send_modify(|standing| match &done {
            Ok(()) => standing.succeed(),
            Err(failure) => standing.fail(failure),
        });
        self.tell();
    }

    /// Tells of what the disk holds, unless routers were not told of that serial yet.
    fn tell(&self) {
        self.stock.send_if_modified(|stock| {
            let (held, told) = (self.held(), *self.told());
            let Some((manifest, told)) = held.as_ref().zip(told) else {
                return stock.take().is_some();
            };
            if told.latest != (manifest.history, manifest.serial) {
                // Whether anything is served counts at once.
                let before = stock.take_if(|stock| stock.served != told.served);
                let changed = before.is_some();
                if let Some(before) = before {
                    let served = told.served;
                    *stock = Some(Arc::new(Stock {
                        served,
                        ..Stock::clone(&before)
                    }));
                }
                return changed;
            }
            let same = |stock: &Stock| {
                (stock.authority, stock.served) == (told.authority, told.served)
                    && stock.manifest == *manifest
            };
            if stock.as_deref().is_some_and(same) {
                return false;
            }
            *stock = Some(Arc::new(Stock {
                manifest: manifest.clone(),
                folder: Arc::clone(&self.folder),
                authority: told.authority,
                served: told.served,
            }));
            true
        });
    }

    /// Notes what the disk holds now.
    fn hold(&self, state: &State, now: UnixTime) {
        let mut held = self.held();
        if held.as_ref() != state.manifest() {
            *held = state.manifest().cloned();
            let stored = held.as_ref().map(|manifest| (manifest, now));
            let stored = stored.map(Held::of);
            self.standing
                .send_modify(|standing| standing.stored = stored);
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Option<Manifest>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Option<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which history and serial a snapshot is.
fn of(snapshot: &Snapshot) -> (HistoryName, Serial) {
    (snapshot.name(), snapshot.serial())
}

/// Another history for a snapshot whose own must not go on.
fn begin_anew(state: &mut State, next: &Snapshot) -> Arc<Snapshot> {
    let anew = next.begin_anew(random_name(), next.data().clone());
    state.set_authority(Authority::Own);
    // Nothing of it is stored, so this is no more than a note of it.
    let _ = state.publish(&anew, None, unix_now());
    Arc::new(anew)
}

/// What is served from the first moment on: what was stored, without what has expired meanwhile.
fn go_on(
    state: &mut State,
    history: History,
    limits: HistoryLimits,
    standing: &mut Standing,
) -> Kept {
    let (snapshot, authority) = (history.snapshot, history.authority);
    let now = unix_now();
    let last = snapshot.entries().next_back();
    let published = last.map_or((history.issued, Trigger::Source), |last| {
        (last.time(), last.trigger())
    });
    let (rows, gone) = snapshot.data().rows().split_expired(now);
    let next = match (authority, gone) {
        (Authority::Own, Some(_)) => {
            let data = DataSet::new(&rows);
            snapshot.next(data, Trigger::Expiry, now, limits)
        }
        // A leader says itself what expires.
        _ => Step::Unchanged,
    };
    let (Step::Serial(next) | Step::Revision(next)) = next else {
        let snapshot = Arc::new(snapshot);
        return Kept {
            snapshot,
            authority,
            published,
        };
    };
    let kept = state.publish(&next, Some(&snapshot), now);
    if let Err(failure) = &kept {
        standing.fail(failure);
    }
    Kept {
        snapshot: match kept {
            Err(KeepError::Lost(_)) => begin_anew(state, &next),
            _ => Arc::new(next),
        },
        authority,
        published: (now, Trigger::Expiry),
    }
}

/// The folder where the last good list of a source is kept.
pub fn source_folder(state_dir: &Path, name: &str) -> PathBuf {
    let digest = hex::encode(&Digest::of(name.as_bytes()).sha256);
    let short = digest.get(..32).unwrap_or(&digest);
    state_dir.join(SOURCES).join(short)
}

const SOURCES: &str = "sources";

/// Removes the lists of sources that are no longer there. Blocks.
pub fn forget_sources(state_dir: &Path, names: &[Box<str>]) {
    let folder = state_dir.join(SOURCES);
    let known: Vec<PathBuf> = names
        .iter()
        .map(|name| source_folder(state_dir, name))
        .collect();
    let removed = || -> io::Result<()> {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if !known.contains(&path) {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    };
    match removed() {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            let error = DiskError {
                path: folder,
                cause: error,
            };
            warn!(%error, "old lists of sources not removed");
        }
    }
}

#[cfg(test)]
mod tests;
