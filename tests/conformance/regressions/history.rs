//! How much of the past is kept, and going on in another process.

use std::sync::Arc;
use std::time::Duration;

use rutter::rtr::server::SessionRecord;
use rutter::rtr::snapshot::HistoryLimits;
use rutter::rtr::{Serial, SessionId, Snapshot, Version};

use crate::pair::{Conn, World, answer, data, kinds, name, reset_query, told};

/// SER-12: a day by default, so a router of version 0 that polls each hour gets increments.
#[test]
fn history_is_pruned_by_age() {
    let mut world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    let frames = conn.reset(&world, 0);
    let session = answer(&frames).0;
    world.publish("10.0.0.0/8 2");
    world.pass(86_400);
    world.publish("10.0.0.0/8 3");
    assert_eq!(
        kinds(&Conn::open(&world).since(&world, 0, session, 1)),
        [3, 4, 4, 7]
    );
    world.pass(1);
    world.publish("10.0.0.0/8 4");
    assert_eq!(kinds(&Conn::open(&world).since(&world, 0, session, 1)), [8]);
    let frames = Conn::open(&world).since(&world, 0, session, 2);
    assert_eq!(told(&frames), ["+10.0.0.0/8-8 AS4", "-10.0.0.0/8-8 AS2"]);
    assert_eq!(world.snapshot().entries().len(), 2);
}

#[test]
fn the_age_is_a_setting() {
    let mut world = World::of("10.0.0.0/8 1");
    world.limits = HistoryLimits {
        age: Duration::from_secs(10),
    };
    for asn in 2..20 {
        world.pass(4);
        world.publish(&format!("10.0.0.0/8 {asn}"));
    }
    // At 0, 4 and 8 seconds of age.
    assert_eq!(world.snapshot().entries().len(), 3);
}

/// Increments past half of a full answer are dropped, but 65,536 octets are always kept.
#[test]
fn history_is_pruned_by_octets() {
    let many = |from: u32, to: u32| {
        let all: Vec<String> = (from..to).map(|asn| format!("10.0.0.0/8 {asn}")).collect();
        all.join(";")
    };
    // Steps of 40,000 octets at a set of 40,000: one is kept.
    let mut world = World::of(&many(0, 2000));
    for turn in 1..5 {
        world.publish(&many(1000 * turn, 1000 * turn + 2000));
    }
    assert_eq!(world.snapshot().entries().len(), 1);
    // At a set of 400,000 half of it has room for five.
    let mut world = World::of(&many(0, 20_000));
    for turn in 1..9 {
        world.publish(&many(1000 * turn, 1000 * turn + 20_000));
    }
    assert_eq!(world.snapshot().entries().len(), 5);
    let oldest = world.snapshot().entries().next().unwrap().from();
    let frames = Conn::open(&world).reset(&world, 2);
    let session = answer(&frames).0;
    let ask = |serial: u32| kinds(&Conn::open(&world).since(&world, 2, session, serial)).len();
    assert_eq!(ask(oldest.into_u32()), 2 + 10_000);
    assert_eq!(ask(oldest.into_u32() - 1), 1);
}

/// Two days at a change a minute.
#[test]
fn history_is_pruned_by_steps() {
    let mut world = World::of("10.0.0.0/8 1");
    for turn in 0..2_900 {
        world.publish(if turn % 2 == 0 { "" } else { "10.0.0.0/8 1" });
    }
    assert_eq!(world.snapshot().entries().len(), 2_880);
    assert_eq!(world.serial(), 2_901);
}

/// Only a quiet session can go on elsewhere.
#[test]
fn a_record_is_made_of_quiet_sessions_only() {
    let mut world = World::empty();
    let mut conn = Conn::open(&world);
    assert_eq!(conn.session.record(), None);
    conn.send(&world, &reset_query(1));
    assert_eq!(conn.session.record(), None);
    world.publish("10.0.0.0/8 1");
    while conn.session.serial().is_none() {
        assert_eq!(conn.session.record(), None);
        assert!(conn.session.is_busy());
        conn.step(&world);
    }
    conn.run(&world);
    let frames = conn.frames();
    let record = SessionRecord {
        version: Version::V1,
        session: SessionId::new(answer(&frames).0),
        serial: Serial::new(1),
    };
    assert_eq!(conn.session.record(), Some(record.clone()));
    conn.send(&world, &reset_query(1)[..3]);
    assert_eq!(conn.session.record(), None);
    conn.send(&world, &reset_query(1)[3..]);
    assert_eq!(conn.session.record(), Some(record));
}

/// A connection that another process began goes on, and is owed what changed in between.
#[test]
fn a_resumed_connection_goes_on() {
    for version in 1..3 {
        let mut world = World::of("10.0.0.0/8 1");
        let mut conn = Conn::open(&world);
        let frames = conn.reset(&world, version);
        let (session, serial, _) = answer(&frames);
        let record = conn.session.record().unwrap();
        // Nothing moved: nothing to say.
        let mut quiet = Conn::resumed(&world, &record);
        quiet.wait(&mut world, 100_000);
        assert!(quiet.is_quiet());
        world.publish("10.0.0.0/8 2");
        let mut conn = Conn::resumed(&world, &record);
        conn.wait(&mut world, 59);
        assert!(
            conn.is_quiet(),
            "when the last Notify went out is not known"
        );
        conn.wait(&mut world, 1);
        let frames = conn.frames();
        assert_eq!(
            (kinds(&frames), frames[0].field(), frames[0].serial()),
            (vec![0], session, 2)
        );
        let frames = conn.since(&world, version, session, serial);
        assert_eq!(told(&frames), ["+10.0.0.0/8-8 AS2", "-10.0.0.0/8-8 AS1"]);
        // The session is open and its version is fixed.
        let mut other = Conn::resumed(&world, &record);
        assert_eq!(
            other.since(&world, version, session ^ 1, serial)[0].field(),
            0
        );
        let mut other = Conn::resumed(&world, &record);
        assert_eq!(other.reset(&world, 3 - version)[0].field(), 8);
    }
}

/// Ids of version 0 are those of a process: elsewhere they are unknown, which is no error.
#[test]
fn a_resumed_connection_of_version_0_gets_cache_reset() {
    let mut world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    let frames = conn.reset(&world, 0);
    let (session, serial, _) = answer(&frames);
    let record = conn.session.record().unwrap();
    let again = Snapshot::first_after(name(7), Serial::new(0), data("10.0.0.0/8 1"));
    world.current = Some(Arc::new(again));
    let mut conn = Conn::resumed(&world, &record);
    conn.wait(&mut world, 1000);
    assert!(conn.is_quiet(), "the serial is the same");
    world.publish("10.0.0.0/8 2");
    conn.run(&world);
    assert_eq!(
        conn.frames()[0].0[..4],
        [&[0, 0][..], &session.to_be_bytes()].concat()
    );
    assert_eq!(kinds(&conn.since(&world, 0, session, serial)), [8]);
    assert_eq!(told(&conn.reset(&world, 0)), ["+10.0.0.0/8-8 AS2"]);
}
