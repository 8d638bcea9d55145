//! The feed, laid out where others serve it: in a folder for a web server, and in storage.
//!
//! Whatever the place: the files of a manifest are there before it is, and stay there for a while
//! after it is gone. Each place has a task of its own, which tries until it has succeeded; nobody
//! waits for it.

#[cfg(feature = "object-store")]
pub mod bucket;
mod folder;
mod leftovers;
mod standing;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
#[cfg(feature = "object-store")]
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

pub use self::folder::Folder;
pub use self::standing::{Standing, warnings, write_metrics};
use super::announce::Bulletin;
use super::with_causes;

/// Why the feed was not laid out.
#[derive(Debug)]
pub enum PublishError {
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
    /// A file is not the one that the manifest means: a newer manifest is about to come.
    Stale(PathBuf),
    /// Storage refuses or is not there.
    Storage(Box<dyn Error + Send + Sync>),
    /// Somebody else writes there. The text says what was found.
    Fenced(String),
    /// It took too long.
    Late,
}

impl PublishError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File(path, error)
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, _) => write!(f, "{}", path.display()),
            Self::Stale(path) => write!(f, "{}: not what the manifest names", path.display()),
            Self::Storage(_) => f.write_str("storage"),
            Self::Fenced(found) => f.write_str(found),
            Self::Late => write!(f, "not done within {} s", LONGEST.as_secs()),
        }
    }
}

impl Error for PublishError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File(_, cause) => Some(cause),
            Self::Storage(cause) => Some(&**cause),
            Self::Stale(_) | Self::Fenced(_) | Self::Late => None,
        }
    }
}

/// Where the feed is laid out.
#[derive(Debug)]
pub enum Place {
    /// A folder.
    Folder(Folder),
    /// Storage.
    #[cfg(feature = "object-store")]
    Bucket(Box<bucket::Shelf>),
}

impl Place {
    async fn lay(&mut self, bulletin: &Arc<Bulletin>) -> Result<(), PublishError> {
        match self {
            Self::Folder(folder) => folder.lay(bulletin).await,
            #[cfg(feature = "object-store")]
            Self::Bucket(shelf) => {
                let laid = timeout(LONGEST, shelf.lay(bulletin)).await;
                laid.unwrap_or(Err(PublishError::Late))
            }
        }
    }
}

/// The first and the longest wait after a failure.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];

/// How long it may take to lay out everything in storage once.
const LONGEST: Duration = Duration::from_secs(600);

/// Lays out what is announced until told to stop. While nothing is announced, what was last stays
/// as it is: its manifest says until when it counts.
pub async fn run(
    mut place: Place,
    mut bulletins: watch::Receiver<Option<Arc<Bulletin>>>,
    standing: Arc<Standing>,
    mut stop: watch::Receiver<bool>,
) {
    let [first, longest] = WAITS;
    let mut wait = first;
    loop {
        let bulletin = bulletins.borrow_and_update().clone();
        let mut again = None;
        if let Some(bulletin) = bulletin {
            let laid = tokio::select! {
                () = super::told(&mut stop) => return,
                laid = place.lay(&bulletin) => laid,
            };
            match laid {
                Ok(()) => {
                    wait = first;
                    if standing.succeeded(&bulletin) {
                        info!(place = standing.name(), "the feed is laid out");
                    }
                }
                Err(PublishError::Fenced(found)) => {
                    error!(
                        place = standing.name(),
                        found, "SOMEBODY ELSE WRITES THE FEED THERE: this server does so no more"
                    );
                    standing.fenced(found);
                    return;
                }
                Err(error) => {
                    let error = with_causes(&error);
                    let place = standing.name();
                    match standing.failed(&error) {
                        true => warn!(place, error, "the feed cannot be laid out"),
                        false => debug!(place, error, "the feed cannot be laid out"),
                    }
                    again = Some(wait);
                    wait = (wait * 2).min(longest);
                }
            }
        }
        let over = async {
            match again {
                Some(wait) => sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = super::told(&mut stop) => return,
            changed = bulletins.changed() => if changed.is_err() {
                return;
            },
            () = over => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
