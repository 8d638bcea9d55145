//! What is remembered of an address, and who may connect.

use std::net::{IpAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rutter::config::{Config, Settings};

use super::cache::Cache;
use super::router::{CACHE_RESET, ERROR_REPORT, Router};
use crate::support::payloads::{Payloads, Prng};
use crate::support::temp_dir;

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

/// An address of this host that is not loopback, without a packet being sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn who_is_not_on_the_list_is_closed_at_once() {
    let Some(own) = own_address() else {
        // The rule itself is tested below.
        return;
    };
    let payloads = Payloads::vrps(50, &mut Prng::new(4));
    for (allow, welcome) in [
        ("203.0.113.0/24".to_owned(), false),
        (own.to_string(), true),
    ] {
        let folder = temp_dir();
        let source = folder.path().join("vrps.json");
        payloads.write_json(&source);
        let cache = Cache::start_with(
            folder,
            &["--source", source.to_str().unwrap()],
            &format!("{own}:0"),
            &["--allow", &allow],
        );
        let mut router = Router {
            stream: TcpStream::connect(cache.address()).unwrap(),
        };
        if welcome {
            assert_eq!(router.load(1).payload.len(), payloads.vrps.len());
        } else {
            assert_eq!(router.until_gone(), b"");
            cache.says(&["connection refused", "access list"]);
        }
    }
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
    let allows = |address: &str| config.listeners[0].allows(address.parse().unwrap());
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
