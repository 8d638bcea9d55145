//! The protocol data units, octet by octet (CONFORMANCE 1.1 to 1.3).

use super::decoder::Header;
use super::error::{ErrorCode, ProtocolError};
use super::serial::Serial;
use super::timing::Timing;
use super::version::Version;
use super::view::SessionId;
use crate::payload::vrp::{VrpError, VrpV4, VrpV6};
use crate::payload::{Asn, Aspa, RouterKey, Vrp};

/// The type octets.
pub mod pdu_type {
    /// Serial Notify, from a cache.
    pub const SERIAL_NOTIFY: u8 = 0;
    /// Serial Query, from a router.
    pub const SERIAL_QUERY: u8 = 1;
    /// Reset Query, from a router.
    pub const RESET_QUERY: u8 = 2;
    /// Cache Response, from a cache.
    pub const CACHE_RESPONSE: u8 = 3;
    /// IPv4 Prefix, from a cache.
    pub const IPV4_PREFIX: u8 = 4;
    /// IPv6 Prefix, from a cache.
    pub const IPV6_PREFIX: u8 = 6;
    /// End of Data, from a cache.
    pub const END_OF_DATA: u8 = 7;
    /// Cache Reset, from a cache.
    pub const CACHE_RESET: u8 = 8;
    /// Router Key, from a cache, from version 1 on.
    pub const ROUTER_KEY: u8 = 9;
    /// Error Report, from either side.
    pub const ERROR_REPORT: u8 = 10;
    /// ASPA, from a cache, from version 2 on.
    pub const ASPA: u8 = 11;
}

/// The most octets of a PDU: 8210bis §5.1 says so for version 2, and we hold it for all.
pub const MAX_LEN: u32 = 65_535;

/// Whether a version has a type at all (CONFORMANCE 1.1).
pub const fn type_exists(version: Version, pdu_type: u8) -> bool {
    match pdu_type {
        0..=4 | 6..=8 | 10 => true,
        9 => !matches!(version, Version::V0),
        11 => matches!(version, Version::V2),
        _ => false,
    }
}

/// Whether a payload comes or goes: bit 0 of the flags.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// The router shall add it.
    Announce,
    /// The router shall remove it.
    Withdraw,
}

impl Action {
    /// The flags octet; its other bits are sent as 0 (8210 §5.1).
    pub const fn flags(self) -> u8 {
        match self {
            Self::Announce => 1,
            Self::Withdraw => 0,
        }
    }

    /// The action of a flags octet; other bits are ignored (8210 §5.1).
    pub const fn from_flags(flags: u8) -> Self {
        if flags & 1 == 1 {
            Self::Announce
        } else {
            Self::Withdraw
        }
    }
}

/// A whole PDU. Its version is not in it: a session has one, once it is negotiated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pdu {
    /// There is a newer set.
    SerialNotify {
        /// The session.
        session: SessionId,
        /// The new serial.
        serial: Serial,
    },
    /// What changed since this serial?
    SerialQuery {
        /// The session.
        session: SessionId,
        /// The serial that the router has.
        serial: Serial,
    },
    /// Everything, please.
    ResetQuery,
    /// An answer begins.
    CacheResponse {
        /// The session.
        session: SessionId,
    },
    /// A VRP.
    Prefix {
        /// Whether it comes or goes.
        action: Action,
        /// The VRP.
        vrp: Vrp,
    },
    /// The answer is complete.
    EndOfData {
        /// The session.
        session: SessionId,
        /// The serial of the set that the router now has.
        serial: Serial,
        /// The timers; `None` in version 0.
        timing: Option<Timing>,
    },
    /// The increment cannot be had: ask for everything.
    CacheReset,
    /// A router key.
    RouterKey {
        /// Whether it comes or goes.
        action: Action,
        /// The key.
        key: RouterKey,
    },
    /// A customer's providers, which replace those before.
    AnnounceAspa(Aspa),
    /// A customer has no ASPA any more.
    WithdrawAspa {
        /// The customer.
        customer: Asn,
    },
    /// Something is wrong.
    ErrorReport(ErrorReport),
}

