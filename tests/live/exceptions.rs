//! Local exceptions as operators and programs write them: each file that was found, in both
//! readings.

use std::fs;
use std::io::Read;
use std::path::Path;

use lzma_rust2::XzReader;
use rutter::payload::{Attribute, Rows};
use rutter::slurm::{AspaOverlap, FaultKind, Parsed, Reading, combine, parse};

use crate::support::{Need, not_run, shared_data};

/// A file of `tests/data/slurm`, or of the shared data.
fn file(name: &str) -> Option<Vec<u8>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/slurm")
        .join(name);
    let shared = || shared_data().map(|folder| folder.join("slurm").join(name));
    let Some(path) = Some(own).filter(|own| own.is_file()).or_else(shared) else {
        not_run(name, Need::Shared, "no such file beside the repository");
        return None;
    };
    let octets = fs::read(&path).unwrap();
    if !name.ends_with(".xz") {
        return Some(octets);
    }
    let mut text = Vec::new();
    let mut unpacked = XzReader::new(octets.as_slice(), true);
    unpacked.read_to_end(&mut text).unwrap();
    Some(text)
}

/// How many filters and assertions a file has, and how many leniencies it took.
fn counts(parsed: &Parsed) -> (usize, usize, usize) {
    let records = parsed.file.records();
    let is_filter = |record: &&rutter::slurm::Record| record.list().is_filter();
    let filters = records.iter().filter(is_filter).count();
    (filters, records.len() - filters, parsed.leniency_count)
}

/// The faults of a file, which must be refused in this reading: how many, and each of those that
/// are kept without the name.
#[track_caller]
fn refused(name: &str, reading: Reading) -> Option<(usize, Vec<String>)> {
    let text = file(name)?;
    let error = parse(name, &text, reading).unwrap_err();
    let faults = error.faults.iter().map(ToString::to_string).collect();
    Some((error.count, faults))
}

#[track_caller]
fn read(name: &str, reading: Reading, expected: (usize, usize, usize)) {
    let Some(text) = file(name) else { return };
    let parsed = parse(name, &text, reading).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(counts(&parsed), expected, "{name}: {:?}", parsed.leniencies);
    let exceptions = combine(vec![parsed.file], AspaOverlap::Refused).unwrap();
    let applied = exceptions.apply(&Rows::default(), Attribute::LOCAL);
    assert_eq!(applied.effect.added(), applied.rows.len(), "{name}");
}

#[test]
fn conformant_files_are_read_in_both_readings() {
    for (name, strict, lenient) in [
        ("routinator-empty.json", (0, 0, 0), (0, 0, 0)),
        ("fort-demo.slurm", (4, 2, 0), (4, 2, 0)),
        ("slopq4-as133469.slurm.json", (0, 5, 0), (0, 5, 0)),
        (
            "neonetwork-2026-08-21.rfc8416.json.xz",
            (0, 190, 0),
            (0, 190, 0),
        ),
        (
            "dn42-2018-12.valid.export_rfc8416_dn42.json.xz",
            (0, 2_572, 0),
            (0, 2_572, 0),
        ),
        // Its key is not in the alphabet that the same text demands.
        (
            "draft-ietf-sidrops-aspa-slurm.example.json",
            (7, 4, 1),
            (7, 4, 1),
        ),
    ] {
        read(name, Reading::Strict, strict);
        read(name, Reading::Lenient, lenient);
    }
}

/// Conformant but for keys that are no keys, which test files make up.
#[test]
fn only_their_keys_are_wrong() {
    for (name, keys, lenient) in [
        ("rpki-rs-full.json", 1, (6, 3, 1)),
        ("routinator-output-111.slurm.json", 2, (0, 4, 4)),
        ("routinator-output-111.slurm2.json", 2, (0, 6, 5)),
    ] {
        let Some(text) = file(name) else { continue };
        let error = parse(name, &text, Reading::Strict).unwrap_err();
        let kinds: Vec<FaultKind> = error.faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds, vec![FaultKind::Key; keys], "{name}");
        read(name, Reading::Lenient, lenient);
    }
}

