//! What a router has is in doubt after its error 6 or 7.

use crate::pair::{Conn, World, answer, kinds};

/// One Cache Reset, then everything goes on.
#[test]
fn a_doubted_router_gets_one_cache_reset() {
    for version in 0..3 {
        let mut world = World::of("10.0.0.0/8 1");
        let frames = Conn::open(&world).reset(&world, version);
        let (session, serial, _) = answer(&frames);
        world.publish("10.0.0.0/8 2");
        let mut conn = Conn::open(&world);
        conn.session.distrust();
        assert_eq!(kinds(&conn.since(&world, version, session, serial)), [8]);
        assert_eq!(
            kinds(&conn.since(&world, version, session, serial)),
            [3, 4, 4, 7]
        );
        assert_eq!(conn.closed, None);
    }
}

/// A full answer leaves nothing to doubt.
#[test]
fn a_full_answer_ends_the_doubt() {
    let mut world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    conn.session.distrust();
    let frames = conn.reset(&world, 1);
    let (session, serial, _) = answer(&frames);
    world.publish("10.0.0.0/8 2");
    conn.run(&world);
    conn.take();
    assert_eq!(kinds(&conn.since(&world, 1, session, serial)), [3, 4, 4, 7]);
}
