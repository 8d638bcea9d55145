//! A leader, and a follower that takes turns on what it sees of it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::*;
use crate::config::{Guard, Merge, MergeMode, Origin, Source, Stale};
use crate::daemon::pipeline::sources::Sources;
use crate::daemon::pipeline::step::{Pending, step};
use crate::daemon::source::{Content, List, Occasion, Update};
use crate::payload::{Asn, Attribute, DataSet, Delta, Kinds, Rows, RowsBuilder, Vrp};
use crate::rtr::image::Image;
use crate::rtr::snapshot::{Answer, HistoryLimits, Since, Step, Trigger};
use crate::rtr::{HistoryName, Timing, Version, View};
use crate::slurm::{self, AspaOverlap, Exceptions, Reading};

const NOW: UnixTime = UnixTime::new(1_000_000);
const LEADERS: HistoryName = HistoryName::new([1; 16]);

/// VRPs of these ASes, each of which expires at a moment.
fn rows(each: &[(u32, u64)]) -> Rows {
    let mut rows = RowsBuilder::new();
    for (asn, expires) in each {
        let vrp = Vrp::new("192.0.2.0/24".parse().unwrap(), 24, Asn::new(*asn)).unwrap();
        let anchor = rows.trust_anchor("x");
        rows.push_vrp(vrp, Attribute::new(Some(UnixTime::new(*expires)), anchor));
    }
    rows.finish()
}

fn lasting(each: &[u32]) -> DataSet {
    let each: Vec<_> = each.iter().map(|asn| (*asn, 9_000_000)).collect();
    DataSet::new(&rows(&each))
}

fn next(snapshot: &Snapshot, data: DataSet) -> Snapshot {
    match snapshot.next(data, Trigger::Source, NOW, HistoryLimits::default()) {
        Step::Serial(next) | Step::Revision(next) => next,
        Step::Unchanged => panic!("nothing new"),
    }
}

fn mirror(snapshot: &Arc<Snapshot>) -> Arc<Mirror> {
    Arc::new(Mirror {
        snapshot: Arc::clone(snapshot),
        issued: NOW,
        valid_until: NOW.plus(600),
    })
}

/// A server that follows one leader or more, in the order of preference.
struct Follower {
    feeds: Vec<Feed>,
    rules: Rules,
    served: Option<Arc<Snapshot>>,
    reached: Option<Arc<Snapshot>>,
    authority: Authority,
    baseline: Option<Rows>,
    in_force: Exceptions,
    pending: Option<Pending>,
    now: UnixTime,
    names: u8,
}

impl Follower {
    fn new(sources: usize) -> Self {
        let feed = |id: usize| Feed::new(id, Source::new(id.to_string(), Origin::Demo));
        Self {
            feeds: (0..sources).map(feed).collect(),
            rules: Rules {
                merge: Merge::default(),
                guard: Guard::default(),
                history: Duration::from_secs(86_400),
                timing: Timing::RECOMMENDED,
                slurm_configured: false,
            },
            served: None,
            reached: None,
            authority: Authority::Own,
            baseline: None,
            in_force: Exceptions::default(),
            pending: None,
            now: NOW,
            names: 100,
        }
    }

    fn hears(&mut self, source: usize, mirror: &Arc<Mirror>) {
        let list = List {
            rows: mirror.snapshot.data().rows().clone(),
            dialect: "feed".into(),
            stated: Some(mirror.issued),
            valid: Some(mirror.valid_until),
            arrived: self.now,
            listed: mirror.snapshot.data().rows().len(),
            skipped: 0,
            first_skipped: None,
            serial: Some(mirror.snapshot.serial().into_u32()),
            expire: None,
            conditions: Default::default(),
        };
        let update = Update {
            place: source,
            occasion: Occasion::Event,
            result: Ok(Content::Mirror(Box::new(list), Arc::clone(mirror))),
            took: Duration::ZERO,
        };
        let now = self.now;
        self.feeds[source].take(update, now);
    }

