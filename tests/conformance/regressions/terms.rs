//! Terms that change under an open session.

use std::sync::Arc;

use rutter::payload::{Kind, Kinds};
use rutter::rtr::server::ServerConfig;
use rutter::rtr::{Version, Versions};

use crate::pair::{Conn, World, answer, kinds};

const DATA: &str = "10.0.0.0/8 1; key 7 1; aspa 1 2";

fn shown(kinds: Kinds) -> Arc<ServerConfig> {
    let config = ServerConfig::default();
    Arc::new(ServerConfig { kinds, ..config })
}

fn versions(lowest: Version, highest: Version) -> Arc<ServerConfig> {
    let versions = Versions::new(lowest, highest).unwrap();
    let config = ServerConfig::default();
    Arc::new(ServerConfig { versions, ..config })
}

/// A router whose view changed gets one Cache Reset, under its own id, and then another session.
#[test]
fn other_kinds_are_another_session() {
    let hidden = Kinds::NONE.with(Kind::RouterKey);
    for version in 0..3 {
        let mut world = World::of(DATA);
        let mut conn = Conn::open(&world);
        let (session, serial, _) = answer(&conn.reset(&world, version));
        conn.session.configure(shown(hidden));
        world.publish("10.0.0.0/8 2; key 7 1; aspa 1 2");
        // Until the router hears of it, Notifies carry the id that it knows (SES-10).
        conn.run(&world);
        let notify = conn.frames();
        assert_eq!((kinds(&notify), notify[0].field()), (vec![0], session));
        assert_eq!(kinds(&conn.since(&world, version, session, serial)), [8]);
        let frames = conn.reset(&world, version);
        let (other, serial, _) = answer(&frames);
        assert_ne!(other, session);
        let keys: &[u8] = if version == 0 { &[3, 7] } else { &[3, 9, 7] };
        assert_eq!(kinds(&frames), keys);
        let frames = conn.since(&world, version, other, serial);
        assert_eq!(kinds(&frames), [3, 7], "once only");
        assert_eq!(conn.closed, None);
    }
}

/// An id of one view of version 0 is no id of another one, on another connection either.
#[test]
fn version_0_ids_belong_to_a_view() {
    let world = World::of(DATA);
    let (session, serial, _) = answer(&Conn::open(&world).reset(&world, 0));
    let mut conn = Conn::open(&world);
    conn.session.configure(shown(Kinds::NONE.with(Kind::Aspa)));
    assert_eq!(kinds(&conn.since(&world, 0, session, serial)), [8]);
    let frames = Conn::open(&world).since(&world, 0, session, serial);
    assert_eq!(kinds(&frames), [3, 7]);
}

/// Kinds that a version does not have anyway change nothing for it.
#[test]
fn kinds_of_other_versions_leave_a_session_alone() {
    let world = World::of(DATA);
    for version in 0..2 {
        let mut conn = Conn::open(&world);
        let (session, serial, _) = answer(&conn.reset(&world, version));
        let without = Kinds::VRPS.with(Kind::RouterKey);
        conn.session.configure(shown(without));
        let frames = conn.since(&world, version, session, serial);
        assert_eq!(kinds(&frames), [3, 7]);
    }
}

/// Cache Reset, then error 4, then a lower version, all on one connection.
#[test]
fn a_version_that_is_no_longer_served_is_negotiated_down() {
    let mut world = World::of(DATA);
    let mut conn = Conn::open(&world);
    let (session, serial, _) = answer(&conn.reset(&world, 2));
    conn.session.configure(versions(Version::V0, Version::V1));
    world.publish("10.0.0.0/8 2");
    conn.run(&world);
    conn.take();
    let reset = conn.since(&world, 2, session, serial);
    assert_eq!((kinds(&reset), reset[0].version()), (vec![8], 2));
    let refused = conn.reset(&world, 2);
    assert_eq!((kinds(&refused), refused[0].version()), (vec![10], 1));
    assert_eq!(refused[0].field(), 4);
    let (session, serial, _) = answer(&conn.reset(&world, 1));
    assert_eq!(kinds(&conn.since(&world, 1, session, serial)), [3, 7]);
    assert_eq!(conn.closed, None);
}

/// The same for a router that begins anew at once.
#[test]
fn a_reset_query_of_such_a_version_gets_error_4() {
    let world = World::of(DATA);
    let mut conn = Conn::open(&world);
    conn.reset(&world, 2);
    conn.session.configure(versions(Version::V0, Version::V0));
    let refused = conn.reset(&world, 2);
    assert_eq!((kinds(&refused), refused[0].version()), (vec![10], 0));
    assert_eq!(kinds(&conn.reset(&world, 0)), [3, 4, 7]);
    assert_eq!(conn.closed, None);
}

/// Below the lowest version there is nothing to go down to (VER-06).
#[test]
fn a_version_below_those_served_ends_the_connection() {
    let world = World::of(DATA);
    let mut conn = Conn::open(&world);
    conn.reset(&world, 0);
    conn.session.configure(versions(Version::V1, Version::V2));
    let refused = conn.reset(&world, 0);
    assert_eq!((kinds(&refused), refused[0].version()), (vec![10], 2));
    assert!(conn.closed.is_some());
}

#[test]
fn notifies_can_be_off() {
    let mut world = World::of(DATA);
    let mut conn = Conn::open(&world);
    conn.reset(&world, 1);
    let config = ServerConfig::default();
    conn.session.configure(Arc::new(ServerConfig {
        notify: false,
        ..config
    }));
    world.publish("10.0.0.0/8 2");
    world.pass(3_600);
    conn.run(&world);
    assert!(conn.take().is_empty());
    conn.session.configure(Arc::new(ServerConfig::default()));
    conn.run(&world);
    assert_eq!(kinds(&conn.frames()), [0]);
}

/// Error 12 is for version 2, and only where somebody wants it (8210bis §8.5).
#[test]
fn a_restart_is_announced_where_it_is_wanted() {
    let world = World::of(DATA);
    for (version, announced, told) in [
        (2, true, true),
        (2, false, false),
        (1, true, false),
        (0, true, false),
    ] {
        let mut conn = Conn::open(&world);
        let config = ServerConfig::default();
        conn.session.configure(Arc::new(ServerConfig {
            announce_restart: announced,
            ..config
        }));
        assert_eq!(conn.session.farewell(), None, "before a version is known");
        conn.reset(&world, version);
        let report = conn.session.farewell();
        assert_eq!(report.is_some(), told, "{version} {announced}");
        if let Some(report) = report {
            assert_eq!(report[..4], [2, 10, 0, 12]);
            let length = u32::from_be_bytes(report[4..8].try_into().unwrap());
            assert_eq!(usize::try_from(length).unwrap(), report.len());
        }
    }
}
