//! Turns without a runtime, and when the next one is due.

use std::time::{Duration, Instant};

use super::freshness::Age;
use super::guard::{Standing, Verdict};
use super::step::{Pending, Selection, Serving, Turn, Work, step};
use super::*;
use crate::config::{Guard, Merge, MergeMode, Source, Stale};
use crate::daemon::authority::Authority;
use crate::payload::{Attribute, DataSet, RowsBuilder};
use crate::rtr::snapshot::Entry;
use crate::rtr::{Serial, Timing};
use crate::slurm::{self, AspaOverlap, Reading};

const NOW: u64 = 1_000_000;

/// Rows of prefixes below 10.0.0.0/8 by their number, each with its AS, that expire then.
fn rows(numbers: impl IntoIterator<Item = u32>, expires: Option<u64>) -> Rows {
    let mut builder = RowsBuilder::new();
    for number in numbers {
        let prefix = format!("10.{}.{}.0/24", number >> 8, number & 0xff);
        let vrp = crate::payload::Vrp::new(
            prefix.parse().unwrap(),
            24,
            crate::payload::Asn::new(64_496),
        );
        let attribute = Attribute::new(expires.map(UnixTime::new), Default::default());
        builder.push_vrp(vrp.unwrap(), attribute);
    }
    builder.finish()
}

fn exceptions(filter: &str) -> Pending {
    let text = format!(
        r#"{{"slurmVersion": 1,
            "validationOutputFilters": {{"prefixFilters": [{{"prefix": "{filter}"}}], "bgpsecFilters": []}},
            "locallyAddedAssertions": {{"prefixAssertions": [], "bgpsecAssertions": []}}}}"#
    );
    let parsed = slurm::parse("test.json", text.as_bytes(), Reading::Strict).unwrap();
    Pending {
        exceptions: slurm::combine(vec![parsed.file], AspaOverlap::Refused).unwrap(),
        digest: Digest::of_octets([text.as_bytes()]),
    }
}

/// A turn after others: what they left is what the next one begins with.
struct Line {
    work: Work,
    served: Option<Vec<u32>>,
}

impl Line {
    fn new(sources: &[Option<Rows>]) -> Self {
        let work = Work {
            sources: sources.to_vec(),
            selection: all(sources.len(), 1),
            mirror: None,
            stands: false,
            authority: Authority::Own,
            baseline: None,
            in_force: Some(Exceptions::default()),
            pending: None,
            approved: None,
            lapsed: false,
            guard: Guard::default(),
            updates: Standing::Clear,
            changes: Standing::Clear,
            previous: None,
            trigger: Trigger::Source,
            now: UnixTime::new(NOW),
            instant: Instant::now(),
            limits: HistoryLimits::default(),
        };
        Self { work, served: None }
    }

    fn turn(&mut self) -> Turn {
        let mut turn = step(&self.work, || HistoryName::new([7; 16]));
        self.work.sources.clone_from(&turn.kept);
        self.work.baseline.clone_from(&turn.baseline);
        self.work.in_force.clone_from(&turn.in_force);
        self.work.pending.clone_from(&turn.pending);
        self.work.updates.clone_from(&turn.updates);
        self.work.changes.clone_from(&turn.changes);
        self.work.lapsed = turn.lapsed;
        match std::mem::replace(&mut turn.serving, Serving::Same) {
            Serving::New(snapshot) => {
                self.work.previous = Some(snapshot);
                self.served = Some(self.published());
            }
            Serving::Same => self.served = Some(self.published()),
            other => {
                turn.serving = other;
                self.served = None;
            }
        }
        turn
    }

    fn published(&self) -> Vec<u32> {
        let snapshot = self.work.previous.as_ref().unwrap();
        let numbers = snapshot
            .payload()
            .v4()
            .iter()
            .map(|vrp| vrp.address() >> 8 & 0xffff);
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.reverse();
        numbers
    }

    /// The last step of the history.
    fn last(&self) -> Arc<Entry> {
        let snapshot = self.work.previous.as_ref().unwrap();
        Arc::clone(snapshot.entries().next_back().unwrap())
    }

    fn serial(&self) -> Serial {
        self.work.previous.as_ref().unwrap().serial()
    }

    fn last_entry(&self) -> &Entry {
        let previous = self.work.previous.as_ref().unwrap();
        previous.entries().next_back().unwrap()
    }

    fn later(&mut self, seconds: u64) {
        self.work.now = self.work.now.plus(seconds);
        self.work.instant += Duration::from_secs(seconds);
    }
}

