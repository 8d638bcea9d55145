//! What slow routers and many routers cost.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::cache::{Cache, PATIENCE};
use super::router::{CACHE_RESPONSE, END_OF_DATA, NOTIFY, RESET_QUERY, Router, announced};
use crate::support::payloads::{Payloads, Prng};
use crate::support::wait_for;

/// Many more octets than a connection with a small window holds.
const MANY: usize = 30_000;

#[test]
fn one_connection_too_many_is_closed_and_room_is_reused() {
    let cache = Cache::start(
        &Payloads::vrps(50, &mut Prng::new(1)),
        &["--set", "limits.connections=3"],
    );
    let mut routers: Vec<_> = (0..3).map(|_| Router::connect(cache.address())).collect();
    for router in &mut routers {
        router.load(1);
    }
    let mut fourth = Router::connect(cache.address());
    assert_eq!(fourth.until_gone(), b"");
    cache.says(&["connection refused", "limits.connections"]);
    routers.pop();
    // The server has to notice first.
    cache.says(&["session ended"]);
    wait_for("room for another", PATIENCE, || {
        let mut next = Router::connect(cache.address());
        // A connection that is closed may be so before or after the query.
        let sent = std::io::Write::write_all(&mut next.stream, &RESET_QUERY[1]);
        let first = sent.and_then(|()| next.try_pdu());
        first.map_err(|error| error.to_string())
    });
    for router in &mut routers {
        router.load(1);
    }
}

/// Begins to load and stops after the Cache Response.
fn stall(cache: &Cache) -> Router {
    let mut router = Router::connect_narrow(cache.address());
    router.send(&RESET_QUERY[1]);
    router.expect(CACHE_RESPONSE);
    router
}

#[test]
fn a_router_that_takes_nothing_is_ended() {
    let payloads = Payloads::vrps(MANY, &mut Prng::new(2));
    let cache = Cache::start(&payloads, &["--set", "limits.stall=1s"]);
    let mut stalled = stall(&cache);
    let begin = Instant::now();
    cache.says(&["session ended", "the router takes nothing"]);
    assert!(begin.elapsed() > Duration::from_millis(900));
    let rest = stalled.until_gone();
    assert!(rest.len() < 20 * MANY, "it got everything: no stall");
}

#[test]
fn a_slow_router_that_goes_on_taking_is_not_ended() {
    let payloads = Payloads::vrps(2 * MANY, &mut Prng::new(6));
    let cache = Cache::start(&payloads, &["--set", "limits.stall=1s"]);
    let mut slow = Router::connect_with_room(65_536, cache.address());
    let begin = Instant::now();
    slow.send(&RESET_QUERY[1]);
    // The kernel takes more from the server only when it has passed on some 128 KiB, so less than
    // that a second would count as nothing.
    for pdu in 1.. {
        if slow.pdu().kind() == END_OF_DATA {
            break;
        }
        if pdu % 5_000 == 0 {
            std::thread::sleep(Duration::from_millis(150));
        }
    }
    assert!(begin.elapsed() > Duration::from_millis(1_500), "not slow");
}

#[test]
fn stalled_routers_delay_nobody_and_cost_little() {
    const STALLED: usize = 50;
    let mut random = Prng::new(3);
    let payloads = Payloads::vrps(100_000, &mut random);
    let cache = Cache::start(&payloads, &[]);
    let mut good = Router::connect(cache.address());
    let begin = Instant::now();
    let first = good.load(1);
    let alone = begin.elapsed();
    let image: usize = first.payload.iter().map(Vec::len).sum();
    drop(first);
    let before = cache.resident();

    let stalled: Vec<_> = (0..STALLED).map(|_| stall(&cache)).collect();
    let begin = Instant::now();
    let answer = good.load(1);
    let beside = begin.elapsed();
    assert!(answer.set() == announced(&payloads, 1));
    assert!(
        beside < alone * 4 + Duration::from_millis(500),
        "{beside:?} beside stalled routers, {alone:?} alone"
    );
    let more = cache.resident().saturating_sub(before);
    let allowed = image + STALLED * 64 * 1024;
    assert!(more < allowed, "{more} octets more, {allowed} are allowed");
    assert_eq!(cache.said(&["session ended"]), 0);
    drop(stalled);
}

#[test]
fn a_router_that_stalls_over_many_publications_is_ended() {
    let mut random = Prng::new(4);
    let mut payloads = Payloads::vrps(MANY, &mut random);
    let cache = Cache::start(&payloads, &[]);
    let mut good = Router::connect(cache.address());
    let mut has = good.load(1).has;
    let mut set = announced(&payloads, 1);
    // Each of them holds on to the list of its time.
    let mut stalled = vec![stall(&cache)];
    for publication in 1..=5 {
        payloads = payloads.changed(5, 5, &mut random);
        cache.publish(&payloads);
        good.expect(NOTIFY);
        let answer = good.update(has);
        assert_eq!(answer.has.serial, has.serial + 1);
        has = answer.has;
        for mut pdu in answer.payload {
            let announce = std::mem::replace(&mut pdu[8], 1) == 1;
            assert!(if announce {
                set.insert(pdu)
            } else {
                set.remove(&pdu)
            });
        }
        assert!(set == announced(&payloads, 1), "after {publication}");
        // With the fourth there would be five lists, and with the fifth six.
        let too_slow = ["session ended", "several publications behind"];
        match publication {
            4.. => drop(cache.says_times(publication - 3, &too_slow)),
            _ => assert_eq!(cache.said(&too_slow), 0),
        }
        stalled.push(stall(&cache));
    }
    let rest = stalled[0].until_gone();
    assert!(rest.len() < 20 * MANY, "it got everything: no stall");
    // Those of the younger lists are still served.
    for mut router in stalled.drain(2..) {
        while router.pdu().kind() != END_OF_DATA {}
    }
}

#[test]
fn routers_that_vanish_free_their_places() {
    let payloads = Payloads::vrps(MANY, &mut Prng::new(5));
    let cache = Cache::start(&payloads, &["--set", "limits.connections=20"]);
    for _ in 0..10 {
        let stalled: Vec<_> = (0..5).map(|_| stall(&cache)).collect();
        drop(stalled);
        // Dropped with unread input, so the server gets a reset in the middle of its answer.
    }
    cache.says_times(50, &["session ended"]);
    let idle = TcpStream::connect(cache.address()).unwrap();
    Router::connect(cache.address()).load(1);
    drop(idle);
}
