//! Queries that come at awkward moments.

use rutter::rtr::server::{Close, Output};

use crate::pair::{Conn, World, answer, kinds, reset_query, serial_query, told};

/// The set moves on between the query and the making of its image: the increment still begins
/// where the router is.
#[test]
fn increment_begins_where_the_router_is_when_the_set_moves_on() {
    let mut world = World::of("10.0.0.0/8 1");
    let frames = Conn::open(&world).reset(&world, 2);
    let (session, serial, _) = answer(&frames);
    world.publish("10.0.0.0/8 1; 10.0.0.0/8 2");
    let mut conn = Conn::open(&world);
    let query = serial_query(2, session, serial);
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
        let mut octets = reset_query(1);
        octets.extend(&reset_query(1)[..begun]);
        let frames = conn.ask(&world, &octets);
        assert_eq!(answer(&frames).2.len(), 1);
        conn.wait(&mut world, 119);
        assert_eq!(conn.closed, None);
        conn.wait(&mut world, 2);
        assert_eq!(conn.closed, Some(Close::Silent));
    }
}

/// StayRTR needs a PDU in one segment and drops what follows it there.
#[test]
fn segments_mean_nothing() {
    for version in 0..3 {
        let world = World::of("10.0.0.0/8 1; 2001:db8::/32 2");
        let frames = Conn::open(&world).reset(&world, version);
        let session = answer(&frames).0;
        // Serial Queries first: in version 0 the ids of two Reset Queries would differ.
        let queries = [
            serial_query(version, session, 1),
            reset_query(version),
            serial_query(version, session, 1),
            serial_query(version, session, 0),
        ]
        .concat();
        let whole = Conn::open(&world).ask(&world, &queries);
        assert_eq!(kinds(&whole), [3, 7, 3, 4, 6, 7, 3, 7, 8]);
        for cut in 0..=queries.len() {
            let mut conn = Conn::open(&world);
            conn.send(&world, &queries[..cut]);
            conn.send(&world, &queries[cut..]);
            assert_eq!(conn.frames(), whole, "{cut}");
        }
        let mut conn = Conn::open(&world);
        for octet in &queries {
            conn.send(&world, &[*octet]);
        }
        assert_eq!(conn.frames(), whole);
        assert_eq!(conn.closed, None);
    }
}

/// QRY-08: it waits for the end of the answer, and no input is asked for until then.
#[test]
fn a_query_during_an_answer_waits_for_its_end() {
    let many: Vec<String> = (1..6000).map(|asn| format!("10.0.0.0/8 {asn}")).collect();
    let world = World::of(&many.join(";"));
    for version in 0..3 {
        let mut conn = Conn::open(&world);
        let two = [reset_query(version), reset_query(version)].concat();
        conn.session.receive(world.now, &two);
        let mut sent = Vec::new();
        let mut answers = 0;
        while answers < 2 {
            match conn.session.output(world.now, world.current.as_deref()) {
                Output::Send(octets) => sent.extend_from_slice(&octets),
                Output::Prepare(answer) => assert!(world.snapshot().image(answer).is_some()),
                Output::Event(rutter::rtr::server::Event::Answered { octets, .. }) => {
                    answers += 1;
                    assert_eq!(sent.len(), answers * octets);
                }
                Output::Event(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let (first, second) = sent.split_at(sent.len() / 2);
        assert_eq!(first, second);
        assert_eq!(answer(&crate::pair::Frame::split(first)).2.len(), 5999);
    }
}

/// rpki-rs loses half a header when a Notify wins.
#[test]
fn a_notify_does_not_cost_half_a_query() {
    for begun in 1..12 {
        let mut world = World::of("10.0.0.0/8 1");
        let mut conn = Conn::open(&world);
        let frames = conn.reset(&world, 1);
        let query = serial_query(1, answer(&frames).0, 1);
        conn.send(&world, &query[..begun]);
        world.publish("10.0.0.0/8 2");
        conn.run(&world);
        assert_eq!(kinds(&conn.frames()), [0]);
        let frames = conn.ask(&world, &query[begun..]);
        assert_eq!(told(&frames), ["+10.0.0.0/8-8 AS2", "-10.0.0.0/8-8 AS1"]);
    }
}

/// SER-01: whatever is published while a router asks, each answer is one published set.
#[test]
fn every_answer_is_one_of_the_sets_published() {
    let mut world = World::of("10.0.0.0/8 1");
    let mut sets = vec![vec!["+10.0.0.0/8-8 AS1".to_owned()]];
    let mut conn = Conn::open(&world);
    for asn in 2..50 {
        conn.session.receive(world.now, &reset_query(2));
        let mut steps = 0;
        while conn.step(&world) {
            if steps == asn % 5 {
                world.publish(&format!("10.0.0.0/8 {asn}; 2001:db8::/32 {asn}"));
                sets.push(vec![
                    format!("+10.0.0.0/8-8 AS{asn}"),
                    format!("+2001:db8::/32-32 AS{asn}"),
                ]);
            }
            steps += 1;
        }
        let frames = conn.frames();
        let end = frames.iter().position(|frame| frame.kind() == 7).unwrap();
        let frames = &frames[frames.iter().position(|frame| frame.kind() == 3).unwrap()..=end];
        let serial = usize::try_from(answer(frames).1).unwrap();
        assert_eq!(told(frames), sets[serial - 1]);
        world.pass(60);
    }
    assert!(sets.len() > 30);
}
