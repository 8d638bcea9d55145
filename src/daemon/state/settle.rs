//! What may wait: the set when the steps since the stored one are many, the attributes, and the
//! first manifest of a history.
//!
//! Large files are written beside publications, which go on meanwhile: [`State::begin_settle`]
//! says what is to be written, [`Settling::write`] writes it without the state, and
//! [`State::end_settle`] names it, together with the steps that came in between.

use super::disk::{Disk, Files};
use super::error::{DiskError, KeepError};
use super::writer::Writer;
use super::{State, is_behind, leading};
use crate::feed::manifest::{AttributesRef, DeltaRef, SnapshotRef};
use crate::feed::{Manifest, snapshot};
use crate::payload::UnixTime;
use crate::rtr::snapshot::Entry;
use crate::rtr::{HistoryName, Serial, Snapshot};

/// The most steps before the first set of a history that are stored with it.
const OLDER_STEPS: usize = Manifest::MAX_STEP_FILES / 4;

/// Files that are to be written.
#[derive(Debug)]
pub struct Settling<D: Disk = Files> {
    writer: Writer<D>,
    epoch: u64,
    plan: Plan,
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    /// Nothing of the history is stored.
    Begin,
    /// The set is too far behind.
    Set,
    /// This set is near enough.
    Attributes(SnapshotRef),
}

/// Files that were written, and that nothing names yet.
#[derive(Debug)]
pub struct Settled {
    names: Vec<String>,
    epoch: u64,
    of: (HistoryName, Serial, u64),
    made: Result<Made, DiskError>,
}

#[derive(Debug)]
struct Made {
    set: Option<SnapshotRef>,
    attributes: Option<AttributesRef>,
    older: Vec<DeltaRef>,
}

impl<D: Disk> Settling<D> {
    /// Writes the files of the snapshot that the settling was begun for. Costs up to two passes
    /// over it, and some waits for the disk.
    pub fn write(mut self, snapshot: &Snapshot) -> Settled {
        let made = self.files(snapshot);
        Settled {
            names: self.writer.into_names(),
            epoch: self.epoch,
            of: (snapshot.name(), snapshot.serial(), snapshot.revision()),
            made,
        }
    }

    fn files(&mut self, snapshot: &Snapshot) -> Result<Made, DiskError> {
        let writer = &mut self.writer;
        let (set, digest) = match self.plan {
            Plan::Begin | Plan::Set => {
                let set = writer.set(snapshot)?;
                (Some(set), set.digest)
            }
            Plan::Attributes(stored) if stored.serial == snapshot.serial() => (None, stored.digest),
            Plan::Attributes(_) => (None, snapshot::digest(snapshot.payload())),
        };
        // Those of a leader may not have come yet. A file has what its name says or is not there.
        let attributes = match snapshot.knows_all() {
            true => Some(writer.attributes(snapshot, &digest)?),
            false => None,
        };
        let older = match self.plan {
            Plan::Begin => writer.entries(snapshot.name(), &older(snapshot))?,
            Plan::Set | Plan::Attributes(_) => Vec::new(),
        };
        writer.sync()?;
        Ok(Made {
            set,
            attributes,
            older,
        })
    }
}

impl<D: Disk> State<D> {
    /// Stores what was published last for the next start, without hurry, while nothing else is
    /// published. What is no longer the latest is passed over.
    ///
    /// # Errors
    ///
    /// When something cannot be written. [`KeepError`] says what that means.
    pub fn settle(&mut self, snapshot: &Snapshot, now: UnixTime) -> Result<(), KeepError> {
        match self.begin_settle(snapshot, now)? {
            None => Ok(()),
            Some(settling) => self.end_settle(settling.write(snapshot), snapshot, now),
        }
    }

    /// Says what is to be written for the next start. `None` when nothing is, or when the
    /// snapshot is no longer the latest.
    ///
    /// # Errors
    ///
    /// When the manifest cannot be written. [`KeepError`] says what that means.
    pub fn begin_settle(
        &mut self,
        snapshot: &Snapshot,
        now: UnixTime,
    ) -> Result<Option<Settling<D>>, KeepError> {
        if self.latest != Some((snapshot.name(), snapshot.serial())) {
            return Ok(None);
        }
        if self.lost.is_some() {
            self.forget().map_err(KeepError::Unstored)?;
        }
        let stored = self.manifest.as_ref();
        let stored = stored.filter(|stored| stored.history == snapshot.name());
        let known = |stored: &Manifest| {
            let known = stored.attributes;
            known.map(|known| (known.serial, known.revision))
                == Some((snapshot.serial(), snapshot.revision()))
        };
        let plan = match stored {
            None => Plan::Begin,
            Some(stored) if is_behind(stored) => Plan::Set,
            Some(stored) if !known(stored) && snapshot.knows_all() => {
                Plan::Attributes(stored.snapshot)
            }
            Some(stored) => {
                if !self.is_said(stored) {
                    let stored = stored.clone();
                    self.put_manifest(stored, now).map_err(KeepError::Late)?;
                }
                self.prune(now);
                return Ok(None);
            }
        };
        Ok(Some(Settling {
            writer: self.writer(),
            epoch: self.epoch,
            plan,
        }))
    }

