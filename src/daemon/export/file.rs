//! Files of documents.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::daemon::random;

/// How much is copied at once.
const CHUNK: usize = 1 << 16;

/// A file that loses its name at once: it is gone when nobody has it open any more, whatever ends
/// the process.
pub(super) fn nameless(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    // A name that neither another server nor a trap in a shared folder has.
    let chance = u128::from_be_bytes(random::octets());
    let path = folder.join(format!(".rutter-{chance:032x}"));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Copies a file, wherever its cursor is.
pub(super) fn copy(from: &File, to: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let read = match from.read_at(&mut buffer, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let octets = buffer.get(..read).unwrap_or_default();
        if octets.is_empty() {
            return Ok(());
        }
        to.write_all(octets)?;
        at += u64::try_from(read).unwrap_or(0);
    }
}
