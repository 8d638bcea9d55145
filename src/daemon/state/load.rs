//! What is in a state directory at the start.

use std::fmt;
use std::io::{self, Read, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};

use super::State;
use super::disk::Disk;
use super::error::{Damage, DiskError, StateError};
use super::layout::Layout;
use crate::daemon::authority::{Authority, Validity};
use crate::daemon::{random, sets};
use crate::feed::attributes::{self, Attributes};
use crate::feed::history::{Parts, compose};
use crate::feed::manifest::DeltaRef;
use crate::feed::{FileName, Manifest, ManifestError, Octets, delta, seal, whole};
use crate::payload::{Delta, PayloadSet, UnixTime};
use crate::rtr::{Snapshot, Timing};
use crate::sign::Digest;

/// The format of a state directory. It grows when a version before would go wrong with it.
const FORMAT: u64 = 1;

/// The most damaged files that are kept to be looked at.
const ASIDE: usize = 16;

/// What a state directory held.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The history to go on with; `None` when there is none.
    pub history: Option<Box<History>>,
    /// What could not be believed. A line for each is worth a warning.
    pub damage: Vec<Damage>,
}

/// A history from before the start.
#[derive(Debug)]
pub struct History {
    /// What was published last.
    pub snapshot: Snapshot,
    /// When it was stored.
    pub issued: UnixTime,
    /// Whose it is.
    pub authority: Authority,
    /// The timers that routers were told.
    pub timing: Timing,
}

/// A file that cannot be believed, and why.
struct Fault {
    name: String,
    cause: String,
}

impl Fault {
    fn new(name: FileName, cause: &impl ToString) -> Self {
        let (name, cause) = (name.to_string(), cause.to_string());
        Self { name, cause }
    }
}

/// A format that is found, and the last one that is known here.
struct Newer(u64, u64);

impl fmt::Display for Newer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found, known) = self;
        write!(
            f,
            "format {found} of a later version, and only {known} is known here"
        )
    }
}

/// A file of attributes that has to have this digest.
struct Unread<F> {
    name: FileName,
    digest: Digest,
    file: F,
}

