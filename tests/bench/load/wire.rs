//! As much of the protocol as a load client needs: two queries, and counting what comes back
//! without storing it. It shares nothing with the library on purpose: a mistake there must not
//! hide here.

use std::fmt;

use rutter::payload::{Aspa, RouterKey, Vrp};

/// The longest PDU that is taken for one; everything past it is a broken stream.
const MAX_PDU: usize = 1 << 20;
const HEADER: usize = 8;

const SERIAL_NOTIFY: u8 = 0;
const CACHE_RESPONSE: u8 = 3;
const IPV4: u8 = 4;
const IPV6: u8 = 6;
const END_OF_DATA: u8 = 7;
const CACHE_RESET: u8 = 8;
const ROUTER_KEY: u8 = 9;
const ERROR_REPORT: u8 = 10;
const ASPA: u8 = 11;

/// A Reset Query.
pub(crate) const fn reset_query(version: u8) -> [u8; 8] {
    [version, 2, 0, 0, 0, 0, 0, 8]
}

/// A Serial Query for what changed since `state`.
pub(crate) fn serial_query(version: u8, state: State) -> [u8; 12] {
    let mut pdu = [version, 1, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0];
    let (header, serial) = pdu.split_at_mut(HEADER);
    if let Some(field) = header.get_mut(2..4) {
        field.copy_from_slice(&state.session.to_be_bytes());
    }
    serial.copy_from_slice(&state.serial.to_be_bytes());
    pdu
}

/// What a router holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct State {
    pub(crate) session: u16,
    pub(crate) serial: u32,
}

/// What ends the reading of a stream, or interrupts it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// The answer is complete.
    EndOfData(State),
    /// There is something new.
    Notify(State),
    /// The serial is too old or the session another one.
    Reset,
    /// The server reports this error.
    Error(u16),
    /// The octets are no PDUs.
    Broken,
}

/// How many payload PDUs of each kind came, and which.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Count {
    pub(crate) v4: u64,
    pub(crate) v6: u64,
    pub(crate) router_keys: u64,
    pub(crate) aspas: u64,
    /// How many of them withdraw.
    pub(crate) withdrawn: u64,
    /// The sum of a digest of each payload, the same in any order. 0 when not asked for.
    pub(crate) checksum: u64,
}

impl Count {
    /// All payload PDUs.
    pub(crate) const fn payload(&self) -> u64 {
        self.v4 + self.v6 + self.router_keys + self.aspas
    }

    /// One VRP more, as it is announced.
    pub(crate) fn add_vrp(&mut self, vrp: &Vrp) {
        let (kind, net) = (vrp.prefix(), vrp.prefix().addr());
        let mut body = vec![1, kind.prefix_len(), vrp.max_len(), 0];
        match net {
            std::net::IpAddr::V4(address) => body.extend(address.octets()),
            std::net::IpAddr::V6(address) => body.extend(address.octets()),
        }
        body.extend(vrp.asn().into_u32().to_be_bytes());
        let kind = if net.is_ipv4() { IPV4 } else { IPV6 };
        self.tally(kind, true);
        self.add_digest(kind, &body);
    }

    /// One router key more, as it is announced.
    pub(crate) fn add_router_key(&mut self, key: &RouterKey) {
        let asn = key.asn().into_u32().to_be_bytes();
        self.tally(ROUTER_KEY, true);
        self.add_digest(
            ROUTER_KEY,
            &[key.ski().as_slice(), &asn, key.key()].concat(),
        );
    }

    /// One ASPA more, as it is announced.
    pub(crate) fn add_aspa(&mut self, aspa: &Aspa) {
        let numbers = std::iter::once(aspa.customer()).chain(aspa.providers().iter().copied());
        let body: Vec<u8> = numbers
            .flat_map(|asn| asn.into_u32().to_be_bytes())
            .collect();
        self.tally(ASPA, true);
        self.add_digest(ASPA, &body);
    }

    const fn tally(&mut self, kind: u8, announced: bool) {
        match kind {
            IPV4 => self.v4 += 1,
            IPV6 => self.v6 += 1,
            ROUTER_KEY => self.router_keys += 1,
            _ => self.aspas += 1,
        }
        if !announced {
            self.withdrawn += 1;
        }
    }

    fn add_digest(&mut self, kind: u8, body: &[u8]) {
        let mut digest = u64::from(kind).wrapping_add(0x9E37_79B9_7F4A_7C15);
        for chunk in body.chunks(8) {
            let word = chunk
                .iter()
                .fold(0, |word, octet| (word << 8) | u64::from(*octet));
            digest = (digest.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
        }
        digest ^= digest >> 29;
        self.checksum = self
            .checksum
            .wrapping_add(digest.wrapping_mul(0xBF58_476D_1CE4_E5B9));
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "v4 {}\nv6 {}\nrouter_keys {}\naspas {}\nwithdrawn {}\nchecksum {:016x}",
            self.v4, self.v6, self.router_keys, self.aspas, self.withdrawn, self.checksum
        )
    }
}

