//! The state directory: what is served, kept for the next start.
//!
//! It holds the same files as a feed ([`feed`](crate::feed)) with a plain manifest, and these
//! rules hold whatever fails and whenever the power goes:
//!
//! - A serial is durable before a router sees it: first the file of its step, then the manifest
//!   that names it, each complete under another name before it is renamed.
//! - What the manifest names is there, and what is not named is never read.
//! - When a serial cannot be made durable, the manifest goes, so that no later start goes on from
//!   a serial that others have passed. When even that fails, the history itself has to end.
//! - What is damaged is set aside and said, and never half believed.
//!
//! The set and its attributes are written behind: they save the next start the steps since the
//! set that is there already. Everything here blocks. One server has the directory, by a lock;
//! and nobody shall copy an older directory over it, which would bring back serials that were
//! passed.

mod disk;
mod error;
mod layout;
mod load;
mod settle;
mod writer;

#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

pub use self::disk::{Disk, Files};
pub use self::error::{Damage, DiskError, KeepError, StateError};
use self::layout::Layout;
pub use self::load::{History, Loaded};
pub use self::settle::{Settled, Settling};
use self::writer::Writer;
use crate::daemon::authority::{Authority, Validity};
use crate::feed::{FileName, Manifest, Sealed};
use crate::payload::{Delta, UnixTime};
use crate::rtr::snapshot::{Entry, Trigger};
use crate::rtr::{HistoryName, Serial, Snapshot, Timing};

/// The most steps from the stored set to the serial before the set is written again.
const STEPS_BEHIND: usize = 128;

/// The set is written again when the steps since it are more than this part of it.
const OCTETS_BEHIND: u64 = 8;

/// How long a file stays that the manifest no longer names, in seconds: a follower that has the
/// manifest from before still finds it.
const GRACE: u64 = 600;

/// The most sets and attributes that stay for that, since each is large.
const SPARE: usize = 4;

/// A state directory that is ours.
#[derive(Debug)]
pub struct State<D: Disk = Files> {
    disk: D,
    layout: Layout,
    /// Held as long as the state is.
    _lock: Option<File>,
    timing: Timing,
    /// Whose the history is that was published last.
    authority: Authority,
    /// What the disk holds; `None` when it names no history.
    manifest: Option<Manifest>,
    /// The files of the feed that are there, and since when the manifest does not name them.
    present: BTreeMap<String, Option<UnixTime>>,
    /// Grows when the manifest goes, or names another history.
    epoch: u64,
    /// What was published last.
    latest: Option<(HistoryName, Serial)>,
    /// A history that the disk may hold or not, and that must not go on.
    lost: Option<HistoryName>,
}

/// How a snapshot that may be published is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stored {
    /// The next start goes on from it.
    Durable,
    /// Nothing of its history is stored yet, or nothing that routers see has changed:
    /// [`State::settle`] stores it.
    Behind,
}

impl State<Files> {
    /// Opens a state directory, which is made when it is not there, and reads what is in it.
    ///
    /// # Errors
    ///
    /// When another process has it, or it cannot be written.
    pub fn open(path: &Path, now: UnixTime) -> Result<(Self, Loaded), StateError> {
        let layout = Layout::new(path);
        let mut disk = Files;
        let new: Vec<&Path> = path
            .ancestors()
            .take_while(|path| !is_there(path))
            .collect();
        let made = disk.make_folder(path).map_err(DiskError::at(path));
        made.map_err(StateError::Disk)?;
        // A folder is durable once the one above is.
        for above in new.into_iter().filter_map(Path::parent) {
            let above = or_here(above);
            let synced = disk.sync_folder(above).map_err(DiskError::at(above));
            synced.map_err(StateError::Disk)?;
        }
        let lock = disk::lock(&layout.lock())?;
        let (mut state, loaded) = Self::with_disk(disk, path, now)?;
        state._lock = Some(lock);
        Ok((state, loaded))
    }
}

