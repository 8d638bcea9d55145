//! What is served, for others to read: with what is known of each payload, row by row.
//!
//! The JSON is that of rpki-client, so that nothing is lost, with the metadata that every other
//! reader looks for. Every row is several small writes, so the caller brings a buffered writer.

use std::io::{self, Write};

use super::write::{aspa_members, list, providers, router_key_members, vrp_members};
use crate::payload::rows::TrustAnchors;
use crate::payload::vrp::{VrpV4, VrpV6};
use crate::payload::{Attribute, DataSet, Kind, UnixTime, Vrp};

/// What an export says of itself. What is `None` is left out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ExportMetadata<'a> {
    /// When it was made.
    pub generated: Option<UnixTime>,
    /// Until when it counts.
    pub valid: Option<UnixTime>,
    /// The serial of the set.
    pub serial: Option<u32>,
    /// The session identifier, of version 1 where there are several, for readers that ask for one.
    pub session_id: Option<u16>,
    /// GoRTR's `signature` and `signatureDate`, hexadecimal.
    pub gortr: Option<(&'a str, &'a str)>,
}

/// Writes the set as JSON.
///
/// # Errors
///
/// Those of the writer.
pub fn json(out: &mut impl Write, data: &DataSet, about: &ExportMetadata<'_>) -> io::Result<()> {
    metadata(out, data, about)?;
    let anchors = Anchors::new(data.trust_anchors());
    out.write_all(b",\n\"roas\":")?;
    list(out, vrps(data), |out, (vrp, attribute)| {
        vrp_members(out, vrp)?;
        known(out, attribute, &anchors)
    })?;
    out.write_all(b",\n\"bgpsec_keys\":")?;
    list(out, data.router_keys().iter(), |out, (key, attribute)| {
        router_key_members(out, key)?;
        known(out, attribute, &anchors)
    })?;
    out.write_all(b",\n\"aspas\":")?;
    list(out, data.aspas().iter(), |out, (aspa, attribute)| {
        aspa_members(out, aspa)?;
        known(out, attribute, &anchors)
    })?;
    out.write_all(b"}\n")
}

fn metadata(out: &mut impl Write, data: &DataSet, about: &ExportMetadata<'_>) -> io::Result<()> {
    let count = |kind| data.payload().count(kind);
    let vrps = count(Kind::Ipv4) + count(Kind::Ipv6);
    let (keys, aspas) = (count(Kind::RouterKey), count(Kind::Aspa));
    out.write_all(b"{\"metadata\":{\"buildmachine\":\"rutter\"")?;
    if let Some(made) = about.generated {
        let seconds = made.seconds();
        write!(
            out,
            ",\"buildtime\":\"{made}\",\"generated\":{seconds},\"generatedTime\":\"{made}\""
        )?;
    }
    if let Some(valid) = about.valid {
        write!(out, ",\"valid\":{}", valid.seconds())?;
    }
    write!(
        out,
        ",\"counts\":{vrps},\"vrps\":{vrps},\"uniquevrps\":{vrps},\
         \"bgpsec_pubkeys\":{keys},\"aspas\":{aspas}"
    )?;
    if let Some(serial) = about.serial {
        write!(out, ",\"serial\":{serial}")?;
    }
    if let Some(session_id) = about.session_id {
        write!(out, ",\"sessionid\":{session_id}")?;
    }
    if let Some((signature, signature_date)) = about.gortr {
        write!(
            out,
            ",\"signature\":\"{signature}\",\"signatureDate\":\"{signature_date}\""
        )?;
    }
    out.write_all(b"}")
}

/// Writes the VRPs with the columns of rpki-client's CSV.
///
/// # Errors
///
/// Those of the writer.
pub fn csv(out: &mut impl Write, data: &DataSet) -> io::Result<()> {
    let anchors = data.trust_anchors();
    out.write_all(b"ASN,IP Prefix,Max Length,Trust Anchor,Expires\n")?;
    for (vrp, attribute) in vrps(data) {
        let anchor = anchors.name(attribute.trust_anchor()).unwrap_or_default();
        // A name with a comma or a quotation mark is no name of a trust anchor; it must not become
        // a column all the same.
        let anchor = anchor.replace(['"', ',', '\n', '\r'], " ");
        let (prefix, max_len, asn) = (vrp.prefix(), vrp.max_len(), vrp.asn());
        let expires = expires(attribute);
        writeln!(out, "{asn},{prefix},{max_len},{anchor},{expires}")?;
    }
    Ok(())
}

