//! A set as a file: the PDUs that announce it.

use std::io::{self, Read, Write};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::error::FeedError;
use super::pdus::{Content, Lists, Reader};
use super::seal::{self, Sealed};
use crate::payload::PayloadSet;
use crate::rtr::Version;
use crate::rtr::pdu::{self, Action};
use crate::sign::{Digest, Digester};

/// How much is written at once, in octets.
const CHUNK: usize = 1 << 16;

/// How much is read at once, in octets.
const PIECE: usize = 1 << 17;

/// How many pieces there are at most, until they are part of the digest.
const PIECES: usize = 4;

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

/// Reads a set from its file, while a thread beside makes the digest of it. Costs a pass, and
/// memory for the set and for less than a MiB of the file.
///
/// # Errors
///
/// Those of the reader; and, in what was read, when it is not the file that is meant: a PDU is
/// wrong, out of order, there twice or no announcement, there are more or fewer octets than
/// expected, or the digest is another one. Not much more is read than until that is certain.
pub fn read(input: &mut impl Read, expected: Digest) -> io::Result<Result<PayloadSet, FeedError>> {
    thread::scope(|scope| {
        let (pieces, waiting) = sync_channel::<Arc<Vec<u8>>>(PIECES);
        let (done, free) = sync_channel(PIECES);
        for _ in 0..PIECES {
            // There is room for each.
            let _ = done.send(Arc::new(Vec::with_capacity(PIECE)));
        }
        let digest = thread::Builder::new().spawn_scoped(scope, move || {
            let mut digester = Digester::default();
            for piece in waiting {
                digester.update(&piece);
                // Nobody waits for it after the last one.
                let _ = done.send(piece);
            }
            digester.finish()
        })?;
        let limit = u64::try_from(PIECE).unwrap_or(u64::MAX);
        let mut reader = Reader::new(Content::Announcements, expected.octets);
        // The other thread ends after this loop only.
        while let Ok(piece) = free.recv() {
            let mut piece = Arc::try_unwrap(piece).unwrap_or_default();
            piece.clear();
            input.by_ref().take(limit).read_to_end(&mut piece)?;
            if piece.is_empty() {
                break;
            }
            let piece = Arc::new(piece);
            let _ = pieces.send(Arc::clone(&piece));
            if let Err(error) = reader.push(&piece) {
                return Ok(Err(error));
            }
        }
        drop(pieces);
        let read = reader.finish();
        let found = digest.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok(seal::check(found, expected).and_then(|()| set(read?)))
    })
}

fn set(lists: Lists) -> Result<PayloadSet, FeedError> {
    let (v4, v6) = (lists.v4.announced, lists.v6.announced);
    let set = PayloadSet::from_records(v4, v6, lists.router_keys.announced, lists.aspas);
    Ok(set?)
}
