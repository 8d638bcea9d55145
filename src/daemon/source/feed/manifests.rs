//! The manifest of a feed, from wherever it is.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::super::error::{ManifestKind, SourceError};
use super::super::intake;
use super::super::unix_now;
use super::super::web::{Fetcher, Place};
use super::files::{self, Files};
use crate::config::{Source, Verify};
use crate::feed::{Manifest, ManifestError, WAITED};
use crate::net::{Endpoint, Url};
use crate::payload::UnixTime;
use crate::sign::Digest;

/// How long a request may take that a server holds until it has news: what servers hold it for,
/// and the way there and back.
const WAIT_LIMIT: Duration = Duration::from_secs(40);

/// How long a connection is kept for the files that a manifest names.
const KEEP: Duration = Duration::from_secs(5);

/// The longest tag that a server is asked to wait with, in octets.
const MAX_TAG: usize = 256;

/// Where manifests come from.
pub(super) struct Manifests {
    at: Endpoint,
    /// Who has to have signed them; `None` for plain ones.
    verify: Option<Verify>,
    way: Way,
    timeout: Duration,
}

enum Way {
    Web {
        fetcher: Box<Fetcher>,
        folder: Url,
    },
    Folder {
        path: PathBuf,
        /// What was read last.
        seen: Option<Digest>,
    },
}

/// A manifest as it came.
pub(super) struct Arrived {
    text: Vec<u8>,
    at: UnixTime,
}

/// What a server said that was asked to wait.
pub(super) enum Waited {
    /// It has waited for this, or for nothing.
    Long(Option<Arrived>),
    /// It does not wait, and this is what it has; `None` when that is known.
    NotAtAll(Option<Arrived>),
}

impl Manifests {
    /// Those of a folder of the web.
    pub(super) fn on_web(source: &Source, url: &Url) -> Self {
        let place = Place {
            max_octets: max_len(),
            accept: "*/*",
            // Digests are those of the octets as they are.
            encodings: "identity",
            keep: KEEP,
            ..Place::of(source, url)
        };
        let way = Way::Web {
            fetcher: Box::new(Fetcher::new(place)),
            folder: url.clone(),
        };
        Self::new(source, Endpoint::Feed(url.clone()), way)
    }

    /// Those of a folder here.
    pub(super) fn in_folder(source: &Source, path: &Path) -> Self {
        let path = path.to_owned();
        let at = Endpoint::FeedFolder(path.clone());
        Self::new(source, at, Way::Folder { path, seen: None })
    }

    const fn kind(&self) -> ManifestKind {
        match self.verify {
            Some(_) => ManifestKind::Signed,
            None => ManifestKind::Plain,
        }
    }

    fn new(source: &Source, at: Endpoint, way: Way) -> Self {
        Self {
            at,
            verify: source.verify.clone(),
            way,
            timeout: source.timeout,
        }
    }

    /// Where the feed is.
    pub(super) const fn at(&self) -> &Endpoint {
        &self.at
    }

