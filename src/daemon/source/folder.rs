//! Folders whose documents are one list together.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::error::SourceError;
use super::list::{Conditions, List};
use crate::payload::Rows;
use crate::payload::merge::{Contribution, merge};

/// The most documents of a folder: one for each of a few hundred sites, and no surprise when the
/// path is that of something else.
const MAX_DOCUMENTS: usize = 1_000;

/// Whether a file of this name in a folder is one of its documents.
pub(super) fn is_document(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let packed = [&b".gz"[..], b".xz", b".zst"];
    let plain = packed.iter().find_map(|end| name.strip_suffix(*end));
    let plain = plain.unwrap_or(name);
    !name.starts_with(b".") && (plain.ends_with(b".json") || plain.ends_with(b".csv"))
}

/// The documents of a folder, by name.
///
/// # Errors
///
/// When it cannot be read, when there are none, and when there are too many.
pub(super) fn documents(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, SourceError> {
    let failed = |path: &Path, error| SourceError::File {
        path: path.into(),
        error,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let entry = entry.map_err(|error| failed(folder, error))?;
        if !is_document(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => found.push((path, metadata)),
            Ok(_) => {}
            // It went away since the folder was read; a link that leads nowhere did not.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_there(&path) => {}
            Err(error) => return Err(failed(&path, error)),
        }
        if found.len() > MAX_DOCUMENTS {
            let (path, limit) = (folder.into(), MAX_DOCUMENTS);
            return Err(SourceError::TooManyDocuments { path, limit });
        }
    }
    if found.is_empty() {
        let path = folder.into();
        return Err(SourceError::NoDocuments { path });
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// All rows together. Two by two, so that a thousand small files cost as few passes as it takes
/// to halve them away.
fn union(mut rows: Vec<Rows>) -> Rows {
    while rows.len() > 1 {
        let pairs = rows.chunks(2).map(|pair| {
            let contributions: Vec<Contribution<'_>> = pair
                .iter()
                .map(|rows| Contribution { place: 0, rows })
                .collect();
            merge(&contributions, 1)
        });
        rows = pairs.collect();
    }
    rows.pop().unwrap_or_default()
}

/// The lists of several documents as one, which is as old as the oldest of them.
pub(super) fn together(lists: &[(&Path, List)]) -> List {
    let count = lists.len();
    let of_all = || lists.iter().map(|(_, list)| list);
    let states = of_all().any(|list| list.stated.is_some());
    let oldest = of_all().map(List::dated).min();
    let first_skipped = lists.iter().find_map(|(path, list)| {
        let first = list.first_skipped.as_ref()?;
        let name = path.file_name().unwrap_or_default().display();
        Some(format!("{name}: {first}"))
    });
    List {
        rows: union(of_all().map(|list| list.rows.clone()).collect()),
        dialect: match count {
            1 => "1 file".into(),
            _ => format!("{count} files").into(),
        },
        stated: oldest.filter(|_| states),
        valid: of_all().filter_map(|list| list.valid).min(),
        arrived: of_all()
            .map(|list| list.arrived)
            .min()
            .unwrap_or_else(super::unix_now),
        listed: of_all().map(|list| list.listed).sum(),
        skipped: of_all().map(|list| list.skipped).sum(),
        first_skipped,
        serial: None,
        expire: None,
        conditions: Conditions::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::UnixTime;

    #[test]
    fn documents_are_told_by_their_names() {
        for name in ["a.json", "b.csv", "c.json.gz", "d.csv.xz", "e.json.zst"] {
            assert!(is_document(OsStr::new(name)), "{name}");
        }
        for name in [
            "",
            "json",
            ".a.json",
            "a.json.tmp",
            "a.JSON",
            "a.gz",
            "a.json.gz.gz",
            "a.slurm",
        ] {
            assert!(!is_document(OsStr::new(name)), "{name}");
        }
    }

    fn list(stated: Option<u64>, arrived: u64) -> List {
        List {
            rows: Rows::default(),
            dialect: "".into(),
            stated: stated.map(UnixTime::new),
            valid: stated.map(|stated| UnixTime::new(stated + 100)),
            arrived: UnixTime::new(arrived),
            listed: 2,
            skipped: 1,
            first_skipped: Some(format!("row {arrived}")),
            serial: Some(1),
            expire: None,
            conditions: Conditions::default(),
        }
    }

    #[test]
    fn together_they_are_as_old_as_the_oldest() {
        let (a, b) = (Path::new("/f/a.json"), Path::new("/f/b.csv"));
        let both = together(&[(a, list(Some(50), 90)), (b, list(Some(60), 80))]);
        assert_eq!(both.stated, Some(UnixTime::new(50)));
        assert_eq!(both.valid, Some(UnixTime::new(150)));
        assert_eq!((both.listed, both.skipped), (4, 2));
        assert_eq!(both.first_skipped.as_deref(), Some("a.json: row 90"));
        assert_eq!(&*both.dialect, "2 files");
        // One that states no time is as old as the file.
        let both = together(&[(a, list(Some(50), 90)), (b, list(None, 40))]);
        assert_eq!(both.stated, Some(UnixTime::new(40)));
        let both = together(&[(a, list(None, 90)), (b, list(None, 40))]);
        assert_eq!((both.stated, both.arrived), (None, UnixTime::new(40)));
    }
}