impl<D: Disk> State<D> {
    /// Opens a state directory that nobody else has, and reads what is in it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn with_disk(disk: D, path: &Path, now: UnixTime) -> Result<(Self, Loaded), StateError> {
        let mut state = Self {
            disk,
            layout: Layout::new(path),
            _lock: None,
            timing: Timing::RECOMMENDED,
            authority: Authority::Own,
            manifest: None,
            present: BTreeMap::new(),
            epoch: 0,
            latest: None,
            lost: None,
        };
        let loaded = state.load(now)?;
        Ok((state, loaded))
    }

    /// The timers that the manifest shall state from now on.
    pub const fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Whose the history is that is published from now on.
    pub const fn set_authority(&mut self, authority: Authority) {
        self.authority = authority;
    }

    /// What is stored: a feed could be made of it. `None` when nothing is.
    pub const fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The folder with the files that the manifest names.
    pub fn folder(&self) -> &Path {
        self.layout.feed()
    }

    /// Makes a snapshot durable, before it is published; `previous` is what was published before.
    /// Costs the writing of the step and the manifest, and up to four waits for the disk.
    ///
    /// # Errors
    ///
    /// When it is not durable. [`KeepError`] says whether it may be published all the same.
    pub fn publish(
        &mut self,
        next: &Snapshot,
        previous: Option<&Snapshot>,
        now: UnixTime,
    ) -> Result<Stored, KeepError> {
        if self.lost == Some(next.name()) {
            return Err(KeepError::Lost(DiskError::earlier(self.layout.manifest())));
        }
        self.latest = Some((next.name(), next.serial()));
        let Some(manifest) = self.manifest.as_ref() else {
            return Ok(Stored::Behind);
        };
        if manifest.history != next.name() || manifest.serial == next.serial() {
            return Ok(Stored::Behind);
        }
        let stored = self.append(next, previous, now);
        stored.map_err(|error| self.give_up(next.name(), error))
    }

    /// Writes the steps to a snapshot, and the manifest that names them.
    fn append(
        &mut self,
        next: &Snapshot,
        previous: Option<&Snapshot>,
        now: UnixTime,
    ) -> Result<Stored, DiskError> {
        let Some(mut manifest) = self.manifest.clone() else {
            return Ok(Stored::Behind);
        };
        let stored = manifest.serial;
        let entries = leading(next, stored);
        // A step that is larger than a reset is in no history, and leads here all the same.
        let made = previous.filter(|previous| {
            let pair = (stored, stored.next());
            previous.name() == next.name() && (previous.serial(), next.serial()) == pair
        });
        let mut writer = self.writer();
        let steps = match (entries, made) {
            (Some(entries), _) => writer.entries(manifest.history, &entries),
            (None, Some(previous)) => {
                let step = Delta::between(previous.payload(), next.payload());
                let occasion = (now, Trigger::Source);
                let step = writer.step(manifest.history, (stored, next.serial()), occasion, &step);
                step.map(|step| vec![step])
            }
            // A leader's serials are its own: what is stored of them may end anywhere.
            (None, None) if self.authority != Authority::Own => {
                self.forget()?;
                return Ok(Stored::Behind);
            }
            (None, None) => {
                let path = self.layout.manifest();
                return Err(DiskError::gap(path, stored, next.serial()));
            }
        };
        let steps = steps.and_then(|steps| writer.sync().map(|()| steps));
        self.adopt(writer.into_names());
        manifest.deltas.extend(steps?);
        manifest.serial = next.serial();
        manifest.revision = next.revision();
        self.forget_steps(&mut manifest, next);
        self.put_manifest(manifest, now).map(|()| Stored::Durable)
    }

    /// Whether the disk says whose the history is, with which timers, and until when a leader's
    /// word counts.
    fn is_said(&self, stored: &Manifest) -> bool {
        match self.authority {
            _ if stored.timing != self.timing => false,
            Authority::Own => !stored.mirrored,
            Authority::Leader(Validity {
                issued,
                valid_until,
            }) => stored.mirrored && (stored.issued, stored.valid_until) == (issued, valid_until),
        }
    }

    /// What becomes of a history that cannot be stored any more.
    fn give_up(&mut self, history: HistoryName, error: DiskError) -> KeepError {
        match self.forget() {
            Ok(()) => KeepError::Unstored(error),
            Err(_) => {
                self.manifest = None;
                self.epoch += 1;
                self.lost = Some(history);
                KeepError::Lost(error)
            }
        }
    }

    /// Makes the disk name no history, and makes room.
    fn forget(&mut self) -> Result<(), DiskError> {
        let path = self.layout.manifest();
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DiskError::at(&path)(error));
            }
            _ => self.sync_feed()?,
        }
        self.manifest = None;
        self.lost = None;
        self.epoch += 1;
        self.clear();
        Ok(())
    }

    /// Forgets the steps that nobody is answered with any more, but none that leads from the
    /// stored set to the serial.
    fn forget_steps(&self, manifest: &mut Manifest, served: &Snapshot) {
        let oldest = served.entries().next().map(|entry| entry.from());
        let place = |from| manifest.deltas.iter().position(|delta| delta.from == from);
        let unserved = oldest.and_then(place).unwrap_or(match oldest {
            // It serves older ones than are stored.
            Some(_) => 0,
            None => manifest.deltas.len(),
        });
        let spare = manifest.steps_before_snapshot();
        manifest.deltas.drain(..unserved.min(spare));
        manifest.trim(Manifest::MAX_STEP_FILES);
    }

    /// Knows of files that were written, or perhaps were.
    fn adopt(&mut self, names: Vec<String>) {
        let names = names.into_iter().map(|name| (name, None));
        self.present.extend(names);
    }

    /// Removes the files that the manifest has not named for some time. What cannot be removed is
    /// tried again.
    fn prune(&mut self, now: UnixTime) {
        let named = self.named();
        let (mut over, mut spare) = (Vec::new(), Vec::new());
        for (name, unnamed) in &mut self.present {
            if named.contains(name) {
                *unnamed = None;
                continue;
            }
            let since = *unnamed.get_or_insert(now);
            let large = match FileName::parse(name) {
                Some(FileName::Snapshot { .. } | FileName::Attributes { .. }) => true,
                Some(FileName::Delta { .. } | FileName::Replaced { .. }) | None => false,
            };
            if now.since(since) >= GRACE {
                over.push(name.clone());
            } else if large {
                spare.push((since, name.clone()));
            }
        }
        spare.sort_unstable();
        let many = spare.len().saturating_sub(SPARE);
        over.extend(spare.into_iter().take(many).map(|(_, name)| name));
        over.iter().for_each(|name| self.remove(name));
    }

    /// Removes all files that the manifest does not name.
    fn clear(&mut self) {
        let names: Vec<String> = self.present.keys().cloned().collect();
        self.remove_unnamed(&names);
    }

    /// Removes those of some files that the manifest does not name.
    fn remove_unnamed(&mut self, names: &[String]) {
        let named = self.named();
        let unnamed = names.iter().filter(|name| !named.contains(*name));
        unnamed.for_each(|name| self.remove(name));
    }

    fn remove(&mut self, name: &str) {
        match self.disk.remove(&self.layout.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => {
                self.present.remove(name);
            }
        }
    }

    fn named(&self) -> BTreeSet<String> {
        let files = self.manifest.iter().flat_map(Manifest::files);
        files.map(|(name, _)| name.to_string()).collect()
    }

    fn writer(&self) -> Writer<D> {
        Writer::new(self.disk.clone(), self.layout.clone())
    }

    fn put_manifest(&mut self, mut manifest: Manifest, now: UnixTime) -> Result<(), DiskError> {
        manifest.timing = self.timing;
        (manifest.issued, manifest.valid_until, manifest.mirrored) = match self.authority {
            Authority::Own => (now, now.plus(self.timing.expire().as_secs()), false),
            Authority::Leader(Validity {
                issued,
                valid_until,
            }) => (issued, valid_until, true),
        };
        let text = manifest.to_plain();
        let (from, to) = (self.layout.new_manifest(), self.layout.manifest());
        let write = |out: &mut Sealed<&mut D::File>| out.write_all(text.as_bytes());
        self.disk.put(&from, &to, write)?;
        self.sync_feed()?;
        self.manifest = Some(manifest);
        Ok(())
    }

    fn sync_feed(&mut self) -> Result<(), DiskError> {
        let folder = self.layout.feed();
        self.disk.sync_folder(folder).map_err(DiskError::at(folder))
    }
}

/// Whether the next start would have much to do to come from the stored set to the serial.
fn is_behind(manifest: &Manifest) -> bool {
    let since = manifest.steps_before_snapshot();
    let steps = manifest.deltas.iter().skip(since);
    let octets: u64 = steps.clone().map(|delta| delta.digest.octets).sum();
    steps.count() > STEPS_BEHIND
        || octets.saturating_mul(OCTETS_BEHIND) > manifest.snapshot.digest.octets
}

/// The steps of a history from a serial to a snapshot, oldest first; `None` where one is in no
/// history.
fn leading(to: &Snapshot, from: Serial) -> Option<Vec<&Entry>> {
    let (mut at, mut steps) = (to.serial(), Vec::new());
    let mut entries = to.entries();
    while at != from {
        let entry = entries.next_back().filter(|entry| entry.serial() == at)?;
        at = entry.from();
        steps.push(entry.as_ref());
    }
    steps.reverse();
    Some(steps)
}

fn is_there(path: &Path) -> bool {
    or_here(path).exists()
}

/// A path that can be opened: a relative one of one part has nothing above it.
fn or_here(path: &Path) -> &Path {
    match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    }
}