/// Writes static tables for BIRD 2 and 3: `roa4` and `roa6`, and with `aspas` the table of ASPAs,
/// which BIRD knows from 2.16 on.
///
/// # Errors
///
/// Those of the writer.
pub fn bird(out: &mut impl Write, data: &DataSet, aspas: bool) -> io::Result<()> {
    out.write_all(b"roa4 table ROAS4;\nroa6 table ROAS6;\n")?;
    out.write_all(b"\nprotocol static {\n\troa4 { table ROAS4; };\n")?;
    for vrp in data.payload().v4() {
        bird_route(out, Vrp::V4(*vrp))?;
    }
    out.write_all(b"}\n\nprotocol static {\n\troa6 { table ROAS6; };\n")?;
    for vrp in data.payload().v6() {
        bird_route(out, Vrp::V6(*vrp))?;
    }
    out.write_all(b"}\n")?;
    if !aspas {
        return Ok(());
    }
    out.write_all(b"\naspa table ASPAS;\n\nprotocol static {\n\taspa { table ASPAS; };\n")?;
    for aspa in data.payload().aspas() {
        write!(out, "\troute aspa {} ", aspa.customer().into_u32())?;
        // AS 0 alone says that there is no provider, which BIRD calls a transit-free AS.
        if aspa
            .providers()
            .iter()
            .all(|provider| provider.into_u32() == 0)
        {
            out.write_all(b"transit;\n")?;
            continue;
        }
        out.write_all(b"providers ")?;
        providers(out, aspa, ", ")?;
        out.write_all(b";\n")?;
    }
    out.write_all(b"}\n")
}

fn bird_route(out: &mut impl Write, vrp: Vrp) -> io::Result<()> {
    let (prefix, max_len, asn) = (vrp.prefix(), vrp.max_len(), vrp.asn().into_u32());
    writeln!(out, "\troute {prefix} max {max_len} as {asn};")
}

/// Writes static tables for OpenBGPD: `roa-set`, and with `aspas` the `aspa-set`, which OpenBGPD
/// knows from 8.0 on.
///
/// # Errors
///
/// Those of the writer.
pub fn openbgpd(out: &mut impl Write, data: &DataSet, aspas: bool) -> io::Result<()> {
    out.write_all(b"roa-set {\n")?;
    for (vrp, attribute) in vrps(data) {
        let prefix = vrp.prefix();
        write!(out, "\t{prefix}")?;
        if vrp.max_len() > prefix.prefix_len() {
            write!(out, " maxlen {}", vrp.max_len())?;
        }
        write!(out, " source-as {}", vrp.asn().into_u32())?;
        openbgpd_expiry(out, attribute)?;
        out.write_all(b"\n")?;
    }
    out.write_all(b"}\n")?;
    if !aspas || data.aspas().is_empty() {
        return Ok(());
    }
    out.write_all(b"\naspa-set {\n")?;
    for (aspa, attribute) in data.aspas().iter() {
        write!(out, "\tcustomer-as {}", aspa.customer().into_u32())?;
        openbgpd_expiry(out, attribute)?;
        out.write_all(b" provider-as { ")?;
        providers(out, aspa, " ")?;
        out.write_all(b" }\n")?;
    }
    out.write_all(b"}\n")
}

fn openbgpd_expiry(out: &mut impl Write, attribute: &Attribute) -> io::Result<()> {
    match attribute.expires() {
        Some(expires) => write!(out, " expires {}", expires.seconds()),
        None => Ok(()),
    }
}

fn vrps(data: &DataSet) -> impl Iterator<Item = (Vrp, &Attribute)> {
    let v4 = |(vrp, attribute): (&VrpV4, _)| (Vrp::V4(*vrp), attribute);
    let v6 = |(vrp, attribute): (&VrpV6, _)| (Vrp::V6(*vrp), attribute);
    let all = data.v4().iter().map(v4);
    all.chain(data.v6().iter().map(v6))
}

/// The expiry, of which readers want one in each row.
fn expires(attribute: &Attribute) -> u64 {
    attribute
        .expires()
        .map_or(Attribute::NEVER, UnixTime::seconds)
}

/// What is known beside a payload, and the end of its object.
fn known(out: &mut impl Write, attribute: &Attribute, anchors: &Anchors<'_>) -> io::Result<()> {
    if let Some(name) = anchors.of(attribute) {
        write!(out, ",\"ta\":{name}")?;
    }
    write!(out, ",\"expires\":{}}}", expires(attribute))
}

/// The names of trust anchors as JSON strings, made once.
struct Anchors<'a> {
    table: &'a TrustAnchors,
    quoted: Vec<(&'a str, String)>,
}

impl<'a> Anchors<'a> {
    fn new(table: &'a TrustAnchors) -> Self {
        let quoted = table
            .names()
            .map(|name| (name, serde_json::Value::from(name).to_string()));
        Self {
            table,
            quoted: quoted.collect(),
        }
    }

    fn of(&self, attribute: &Attribute) -> Option<&str> {
        let name = self.table.name(attribute.trust_anchor())?;
        let mut all = self.quoted.iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, quoted)| &**quoted)
    }
}
