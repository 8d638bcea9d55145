//! Lists of several sources as one, and how far they agree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rutter::payload::merge::{Contribution, Share, agreement, differences, merge};
use rutter::payload::vrp::Vrp;
use rutter::payload::{Attribute, Payload, Rows, RowsBuilder, UnixTime};

use super::Rng;
use super::model::Record;
use super::rows::{Known, Row, built, join, known, listed, random};

/// A source: its place, its rows as they came and as a table.
struct Source {
    place: usize,
    known: Known,
    rows: Rows,
}

fn source(place: usize, rows: &[Row]) -> Source {
    let mut known = Known::new();
    join(&mut known, rows, 1 << place);
    let rows = built(rows);
    Source { place, known, rows }
}

/// Up to five sources at different places, of which some say nearly the same.
fn sources(rng: &mut Rng) -> Vec<Source> {
    let mut place = rng.below(3) as usize;
    let common = random(rng);
    let mut sources = Vec::new();
    for _ in 0..rng.below(6) {
        let mut rows = if rng.one_in(3) {
            random(rng)
        } else {
            Vec::new()
        };
        if rng.one_in(2) {
            rows.clear();
        }
        let skip = rng.below(4) + 1;
        for row in &common {
            if skip == 1 || !rng.one_in(skip * 2) {
                let expires = if rng.one_in(3) {
                    Some(100 + rng.below(10))
                } else {
                    row.expires
                };
                let record = row.record.clone();
                rows.push(Row { record, expires });
            }
        }
        sources.push(source(place, &rows));
        place += 1 + rng.below(2) as usize;
    }
    sources
}

fn contributions(sources: &[Source]) -> Vec<Contribution<'_>> {
    let sources = sources.iter();
    let contributions = sources.map(|source| Contribution {
        place: source.place,
        rows: &source.rows,
    });
    contributions.collect()
}

/// The `least`-th latest, where there are so many.
fn latest(mut ends: Vec<u64>, least: usize) -> Option<u64> {
    ends.sort_unstable();
    ends.iter().rev().nth(least - 1).copied()
}

fn naive(sources: &[Source], least: usize) -> Known {
    let all: BTreeSet<&Record> = sources.iter().flat_map(|s| s.known.keys()).collect();
    let mut merged = Known::new();
    for record in all {
        let have: Vec<(u64, u16)> = sources
            .iter()
            .filter_map(|source| source.known.get(record).copied())
            .collect();
        let ends: Vec<u64> = have.iter().map(|(ends, _)| *ends).collect();
        let ends = if let Record::Aspa(customer, _) = record {
            let last = |source: &Source| {
                let records = source.known.iter();
                let own = records.filter(|(r, _)| matches!(r, Record::Aspa(c, _) if c == customer));
                own.map(|(_, (ends, _))| *ends).max()
            };
            let customers = sources.iter().filter_map(last).collect();
            latest(customers, least).map(|out| out.min(latest(ends, 1).unwrap()))
        } else {
            latest(ends, least)
        };
        if let Some(ends) = ends {
            let mask = have.iter().fold(0, |mask, (_, mark)| mask | mark);
            merged.insert(record.clone(), (ends, mask));
        }
    }
    merged
}

#[test]
fn a_merge_has_what_enough_sources_have() {
    let mut rng = Rng(9);
    let mut sizes = [0; 4];
    for _ in 0..600 {
        let mut sources = sources(&mut rng);
        for least in 1..=4 {
            let expected = naive(&sources, least);
            sizes[least - 1] += expected.len();
            let merged = merge(&contributions(&sources), least);
            let found = listed(&merged);
            assert_eq!(found.len(), expected.len());
            let found = found.into_iter().map(|(record, attribute)| {
                let ends = attribute.expires().map_or(u64::MAX, UnixTime::seconds);
                (record, (ends, attribute.sources()))
            });
            assert_eq!(found.collect::<Known>(), expected, "at least {least}");
        }
        let union = merge(&contributions(&sources), 1);
        // This also asserts whose trust anchor it is.
        assert_eq!(known(&union), naive(&sources, 1));
        assert!(union == merge(&contributions(&sources), 0));
        sources.reverse();
        assert_eq!(known(&union), known(&merge(&contributions(&sources), 1)));
    }
    assert!(sizes.iter().all(|size| *size > 500), "{sizes:?}");
}

