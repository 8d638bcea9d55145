//! Where a source that must be signed stands, so that nobody takes it back.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::SignatureError;
use crate::payload::UnixTime;
use crate::sign::hex;

/// Where a source stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    /// The name of the history; zeros for none.
    pub(super) history: [u8; 16],
    pub(super) serial: u32,
    pub(super) revision: u64,
    pub(super) issued: UnixTime,
}

impl Mark {
    /// What speaks against going on to `next`.
    pub(super) fn against(&self, next: &Self) -> Option<SignatureError> {
        let back = |what: String| Some(SignatureError::Back(what.into()));
        if next.issued < self.issued {
            return back(format!(
                "it was signed at {}, before the one of {}",
                next.issued, self.issued
            ));
        }
        if next.history != self.history || self.history == [0; 16] {
            return None;
        }
        // RFC 1982: what is not ahead is behind.
        let steps = next.serial.wrapping_sub(self.serial);
        if steps > u32::MAX / 2 {
            return back(format!(
                "it goes back from serial {} to {}",
                self.serial, next.serial
            ));
        }
        if steps == 0 && next.revision < self.revision {
            return back(format!(
                "it goes back from revision {} to {}",
                self.revision, next.revision
            ));
        }
        None
    }
}

/// A mark as a file.
#[derive(Deserialize, Serialize)]
struct Form {
    /// The source: at another place it stands elsewhere.
    at: String,
    history: String,
    serial: u32,
    revision: u64,
    issued: u64,
}

const NAME: &str = "verified.json";

/// The longest file with a mark: an endpoint is the most of it.
const MAX_MARK: u64 = 64 * 1024;

/// Keeps the mark of the source at this place. Blocks.
pub(super) fn keep(folder: &Path, at: &str, mark: &Mark) -> io::Result<()> {
    let form = Form {
        at: at.to_owned(),
        history: hex::encode(&mark.history),
        serial: mark.serial,
        revision: mark.revision,
        issued: mark.issued.seconds(),
    };
    fs::create_dir_all(folder)?;
    let beside = folder.join(".verified.new");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(&form)?)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(NAME))?;
    File::open(folder)?.sync_all()
}

/// The mark that was kept of the source at this place, `None` when there is none. Blocks.
///
/// # Errors
///
/// When it cannot be read, or is damaged.
pub(super) fn kept(folder: &Path, at: &str) -> io::Result<Option<Mark>> {
    let file = match File::open(folder.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let form: Form = serde_json::from_reader(io::Read::take(file, MAX_MARK))?;
    if form.at != at {
        return Ok(None);
    }
    let history = hex::decode(&form.history).and_then(|name| name.try_into().ok());
    Ok(Some(Mark {
        history: history.ok_or(io::ErrorKind::InvalidData)?,
        serial: form.serial,
        revision: form.revision,
        issued: UnixTime::new(form.issued),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark {
        history: [7; 16],
        serial: 5,
        revision: 3,
        issued: UnixTime::new(1_000),
    };

    #[test]
    fn nobody_goes_back_in_a_history() {
        let against = |next: Mark| MARK.against(&next).is_some();
        assert!(!against(MARK));
        let serial = |serial, revision| Mark {
            serial,
            revision,
            issued: UnixTime::new(2_000),
            ..MARK
        };
        assert!(!against(serial(6, 0)));
        assert!(!against(serial(5, 4)));
        assert!(against(serial(5, 2)));
        assert!(against(serial(4, 9)));
        // RFC 1982: four thousand million is behind five.
        assert!(against(serial(4_000_000_000, 9)));
        let elsewhere = Mark {
            history: [8; 16],
            ..serial(1, 0)
        };
        assert!(!against(elsewhere));
        for older in [serial(6, 0), elsewhere] {
            let issued = UnixTime::new(999);
            assert!(against(Mark { issued, ..older }));
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("source");
        assert_eq!(kept(&folder, "a").unwrap(), None);
        keep(&folder, "a", &MARK).unwrap();
        assert_eq!(kept(&folder, "a").unwrap(), Some(MARK));
        assert_eq!(kept(&folder, "b").unwrap(), None);
        for damaged in [
            "",
            "{}",
            r#"{"at":"a","history":"07","serial":1,"revision":1}"#,
        ] {
            fs::write(folder.join(NAME), damaged).unwrap();
            assert!(kept(&folder, "a").is_err(), "{damaged}");
        }
    }
}
