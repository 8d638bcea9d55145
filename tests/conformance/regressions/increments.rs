//! Increments: minimal over any number of steps, and nothing for what routers cannot see.

use std::sync::Arc;

use rutter::payload::merge::{Contribution, merge};
use rutter::payload::{Attribute, DataSet, Rows, RowsBuilder, UnixTime};
use rutter::rtr::snapshot::{HistoryLimits, Step, Trigger};

use crate::pair::{Conn, World, answer, kinds, push, told, vrp};

/// What a router that had the first set is told after the last.
fn after(sets: &[&str]) -> Vec<String> {
    let mut world = World::of(sets[0]);
    let mut conn = Conn::open(&world);
    let frames = conn.reset(&world, 2);
    let (session, serial, _) = answer(&frames);
    for set in &sets[1..] {
        world.publish(set);
    }
    conn.run(&world);
    conn.take();
    told(&conn.since(&world, 2, session, serial))
}

const NOTHING: [&str; 0] = [];

/// StayRTR 0.6 answers the router that is two steps behind with nothing.
#[test]
fn an_increment_over_any_number_of_steps_is_whole() {
    let sets: Vec<String> = (1..10)
        .map(|n| format!("10.0.0.0/8 {n}; 192.0.2.0/24 {}; 2001:db8::/32 7", n / 3))
        .collect();
    for version in 0..3 {
        let mut world = World::of(&sets[0]);
        let frames = Conn::open(&world).reset(&world, version);
        let session = answer(&frames).0;
        for set in &sets[1..] {
            world.publish(set);
        }
        for (place, set) in sets.iter().enumerate() {
            let serial = u32::try_from(place).unwrap() + 1;
            let frames = Conn::open(&world).since(&world, version, session, serial);
            let mut expected: Vec<String> = Vec::new();
            let (old, new) = (crate::pair::data(set), crate::pair::data(&sets[8]));
            for vrp in new.payload().vrps() {
                if !old.payload().vrps().any(|other| other == vrp) {
                    expected.push(format!("+{vrp}"));
                }
            }
            let gone = old.payload().vrps().collect::<Vec<_>>();
            for vrp in gone.into_iter().rev() {
                if !new.payload().vrps().any(|other| other == vrp) {
                    expected.push(format!("-{vrp}"));
                }
            }
            assert_eq!(told(&frames), expected, "from {serial}");
            assert_eq!(answer(&frames).1, 9);
        }
    }
}

/// stayrtr 93, rtrtr 72: a record that flaps is announced twice, which ends sessions.
#[test]
fn flaps_inside_the_window_cancel_out() {
    let (with, without) = ("10.0.0.0/8 1; 192.0.2.0/24 2; key 1 2", "192.0.2.0/24 2");
    assert_eq!(after(&[with, without, with]), NOTHING);
    assert_eq!(after(&[without, with, without]), NOTHING);
    assert_eq!(after(&[with, without, with, without, with]), NOTHING);
    assert_eq!(
        after(&[with, without, with, without]),
        ["-10.0.0.0/8-8 AS1", "-key 1 AS2"]
    );
    assert_eq!(
        after(&[without, with, without, with]),
        ["+10.0.0.0/8-8 AS1", "+key 1 AS2"]
    );
}

/// One record may flap while others come and go.
#[test]
fn flaps_do_not_hide_other_changes() {
    assert_eq!(
        after(&["10.0.0.0/8 1", "10.0.0.0/8 2", "10.0.0.0/8 1; 10.0.0.0/8 3"]),
        ["+10.0.0.0/8-8 AS3"]
    );
}

/// StayRTR: after the set was emptied the next load does not move the serial.
#[test]
fn an_emptied_set_is_a_step_like_any_other() {
    assert_eq!(after(&["10.0.0.0/8 1", ""]), ["-10.0.0.0/8-8 AS1"]);
    assert_eq!(after(&["10.0.0.0/8 1", "", "10.0.0.0/8 1"]), NOTHING);
    let mut world = World::of("10.0.0.0/8 1");
    for set in ["", "10.0.0.0/8 1", ""] {
        assert!(world.publish(set));
    }
    assert_eq!(world.serial(), 4);
}

/// ORD-04: the route stays valid in between.
#[test]
fn a_raised_max_length_is_announced_before_the_old_one_goes() {
    assert_eq!(
        after(&["10.0.0.0/8-16 1", "10.0.0.0/8-24 1"]),
        ["+10.0.0.0/8-24 AS1", "-10.0.0.0/8-16 AS1"]
    );
}

