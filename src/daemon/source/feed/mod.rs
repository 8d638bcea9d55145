//! The feed of a leader, followed: what it serves, under its name and serials.
//!
//! Nothing that carries a feed is trusted. A follower believes a manifest (`manifests`) that is
//! signed by a key it knows, or plain where no key is asked for, that counts now, and that does not
//! go back behind where it stood, before a restart (`mark`) as after it. Then it asks for the
//! `files` that it lacks (`load`): steps where it can, and the attributes of the set behind them.
//! A leader that is asked directly holds a request until it has news (`patience`).

mod files;
mod load;
mod manifests;
mod mark;
mod patience;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::load::{Load, lacks_attributes};
use self::manifests::{Arrived, Manifests, Waited, is_missing};
use self::mark::MarkFile;
use self::patience::Patience;
use super::error::SourceError;
use super::file::{self, Watched};
use super::list::List;
use super::mirror::Mirror;
use super::pace::Pace;
use super::watcher::Watcher;
use super::{Closed, Content, Occasion, Outlet, Past, Requests};
use crate::config::Source;
use crate::feed::Manifest;
use crate::feed::advance::{Advance, Mark};
use crate::net::Url;
use crate::payload::UnixTime;
use crate::rtr::Snapshot;

/// Delivers what a leader on the web serves.
pub(super) async fn on_web(
    source: &Source,
    url: &Url,
    past: Past,
    outlet: &Outlet,
    requests: Requests,
) -> Result<(), Closed> {
    let manifests = Manifests::on_web(source, url);
    deliver(source, manifests, past, outlet, requests).await
}

/// Delivers what a leader serves whose feed is copied to a folder.
pub(super) async fn in_folder(
    source: &Source,
    path: &Path,
    past: Past,
    outlet: &Outlet,
    requests: Requests,
) -> Result<(), Closed> {
    let manifests = Manifests::in_folder(source, path);
    deliver(source, manifests, past, outlet, requests).await
}

/// The least time between two manifests, however often a leader has another one.
const SPACING: Duration = Duration::from_millis(50);

async fn deliver(
    source: &Source,
    manifests: Manifests,
    past: Past,
    outlet: &Outlet,
    mut requests: Requests,
) -> Result<(), Closed> {
    let mut look_out = LookOut::new(source, &manifests);
    let mut follower = Follower::new(source, manifests, past).await;
    let mut pace = Pace::of_leader(source.refresh);
    let mut next = (Occasion::Schedule, Next::Ask);
    loop {
        look_out.renew().await;
        let started = Instant::now();
        let (occasion, found) = next;
        let mut result = follower.follow(found).await;
        let nothing = matches!(result, Ok(Content::Unchanged { .. }));
        let was_failing = std::mem::replace(&mut look_out.failing, result.is_err());
        // Most of what happens in a folder is not about its manifest.
        if !nothing || occasion != Occasion::Event || was_failing {
            outlet.send(occasion, result, started.elapsed()).await?;
        }
        // Routers do not wait for the disk, nor for attributes.
        follower.remember().await;
        if !look_out.failing && follower.lacks_attributes() {
            let started = Instant::now();
            result = follower.complete().await;
            look_out.failing = result.is_err();
            let took = started.elapsed();
            outlet.send(Occasion::Event, result, took).await?;
        }
        let rest = match look_out.failing {
            true => pace.failed(),
            false => pace.succeeded(),
        };
        next = tokio::select! {
            next = look_out.next(&mut follower.manifests, rest, nothing) => next,
            asked = requests.next() => (asked, Next::Ask),
        };
    }
}

/// What is known of the next manifest.
enum Next {
    /// It is to be asked for.
    Ask,
    /// It is the last one.
    Known,
    /// It has come.
    Arrived(Arrived),
}

/// Looks out for the next manifest.
struct LookOut<'s> {
    source: &'s Source,
    /// Its folder, if it is in one.
    watch: Option<Watch>,
    patience: Patience,
    /// Whether the last attempt was a failure.
    failing: bool,
}

