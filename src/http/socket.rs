//! The control socket in the file system.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tracing::{debug, warn};

use super::server::BindError;

/// A listening Unix socket whose file permission is the authority.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of its file: what is there at the end may be another server's.
    file: (u64, u64),
}

impl ControlSocket {
    /// Owner and group may connect, which takes the right to write.
    const MODE: u32 = 0o660;

    /// How long to wait after an accept that failed: descriptors are short, and others free them.
    const BACKOFF: Duration = Duration::from_millis(500);

    /// Listens at a path.
    pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |cause| BindError::Control {
            path: path.to_owned(),
            cause,
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
            made.map_err(failed)?;
        }
        free(path)?;
        // Made beside its place: nobody finds it there before it has its permissions, and a dead
        // one is replaced in one step.
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        free(&beside)?;
        // What is left by a start that broke off.
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside).map_err(failed)?;
        let placed = fs::set_permissions(&beside, Permissions::from_mode(Self::MODE))
            .and_then(|()| fs::rename(&beside, path))
            .and_then(|()| identity(path));
        let file = placed.map_err(|cause| {
            // What went wrong before says more than what may go wrong here.
            let _ = fs::remove_file(&beside);
            failed(cause)
        })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            file,
        })
    }

    /// Waits for the next connection. An error of one accept is waited out.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that was dropped has accepted no connection.
    pub(super) async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) => {
                    debug!(path = %self.path.display(), %error, "cannot accept on the control socket");
                    tokio::time::sleep(Self::BACKOFF).await;
                }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    /// Removes the file if it is still this one's, also when a start fails for something else.
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file)
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(path = %self.path.display(), %error, "the control socket stays behind");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Whether a socket can be put here: there is nothing, or a socket that nobody answers at.
fn free(path: &Path) -> Result<(), BindError> {
    let path_is = |make: fn(PathBuf) -> BindError| Err(make(path.to_owned()));
    let failed = |cause| BindError::Control {
        path: path.to_owned(),
        cause,
    };
    let file = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(failed)?,
    };
    if !file.file_type().is_socket() {
        return path_is(|path| BindError::NoSocket { path });
    }
    match StdUnixStream::connect(path) {
        Ok(_) => path_is(|path| BindError::Live { path }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // Its queue is full: somebody is behind it.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            path_is(|path| BindError::Live { path })
        }
        Err(cause) => Err(failed(cause)),
    }
}
