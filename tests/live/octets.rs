//! What routers and others send, over real TCP.

use std::time::{Duration, Instant};

use super::cache::Cache;
use super::router::{
    CACHE_RESPONSE, ERROR_REPORT, NOTIFY, RESET_QUERY, Raw, Router, announced, increment,
};
use crate::support::payloads::{Payloads, Prng};

/// The code and the enclosed octets of an Error Report that is well-formed, in octets that are
/// nothing else.
#[track_caller]
fn only_report(octets: &[u8]) -> (u16, Vec<u8>) {
    let pdu = Raw(octets.to_vec());
    assert!(octets.len() >= 16, "{octets:?}");
    assert_eq!(pdu.kind(), ERROR_REPORT, "{octets:?}");
    let number = |at: usize| {
        let number = u32::from_be_bytes(octets[at..at + 4].try_into().unwrap());
        usize::try_from(number).unwrap()
    };
    assert_eq!(number(4), octets.len());
    let enclosed = number(8);
    let text = number(12 + enclosed);
    assert_eq!(16 + enclosed + text, octets.len());
    assert!(octets.len() <= 848, "BIRD before 2.16 takes no more");
    std::str::from_utf8(&octets[16 + enclosed..]).unwrap();
    (pdu.word(), octets[12..12 + enclosed].to_vec())
}

#[test]
fn a_report_is_readable_although_input_was_left_unread() {
    let cache = Cache::start(&Payloads::vrps(50, &mut Prng::new(1)), &[]);
    let mut router = Router::connect(cache.address());
    let mut octets = vec![1, 255, 0, 0, 0, 0, 0, 8];
    // Many reads of the server, so that most of it is still in the socket when it closes.
    octets.resize(40_000, 7);
    router.send(&octets);
    cache.says(&["protocol error"]);
    // Read only now: a reset would have thrown the report away.
    router.end_output();
    let (code, enclosed) = only_report(&router.until_closed());
    assert_eq!(code, 5);
    assert!(octets.starts_with(&enclosed) && enclosed.len() >= 4);
}

/// What is sent, and the code of the report that comes back.
const BROKEN: &[(&[u8], u16)] = &[
    // Types that do not exist, at all or in this version.
    (&[1, 5, 0, 0, 0, 0, 0, 8], 5),
    (&[0, 12, 0, 0, 0, 0, 0, 8], 5),
    (&[0, 9, 0, 0, 0, 0, 0, 8], 5),
    (&[1, 11, 0, 0, 0, 0, 0, 8], 5),
    (&[2, 255, 0, 0, 0, 0, 0, 8], 5),
    // Types that only a cache sends.
    (&[1, 3, 0, 1, 0, 0, 0, 8], 3),
    (&[2, 7, 0, 1, 0, 0, 0, 24], 3),
    // Lengths, the largest first: no answer may wait for so much.
    (&[1, 2, 0, 0, 255, 255, 255, 255], 0),
    (&[2, 1, 0, 0, 255, 255, 255, 255], 0),
    (&[2, 2, 0, 0, 0, 1, 0, 0], 0),
    (&[0, 2, 0, 0, 0, 0, 0, 0], 0),
    (&[1, 2, 0, 0, 0, 0, 0, 7], 0),
    (&[1, 1, 0, 0, 0, 0, 0, 8], 0),
];

#[test]
fn broken_queries_get_one_report_and_a_close() {
    let cache = Cache::start(&Payloads::vrps(50, &mut Prng::new(2)), &[]);
    for (from, (octets, code)) in (1..).zip(BROKEN) {
        let mut router = Router::connect_from(1, from, cache.address());
        router.send(octets);
        let reply = router.until_closed();
        let (found, enclosed) = only_report(&reply);
        assert_eq!(found, *code, "{octets:?}");
        assert_eq!(reply[0], octets[0], "{octets:?}");
        assert_eq!(enclosed, *octets);
    }
}

#[test]
fn an_unknown_version_is_told_ours_and_may_try_again() {
    let payloads = Payloads::vrps(50, &mut Prng::new(3));
    let cache = Cache::start(&payloads, &["--set", "rtr.highest-version=1"]);
    for (from, version) in (1..).zip([2, 3, 255]) {
        let mut router = Router::connect_from(2, from, cache.address());
        router.send(&[version, 2, 0, 0, 0, 0, 0, 8]);
        let report = router.expect(ERROR_REPORT);
        assert_eq!((report.version(), report.word()), (1, 4));
        assert!(router.load(1).set() == announced(&payloads, 1));
    }
}