struct Watch {
    path: PathBuf,
    watcher: Watcher,
    watched: Watched,
}

impl<'s> LookOut<'s> {
    fn new(source: &'s Source, manifests: &Manifests) -> Self {
        let watch = manifests.path().map(|path| Watch {
            watcher: Watcher::new(&path),
            watched: Watched::Yet,
            path,
        });
        Self {
            source,
            watch,
            patience: Patience::default(),
            failing: false,
        }
    }

    /// Watches the folder that has the name now, before it is looked at.
    async fn renew(&mut self) {
        if let Some(watch) = self.watch.take() {
            let (path, watcher) = (watch.path, watch.watcher);
            let renewed = file::renew(watcher, watch.watched, self.source, &path).await;
            let (watcher, watched) = renewed;
            self.watch = Some(Watch {
                path,
                watcher,
                watched,
            });
        }
    }

    /// Waits until it is worth asking again, at most `rest`, or for the manifest itself where the
    /// server can be asked to wait. `nothing` is whether the last attempt brought nothing new.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that was dropped leaves nothing behind.
    async fn next(
        &mut self,
        manifests: &mut Manifests,
        rest: Duration,
        nothing: bool,
    ) -> (Occasion, Next) {
        if let Some(watch) = &mut self.watch {
            let changed = async {
                watch.watcher.changed().await;
                sleep(SPACING).await;
            };
            let occasion = tokio::select! {
                () = changed => Occasion::Event,
                () = sleep(rest) => Occasion::Schedule,
            };
            return (occasion, Next::Ask);
        }
        if self.failing || !self.patience.may_wait() || !manifests.can_wait() {
            sleep(rest).await;
            return (Occasion::Schedule, Next::Ask);
        }
        match nothing && self.patience.is_hasty() {
            true => sleep(rest).await,
            false => sleep(SPACING).await,
        }
        let asked = Instant::now();
        let (occasion, arrived) = match manifests.wait().await {
            Ok(Waited::Long(arrived)) => {
                self.patience.waited(asked.elapsed());
                match arrived {
                    Some(_) => (Occasion::Event, arrived),
                    None => (Occasion::Schedule, None),
                }
            }
            Ok(Waited::NotAtAll(arrived)) => {
                self.patience.refused();
                (Occasion::Schedule, arrived)
            }
            // Perhaps something on the way does not bear it. If the leader is away, asking
            // without waiting goes wrong, too, and there is something to say.
            Err(_) => {
                self.patience.broke();
                return (Occasion::Schedule, Next::Ask);
            }
        };
        (occasion, arrived.map_or(Next::Known, Next::Arrived))
    }
}

/// Goes where a leader goes.
struct Follower {
    manifests: Manifests,
    timeout: Duration,
    max_octets: u64,
    kept: MarkFile,
    /// Where it stands.
    mark: Option<Mark>,
    /// What the leader served then.
    snapshot: Option<Arc<Snapshot>>,
    /// The manifest that says so, and when it came; `None` while it is from an earlier run.
    taken: Option<(Arc<Manifest>, UnixTime)>,
    /// What was delivered last.
    delivered: Option<Mirror>,
}

impl Follower {
    async fn new(source: &Source, manifests: Manifests, past: Past) -> Self {
        let (kept, mark) =
            MarkFile::open(&source.name, source.origin.to_string(), past.folder).await;
        Self {
            manifests,
            timeout: source.timeout,
            max_octets: source.max_octets,
            kept,
            mark: mark::begin(past.mirrored.as_deref(), mark),
            snapshot: past.mirrored,
            taken: None,
            delivered: None,
        }
    }

    /// Takes the next manifest, and has what it leads to but for the attributes.
    async fn follow(&mut self, next: Next) -> Result<Content, SourceError> {
        let result = self.advance(next).await;
        self.concluded(result)
    }

    /// Has the attributes that are still lacking.
    async fn complete(&mut self) -> Result<Content, SourceError> {
        let result = match self.add_attributes().await {
            Err(error) if is_missing(&error) => {
                self.manifests.forget();
                match self.advance(Next::Ask).await {
                    Ok(()) if self.lacks_attributes() => self.add_attributes().await,
                    result => result,
                }
            }
            result => result,
        };
        self.concluded(result)
    }

