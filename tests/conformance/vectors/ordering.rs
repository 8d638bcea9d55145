//! `rtr_ordering.json`: the order of payload within an answer (8210bis §11.2).

use rutter::payload::{Asn, Aspa, Attribute, DataSet, Delta, Kinds, RouterKey, RowsBuilder, Vrp};
use rutter::rtr::image::Image;
use serde_json::Value;

use super::{cases, name, number, octets, parsed, version};
use crate::pair::{Conn, World, answer};

fn push(rows: &mut RowsBuilder, entry: &Value) {
    let asn = |value: &Value| Asn::new(number(value));
    let attribute = Attribute::default();
    match entry["kind"].as_str().unwrap() {
        "ipv4" | "ipv6" => {
            let prefix = format!(
                "{}/{}",
                entry["prefix"].as_str().unwrap(),
                entry["prefix_length"]
            );
            let max = number(&entry["max_length"]);
            let vrp = Vrp::new(prefix.parse().unwrap(), max, asn(&entry["asn"])).unwrap();
            rows.push_vrp(vrp, attribute);
        }
        "router-key" => {
            let ski = octets(&entry["ski"]).try_into().unwrap();
            let key = RouterKey::new(ski, asn(&entry["asn"]), &octets(&entry["spki"])).unwrap();
            rows.push_router_key(key, attribute);
        }
        "aspa" => {
            // A withdrawal names no providers; the set it leads away from must have some.
            let mut providers: Vec<Asn> = entry["providers"]
                .as_array()
                .unwrap()
                .iter()
                .map(asn)
                .collect();
            if providers.is_empty() {
                providers.push(Asn::new(7));
            }
            let aspa = Aspa::new(asn(&entry["customer_asn"]), providers).unwrap();
            rows.push_aspa(aspa, attribute);
        }
        other => panic!("{other}"),
    }
}

fn set<'a>(entries: impl Iterator<Item = &'a Value>) -> DataSet {
    let mut rows = RowsBuilder::new();
    entries.for_each(|entry| push(&mut rows, entry));
    DataSet::new(&rows.finish())
}

#[test]
fn answers_are_in_the_one_legal_order() {
    let file = parsed(include_str!("../../data/vectors/rtr_ordering.json"));
    let mut full_answers = 0;
    for case in cases(&file, "cases", 8) {
        let (version, name) = (version(&case["version"]), name(case));
        let input = case["input"].as_array().unwrap();
        let pdus: Vec<Vec<u8>> = case["expected_pdus"]
            .as_array()
            .unwrap()
            .iter()
            .map(octets)
            .collect();
        assert_eq!(pdus.len(), input.len(), "{name}");
        let expected = pdus.concat();
        // In any order of the input: every rotation, forwards and backwards.
        for turn in 0..2 * input.len() {
            let mut input = input.clone();
            if turn >= input.len() {
                input.reverse();
            }
            let middle = turn % input.len();
            input.rotate_left(middle);
            let old = set(input.iter().filter(|entry| entry["announce"] == false));
            let new = set(input.iter().filter(|entry| entry["announce"] == true));
            let delta = Delta::between(old.payload(), new.payload());
            let image = Image::increment(version, &delta);
            let wire: Vec<u8> = image.segments(Kinds::ALL).flatten().copied().collect();
            assert_eq!(wire, expected, "{name}");
            let mut world = World::empty();
            world.publish_data(old.clone());
            let mut conn = Conn::open(&world);
            let (session, serial, _) = {
                let frames = conn.reset(&world, version.octet());
                let (session, serial, _) = answer(&frames);
                (session, serial, ())
            };
            world.publish_data(new.clone());
            conn.run(&world);
            conn.take();
            let frames = conn.since(&world, version.octet(), session, serial);
            let (_, _, payload) = answer(&frames);
            let sent: Vec<u8> = payload.iter().flat_map(|frame| frame.0.clone()).collect();
            assert_eq!(sent, expected, "{name}");
            if old.payload().is_empty() {
                full_answers += 1;
                let image = Image::full(version, new.payload());
                let wire: Vec<u8> = image.segments(Kinds::ALL).flatten().copied().collect();
                assert_eq!(wire, expected, "{name}");
            }
        }
    }
    assert!(full_answers > 0);
}
