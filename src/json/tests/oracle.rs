//! The same rows as a naive reader finds that has the whole document in memory.

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ipnet::IpNet;
use serde_json::Value;

use super::{Random, all_own, assert_same, lenient, outcome, read, read_in, shared, unpacked};
use crate::json::document::Document;
use crate::payload::rows::TrustAnchors;
use crate::payload::{Asn, Aspa, Attribute, RouterKey, Rows, RowsBuilder, UnixTime, Vrp};

/// Rows of the naive reader, `None` when it refuses the document.
fn naive(document: &[u8]) -> Option<BTreeSet<String>> {
    let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    let document: Value = serde_json::from_slice(document).ok()?;
    let mut builder = RowsBuilder::new();
    if let Some(rows) = document.as_array() {
        for row in rows {
            let _ = vrp(row, &mut builder);
        }
        return Some(lines(&builder.finish()));
    }
    let members = document.as_object()?;
    let mut known = members.get("metadata").is_some();
    let mut each = |list: Option<&Value>, take: fn(&Value, &mut RowsBuilder) -> Option<()>| {
        let Some(list) = list else { return Some(()) };
        known = true;
        if !list.is_null() {
            let rows = list.as_array()?;
            for row in rows {
                let _ = take(row, &mut builder);
            }
        }
        Some(())
    };
    each(members.get("roas"), vrp)?;
    each(members.get("data"), vrp)?;
    each(members.get("bgpsec_keys"), key)?;
    each(members.get("routerKeys"), key)?;
    each(members.get("router-keys"), key)?;
    each(members.get("aspas"), aspa)?;
    if let Some(both) = members.get("provider_authorizations") {
        each(both.get("ipv4"), aspa)?;
        each(both.get("ipv6"), aspa)?;
        known = true;
    }
    for object in ["metadata", "provider_authorizations"] {
        let value = members.get(object).unwrap_or(&Value::Null);
        if !value.is_null() && !value.is_object() {
            return None;
        }
    }
    known.then(|| lines(&builder.finish()))
}

fn vrp(row: &Value, builder: &mut RowsBuilder) -> Option<()> {
    row.as_object()?;
    let (address, length) = row.get("prefix")?.as_str()?.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length = plain_number(length).filter(|_| length == "0" || !length.starts_with('0'))?;
    let prefix = IpNet::new(address, length.try_into().ok()?).ok()?;
    let max_len = row.get("maxLength").or_else(|| row.get("length"));
    let max_len = match max_len {
        None | Some(Value::Null) => prefix.prefix_len(),
        Some(Value::String(text)) => plain_number(text)?.try_into().ok()?,
        Some(other) => other.as_u64()?.try_into().ok()?,
    };
    let vrp = Vrp::new(prefix, max_len, asn(row.get("asn")?)?).ok()?;
    let attribute = attribute(row, builder)?;
    builder.push_vrp(vrp, attribute);
    Some(())
}

fn key(row: &Value, builder: &mut RowsBuilder) -> Option<()> {
    let ski = row.get("ski").or_else(|| row.get("SKI"))?.as_str()?;
    let ski: Vec<u8> = (0..ski.len().div_ceil(2))
        .map(|at| u8::from_str_radix(ski.get(at * 2..at * 2 + 2)?, 16).ok())
        .collect::<Option<_>>()?;
    let names = ["pubkey", "routerPublicKey", "spki"];
    let key = names.iter().find_map(|name| row.get(name))?.as_str()?;
    let digits = key.trim_end_matches('=');
    let padding = key.len() - digits.len();
    if padding > 2 || padding > 0 && key.len() % 4 != 0 {
        return None;
    }
    let octets = STANDARD_NO_PAD
        .decode(digits)
        .or_else(|_| URL_SAFE_NO_PAD.decode(digits));
    let asn = asn(row.get("asn")?)?;
    let key = RouterKey::new(ski.try_into().ok()?, asn, &octets.ok()?).ok()?;
    let attribute = attribute(row, builder)?;
    builder.push_router_key(key, attribute);
    Some(())
}

fn aspa(row: &Value, builder: &mut RowsBuilder) -> Option<()> {
    let customer = row.get("customer_asid").or_else(|| row.get("customer"))?;
    let providers = row.get("providers")?.as_array()?;
    let providers = providers.iter().map(asn).collect::<Option<_>>()?;
    let aspa = Aspa::new(asn(customer)?, providers).ok()?;
    let attribute = attribute(row, builder)?;
    builder.push_aspa(aspa, attribute);
    Some(())
}

fn asn(value: &Value) -> Option<Asn> {
    let number = match value {
        Value::String(text) if text.to_ascii_uppercase().starts_with("AS") => {
            plain_number(text.get(2..)?)?
        }
        Value::String(text) => plain_number(text)?,
        other => other.as_u64()?,
    };
    Some(Asn::new(number.try_into().ok()?))
}

fn plain_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn attribute(row: &Value, builder: &mut RowsBuilder) -> Option<Attribute> {
    let expires = match row.get("expires") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(plain_number(text)?),
        Some(other) => Some(other.as_u64()?),
    };
    let name = match row.get("ta").or_else(|| row.get("trustAnchor")) {
        None | Some(Value::Null) => "",
        Some(other) => other.as_str()?,
    };
    let id = match name {
        "" | "N/A" => Default::default(),
        name => builder.trust_anchor(name),
    };
    Some(Attribute::new(expires.map(UnixTime::new), id))
}

