//! Where a follower stands, kept over a restart: what was shown once is never gone back from.

use std::cmp::Ordering;
use std::io;
use std::path::PathBuf;

use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use super::super::mark;
use crate::feed::advance::Mark;
use crate::payload::UnixTime;
use crate::rtr::Snapshot;

/// The mark of a source, as it is kept.
pub(super) struct MarkFile {
    source: Box<str>,
    /// The feed: another one under the same name stands elsewhere.
    at: Box<str>,
    /// The folder that it is in, `None` when nothing is kept.
    folder: Option<PathBuf>,
    written: Option<Mark>,
    /// Whether it could not be written last.
    failing: bool,
}

impl MarkFile {
    /// Reads what an earlier run has left. What cannot be read is as if it were not there, and
    /// said so.
    pub(super) async fn open(
        source: &str,
        at: String,
        folder: Option<PathBuf>,
    ) -> (Self, Option<Mark>) {
        let place = folder.clone().map(|folder| (folder, at.clone()));
        let read = spawn_blocking(move || place.map(|(folder, at)| mark::kept(&folder, &at)));
        let found = match read.await.ok().flatten() {
            None => None,
            Some(Ok(found)) => found,
            Some(Err(error)) => {
                warn!(source, %error, "cannot tell how far a feed was followed before");
                None
            }
        };
        let file = Self {
            source: source.into(),
            at: at.into(),
            folder,
            written: found,
            failing: false,
        };
        (file, found)
    }

    /// Writes where the follower stands now, unless it is there already. Without it a roll-back
    /// is noticed all the same until the next start, so that a failure is only said.
    pub(super) async fn keep(&mut self, mark: &Mark) {
        let Some(folder) = &self.folder else { return };
        if self.written.as_ref() == Some(mark) {
            return;
        }
        let (folder, at, kept) = (folder.clone(), self.at.clone(), *mark);
        let written = spawn_blocking(move || mark::keep(&folder, &at, &kept)).await;
        let source = &*self.source;
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                self.written = Some(*mark);
                self.failing = false;
            }
            Err(error) if self.failing => {
                debug!(source, %error, "cannot keep how far a feed was followed");
            }
            Err(error) => {
                warn!(source, %error, "cannot keep how far a feed was followed");
                self.failing = true;
            }
        }
    }
}

/// Where a follower stands that has this from an earlier run: what was kept last of what it
/// served, and the mark.
pub(super) fn begin(mirrored: Option<&Snapshot>, mark: Option<Mark>) -> Option<Mark> {
    let Some(snapshot) = mirrored else {
        return mark;
    };
    let served = Mark {
        history: snapshot.name(),
        serial: snapshot.serial(),
        revision: snapshot.revision(),
        issued: UnixTime::new(0),
    };
    let Some(mark) = mark else {
        return Some(served);
    };
    if mark.history != served.history {
        return Some(mark);
    }
    let further = match served.serial.partial_cmp(&mark.serial) {
        Some(Ordering::Greater) => true,
        Some(Ordering::Equal) => served.revision > mark.revision,
        Some(Ordering::Less) | None => false,
    };
    let issued = mark.issued;
    Some(match further {
        true => Mark { issued, ..served },
        false => mark,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::payload::DataSet;
    use crate::rtr::{HistoryName, Serial};

    const NAME: HistoryName = HistoryName::new([7; 16]);

    fn mark(serial: u32, issued: u64) -> Mark {
        Mark {
            history: NAME,
            serial: Serial::new(serial),
            revision: 3,
            issued: UnixTime::new(issued),
        }
    }

    fn at() -> String {
        "feed+https://leader.example/feed/".to_owned()
    }

    #[tokio::test]
    async fn what_was_kept_is_there_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (mut file, found) = MarkFile::open("a", at(), Some(path.clone())).await;
        assert_eq!(found, None);
        for serial in [u32::MAX, 1] {
            file.keep(&mark(serial, 70)).await;
            let (_, found) = MarkFile::open("a", at(), Some(path.clone())).await;
            assert_eq!(found, Some(mark(serial, 70)));
        }
        fs::write(path.join("mark.json"), "{").unwrap();
        let (mut file, found) = MarkFile::open("a", at(), Some(path.clone())).await;
        assert_eq!(found, None);
        file.keep(&mark(5, 80)).await;
        let (_, found) = MarkFile::open("a", at(), Some(path.clone())).await;
        assert_eq!(found, Some(mark(5, 80)));
        // Another feed under the same name.
        let (_, found) = MarkFile::open("a", "other".to_owned(), Some(path)).await;
        assert_eq!(found, None);
    }

    #[test]
    fn what_was_served_counts_when_the_mark_is_behind_or_gone() {
        let served = Snapshot::first_after(NAME, Serial::new(8), DataSet::default());
        let begun = |mark| begin(Some(&served), mark).unwrap();
        let at = |mark: Mark| (mark.serial.into_u32(), mark.revision, mark.issued.seconds());
        assert_eq!(at(begun(None)), (9, 0, 0));
        assert_eq!(at(begun(Some(mark(8, 50)))), (9, 0, 50));
        assert_eq!(at(begun(Some(mark(9, 50)))), (9, 3, 50));
        assert_eq!(at(begun(Some(mark(10, 50)))), (10, 3, 50));
        let history = HistoryName::new([8; 16]);
        let other = Mark {
            history,
            ..mark(1, 50)
        };
        assert_eq!(begun(Some(other)), other);
        assert_eq!(begin(None, Some(other)), Some(other));
        assert_eq!(begin(None, None), None);
    }
}
