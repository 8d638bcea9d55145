//! From what sources say to what is served.
//!
//! The pipeline task is the only writer of the store. What it does at each turn is [`step`], a
//! function of the sources, the snapshot before and the time.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

use super::source::{Content, List, Update};
use super::store::Store;
use crate::payload::{DataSet, Kind, Rows, UnixTime};
use crate::rtr::snapshot::{Answer, HistoryLimits, Since, Step, Trigger};
use crate::rtr::{HistoryName, Snapshot};

/// The least time between two serials that expiry alone sets off. With expiries spread to the
/// second there would be one each second otherwise; and nothing is in a new answer longer than
/// this after it expired.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// What the pipeline knows, and what it has published.
#[derive(Debug)]
pub struct Pipeline {
    sources: Vec<Named>,
    limits: HistoryLimits,
    store: Arc<Store>,
    next_expiry: Option<UnixTime>,
    expired_at: Option<Instant>,
}

#[derive(Debug)]
struct Named {
    name: Box<str>,
    rows: Option<Rows>,
    failing: bool,
}

impl Pipeline {
    /// A pipeline of sources with these names, in their order.
    pub fn new(
        names: impl IntoIterator<Item = Box<str>>,
        limits: HistoryLimits,
        store: Arc<Store>,
    ) -> Self {
        let named = |name| Named {
            name,
            rows: None,
            failing: false,
        };
        Self {
            sources: names.into_iter().map(named).collect(),
            limits,
            store,
            next_expiry: None,
            expired_at: None,
        }
    }

    /// Works until told to stop.
    pub async fn run(
        mut self,
        mut updates: mpsc::Receiver<Update>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let expiry = self.expiry_due();
            let until = expiry.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = super::told(&mut stop) => return,
                Some(update) = updates.recv() => {
                    if self.take(update) {
                        self.turn(Trigger::Source).await;
                    }
                }
                () = sleep_until(until), if expiry.is_some() => {
                    // A clock that was set back can wake us early; that is no expiry.
                    if self.turn(Trigger::Expiry).await {
                        self.expired_at = Some(Instant::now());
                    }
                }
            }
        }
    }

    /// Takes what a source says; whether there is something new in it.
    fn take(&mut self, update: Update) -> bool {
        let several = self.sources.len() > 1;
        let Some(source) = self.sources.get_mut(update.place) else {
            return false;
        };
        let name = &source.name;
        match update.result {
            Err(error) => {
                // As a trait object it is logged with what caused it.
                let error: &(dyn Error + 'static) = &error;
                // A source that stays broken says so once, and then at debug.
                if source.failing {
                    debug!(source = %name, error, "source still fails, last good data stays");
                } else {
                    warn!(source = %name, error, "source fails, last good data stays");
                }
                source.failing = true;
                false
            }
            Ok(Content::Unchanged { .. }) => {
                if source.failing {
                    info!(source = %name, "source is back, unchanged");
                }
                source.failing = false;
                false
            }
            Ok(Content::List(list)) => {
                tell(name, &list, update.took);
                source.failing = false;
                let rows = list.rows;
                source.rows = Some(if several {
                    rows.of_source(update.place)
                } else {
                    rows
                });
                true
            }
        }
    }

    /// Makes and publishes what the sources amount to now; whether that is something new.
    async fn turn(&mut self, trigger: Trigger) -> bool {
        let sources: Vec<Option<Rows>> = self
            .sources
            .iter()
            .map(|source| source.rows.clone())
            .collect();
        if sources.iter().all(Option::is_none) {
            return false;
        }
        let previous = self.store.snapshot();
        let limits = self.limits;
        let now = unix_now();
        let work = move || {
            let previous = previous.as_deref();
            let turn = step(sources, previous, trigger, now, limits, random_name);
            if let (Some(new), Some(old)) = (&turn.snapshot, previous) {
                prepare(new, old);
            }
            turn
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Turn {
                kept,
                next_expiry,
                snapshot,
            }) => {
                for (source, rows) in self.sources.iter_mut().zip(kept) {
                    source.rows = rows;
                }
                self.next_expiry = next_expiry;
                self.publish(snapshot, trigger)
            }
            Err(error) => {
                error!(%error, "an update was lost");
                false
            }
        }
    }

    fn publish(&self, snapshot: Option<Snapshot>, trigger: Trigger) -> bool {
        let Some(snapshot) = snapshot else {
            debug!("nothing changed");
            return false;
        };
        let snapshot = Arc::new(snapshot);
        self.tell_left_out(&snapshot);
        let set = snapshot.payload();
        let last = snapshot
            .entries()
            .next_back()
            .filter(|_| snapshot.revision() == 0);
        info!(
            serial = %snapshot.serial(),
            revision = snapshot.revision(),
            %trigger,
            announced = last.map(|entry| entry.delta().announced()),
            withdrawn = last.map(|entry| entry.delta().withdrawn()),
            ipv4 = set.count(Kind::Ipv4),
            ipv6 = set.count(Kind::Ipv6),
            router_keys = set.count(Kind::RouterKey),
            aspas = set.count(Kind::Aspa),
            "published"
        );
        self.store.publish(snapshot);
        true
    }

    /// Says once, and not for each of them, that ASPAs cannot be served.
    fn tell_left_out(&self, snapshot: &Snapshot) {
        let left_out = snapshot.data().left_out();
        let before = self.store.snapshot();
        let known = before.is_some_and(|before| before.data().left_out() == left_out);
        if let Some(first) = left_out.first().filter(|_| !known) {
            let (customer, reason) = (first.customer, first.reason);
            warn!(count = left_out.len(), %customer, %reason, "ASPAs left out, the first is named");
        }
    }

    /// When something is to be taken out because it expired.
    fn expiry_due(&self) -> Option<Instant> {
        let wait = Duration::from_secs(self.next_expiry?.since(unix_now()));
        let due = Instant::now().checked_add(wait)?;
        let earliest = self
            .expired_at
            .and_then(|at| at.checked_add(EXPIRY_INTERVAL));
        Some(earliest.map_or(due, |earliest| due.max(earliest)))
    }
}

