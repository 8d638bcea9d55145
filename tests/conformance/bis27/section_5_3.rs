//! Serial Query: sessions, serials, and which answer they get.

use std::sync::Arc;

use rutter::rtr::server::{Close, ServerConfig};
use rutter::rtr::{ProtocolError, Serial, SessionId, Snapshot};

use crate::pair::{Conn, World, answer, data, kinds, name, serial_query, told};

/// SES-07: no session is open, so the router is sent back to the beginning.
#[test]
fn an_unknown_session_on_a_fresh_connection_gets_cache_reset() {
    for version in 0..3 {
        let mut world = World::of("10.0.0.0/8 1");
        let frames = Conn::open(&world).reset(&world, version);
        let (session, serial, _) = answer(&frames);
        world.publish("10.0.0.0/8 2");
        let mut conn = Conn::open(&world);
        let frames = conn.since(&world, version, session ^ 1, serial);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].0, [version, 8, 0, 0, 0, 0, 0, 8]);
        // Still none is open: another one is no error either.
        assert_eq!(
            kinds(&conn.since(&world, version, session ^ 2, serial)),
            [8]
        );
        assert_eq!(told(&conn.reset(&world, version)), ["+10.0.0.0/8-8 AS2"]);
        assert_eq!(conn.closed, None);
    }
}

/// SES-06: with a session open it is an error.
#[test]
fn another_session_on_an_open_one_gets_error_0() {
    for version in 0..3 {
        let world = World::of("10.0.0.0/8 1");
        let mut conn = Conn::open(&world);
        let frames = conn.reset(&world, version);
        let (session, serial, _) = answer(&frames);
        let found = session ^ 1;
        let frames = conn.since(&world, version, found, serial);
        assert_eq!((frames[0].kind(), frames[0].field()), (10, 0));
        assert_eq!(frames[0].version(), version);
        assert_eq!(frames[0].report().0, serial_query(version, found, serial));
        let (told, found) = (SessionId::new(session), SessionId::new(found));
        let error = ProtocolError::SessionMismatch { told, found };
        assert_eq!(conn.closed, Some(Close::Protocol(error)));
    }
}

/// An increment opens a session as a full answer does.
#[test]
fn a_resumed_session_is_open() {
    for version in 0..3 {
        let world = World::of("10.0.0.0/8 1");
        let frames = Conn::open(&world).reset(&world, version);
        let (session, serial, _) = answer(&frames);
        let mut conn = Conn::open(&world);
        assert_eq!(kinds(&conn.since(&world, version, session, serial)), [3, 7]);
        let frames = conn.since(&world, version, session ^ 1, serial);
        assert_eq!((frames[0].kind(), frames[0].field()), (10, 0));
    }
}

/// SES-11: the id of another version is a foreign id.
#[test]
fn ids_of_other_versions_are_foreign() {
    let world = World::of("10.0.0.0/8 1");
    let ids: Vec<u16> = (0..3)
        .map(|version| answer(&Conn::open(&world).reset(&world, version)).0)
        .collect();
    for version in 0..3u8 {
        for (of, id) in ids.iter().enumerate() {
            let frames = Conn::open(&world).since(&world, version, *id, 1);
            let expected: &[u8] = if of == usize::from(version) {
                &[3, 7]
            } else {
                &[8]
            };
            assert_eq!(kinds(&frames), expected);
        }
    }
}

/// SES-10: the history is replaced under an open connection.
#[test]
fn a_session_replaced_on_an_open_connection_is_no_error() {
    for version in 0..3 {
        let mut world = World::of("10.0.0.0/8 1");
        let mut conn = Conn::open(&world);
        let frames = conn.reset(&world, version);
        let (old, serial, _) = answer(&frames);
        world.begin_anew(9, "10.0.0.0/8 2");
        assert_eq!(world.serial(), serial + 1, "BIRD looks at the serial only");
        conn.run(&world);
        let frames = conn.frames();
        assert_eq!(
            (kinds(&frames), frames[0].field()),
            (vec![0], old),
            "the id told"
        );
        conn.wait(&mut world, 3600);
        assert!(conn.is_quiet(), "and once is enough");
        assert_eq!(kinds(&conn.since(&world, version, old, serial)), [8]);
        assert_eq!(
            kinds(&conn.since(&world, version, old, world.serial())),
            [8]
        );
        assert_eq!(conn.closed, None);
        let frames = conn.reset(&world, version);
        let (new, serial, _) = answer(&frames);
        assert_ne!(new, old);
        assert_eq!(told(&frames), ["+10.0.0.0/8-8 AS2"]);
        world.publish("10.0.0.0/8 3");
        conn.wait(&mut world, 60);
        assert_eq!(conn.frames()[0].field(), new);
        let frames = conn.since(&world, version, new, serial);
        assert_eq!(told(&frames), ["+10.0.0.0/8-8 AS3", "-10.0.0.0/8-8 AS2"]);
    }
}