#[test]
fn files_with_habits_are_read_leniently_only() {
    for (name, faults, lenient) in [
        ("stayrtr-test.slurm.json", 1, (1, 1, 1)),
        ("rpki-rs-full_v2.json", 2, (7, 4, 2)),
        (
            "dn42-2018-12.string-asn.export_rfc8416_dn42.json.xz",
            5_140,
            (0, 2_570, 5_140),
        ),
    ] {
        if let Some((count, _)) = refused(name, Reading::Strict) {
            assert_eq!(count, faults, "{name}");
        }
        read(name, Reading::Lenient, lenient);
    }
}

#[test]
fn files_that_say_nothing_definite_are_refused_in_both_readings() {
    for (name, strict, lenient) in [
        ("hivedc-rpki-exceptions.json", 2, HIVEDC),
        ("routinator-bad_maxlen.json", 5, BAD_MAXLEN),
        ("rtrtr-exceptions.json", 4, RTRTR),
        ("rpki-prover-slurm1.json", 4, PROVER),
        ("stayrtr-prefixfile-slurm.json", 6, STAYRTR),
        ("dn42-2022-01-29.export_rfc8416_dn42.json.xz", 6_627, DN42),
    ] {
        if let Some((count, _)) = refused(name, Reading::Strict) {
            assert_eq!(count, strict, "{name}");
        }
        if let Some((count, faults)) = refused(name, Reading::Lenient) {
            assert_eq!(faults, lenient, "{name}");
            assert_eq!(count, lenient.len(), "{name}");
        }
    }
}

const HIVEDC: &[&str] = &[
    "15:17: locallyAddedAssertions.prefixAssertions[0].prefix: expected a prefix, found \
     \"170.39.196.X/28\"",
    "20:17: locallyAddedAssertions.prefixAssertions[1].prefix: expected a prefix, found \
     \"170.39.196.Y/29\"",
];
const BAD_MAXLEN: &[&str] = &[
    "25:16: validationOutputFilters.bgpsecFilters[1].SKI: expected the base64 of 20 octets, \
     found 3 octets",
    "30:16: validationOutputFilters.bgpsecFilters[2].SKI: expected the base64 of 20 octets, \
     found 3 octets",
    "40:28: locallyAddedAssertions.prefixAssertions[0].maxPrefixLength: expected a number from 24 to \
     32 for 198.51.100.0/24, found 20",
    "54:16: locallyAddedAssertions.bgpsecAssertions[0].SKI: expected base64url without \
     padding, found \"<\" as character 1",
    "55:28: locallyAddedAssertions.bgpsecAssertions[0].routerPublicKey: expected base64url without \
     padding, found \"<\" as character 1",
];
const RTRTR: &[&str] = &[
    "25:16: validationOutputFilters.bgpsecFilters[1].SKI: expected the base64 of 20 octets, \
     found 3 octets",
    "30:16: validationOutputFilters.bgpsecFilters[2].SKI: expected the base64 of 20 octets, \
     found 3 octets",
    "53:16: locallyAddedAssertions.bgpsecAssertions[0].SKI: expected base64url without \
     padding, found \"<\" as character 1",
    "54:28: locallyAddedAssertions.bgpsecAssertions[0].routerPublicKey: expected base64url without \
     padding, found \"<\" as character 1",
];
const PROVER: &[&str] = &[
    "29:24: validationOutputFilters.bgpsecFilters[1].SKI: expected the base64 of 20 octets, \
     found 3 octets",
    "34:24: validationOutputFilters.bgpsecFilters[2].SKI: expected the base64 of 20 octets, \
     found 3 octets",
];
const STAYRTR: &[&str] = &[
    "25:16: validationOutputFilters.bgpsecFilters[1].SKI: expected the base64 of 20 octets, \
     found 16 octets",
    "30:16: validationOutputFilters.bgpsecFilters[2].SKI: expected the base64 of 20 octets, \
     found 16 octets",
];
const DN42: &[&str] = &[
    "873:27: locallyAddedAssertions.prefixAssertions[123].prefix: expected a prefix in a text, found \
     null",
    "10931:24: locallyAddedAssertions.prefixAssertions[1560].asn: expected an AS number from 0 to \
     4294967295, found the text \"\"",
    "23188:24: locallyAddedAssertions.prefixAssertions[3311].asn: expected an AS number from 0 to \
     4294967295, found the text \"\"",
];
