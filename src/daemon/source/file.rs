//! Documents in files.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::error::SourceError;
use super::intake::{self, Lease, LeaseHolder};
use super::watcher::Watcher;
use super::{Closed, Content, Outlet, limits};
use crate::config::Source;
use crate::json::{Document, Limits};

/// Delivers a file as often as it changes.
pub(super) async fn deliver(source: &Source, path: &Path, outlet: &Outlet) -> Result<(), Closed> {
    let mut watcher = Watcher::new(path);
    let mut known = Known::default();
    let mut occasion = Occasion::Schedule;
    let mut watched = Watched::Yet;
    loop {
        if occasion == Occasion::Schedule {
            // Before the look, so that no change falls between the two.
            (watcher, watched) = renew(watcher, watched, source, path).await;
        }
        let started = Instant::now();
        let finding = look(path, &known, &limits(source)).await;
        if let Some(result) = known.learn(finding, occasion) {
            outlet.send(result, started.elapsed()).await?;
        }
        occasion = wait(&mut watcher, source.refresh, known.retry()).await;
    }
}

/// Looks in a row that may find a file half-written before that is an error: half a minute.
const TORN_IN_A_ROW: u32 = 100;

/// Time from a look that found the file half-written to the next one.
const TORN_WAIT: Duration = Duration::from_millis(300);

/// The least time between two looks, however much happens in the folder.
const SPACING: Duration = Duration::from_millis(50);

/// Why there is a look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Occasion {
    /// It was time.
    Schedule,
    /// The system says that something happened.
    Event,
}

async fn wait(watcher: &mut Watcher, refresh: Duration, retry: Option<Duration>) -> Occasion {
    let looked = Instant::now();
    let again = async {
        if let Some(retry) = retry {
            sleep_until(looked + retry).await;
        } else {
            watcher.changed().await;
            sleep_until(looked + SPACING).await;
        }
    };
    tokio::select! {
        () = again => Occasion::Event,
        () = sleep_until(looked + refresh) => Occasion::Schedule,
    }
}

/// Whether the folder is watched, to say so once when that changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Watched {
    /// It was not tried yet.
    Yet,
    Yes,
    No,
}

async fn renew(
    mut watcher: Watcher,
    before: Watched,
    source: &Source,
    path: &Path,
) -> (Watcher, Watched) {
    let renewed = spawn_blocking(move || {
        let result = watcher.renew();
        (watcher, result)
    });
    let Ok((watcher, result)) = renewed.await else {
        return (Watcher::new(path), Watched::No);
    };
    let source = &source.name;
    match result {
        Ok(()) => (watcher, Watched::Yes),
        Err(error) if before == Watched::No => {
            debug!(%source, %error, "folder of source not watched");
            (watcher, Watched::No)
        }
        Err(error) => {
            warn!(%source, %error, "folder of source not watched");
            (watcher, Watched::No)
        }
    }
}

/// What tells a file from what it was before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        }
    }
}

/// What looks at the file have shown so far.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The file that was delivered last.
    delivered: Option<Stamp>,
    /// The file that was refused, if the last one was.
    refused: Option<Stamp>,
    /// Whether the last thing said was an error.
    failing: bool,
    /// Looks in a row that found the file half-written.
    torn: u32,
}

/// What a look at the file shows.
enum Finding {
    /// The file that was delivered.
    Delivered,
    /// The file that was refused.
    Refused,
    /// Another file, and its document.
    Document(Stamp, Box<Document>),
    /// Another file, and why it is refused.
    Bad(Stamp, SourceError),
    /// Another file that is no document, and was written to while it was read.
    Torn(SourceError),
    /// No file.
    Nothing(SourceError),
}

impl Known {
    /// When to look again whatever happens, `None` when it is enough to wait for an event.
    fn retry(&self) -> Option<Duration> {
        (self.torn > 0).then_some(TORN_WAIT)
    }

