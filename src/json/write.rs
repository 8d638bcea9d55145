//! Documents of ours, row by row into whatever takes octets.
//!
//! Every row is several small writes, so the caller brings a buffered writer.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::payload::{Aspa, Kind, PayloadSet, RouterKey, Vrp};

/// What a dump says of the session it came from; what is `None` is left out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DumpMetadata {
    /// The session's identifier.
    pub session_id: Option<u16>,
    /// The serial number of the set.
    pub serial: Option<u32>,
}

/// Writes the set as rtrdump does, one row a line.
///
/// # Errors
///
/// Those of the writer.
pub fn json(out: &mut impl Write, set: &PayloadSet, metadata: &DumpMetadata) -> io::Result<()> {
    let vrps = set.count(Kind::Ipv4) + set.count(Kind::Ipv6);
    let (keys, aspas) = (set.count(Kind::RouterKey), set.count(Kind::Aspa));
    write!(
        out,
        "{{\"metadata\":{{\"vrps\":{vrps},\"bgpsec_pubkeys\":{keys},\"aspas\":{aspas}"
    )?;
    if let Some(session_id) = metadata.session_id {
        write!(out, ",\"sessionid\":{session_id}")?;
    }
    if let Some(serial) = metadata.serial {
        write!(out, ",\"serial\":{serial}")?;
    }
    out.write_all(b"},\n\"roas\":")?;
    list(out, set.vrps(), vrp)?;
    out.write_all(b",\n\"bgpsec_keys\":")?;
    list(out, set.router_keys().iter(), router_key)?;
    out.write_all(b",\n\"aspas\":")?;
    list(out, set.aspas().iter(), aspa)?;
    out.write_all(b"}\n")
}

/// Writes the VRPs of the set with the columns of Routinator's CSV. No trust anchor is known
/// here, so the last column says so.
///
/// # Errors
///
/// Those of the writer.
pub fn csv(out: &mut impl Write, set: &PayloadSet) -> io::Result<()> {
    out.write_all(b"ASN,IP Prefix,Max Length,Trust Anchor\n")?;
    for vrp in set.vrps() {
        writeln!(out, "{},{},{},N/A", vrp.asn(), vrp.prefix(), vrp.max_len())?;
    }
    Ok(())
}

pub(super) fn list<W: Write, T>(
    out: &mut W,
    rows: impl Iterator<Item = T>,
    row: impl Fn(&mut W, T) -> io::Result<()>,
) -> io::Result<()> {
    let mut lead: &[u8] = b"[\n";
    for item in rows {
        out.write_all(lead)?;
        row(out, item)?;
        lead = b",\n";
    }
    let none = lead == b"[\n";
    out.write_all(if none { b"[]" } else { b"\n]" })
}

fn vrp(out: &mut impl Write, vrp: Vrp) -> io::Result<()> {
    vrp_members(out, vrp)?;
    out.write_all(b"}")
}

/// A VRP without the end of its object, for what is known beside it.
pub(super) fn vrp_members(out: &mut impl Write, vrp: Vrp) -> io::Result<()> {
    write!(
        out,
        "{{\"prefix\":\"{}\",\"maxLength\":{},\"asn\":{}",
        vrp.prefix(),
        vrp.max_len(),
        vrp.asn().into_u32()
    )
}

fn router_key(out: &mut impl Write, key: &RouterKey) -> io::Result<()> {
    router_key_members(out, key, Digits::Lower)?;
    out.write_all(b"}")
}

/// How readers are used to hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Digits {
    /// As rtrdump writes them.
    Lower,
    /// As rpki-client writes them.
    Upper,
}

/// A router key without the end of its object.
pub(super) fn router_key_members(
    out: &mut impl Write,
    key: &RouterKey,
    digits: Digits,
) -> io::Result<()> {
    write!(out, "{{\"asn\":{},\"ski\":\"", key.asn().into_u32())?;
    for octet in key.ski() {
        match digits {
            Digits::Lower => write!(out, "{octet:02x}")?,
            Digits::Upper => write!(out, "{octet:02X}")?,
        }
    }
    write!(out, "\",\"pubkey\":\"{}\"", STANDARD.encode(key.key()))
}

fn aspa(out: &mut impl Write, aspa: &Aspa) -> io::Result<()> {
    aspa_members(out, aspa)?;
    out.write_all(b"}")
}

/// An ASPA without the end of its object.
pub(super) fn aspa_members(out: &mut impl Write, aspa: &Aspa) -> io::Result<()> {
    let customer = aspa.customer().into_u32();
    write!(out, "{{\"customer_asid\":{customer},\"providers\":[")?;
    providers(out, aspa, ",")?;
    out.write_all(b"]")
}

/// The providers with something between them.
pub(super) fn providers(out: &mut impl Write, aspa: &Aspa, between: &str) -> io::Result<()> {
    let mut lead = "";
    for provider in aspa.providers() {
        write!(out, "{lead}{}", provider.into_u32())?;
        lead = between;
    }
    Ok(())
}
