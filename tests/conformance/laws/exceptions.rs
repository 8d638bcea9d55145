//! Local exceptions against a scan of everything with everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rutter::payload::rows::Table;
use rutter::payload::{Asn, Aspa, Attribute, RouterKey, Rows, RowsBuilder, UnixTime, Vrp};
use rutter::slurm::{
    AspaOverlap, BgpsecFilter, Effect, Entry, EntryEffect, Exceptions, File, PrefixFilter, Reading,
    Rule, combine, parse,
};
use serde_json::{Value, json};

use super::Rng;

/// A payload of any kind.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Payload {
    Vrp(Vrp),
    Key(RouterKey),
    Aspa(Aspa),
}

/// An octet, and the base64 of twenty of it.
const SKIS: [(u8, &str); 3] = [
    (0x00, "AAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    (0x55, "VVVVVVVVVVVVVVVVVVVVVVVVVVU"),
    (0xff, "__________________________8"),
];
/// An empty SEQUENCE and its base64.
const KEY: ([u8; 2], &str) = ([0x30, 0x00], "MAA");

/// A prefix out of few addresses, so that many cover each other; with all lengths.
fn prefix(rng: &mut Rng) -> IpNet {
    let len = [0, 1, 7, 8, 9, 10, 11, 12, 31, 32][usize::try_from(rng.below(10)).unwrap()];
    let bits = u32::try_from(rng.next() >> 32).unwrap();
    // Few bits in the upper octets, and the ends of all blocks among the others.
    let address = match rng.below(4) {
        0 => bits & 0x0a70_0000,
        1 => 0x0a00_0000 | (bits & 0x0070_0001),
        2 => bits | 0x0a0f_ffff,
        _ => 0x0a70_0000,
    };
    if rng.one_in(3) {
        let address = u128::from(address) << 96;
        let len = if len == 32 { 128 } else { len };
        IpNet::V6(Ipv6Net::new(address.into(), len).unwrap().trunc())
    } else {
        IpNet::V4(Ipv4Net::new(address.into(), len).unwrap().trunc())
    }
}

fn asn(rng: &mut Rng) -> u32 {
    u32::try_from(rng.below(4)).unwrap()
}

fn vrp(rng: &mut Rng) -> Vrp {
    let prefix = prefix(rng);
    let room = u64::from(prefix.max_prefix_len() - prefix.prefix_len());
    let more = u8::try_from(rng.below(room.min(2) + 1)).unwrap();
    Vrp::new(prefix, prefix.prefix_len() + more, Asn::new(asn(rng))).unwrap()
}

fn ski(rng: &mut Rng) -> (u8, &'static str) {
    SKIS[usize::try_from(rng.below(3)).unwrap()]
}

fn providers(rng: &mut Rng) -> Vec<u32> {
    let all = (10..13).filter(|_| rng.one_in(2)).collect::<Vec<u32>>();
    if all.is_empty() { vec![0] } else { all }
}

fn payload(rng: &mut Rng) -> Payload {
    match rng.below(6) {
        0..4 => Payload::Vrp(vrp(rng)),
        4 => {
            let (octet, _) = ski(rng);
            Payload::Key(RouterKey::new([octet; 20], Asn::new(asn(rng)), &KEY.0).unwrap())
        }
        _ => {
            let customer = Asn::new(1 + asn(rng));
            let providers = providers(rng).into_iter().map(Asn::new).collect();
            Payload::Aspa(Aspa::new(customer, providers).unwrap())
        }
    }
}

/// A file with random entries, as text.
fn document(rng: &mut Rng) -> Value {
    let mut lists: [Vec<Value>; 6] = Default::default();
    for _ in 0..rng.below(9) {
        let list = usize::try_from(rng.below(12)).unwrap();
        let (list, entry) = match list {
            1 => {
                let entry = match rng.below(3) {
                    0 => json!({"asn": asn(rng)}),
                    1 => json!({"SKI": ski(rng).1}),
                    _ => json!({"asn": asn(rng), "SKI": ski(rng).1}),
                };
                (1, entry)
            }
            2 => (2, json!({"customerAsn": 1 + asn(rng)})),
            3 => {
                let (_, ski) = ski(rng);
                (
                    4,
                    json!({"asn": asn(rng), "SKI": ski, "routerPublicKey": KEY.1}),
                )
            }
            4 => {
                let providers = providers(rng);
                (
                    5,
                    json!({"customerAsn": 1 + asn(rng), "providerAsns": providers}),
                )
            }
            5..8 => {
                let vrp = vrp(rng);
                let (prefix, asn) = (vrp.prefix().to_string(), vrp.asn().into_u32());
                let max_len = vrp.max_len();
                (
                    3,
                    json!({"prefix": prefix, "asn": asn, "maxPrefixLength": max_len}),
                )
            }
            _ => {
                let entry = match rng.below(3) {
                    0 => json!({"asn": asn(rng)}),
                    1 => json!({"prefix": prefix(rng).to_string()}),
                    _ => json!({"asn": asn(rng), "prefix": prefix(rng).to_string()}),
                };
                (0, entry)
            }
        };
        lists[list].push(entry);
    }
    let [a, b, c, d, e, f] = lists;
    json!({
        "slurmVersion": 2,
        "validationOutputFilters": {"prefixFilters": a, "bgpsecFilters": b, "aspaFilters": c},
        "locallyAddedAssertions": {
            "prefixAssertions": d, "bgpsecAssertions": e, "aspaAssertions": f
        },
    })
}

fn file(name: &str, rng: &mut Rng) -> File {
    let text = document(rng).to_string();
    let parsed = parse(name, text.as_bytes(), Reading::Strict);
    parsed
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .file
}

fn built(payloads: &[(Payload, Option<u64>)]) -> Rows {
    let mut builder = RowsBuilder::new();
    let anchor = builder.trust_anchor("anchor");
    for (payload, expires) in payloads {
        let attribute = Attribute::new(expires.map(UnixTime::new), anchor);
        match payload.clone() {
            Payload::Vrp(vrp) => builder.push_vrp(vrp, attribute),
            Payload::Key(key) => builder.push_router_key(key, attribute),
            Payload::Aspa(aspa) => builder.push_aspa(aspa, attribute),
        }
    }
    builder.finish().of_source(2)
}

/// The rows one by one, in wire order: the payload, its expiry, its anchor and its sources.
fn listed(rows: &Rows) -> Vec<(Payload, Option<u64>, bool, u16)> {
    fn list<T: Clone>(
        table: &Table<T>,
        payload: impl Fn(T) -> Payload,
    ) -> Vec<(Payload, Attribute)> {
        let rows = table.iter();
        rows.map(|(record, attribute)| (payload(record.clone()), *attribute))
            .collect()
    }
    let mut all = list(rows.v4(), |vrp| Payload::Vrp(Vrp::V4(vrp)));
    all.extend(list(rows.v6(), |vrp| Payload::Vrp(Vrp::V6(vrp))));
    all.extend(list(rows.router_keys(), Payload::Key));
    all.extend(list(rows.aspas(), Payload::Aspa));
    let row = |(payload, attribute): (Payload, Attribute)| {
        let anchor = rows.trust_anchors().name(attribute.trust_anchor());
        let expires = attribute.expires().map(UnixTime::seconds);
        (payload, expires, anchor.is_some(), attribute.sources())
    };
    all.into_iter().map(row).collect()
}

fn matches(rule: &Rule, payload: &Payload) -> bool {
    match (rule, payload) {
        (Rule::PrefixFilter(filter), Payload::Vrp(vrp)) => match filter {
            PrefixFilter::Prefix(prefix) => prefix.contains(&vrp.prefix()),
            PrefixFilter::Asn(asn) => *asn == vrp.asn(),
            PrefixFilter::Both(prefix, asn) => prefix.contains(&vrp.prefix()) && *asn == vrp.asn(),
        },
        (Rule::BgpsecFilter(filter), Payload::Key(key)) => match filter {
            BgpsecFilter::Asn(asn) => *asn == key.asn(),
            BgpsecFilter::Ski(ski) => ski == key.ski(),
            BgpsecFilter::Both(asn, ski) => *asn == key.asn() && ski == key.ski(),
        },
        (Rule::AspaFilter(customer), Payload::Aspa(aspa)) => *customer == aspa.customer(),
        _ => false,
    }
}

fn asserted(rule: &Rule) -> Option<Payload> {
    match rule {
        Rule::PrefixAssertion(vrp) => Some(Payload::Vrp(*vrp)),
        Rule::BgpsecAssertion(key) => Some(Payload::Key(key.clone())),
        Rule::AspaAssertion(aspa) => Some(Payload::Aspa(aspa.clone())),
        _ => None,
    }
}

/// Whether two entries of two files overlap (RFC 8416 §4.2), with the switch for ASPAs on.
fn overlap(a: &Rule, b: &Rule) -> bool {
    let located = |rule: &Rule| match rule {
        Rule::PrefixFilter(PrefixFilter::Prefix(prefix) | PrefixFilter::Both(prefix, _)) => {
            Some(*prefix)
        }
        Rule::PrefixAssertion(vrp) => Some(vrp.prefix()),
        _ => None,
    };
    let keyed = |rule: &Rule| match rule {
        Rule::BgpsecFilter(BgpsecFilter::Asn(asn) | BgpsecFilter::Both(asn, _)) => Some(*asn),
        Rule::BgpsecAssertion(key) => Some(key.asn()),
        _ => None,
    };
    let customer = |rule: &Rule| match rule {
        Rule::AspaFilter(customer) => Some(*customer),
        Rule::AspaAssertion(aspa) => Some(aspa.customer()),
        _ => None,
    };
    let prefixes = located(a).zip(located(b));
    let equal = |pair: Option<(Asn, Asn)>| pair.is_some_and(|(a, b)| a == b);
    prefixes.is_some_and(|(a, b)| a.contains(&b) || b.contains(&a))
        || equal(keyed(a).zip(keyed(b)))
        || equal(customer(a).zip(customer(b)))
}

#[test]
fn what_is_served_is_what_is_not_filtered_and_what_is_asserted() {
    let mut rng = Rng(8416);
    let (mut shadowed, mut readded, mut kept) = (0, 0, 0);
    for _ in 0..3_000 {
        let exceptions = combine(vec![file("a", &mut rng)], AspaOverlap::Refused).unwrap();
        let mut payloads: Vec<(Payload, Option<u64>)> = Vec::new();
        for _ in 0..rng.below(40) {
            payloads.push((payload(&mut rng), (!rng.one_in(3)).then_some(1_000)));
        }
        // Some of what is asserted is there already.
        for entry in exceptions.entries() {
            if let Some(payload) = asserted(entry.rule()).filter(|_| rng.one_in(3)) {
                payloads.push((payload, Some(2_000)));
            }
        }
        let rows = built(&payloads);
        let applied = exceptions.apply(&rows, Attribute::LOCAL);
        let before = listed(&rows);
        let rules: Vec<&Rule> = exceptions.entries().map(|entry| entry.rule()).collect();

        let mut expected: Vec<EntryEffect> = Vec::new();
        for rule in &rules {
            let matching = before.iter().filter(|(payload, ..)| matches(rule, payload));
            let alone = |(payload, ..): &&(Payload, Option<u64>, bool, u16)| {
                rules.iter().filter(|rule| matches(rule, payload)).count() == 1
            };
            let (matched, alone) = (matching.clone().count(), matching.filter(alone).count());
            expected.push(match asserted(rule) {
                None => EntryEffect::Filter { matched, alone },
                Some(_) => EntryEffect::Assertion { added: false },
            });
        }
        let filtered = |payload: &Payload| rules.iter().any(|rule| matches(rule, payload));
        let mut served: Vec<_> = before
            .iter()
            .filter(|(p, ..)| !filtered(p))
            .cloned()
            .collect();
        let removed = before.len() - served.len();
        for (place, rule) in rules.iter().enumerate() {
            let Some(payload) = asserted(rule) else {
                continue;
            };
            match served.iter_mut().find(|(other, ..)| *other == payload) {
                Some(row) => {
                    row.1 = None;
                    row.3 |= Attribute::LOCAL;
                    kept += usize::from(row.2);
                }
                None => {
                    readded += usize::from(before.iter().any(|(p, ..)| *p == payload));
                    served.push((payload, None, false, Attribute::LOCAL));
                    expected[place] = EntryEffect::Assertion { added: true };
                }
            }
        }
        let found = listed(&applied.rows);
        assert_eq!(found.len(), served.len(), "{exceptions:?}");
        for row in &served {
            assert!(found.contains(row), "{row:?} of {exceptions:?}");
        }
        check_order(&applied.rows);
        check_sharing(&rows, &applied.rows);
        check_effect(&applied.effect, &expected, removed, &exceptions);
        shadowed += applied.effect.shadowed().count();
        check_look_ups(&exceptions, &before);
    }
    assert!(
        shadowed > 100 && readded > 100 && kept > 100,
        "{shadowed} {readded} {kept}"
    );
}

fn check_order(rows: &Rows) {
    assert!(rows.v4().records().is_sorted_by(|a, b| a < b));
    assert!(rows.v6().records().is_sorted_by(|a, b| a < b));
    assert!(rows.router_keys().records().is_sorted_by(|a, b| a < b));
    assert!(rows.aspas().records().is_sorted_by(|a, b| a < b));
}

/// A table whose records are the same is the same.
fn check_sharing(before: &Rows, after: &Rows) {
    fn check<T: PartialEq>(before: &Table<T>, after: &Table<T>, touched: bool) {
        if before.records() == after.records() && !touched {
            assert!(Arc::ptr_eq(before.records(), after.records()));
        }
    }
    // A row that was filtered and asserted is exchanged for one without a trust anchor.
    let exchanged = listed(after).iter().any(|(_, _, anchor, _)| !anchor);
    check(before.v4(), after.v4(), exchanged);
    check(before.v6(), after.v6(), exchanged);
    check(before.router_keys(), after.router_keys(), exchanged);
    check(before.aspas(), after.aspas(), exchanged);
}

fn check_effect(
    effect: &Effect,
    expected: &[EntryEffect],
    removed: usize,
    exceptions: &Exceptions,
) {
    let found: Vec<EntryEffect> = effect.entries().map(|(_, effect)| effect).collect();
    assert_eq!(found, expected, "{exceptions:?}");
    let is_added = |effect: &&EntryEffect| matches!(effect, EntryEffect::Assertion { added: true });
    let added = expected.iter().filter(is_added).count();
    assert_eq!((effect.removed(), effect.added()), (removed, added));
    let idle = expected.iter().filter(|effect| effect.is_idle()).count();
    assert_eq!(effect.idle().count(), idle);
}

/// What is found by a search is what is found by a scan.
fn check_look_ups(exceptions: &Exceptions, rows: &[(Payload, Option<u64>, bool, u16)]) {
    let scan = |wanted: &dyn Fn(&Rule) -> bool| -> Vec<Entry<'_>> {
        exceptions
            .entries()
            .filter(|entry| wanted(entry.rule()))
            .collect()
    };
    for (payload, ..) in rows {
        let filters = match payload {
            Payload::Vrp(vrp) => exceptions.filters_of(vrp),
            Payload::Key(key) => exceptions.filters_of_router_key(key),
            Payload::Aspa(aspa) => exceptions.filters_of_customer(aspa.customer()),
        };
        assert_eq!(filters, scan(&|rule| matches(rule, payload)));
        let Payload::Vrp(vrp) = payload else { continue };
        let covers = |rule: &Rule| matches!(rule, Rule::PrefixAssertion(asserted) if asserted.prefix().contains(&vrp.prefix()));
        assert_eq!(exceptions.assertions_covering(vrp.prefix()), scan(&covers));
    }
}

