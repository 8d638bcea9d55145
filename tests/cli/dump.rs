//! `rutter dump` of documents and of a good cache.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::program::{command, run, rutter};
use crate::support::payloads::{Payloads, Prng, Vrp};
use crate::support::server::RtrServer;
use crate::support::temp_dir;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The VRPs of a dump, each of which must be there once.
#[track_caller]
fn vrps(dump: &Value) -> BTreeSet<Vrp> {
    let rows = dump["roas"].as_array().unwrap();
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let vrp = |row: &Value| {
        let (address, len) = row["prefix"].as_str().unwrap().split_once('/').unwrap();
        let max_len = u8::try_from(number(&row["maxLength"])).unwrap();
        Vrp::new(
            address.parse().unwrap(),
            len.parse().unwrap(),
            max_len,
            number(&row["asn"]),
        )
    };
    let set: BTreeSet<Vrp> = rows.iter().map(vrp).collect();
    assert_eq!(set.len(), rows.len());
    set
}

#[track_caller]
fn is_whole(dump: &str, payloads: &Payloads, kinds: (usize, usize)) -> Value {
    let dump: Value = serde_json::from_str(dump).unwrap();
    assert!(vrps(&dump) == payloads.vrps);
    assert_eq!(dump["bgpsec_keys"].as_array().unwrap().len(), kinds.0);
    assert_eq!(dump["aspas"].as_array().unwrap().len(), kinds.1);
    assert_eq!(dump["metadata"]["vrps"], payloads.vrps.len());
    dump
}

#[test]
fn a_file_is_dumped_in_every_form() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    let payloads = Payloads::all_kinds(1_000, &mut Prng::new(1));
    payloads.write_json(&path);
    let all = (payloads.keys.len(), payloads.aspas.len());

    let json = rutter(["dump", text(&path)]).done();
    is_whole(&json, &payloads, all);
    let csv = rutter(["dump", text(&path), "--output", "csv"]).done();
    assert!(csv.starts_with("ASN,IP Prefix,Max Length,Trust Anchor,Expires\n"));
    assert_eq!(csv.lines().count(), 1 + payloads.vrps.len());
    let bird = rutter(["dump", text(&path), "--output", "bird"]).done();
    let routes = bird.lines().filter(|line| line.starts_with("\troute "));
    assert_eq!(routes.count(), payloads.vrps.len());
    let openbgpd = rutter(["dump", text(&path), "--output", "openbgpd"]).done();
    assert!(openbgpd.starts_with("roa-set {\n") && openbgpd.ends_with("}\n"));
    assert_eq!(openbgpd.lines().count(), 2 + payloads.vrps.len());
    let table = rutter(["dump", text(&path), "--output", "table"]).done();
    let vrp = payloads.vrps.first().unwrap();
    let (prefix, origin) = (
        format!("{}/{}", vrp.address, vrp.len),
        format!("AS{}", vrp.asn),
    );
    assert!(table.lines().any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words == [&prefix, &vrp.max_len.to_string(), &origin]
    }));
    let lines = 1 + payloads.vrps.len() + all.0 + all.1;
    assert_eq!(table.lines().count(), lines);

    // What was written is read as what it was made from.
    for (name, written) in [("again.json", &json), ("again.csv", &csv)] {
        let again = folder.path().join(name);
        fs::write(&again, written).unwrap();
        let form = name.split_once('.').unwrap().1;
        assert!(rutter(["dump", text(&again), "--output", form]).done() == *written);
    }
}

/// A list with all that can be known of its rows, one of which has expired, in the order of an
/// answer.
const KNOWN: &str = r#"{
    "metadata": {"buildtime": "2026-01-02T03:04:05Z", "valid": 4102444800, "serial": 42},
    "roas": [
        {"asn": 64497, "prefix": "198.51.100.0/24", "maxLength": 26, "ta": "arin", "expires": 1700000000},
        {"asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe", "expires": 4102444800},
        {"asn": 64498, "prefix": "2001:db8::/32", "maxLength": 48, "ta": "apnic", "expires": 4102444801}
    ],
    "bgpsec_keys": [],
    "aspas": [{"customer_asid": 64496, "providers": [64497], "expires": 4102444802}]
}"#;

