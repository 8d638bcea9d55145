//! Keeps what is served for the next start.
//!
//! The pipeline asks before it publishes ([`Keeper::keep`]), tells after it has
//! ([`Keeper::tell`]), and lets what may wait be written when nothing else happens
//! ([`Keeper::settle`]). The disk is used on threads that may block, by one of them at a time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::authority::Authority;
use super::pipeline::{random_name, unix_now};
use super::state::{DiskError, History, KeepError, Loaded, State, StateError};
use super::stock::Stock;
use crate::feed::Manifest;
use crate::payload::DataSet;
use crate::rtr::snapshot::{HistoryLimits, Step, Trigger};
use crate::rtr::{Snapshot, Timing};
use crate::sign::{Digest, hex};

/// How long nothing may happen before what was put off is written.
const QUIET: Duration = Duration::from_secs(2);

/// How long after a failure another attempt is made.
const AGAIN: Duration = Duration::from_secs(30);

/// A state directory in use.
#[derive(Debug)]
pub struct Keeper {
    state: Arc<Mutex<State>>,
    folder: Arc<Path>,
    stock: watch::Sender<Option<Arc<Stock>>>,
    standing: watch::Sender<Standing>,
    /// What the disk holds, perhaps nothing, if nobody was told of it yet.
    untold: Option<Option<Manifest>>,
    /// When something is to be written.
    due: Option<Instant>,
    settling: Option<JoinHandle<()>>,
}

/// How the keeping goes.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Why the last attempt failed, if it did.
    pub failure: Option<String>,
    /// Attempts that failed, since the start.
    pub failures: u64,
}

