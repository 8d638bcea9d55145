//! From a manifest to what is served: which files it takes, and what they make.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::super::error::{Phase, SourceError};
use super::files::Files;
use crate::daemon::random;
use crate::feed::history::{News, Parts, compose, compose_after};
use crate::feed::{FeedError, Manifest};
use crate::net::Endpoint;
use crate::payload::Delta;
use crate::rtr::Snapshot;
use crate::rtr::snapshot::Known;

/// Steps that are asked for at once.
const AT_ONCE: usize = 8;

/// How long older steps are asked for: routers wait, and can do without them.
const BACKFILL: Duration = Duration::from_secs(10);

/// However small the set, older steps of so many octets together are asked for.
const BACKFILL_OCTETS: u64 = 1 << 20;

/// A manifest, and all that it takes to follow it.
pub(super) struct Load {
    pub(super) manifest: Arc<Manifest>,
    pub(super) files: Files,
    /// The most octets of a file, and of the steps that are needed together.
    pub(super) max_octets: u64,
    /// How long all that is needed may take, and older steps at most.
    pub(super) timeout: Duration,
    pub(super) at: Endpoint,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lack {
    /// Nothing is new but the times.
    Nothing,
    /// The revision has another number.
    Number,
    /// The steps from this place on.
    Steps(usize),
    /// Everything.
    All,
}

fn lack(manifest: &Manifest, previous: &Snapshot) -> Lack {
    if previous.name() != manifest.history {
        return Lack::All;
    }
    match manifest.place_of(previous.serial()) {
        None => Lack::All,
        Some(place) if place < manifest.deltas.len() => Lack::Steps(place),
        Some(_) if previous.revision() != manifest.revision => Lack::Number,
        Some(_) => Lack::Nothing,
    }
}

/// Whether a manifest names attributes of the set that a snapshot has, and it has others.
pub(super) fn lacks_attributes(manifest: &Manifest, snapshot: &Snapshot) -> bool {
    manifest.attributes.is_some_and(|named| {
        let (serial, revision) = (named.serial, named.revision);
        let known = Some(Known { serial, revision });
        let same_set = manifest.history == snapshot.name() && serial == snapshot.serial();
        same_set && snapshot.known() != known
    })
}

impl Load {
    /// What the manifest leads to, without the attributes where something was served before: they
    /// are many octets, and routers wait for the steps. The same snapshot when nothing is lacking.
    ///
    /// # Errors
    ///
    /// When a file that is needed cannot be had or is not the one that is meant.
    pub(super) async fn served(
        &self,
        previous: Option<&Arc<Snapshot>>,
    ) -> Result<Arc<Snapshot>, SourceError> {
        let Some(previous) = previous else {
            return self.all(None).await;
        };
        let place = match lack(&self.manifest, previous) {
            Lack::Nothing => return Ok(Arc::clone(previous)),
            Lack::All => return self.all(Some(previous)).await,
            Lack::Number => self.manifest.deltas.len(),
            Lack::Steps(place) => place,
        };
        let deltas = self.in_time(self.steps(place)).await?;
        let news = News {
            deltas,
            attributes: None,
        };
        self.go_on(previous, news).await
    }

    /// The same with the attributes.
    ///
    /// # Errors
    ///
    /// When they cannot be had, or are those of another set.
    pub(super) async fn with_attributes(
        &self,
        served: &Arc<Snapshot>,
    ) -> Result<Arc<Snapshot>, SourceError> {
        let named = self.manifest.attributes.as_ref();
        let named = named.ok_or(SourceError::Reader)?;
        self.allow(named.digest.octets)?;
        let attributes = self.files.attributes(&self.manifest, named);
        let attributes = Some(self.in_time(attributes).await?);
        let deltas = Vec::new();
        self.go_on(served, News { deltas, attributes }).await
    }

    async fn go_on(
        &self,
        previous: &Arc<Snapshot>,
        news: News,
    ) -> Result<Arc<Snapshot>, SourceError> {
        let (manifest, previous) = (Arc::clone(&self.manifest), Arc::clone(previous));
        let made = spawn_blocking(move || {
            let restored = compose_after(&manifest, &previous, news)?;
            Ok(Arc::new(previous.restore_after(restored)?))
        });
        self.made(made.await.map_err(|_| SourceError::Reader)?)
    }

    /// Everything anew, older steps included.
    async fn all(&self, previous: Option<&Arc<Snapshot>>) -> Result<Arc<Snapshot>, SourceError> {
        let manifest = &self.manifest;
        let forwards = manifest.steps_before_snapshot();
        let mut parts = self.in_time(self.needed(forwards)).await?;
        let mut deltas = self.older_steps(forwards).await;
        deltas.append(&mut parts.deltas);
        parts.deltas = deltas;
        let (manifest, previous) = (Arc::clone(manifest), previous.cloned());
        let made = spawn_blocking(move || {
            let mut restored = compose(&manifest, parts)?;
            restored.v0_turn = u16::from_be_bytes(random::octets());
            Ok(Arc::new(match previous {
                None => Snapshot::restore(restored)?,
                Some(previous) => previous.restore_after(restored)?,
            }))
        });
        self.made(made.await.map_err(|_| SourceError::Reader)?)
    }

