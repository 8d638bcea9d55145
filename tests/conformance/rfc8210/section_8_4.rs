//! No Data Available.

use rutter::rtr::server::{Answered, Close, Event};

use crate::pair::{Conn, World, answer, kinds, reset_query, serial_query};

fn queries(version: u8) -> [Vec<u8>; 2] {
    [reset_query(version), serial_query(version, 99, 7)]
}

/// Error 2 leaves some routers mute, so a query waits for the first data a while.
#[test]
fn a_query_waits_20_seconds_for_data() {
    for version in 0..3 {
        for query in queries(version) {
            let mut world = World::empty();
            let mut conn = Conn::open(&world);
            conn.send(&world, &query);
            conn.wait(&mut world, 19);
            assert!(conn.is_quiet());
            conn.wait(&mut world, 1);
            let frames = conn.frames();
            assert_eq!(
                (frames.len(), frames[0].kind(), frames[0].field()),
                (1, 10, 2)
            );
            assert_eq!(frames[0].version(), version);
            assert_eq!(conn.closed, None, "not fatal");
        }
    }
}

#[test]
fn data_that_arrives_in_time_is_the_answer() {
    for version in 0..3 {
        let mut world = World::empty();
        let mut conn = Conn::open(&world);
        conn.send(&world, &reset_query(version));
        conn.wait(&mut world, 19);
        world.publish("10.0.0.0/8 1");
        conn.run(&world);
        assert_eq!(kinds(&conn.frames()), [3, 4, 7]);
        let mut world = World::empty();
        let mut conn = Conn::open(&world);
        conn.send(&world, &serial_query(version, 99, 7));
        world.publish("10.0.0.0/8 1");
        conn.run(&world);
        assert_eq!(kinds(&conn.frames()), [8]);
    }
}

/// An empty set is data.
#[test]
fn no_data_and_an_empty_set_are_different_answers() {
    let world = World::of("");
    let frames = Conn::open(&world).reset(&world, 2);
    assert_eq!(kinds(&frames), [3, 7]);
}

#[test]
fn data_after_error_2_is_served_on_the_same_connection() {
    for version in 1..3 {
        for query in queries(version) {
            let mut world = World::empty();
            let mut conn = Conn::open(&world);
            conn.send(&world, &query);
            conn.wait(&mut world, 20);
            conn.send(&world, &query);
            conn.wait(&mut world, 20);
            let frames = conn.frames();
            assert_eq!(
                frames.iter().map(|frame| frame.field()).collect::<Vec<_>>(),
                [2, 2]
            );
            world.publish("10.0.0.0/8 1");
            conn.wait(&mut world, 600);
            assert!(conn.is_quiet());
            assert_eq!(kinds(&conn.reset(&world, version)), [3, 4, 7]);
            let answers = conn.events.iter().filter_map(|event| match event {
                Event::Answered { answer, .. } => Some(*answer),
                _ => None,
            });
            let expected = [Answered::NoData, Answered::NoData, Answered::Full];
            assert_eq!(answers.collect::<Vec<_>>(), expected);
        }
    }
}

/// GoBGP does not ask again by itself.
#[test]
fn a_v0_connection_that_got_error_2_is_closed_when_data_arrives() {
    let mut world = World::empty();
    let mut conn = Conn::open(&world);
    conn.send(&world, &reset_query(0));
    conn.wait(&mut world, 600);
    assert_eq!(kinds(&conn.frames()), [10]);
    assert_eq!(conn.closed, None);
    world.publish("10.0.0.0/8 1");
    conn.run(&world);
    assert_eq!(conn.frames(), []);
    assert_eq!(conn.closed, Some(Close::DataArrived));
}

/// A router of version 0 that asks again by itself gets its answer.
#[test]
fn a_v0_query_that_waits_when_data_arrives_is_answered() {
    let mut world = World::empty();
    let mut conn = Conn::open(&world);
    conn.send(&world, &reset_query(0));
    conn.wait(&mut world, 30);
    conn.send(&world, &reset_query(0));
    world.publish("10.0.0.0/8 1");
    conn.run(&world);
    let frames = conn.frames();
    assert_eq!(kinds(&frames), [10, 3, 4, 7]);
    conn.wait(&mut world, 600);
    assert!(conn.is_quiet());
    world.publish("10.0.0.0/8 2");
    conn.run(&world);
    assert_eq!(kinds(&conn.frames()), [0]);
    let frames = conn.since(&world, 0, frames[1].field(), 1);
    assert_eq!(answer(&frames).1, 2);
}
