//! What a feed says of itself: which history it is, where it stands, and which files hold it.
//!
//! It is a JSON document in one of two forms. Signed, for followers, it is the payload of a compact
//! JWS (RFC 7515). Plain, for the state directory and for networks that are trusted, it ends with
//! the digest of all octets before, against accidents only.

mod form;

use std::error::Error;
use std::fmt;

use ring::rand::SecureRandom;
use serde::Deserialize;

use self::form::Form;
use super::name::FileName;
use crate::payload::UnixTime;
use crate::rtr::snapshot::Trigger;
use crate::rtr::{HistoryName, Serial, Timing};
use crate::sign::jws::{self, JwsError};
use crate::sign::{Digest, SigningKey, Statement, VerifyKey, hex};

/// A manifest. Only a consistent one is ever read or written: the deltas are a chain to the
/// serial, which the snapshot is on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manifest {
    /// The history.
    pub history: HistoryName,
    /// The serial where it stands.
    pub serial: Serial,
    /// The revision of that serial.
    pub revision: u64,
    /// The timers that its routers are told.
    pub timing: Timing,
    /// When the manifest was made.
    pub issued: UnixTime,
    /// From when on it counts no more, and nobody may serve what it names.
    pub valid_until: UnixTime,
    /// The newest set that there is as a file.
    pub snapshot: SnapshotRef,
    /// The newest attributes that there are as a file, no older than the snapshot; `None` when
    /// there are none.
    pub attributes: Option<AttributesRef>,
    /// Whether the history is that of a leader, and this is what a follower says of it.
    pub mirrored: bool,
    /// The recent steps, oldest first: at least those from the snapshot to the serial.
    pub deltas: Vec<DeltaRef>,
}

/// A set as a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SnapshotRef {
    /// The serial of the set.
    pub serial: Serial,
    /// The file.
    pub digest: Digest,
}

/// Attributes as a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AttributesRef {
    /// The serial of their set.
    pub serial: Serial,
    /// The revision.
    pub revision: u64,
    /// The file.
    pub digest: Digest,
}

/// A step as a file. It leads to the next serial, unless another server has taken over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeltaRef {
    /// The serial where it begins.
    pub from: Serial,
    /// The serial that it leads to.
    pub to: Serial,
    /// When it was published.
    pub time: UnixTime,
    /// What set it off.
    pub trigger: Trigger,
    /// The file.
    pub digest: Digest,
    /// The file with the ASPAs that it replaces or withdraws, `None` when there are none.
    pub replaced: Option<Digest>,
}

/// Why a manifest is not believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ManifestError {
    /// Its signature is not.
    Jws(JwsError),
    /// It is longer than [`Manifest::MAX_LEN`].
    TooLong,
    /// It is of a format that is not known here.
    Format(u64),
    /// It is plain and damaged.
    Check,
    /// It is not a manifest. The text says where and why.
    Malformed(String),
    /// It contradicts itself.
    Inconsistent(&'static str),
    /// It counts no more since then.
    Expired(UnixTime),
    /// It is from the future: one of the two clocks is wrong.
    NotYet(UnixTime),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jws(cause) => cause.fmt(f),
            Self::TooLong => write!(f, "longer than {} octets", Manifest::MAX_LEN),
            Self::Format(found) => write!(
                f,
                "format {found}, and only {} is known here",
                Manifest::FORMAT
            ),
            Self::Check => f.write_str("the digest at its end is not that of what stands before"),
            Self::Malformed(what) => write!(f, "no manifest: {what}"),
            Self::Inconsistent(what) => write!(f, "contradicts itself: {what}"),
            Self::Expired(since) => write!(f, "expired at {since}"),
            Self::NotYet(from) => write!(f, "made in the future, at {from}"),
        }
    }
}

impl Error for ManifestError {}

impl Manifest {
    /// The purpose in the header of its JWS.
    pub const PURPOSE: &str = "rutter-feed";

    /// The format. It grows when readers of today would go wrong, not when a member is added.
    pub const FORMAT: u64 = 1;

    /// The longest document that is read, in octets.
    pub const MAX_LEN: usize = jws::MAX_LEN;

    /// The most files of steps that a manifest can name: a signed one with so many is shorter
    /// than a JWS may be.
    pub const MAX_STEP_FILES: usize = 2_880;

    /// How far the clocks of a leader and a follower may differ, in seconds.
    pub const SKEW: u64 = Statement::SKEW;

