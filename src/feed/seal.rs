//! Digests of files: made while they are written, and checked when they are read.

use std::io::{self, Read, Write};

use super::error::FeedError;
use crate::sign::{Digest, Digester};

/// A file, and what the manifest says of it.
#[derive(Clone, Copy, Debug)]
pub struct Octets<'a> {
    /// The file.
    pub octets: &'a [u8],
    /// Its digest.
    pub digest: Digest,
}

impl Octets<'_> {
    /// Whether the file is the one that is meant. Costs a pass over it.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn check(&self) -> Result<(), FeedError> {
        check(Digest::of(self.octets), self.digest)
    }
}

/// Whether a file with the one digest is that of which the manifest says the other.
///
/// # Errors
///
/// When it is not.
pub fn check(found: Digest, expected: Digest) -> Result<(), FeedError> {
    if found.octets != expected.octets {
        let (expected, found) = (expected.octets, found.octets);
        return Err(FeedError::Length { expected, found });
    }
    match found == expected {
        true => Ok(()),
        false => Err(FeedError::Digest),
    }
}

/// All octets of a file, and not more than one past the limit.
///
/// # Errors
///
/// Those of the reader.
pub fn whole(input: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    input
        .take(limit.saturating_add(1))
        .read_to_end(&mut octets)?;
    Ok(octets)
}

/// A writer or reader that passes everything on and makes the digest of it.
#[derive(Debug)]
pub struct Sealed<T> {
    inner: T,
    digester: Digester,
}

impl<T> Sealed<T> {
    /// Writes to this one, to which nothing was written yet, or reads from it.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            digester: Digester::default(),
        }
    }

    /// The digest of all that was written or read.
    pub fn finish(self) -> Digest {
        self.digester.finish()
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(octets)?;
        self.digester
            .update(octets.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Sealed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(to)?;
        self.digester.update(to.get(..length).unwrap_or_default());
        Ok(length)
    }
}
