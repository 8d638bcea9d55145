//! A folder that a web server serves, or that is copied elsewhere.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::PublishError;
use super::leftovers::Leftovers;
use crate::daemon::announce::Bulletin;
use crate::feed::FileName;
use crate::net::files;
use crate::sign::{Digest, Digester};

/// What everybody may do with what is laid out: read it.
const MODE: u32 = 0o644;

/// How much is copied at once, in octets.
const CHUNK: usize = 1 << 18;

/// The names of the two forms of a manifest.
const SIGNED: &str = "manifest.jws";
const PLAIN: &str = "manifest.json";

/// A folder where the feed is laid out.
#[derive(Debug)]
pub struct Folder(Arc<Path>, Option<Memory>);

/// What is known of a folder.
#[derive(Debug, Default)]
struct Memory {
    /// The files that are there as they should be.
    right: BTreeSet<String>,
    leftovers: Leftovers,
}

impl Folder {
    /// This folder, of which nothing is known yet. It is made when it is not there.
    pub fn new(path: &Path) -> Self {
        Self(path.into(), None)
    }

    /// Lays out the files of a manifest, then the manifest, and removes what was not named for
    /// some time.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written. The manifest is then the one that was there before.
    pub(super) async fn lay(&mut self, bulletin: &Arc<Bulletin>) -> Result<(), PublishError> {
        let mut memory = self.1.take().unwrap_or_default();
        let (folder, bulletin) = (Arc::clone(&self.0), Arc::clone(bulletin));
        let now = Instant::now();
        let work = spawn_blocking(move || {
            let laid = lay(&folder, &bulletin, &mut memory, now);
            (laid, memory)
        });
        let late = |error| PublishError::File(self.0.to_path_buf(), io::Error::other(error));
        let (laid, memory) = work.await.map_err(late)?;
        self.1 = Some(memory);
        laid
    }
}

fn lay(
    folder: &Path,
    bulletin: &Bulletin,
    memory: &mut Memory,
    now: Instant,
) -> Result<(), PublishError> {
    fs::create_dir_all(folder).map_err(PublishError::file(folder))?;
    let announcement = &bulletin.announcement;
    let named: BTreeSet<String> = bulletin
        .manifest
        .files()
        .map(|(name, _)| name.to_string())
        .collect();
    for (name, digest) in bulletin.manifest.files() {
        let name = name.to_string();
        let to = folder.join(&name);
        let there = to.symlink_metadata().is_ok_and(|data| {
            data.is_file() && data.len() == digest.octets && memory.right.contains(&name)
        });
        if !there && digest_of(&to).ok() != Some(digest) {
            memory.right.remove(&name);
            bring(&announcement.folder.join(&name), &to, &digest)?;
        }
        memory.right.insert(name);
    }
    sync(folder)?;
    let (new, old) = match announcement.signed {
        true => (SIGNED, PLAIN),
        false => (PLAIN, SIGNED),
    };
    write(&folder.join(new), &announcement.text)?;
    // There is never both, or a follower could be shown the one that is not signed.
    match fs::remove_file(folder.join(old)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(PublishError::file(&folder.join(old))(error));
        }
        _ => sync(folder)?,
    }
    let entries = fs::read_dir(folder).map_err(PublishError::file(folder))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let (halves, names): (Vec<_>, Vec<_>) = names.partition(|name| is_half(name));
    let over = memory.leftovers.over(names, &named, now);
    for name in over.into_iter().chain(halves) {
        memory.right.remove(&name);
        // What cannot be removed is tried again with the next manifest.
        let _ = fs::remove_file(folder.join(name));
    }
    Ok(())
}

/// Whether a file of ours was not completed, when nobody is at it.
fn is_half(name: &str) -> bool {
    let name = name.strip_prefix('.');
    let name = name.and_then(|name| name.strip_suffix(".new"));
    name.is_some_and(|name| FileName::parse(name).is_some())
}

/// The name of a file before it is complete.
fn incomplete(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// Brings a file there under its name, whole. It is the same file when that is possible and
/// everybody can read it, and a copy otherwise.
fn bring(from: &Path, to: &Path, digest: &Digest) -> Result<(), PublishError> {
    let new = incomplete(to);
    let gone = fs::remove_file(&new);
    gone.or_else(not_there).map_err(PublishError::file(&new))?;
    let readable = |data: fs::Metadata| data.is_file() && data.mode() & 0o004 != 0;
    let linked = from.symlink_metadata().is_ok_and(readable) && fs::hard_link(from, &new).is_ok();
    if !linked {
        copy(from, &new)?;
    }
    // It may have been replaced meanwhile, with what a newer manifest names.
    if digest_of(&new).map_err(PublishError::file(&new))? != *digest {
        let _ = fs::remove_file(&new);
        return Err(PublishError::Stale(from.to_owned()));
    }
    fs::rename(&new, to).map_err(PublishError::file(to))?;
    // Two names of one file are left as they are by a renaming (POSIX rename).
    let gone = fs::remove_file(&new);
    gone.or_else(not_there).map_err(PublishError::file(&new))
}

fn not_there(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), PublishError> {
    let mut source = File::open(from).map_err(PublishError::file(from))?;
    let mut copied = || {
        let mut file = File::create_new(to)?;
        io::copy(&mut source, &mut file)?;
        file.set_permissions(fs::Permissions::from_mode(MODE))?;
        file.sync_all()
    };
    copied().map_err(PublishError::file(to))
}

/// Writes a file whole, in place of the one that is there.
fn write(to: &Path, content: &[u8]) -> Result<(), PublishError> {
    let written = files::replace(to, |file| {
        file.write_all(content)?;
        file.set_permissions(fs::Permissions::from_mode(MODE))
    });
    written.map_err(PublishError::file(to))
}

pub(super) fn sync(folder: &Path) -> Result<(), PublishError> {
    files::sync_folder(folder).map_err(PublishError::file(folder))
}

/// What a file holds; an error when there is no regular file.
fn digest_of(path: &Path) -> io::Result<Digest> {
    if !path.symlink_metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut file = File::open(path)?;
    let mut digester = Digester::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk)?;
        match chunk.get(..read) {
            Some([]) | None => return Ok(digester.finish()),
            Some(octets) => digester.update(octets),
        }
    }
}
