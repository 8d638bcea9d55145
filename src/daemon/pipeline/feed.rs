//! What the pipeline knows of one source.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::failover;
use super::freshness::Age;
use super::mirror::{self, Unfollowed};
use super::order::Heard;
use super::report;
use crate::config::Source;
use crate::daemon::source::{Content, List, Mirror, Occasion, SourceError, Update};
use crate::daemon::voice::Voice;
use crate::payload::merge::{Contribution, merge};
use crate::payload::{Rows, UnixTime};
use crate::rtr::Snapshot;

/// What sources have, each with its place.
pub fn rows_of(feeds: &[Feed]) -> Vec<(usize, Rows)> {
    let places = feeds.iter().enumerate();
    places
        .filter_map(|(place, feed)| Some((place, feed.rows.clone()?)))
        .collect()
}

/// One source: what it delivered, how old that is, and how its last attempt went.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Names its task; a task that was started anew has another one.
    pub id: usize,
    /// How it is configured.
    pub source: Source,
    /// Its rows, without those that expired.
    pub rows: Option<Rows>,
    /// Those that expired since the list came, for explanations.
    pub gone: Option<Rows>,
    /// The leader's history that they are, where it is a feed.
    pub mirror: Option<Arc<Mirror>>,
    /// Why that is not to be followed.
    pub unfollowed: Option<Unfollowed>,
    /// Whether its last list was restored, and was fresh then.
    restored: bool,
    /// What its last list says of itself.
    pub facts: Option<Facts>,
    /// How old that is.
    pub age: Option<Age>,
    /// How long it has been fresh.
    pub standing: failover::Standing,
    /// What is wrong with it, if its last attempt failed.
    pub failure: Option<Failure>,
    /// The end of the last attempt.
    pub attempted: Option<UnixTime>,
    /// The end of the last attempt that was no failure.
    pub succeeded: Option<UnixTime>,
    /// When the next of its rows expires.
    pub next_expiry: Option<UnixTime>,
    /// How long the last attempt took.
    pub took: Duration,
    /// Attempts that failed, since the start.
    pub failures: u64,
    /// Attempts, since the start.
    pub attempts: u64,
    /// The data lost its authority by themselves, as those of a cache that was away for longer
    /// than its expire interval do.
    lapsed: bool,
    announced: bool,
    told_stale: bool,
    /// What it may make us say: a cache can change what it has many times a second.
    voice: Arc<Voice>,
}

/// What a list says of itself.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Who wrote it, and how.
    pub dialect: Box<str>,
    /// The rows it listed, bad and repeated ones included.
    pub listed: usize,
    /// The bad ones.
    pub skipped: usize,
    /// The first of them, and what is wrong with it.
    pub first_skipped: Option<String>,
    /// The serial it had at its source.
    pub serial: Option<u32>,
}

/// Why an attempt came to nothing.
#[derive(Clone, Debug)]
pub struct Failure {
    /// A word that stays the same, for metrics and programs.
    pub kind: &'static str,
    /// All of it, for people.
    pub reason: String,
    /// Since when every attempt has failed.
    pub since: UnixTime,
    /// How many these are.
    pub times: u64,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Taken {
    /// There are other rows now.
    Rows,
    /// The rows are as they were; their age may have changed.
    State,
}

impl Feed {
    /// A source that has said nothing yet.
    pub fn new(id: usize, source: Source) -> Self {
        Self {
            id,
            source,
            rows: None,
            gone: None,
            mirror: None,
            unfollowed: None,
            restored: false,
            facts: None,
            age: None,
            standing: failover::Standing::default(),
            failure: None,
            attempted: None,
            succeeded: None,
            next_expiry: None,
            took: Duration::ZERO,
            failures: 0,
            attempts: 0,
            lapsed: false,
            announced: false,
            told_stale: false,
            voice: Arc::default(),
        }
    }

    /// The same source under another configuration: what it delivered stays.
    pub fn reconfigure(&mut self, id: usize, source: Source) {
        if let Some(age) = &mut self.age {
            age.max_age = source.max_age;
        }
        if (&source.origin, &source.verify) != (&self.source.origin, &self.source.verify) {
            // What somebody else said, or whom nobody trusts any more, is nobody's word now.
            self.mirror = None;
        }
        (self.id, self.source) = (id, source);
        (self.announced, self.told_stale) = (false, false);
    }

    /// Whether it has delivered or failed, or its last list was restored and still counts, so that
    /// nobody waits for it any more.
    pub const fn has_spoken(&self) -> bool {
        self.attempted.is_some() || self.restored
    }

    /// Whether its rows can be relied on.
    pub fn is_fresh(&self, now: UnixTime) -> bool {
        let aged = self.age.is_none_or(|age| !age.is_fresh(now));
        self.is_usable() && !self.lapsed && !aged
    }

    /// Whether its rows may be gone on with, fresh or not.
    pub const fn is_usable(&self) -> bool {
        self.rows.is_some() && self.unfollowed.is_none()
    }