#[test]
fn mapped_and_default_prefixes_stay_in_their_family() {
    assert_eq!(
        after(&[
            "",
            "0.0.0.0/0 0; ::/0-128 0; ::ffff:192.0.2.0/120 1; ::ffff:0:0/96 2; 0.0.0.0/0-32 4294967295"
        ]),
        [
            "+0.0.0.0/0-32 AS4294967295",
            "+0.0.0.0/0-0 AS0",
            "+::ffff:192.0.2.0/120-120 AS1",
            "+::ffff:0.0.0.0/96-96 AS2",
            "+::/0-128 AS0",
        ]
    );
    let world = World::of("::ffff:192.0.2.0/120 1");
    for version in 0..3 {
        let frames = Conn::open(&world).reset(&world, version);
        assert_eq!(kinds(&frames), [3, 6, 7]);
        assert_eq!(frames[1].0[9..11], [120, 120]);
        assert_eq!(frames[1].0[22..28], [0xff, 0xff, 192, 0, 2, 0]);
    }
}

/// The same VRP from these trust anchors, with these expiries.
fn twins(anchors: &[(&str, u64)]) -> Rows {
    let mut rows = RowsBuilder::new();
    for (anchor, expires) in anchors {
        let id = rows.trust_anchor(anchor);
        let attribute = Attribute::new(Some(UnixTime::new(*expires)), id);
        push(&mut rows, "10.0.0.0/8 1", attribute);
    }
    push(&mut rows, "192.0.2.0/24 2", Attribute::default());
    rows.finish()
}

/// PAY-04, PAY-05: one PDU, and the loss of one twin changes nothing.
#[test]
fn duplicates_of_several_trust_anchors_are_one_record() {
    let mut world = World::empty();
    world.publish_data(DataSet::new(&twins(&[("a", 10), ("b", 20), ("c", 30)])));
    let mut conn = Conn::open(&world);
    let frames = conn.reset(&world, 1);
    assert_eq!(kinds(&frames), [3, 4, 4, 7]);
    for left in [
        &[("a", 10), ("c", 30)][..],
        &[("a", 10)],
        &[("b", 20), ("b", 20)],
    ] {
        assert!(!world.publish_data(DataSet::new(&twins(left))));
        conn.wait(&mut world, 100);
        assert!(conn.is_quiet());
    }
    assert!(world.publish_data(DataSet::new(&twins(&[]))));
    let frames = conn.since(&world, 1, frames[0].field(), 1);
    assert_eq!(told(&frames[1..]), ["-10.0.0.0/8-8 AS1"]);
    assert_eq!(frames[0].kind(), 0);
}

/// The same from several sources.
#[test]
fn duplicates_of_several_sources_are_one_record() {
    let (a, b) = (twins(&[("a", 10)]), twins(&[("b", 20)]));
    let mut world = World::empty();
    let of = |place, rows| Contribution { place, rows };
    let union = merge(&[of(0, &a), of(1, &b)], 1);
    world.publish_data(DataSet::new(&union));
    assert_eq!(world.snapshot().payload().len(), 2);
    assert!(!world.publish_data(DataSet::new(&merge(&[of(1, &b)], 1))));
    assert_eq!(world.serial(), 1);
}

/// A renewed expiry is a revision: the serial, the images and the routers stay as they are.
#[test]
fn a_renewed_expiry_is_no_serial() {
    let data = |expires| DataSet::new(&twins(&[("a", expires)]));
    let mut world = World::empty();
    world.publish_data(data(10));
    let mut conn = Conn::open(&world);
    let full = conn.reset(&world, 1);
    for turn in 1..4 {
        let before = Arc::clone(world.current.as_ref().unwrap());
        assert!(!world.publish_data(data(10 + turn)));
        let snapshot = world.snapshot();
        assert_eq!(
            (snapshot.serial(), snapshot.revision()),
            (before.serial(), turn)
        );
        assert_eq!(snapshot.generation(), before.generation());
        assert_eq!(
            snapshot.versions_in_use().count(),
            1,
            "the image is the same"
        );
        let attribute = snapshot.data().v4().iter().last().unwrap().1;
        assert_eq!(attribute.expires(), Some(UnixTime::new(10 + turn)));
        conn.wait(&mut world, 100);
        assert!(conn.is_quiet());
    }
    assert_eq!(conn.reset(&world, 1), full);
    let same = data(13);
    let next = world
        .snapshot()
        .next(same, Trigger::Source, world.unix, HistoryLimits::default());
    assert!(matches!(next, Step::Unchanged));
}

/// PAY-03: gortr 61, VRPs with host bits were sent unmasked. Here they cannot be made.
#[test]
fn host_bits_cannot_be_sent() {
    use rutter::payload::{Asn, Vrp};
    for prefix in ["192.0.2.1/24", "128.0.0.0/0", "2001:db8::1/127", "8000::/0"] {
        assert!(
            Vrp::new(prefix.parse().unwrap(), 32, Asn::ZERO).is_err(),
            "{prefix}"
        );
    }
    assert_eq!(vrp("10.0.0.0/8 1").to_string(), "10.0.0.0/8-8 AS1");
}