/// What comes of a turn.
#[derive(Debug)]
pub struct Turn {
    /// The sources' rows without those that expired, which never come back without a document.
    pub kept: Vec<Option<Rows>>,
    /// When the first of them expires.
    pub next_expiry: Option<UnixTime>,
    /// The snapshot that follows, `None` when nothing changed.
    pub snapshot: Option<Snapshot>,
}

/// From what sources say, `None` for those that have said nothing, to what is served then.
pub fn step(
    sources: Vec<Option<Rows>>,
    previous: Option<&Snapshot>,
    trigger: Trigger,
    now: UnixTime,
    limits: HistoryLimits,
    fresh_name: impl FnOnce() -> HistoryName,
) -> Turn {
    let unexpired = |rows: Option<Rows>| rows.map(|rows| rows.unexpired(now));
    let kept: Vec<Option<Rows>> = sources.into_iter().map(unexpired).collect();
    let present: Vec<Rows> = kept.iter().flatten().cloned().collect();
    let data = DataSet::new(&Rows::union(&present));
    let snapshot = match previous {
        None => Some(Snapshot::first(fresh_name(), data)),
        Some(previous) => match previous.next(data, trigger, now, limits) {
            Step::Unchanged => None,
            Step::Revision(snapshot) | Step::Serial(snapshot) => Some(snapshot),
        },
    };
    let next_expiry = present.iter().filter_map(Rows::next_expiry).min();
    Turn {
        kept,
        next_expiry,
        snapshot,
    }
}

/// Makes the increment that every router is about to ask for, in the versions they speak, so that
/// the first of them does not wait for it.
fn prepare(new: &Snapshot, old: &Snapshot) {
    if let Some(Since::Step(place)) = new.since(old.serial()) {
        for version in old.versions_in_use() {
            new.image(Answer {
                version,
                since: Some(place),
            });
        }
    }
}

fn tell(source: &str, list: &List, took: Duration) {
    info!(
        %source,
        dialect = %list.dialect,
        rows = list.listed,
        skipped = list.skipped,
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "source loaded"
    );
    if let Some(first) = &list.first_skipped {
        warn!(%source, skipped = list.skipped, %first, "rows skipped");
    }
}

fn unix_now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::new(since.map_or(0, |since| since.as_secs()))
}

fn random_name() -> HistoryName {
    HistoryName::new(super::random::octets())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds until the pipeline takes out what expires in `expires` seconds, when it last did
    /// so `ago` seconds ago.
    fn due(expires: u64, ago: Option<u64>) -> u64 {
        let mut pipeline = Pipeline::new(["a".into()], HistoryLimits::default(), Store::new());
        // A moment that is far enough from the beginning of the clock to look back from.
        let now = Instant::now();
        pipeline.next_expiry = Some(unix_now().plus(expires));
        pipeline.expired_at = ago.and_then(|ago| now.checked_sub(Duration::from_secs(ago)));
        let due = pipeline.expiry_due().unwrap();
        due.duration_since(now)
            .as_millis()
            .div_ceil(1_000)
            .try_into()
            .unwrap()
    }

    #[test]
    fn expiry_makes_at_most_one_serial_a_minute() {
        assert!((5..=6).contains(&due(5, None)));
        assert!((50..=51).contains(&due(1, Some(10))));
        assert!((1..=2).contains(&due(1, Some(60))));
        assert!((300..=301).contains(&due(300, Some(10))));
        // What is overdue goes as soon as the minute is over.
        assert!((0..=1).contains(&due(0, Some(61))) && (20..=21).contains(&due(0, Some(40))));
    }

    #[test]
    fn nothing_expires_when_nothing_says_so() {
        let pipeline = Pipeline::new(["a".into()], HistoryLimits::default(), Store::new());
        assert!(pipeline.expiry_due().is_none());
    }
}
