//! Serial Notify.

use crate::pair::{Conn, World, answer, kinds, reset_query};

/// A router that has a set, and what was told to it.
fn open(world: &World, version: u8) -> (Conn, u16, u32) {
    let mut conn = Conn::open(world);
    let frames = conn.reset(world, version);
    let (session, serial, _) = answer(&frames);
    (conn, session, serial)
}

/// The serials notified since the last look.
fn notified(conn: &mut Conn) -> Vec<u32> {
    let frames = conn.frames();
    assert!(
        frames.iter().all(|frame| frame.kind() == 0),
        "{frames:02x?}"
    );
    frames.iter().map(|frame| frame.serial()).collect()
}

/// FRR never comes up when a Notify comes first, and whole libraries end the session.
#[test]
fn notify_waits_for_the_first_query() {
    for begun in [0, 1, 7] {
        let mut world = World::of("10.0.0.0/8 1");
        let mut conn = Conn::open(&world);
        conn.send(&world, &reset_query(1)[..begun]);
        world.publish("10.0.0.0/8 2");
        conn.wait(&mut world, 70);
        assert!(conn.is_quiet());
        world.publish("10.0.0.0/8 3");
        conn.run(&world);
        assert!(conn.is_quiet());
        let frames = conn.ask(&world, &reset_query(1)[begun..]);
        assert_eq!(answer(&frames).1, 3);
        conn.wait(&mut world, 3600);
        assert!(conn.is_quiet());
    }
}

/// NTF-08: error 2 is no session, so no Session ID could be told.
#[test]
fn notify_does_not_follow_error_2() {
    for version in 1..3 {
        let mut world = World::empty();
        let mut conn = Conn::open(&world);
        conn.send(&world, &reset_query(version));
        conn.wait(&mut world, 20);
        assert_eq!(kinds(&conn.frames()), [10]);
        for asn in 1..5 {
            world.publish(&format!("10.0.0.0/8 {asn}"));
            conn.wait(&mut world, 100);
            assert!(conn.is_quiet());
        }
        let frames = conn.reset(&world, version);
        assert_eq!(answer(&frames).1, 4);
        world.publish("10.0.0.0/8 9");
        conn.run(&world);
        assert_eq!(notified(&mut conn), [5]);
    }
}

/// NTF-05: literally.
#[test]
fn notify_has_the_version_and_session_of_the_connection() {
    for version in 0..3 {
        let mut world = World::of("10.0.0.0/8 1");
        let (mut conn, session, _) = open(&world, version);
        world.publish("10.0.0.0/8 2");
        conn.run(&world);
        let [high, low] = session.to_be_bytes();
        assert_eq!(
            conn.take(),
            [version, 0, high, low, 0, 0, 0, 12, 0, 0, 0, 2]
        );
    }
}

/// NTF-02, NTF-03: the last change is told when the minute is over, not a second sooner.
#[test]
fn the_suppressed_change_is_told_after_the_minute() {
    let mut world = World::of("10.0.0.0/8 1");
    let (mut conn, ..) = open(&world, 1);
    for asn in 2..6 {
        world.publish(&format!("10.0.0.0/8 {asn}"));
        conn.wait(&mut world, 3);
    }
    assert_eq!(notified(&mut conn), [2], "the first at once");
    let deadline = conn.session.deadline(world.current.as_deref()).unwrap();
    assert_eq!((deadline - world.now).as_secs(), 60 - 12);
    conn.wait(&mut world, 47);
    assert!(conn.is_quiet());
    conn.wait(&mut world, 1);
    assert_eq!(notified(&mut conn), [5], "the latest");
    conn.wait(&mut world, 3600);
    assert!(conn.is_quiet(), "no serial twice");
}