    /// A turn in which these sources count, but for those that must not be followed.
    fn turn(&mut self, places: &[usize]) -> Turn {
        for feed in &mut self.feeds {
            feed.compare(self.reached.as_ref());
        }
        let usable = |place: &&usize| self.feeds[**place].is_usable();
        let selection = match places.iter().filter(usable).copied().collect::<Vec<_>>() {
            places if places.is_empty() => Selection::Nothing,
            places => Selection::Merge { places, least: 1 },
        };
        let work = Work {
            sources: self.feeds.iter().map(|feed| feed.rows.clone()).collect(),
            mirror: chosen(&self.feeds, &self.rules, &selection, self.now),
            stands: stands(
                &self.feeds,
                &self.rules,
                &selection,
                self.authority,
                self.now,
            ),
            selection,
            authority: self.authority,
            baseline: self.baseline.clone(),
            in_force: Some(self.in_force.clone()),
            pending: self.pending.clone(),
            approved: None,
            lapsed: false,
            guard: self.rules.guard,
            updates: Standing::Clear,
            changes: Standing::Clear,
            previous: self.served.clone(),
            trigger: Trigger::Source,
            now: self.now,
            instant: Instant::now(),
            limits: HistoryLimits::default(),
        };
        self.names += 1;
        let name = HistoryName::new([self.names; 16]);
        let turn = step(&work, || name);
        for (feed, rows) in self.feeds.iter_mut().zip(&turn.kept) {
            feed.rows.clone_from(rows);
        }
        self.baseline.clone_from(&turn.baseline);
        self.authority = turn.authority;
        if let Some((_, mirror)) = &work.mirror {
            self.reached = Some(Arc::clone(&mirror.snapshot));
        }
        if let Serving::New(new) = &turn.serving {
            self.served = Some(Arc::clone(new));
        }
        turn
    }

    fn serves(&self) -> &Snapshot {
        self.served.as_deref().unwrap()
    }

    fn at(&self) -> (HistoryName, u32) {
        (self.serves().name(), self.serves().serial().into_u32())
    }
}

fn octets(snapshot: &Snapshot, since: Option<usize>) -> Vec<u8> {
    let version = Version::V2;
    let image = snapshot.image(Answer { version, since }).unwrap();
    image.segments(Kinds::ALL).flatten().copied().collect()
}

#[test]
fn a_follower_is_its_leader() {
    let first = Snapshot::first(LEADERS, lasting(&[1, 2]));
    let second = Arc::new(next(&first, lasting(&[1, 3])));
    let first = Arc::new(first);
    let mut follower = Follower::new(1);
    follower.hears(0, &mirror(&first));
    follower.turn(&[0]);
    assert_eq!(follower.at(), (LEADERS, 1));
    let session = |snapshot: &Snapshot| snapshot.session_id(View::new(Version::V2, Kinds::ALL));
    assert_eq!(session(follower.serves()), session(&first));
    follower.hears(0, &mirror(&second));
    follower.turn(&[0]);
    assert_eq!(follower.at(), (LEADERS, 2));
    assert_eq!(octets(follower.serves(), None), octets(&second, None));
    assert_eq!(octets(follower.serves(), Some(0)), octets(&second, Some(0)));
    // The same again is nothing new, and neither is a word that counts for longer.
    let longer = Arc::new(Mirror {
        valid_until: NOW.plus(900),
        ..(*mirror(&second)).clone()
    });
    follower.hears(0, &longer);
    let turn = follower.turn(&[0]);
    assert!(matches!(turn.serving, Serving::Same));
    let Authority::Leader(validity) = turn.authority else {
        panic!("whose is it");
    };
    assert_eq!(validity.valid_until, NOW.plus(900));
    // A revision is the leader's, too.
    let renewed = DataSet::new(&rows(&[(1, 9_500_000), (3, 9_500_000)]));
    let third = Arc::new(next(&second, renewed));
    assert_eq!(third.revision(), 1);
    follower.hears(0, &mirror(&third));
    follower.turn(&[0]);
    assert_eq!(follower.at(), (LEADERS, 2));
    assert_eq!(follower.serves().revision(), 1);
}

#[test]
fn nothing_expires_and_nothing_is_held_while_the_leader_speaks() {
    let many: Vec<u32> = (1..=100).collect();
    let mut data: Vec<_> = many.iter().map(|asn| (*asn, 9_000_000)).collect();
    data.push((200, NOW.seconds() + 10));
    let first = Snapshot::first(LEADERS, DataSet::new(&rows(&data)));
    let second = Arc::new(next(&first, lasting(&[1])));
    let mut follower = Follower::new(1);
    follower.hears(0, &mirror(&Arc::new(first)));
    follower.turn(&[0]);
    follower.now = NOW.plus(60);
    let turn = follower.turn(&[0]);
    assert!(matches!(turn.serving, Serving::Same));
    assert_eq!(turn.next_expiry, None);
    // 99 of 100 at once: the leader's guard has let it through.
    follower.hears(0, &mirror(&second));
    follower.turn(&[0]);
    assert_eq!(follower.at(), (LEADERS, 2));
}