/// SER-06: an empty increment would leave the router stale for good.
#[test]
fn serials_that_were_never_issued_get_cache_reset() {
    for version in 0..3 {
        let mut world = World::of("10.0.0.0/8 1");
        world.publish("10.0.0.0/8 2");
        let mut conn = Conn::open(&world);
        let frames = conn.reset(&world, version);
        let (session, current, _) = answer(&frames);
        let half = 1 << 31;
        for ahead in [1, 2, 1000, half - 1, half, half + 1, u32::MAX - 1] {
            let serial = current.wrapping_add(ahead);
            let frames = conn.since(&world, version, session, serial);
            assert_eq!(kinds(&frames), [8], "{serial}");
        }
        assert_eq!(
            kinds(&conn.since(&world, version, session, current)),
            [3, 7]
        );
    }
}

/// INTEROP rule 3: BIRD 2.0.12 comes back with serial 0 when its first answer was cut.
#[test]
fn serial_0_gets_cache_reset() {
    for version in 0..3 {
        let world = World::of("10.0.0.0/8 1");
        let mut conn = Conn::open(&world);
        let frames = conn.reset(&world, version);
        let (session, ..) = answer(&frames);
        assert_eq!(kinds(&conn.since(&world, version, session, 0)), [8]);
        let mut fresh = Conn::open(&world);
        assert_eq!(kinds(&fresh.since(&world, version, session, 0)), [8]);
    }
}

/// SER-02, SER-03: the serial wraps past 0, and increments go over the wrap.
#[test]
fn the_wrap_is_a_step_like_any_other() {
    let mut world = World::empty();
    let before = Serial::new(u32::MAX - 2);
    let first = Snapshot::first_after(name(7), before, data("10.0.0.0/8 1"));
    world.current = Some(Arc::new(first));
    let mut conn = Conn::open(&world);
    let frames = conn.reset(&world, 2);
    let (session, ..) = answer(&frames);
    let mut serials = vec![world.serial()];
    for asn in 2..6 {
        world.publish(&format!("10.0.0.0/8 {asn}"));
        serials.push(world.serial());
    }
    assert_eq!(serials, [u32::MAX - 1, u32::MAX, 1, 2, 3]);
    for (place, serial) in serials.iter().enumerate() {
        let frames = Conn::open(&world).since(&world, 2, session, *serial);
        assert_eq!(answer(&frames).1, 3);
        let asn = place + 1;
        let expected = vec![
            "+10.0.0.0/8-8 AS5".to_owned(),
            format!("-10.0.0.0/8-8 AS{asn}"),
        ];
        assert_eq!(told(&frames), if *serial == 3 { vec![] } else { expected });
    }
    assert_eq!(kinds(&Conn::open(&world).since(&world, 2, session, 0)), [8]);
    let half = Serial::new(3).into_u32().wrapping_add(1 << 31);
    assert_eq!(
        kinds(&Conn::open(&world).since(&world, 2, session, half)),
        [8]
    );
}

/// SES-12: a router comes back after its connection was lost.
#[test]
fn a_lost_connection_is_resumed_with_an_increment() {
    for version in 0..3 {
        let mut world = World::of("10.0.0.0/8 1; 192.0.2.0/24 7");
        let frames = Conn::open(&world).reset(&world, version);
        let (session, serial, _) = answer(&frames);
        world.publish("10.0.0.0/8 2; 192.0.2.0/24 7");
        let frames = Conn::open(&world).since(&world, version, session, serial);
        assert_eq!(told(&frames), ["+10.0.0.0/8-8 AS2", "-10.0.0.0/8-8 AS1"]);
    }
}

/// A profile that hides kinds is another session, and hides them from changes too.
#[test]
fn a_changed_profile_is_another_session() {
    use rutter::payload::{Kind, Kinds};
    let narrow = ServerConfig {
        kinds: Kinds::ALL.without(Kind::Aspa),
        ..ServerConfig::default()
    };
    let mut world = World::of("10.0.0.0/8 1; aspa 3 4");
    let wide = Conn::open(&world).reset(&world, 2);
    let mut conn = Conn::with(&world, narrow.clone());
    let frames = conn.reset(&world, 2);
    let (session, serial, _) = answer(&frames);
    assert_eq!(told(&frames), ["+10.0.0.0/8-8 AS1"]);
    assert_ne!(session, answer(&wide).0);
    let mut foreign = Conn::with(&world, narrow);
    assert_eq!(
        kinds(&foreign.since(&world, 2, answer(&wide).0, serial)),
        [8]
    );
    world.publish("10.0.0.0/8 1; aspa 3 5");
    conn.run(&world);
    assert!(conn.is_quiet());
    let frames = conn.since(&world, 2, session, serial);
    assert_eq!((kinds(&frames), answer(&frames).1), (vec![3, 7], 2));
}