#[test]
fn a_merge_is_in_order_and_each_record_once() {
    let mut rng = Rng(19);
    for _ in 0..300 {
        let sources = sources(&mut rng);
        let merged = merge(&contributions(&sources), 1 + rng.below(3) as usize);
        assert!(merged.v4().records().is_sorted_by(|a, b| a < b));
        assert!(merged.v6().records().is_sorted_by(|a, b| a < b));
        assert!(merged.router_keys().records().is_sorted_by(|a, b| a < b));
        assert!(merged.aspas().records().is_sorted_by(|a, b| a < b));
    }
}

#[test]
fn the_trust_anchor_is_that_of_the_expiry() {
    let mut rng = Rng(29);
    for _ in 0..300 {
        let sources = sources(&mut rng);
        let merged = merge(&contributions(&sources), 2);
        for (record, attribute) in listed(&merged) {
            if !matches!(record, Record::Aspa(..)) {
                let expires = attribute.expires().map(UnixTime::seconds);
                let name = merged.trust_anchors().name(attribute.trust_anchor());
                assert_eq!(name, Some(format!("{expires:?}").as_str()));
            }
        }
    }
}

#[test]
fn a_merge_shares_the_records_of_a_source_with_the_same() {
    let mut rng = Rng(39);
    let mut shared = 0;
    for _ in 0..600 {
        let sources = sources(&mut rng);
        let merged = merge(&contributions(&sources), 1 + rng.below(2) as usize);
        let twins = |source: &&Source| source.rows.v4().records() == merged.v4().records();
        let same = |source: &Source| Arc::ptr_eq(source.rows.v4().records(), merged.v4().records());
        if sources.iter().filter(twins).count() > 0 {
            assert!(sources.iter().any(same));
            shared += 1;
        }
    }
    assert!(shared > 100, "{shared}");
}

/// The payloads of a source, where a customer is one payload with all its providers.
fn payloads(source: &Source) -> BTreeSet<Record> {
    let mut customers: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let mut payloads = BTreeSet::new();
    for record in source.known.keys() {
        match record {
            Record::Aspa(customer, providers) => {
                customers.entry(*customer).or_default().extend(providers);
            }
            other => {
                payloads.insert(other.clone());
            }
        }
    }
    payloads.extend(customers.into_iter().map(|(customer, mut providers)| {
        if providers.len() > 1 {
            providers.remove(&0);
        }
        Record::Aspa(customer, providers)
    }));
    payloads
}

fn masks(sources: &[Source]) -> BTreeMap<Record, u16> {
    let mut masks = BTreeMap::new();
    for source in sources {
        for payload in payloads(source) {
            *masks.entry(payload).or_insert(0) |= 1 << source.place;
        }
    }
    masks
}

pub(super) fn record(payload: &Payload) -> Record {
    match payload {
        Payload::Vrp(Vrp::V4(v)) => {
            Record::V4((v.address(), v.prefix_len(), v.max_len(), v.asn().into_u32()))
        }
        Payload::Vrp(Vrp::V6(v)) => {
            Record::V6((v.address(), v.prefix_len(), v.max_len(), v.asn().into_u32()))
        }
        Payload::RouterKey(k) => Record::Key((k.ski()[0], k.key().to_vec(), k.asn().into_u32())),
        Payload::Aspa(a) => Record::Aspa(
            a.customer().into_u32(),
            a.providers().iter().map(|asn| asn.into_u32()).collect(),
        ),
    }
}

/// Whether payloads stand in wire order, each once.
pub(super) fn in_wire_order<'a>(payloads: impl Iterator<Item = &'a Payload>) -> bool {
    payloads.is_sorted_by(|a, b| match (a, b) {
        (Payload::Vrp(Vrp::V4(a)), Payload::Vrp(Vrp::V4(b))) => a < b,
        (Payload::Vrp(Vrp::V6(a)), Payload::Vrp(Vrp::V6(b))) => a < b,
        (Payload::RouterKey(a), Payload::RouterKey(b)) => a < b,
        (Payload::Aspa(a), Payload::Aspa(b)) => a < b,
        (a, b) => a.kind() < b.kind(),
    })
}

