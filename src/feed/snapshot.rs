//! A set as a file: the PDUs that announce it.

use std::io::{self, Write};

use super::error::FeedError;
use super::pdus::{Content, Reader};
use super::seal::{self, Sealed};
use crate::payload::PayloadSet;
use crate::rtr::Version;
use crate::rtr::pdu::{self, Action};
use crate::sign::Digest;

/// How much is written at once, in octets.
const CHUNK: usize = 1 << 16;

/// Writes a set, some 64 KiB at a time. Costs a pass over it.
///
/// # Errors
///
/// Those of the writer.
pub fn write(set: &PayloadSet, out: &mut impl Write) -> io::Result<()> {
    const OCTET: u8 = Version::V2.octet();
    const COMES: Action = Action::Announce;
    each(out, set.v4().iter(), |vrp, buffer| {
        buffer.extend_from_slice(&pdu::ipv4(OCTET, COMES, vrp));
    })?;
    each(out, set.v6().iter(), |vrp, buffer| {
        buffer.extend_from_slice(&pdu::ipv6(OCTET, COMES, vrp));
    })?;
    each(out, set.router_keys().iter(), |key, buffer| {
        pdu::router_key(OCTET, COMES, key, buffer);
    })?;
    each(out, set.aspas().iter(), |aspa, buffer| {
        pdu::encode_aspa(OCTET, COMES, aspa.customer(), aspa.providers(), buffer);
    })
}

/// The digest of the file that this set is, without writing it. Costs a pass over the set.
pub fn digest(set: &PayloadSet) -> Digest {
    let mut nowhere = Sealed::new(io::sink());
    // Nowhere is never full.
    let _ = write(set, &mut nowhere);
    nowhere.finish()
}

fn each<T>(
    out: &mut impl Write,
    records: impl Iterator<Item = T>,
    encode: impl Fn(T, &mut Vec<u8>),
) -> io::Result<()> {
    let mut buffer = Vec::new();
    for record in records {
        encode(record, &mut buffer);
        if buffer.len() >= CHUNK {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}

/// Reads a set as the octets of its file come, and believes nothing before all of them have.
///
/// The digest of the octets is made by who has them: it costs as much as all else, and can be made
/// on another thread.
#[derive(Debug)]
pub struct SnapshotReader {
    reader: Reader,
    expected: Digest,
}

impl SnapshotReader {
    /// Expects the file that has this digest.
    pub fn new(expected: Digest) -> Self {
        Self {
            reader: Reader::new(Content::Announcements, expected.octets),
            expected,
        }
    }

    /// Takes the next octets. The reader is of no use after an error.
    ///
    /// # Errors
    ///
    /// When they cannot be of such a file: a PDU is wrong, out of order, there twice or no
    /// announcement, or there are more octets than expected.
    pub fn push(&mut self, octets: &[u8]) -> Result<(), FeedError> {
        self.reader.push(octets)
    }

    /// The set, once all octets have come, of which this is the digest.
    ///
    /// # Errors
    ///
    /// When some are missing, or the digest is another one.
    pub fn finish(self, found: Digest) -> Result<PayloadSet, FeedError> {
        seal::check(found, self.expected)?;
        self.finish_unsealed()
    }

    /// The set, once all octets have come, before their digest is known: it must not count before
    /// that is [found right](seal::check).
    ///
    /// # Errors
    ///
    /// When some are missing.
    pub fn finish_unsealed(self) -> Result<PayloadSet, FeedError> {
        let lists = self.reader.finish()?;
        let (v4, v6) = (lists.v4.announced, lists.v6.announced);
        let keys = lists.router_keys.announced;
        Ok(PayloadSet::from_records(v4, v6, keys, lists.aspas)?)
    }
}
