//! A disk that forgets what was not made durable, and fails where it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::Disk;
use super::Random;

/// What happens at an operation that changes something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It works.
    Works,
    /// It fails, and the next one is asked about anew.
    Fails(io::ErrorKind),
    /// The power goes: nothing works any more.
    Dies,
}

/// An operation that changes something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation {
    Create,
    Write,
    Sync,
    Rename,
    Remove,
    SyncFolder,
}

/// What is left of a disk when the power comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rest {
    /// Everything: only the process ended.
    All,
    /// Only what was made durable.
    Durable,
    /// Every name, and of the contents only what was made durable.
    Names,
    /// Of what was not made durable, anything.
    Anything,
}

impl Rest {
    pub(super) const ALL: [Self; 4] = [Self::All, Self::Durable, Self::Names, Self::Anything];
}

type Judge = Box<dyn FnMut(usize, Operation) -> Fate + Send>;

#[derive(Clone, Debug)]
pub(super) struct Sim(Arc<Mutex<Inner>>);

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
}

/// What happened to names in one operation, and is not durable yet.
#[derive(Clone)]
struct Change {
    set: Option<(PathBuf, usize)>,
    removed: Option<PathBuf>,
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        if let Some(path) = &self.removed {
            names.remove(path);
        }
        if let Some((path, file)) = &self.set {
            names.insert(path.clone(), *file);
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        let paths = self.set.iter().map(|(path, _)| path).chain(&self.removed);
        paths.into_iter().any(|path| path.parent() == Some(folder))
    }
}

struct Inner {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    pending: Vec<Change>,
    folders: BTreeSet<PathBuf>,
    count: usize,
    judge: Judge,
    dead: bool,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names.keys()).finish()
    }
}

impl Sim {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            folders: BTreeSet::new(),
            count: 0,
            judge: Box::new(|_, _| Fate::Works),
            dead: false,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Decides from now on what happens to operations, which are counted from 0.
    pub(super) fn judge(&self, judge: impl FnMut(usize, Operation) -> Fate + Send + 'static) {
        let mut inner = self.inner();
        inner.count = 0;
        inner.judge = Box::new(judge);
    }

    pub(super) fn operations(&self) -> usize {
        self.inner().count
    }

    pub(super) fn is_dead(&self) -> bool {
        self.inner().dead
    }

    /// The disk after the process and perhaps the power have gone.
    pub(super) fn rest(&self, rest: Rest, random: &mut Random) -> Self {
        let inner = self.inner();
        let mut names = inner.durable.clone();
        for change in &inner.pending {
            let kept = match rest {
                Rest::All | Rest::Names => true,
                Rest::Durable => false,
                Rest::Anything => random.below(2) == 0,
            };
            if kept {
                change.apply(&mut names);
            }
        }
        let left = |content: &Content, random: &mut Random| match rest {
            Rest::All => content.now.clone(),
            Rest::Durable | Rest::Names => content.durable.clone(),
            Rest::Anything if content.now == content.durable => content.now.clone(),
            Rest::Anything => {
                let length = u64::try_from(content.now.len()).unwrap() + 1;
                let length = usize::try_from(random.below(length)).unwrap();
                content.now[..length].to_vec()
            }
        };
        let files = inner.files.iter().map(|content| {
            let now = left(content, random);
            let durable = now.clone();
            Content { now, durable }
        });
        let other = Self::new();
        let files = files.collect();
        let folders = inner.folders.clone();
        {
            let mut other = other.inner();
            (other.files, other.folders) = (files, folders);
            (other.durable, other.names) = (names.clone(), names);
        }
        other
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.inner().names.keys().cloned().collect()
    }

    pub(super) fn content(&self, path: &Path) -> Vec<u8> {
        let inner = self.inner();
        inner.files[inner.names[path]].now.clone()
    }

    /// Changes a file behind everybody's back.
    pub(super) fn damage(&self, path: &Path, content: &[u8]) {
        let mut inner = self.inner();
        let file = inner.names[path];
        inner.files[file] = Content {
            now: content.to_vec(),
            durable: content.to_vec(),
        };
    }

