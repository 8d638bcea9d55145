//! The values of an entry: AS numbers, prefixes, lengths, key identifiers and keys.
//!
//! Each function returns `None` after it told the report of a fault.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::fault::FaultKind;
use super::file::Version;
use super::reader::{Node, Value};
use super::report::{Path, Report, shown};
use crate::payload::Asn;

pub(super) fn text<'n>(
    node: &'n Node<'_>,
    path: &Path<'_>,
    what: &str,
    report: &mut Report,
) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) => Some(text),
        other => {
            let message = format!("expected {what}, found {}", other.described());
            report.fault(FaultKind::WrongType, node.at, path, message);
            None
        }
    }
}

/// The digits of an integer, minus included. A lenient reading takes them from a text.
fn integer<'n>(
    node: &'n Node<'_>,
    path: &Path<'_>,
    what: &str,
    report: &mut Report,
) -> Option<&'n str> {
    let found = match &node.value {
        // A fraction or an exponent would need arithmetic to become an integer.
        Value::Number(digits) if !digits.contains(['.', 'e', 'E']) => return Some(digits),
        Value::Text(text) if !text.is_empty() => {
            let go_on = report.tolerate(
                FaultKind::WrongType,
                node.at,
                path,
                || format!("expected {what}, found the text \"{}\"", shown(text)),
                || format!("the text \"{}\" read as a number", shown(text)),
            );
            return go_on.then_some(text);
        }
        other => other.described(),
    };
    let message = format!("expected {what}, found {found}");
    report.fault(FaultKind::WrongType, node.at, path, message);
    None
}

pub(super) fn asn(node: &Node<'_>, path: &Path<'_>, report: &mut Report) -> Option<Asn> {
    let what = "an AS number from 0 to 4294967295";
    let digits = integer(node, path, what, report)?;
    let asn = digits.parse().ok();
    if asn.is_none() {
        let message = format!("expected {what}, found {}", shown(digits));
        report.fault(FaultKind::Asn, node.at, path, message);
    }
    asn
}

/// Max length of an assertion (RFC 8416 §3.4.1), which lies between the prefix length and what
/// the family allows.
pub(super) fn max_len(
    node: &Node<'_>,
    path: &Path<'_>,
    prefix: Option<IpNet>,
    report: &mut Report,
) -> Option<u8> {
    let (least, most) = prefix.map_or((0, 128), |net| (net.prefix_len(), net.max_prefix_len()));
    let what = format!("a number from {least} to {most}");
    let digits = integer(node, path, &what, report)?;
    let found = (digits.bytes().all(|octet| octet.is_ascii_digit()))
        .then(|| digits.parse::<u8>().ok())
        .flatten();
    let length = found.filter(|length| (least..=most).contains(length));
    if length.is_none() {
        let for_prefix = prefix.map_or_else(String::new, |net| format!(" for {net}"));
        let message = format!("expected {what}{for_prefix}, found {}", shown(digits));
        report.fault(FaultKind::MaxLen, node.at, path, message);
    }
    length
}

/// A prefix without host bits: an IPv4 address in four decimal parts or an IPv6 address, and a
/// length (RFC 4632 §3.1, RFC 4291 §2.3). All ways to write an IPv6 address are taken, for files
/// that are sure to be right have upper case.
pub(super) fn prefix(node: &Node<'_>, path: &Path<'_>, report: &mut Report) -> Option<IpNet> {
    let text = text(node, path, "a prefix in a text", report)?;
    let Some(net) = net(text) else {
        let message = format!("expected a prefix, found \"{}\"", shown(text));
        report.fault(FaultKind::Prefix, node.at, path, message);
        return None;
    };
    let masked = net.trunc();
    if masked != net {
        let go_on = report.tolerate(
            FaultKind::Prefix,
            node.at,
            path,
            || {
                format!(
                    "expected no bits behind the prefix length, found {net}; {masked} may be meant"
                )
            },
            || format!("{net} read as {masked}"),
        );
        return go_on.then_some(masked);
    }
    Some(net)
}

fn net(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let digits = length.bytes().all(|octet| octet.is_ascii_digit());
    // A leading zero may be meant as octal.
    if !digits || (length.starts_with('0') && length != "0") {
        return None;
    }
    let length = length.parse().ok()?;
    if address.contains(':') {
        let net = Ipv6Net::new(address.parse().ok()?, length).ok()?;
        Some(IpNet::V6(net))
    } else {
        let net = Ipv4Net::new(address.parse().ok()?, length).ok()?;
        Some(IpNet::V4(net))
    }
}

/// A comment; in a lenient reading something else is left out.
pub(super) fn comment(node: &Node<'_>, path: &Path<'_>, report: &mut Report) -> Option<Box<str>> {
    if report.is_lenient() && !matches!(node.value, Value::Text(_)) {
        let message = format!("{} for a comment, left out", node.value.described());
        report.note(node.at, path, message);
        return None;
    }
    text(node, path, "a text", report).map(Into::into)
}

