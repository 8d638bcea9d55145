//! Fields of a PDU: reserved ones, flags and Session IDs.

use std::collections::HashSet;

use rutter::payload::Kinds;
use rutter::rtr::view::SessionIds;
use rutter::rtr::{SessionId, Version, View};

use crate::pair::{Conn, Frame, World, answer, kinds, name, told};

const ALL: &str = "0.0.0.0/0 1; 10.0.0.0/8-24 2; ::/0 3; 2001:db8::/32-48 4; key 1 5; aspa 6 7 8";

#[test]
fn reserved_fields_of_queries_are_ignored() {
    let world = World::of(ALL);
    for version in 0..3 {
        let plain = Conn::open(&world).reset(&world, version);
        let odd = [version, 2, 0xab, 0xcd, 0, 0, 0, 8];
        let marked = Conn::open(&world).ask(&world, &odd);
        assert_eq!(told(&plain), told(&marked));
        assert_eq!(plain.len(), marked.len());
    }
}

/// Routers exist that close over a reserved field that is not zero.
#[test]
fn reserved_fields_and_flags_are_sent_as_zero() {
    let check = |frame: &Frame| match frame.kind() {
        4 | 6 => {
            assert_eq!(
                (frame.0[2], frame.0[3], frame.0[11]),
                (0, 0, 0),
                "{frame:02x?}"
            );
            assert!(frame.0[8] <= 1, "{frame:02x?}");
        }
        8 => assert_eq!(frame.field(), 0),
        9 | 11 => assert!(frame.0[2] <= 1 && frame.0[3] == 0, "{frame:02x?}"),
        _ => {}
    };
    for version in 0..3 {
        let mut world = World::of(ALL);
        let mut conn = Conn::open(&world);
        let full = conn.reset(&world, version);
        let (session, serial, payload) = answer(&full);
        assert_eq!(payload.len(), [4, 5, 6][usize::from(version)]);
        assert!(payload.iter().all(|pdu| pdu.0[8] == 1 || pdu.0[2] == 1));
        world.publish("10.0.0.0/8-25 2; 2001:db8::/32-49 4; key 2 5; aspa 7 8");
        conn.run(&world);
        conn.take();
        let increment = conn.since(&world, version, session, serial);
        assert_eq!(increment.len() - 2, [6, 8, 10][usize::from(version)]);
        let reset = conn.since(&world, version, session, 0);
        assert_eq!(kinds(&reset), [8]);
        full.iter().chain(&increment).chain(&reset).for_each(check);
    }
}

#[test]
fn session_ids_differ_between_versions_and_kinds_and_are_never_zero() {
    for octet in 0..=255 {
        let ids = SessionIds::new(name(octet));
        let mut views = HashSet::new();
        let mut given = HashSet::new();
        for version in [Version::V1, Version::V2] {
            for kinds in Kinds::all_sets() {
                let view = View::new(version, kinds);
                let id = ids.of(view).unwrap();
                assert!(ids.serves(view, id) && id != SessionId::new(0));
                assert_eq!(given.insert(id), views.insert(view), "{view:?}");
            }
        }
        assert_eq!(given.len(), 8 + 16);
        for _ in 0..100 {
            let id = ids.fresh_v0(Kinds::VRPS);
            assert!(id != SessionId::new(0) && given.insert(id));
        }
    }
}

/// SES-02, SES-03: one id for all routers of a version, but in version 0.
#[test]
fn routers_of_a_version_share_an_id() {
    let world = World::of(ALL);
    let id = |version| answer(&Conn::open(&world).reset(&world, version)).0;
    assert_eq!(id(1), id(1));
    assert_eq!(id(2), id(2));
    assert_ne!(id(1), id(2));
    assert_ne!(id(0), id(0));
}

/// GoBGP keeps VRPs that vanished when an id comes back, so each connection of version 0 that
/// begins with a Reset Query gets a fresh one; the ones given out are remembered.
#[test]
fn v0_ids_are_fresh_and_remembered() {
    let mut world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    let frames = conn.reset(&world, 0);
    let (first, serial, _) = answer(&frames);
    let again = conn.reset(&world, 0);
    assert_eq!(answer(&again).0, first, "within a connection the id stays");
    let other = Conn::open(&world).reset(&world, 0);
    let (second, ..) = answer(&other);
    assert_ne!(first, second);
    world.publish("10.0.0.0/8 2");
    for id in [first, second] {
        let frames = Conn::open(&world).since(&world, 0, id, serial);
        assert_eq!(told(&frames), ["+10.0.0.0/8-8 AS2", "-10.0.0.0/8-8 AS1"]);
        assert_eq!(answer(&frames).0, id);
    }
    let unknown = (1..).find(|id| *id != first && *id != second).unwrap();
    let frames = Conn::open(&world).since(&world, 0, unknown, serial);
    assert_eq!(kinds(&frames), [8]);
}
