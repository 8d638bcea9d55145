//! Versions; what the vectors leave out.

use rutter::rtr::server::{Close, ServerConfig};
use rutter::rtr::{ProtocolError, Version, Versions};

use crate::pair::{Conn, World, answer, kinds, reset_query, serial_query};

/// VER-15: version 0 has no code 8, so nothing is said.
#[test]
fn a_switch_in_version_0_just_ends_it() {
    let world = World::of("10.0.0.0/8 1");
    for found in [1, 2, 3, 255] {
        let mut conn = Conn::open(&world);
        conn.reset(&world, 0);
        assert_eq!(conn.reset(&world, found), []);
        let error = ProtocolError::UnexpectedVersion { found };
        assert_eq!(conn.closed, Some(Close::Protocol(error)));
    }
}

#[test]
fn a_switch_in_later_versions_gets_error_8() {
    let world = World::of("10.0.0.0/8 1");
    for version in 1..3 {
        for found in [0, 1, 2, 3, 255] {
            let mut conn = Conn::open(&world);
            conn.reset(&world, version);
            let frames = conn.reset(&world, found);
            if found == version {
                assert_eq!(kinds(&frames), [3, 4, 7]);
                continue;
            }
            assert_eq!((frames[0].version(), frames[0].field()), (version, 8));
            assert_eq!(frames[0].report().0, reset_query(found));
            assert!(conn.closed.is_some());
        }
    }
}

/// VER-18: some routers ask for the same version for ever.
#[test]
fn endless_negotiation_ends() {
    let world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    for turn in 0..20 {
        let frames = conn.reset(&world, 3);
        if conn.closed.is_some() {
            assert_eq!(conn.closed, Some(Close::NoCommonVersion));
            assert!(frames.is_empty() && turn < 10);
            return;
        }
        assert_eq!(kinds(&frames), [10]);
        assert_eq!((frames[0].version(), frames[0].field()), (2, 4));
    }
    panic!("no end");
}

/// rpki-rs leaves octets of the refused query in the stream, which spoil the retry.
#[test]
fn a_refused_query_is_taken_whole() {
    let world = World::of("10.0.0.0/8 1");
    for refused in [serial_query(3, 7, 7), reset_query(9)] {
        let mut octets = refused.clone();
        octets.extend(reset_query(2));
        let whole = Conn::open(&world).ask(&world, &octets);
        assert_eq!(kinds(&whole), [10, 3, 4, 7]);
        assert_eq!(whole[0].report().0, refused);
        let mut conn = Conn::open(&world);
        for octet in octets {
            conn.send(&world, &[octet]);
        }
        assert_eq!(conn.frames(), whole);
    }
}

/// VER-06: below the lowest version there is nothing to negotiate.
#[test]
fn error_4_tells_our_highest_version() {
    let world = World::of("10.0.0.0/8 1");
    for (lowest, highest) in [(1, 2), (1, 1), (2, 2)] {
        let version = |octet| Version::from_octet(octet).unwrap();
        let versions = Versions::new(version(lowest), version(highest)).unwrap();
        for asked in 0..lowest {
            let config = ServerConfig {
                versions,
                ..ServerConfig::default()
            };
            let mut conn = Conn::with(&world, config);
            let frames = conn.reset(&world, asked);
            assert_eq!((frames[0].version(), frames[0].field()), (highest, 4));
            assert!(conn.closed.is_some());
        }
    }
}

/// VER-03: every PDU has the version negotiated.
#[test]
fn every_pdu_has_the_version_of_the_session() {
    for version in 0..3 {
        let mut world = World::of("10.0.0.0/8 1; key 1 2; aspa 3 4");
        let mut conn = Conn::open(&world);
        let mut frames = conn.reset(&world, version);
        let session = answer(&frames).0;
        world.publish("10.0.0.0/8 2");
        conn.run(&world);
        frames.extend(conn.frames());
        frames.extend(conn.since(&world, version, session, 1));
        frames.extend(conn.since(&world, version, session, 77));
        frames.extend(conn.ask(&world, &[version, 5, 0, 0, 0, 0, 0, 8]));
        assert!(frames.iter().all(|frame| frame.version() == version));
        let seen = kinds(&frames);
        for kind in [0, 3, 4, 7, 8, 10] {
            assert!(seen.contains(&kind), "{kind}");
        }
    }
}
