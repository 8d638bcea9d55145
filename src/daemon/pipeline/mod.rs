//! From what sources say to what is served.
//!
//! The pipeline task is the only writer of the store. What it does at each turn is
//! [`step`](step::step), a function of the sources, the snapshot before and the time; here is
//! what decides that a turn is due, and what becomes of its outcome. Read in this order: this
//! file, [`feed`] for a source, [`freshness`] and [`failover`] for which of them count, `step`,
//! and [`guard`] for what is not let through.

pub mod failover;
pub mod feed;
pub mod freshness;
pub mod guard;
pub mod mirror;
pub mod order;
pub mod step;

mod asked;
mod holds;
mod report;
mod sources;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::error;

use self::asked::Asked;
use self::feed::{Feed, Taken};
use self::guard::{Digest, Standing};
use self::holds::Holds;
use self::order::{Approval, Approved, Order, Rules};
use self::sources::Sources;
use self::step::{Pending, Selection, Serving, Turn, Work, prepare, step};
use super::authority::Authority;
use super::keeper::{Keeper, Kept};
use super::slurm::Loaded;
use super::source::{Occasion, Update};
use super::store::Store;
use super::view::{Counts, View};
use super::voice::Voice;
use crate::payload::merge::Agreement;
use crate::payload::{Rows, UnixTime};
use crate::rtr::snapshot::{HistoryLimits, Trigger};
use crate::rtr::{HistoryName, Snapshot};
use crate::slurm::{Effect, Exceptions};

/// The least time between two serials that expiry alone sets off. With expiries spread to the
/// second there would be one each second otherwise; and nothing is in a new answer longer than
/// this after it expired.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// The longest sleep before a moment of the calendar: clocks are set, and stand still while a
/// machine sleeps.
const CLOCK_LOOK: Duration = Duration::from_secs(60);

/// How long the first publication waits for every source to deliver or to fail. Queries wait
/// somewhat longer, so routers do not see a part of the data, nor an error.
const FIRST_WAIT: Duration = Duration::from_secs(15);

/// What the pipeline knows, and what it has published.
#[derive(Debug)]
pub struct Pipeline {
    sources: Sources,
    rules: Rules,
    store: Arc<Store>,
    /// Keeps what is published, where there is a state directory.
    keeper: Option<Keeper>,
    /// Whose the history is that was published last.
    authority: Authority,
    /// What was served last of a leader's history. Nobody goes back behind that, even by way of a
    /// history of our own.
    reached: Option<Arc<Snapshot>>,
    view: watch::Sender<Arc<View>>,
    /// When the first publication is due with what there is.
    settles_at: Instant,
    settled: bool,
    baseline: Option<Rows>,
    candidate: Option<Rows>,
    exceptions: Option<Loaded>,
    pending: Option<Loaded>,
    /// The task that reads exceptions.
    reader: usize,
    slurm_failure: Option<String>,
    slurm_read: Option<UnixTime>,
    effect: Option<Effect>,
    updates: Standing,
    changes: Standing,
    holds: Holds,
    agreement: Option<Arc<Agreement>>,
    published: Option<(UnixTime, Trigger)>,
    next_expiry: Option<UnixTime>,
    expired_at: Option<Instant>,
    counts: Counts,
    asked: Asked,
    /// Whether the rule for stale data was in force after the last turn.
    lapsed: bool,
    /// What sources may make us say.
    voice: Voice,
}

impl Pipeline {
    /// The task that reads exceptions after a start.
    pub(super) const FIRST_READER: usize = 1;

