//! Documents as they lie on a disk or come from a server: plain or compressed.

use std::io::{self, Read};

use super::document::Document;
use super::error::ReadError;
use super::limits::Limits;
use super::reader::Reader;
use super::texts::Keep;

/// Octets read at a time; in this size the chunk stays in a core's cache between being
/// decompressed and being read.
const CHUNK: usize = 256 * 1024;

/// The longest magic number, that of xz.
const MAGIC: usize = 6;

/// Reads a document that may be compressed with gzip, xz or zstd, which its first octets say.
///
/// # Errors
///
/// When the input fails, when the compression is broken or cut short, and when the document is
/// refused; one that decompresses to more than the limit is refused before it is decompressed
/// any further.
pub fn read(input: impl Read, limits: &Limits) -> Result<Document, ReadError> {
    read_and_show(input, limits, Keep::Rows, |_| {})
}

/// The same, keeps what it is told to, and shows all octets of the document as it is without
/// compression.
///
/// # Errors
///
/// As [`read`] has them.
pub fn read_and_show(
    input: impl Read,
    limits: &Limits,
    keep: Keep,
    show: impl FnMut(&[u8]),
) -> Result<Document, ReadError> {
    plain(unpacked(input)?, Reader::keeping(keep, *limits), show)
}

/// The octets of an input that may be compressed with gzip, xz or zstd, which its first octets
/// say. Broken or cut short compression is an error of the reader, where it is noticed.
///
/// # Errors
///
/// When the first octets cannot be read.
pub fn unpacked<'a>(mut input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = [0; MAGIC];
    let length = fill(&mut input, &mut magic)?;
    let form = magic.get(..length).unwrap_or_default();
    let whole = io::Cursor::new(magic)
        .take(u64::try_from(length).unwrap_or_default())
        .chain(input);
    Ok(match form {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(lzma_rust2::XzReader::new(whole, true)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::new(whole)?),
        _ => Box::new(whole),
    })
}

fn plain(
    mut input: impl Read,
    mut reader: Reader,
    mut show: impl FnMut(&[u8]),
) -> Result<Document, ReadError> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = fill(&mut input, &mut buffer)?;
        if length == 0 {
            return reader.finish();
        }
        let octets = buffer.get(..length).unwrap_or_default();
        show(octets);
        reader.feed(octets)?;
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..)
        && !rest.is_empty()
    {
        match input.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(length)
}