    fn may(&self, operation: Operation) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.dead {
            return Err(io::Error::other("no power"));
        }
        let number = inner.count;
        inner.count += 1;
        match (inner.judge)(number, operation) {
            Fate::Works => Ok(()),
            Fate::Fails(kind) => Err(kind.into()),
            Fate::Dies => {
                inner.dead = true;
                Err(io::Error::other("no power"))
            }
        }
    }

    fn change(&self, change: Change) {
        let mut inner = self.inner();
        change.apply(&mut inner.names);
        inner.pending.push(change);
    }

    /// A folder with all that is in it, and at once.
    fn rename_folder(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.may(Operation::Rename)?;
        let mut inner = self.inner();
        let moved = |path: &Path| match path.strip_prefix(from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
            Ok(rest) => to.join(rest),
            Err(_) => path.to_owned(),
        };
        inner.folders = inner.folders.iter().map(|path| moved(path)).collect();
        for names in [0, 1] {
            let names = match names {
                0 => &mut inner.names,
                _ => &mut inner.durable,
            };
            let old = std::mem::take(names).into_iter();
            *names = old.map(|(path, file)| (moved(&path), file)).collect();
        }
        Ok(())
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let found = self.inner().names.get(path).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub(super) struct SimFile {
    disk: Sim,
    file: usize,
    at: usize,
}

impl Read for SimFile {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let inner = self.disk.inner();
        let length = (&inner.files[self.file].now[self.at..]).read(octets)?;
        self.at += length;
        Ok(length)
    }
}

impl Write for SimFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        // What is cut short has written something.
        let done = self.disk.may(Operation::Write);
        let length = match done {
            Ok(()) => octets.len(),
            Err(_) => octets.len() / 2,
        };
        let mut inner = self.disk.inner();
        inner.files[self.file].now.extend(&octets[..length]);
        done.map(|()| length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Sim {
    type File = SimFile;

    fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        self.inner().folders.insert(path.to_owned());
        Ok(())
    }

    fn list(&mut self, folder: &Path) -> io::Result<Vec<String>> {
        let inner = self.inner();
        if !inner.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = inner
            .names
            .keys()
            .filter(|path| path.parent() == Some(folder));
        let folders = inner.folders.iter();
        let all = names.chain(folders.filter(|path| path.parent() == Some(folder)));
        let names = all.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        Ok(names.collect())
    }

    fn open(&mut self, path: &Path) -> io::Result<SimFile> {
        let file = self.find(path)?;
        let disk = self.clone();
        Ok(SimFile { disk, file, at: 0 })
    }

    fn create(&mut self, path: &Path) -> io::Result<SimFile> {
        self.may(Operation::Create)?;
        let mut inner = self.inner();
        inner.files.push(Content::default());
        let file = inner.files.len() - 1;
        drop(inner);
        self.change(Change {
            set: Some((path.to_owned(), file)),
            removed: None,
        });
        let disk = self.clone();
        Ok(SimFile { disk, file, at: 0 })
    }

    fn sync(&mut self, file: &mut SimFile) -> io::Result<()> {
        self.may(Operation::Sync)?;
        let content = &mut self.inner().files[file.file];
        content.durable = content.now.clone();
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.inner().folders.contains(from) {
            return self.rename_folder(from, to);
        }
        let file = self.find(from)?;
        self.may(Operation::Rename)?;
        self.change(Change {
            set: Some((to.to_owned(), file)),
            removed: Some(from.to_owned()),
        });
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        self.may(Operation::Remove)?;
        self.change(Change {
            set: None,
            removed: Some(path.to_owned()),
        });
        Ok(())
    }

    fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        self.may(Operation::SyncFolder)?;
        let mut inner = self.inner();
        let pending = std::mem::take(&mut inner.pending);
        let (done, pending): (Vec<_>, Vec<_>) =
            pending.into_iter().partition(|change| change.is_in(path));
        for change in &done {
            change.apply(&mut inner.durable);
        }
        inner.pending = pending;
        Ok(())
    }
}