#[test]
fn what_is_known_of_rows_is_dumped() {
    let folder = temp_dir();
    let path = folder.path().join("known.json");
    fs::write(&path, KNOWN).unwrap();
    let dump = |form: &str| rutter(["dump", text(&path), "--output", form]);

    let mut json: Value = serde_json::from_str(&dump("json").done()).unwrap();
    let known: Value = serde_json::from_str(KNOWN).unwrap();
    let metadata = json["metadata"].take();
    for name in ["buildtime", "valid", "serial"] {
        assert_eq!(metadata[name], known["metadata"][name], "{name}");
    }
    // Nothing is made up of a session.
    assert_eq!(metadata.get("sessionid"), None);
    for name in ["roas", "bgpsec_keys", "aspas"] {
        assert_eq!(json[name], known[name], "{name}");
    }
    assert_eq!(
        dump("csv").done(),
        "ASN,IP Prefix,Max Length,Trust Anchor,Expires\n\
         AS64497,198.51.100.0/24,26,arin,1700000000\n\
         AS64496,192.0.2.0/24,24,ripe,4102444800\n\
         AS64498,2001:db8::/32,48,apnic,4102444801\n"
    );
    assert_eq!(
        dump("openbgpd").done(),
        "roa-set {\n\
         \t198.51.100.0/24 maxlen 26 source-as 64497 expires 1700000000\n\
         \t192.0.2.0/24 source-as 64496 expires 4102444800\n\
         \t2001:db8::/32 maxlen 48 source-as 64498 expires 4102444801\n\
         }\n"
    );
}

#[test]
fn what_has_expired_is_left_out_where_it_could_not_be_told() {
    let folder = temp_dir();
    let path = folder.path().join("known.json");
    fs::write(&path, KNOWN).unwrap();
    let ran = rutter(["dump", text(&path), "--output", "bird"]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.err.contains("1 payloads left out that have expired"),
        "{}",
        ran.err
    );
    let routes: Vec<_> = ran
        .out
        .lines()
        .filter(|line| line.contains("route"))
        .collect();
    let expected = [
        "\troute 192.0.2.0/24 max 24 as 64496;",
        "\troute 2001:db8::/32 max 48 as 64498;",
    ];
    assert_eq!(routes, expected);
}

#[test]
fn standard_input_is_dumped_compressed_or_not() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    let payloads = Payloads::vrps(500, &mut Prng::new(2));
    payloads.write_json(&path);
    let packed = folder.path().join("vrps.json.gz");
    let mut encoder = flate2::write::GzEncoder::new(
        File::create(&packed).unwrap(),
        flate2::Compression::default(),
    );
    encoder.write_all(&fs::read(&path).unwrap()).unwrap();
    encoder.finish().unwrap();
    for file in [path, packed] {
        let mut command = command(["dump", "-"]);
        let ran = run(command.stdin(File::open(file).unwrap()));
        is_whole(&ran.done(), &payloads, (0, 0));
    }
    // No input at all is no document.
    rutter(["dump", "-"]).fails_with("-");
}

#[test]
fn a_cache_is_dumped_in_every_version() {
    let payloads = Payloads::all_kinds(1_000, &mut Prng::new(3));
    let server = RtrServer::start(&payloads);
    let at = format!("tcp://127.0.0.1:{}", server.port());
    let (keys, aspas) = (payloads.keys.len(), payloads.aspas.len());
    let mut sessions = BTreeSet::new();
    for (version, kinds) in [("0", (0, 0)), ("1", (keys, 0)), ("2", (keys, aspas))] {
        let dump = rutter(["dump", &at, "--highest-version", version]).done();
        let dump = is_whole(&dump, &payloads, kinds);
        assert_eq!(dump["metadata"]["serial"], 1);
        // Readers judge by it how old the set is.
        assert!(dump["metadata"]["generated"].as_u64().unwrap() > 1_700_000_000);
        sessions.insert(dump["metadata"]["sessionid"].as_u64().unwrap());
    }
    assert_eq!(sessions.len(), 3);
    let csv = rutter(["dump", &at, "--output", "csv"]).done();
    assert_eq!(csv.lines().count(), 1 + payloads.vrps.len());
    let table = rutter(["dump", &at, "--output", "table"]).done();
    assert!(table.starts_with("session ") && table.contains(", serial 1\n"));
}

