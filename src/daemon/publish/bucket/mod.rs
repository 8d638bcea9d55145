//! S3-compatible storage, which one server at a time writes to.
//!
//! A file is put only when there is none of its name, and the manifest only in place of the one
//! that we put there last: when somebody else has put one meanwhile, storage refuses ours. This
//! server then stops writing there, for of two that write each would undo what the other did.
//! Whoever starts first puts the manifest that it finds again, with a new time: from then on
//! nobody else can put one, whatever files they still leave. Whoever begins with what is there puts
//! the serial there that it goes on from before it serves anything ([`restore()`]).
//! Storage that does not know such conditions refuses every write, and nothing is written.

mod restore;
mod store;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ring::rand::SystemRandom;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::info;

pub use self::restore::{Restored, restore};
use self::store::{Condition, Content, Found, Put, Store, Tag};
use super::PublishError;
use super::leftovers::Leftovers;
use crate::config::{Bucket, ExportKeys};
use crate::daemon::announce::Bulletin;
use crate::feed::advance::{Advance, RollbackError};
use crate::feed::{FileName, Manifest, ManifestError};
use crate::net::files::FileError;
use crate::sign::{Digest, SigningKey};

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
    /// The key that our own manifests are signed with.
    key: Option<Arc<SigningKey>>,
    /// What stands there as far as we have put it there; `None` before the first look.
    last: Option<Last>,
    /// The manifest that was found at the first look, which whoever put it knows.
    found: Option<Digest>,
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
        Self {
            store,
            key: keys.sign.clone(),
            last: None,
            found: None,
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
        let text = &self.unlike_found(bulletin.announcement.text.clone());
        self.attempt(text);
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

    /// A manifest of ours.
    fn read_signed(&self, text: &[u8]) -> Result<Manifest, ManifestError> {
        let keys = self.key.iter().map(|key| key.public().clone());
        Manifest::read_signed(text, &keys.collect::<Vec<_>>())
    }

    /// Looks at what stands there before the first manifest is put, and makes it ours.
    async fn look(&mut self, bulletin: &Bulletin) -> Result<Last, PublishError> {
        let Some(Found { octets, tag }) = self.store.get(MANIFEST, Manifest::MAX_LEN).await? else {
            self.last = Some(Last::Nothing);
            return Ok(Last::Nothing);
        };
        let there = self.read_signed(&octets).map_err(|error| {
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
        self.found = Some(Digest::of(&octets));
        self.claim(&there.made_again(ours.issued), tag).await
    }

    /// The same manifest in other octets than those that were found: S3 makes its entity tags of
    /// the octets, and with the same tag whoever put those could put another one.
    fn unlike_found(&self, text: Bytes) -> Bytes {
        match self.found == Some(Digest::of(&text)) {
            // White space around a JWS means nothing.
            true => [&text, b"\n".as_slice()].concat().into(),
            false => text,
        }
    }

    /// Puts a manifest of ours in place of the one that was found: whoever put that cannot put
    /// another one from then on.
    async fn claim(&mut self, ours: &Manifest, tag: Tag) -> Result<Last, PublishError> {
        let signed = self.key.as_ref();
        let signed = signed.and_then(|key| ours.sign(key, &SystemRandom::new()));
        let text = match signed {
            Some(text) => self.unlike_found(text.into()),
            None => return Err(PublishError::Storage("it cannot be signed".into())),
        };
        self.attempt(&text);
        match self.put_manifest(&text, &Last::Tagged(tag)).await? {
            Some(tag) => {
                let last = Last::Tagged(tag);
                self.last = Some(last.clone());
                Ok(last)
            }
            None => Err(PublishError::Storage("it changes while it is read".into())),
        }
    }

    /// Remembers a manifest that may stand there from now on, whatever is heard of it.
    fn attempt(&mut self, text: &[u8]) {
        if self.attempts.len() >= ATTEMPTS {
            self.attempts.pop_front();
        }
        self.attempts.push_back(Digest::of(text));
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
        let put = self.store.put(&name, content.clone(), Condition::Absent);
        if let Put::Refused = put.await? {
            match self.store.compare(&name, digest).await? {
                Content::Same => {}
                Content::None => return Err(PublishError::Stale(name.into())),
                Content::Other(tag) => self.replace(&name, content, tag).await?,
            }
        }
        self.right.insert(name);
        Ok(())
    }

    /// Puts a file in place of one with another content, which whoever was fenced has left: no
    /// manifest names it, and none will as long as the one there is ours.
    async fn replace(&self, name: &str, content: Bytes, tag: Tag) -> Result<(), PublishError> {
        let found = self.store.get(MANIFEST, Manifest::MAX_LEN).await?;
        let ours = match (&self.last, &found) {
            (Some(Last::Nothing), None) => true,
            (Some(Last::Tagged(last)), Some(found)) => {
                *last == found.tag || self.attempts.contains(&Digest::of(&found.octets))
            }
            _ => false,
        };
        let put = match ours {
            true => self.store.put(name, content, Condition::Is(tag)).await?,
            false => Put::Refused,
        };
        match put {
            Put::Done(_) => Ok(()),
            Put::Refused => {
                let found = format!("{name} is there with another content");
                Err(PublishError::Fenced(found))
            }
        }
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
        let what = match self.read_signed(&octets) {
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