    /// The set, its attributes, and the steps from this place on.
    async fn needed(&self, forwards: usize) -> Result<Parts, SourceError> {
        let manifest = &self.manifest;
        self.allow(manifest.snapshot.digest.octets)?;
        let snapshot = self.files.set(manifest).await?;
        let attributes = match &manifest.attributes {
            None => None,
            Some(named) => {
                self.allow(named.digest.octets)?;
                Some(self.files.attributes(manifest, named).await?)
            }
        };
        let deltas = self.steps(forwards).await?;
        Ok(Parts {
            snapshot,
            attributes,
            deltas,
        })
    }

    /// All steps from this place on.
    async fn steps(&self, from: usize) -> Result<Vec<Delta>, SourceError> {
        let steps = self.manifest.deltas.get(from..).unwrap_or_default();
        let octets = steps.iter().map(|step| step.digest.octets);
        self.allow(octets.sum())?;
        let mut found = Found::default();
        self.ask(&mut found, from, self.manifest.deltas.len())
            .await?;
        // Each has been found, or there would be an error.
        Ok(found.deltas.into_iter().flatten().collect())
    }

    /// The steps before this place as far as they can be had, oldest first.
    async fn older_steps(&self, end: usize) -> Vec<Delta> {
        let most = self.manifest.snapshot.digest.octets.max(BACKFILL_OCTETS);
        let most = most.min(self.max_octets);
        let older = self.manifest.deltas.get(..end).unwrap_or_default();
        let mut octets = 0;
        let few = older.iter().rev().take_while(|step| {
            octets += step.digest.octets;
            octets <= most
        });
        let from = end.saturating_sub(few.count());
        let mut found = Found::default();
        let deadline = Instant::now() + BACKFILL.min(self.timeout);
        match timeout_at(deadline, self.ask(&mut found, from, end)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(at = %self.at, %error, "older steps of a feed left out"),
            Err(_) => debug!(at = %self.at, "older steps of a feed left out: they take too long"),
        }
        // Only those count from which an unbroken chain leads on.
        let newest_first = found.deltas.into_iter().rev();
        let mut unbroken: Vec<Delta> = newest_first.map_while(|step| step).collect();
        unbroken.reverse();
        unbroken
    }

    /// Asks for the steps between two places, the newest first, some at once. After an error no
    /// others are asked for, but those that were asked for already still come.
    async fn ask(&self, found: &mut Found, from: usize, end: usize) -> Result<(), SourceError> {
        found.deltas.resize_with(end.saturating_sub(from), || None);
        let mut left = (from..end).rev();
        let mut failure = None;
        let mut asked: JoinSet<(usize, Result<Delta, SourceError>)> = JoinSet::new();
        loop {
            while failure.is_none()
                && asked.len() < AT_ONCE
                && let Some(place) = left.next()
            {
                let (files, manifest) = (self.files.share(), Arc::clone(&self.manifest));
                asked.spawn(async move {
                    let step = match manifest.deltas.get(place) {
                        Some(named) => files.step(&manifest, named).await,
                        None => Err(SourceError::Reader),
                    };
                    (place.saturating_sub(from), step)
                });
            }
            let Some(answer) = asked.join_next().await else {
                return failure.map_or(Ok(()), Err);
            };
            let (place, step) = answer.map_err(|_| SourceError::Reader)?;
            match (step, found.deltas.get_mut(place)) {
                (Ok(step), Some(place)) => *place = Some(step),
                (Ok(_), None) => {}
                (Err(error), _) => failure = Some(error),
            }
        }
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let limit = self.timeout;
        let done = timeout(limit, Box::pin(work)).await;
        done.unwrap_or_else(|_| {
            Err(match &self.at {
                Endpoint::Feed(url) => SourceError::Timeout {
                    url: url.clone(),
                    phase: Phase::Total,
                    limit,
                },
                other => SourceError::File {
                    path: other.to_string().into(),
                    error: io::ErrorKind::TimedOut.into(),
                },
            })
        })
    }

    fn allow(&self, octets: u64) -> Result<(), SourceError> {
        let limit = self.max_octets;
        match octets <= limit {
            true => Ok(()),
            false => Err(SourceError::TooLarge { limit }),
        }
    }

    fn made<T>(&self, made: Result<T, FeedError>) -> Result<T, SourceError> {
        made.map_err(|error| SourceError::Feed {
            at: self.at.clone(),
            error,
        })
    }
}

/// Steps that were found, by place.
#[derive(Default)]
struct Found {
    deltas: Vec<Option<Delta>>,
}