/// Whether payloads are digested beside being counted. It costs a multiple of the counting, so
/// only some sessions of a large run do it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Digest {
    Yes,
    No,
}

/// Finds PDUs in a stream that arrives in pieces of any size, and counts them.
#[derive(Debug)]
pub(crate) struct Framer {
    digest: Digest,
    /// The beginning of a PDU whose end has not come yet.
    partial: Vec<u8>,
    count: Count,
}

impl Framer {
    /// At the beginning of a stream.
    pub(crate) const fn new(digest: Digest) -> Self {
        Self {
            digest,
            partial: Vec::new(),
            count: Count {
                v4: 0,
                v6: 0,
                router_keys: 0,
                aspas: 0,
                withdrawn: 0,
                checksum: 0,
            },
        }
    }

    /// What was counted since the last call.
    pub(crate) fn take(&mut self) -> Count {
        std::mem::take(&mut self.count)
    }

    /// Counts what is in these octets. Stops behind the first PDU that is an event; the octets
    /// that follow it, if any, are left in `octets`.
    pub(crate) fn feed(&mut self, octets: &mut &[u8]) -> Option<Event> {
        while !self.partial.is_empty() {
            let wanted = length(&self.partial).unwrap_or(HEADER);
            if !(HEADER..=MAX_PDU).contains(&wanted) {
                return Some(Event::Broken);
            }
            let missing = wanted - self.partial.len();
            let (now, later) = octets.split_at(missing.min(octets.len()));
            self.partial.extend_from_slice(now);
            *octets = later;
            if now.len() < missing {
                return None;
            }
            if length(&self.partial) == Some(self.partial.len()) {
                let pdu = std::mem::take(&mut self.partial);
                if let Some(event) = self.pdu(&pdu) {
                    return Some(event);
                }
            }
        }
        while let Some(len) = length(octets) {
            if !(HEADER..=MAX_PDU).contains(&len) {
                return Some(Event::Broken);
            }
            if self.digest == Digest::No && self.run(octets) {
                continue;
            }
            let Some((pdu, rest)) = octets.split_at_checked(len) else {
                break;
            };
            *octets = rest;
            if let Some(event) = self.pdu(pdu) {
                return Some(event);
            }
        }
        self.partial.extend_from_slice(octets);
        *octets = &[];
        None
    }

    /// Counts the prefixes of one kind that stand in a row, nearly all of an answer, at about a
    /// nanosecond each. False when there is none at the front.
    fn run(&mut self, octets: &mut &[u8]) -> bool {
        let (len, counter) = match octets.get(1) {
            Some(&IPV4) => (20, &mut self.count.v4),
            Some(&IPV6) => (32, &mut self.count.v6),
            _ => return false,
        };
        let Some(header) = octets.first_chunk::<HEADER>() else {
            return false;
        };
        if length(header) != Some(len) {
            return false;
        }
        let (mut announced, mut pdus) = (0u64, 0);
        for pdu in octets.chunks_exact(len) {
            let Some((its, [flags, ..])) = pdu.split_first_chunk() else {
                break;
            };
            if its != header {
                break;
            }
            announced += u64::from(flags & 1);
            pdus += 1;
        }
        let run = u64::try_from(pdus).unwrap_or(u64::MAX);
        *counter += run;
        self.count.withdrawn += run - announced;
        *octets = octets.get(pdus * len..).unwrap_or_default();
        pdus > 0
    }

    #[inline]
    fn pdu(&mut self, pdu: &[u8]) -> Option<Event> {
        let [_, kind, high, low, _, _, _, _, body @ ..] = pdu else {
            return Some(Event::Broken);
        };
        let state = || {
            let serial = body.first_chunk()?;
            Some(State {
                session: u16::from_be_bytes([*high, *low]),
                serial: u32::from_be_bytes(*serial),
            })
        };
        match *kind {
            IPV4 | IPV6 => {
                let announced = body.first().is_some_and(|flags| flags & 1 == 1);
                self.payload(*kind, announced, body);
                None
            }
            ROUTER_KEY | ASPA => {
                self.payload(*kind, high & 1 == 1, body);
                None
            }
            CACHE_RESPONSE => None,
            END_OF_DATA => Some(state().map_or(Event::Broken, Event::EndOfData)),
            SERIAL_NOTIFY => Some(state().map_or(Event::Broken, Event::Notify)),
            CACHE_RESET => Some(Event::Reset),
            ERROR_REPORT => Some(Event::Error(u16::from_be_bytes([*high, *low]))),
            _ => Some(Event::Broken),
        }
    }

    #[inline]
    fn payload(&mut self, kind: u8, announced: bool, body: &[u8]) {
        self.count.tally(kind, announced);
        if self.digest == Digest::Yes {
            self.count.add_digest(kind, body);
        }
    }
}

/// The length a PDU says it has, `None` before its header is complete.
fn length(pdu: &[u8]) -> Option<usize> {
    let [_, _, _, _, a, b, c, d, ..] = pdu else {
        return None;
    };
    usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok()
}
