//! Routers that come from another server of the same history, and know a later serial.

use std::sync::Arc;

use rutter::payload::{Delta, Kinds, UnixTime};
use rutter::rtr::server::ServerSession;
use rutter::rtr::snapshot::restore::Restored;
use rutter::rtr::snapshot::{Entry, Trigger};
use rutter::rtr::{Snapshot, Version, View};

use crate::pair::{Conn, World, kinds};

const CACHE_RESPONSE: u8 = 3;
const CACHE_RESET: u8 = 8;
const ERROR_REPORT: u8 = 10;

fn session(world: &World, version: Version) -> u16 {
    let view = View::new(version, Kinds::ALL);
    world.snapshot().session_id(view).into_u16()
}

/// A connection to a server that mirrors, on which nothing was said yet.
fn mirroring(world: &World) -> Conn {
    let mut conn = Conn::open(world);
    conn.session.mirror(true);
    conn
}

fn wait() -> u64 {
    ServerSession::AHEAD_WAIT.as_secs()
}

#[test]
fn a_router_that_is_ahead_waits_for_its_serial() {
    for version in [Version::V1, Version::V2] {
        let mut world = World::of("192.0.2.0/24 1");
        let id = session(&world, version);
        let mut conn = mirroring(&world);
        let octet = version.octet();
        assert!(conn.since(&world, octet, id, 2).is_empty());
        conn.wait(&mut world, wait() - 1);
        assert!(conn.is_quiet());
        // The leader's serial comes: what the router has is what is served.
        world.publish("192.0.2.0/24 2");
        conn.run(&world);
        let frames = conn.frames();
        assert_eq!(frames[0].kind(), CACHE_RESPONSE);
        assert_eq!(frames.len(), 2, "nothing has changed since");
        assert_eq!((frames[1].field(), frames[1].serial()), (id, 2));
    }
}

#[test]
fn it_gets_what_came_beyond_its_serial() {
    let mut world = World::of("192.0.2.0/24 1");
    let id = session(&world, Version::V1);
    let mut conn = mirroring(&world);
    assert!(conn.since(&world, 1, id, 2).is_empty());
    world.publish("192.0.2.0/24 2");
    world.publish("192.0.2.0/24 3");
    conn.run(&world);
    let frames = conn.frames();
    assert_eq!(kinds(&frames), [CACHE_RESPONSE, 4, 4, 7]);
    assert_eq!(frames[3].serial(), 3);
}

#[test]
fn it_does_not_wait_for_ever() {
    let mut world = World::of("192.0.2.0/24 1");
    let id = session(&world, Version::V1);
    let mut conn = mirroring(&world);
    assert!(conn.since(&world, 1, id, 2).is_empty());
    // Something newer, but not what it has.
    conn.wait(&mut world, wait());
    assert_eq!(kinds(&conn.frames()), [CACHE_RESET]);
    // And it may begin anew on the same connection.
    assert_eq!(conn.reset(&world, 1)[0].kind(), CACHE_RESPONSE);
}

#[test]
fn only_what_can_come_is_waited_for() {
    let world = World::of("192.0.2.0/24 1");
    let id = session(&world, Version::V1);
    let answer = |mirrors: bool, id: u16, serial: u32| {
        let mut conn = Conn::open(&world);
        conn.session.mirror(mirrors);
        kinds(&conn.since(&world, 1, id, serial))
    };
    assert!(answer(true, id, 1 + 1_024).is_empty());
    // Too far ahead to be believed, behind what is kept, and never issued.
    for serial in [2 + 1_024, 1 << 31, u32::MAX, 0] {
        assert_eq!(answer(true, id, serial), [CACHE_RESET], "{serial}");
    }
    // Behind the jump of another leader.
    const JUMP: u32 = 1 << 20;
    for serial in [1 + JUMP, JUMP + 1_024] {
        assert!(answer(true, id, serial).is_empty(), "{serial}");
    }
    for serial in [JUMP, JUMP + 1_025] {
        assert_eq!(answer(true, id, serial), [CACHE_RESET], "{serial}");
    }
    // Of another session, and where the history is our own.
    assert_eq!(answer(true, id ^ 1, 2), [CACHE_RESET]);
    assert_eq!(answer(false, id, 2), [CACHE_RESET]);
}

