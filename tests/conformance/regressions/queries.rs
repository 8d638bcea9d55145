//! Queries that come at awkward moments.

use rutter::rtr::server::Output;

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