#[test]
fn files_combine_exactly_when_none_overlap() {
    let mut rng = Rng(42);
    let mut results = BTreeMap::new();
    for _ in 0..3_000 {
        let count = 2 + rng.below(2);
        let files: Vec<File> = (0..count).map(|n| file(&n.to_string(), &mut rng)).collect();
        // The entries that overlap one of another file.
        let mut overlapping = Vec::new();
        for (place, own) in files.iter().enumerate() {
            for record in own.records() {
                let others = files
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != place);
                let mut rules = others.flat_map(|(_, file)| file.records());
                if rules.any(|other| overlap(&record.rule, &other.rule)) {
                    overlapping.push((own.name(), record.list(), record.index));
                }
            }
        }
        let combined = combine(files.clone(), AspaOverlap::Refused);
        *results.entry(combined.is_ok()).or_insert(0) += 1;
        match combined {
            Ok(exceptions) => {
                assert!(overlapping.is_empty(), "{overlapping:?}");
                let entries: usize = files.iter().map(|file| file.records().len()).sum();
                assert_eq!(exceptions.len(), entries);
            }
            Err(error) => {
                assert_eq!(error.count, error.conflicts.len());
                for conflict in &error.conflicts {
                    assert_ne!(conflict.first.file, conflict.second.file);
                    for named in [&conflict.first, &conflict.second] {
                        let name = (named.file.as_str(), named.list, named.index);
                        assert!(overlapping.contains(&name), "{conflict}");
                    }
                }
            }
        }
    }
    assert!(
        results[&true] > 100 && results[&false] > 1_000,
        "{results:?}"
    );
}
