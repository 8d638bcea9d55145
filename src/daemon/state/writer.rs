//! Writes the files of a feed.

use std::io;

use super::disk::Disk;
use super::error::DiskError;
use super::layout::Layout;
use crate::feed::manifest::{AttributesRef, DeltaRef, SnapshotRef};
use crate::feed::{FileName, Sealed, attributes, delta, snapshot};
use crate::payload::{Delta, UnixTime};
use crate::rtr::snapshot::{Entry, Trigger};
use crate::rtr::{HistoryName, Serial, Snapshot};
use crate::sign::Digest;

/// Writes files of one folder. Whoever finds one finds it whole; that it is found after the power
/// went is sure after [`sync`](Self::sync).
#[derive(Debug)]
pub(super) struct Writer<D: Disk> {
    disk: D,
    layout: Layout,
    /// The names that were written, or perhaps were.
    names: Vec<String>,
}

impl<D: Disk> Writer<D> {
    pub(super) const fn new(disk: D, layout: Layout) -> Self {
        Self {
            disk,
            layout,
            names: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, snapshot: &Snapshot) -> Result<SnapshotRef, DiskError> {
        let (history, serial) = (snapshot.name(), snapshot.serial());
        let name = FileName::Snapshot { history, serial };
        let digest = self.put(name, |out| snapshot::write(snapshot.payload(), out))?;
        Ok(SnapshotRef { serial, digest })
    }

    pub(super) fn attributes(
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

    /// The steps of a history, as far as they are given.
    pub(super) fn entries(
        &mut self,
        history: HistoryName,
        entries: &[&Entry],
    ) -> Result<Vec<DeltaRef>, DiskError> {
        let written = entries.iter().map(|entry| {
            let occasion = (entry.time(), entry.trigger());
            let ends = (entry.from(), entry.serial());
            self.step(history, ends, occasion, entry.delta())
        });
        written.collect()
    }

    pub(super) fn step(
        &mut self,
        history: HistoryName,
        (from, to): (Serial, Serial),
        (time, trigger): (UnixTime, Trigger),
        step: &Delta,
    ) -> Result<DeltaRef, DiskError> {
        let name = FileName::Delta { history, from, to };
        let digest = self.put(name, |out| delta::write(step, out))?;
        let replaced = match delta::replaces(step) {
            false => None,
            true => {
                let name = FileName::Replaced { history, from, to };
                Some(self.put(name, |out| delta::write_replaced(step, out))?)
            }
        };
        Ok(DeltaRef {
            from,
            to,
            time,
            trigger,
            digest,
            replaced,
        })
    }

    /// Makes the names durable.
    pub(super) fn sync(&mut self) -> Result<(), DiskError> {
        let folder = self.layout.feed();
        self.disk.sync_folder(folder).map_err(DiskError::at(folder))
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }

    fn put(
        &mut self,
        name: FileName,
        write: impl FnOnce(&mut Sealed<&mut D::File>) -> io::Result<()>,
    ) -> Result<Digest, DiskError> {
        let name = name.to_string();
        let (from, to) = (self.layout.new_file(&name), self.layout.file(&name));
        // Known even if the renaming is not certain.
        self.names.push(name);
        self.disk.put(&from, &to, write)
    }
}
