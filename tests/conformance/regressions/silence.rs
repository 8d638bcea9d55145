//! Connections on which nothing, or half of something, happens.

use rutter::rtr::server::Close;

use crate::pair::{Conn, World, answer, kinds, reset_query, serial_query};

#[test]
fn a_connection_without_a_query_is_closed() {
    for mut world in [World::empty(), World::of("10.0.0.0/8 1")] {
        let mut conn = Conn::open(&world);
        conn.wait(&mut world, 119);
        assert!(conn.is_quiet());
        conn.wait(&mut world, 1);
        assert_eq!((conn.take(), conn.closed), (vec![], Some(Close::Silent)));
    }
}

/// QRY-09: on a fresh connection and on an open one.
#[test]
fn half_a_pdu_then_silence_is_closed() {
    for begun in 1..12 {
        for opened in [false, true] {
            let mut world = World::of("10.0.0.0/8 1");
            let mut conn = Conn::open(&world);
            if opened {
                conn.reset(&world, 1);
                conn.wait(&mut world, 10_000);
            }
            conn.send(&world, &serial_query(1, 7, 7)[..begun]);
            conn.wait(&mut world, 119);
            assert!(conn.is_quiet());
            conn.wait(&mut world, 1);
            assert_eq!(conn.closed, Some(Close::Silent));
        }
    }
}

/// Octets that trickle do not put the deadline off.
#[test]
fn a_trickle_is_silence() {
    let mut world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    let mut seconds = 0;
    for octet in serial_query(1, 7, 7) {
        if conn.closed.is_none() {
            conn.send(&world, &[octet]);
            conn.wait(&mut world, 30);
            seconds += 30;
        }
    }
    assert_eq!((seconds, conn.closed), (120, Some(Close::Silent)));
}

/// An Error Report that never ends is no reason to wait for ever either.
#[test]
fn half_an_error_report_is_closed_without_a_word() {
    let mut world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    conn.reset(&world, 2);
    conn.send(&world, &[2, 10, 0, 0, 0, 0, 0x10, 0]);
    conn.wait(&mut world, 120);
    assert_eq!((conn.take(), conn.closed), (vec![], Some(Close::Silent)));
}

/// TRN-06: sessions last.
#[test]
fn an_open_session_may_be_silent_for_days() {
    let mut world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    let frames = conn.reset(&world, 1);
    let (session, serial, _) = answer(&frames);
    assert_eq!(conn.session.deadline(world.current.as_deref()), None);
    conn.wait(&mut world, 3 * 86_400);
    assert!(conn.is_quiet());
    assert_eq!(kinds(&conn.since(&world, 1, session, serial)), [3, 7]);
    assert_eq!(conn.session.deadline(world.current.as_deref()), None);
}

/// A refused version does not open a session.
#[test]
fn silence_after_a_refused_version_is_closed() {
    let mut world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    assert_eq!(kinds(&conn.ask(&world, &reset_query(3))), [10]);
    conn.wait(&mut world, 120);
    assert_eq!(conn.closed, Some(Close::Silent));
}

/// Nothing is taken from a router during its answer, so the time of a slow answer is not its
/// silence.
#[test]
fn the_time_of_an_answer_is_not_silence() {
    let mut world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    let mut octets = reset_query(1);
    octets.extend(&reset_query(1)[..3]);
    conn.session.receive(world.now, &octets);
    while conn.session.holds().is_none() {
        conn.step(&world);
    }
    world.pass(500);
    conn.run(&world);
    assert_eq!((conn.frames().len(), conn.closed.clone()), (3, None));
    assert_eq!(conn.ask(&world, &reset_query(1)[3..]).len(), 3);
}