    /// The file in a folder that is the manifest, `None` on the web.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match &self.way {
            Way::Web { .. } => None,
            Way::Folder { path, .. } => Some(path.join(self.kind().file())),
        }
    }

    /// Where the files are that a manifest names.
    pub(super) fn files(&self) -> Files {
        match &self.way {
            Way::Web { fetcher, folder } => Files::Web {
                fetcher: Box::new(fetcher.beside(folder.clone(), 0)),
                folder: folder.clone(),
            },
            Way::Folder { path, .. } => Files::Folder(path.clone()),
        }
    }

    /// The next manifest is given even if it is the last one.
    pub(super) fn forget(&mut self) {
        match &mut self.way {
            Way::Web { fetcher, .. } => fetcher.forget(),
            Way::Folder { seen, .. } => *seen = None,
        }
    }

    /// The manifest that there is now, `None` when it is the last one that was given.
    pub(super) async fn now(&mut self) -> Result<Option<Arrived>, SourceError> {
        self.ask(None).await
    }

    /// Whether a server can be asked to wait for another one than the last.
    pub(super) fn can_wait(&self) -> bool {
        self.tag().is_some()
    }

    /// Asks a server to wait for another manifest than the last one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that was dropped leaves nothing behind.
    pub(super) async fn wait(&mut self) -> Result<Waited, SourceError> {
        let tag = self.tag();
        let arrived = self.ask(tag).await?;
        match &self.way {
            Way::Web { fetcher, .. } if fetcher.has_said(WAITED) => Ok(Waited::Long(arrived)),
            _ => Ok(Waited::NotAtAll(arrived)),
        }
    }

    /// What a manifest says, if it is to be believed now.
    pub(super) async fn read(&self, arrived: &Arrived) -> Result<Manifest, SourceError> {
        let (verify, text) = (self.verify.clone(), arrived.text.clone());
        let read = spawn_blocking(move || match verify {
            Some(verify) => {
                let keys = verify.load().map_err(SourceError::of_key)?;
                Ok(Manifest::verify(&text, &keys, unix_now()))
            }
            None => Ok(Manifest::read_plain(&text)),
        });
        let manifest = read.await.map_err(|_| SourceError::Reader)??;
        let manifest = manifest.map_err(|error| self.refused(error))?;
        self.check(&manifest)?;
        Ok(manifest)
    }

    /// Whether a manifest still counts.
    pub(super) fn check(&self, manifest: &Manifest) -> Result<(), SourceError> {
        let counts = manifest.counts_at(unix_now());
        counts.map_err(|error| self.refused(error))
    }

    fn refused(&self, error: ManifestError) -> SourceError {
        let at = self.at.clone();
        SourceError::Manifest { at, error }
    }

    fn tag(&self) -> Option<Box<str>> {
        let Way::Web { fetcher, .. } = &self.way else {
            return None;
        };
        let tag = fetcher.tag()?;
        (!tag.is_empty() && tag.len() <= MAX_TAG).then(|| tag.into())
    }

    async fn ask(&mut self, known: Option<Box<str>>) -> Result<Option<Arrived>, SourceError> {
        let name = self.kind().file();
        let arrived = match &mut self.way {
            Way::Web { fetcher, folder } => {
                let place = fetcher.place_mut();
                place.url = folder.file(name).ok_or(SourceError::Reader)?;
                place.timeout = match known {
                    None => self.timeout,
                    Some(_) => WAIT_LIMIT,
                };
                place.query = known.map(|tag| ("wait", tag));
                let answer = fetcher
                    .fetch(|bridge| intake::whole(bridge, max_len()))
                    .await;
                answer.map(|answer| {
                    answer.map(|answer| Arrived {
                        text: answer.content,
                        at: answer.arrived,
                    })
                })
            }
            Way::Folder { path, seen } => {
                let path = path.join(name);
                let text = spawn_blocking(move || read(&path)).await;
                let text = text.map_err(|_| SourceError::Reader)?;
                text.map(|text| {
                    let digest = Digest::of(&text);
                    let known = seen.replace(digest) == Some(digest);
                    let at = unix_now();
                    (!known).then_some(Arrived { text, at })
                })
            }
        };
        arrived.map_err(|error| match is_missing(&error) {
            true => SourceError::NoManifest {
                at: self.at.clone(),
                expected: self.kind(),
            },
            false => error,
        })
    }
}

impl Arrived {
    /// When it came.
    pub(super) const fn at(&self) -> UnixTime {
        self.at
    }
}

/// Whether an error says that there is no such file.
pub(super) fn is_missing(error: &SourceError) -> bool {
    match error {
        SourceError::Status { status, .. } => matches!(status, 404 | 410),
        SourceError::File { error, .. } => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// One octet more than is believed, to tell what is too long.
fn max_len() -> u64 {
    u64::try_from(Manifest::MAX_LEN).map_or(u64::MAX, |len| len.saturating_add(1))
}

fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    let mut text = Vec::new();
    let file = files::open(path);
    let octets = file.and_then(|file| file.take(max_len()).read_to_end(&mut text));
    match octets {
        Ok(_) => Ok(text),
        Err(error) => Err(SourceError::File {
            path: path.into(),
            error,
        }),
    }
}
