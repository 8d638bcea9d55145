//! Files with certificates, keys and secrets: small, read whole, and never without a limit.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// What is wrong with a file.
#[derive(Debug)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1 on, where there is one to blame.
    pub line: Option<usize>,
    /// What is wrong, without the content: it may be a secret.
    pub cause: Box<str>,
}

impl FileError {
    /// What is wrong with a file as a whole.
    pub fn new(path: &Path, cause: impl fmt::Display) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            cause: cause.to_string().into(),
        }
    }

    /// What is wrong with a line of a file, the first of which is 1.
    pub fn at(path: &Path, line: usize, cause: impl fmt::Display) -> Self {
        Self {
            line: Some(line),
            ..Self::new(path, cause)
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl Error for FileError {}

/// The most octets of a file with certificates, keys or users: thousands of them.
pub const MAX_FILE: u64 = 16 << 20;

/// The most octets of a file with one secret.
const MAX_SECRET: u64 = 4096;

/// Reads a file of at most so many octets. Blocks.
///
/// # Errors
///
/// When it cannot be read or is larger.
pub fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let mut octets = Zeroizing::new(Vec::new());
    let read = |octets: &mut Vec<u8>| -> io::Result<usize> {
        File::open(path)?.take(limit + 1).read_to_end(octets)
    };
    let length = read(&mut octets).map_err(|error| FileError::new(path, error))?;
    if u64::try_from(length).is_ok_and(|length| length > limit) {
        let cause = format!("longer than {limit} octets");
        return Err(FileError::new(path, cause));
    }
    Ok(octets)
}

/// Reads a secret: the first line of a file, without the white space around it. Blocks.
///
/// # Errors
///
/// When the file cannot be read, is longer than 4096 octets, or begins with an empty line: an
/// empty secret would let everybody in.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let octets = read(path, MAX_SECRET)?;
    let line = octets.split(|octet| *octet == b'\n').next();
    match line.unwrap_or_default().trim_ascii() {
        [] => Err(FileError::new(path, "there is no secret in its first line")),
        secret => Ok(Zeroizing::new(secret.to_vec())),
    }
}

/// Whether others than the owner and the group may read a file. Blocks.
///
/// # Errors
///
/// When the file is not there.
pub fn is_public(path: &Path) -> Result<bool, FileError> {
    use std::os::unix::fs::PermissionsExt;
    let data = path
        .metadata()
        .map_err(|error| FileError::new(path, error))?;
    Ok(data.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_secret_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (text, secret) in [
            ("abc", Some("abc")),
            (" abc def \r\nmore", Some("abc def")),
            ("", None),
            ("\nabc", None),
            (&"x".repeat(4097), None),
        ] {
            fs::write(&path, text).unwrap();
            let read = read_secret(&path).ok();
            assert_eq!(
                read.as_ref().map(|read| read.as_slice()),
                secret.map(str::as_bytes)
            );
        }
        let error = read_secret(folder.path().join("none").as_path()).unwrap_err();
        assert!(error.to_string().contains("none: No such file"), "{error}");
    }

    #[test]
    fn what_everybody_can_read_is_public() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, public) in [(0o600, false), (0o640, false), (0o644, true)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_public(file.path()).unwrap(), public);
        }
    }
}
