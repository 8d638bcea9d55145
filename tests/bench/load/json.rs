//! Writes a list as rpki-client writes it, octet for octet in the layout of its rows.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::list::List;

/// Writes the document.
///
/// # Errors
///
/// When the writer fails.
pub(crate) fn write(list: &List, out: &mut impl Write) -> io::Result<()> {
    let (vrps, keys, aspas) = (list.vrps.len(), list.router_keys.len(), list.aspas.len());
    writeln!(out, "{{\n\t\"metadata\": {{")?;
    writeln!(out, "\t\t\"buildmachine\": \"bench.example\",")?;
    writeln!(out, "\t\t\"buildtime\": \"{}\",", list.now)?;
    writeln!(out, "\t\t\"elapsedtime\": 258,")?;
    writeln!(out, "\t\t\"vrps\": {vrps},")?;
    writeln!(out, "\t\t\"uniquevrps\": {vrps},")?;
    writeln!(out, "\t\t\"bgpsec_pubkeys\": {keys},")?;
    writeln!(out, "\t\t\"aspas\": {aspas}")?;
    writeln!(out, "\t}},\n")?;
    rows(out, "roas", &list.vrps, |out, row| {
        let vrp = row.payload;
        write!(
            out,
            "\"asn\": {}, \"prefix\": \"{}\", \"maxLength\": {}, \"ta\": \"{}\", \"expires\": {}",
            vrp.asn().into_u32(),
            vrp.prefix(),
            vrp.max_len(),
            row.trust_anchor,
            row.expires.seconds(),
        )
    })?;
    writeln!(out, ",\n")?;
    rows(out, "bgpsec_keys", &list.router_keys, |out, row| {
        write!(
            out,
            "\"asn\": {}, \"ski\": \"",
            row.payload.asn().into_u32()
        )?;
        for octet in row.payload.ski() {
            write!(out, "{octet:02X}")?;
        }
        write!(
            out,
            "\", \"pubkey\": \"{}\", \"ta\": \"{}\", \"expires\": {}",
            STANDARD.encode(row.payload.key()),
            row.trust_anchor,
            row.expires.seconds(),
        )
    })?;
    writeln!(out, ",\n")?;
    rows(out, "aspas", &list.aspas, |out, row| {
        write!(
            out,
            "\"customer_asid\": {}, \"expires\": {}, \"providers\": [",
            row.payload.customer().into_u32(),
            row.expires.seconds(),
        )?;
        for (place, provider) in row.payload.providers().iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(out, "{comma}{}", provider.into_u32())?;
        }
        write!(out, "]")
    })?;
    writeln!(out, "\n}}")
}

/// A member whose value is an array of objects, one a line.
fn rows<T, W: Write>(
    out: &mut W,
    name: &str,
    rows: &[T],
    fields: impl Fn(&mut W, &T) -> io::Result<()>,
) -> io::Result<()> {
    write!(out, "\t\"{name}\": [")?;
    for (place, row) in rows.iter().enumerate() {
        write!(out, "{}\n\t\t{{ ", if place == 0 { "" } else { "," })?;
        fields(out, row)?;
        write!(out, " }}")?;
    }
    write!(out, "\n\t]")
}