fn all(count: usize, least: usize) -> Selection {
    let places = (0..count).collect();
    Selection::Merge { places, least }
}

fn numbers(range: std::ops::Range<u32>) -> Option<Vec<u32>> {
    Some(range.collect())
}

#[test]
fn an_update_past_the_limit_is_held_and_the_last_good_set_stays() {
    let mut line = Line::new(&[Some(rows(0..100, None))]);
    line.turn();
    assert_eq!(line.served, numbers(0..100));
    line.work.sources[0] = Some(rows(0..50, None));
    let turn = line.turn();
    assert_eq!(turn.update_verdict, Verdict::Stopped);
    assert_eq!(turn.candidate.unwrap().len(), 50);
    assert_eq!(
        (line.served.clone(), line.serial()),
        (numbers(0..100), Serial::FIRST)
    );
    // What is within the limit passes again.
    line.work.sources[0] = Some(rows(0..95, None));
    let turn = line.turn();
    assert_eq!(
        (turn.updates, turn.update_verdict),
        (Standing::Clear, Verdict::Harmless)
    );
    assert_eq!(line.served, numbers(0..95));
}

#[test]
fn an_approved_candidate_passes_and_is_the_next_baseline() {
    let mut line = Line::new(&[Some(rows(0..100, None))]);
    line.turn();
    line.work.sources[0] = Some(rows(0..50, None));
    let digest = line.turn().updates.held().unwrap().digest;
    line.work.approved = Some(digest);
    assert_eq!(line.turn().update_verdict, Verdict::Approved);
    line.work.approved = None;
    let entry = line.last_entry();
    assert_eq!(
        (entry.trigger(), line.served.clone()),
        (Trigger::Approval, numbers(0..50))
    );
    assert_eq!(line.turn().update_verdict, Verdict::Harmless);
}

#[test]
fn expiry_is_never_held() {
    let mut line = Line::new(&[Some(rows(0..100, Some(NOW + 60)))]);
    line.turn();
    line.later(61);
    let turn = line.turn();
    assert_eq!(turn.update_verdict, Verdict::Harmless);
    assert_eq!(
        (line.served.clone(), turn.gone[0].as_ref().map(Rows::len)),
        (numbers(0..0), Some(100))
    );
    // Nor while something is held: what stays still expires.
    let mut line = Line::new(&[Some(rows(0..100, Some(NOW + 60)))]);
    line.turn();
    line.work.sources[0] = Some(rows(0..10, None));
    assert_eq!(line.turn().update_verdict, Verdict::Stopped);
    line.later(61);
    line.turn();
    assert_eq!(
        line.served,
        numbers(0..10),
        "all of the baseline has expired"
    );
}

#[test]
fn stale_data_are_kept_and_still_expire() {
    let mut line = Line::new(&[Some(rows(0..100, Some(NOW + 60)))]);
    line.turn();
    line.work.selection = Selection::Nothing;
    line.turn();
    assert_eq!(line.served, numbers(0..100));
    line.later(61);
    line.turn();
    assert_eq!(line.served, numbers(0..0));
}

#[test]
fn stale_data_can_be_withdrawn_as_a_serial() {
    let mut line = Line::new(&[Some(rows(0..100, None))]);
    line.work.guard.stale = Stale::Withdraw;
    line.turn();
    line.work.selection = Selection::Nothing;
    line.turn();
    assert_eq!(
        (line.served.clone(), line.serial()),
        (numbers(0..0), Serial::FIRST.next())
    );
    // What comes back is judged by what was good, not by nothing.
    line.work.selection = all(1, 1);
    line.work.sources[0] = Some(rows(0..20, None));
    assert_eq!(line.turn().update_verdict, Verdict::Stopped);
    assert_eq!(line.served, numbers(0..0), "what was stale stays away");
    line.work.sources[0] = Some(rows(0..95, None));
    line.turn();
    assert_eq!(line.served, numbers(0..95));
}