#[test]
fn error_reports_are_never_answered() {
    let cache = Cache::start(&Payloads::vrps(50, &mut Prng::new(4)), &[]);
    let reports: [&[u8]; 5] = [
        &[1, 10, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0],
        &[2, 10, 0, 200, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0],
        // The inner lengths overrun.
        &[1, 10, 0, 3, 0, 0, 0, 16, 0, 0, 0, 9, 0, 0, 0, 0],
        &[0, 10, 0, 3, 0, 0, 0, 8],
        &[1, 10, 0, 3, 255, 255, 255, 255, 0, 0, 0, 0],
    ];
    for report in reports {
        let mut router = Router::connect(cache.address());
        router.send(report);
        assert_eq!(router.until_closed(), b"", "{report:?}");
    }
}

#[test]
fn garbage_harms_nobody() {
    let payloads = Payloads::vrps(300, &mut Prng::new(5));
    let mut cache = Cache::start(&payloads, &[]);
    let mut witness = Router::connect(cache.address());
    let has = witness.load(1).has;
    let mut random = Prng::new(6);
    let begin = Instant::now();
    for (a, b) in (10..13).flat_map(|a| (1..=80).map(move |b| (a, b))) {
        let mut router = Router::connect_from(a, b, cache.address());
        let length = usize::try_from(1 + random.below(60)).unwrap();
        let mut octets: Vec<u8> = (0..length)
            .map(|_| random.next().to_be_bytes()[0])
            .collect();
        // Half of it begins like a query.
        if random.below(2) == 0 {
            octets[0] %= 4;
            octets.truncate(4);
            octets.extend_from_slice(&[0, 0, 0, 8]);
        }
        router.send(&octets);
        router.end_output();
        router.until_gone();
    }
    assert!(cache.is_running());
    // Nor does it fill the log: twenty lines at once, then one a second.
    let most = 20 + usize::try_from(begin.elapsed().as_secs()).unwrap() + 1;
    assert!(cache.said(&["INFO", "session ended"]) + cache.said(&["WARN", "report"]) <= most);
    assert!(witness.update(has).payload.is_empty());
    assert!(Router::connect(cache.address()).load(2).set() == announced(&payloads, 2));
}

#[test]
fn queries_may_come_octet_by_octet() {
    let payloads = Payloads::vrps(100, &mut Prng::new(7));
    let cache = Cache::start(&payloads, &[]);
    let mut router = Router::connect(cache.address());
    let mut query = RESET_QUERY[1].to_vec();
    for _ in 0..2 {
        let last = query.pop().unwrap();
        for octet in query {
            router.send(&[octet]);
            // A moment for the octet to arrive alone, and nothing may come of it.
            assert!(router.is_quiet(Duration::from_millis(5)));
        }
        router.send(&[last]);
        query = router.answer().has.query().to_vec();
    }
}

#[test]
fn a_router_that_ends_its_output_still_gets_its_answer() {
    let payloads = Payloads::vrps(30_000, &mut Prng::new(10));
    let cache = Cache::start(&payloads, &[]);
    let mut router = Router::connect_narrow(cache.address());
    router.send(&RESET_QUERY[2]);
    router.end_output();
    assert!(router.answer().set() == announced(&payloads, 2));
    assert_eq!(router.until_closed(), b"");
}

#[test]
fn two_queries_in_one_segment_get_two_answers_in_order() {
    let payloads = Payloads::vrps(2_000, &mut Prng::new(8));
    let cache = Cache::start(&payloads, &[]);
    for version in 0..=2 {
        let mut router = Router::connect(cache.address());
        let has = router.load(version).has;
        let mut both = RESET_QUERY[usize::from(version)].to_vec();
        both.extend_from_slice(&has.query());
        router.send(&both);
        let (full, increment) = (router.answer(), router.answer());
        assert!(full.set() == announced(&payloads, version));
        assert_eq!((full.has, increment.has), (has, has));
        assert!(increment.payload.is_empty());
    }
}

#[test]
fn no_notify_comes_before_the_first_query() {
    let mut random = Prng::new(9);
    let lists = [Payloads::vrps(100, &mut random)];
    let lists = [lists[0].changed(1, 0, &mut random), lists[0].clone()];
    let cache = Cache::start(&lists[0], &[]);
    let mut silent = Router::connect(cache.address());
    let mut witness = Router::connect(cache.address());
    let has = witness.load(1).has;
    cache.publish(&lists[1]);
    witness.expect(NOTIFY);
    // The witness was told, so the silent one was not.
    assert!(silent.is_quiet(Duration::from_millis(300)));
    silent.send(&RESET_QUERY[0]);
    let response = silent.expect(CACHE_RESPONSE);
    assert_eq!(response.version(), 0);
    let loaded = silent.rest_of_answer(&response);
    assert_eq!(loaded.has.serial, has.serial + 1);
    // From here on it is told, in its own version.
    cache.publish(&lists[0]);
    let notify = silent.expect(NOTIFY);
    assert_eq!((notify.version(), notify.word()), (0, loaded.has.session));
    let back = increment(&lists[1], &lists[0], 0);
    assert_eq!(silent.update(loaded.has).set(), back);
}
