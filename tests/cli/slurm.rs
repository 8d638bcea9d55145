//! `rutter slurm check`: faults with their places, conflicts, and what entries do to a set.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Parser;
use rutter::cli::{Cli, Command};
use serde_json::Value;

use super::program::{command, run, rutter};
use super::validate::examples;
use crate::support::payloads::{Payloads, Vrp};
use crate::support::server::RtrServer;
use crate::support::temp_dir;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A file of version 1 with these entries.
fn slurm(filters: &[&str], assertions: &[&str]) -> String {
    format!(
        "{{\n \"slurmVersion\": 1,\n \"validationOutputFilters\": {{\n  \"prefixFilters\": [\n   {}\n  ],\n  \
         \"bgpsecFilters\": []\n }},\n \"locallyAddedAssertions\": {{\n  \"prefixAssertions\": [\n   \
         {}\n  ],\n  \"bgpsecAssertions\": []\n }}\n}}\n",
        filters.join(",\n   "),
        assertions.join(",\n   ")
    )
}

/// A folder with files of these names.
fn files(files: &[(&str, String)]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = temp_dir();
    let paths = files
        .iter()
        .map(|(name, content)| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        })
        .collect();
    (folder, paths)
}

#[test]
fn good_files_are_counted() {
    let one = slurm(&["{\"asn\": 64496}", "{\"asn\": 64497}"], &[]);
    let two = slurm(&[], &["{\"asn\": 64496, \"prefix\": \"192.0.2.0/24\"}"]);
    let (folder, paths) = files(&[
        ("b.json", one.clone()),
        ("a.slurm", two.clone()),
        ("notes.txt", "none".into()),
        (".c.json", "none".into()),
    ]);
    let [b, a, ..] = paths.as_slice() else {
        panic!()
    };
    let told_b = format!("{}: ok, 2 filters, 0 assertions\n", text(b));
    let told_a = format!("{}: ok, 0 filters, 1 assertions\n", text(a));
    // Those that are named come in their order, those of a folder by name.
    let check = |paths: &[&str]| rutter(["slurm", "check"].iter().chain(paths)).done();
    assert_eq!(check(&[text(b), text(a)]), format!("{told_b}{told_a}"));
    assert_eq!(check(&[text(folder.path())]), format!("{told_a}{told_b}"));
    let ran = run(command(["slurm", "check", "-"]).stdin(File::open(b).unwrap()));
    assert_eq!(ran.done(), "-: ok, 2 filters, 0 assertions\n");
}

#[test]
fn every_fault_has_its_place() {
    let bad = slurm(
        &["{\"asn\": \"64496\"}", "{}"],
        &["{\"asn\": 64496, \"prefix\": \"192.0.2.0/24\", \"maxPrefixLength\": 20}"],
    );
    let (_folder, paths) = files(&[("bad.json", bad), ("good.json", slurm(&[], &[]))]);
    let [bad, good] = paths.as_slice() else {
        panic!()
    };
    let ran = rutter(["slurm", "check", text(bad), text(good)]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.out);
    for (line, place) in lines.iter().zip([
        "5:12: validationOutputFilters.prefixFilters[0].asn: ",
        "6:4: validationOutputFilters.prefixFilters[1]: ",
        "12:64: locallyAddedAssertions.prefixAssertions[0].maxPrefixLength: ",
    ]) {
        let expected = format!("{}:{place}", text(bad));
        assert!(line.starts_with(&expected), "{line} is not at {expected}");
    }
    assert_eq!(
        lines[3],
        format!("{}: ok, 0 filters, 0 assertions", text(good))
    );
    let ran = rutter(["slurm", "check", text(bad), "--output", "json"]);
    assert_eq!(ran.code, Some(1));
    let check: Value = serde_json::from_str(&ran.out).unwrap();
    let file = &check["files"][0];
    assert_eq!(
        (&file["state"], &file["fault_count"]),
        (&"refused".into(), &3.into())
    );
    assert_eq!(
        (&file["faults"][0]["line"], &file["faults"][0]["column"]),
        (&5.into(), &12.into())
    );
}

