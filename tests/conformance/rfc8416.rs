//! Local exceptions (RFC 8416): the examples that we ship do what they say.

use rutter::payload::{
    Asn, Aspa, Attribute, DataSet, PayloadSet, RouterKey, Rows, RowsBuilder, Vrp,
};
use rutter::slurm::{AspaOverlap, Exceptions, File, Reading, combine, parse};

const EXAMPLES: [(&str, &str); 6] = [
    (
        "own-prefixes.json",
        include_str!("../../slurm/own-prefixes.json"),
    ),
    (
        "private-as.json",
        include_str!("../../slurm/private-as.json"),
    ),
    (
        "emergency-override.json",
        include_str!("../../slurm/emergency-override.json"),
    ),
    ("as0.json", include_str!("../../slurm/as0.json")),
    ("aspa.json", include_str!("../../slurm/aspa.json")),
    ("bgpsec.json", include_str!("../../slurm/bgpsec.json")),
];

/// SHA-1 of what `bgpsec.json` filters.
const RETIRED: [u8; 20] = [
    0xdd, 0x14, 0xb9, 0x4b, 0x0e, 0xed, 0x75, 0x15, 0xd8, 0x0d, 0x29, 0x6f, 0xdc, 0xc7, 0x8d, 0x98,
    0x1b, 0x45, 0xd6, 0x8e,
];

fn example(name: &str) -> File {
    let found = EXAMPLES.iter().find(|(other, _)| *other == name).unwrap();
    let parsed = parse(name, found.1.as_bytes(), Reading::Strict);
    let parsed = parsed.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(parsed.leniencies, []);
    // An example explains every entry.
    let records = parsed.file.records();
    assert!(records.iter().all(|record| record.comment.is_some()));
    parsed.file
}

fn exceptions(files: Vec<File>) -> Exceptions {
    combine(files, AspaOverlap::Refused).unwrap_or_else(|error| panic!("{error}"))
}

/// What validators found.
fn validated() -> Rows {
    let mut rows = RowsBuilder::new();
    let attribute = Attribute::default();
    for (prefix, max_len, asn) in [
        ("192.0.2.0/24", 24, 64499),
        ("192.0.2.128/25", 25, 64499),
        ("192.0.0.0/16", 24, 64499),
        ("198.51.100.0/24", 24, 64512),
        ("203.0.113.0/24", 24, 64500),
        ("203.0.113.0/24", 24, 64502),
        ("2001:db8:1::/48", 48, 64499),
        ("2001:db8:8000::/33", 48, 64499),
        ("2001:db8:8000::/34", 34, 4_200_000_000),
    ] {
        let vrp = Vrp::new(prefix.parse().unwrap(), max_len, Asn::new(asn));
        rows.push_vrp(vrp.unwrap(), attribute);
    }
    for (ski, asn) in [([1; 20], 64497), (RETIRED, 64498), ([2; 20], 64498)] {
        let key = RouterKey::new(ski, Asn::new(asn), &[0x30, 0]).unwrap();
        rows.push_router_key(key, attribute);
    }
    for customer in [64500, 65536] {
        let aspa = Aspa::new(Asn::new(customer), vec![Asn::new(64503)]).unwrap();
        rows.push_aspa(aspa, attribute);
    }
    rows.finish()
}

fn providers(aspa: &Aspa) -> String {
    let providers: Vec<String> = aspa.providers().iter().map(ToString::to_string).collect();
    format!("{} by {}", aspa.customer(), providers.join(", "))
}

fn texts(set: &PayloadSet) -> Vec<String> {
    let vrps = set.vrps().map(|vrp| vrp.to_string());
    let keys = set.router_keys().iter().map(|key| format!("{key:?}"));
    let aspas = set.aspas().iter().map(providers);
    vrps.chain(keys).chain(aspas).collect()
}

/// Applies the files, and says what is served less and more; no entry may do nothing.
fn changes(files: Vec<File>) -> (Vec<String>, Vec<String>) {
    let rows = validated();
    let before = texts(DataSet::new(&rows).payload());
    let applied = exceptions(files).apply(&rows, Attribute::LOCAL);
    let idle: Vec<String> = applied
        .effect
        .idle()
        .map(|entry| entry.to_string())
        .collect();
    assert_eq!(idle, [""; 0]);
    let after = texts(DataSet::new(&applied.rows).payload());
    let without = |these: &[String], those: &[String]| {
        let left = these.iter().filter(|text| !those.contains(text));
        left.cloned().collect()
    };
    (without(&before, &after), without(&after, &before))
}

#[track_caller]
fn does(name: &str, removed: &[&str], added: &[&str]) {
    let (less, more) = changes(vec![example(name)]);
    assert_eq!(less, removed);
    assert_eq!(more, added);
}

#[test]
fn own_prefixes_replaces_what_is_inside() {
    does(
        "own-prefixes.json",
        &[
            "192.0.2.128/25-25 AS64499",
            "192.0.2.0/24-24 AS64499",
            "2001:db8:1::/48-48 AS64499",
        ],
        &["192.0.2.0/24-24 AS64496", "2001:db8::/33-48 AS64496"],
    );
}

