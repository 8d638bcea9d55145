//! What is known of the payloads of a set, as a file: eight octets a payload.
//!
//! All numbers are big-endian:
//!
//! | octets | what |
//! |---:|---|
//! | 4 | `RUTA` |
//! | 4 | the version, 1 |
//! | 32 | the SHA-256 of the file that the set would be |
//! | 4 × 4 | how many IPv4 VRPs, IPv6 VRPs, router keys and ASPAs there are |
//! | 4 | how many trust anchors |
//! | 4 + n | for each, the octets of its name, and the name in UTF-8 |
//! | 4 + 2 + 2 | for each payload in wire order: when it expires, in seconds since 1970, 0 for never; its trust anchor, counted from 1, 0 for none; the sources that have it, a bit each |

use std::io::{self, Write};

use super::error::FeedError;
use super::seal::Octets;
use crate::payload::rows::TrustAnchors;
use crate::payload::{Attribute, DataSet, Kind, PayloadSet};
use crate::sign::Digest;

const MAGIC: [u8; 4] = *b"RUTA";
const VERSION: u32 = 1;

/// How much is written at once, in attributes.
const CHUNK: usize = 8_192;

/// The attributes of a set.
#[derive(Debug)]
pub struct Attributes {
    set: [u8; 32],
    trust_anchors: TrustAnchors,
    /// For each kind, in the order of [`Kind::ALL`].
    lists: [Vec<Attribute>; 4],
}

/// Writes the attributes of a set, of which the digest is this one.
///
/// # Errors
///
/// Those of the writer.
pub fn write(data: &DataSet, set: &Digest, out: &mut impl Write) -> io::Result<()> {
    let number = |count: usize| {
        let count = u32::try_from(count).map_err(|_| io::ErrorKind::InvalidData);
        count.map(u32::to_be_bytes)
    };
    let mut head = [&MAGIC[..], &VERSION.to_be_bytes(), &set.sha256].concat();
    for kind in Kind::ALL {
        head.extend(number(data.payload().count(kind))?);
    }
    head.extend(number(data.trust_anchors().names().count())?);
    for name in data.trust_anchors().names() {
        head.extend(number(name.len())?);
        head.extend_from_slice(name.as_bytes());
    }
    out.write_all(&head)?;
    let mut buffer = Vec::with_capacity(8 * CHUNK);
    for attribute in data.attributes() {
        buffer.extend_from_slice(&attribute.to_octets());
        if buffer.len() == 8 * CHUNK {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}

impl Attributes {
    /// Reads a file of attributes. Costs a pass over it.
    ///
    /// # Errors
    ///
    /// When it is not the file that is meant, or not such a file.
    pub fn read(file: Octets<'_>) -> Result<Self, FeedError> {
        file.check()?;
        Self::parse(file.octets)
    }

    fn parse(octets: &[u8]) -> Result<Self, FeedError> {
        let mut rest = Rest(octets);
        if rest.take()? != MAGIC {
            return Err(FeedError::Attributes("another kind of file"));
        }
        if rest.number()? != VERSION {
            return Err(FeedError::Attributes("an unknown version"));
        }
        let set = rest.take()?;
        let mut counts = [0; 4];
        for count in &mut counts {
            *count = usize::try_from(rest.number()?).unwrap_or(usize::MAX);
        }
        let mut names = Vec::new();
        // An id has two octets.
        let count_of_names = u16::try_from(rest.number()?);
        let many = FeedError::Attributes("too many trust anchors");
        for _ in 0..count_of_names.map_err(|_| many)? {
            let length = usize::try_from(rest.number()?).unwrap_or(usize::MAX);
            let name = std::str::from_utf8(rest.octets(length)?);
            let name = name.map_err(|_| FeedError::Attributes("a name that is not UTF-8"))?;
            names.push(name.into());
        }
        let trust_anchors = TrustAnchors::new(names);
        let (mut each, odd) = rest.0.as_chunks::<8>();
        let mut lists = [const { Vec::new() }; 4];
        let few = || FeedError::Attributes("not as many as there are payloads");
        for (list, count) in lists.iter_mut().zip(counts) {
            let (these, others) = each.split_at_checked(count).ok_or_else(few)?;
            each = others;
            let these = these.iter();
            let read = these.map(|octets| Attribute::from_octets(*octets, &trust_anchors));
            let read: Option<Vec<Attribute>> = read.collect();
            *list = read.ok_or(FeedError::Attributes("an unknown trust anchor"))?;
        }
        if !each.is_empty() || !odd.is_empty() {
            return Err(few());
        }
        Ok(Self {
            set,
            trust_anchors,
            lists,
        })
    }

    /// The set with these attributes, if they are those of the set with this digest.
    ///
    /// # Errors
    ///
    /// When they are those of another set.
    pub fn join(self, payload: PayloadSet, digest: &Digest) -> Result<DataSet, FeedError> {
        if self.set != digest.sha256 {
            return Err(FeedError::OtherSet);
        }
        let anchors = self.trust_anchors;
        Ok(DataSet::with_attributes(payload, self.lists, anchors)?)
    }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn octets(&mut self, length: usize) -> Result<&'a [u8], FeedError> {
        let cut = FeedError::Attributes("the file is cut off");
        let (octets, rest) = self.0.split_at_checked(length).ok_or(cut)?;
        self.0 = rest;
        Ok(octets)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], FeedError> {
        let cut = FeedError::Attributes("the file is cut off");
        let (octets, rest) = self.0.split_first_chunk().ok_or(cut)?;
        self.0 = rest;
        Ok(*octets)
    }

    fn number(&mut self) -> Result<u32, FeedError> {
        self.take().map(u32::from_be_bytes)
    }
}
