//! Origin validation against a scan of all VRPs, bit by bit.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rutter::payload::validity::{Fit, State};
use rutter::payload::{Asn, Index, Vrp};

use super::model::{cut4, cut6};
use super::{Model, Rng};

fn state(found: &[(String, Fit)]) -> State {
    match found {
        [] => State::NotFound,
        found if found.iter().any(|(_, fit)| *fit == Fit::Matched) => State::Valid,
        _ => State::Invalid,
    }
}

fn fit(max: u8, asn: u32, len: u8, origin: Option<u32>) -> Fit {
    let same = asn != 0 && origin == Some(asn);
    match (same, len <= max) {
        (true, true) => Fit::Matched,
        (true, false) => Fit::WrongLength,
        (false, true) => Fit::WrongAs,
        (false, false) => Fit::WrongAsAndLength,
    }
}

#[test]
fn validity_is_that_of_a_scan() {
    let mut rng = Rng(6);
    let mut states = [0; 3];
    for _ in 0..300 {
        let mut model = Model::random(&mut rng);
        for _ in 0..15 {
            model.insert(super::model::Record::random(&mut rng));
        }
        let set = model.set();
        let index = Index::new(&set);
        for _ in 0..40 {
            let origin = [None, Some(0), Some(1), Some(2)][rng.below(4) as usize];
            let (prefix, mut expected): (IpNet, Vec<(String, Fit)>) = if rng.one_in(2) {
                let len = rng.below(33) as u8;
                // Host bits and all.
                let bits = (rng.below(4) as u32) << 30 | rng.below(4) as u32;
                let covers = |(address, short, _, _): &&(u32, u8, u8, u32)| {
                    *short <= len && cut4(bits, *short) == *address
                };
                let found = model
                    .v4
                    .iter()
                    .filter(covers)
                    .map(|(address, short, max, asn)| {
                        let net = Ipv4Net::new(Ipv4Addr::from_bits(*address), *short).unwrap();
                        (format!("{net}-{max} AS{asn}"), fit(*max, *asn, len, origin))
                    });
                let net = Ipv4Net::new(Ipv4Addr::from_bits(bits), len).unwrap();
                (net.into(), found.collect())
            } else {
                let len = [0, 1, 2, 3, 63, 64, 65, 66, 127, 128][rng.below(10) as usize];
                let bits = u128::from(rng.below(4)) << 126 | u128::from(rng.below(4)) << 62;
                let covers = |(address, short, _, _): &&(u128, u8, u8, u32)| {
                    *short <= len && cut6(bits, *short) == *address
                };
                let found = model
                    .v6
                    .iter()
                    .filter(covers)
                    .map(|(address, short, max, asn)| {
                        let net = Ipv6Net::new(Ipv6Addr::from_bits(*address), *short).unwrap();
                        (format!("{net}-{max} AS{asn}"), fit(*max, *asn, len, origin))
                    });
                let net = Ipv6Net::new(Ipv6Addr::from_bits(bits), len).unwrap();
                (net.into(), found.collect())
            };
            let validity = set.validity(prefix, origin.map(Asn::new));
            assert_eq!(validity.state, state(&expected), "{prefix} {origin:?}");
            let origin_as = origin.map(Asn::new);
            assert_eq!(index.state(prefix, origin_as), validity.state, "{prefix}");
            assert_eq!(index.validity(prefix, origin_as), validity, "{prefix}");
            let found = validity.covering.iter();
            let mut found: Vec<(String, Fit)> =
                found.map(|(vrp, fit)| (vrp.to_string(), *fit)).collect();
            let lens = validity
                .covering
                .iter()
                .map(|(vrp, _)| Vrp::prefix(vrp).prefix_len());
            assert!(lens.is_sorted(), "from short to long");
            found.sort_by(|a, b| a.0.cmp(&b.0));
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!(found, expected, "{prefix} {origin:?}");
            states[validity.state as usize] += 1;
        }
    }
    assert!(states.iter().all(|count| *count > 300), "{states:?}");
}