#[test]
fn what_is_tolerated_is_told() {
    let (_folder, paths) = files(&[("old.json", slurm(&["{\"asn\": \"64496\"}"], &[]))]);
    let old = text(&paths[0]);
    let strict = rutter(["slurm", "check", old]);
    assert_eq!(strict.code, Some(1));
    let out = rutter(["slurm", "check", old, "--lenient"]).done();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with(&format!("{old}:5:12: tolerated: validationOutputFilters.")));
    assert_eq!(lines[1], format!("{old}: ok, 1 filters, 0 assertions"));
}

#[test]
fn files_that_cannot_be_together_are_a_conflict() {
    let (_folder, paths) = files(&[
        ("a.json", slurm(&["{\"prefix\": \"192.0.0.0/16\"}"], &[])),
        ("b.json", slurm(&["{\"prefix\": \"192.0.2.0/24\"}"], &[])),
    ]);
    let (a, b) = (text(&paths[0]), text(&paths[1]));
    let ran = rutter(["slurm", "check", a, b]);
    assert_eq!(ran.code, Some(1));
    let last = ran.out.lines().last().unwrap();
    assert!(last.starts_with(&format!(
        "{b}:5:4: prefixFilters[0] (192.0.2.0/24) overlaps {a}:5:4: "
    )));
    let ran = rutter(["slurm", "check", a, b, "--output", "json"]);
    let check: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(check["conflict_count"], 1);
    assert_eq!(check["conflicts"][0]["second"]["rule"], "192.0.2.0/24");
    // A set is not asked for when it would be in vain.
    let ran = rutter(["slurm", "check", a, b, "--against", "tcp://127.0.0.1:1"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("not held against tcp://127.0.0.1:1"),
        "{}",
        ran.err
    );
}

#[test]
fn customers_of_two_files_need_a_word() {
    let aspa = |provider: u32| {
        format!(
            "{{\"slurmVersion\":2,\"validationOutputFilters\":{{\"prefixFilters\":[],\
             \"bgpsecFilters\":[],\"aspaFilters\":[]}},\"locallyAddedAssertions\":\
             {{\"prefixAssertions\":[],\"bgpsecAssertions\":[],\"aspaAssertions\":[\
             {{\"customerAsn\":64496,\"providerAsns\":[{provider}]}}]}}}}"
        )
    };
    let (folder, _) = files(&[("a.json", aspa(64501)), ("b.json", aspa(64502))]);
    let check = ["slurm", "check", text(folder.path())];
    let ran = rutter(check);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("the ASPAs of AS64496"));
    rutter(check.iter().chain(&["--aspa-overlap"])).done();
}

