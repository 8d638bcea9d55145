//! S3-compatible storage, which one server at a time writes to.
//!
//! A file is put only when there is none of its name, and the manifest only in place of the one
//! that we put there last: when somebody else has put one meanwhile, storage refuses ours. This
//! server then stops writing there, for of two that write each would undo what the other did.
//! Storage that does not know such conditions refuses every write, and nothing is written.

mod restore;
mod store;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::info;

pub use self::restore::{Restored, restore};
use self::store::{Condition, Found, Put, Store, Tag};
use super::PublishError;
use super::leftovers::Leftovers;
use crate::config::{Bucket, ExportKeys};
use crate::daemon::announce::Bulletin;
use crate::feed::advance::{Advance, RollbackError};
use crate::feed::{FileName, Manifest};
use crate::net::files::FileError;
use crate::sign::{Digest, VerifyKey};

/// The name of the manifest. In storage it is always signed.
const MANIFEST: &str = "manifest.jws";

/// The time between two looks at what may go.
const SWEEP: Duration = Duration::from_secs(60);

/// The manifests whose writing broke off that are remembered.
const ATTEMPTS: usize = 16;

/// A place in storage where the feed is laid out.
#[derive(Debug)]
pub struct Shelf {
    store: Store,
    /// The keys that our own manifests are signed with.
    keys: Vec<VerifyKey>,
    /// What stands there as far as we have put it there; `None` before the first look.
    last: Option<Last>,
    /// Manifests that may stand there, because nobody has said that they do not.
    attempts: VecDeque<Digest>,
    /// The files that are there as they should be.
    right: BTreeSet<String>,
    leftovers: Leftovers,
    swept: Option<Instant>,
}

/// The manifest in storage that ours takes the place of.
#[derive(Clone, Debug)]
enum Last {
    /// There is none.
    Nothing,
    /// This one.
    Tagged(Tag),
}

impl Shelf {
    /// A place of which nothing is known yet. Reads the file with the credentials: it blocks.
    ///
    /// # Errors
    ///
    /// When the credentials cannot be read, or the place cannot be one.
    pub fn new(bucket: &Bucket, keys: &ExportKeys) -> Result<Self, FileError> {
        Ok(Self::on(Store::connect(bucket)?, keys))
    }

    fn on(store: Store, keys: &ExportKeys) -> Self {
        let keys = keys.sign.iter().map(|key| key.public().clone()).collect();
        Self {
            store,
            keys,
            last: None,
            attempts: VecDeque::new(),
            right: BTreeSet::new(),
            leftovers: Leftovers::default(),
            swept: None,
        }
    }

    /// Lays out the files of a manifest, then the manifest, and removes what was not named for
    /// some time.
    ///
    /// # Cancel safety
    ///
    /// What was begun may have happened in storage, or not: the next call finds out.
    ///
    /// # Errors
    ///
    /// When storage fails, or somebody else writes there.
    pub(super) async fn lay(&mut self, bulletin: &Bulletin) -> Result<(), PublishError> {
        let mut last = match self.last.clone() {
            Some(last) => last,
            None => self.look(bulletin).await?,
        };
        for (name, digest) in bulletin.manifest.files() {
            self.put_file(name, &digest, &bulletin.announcement.folder)
                .await?;
        }
        let text = &bulletin.announcement.text;
        // Whatever becomes of this call.
        if self.attempts.len() >= ATTEMPTS {
            self.attempts.pop_front();
        }
        self.attempts.push_back(Digest::of(text));
        // Once more when what stands there is of an attempt of ours that broke off.
        for _ in 0..2 {
            match self.put_manifest(text, &last).await? {
                Some(tag) => {
                    self.last = Some(Last::Tagged(tag));
                    self.attempts.clear();
                    self.sweep(bulletin).await?;
                    return Ok(());
                }
                None => last = self.ours_after_all().await?,
            }
        }
        Err(PublishError::Fenced(
            "it changed twice while ours was written".to_owned(),
        ))
    }