/// An Error Report as it travels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ErrorReport {
    /// The code, which need not be one we know.
    pub code: u16,
    /// The PDU that caused it, possibly cut; empty when it was not a PDU.
    pub enclosed: Vec<u8>,
    /// A text for people, possibly empty.
    pub text: String,
}

impl ErrorReport {
    /// The most octets of a foreign PDU that we send back. Old clients take an Error Report of
    /// some 800 octets at most (INTEROP rule 8); no query of ours is longer than 12.
    const MAX_ENCLOSED: usize = 256;

    /// A report of this code about the PDU that begins these octets; they may go on behind it.
    pub fn new(code: ErrorCode, offending: &[u8], text: &str) -> Self {
        let claimed = Header::read(offending).map_or(0, |header| header.length);
        let claimed = usize::try_from(claimed)
            .unwrap_or(usize::MAX)
            .max(Header::LEN);
        let limit = claimed.min(Self::MAX_ENCLOSED).min(offending.len());
        Self {
            code: code.number(),
            enclosed: offending.get(..limit).unwrap_or_default().to_vec(),
            text: text.to_owned(),
        }
    }

    /// The code, `None` when it is not assigned.
    pub fn code(&self) -> Option<ErrorCode> {
        ErrorCode::from_number(self.code)
    }
}

impl Pdu {
    /// The type octet.
    pub const fn pdu_type(&self) -> u8 {
        match self {
            Self::SerialNotify { .. } => pdu_type::SERIAL_NOTIFY,
            Self::SerialQuery { .. } => pdu_type::SERIAL_QUERY,
            Self::ResetQuery => pdu_type::RESET_QUERY,
            Self::CacheResponse { .. } => pdu_type::CACHE_RESPONSE,
            Self::Prefix {
                vrp: Vrp::V4(_), ..
            } => pdu_type::IPV4_PREFIX,
            Self::Prefix {
                vrp: Vrp::V6(_), ..
            } => pdu_type::IPV6_PREFIX,
            Self::EndOfData { .. } => pdu_type::END_OF_DATA,
            Self::CacheReset => pdu_type::CACHE_RESET,
            Self::RouterKey { .. } => pdu_type::ROUTER_KEY,
            Self::AnnounceAspa(_) | Self::WithdrawAspa { .. } => pdu_type::ASPA,
            Self::ErrorReport(_) => pdu_type::ERROR_REPORT,
        }
    }

