//! Files with certificates, keys and secrets: small, read whole, and never without a limit. And
//! files that are replaced whole.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
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

/// What a file says, and to whom. Overwritten when it is dropped.
pub struct Content {
    octets: Zeroizing<Vec<u8>>,
    mode: u32,
}

impl Content {
    /// Whether others than the owner and the group may read the file.
    pub const fn is_public(&self) -> bool {
        self.mode & 0o004 != 0
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.octets
    }
}

/// Reads a file of at most so many octets. Blocks, but never for somebody at the other end of a
/// pipe.
///
/// # Errors
///
/// When it cannot be read, is no regular file or larger, or when everybody may write to it: whoever
/// does would say who gets in.
pub fn read(path: &Path, limit: u64) -> Result<Content, FileError> {
    let fault = |error: io::Error| FileError::new(path, error);
    let (file, mode) = open_checked(path)?;
    let mut octets = Zeroizing::new(Vec::new());
    let read = file.take(limit + 1).read_to_end(&mut octets);
    if u64::try_from(read.map_err(fault)?).is_ok_and(|length| length > limit) {
        let cause = format!("longer than {limit} octets");
        return Err(FileError::new(path, cause));
    }
    Ok(Content { octets, mode })
}

/// Opens a file and looks at what was opened: what a path leads to may be another thing a moment
/// later. Gives its mode, too.
fn open_checked(path: &Path) -> Result<(File, u32), FileError> {
    let fault = |error: io::Error| FileError::new(path, error);
    let mut options = File::options();
    // A pipe without a writer would be waited for, and so would a terminal.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = options.read(true).custom_flags(flags).open(path);
    let file = file.map_err(fault)?;
    let data = file.metadata().map_err(fault)?;
    if !data.is_file() {
        return Err(FileError::new(path, "not a regular file"));
    }
    if data.mode() & 0o002 != 0 {
        return Err(FileError::new(path, "everybody can write to it"));
    }
    Ok((file, data.mode()))
}

/// Reads a secret: the first line of a file, without the white space around it. Blocks.
///
/// # Errors
///
/// When the file cannot be read, is longer than 4096 octets, or begins with an empty line: an
/// empty secret would let everybody in.
pub fn read_secret(path: &Path) -> Result<Content, FileError> {
    let content = read(path, MAX_SECRET)?;
    let line = content.split(|octet| *octet == b'\n').next();
    match line.unwrap_or_default().trim_ascii() {
        [] => Err(FileError::new(path, "there is no secret in its first line")),
        secret => Ok(Content {
            octets: Zeroizing::new(secret.to_vec()),
            mode: content.mode,
        }),
    }
}

/// Writes a file beside the one that is wanted, as `.NAME.new`, and gives it its name once it is
/// whole and on the disk; its name is there for good once the folder is synced ([`sync_folder`]).
/// Blocks.
///
/// # Errors
///
/// When it cannot be written; then what was there before is there still.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    // Left over by a process that was killed. A trap in a shared folder is not written through.
    let _ = fs::remove_file(&beside);
    let written = || {
        let mut file = File::create_new(&beside)?;
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    written().inspect_err(|_| {
        // What went wrong before says more than what may go wrong here.
        let _ = fs::remove_file(&beside);
    })
}

/// The file that lies beside another one, whose name is this name and an ending.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Waits until the names in a folder are on the disk. Blocks.
///
/// # Errors
///
/// Those of the file system.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
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
            assert_eq!(read.as_deref(), secret.map(str::as_bytes));
        }
        let error = read_secret(&folder.path().join("none")).err().unwrap();
        assert!(error.to_string().contains("none: No such file"), "{error}");
    }

    #[test]
    fn what_everybody_can_read_is_public() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, public) in [(0o600, false), (0o640, false), (0o644, true)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(file.path(), 9).unwrap().is_public(), public);
        }
    }

    #[test]
    fn what_everybody_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o602)).unwrap();
        let error = read(file.path(), 9).err().unwrap().to_string();
        assert!(error.ends_with("everybody can write to it"), "{error}");
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        for path in [&*path, folder.path(), Path::new("/dev/null")] {
            let error = read(path, 9).err().unwrap().to_string();
            assert!(error.ends_with("not a regular file"), "{error}");
        }
    }
}
