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

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

pub use self::disk::{Disk, Files};
pub use self::error::{Damage, DiskError, KeepError, StateError};
use self::layout::Layout;
pub use self::load::{History, Loaded};
use crate::daemon::authority::{Authority, Validity};
use crate::feed::manifest::{AttributesRef, DeltaRef, SnapshotRef};
use crate::feed::{FileName, Manifest, Sealed, attributes, delta, snapshot};
use crate::payload::{Delta, UnixTime};
use crate::rtr::snapshot::Trigger;
use crate::rtr::{HistoryName, Serial, Snapshot, Timing};
use crate::sign::Digest;

/// The most steps from the stored set to the serial before the set is written again.
const STEPS_BEHIND: usize = 128;

/// The set is written again when the steps since it are more than this part of it.
const OCTETS_BEHIND: u64 = 8;

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
    /// The files of the feed that are there, named or not.
    present: BTreeSet<String>,
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
    /// When another process has it, it cannot be written, or a later version of rutter wrote it.
    pub fn open(path: &Path, now: UnixTime) -> Result<(Self, Loaded), StateError> {
        let layout = Layout::new(path);
        let mut disk = Files;
        let made = disk.make_folder(path).map_err(DiskError::at(path));
        made.map_err(StateError::Disk)?;
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
    /// When it cannot be written, or a later version of rutter wrote it.
    pub fn with_disk(disk: D, path: &Path, now: UnixTime) -> Result<(Self, Loaded), StateError> {
        let mut state = Self {
            disk,
            layout: Layout::new(path),
            _lock: None,
            timing: Timing::RECOMMENDED,
            authority: Authority::Own,
            manifest: None,
            present: BTreeSet::new(),
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
        match self.append(next, previous, now) {
            Ok(()) => Ok(Stored::Durable),
            Err(error) => Err(self.give_up(next.name(), error)),
        }
    }

    /// Stores what was published last for the next start, without hurry: the set when the steps
    /// since the stored one are many, and the attributes. What is no longer the latest is passed
    /// over. Costs up to two passes over the set, and some waits for the disk.
    ///
    /// # Errors
    ///
    /// When something cannot be written. [`KeepError`] says what that means.
    pub fn settle(&mut self, snapshot: &Snapshot, now: UnixTime) -> Result<(), KeepError> {
        if self.latest != Some((snapshot.name(), snapshot.serial())) {
            return Ok(());
        }
        if self.lost.is_some() {
            self.forget().map_err(KeepError::Unstored)?;
        }
        let stored = self.manifest.as_ref();
        let stored = stored.filter(|stored| stored.history == snapshot.name());
        let done = match stored.cloned() {
            None => self.begin(snapshot, now),
            Some(stored) => self.refresh(stored, snapshot, now),
        };
        if done.is_ok() {
            self.prune();
        }
        done
    }

    /// Writes the step to a snapshot, and the manifest that names it.
    fn append(
        &mut self,
        next: &Snapshot,
        previous: Option<&Snapshot>,
        now: UnixTime,
    ) -> Result<(), DiskError> {
        let Some(mut manifest) = self.manifest.clone() else {
            return Ok(());
        };
        let gap = || DiskError::gap(self.layout.manifest(), manifest.serial, next.serial());
        if manifest.serial.next() != next.serial() {
            return Err(gap());
        }
        let entry = next.entries().next_back();
        let entry = entry.filter(|entry| entry.serial() == next.serial());
        // A step that is larger than a reset is in no history, and leads here all the same.
        let between = || {
            let previous = previous.filter(|previous| {
                previous.name() == next.name() && previous.serial() == manifest.serial
            })?;
            Some(Delta::between(previous.payload(), next.payload()))
        };
        let made = match entry {
            Some(_) => None,
            None => Some(between().ok_or_else(gap)?),
        };
        let step = entry.map(|entry| entry.delta()).or(made.as_ref());
        let step = step.ok_or_else(gap)?;
        let (time, trigger) = entry.map_or((now, Trigger::Source), |entry| {
            (entry.time(), entry.trigger())
        });
        let (history, from) = (manifest.history, manifest.serial);
        let name = FileName::Delta { history, from };
        let digest = self.put(name, |out| delta::write(step, out))?;
        let replaced = match delta::replaces(step) {
            false => None,
            true => {
                let name = FileName::Replaced { history, from };
                Some(self.put(name, |out| delta::write_replaced(step, out))?)
            }
        };
        self.sync_feed()?;
        manifest.deltas.push(DeltaRef {
            from,
            time,
            trigger,
            digest,
            replaced,
        });
        manifest.serial = next.serial();
        manifest.revision = next.revision();
        self.forget_steps(&mut manifest, next);
        self.put_manifest(manifest, now)
    }

    /// Stores a history of which nothing is stored. Its older steps are not: who needs them has
    /// to have asked before the next start.
    fn begin(&mut self, snapshot: &Snapshot, now: UnixTime) -> Result<(), KeepError> {
        let made = self.put_set(snapshot).and_then(|set| {
            let attributes = Some(self.put_attributes(snapshot, &set.digest)?);
            self.sync_feed()?;
            Ok(Manifest {
                history: snapshot.name(),
                serial: snapshot.serial(),
                revision: snapshot.revision(),
                timing: self.timing,
                issued: now,
                valid_until: now,
                mirrored: false,
                snapshot: set,
                attributes,
                deltas: Vec::new(),
            })
        });
        // Until here the disk names nothing of this history.
        let manifest = made.map_err(KeepError::Unstored)?;
        let done = self.put_manifest(manifest, now);
        done.map_err(|error| self.give_up(snapshot.name(), error))
    }

    /// Brings the set and the attributes of a stored history up to date.
    fn refresh(
        &mut self,
        mut manifest: Manifest,
        snapshot: &Snapshot,
        now: UnixTime,
    ) -> Result<(), KeepError> {
        let known = manifest.attributes;
        let known = known.map(|known| (known.serial, known.revision));
        if known == Some((snapshot.serial(), snapshot.revision())) && !is_behind(&manifest) {
            return match self.is_said(&manifest) {
                true => Ok(()),
                false => self.put_manifest(manifest, now).map_err(KeepError::Late),
            };
        }
        manifest.revision = snapshot.revision();
        let written = |state: &mut Self| {
            let digest = match is_behind(&manifest) {
                true => {
                    manifest.snapshot = state.put_set(snapshot)?;
                    manifest.snapshot.digest
                }
                false if manifest.snapshot.serial == snapshot.serial() => manifest.snapshot.digest,
                false => snapshot::digest(snapshot.payload()),
            };
            manifest.attributes = Some(state.put_attributes(snapshot, &digest)?);
            state.sync_feed()?;
            state.forget_steps(&mut manifest, snapshot);
            state.put_manifest(manifest, now)
        };
        // Whichever of the two manifests the disk holds now: both lead to this serial.
        written(self).map_err(KeepError::Late)
    }

    /// Whether the disk says whose the history is, and until when a leader's word counts.
    fn is_said(&self, stored: &Manifest) -> bool {
        match self.authority {
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
        self.prune();
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

    /// Removes the files that the manifest does not name. What cannot be removed is tried again.
    fn prune(&mut self) {
        let manifest = self.manifest.as_ref();
        let named: BTreeSet<String> = manifest
            .map(|manifest| manifest.files().map(|(name, _)| name.to_string()).collect())
            .unwrap_or_default();
        let (disk, layout) = (&mut self.disk, &self.layout);
        self.present.retain(|name| {
            let gone = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
            let mut remove = || disk.remove(&layout.file(name));
            named.contains(name) || remove().is_err_and(|error| !gone(error))
        });
    }

    fn put_set(&mut self, snapshot: &Snapshot) -> Result<SnapshotRef, DiskError> {
        let (history, serial) = (snapshot.name(), snapshot.serial());
        let name = FileName::Snapshot { history, serial };
        let digest = self.put(name, |out| snapshot::write(snapshot.payload(), out))?;
        Ok(SnapshotRef { serial, digest })
    }

    fn put_attributes(
        &mut self,
        snapshot: &Snapshot,
        set: &Digest,
    ) -> Result<AttributesRef, DiskError> {
        let (serial, revision) = (snapshot.serial(), snapshot.revision());
        let name = FileName::Attributes {
            history: snapshot.name(),
            serial,
            revision,
        };
        let digest = self.put(name, |out| attributes::write(snapshot.data(), set, out))?;
        Ok(AttributesRef {
            serial,
            revision,
            digest,
        })
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

    /// Writes a file of the feed; it is durable once the folder is.
    fn put(
        &mut self,
        name: FileName,
        write: impl FnOnce(&mut Sealed<&mut D::File>) -> io::Result<()>,
    ) -> Result<Digest, DiskError> {
        let name = name.to_string();
        let (from, to) = (self.layout.new_file(&name), self.layout.file(&name));
        // Known even if the renaming is not certain.
        self.present.insert(name);
        self.disk.put(&from, &to, write)
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