    /// Appends the octets of this PDU in this version.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let octet = version.octet();
        match self {
            Self::SerialNotify { session, serial } => {
                out.extend(with_serial(
                    octet,
                    pdu_type::SERIAL_NOTIFY,
                    *session,
                    *serial,
                    12,
                ));
            }
            Self::SerialQuery { session, serial } => {
                out.extend(with_serial(
                    octet,
                    pdu_type::SERIAL_QUERY,
                    *session,
                    *serial,
                    12,
                ));
            }
            Self::ResetQuery => out.extend(header(octet, pdu_type::RESET_QUERY, [0, 0], 8)),
            Self::CacheResponse { session } => {
                let id = session.into_u16().to_be_bytes();
                out.extend(header(octet, pdu_type::CACHE_RESPONSE, id, 8));
            }
            Self::Prefix {
                action,
                vrp: Vrp::V4(vrp),
            } => out.extend(ipv4(octet, *action, vrp)),
            Self::Prefix {
                action,
                vrp: Vrp::V6(vrp),
            } => out.extend(ipv6(octet, *action, vrp)),
            Self::EndOfData {
                session,
                serial,
                timing,
            } => {
                let timing = timing.as_ref().filter(|_| version != Version::V0);
                let len = if timing.is_some() { 24 } else { 12 };
                out.extend(with_serial(
                    octet,
                    pdu_type::END_OF_DATA,
                    *session,
                    *serial,
                    len,
                ));
                let seconds = timing.map(Timing::seconds).into_iter().flatten();
                out.extend(seconds.flat_map(u32::to_be_bytes));
            }
            Self::CacheReset => out.extend(header(octet, pdu_type::CACHE_RESET, [0, 0], 8)),
            Self::RouterKey { action, key } => router_key(octet, *action, key, out),
            Self::AnnounceAspa(aspa) => {
                encode_aspa(
                    octet,
                    Action::Announce,
                    aspa.customer(),
                    aspa.providers(),
                    out,
                );
            }
            Self::WithdrawAspa { customer } => {
                encode_aspa(octet, Action::Withdraw, *customer, &[], out);
            }
            Self::ErrorReport(report) => error_report(octet, report, out),
        }
    }

    /// The octets of this PDU in this version.
    pub fn octets(&self, version: Version) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(version, &mut out);
        out
    }

    /// Reads a whole PDU of this version. Reserved fields and unknown flags are ignored.
    ///
    /// # Errors
    ///
    /// When the version has no such type, the length does not fit it, or a value cannot be.
    pub fn decode(version: Version, octets: &[u8]) -> Result<Self, ProtocolError> {
        let header = Header::read(octets).ok_or(ProtocolError::Length {
            pdu_type: 0,
            found: 0,
        })?;
        if !type_exists(version, header.pdu_type) {
            return Err(ProtocolError::UnsupportedType {
                pdu_type: header.pdu_type,
            });
        }
        let length_error = ProtocolError::Length {
            pdu_type: header.pdu_type,
            found: header.length,
        };
        if usize::try_from(header.length) != Ok(octets.len()) {
            return Err(length_error);
        }
        let body = Body {
            octets: octets.get(Header::LEN..).unwrap_or_default(),
            length_error,
        };
        let session = SessionId::new(header.field);
        match header.pdu_type {
            pdu_type::SERIAL_NOTIFY => body
                .serial()
                .map(|serial| Self::SerialNotify { session, serial }),
            pdu_type::SERIAL_QUERY => body
                .serial()
                .map(|serial| Self::SerialQuery { session, serial }),
            pdu_type::RESET_QUERY => body.empty().map(|()| Self::ResetQuery),
            pdu_type::CACHE_RESPONSE => body.empty().map(|()| Self::CacheResponse { session }),
            pdu_type::IPV4_PREFIX => body.ipv4(),
            pdu_type::IPV6_PREFIX => body.ipv6(),
            pdu_type::END_OF_DATA => body.end_of_data(version, session),
            pdu_type::CACHE_RESET => body.empty().map(|()| Self::CacheReset),
            pdu_type::ROUTER_KEY => body.router_key(flags(header)),
            pdu_type::ASPA => body.aspa(flags(header)),
            _ => body.error_report(header.field).map(Self::ErrorReport),
        }
    }
}

/// The length that a PDU of this type must have in this version, `None` when it varies.
pub const fn fixed_len(version: Version, pdu_type: u8) -> Option<u32> {
    match pdu_type {
        pdu_type::SERIAL_NOTIFY | pdu_type::SERIAL_QUERY => Some(12),
        pdu_type::RESET_QUERY | pdu_type::CACHE_RESPONSE | pdu_type::CACHE_RESET => Some(8),
        pdu_type::IPV4_PREFIX => Some(20),
        pdu_type::IPV6_PREFIX => Some(32),
        pdu_type::END_OF_DATA if matches!(version, Version::V0) => Some(12),
        pdu_type::END_OF_DATA => Some(24),
        _ => None,
    }
}

fn header(version: u8, pdu_type: u8, field: [u8; 2], length: u32) -> [u8; 8] {
    let [a, b] = field;
    let [c, d, e, f] = length.to_be_bytes();
    [version, pdu_type, a, b, c, d, e, f]
}

fn with_serial(
    version: u8,
    pdu_type: u8,
    session: SessionId,
    serial: Serial,
    length: u32,
) -> impl Iterator<Item = u8> {
    let header = header(version, pdu_type, session.into_u16().to_be_bytes(), length);
    header.into_iter().chain(serial.into_u32().to_be_bytes())
}

