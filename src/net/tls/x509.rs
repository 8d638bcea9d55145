//! What certificates and revocation lists say of themselves (RFC 5280): names, times and usages,
//! for warnings, metrics and log lines. Whether any of it is true, rustls judges.

use std::net::IpAddr;

use der::asn1::{AnyRef, GeneralizedTime, ObjectIdentifier, UtcTime};
use der::{Reader, Result, SliceReader, Tag, TagNumber};

/// What a certificate says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Certificate {
    /// The common name of the subject, when it has one that can be shown.
    pub(super) common_name: Option<Box<str>>,
    /// Since when it counts, in seconds since 1970.
    pub(super) not_before: u64,
    /// Until when it counts, in seconds since 1970.
    pub(super) not_after: u64,
    /// Its dNSNames in lower case, those left out that are none by their characters.
    pub(super) dns_names: Vec<Box<str>>,
    /// Its iPAddresses, IPv4 where they are mapped into IPv6.
    pub(super) addresses: Vec<IpAddr>,
    /// Whether it may be for a server: it says so, or says nothing of what it is for.
    pub(super) for_servers: bool,
}

/// What a revocation list says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RevocationList {
    /// The common name of the issuer, when it has one that can be shown.
    pub(super) issuer: Option<Box<str>>,
    /// When there is to be a newer one, in seconds since 1970; `None` when it does not say.
    pub(super) next_update: Option<u64>,
}

impl Certificate {
    /// Reads a certificate in DER.
    pub(super) fn read(octets: &[u8]) -> Result<Self> {
        SliceReader::new(octets)?.sequence(|certificate| {
            let read = certificate.sequence(Self::to_be_signed)?;
            rest(certificate)?;
            Ok(read)
        })
    }

    /// Its names, as they are shown.
    pub(super) fn names(&self) -> Box<[Box<str>]> {
        let addresses = self.addresses.iter().map(|ip| ip.to_string().into());
        self.dns_names.iter().cloned().chain(addresses).collect()
    }