    /// Looks whether its leader may be followed by a server that has served this of a leader's
    /// history.
    pub fn compare(&mut self, reached: Option<&Arc<Snapshot>>) {
        let pair = self.mirror.as_ref().zip(reached);
        let others = pair.filter(|(mirror, reached)| !Arc::ptr_eq(&mirror.snapshot, reached));
        let found = others.and_then(|(mirror, reached)| mirror::against(reached, &mirror.snapshot));
        if found != self.unfollowed {
            report::unfollowed(&self.source.name, self.unfollowed, found);
            self.unfollowed = found;
        }
    }

    /// Whether it was fresh when that was noted last.
    pub const fn was_fresh(&self) -> bool {
        self.standing.fresh_since.is_some()
    }

    /// Takes what its task says.
    pub fn take(&mut self, update: Update, now: UnixTime) -> Taken {
        if update.occasion == Occasion::Restored {
            return self.restore(update.result, now);
        }
        self.attempts += 1;
        self.attempted = Some(now);
        self.took = update.took;
        match update.result {
            Ok(content) => {
                self.succeeded = Some(now);
                let failure = self.failure.take();
                match content {
                    Content::List(list) => {
                        self.mirror = None;
                        self.load(*list);
                        Taken::Rows
                    }
                    Content::Mirror(list, mirror) => {
                        let known = self.mirror.replace(mirror);
                        if failure.is_some() && self.voice.may_speak() {
                            info!(source = %self.source.name, "source is back");
                        }
                        match known.zip(self.mirror.as_ref()) {
                            // Its word counts for longer, and nothing else is new.
                            Some((known, new)) if Arc::ptr_eq(&known.snapshot, &new.snapshot) => {
                                self.date(&list);
                            }
                            _ => self.load(*list),
                        }
                        Taken::Rows
                    }
                    Content::Unchanged { arrived } => {
                        if failure.is_some() && self.voice.may_speak() {
                            info!(source = %self.source.name, "source is back, unchanged");
                        }
                        self.confirm(arrived);
                        Taken::State
                    }
                }
            }
            Err(error) => {
                self.fail(&error, now);
                Taken::State
            }
        }
    }

    /// Takes what was kept of an earlier run, unless something newer is here: after a reload the
    /// source goes on. It says nothing of how the source is now; one that is stale by now is
    /// waited for all the same.
    fn restore(&mut self, kept: Result<Content, SourceError>, now: UnixTime) -> Taken {
        match kept {
            Ok(Content::List(list)) if self.rows.is_none() => {
                self.put(*list);
                self.restored = self.is_fresh(now);
                Taken::Rows
            }
            _ => Taken::State,
        }
    }

    fn load(&mut self, list: List) {
        let source = &self.source.name;
        if self.voice.may_speak() {
            info!(
                %source,
                dialect = %list.dialect,
                rows = list.listed,
                skipped = list.skipped,
                took_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
                "source loaded"
            );
            if let Some(first) = &list.first_skipped {
                warn!(%source, skipped = list.skipped, %first, "rows skipped");
            }
        }
        self.put(list);
    }

    fn put(&mut self, list: List) {
        self.date(&list);
        self.rows = Some(list.rows);
        self.gone = None;
        self.facts = Some(Facts {
            dialect: list.dialect,
            listed: list.listed,
            skipped: list.skipped,
            first_skipped: list.first_skipped,
            serial: list.serial,
        });
    }

    /// Takes what a list says of its age.
    fn date(&mut self, list: &List) {
        self.age = Some(Age {
            stated: list.stated,
            arrived: list.arrived,
            valid: list.valid,
            max_age: self.source.max_age,
        });
        (self.lapsed, self.announced, self.told_stale) = (false, false, false);
    }

    fn confirm(&mut self, arrived: Option<UnixTime>) {
        if let (Some(arrived), Some(age)) = (arrived, &mut self.age) {
            age.arrived = arrived;
            (self.lapsed, self.announced, self.told_stale) = (false, false, false);
        }
    }

