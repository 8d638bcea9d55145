//! The router's side against caches that misbehave or go away.

use std::time::{Duration, Instant};

use rutter::rtr::client::{ClientConfig, ClientSession, Event, Failure, Output, Reconnect};
use rutter::rtr::image::Image;
use rutter::rtr::{Pdu, ProtocolError, Serial, SessionId, Version};

use crate::pair::{Frame, client_in_answer, data, end_of_data, kinds};

/// What a client wants, until it waits or gives up the connection.
#[derive(Default)]
struct Wants {
    sent: Vec<Frame>,
    events: Vec<Event>,
    ended: Option<Reconnect>,
}

fn wants(client: &mut ClientSession, now: Instant) -> Wants {
    let mut wants = Wants::default();
    loop {
        match client.output(now) {
            Output::Send(octets) => wants.sent.extend(Frame::split(&octets)),
            Output::Event(event) => wants.events.push(event),
            Output::Reconnect(why) => {
                wants.ended = Some(why);
                return wants;
            }
            Output::Wait => return wants,
        }
    }
}

fn give(client: &mut ClientSession, now: Instant, version: Version, pdus: &[Pdu]) {
    for pdu in pdus {
        client.receive(now, &pdu.octets(version));
    }
}

fn begin() -> Pdu {
    let session = SessionId::new(0x1234);
    Pdu::CacheResponse { session }
}

/// The octets of a set's payload PDUs.
fn payload(version: Version, text: &str) -> Vec<u8> {
    let image = Image::full(version, data(text).payload());
    let segments = image.segments(rutter::payload::Kinds::ALL);
    segments.flatten().copied().collect()
}

/// A client of version 1 that has a set.
fn with_set(now: Instant, text: &str) -> ClientSession {
    let mut client = client_in_answer(Version::V1, None, now);
    client.receive(now, &payload(Version::V1, text));
    client.receive(now, &end_of_data(Version::V1, 5));
    assert!(wants(&mut client, now).ended.is_none());
    client
}

/// What the client has is replaced by complete answers only.
#[test]
fn a_broken_full_answer_leaves_the_set() {
    let now = Instant::now();
    let mut client = with_set(now, "10.0.0.0/8 1");
    let notify = Pdu::SerialNotify {
        session: SessionId::new(0x1234),
        serial: Serial::new(6),
    };
    give(&mut client, now, Version::V1, &[notify]);
    assert_eq!(kinds(&wants(&mut client, now).sent), [1]);
    give(&mut client, now, Version::V1, &[Pdu::CacheReset]);
    assert_eq!(kinds(&wants(&mut client, now).sent), [2]);
    give(&mut client, now, Version::V1, &[begin()]);
    let twice = payload(Version::V1, "10.0.0.0/8 2");
    client.receive(now, &twice);
    client.receive(now, &twice);
    client.receive(now, &end_of_data(Version::V1, 6));
    let wants = wants(&mut client, now);
    assert_eq!((wants.sent[0].kind(), wants.sent[0].field()), (10, 7));
    assert_eq!(
        wants.ended,
        Some(Reconnect::After(Failure::Protocol(
            ProtocolError::DuplicateAnnouncement
        )))
    );
    let epoch = client.epoch().expect("the set before");
    assert_eq!(&epoch.set, data("10.0.0.0/8 1").payload());
    assert_eq!(epoch.serial, Serial::new(5));
}

/// An increment may end after what it began from has expired: the owner was told that there is
/// nothing, so everything is new to it.
#[test]
fn an_increment_that_outlives_its_base_tells_everything() {
    let now = Instant::now();
    let before = data("10.0.0.0/8 1");
    let mut client = client_in_answer(Version::V1, Some(before.payload()), now);
    let mut later = now;
    while client.epoch().is_some() {
        // The answer trickles, so the connection is not silent.
        later += Duration::from_secs(30);
        client.receive(later, &[]);
        let wants = wants(&mut client, later);
        assert!(wants.ended.is_none() && later - now <= Duration::from_secs(7200));
    }
    client.receive(later, &payload(Version::V1, "10.0.0.0/8 2"));
    client.receive(later, &end_of_data(Version::V1, 6));
    let wants = wants(&mut client, later);
    let [Event::Updated(update)] = wants.events.as_slice() else {
        panic!("{:?}", wants.events);
    };
    assert_eq!(
        &update.epoch.set,
        data("10.0.0.0/8 1; 10.0.0.0/8 2").payload()
    );
    assert_eq!(update.delta.announced(), 2);
}

