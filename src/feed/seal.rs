//! Digests of files while they are written.

use std::io::{self, Write};

use crate::sign::{Digest, Digester};

/// A writer that passes everything on and makes the digest of it.
#[derive(Debug)]
pub struct Sealed<W> {
    out: W,
    digester: Digester,
}

impl<W: Write> Sealed<W> {
    /// Writes to this one, to which nothing was written yet.
    pub fn new(out: W) -> Self {
        Self {
            out,
            digester: Digester::default(),
        }
    }

    /// The digest of all that was written.
    pub fn finish(self) -> Digest {
        self.digester.finish()
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.digester
            .update(octets.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
