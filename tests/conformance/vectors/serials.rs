//! `serial_cases.json`: RFC 1982 with 32 bits, and what a Serial Query gets.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use rutter::rtr::snapshot::HistoryLimits;
use rutter::rtr::{Serial, Snapshot};
use serde_json::Value;

use super::{cases, name, number, parsed};
use crate::pair::{self, Conn, World, answer, data, kinds};

fn file() -> Value {
    parsed(include_str!("../../data/vectors/serial_cases.json"))
}

#[test]
fn serials_compare_as_rfc_1982_says() {
    let file = file();
    for case in cases(&file, "compare", 24) {
        let (a, b) = (
            Serial::new(number(&case["a"])),
            Serial::new(number(&case["b"])),
        );
        let expected = match case["result"].as_str().unwrap() {
            "less" => Some(Ordering::Less),
            "equal" => Some(Ordering::Equal),
            "greater" => Some(Ordering::Greater),
            "undefined" => None,
            other => panic!("{other}"),
        };
        assert_eq!(a.partial_cmp(&b), expected, "{case}");
    }
}

#[test]
fn serials_step_by_one_and_skip_zero() {
    let file = file();
    for case in cases(&file, "increment", 5) {
        let next = Serial::new(number(&case["serial"])).next();
        assert_eq!(u64::from(next.into_u32()), case["next"], "{case}");
    }
}

/// What is published in a case: a history in which exactly these serials are kept.
fn world(case: &Value) -> World {
    let mut world = World::empty();
    if case["has_data"] == false {
        return world;
    }
    let kept: Vec<u32> = case["serials_kept"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect();
    let old = Serial::new(before(before(kept[0])));
    world.limits = HistoryLimits {
        age: Duration::from_secs(100),
    };
    let first = Snapshot::first_after(pair::name(7), old, data("10.0.0.0/8 1"));
    world.current = Some(Arc::new(first));
    // The step to the oldest serial kept is too old when the next ones come.
    for (place, serial) in kept.iter().enumerate() {
        world.publish(&format!("10.0.0.0/8 1; 192.0.2.0/24 {}", place + 1));
        assert_eq!(world.serial(), *serial, "{case}");
        if place == 0 {
            world.pass(101);
        }
    }
    world
}

#[test]
fn serial_queries_get_the_answer_named() {
    let file = file();
    for case in cases(&file, "serial_query", 18) {
        let name = name(case);
        let cache: u16 = number(&case["cache_session_id"]);
        let query: u16 = number(&case["query_session_id"]);
        let established = case["established_session_id"].as_u64().map(|id| id as u16);
        let mut world = world(case);
        let (version, mut conn) = (2, Conn::open(&world));
        // The ids of the case stand for ours: of the history before, of this one, of none.
        let mut ids = vec![];
        if let Some(told) = established {
            let (id, _, _) = answer_of(&mut conn, &world);
            ids.push((told, id));
            if told != cache {
                // The serial goes on over the change, so the one before is the case's.
                let before = Serial::new(world.serial().wrapping_sub(2));
                let first = Snapshot::first_after(pair::name(7), before, data("10.0.0.0/8 1"));
                world.current = Some(Arc::new(first));
                conn = Conn::open(&world);
                ids[0].1 = answer_of(&mut conn, &world).0;
                world.begin_anew(8, "10.0.0.0/8 2");
                assert_eq!(u64::from(world.serial()), case["cache_serial"]);
            }
        }
        if world.current.is_some() {
            ids.push((cache, answer_of(&mut Conn::open(&world), &world).0));
        }
        let id = ids.iter().find(|(of_case, _)| *of_case == query);
        let id = id.map_or(0xdead, |(_, ours)| *ours);
        conn.take();
        let serial = number(&case["query_serial"]);
        let frames = conn.since(&world, version, id, serial);
        match case["expected"].as_str().unwrap() {
            "empty-increment" => {
                assert_eq!(kinds(&frames), [3, 7], "{name}");
                assert_eq!(answer(&frames).1, world.serial(), "{name}");
                assert_eq!(frames[0].field(), id, "{name}");
            }
            "increment" => {
                let (session, end, payload) = answer(&frames);
                assert!(!payload.is_empty(), "{name}");
                assert_eq!((session, end), (id, world.serial()), "{name}");
            }
            "cache-reset" => {
                // A Notify may come first: the session was replaced under the connection.
                assert_eq!(kinds(&frames).last(), Some(&8), "{name}");
                let rest = &frames[..frames.len() - 1];
                assert!(rest.iter().all(|frame| frame.kind() == 0), "{name}");
                assert_eq!(frames[frames.len() - 1].0, [2, 8, 0, 0, 0, 0, 0, 8]);
                assert_eq!(kinds(&conn.reset(&world, version))[0], 3, "{name}");
            }
            "error-2" => {
                assert!(frames.is_empty(), "{name}: an answer before the wait");
                conn.wait(&mut world, 20);
                let frames = conn.frames();
                assert_eq!((kinds(&frames), frames[0].field()), (vec![10], 2), "{name}");
                assert!(conn.closed.is_none(), "{name}");
            }
            "error-0-close" => {
                let report = frames.last().unwrap();
                assert_eq!((report.kind(), report.field()), (10, 0), "{name}");
                assert!(conn.closed.is_some(), "{name}");
            }
            other => panic!("{other}"),
        }
    }
}

/// The serial that is followed by this one.
fn before(serial: u32) -> u32 {
    if serial == 1 { u32::MAX } else { serial - 1 }
}

fn answer_of(conn: &mut Conn, world: &World) -> (u16, u32, usize) {
    let frames = conn.reset(world, 2);
    let (session, serial, payload) = answer(&frames);
    (session, serial, payload.len())
}
