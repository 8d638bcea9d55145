//! What an update takes away and brings, against sets.

use std::collections::{BTreeMap, BTreeSet};

use rutter::payload::census::{Change, Group, census, lost};
use rutter::payload::{Attribute, Kind, Rows, RowsBuilder, UnixTime};

use super::Rng;
use super::merges::{in_wire_order, record};
use super::model::Record;

type List = BTreeMap<Record, &'static str>;

const NAMES: [&str; 4] = ["ripe", "arin", "apnic", ""];

fn random(rng: &mut Rng) -> List {
    let rows = (0..rng.below(60)).map(|_| {
        let name = NAMES[rng.below(4) as usize];
        (Record::random(rng), name)
    });
    rows.collect()
}

/// The same with a few records more, fewer and of another trust anchor.
fn changed(list: &List, rng: &mut Rng) -> List {
    let mut next = list.clone();
    next.retain(|_, _| !rng.one_in(8));
    for name in next.values_mut() {
        if rng.one_in(8) {
            *name = NAMES[rng.below(4) as usize];
        }
    }
    if rng.one_in(2) {
        next.extend(random(rng).into_iter().take(6));
    }
    next
}

/// A list whose trust anchors have ids by a random order.
fn built(list: &List, rng: &mut Rng) -> Rows {
    let mut builder = RowsBuilder::new();
    let first = rng.below(4) as usize;
    for place in 0..4 {
        match NAMES[(first + place) % 4] {
            "" => {}
            name => drop(builder.trust_anchor(name)),
        }
    }
    for (record, name) in list {
        let anchor = match *name {
            "" => rutter::payload::rows::TrustAnchorId::default(),
            name => builder.trust_anchor(name),
        };
        record.push(&mut builder, Attribute::new(Some(UnixTime::new(5)), anchor));
    }
    builder.finish()
}

/// What counts once: a record, or the customer of one.
fn counted(record: &Record) -> (Kind, Record) {
    match record {
        Record::V4(_) => (Kind::Ipv4, record.clone()),
        Record::V6(_) => (Kind::Ipv6, record.clone()),
        Record::Key(_) => (Kind::RouterKey, record.clone()),
        Record::Aspa(customer, _) => (Kind::Aspa, Record::Aspa(*customer, BTreeSet::new())),
    }
}

fn grouped(list: &List) -> BTreeMap<Group, BTreeSet<Record>> {
    let mut groups: BTreeMap<Group, BTreeSet<Record>> = BTreeMap::new();
    for (record, name) in list {
        let (kind, record) = counted(record);
        if !name.is_empty() {
            let group = Group::TrustAnchor((*name).into());
            groups.entry(group).or_default().insert(record.clone());
        }
        groups.entry(Group::Kind(kind)).or_default().insert(record);
    }
    groups
}

fn naive(before: &List, after: &List) -> Vec<Change> {
    let (before, after) = (grouped(before), grouped(after));
    let groups: BTreeSet<&Group> = before.keys().chain(after.keys()).collect();
    let none = BTreeSet::new();
    let changes = groups.into_iter().map(|group| {
        let (old, new) = (
            before.get(group).unwrap_or(&none),
            after.get(group).unwrap_or(&none),
        );
        Change {
            group: group.clone(),
            before: old.len(),
            after: new.len(),
            lost: old.difference(new).count(),
            gained: new.difference(old).count(),
        }
    });
    changes.collect()
}

#[test]
fn a_census_counts_what_each_group_loses_and_gains() {
    let mut rng = Rng(70);
    let (mut all_lost, mut all_gained) = (0, 0);
    for _ in 0..500 {
        let old = random(&mut rng);
        let new = changed(&old, &mut rng);
        let (before, after) = (built(&old, &mut rng), built(&new, &mut rng));
        let found = census(&before, &after);
        assert_eq!(found, naive(&old, &new));
        all_lost += found.iter().map(|change| change.lost).sum::<usize>();
        all_gained += found.iter().map(|change| change.gained).sum::<usize>();
        // With the same records behind it, too.
        assert_eq!(census(&before, &before.clone()), naive(&old, &old));
        let empty = Rows::default();
        assert_eq!(census(&empty, &after), naive(&List::new(), &new));
        assert_eq!(census(&before, &empty), naive(&old, &List::new()));
    }
    assert!(all_lost > 1_000 && all_gained > 1_000);
}

#[test]
fn what_is_lost_is_listed() {
    let mut rng = Rng(71);
    for _ in 0..500 {
        let old = random(&mut rng);
        let new = changed(&old, &mut rng);
        let (before, after) = (built(&old, &mut rng), built(&new, &mut rng));
        let set = |list: &List| -> BTreeSet<(Kind, Record)> { list.keys().map(counted).collect() };
        let expected: BTreeSet<_> = set(&old).difference(&set(&new)).cloned().collect();
        let whole = lost(&before, &after, usize::MAX);
        assert!(in_wire_order(whole.iter()));
        let found = whole.iter().map(|payload| counted(&record(payload)));
        assert_eq!(found.collect::<BTreeSet<_>>(), expected);
        assert_eq!(whole.len(), expected.len());
        let limit = rng.below(6) as usize;
        let first = lost(&before, &after, limit);
        assert_eq!(first, whole[..limit.min(whole.len())]);
    }
}

#[test]
fn groups_are_named_for_people() {
    let names = Kind::ALL.map(|kind| Group::Kind(kind).to_string());
    assert_eq!(names, ["IPv4 VRPs", "IPv6 VRPs", "router keys", "ASPAs"]);
    let group = Group::TrustAnchor("ripe".into());
    assert_eq!(group.to_string(), "trust anchor ripe");
}