#[test]
fn what_differs_begins_a_history_of_its_own() {
    let data = DataSet::new(&rows(&[(1, 9_000_000), (2, NOW.seconds() + 700)]));
    let first = Arc::new(Snapshot::first(LEADERS, data));
    let follow = || {
        let mut follower = Follower::new(2);
        follower.hears(0, &mirror(&first));
        follower.turn(&[0]);
        assert_eq!(follower.at(), (LEADERS, 1));
        follower
    };
    // Far from the leader's serials, so that the way back is no equal serial either.
    let own = |follower: &Follower| follower.at().0 != LEADERS && follower.at().1 > 1 << 20;

    // Its word counts no more: what it said stays, and leaves when it expires.
    let mut follower = follow();
    follower.now = NOW.plus(600);
    assert!(matches!(follower.turn(&[0]).serving, Serving::Same));
    assert_eq!(follower.at(), (LEADERS, 1));
    follower.now = NOW.plus(700);
    follower.turn(&[0]);
    assert!(own(&follower), "expired");
    assert_eq!(follower.authority, Authority::Own);
    assert_eq!(follower.serves().payload().v4().len(), 1);
    // The leader speaks again.
    let later = Arc::new(next(&first, lasting(&[1, 5])));
    let word = Arc::new(Mirror {
        issued: follower.now,
        valid_until: follower.now.plus(600),
        ..(*mirror(&later)).clone()
    });
    follower.hears(0, &word);
    follower.turn(&[0]);
    assert_eq!(follower.at(), (LEADERS, 2));

    let mut follower = follow();
    follower.rules.guard.stale = Stale::Withdraw;
    follower.now = NOW.plus(600);
    follower.turn(&[]);
    assert!(own(&follower), "withdrawn");

    let mut follower = follow();
    follower.feeds[1].rows = Some(rows(&[(7, 9_000_000)]));
    follower.rules.merge.mode = MergeMode::Union;
    follower.turn(&[0, 1]);
    assert!(own(&follower), "several sources");
    // One of several that is alone for a while is no leader.
    let at = follower.at();
    follower.turn(&[0]);
    assert_ne!(follower.at(), at);
    assert_ne!(follower.at().0, LEADERS);

    let mut follower = follow();
    follower.rules.slurm_configured = true;
    assert!(matches!(follower.turn(&[0]).serving, Serving::Same));
    let text = r#"{"slurmVersion":1,
        "validationOutputFilters":{"prefixFilters":[{"asn":1}],"bgpsecFilters":[]},
        "locallyAddedAssertions":{"prefixAssertions":[],"bgpsecAssertions":[]}}"#;
    let parsed = slurm::parse("x", text.as_bytes(), Reading::Strict).unwrap();
    follower.in_force = slurm::combine(vec![parsed.file], AspaOverlap::Refused).unwrap();
    follower.turn(&[0]);
    assert!(own(&follower), "local exceptions");
}

#[test]
fn it_never_goes_back() {
    let first = Arc::new(Snapshot::first(LEADERS, lasting(&[1])));
    let second = Arc::new(next(&first, lasting(&[2])));
    let other = Arc::new(next(&first, lasting(&[3])));
    let mut follower = Follower::new(2);
    follower.hears(0, &mirror(&second));
    follower.hears(1, &mirror(&first));
    follower.turn(&[0]);
    // The second leader lags, and is followed once it has caught up.
    let turn = follower.turn(&[1]);
    let (served, found) = (Serial::new(2), Serial::new(1));
    let unfollowed = |follower: &Follower| follower.feeds[1].unfollowed;
    let behind = Some(Unfollowed::Behind { served, found });
    assert_eq!(unfollowed(&follower), behind);
    assert!(matches!(turn.serving, Serving::Same) && !turn.lapsed);
    assert_eq!(follower.at(), (LEADERS, 2));
    follower.hears(1, &mirror(&second));
    let turn = follower.turn(&[1]);
    assert_eq!(unfollowed(&follower), None);
    assert!(matches!(turn.serving, Serving::Same));
    // Other data under a serial that routers have is a lie.
    follower.hears(1, &mirror(&other));
    follower.turn(&[1]);
    let conflict = Some(Unfollowed::Conflict(Serial::new(2)));
    assert_eq!(unfollowed(&follower), conflict);
    assert_eq!(octets(follower.serves(), None), octets(&second, None));
    // Not by way of a history of its own either.
    follower.rules.guard.stale = Stale::Withdraw;
    follower.now = NOW.plus(600);
    follower.turn(&[]);
    assert_ne!(follower.at().0, LEADERS);
    follower.rules.guard.stale = Stale::Keep;
    let late = |snapshot: &Arc<Snapshot>| {
        Arc::new(Mirror {
            valid_until: NOW.plus(1_200),
            ..(*mirror(snapshot)).clone()
        })
    };
    follower.hears(1, &late(&first));
    follower.turn(&[1]);
    assert_eq!(unfollowed(&follower), behind);
    assert_ne!(follower.at().0, LEADERS);
    // Another history is another matter.
    let fresh = Arc::new(Snapshot::first(HistoryName::new([9; 16]), lasting(&[4])));
    follower.hears(1, &late(&fresh));
    follower.turn(&[1]);
    assert_eq!(follower.at(), (HistoryName::new([9; 16]), 1));
}