/// RFC 8210 §5.11: the report encloses the PDU that caused it.
#[test]
fn reports_of_errors_6_and_7_enclose_the_pdu() {
    let now = Instant::now();
    for (text, code) in [("10.0.0.0/8 1", 7), ("10.0.0.0/8 2", 6)] {
        let before = data("10.0.0.0/8 1");
        let mut client = client_in_answer(Version::V1, Some(before.payload()), now);
        let mut pdu = payload(Version::V1, text);
        pdu[8] = u8::from(code == 7);
        // What comes behind it is not the culprit.
        let mut octets = pdu.clone();
        octets.extend(end_of_data(Version::V1, 6));
        client.receive(now, &octets);
        let wants = wants(&mut client, now);
        assert_eq!((wants.sent[0].kind(), wants.sent[0].field()), (10, code));
        assert_eq!(wants.sent[0].report().0, pdu);
        assert!(wants.ended.is_some());
    }
}

/// Nothing that the header shows is waited for.
#[test]
fn an_unknown_type_is_judged_from_the_header() {
    let now = Instant::now();
    for (version, kind) in [(Version::V0, 9), (Version::V1, 11), (Version::V2, 5)] {
        let mut client = client_in_answer(version, None, now);
        client.receive(now, &[version.octet(), kind, 0, 0, 0, 0, 0xff, 0xff]);
        let wants = wants(&mut client, now);
        assert_eq!(kinds(&wants.sent), [10], "{version}");
        assert_eq!(wants.sent[0].field(), 5, "{version}");
    }
}

/// A cache may name its version and close: the client comes back with that one, not one lower.
#[test]
fn a_close_after_error_4_keeps_the_version_offered() {
    let now = Instant::now();
    let mut client = ClientSession::new(ClientConfig::default(), now);
    assert_eq!(wants(&mut client, now).sent[0].0, [2, 2, 0, 0, 0, 0, 0, 8]);
    client.receive(now, &[1, 10, 0, 4, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0]);
    // It asks again on the same connection, in vain.
    assert_eq!(wants(&mut client, now).sent[0].0, [1, 2, 0, 0, 0, 0, 0, 8]);
    client.disconnected();
    assert_eq!(
        wants(&mut client, now).ended,
        Some(Reconnect::Downgrade(Version::V1))
    );
    client.connected(now);
    assert_eq!(wants(&mut client, now).sent[0].0, [1, 2, 0, 0, 0, 0, 0, 8]);
    // A close without a word, this time: one lower.
    client.disconnected();
    assert_eq!(
        wants(&mut client, now).ended,
        Some(Reconnect::Downgrade(Version::V0))
    );
}

/// A cache that spoke a version and goes away before the next answer has not refused it.
#[test]
fn a_restart_of_the_cache_does_not_cost_the_version() {
    let now = Instant::now();
    let mut client = ClientSession::new(ClientConfig::default(), now);
    wants(&mut client, now);
    give(&mut client, now, Version::V2, &[begin()]);
    client.receive(now, &end_of_data(Version::V2, 5));
    assert!(wants(&mut client, now).ended.is_none());
    for _ in 0..5 {
        client.disconnected();
        assert_eq!(
            wants(&mut client, now).ended,
            Some(Reconnect::After(Failure::Closed))
        );
        client.connected(now);
        let asked = wants(&mut client, now).sent;
        assert_eq!((asked[0].version(), asked[0].kind()), (2, 1));
    }
}

/// TIM-06, TIM-07: it polls at the refresh interval, and drops what it has at expiry.
#[test]
fn a_client_polls_at_refresh_and_drops_at_expiry() {
    let now = Instant::now();
    let mut client = with_set(now, "10.0.0.0/8 1");
    let at = |seconds| now + Duration::from_secs(seconds);
    assert_eq!(client.deadline(), Some(at(3600)));
    assert_eq!(wants(&mut client, at(3599)).sent, []);
    assert_eq!(kinds(&wants(&mut client, at(3600)).sent), [1]);
    // The cache is silent.
    assert_eq!(client.deadline(), Some(at(3660)));
    let silent = Some(Reconnect::After(Failure::Silent));
    assert_eq!(wants(&mut client, at(3660)).ended, silent);
    assert_eq!(client.retry(), Duration::from_secs(600));
    client.connected(at(4260));
    assert_eq!(kinds(&wants(&mut client, at(4260)).sent), [1]);
    client.disconnected();
    wants(&mut client, at(4300));
    assert_eq!(client.deadline(), Some(at(7200)));
    assert!(client.epoch().is_some());
    let expired = wants(&mut client, at(7200)).events;
    assert!(
        matches!(expired.as_slice(), [Event::Expired]),
        "{expired:?}"
    );
    assert!(client.epoch().is_none());
    client.connected(at(7300));
    assert_eq!(kinds(&wants(&mut client, at(7300)).sent), [2]);
}

/// A Notify within an answer is not lost.
#[test]
fn a_notify_within_an_answer_makes_another_query() {
    let now = Instant::now();
    let mut client = client_in_answer(Version::V1, None, now);
    let notify = Pdu::SerialNotify {
        session: SessionId::new(0x1234),
        serial: Serial::new(6),
    };
    give(&mut client, now, Version::V1, &[notify]);
    client.receive(now, &end_of_data(Version::V1, 5));
    let sent = wants(&mut client, now).sent;
    assert_eq!((sent[0].kind(), sent[0].serial()), (1, 5));
}

