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

/// What came of reading files.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Each file in the order in which they were named, those of a folder by name.
    pub files: Vec<Result<Parsed, FileError>>,
}

/// Files cannot be read.
#[derive(Debug)]
pub struct LoadError {
    /// The file or folder.
    path: PathBuf,
    /// What is wrong; `None` for a folder without files.
    cause: Option<io::Error>,
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
        self.cause.as_ref().map(|cause| cause as _)
    }
}

impl Loaded {
    /// Reads files, the `.json` and `.slurm` files of folders, and for `-` standard input.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read. What is wrong in a file is no error here.
    pub fn read(paths: &[PathBuf], reading: Reading) -> Result<Self, LoadError> {
        let mut files = Vec::new();
        for path in paths {
            if path.as_os_str() == "-" {
                let text = octets(path, io::stdin().lock())?;
                files.push(parse("-", &text, reading));
                continue;
            }
            for path in named(path)? {
                let file = File::open(&path).map_err(failed(&path))?;
                let text = octets(&path, file)?;
                files.push(parse(&path.display().to_string(), &text, reading));
            }
        }
        Ok(Self { files })
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LoadError {
    let path = path.to_owned();
    move |cause| LoadError {
        path,
        cause: Some(cause),
    }
}

fn octets(path: &Path, input: impl Read) -> Result<Vec<u8>, LoadError> {
    let mut text = Vec::new();
    let read = input.take(LONGEST).read_to_end(&mut text);
    read.map_err(failed(path))?;
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