#[test]
fn what_was_withheld_stays_so_while_the_guard_stops_what_is_fresh() {
    let mut line = Line::new(&[Some(rows(0..100, None))]);
    line.work.guard.stale = Stale::NoData;
    line.turn();
    line.work.selection = Selection::Nothing;
    line.turn();
    line.work.selection = all(1, 1);
    line.work.sources[0] = Some(rows(0..20, None));
    let turn = line.turn();
    assert_eq!(turn.update_verdict, Verdict::Stopped);
    assert!(matches!(turn.serving, Serving::Withheld));
    line.work.approved = Some(turn.updates.held().unwrap().digest);
    line.turn();
    assert_eq!(line.served, numbers(0..20));
    // Held while nothing was stale, it leaves the last good set served.
    line.work.approved = None;
    line.work.sources[0] = Some(rows(0..5, None));
    assert_eq!(line.turn().update_verdict, Verdict::Stopped);
    assert_eq!(line.served, numbers(0..20));
}

#[test]
fn stale_data_can_be_withheld_and_come_back_as_an_increment() {
    let mut line = Line::new(&[Some(rows(0..100, None))]);
    line.work.guard.stale = Stale::NoData;
    line.turn();
    line.work.selection = Selection::Nothing;
    let turn = line.turn();
    assert!(matches!(turn.serving, Serving::Withheld));
    assert_eq!(line.served, None);
    line.work.selection = all(1, 1);
    line.work.sources[0] = Some(rows(0..99, None));
    line.turn();
    let entry = line.last_entry();
    assert_eq!(
        (entry.delta().announced(), entry.delta().withdrawn()),
        (0, 1)
    );
}

#[test]
fn a_source_that_goes_stale_leaves_a_union_through_the_guard() {
    let mut line = Line::new(&[Some(rows(0..60, None)), Some(rows(40..100, None))]);
    line.turn();
    assert_eq!(line.served, numbers(0..100));
    line.work.selection = Selection::Merge {
        places: vec![0],
        least: 1,
    };
    assert_eq!(line.turn().update_verdict, Verdict::Stopped);
    assert_eq!(line.served, numbers(0..100));
}

#[test]
fn a_quorum_is_what_enough_sources_have() {
    let sources = [0..100, 1..100, 0..99].map(|range| Some(rows(range, None)));
    let mut line = Line::new(&sources);
    line.work.selection = all(3, 2);
    line.turn();
    assert_eq!(line.served, numbers(0..100));
    line.work.selection = all(3, 3);
    line.turn();
    assert_eq!(line.served, numbers(1..99));
}

#[test]
fn exceptions_come_into_force_as_one_serial() {
    let mut line = Line::new(&[Some(rows(0..300, None))]);
    line.turn();
    line.work.pending = Some(exceptions("10.1.16.0/20"));
    line.work.trigger = Trigger::Slurm;
    let turn = line.turn();
    assert_eq!(
        (turn.change_excess, turn.change_verdict),
        (vec![], Some(Verdict::Harmless))
    );
    assert!((272..288).all(|number| !line.served.as_ref().unwrap().contains(&number)));
    assert_eq!(
        (line.served.as_ref().map(Vec::len), line.serial()),
        (Some(284), Serial::FIRST.next())
    );
}

#[test]
fn exceptions_past_the_limit_are_applied_with_a_word_or_held() {
    let mut line = Line::new(&[Some(rows(0..300, None))]);
    line.turn();
    line.work.pending = Some(exceptions("10.0.0.0/16"));
    line.work.guard.slurm = true;
    let turn = line.turn();
    assert_eq!(turn.change_verdict, Some(Verdict::Stopped));
    assert_eq!(line.served, numbers(0..300));
    line.work.approved = Some(turn.changes.held().unwrap().digest);
    assert_eq!(line.turn().change_verdict, Some(Verdict::Approved));
    assert_eq!(line.served, numbers(256..300));

    let mut line = Line::new(&[Some(rows(0..300, None))]);
    line.turn();
    line.work.pending = Some(exceptions("10.0.0.0/16"));
    let turn = line.turn();
    assert_eq!(turn.change_excess.len(), 1);
    assert_eq!(line.served, numbers(256..300));
}

#[test]
fn nothing_is_served_before_the_exceptions_are_known() {
    let mut line = Line::new(&[Some(rows(0..10, None))]);
    line.work.in_force = None;
    assert!(matches!(line.turn().serving, Serving::NothingYet));
    line.work.pending = Some(exceptions("10.0.0.0/24"));
    line.turn();
    assert_eq!(line.served, numbers(1..10));
}