    fn fail(&mut self, error: &SourceError, now: UnixTime) {
        self.failures += 1;
        self.lapsed |= matches!(error, SourceError::Expired { .. });
        let name = &self.source.name;
        // As a trait object it is logged with what caused it.
        let logged: &(dyn Error + 'static) = error;
        // A source that stays broken says so once, and then at debug.
        let (since, times, said) = match &self.failure {
            Some(before) => (before.since, before.times, before.kind == error.kind()),
            None => (now, 0, false),
        };
        if said || !self.voice.may_speak() {
            debug!(source = %name, error = logged, "source still fails");
        } else if self.rows.is_some() {
            warn!(source = %name, error = logged, "source fails, last good data stays");
        } else {
            warn!(source = %name, error = logged, "source fails, and has no data yet");
        }
        self.failure = Some(Failure {
            kind: error.kind(),
            reason: crate::daemon::with_causes(error),
            since,
            times: times + 1,
        });
    }

    /// Keeps what expired, to be able to say so when somebody asks.
    pub fn remember(&mut self, gone: Option<Rows>) {
        let Some(gone) = gone else { return };
        self.gone = Some(match self.gone.take() {
            None => gone,
            Some(before) => merge(
                &[&before, &gone].map(|rows| Contribution { place: 0, rows }),
                1,
            ),
        });
    }

    /// What came of the last attempt, in words.
    pub fn outcome(&self) -> Heard {
        let rows = self.rows.as_ref().map_or(0, Rows::len);
        Heard {
            source: self.source.name.clone(),
            outcome: match &self.failure {
                None => Ok(format!("{rows} payloads")),
                Some(failure) => Err(failure.reason.clone()),
            },
        }
    }

    /// Notes what time has done to its rows, and says so once: that they will be stale, before
    /// it counts, and that they are.
    pub fn observe(&mut self, now: UnixTime, instant: Instant) {
        let fresh = self.is_fresh(now);
        self.standing.observe(fresh, instant);
        if self.rows.is_none() {
            return;
        }
        let source = &self.source.name;
        let due = self
            .age
            .and_then(|age| Some((age.announce_at()?, age.stale_at()?)));
        if fresh {
            if let Some((announce_at, stale_at)) = due
                && now >= announce_at
                && !self.announced
            {
                let in_seconds = stale_at.since(now);
                warn!(%source, in_seconds, at = %stale_at, "source will be stale");
                self.announced = true;
            }
        } else if !self.told_stale {
            warn!(%source, "source is stale");
            self.told_stale = true;
        }
    }

    /// When [`observe`](Self::observe) may have something to note again; now, when a moment went
    /// by since the last time or the clock was set.
    pub fn next_look(&self, now: UnixTime) -> Option<UnixTime> {
        let age = self.age.filter(|_| self.rows.is_some())?;
        let fresh = self.is_fresh(now);
        if fresh != self.standing.fresh_since.is_some() {
            return Some(now);
        }
        let moments = [
            age.announce_at().filter(|_| !self.announced),
            age.stale_at(),
        ];
        moments.into_iter().flatten().min().filter(|_| fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn a_source_that_flaps_is_taken_as_often_but_told_of_less() {
        let mut feed = Feed::new(0, Source::new("a", Origin::Demo));
        for _ in 0..100 {
            let update = Update {
                place: 0,
                occasion: Occasion::Event,
                result: Err(SourceError::Reader),
                took: Duration::ZERO,
            };
            feed.take(update, UnixTime::new(1));
            feed.failure = None;
        }
        assert_eq!(feed.failures, 100);
        assert!(!feed.voice.may_speak());
    }

    fn list(asn: u32, arrived: u64) -> List {
        let mut rows = crate::payload::RowsBuilder::new();
        let prefix = "192.0.2.0/24".parse().unwrap();
        let vrp = crate::payload::Vrp::new(prefix, 24, crate::payload::Asn::new(asn));
        rows.push_vrp(vrp.unwrap(), Default::default());
        List {
            rows: rows.finish(),
            dialect: "x".into(),
            stated: None,
            valid: None,
            arrived: UnixTime::new(arrived),
            listed: 1,
            skipped: 0,
            first_skipped: None,
            serial: None,
            expire: None,
            conditions: Default::default(),
        }
    }

    fn hears(feed: &mut Feed, occasion: Occasion, list: List) -> Taken {
        let update = Update {
            place: 0,
            occasion,
            result: Ok(Content::List(Box::new(list))),
            took: Duration::ZERO,
        };
        feed.take(update, UnixTime::new(100_000))
    }

    #[test]
    fn what_was_kept_is_data_and_no_attempt() {
        let file = Origin::At(crate::net::Endpoint::File("a".into()));
        let mut feed = Feed::new(0, Source::new("a", file));
        let kept = list(1, 99_000);
        assert_eq!(
            hears(&mut feed, Occasion::Restored, kept.clone()),
            Taken::Rows
        );
        assert!(feed.has_spoken() && feed.rows.is_some());
        assert_eq!(
            (feed.attempts, feed.attempted, feed.succeeded),
            (0, None, None)
        );
        // After a reload the newer one is here already, and so is what is wrong.
        hears(&mut feed, Occasion::Schedule, list(2, 100_000));
        feed.fail(&SourceError::Reader, UnixTime::new(100_000));
        let rows = feed.rows.clone();
        assert_eq!(hears(&mut feed, Occasion::Restored, kept), Taken::State);
        assert_eq!(feed.rows, rows);
        assert!(feed.failure.is_some());
    }

    #[test]
    fn what_was_kept_for_too_long_is_no_reason_not_to_wait() {
        let file = Origin::At(crate::net::Endpoint::File("a".into()));
        let mut feed = Feed::new(0, Source::new("a", file));
        hears(&mut feed, Occasion::Restored, list(1, 1_000));
        assert!(!feed.has_spoken() && feed.rows.is_some());
    }
}
