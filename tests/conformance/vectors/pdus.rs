//! `rtr_pdus.json`: PDUs octet by octet, and what is done about damaged ones.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use ring::digest::{SHA256, digest};
use rutter::payload::aspa::AspaError;
use rutter::payload::vrp::{VrpV4, VrpV6};
use rutter::payload::{Asn, Aspa, Attribute, DataSet, RouterKey, RowsBuilder, Vrp};
use rutter::rtr::client;
use rutter::rtr::pdu::{Action, ErrorReport};
use rutter::rtr::{Pdu, Serial, SessionId, Timing, Version};
use serde_json::Value;

use super::{cases, name, number, octets, parsed, version};
use crate::pair::{Conn, Frame, World, client_in_answer, data, end_of_data, kinds};

fn file() -> Value {
    parsed(include_str!("../../data/vectors/rtr_pdus.json"))
}

fn asn(value: &Value) -> Asn {
    Asn::new(number(value))
}

fn action(fields: &Value) -> Action {
    match fields["announce"].as_bool().unwrap() {
        true => Action::Announce,
        false => Action::Withdraw,
    }
}

/// The PDU that the fields of a case describe.
fn pdu(fields: &Value) -> Pdu {
    let session = || SessionId::new(number(&fields["session_id"]));
    let serial = || Serial::new(number(&fields["serial"]));
    let lengths = || {
        (
            number(&fields["prefix_length"]),
            number(&fields["max_length"]),
        )
    };
    match fields["type_name"].as_str().unwrap() {
        "serial-notify" => Pdu::SerialNotify {
            session: session(),
            serial: serial(),
        },
        "serial-query" => Pdu::SerialQuery {
            session: session(),
            serial: serial(),
        },
        "reset-query" => Pdu::ResetQuery,
        "cache-response" => Pdu::CacheResponse { session: session() },
        "ipv4-prefix" => {
            let address: Ipv4Addr = fields["prefix"].as_str().unwrap().parse().unwrap();
            let (len, max) = lengths();
            let vrp = VrpV4::new(address.to_bits(), len, max, asn(&fields["asn"])).unwrap();
            Pdu::Prefix {
                action: action(fields),
                vrp: Vrp::V4(vrp),
            }
        }
        "ipv6-prefix" => {
            let address: Ipv6Addr = fields["prefix"].as_str().unwrap().parse().unwrap();
            let (len, max) = lengths();
            let vrp = VrpV6::new(address.to_bits(), len, max, asn(&fields["asn"])).unwrap();
            Pdu::Prefix {
                action: action(fields),
                vrp: Vrp::V6(vrp),
            }
        }
        "end-of-data" => {
            let timing = fields.get("refresh").map(|refresh| {
                let (retry, expire) = (&fields["retry"], &fields["expire"]);
                let seconds = [number(refresh), number(retry), number(expire)];
                let timing = Timing::clamped(seconds[0], seconds[1], seconds[2]);
                assert_eq!(timing.seconds(), seconds);
                timing
            });
            Pdu::EndOfData {
                session: session(),
                serial: serial(),
                timing,
            }
        }
        "cache-reset" => Pdu::CacheReset,
        "router-key" => {
            let ski = octets(&fields["ski"]).try_into().unwrap();
            let key = RouterKey::new(ski, asn(&fields["asn"]), &octets(&fields["spki"])).unwrap();
            Pdu::RouterKey {
                action: action(fields),
                key,
            }
        }
        "aspa" => {
            let customer = asn(&fields["customer_asn"]);
            let providers = fields["providers"].as_array().unwrap();
            match action(fields) {
                Action::Withdraw => {
                    assert!(providers.is_empty());
                    Pdu::WithdrawAspa { customer }
                }
                Action::Announce => {
                    let providers = providers.iter().map(asn).collect();
                    Pdu::AnnounceAspa(Aspa::from_wire(customer, providers).unwrap())
                }
            }
        }
        "error-report" => Pdu::ErrorReport(ErrorReport {
            code: number(&fields["error_code"]),
            enclosed: octets(&fields["erroneous_pdu"]),
            text: fields["text"].as_str().unwrap().to_owned(),
        }),
        other => panic!("{other}"),
    }
}