    /// Keeps where it stands for the next start.
    async fn remember(&mut self) {
        if let Some(mark) = &self.mark
            && self.taken.is_some()
        {
            self.kept.keep(mark).await;
        }
    }

    /// Whether the leader says more of the payloads than is known here.
    fn lacks_attributes(&self) -> bool {
        match (&self.taken, &self.snapshot) {
            (Some((manifest, _)), Some(snapshot)) => lacks_attributes(manifest, snapshot),
            _ => false,
        }
    }

    async fn advance(&mut self, next: Next) -> Result<(), SourceError> {
        let arrived = match next {
            Next::Ask => self.manifests.now().await?,
            Next::Known => None,
            Next::Arrived(arrived) => Some(arrived),
        };
        let Some(arrived) = arrived else {
            let (manifest, _) = self.taken.as_ref().ok_or(SourceError::Reader)?;
            return self.manifests.check(manifest);
        };
        match self.take(&arrived).await {
            // The leader has gone on since, and a file was there for those before.
            Err(error) if is_missing(&error) => {
                self.manifests.forget();
                let newer = self.manifests.now().await?;
                self.take(&newer.ok_or(error)?).await
            }
            result => result,
        }
    }

    /// Takes a manifest with all that it leads to, or nothing of it.
    async fn take(&mut self, arrived: &Arrived) -> Result<(), SourceError> {
        let manifest = Arc::new(self.manifests.read(arrived).await?);
        let advance = self.mark.as_ref().map(|mark| manifest.advances(mark));
        let advance = advance.transpose().map_err(|error| SourceError::Rollback {
            at: self.manifests.at().clone(),
            error,
        })?;
        let load = self.load(&manifest);
        let snapshot = load.served(self.snapshot.as_ref()).await?;
        let mark = manifest.mark();
        if advance == Some(Advance::Afresh) {
            // What is served from now on is of this history, and what is kept must not be of
            // the one before.
            self.kept.keep(&mark).await;
        }
        self.mark = Some(mark);
        self.snapshot = Some(snapshot);
        self.taken = Some((manifest, arrived.at()));
        Ok(())
    }

    async fn add_attributes(&mut self) -> Result<(), SourceError> {
        let taken = self.taken.as_ref().zip(self.snapshot.as_ref());
        let ((manifest, _), snapshot) = taken.ok_or(SourceError::Reader)?;
        let load = self.load(manifest);
        self.snapshot = Some(load.with_attributes(snapshot).await?);
        Ok(())
    }

    fn load(&self, manifest: &Arc<Manifest>) -> Load {
        Load {
            manifest: Arc::clone(manifest),
            files: self.manifests.files(),
            max_octets: self.max_octets,
            timeout: self.timeout,
            at: self.manifests.at().clone(),
        }
    }

    /// What is to be delivered after an attempt.
    fn concluded(&mut self, result: Result<(), SourceError>) -> Result<Content, SourceError> {
        if let Err(error) = result {
            // Whatever there is has to be asked for again.
            self.manifests.forget();
            return Err(error);
        }
        let taken = self.taken.as_ref().zip(self.snapshot.as_ref());
        let ((manifest, arrived), snapshot) = taken.ok_or(SourceError::Reader)?;
        let mirror = Mirror {
            snapshot: Arc::clone(snapshot),
            issued: manifest.issued,
            valid_until: manifest.valid_until,
        };
        let same = |last: &Mirror| {
            Arc::ptr_eq(&last.snapshot, snapshot)
                && (last.issued, last.valid_until) == (mirror.issued, mirror.valid_until)
        };
        if self.delivered.as_ref().is_some_and(same) {
            return Ok(Content::Unchanged { arrived: None });
        }
        let list = List::of_mirror(&mirror, *arrived);
        self.delivered = Some(mirror.clone());
        Ok(Content::Mirror(Box::new(list), Arc::new(mirror)))
    }
}
