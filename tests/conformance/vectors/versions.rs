//! `version_cases.json`: which version a session gets (8210bis §7).

use rutter::rtr::Versions;
use rutter::rtr::server::ServerConfig;
use serde_json::Value;

use super::{cases, name, number, parsed, version};
use crate::pair::{Conn, World, kinds, reset_query, serial_query};

fn config(case: &Value) -> ServerConfig {
    let versions = Versions::new(version(&case["cache_min"]), version(&case["cache_max"]));
    ServerConfig {
        versions: versions.unwrap(),
        ..ServerConfig::default()
    }
}

fn query(kind: &str, version: u8) -> Vec<u8> {
    match kind {
        "reset-query" => reset_query(version),
        "serial-query" => serial_query(version, 0xdead, 5),
        "error-report" => vec![version, 10, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0],
        other => panic!("{other}"),
    }
}

/// Sends one PDU and checks the reply.
fn check(conn: &mut Conn, world: &World, pdu: &[u8], expected: &Value, name: &str) {
    let frames = conn.ask(world, pdu);
    match expected["reply"].as_str().unwrap() {
        "none" => assert!(frames.is_empty(), "{name}: {frames:02x?}"),
        "cache-response" => assert_eq!(kinds(&frames), [3, 4, 7], "{name}"),
        "cache-response or cache-reset" => assert_eq!(kinds(&frames), [8], "{name}"),
        "error-report" => {
            assert_eq!(kinds(&frames), [10], "{name}");
            assert_eq!(
                u64::from(frames[0].field()),
                expected["error_code"],
                "{name}"
            );
            assert_eq!(frames[0].report().0, pdu, "{name}");
        }
        other => panic!("{other}"),
    }
    for frame in &frames {
        assert_eq!(u64::from(frame.version()), expected["version"], "{name}");
    }
    assert_eq!(expected["close"], conn.closed.is_some(), "{name}");
}

#[test]
fn every_query_gets_the_version_named() {
    let file = parsed(include_str!("../../data/vectors/version_cases.json"));
    for case in cases(&file, "single", 60) {
        let world = World::of("10.0.0.0/8 1");
        let mut conn = Conn::with(&world, config(case));
        let pdu = query(
            case["query"].as_str().unwrap(),
            number(&case["query_version"]),
        );
        let expected = &case["expected"];
        check(&mut conn, &world, &pdu, expected, name(case));
        if expected["close"] == false {
            // Whatever was refused, the version told serves on the same connection.
            let told: u8 = number(&expected["version"]);
            let frames = conn.reset(&world, told);
            assert_eq!(kinds(&frames), [3, 4, 7], "{}", name(case));
            assert!(frames.iter().all(|frame| frame.version() == told));
        }
    }
}

#[test]
fn sequences_on_one_connection_end_as_named() {
    let file = parsed(include_str!("../../data/vectors/version_cases.json"));
    for case in cases(&file, "sequences", 7) {
        let mut world = World::of("10.0.0.0/8 1");
        let mut conn = Conn::with(&world, config(case));
        for step in case["steps"].as_array().unwrap() {
            let kind = step["send"].as_str().unwrap();
            if kind.starts_with("nothing") {
                world.publish("10.0.0.0/8 2");
                conn.wait(&mut world, 100);
                check(&mut conn, &world, &[], &step["expect"], name(case));
            } else {
                let pdu = query(kind, number(&step["version"]));
                check(&mut conn, &world, &pdu, &step["expect"], name(case));
            }
        }
    }
}