    /// A pipeline that waits for its first order or update. What was kept is served already.
    pub fn new(
        store: Arc<Store>,
        rules: Rules,
        feeds: Vec<Feed>,
        slurm: Option<Loaded>,
        (mut keeper, kept): (Option<Keeper>, Option<Kept>),
    ) -> Self {
        let read = rules.slurm_configured && slurm.is_some();
        let published = kept.as_ref().map(|kept| kept.published);
        let authority = kept.as_ref().map_or(Authority::Own, |kept| kept.authority);
        let reached = kept
            .as_ref()
            .filter(|kept| kept.authority != Authority::Own);
        let reached = reached.map(|kept| Arc::clone(&kept.snapshot));
        if let Some(kept) = kept {
            store.publish(kept.snapshot, authority != Authority::Own);
        }
        if let Some(keeper) = &mut keeper {
            keeper.tell(authority, true);
        }
        let mut pipeline = Self {
            sources: Sources::new(feeds),
            rules,
            store,
            keeper,
            authority,
            reached,
            view: watch::Sender::new(Arc::new(View::empty())),
            settles_at: Instant::now() + FIRST_WAIT,
            settled: false,
            baseline: None,
            candidate: None,
            exceptions: slurm,
            pending: None,
            slurm_failure: None,
            slurm_read: read.then(unix_now),
            reader: Self::FIRST_READER,
            effect: None,
            updates: Standing::Clear,
            changes: Standing::Clear,
            holds: Holds::default(),
            agreement: None,
            published,
            next_expiry: None,
            expired_at: None,
            counts: Counts::default(),
            asked: Asked::default(),
            lapsed: false,
            voice: Voice::default(),
        };
        pipeline.show();
        pipeline
    }

    /// Hears what the pipeline can say of itself.
    pub fn subscribe(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// Works until told to stop.
    pub async fn run(
        mut self,
        mut updates: mpsc::Receiver<Update>,
        mut orders: mpsc::Receiver<Order>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let wake = self.wake();
            let until = wake.map_or_else(Instant::now, |(at, _)| at);
            tokio::select! {
                biased;
                () = super::told(&mut stop) => break,
                Some(order) = orders.recv() => self.obey(order).await,
                Some(update) = updates.recv() => self.take(update).await,
                () = sleep_until(until), if wake.is_some() => {
                    let cause = wake.map_or(Cause::Age, |(_, cause)| cause);
                    self.woken(cause).await;
                }
            }
            self.show();
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.end(self.store.latest(), self.authority).await;
        }
    }