/// A key identifier: base64url without padding of 20 octets (RFC 8416 §3.3.2, RFC 6487 §4.8.2).
pub(super) fn ski(node: &Node<'_>, path: &Path<'_>, report: &mut Report) -> Option<[u8; 20]> {
    let text = text(node, path, "a key identifier in a text", report)?;
    if report.is_lenient()
        && let Some(ski) = hexadecimal(text)
    {
        report.note(node.at, path, "40 hexadecimal digits, not base64");
        return Some(ski);
    }
    let octets = base64(node, text, path, Alphabet::UrlSafe, report)?;
    let ski = <[u8; 20]>::try_from(octets.as_slice()).ok();
    if ski.is_none() {
        let found = octets.len();
        let message = format!("expected the base64 of 20 octets, found {found} octets");
        report.fault(FaultKind::Ski, node.at, path, message);
    }
    ski
}

/// 40 digits, with or without colons between the octets.
fn hexadecimal(text: &str) -> Option<[u8; 20]> {
    let digits: Vec<u8> = text.bytes().filter(|octet| *octet != b':').collect();
    if digits.len() != 40 {
        return None;
    }
    let mut ski = [0; 20];
    for (octet, pair) in ski.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *octet = u8::from_str_radix(pair, 16).ok()?;
    }
    digits.iter().all(u8::is_ascii_hexdigit).then_some(ski)
}

/// A SubjectPublicKeyInfo in DER, as base64url without padding (RFC 8416 §3.4.2).
pub(super) fn key(
    node: &Node<'_>,
    path: &Path<'_>,
    version: Option<Version>,
    report: &mut Report,
) -> Option<Vec<u8>> {
    let text = text(node, path, "a public key in a text", report)?;
    // The ASPA draft asks for the alphabet of RFC 4648 §5 and prints a key in that of §4.
    let alphabet = match version {
        Some(Version::V1) => Alphabet::UrlSafe,
        Some(Version::V2) | None => Alphabet::Either,
    };
    let octets = base64(node, text, path, alphabet, report)?;
    if is_der_sequence(&octets) {
        return Some(octets);
    }
    let found = octets.len();
    let go_on = report.tolerate(
        FaultKind::Key,
        node.at,
        path,
        || format!("expected one DER SEQUENCE, found {found} octets that are none"),
        || "a key that is no DER SEQUENCE, which no router can use".to_owned(),
    );
    go_on.then_some(octets)
}

/// Whether the octets are one SEQUENCE and nothing else (X.690 §8.1.3, §10.1).
fn is_der_sequence(octets: &[u8]) -> bool {
    let [0x30, first, rest @ ..] = octets else {
        return false;
    };
    let (length, content) = match (first, rest) {
        (0x81, [length, content @ ..]) if *length >= 0x80 => (usize::from(*length), content),
        (0x82, [high, low, content @ ..]) if *high > 0 => {
            (usize::from(u16::from_be_bytes([*high, *low])), content)
        }
        (length, content) if *length < 0x80 => (usize::from(*length), content),
        _ => return false,
    };
    content.len() == length
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Alphabet {
    /// That of RFC 4648 §5 only.
    UrlSafe,
    /// That of §4 as well, with a note.
    Either,
}

fn base64(
    node: &Node<'_>,
    text: &str,
    path: &Path<'_>,
    alphabet: Alphabet,
    report: &mut Report,
) -> Option<Vec<u8>> {
    let mut plain = text.to_owned();
    if text.contains(['+', '/']) && (report.is_lenient() || alphabet == Alphabet::Either) {
        report.note(node.at, path, "base64 with + and / in place of - and _");
        plain = plain.replace('+', "-").replace('/', "_");
    }
    // Two at most, and only where they bring it to whole groups of four.
    let unpadded = plain.trim_end_matches('=');
    let padding = plain.len() - unpadded.len();
    if report.is_lenient() && (1..=2).contains(&padding) && plain.len().is_multiple_of(4) {
        report.note(node.at, path, "base64 with padding");
        plain.truncate(unpadded.len());
    }
    match URL_SAFE_NO_PAD.decode(&plain) {
        Ok(octets) => Some(octets),
        Err(error) => {
            let message = format!(
                "expected base64url without padding, found {}",
                why(&error, text)
            );
            report.fault(FaultKind::Base64, node.at, path, message);
            None
        }
    }
}

/// What is wrong with a text that is not base64.
fn why(error: &DecodeError, text: &str) -> String {
    let foreign = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_';
    let named = |(place, c): (usize, char)| {
        let c = shown(c.encode_utf8(&mut [0; 4]));
        format!("\"{c}\" as character {}", place + 1)
    };
    let characters = text.chars().enumerate();
    if let Some(first) = characters.clone().find(|(_, c)| foreign(*c)) {
        return named(first);
    }
    match (error, characters.last()) {
        (DecodeError::InvalidLastSymbol(..), Some(last)) => {
            format!("{}, which has bits that mean nothing", named(last))
        }
        _ => format!("{} characters, which no octets give", text.len()),
    }
}
