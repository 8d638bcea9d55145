//! The parts of rows that documents of ours are made of.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::payload::{Aspa, RouterKey, Vrp};

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

/// A router key without the end of its object.
pub(super) fn router_key_members(out: &mut impl Write, key: &RouterKey) -> io::Result<()> {
    write!(out, "{{\"asn\":{},\"ski\":\"", key.asn().into_u32())?;
    for octet in key.ski() {
        write!(out, "{octet:02X}")?;
    }
    write!(out, "\",\"pubkey\":\"{}\"", STANDARD.encode(key.key()))
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