#[test]
fn nothing_new_is_served_while_exceptions_are_awaited() {
    let mut line = Line::new(&[Some(rows(0..100, Some(NOW + 60)))]);
    line.turn();
    // A reload has brought exceptions that are still to be fetched.
    line.work.in_force = None;
    line.work.sources[0] = Some(rows(0..105, Some(NOW + 600)));
    let turn = line.turn();
    assert_eq!(line.served, numbers(0..100));
    assert_eq!(turn.next_expiry, Some(UnixTime::new(NOW + 60)));
    // What was published still expires.
    line.later(61);
    line.turn();
    assert_eq!(line.served, numbers(0..0));
    line.work.pending = Some(exceptions("10.0.0.0/24"));
    line.turn();
    assert_eq!(line.served, numbers(1..105));
}

#[test]
fn held_exceptions_do_not_time_out_while_nothing_is_served() {
    let mut line = Line::new(&[Some(rows(0..300, None))]);
    (line.work.guard.slurm, line.work.guard.stale) = (true, Stale::NoData);
    line.turn();
    line.work.pending = Some(exceptions("10.0.0.0/16"));
    let until = line.turn().changes.held().unwrap().until;
    line.work.selection = Selection::Nothing;
    line.later(3_601);
    assert!(until <= line.work.instant);
    // A moment that is over would wake the pipeline without end.
    let turn = line.turn();
    assert!(matches!(turn.serving, Serving::Withheld));
    assert!(turn.changes.held().is_none() && turn.pending.is_some());
    // With data they are judged again.
    line.work.selection = all(1, 1);
    assert!(line.turn().changes.held().unwrap().until > line.work.instant);
    assert_eq!(line.served, numbers(0..300));
}

#[test]
fn exceptions_are_judged_by_what_they_change_alone() {
    let mut line = Line::new(&[Some(rows(0..300, None))]);
    line.work.guard.slurm = true;
    line.turn();
    // An approved update that takes away a third, and exceptions that take away one more.
    line.work.sources[0] = Some(rows(0..200, None));
    let digest = line.turn().updates.held().unwrap().digest;
    line.work.approved = Some(digest);
    line.work.pending = Some(exceptions("10.0.0.0/24"));
    let turn = line.turn();
    assert_eq!(turn.update_verdict, Verdict::Approved);
    assert_eq!(turn.change_verdict, Some(Verdict::Harmless));
    assert_eq!(line.served, numbers(1..200));
}

#[test]
fn an_accepted_list_is_shared_and_not_copied() {
    let mut line = Line::new(&[Some(rows(0..100, Some(NOW + 60)))]);
    line.turn();
    let shares = |line: &Line| {
        let source = line.work.sources[0].as_ref().unwrap();
        line.work.baseline.as_ref().unwrap().shares_all(source)
    };
    assert!(shares(&line));
    line.later(61);
    line.turn();
    assert!(shares(&line));
}

fn rules() -> Rules {
    Rules {
        merge: Merge::default(),
        guard: Guard::default(),
        history: Duration::from_secs(86_400),
        timing: Timing::RECOMMENDED,
        slurm_configured: false,
    }
}

fn pipeline() -> Pipeline {
    let source = Source::new("a", crate::config::Origin::Demo);
    let slurm = Some(Loaded::default());
    let mut pipeline = Pipeline::new(
        Store::new(),
        rules(),
        vec![Feed::new(0, source)],
        slurm,
        (None, None),
    );
    pipeline.settled = true;
    pipeline
}

/// Seconds until the pipeline takes out what expires in `expires` seconds, when it last did
/// so `ago` seconds ago.
fn due(expires: u64, ago: Option<u64>) -> u64 {
    let mut pipeline = pipeline();
    // A moment that is far enough from the beginning of the clock to look back from.
    let now = tokio::time::Instant::now();
    pipeline.next_expiry = Some(unix_now().plus(expires));
    pipeline.expired_at = ago.and_then(|ago| now.checked_sub(Duration::from_secs(ago)));
    let due = pipeline.expiry_due().unwrap();
    due.duration_since(now)
        .as_millis()
        .div_ceil(1_000)
        .try_into()
        .unwrap()
}

#[tokio::test]
async fn expiry_makes_at_most_one_serial_a_minute() {
    assert!((5..=6).contains(&due(5, None)));
    assert!((50..=51).contains(&due(1, Some(10))));
    assert!((1..=2).contains(&due(1, Some(60))));
    assert!((300..=301).contains(&due(300, Some(10))));
    // What is overdue goes as soon as the minute is over.
    assert!((0..=1).contains(&due(0, Some(61))) && (20..=21).contains(&due(0, Some(40))));
}

#[tokio::test]
async fn nothing_expires_when_nothing_says_so() {
    assert!(pipeline().expiry_due().is_none());
}

