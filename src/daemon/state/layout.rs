//! Where things are in a state directory.

use std::path::{Path, PathBuf};

use crate::payload::UnixTime;

/// A state directory: `lock`, `version`, `feed/` with the files and their manifest, `damaged/`
/// with what could not be believed, and a folder `later-…` for each state of a later version.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
    feed: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            feed: root.join("feed"),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(super) fn version(&self) -> PathBuf {
        self.root.join("version")
    }

    pub(super) fn new_version(&self) -> PathBuf {
        self.root.join(".version.new")
    }

    pub(super) fn feed(&self) -> &Path {
        &self.feed
    }

    pub(super) fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    /// Where the state of a later version goes.
    pub(super) fn later(&self, format: u64, now: UnixTime) -> PathBuf {
        self.root.join(format!("{LATER}{format}-{now}"))
    }

    /// Whether a name in the root is part of a state that may go elsewhere.
    pub(super) fn may_go(&self, name: &str) -> bool {
        name != "lock" && name != "damaged" && !name.starts_with(LATER)
    }

    pub(super) fn manifest(&self) -> PathBuf {
        self.file("manifest.json")
    }

    pub(super) fn new_manifest(&self) -> PathBuf {
        self.new_file("manifest.json")
    }

    /// A file of the feed.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.feed.join(name)
    }

    /// A file of the feed before it is complete.
    pub(super) fn new_file(&self, name: &str) -> PathBuf {
        self.feed.join(format!(".{name}.new"))
    }

    /// The name of a file of the feed that was not completed, `None` for any other.
    pub(super) fn incomplete(name: &str) -> Option<&str> {
        name.strip_prefix('.')?.strip_suffix(".new")
    }
}

/// How the name of a folder with the state of a later version begins.
const LATER: &str = "later-";
