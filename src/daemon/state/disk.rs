//! What the state takes of a file system, step by step, so that a test can stop between any two.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use super::error::{DiskError, StateError};
use crate::feed::Sealed;
use crate::net::files;
use crate::sign::Digest;

/// A file system. Everything blocks. A clone is the same one.
pub trait Disk: Clone {
    /// An open file.
    type File: Read + Write + Send;

    /// Makes a folder and those above it, unless they are there.
    ///
    /// # Errors
    ///
    /// Those of the file system, as of every other operation.
    fn make_folder(&mut self, path: &Path) -> io::Result<()>;

    /// The names in a folder.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn list(&mut self, folder: &Path) -> io::Result<Vec<String>>;

    /// Opens a file to read it.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn open(&mut self, path: &Path) -> io::Result<Self::File>;

    /// Makes an empty file to write it, in place of one that is there.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn create(&mut self, path: &Path) -> io::Result<Self::File>;

    /// Waits until what was written to a file is durable; its name need not be.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn sync(&mut self, file: &mut Self::File) -> io::Result<()>;

    /// Gives a file another name, in place of a file that has it.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Waits until the names in a folder are durable.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn sync_folder(&mut self, path: &Path) -> io::Result<()>;

    /// Writes a file under one name and gives it another once its content is durable, so that
    /// nobody ever finds a part of it. Its new name is durable once the folder is.
    ///
    /// # Errors
    ///
    /// When it cannot be written. Under the new name is then what was there before, or the whole
    /// file.
    fn put(
        &mut self,
        from: &Path,
        to: &Path,
        write: impl FnOnce(&mut Sealed<&mut Self::File>) -> io::Result<()>,
    ) -> Result<Digest, DiskError>
    where
        Self: Sized,
    {
        let written = || {
            let mut file = self.create(from)?;
            let mut out = Sealed::new(&mut file);
            write(&mut out)?;
            let digest = out.finish();
            self.sync(&mut file)?;
            Ok(digest)
        };
        // One that is left over is found at the next start.
        let digest = written().map_err(|error| {
            let _ = self.remove(from);
            DiskError::at(from)(error)
        })?;
        self.rename(from, to).map_err(DiskError::at(to))?;
        Ok(digest)
    }
}

/// The file system of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files;

impl Disk for Files {
    type File = File;

    fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&mut self, folder: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        let names: io::Result<Vec<Option<String>>> = names.collect();
        Ok(names?.into_iter().flatten().collect())
    }

    fn open(&mut self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn create(&mut self, path: &Path) -> io::Result<File> {
        File::create(path)
    }

    fn sync(&mut self, file: &mut File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        files::sync_folder(path)
    }
}

/// Takes the lock of a state directory. It is held until the file is closed, whatever ends the
/// process.
pub(super) fn lock(path: &Path) -> Result<File, StateError> {
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| StateError::Disk(DiskError::at(path)(error)))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StateError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(StateError::Disk(DiskError::at(path)(error))),
    }
}