#[test]
fn files_that_cannot_be_read_leave_it_undetermined() {
    let (folder, paths) = files(&[("good.json", slurm(&[], &[]))]);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for (missing, reason) in [
        ("/nowhere/x.json", "cannot be read"),
        (text(&empty), "found none"),
    ] {
        let ran = rutter(["slurm", "check", missing, text(&paths[0])]);
        assert_eq!(ran.code, Some(2));
        assert!(ran.out.contains(&format!("{missing}: ")) && ran.out.contains(reason));
        // The others are checked all the same.
        assert!(ran.out.contains("good.json: ok"));
    }
    let ran = rutter(["slurm", "check", text(&paths[0]), "--against", "/nowhere"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.out.contains("good.json: ok") && ran.err.contains("/nowhere"));
    rutter(["slurm", "check", "-", "--against", "-"]).fails_with("once only");
    rutter(["slurm", "check"]).fails_with("FILE");
}

/// Ten VRPs of AS64496 in 10.0.0.0/8, and one of AS64497 beside them.
fn payloads() -> Payloads {
    let mut payloads = Payloads::default();
    for third in 0..10 {
        let address = format!("10.0.{third}.0").parse().unwrap();
        payloads.vrps.insert(Vrp::new(address, 24, 24, 64496));
    }
    let address = "192.0.2.0".parse().unwrap();
    payloads.vrps.insert(Vrp::new(address, 24, 24, 64497));
    payloads
}

#[test]
fn each_entry_says_what_it_does_to_a_set() {
    let (folder, paths) = files(&[(
        "x.json",
        slurm(
            &[
                "{\"prefix\": \"10.0.0.0/8\"}",
                "{\"prefix\": \"10.0.1.0/24\", \"asn\": 64496, \"comment\": \"twice\"}",
                "{\"asn\": 64499}",
            ],
            &[
                "{\"asn\": 64498, \"prefix\": \"198.51.100.0/24\"}",
                "{\"asn\": 64497, \"prefix\": \"192.0.2.0/24\", \"maxPrefixLength\": 24}",
            ],
        ),
    )]);
    let x = text(&paths[0]);
    let set = folder.path().join("vrps.csv");
    let server = RtrServer::start(&payloads());
    let at = format!("tcp://127.0.0.1:{}", server.port());
    let csv = rutter(["dump", &at, "--output", "csv"]).done();
    fs::write(&set, csv).unwrap();
    for from in [at.as_str(), text(&set)] {
        let out = rutter(["slurm", "check", x, "--against", from]).done();
        assert_eq!(
            out,
            format!(
                "{x}: ok, 3 filters, 2 assertions\n\
                 {x}:5:4: prefixFilters[0] (10.0.0.0/8): removes 10, 9 of them alone\n\
                 {x}:6:4: prefixFilters[1] (10.0.1.0/24 AS64496): removes 1, none of them \
                 alone: shadowed by {x} prefixFilters[0] (10.0.0.0/8)\n\
                 {x}:7:4: prefixFilters[2] (AS64499): removes nothing\n\
                 {x}:13:4: prefixAssertions[0] (198.51.100.0/24-24 AS64498): adds it\n\
                 {x}:14:4: prefixAssertions[1] (192.0.2.0/24-24 AS64497): adds nothing, it is \
                 there\n\
                 5 entries against {from}: 10 removed, 1 added; 2 entries do nothing, 1 are \
                 shadowed\n                BEFORE     AFTER\n\
                 IPv4 VRPs           11         2\n\
                 IPv6 VRPs            0         0\n\
                 router keys          0         0\n\
                 ASPAs                0         0\n"
            )
        );
    }
    let out = rutter(["slurm", "check", x, "--against", text(&set), "--verbose"]).done();
    assert!(out.contains("\n    - 10.0.1.0/24-24 AS64496\n"));
    assert!(out.contains("\n    and 5 more\n"));
    let json = [
        "slurm",
        "check",
        x,
        "--against",
        text(&set),
        "--output",
        "json",
    ];
    let check: Value = serde_json::from_str(&rutter(json).done()).unwrap();
    let against = &check["against"];
    assert_eq!(against["before"]["ipv4"], 11);
    assert_eq!(against["after"]["ipv4"], 2);
    let entry = |place: usize| &against["entries"][place];
    assert_eq!(
        (&entry(0)["matched"], &entry(0)["alone"]),
        (&10.into(), &9.into())
    );
    assert_eq!(entry(1)["shadowed"], true);
    assert_eq!(entry(1)["comment"], "twice");
    assert_eq!(entry(2)["idle"], true);
    assert_eq!(
        (&entry(3)["kind"], &entry(3)["added"]),
        (&"assertion".into(), &true.into())
    );
    assert_eq!(entry(4)["idle"], true);
}

#[test]
fn what_expired_is_left_out_first() {
    let (folder, paths) = files(&[("x.json", slurm(&["{\"asn\": 64496}"], &[]))]);
    let set = folder.path().join("vrps.json");
    let roa = |third: u32, expires: u64| {
        format!(
            "{{\"asn\":64496,\"prefix\":\"10.0.{third}.0/24\",\"maxLength\":24,\"ta\":\"x\",\
             \"expires\":{expires}}}"
        )
    };
    let roas = [roa(1, 1), roa(2, 4_000_000_000), roa(3, 2)].join(",");
    fs::write(&set, format!("{{\"roas\":[{roas}]}}")).unwrap();
    let out = rutter(["slurm", "check", text(&paths[0]), "--against", text(&set)]).done();
    assert!(
        out.contains("2 payloads of") && out.contains("have expired"),
        "{out}"
    );
    assert!(out.contains("(AS64496): removes 1\n"));
}

#[test]
fn the_examples_that_are_shipped_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("slurm");
    let out = rutter(["slurm", "check", text(&folder)]).done();
    assert!(out.lines().count() >= 5 && out.lines().all(|line| line.contains(": ok, ")));
}

#[test]
fn every_example_of_the_help_means_something() {
    let help = rutter(["slurm", "check", "--help"]).done();
    let examples = examples(&help);
    assert_eq!(examples.len(), 4);
    for words in examples {
        let cli = Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
        assert!(matches!(cli.command, Command::Slurm(_)), "{words:?}");
    }
}
