//! `rov_cases.json`: origin validation (RFC 6811), with how each covering VRP fits.

use rutter::payload::validity::Fit;
use rutter::payload::vrp::VrpError;
use rutter::payload::{Asn, Attribute, DataSet, Index, RowsBuilder, Vrp};

use super::{cases, name, number, parsed};

#[test]
fn routes_are_validated_as_named() {
    let file = parsed(include_str!("../../data/vectors/rov_cases.json"));
    let mut refused = 0;
    for case in cases(&file, "cases", 64) {
        let name = name(case);
        let mut vrps = Vec::new();
        let mut rows = RowsBuilder::new();
        for entry in case["vrps"].as_array().unwrap() {
            let prefix = entry["prefix"].as_str().unwrap().parse().unwrap();
            let asn = Asn::new(number(&entry["asn"]));
            match Vrp::new(prefix, number(&entry["max_length"]), asn) {
                Ok(vrp) => {
                    vrps.push(vrp);
                    rows.push_vrp(vrp, Attribute::default());
                }
                Err(error) => {
                    // The one case that a strict implementation may refuse.
                    assert_eq!((name, error), ("host-bits-vrp", VrpError::HostBits));
                    refused += 1;
                }
            }
        }
        if name == "host-bits-vrp" {
            continue;
        }
        let set = DataSet::new(&rows.finish());
        let route = &case["route"];
        let prefix = route["prefix"].as_str().unwrap().parse().unwrap();
        let origin = route["origin_asn"].as_u64();
        let origin = origin.map(|asn| Asn::new(u32::try_from(asn).unwrap()));
        let validity = set.payload().validity(prefix, origin);
        let index = Index::new(set.payload());
        assert_eq!(index.validity(prefix, origin), validity, "{name}");
        assert_eq!(index.state(prefix, origin), validity.state, "{name}");
        let expected = &case["expected"];
        let state = expected["state"].as_str().unwrap();
        assert_eq!(validity.state.to_string(), state, "{name}");
        let listed = |list: &str| -> Vec<String> {
            let places = expected[list].as_array().unwrap();
            let found = places.iter().map(|place| vrps[number::<usize>(place)]);
            sorted(&found.collect::<Vec<_>>())
        };
        let fitting = |wanted: Fit| sorted(&validity.fitting(wanted).copied().collect::<Vec<_>>());
        let all = validity.covering.iter().map(|(vrp, _)| *vrp);
        assert_eq!(
            sorted(&all.collect::<Vec<_>>()),
            listed("covering"),
            "{name}"
        );
        for (fit, list) in [
            (Fit::Matched, "matched"),
            (Fit::WrongAs, "mismatch_asn_only"),
            (Fit::WrongLength, "mismatch_length_only"),
            (Fit::WrongAsAndLength, "mismatch_asn_and_length"),
        ] {
            assert_eq!(fitting(fit), listed(list), "{name}: {list}");
        }
    }
    assert_eq!(refused, 1);
}

/// In one order, each once: equal VRPs of a case are one in a set.
fn sorted(vrps: &[Vrp]) -> Vec<String> {
    let mut texts: Vec<String> = vrps.iter().map(Vrp::to_string).collect();
    texts.sort();
    texts.dedup();
    texts
}
