//! The system's notice that something in a folder has changed.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;
use tokio::time::timeout;

use super::folder;
use crate::sign::Statement;

/// Watches a folder of documents, or the folder that a file is in.
///
/// The folder, because a file that is renamed into place is another file, and because a
/// Kubernetes volume replaces a link beside the file. There are file systems without notices,
/// such as NFS, and folders that come later: whoever watches has to look now and then as well.
pub(in crate::daemon) struct Watcher {
    path: PathBuf,
    running: Option<Running>,
    signals: watch::Sender<Signals>,
    seen: watch::Receiver<Signals>,
    /// How many complete files were told of.
    handled: u64,
}

struct Running {
    /// Which folder it was: a name can come to mean another one.
    identity: (u64, u64),
    /// Stops when it is dropped.
    _watcher: RecommendedWatcher,
}

/// Which of the files in a folder we read.
#[derive(Clone, Debug)]
enum Ours {
    /// The one of this name.
    File(OsString),
    /// Those that look like documents.
    Documents,
}

impl Ours {
    fn has(&self, path: &Path) -> bool {
        let name = path.file_name();
        match self {
            // What is signed may have its signature beside it; a look too many costs nothing.
            Self::File(file) => name.is_some_and(|name| {
                let beside = name
                    .as_encoded_bytes()
                    .strip_suffix(Statement::ENDING.as_bytes());
                name == file.as_os_str() || beside == Some(file.as_encoded_bytes())
            }),
            // Local exceptions are watched for here, too; a look too many costs nothing.
            Self::Documents => name.is_some_and(|name| {
                folder::is_document(name) || name.as_encoded_bytes().ends_with(b".slurm")
            }),
        }
    }
}

/// How many events there were, of those that can mean that a document is complete and of others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Signals {
    complete: u64,
    partial: u64,
}

/// What an event is to us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Meaning {
    /// A file may be complete: it was renamed into place, or closed by its writer.
    Complete,
    /// Somebody may be at it still.
    Partial,
    /// It has nothing to do with our file.
    Nothing,
}

impl Watcher {
    /// A writer that has been quiet for that long and still keeps the file open may be done.
    const QUIET: Duration = Duration::from_millis(300);

    /// A watcher that does not watch yet.
    pub(in crate::daemon) fn new(path: &Path) -> Self {
        let (signals, seen) = watch::channel(Signals::default());
        Self {
            path: path.into(),
            running: None,
            signals,
            seen,
            handled: 0,
        }
    }

    /// Watches the folder that has the name now, if it does not already. Blocks for a moment.
    ///
    /// # Errors
    ///
    /// When there is no folder, or the system has no watches left.
    pub(in crate::daemon) fn renew(&mut self) -> Result<(), notify::Error> {
        let (folder, ours) = self.target();
        let identity = match identity(&folder) {
            Ok(identity) => identity,
            Err(error) => {
                self.running = None;
                return Err(notify::Error::io(error));
            }
        };
        if let Some(running) = &self.running
            && running.identity == identity
        {
            return Ok(());
        }
        self.running = None;
        let signals = self.signals.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let meaning = event.map_or(Meaning::Partial, |event| meaning(&event, &ours));
            signals.send_if_modified(|signals| signals.count(meaning));
        })?;
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        self.running = Some(Running {
            identity,
            _watcher: watcher,
        });
        Ok(())
    }

    /// What to watch, and for what.
    fn target(&self) -> (PathBuf, Ours) {
        if self.path.is_dir() {
            return (self.path.clone(), Ours::Documents);
        }
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
            _ => PathBuf::from("."),
        };
        let file = self.path.file_name().unwrap_or_default();
        (folder, Ours::File(file.into()))
    }

    /// Waits until something has changed and whoever changed it seems to be done.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, except that a wait for quiet begins with the next event.
    pub(in crate::daemon) async fn changed(&mut self) {
        // We hold a sender, so this does not fail.
        let _ = self.seen.changed().await;
        loop {
            let complete = self.seen.borrow_and_update().complete;
            if complete != self.handled {
                self.handled = complete;
                return;
            }
            if timeout(Self::QUIET, self.seen.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Signals {
    /// Whether it counted.
    fn count(&mut self, meaning: Meaning) -> bool {
        match meaning {
            Meaning::Complete => self.complete = self.complete.wrapping_add(1),
            Meaning::Partial => self.partial = self.partial.wrapping_add(1),
            Meaning::Nothing => return false,
        }
        true
    }
}

fn identity(folder: &Path) -> io::Result<(u64, u64)> {
    let folder = std::fs::metadata(folder)?;
    Ok((folder.dev(), folder.ino()))
}

/// Names that come and go matter whatever they are, because ours may be reached through a link
/// beside it. Writing matters in our files only: logs may grow in the same folder.
fn meaning(event: &Event, ours: &Ours) -> Meaning {
    let ours = event.paths.is_empty() || event.paths.iter().any(|path| ours.has(path));
    match event.kind {
        EventKind::Modify(ModifyKind::Name(_)) => Meaning::Complete,
        EventKind::Create(_) | EventKind::Remove(_) => Meaning::Partial,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) if ours => Meaning::Complete,
        // Reading is what we do ourselves.
        EventKind::Access(_) => Meaning::Nothing,
        _ if ours => Meaning::Partial,
        _ => Meaning::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, MetadataKind, RemoveKind, RenameMode};

    use super::*;

    #[test]
    fn events_mean_what_they_can_do_to_our_file() {
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let touched = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let read = EventKind::Access(AccessKind::Close(AccessMode::Read));
        let opened = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let (complete, partial, nothing) = (Meaning::Complete, Meaning::Partial, Meaning::Nothing);
        for (kind, of_ours, of_others) in [
            (renamed, complete, complete),
            (closed, complete, nothing),
            (written, partial, nothing),
            (touched, partial, nothing),
            (EventKind::Create(CreateKind::File), partial, partial),
            (EventKind::Remove(RemoveKind::File), partial, partial),
            (read, nothing, nothing),
            (opened, nothing, nothing),
        ] {
            let of = |name: &str| {
                let event = Event::new(kind).add_path(Path::new("/folder").join(name));
                let documents = meaning(&event, &Ours::Documents);
                assert_eq!(meaning(&event, &Ours::File("a.json".into())), documents);
                documents
            };
            let seen = (of("a.json"), of("log"));
            assert_eq!(seen, (of_ours, of_others), "{kind:?}");
        }
        // The queue of the system ran over, and anything may have happened.
        assert_eq!(
            meaning(&Event::new(EventKind::Other), &Ours::Documents),
            partial
        );
    }
}