/// The octets of an IPv4 Prefix PDU.
pub(crate) fn ipv4(version: u8, action: Action, vrp: &VrpV4) -> [u8; 20] {
    let [a, b, c, d] = vrp.address().to_be_bytes();
    let [e, f, g, h] = vrp.asn().into_u32().to_be_bytes();
    let (len, max) = (vrp.prefix_len(), vrp.max_len());
    let flags = action.flags();
    [
        version, 4, 0, 0, 0, 0, 0, 20, flags, len, max, 0, a, b, c, d, e, f, g, h,
    ]
}

/// The octets of an IPv6 Prefix PDU.
pub(crate) fn ipv6(version: u8, action: Action, vrp: &VrpV6) -> [u8; 32] {
    let mut pdu = [0; 32];
    let (head, rest) = pdu.split_at_mut(12);
    let (len, max) = (vrp.prefix_len(), vrp.max_len());
    head.copy_from_slice(&[version, 6, 0, 0, 0, 0, 0, 32, action.flags(), len, max, 0]);
    let (address, asn) = rest.split_at_mut(16);
    address.copy_from_slice(&vrp.address().to_be_bytes());
    asn.copy_from_slice(&vrp.asn().into_u32().to_be_bytes());
    pdu
}

/// Appends a Router Key PDU.
pub(crate) fn router_key(version: u8, action: Action, key: &RouterKey, out: &mut Vec<u8>) {
    let length = u32::try_from(32 + key.key().len()).unwrap_or(u32::MAX);
    out.extend(header(
        version,
        pdu_type::ROUTER_KEY,
        [action.flags(), 0],
        length,
    ));
    out.extend_from_slice(key.ski());
    out.extend_from_slice(&key.asn().into_u32().to_be_bytes());
    out.extend_from_slice(key.key());
}

/// Appends an ASPA PDU; a withdrawal has no providers.
pub(crate) fn encode_aspa(
    version: u8,
    action: Action,
    customer: Asn,
    providers: &[Asn],
    out: &mut Vec<u8>,
) {
    let length = u32::try_from(12 + 4 * providers.len()).unwrap_or(u32::MAX);
    out.extend(header(version, pdu_type::ASPA, [action.flags(), 0], length));
    out.extend(customer.into_u32().to_be_bytes());
    out.extend(
        providers
            .iter()
            .flat_map(|asn| asn.into_u32().to_be_bytes()),
    );
}

fn error_report(version: u8, report: &ErrorReport, out: &mut Vec<u8>) {
    let counted = |octets: &[u8]| u32::try_from(octets.len()).unwrap_or(u32::MAX);
    let (enclosed, text) = (report.enclosed.as_slice(), report.text.as_bytes());
    let length = 16 + counted(enclosed) + counted(text);
    out.extend(header(
        version,
        pdu_type::ERROR_REPORT,
        report.code.to_be_bytes(),
        length,
    ));
    for part in [enclosed, text] {
        out.extend_from_slice(&counted(part).to_be_bytes());
        out.extend_from_slice(part);
    }
}

/// The flags of a Router Key or an ASPA, which lie in octet 2.
fn flags(header: Header) -> Action {
    let [flags, _reserved] = header.field.to_be_bytes();
    Action::from_flags(flags)
}

/// What follows a header.
struct Body<'a> {
    octets: &'a [u8],
    length_error: ProtocolError,
}

