//! What sources say, and what becomes of it together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rutter::payload::merge::{Contribution, merge};
use rutter::payload::rows::Table;
use rutter::payload::{Asn, Attribute, DataSet, Rows, RowsBuilder, UnixTime};

use super::Rng;
use super::model::{Record, aspa};

/// What is known of a record: its expiry, where `u64::MAX` is none, and the sources that have it.
pub(super) type Known = BTreeMap<Record, (u64, u16)>;

/// A row before it is in a table.
pub(super) struct Row {
    pub(super) record: Record,
    pub(super) expires: Option<u64>,
}

pub(super) fn random(rng: &mut Rng) -> Vec<Row> {
    let rows = (0..rng.below(60)).map(|_| Row {
        record: Record::random(rng),
        expires: (!rng.one_in(4)).then(|| 100 + rng.below(10)),
    });
    rows.collect()
}

pub(super) fn built(rows: &[Row]) -> Rows {
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

pub(super) fn join(known: &mut Known, rows: &[Row], source: u16) {
    for row in rows {
        let expires = row.expires.unwrap_or(u64::MAX);
        let entry = known.entry(row.record.clone()).or_insert((expires, source));
        *entry = (entry.0.max(expires), entry.1 | source);
    }
}

/// All records of the rows, each with its attribute.
pub(super) fn listed(rows: &Rows) -> Vec<(Record, Attribute)> {
    let v4 = rows.v4().iter().map(|(v, attribute)| {
        let record = (v.address(), v.prefix_len(), v.max_len(), v.asn().into_u32());
        (Record::V4(record), *attribute)
    });
    let v6 = rows.v6().iter().map(|(v, attribute)| {
        let record = (v.address(), v.prefix_len(), v.max_len(), v.asn().into_u32());
        (Record::V6(record), *attribute)
    });
    let keys = rows.router_keys().iter().map(|(k, attribute)| {
        let record = (k.ski()[0], k.key().to_vec(), k.asn().into_u32());
        (Record::Key(record), *attribute)
    });
    let aspas = rows.aspas().iter().map(|(a, attribute)| {
        let providers = a.providers().iter().map(|asn| asn.into_u32()).collect();
        (Record::Aspa(a.customer().into_u32(), providers), *attribute)
    });
    v4.chain(v6).chain(keys).chain(aspas).collect()
}

/// What is known of the rows, and that each trust anchor is the one of the expiry that won.
pub(super) fn known(rows: &Rows) -> Known {
    let mut known = Known::new();
    for (record, attribute) in listed(rows) {
        let expires = attribute.expires().map(UnixTime::seconds);
        let anchor = rows.trust_anchors().name(attribute.trust_anchor());
        assert_eq!(anchor, Some(format!("{expires:?}").as_str()));
        let value = (expires.unwrap_or(u64::MAX), attribute.sources());
        assert_eq!(known.insert(record, value), None, "a record twice");
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
        let (gone, stays): (Known, Known) = known(&built)
            .into_iter()
            .partition(|(_, (expires, _))| *expires <= now);
        let (left, expired) = built.split_expired(UnixTime::new(now));
        assert_eq!(known(&left), stays);
        assert_eq!(expired.is_none(), gone.is_empty());
        assert_eq!(expired.as_ref().map(known).unwrap_or_default(), gone);
        assert_eq!(left == built, left.len() == built.len());
        let shared = Arc::ptr_eq(left.v4().records(), built.v4().records());
        assert_eq!(shared, left.v4().len() == built.v4().len());
        assert!(left.next_expiry().is_none_or(|next| next.seconds() > now));
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
        let twins = [0, 1].map(|place| Contribution { place, rows: &rows });
        let both = merge(&twins, 1);
        assert_eq!(DataSet::new(&both).payload(), &set);
        let mut attributes = both.v4().iter().map(|(_, attribute)| attribute);
        assert!(attributes.all(|attribute| attribute.sources() == 0b11));
    }
}
