//! What sources say, and what becomes of it together.

use std::collections::{BTreeMap, BTreeSet};

use rutter::payload::rows::Table;
use rutter::payload::{Asn, Attribute, DataSet, Rows, RowsBuilder, UnixTime};

use super::Rng;
use super::model::{Record, aspa};

/// What is known of a record: its expiry, where `u64::MAX` is none, and the sources that have it.
type Known = BTreeMap<Record, (u64, u16)>;

/// A row before it is in a table.
struct Row {
    record: Record,
    expires: Option<u64>,
}

fn random(rng: &mut Rng) -> Vec<Row> {
    let rows = (0..rng.below(60)).map(|_| Row {
        record: Record::random(rng),
        expires: (!rng.one_in(4)).then(|| 100 + rng.below(10)),
    });
    rows.collect()
}

fn built(rows: &[Row]) -> Rows {
    let mut builder = RowsBuilder::new();
    for row in rows {
        // The trust anchor is named after the expiry, so that it shows whose attribute won.
        let anchor = builder.trust_anchor(&format!("{:?}", row.expires));
        let expires = row.expires.map(UnixTime::new);
        row.record
            .push(&mut builder, Attribute::new(expires, anchor));
    }
    builder.finish()
}

fn join(known: &mut Known, rows: &[Row], source: u16) {
    for row in rows {
        let expires = row.expires.unwrap_or(u64::MAX);
        let entry = known.entry(row.record.clone()).or_insert((expires, source));
        *entry = (entry.0.max(expires), entry.1 | source);
    }
}

/// What is known of the rows, and that each trust anchor is the one of the expiry that won.
fn known(rows: &Rows) -> Known {
    let mut known = Known::new();
    let mut note = |record, attribute: &Attribute| {
        let expires = attribute.expires().map(UnixTime::seconds);
        let anchor = rows.trust_anchors().name(attribute.trust_anchor());
        assert_eq!(anchor, Some(format!("{expires:?}").as_str()));
        let value = (expires.unwrap_or(u64::MAX), attribute.sources());
        assert_eq!(known.insert(record, value), None, "a record twice");
    };
    for (v, attribute) in rows.v4().iter() {
        let record = (v.address(), v.prefix_len(), v.max_len(), v.asn().into_u32());
        note(Record::V4(record), attribute);
    }
    for (v, attribute) in rows.v6().iter() {
        let record = (v.address(), v.prefix_len(), v.max_len(), v.asn().into_u32());
        note(Record::V6(record), attribute);
    }
    for (k, attribute) in rows.router_keys().iter() {
        let record = (k.ski()[0], k.key().to_vec(), k.asn().into_u32());
        note(Record::Key(record), attribute);
    }
    for (a, attribute) in rows.aspas().iter() {
        let providers = a.providers().iter().map(|asn| asn.into_u32()).collect();
        note(Record::Aspa(a.customer().into_u32(), providers), attribute);
    }
    known
}

#[test]
fn of_equal_rows_the_latest_expiry_counts() {
    let mut rng = Rng(7);
    for _ in 0..500 {
        let rows = random(&mut rng);
        let mut expected = Known::new();
        join(&mut expected, &rows, 0);
        let built = built(&rows);
        assert_eq!(known(&built), expected);
        assert_eq!(built.len(), expected.len());
        let first = expected.values().map(|(expires, _)| *expires).min();
        let first = first.filter(|first| *first != u64::MAX);
        assert_eq!(built.next_expiry().map(UnixTime::seconds), first);
    }
}

#[test]
fn expired_rows_go_and_others_stay() {
    let mut rng = Rng(8);
    for _ in 0..500 {
        let rows = random(&mut rng);
        let now = 99 + rng.below(13);
        let built = built(&rows);
        let mut expected = known(&built);
        expected.retain(|_, (expires, _)| *expires > now);
        let left = built.unexpired(UnixTime::new(now));
        assert_eq!(known(&left), expected);
        assert_eq!(left == built, left.len() == built.len());
        assert!(left.next_expiry().is_none_or(|next| next.seconds() > now));
    }
}

#[test]
fn a_union_has_the_rows_of_all_sources() {
    let mut rng = Rng(9);
    for _ in 0..300 {
        let sources: Vec<Vec<Row>> = (0..rng.below(5)).map(|_| random(&mut rng)).collect();
        let mut expected = Known::new();
        let mut tables = Vec::new();
        for (place, rows) in sources.iter().enumerate() {
            join(&mut expected, rows, 1 << place);
            tables.push(built(rows).of_source(place));
        }
        let union = Rows::union(&tables);
        assert_eq!(known(&union), expected);
        tables.reverse();
        assert_eq!(known(&Rows::union(&tables)), expected, "in any order");
    }
}

#[test]
fn a_set_has_the_union_of_a_customers_records() {
    let mut rng = Rng(10);
    for _ in 0..500 {
        let rows = random(&mut rng);
        let rows = built(&rows);
        let data = DataSet::new(&rows);
        let mut expected: BTreeMap<u32, (BTreeSet<u32>, u64)> = BTreeMap::new();
        for (record, (expires, _)) in known(&rows) {
            if let Record::Aspa(customer, providers) = record {
                let entry = expected.entry(customer);
                let entry = entry.or_insert_with(|| (BTreeSet::new(), u64::MAX));
                entry.0.extend(providers);
                entry.1 = entry.1.min(expires);
            }
        }
        let table: &Table<_> = data.aspas();
        assert_eq!(table.len(), expected.len());
        for (customer, (mut providers, expires)) in expected {
            if providers.len() > 1 {
                providers.remove(&0);
            }
            let expected = aspa(customer, &providers);
            assert_eq!(data.payload().aspa(Asn::new(customer)), Some(&expected));
            let row = table.iter().find(|(aspa, _)| **aspa == expected).unwrap();
            let found = row.1.expires().map_or(u64::MAX, UnixTime::seconds);
            assert_eq!(found, expires, "it changes when the first record goes");
        }
        assert_eq!(data.payload().v4(), rows.v4().records().as_slice());
        assert_eq!(data.payload().v6(), rows.v6().records().as_slice());
        assert_eq!(
            data.payload().router_keys(),
            rows.router_keys().records().as_slice()
        );
        assert_eq!(data.left_out(), []);
    }
}

/// A set that another cache gave is a source like any other.
#[test]
fn a_set_is_the_same_as_rows() {
    let mut rng = Rng(11);
    for _ in 0..200 {
        let set = DataSet::new(&built(&random(&mut rng))).payload().clone();
        let rows = Rows::from(set.clone());
        assert_eq!(rows.len(), set.len());
        assert_eq!(rows.next_expiry(), None);
        let both = Rows::union(&[rows.of_source(0), rows.of_source(1)]);
        assert_eq!(DataSet::new(&both).payload(), &set);
        let mut attributes = both.v4().iter().map(|(_, attribute)| attribute);
        assert!(attributes.all(|attribute| attribute.sources() == 0b11));
    }
}