#[test]
fn valid_pdus_are_encoded_from_their_fields_and_decoded_to_them() {
    let file = file();
    for case in cases(&file, "pdus", 90) {
        let (version, wire, name) = (version(&case["version"]), octets(&case["hex"]), name(case));
        assert_eq!(number::<usize>(&case["length"]), wire.len(), "{name}");
        let pdu = pdu(&case["fields"]);
        assert_eq!(pdu.octets(version), wire, "{name}");
        assert_eq!(Pdu::decode(version, &wire).as_ref(), Ok(&pdu), "{name}");
        assert_eq!(u64::from(pdu.pdu_type()), case["fields"]["type"], "{name}");
        for len in 0..wire.len() {
            assert!(Pdu::decode(version, &wire[..len]).is_err(), "{name} cut");
        }
    }
}

#[test]
fn tolerated_pdus_mean_what_their_twins_mean() {
    let file = file();
    let twins = cases(&file, "pdus", 90);
    for case in cases(&file, "tolerated", 9) {
        let (version, wire) = (version(&case["session_version"]), octets(&case["hex"]));
        let twin = twins.iter().find(|twin| twin["name"] == case["same_as"]);
        let meant = pdu(&twin.unwrap()["fields"]);
        assert_eq!(
            Pdu::decode(version, &wire).as_ref(),
            Ok(&meant),
            "{}",
            name(case)
        );
        match case["receiver"].as_str().unwrap() {
            "cache" => {
                let world = World::of("10.0.0.0/8 1");
                let answer = Conn::open(&world).ask(&world, &wire);
                assert_eq!(kinds(&answer), [3, 4, 7], "{}", name(case));
            }
            "router" => {
                let before = match meant {
                    Pdu::WithdrawAspa { customer } => data(&format!("aspa {customer} 7")),
                    _ => DataSet::default(),
                };
                let now = Instant::now();
                let mut client = client_in_answer(version, Some(before.payload()), now);
                client.receive(now, &wire);
                client.receive(now, &end_of_data(version, 6));
                let set = &client.epoch().unwrap().set;
                assert_eq!(
                    client.epoch().unwrap().serial,
                    Serial::new(6),
                    "{}",
                    name(case)
                );
                let announced = !matches!(meant, Pdu::WithdrawAspa { .. });
                assert_eq!(set.len(), usize::from(announced), "{}", name(case));
            }
            other => panic!("{other}"),
        }
    }
}

/// What a receiver did about a PDU: what it sent, and whether the connection ended.
struct Reaction {
    sent: Vec<Frame>,
    closed: bool,
}

fn of_cache(version: Version, wire: &[u8]) -> Reaction {
    let world = World::of("10.0.0.0/8 1");
    let mut conn = Conn::open(&world);
    assert_eq!(kinds(&conn.reset(&world, version.octet())), [3, 4, 7]);
    let sent = conn.ask(&world, wire);
    Reaction {
        sent,
        closed: conn.closed.is_some(),
    }
}

fn of_router(version: Version, wire: &[u8]) -> Reaction {
    let now = Instant::now();
    let mut client = client_in_answer(version, None, now);
    client.receive(now, wire);
    let mut sent = Vec::new();
    loop {
        match client.output(now) {
            client::Output::Send(octets) => sent.extend(Frame::split(&octets)),
            client::Output::Event(_) => {}
            client::Output::Wait => {
                return Reaction {
                    sent,
                    closed: false,
                };
            }
            client::Output::Reconnect(_) => return Reaction { sent, closed: true },
        }
    }
}

