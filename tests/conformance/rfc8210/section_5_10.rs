//! Router Keys.

use rutter::payload::{Asn, Attribute, DataSet, RouterKey, RowsBuilder};
use rutter::rtr::Version;
use rutter::rtr::image::Image;

use crate::pair::{Conn, World, answer, hex, told};

/// RKY-01, RKY-05: the key info is compared too, and each AS has its own PDU.
#[test]
fn one_pdu_for_each_identifier_as_and_key() {
    let mut rows = RowsBuilder::new();
    for (asn, key) in [
        (1, &[0x30, 1][..]),
        (1, &[0x30, 2]),
        (2, &[0x30, 1]),
        (1, &[0x30, 1]),
    ] {
        let key = RouterKey::new([9; 20], Asn::new(asn), key).unwrap();
        rows.push_router_key(key, Attribute::default());
    }
    let mut world = World::empty();
    world.publish_data(DataSet::new(&rows.finish()));
    let frames = Conn::open(&world).reset(&world, 1);
    let ski = "09".repeat(20);
    let pdu = |asn, key| hex(&format!("010901000000 0022 {ski} 0000000{asn} 300{key}"));
    let sent: Vec<Vec<u8>> = answer(&frames).2.iter().map(|pdu| pdu.0.clone()).collect();
    assert_eq!(sent, [pdu(1, 1), pdu(2, 1), pdu(1, 2)]);
}

/// RKY-04: the record goes as it came.
#[test]
fn a_withdrawal_repeats_the_whole_record() {
    let mut world = World::of("key 1 5; key 2 5");
    let mut conn = Conn::open(&world);
    let frames = conn.reset(&world, 1);
    let (session, serial, payload) = answer(&frames);
    let mut gone = payload[0].0.clone();
    gone[2] = 0;
    world.publish("key 2 5");
    conn.run(&world);
    conn.take();
    let frames = conn.since(&world, 1, session, serial);
    assert_eq!(answer(&frames).2[0].0, gone);
}

/// VER-17: neither keys nor ASPAs where the version has none, not as changes either.
#[test]
fn kinds_stay_in_the_versions_that_have_them() {
    let (first, second) = (
        "10.0.0.0/8 1; key 1 5; aspa 6 7",
        "10.0.0.0/8 2; key 2 5; aspa 6 8",
    );
    for (version, full, increment) in [
        (0, 1, "+10.0.0.0/8-8 AS2|-10.0.0.0/8-8 AS1"),
        (
            1,
            2,
            "+10.0.0.0/8-8 AS2|-10.0.0.0/8-8 AS1|+key 2 AS5|-key 1 AS5",
        ),
        (
            2,
            3,
            "+10.0.0.0/8-8 AS2|-10.0.0.0/8-8 AS1|+key 2 AS5|-key 1 AS5|+aspa AS6 8",
        ),
    ] {
        let mut world = World::of(first);
        let mut conn = Conn::open(&world);
        let frames = conn.reset(&world, version);
        let (session, serial, payload) = answer(&frames);
        assert_eq!(payload.len(), full);
        world.publish(second);
        conn.run(&world);
        conn.take();
        let frames = conn.since(&world, version, session, serial);
        assert_eq!(told(&frames).join("|"), increment);
        let snapshot = world.snapshot();
        let version = Version::from_octet(version).unwrap();
        let image = Image::full(version, snapshot.payload());
        assert_eq!(image.segments(rutter::payload::Kinds::ALL).count(), full);
    }
}
