//! A running server: reload, local exceptions, what it says of itself, and who may tell it what.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rutter::http::shape::SlurmState;

use super::cache::{Cache, PATIENCE};
use super::failures::{Reply, Web};
use super::router::{NOTIFY, Router, announced, increment};
use crate::support::payloads::{Payloads, Prng};
use crate::support::{free_port, report, temp_dir, wait_for};

/// A list on disk, and the table of a source that reads it.
fn listed(folder: &Path, payloads: &Payloads) -> (PathBuf, String) {
    let path = folder.join("vrps.json");
    payloads.write_json(&path);
    let source = format!(
        "[[source]]\nname = \"file\"\nurl = \"{}\"\n",
        path.display()
    );
    (path, source)
}

#[track_caller]
fn rename_into(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[test]
fn a_reload_takes_everything_and_ends_only_what_is_gone() {
    let payloads = Payloads::vrps(300, &mut Prng::new(1));
    let folder = temp_dir();
    let (_, source) = listed(folder.path(), &payloads);
    let other = folder.path().join("other.json");
    payloads.changed(4, 4, &mut Prng::new(2)).write_json(&other);
    let slurm = folder.path().join("slurm.json");
    fs::write(&slurm, filters(r#"{"asn": 4294967294}"#)).unwrap();
    let cache = Cache::configured(folder, &source);
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    assert_eq!(first.timers.unwrap()[0], 3_600);

    let port = free_port();
    cache.reconfigure(&format!(
        "{source}[[source]]\nname = \"other\"\nurl = \"{}\"\n[merge]\nmode = \"union\"\n\
         [slurm]\nfiles = [\"{}\"]\n[limits]\nconnections = 7\n\
         [[listener]]\ntransport = \"tcp\"\naddress = \"127.0.0.1:{port}\"\nversions = [0, 1]\n",
        other.display(),
        slurm.display()
    ));
    let done = cache.control(&["reload"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    for word in [
        "other added",
        "merge: changed",
        "slurm: changed",
        "limits: changed",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    // The session is still there, and hears of what the second source adds.
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    let updated = router.update(first.has);
    assert_eq!(updated.payload.len(), 4);
    assert_eq!(Router::connect(address).load(1).payload.len(), 304);
    let status = cache.status();
    assert_eq!(
        (
            status.sources.len(),
            status.listeners.len(),
            status.sessions.limit
        ),
        (2, 2, 7)
    );
    assert_eq!(
        (status.slurm.state, status.reload.unwrap().ok),
        (SlurmState::Applied, true)
    );
    // The new listener has no version 2.
    let mut second = Router::connect(address);
    second.send(&super::router::RESET_QUERY[2]);
    let refused = second.pdu();
    assert_eq!(
        (refused.kind(), refused.version(), refused.word()),
        (10, 1, 4)
    );

    // Back again: the listener is gone, and its session with it.
    let mut leaves = Router::connect(address);
    leaves.load(1);
    cache.reconfigure(&format!("{source}[limits]\nconnections = 9\n"));
    assert_eq!(cache.control(&["reload"]).status.code(), Some(0));
    assert!(TcpStream::connect(address).is_err());
    leaves.until_gone();
    // The second source leaves the union: too little to be held.
    wait_for(
        "the first source alone",
        PATIENCE,
        || match Router::connect(cache.address()).load(1).payload.len() {
            300 => Ok(()),
            other => Err(format!("{other} payloads")),
        },
    );
    assert_eq!(router.update(updated.has).payload.len(), 4);
    let unchanged = cache.control(&["reload"]);
    assert!(
        String::from_utf8_lossy(&unchanged.stdout).contains("nothing changed"),
        "{unchanged:?}"
    );
}

#[test]
fn new_timers_count_from_the_next_answer_on() {
    let payloads = Payloads::vrps(50, &mut Prng::new(3));
    let folder = temp_dir();
    let (_, source) = listed(folder.path(), &payloads);
    let cache = Cache::configured(folder, &source);
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    assert_eq!(first.timers, Some([3_600, 600, 7_200]));
    cache.reconfigure_rtr("refresh = \"30m\"\n", &source);
    assert_eq!(cache.control(&["reload"]).status.code(), Some(0));
    assert_eq!(router.update(first.has).timers, Some([1_800, 600, 7_200]));
}

#[test]
fn a_reload_that_fails_changes_nothing_and_says_why() {
    let payloads = Payloads::vrps(100, &mut Prng::new(4));
    let folder = temp_dir();
    let (_, source) = listed(folder.path(), &payloads);
    let slurm = folder.path().join("slurm.json");
    let cache = Cache::configured(folder, &source);
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let listener = |address: &dyn std::fmt::Display| {
        format!("[[listener]]\ntransport = \"tcp\"\naddress = \"{address}\"\n")
    };
    let free: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    fs::write(&slurm, filters(r#"{"prefix": "10.0.0.0/33"}"#)).unwrap();
    let bad = [
        // Every mistake, with its place.
        (
            format!(
                "{source}refesh = \"5m\"\n[guard]\nmax-shrink = \"lots\"\n{}",
                listener(&free)
            ),
            vec![
                "rutter.toml:",
                "refesh",
                "did you mean \"refresh\"",
                "max-shrink",
            ],
        ),
        // A socket that is taken, after one that is not.
        (
            format!("{source}{}{}", listener(&free), listener(&taken)),
            vec!["cannot listen on", "in use"],
        ),
        // Exceptions that are not in order.
        (
            format!(
                "{source}{}[slurm]\nfiles = [\"{}\"]\n",
                listener(&free),
                slurm.display()
            ),
            vec!["slurm.json:2:", "prefixFilters[0]", "10.0.0.0/33"],
        ),
    ];
    let before = serde_json::to_value(cache.status().listeners).unwrap();
    for (rest, words) in bad {
        cache.reconfigure(&rest);
        let refused = cache.control(&["reload"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        let status = cache.status();
        let noted = status.reload.unwrap();
        assert!(!noted.ok);
        for word in words {
            assert!(told.contains(word), "{word:?} is not in {told}");
            assert!(
                noted.reasons.join("\n").contains(word),
                "{word:?}: {noted:?}"
            );
        }
        assert!(TcpStream::connect(free).is_err(), "a part of it was taken");
        assert_eq!(serde_json::to_value(status.listeners).unwrap(), before);
        assert_eq!(status.slurm.state, SlurmState::Off);
        assert!(cache.metrics().contains("rutter_reload_success 0"));
        assert_eq!(router.update(first.has).has, first.has);
    }
    cache.says_times(3, &["reload refused, nothing changed"]);
    cache.reconfigure(&source);
    assert_eq!(cache.control(&["reload"]).status.code(), Some(0));
    assert!(cache.metrics().contains("rutter_reload_success 1"));
}

#[test]
fn a_hang_up_reloads_and_asks_the_sources() {
    let payloads = Payloads::vrps(100, &mut Prng::new(5));
    let folder = temp_dir();
    let (_, source) = listed(folder.path(), &payloads);
    let cache = Cache::configured(folder, &source);
    Router::connect(cache.address()).load(1);
    let attempts = || {
        let metrics = cache.metrics();
        let name = "rutter_source_attempts_total{source=\"file\",result=\"ok\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = attempts();
    cache.reconfigure(&format!("{source}[limits]\nconnections = 5\n"));
    cache.signal(Signal::HUP);
    cache.says(&["reloaded", "limits: changed"]);
    let status = cache.status();
    assert_eq!(status.sessions.limit, 5);
    // The look that is due by itself comes after half a minute.
    wait_for("the source was asked", PATIENCE, || {
        (attempts() > before)
            .then_some(())
            .ok_or_else(|| cache.log())
    });
}

/// Exceptions with these prefix filters and nothing else.
fn filters(filters: &str) -> String {
    format!(
        "{{\"slurmVersion\": 1,\n \"validationOutputFilters\": {{\"prefixFilters\": [{filters}], \
         \"bgpsecFilters\": []}},\n \"locallyAddedAssertions\": {{\"prefixAssertions\": \
         [{{\"asn\": 64496, \"prefix\": \"192.0.2.0/24\", \"comment\": \"ours\"}}], \
         \"bgpsecAssertions\": []}}}}"
    )
}

#[test]
fn exceptions_are_picked_up_and_broken_ones_leave_the_last_good_ones() {
    let mut payloads = Payloads::vrps(300, &mut Prng::new(6));
    payloads.vrps.retain(|vrp| vrp.address.is_ipv6());
    let folder = temp_dir();
    let (_, source) = listed(folder.path(), &payloads);
    let exceptions = folder.path().join("slurm");
    fs::create_dir(&exceptions).unwrap();
    let slurm = exceptions.join("a.json");
    rename_into(&slurm, &filters(""));
    let rest = format!("{source}[slurm]\nfiles = [\"{}\"]\n", exceptions.display());
    let cache = Cache::configured(folder, &rest);
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    assert_eq!(first.payload.len(), payloads.vrps.len() + 1);

    // A filter takes out one VRP, as one serial, within a second of the rename.
    let victim = *payloads.vrps.iter().find(|vrp| vrp.len >= 48).unwrap();
    let filter = format!("{{\"prefix\": \"{}/{}\"}}", victim.address, victim.len);
    let begin = Instant::now();
    rename_into(&slurm, &filters(&filter));
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    report(&format!(
        "live: changed local exceptions were notified after {} ms",
        took.as_millis()
    ));
    let next = router.update(first.has);
    assert!(
        !next.payload.is_empty() && next.payload.len() < 5,
        "{}",
        next.payload.len()
    );
    let status = cache.status();
    assert_eq!(
        (
            status.slurm.filters,
            status.slurm.assertions,
            status.slurm.added
        ),
        (1, 1, 1)
    );
    assert!(status.slurm.idle.is_empty() && status.slurm.removed >= 1);

    // Broken: the last good ones stay, and everybody can see why.
    rename_into(&slurm, &filters("{\"prefix\": \"10.0.0.0/8\",}"));
    let status = cache.until("they are refused", |s| s.slurm.state == SlurmState::Failing);
    assert!(status.slurm.reason.unwrap().contains("a.json:2:"));
    cache.says(&["local exceptions refused, the last good ones stay"]);
    assert!(cache.metrics().contains("rutter_slurm_applied 0"));
    assert_eq!(router.update(next.has).has, next.has);
    // A second file that speaks of the same addresses: a conflict by RFC 8416, 4.2.
    rename_into(&slurm, &filters(&filter));
    cache.until("they are good", |status| {
        status.slurm.state == SlurmState::Applied
    });
    rename_into(&exceptions.join("b.json"), &filters(""));
    let status = cache.until("they conflict", |s| s.slurm.state == SlurmState::Failing);
    let reason = status.slurm.reason.unwrap();
    assert!(
        reason.contains("a.json") && reason.contains("b.json"),
        "{reason}"
    );
    fs::remove_file(exceptions.join("b.json")).unwrap();
    cache.until("they are good", |status| {
        status.slurm.state == SlurmState::Applied
    });
    // An entry that matches nothing is counted.
    rename_into(&slurm, &filters("{\"asn\": 4294967294}"));
    cache.until("one is idle", |status| status.slurm.idle.len() == 1);
    assert!(cache.metrics().contains("rutter_slurm_idle_entries 1"));
}

#[test]
fn exceptions_from_a_url_are_waited_for_and_kept() {
    let mut payloads = Payloads::vrps(100, &mut Prng::new(10));
    payloads.vrps.retain(|vrp| vrp.address.is_ipv6());
    let folder = temp_dir();
    let (_, source) = listed(folder.path(), &payloads);
    let web = Web::start(Reply::with("503 Not yet", 0, b""));
    let url = format!("http://{}/slurm.json", web.address);
    let rest = format!("{source}[slurm]\nfiles = [\"{url}\"]\n");
    let cache = Cache::configured(folder, &rest);
    // Nothing is served that the exceptions have not seen.
    cache.says(&["local exceptions refused", "503"]);
    let status = cache.until("the source is loaded", |status| status.sources[0].rows > 0);
    assert!(status.serving.is_none());
    assert!(
        status
            .ready
            .reasons()
            .any(|why| why.contains("local exceptions"))
    );
    web.answers(Reply::ok(filters("").as_bytes()));
    assert_eq!(cache.control(&["refresh"]).status.code(), Some(0));
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    assert_eq!(first.payload.len(), payloads.vrps.len() + 1);
    // What fails later leaves what was there, also over a reload.
    web.answers(Reply::ok(b"{\"slurmVersion\": 1"));
    assert_eq!(cache.control(&["refresh"]).status.code(), Some(0));
    cache.until("it fails", |status| {
        status.slurm.state == SlurmState::Failing
    });
    assert_eq!(cache.control(&["reload"]).status.code(), Some(0));
    assert_eq!(router.update(first.has).has, first.has);
    // Others have to be in order before they replace what there is.
    let other = format!("{source}[slurm]\nfiles = [\"{url}?other\"]\n");
    cache.reconfigure(&other);
    let refused = cache.control(&["reload"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    web.answers(Reply::ok(filters(r#"{"prefix": "::/0"}"#).as_bytes()));
    assert_eq!(cache.control(&["reload"]).status.code(), Some(0));
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    assert_eq!(router.update(first.has).payload.len(), payloads.vrps.len());
    // None any more: everything is back.
    cache.reconfigure(&source);
    assert_eq!(cache.control(&["reload"]).status.code(), Some(0));
    cache.until("there are none", |status| {
        status.slurm.state == SlurmState::Off
    });
    assert!(Router::connect(cache.address()).load(1).set() == announced(&payloads, 1));
}

#[test]
fn bad_exceptions_stop_a_start() {
    let payloads = Payloads::vrps(10, &mut Prng::new(7));
    let folder = temp_dir();
    let (path, _) = listed(folder.path(), &payloads);
    let slurm = folder.path().join("slurm.json");
    fs::write(&slurm, filters("{\"comment\": \"everything?\"}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rutter"));
    command
        .args(["serve", "--listen", "tcp://127.0.0.1:0", "--source"])
        .arg(path);
    let ran = command.arg("--slurm").arg(&slurm).output().unwrap();
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(
        told.contains("slurm.json:2:") && told.contains("prefixFilters[0]"),
        "{told}"
    );
}

/// Sends a request and gives the whole answer.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let text = format!("{request}\r\nHost: rutter\r\nConnection: close\r\n\r\n");
    socket.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn http_says_how_it_is_and_only_a_token_changes_something() {
    let payloads = Payloads::vrps(100, &mut Prng::new(8));
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    let source = format!(
        "[[source]]\nname = \"file\"\nurl = \"{}\"\n",
        path.display()
    );
    let token = folder.path().join("token");
    fs::write(&token, "hunter2\n").unwrap();
    let port = free_port();
    let http: SocketAddr = ([127, 0, 0, 1], port).into();
    let rest = format!(
        "{source}[http]\naddress = \"{http}\"\ntoken-file = \"{}\"\n",
        token.display()
    );
    let cache = Cache::configured(folder, &rest);
    cache.says(&["source fails"]);
    assert!(ask(http, "GET /healthz HTTP/1.1").starts_with("HTTP/1.1 200"));
    let unready = ask(http, "GET /readyz HTTP/1.1");
    assert!(
        unready.starts_with("HTTP/1.1 503") && unready.contains("cannot read"),
        "{unready}"
    );
    assert_eq!(cache.control(&["status"]).status.code(), Some(1));
    payloads.write_json(&path);
    assert!(Router::connect(cache.address()).load(1).set() == announced(&payloads, 1));
    cache.until("it is ready", |status| status.ready.ready);
    assert!(ask(http, "GET /readyz HTTP/1.1").starts_with("HTTP/1.1 200"));
    let table = cache.control(&["status"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("file") && table.contains("fresh"), "{table}");
    let metrics = ask(http, "GET /metrics HTTP/1.1");
    assert!(
        metrics.contains("rutter_payloads{kind=\"ipv4\"}")
            && metrics.contains("rutter_rtr_answers_total{kind=\"full\"} 1"),
        "{metrics}"
    );
    let first = payloads.vrps.iter().next().unwrap();
    let explained = ask(
        http,
        &format!(
            "GET /api/v1/explain/{}/{}?asn={} HTTP/1.1",
            first.address, first.len, first.asn
        ),
    );
    assert!(
        explained.starts_with("HTTP/1.1 200") && explained.contains("\"source\":\"file\""),
        "{explained}"
    );

    assert!(
        ask(http, "POST /api/v1/refresh HTTP/1.1\r\nContent-Length: 0").starts_with("HTTP/1.1 401")
    );
    let wrong =
        "POST /api/v1/refresh HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: Bearer hunter3";
    assert!(ask(http, wrong).starts_with("HTTP/1.1 401"));
    let right =
        "POST /api/v1/refresh HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: Bearer hunter2";
    assert!(ask(http, right).starts_with("HTTP/1.1 200"));
    assert!(!cache.log().contains("hunter"));
}

#[test]
fn an_update_names_what_it_changes_after_a_reload_to_another_source() {
    let mut random = Prng::new(9);
    let old = Payloads::vrps(200, &mut random);
    let new = old.changed(5, 5, &mut random);
    let folder = temp_dir();
    let (_, source) = listed(folder.path(), &old);
    let other = folder.path().join("other.json");
    new.write_json(&other);
    let cache = Cache::configured(folder, &source);
    let mut router = Router::connect(cache.address());
    let first = router.load(2);
    // Another file under the same name: its data stay until the other has delivered.
    cache.reconfigure(&format!(
        "[[source]]\nname = \"file\"\nurl = \"{}\"\n",
        other.display()
    ));
    assert_eq!(cache.control(&["reload"]).status.code(), Some(0));
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    assert_eq!(router.update(first.has).set(), increment(&old, &new, 2));
}
