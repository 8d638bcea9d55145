//! What is remembered of an address, and who may connect.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rutter::config::{Config, Settings};

use super::cache::{Cache, PATIENCE};
use super::router::{CACHE_RESET, ERROR_REPORT, Router};
use crate::support::payloads::{Payloads, Prng};
use crate::support::process::run;
use crate::support::{Need, is_root, not_run, program, temp_dir};

/// An Error Report without an enclosed PDU and without text.
fn report(version: u8, code: u8) -> [u8; 16] {
    [version, 10, 0, code, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0]
}

#[test]
fn a_router_in_doubt_about_its_data_is_reset_once() {
    let cache = Cache::start(&Payloads::vrps(50, &mut Prng::new(1)), &[]);
    let cases = [(1, 0, 6), (2, 1, 6), (3, 1, 7), (4, 2, 7)];
    for (from, version, code) in cases {
        let mut router = Router::connect_from(5, from, cache.address());
        let has = router.load(version).has;
        router.send(&report(version, code));
        assert_eq!(router.until_closed(), b"");

        // Somebody else is not in doubt.
        let mut other = Router::connect_from(6, from, cache.address());
        assert!(other.update(has).payload.is_empty());

        let mut router = Router::connect_from(5, from, cache.address());
        router.send(&has.query());
        assert_eq!(router.expect(CACHE_RESET).version(), version);
        let has = router.load(version).has;
        assert!(router.update(has).payload.is_empty());
        let mut router = Router::connect_from(5, from, cache.address());
        assert!(router.update(has).payload.is_empty(), "once only");
    }
}

#[test]
fn other_reports_leave_the_data_alone() {
    let cache = Cache::start(&Payloads::vrps(50, &mut Prng::new(2)), &[]);
    for (from, code) in (1..).zip([0, 1, 3, 8, 200]) {
        let mut router = Router::connect_from(7, from, cache.address());
        let has = router.load(1).has;
        router.send(&report(1, code));
        assert_eq!(router.until_closed(), b"");
        let mut router = Router::connect_from(7, from, cache.address());
        assert!(router.update(has).payload.is_empty());
    }
}

#[test]
fn reports_to_one_address_come_later_and_later() {
    let cache = Cache::start(&Payloads::vrps(50, &mut Prng::new(3)), &[]);
    let wrong = [1, 255, 0, 0, 0, 0, 0, 8];
    let time_to_report = |from| {
        let mut router = Router::connect_from(8, from, cache.address());
        let begin = Instant::now();
        router.send(&wrong);
        router.expect(ERROR_REPORT);
        begin.elapsed()
    };
    let times = [(); 4].map(|()| time_to_report(1));
    for (time, least) in times.iter().zip([0, 500, 1_000, 2_000]) {
        let least = Duration::from_millis(least);
        assert!(*time >= least && *time < least + least.max(Duration::from_millis(450)));
    }
    // Another address has nothing to do with it.
    assert!(time_to_report(2) < Duration::from_millis(450));
}

/// Serves on an address that is not loopback and dumps from there, in a network namespace that
/// ends with the script: `SCRIPT rutter source prefix log`.
const IN_A_NETWORK_OF_ITS_OWN: &str = r#"
    set -eu
    : >"$4"
    ip link set lo up
    ip address add 192.0.2.1/32 dev lo
    "$1" serve --source "$2" --listen tcp://192.0.2.1:8282 --allow "$3" 2>"$4" &
    server=$!
    trap 'kill $server' EXIT
    until grep -q published "$4"; do kill -0 $server; sleep 0.02; done
    "$1" dump tcp://192.0.2.1:8282 --output csv
"#;

#[test]
fn who_is_not_on_the_list_is_closed_at_once() {
    let what = "the access list over the wire";
    if !is_root() || program("unshare").is_none() || program("ip").is_none() {
        return not_run(what, Need::Peers, "needs root, unshare and ip");
    }
    let folder = temp_dir();
    let source = folder.path().join("vrps.json");
    let log = folder.path().join("log");
    let payloads = Payloads::vrps(50, &mut Prng::new(4));
    payloads.write_json(&source);
    let dumped = |allow: &str| {
        let mut command = Command::new("unshare");
        command.args([
            "--net",
            "--kill-child",
            "sh",
            "-c",
            IN_A_NETWORK_OF_ITS_OWN,
            "sh",
        ]);
        command.arg(env!("CARGO_BIN_EXE_rutter")).arg(&source);
        run(command.arg(allow).arg(&log), PATIENCE)
    };

    let csv = dumped("192.0.2.0/24").unwrap();
    assert_eq!(csv.lines().count(), 1 + payloads.vrps.len());

    assert!(dumped("203.0.113.0/24").is_err());
    let said = fs::read_to_string(&log).unwrap();
    assert!(
        said.contains("connection refused") && said.contains("access list"),
        "{said}"
    );
}

#[test]
fn the_access_list_is_of_prefixes_and_loopback_is_always_on_it() {
    let settings = Settings {
        demo: true,
        listen: vec!["tcp://[::]:323".into()],
        allow: vec![
            "192.0.2.0/24".into(),
            "2001:db8::/32".into(),
            "203.0.113.7".into(),
        ],
        ..Settings::default()
    };
    let (config, _) = Config::new(&settings).unwrap();
    let allows = |address: &str| config.listeners[0].access.allows(address.parse().unwrap());
    for welcome in [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "192.0.2.255",
        "2001:db8:f::1",
        "203.0.113.7",
    ] {
        assert!(allows(welcome), "{welcome}");
    }
    for stranger in ["192.0.3.0", "2001:db9::1", "203.0.113.8", "0.0.0.0", "::"] {
        assert!(!allows(stranger), "{stranger}");
    }
}