/// ERR-18: what was learned outlives a restart and not a shutdown; code 2 is not fatal.
#[test]
fn reports_of_a_cache_mean_what_they_say() {
    let now = Instant::now();
    let report = |code| [1, 10, 0, code, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0];
    for (code, keeps, ends) in [(2, true, false), (12, true, true), (13, false, true)] {
        let mut client = with_set(now, "10.0.0.0/8 1");
        client.receive(now, &report(code));
        let wants = wants(&mut client, now);
        assert_eq!(wants.sent, [], "never answered");
        assert_eq!(client.epoch().is_some(), keeps, "{code}");
        assert_eq!(wants.ended.is_some(), ends, "{code}");
        if code == 2 {
            let retry = Some(now + Duration::from_secs(600));
            assert_eq!(client.deadline(), retry);
        }
    }
}

/// What a cache can make a client keep is bounded.
#[test]
fn an_answer_past_the_limit_is_given_up() {
    let now = Instant::now();
    let config = ClientConfig {
        max_payloads: 3,
        ..ClientConfig::default()
    };
    let set = "10.0.0.0/8 1; 10.0.0.0/8 2; 10.0.0.0/8 3; 10.0.0.0/8 4";
    for (set, ends) in [(set, true), (&set[..42], false)] {
        let mut client = ClientSession::new(config.clone(), now);
        wants(&mut client, now);
        give(&mut client, now, Version::V2, &[begin()]);
        client.receive(now, &payload(Version::V2, set));
        let failure = Failure::TooLarge { limit: 3 };
        let expected = ends.then_some(Reconnect::After(failure));
        assert_eq!(wants(&mut client, now).ended, expected);
    }
}

/// SES-04, SES-05: an answer is of one session, and an increment of the one asked about.
#[test]
fn another_session_in_an_answer_ends_the_connection() {
    let now = Instant::now();
    let foreign = SessionId::new(0x4321);
    let response = Pdu::CacheResponse { session: foreign };
    let end = Pdu::EndOfData {
        session: foreign,
        serial: Serial::new(6),
        timing: Some(rutter::rtr::Timing::RECOMMENDED),
    };
    let notify = Pdu::SerialNotify {
        session: foreign,
        serial: Serial::new(6),
    };
    for (pdus, next) in [(vec![response], 2), (vec![begin(), end], 1)] {
        let mut client = with_set(now, "10.0.0.0/8 1");
        give(&mut client, now, Version::V1, std::slice::from_ref(&notify));
        assert_eq!(kinds(&wants(&mut client, now).sent), [1]);
        give(&mut client, now, Version::V1, &pdus);
        let last = pdus.last().unwrap().octets(Version::V1);
        let wanted = wants(&mut client, now);
        assert_eq!((wanted.sent[0].kind(), wanted.sent[0].field()), (10, 0));
        assert_eq!(wanted.sent[0].report().0, last);
        assert!(wanted.ended.is_some() && client.epoch().is_some());
        // Where the cache has another session, everything is asked for again.
        client.connected(now);
        assert_eq!(kinds(&wants(&mut client, now).sent), [next]);
    }
}

/// Whoever wants to know does not wait for the refresh interval, and does not ask twice.
#[test]
fn a_client_asks_when_it_is_told_to() {
    let now = Instant::now();
    let mut client = with_set(now, "10.0.0.0/8 1");
    client.ask_now(now);
    assert_eq!(kinds(&wants(&mut client, now).sent), [1]);
    client.ask_now(now);
    assert!(wants(&mut client, now).sent.is_empty());
    give(&mut client, now, Version::V1, &[begin()]);
    client.ask_now(now);
    client.receive(now, &end_of_data(Version::V1, 5));
    assert!(wants(&mut client, now).sent.is_empty());
}

/// A connection that its owner gave up is like one that the cache ended, except that it says
/// nothing about versions.
#[test]
fn what_a_client_has_outlives_a_connection_that_was_given_up() {
    let now = Instant::now();
    let mut client = with_set(now, "10.0.0.0/8 1");
    client.ask_now(now);
    wants(&mut client, now);
    client.abandoned();
    let ended = wants(&mut client, now).ended;
    assert_eq!(ended, Some(Reconnect::After(Failure::Closed)));
    let expires = client.deadline().unwrap();
    assert_eq!(expires - now, Duration::from_secs(7200));
    assert!(client.epoch().is_some());
    client.connected(now);
    assert_eq!(kinds(&wants(&mut client, now).sent), [1]);
    client.abandoned();
    let events = wants(&mut client, expires).events;
    assert!(matches!(events.as_slice(), [Event::Expired]), "{events:?}");

    let mut client = ClientSession::new(ClientConfig::default(), now);
    wants(&mut client, now);
    client.abandoned();
    let wants = wants(&mut client, now);
    assert!(wants.events.is_empty() && client.version() == Version::V2);
}