/// The first turn after a restart, with these rows served already.
fn restarted(served: &Rows, source: Rows) -> Line {
    let mut line = Line::new(&[Some(source)]);
    let name = HistoryName::new([9; 16]);
    line.work.previous = Some(Arc::new(Snapshot::first(name, DataSet::new(served))));
    line
}

#[test]
fn the_first_load_after_a_restart_is_compared_with_what_is_served() {
    let mut line = restarted(&rows(0..100, None), rows(0..80, None));
    let turn = line.turn();
    assert!(turn.updates.held().is_some());
    assert!(turn.baseline.is_none() && turn.candidate.is_some());
    assert_eq!(line.served.as_ref().unwrap().len(), 100);
    let serial = line.serial();
    line.work.sources = vec![Some(rows(0..95, None))];
    let turn = line.turn();
    assert_eq!(turn.update_verdict, Verdict::Harmless);
    assert_eq!(line.served.as_ref().unwrap().len(), 95);
    assert_eq!(line.serial(), serial.next());
}

#[test]
fn what_exceptions_do_is_no_change_after_a_restart() {
    // What is served is without 10.1.0.0/16, and what the source has is with it.
    let mut line = restarted(&rows(0..256, None), rows(0..400, None));
    line.work.guard.max_growth = Some(crate::config::Percent(10));
    line.work.in_force = None;
    let turn = line.turn();
    // Nothing is accepted before the exceptions are known.
    assert!(turn.baseline.is_none() && turn.candidate.is_none());
    assert!(!turn.lapsed && turn.updates.held().is_none());
    assert_eq!(line.served.as_ref().unwrap().len(), 256);
    line.work.pending = Some(exceptions("10.1.0.0/16"));
    let turn = line.turn();
    assert_eq!(turn.update_verdict, Verdict::Harmless);
    assert!(matches!(turn.serving, Serving::Same) && turn.in_force.is_some());
    assert_eq!(line.served.as_ref().unwrap().len(), 256);
}

#[test]
fn an_aspa_whose_one_record_expires_is_announced_with_what_is_left() {
    use crate::payload::{Asn, Aspa};
    let mut builder = RowsBuilder::new();
    for (provider, expires) in [(1, Some(NOW + 60)), (2, None)] {
        let aspa = Aspa::new(Asn::new(64_500), vec![Asn::new(provider)]).unwrap();
        let expires = expires.map(UnixTime::new);
        builder.push_aspa(aspa, Attribute::new(expires, Default::default()));
    }
    let other = rows([1], None);
    let mut line = Line::new(&[Some(builder.finish()), Some(other)]);
    let providers = |line: &Line| -> Vec<u32> {
        let snapshot = line.work.previous.as_ref().unwrap();
        let aspa = snapshot.payload().aspa(Asn::new(64_500)).unwrap();
        aspa.providers().iter().map(|asn| asn.into_u32()).collect()
    };
    line.turn();
    assert_eq!(providers(&line), [1, 2]);
    line.later(61);
    let turn = line.turn();
    assert_eq!(
        (turn.update_verdict, providers(&line)),
        (Verdict::Harmless, vec![2])
    );
    let entry = line.last();
    assert_eq!(
        (entry.delta().announced(), entry.delta().withdrawn()),
        (1, 0)
    );
}

/// A source with rows that arrived then and are stale after so many seconds.
fn feed(id: usize, name: &str, arrived: u64, max_age: u64) -> Feed {
    let mut feed = Feed::new(id, Source::new(name, crate::config::Origin::Demo));
    feed.rows = Some(rows(0..10, None));
    feed.age = Some(Age {
        stated: None,
        arrived: UnixTime::new(arrived),
        valid: None,
        max_age: Some(Duration::from_secs(max_age)),
    });
    feed
}

#[test]
fn a_trial_ends_with_failover() {
    let mut rules = rules();
    let feeds = vec![feed(0, "a", NOW, 500), feed(1, "b", NOW, 5_000)];
    let mut sources = Sources::new(feeds);
    let start = Instant::now();
    sources.select(&rules, true, None, UnixTime::new(NOW), start);
    let late = UnixTime::new(NOW + 1_000);
    sources.select(&rules, true, None, late, start);
    sources.feeds_mut().next().unwrap().age = feed(0, "a", NOW + 1_000, 500).age;
    sources.select(&rules, true, None, late, start);
    let ripe = start + rules.merge.hysteresis;
    assert_eq!(
        (sources.active(), sources.choose_again()),
        (Some(1), Some(ripe))
    );
    rules.merge.mode = MergeMode::Union;
    sources.select(&rules, true, None, late, start);
    assert_eq!(
        sources.choose_again(),
        None,
        "nothing is left to wake up for"
    );
}

