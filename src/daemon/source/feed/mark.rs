//! Where a follower stands, kept over a restart: what was shown once is never gone back from.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use crate::feed::advance::Mark;
use crate::payload::UnixTime;
use crate::rtr::{HistoryName, Serial, Snapshot};
use crate::sign::hex;

/// The file with the mark of a source.
pub(super) struct MarkFile {
    source: Box<str>,
    /// The folder that it is in, `None` when nothing is kept.
    folder: Option<PathBuf>,
    written: Option<Mark>,
    /// Whether it could not be written last.
    failing: bool,
}

/// The most octets of it.
const MAX_LEN: u64 = 4_096;

const NAME: &str = "mark.json";

impl MarkFile {
    /// Reads what an earlier run has left. What cannot be read is as if it were not there, and
    /// said so.
    pub(super) async fn open(source: &str, folder: Option<PathBuf>) -> (Self, Option<Mark>) {
        let path = folder.as_ref().map(|folder| folder.join(NAME));
        let read = spawn_blocking(move || path.map(|path| (read(&path), path)));
        let mark = match read.await.ok().flatten() {
            None => None,
            Some((Ok(mark), _)) => mark,
            Some((Err(error), path)) => {
                let path = path.display();
                warn!(source, %path, %error, "cannot tell how far a feed was followed before");
                None
            }
        };
        let file = Self {
            source: source.into(),
            folder,
            written: mark,
            failing: false,
        };
        (file, mark)
    }

    /// Writes where the follower stands now, unless it is there already. Without it a roll-back
    /// is noticed all the same until the next start, so that a failure is only said.
    pub(super) async fn keep(&mut self, mark: &Mark) {
        let Some(folder) = &self.folder else { return };
        if self.written.as_ref() == Some(mark) {
            return;
        }
        let (folder, kept, source) = (folder.clone(), *mark, &*self.source);
        let path = folder.join(NAME);
        let written = spawn_blocking(move || write(&folder, &kept)).await;
        let path = path.display();
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                self.written = Some(*mark);
                self.failing = false;
            }
            Err(error) if self.failing => {
                debug!(source, %path, %error, "cannot keep how far a feed was followed");
            }
            Err(error) => {
                warn!(source, %path, %error, "cannot keep how far a feed was followed");
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

#[derive(Deserialize, Serialize)]
struct Form {
    history: String,
    serial: u32,
    revision: u64,
    issued: u64,
}

fn read(path: &Path) -> io::Result<Option<Mark>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(MAX_LEN).read_to_end(&mut text)?;
    let form: Form = serde_json::from_slice(&text)?;
    let history = hex::decode(&form.history).and_then(|octets| octets.try_into().ok());
    let history = history.ok_or_else(|| io::Error::other("the history is not 128 bits"))?;
    Ok(Some(Mark {
        history: HistoryName::new(history),
        serial: Serial::new(form.serial),
        revision: form.revision,
        issued: UnixTime::new(form.issued),
    }))
}

fn write(folder: &Path, mark: &Mark) -> io::Result<()> {
    let form = Form {
        history: hex::encode(mark.history.octets()),
        serial: mark.serial.into_u32(),
        revision: mark.revision,
        issued: mark.issued.seconds(),
    };
    let mut text = serde_json::to_vec(&form)?;
    text.push(b'\n');
    fs::create_dir_all(folder)?;
    let new = folder.join(format!(".{NAME}.new"));
    let mut file = File::create(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new, folder.join(NAME))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::DataSet;

    const NAME: HistoryName = HistoryName::new([7; 16]);

    fn mark(serial: u32, issued: u64) -> Mark {
        Mark {
            history: NAME,
            serial: Serial::new(serial),
            revision: 3,
            issued: UnixTime::new(issued),
        }
    }

    #[tokio::test]
    async fn what_was_kept_is_there_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (mut file, found) = MarkFile::open("a", Some(path.clone())).await;
        assert_eq!(found, None);
        for serial in [u32::MAX, 1] {
            file.keep(&mark(serial, 70)).await;
            let (_, found) = MarkFile::open("a", Some(path.clone())).await;
            assert_eq!(found, Some(mark(serial, 70)));
        }
        fs::write(path.join("mark.json"), "{").unwrap();
        let (mut file, found) = MarkFile::open("a", Some(path.clone())).await;
        assert_eq!(found, None);
        file.keep(&mark(5, 80)).await;
        let (_, found) = MarkFile::open("a", Some(path)).await;
        assert_eq!(found, Some(mark(5, 80)));
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
