//! `rutter slurm check`, and local exceptions for other commands.

use std::error::Error;
use std::path::PathBuf;

use crate::slurm::{AspaOverlap, Exceptions, Reading, combine};
use crate::tools::exceptions::Loaded;

/// The exceptions of these files and folders; none of none.
///
/// # Errors
///
/// When one cannot be read or has a fault, and when two of them conflict.
pub(super) fn exceptions(
    paths: &[PathBuf],
    reading: Reading,
    overlap: AspaOverlap,
) -> Result<Exceptions, Box<dyn Error>> {
    let loaded = Loaded::read(paths, reading)?;
    let mut files = Vec::new();
    for parsed in loaded.files {
        files.push(parsed?.file);
    }
    Ok(combine(files, overlap)?)
}
