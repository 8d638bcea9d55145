//! What can go wrong with a state directory.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::rtr::Serial;

/// Something that the file system refuses.
#[derive(Debug)]
pub struct DiskError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub cause: io::Error,
}

impl DiskError {
    /// Says where an error happened.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |cause| Self { path, cause }
    }

    /// For what was refused before.
    pub(super) fn earlier(path: PathBuf) -> Self {
        let cause = io::Error::other("may be there after an earlier error, or not");
        Self { path, cause }
    }

    /// For a serial that does not follow the one that is stored.
    pub(super) fn gap(path: PathBuf, stored: Serial, next: Serial) -> Self {
        let cause = io::Error::other(format!(
            "serial {next} does not follow {stored}, which is stored"
        ));
        Self { path, cause }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)
    }
}

impl Error for DiskError {}

/// Why a state directory cannot be used.
#[derive(Debug)]
pub enum StateError {
    /// It cannot be made or written.
    Disk(DiskError),
    /// Another process has it. This is its lock.
    Locked(PathBuf),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Locked(path) => write!(f, "{}: held by another process", path.display()),
        }
    }
}

impl Error for StateError {}

/// Why a snapshot is not stored, and what is to be done about it.
#[derive(Debug)]
pub enum KeepError {
    /// Only what is written behind is missing. The next start goes on from the latest serial all
    /// the same.
    Late(DiskError),
    /// It may be published: the disk names nothing of its history, so the next start begins
    /// another one.
    Unstored(DiskError),
    /// Its history must not go on, because the disk may name an older serial of it: only the
    /// first snapshot of another history may be published (`Snapshot::begin_anew`).
    Lost(DiskError),
}

impl fmt::Display for KeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(error) => write!(f, "the state is written later: {error}"),
            Self::Unstored(error) => write!(f, "the state is not stored: {error}"),
            Self::Lost(error) => write!(f, "the stored history cannot go on: {error}"),
        }
    }
}

impl Error for KeepError {}

/// A file that is not believed, or a whole state that a later version wrote.
#[derive(Debug)]
pub struct Damage {
    /// The file, or the one that says so.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: String,
    /// Where it is now; `None` when it is gone, or could not be moved.
    pub aside: Option<PathBuf>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)?;
        match &self.aside {
            Some(aside) => write!(f, "; set aside as {}", aside.display()),
            None => Ok(()),
        }
    }
}