#[test]
fn serial_0_is_not_waited_for_after_a_wrap() {
    let mut world = World::of("192.0.2.0/24 1");
    let name = world.snapshot().name();
    let before = u32::MAX.wrapping_sub(1);
    let data = world.snapshot().data().clone();
    let late = Snapshot::first_after(name, rutter::rtr::Serial::new(before), data);
    world.current = Some(Arc::new(late));
    assert_eq!(world.serial(), u32::MAX);
    let id = session(&world, Version::V1);
    let mut conn = mirroring(&world);
    assert_eq!(kinds(&conn.since(&world, 1, id, 0)), [CACHE_RESET]);
    // The serial behind it is the next one.
    let mut conn = mirroring(&world);
    assert!(conn.since(&world, 1, id, 1).is_empty());
}

#[test]
fn what_ends_meanwhile_is_not_waited_for() {
    // The server goes on with a history of its own.
    let mut world = World::of("192.0.2.0/24 1");
    let id = session(&world, Version::V1);
    let mut conn = mirroring(&world);
    assert!(conn.since(&world, 1, id, 2).is_empty());
    world.begin_anew(8, "192.0.2.0/24 2");
    conn.run(&world);
    assert_eq!(kinds(&conn.frames()), [CACHE_RESET]);

    // It mirrors no more.
    let world = World::of("192.0.2.0/24 1");
    let mut conn = mirroring(&world);
    assert!(conn.since(&world, 1, id, 2).is_empty());
    conn.session.mirror(false);
    conn.run(&world);
    assert_eq!(kinds(&conn.frames()), [CACHE_RESET]);

    // What is served is withheld.
    let mut world = World::of("192.0.2.0/24 1");
    let mut conn = mirroring(&world);
    assert!(conn.since(&world, 1, id, 2).is_empty());
    world.current = None;
    conn.session.expect_data(false);
    conn.run(&world);
    assert_eq!(kinds(&conn.frames()), [ERROR_REPORT]);
}

#[test]
fn nothing_is_taken_in_while_it_waits() {
    let mut world = World::of("192.0.2.0/24 1");
    let id = session(&world, Version::V1);
    let mut conn = mirroring(&world);
    assert!(conn.since(&world, 1, id, 2).is_empty());
    // Another query, which is answered after the first one.
    assert!(conn.reset(&world, 1).is_empty());
    world.publish("192.0.2.0/24 2");
    conn.run(&world);
    assert_eq!(
        kinds(&conn.frames()),
        [CACHE_RESPONSE, 7, CACHE_RESPONSE, 4, 7]
    );
}

/// The server before may have told it the same serial with other data.
#[test]
fn a_router_with_a_serial_that_was_jumped_over_is_reset() {
    let mut world = World::of("192.0.2.0/24 1");
    let before = world.snapshot();
    let (from, to) = (before.serial(), before.serial().jump());
    let (time, delta) = (UnixTime::new(0), Delta::default());
    let step = Entry::new(from, to, time, Trigger::Takeover, delta);
    let jumped = Snapshot::restore(Restored {
        name: before.name(),
        serial: to,
        revision: 0,
        data: before.data().clone(),
        known: before.known(),
        steps: vec![Arc::new(step)],
        v0_turn: 0,
    });
    world.current = Some(Arc::new(jumped.unwrap()));
    let id = session(&world, Version::V1);
    for mirrors in [false, true] {
        let answer = |serial: u32| {
            let mut conn = Conn::open(&world);
            conn.session.mirror(mirrors);
            conn.since(&world, 1, id, serial)
        };
        for serial in [2, 3, 1 << 19, 1 << 20] {
            assert_eq!(kinds(&answer(serial)), [CACHE_RESET], "{serial}");
        }
        let frames = answer(1);
        assert_eq!(kinds(&frames), [CACHE_RESPONSE, 7]);
        assert_eq!(frames[1].serial(), 1 + (1 << 20));
    }
}
