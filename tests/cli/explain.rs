//! `rutter explain`: from lists, without a server.

use std::fs::{self, File};
use std::path::Path;

use clap::Parser;
use rutter::cli::{Cli, Command};
use serde_json::Value;

use super::program::{Ran, command, run, rutter};
use super::validate::examples;
use crate::support::payloads::{Payloads, Vrp};
use crate::support::server::RtrServer;
use crate::support::temp_dir;

const VRPS: &str = "\
ASN,IP Prefix,Max Length,Trust Anchor,Expires
AS64496,192.0.2.0/24,25,ta,4000000000
AS64498,192.0.0.0/16,24,ta,1000000000
AS0,198.51.100.0/24,24,ta,4000000000
AS64496,2001:db8::/32,48,ta,4000000000
";

const SLURM: &str = r#"{
  "slurmVersion": 1,
  "validationOutputFilters": {
    "prefixFilters": [{ "asn": 64511 }, { "prefix": "192.0.2.0/24" }],
    "bgpsecFilters": []
  },
  "locallyAddedAssertions": {
    "prefixAssertions": [{ "prefix": "192.0.2.0/24", "asn": 64499 }],
    "bgpsecAssertions": []
  }
}
"#;

/// A folder with `vrps.csv` and `s.json`.
fn folder() -> tempfile::TempDir {
    let folder = temp_dir();
    fs::write(folder.path().join("vrps.csv"), VRPS).unwrap();
    fs::write(folder.path().join("s.json"), SLURM).unwrap();
    folder
}

/// Explains in a folder.
#[track_caller]
fn explain(folder: &Path, arguments: &str) -> Ran {
    let words = arguments.split_ascii_whitespace();
    run(command(["explain"].into_iter().chain(words)).current_dir(folder))
}

#[test]
fn a_list_and_local_exceptions_explain_a_route() {
    let folder = folder();
    let with = |arguments: &str| explain(folder.path(), arguments);
    let valid = "\
192.0.2.0/24 from AS64496 is valid
192.0.0.0/16-24 AS64498, wrong AS: not served, because it has expired
  source vrps.csv, trust anchor ta, expired 2001-09-09T01:46:40Z
192.0.2.0/24-25 AS64496, matches: served
  source vrps.csv, trust anchor ta, expires 2096-10-02T07:06:40Z
";
    assert_eq!(with("192.0.2.0/24 AS64496 --from vrps.csv").done(), valid);
    let ran = with("192.0.2.0/24 64496 --from vrps.csv --slurm s.json");
    let invalid = "\
192.0.2.0/24 from AS64496 is invalid; without local exceptions it would be valid
192.0.0.0/16-24 AS64498, wrong AS: not served, because it has expired
  source vrps.csv, trust anchor ta, expired 2001-09-09T01:46:40Z
192.0.2.0/24-24 AS64499, wrong AS: served, because s.json prefixAssertions[0] (192.0.2.0/24-24 AS64499) asserts it
192.0.2.0/24-25 AS64496, matches: not served, because s.json prefixFilters[1] (192.0.2.0/24) filters it
  source vrps.csv, trust anchor ta, expires 2096-10-02T07:06:40Z
";
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    assert_eq!(ran.out, invalid);
    // From a pipe it is the same.
    let arguments = ["explain", "192.0.2.0/24", "AS64496", "--from", "-"];
    let list = File::open(folder.path().join("vrps.csv")).unwrap();
    let out = run(command(arguments).stdin(list)).done();
    assert_eq!(out, valid.replace("vrps.csv", "-"));
}

#[test]
fn only_an_invalid_route_is_exit_code_1() {
    let folder = folder();
    for (arguments, code, first) in [
        (
            "192.0.2.0/24 64496",
            0,
            "192.0.2.0/24 from AS64496 is valid",
        ),
        (
            "203.0.113.0/24 1",
            0,
            "203.0.113.0/24 from AS1 is not found",
        ),
        ("192.0.2.0/24 1", 1, "192.0.2.0/24 from AS1 is invalid"),
        (
            "192.0.2.0/26 64496",
            1,
            "192.0.2.0/26 from AS64496 is invalid",
        ),
        (
            "198.51.100.0/24 0",
            1,
            "198.51.100.0/24 from AS0 is invalid",
        ),
        // An address is the prefix of its full length, and without an AS nothing is invalid.
        ("198.51.100.9", 0, "198.51.100.0/24-24 AS0: served"),
        ("2001:db8::1", 0, "2001:db8::/32-48 AS64496: served"),
        (
            "2001:db8::1 64496",
            1,
            "2001:db8::1/128 from AS64496 is invalid",
        ),
    ] {
        let ran = explain(folder.path(), &format!("{arguments} --from vrps.csv"));
        assert_eq!(
            (ran.code, ran.out.lines().next()),
            (Some(code), Some(first))
        );
        assert_eq!(ran.err, "");
    }
}