    /// RFC 5280 §4.1.2.
    fn to_be_signed<'a>(fields: &mut SliceReader<'a>) -> Result<Self> {
        if Tag::peek(fields)? == EXPLICIT_0 {
            // The version.
            fields.tlv_bytes()?;
        }
        for _serial_signature_issuer in 0..3 {
            fields.tlv_bytes()?;
        }
        let (not_before, not_after) =
            fields.sequence(|validity| Ok::<_, der::Error>((time(validity)?, time(validity)?)))?;
        let mut read = Self {
            common_name: common_name(fields)?,
            not_before,
            not_after,
            for_servers: true,
            ..Self::default()
        };
        while !fields.is_finished() {
            // The key and the unique identifiers have other tags.
            let field: AnyRef<'a> = fields.decode()?;
            if field.header().tag() == EXPLICIT_3 {
                read.extensions(field.value())?;
            }
        }
        Ok(read)
    }

    fn extensions(&mut self, octets: &[u8]) -> Result<()> {
        SliceReader::new(octets)?.sequence(|extensions| {
            while !extensions.is_finished() {
                let (id, value) = extensions.sequence(|extension| {
                    let id: ObjectIdentifier = extension.decode()?;
                    let mut value: AnyRef<'_> = extension.decode()?;
                    if value.header().tag() == Tag::Boolean {
                        value = extension.decode()?;
                    }
                    Ok::<_, der::Error>((id, value.value()))
                })?;
                match id {
                    SUBJECT_ALT_NAME => self.subject_alt_names(value)?,
                    EXTENDED_KEY_USAGE => self.extended_key_usage(value)?,
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// RFC 5280 §4.2.1.6.
    fn subject_alt_names(&mut self, octets: &[u8]) -> Result<()> {
        SliceReader::new(octets)?.sequence(|names| {
            while !names.is_finished() {
                let name: AnyRef<'_> = names.decode()?;
                match name.header().tag() {
                    DNS_NAME => self.dns_names.extend(dns_name(name.value())),
                    IP_ADDRESS => self.addresses.extend(address(name.value())),
                    _ => {}
                }
            }
            Ok(())
        })
    }

    /// RFC 5280 §4.2.1.12.
    fn extended_key_usage(&mut self, octets: &[u8]) -> Result<()> {
        self.for_servers = false;
        SliceReader::new(octets)?.sequence(|usages| {
            while !usages.is_finished() {
                let usage: ObjectIdentifier = usages.decode()?;
                self.for_servers |= usage == SERVER_AUTH || usage == ANY_USAGE;
            }
            Ok(())
        })
    }
}

impl RevocationList {
    /// Reads a list in DER.
    pub(super) fn read(octets: &[u8]) -> Result<Self> {
        SliceReader::new(octets)?.sequence(|list| {
            let read = list.sequence(Self::to_be_signed)?;
            rest(list)?;
            Ok(read)
        })
    }

    /// RFC 5280 §5.1.2.
    fn to_be_signed(fields: &mut SliceReader<'_>) -> Result<Self> {
        if Tag::peek(fields)? == Tag::Integer {
            // The version.
            fields.tlv_bytes()?;
        }
        // The signature.
        fields.tlv_bytes()?;
        let issuer = common_name(fields)?;
        // This update.
        fields.tlv_bytes()?;
        let timed = !fields.is_finished()
            && matches!(Tag::peek(fields)?, Tag::UtcTime | Tag::GeneralizedTime);
        let next_update = timed.then(|| time(fields)).transpose()?;
        rest(fields)?;
        Ok(Self {
            issuer,
            next_update,
        })
    }
}

/// Leaves out what is of no interest.
fn rest(reader: &mut SliceReader<'_>) -> Result<()> {
    while !reader.is_finished() {
        reader.tlv_bytes()?;
    }
    Ok(())
}

/// RFC 5280 §4.1.2.5: years from 2050 on are in the longer form.
fn time(reader: &mut SliceReader<'_>) -> Result<u64> {
    let time: AnyRef<'_> = reader.decode()?;
    let since = match time.header().tag() {
        Tag::UtcTime => time.decode_as::<UtcTime>()?.to_unix_duration(),
        _ => time.decode_as::<GeneralizedTime>()?.to_unix_duration(),
    };
    Ok(since.as_secs())
}

/// The last common name of a Name (RFC 5280 §4.1.2.4), which is the most specific one.
fn common_name(reader: &mut SliceReader<'_>) -> Result<Option<Box<str>>> {
    reader.sequence(|parts| {
        let mut found = None;
        while !parts.is_finished() {
            let part: AnyRef<'_> = parts.decode()?;
            let mut attributes = SliceReader::new(part.value())?;
            while !attributes.is_finished() {
                let (id, value) = attributes.sequence(|attribute| {
                    let id: ObjectIdentifier = attribute.decode()?;
                    let value: AnyRef<'_> = attribute.decode()?;
                    Ok::<_, der::Error>((id, value))
                })?;
                if id == COMMON_NAME {
                    found = shown(value).or(found);
                }
            }
        }
        Ok(found)
    })
}

/// A text of one of the kinds that are ASCII or UTF-8, when it breaks no line.
fn shown(text: AnyRef<'_>) -> Option<Box<str>> {
    let plain = matches!(
        text.header().tag(),
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String
    );
    let text = std::str::from_utf8(text.value()).ok()?;
    (plain && !text.contains(char::is_control)).then(|| text.into())
}

/// Letters, digits and a few signs; nothing that could be taken for something else in a line.
fn dns_name(octets: &[u8]) -> Option<Box<str>> {
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.*".contains(octet);
    let text = std::str::from_utf8(octets).ok()?;
    let is_name = !octets.is_empty() && octets.iter().all(plain);
    is_name.then(|| text.to_ascii_lowercase().into())
}

/// Four octets or sixteen; what has another length is no address.
fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let sixteen = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    let address = four.or_else(|_| sixteen()).ok()?;
    Some(address.to_canonical())
}

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");

const EXPLICIT_0: Tag = context(true, 0);
const EXPLICIT_3: Tag = context(true, 3);
const DNS_NAME: Tag = context(false, 2);
const IP_ADDRESS: Tag = context(false, 7);

const fn context(constructed: bool, number: u32) -> Tag {
    Tag::ContextSpecific {
        constructed,
        number: TagNumber(number),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let names = ["Cache.Example", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap());
        certificate.unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_read() {
        let octets = made(|params| {
            params.not_before = date_time_ymd(2026, 1, 1);
            params.not_after = date_time_ymd(2050, 1, 1);
            params
                .distinguished_name
                .push(DnType::CommonName, "a cache");
        });
        let read = Certificate::read(&octets).unwrap();
        assert_eq!(read.common_name.as_deref(), Some("a cache"));
        assert_eq!(
            (read.not_before, read.not_after),
            (1_767_225_600, 2_524_608_000)
        );
        let names = read.names();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        assert_eq!(names, ["cache.example", "192.0.2.1", "2001:db8::1"]);
        assert!(read.for_servers);
    }

    #[test]
    fn usages_are_read() {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
        for (usages, for_servers) in [
            (vec![], true),
            (vec![ClientAuth], false),
            (vec![ClientAuth, ServerAuth], true),
            (vec![Any], true),
        ] {
            let octets = made(|params| params.extended_key_usages = usages);
            assert_eq!(Certificate::read(&octets).unwrap().for_servers, for_servers);
        }
    }

    #[test]
    fn names_that_could_break_a_line_are_left_out() {
        for (octets, name) in [
            (&b"A.example"[..], Some("a.example")),
            (b"*.example", Some("*.example")),
            (b"", None),
            (b"a b", None),
            (b"a\n", None),
            (b"\xe4", None),
        ] {
            assert_eq!(dns_name(octets).as_deref(), name);
        }
        let octets = made(|params| params.distinguished_name.push(DnType::CommonName, "a\nb"));
        assert_ne!(
            Certificate::read(&octets).unwrap().common_name.as_deref(),
            Some("a\nb")
        );
        assert_eq!(address(&[192, 0, 2, 1, 255, 255, 255, 0]), None);
    }

    #[test]
    fn damaged_certificates_are_errors() {
        let octets = made(|_| {});
        for cut in 0..octets.len() {
            assert!(Certificate::read(&octets[..cut]).is_err(), "{cut}");
            // Whatever comes of it, it comes.
            let mut changed = octets.clone();
            for octet in [0, 0x80, 0xff] {
                changed[cut] = octet;
                let _ = Certificate::read(&changed);
                let _ = RevocationList::read(&changed);
            }
        }
    }
}
