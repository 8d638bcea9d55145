//! A server that takes over: what is in storage becomes its state.
//!
//! Routers hear of a serial before storage does, so the one before may have issued serials that
//! are not in storage. Whoever takes over jumps over them ([`Manifest::taken_over`]), and says so
//! in storage first: who takes over after that, or at the same time, cannot begin at the same
//! serial, even if nothing else of this server ever comes there.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use super::store::{Found, Store};
use super::{Last, MANIFEST, Shelf};
use crate::config::{Bucket, ExportKeys};
use crate::daemon::publish::PublishError;
use crate::daemon::publish::folder::sync;
use crate::feed::Manifest;
use crate::net::files;
use crate::payload::UnixTime;
use crate::rtr::{HistoryName, Serial};
use crate::sign::{Digest, Digester};

/// How much of a file is fetched at once, in octets.
const PART: u64 = 8 << 20;

/// What became of a state directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Restored {
    /// It was used before, and is as it was.
    Used,
    /// There is nothing in storage, and it is as it was.
    Nothing,
    /// It holds what was in storage.
    Taken {
        /// The history.
        history: HistoryName,
        /// The serial that it is at.
        serial: Serial,
    },
}

/// Fills a state directory that was never used with what is in storage, so that this server goes
/// on with its history. To be called before the directory is opened, and before anything is
/// served: it blocks while it writes.
///
/// A directory that was used is left as it is even when it names no history any more: then
/// serials may have been issued that are not in storage, and must not be issued again.
///
/// # Errors
///
/// When storage is not there or changes meanwhile, what is there was not signed with
/// `export.sign-key` or is damaged, or the directory cannot be written. It is then as if it was
/// never used.
pub async fn restore(
    bucket: &Bucket,
    keys: &ExportKeys,
    state_dir: &Path,
    now: UnixTime,
) -> Result<Restored, PublishError> {
    if is_used(state_dir) {
        return Ok(Restored::Used);
    }
    let (bucket, keys) = (bucket.clone(), keys.clone());
    let connecting = spawn_blocking(move || Shelf::new(&bucket, &keys)).await;
    let shelf = connecting.map_err(|error| PublishError::Storage(error.into()))?;
    let mut shelf = shelf.map_err(|error| PublishError::Storage(error.into()))?;
    take(&mut shelf, state_dir, now).await
}

/// Whether a server has had this directory: it leaves the number of its format there.
fn is_used(state_dir: &Path) -> bool {
    let there = |name| state_dir.join(name).symlink_metadata().is_ok();
    there("version") || there("feed/manifest.json")
}

pub(super) async fn take(
    shelf: &mut Shelf,
    state_dir: &Path,
    now: UnixTime,
) -> Result<Restored, PublishError> {
    if is_used(state_dir) {
        return Ok(Restored::Used);
    }
    let Some(found) = shelf.store.get(MANIFEST, Manifest::MAX_LEN).await? else {
        return Ok(Restored::Nothing);
    };
    let manifest = shelf.read_signed(&found.octets);
    let manifest = manifest.map_err(|error| PublishError::Storage(error.into()))?;
    let folder = state_dir.join("feed");
    fs::create_dir_all(&folder).map_err(PublishError::file(&folder))?;
    for (name, digest) in manifest.files() {
        fetch(&shelf.store, &name.to_string(), &digest, &folder).await?;
    }
    let manifest = match manifest.mirrored {
        // Its serials are those of its leader, who alone issues them.
        true => manifest,
        false => shelf.jump(manifest, found, &folder, now).await?,
    };
    sync(&folder)?;
    // Only now there is something that a start believes.
    let text = manifest.to_plain();
    let path = folder.join("manifest.json");
    let written = files::replace(&path, |file| file.write_all(text.as_bytes()));
    written.map_err(PublishError::file(&path))?;
    sync(&folder)?;
    sync(state_dir)?;
    Ok(Restored::Taken {
        history: manifest.history,
        serial: manifest.serial,
    })
}

impl Shelf {
    /// Makes the manifest that was found one of ours, a jump away, here and in storage.
    pub(super) async fn jump(
        &mut self,
        there: Manifest,
        found: Found,
        folder: &Path,
        now: UnixTime,
    ) -> Result<Manifest, PublishError> {
        let ours = there.taken_over(now);
        let ours = ours.map_err(|error| PublishError::Storage(error.into()))?;
        if let Some(step) = ours.deltas.last() {
            let name = ours.delta_name(step);
            let path = folder.join(name.to_string());
            let file = File::create(&path).and_then(|file| file.sync_all());
            file.map_err(PublishError::file(&path))?;
            self.last = Some(Last::Tagged(found.tag.clone()));
            self.put_file(name, &step.digest, folder).await?;
        }
        self.found = Some(Digest::of(&found.octets));
        self.claim(&ours, found.tag).await?;
        Ok(ours)
    }
}

/// Fetches a file in parts, and gives it its name once it is whole.
async fn fetch(
    store: &Store,
    name: &str,
    digest: &Digest,
    folder: &Path,
) -> Result<(), PublishError> {
    let (new, path) = names(folder, name);
    let mut file = File::create(&new).map_err(PublishError::file(&new))?;
    let mut digester = Digester::default();
    let mut at = 0;
    while at < digest.octets {
        let end = digest.octets.min(at.saturating_add(PART));
        let octets = store.get_part(name, at..end).await?;
        if u64::try_from(octets.len()).ok() != end.checked_sub(at) {
            break;
        }
        digester.update(&octets);
        file.write_all(&octets).map_err(PublishError::file(&new))?;
        at = end;
    }
    if digester.finish() != *digest {
        let _ = fs::remove_file(&new);
        return Err(PublishError::Stale(name.into()));
    }
    file.sync_all().map_err(PublishError::file(&new))?;
    fs::rename(&new, &path).map_err(PublishError::file(&path))
}

/// A file before it is complete, and then.
fn names(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!(".{name}.new")), folder.join(name))
}
