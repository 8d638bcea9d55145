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

use std::io::{self, BufRead, BufReader, Read, Write};

use super::error::FeedError;
use super::seal::{self, Sealed};
use crate::payload::rows::TrustAnchors;
use crate::payload::{Attribute, DataSet, Kind, PayloadSet};
use crate::sign::Digest;

const MAGIC: [u8; 4] = *b"RUTA";
const VERSION: u32 = 1;

/// How much is written at once, in attributes.
const CHUNK: usize = 8_192;

/// The most attributes of a kind for which there is memory before they come.
const ROOM: u64 = 1 << 22;

/// How much is read at once, in octets.
const PIECE: usize = 1 << 16;

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

/// Reads the attributes of a set from their file. Costs a pass, and memory for no more than they
/// are.
///
/// # Errors
///
/// Those of the reader; and, in what was read, when it is not the file that is meant, or not such
/// a file.
pub fn read(input: &mut impl Read, expected: Digest) -> io::Result<Result<Attributes, FeedError>> {
    let limit = expected.octets.saturating_add(1);
    let sealed = Sealed::new(input.take(limit));
    let mut rest = Rest {
        input: BufReader::with_capacity(PIECE, sealed),
        expected: expected.octets,
    };
    let read = match rest.attributes() {
        Ok(attributes) => Ok(attributes),
        Err(Fault::Content(what)) => Err(FeedError::Attributes(what)),
        Err(Fault::Reader(error)) => return Err(error),
    };
    // What the file is counts more than what is wrong with it.
    let mut sealed = rest.input.into_inner();
    io::copy(&mut sealed, &mut io::sink())?;
    Ok(seal::check(sealed.finish(), expected).and(read))
}

impl Attributes {
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

/// Why attributes cannot be read.
enum Fault {
    /// The file cannot be.
    Reader(io::Error),
    /// They are none.
    Content(&'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Reader(error)
    }
}

const CUT: Fault = Fault::Content("the file is cut off");

/// What is not read yet of a file that shall have so many octets.
struct Rest<R> {
    input: BufReader<R>,
    expected: u64,
}

/// For how many attributes there is memory before they come: for as many as can come in a file of
/// so many octets, and not for all that is said.
fn room(count: u32, octets: u64) -> usize {
    let room = u64::from(count).min(octets / 8).min(ROOM);
    usize::try_from(room).unwrap_or(0)
}

impl<R: Read> Rest<R> {
    fn attributes(&mut self) -> Result<Attributes, Fault> {
        if self.take()? != MAGIC {
            return Err(Fault::Content("another kind of file"));
        }
        if self.number()? != VERSION {
            return Err(Fault::Content("an unknown version"));
        }
        let set = self.take()?;
        let mut counts = [0; 4];
        for count in &mut counts {
            *count = self.number()?;
        }
        // An id has two octets.
        let count = u16::try_from(self.number()?);
        let count = count.map_err(|_| Fault::Content("too many trust anchors"))?;
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(self.name()?);
        }
        let trust_anchors = TrustAnchors::new(names);
        let mut lists = [const { Vec::new() }; 4];
        for (list, count) in lists.iter_mut().zip(counts) {
            *list = self.list(count, &trust_anchors)?;
        }
        match self.input.fill_buf()? {
            [] => Ok(Attributes {
                set,
                trust_anchors,
                lists,
            }),
            _ => Err(Fault::Content("more than there are payloads")),
        }
    }

    fn name(&mut self) -> Result<Box<str>, Fault> {
        let length = u64::from(self.number()?);
        let octets = self.octets(length)?;
        let name = String::from_utf8(octets);
        let name = name.map_err(|_| Fault::Content("a name that is not UTF-8"))?;
        Ok(name.into())
    }

    fn list(&mut self, count: u32, known: &TrustAnchors) -> Result<Vec<Attribute>, Fault> {
        let mut list = Vec::with_capacity(room(count, self.expected));
        for _ in 0..count {
            let attribute = Attribute::from_octets(self.take()?, known);
            list.push(attribute.ok_or(Fault::Content("an unknown trust anchor"))?);
        }
        Ok(list)
    }

    fn number(&mut self) -> Result<u32, Fault> {
        self.take().map(u32::from_be_bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        if let Some(octets) = self.input.buffer().first_chunk().copied() {
            self.input.consume(N);
            return Ok(octets);
        }
        let octets = self.octets(u64::try_from(N).unwrap_or(u64::MAX))?;
        octets.try_into().map_err(|_| CUT)
    }

    /// The next octets, which must not end before. A reader that breaks off is something else.
    fn octets(&mut self, length: u64) -> Result<Vec<u8>, Fault> {
        let mut octets = Vec::new();
        self.input.by_ref().take(length).read_to_end(&mut octets)?;
        match u64::try_from(octets.len()) == Ok(length) {
            true => Ok(octets),
            false => Err(CUT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_there_for_what_can_come() {
        assert_eq!(room(3, 1_000), 3);
        assert_eq!(room(1_000, 80), 10);
        assert_eq!(room(u32::MAX, u64::MAX), 1 << 22);
    }
}