/// NTF-04: a router that came by itself is not told what it has.
#[test]
fn a_fetched_serial_is_not_notified() {
    let mut world = World::of("10.0.0.0/8 1");
    let (mut conn, session, _) = open(&world, 1);
    world.publish("10.0.0.0/8 2");
    conn.run(&world);
    assert_eq!(notified(&mut conn), [2]);
    world.publish("10.0.0.0/8 3");
    conn.wait(&mut world, 30);
    let frames = conn.since(&world, 1, session, 1);
    assert_eq!(answer(&frames).1, 3);
    conn.wait(&mut world, 3600);
    assert!(conn.is_quiet());
    world.publish("10.0.0.0/8 4");
    conn.run(&world);
    assert_eq!(notified(&mut conn), [4]);
}

/// NTF-06, and INTEROP rule 2: rtrlib drops a Notify that comes within an answer, so it comes
/// behind it, once.
#[test]
fn notify_waits_for_the_end_of_an_answer_and_then_comes() {
    let many: Vec<String> = (1..6000).map(|asn| format!("10.0.0.0/8 {asn}")).collect();
    let many = many.join(";");
    for version in 0..3 {
        let mut world = World::of(&many);
        let mut conn = Conn::open(&world);
        conn.session.receive(world.now, &reset_query(version));
        let mut published = 0;
        while conn.step(&world) {
            let begun = conn.session.holds().is_some();
            if begun && published < 3 {
                published += 1;
                world.publish(&format!("{many}; 10.0.0.0/8 {}", 7000 + published));
            }
        }
        assert_eq!(published, 3);
        let frames = conn.frames();
        let place = frames.iter().position(|frame| frame.kind() == 7).unwrap();
        let (_, serial, payload) = answer(&frames[..=place]);
        assert_eq!(
            (serial, payload.len()),
            (1, 5999),
            "the set sent is the one named"
        );
        assert_eq!(kinds(&frames[place + 1..]), [0]);
        assert_eq!(frames[place + 1].serial(), 4);
        // A query with that serial leads to the new set.
        let increment = conn.since(&world, version, frames[0].field(), serial);
        assert_eq!((answer(&increment).1, increment.len() - 2), (4, 1));
    }
}

/// SER-09, SER-11: what a router cannot see does not wake it.
#[test]
fn invisible_changes_are_not_notified() {
    let mut world = World::of("10.0.0.0/8 1; key 1 2; aspa 3 4");
    let mut routers: Vec<(Conn, u16, u32)> = (0..3).map(|version| open(&world, version)).collect();
    world.publish("10.0.0.0/8 1; key 1 2; aspa 3 5");
    let seen = |conn: &mut Conn, world: &World| {
        conn.run(world);
        notified(conn).len()
    };
    let counts: Vec<usize> = routers
        .iter_mut()
        .map(|(conn, ..)| seen(conn, &world))
        .collect();
    assert_eq!(counts, [0, 0, 1]);
    world.pass(60);
    world.publish("10.0.0.0/8 1; key 2 2; aspa 3 5");
    let counts: Vec<usize> = routers
        .iter_mut()
        .map(|(conn, ..)| seen(conn, &world))
        .collect();
    assert_eq!(counts, [0, 1, 1]);
    // Who asks nevertheless gets an empty increment to the serial of the day.
    let (conn, session, serial) = &mut routers[0];
    let frames = conn.since(&world, 0, *session, *serial);
    assert_eq!((kinds(&frames), answer(&frames).1), (vec![3, 7], 3));
    assert!(
        !world.publish("aspa 3 5; key 2 2; 10.0.0.0/8 1"),
        "the same data"
    );
}

/// A router that was told of a change and has not come yet is not told again for one that it
/// cannot see.
#[test]
fn an_invisible_change_after_a_notify_is_not_notified() {
    let mut world = World::of("10.0.0.0/8 1; aspa 3 4");
    let (mut conn, ..) = open(&world, 1);
    world.publish("10.0.0.0/8 2; aspa 3 4");
    conn.run(&world);
    assert_eq!(notified(&mut conn), [2]);
    world.publish("10.0.0.0/8 2; aspa 3 5");
    conn.wait(&mut world, 600);
    assert!(conn.is_quiet());
    world.publish("10.0.0.0/8 3; aspa 3 5");
    conn.run(&world);
    assert_eq!(notified(&mut conn), [4]);
}
