//! A look at a file or a folder: what is there, and whether it was seen before.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SourceError;
use super::folder;
use super::intake::{self, Failure, LeaseHolder};
use super::judge::Claim;
use super::list::List;
use super::{unix, unix_now};
use crate::json::Limits;
use crate::payload::UnixTime;

/// What tells a file, or all documents of a folder, from what was there before.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Stamp(Vec<FileStamp>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct FileStamp {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl FileStamp {
    fn new(path: &Path, metadata: &Metadata) -> Self {
        Self {
            path: path.into(),
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        }
    }
}

/// What earlier looks have shown, as far as it matters to the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// What was delivered last.
    pub(super) delivered: Option<Stamp>,
    /// What it says of its age.
    pub(super) claim: Option<Claim>,
    /// What was refused, if the last one was.
    pub(super) refused: Option<Stamp>,
    /// When what was refused is worth another look although it is still the same.
    pub(super) again: Option<UnixTime>,
}

/// What a look shows.
pub(super) enum Finding {
    /// What was delivered.
    Delivered,
    /// What was refused.
    Refused,
    /// Something else, and its list.
    List(Stamp, Box<List>),
    /// Something else, and why it is refused.
    Bad(Stamp, SourceError),
    /// Something else that is no document, and was written to while it was read.
    Torn(SourceError),
    /// No file.
    Nothing(SourceError),
}

/// A look, with all it needs on another thread.
pub(super) struct Look {
    pub(super) path: PathBuf,
    pub(super) seen: Seen,
    pub(super) limits: Limits,
    pub(super) max_age: Option<Duration>,
    pub(super) lease: LeaseHolder,
}

/// Why a file gives no list.
enum Fault {
    /// The file is what it was before and after.
    Steady(SourceError),
    /// Somebody writes to it.
    Torn(SourceError),
    /// It is not there, or cannot be read.
    Missing(SourceError),
}

impl Look {
    /// Looks. Blocks.
    pub(super) fn look(self) -> Finding {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) => return Finding::Nothing(file_error(&self.path, error)),
        };
        if metadata.is_dir() {
            return match folder::documents(&self.path) {
                Ok(paths) => self.look_at_all(&paths),
                Err(error) => Finding::Nothing(error),
            };
        }
        // A pipe would block when it is opened.
        if !metadata.is_file() {
            return Finding::Nothing(SourceError::NotAFile { path: self.path });
        }
        let stamp = Stamp(vec![FileStamp::new(&self.path, &metadata)]);
        if let Some(finding) = self.seen_before(&stamp) {
            return finding;
        }
        match self.read(&self.path, self.limits.octets) {
            Ok((stamp, list)) => self.judged(Stamp(vec![stamp]), list),
            Err(Fault::Steady(error)) => Finding::Bad(stamp, error),
            Err(Fault::Torn(error)) => Finding::Torn(error),
            Err(Fault::Missing(error)) => Finding::Nothing(error),
        }
    }

    fn look_at_all(&self, documents: &[(PathBuf, Metadata)]) -> Finding {
        let stamps = documents
            .iter()
            .map(|(path, metadata)| FileStamp::new(path, metadata));
        let stamp = Stamp(stamps.collect());
        if let Some(finding) = self.seen_before(&stamp) {
            return finding;
        }
        let mut stamps = Vec::new();
        let mut lists = Vec::new();
        let mut left = self.limits.octets;
        for (path, _) in documents {
            let named = |error| SourceError::InFolder {
                path: path.clone(),
                error: Box::new(error),
            };
            match self.read(path, left) {
                Ok((stamp, list)) => {
                    left = left.saturating_sub(stamp.size);
                    stamps.push(stamp);
                    lists.push((path.as_path(), list));
                }
                Err(Fault::Steady(error)) => return Finding::Bad(stamp, named(error)),
                Err(Fault::Torn(error)) => return Finding::Torn(named(error)),
                Err(Fault::Missing(error)) => return Finding::Nothing(error),
            }
        }
        self.judged(Stamp(stamps), folder::together(&lists))
    }

    fn seen_before(&self, stamp: &Stamp) -> Option<Finding> {
        if self.seen.delivered.as_ref() == Some(stamp) {
            return Some(Finding::Delivered);
        }
        let due = self.seen.again.is_some_and(|again| again <= unix_now());
        (self.seen.refused.as_ref() == Some(stamp) && !due).then_some(Finding::Refused)
    }

    fn judged(&self, stamp: Stamp, list: List) -> Finding {
        let claim = Claim::from(&list);
        match claim.judge(self.seen.claim.as_ref(), self.max_age, unix_now()) {
            Ok(()) => Finding::List(stamp, Box::new(list)),
            Err(error) => Finding::Bad(stamp, error),
        }
    }

    /// The file may be another one since the look at its name, so the stamp is that of what was
    /// opened, from before it was read.
    fn read(&self, path: &Path, octets: u64) -> Result<(FileStamp, List), Fault> {
        let missing = |error| Fault::Missing(file_error(path, error));
        let file = File::open(path).map_err(missing)?;
        let metadata = file.metadata().map_err(missing)?;
        let stamp = FileStamp::new(path, &metadata);
        let limits = Limits {
            octets,
            ..self.limits
        };
        let error = match intake::read(&file, &limits, &self.lease) {
            Ok(document) => {
                let modified = metadata.modified().map(unix).unwrap_or_else(|_| unix_now());
                let arrived = modified.min(unix_now());
                return Ok((stamp, List::of_document(document, arrived)));
            }
            Err(Failure::Input(error)) => return Err(missing(error)),
            Err(failure) => SourceError::of_file(failure, path),
        };
        let after = file.metadata().map_err(missing)?;
        if FileStamp::new(path, &after) == stamp {
            Err(Fault::Steady(error))
        } else {
            Err(Fault::Torn(error))
        }
    }
}

fn file_error(path: &Path, error: io::Error) -> SourceError {
    SourceError::File {
        path: path.into(),
        error,
    }
}
