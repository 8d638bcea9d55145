//! Sets as they are read from files and connections.

use std::io::{self, BufReader, Read};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use crate::feed::snapshot::SnapshotReader;
use crate::feed::{FeedError, Sealed};
use crate::payload::PayloadSet;
use crate::sign::{Digest, Digester};

/// How much is read at once, in octets.
const PIECE: usize = 1 << 17;

/// How many pieces there are at most, until they are part of the digest.
const PIECES: usize = 4;

/// Reads a set from its file, of which the digest is made elsewhere: the set must not count before
/// that is found right. Costs a pass, and memory for the set. Blocks.
///
/// # Errors
///
/// Those of [`read`], but for another digest.
pub(super) fn read_unsealed(
    input: &mut impl Read,
    expected: Digest,
) -> io::Result<Result<PayloadSet, FeedError>> {
    let limit = u64::try_from(PIECE).unwrap_or(u64::MAX);
    let mut reader = SnapshotReader::new(expected);
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        input.by_ref().take(limit).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(reader.finish_unsealed());
        }
        if let Err(error) = reader.push(&piece) {
            return Ok(Err(error));
        }
    }
}

/// The digest of a file, of which no more than one octet past the limit is read. Blocks.
///
/// # Errors
///
/// Those of the reader.
pub(super) fn digest(input: impl Read, limit: u64) -> io::Result<Digest> {
    let mut input = BufReader::with_capacity(PIECE, input.take(limit.saturating_add(1)));
    let mut sealed = Sealed::new(io::sink());
    io::copy(&mut input, &mut sealed)?;
    Ok(sealed.finish())
}

/// Reads a set from its file, while a thread beside makes the digest of it. Costs a pass, and
/// memory for the set and for less than a MiB of the file. Blocks.
///
/// # Errors
///
/// Those of the reader; and, in what was read, when it is not the file that is meant: a PDU is
/// wrong, out of order, there twice or no announcement, there are more or fewer octets than
/// expected, or the digest is another one. Not much more is read than until that is certain.
pub(super) fn read(
    input: &mut impl Read,
    expected: Digest,
) -> io::Result<Result<PayloadSet, FeedError>> {
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
        let mut reader = SnapshotReader::new(expected);
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
        let found = digest.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok(reader.finish(found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::snapshot;
    use crate::feed::tests::{Random, data, written};
    use crate::payload::vrp::VrpV4;
    use crate::payload::{Asn, Delta};

    /// Gives at most so many octets at a time, and fails where it is told to.
    struct Slow<'a>(&'a [u8], usize, bool);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let few = to.len().min(self.1);
            match (self.0, self.2) {
                ([], true) => Err(io::Error::other("gone")),
                _ => self.0.read(&mut to[..few]),
            }
        }
    }

    #[test]
    fn a_set_is_read_in_whatever_pieces_it_comes() {
        let mut random = Random::new(11);
        let set = data(&mut random).payload().clone();
        let octets = written(|out| snapshot::write(&set, out));
        let digest = Digest::of(&octets);
        for few in [1, 7, 20, PIECE - 1, PIECE] {
            let found = read(&mut Slow(&octets, few, false), digest);
            assert_eq!(found.unwrap(), Ok(set.clone()));
            let error = read(&mut Slow(&octets, few, true), digest).unwrap_err();
            assert_eq!(error.to_string(), "gone");
        }
    }

    #[test]
    fn many_pieces_are_one_digest() {
        let vrps = (0..100_000_u32).rev();
        let vrps = vrps.map(|number| VrpV4::new(number << 8, 24, 24, Asn::new(number)).unwrap());
        let none = (Vec::new(), Vec::new(), Vec::new());
        let set = PayloadSet::from_records(vrps.collect(), none.0, none.1, none.2).unwrap();
        let octets = written(|out| snapshot::write(&set, out));
        assert!(octets.len() > 2 * PIECES * PIECE);
        let mut digest = Digest::of(&octets);
        let found = read(&mut &octets[..], digest).unwrap().unwrap();
        assert!(Delta::between(&set, &found).is_empty());
        digest.sha256[31] ^= 1;
        let wrong = read(&mut &octets[..], digest).unwrap();
        assert_eq!(wrong, Err(FeedError::Digest));
        // A file without end is not read to its end.
        let mut endless = octets.chain(io::repeat(0));
        let long = read(&mut endless, Digest::of(&octets)).unwrap();
        assert!(matches!(long, Err(FeedError::Length { .. })), "{long:?}");
    }
}