#[test]
fn private_as_belongs_to_us_alone() {
    does(
        "private-as.json",
        &[
            "198.51.100.0/24-24 AS64512",
            "2001:db8:8000::/34-34 AS4200000000",
        ],
        &[
            "198.51.100.64/26-28 AS4200000000",
            "198.51.100.0/26-26 AS64512",
        ],
    );
}

#[test]
fn emergency_override_exchanges_one_vrp() {
    does(
        "emergency-override.json",
        &["203.0.113.0/24-24 AS64500"],
        &["203.0.113.0/24-24 AS64501"],
    );
}

#[test]
fn as0_adds_what_nobody_may_announce() {
    let added = ["198.51.100.128/25-32 AS0", "3fff::/20-128 AS0"];
    does("as0.json", &[], &added);
}

#[test]
fn aspa_replaces_denies_and_adds_providers() {
    does(
        "aspa.json",
        &["AS64500 by AS64503", "AS65536 by AS64503"],
        &[
            "AS64500 by AS64501, AS64502",
            "AS64511 by AS0",
            "AS65536 by AS64501, AS64503",
        ],
    );
}

#[test]
fn bgpsec_removes_and_adds_router_keys() {
    does(
        "bgpsec.json",
        &[
            "0101010101010101010101010101010101010101 AS64497",
            "dd14b94b0eed7515d80d296fdcc78d981b45d68e AS64498",
        ],
        &["482c34046406f9e7e3747920c4bf1f2c0ef4fd9a AS64496"],
    );
}

#[test]
fn all_examples_can_be_used_together() {
    let files: Vec<File> = EXAMPLES.iter().map(|(name, _)| example(name)).collect();
    let (removed, added) = changes(files.clone());
    let each = files.into_iter().map(|file| changes(vec![file]));
    let (mut less, mut more) = (0, 0);
    for (removed, added) in each {
        less += removed.len();
        more += added.len();
    }
    assert_eq!((removed.len(), added.len()), (less, more));
}

#[test]
fn a_copy_conflicts_with_the_original() {
    for (name, text) in EXAMPLES {
        let copy = parse("copy.json", text.as_bytes(), Reading::Strict).unwrap();
        let error = combine(vec![example(name), copy.file], AspaOverlap::Refused).unwrap_err();
        let first = error.conflicts.first().unwrap();
        assert_ne!(first.first.file, first.second.file);
    }
    let original = example("emergency-override.json");
    let copy = parse("copy.json", EXAMPLES[2].1.as_bytes(), Reading::Strict).unwrap();
    let error = combine(vec![original, copy.file], AspaOverlap::Refused).unwrap_err();
    assert_eq!(
        error.to_string(),
        "copy.json:5:7: prefixFilters[0] (203.0.113.0/24 AS64500) overlaps \
         emergency-override.json:15:7: prefixAssertions[0] (203.0.113.0/24-24 AS64501) in the \
         addresses of 203.0.113.0/24\n\
         copy.json:15:7: prefixAssertions[0] (203.0.113.0/24-24 AS64501) overlaps \
         emergency-override.json:15:7: prefixAssertions[0] (203.0.113.0/24-24 AS64501) in the \
         addresses of 203.0.113.0/24"
    );
}

#[test]
fn the_same_customer_in_two_files_is_a_choice() {
    let copy = |name| parse(name, EXAMPLES[4].1.as_bytes(), Reading::Strict).unwrap();
    let files = || vec![copy("a.json").file, copy("b.json").file];
    let error = combine(files(), AspaOverlap::Refused).unwrap_err();
    assert_eq!((error.count, error.conflicts.len()), (4, 4));
    let both = combine(files(), AspaOverlap::Allowed).unwrap();
    assert_eq!(both.len(), 8);
    // What the other file says already does nothing; its filter matches what the other one does.
    let effect = both.apply(&validated(), Attribute::LOCAL).effect;
    let idle: Vec<String> = effect.idle().map(|entry| entry.to_string()).collect();
    assert_eq!(
        idle,
        [
            "b.json aspaAssertions[0] (AS64500 by AS64501, AS64502)",
            "b.json aspaAssertions[1] (AS64511 by AS0)",
            "b.json aspaAssertions[2] (AS65536 by AS64501)",
        ]
    );
    assert_eq!(effect.shadowed().count(), 2);
}

#[test]
fn equal_exceptions_are_known_as_equal() {
    let one = exceptions(vec![example("as0.json")]);
    assert_eq!(one, exceptions(vec![example("as0.json")]));
    assert_ne!(one, exceptions(vec![example("aspa.json")]));
    assert!(Exceptions::default().is_empty() && !one.is_empty());
    let rows = validated();
    assert_eq!(
        Exceptions::default().apply(&rows, Attribute::LOCAL).rows,
        rows
    );
}
