//! SLURM files as they lie on a disk.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::slurm::{FileError, Parsed, Reading, parse};

/// The longest file that is read; the parser refuses shorter ones already.
const LONGEST: u64 = 64 << 20;

/// Why a file says nothing.
#[derive(Debug)]
pub enum Refusal {
    /// It cannot be read.
    Unread(LoadError),
    /// It has faults.
    Faults(FileError),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(error) => error.fmt(f),
            Self::Faults(error) => error.fmt(f),
        }
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unread(error) => error.source(),
            Self::Faults(error) => error.source(),
        }
    }
}

/// Reads files, the `.json` and `.slurm` files of folders, and for `-` standard input: in the order
/// in which they are named, those of a folder by name. Each comes with its name.
pub fn load(paths: &[PathBuf], reading: Reading) -> Vec<(String, Result<Parsed, Refusal>)> {
    let mut files = Vec::new();
    for path in paths {
        match named(path) {
            Ok(found) => files.extend(
                found
                    .iter()
                    .map(|path| (path.display().to_string(), read(path, reading))),
            ),
            Err(error) => {
                files.push((path.display().to_string(), Err(Refusal::Unread(error))));
            }
        }
    }
    files
}

fn read(path: &Path, reading: Reading) -> Result<Parsed, Refusal> {
    let text = if path.as_os_str() == "-" {
        octets(io::stdin().lock())
    } else {
        File::open(path).and_then(octets)
    };
    let text = text.map_err(|cause| Refusal::Unread(failed(path)(cause)))?;
    parse(&path.display().to_string(), &text, reading).map_err(Refusal::Faults)
}

/// A file cannot be read, or a folder has none.
#[derive(Debug)]
pub struct LoadError {
    /// The file or folder.
    path: PathBuf,
    /// What is wrong; `None` for a folder without files.
    cause: Option<io::Error>,
}

impl LoadError {
    /// What is wrong, without the name of the file.
    pub fn reason(&self) -> String {
        match &self.cause {
            Some(cause) => format!("cannot be read: {cause}"),
            None => "expected files that end in .json or .slurm in this folder, found none".into(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.cause {
            Some(_) => write!(f, "cannot read {path}"),
            None => write!(
                f,
                "expected files that end in .json or .slurm in {path}, found none"
            ),
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let cause = self.cause.as_ref()?;
        Some(cause)
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LoadError {
    let path = path.to_owned();
    move |cause| LoadError {
        path,
        cause: Some(cause),
    }
}

fn octets(input: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// The path itself, or the files of a folder by name.
fn named(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed(path))? {
        let file = entry.map_err(failed(path))?.path();
        if is_slurm(&file) && !file.is_dir() {
            files.push(file);
        }
    }
    if files.is_empty() {
        let path = path.to_owned();
        return Err(LoadError { path, cause: None });
    }
    files.sort();
    Ok(files)
}

fn is_slurm(path: &Path) -> bool {
    let hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
    let end = path.extension();
    !path.file_name().is_some_and(hidden) && end.is_some_and(|end| end == "json" || end == "slurm")
}
