//! ASPA.

use rutter::payload::aspa::AspaError;
use rutter::payload::{Asn, Aspa, Attribute, DataSet, RowsBuilder};

use crate::pair::{Conn, World, answer, aspa, data, hex, told};

/// A router of version 2 that has this set, then the answer to its next Serial Query.
fn increment(sets: &[&str]) -> Vec<crate::pair::Frame> {
    let mut world = World::of(sets[0]);
    let mut conn = Conn::open(&world);
    let frames = conn.reset(&world, 2);
    let (session, serial, _) = answer(&frames);
    for set in &sets[1..] {
        world.publish(set);
    }
    conn.run(&world);
    conn.take();
    conn.since(&world, 2, session, serial)
}

/// ASP-01 to ASP-04: one PDU with the union, ascending, AS0 only alone.
#[test]
fn records_of_a_customer_become_their_union() {
    for (records, pdu) in [
        (
            "aspa 9 2 1; aspa 9 3 2",
            "020b0100 00000018 00000009 000000010000000200000003",
        ),
        ("aspa 9 0; aspa 9 5", "020b0100 00000010 00000009 00000005"),
        ("aspa 9 0; aspa 9 0", "020b0100 00000010 00000009 00000000"),
        (
            "aspa 9 4294967295 1",
            "020b0100 00000014 00000009 00000001ffffffff",
        ),
    ] {
        let world = World::of(records);
        let frames = Conn::open(&world).reset(&world, 2);
        assert_eq!(frames[1].0, hex(pdu), "{records}");
        assert_eq!(frames.len(), 3);
    }
}

/// ASP-05: literally.
#[test]
fn a_withdrawal_names_the_customer_only() {
    let frames = increment(&["aspa 9 1 2; aspa 10 1", "aspa 10 1"]);
    assert_eq!(frames[1].0, hex("020b0000 0000000c 00000009"));
    assert_eq!(frames.len(), 3);
}

/// ASP-06: an announcement replaces.
#[test]
fn a_change_of_providers_is_one_announcement() {
    let frames = increment(&["aspa 9 1 2", "aspa 9 1 3"]);
    assert_eq!(
        frames[1].0,
        hex("020b0100 00000014 00000009 0000000100000003")
    );
    assert_eq!(frames.len(), 3);
}

/// ASP-07: also over several serials, in every shape of a flap.
#[test]
fn changes_that_cancel_out_are_not_mentioned() {
    assert_eq!(
        told(&increment(&["aspa 9 1", "aspa 9 2", "aspa 9 1"])),
        [""; 0]
    );
    assert_eq!(told(&increment(&["aspa 9 1", "", "aspa 9 1"])), [""; 0]);
    assert_eq!(told(&increment(&["", "aspa 9 1", ""])), [""; 0]);
    assert_eq!(
        told(&increment(&["aspa 9 1", "", "aspa 9 2"])),
        ["+aspa AS9 2"]
    );
    assert_eq!(
        told(&increment(&["aspa 9 1", "aspa 9 2", ""])),
        ["-aspa AS9"]
    );
    assert_eq!(
        told(&increment(&["", "aspa 9 1", "aspa 9 2"])),
        ["+aspa AS9 2"]
    );
}

/// ASP-07: other records with the same union are no change.
#[test]
fn only_the_union_counts() {
    let mut world = World::of("aspa 9 1 2; aspa 9 3");
    assert!(!world.publish("aspa 9 1; aspa 9 2 3"));
    assert!(!world.publish("aspa 9 1 2 3"));
    assert!(!world.publish("aspa 9 1 2 3; aspa 9 0"));
    assert_eq!(world.serial(), 1);
    assert!(world.publish("aspa 9 1 2; aspa 9 2"));
}

/// ASP-03, ASP-09, ASP-10: what no router takes is left out, and the session is unharmed.
#[test]
fn what_no_router_takes_is_left_out() {
    let asns = |numbers: std::ops::RangeInclusive<u32>| numbers.map(Asn::new).collect::<Vec<_>>();
    let customer = Asn::new(64496);
    assert_eq!(Aspa::new(customer, vec![]), Err(AspaError::NoProvider));
    assert_eq!(
        Aspa::new(Asn::ZERO, asns(1..=1)),
        Err(AspaError::CustomerAs0)
    );
    assert_eq!(
        Aspa::new(customer, vec![customer]),
        Err(AspaError::OwnProvider)
    );
    // Two records that are fine become a union that is too long.
    let mut rows = RowsBuilder::new();
    for providers in [asns(1..=6000), asns(100_001..=106_000)] {
        rows.push_aspa(
            Aspa::new(customer, providers).unwrap(),
            Attribute::default(),
        );
    }
    rows.push_aspa(aspa("7", &["8"]), Attribute::default());
    let long = DataSet::new(&rows.finish());
    assert_eq!(long.left_out().len(), 1);
    assert_eq!(long.left_out()[0].customer, customer);
    let mut world = World::of("aspa 64496 1; aspa 7 8");
    let mut conn = Conn::open(&world);
    let frames = conn.reset(&world, 2);
    let (session, serial, _) = answer(&frames);
    world.publish_data(long);
    conn.run(&world);
    conn.take();
    let frames = conn.since(&world, 2, session, serial);
    assert_eq!(told(&frames), ["-aspa AS64496"]);
    assert_eq!(data("aspa 1 2").left_out(), []);
}
