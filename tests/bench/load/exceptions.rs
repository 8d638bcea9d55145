//! Files of local exceptions for a list: as many as nobody has, and arranged to cost much.

use std::error::Error;

use ipnet::IpNet;
use rutter::payload::{Asn, Vrp};
use rutter::slurm::{AspaOverlap, Exceptions, Reading, combine, parse};
use serde_json::{Value, json};

use crate::list::List;
use crate::random::Random;

/// Filters in a file, and assertions as well.
pub(crate) const COUNT: usize = 5_000;

/// How the filters of a file lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A third each by prefix, by AS and by both, of VRPs of the list; as many assertions, of
    /// which half are there.
    Mixed,
    /// All of the whole of IPv4, each with another AS of the list; no assertions.
    Crowded,
    /// Each inside of the one before, down to addresses of the list, each with the AS that is
    /// there; no assertions.
    Nested,
}

/// The text of a file.
pub(crate) fn document(list: &List, shape: Shape, seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut vrp = || {
        let limit = u64::try_from(list.vrps.len()).unwrap_or(0);
        let place = usize::try_from(random.below(limit)).unwrap_or(0);
        list.vrps.get(place).map(|row| row.payload)
    };
    let mut filters = Vec::new();
    let mut assertions = Vec::new();
    while let Some(vrp) = vrp().filter(|_| filters.len() < COUNT) {
        match shape {
            Shape::Mixed => {
                filters.push(mixed(&vrp, filters.len()));
                assertions.push(assertion(&vrp, assertions.len()));
            }
            Shape::Crowded => filters.push(json!({
                "prefix": "0.0.0.0/0", "asn": vrp.asn().into_u32()
            })),
            Shape::Nested => filters.extend(nested(&vrp)),
        }
    }
    filters.truncate(COUNT);
    let document = json!({
        "slurmVersion": 1,
        "validationOutputFilters": {"prefixFilters": filters, "bgpsecFilters": []},
        "locallyAddedAssertions": {"prefixAssertions": assertions, "bgpsecAssertions": []},
    });
    document.to_string()
}

/// The exceptions of a file.
pub(crate) fn read(document: &str) -> Result<Exceptions, Box<dyn Error>> {
    let parsed = parse("bench.json", document.as_bytes(), Reading::Strict)?;
    Ok(combine(vec![parsed.file], AspaOverlap::Refused)?)
}

fn mixed(vrp: &Vrp, place: usize) -> Value {
    let (prefix, asn) = (vrp.prefix().to_string(), vrp.asn().into_u32());
    match place % 3 {
        0 => json!({"prefix": prefix}),
        1 => json!({"asn": asn}),
        _ => json!({"prefix": prefix, "asn": asn}),
    }
}

fn assertion(vrp: &Vrp, place: usize) -> Value {
    let (prefix, max_len) = (vrp.prefix().to_string(), vrp.max_len());
    let asn = if place.is_multiple_of(2) {
        vrp.asn()
    } else {
        Asn::ZERO
    };
    json!({"prefix": prefix, "asn": asn.into_u32(), "maxPrefixLength": max_len})
}

fn nested(vrp: &Vrp) -> impl Iterator<Item = Value> {
    let (prefix, asn) = (vrp.prefix(), vrp.asn().into_u32());
    let above = (0..=prefix.prefix_len()).filter_map(move |len| {
        let net = IpNet::new(prefix.addr(), len).ok()?;
        Some(net.trunc().to_string())
    });
    above.map(move |prefix| json!({"prefix": prefix, "asn": asn}))
}