    /// What stands before the digest at the end of a plain manifest, and behind it.
    const CHECK: (&str, &str) = (",\"check\":\"", "\"}");

    /// The signed form. `None` when there is no randomness.
    pub fn sign(&self, key: &SigningKey, rng: &dyn SecureRandom) -> Option<String> {
        jws::sign(key, Self::PURPOSE, self.json().as_bytes(), rng)
    }

    /// The plain form.
    pub fn to_plain(&self) -> String {
        let mut text = self.json();
        text.pop();
        let (before, behind) = Self::CHECK;
        let digest = hex::encode(&Digest::of(text.as_bytes()).sha256);
        text + before + &digest + behind + "\n"
    }

    fn json(&self) -> String {
        // Nothing in it can fail: no map, and no number that JSON does not have.
        serde_json::to_string(&Form::of(self)).unwrap_or_default()
    }

    /// Reads a manifest that one of the keys has signed and that counts now.
    ///
    /// # Errors
    ///
    /// When it is none, none of the keys has signed it, or it does not count now.
    pub fn verify(text: &[u8], keys: &[VerifyKey], now: UnixTime) -> Result<Self, ManifestError> {
        let manifest = Self::read_signed(text, keys)?;
        manifest.counts_at(now)?;
        Ok(manifest)
    }

    /// Reads a manifest that one of the keys has signed, whether it counts now or not.
    ///
    /// # Errors
    ///
    /// When it is none, or none of the keys has signed it.
    pub fn read_signed(text: &[u8], keys: &[VerifyKey]) -> Result<Self, ManifestError> {
        let (payload, _) = jws::verify(text, Self::PURPOSE, keys).map_err(ManifestError::Jws)?;
        Self::parse(&payload)
    }

    /// Reads a plain manifest, whether it counts now or not.
    ///
    /// # Errors
    ///
    /// When it is none, or is damaged.
    pub fn read_plain(text: &[u8]) -> Result<Self, ManifestError> {
        if text.len() > Self::MAX_LEN {
            return Err(ManifestError::TooLong);
        }
        let text = text.trim_ascii_end();
        // A format of the future may end in another way.
        Self::format(text)?;
        let (before, behind) = Self::CHECK;
        let tail = before.len() + 64 + behind.len();
        let end = text.len().checked_sub(tail);
        let split = end.and_then(|end| text.split_at_checked(end));
        let (checked, tail) = split.ok_or(ManifestError::Check)?;
        let digest = hex::encode(&Digest::of(checked).sha256);
        if tail != [before, &digest, behind].concat().as_bytes() {
            return Err(ManifestError::Check);
        }
        Self::parse(text)
    }

    /// Whether it counts now.
    ///
    /// # Errors
    ///
    /// When its time is over, or has not come.
    pub fn counts_at(&self, now: UnixTime) -> Result<(), ManifestError> {
        if self.valid_until <= now {
            return Err(ManifestError::Expired(self.valid_until));
        }
        if self.issued > now.plus(Self::SKEW) {
            return Err(ManifestError::NotYet(self.issued));
        }
        Ok(())
    }

    /// The names of all its files with their digests: the snapshot, the attributes, and the steps
    /// oldest first.
    pub fn files(&self) -> impl Iterator<Item = (FileName, Digest)> {
        let snapshot = (self.snapshot_name(), self.snapshot.digest);
        let attributes = self
            .attributes
            .as_ref()
            .map(|attributes| (self.attributes_name(attributes), attributes.digest));
        let steps = self.deltas.iter().flat_map(|delta| {
            let replaced = delta.replaced;
            let replaced = replaced.map(|digest| (self.replaced_name(delta), digest));
            [Some((self.delta_name(delta), delta.digest)), replaced]
        });
        let first = [Some(snapshot), attributes];
        first.into_iter().chain(steps).flatten()
    }

    /// The name of the file with the set.
    pub const fn snapshot_name(&self) -> FileName {
        let (history, serial) = (self.history, self.snapshot.serial);
        FileName::Snapshot { history, serial }
    }

    /// The name of a file with attributes.
    pub const fn attributes_name(&self, attributes: &AttributesRef) -> FileName {
        FileName::Attributes {
            history: self.history,
            serial: attributes.serial,
            revision: attributes.revision,
        }
    }

    /// The name of the file with a step.
    pub const fn delta_name(&self, delta: &DeltaRef) -> FileName {
        let (history, from, to) = (self.history, delta.from, delta.to);
        FileName::Delta { history, from, to }
    }

