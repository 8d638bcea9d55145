//! Queries that come at awkward moments.

use rutter::rtr::server::{Close, Output};

use crate::pair::{Conn, World, answer, told};

/// The set moves on between the query and the making of its image: the increment still begins
/// where the router is.
#[test]
fn increment_begins_where_the_router_is_when_the_set_moves_on() {
    let mut world = World::of("10.0.0.0/8 1");
    let frames = Conn::open(&world).reset(&world, 2);
    let (session, serial, _) = answer(&frames);
    world.publish("10.0.0.0/8 1; 10.0.0.0/8 2");
    let mut conn = Conn::open(&world);
    let query = crate::pair::serial_query(2, session, serial);
    conn.session.receive(world.now, &query);
    loop {
        match conn.session.output(world.now, world.current.as_deref()) {
            Output::Event(_) => {}
            Output::Prepare(_) => break,
            other => panic!("{other:?}"),
        }
    }
    world.publish("10.0.0.0/8 1; 10.0.0.0/8 2; 10.0.0.0/8 3");
    conn.run(&world);
    let frames = conn.frames();
    assert_eq!(told(&frames), ["+10.0.0.0/8-8 AS3", "+10.0.0.0/8-8 AS2"]);
    assert_eq!(answer(&frames).1, world.serial());
}

/// Half a PDU behind a whole query in the same segment is half a PDU all the same.
#[test]
fn half_a_pdu_behind_a_query_becomes_overdue() {
    for begun in 1..8 {
        let mut world = World::of("10.0.0.0/8 1");
        let mut conn = Conn::open(&world);
        let mut octets = crate::pair::reset_query(1);
        octets.extend(&crate::pair::reset_query(1)[..begun]);
        let frames = conn.ask(&world, &octets);
        assert_eq!(answer(&frames).2.len(), 1);
        conn.wait(&mut world, 119);
        assert_eq!(conn.closed, None);
        conn.wait(&mut world, 2);
        assert_eq!(conn.closed, Some(Close::Silent));
    }
}