/// What was kept from before the start.
#[derive(Debug)]
pub struct Kept {
    /// What is served from the first moment on.
    pub snapshot: Arc<Snapshot>,
    /// Whose history it is.
    pub authority: Authority,
    /// When it was published, and what set it off.
    pub published: (crate::payload::UnixTime, Trigger),
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
            warn!(%damage, "a file of the state directory is damaged");
        }
        let kept = history.map(|history| go_on(&mut state, *history, limits));
        if let Some(kept) = &kept {
            let serial = kept.snapshot.serial();
            let payloads = kept.snapshot.data().rows().len();
            info!(%serial, payloads, folder = %path.display(), "history restored");
        }
        let folder = Arc::from(state.folder());
        let untold = Some(state.manifest().cloned());
        let keeper = Self {
            state: Arc::new(Mutex::new(state)),
            folder,
            stock: watch::Sender::new(None),
            standing: watch::Sender::default(),
            untold,
            due: kept.as_ref().map(|_| Instant::now() + QUIET),
            settling: None,
        };
        Ok((keeper, kept))
    }

    /// Hears of what the disk holds.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Stock>>> {
        self.stock.subscribe()
    }

    /// Hears how the keeping goes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Makes a snapshot durable before it is published, and gives what is to be published: the
    /// same or, when its history must not go on, the first of another one.
    pub async fn keep(
        &mut self,
        next: Arc<Snapshot>,
        previous: Option<Arc<Snapshot>>,
        authority: Authority,
    ) -> (Arc<Snapshot>, Authority) {
        let state = Arc::clone(&self.state);
        let kept = spawn_blocking(move || {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.set_authority(authority);
            let kept = state.publish(&next, previous.as_deref(), unix_now());
            let kept = match kept {
                Err(KeepError::Lost(cause)) => {
                    let anew = next.begin_anew(random_name(), next.data().clone());
                    state.set_authority(Authority::Own);
                    // Nothing of it is stored, so this is no more than a note of it.
                    let _ = state.publish(&anew, None, unix_now());
                    (Arc::new(anew), Authority::Own, Some(KeepError::Lost(cause)))
                }
                kept => (next, authority, kept.err()),
            };
            (kept, state.manifest().cloned())
        });
        let ((snapshot, authority, failure), manifest) = match kept.await {
            Ok(kept) => kept,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        // Of a history that is not stored at all a restart would know nothing.
        let wait = match manifest.is_some() {
            true => QUIET,
            false => Duration::ZERO,
        };
        self.untold = Some(manifest);
        self.due.get_or_insert_with(|| Instant::now() + wait);
        self.report(failure);
        (snapshot, authority)
    }

    /// Tells of what the disk holds, once routers have been told; and of what has become of it.
    pub fn tell(&mut self, authority: Authority, served: bool) {
        let untold = self.untold.take();
        let folder = &self.folder;
        self.stock.send_if_modified(|stock| {
            let before = stock.as_deref();
            let known = || before.map(|before| before.manifest.clone());
            let Some(manifest) = untold.unwrap_or_else(known) else {
                return stock.take().is_some();
            };
            let same = |before: &Stock| {
                before.manifest == manifest
                    && before.authority == authority
                    && before.served == served
            };
            if before.is_some_and(same) {
                return false;
            }
            *stock = Some(Arc::new(Stock {
                manifest,
                folder: Arc::clone(folder),
                authority,
                served,
            }));
            true
        });
    }

    /// When something is to be written.
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Has it written that a leader's word counts for longer, when nothing else happens.
    pub fn renew(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + QUIET);
    }

    /// Writes what was put off, beside everything else; what is already being written comes first.
    pub async fn settle(&mut self, snapshot: Arc<Snapshot>, authority: Authority, served: bool) {
        self.settled().await;
        self.due = None;
        let (state, folder) = (Arc::clone(&self.state), Arc::clone(&self.folder));
        let (stock, standing) = (self.stock.clone(), self.standing.clone());
        self.settling = Some(spawn_blocking(move || {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.set_authority(authority);
            let done = state.settle(&snapshot, unix_now());
            // Told with the lock, so that nobody tells of something newer in between.
            stock.send_modify(|stock| {
                let (authority, served) = match stock.as_deref() {
                    Some(stock) => (stock.authority, stock.served),
                    None => (authority, served),
                };
                *stock = state.manifest().map(|manifest| {
                    Arc::new(Stock {
                        manifest: manifest.clone(),
                        folder,
                        authority,
                        served,
                    })
                });
            });
            drop(state);
            note(&standing, done.err());
        }));
        if self.standing.borrow().failure.is_some() {
            self.due = Some(Instant::now() + AGAIN);
        }
    }

    /// Waits until nothing is being written.
    pub async fn settled(&mut self) {
        if let Some(settling) = self.settling.take() {
            // A panic in there was told by itself.
            let _ = settling.await;
        }
    }

    /// Tells routers other timers from now on.
    pub async fn set_timing(&self, timing: Timing) {
        let state = Arc::clone(&self.state);
        // It cannot fail, and has no outcome.
        let _ = spawn_blocking(move || {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.set_timing(timing);
        })
        .await;
    }

    fn report(&mut self, failure: Option<KeepError>) {
        if failure.is_some() {
            self.due = Some(Instant::now() + AGAIN);
        }
        note(&self.standing, failure);
    }
}

/// Says that keeping fails, once, and that it works again.
fn note(standing: &watch::Sender<Standing>, failure: Option<KeepError>) {
    let failure = failure.map(|failure| failure.to_string());
    standing.send_if_modified(|standing| {
        match (&standing.failure, &failure) {
            (None, None) => return false,
            (None, Some(cause)) => error!(error = %cause, "state not kept"),
            (Some(before), Some(cause)) if before == cause => {
                debug!(error = %cause, "state still not kept");
            }
            (Some(_), Some(cause)) => warn!(error = %cause, "state still not kept"),
            (Some(_), None) => info!("state kept again"),
        }
        standing.failures += u64::from(failure.is_some());
        standing.failure = failure;
        true
    });
}

/// What is served from the first moment on: what was stored, without what has expired meanwhile.
fn go_on(state: &mut State, history: History, limits: HistoryLimits) -> Kept {
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
    let next = match state.publish(&next, Some(&snapshot), now) {
        Ok(_) | Err(KeepError::Late(_)) => next,
        Err(failure) => {
            error!(error = %failure, "state not kept");
            match failure {
                KeepError::Lost(_) => next.begin_anew(random_name(), next.data().clone()),
                _ => next,
            }
        }
    };
    Kept {
        snapshot: Arc::new(next),
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
