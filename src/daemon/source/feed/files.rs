//! The files that a manifest names, from wherever they are.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use super::super::error::SourceError;
use super::super::intake::Failure;
use super::super::web::Fetcher;
use crate::daemon::sets;
use crate::feed::attributes::{self, Attributes};
use crate::feed::manifest::{AttributesRef, DeltaRef};
use crate::feed::{FeedError, FileName, Manifest, Octets, delta, whole};
use crate::net::Url;
use crate::payload::{Delta, PayloadSet};
use crate::sign::Digest;

/// Where the files are.
pub(super) enum Files {
    /// In a folder of the web.
    Web {
        /// One that has asked for something there.
        fetcher: Box<Fetcher>,
        folder: Url,
    },
    /// In a folder here.
    Folder(PathBuf),
}

impl Files {
    /// Another one, for a task of its own.
    pub(super) fn share(&self) -> Self {
        match self {
            Self::Web { fetcher, folder } => Self::Web {
                fetcher: Box::new(fetcher.beside(folder.clone(), 0)),
                folder: folder.clone(),
            },
            Self::Folder(path) => Self::Folder(path.clone()),
        }
    }

    /// The set, which is never in memory as octets.
    pub(super) async fn set(&self, manifest: &Manifest) -> Result<PayloadSet, SourceError> {
        let digest = manifest.snapshot.digest;
        let name = manifest.snapshot_name();
        self.read(name, digest, move |mut input| {
            sets::read(&mut input, digest)
        })
        .await
    }

    /// The attributes.
    pub(super) async fn attributes(
        &self,
        manifest: &Manifest,
        named: &AttributesRef,
    ) -> Result<Attributes, SourceError> {
        let digest = named.digest;
        let name = manifest.attributes_name(named);
        self.read(name, digest, move |mut input| {
            attributes::read(&mut input, digest)
        })
        .await
    }

    /// A step.
    pub(super) async fn step(
        &self,
        manifest: &Manifest,
        named: &DeltaRef,
    ) -> Result<Delta, SourceError> {
        let replaced = match named.replaced {
            None => None,
            Some(digest) => {
                let name = manifest.replaced_name(named);
                let octets = self.read(name, digest, move |input| {
                    whole(input, digest.octets).map(Ok)
                });
                Some((octets.await?, digest))
            }
        };
        let digest = named.digest;
        self.read(manifest.delta_name(named), digest, move |input| {
            let octets = &whole(input, digest.octets)?;
            let replaced = replaced.as_ref();
            let replaced = replaced.map(|(octets, digest)| Octets {
                octets,
                digest: *digest,
            });
            Ok(delta::read(Octets { octets, digest }, replaced))
        })
        .await
    }

    /// Has a file read on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        name: FileName,
        digest: Digest,
        read: impl FnOnce(&mut dyn Read) -> io::Result<Result<T, FeedError>> + Send + 'static,
    ) -> Result<T, SourceError> {
        let content = match self {
            Self::Web { fetcher, folder } => {
                let url = folder.file(&name.to_string());
                let url = url.ok_or(SourceError::Reader)?;
                let mut fetcher = fetcher.beside(url, digest.octets);
                let read = |mut bridge| read(&mut bridge).map_err(Failure::Input);
                let answer = fetcher.fetch(read).await?;
                answer.ok_or(SourceError::Reader)?.content
            }
            Self::Folder(folder) => {
                let path = folder.join(name.to_string());
                let done = spawn_blocking(move || {
                    let content = open(&path).and_then(|mut file| read(&mut file));
                    content.map_err(|error| SourceError::File { path, error })
                });
                done.await.map_err(|_| SourceError::Reader)??
            }
        };
        content.map_err(|error| SourceError::FeedFile { name, error })
    }
}

/// Opens a regular file. A pipe would be waited for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = file.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )),
    }
}