impl<F: Read> Unread<F> {
    fn read(mut self) -> Result<Attributes, Fault> {
        let read = attributes::read(&mut self.file, self.digest);
        let read = read.map_err(|error| Fault::new(self.name, &error))?;
        read.map_err(|error| Fault::new(self.name, &error))
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

impl<D: Disk> State<D> {
    /// Reads what is there, sets aside what is damaged, and removes what is not named.
    pub(super) fn load(&mut self, now: UnixTime) -> Result<Loaded, StateError> {
        let mut loaded = Loaded::default();
        self.check_version(&mut loaded, now)?;
        for folder in [self.layout.feed().to_owned(), self.layout.damaged()] {
            let made = self.disk.make_folder(&folder);
            made.map_err(|error| StateError::Disk(DiskError::at(&folder)(error)))?;
        }
        self.look_around().map_err(StateError::Disk)?;
        if let Some(manifest) = self.read_manifest(&mut loaded, now)? {
            self.restore(manifest, &mut loaded, now);
        }
        self.clear();
        let synced = self.sync_root().and_then(|()| self.sync_feed());
        synced.map_err(StateError::Disk)?;
        Ok(loaded)
    }

    fn check_version(&mut self, loaded: &mut Loaded, now: UnixTime) -> Result<(), StateError> {
        let path = self.layout.version();
        match self.read(&path, 20) {
            Ok(text) => {
                let text = String::from_utf8_lossy(&text);
                match text.trim().parse() {
                    Ok(FORMAT) => return Ok(()),
                    Ok(found) => {
                        let found = Newer(found, FORMAT);
                        let all = self.disk.list(self.layout.root());
                        let mut all = all.map_err(|e| StateError::Disk(DiskError::at(&path)(e)))?;
                        all.retain(|name| self.layout.may_go(name));
                        // What says which format it is goes last: a start that is cut goes on.
                        all.sort_by_key(|name| name == "version");
                        self.leave(&path, &all, &found, loaded, now)?;
                    }
                    Err(_) => {
                        let cause = "not the number of a format".to_owned();
                        self.set_aside(&path, "version", cause, loaded, now);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StateError::Disk(DiskError::at(&path)(error))),
        }
        let from = self.layout.new_version();
        let made = self.disk.make_folder(self.layout.root());
        made.map_err(|error| StateError::Disk(DiskError::at(&path)(error)))?;
        let put = self.disk.put(&from, &path, |out| writeln!(out, "{FORMAT}"));
        put.map(drop).map_err(StateError::Disk)
    }

    /// Learns which files of ours there are, and removes those that were never completed.
    fn look_around(&mut self) -> Result<(), DiskError> {
        let folder = self.layout.feed().to_owned();
        let names = self.disk.list(&folder).map_err(DiskError::at(&folder))?;
        for name in names {
            if Layout::incomplete(&name).is_some() {
                // It is written over before it is needed.
                let _ = self.disk.remove(&self.layout.file(&name));
            } else if FileName::parse(&name).is_some() {
                self.present.insert(name, None);
            }
        }
        Ok(())
    }

    fn read_manifest(
        &mut self,
        loaded: &mut Loaded,
        now: UnixTime,
    ) -> Result<Option<Manifest>, StateError> {
        let path = self.layout.manifest();
        let limit = u64::try_from(Manifest::MAX_LEN).unwrap_or(u64::MAX);
        let cause = match self.read(&path, limit) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => error.to_string(),
            Ok(text) => match Manifest::read_plain(&text) {
                Ok(manifest) => return Ok(Some(manifest)),
                Err(ManifestError::Format(found)) => {
                    let found = Newer(found, Manifest::FORMAT);
                    let feed = ["feed".to_owned()];
                    self.leave(&path, &feed, &found, loaded, now)?;
                    self.present.clear();
                    let folder = self.layout.feed().to_owned();
                    let made = self.disk.make_folder(&folder);
                    made.map_err(|error| StateError::Disk(DiskError::at(&folder)(error)))?;
                    return Ok(None);
                }
                Err(error) => error.to_string(),
            },
        };
        self.set_aside(&path, "manifest.json", cause, loaded, now);
        Ok(None)
    }

    /// Makes what is served of what the manifest names. What it needs for that and is damaged
    /// ends the history; what is only of use beside is left out.
    fn restore(&mut self, mut manifest: Manifest, loaded: &mut Loaded, now: UnixTime) {
        match self.restored(&mut manifest, loaded, now) {
            Ok(snapshot) => {
                self.authority = match manifest.mirrored {
                    false => Authority::Own,
                    true => Authority::Leader(Validity {
                        issued: manifest.issued,
                        valid_until: manifest.valid_until,
                    }),
                };
                loaded.history = Some(Box::new(History {
                    snapshot,
                    issued: manifest.issued,
                    authority: self.authority,
                    timing: manifest.timing,
                }));
                self.timing = manifest.timing;
                self.latest = Some((manifest.history, manifest.serial));
                self.manifest = Some(manifest);
            }
            Err(Fault { name, cause }) => {
                let path = self.layout.file(&name);
                self.set_aside(&path, &name, cause, loaded, now);
                let path = self.layout.manifest();
                let cause = format!("names {name}, which is damaged");
                self.set_aside(&path, "manifest.json", cause, loaded, now);
            }
        }
    }

    fn restored(
        &mut self,
        manifest: &mut Manifest,
        loaded: &mut Loaded,
        now: UnixTime,
    ) -> Result<Snapshot, Fault> {
        let set = manifest.snapshot_name();
        let expected = manifest.snapshot.digest;
        let sealed = self.open_set(manifest)?;
        let unread = self.unread_attributes(manifest);
        // Beside the set, which takes longest. Its digest is made of a second reading: threads
        // that hand pieces on to each other wait for each other. Nothing counts before it is known.
        thread::scope(|scope| {
            let attributes = scope.spawn(|| unread?.map(Unread::read).transpose());
            let digest = scope.spawn(move || sets::digest(sealed, expected.octets));
            let (snapshot, deltas) = self.set_and_steps(manifest, loaded, now)?;
            let attributes = match joined(attributes) {
                Ok(attributes) => attributes,
                Err(Fault { name, cause }) => {
                    let path = self.layout.file(&name);
                    self.set_aside(&path, &name, cause, loaded, now);
                    manifest.attributes = None;
                    None
                }
            };
            let parts = Parts {
                snapshot,
                attributes,
                deltas,
            };
            let restored = compose(manifest, parts);
            let digest = joined(digest).map_err(|error| Fault::new(set, &error))?;
            seal::check(digest, expected).map_err(|error| Fault::new(set, &error))?;
            let mut restored = restored.map_err(|error| Fault::new(set, &error))?;
            restored.v0_turn = u16::from_be_bytes(random::octets());
            Snapshot::restore(restored).map_err(|error| Fault::new(set, &error))
        })
    }

    fn set_and_steps(
        &mut self,
        manifest: &mut Manifest,
        loaded: &mut Loaded,
        now: UnixTime,
    ) -> Result<(PayloadSet, Vec<Delta>), Fault> {
        let snapshot = self.set(manifest)?;
        let mut deltas = Vec::with_capacity(manifest.deltas.len());
        let needed = manifest.steps_before_snapshot();
        // From the newest on: what is older than a damaged one leads nowhere.
        for place in (0..manifest.deltas.len()).rev() {
            let Some(named) = manifest.deltas.get(place).copied() else {
                break;
            };
            match self.step(manifest, &named) {
                Ok(delta) => deltas.push(delta),
                Err(fault) if place >= needed => return Err(fault),
                Err(Fault { name, cause }) => {
                    let path = self.layout.file(&name);
                    self.set_aside(&path, &name, cause, loaded, now);
                    manifest.deltas.drain(..=place);
                    break;
                }
            }
        }
        deltas.reverse();
        Ok((snapshot, deltas))
    }

    fn set(&mut self, manifest: &Manifest) -> Result<PayloadSet, Fault> {
        let name = manifest.snapshot_name();
        let mut file = self.open_set(manifest)?;
        let read = sets::read_unsealed(&mut file, manifest.snapshot.digest);
        let read = read.map_err(|error| Fault::new(name, &error))?;
        read.map_err(|error| Fault::new(name, &error))
    }

    fn open_set(&mut self, manifest: &Manifest) -> Result<D::File, Fault> {
        let name = manifest.snapshot_name();
        let file = self.disk.open(&self.layout.file(&name.to_string()));
        file.map_err(|error| Fault::new(name, &error))
    }

    fn step(&mut self, manifest: &Manifest, named: &DeltaRef) -> Result<Delta, Fault> {
        let name = manifest.delta_name(named);
        let octets = self.whole(name, &named.digest)?;
        let step = Octets {
            octets: &octets,
            digest: named.digest,
        };
        let Some(digest) = named.replaced else {
            return delta::read(step, None).map_err(|error| Fault::new(name, &error));
        };
        let second = manifest.replaced_name(named);
        let octets = self.whole(second, &digest)?;
        let octets = &octets[..];
        let replaced = Octets { octets, digest };
        let meant = replaced.check();
        meant.map_err(|error| Fault::new(second, &error))?;
        delta::read(step, Some(replaced)).map_err(|error| Fault::new(name, &error))
    }

    fn unread_attributes(&mut self, manifest: &Manifest) -> Result<Option<Unread<D::File>>, Fault> {
        let Some(named) = &manifest.attributes else {
            return Ok(None);
        };
        let (name, digest) = (manifest.attributes_name(named), named.digest);
        let file = self.disk.open(&self.layout.file(&name.to_string()));
        let file = file.map_err(|error| Fault::new(name, &error))?;
        Ok(Some(Unread { name, digest, file }))
    }

    /// A file that has a digest, and one octet more when it is too long.
    fn whole(&mut self, name: FileName, digest: &Digest) -> Result<Vec<u8>, Fault> {
        let path = self.layout.file(&name.to_string());
        let octets = self.read(&path, digest.octets);
        octets.map_err(|error| Fault::new(name, &error))
    }

    /// Reads a file, and not more than an octet past the limit.
    fn read(&mut self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        whole(self.disk.open(path)?, limit)
    }

    /// Takes what a later version wrote out of the way as it is, so that who goes back to that
    /// version can put it back.
    fn leave(
        &mut self,
        path: &Path,
        names: &[String],
        found: &Newer,
        loaded: &mut Loaded,
        now: UnixTime,
    ) -> Result<(), StateError> {
        let aside = self.layout.later(found.0, now);
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |cause| StateError::Disk(DiskError { path, cause })
        };
        self.disk.make_folder(&aside).map_err(wrong(&aside))?;
        for name in names {
            let from = self.layout.root().join(name);
            let moved = self.disk.rename(&from, &aside.join(name));
            moved.map_err(wrong(&from))?;
        }
        self.disk.sync_folder(&aside).map_err(wrong(&aside))?;
        self.sync_root().map_err(StateError::Disk)?;
        loaded.damage.push(Damage {
            path: path.to_owned(),
            cause: found.to_string(),
            aside: Some(aside),
        });
        Ok(())
    }

    /// Takes a file out of the way, and says so.
    fn set_aside(
        &mut self,
        path: &Path,
        name: &str,
        cause: String,
        loaded: &mut Loaded,
        now: UnixTime,
    ) {
        let folder = self.layout.damaged();
        let aside = folder.join(format!("{now}-{name}"));
        let made = self.disk.make_folder(&folder);
        let moved = made.and_then(|()| self.disk.rename(path, &aside));
        self.present.remove(name);
        loaded.damage.push(Damage {
            path: path.to_owned(),
            cause,
            aside: moved.is_ok().then_some(aside),
        });
        // The oldest go: their names begin with the date.
        let mut names = self.disk.list(&folder).unwrap_or_default();
        names.sort_unstable();
        let many = names.len().saturating_sub(ASIDE);
        for name in names.iter().take(many) {
            let _ = self.disk.remove(&folder.join(name));
        }
    }

    fn sync_root(&mut self) -> Result<(), DiskError> {
        let folder = self.layout.root();
        self.disk.sync_folder(folder).map_err(DiskError::at(folder))
    }
}
