//! `rutter validate`: routes and paths, in every form, and what breaks off.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use clap::Parser;
use rutter::cli::{Cli, Command};
use serde_json::Value;

use super::program::{Ran, command, run, rutter};
use crate::support::payloads::{Payloads, Vrp};
use crate::support::server::RtrServer;
use crate::support::{Need, not_run, shared_data, temp_dir};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const VRPS: &str = "\
ASN,IP Prefix,Max Length,Trust Anchor
AS64496,192.0.2.0/24,25,x
AS64497,192.0.2.0/24,24,x
AS0,198.51.100.0/24,24,x
AS64496,2001:db8::/32,48,x
";

/// A folder with `vrps.csv`, and its path.
fn vrps() -> (tempfile::TempDir, PathBuf) {
    let folder = temp_dir();
    let path = folder.path().join("vrps.csv");
    fs::write(&path, VRPS).unwrap();
    (folder, path)
}

/// Validates a list under a name, with more arguments.
#[track_caller]
fn validate(list: impl AsRef<[u8]>, more: &[&str]) -> Ran {
    let (folder, vrps) = vrps();
    let routes = folder.path().join("routes");
    fs::write(&routes, list).unwrap();
    let arguments = ["validate", "--vrps", text(&vrps), "--file", text(&routes)];
    rutter(arguments.iter().chain(more))
}

#[track_caller]
fn summary(ran: &Ran) -> Value {
    let last = ran.out.lines().last().unwrap();
    serde_json::from_str::<Value>(last).unwrap()["summary"].clone()
}

/// Prefix, origin and state on a line of the table.
fn verdict(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().take(3).collect()
}

#[test]
fn routes_are_typed_and_told() {
    let (_folder, vrps) = vrps();
    let with = |routes: &[&str]| rutter(["validate", "--vrps", text(&vrps)].iter().chain(routes));
    let ran = with(&["192.0.2.0/24", "AS64496", "203.0.113.0/24,64496"]);
    let out = ran.done();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(verdict(lines[1]), ["192.0.2.0/24", "AS64496", "valid"]);
    assert!(
        lines[1]
            .ends_with("matched by 192.0.2.0/24-25 AS64496; wrong AS for 192.0.2.0/24-24 AS64497")
    );
    assert_eq!(
        verdict(lines[2]),
        ["203.0.113.0/24", "AS64496", "not-found"]
    );
    assert_eq!(
        lines[3],
        "2 routes: 1 valid, 0 invalid (0 wrong AS, 0 too long, 0 both), 1 not found; \
         0 with AS sets skipped, 0 bad lines"
    );
    let ran = with(&["64497", "192.0.2.0/25"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    let why = "wrong AS for 192.0.2.0/24-25 AS64496; too long for 192.0.2.0/24-24 AS64497";
    assert!(ran.out.contains(why), "{}", ran.out);
    with(&["192.0.2.0/24"]).fails_with("expected an AS beside 192.0.2.0/24");
    with(&["192.0.2.1/24", "1"]).fails_with("expected 192.0.2.0/24");
    with(&[]).fails_with("required");
}

#[test]
fn every_form_of_a_list_is_the_same_list() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let plain = "192.0.2.0/24 64496\n2001:db8::/33 64497\n";
    for list in [
        plain.into(),
        "# comment\r\n\r\n192.0.2.0/24,AS64496\r\n2001:db8::/33,AS64497\r\n".into(),
        "% comment\n64496\t192.0.2.0/24\t7\n64497\t2001:db8::/33\t8\n".into(),
        "; comment\n192.0.2.0 24 64496\n2001:db8:: 33 64497\n".into(),
        "\u{feff}origin_as,prefix\n64496,192.0.2.0/24\n64497,2001:db8::/33\n".into(),
        gzip(plain),
    ] {
        let ran = validate(&list, &["--output", "json"]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""), "{list:?}");
        let lines: Vec<Value> = ran
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["route"]["prefix"], "192.0.2.0/24");
        assert_eq!(lines[0]["route"]["origin_asn"], "AS64496");
        assert_eq!(lines[0]["validity"]["state"], "valid");
        assert_eq!(lines[1]["validity"]["state"], "invalid");
        assert_eq!(lines[2]["summary"]["routes"], 2);
        assert_eq!(lines[2]["summary"]["complete"], true);
    }
}