#[test]
fn agreement_counts_each_payload_by_who_has_it() {
    let mut rng = Rng(49);
    for _ in 0..400 {
        let sources = sources(&mut rng);
        let masks = masks(&sources);
        let mut combinations = BTreeMap::new();
        for mask in masks.values() {
            *combinations.entry(*mask).or_insert(0) += 1;
        }
        let found = agreement(&contributions(&sources));
        assert_eq!(found.combinations, combinations);
        let shares = sources.iter().map(|source| {
            let own = payloads(source);
            let others: Vec<BTreeSet<Record>> = sources
                .iter()
                .filter(|other| other.place != source.place)
                .map(payloads)
                .collect();
            let alone = own
                .iter()
                .filter(|p| !others.iter().any(|other| other.contains(p)));
            let lacks = masks
                .keys()
                .filter(|p| !own.contains(p) && others.iter().all(|other| other.contains(p)));
            Share {
                place: source.place,
                total: own.len(),
                alone: alone.count(),
                lacks: lacks.count(),
            }
        });
        assert_eq!(found.sources, shares.collect::<Vec<_>>());
    }
}

#[test]
fn differences_are_what_not_all_have() {
    let mut rng = Rng(59);
    for _ in 0..400 {
        let sources = sources(&mut rng);
        let all = sources
            .iter()
            .fold(0, |all, source| all | 1 << source.place);
        let mut expected = masks(&sources);
        expected.retain(|_, mask| *mask != all);
        let whole = differences(&contributions(&sources), usize::MAX);
        assert_eq!(whole.total, expected.len());
        assert_eq!(whole.listed.len(), expected.len());
        assert!(in_wire_order(whole.listed.iter().map(|d| &d.payload)));
        let found = whole.listed.iter().map(|d| (record(&d.payload), d.sources));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
        let limit = rng.below(8) as usize;
        let first = differences(&contributions(&sources), limit);
        assert_eq!(first.total, whole.total);
        assert_eq!(first.listed, whole.listed[..limit.min(whole.total)]);
    }
}

/// One VRP that expires then, in a list that also knows other trust anchors.
fn one(others: &[&str], name: &str, expires: Option<u64>) -> Rows {
    let mut builder = RowsBuilder::new();
    for other in others {
        builder.trust_anchor(other);
    }
    let anchor = builder.trust_anchor(name);
    let vrp = Record::V4((0x0a00_0000, 8, 8, 1));
    let expires = expires.map(UnixTime::new);
    vrp.push(&mut builder, Attribute::new(expires, anchor));
    builder.finish()
}

#[test]
fn of_equal_expiries_the_first_contribution_names_the_trust_anchor() {
    let sources = [
        one(&[], "a", Some(7)),
        one(&["a", "x"], "b", Some(7)),
        one(&["c"], "c", None),
    ];
    let named = |order: &[usize], least: usize| {
        let contributions: Vec<Contribution<'_>> = order
            .iter()
            .map(|place| Contribution {
                place: *place,
                rows: &sources[*place],
            })
            .collect();
        let merged = merge(&contributions, least);
        let (_, attribute) = merged.v4().iter().next().unwrap();
        let name = merged.trust_anchors().name(attribute.trust_anchor());
        name.unwrap().to_owned()
    };
    assert_eq!(named(&[0, 1], 1), "a");
    assert_eq!(named(&[1, 0], 1), "b");
    assert_eq!(named(&[0, 1, 2], 1), "c");
    assert_eq!(named(&[0, 1, 2], 2), "a");
    assert_eq!(named(&[1, 2, 0], 2), "b");
    assert_eq!(named(&[0, 1, 2], 3), "b");
}

#[test]
fn a_merge_knows_at_most_255_trust_anchors() {
    let many: Vec<String> = (0..254).map(|number| format!("many {number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (full, late) = (one(&many, "full", Some(7)), one(&[], "late", Some(8)));
    let of = |place, rows| Contribution { place, rows };
    let merged = merge(&[of(0, &full), of(1, &late)], 1);
    let (_, attribute) = merged.v4().iter().next().unwrap();
    assert_eq!(attribute.expires(), Some(UnixTime::new(8)));
    assert_eq!(merged.trust_anchors().name(attribute.trust_anchor()), None);
    assert_eq!(merged.trust_anchors().names().count(), 255);
}

#[test]
fn masks_have_a_bit_for_each_of_fifteen_places() {
    let rows = one(&[], "a", None);
    let sources: Vec<Contribution<'_>> = (0..16)
        .map(|place| Contribution { place, rows: &rows })
        .collect();
    for (count, mask) in [(1, 1), (15, 0x7fff), (16, 0x7fff)] {
        let merged = merge(&sources[..count], 1);
        let (_, attribute) = merged.v4().iter().next().unwrap();
        assert_eq!(attribute.sources(), mask);
        assert!(Arc::ptr_eq(merged.v4().records(), rows.v4().records()));
    }
}
