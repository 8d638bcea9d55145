//! From octets as they arrive to whole PDUs.

use super::version::Version;

/// The first eight octets of every PDU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// The version octet, which need not be a version we know.
    pub version: u8,
    /// The type octet.
    pub pdu_type: u8,
    /// Octets 2 and 3: Session ID, Error Code, flags, or reserved.
    pub field: u16,
    /// The length of the whole PDU in octets as it claims.
    pub length: u32,
}

impl Header {
    /// The octets of a header.
    pub const LEN: usize = 8;

    /// The header that begins these octets, `None` when they are too few.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let [version, pdu_type, a, b, c, d, e, f, ..] = *octets else {
            return None;
        };
        Some(Self {
            version,
            pdu_type,
            field: u16::from_be_bytes([a, b]),
            length: u32::from_be_bytes([c, d, e, f]),
        })
    }

    /// The version, `None` when it is none of ours.
    pub const fn known_version(&self) -> Option<Version> {
        Version::from_octet(self.version)
    }
}

/// Collects octets until a PDU is whole.
///
/// It judges nothing: its user looks at the [`header`](Self::header) as soon as there is one and
/// refuses a PDU before its body is waited for. An empty decoder owns no memory.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// A decoder without octets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds octets as they came.
    pub fn push(&mut self, octets: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(octets);
    }

    /// Removes the next `length` octets and shows them, `None` when they are not all there.
    pub fn take(&mut self, length: usize) -> Option<&[u8]> {
        let end = self.start.checked_add(length)?;
        if end > self.buffer.len() {
            return None;
        }
        let start = std::mem::replace(&mut self.start, end);
        self.buffer.get(start..end)
    }

    /// The `length` octets that were taken last, once more; gone after the next push.
    pub fn taken(&self, length: usize) -> &[u8] {
        let start = self.start.saturating_sub(length);
        self.buffer.get(start..self.start).unwrap_or_default()
    }

    /// Gives the memory back when nothing is left in it.
    pub fn release(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }

    /// The header of the next PDU, `None` when it is not all there.
    pub fn header(&self) -> Option<Header> {
        Header::read(self.rest())
    }

    /// What has arrived of the next PDU and of those behind it.
    pub fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Whether no octet waits.
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }
}