#[test]
fn a_moment_that_passed_unseen_is_still_looked_at() {
    let (start, instant) = (UnixTime::new(NOW), Instant::now());
    let mut feed = feed(0, "a", NOW, 400);
    feed.observe(start, instant);
    assert_eq!(feed.next_look(start), Some(UnixTime::new(NOW + 300)));
    // A turn took its time, or an update came in the same second.
    let late = UnixTime::new(NOW + 401);
    assert_eq!(feed.next_look(late), Some(late));
    feed.observe(late, instant);
    assert_eq!(feed.next_look(late), None);
    // The clock is set back, and it is fresh again.
    assert_eq!(feed.next_look(start), Some(start));
    feed.observe(start, instant);
    assert_eq!(feed.next_look(start), Some(UnixTime::new(NOW + 300)));
}

#[tokio::test]
async fn the_calendar_is_looked_at_every_minute() {
    let mut pipeline = pipeline();
    assert_eq!(pipeline.wake(), None, "nothing depends on the calendar");
    let now = tokio::time::Instant::now();
    pipeline.next_expiry = Some(unix_now().plus(86_400));
    let (at, cause) = pipeline.wake().unwrap();
    assert!(at.duration_since(now) <= Duration::from_secs(61));
    assert_eq!(cause, Cause::Clock);
    pipeline.next_expiry = Some(unix_now().plus(5));
    assert_eq!(pipeline.wake().unwrap().1, Cause::Expiry);
}

#[test]
fn a_source_with_another_task_keeps_its_data_and_is_not_waited_for() {
    let mut sources = Sources::new(vec![feed(0, "a", NOW, 500), feed(1, "b", NOW, 500)]);
    let of = |id: usize, name: &str| (id, Source::new(name, crate::config::Origin::Demo));
    assert_eq!(sources.configure(vec![of(0, "a"), of(1, "b")]), []);
    let gone = sources.configure(vec![of(2, "a"), of(3, "c")]);
    assert_eq!(gone, [(0, "a".into()), (1, "b".into())]);
    let known = sources.feeds().iter().map(|feed| feed.rows.is_some());
    assert_eq!(known.collect::<Vec<_>>(), [true, false]);
}

fn loaded(filter: &str) -> Loaded {
    let Pending { exceptions, digest } = exceptions(filter);
    Loaded {
        exceptions,
        digest,
        files: Vec::new(),
    }
}

/// A reload to these exceptions, `None` when they are as they were.
fn reload(slurm: Option<Loaded>, reader: usize) -> Order {
    Order::Configure(Box::new(order::Configure {
        rules: Rules {
            slurm_configured: true,
            ..rules()
        },
        feeds: vec![(0, Source::new("a", crate::config::Origin::Demo))],
        slurm,
        reader,
        done: tokio::sync::oneshot::channel().0,
    }))
}

#[tokio::test]
async fn exceptions_of_another_configuration_do_not_come_into_force() {
    let mut pipeline = pipeline();
    let (old, new) = (loaded("10.0.0.0/24"), loaded("10.0.1.0/24"));
    let of_reader = |reader, loaded: &Loaded| Order::Exceptions {
        reader,
        read: Ok(Box::new(loaded.clone())),
    };
    pipeline.sources.feeds_mut().next().unwrap().rows = Some(rows(0..10, None));
    pipeline.sources.feeds_mut().next().unwrap().age = feed(0, "a", NOW, 1).age.map(|age| Age {
        max_age: None,
        ..age
    });
    let in_force = |pipeline: &Pipeline| pipeline.exceptions.as_ref().map(|known| known.digest);
    pipeline.obey(reload(Some(new.clone()), 2)).await;
    assert_eq!(in_force(&pipeline), Some(new.digest));
    // Read by the task before, and sent too late.
    pipeline.obey(of_reader(1, &old)).await;
    assert_eq!(in_force(&pipeline), Some(new.digest));
    // Those that stay are in force until their reader says something else.
    pipeline.obey(reload(None, 3)).await;
    assert_eq!(in_force(&pipeline), Some(new.digest));
    pipeline.obey(of_reader(3, &old)).await;
    assert_eq!(in_force(&pipeline), Some(old.digest));
}
