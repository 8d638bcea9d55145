//! How it ends, and how it comes back.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::cache::Cache;
use super::router::{CACHE_RESET, CACHE_RESPONSE, Has, RESET_QUERY, Router, announced};
use crate::support::payloads::{Payloads, Prng};

const MANY: usize = 30_000;

#[test]
fn sigterm_closes_plainly_and_lets_an_answer_end() {
    let payloads = Payloads::vrps(MANY, &mut Prng::new(1));
    let mut cache = Cache::start(&payloads, &[]);
    let mut idle: Vec<_> = (0..=2)
        .map(|version| {
            let mut router = Router::connect(cache.address());
            router.load(version);
            router
        })
        .collect();
    idle.push(Router::connect(cache.address()));
    let mut busy = Router::connect_narrow(cache.address());
    busy.send(&RESET_QUERY[1]);
    let response = busy.expect(CACHE_RESPONSE);

    cache.signal(Signal::TERM);
    for router in &mut idle {
        assert_eq!(router.until_closed(), b"", "closed without a word");
    }
    let answer = busy.rest_of_answer(&response);
    assert!(answer.set() == announced(&payloads, 1));
    assert_eq!(busy.until_closed(), b"");
    drop((idle, busy));
    assert_eq!(cache.ended(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn the_drain_limit_ends_what_does_not_end() {
    let payloads = Payloads::vrps(MANY, &mut Prng::new(2));
    let mut cache = Cache::start(&payloads, &["--set", "limits.drain=1s"]);
    let mut stalled = Router::connect_narrow(cache.address());
    stalled.send(&RESET_QUERY[1]);
    stalled.expect(CACHE_RESPONSE);
    let begin = Instant::now();
    cache.signal(Signal::INT);
    let status = cache.ended(Duration::from_secs(8));
    let took = begin.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!(took > Duration::from_millis(900), "{took:?}: no grace");
    assert!(stalled.until_gone().len() < 20 * MANY);
}

#[test]
fn a_report_that_is_held_back_does_not_hold_up_a_stop() {
    let mut cache = Cache::start(&Payloads::vrps(50, &mut Prng::new(7)), &[]);
    // The last of them are held back for 2, 4, 8 and 16 seconds.
    let mut routers: Vec<_> = (0..7).map(|_| Router::connect(cache.address())).collect();
    for router in &mut routers {
        router.send(&[1, 255, 0, 0, 0, 0, 0, 8]);
    }
    routers[0].until_closed();
    cache.signal(Signal::TERM);
    let begin = Instant::now();
    for router in &mut routers {
        router.until_closed();
    }
    drop(routers);
    assert_eq!(cache.ended(Duration::from_secs(10)).code(), Some(0));
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_hang_up_does_not_end_it() {
    let mut cache = Cache::start(&Payloads::vrps(50, &mut Prng::new(3)), &[]);
    let mut router = Router::connect(cache.address());
    let has = router.load(1).has;
    cache.signal(Signal::HUP);
    assert!(router.update(has).payload.is_empty());
    // A process that was to die of it would not get this far.
    Router::connect(cache.address()).load(2);
    assert!(cache.is_running());
    cache.signal(Signal::TERM);
    drop(router);
    assert_eq!(cache.ended(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn nothing_new_is_accepted_during_a_stop() {
    let payloads = Payloads::vrps(MANY, &mut Prng::new(4));
    let mut cache = Cache::start(&payloads, &[]);
    let mut busy = Router::connect_narrow(cache.address());
    busy.send(&RESET_QUERY[1]);
    let response = busy.expect(CACHE_RESPONSE);
    let mut idle = Router::connect(cache.address());
    idle.load(1);
    cache.signal(Signal::TERM);
    // Whoever sees this close knows that the stop has begun.
    assert_eq!(idle.until_closed(), b"");
    if let Ok(stream) = TcpStream::connect_timeout(&cache.address(), Duration::from_secs(5)) {
        // It was in the queue of the system, which is thrown away.
        assert_eq!(Router { stream }.until_gone(), b"");
    }
    busy.rest_of_answer(&response);
    drop((busy, idle));
    assert_eq!(cache.ended(Duration::from_secs(10)).code(), Some(0));
}

#[test]
fn after_a_crash_old_sessions_are_reset_and_not_refused() {
    let payloads = Payloads::vrps(500, &mut Prng::new(5));
    let cache = Cache::start(&payloads, &[]);
    let old = [0, 1, 2].map(|version| Router::connect(cache.address()).load(version).has);
    let cache = Cache::start_in(cache.kill(), &[]);
    for has in old {
        let version = has.version;
        let mut router = Router::connect(cache.address());
        router.send(&has.query());
        assert_eq!(router.expect(CACHE_RESET).version(), version);
        let answer = router.load(version);
        assert!(answer.set() == announced(&payloads, version));
        assert_ne!(answer.has.session, has.session);
        // A serial from before means nothing in the new session.
        let wrong = Has {
            serial: 77,
            ..answer.has
        };
        router.send(&wrong.query());
        router.expect(CACHE_RESET);
        assert!(router.update(answer.has).payload.is_empty());
    }
}

#[test]
fn version_0_gets_a_fresh_session_on_each_connection() {
    let cache = Cache::start(&Payloads::vrps(50, &mut Prng::new(6)), &[]);
    let first = Router::connect(cache.address()).load(0).has;
    let mut router = Router::connect(cache.address());
    let second = router.load(0).has;
    assert_ne!(first.session, second.session);
    assert_eq!(router.load(0).has, second, "within a connection it stays");
    // The older one is still known.
    let mut router = Router::connect(cache.address());
    let answer = router.update(first);
    assert_eq!((answer.has, answer.payload.len()), (first, 0));
    let kept = [1, 2].map(|version| {
        let [a, b] = [(); 2].map(|()| Router::connect(cache.address()).load(version).has);
        a == b
    });
    assert_eq!(kept, [true, true]);
}