#[test]
fn documents_that_cannot_be_read_print_nothing() {
    let folder = temp_dir();
    let broken = folder.path().join("broken.json");
    fs::write(&broken, "{\"roas\": [{\"prefix\": \"192.0.2.0/24\"").unwrap();
    rutter(["dump", text(&broken)]).fails_with("broken.json");
    rutter(["dump", "/nowhere/vrps.json"]).fails_with("/nowhere/vrps.json");
    rutter(["dump", text(folder.path())]).fails_with(text(folder.path()));
    fs::write(&broken, b"\x1f\x8b\x08\x00").unwrap();
    rutter(["dump", text(&broken)]).fails_with("broken.json");
}

#[test]
fn bad_rows_are_left_out_and_told() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.csv");
    let mut rows = String::from("ASN,IP Prefix,Max Length,Trust Anchor\n");
    for third in 0..100 {
        rows.push_str(&format!("AS64496,10.0.{third}.0/24,24,x\n"));
    }
    rows.push_str("AS64496,10.1.0.0/24,23,x\n");
    fs::write(&path, rows).unwrap();
    let ran = rutter(["dump", text(&path), "--output", "csv"]);
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 101));
    assert!(ran.err.contains("1 bad rows left out") && ran.err.contains("line 102"));
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    Payloads::vrps(300, &mut Prng::new(4)).write_json(&path);
    let target = folder.path().join("out.csv");
    let to_target = ["--output", "csv", "--file", text(&target)];
    let dump = |from: &str| rutter(["dump", from].iter().chain(&to_target));

    assert_eq!(dump(text(&path)).done(), "");
    let whole = fs::read_to_string(&target).unwrap();
    assert!(whole.ends_with('\n') && whole.lines().count() > 290);
    fs::write(&target, "old").unwrap();
    dump("/nowhere").fails_with("/nowhere");
    dump("tcp://127.0.0.1:1").fails_with("no connection");
    assert_eq!(fs::read_to_string(&target).unwrap(), "old");
    assert_eq!(dump(text(&path)).done(), "");
    assert!(fs::read_to_string(&target).unwrap() == whole);
    assert_eq!(names(folder.path()), ["out.csv", "vrps.json"]);

    let nowhere = folder.path().join("missing/out.csv");
    let ran = rutter(["dump", text(&path), "--file", text(&nowhere)]);
    ran.fails_with("missing/out.csv");
}

#[test]
fn another_run_to_the_same_file_is_not_in_the_way() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    Payloads::vrps(300, &mut Prng::new(5)).write_json(&path);
    let target = folder.path().join("out.json");
    // Another one that is under way, or a trap: it must not be written to.
    let other = folder.path().join("out.json.part");
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "precious").unwrap();
    symlink(&elsewhere, &other).unwrap();
    assert_eq!(
        rutter(["dump", text(&path), "--file", text(&target)]).done(),
        ""
    );
    assert!(fs::read_to_string(&target).unwrap().ends_with("}\n"));
    assert!(fs::read_to_string(&elsewhere).unwrap() == "precious");
}

#[test]
fn a_link_stays_a_link() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    Payloads::vrps(50, &mut Prng::new(6)).write_json(&path);
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "old").unwrap();
    symlink(&real, &link).unwrap();
    assert_eq!(
        rutter(["dump", text(&path), "--file", text(&link)]).done(),
        ""
    );
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().ends_with("}\n"));
}

#[test]
fn a_pipe_is_written_to_and_not_replaced() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    let payloads = Payloads::vrps(50, &mut Prng::new(7));
    payloads.write_json(&path);
    let pipe = folder.path().join("pipe");
    let made = run(std::process::Command::new("mkfifo").arg(&pipe));
    assert_eq!(made.code, Some(0));
    // Both ends, so that neither side waits for the other.
    let mut reader = File::options().read(true).write(true).open(&pipe).unwrap();
    assert_eq!(
        rutter(["dump", text(&path), "--file", text(&pipe)]).done(),
        ""
    );
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    let mut first = [0; 12];
    reader.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"{\"metadata\":");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    // More than a pipe holds.
    Payloads::vrps(20_000, &mut Prng::new(8)).write_json(&path);
    for form in ["json", "csv", "bird", "openbgpd", "table"] {
        let mut child = command(["dump", text(&path), "--output", form])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 10];
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut first).unwrap();
        drop(out);
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr), (Some(0), vec![]));
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    Payloads::vrps(50, &mut Prng::new(9)).write_json(&path);
    let ended = command(["dump", text(&path)])
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let err = String::from_utf8(ended.stderr).unwrap();
    assert!(err.starts_with("rutter: "), "{err}");
}