    /// Names what was written; `latest` is what was published last. What belongs to a history
    /// that went meanwhile is removed.
    ///
    /// # Errors
    ///
    /// When something could not be written. [`KeepError`] says what that means.
    pub fn end_settle(
        &mut self,
        settled: Settled,
        latest: &Snapshot,
        now: UnixTime,
    ) -> Result<(), KeepError> {
        let Settled {
            names,
            epoch,
            of,
            made,
        } = settled;
        self.adopt(names.clone());
        let timely = epoch == self.epoch
            && latest.name() == of.0
            && self.latest == Some((latest.name(), latest.serial()));
        let stored = self.manifest.clone();
        let stored = stored.filter(|stored| stored.history == of.0);
        let done = match (made, stored) {
            (_, _) if !timely => {
                self.remove_unnamed(&names);
                return Ok(());
            }
            (Ok(made), Some(stored)) => self.amend(stored, &made, of, latest, now),
            (Ok(made), None) => self.found(made, latest, now),
            (Err(error), Some(_)) => Err(KeepError::Late(error)),
            (Err(error), None) => Err(KeepError::Unstored(error)),
        };
        match done.is_ok() {
            true => self.prune(now),
            false => self.remove_unnamed(&names),
        }
        done
    }

    /// Stores the first manifest of a history.
    fn found(&mut self, made: Made, latest: &Snapshot, now: UnixTime) -> Result<(), KeepError> {
        let Some(set) = made.set else {
            return Ok(());
        };
        let mut deltas = made.older;
        // Where a step that came meanwhile is in no history, there has to be another set.
        let Some(later) = leading(latest, set.serial) else {
            return Ok(());
        };
        let mut writer = self.writer();
        let written = writer.entries(latest.name(), &later);
        let written = written.and_then(|written| writer.sync().map(|()| written));
        self.adopt(writer.into_names());
        // Until here the disk names nothing of this history.
        deltas.extend(written.map_err(KeepError::Unstored)?);
        let mut manifest = Manifest {
            history: latest.name(),
            serial: latest.serial(),
            revision: latest.revision(),
            timing: self.timing,
            issued: now,
            valid_until: now,
            mirrored: false,
            snapshot: set,
            attributes: made.attributes,
            deltas,
        };
        self.forget_steps(&mut manifest, latest);
        self.epoch += 1;
        let done = self.put_manifest(manifest, now);
        done.map_err(|error| self.give_up(latest.name(), error))
    }

    /// Brings the set and the attributes of a stored history up to date.
    fn amend(
        &mut self,
        mut manifest: Manifest,
        made: &Made,
        (_, serial, revision): (HistoryName, Serial, u64),
        latest: &Snapshot,
        now: UnixTime,
    ) -> Result<(), KeepError> {
        if let Some(set) = made.set {
            manifest.snapshot = set;
        }
        // What is known of an older set is not known of this one.
        let at = manifest.snapshot.serial;
        let kept = manifest.attributes;
        let kept = kept.filter(|kept| made.set.is_none() || kept.serial == at);
        manifest.attributes = made.attributes.or(kept);
        if manifest.serial == serial {
            manifest.revision = revision;
        }
        self.forget_steps(&mut manifest, latest);
        // Whichever of the two manifests the disk holds now: both lead to this serial.
        self.put_manifest(manifest, now).map_err(KeepError::Late)
    }
}

/// The newest steps that lead to a snapshot, oldest first.
fn older(snapshot: &Snapshot) -> Vec<&Entry> {
    let mut to = snapshot.serial();
    let newest = snapshot.entries().rev().take_while(|entry| {
        let leads = entry.serial() == to;
        to = entry.from();
        leads
    });
    let mut steps: Vec<&Entry> = newest.take(OLDER_STEPS).map(AsRef::as_ref).collect();
    steps.reverse();
    steps
}