/// The first leader has gone and the second one is behind or lies: what the first one said stands
/// until its word is over, and then it ends like everything that is stale. What the second one has
/// is never served.
#[test]
fn what_is_served_stands_as_long_as_the_word_of_whoever_gave_it() {
    let data = DataSet::new(&rows(&[(2, 9_000_000), (3, NOW.seconds() + 100)]));
    let first = Arc::new(Snapshot::first(LEADERS, lasting(&[1])));
    let second = Arc::new(next(&first, data));
    let lie = Arc::new(next(&first, lasting(&[7])));
    for left in [&first, &lie] {
        for stale in [Stale::Keep, Stale::Withdraw, Stale::NoData] {
            let mut follower = Follower::new(2);
            follower.rules.guard.stale = stale;
            follower.hears(0, &mirror(&second));
            follower.turn(&[0]);
            let lasts = Arc::new(Mirror {
                valid_until: NOW.plus(10_000),
                ..(*mirror(left)).clone()
            });
            follower.hears(1, &lasts);
            // Nothing lapses, and nothing expires.
            follower.now = NOW.plus(599);
            let turn = follower.turn(&[1]);
            assert!(matches!(turn.serving, Serving::Same) && !turn.lapsed);
            assert_eq!(follower.at(), (LEADERS, 2));
            follower.now = NOW.plus(600);
            let turn = follower.turn(&[1]);
            assert!(turn.lapsed);
            match stale {
                Stale::NoData => assert!(matches!(turn.serving, Serving::Withheld)),
                Stale::Withdraw => assert!(follower.serves().payload().is_empty()),
                Stale::Keep => {
                    let kept = lasting(&[2]);
                    assert_eq!(follower.serves().payload(), kept.payload());
                }
            }
            assert_eq!(follower.at().0 == LEADERS, stale == Stale::NoData);
        }
    }
}

/// A leader that is behind is no source to fall back on, however little else there is.
#[test]
fn a_leader_that_is_behind_counts_for_nothing() {
    let first = Arc::new(Snapshot::first(LEADERS, lasting(&[1])));
    let second = Arc::new(next(&first, lasting(&[2])));
    let mut follower = Follower::new(1);
    follower.hears(0, &mirror(&first));
    let mut sources = Sources::new(follower.feeds.clone());
    let mut select = |started, reached, now| {
        let instant = Instant::now();
        sources.select(&follower.rules, started, reached, now, instant)
    };
    let alone = Selection::Merge {
        places: vec![0],
        least: 1,
    };
    // Fresh, stale, and at a start.
    for (started, now) in [(true, NOW), (true, NOW.plus(900)), (false, NOW.plus(900))] {
        assert_eq!(select(started, Some(&first), now), alone);
        assert_eq!(select(started, Some(&second), now), Selection::Nothing);
    }
}

/// A restart before the leader is heard: its word still counts.
#[test]
fn a_restored_history_stands_before_its_leader_is_heard() {
    let data = DataSet::new(&rows(&[(2, 9_000_000), (3, NOW.seconds() + 100)]));
    let mut follower = Follower::new(1);
    follower.served = Some(Arc::new(Snapshot::first(LEADERS, data)));
    follower.reached.clone_from(&follower.served);
    follower.authority = Authority::Leader(Validity {
        issued: NOW,
        valid_until: NOW.plus(600),
    });
    follower.now = NOW.plus(599);
    let turn = follower.turn(&[]);
    assert!(matches!(turn.serving, Serving::Same));
    assert_eq!(follower.at(), (LEADERS, 1));
    // An operator who wants younger lists gets them.
    follower.feeds[0].source.max_age = Some(Duration::from_secs(300));
    follower.turn(&[]);
    assert_ne!(follower.at().0, LEADERS);
}