    /// Remembers a finding. Gives what is to be said of it.
    fn learn(
        &mut self,
        finding: Finding,
        occasion: Occasion,
    ) -> Option<Result<Content, SourceError>> {
        let was_failing = self.failing;
        let was_torn = std::mem::take(&mut self.torn);
        match finding {
            Finding::Document(stamp, document) => {
                *self = Self {
                    delivered: Some(stamp),
                    ..Self::default()
                };
                Some(Ok(Content::Document(document)))
            }
            Finding::Delivered => {
                self.refused = None;
                self.failing = false;
                (was_failing || occasion == Occasion::Schedule).then_some(Ok(Content::Unchanged))
            }
            Finding::Refused => None,
            Finding::Torn(_) if was_torn < TORN_IN_A_ROW => {
                self.torn = was_torn + 1;
                None
            }
            Finding::Bad(stamp, error) => {
                self.refused = Some(stamp);
                self.failing = true;
                Some(Err(error))
            }
            Finding::Torn(error) => {
                self.failing = true;
                Some(Err(error))
            }
            Finding::Nothing(error) => {
                self.failing = true;
                (!was_failing || occasion == Occasion::Schedule).then_some(Err(error))
            }
        }
    }
}

async fn look(path: &Path, known: &Known, limits: &Limits) -> Finding {
    let lease = Lease::default();
    let job = Job {
        path: path.into(),
        known: known.clone(),
        limits: *limits,
        lease: lease.holder(),
    };
    let finding = spawn_blocking(move || job.look()).await;
    finding.unwrap_or(Finding::Nothing(SourceError::Reader))
}

/// A look, with all it needs on another thread.
struct Job {
    path: PathBuf,
    known: Known,
    limits: Limits,
    lease: LeaseHolder,
}

impl Job {
    fn look(self) -> Finding {
        // A pipe would block when it is opened.
        match fs::metadata(&self.path) {
            Ok(metadata) if !metadata.is_file() => {
                return Finding::Nothing(SourceError::NotAFile { path: self.path });
            }
            Ok(metadata) => {
                if let Some(finding) = self.seen_before(Stamp::from(&metadata)) {
                    return finding;
                }
            }
            Err(error) => return self.nothing(error),
        }
        match self.read() {
            Ok(finding) => finding,
            Err(error) => self.nothing(error),
        }
    }

    fn seen_before(&self, stamp: Stamp) -> Option<Finding> {
        if self.known.delivered == Some(stamp) {
            Some(Finding::Delivered)
        } else if self.known.refused == Some(stamp) {
            Some(Finding::Refused)
        } else {
            None
        }
    }

    /// The file may be another one since the look at its name, so the stamp is that of what was
    /// opened, from before it was read.
    fn read(&self) -> io::Result<Finding> {
        let file = File::open(&self.path)?;
        let stamp = Stamp::from(&file.metadata()?);
        let result = intake::read(&file, &self.limits, &self.lease);
        let error = match result {
            Ok(document) => return Ok(Finding::Document(stamp, Box::new(document))),
            Err(intake::Failure::Input(error)) => return Err(error),
            Err(failure) => SourceError::of_file(failure, &self.path),
        };
        if Stamp::from(&file.metadata()?) == stamp {
            Ok(Finding::Bad(stamp, error))
        } else {
            Ok(Finding::Torn(error))
        }
    }

    fn nothing(self, error: io::Error) -> Finding {
        let path = self.path;
        Finding::Nothing(SourceError::File { path, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torn() -> Finding {
        Finding::Torn(SourceError::Reader)
    }

    #[test]
    fn a_file_that_is_being_written_is_an_error_only_after_long() {
        let mut known = Known::default();
        for _ in 0..TORN_IN_A_ROW {
            assert!(known.learn(torn(), Occasion::Event).is_none());
            assert_eq!(known.retry(), Some(TORN_WAIT));
        }
        assert!(known.learn(torn(), Occasion::Event).is_some());
        assert_eq!(known.retry(), None);
    }

    #[test]
    fn a_torn_read_in_between_begins_anew() {
        let mut known = Known::default();
        assert!(known.learn(torn(), Occasion::Event).is_none());
        let missing = || Finding::Nothing(SourceError::Reader);
        assert!(known.learn(missing(), Occasion::Event).is_some());
        assert_eq!(known.torn, 0);
        // Said once, however much happens in the folder; and again when it is time.
        assert!(known.learn(missing(), Occasion::Event).is_none());
        assert!(known.learn(missing(), Occasion::Schedule).is_some());
    }
}
