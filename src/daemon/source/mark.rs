//! Where a source stands that must not go back, kept over a restart.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::feed::advance::Mark;
use crate::net::files;
use crate::payload::UnixTime;
use crate::rtr::{HistoryName, Serial};
use crate::sign::hex;

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

const NAME: &str = "mark.json";

/// The longest file with a mark: an endpoint is the most of it.
const MAX_MARK: u64 = 64 * 1024;

/// Keeps the mark of the source at this place. Blocks.
pub(super) fn keep(folder: &Path, at: &str, mark: &Mark) -> io::Result<()> {
    let form = Form {
        at: at.to_owned(),
        history: hex::encode(mark.history.octets()),
        serial: mark.serial.into_u32(),
        revision: mark.revision,
        issued: mark.issued.seconds(),
    };
    let text = serde_json::to_vec(&form)?;
    fs::create_dir_all(folder)?;
    files::replace(&folder.join(NAME), |file| file.write_all(&text))?;
    files::sync_folder(folder)
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
        history: HistoryName::new(history.ok_or(io::ErrorKind::InvalidData)?),
        serial: Serial::new(form.serial),
        revision: form.revision,
        issued: UnixTime::new(form.issued),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark {
        history: HistoryName::new([7; 16]),
        serial: Serial::new(5),
        revision: 3,
        issued: UnixTime::new(1_000),
    };

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