    /// Looks at what stands there before the first manifest is put.
    async fn look(&mut self, bulletin: &Bulletin) -> Result<Last, PublishError> {
        let Some(Found { octets, tag }) = self.store.get(MANIFEST, Manifest::MAX_LEN).await? else {
            self.last = Some(Last::Nothing);
            return Ok(Last::Nothing);
        };
        let there = Manifest::read_signed(&octets, &self.keys).map_err(|error| {
            PublishError::Fenced(format!(
                "{MANIFEST} there is not of export.sign-key ({error}); remove it if nobody needs it"
            ))
        })?;
        let ours = &bulletin.manifest;
        match ours.advances(&there.mark()) {
            Ok(Advance::Afresh) => {
                let (from, to) = (there.history, ours.history);
                info!(%from, %to, "another history takes the place of the one in storage");
            }
            Ok(Advance::Same | Advance::Revision | Advance::Serial) => {}
            // Our clock is behind that of who wrote it; it comes.
            Err(error @ RollbackError::Issued { .. }) => {
                return Err(PublishError::Storage(Box::new(error)));
            }
            Err(error @ (RollbackError::Serial { .. } | RollbackError::Revision { .. })) => {
                return Err(PublishError::Fenced(format!(
                    "the history went on there without us: ours {error}"
                )));
            }
        }
        // Whoever signed that has seen to these.
        let vouched: BTreeSet<_> = there.files().map(|file| named(&file)).collect();
        let files = ours.files().filter(|file| vouched.contains(&named(file)));
        self.right.extend(files.map(|(name, _)| name.to_string()));
        let last = Last::Tagged(tag);
        self.last = Some(last.clone());
        Ok(last)
    }

    async fn put_file(
        &mut self,
        name: FileName,
        digest: &Digest,
        folder: &Path,
    ) -> Result<(), PublishError> {
        let name = name.to_string();
        if self.right.contains(&name) {
            return Ok(());
        }
        let content = read(folder.join(&name), *digest).await?;
        match self.store.put(&name, content, Condition::Absent).await? {
            Put::Done(_) => {}
            Put::Refused => {
                if !self.store.holds(&name, digest).await? {
                    let found = format!("{name} is there with another content");
                    return Err(PublishError::Fenced(found));
                }
            }
        }
        self.right.insert(name);
        Ok(())
    }

    /// Puts the manifest in place of the last one; `None` when another one stands there.
    async fn put_manifest(&self, text: &Bytes, last: &Last) -> Result<Option<Tag>, PublishError> {
        let condition = match last {
            Last::Nothing => Condition::Absent,
            Last::Tagged(tag) => Condition::Is(tag.clone()),
        };
        let put = self.store.put(MANIFEST, text.clone(), condition);
        match put.await? {
            Put::Done(tag) => Ok(Some(tag)),
            Put::Refused => Ok(None),
        }
    }

    /// What stands there, when it is what we have put there without hearing so.
    async fn ours_after_all(&mut self) -> Result<Last, PublishError> {
        let found = self.store.get(MANIFEST, Manifest::MAX_LEN).await?;
        let Some(Found { octets, tag }) = found else {
            return Err(PublishError::Fenced(format!(
                "{MANIFEST} was removed there"
            )));
        };
        if self.attempts.contains(&Digest::of(&octets)) {
            let last = Last::Tagged(tag);
            self.last = Some(last.clone());
            return Ok(last);
        }
        let what = match Manifest::read_signed(&octets, &self.keys) {
            Ok(there) => format!(
                "it has serial {} of history {} from {}",
                there.serial, there.history, there.issued
            ),
            Err(error) => error.to_string(),
        };
        Err(PublishError::Fenced(format!(
            "the manifest there is not the one that was put last: {what}"
        )))
    }

    /// Removes what was not named for some time. Only whoever has just put the manifest does.
    async fn sweep(&mut self, bulletin: &Bulletin) -> Result<(), PublishError> {
        let now = Instant::now();
        if self
            .swept
            .is_some_and(|swept| now.duration_since(swept) < SWEEP)
        {
            return Ok(());
        }
        let present = self.store.list().await?;
        let files = bulletin.manifest.files();
        let named: BTreeSet<String> = files.map(|(name, _)| name.to_string()).collect();
        for name in self.leftovers.over(present, &named, now) {
            self.right.remove(&name);
            self.store.remove(&name).await?;
        }
        self.swept = Some(now);
        Ok(())
    }
}

fn named((name, digest): &(FileName, Digest)) -> (String, [u8; 32], u64) {
    (name.to_string(), digest.sha256, digest.octets)
}

/// Reads a file that has this digest. It is in memory whole, because storage wants its length and
/// its digest before it; one at a time is.
async fn read(path: PathBuf, digest: Digest) -> Result<Bytes, PublishError> {
    let reading = spawn_blocking(move || {
        let mut octets = Vec::new();
        let file = File::open(&path).map_err(PublishError::file(&path))?;
        let mut file = file.take(digest.octets.saturating_add(1));
        file.read_to_end(&mut octets)
            .map_err(PublishError::file(&path))?;
        match Digest::of(&octets) == digest {
            true => Ok(octets.into()),
            false => Err(PublishError::Stale(path)),
        }
    });
    reading
        .await
        .map_err(|error| PublishError::Storage(error.into()))?
}