#[test]
fn json_has_the_members_of_known_apis() {
    let list = "\
192.0.2.0/25 64497
192.0.2.0/25 64498
192.0.2.0/26 64498
198.51.100.0/24 0
203.0.113.0/24 0
";
    let ran = validate(list, &["--output", "json"]);
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let validity = |line: usize| &lines[line]["validity"];
    // Another AS has room, its own has none: it is its length that is wrong.
    assert_eq!(validity(0)["reason"], "length");
    assert_eq!(
        validity(0)["VRPs"]["unmatched_length"],
        serde_json::json!([{"asn": "AS64497", "prefix": "192.0.2.0/24", "max_length": "24"}])
    );
    assert_eq!(validity(0)["VRPs"]["unmatched_as"][0]["asn"], "AS64496");
    assert_eq!(validity(1)["reason"], "as");
    assert_eq!(validity(1)["VRPs"]["unmatched_both"][0]["asn"], "AS64497");
    assert_eq!(validity(2)["reason"], "as-and-length");
    // AS0 matches nothing, not even itself (RFC 6811 §2).
    assert_eq!(validity(3)["state"], "invalid");
    assert_eq!(validity(4)["state"], "not-found");
    assert_eq!(validity(4).get("reason"), None);
    let summary = summary(&ran);
    for (member, count) in [
        ("routes", 5),
        ("valid", 0),
        ("invalid", 4),
        ("invalid_as", 2),
        ("invalid_length", 1),
        ("invalid_both", 1),
        ("not_found", 1),
    ] {
        assert_eq!(summary[member], count, "{member}");
    }
}

#[test]
fn csv_has_a_header_and_a_closing_comment() {
    let ran = validate("192.0.2.0/25 64497\n", &["--output", "csv"]);
    assert_eq!(ran.code, Some(1));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(
        lines[0],
        "prefix,origin,state,reason,matched,unmatched_as,unmatched_length,unmatched_both"
    );
    assert_eq!(
        lines[1],
        "192.0.2.0/25,AS64497,invalid,length,,192.0.2.0/24-25 AS64496,192.0.2.0/24-24 AS64497,"
    );
    assert!(lines[2].starts_with("# 1 routes: 0 valid, 1 invalid"));
    let ran = validate("192.0.2.0/24 64496\n", &["--output", "csv", "--summary"]);
    let out = ran.done();
    assert!(out.starts_with("routes,valid,invalid,"));
    assert!(out.ends_with("\n1,1,0,0,0,0,0,0,0,true\n"), "{out}");
}