#[test]
fn malformed_pdus_get_the_reaction_named() {
    let file = file();
    let mut reports = 0;
    for case in cases(&file, "malformed", 52) {
        let (version, wire, name) = (
            version(&case["session_version"]),
            octets(&case["hex"]),
            name(case),
        );
        let reaction = match case["receiver"].as_str().unwrap() {
            "cache" => of_cache(version, &wire),
            "router" => of_router(version, &wire),
            other => panic!("{other}"),
        };
        let expected = &case["expected"];
        assert_eq!(expected["close"], reaction.closed, "{name}");
        let codes: Vec<u16> = expected["error_codes"]
            .as_array()
            .unwrap()
            .iter()
            .map(number)
            .collect();
        match (
            expected["reply"].as_str().unwrap(),
            reaction.sent.as_slice(),
        ) {
            ("none" | "error-report-or-none", []) => {}
            ("error-report" | "error-report-or-none", [report]) => {
                reports += 1;
                assert_eq!(report.version(), version.octet(), "{name}");
                let code = report.field();
                assert!(codes.contains(&code), "{name}: {code}");
                // Code 0 for a withdrawal with providers: its length is what is wrong.
                if name != "v2-aspa-withdraw-with-providers" {
                    assert_eq!(code, codes[0], "{name}: the preferred code");
                }
                let (enclosed, text) = report.report();
                let length = u32::from_be_bytes(wire[4..8].try_into().unwrap());
                let length = usize::try_from(length).unwrap().clamp(8, wire.len());
                assert_eq!(enclosed, wire[..length], "{name}: the PDU as received");
                assert!(!text.is_empty() && report.0.len() <= 512, "{name}");
            }
            (reply, sent) => panic!("{name}: {reply}, but {sent:02x?}"),
        }
    }
    assert_eq!(reports, 43, "cases with a report");
}

/// One octet at a time: the reaction is the same, and no octet past the header is waited for
/// where the header is wrong already.
#[test]
fn malformed_pdus_get_it_octet_by_octet_too() {
    let file = file();
    for case in cases(&file, "malformed", 52) {
        if case["receiver"] != "cache" {
            continue;
        }
        let (version, wire) = (version(&case["session_version"]), octets(&case["hex"]));
        let world = World::of("10.0.0.0/8 1");
        let mut conn = Conn::open(&world);
        conn.reset(&world, version.octet());
        let mut taken = 0;
        for octet in &wire {
            if conn.closed.is_none() {
                conn.send(&world, &[*octet]);
                taken += 1;
            }
        }
        assert!(conn.closed.is_some(), "{}", name(case));
        if wire[1] != 10 {
            assert_eq!(taken, 8, "{}", name(case));
        }
        let whole = of_cache(version, &wire).sent;
        let split = conn.frames();
        assert_eq!(kinds(&split), kinds(&whole), "{}", name(case));
        for (a, b) in split.iter().zip(&whole) {
            assert_eq!(
                (a.field(), a.version()),
                (b.field(), b.version()),
                "{}",
                name(case)
            );
        }
    }
}

#[test]
fn boundary_pdus_have_the_digest_named() {
    let file = file();
    for case in cases(&file, "generated", 2) {
        let count = match name(case) {
            "v2-aspa-16380-providers" => 16_380,
            "v2-aspa-16381-providers" => 16_381,
            other => panic!("{other}"),
        };
        let providers: Vec<Asn> = (1..=count).map(Asn::new).collect();
        let aspa = Aspa::from_wire(Asn::new(64496), providers.clone()).unwrap();
        let wire = Pdu::AnnounceAspa(aspa.clone()).octets(Version::V2);
        assert_eq!(wire.len(), number::<usize>(&case["length"]));
        let hash = digest(&SHA256, &wire);
        assert_eq!(hash.as_ref(), octets(&case["sha256"]), "{}", name(case));
        // The cache leaves out both: a list past 10,000 is more than routers take.
        let found = usize::try_from(count).unwrap();
        assert_eq!(
            Aspa::new(Asn::new(64496), providers),
            Err(AspaError::TooMany { found })
        );
        let mut rows = RowsBuilder::new();
        rows.push_aspa(aspa.clone(), Attribute::default());
        let data = DataSet::new(&rows.finish());
        assert_eq!(data.payload().len(), 0, "{}", name(case));
        assert_eq!(data.left_out().len(), 1, "{}", name(case));
        // The router takes what is allowed and judges the other by its header.
        let now = Instant::now();
        let mut client = client_in_answer(Version::V2, None, now);
        if case["allowed"] == true {
            client.receive(now, &wire);
            client.receive(now, &end_of_data(Version::V2, 5));
            assert_eq!(
                client.epoch().unwrap().set.aspa(Asn::new(64496)),
                Some(&aspa)
            );
        } else {
            let reaction = of_router(Version::V2, &wire[..8]);
            assert!(reaction.closed && reaction.sent[0].field() == 0);
        }
    }
}