#[test]
fn json_says_the_same() {
    let folder = folder();
    let arguments = "192.0.2.0/24 AS64496 --from vrps.csv --slurm s.json";
    let text = explain(folder.path(), arguments).out;
    let ran = explain(folder.path(), &format!("{arguments} --output json"));
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let words: Vec<&str> = text.lines().collect();
    assert_eq!(json["words"], serde_json::json!(words));
    assert_eq!(json["validity"], "invalid");
    assert_eq!(json["validity_without_exceptions"], "valid");
    let vrps = json["vrps"].as_array().unwrap();
    let served: Vec<bool> = vrps
        .iter()
        .map(|vrp| vrp["served"].as_bool().unwrap())
        .collect();
    assert_eq!(served, [false, true, false]);
    assert_eq!(vrps[0]["sources"][0]["expired"], true);
    assert_eq!(
        vrps[2]["filtered_by"][0],
        "s.json prefixFilters[1] (192.0.2.0/24)"
    );
}

#[test]
fn what_one_of_several_has_counts() {
    let folder = folder();
    let other = VRPS
        .replace("AS64498", "AS64496")
        .replace("1000000000", "4000000000");
    fs::write(folder.path().join("other.csv"), other).unwrap();
    let mut payloads = Payloads::default();
    let vrp = Vrp::new([192, 0, 0, 0].into(), 16, 24, 64498);
    payloads.vrps.insert(vrp);
    let server = RtrServer::start(&payloads);
    let cache = format!("tcp://127.0.0.1:{}", server.port());
    let arguments = format!("192.0.2.0/24 AS64498 --from vrps.csv --from other.csv --from {cache}");
    let expected = format!(
        "\
192.0.2.0/24 from AS64498 is valid
192.0.0.0/16-24 AS64496, wrong AS: served
  source other.csv, trust anchor ta, expires 2096-10-02T07:06:40Z
192.0.0.0/16-24 AS64498, matches: served
  source vrps.csv, trust anchor ta, expired 2001-09-09T01:46:40Z
  source {cache}
192.0.2.0/24-25 AS64496, wrong AS: served
  source vrps.csv, trust anchor ta, expires 2096-10-02T07:06:40Z
  source other.csv, trust anchor ta, expires 2096-10-02T07:06:40Z
"
    );
    assert_eq!(explain(folder.path(), &arguments).done(), expected);
}

#[test]
fn a_list_of_nothing_but_the_past_leaves_it_undetermined() {
    let folder = folder();
    let old = VRPS.replace("4000000000", "1000000001");
    fs::write(folder.path().join("old.csv"), old).unwrap();
    let ran = explain(folder.path(), "192.0.2.0/24 AS64496 --from old.csv");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("all payloads have expired"), "{ran:?}");
    assert!(
        ran.out
            .contains("192.0.2.0/24-25 AS64496, matches: not served, because it has expired\n"),
        "{ran:?}"
    );
    // Beside a list that counts it is an answer.
    let ran = explain(
        folder.path(),
        "192.0.2.0/24 AS64496 --from old.csv --from vrps.csv",
    );
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn what_cannot_be_had_is_exit_code_2() {
    let folder = folder();
    fs::write(
        folder.path().join("bad.json"),
        SLURM.replace("64511", "\"64511\""),
    )
    .unwrap();
    for (arguments, reason) in [
        ("192.0.2.7/24 --from vrps.csv", "its prefix is 192.0.2.0/24"),
        (
            "2001:db8::1/32 --from vrps.csv",
            "its prefix is 2001:db8::/32",
        ),
        ("AS64496 --from vrps.csv", "is not a prefix such as"),
        ("192.0.2.0/24 ASX --from vrps.csv", "ASX"),
        ("192.0.2.0/24 --from nowhere.csv", "nowhere.csv"),
        (
            "192.0.2.0/24 --from vrps.csv --from nowhere.csv",
            "nowhere.csv",
        ),
        (
            "192.0.2.0/24 --from vrps.csv --slurm bad.json",
            "bad.json:4:32",
        ),
        (
            "192.0.2.0/24 --from vrps.csv --slurm nowhere.json",
            "nowhere.json",
        ),
        (
            "192.0.2.0/24 --from - --from -",
            "standard input can be read once only",
        ),
        (
            "192.0.2.0/24 --from - --slurm -",
            "standard input can be read once only",
        ),
        ("192.0.2.0/24 --slurm s.json", "--from"),
        ("192.0.2.0/24 --lenient", "--from"),
        ("192.0.2.0/24 --from vrps.csv --output table", "table"),
        (
            "192.0.2.0/24 --control nowhere/control",
            "no server at nowhere/control",
        ),
    ] {
        explain(folder.path(), arguments).fails_with(reason);
    }
    // What is wrong with a file is wrong in one reading only.
    let lenient = "192.0.2.0/24 --from vrps.csv --slurm bad.json --lenient";
    assert_eq!(explain(folder.path(), lenient).code, Some(0));
}

#[test]
fn every_example_of_the_help_means_something() {
    let examples = examples(&rutter(["explain", "--help"]).done());
    assert_eq!(examples.len(), 5);
    for words in examples {
        let cli = Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
        assert!(matches!(cli.command, Command::Explain(_)), "{words:?}");
    }
}