    /// When there is something to do even if nobody says anything, and what.
    fn wake(&self) -> Option<(Instant, Cause)> {
        let writing = self.keeper.as_ref().and_then(Keeper::due);
        let writing = writing.map(|at| (at, Cause::Writing));
        if !self.settled {
            let settles = (self.settles_at, Cause::Settled);
            return Some(writing.map_or(settles, |writing| writing.min(settles)));
        }
        let now = unix_now();
        let feeds = self.sources.feeds().iter();
        let moments = feeds.filter_map(|feed| feed.next_look(now));
        let held = [&self.updates, &self.changes]
            .into_iter()
            .filter_map(Standing::held);
        let expiry = self.expiry_due();
        let aging = moments.min().and_then(|at| at_instant(at, now));
        let clock = expiry
            .or(aging)
            .and_then(|_| Instant::now().checked_add(CLOCK_LOOK));
        let wakes = [
            writing,
            expiry.map(|at| (at, Cause::Expiry)),
            aging.map(|at| (at, Cause::Age)),
            clock.map(|at| (at, Cause::Clock)),
            held.map(|held| held.until.into())
                .min()
                .map(|at| (at, Cause::Hold)),
            self.sources
                .choose_again()
                .map(|at| (at.into(), Cause::Age)),
        ];
        wakes.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    async fn woken(&mut self, cause: Cause) {
        match cause {
            Cause::Settled => {
                self.settled = true;
                report::unheard(self.sources.feeds());
                self.turn(Trigger::Source, None).await;
            }
            Cause::Expiry => {
                self.turn(Trigger::Expiry, None).await;
                self.expired_at = Some(Instant::now());
            }
            Cause::Age | Cause::Hold => {
                self.turn(Trigger::Source, None).await;
            }
            Cause::Writing => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.settle(self.store.latest(), self.authority);
                }
            }
            Cause::Clock => {}
        }
    }

    /// Takes what a source says.
    async fn take(&mut self, update: Update) {
        let now = unix_now();
        let id = update.place;
        let asked = match update.occasion {
            Occasion::Asked(asked) => Some(asked),
            Occasion::Restored | Occasion::Schedule | Occasion::Event => None,
        };
        let Some(feed) = self.sources.feeds_mut().find(|feed| feed.id == id) else {
            // From a task that was told to stop.
            return;
        };
        let taken = feed.take(update, now);
        let outcome = feed.outcome();
        let moved = taken == Taken::Rows || feed.was_fresh() != feed.is_fresh(now);
        let settles = !self.settled && self.sources.feeds().iter().all(Feed::has_spoken);
        self.settled |= settles;
        if self.settled && (moved || settles) {
            self.turn(Trigger::Source, None).await;
        }
        if let Some(asked) = asked {
            self.asked.answered(asked, id, &outcome);
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Configure(configure) => {
                let order::Configure {
                    rules,
                    feeds,
                    slurm,
                    reader,
                    done,
                } = *configure;
                if let Some(keeper) = &mut self.keeper {
                    keeper.set_timing(rules.timing).await;
                }
                self.configure(rules, feeds);
                if let Some(loaded) = slurm {
                    self.except(loaded);
                }
                self.reader = reader;
                self.turn(Trigger::Source, None).await;
                self.show();
                // Nobody waits any more: the configuration holds all the same.
                let _ = done.send(());
            }
            // Of files that are configured no more.
            Order::Exceptions { reader, .. } if reader != self.reader => {}
            Order::Exceptions { read, .. } => self.read(read).await,
            Order::Approve(Approval { digest, answer }) => {
                let outcome = self.approve(&digest).await;
                self.show();
                // Whoever asked has gone; what was approved stays approved.
                let _ = answer.send(outcome);
            }
            Order::Await(wait) => {
                let places: Vec<usize> = self.sources.feeds().iter().map(|feed| feed.id).collect();
                self.asked.wait(wait, &places);
            }
        }
    }

    /// Takes other rules and sources. A source that keeps its name keeps its data until it
    /// delivers others.
    fn configure(&mut self, rules: Rules, feeds: Vec<(usize, crate::config::Source)>) {
        let gone = self.sources.configure(feeds);
        self.asked.forget(&gone);
        self.rules = rules;
    }

    async fn read(&mut self, read: Result<Box<Loaded>, String>) {
        match read {
            Ok(loaded) => {
                self.except(*loaded);
                self.turn(Trigger::Slurm, None).await;
            }
            Err(failure) => {
                self.counts.slurm_failures += 1;
                report::slurm_failed(&failure, self.slurm_failure.as_ref());
                self.slurm_failure = Some(failure);
            }
        }
    }

    /// Takes other exceptions; they come into force in the next turn.
    fn except(&mut self, loaded: Loaded) {
        self.slurm_failure = None;
        self.slurm_read = Some(unix_now());
        let same = |known: &Loaded| known.digest == loaded.digest;
        self.pending = match self.exceptions.as_ref().is_some_and(same) {
            true => None,
            false => Some(loaded),
        };
    }

    async fn approve(&mut self, digest: &str) -> Result<Approved, String> {
        let standings = [&self.updates, &self.changes];
        let known = standings.into_iter().filter_map(|standing| match standing {
            Standing::Clear => None,
            Standing::Holding(held) => Some(held.digest),
            Standing::Refused(digest) => Some(*digest),
        });
        let known: Vec<Digest> = known.collect();
        let Some(approved) = known.iter().find(|known| known.to_string() == digest) else {
            return Err(match known.first() {
                None => "nothing is held".to_owned(),
                Some(other) => format!("what is held now is {other}, not {digest}"),
            });
        };
        let approvals = self.counts.approvals;
        self.turn(Trigger::Approval, Some(*approved)).await;
        if self.counts.approvals == approvals {
            return Err(format!("{digest} is no longer what is held"));
        }
        Ok(Approved {
            digest: *approved,
            serial: self.store.latest().map(|snapshot| snapshot.serial()),
        })
    }

    /// Makes and publishes what the sources amount to now.
    async fn turn(&mut self, trigger: Trigger, approved: Option<Digest>) {
        if !self.settled {
            return;
        }
        let (now, instant) = (unix_now(), Instant::now());
        let started = self.baseline.is_some();
        let reached = self.reached.as_ref();
        let selection = self
            .sources
            .select(&self.rules, started, reached, now, instant.into());
        let work = self.work(selection, trigger, approved, now, instant);
        let followed = work.mirror.as_ref();
        let followed = followed.map(|(_, mirror)| Arc::clone(&mirror.snapshot));
        let previous = work.previous.clone();
        let done = tokio::task::spawn_blocking(move || {
            let turn = step(&work, random_name);
            if let (Serving::New(new), Some(old)) = (&turn.serving, &previous) {
                prepare(new, old);
            }
            turn
        });
        match done.await {
            Ok(mut turn) => {
                if self.authority != turn.authority {
                    self.authority = turn.authority;
                    self.keeper.iter_mut().for_each(Keeper::renew);
                }
                if let Serving::New(next) = turn.serving {
                    turn.serving = Serving::New(self.keep(next).await);
                }
                self.reached = followed.or_else(|| self.reached.take());
                self.settle(turn, trigger, now, instant.elapsed());
                if let Some(keeper) = &mut self.keeper {
                    keeper.tell(self.authority, !self.store.is_withheld());
                }
                // For the status; routers do not wait for it.
                self.agreement = self.sources.compare().await;
            }
            Err(error) => error!(%error, "an update was lost"),
        }
    }

    /// Makes a snapshot durable before it is published. Gives what is to be published.
    async fn keep(&mut self, next: Arc<Snapshot>) -> Arc<Snapshot> {
        let Some(keeper) = &mut self.keeper else {
            return next;
        };
        let previous = self.store.latest();
        let (next, authority) = keeper.keep(next, previous, self.authority).await;
        self.authority = authority;
        next
    }

    fn work(
        &self,
        selection: Selection,
        trigger: Trigger,
        approved: Option<Digest>,
        now: UnixTime,
        instant: Instant,
    ) -> Work {
        Work {
            sources: self
                .sources
                .feeds()
                .iter()
                .map(|feed| feed.rows.clone())
                .collect(),
            mirror: mirror::chosen(self.sources.feeds(), &self.rules, &selection, now),
            stands: mirror::stands(
                self.sources.feeds(),
                &self.rules,
                &selection,
                self.authority,
                now,
            ),
            selection,
            baseline: self.baseline.clone(),
            in_force: self
                .exceptions
                .as_ref()
                .map(|loaded| loaded.exceptions.clone()),
            pending: self.pending.as_ref().map(|loaded| Pending {
                exceptions: loaded.exceptions.clone(),
                digest: loaded.digest,
            }),
            approved,
            lapsed: self.lapsed,
            guard: self.rules.guard,
            updates: self.updates.clone(),
            changes: self.changes.clone(),
            authority: self.authority,
            previous: self.store.latest(),
            trigger,
            now,
            instant: instant.into(),
            limits: HistoryLimits {
                age: self.rules.history,
            },
        }
    }

    /// Takes over the outcome of a turn and publishes it.
    fn settle(&mut self, turn: Turn, trigger: Trigger, now: UnixTime, took: Duration) {
        self.count_and_tell(&turn, now);
        for ((feed, rows), gone) in self.sources.feeds_mut().zip(turn.kept).zip(turn.gone) {
            feed.next_expiry = rows.as_ref().and_then(Rows::next_expiry);
            feed.rows = rows;
            feed.remember(gone);
        }
        self.baseline = turn.baseline;
        self.candidate = turn.candidate;
        self.effect = turn.effect.or_else(|| self.effect.take());
        self.next_expiry = turn.next_expiry;
        self.lapsed = turn.lapsed;
        if turn
            .change_verdict
            .as_ref()
            .is_some_and(guard::Verdict::passes)
        {
            self.exceptions = self.pending.take();
        }
        (self.updates, self.changes) = (turn.updates, turn.changes);
        let approved = turn.update_verdict == guard::Verdict::Approved
            || turn.change_verdict == Some(guard::Verdict::Approved);
        let trigger = if approved { Trigger::Approval } else { trigger };
        match turn.serving {
            Serving::NothingYet => {}
            Serving::Withheld => self.store.withhold(),
            Serving::Same => self.store.release(),
            Serving::New(snapshot) => {
                let before = self.store.latest();
                report::published(&snapshot, before.as_deref(), trigger, took, &self.voice);
                let place = |snapshot: &Snapshot| (snapshot.name(), snapshot.serial());
                let known = before.as_deref().map(place);
                self.counts.serials += u64::from(known != Some(place(&snapshot)));
                self.published = Some((now, trigger));
                let mirrored = self.authority != Authority::Own;
                self.store.publish(snapshot, mirrored);
            }
        }
    }

    /// When something is to be taken out because it expired.
    fn expiry_due(&self) -> Option<Instant> {
        let due = at_instant(self.next_expiry?, unix_now())?;
        let earliest = self
            .expired_at
            .and_then(|at| at.checked_add(EXPIRY_INTERVAL));
        Some(earliest.map_or(due, |earliest| due.max(earliest)))
    }

    /// Lets others see where everything stands.
    fn show(&mut self) {
        let exceptions = self.exceptions.as_ref();
        let view = View {
            feeds: self.sources.feeds().to_vec(),
            merge: self.rules.merge,
            active: self.sources.active(),
            stale: self.sources.are_stale(),
            agreement: self.agreement.clone(),
            baseline: self.baseline.clone(),
            candidate: self.candidate.clone(),
            guard: self.rules.guard,
            held_update: self.holds.update.clone(),
            held_change: self.holds.change.clone(),
            refused: self.holds.refused.clone(),
            exceptions: exceptions
                .map_or_else(Exceptions::default, |loaded| loaded.exceptions.clone()),
            effect: self.effect.clone(),
            files: exceptions
                .map(|loaded| loaded.files.clone())
                .unwrap_or_default(),
            slurm_failure: self.slurm_failure.clone(),
            slurm_configured: self.rules.slurm_configured,
            slurm_ready: exceptions.is_some(),
            slurm_read: self.slurm_read,
            snapshot: self.store.latest(),
            authority: self.authority,
            withheld: self.store.is_withheld(),
            published: self.published,
            counts: self.counts,
        };
        self.view.send_replace(Arc::new(view));
    }
}

/// Why the pipeline wakes up by itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Cause {
    /// The first publication has waited for long enough.
    Settled,
    /// Payloads expire.
    Expiry,
    /// A source is about to be stale, or is, or is no longer on trial.
    Age,
    /// A hold is over.
    Hold,
    /// The calendar may have moved by itself.
    Clock,
    /// Something was put off that is to be kept.
    Writing,
}

/// The moment that a moment of the calendar is; a past one is now.
fn at_instant(at: UnixTime, now: UnixTime) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(at.since(now)))
}

pub(in crate::daemon) fn unix_now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::new(since.map_or(0, |since| since.as_secs()))
}

pub(in crate::daemon) fn random_name() -> HistoryName {
    HistoryName::new(super::random::octets())
}

#[cfg(test)]
mod tests;