/// A word under a key that is no longer trusted, or from another place, is nobody's.
#[test]
fn a_reload_ends_trust_in_what_is_held() {
    let first = Arc::new(Snapshot::first(LEADERS, lasting(&[1])));
    let mut follower = Follower::new(1);
    follower.hears(0, &mirror(&first));
    let source = follower.feeds[0].source.clone();
    follower.feeds[0].reconfigure(1, source.clone());
    assert!(follower.feeds[0].mirror.is_some());
    let verify = crate::config::Verify {
        keys: vec!["other.pub".into()],
        scheme: crate::config::Scheme::Jws,
    };
    let trusting = Source {
        verify: Some(verify),
        ..source
    };
    follower.feeds[0].reconfigure(2, trusting);
    assert!(follower.feeds[0].mirror.is_none());
    follower.turn(&[0]);
    assert_ne!(follower.at().0, LEADERS);
}

/// Exceptions that are configured no more do not wait for the day when mirroring ends.
#[test]
fn exceptions_that_are_gone_are_gone_while_mirroring() {
    let first = Arc::new(Snapshot::first(LEADERS, lasting(&[1])));
    let mut follower = Follower::new(1);
    follower.hears(0, &mirror(&first));
    follower.pending = Some(Pending {
        exceptions: Exceptions::default(),
        digest: crate::daemon::pipeline::guard::Digest::of_octets([&b""[..]]),
    });
    let turn = follower.turn(&[0]);
    assert!(turn.pending.is_none() && turn.change_verdict.is_some_and(|v| v.passes()));
}

/// A small generator: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Followers see what they see of a leader, in any order, lose it, fail over and have their own
/// say; whatever they serve, one serial of one history is one set, and every increment leads from
/// what a router was told to what is served.
#[test]
fn one_serial_of_one_history_is_one_set_everywhere() {
    for seed in 1..40 {
        let mut random = Random(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let mut account: HashMap<(HistoryName, u32), Vec<u8>> = HashMap::new();
        let mut sets: HashMap<(HistoryName, u32), DataSet> = HashMap::new();
        let mut leader = Arc::new(Snapshot::first(LEADERS, lasting(&[1, 2])));
        let mut said = vec![mirror(&leader)];
        account.insert((LEADERS, 1), octets(&leader, None));
        let mut followers = [Follower::new(2), Follower::new(2)];
        [followers[0].names, followers[1].names] = [10, 130];
        for _ in 0..120 {
            if random.below(3) == 0 {
                let set: Vec<u32> = (0..6).filter(|_| random.below(2) == 0).collect();
                let step = leader.next(
                    lasting(&set),
                    Trigger::Source,
                    NOW,
                    HistoryLimits::default(),
                );
                if let Step::Serial(new) | Step::Revision(new) = step {
                    leader = Arc::new(new);
                    said.push(mirror(&leader));
                    let at = (LEADERS, leader.serial().into_u32());
                    account.insert(at, octets(&leader, None));
                }
            }
            let of = usize::try_from(random.below(2)).unwrap();
            let follower = &mut followers[of];
            let source = usize::try_from(random.below(2)).unwrap();
            let back = usize::try_from(random.below(3)).unwrap();
            follower.hears(source, &said[said.len().saturating_sub(1 + back)]);
            match random.below(12) {
                0 => {
                    follower.rules.merge.mode = MergeMode::Union;
                    follower.turn(&[0, 1]);
                    follower.rules.merge.mode = MergeMode::Failover;
                }
                1 => {
                    follower.rules.guard.stale = Stale::Withdraw;
                    follower.turn(&[]);
                }
                _ => {
                    follower.turn(&[source]);
                }
            }
            let Some(served) = follower.served.as_deref() else {
                continue;
            };
            let set = octets(served, None);
            let known = account.entry(follower.at()).or_insert_with(|| set.clone());
            assert_eq!(*known, set, "{:?} has two contents", follower.at());
            sets.entry(follower.at())
                .or_insert_with(|| served.data().clone());
            for ((name, serial), data) in &sets {
                if *name != served.name() {
                    continue;
                }
                if let Some(Since::Step(place)) = served.since(Serial::new(*serial)) {
                    let exact = Delta::between(data.payload(), served.payload());
                    let exact = Image::increment(Version::V2, &exact);
                    let exact: Vec<u8> = exact.segments(Kinds::ALL).flatten().copied().collect();
                    assert_eq!(octets(served, Some(place)), exact);
                }
            }
        }
    }
}
