//! `slurm_cases.json`: local exceptions (RFC 8416 and the ASPA draft), read strictly.

use std::collections::BTreeMap;

use rutter::payload::{Asn, Aspa, Attribute, DataSet, PayloadSet, RouterKey, RowsBuilder, Vrp};
use rutter::slurm::{self, AspaOverlap, FaultKind, Reading};
use serde_json::Value;

use super::{cases, name, number, octets, parsed};

/// What becomes of a case: a set, or the kinds of the faults.
fn outcome(case: &Value, input: &Value) -> Result<PayloadSet, Vec<&'static str>> {
    let mut files = Vec::new();
    let mut kinds = Vec::new();
    for file in case["files"].as_array().unwrap() {
        let text = match file.get("text") {
            Some(text) => text.as_str().unwrap().to_owned(),
            None => file["document"].to_string(),
        };
        match slurm::parse(name(file), text.as_bytes(), Reading::Strict) {
            Ok(parsed) => {
                assert_eq!(parsed.leniencies, [], "{}", name(case));
                files.push(parsed.file);
            }
            Err(error) => kinds.extend(error.faults.iter().map(|fault| kind(fault.kind))),
        }
    }
    if !kinds.is_empty() {
        return Err(kinds);
    }
    let exceptions = slurm::combine(files, AspaOverlap::default()).map_err(|_| vec!["overlap"])?;
    let applied = exceptions.apply(&rows(input), Attribute::LOCAL);
    Ok(DataSet::new(&applied.rows).payload().clone())
}

fn kind(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Syntax => "json-syntax",
        FaultKind::WrongType => "wrong-type",
        FaultKind::MissingMember => "missing-member",
        FaultKind::UnknownMember => "unknown-member",
        FaultKind::DuplicateMember => "duplicate-member",
        FaultKind::Version => "bad-version",
        FaultKind::Prefix => "bad-prefix",
        FaultKind::MaxLen => "bad-max-length",
        FaultKind::Asn => "bad-asn",
        FaultKind::Base64 => "bad-base64",
        FaultKind::Ski => "bad-ski",
        FaultKind::Key => "bad-key",
        FaultKind::EmptyFilter => "empty-filter",
        FaultKind::Aspa => "aspa-constraint",
    }
}

#[test]
fn files_are_applied_or_refused_as_named() {
    let file = parsed(include_str!("../../data/vectors/slurm_cases.json"));
    let (mut applied, mut refused, mut policies) = (0, BTreeMap::new(), Vec::new());
    for case in cases(&file, "cases", 118) {
        let name = name(case);
        let input = match case["input"].as_str() {
            Some(input) => &file["inputs"][input],
            None => &case["input"],
        };
        let expected = &case["expected"];
        let found = outcome(case, input);
        if expected["ok"].as_bool().unwrap() {
            let set = found.unwrap_or_else(|kinds| panic!("{name}: {kinds:?}"));
            let rows = rows(expected);
            assert_eq!(set, *DataSet::new(&rows).payload(), "{name}");
            applied += 1;
        } else {
            // Of each file that is refused the one fault that it has, of the kind that is named.
            let kinds = found.expect_err(name);
            let kind = expected["error"].as_str().unwrap();
            assert_eq!(kinds, [kind], "{name}");
            *refused.entry(kind).or_insert(0) += 1;
        }
        if case["level"] == "policy" {
            policies.push(name);
        }
    }
    assert_eq!((applied, refused.values().sum::<u32>()), (43, 75));
    // A vector of each kind of fault, but for the version.
    assert_eq!(refused.len(), 14, "{refused:?}");
    // Where a choice is left, ours is the recommended one.
    assert_eq!(policies.len(), 9, "{policies:?}");
}

fn rows(data: &Value) -> rutter::payload::Rows {
    let list = |name: &str| data[name].as_array().unwrap().clone();
    let mut rows = RowsBuilder::new();
    for vrp in list("vrps") {
        let prefix = vrp["prefix"].as_str().unwrap().parse().unwrap();
        let asn = Asn::new(number(&vrp["asn"]));
        let vrp = Vrp::new(prefix, number(&vrp["max_length"]), asn).unwrap();
        rows.push_vrp(vrp, Attribute::default());
    }
    for key in list("router_keys") {
        let ski = octets(&key["ski"]).try_into().unwrap();
        let asn = Asn::new(number(&key["asn"]));
        let key = RouterKey::new(ski, asn, &octets(&key["spki"])).unwrap();
        rows.push_router_key(key, Attribute::default());
    }
    for aspa in list("aspas") {
        let providers = aspa["providers"].as_array().unwrap().iter();
        let providers = providers.map(|asn| Asn::new(number(asn))).collect();
        let aspa = Aspa::new(Asn::new(number(&aspa["customer"])), providers).unwrap();
        rows.push_aspa(aspa, Attribute::default());
    }
    rows.finish()
}