impl Body<'_> {
    fn exactly<const N: usize>(&self) -> Result<[u8; N], ProtocolError> {
        self.octets
            .try_into()
            .map_err(|_| self.length_error.clone())
    }

    fn empty(&self) -> Result<(), ProtocolError> {
        self.exactly::<0>().map(drop)
    }

    fn serial(&self) -> Result<Serial, ProtocolError> {
        self.exactly()
            .map(|octets| Serial::new(u32::from_be_bytes(octets)))
    }

    fn ipv4(&self) -> Result<Pdu, ProtocolError> {
        let [flags, len, max, _, a, b, c, d, e, f, g, h] = self.exactly::<12>()?;
        let asn = Asn::new(u32::from_be_bytes([e, f, g, h]));
        let vrp = VrpV4::new(u32::from_be_bytes([a, b, c, d]), len, max, asn).map_err(refused)?;
        Ok(Pdu::Prefix {
            action: Action::from_flags(flags),
            vrp: Vrp::V4(vrp),
        })
    }

    fn ipv6(&self) -> Result<Pdu, ProtocolError> {
        let [flags, len, max, _, rest @ ..] = self.exactly::<24>()?;
        let mut address = [0; 16];
        let mut asn = [0; 4];
        let (front, back) = rest.split_at(16);
        address.copy_from_slice(front);
        asn.copy_from_slice(back);
        let (address, asn) = (
            u128::from_be_bytes(address),
            Asn::new(u32::from_be_bytes(asn)),
        );
        let vrp = VrpV6::new(address, len, max, asn).map_err(refused)?;
        Ok(Pdu::Prefix {
            action: Action::from_flags(flags),
            vrp: Vrp::V6(vrp),
        })
    }

    fn end_of_data(&self, version: Version, session: SessionId) -> Result<Pdu, ProtocolError> {
        if version == Version::V0 {
            return self.serial().map(|serial| Pdu::EndOfData {
                session,
                serial,
                timing: None,
            });
        }
        let octets = self.exactly::<16>()?;
        let mut numbers = octets.chunks_exact(4).map(|word| {
            word.iter()
                .fold(0u32, |number, octet| number << 8 | u32::from(*octet))
        });
        let mut next = || numbers.next().unwrap_or(0);
        let serial = Serial::new(next());
        let timing = Some(Timing::clamped(next(), next(), next()));
        Ok(Pdu::EndOfData {
            session,
            serial,
            timing,
        })
    }

    fn router_key(&self, action: Action) -> Result<Pdu, ProtocolError> {
        let (ski, rest) = self
            .octets
            .split_first_chunk()
            .ok_or_else(|| self.length_error.clone())?;
        let (asn, key) = rest
            .split_first_chunk()
            .ok_or_else(|| self.length_error.clone())?;
        let asn = Asn::new(u32::from_be_bytes(*asn));
        let key = RouterKey::new(*ski, asn, key).map_err(|_| self.length_error.clone())?;
        Ok(Pdu::RouterKey { action, key })
    }

    fn aspa(&self, action: Action) -> Result<Pdu, ProtocolError> {
        let (customer, rest) = self
            .octets
            .split_first_chunk()
            .ok_or_else(|| self.length_error.clone())?;
        let customer = Asn::new(u32::from_be_bytes(*customer));
        let (words, odd) = rest.as_chunks::<4>();
        if !odd.is_empty() {
            return Err(self.length_error.clone());
        }
        match action {
            Action::Withdraw if words.is_empty() => Ok(Pdu::WithdrawAspa { customer }),
            Action::Withdraw => Err(self.length_error.clone()),
            Action::Announce => {
                let providers = words.iter().map(|word| Asn::new(u32::from_be_bytes(*word)));
                Aspa::from_wire(customer, providers.collect())
                    .map(Pdu::AnnounceAspa)
                    .map_err(ProtocolError::AspaProviders)
            }
        }
    }

    fn error_report(&self, code: u16) -> Result<ErrorReport, ProtocolError> {
        let part = |octets| -> Option<(&[u8], &[u8])> {
            let (length, rest) = <[u8]>::split_first_chunk(octets)?;
            rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
        };
        let (enclosed, rest) = part(self.octets).ok_or_else(|| self.length_error.clone())?;
        let (text, rest) = part(rest).ok_or_else(|| self.length_error.clone())?;
        if !rest.is_empty() {
            return Err(self.length_error.clone());
        }
        let text = String::from_utf8_lossy(text).into_owned();
        Ok(ErrorReport {
            code,
            enclosed: enclosed.to_vec(),
            text,
        })
    }
}

const fn refused(error: VrpError) -> ProtocolError {
    ProtocolError::Payload(match error {
        VrpError::PrefixLen { .. } => "a prefix length is past the limit of its family",
        VrpError::MaxLen { .. } => "a max length is outside its range",
        VrpError::HostBits => "address bits past the prefix length are set",
    })
}