/// All that rows say, with names in place of their numbers.
pub(super) fn lines(rows: &Rows) -> BTreeSet<String> {
    let names = rows.trust_anchors();
    let mut lines = BTreeSet::new();
    for (vrp, attribute) in rows.v4().iter() {
        lines.insert(line(Vrp::V4(*vrp), attribute, names));
    }
    for (vrp, attribute) in rows.v6().iter() {
        lines.insert(line(Vrp::V6(*vrp), attribute, names));
    }
    for (aspa, attribute) in rows.aspas().iter() {
        lines.insert(line(format!("{aspa:?}"), attribute, names));
    }
    for (key, attribute) in rows.router_keys().iter() {
        lines.insert(line(format!("{key:?} {:?}", key.key()), attribute, names));
    }
    lines
}

fn line(row: impl std::fmt::Display, attribute: &Attribute, names: &TrustAnchors) -> String {
    let name = names.name(attribute.trust_anchor());
    format!("{row} {:?} {name:?}", attribute.expires())
}

fn is_json(document: &[u8]) -> bool {
    serde_json::from_slice::<Value>(document).is_ok()
}

fn check(name: &str, document: &[u8]) {
    let expected = naive(document).unwrap_or_else(|| panic!("{name} is not read naively"));
    assert_eq!(lines(&read(document).unwrap().rows), expected, "{name}");
}

#[test]
fn own_documents_are_read_as_naively() {
    let documents = all_own();
    let json = documents.iter().filter(|(_, document)| is_json(document));
    for (name, document) in json.clone() {
        check(name, document);
    }
    assert!(json.count() >= 16);
}

#[test]
fn shared_documents_are_read_as_naively() {
    let Some(folder) = shared() else { return };
    let mut found = super::documents_in(&folder.join("dialects"));
    found.retain(|(_, document)| is_json(document));
    assert!(found.len() >= 18);
    for name in [
        "afrinic-2024-01-01.routinator.json.xz",
        "dn42-2022-01-29.export_dn42.json.xz",
        "neonetwork-2026-08-21.roa46.json",
        "derived-440k.rpki-client.json.xz",
    ] {
        found.push((String::from(name), unpacked(&folder.join(name))));
    }
    for (name, document) in found {
        check(&name, &document);
    }
}

/// One or some octets changed, taken out, doubled or put in.
fn mutated(document: &[u8], random: &mut Random) -> Vec<u8> {
    const TELLING: &[u8] = b"{}[]\",:\\0123456789-+.eEunltfaruesASip/ \n\t\x00\x1f\x7f\x80\xc3\xff";
    let mut octets = document.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(octets.len());
        let octet = TELLING[random.below(TELLING.len())];
        match random.below(5) {
            0 => octets[at] = octet,
            1 => octets.insert(at, octet),
            2 => drop(octets.remove(at)),
            3 => {
                let end = (at + 1 + random.below(40)).min(octets.len());
                let part = octets[at..end].to_vec();
                let place = random.below(octets.len());
                octets.splice(place..place, part);
            }
            _ => {
                let end = (at + 1 + random.below(40)).min(octets.len());
                octets.drain(at..end);
            }
        }
        if octets.is_empty() {
            octets.push(octet);
        }
    }
    octets
}

/// Whether both readers refuse, or accept and find the same. Only what one of them is known to
/// see otherwise is let through.
fn agree(document: &[u8], ours: &Result<Document, String>) -> bool {
    let expected = naive(document);
    match (ours, expected) {
        (Err(_), None) => true,
        (Ok(ours), Some(expected)) => {
            // The naive reader knows the last of two members of a name, and no sources.
            lines(&ours.rows) == expected || twin_members(document)
        }
        (Ok(_), None) => {
            let reason = serde_json::from_slice::<Value>(document).map_err(|e| e.to_string());
            reason.is_err_and(|reason| reason.contains("number out of range"))
        }
        (Err(_), Some(_)) => twin_members(document),
    }
}

/// Whether a member's name, or another name for it, may stand twice in an object.
fn twin_members(document: &[u8]) -> bool {
    let text = String::from_utf8_lossy(document);
    let twice = |text: &str, names: &[&str]| {
        let times = names
            .iter()
            .map(|name| text.matches(&format!("\"{name}\"")).count());
        times.sum::<usize>() > 1
    };
    let lists = [
        "roas",
        "aspas",
        "metadata",
        "bgpsec_keys",
        "routerKeys",
        "ipv4",
        "ipv6",
        "data",
    ];
    let members: [&[&str]; 9] = [
        &["asn"],
        &["prefix"],
        &["maxLength", "length"],
        &["ta", "trustAnchor"],
        &["expires"],
        &["ski", "SKI"],
        &["pubkey", "routerPublicKey"],
        &["customer", "customer_asid"],
        &["providers"],
    ];
    lists.iter().any(|list| twice(&text, &[list]))
        || text
            .split(['{', '}'])
            .any(|object| members.iter().any(|names| twice(object, names)))
}

#[test]
fn damaged_documents_are_taken_or_refused_alike_in_any_chunks() {
    let mut random = Random::new(2);
    let documents = all_own();
    let small = documents
        .iter()
        .filter(|(_, document)| document.len() < 4000);
    for (name, document) in small {
        for round in 0..300 {
            let damaged = mutated(document, &mut random);
            let whole = outcome(read(&damaged));
            if is_json(document) {
                let shown = String::from_utf8_lossy(&damaged);
                assert!(
                    agree(&damaged, &whole),
                    "{name} {round}: {:?}\n{shown}",
                    whole.as_ref().err()
                );
            }
            let one = outcome(read_in(&damaged, &lenient(), &mut || 1));
            assert_same(&one, &whole, &format!("{name} {round}"));
            let some = outcome(read_in(&damaged, &lenient(), &mut || 1 + random.below(90)));
            assert_same(&some, &whole, &format!("{name} {round}"));
        }
    }
}
