//! `aspa_cases.json`: verification of AS paths by ASPAs.

use rutter::payload::aspa_path::{Attestation, Neighbor, PathElement, Procedure, Reason};
use rutter::payload::{Asn, Aspa, Attribute, DataSet, RowsBuilder};
use serde_json::Value;

use super::{cases, name, number, parsed};

fn asns(value: &Value) -> Vec<Asn> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|asn| Asn::new(number(asn))).collect()
}

#[test]
fn paths_are_verified_as_named() {
    let file = parsed(include_str!("../../data/vectors/aspa_cases.json"));
    let mut with_ramps = 0;
    for case in cases(&file, "cases", 50) {
        let name = name(case);
        let mut rows = RowsBuilder::new();
        for aspa in case["aspas"].as_array().unwrap() {
            let customer = Asn::new(number(&aspa["customer"]));
            let aspa = Aspa::new(customer, asns(&aspa["providers"])).unwrap();
            rows.push_aspa(aspa, Attribute::default());
        }
        let data = DataSet::new(&rows.finish());
        let path = case["as_path"].as_array().unwrap().iter();
        let path: Vec<PathElement> = path
            .map(|element| match &element["as_set"] {
                Value::Null => PathElement::As(Asn::new(number(element))),
                set => PathElement::Set(asns(set)),
            })
            .collect();
        let procedure = match case["procedure"].as_str().unwrap() {
            "upstream" => Procedure::Upstream,
            "downstream" => Procedure::Downstream,
            other => panic!("{other}"),
        };
        let neighbor = match case["receiver_is_rs_client"].as_bool().unwrap() {
            true => Neighbor::RouteServer,
            false => Neighbor::As(Asn::new(number(&case["neighbor_as"]))),
        };
        let found = data.payload().path_validity(&path, procedure, neighbor);
        let expected = &case["expected"];
        let state = expected["state"].as_str().unwrap();
        assert_eq!(found.state.to_string(), state, "{name}");
        let Some(compressed) = expected.get("compressed") else {
            assert!(!matches!(found.reason, Reason::Hops { .. }), "{name}");
            continue;
        };
        assert_eq!(found.path, asns(compressed), "{name}");
        assert_eq!(found.path.len(), number::<usize>(&expected["n"]), "{name}");
        let Reason::Hops {
            ramps,
            up_stop,
            down_stop,
        } = found.reason
        else {
            panic!("{name}: {}", found.reason);
        };
        let lengths = [
            (ramps.max_up, "max_up_ramp"),
            (ramps.min_up, "min_up_ramp"),
            (ramps.max_down, "max_down_ramp"),
            (ramps.min_down, "min_down_ramp"),
        ];
        for (length, ramp) in lengths {
            assert_eq!(length, number::<usize>(&expected[ramp]), "{name}: {ramp}");
        }
        // A state below valid has a hop to show for it on each side that is asked.
        let stops = [up_stop, down_stop].map(|stop| stop.map(|hop| hop.attestation));
        let below = procedure == Procedure::Downstream;
        match state {
            "valid" => assert_eq!(stops, [None, None], "{name}"),
            "invalid" => {
                let denied = Some(Attestation::NotProvider);
                assert_eq!(stops, [denied, denied.filter(|_| below)], "{name}");
            }
            _ => {
                assert!(stops[0].is_some(), "{name}");
                assert_eq!(stops[1].is_some(), below, "{name}");
                assert!(!stops.contains(&Some(Attestation::Provider)), "{name}");
            }
        }
        with_ramps += 1;
    }
    assert_eq!(with_ramps, 48);
}

#[test]
fn a_reason_names_the_hop() {
    let mut rows = RowsBuilder::new();
    let [customer, provider, other] = [64496, 64497, 64498].map(Asn::new);
    let aspa = Aspa::new(customer, vec![provider]).unwrap();
    rows.push_aspa(aspa, Attribute::default());
    let data = DataSet::new(&rows.finish());
    let reason = |path: &[Asn], neighbor| {
        let path: Vec<PathElement> = path.iter().copied().map(PathElement::As).collect();
        let set = data.payload();
        let found = set.path_validity(&path, Procedure::Upstream, Neighbor::As(neighbor));
        format!("{}: {}", found.state, found.reason)
    };
    for (path, neighbor, expected) in [
        (&[][..], other, "invalid: the path is empty"),
        (
            &[provider],
            other,
            "invalid: the path begins with AS64497 and not with AS64498",
        ),
        (
            &[provider, customer],
            provider,
            "valid: every hop is attested",
        ),
        (
            &[other, customer],
            other,
            "invalid: AS64496 does not have AS64498 as a provider",
        ),
        (
            &[other, provider, customer],
            other,
            "unknown: AS64497 has no ASPA",
        ),
    ] {
        assert_eq!(reason(path, neighbor), expected);
    }
}