    /// The name of the file with what a step replaces.
    pub const fn replaced_name(&self, delta: &DeltaRef) -> FileName {
        let (history, from, to) = (self.history, delta.from, delta.to);
        FileName::Replaced { history, from, to }
    }

    /// How many of the steps lead to the snapshot; those behind lead from there to the serial.
    pub fn steps_before_snapshot(&self) -> usize {
        let at = self.snapshot.serial;
        let place = self.deltas.iter().position(|delta| delta.from == at);
        place.unwrap_or(self.deltas.len())
    }

    /// Where the steps from a serial to that of the manifest begin; `None` when there are none.
    pub fn place_of(&self, serial: Serial) -> Option<usize> {
        if serial == self.serial {
            return Some(self.deltas.len());
        }
        let mut steps = self.deltas.iter();
        steps.position(|delta| delta.from == serial)
    }

    /// Forgets the oldest steps, and none from the snapshot on, until there are few enough.
    pub fn trim(&mut self, step_files: usize) {
        let files = |delta: &DeltaRef| 1 + usize::from(delta.replaced.is_some());
        let mut count: usize = self.deltas.iter().map(files).sum();
        let spare = self.steps_before_snapshot();
        let mut gone = 0;
        for delta in self.deltas.iter().take(spare) {
            if count <= step_files {
                break;
            }
            count -= files(delta);
            gone += 1;
        }
        self.deltas.drain(..gone);
    }

    fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        Self::format(json)?;
        let form: Form = read(json)?;
        let manifest = form.manifest().map_err(ManifestError::Inconsistent)?;
        manifest.checked()
    }

    /// This manifest, when it is consistent.
    ///
    /// # Errors
    ///
    /// When it contradicts itself.
    pub(super) fn checked(self) -> Result<Self, ManifestError> {
        match self.check() {
            Ok(()) => Ok(self),
            Err(what) => Err(ManifestError::Inconsistent(what)),
        }
    }

    /// Refuses formats that are not known, before anything else is looked at.
    fn format(json: &[u8]) -> Result<(), ManifestError> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "rutter-feed")]
            format: u64,
        }
        match read(json)? {
            Head {
                format: Self::FORMAT,
            } => Ok(()),
            Head { format } => Err(ManifestError::Format(format)),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let steps = self.deltas.iter();
        let mut ends = steps.flat_map(|delta| [delta.from, delta.to]);
        let zero = Serial::new(0);
        if [self.serial, self.snapshot.serial].contains(&zero) || ends.any(|serial| serial == zero)
        {
            return Err("serial 0 is never issued");
        }
        if self.valid_until < self.issued {
            return Err("it ends before it begins");
        }
        let chain = self.deltas.array_windows();
        if chain.into_iter().any(|[a, b]| a.to != b.from) {
            return Err("the steps are no chain");
        }
        let last = self.deltas.last();
        if last.is_some_and(|last| last.to != self.serial) {
            return Err("the last step does not lead to the serial");
        }
        // No serial comes twice in a chain of which each step is before the end.
        let forward = |delta: &DeltaRef| delta.from < delta.to && delta.from < self.serial;
        if !self.deltas.iter().all(forward) {
            return Err("a step does not lead forward");
        }
        let reached =
            |serial| serial == self.serial || self.deltas.iter().any(|delta| delta.from == serial);
        if !reached(self.snapshot.serial) {
            return Err("no steps lead from the snapshot to the serial");
        }
        if let Some(attributes) = &self.attributes {
            let mut later = self.deltas.iter().skip(self.steps_before_snapshot());
            let at = attributes.serial;
            let current = at == self.serial;
            if !current && !later.any(|delta| delta.from == at) {
                return Err("the attributes are not between the snapshot and the serial");
            }
            if current && attributes.revision > self.revision {
                return Err("the attributes are of a later revision");
            }
        }
        // Each file alone is small enough to be read; all steps together are, too.
        let mut files = self.files().map(|(_, digest)| digest.octets);
        if files.any(|octets| octets > FileName::MAX_OCTETS) {
            return Err("a file is too long");
        }
        let steps = self.deltas.iter();
        let octets = steps.map(|delta| delta.digest.octets).sum::<u64>();
        match octets > FileName::MAX_OCTETS {
            true => Err("the steps are too long"),
            false => Ok(()),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(json).map_err(|error| ManifestError::Malformed(error.to_string()))
}