#[test]
fn origins_that_are_sets_are_skipped_or_none() {
    let list = "{64496,64497}\t192.0.2.0/24\t3\n64496\t192.0.2.0/24\t3\n{1} 203.0.113.0/24 1\n";
    let out = validate(list, &["--summary"]).done();
    assert!(out.starts_with("1 routes: 1 valid"));
    assert!(out.contains("; 2 with AS sets skipped, 0 bad lines"));
    let ran = validate(list, &["--as-sets", "none", "--output", "csv"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.out
            .contains("192.0.2.0/24,\"{64496,64497}\",invalid,as,")
    );
    assert!(ran.out.contains("203.0.113.0/24,{1},not-found,"));
    assert!(
        ran.out
            .contains("# 3 routes: 1 valid, 1 invalid (1 wrong AS")
    );
}

#[test]
fn bad_lines_are_told_counted_and_no_answer() {
    let mut list = String::from("192.0.2.0/24 64496\n");
    for _ in 0..25 {
        list.push_str("192.0.2.0/24 many words\n");
    }
    list.push_str("192.0.2.1/24 64496\n192.0.2.0/24 64496\n");
    let ran = validate(&list, &["--summary"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.out.starts_with("2 routes: 2 valid") && ran.out.ends_with("26 bad lines\n"));
    assert!(
        ran.err
            .contains("routes:2: expected prefix, AS, found \"192.0.2.0/24 many words\"")
    );
    assert_eq!(ran.err.lines().count(), 11);
    assert!(ran.err.ends_with("and 16 more bad lines\n"));
    let ran = validate(&list, &["--summary", "--skip-bad"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.ends_with("26 bad lines\n"));
    // Nothing of it is guessed.
    for list in [
        "192.0.2.0/24 24 64496\n",
        "{\"roas\": [\n",
        "prefix,prefix,asn\n",
        "192.0.2.0/24 \u{e9}\u{e9}\n",
    ] {
        let ran = validate(list, &["--summary"]);
        assert_eq!(ran.code, Some(2), "{list}");
        assert!(ran.out.starts_with("0 routes") && ran.out.ends_with("1 bad lines\n"));
    }
    let ran = validate([0xff, b'\n'], &["--summary"]);
    assert!(ran.err.contains(":1: expected UTF-8"));
    let ran = validate(vec![b'x'; 1 << 20], &["--summary"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.len() < 1_000, "{}", ran.err.len());
}

#[test]
fn a_list_that_breaks_off_is_counted_so_far_and_no_answer() {
    let list: String = (0..100_000)
        .map(|n| format!("10.{}.{}.0/24 64496\n", n / 256 % 256, n % 256))
        .collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    encoder.write_all(list.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let half = &packed[..packed.len() / 2];
    for (cut, form) in [(half, "json"), (half, "table"), (half, "csv")] {
        let ran = validate(cut, &["--output", form]);
        assert_eq!(ran.code, Some(2));
        assert!(ran.err.contains("breaks off"), "{}", ran.err);
        let last = ran.out.lines().last().unwrap();
        if form == "json" {
            let summary = summary(&ran);
            assert_eq!(summary["complete"], false);
            assert!(
                summary["broken_off"]
                    .as_str()
                    .unwrap()
                    .contains("breaks off")
            );
            let routes = summary["routes"].as_u64().unwrap();
            assert!(routes > 1_000 && routes < 100_000, "{routes}");
            assert_eq!(
                ran.out.lines().count(),
                usize::try_from(routes).unwrap() + 1
            );
        } else {
            assert!(last.contains("; INCOMPLETE: "), "{last}");
        }
    }
    // Plain text shows it by its last line only.
    let ran = validate("192.0.2.0/24 64496\n192.0.2.0/2", &["--summary"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.out.starts_with("1 routes: 1 valid"));
    assert!(ran.out.contains("INCOMPLETE") && ran.err.contains("line 2 is not ended"));
    let ran = validate("192.0.2.0/24 64496\n192.0.2.0/24 64497", &["--summary"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.starts_with("2 routes: 2 valid"));
    assert!(ran.err.contains(":2: the last line is not ended"));
    // Nothing at all is whole, and worth a word.
    let ran = validate("# comment\n", &["--summary"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.starts_with("0 routes") && ran.err.contains("there are no routes"));
    // A folder can be opened and not read.
    let (folder, vrps) = vrps();
    let ran = rutter([
        "validate",
        "--vrps",
        text(&vrps),
        "--file",
        text(folder.path()),
    ]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.out.contains("INCOMPLETE"));
}

#[test]
fn verdicts_come_as_soon_as_routes_do() {
    let (_folder, vrps) = vrps();
    let mut child = command([
        "validate",
        "--vrps",
        text(&vrps),
        "--file",
        "-",
        "--output",
        "json",
    ])
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut routes = child.stdin.take().unwrap();
    let mut verdicts = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        routes.write_all(b"192.0.2.0/24 64496\n").unwrap();
        let verdict = verdicts.next().unwrap().unwrap();
        assert!(verdict.contains("\"valid\""), "{verdict}");
    }
    drop(routes);
    let last = verdicts.next().unwrap().unwrap();
    assert!(last.contains("\"routes\":3"), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_leaves_is_no_answer_and_no_noise() {
    let (folder, vrps) = vrps();
    let routes = folder.path().join("routes");
    fs::write(&routes, "192.0.2.0/24 64496\n".repeat(50_000)).unwrap();
    let mut child = command(["validate", "--vrps", text(&vrps), "--file", text(&routes)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 10]).unwrap();
    drop(out);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(2), vec![]));
    let ended = command(["validate", "--vrps", text(&vrps), "--file", text(&routes)])
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        String::from_utf8(ended.stderr)
            .unwrap()
            .contains("cannot write")
    );
}

#[test]
fn vrps_come_from_caches_folders_and_standard_input() {
    let mut payloads = Payloads::default();
    let address = "192.0.2.0".parse().unwrap();
    payloads.vrps.insert(Vrp::new(address, 24, 24, 64496));
    let server = RtrServer::start(&payloads);
    let at = format!("tcp://127.0.0.1:{}", server.port());
    let route = ["192.0.2.0/24", "64496"];
    let out = rutter(["validate", "--vrps", &at].iter().chain(&route)).done();
    assert!(out.contains(" valid "), "{out}");
    let (folder, vrps) = vrps();
    for from in [text(folder.path()), text(&vrps)] {
        let out = rutter(["validate", "--vrps", from].iter().chain(&route)).done();
        assert!(out.contains("\n1 routes: 1 valid"), "{out}");
    }
    let mut from_stdin = command(["validate", "--vrps", "-"].iter().chain(&route));
    let ran = run(from_stdin.stdin(File::open(&vrps).unwrap()));
    assert!(ran.done().contains("\n1 routes: 1 valid"));
    rutter(["validate", "--vrps", "-", "--file", "-"]).fails_with("once only");
    rutter(["validate", "--vrps", "/nowhere", "1.0.0.0/8", "1"]).fails_with("/nowhere");
    let nowhere = ["validate", "--vrps", text(&vrps), "--file", "/nowhere"];
    rutter(nowhere).fails_with("cannot read /nowhere");
    let refused = ["validate", "--vrps", "tcp://127.0.0.1:1", "1.0.0.0/8", "1"];
    rutter(refused).fails_with("no connection");
}

#[test]
fn vrps_come_from_the_web() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/vrps.csv", server.local_addr().unwrap());
    // Two requests, one for each run below; a run that makes none fails by itself.
    let serving = thread::spawn(move || (0..2).for_each(|_| answer(&server)));
    let out = rutter(["validate", "--vrps", &url, "192.0.2.0/24", "64496"]).done();
    assert!(out.contains("\n1 routes: 1 valid"), "{out}");
    let out = rutter(["dump", &url, "--output", "csv"]).done();
    assert_eq!(out.lines().count(), 5);
    serving.join().unwrap();
    let gone = ["validate", "--vrps", &url, "192.0.2.0/24", "64496"];
    rutter(gone).fails_with("vrps.csv");
}

/// Answers one request with the VRPs.
fn answer(server: &TcpListener) {
    let (mut socket, _) = server.accept().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        socket.read_exact(&mut octet).unwrap();
        request.extend(octet);
    }
    let length = VRPS.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(VRPS.as_bytes()).unwrap();
}

#[test]
fn exceptions_are_applied_first() {
    let (folder, vrps) = vrps();
    let slurm = folder.path().join("slurm.json");
    let lists = |filters: &str, assertions: &str| {
        format!(
            "{{\"slurmVersion\":1,\"validationOutputFilters\":{{\"prefixFilters\":[{filters}],\
             \"bgpsecFilters\":[]}},\"locallyAddedAssertions\":{{\"prefixAssertions\":\
             [{assertions}],\"bgpsecAssertions\":[]}}}}"
        )
    };
    let text_of = lists(
        "{\"asn\":64496}",
        "{\"asn\":64499,\"prefix\":\"203.0.113.0/24\"}",
    );
    fs::write(&slurm, text_of).unwrap();
    let with = [
        "validate",
        "--vrps",
        text(&vrps),
        "--slurm",
        text(&slurm),
        "--output",
        "csv",
    ];
    let routes = ["192.0.2.0/24,64496", "203.0.113.0/24,64499"];
    let ran = rutter(with.iter().chain(&routes));
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("192.0.2.0/24,AS64496,invalid,as"));
    assert!(ran.out.contains("203.0.113.0/24,AS64499,valid"));
    fs::write(&slurm, lists("{\"asn\":\"64496\"}", "")).unwrap();
    rutter(with.iter().chain(&routes)).fails_with("slurm.json:1:");
    let lenient = rutter(with.iter().chain(&routes).chain(&["--lenient"]));
    assert_eq!(lenient.code, Some(1));
}

#[test]
fn what_expired_does_not_count_unless_told() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    let roa = |asn: u32, expires: u64| {
        format!(
            "{{\"asn\":{asn},\"prefix\":\"192.0.2.0/24\",\"maxLength\":24,\"ta\":\"x\",\
             \"expires\":{expires}}}"
        )
    };
    let document = |roas: &[String]| format!("{{\"roas\":[{}]}}", roas.join(","));
    let with = |more: &[&str]| {
        let fixed = [
            "validate",
            "--vrps",
            text(&path),
            "192.0.2.0/24",
            "64496",
            "--summary",
        ];
        rutter(fixed.iter().chain(more))
    };
    fs::write(&path, document(&[roa(64496, 1), roa(64497, 4_000_000_000)])).unwrap();
    let ran = with(&[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("1 payloads of") && ran.err.contains("have expired"));
    assert!(with(&["--keep-expired"]).done().contains("1 valid"));
    // Nothing left is not the same as nothing found.
    fs::write(&path, document(&[roa(64496, 1)])).unwrap();
    let ran = with(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("--keep-expired"));
}

#[test]
fn paths_are_verified() {
    let folder = temp_dir();
    let path = folder.path().join("aspas.json");
    fs::write(
        &path,
        "{\"roas\":[],\"aspas\":[{\"customer_asid\":64505,\"providers\":[64502]},\
         {\"customer_asid\":64502,\"providers\":[64501]},\
         {\"customer_asid\":64507,\"providers\":[64508]}]}",
    )
    .unwrap();
    let verify = |as_path: &str, from: &str, more: &[&str]| {
        let fixed = [
            "validate",
            "--vrps",
            text(&path),
            "--path",
            as_path,
            "--from",
            from,
        ];
        rutter(fixed.iter().chain(more))
    };
    let out = verify("64501 64502 64502 64505", "customer", &[]).done();
    assert_eq!(
        out,
        "valid: every hop is attested\n\
         path       AS64501 AS64502 AS64502 AS64505\n\
         procedure  upstream, from a customer\n\
         up-ramp    3 of 3 ASes from the origin\n"
    );
    let out = verify(
        "64509 64501 64502 64505",
        "peer",
        &["--neighbor", "AS64509"],
    )
    .done();
    assert!(out.starts_with("unknown: AS64501 has no ASPA"), "{out}");
    let ran = verify("64501 64507", "provider", &["--output", "json"]);
    assert_eq!(ran.code, Some(0));
    let ran = verify("64501 64507", "rs", &["--output", "json"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["path"]["procedure"], "upstream");
    assert_eq!(answer["validity"]["state"], "invalid");
    assert_eq!(answer["validity"]["up_stop"]["customer"], "AS64507");
    assert_eq!(answer["validity"]["up_stop"]["attestation"], "not-provider");
    assert_eq!(answer["validity"]["ramps"]["max_up"], 1);
    let ran = verify("64501 64502", "peer", &["--neighbor", "64502"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("begins with AS64501"));
    let ran = verify("64501 {64502,64503}", "provider", &["--output", "csv"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.out
            .contains("\"AS64501 {AS64502,AS64503}\",provider,invalid,")
    );
    verify("64501 x", "peer", &[]).fails_with("expected AS numbers");
    verify("1 2", "rs", &["--neighbor", "1"]).fails_with("route server");
    verify("1 2", "friend", &[]).fails_with("friend");
    rutter(["validate", "--vrps", text(&path), "--path", "1"]).fails_with("--from");
    let (_folder, vrps) = vrps();
    let ran = rutter([
        "validate",
        "--vrps",
        text(&vrps),
        "--path",
        "1 2",
        "--from",
        "peer",
    ]);
    assert!(ran.err.contains("there are no ASPAs"), "{}", ran.err);
}

/// The examples of a help text, each split into words as a shell does.
pub(super) fn examples(help: &str) -> Vec<Vec<String>> {
    let (_, rest) = help.split_once("Examples:\n").unwrap();
    let joined = rest.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    let commands = lines.filter(|line| line.starts_with("rutter "));
    commands.map(words).collect()
}

/// The words of a command, as a shell splits it.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_ascii_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn every_example_of_the_help_means_something() {
    let help = rutter(["validate", "--help"]).done();
    let examples = examples(&help);
    assert_eq!(examples.len(), 4);
    for words in examples {
        let cli = Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
        assert!(matches!(cli.command, Command::Validate(_)), "{words:?}");
    }
}

/// What an independent implementation counts: `valid, invalid, not found`.
const EXPECTED: [(&str, [u64; 3], u64); 4] = [
    (
        "riswhois-2019-03-04.IPv6.txt.xz",
        [15_417, 3_942, 58_918],
        45,
    ),
    (
        "geant-2020-12-08.invalid_unreachable.IPv4.txt.xz",
        [9, 4_985, 98],
        0,
    ),
    (
        "geant-2020-12-08.invalid_unreachable.IPv6.txt.xz",
        [0, 507, 15],
        0,
    ),
    ("pyasn-ipasn-20140513.dat.xz", [65_958, 22_739, 423_793], 0),
];

#[test]
fn real_lists_are_counted_as_others_count_them() {
    let what = "real lists of routes through the program";
    let Some(data) = shared_data() else {
        assert!(std::env::var_os("CI").is_none(), "no shared data");
        return not_run(what, Need::Shared, "no shared data");
    };
    let vrps = data.join("vrp/global-2020-02-17.routinator.csv.xz");
    for (list, [valid, invalid, not_found], sets) in EXPECTED {
        let list = data.join("routes").join(list);
        if !list.is_file() {
            not_run(what, Need::Shared, text(&list));
            continue;
        }
        let ran = rutter([
            "validate",
            "--vrps",
            text(&vrps),
            "--file",
            text(&list),
            "--summary",
            "--output",
            "json",
        ]);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        let summary = summary(&ran);
        let count = |member: &str| summary[member].as_u64().unwrap();
        assert_eq!(
            ["valid", "invalid", "not_found"].map(count),
            [valid, invalid, not_found],
            "{list:?}"
        );
        assert_eq!(["skipped_as_sets", "bad_lines"].map(count), [sets, 0]);
        let reasons = ["invalid_as", "invalid_length", "invalid_both"].map(count);
        assert_eq!(reasons.iter().sum::<u64>(), invalid);
    }
}
