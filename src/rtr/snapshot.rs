//! What is served at one moment: a serial, a revision, and how to get there from before.

pub mod restore;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::image::{self, Image};
use super::serial::Serial;
use super::version::Version;
use super::view::{HistoryName, SessionId, SessionIds, View};
use crate::payload::{DataSet, Delta, Kinds, PayloadSet, UnixTime};

/// What set a serial off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trigger {
    /// An operator let a held update pass.
    Approval,
    /// Payloads expired.
    Expiry,
    /// The local exceptions changed.
    Slurm,
    /// A source delivered something new.
    Source,
    /// Another server went on with the history.
    Takeover,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Approval,
        Self::Expiry,
        Self::Slurm,
        Self::Source,
        Self::Takeover,
    ];
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Approval => "approval",
            Self::Expiry => "expiry",
            Self::Slurm => "slurm",
            Self::Source => "source",
            Self::Takeover => "takeover",
        })
    }
}

/// One step of a history.
#[derive(Debug)]
pub struct Entry {
    from: Serial,
    serial: Serial,
    time: UnixTime,
    trigger: Trigger,
    delta: Delta,
    octets: usize,
}

impl Entry {
    /// The step from one serial to another. Costs a pass over the delta.
    pub fn new(
        from: Serial,
        serial: Serial,
        time: UnixTime,
        trigger: Trigger,
        delta: Delta,
    ) -> Self {
        Self {
            from,
            serial,
            time,
            trigger,
            octets: image::increment_octets(&delta),
            delta,
        }
    }

    /// The serial before.
    pub const fn from(&self) -> Serial {
        self.from
    }

    /// The serial that it led to.
    pub const fn serial(&self) -> Serial {
        self.serial
    }

    /// When it was published.
    pub const fn time(&self) -> UnixTime {
        self.time
    }

    /// What set it off.
    pub const fn trigger(&self) -> Trigger {
        self.trigger
    }

    /// What changed.
    pub const fn delta(&self) -> &Delta {
        &self.delta
    }
}

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HistoryLimits {
    /// Steps older than this are forgotten. A router of version 0 may ask once an hour only, so
    /// less than that costs resets (CONFORMANCE SER-12).
    pub age: Duration,
}

impl HistoryLimits {
    /// However small the set, increments of this many octets together are kept: a reset costs a
    /// router more than they do.
    const OCTETS_ALWAYS: usize = 65_536;

    /// The most steps kept: at one a minute, what two days hold.
    const STEPS: usize = 2_880;
}

impl Default for HistoryLimits {
    /// A day.
    fn default() -> Self {
        Self {
            age: Duration::from_secs(86_400),
        }
    }
}

/// A set as it is published, with everything routers need of it; immutable.
///
/// The payload alone decides the serial. A change of attributes makes another revision of the
/// same serial, which shares its images with the one before.
#[derive(Debug)]
pub struct Snapshot {
    published: Arc<Published>,
    revision: u64,
    data: DataSet,
    known: Option<Known>,
}

/// A moment of a history by its numbers, of which attributes are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Known {
    /// The serial.
    pub serial: Serial,
    /// The revision of that serial.
    pub revision: u64,
}

/// Counts the serials that a process published, across histories. Whoever sends from a snapshot's
/// images holds this beside them, so that it shows which generations of images are still alive.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Generation(u64);

impl Generation {
    /// The number, from 0.
    pub const fn number(&self) -> u64 {
        self.0
    }

    fn next(&self) -> Arc<Self> {
        Arc::new(Self(self.0 + 1))
    }
}

/// What all revisions of a serial share.
#[derive(Debug)]
struct Published {
    name: HistoryName,
    ids: Arc<SessionIds>,
    serial: Serial,
    generation: Arc<Generation>,
    payload: PayloadSet,
    entries: VecDeque<Arc<Entry>>,
    full: [OnceLock<Image>; 3],
    /// One for each entry: the way from where the entry begins to here. Few are ever asked for,
    /// so an empty one is small.
    increments: Vec<OnceLock<Box<Increment>>>,
}

/// The way from one serial to the current one.
#[derive(Debug, Default)]
struct Increment {
    /// `None` for a single step, whose delta the entry has.
    composed: Option<Delta>,
    images: [OnceLock<Image>; 3],
}

/// What a new set amounts to.
#[derive(Debug)]
pub enum Step {
    /// Nothing changed at all.
    Unchanged,
    /// Only attributes changed: the serial stays.
    Revision(Snapshot),
    /// The payload changed.
    Serial(Snapshot),
}

impl Snapshot {
    /// The first set of a new history.
    pub fn first(name: HistoryName, data: DataSet) -> Self {
        Self::begin(name, Serial::FIRST, Arc::new(Generation(0)), data)
    }

    /// The first set of a history whose serials go on after this one, as when a serial is known
    /// from before a restart and nothing else is.
    pub fn first_after(name: HistoryName, serial: Serial, data: DataSet) -> Self {
        let mut first = Self::first(name, data);
        let (serial, revision) = (serial.next(), 0);
        if let Some(published) = Arc::get_mut(&mut first.published) {
            published.serial = serial;
        }
        first.known = Some(Known { serial, revision });
        first
    }

    /// The first set of another history in the same process. The serial goes on, because BIRD
    /// compares the serial of a Notify only and would miss an equal one.
    #[must_use]
    pub fn begin_anew(&self, name: HistoryName, data: DataSet) -> Self {
        Self::begin(
            name,
            self.serial().next(),
            self.published.generation.next(),
            data,
        )
    }

    /// The first set of a history of our own after that of a leader. The serial is far from the
    /// leader's, so that the way back to it is no equal serial either, whatever it does meanwhile.
    #[must_use]
    pub fn begin_away(&self, name: HistoryName, data: DataSet) -> Self {
        const AWAY: u32 = 1 << 24;
        let serial = Serial::new(self.serial().into_u32().wrapping_add(AWAY)).next();
        Self::begin(name, serial, self.published.generation.next(), data)
    }

    fn begin(
        name: HistoryName,
        serial: Serial,
        generation: Arc<Generation>,
        data: DataSet,
    ) -> Self {
        let published = Published {
            name,
            ids: Arc::new(SessionIds::new(name)),
            serial,
            generation,
            payload: data.payload().clone(),
            entries: VecDeque::new(),
            full: Default::default(),
            increments: Vec::new(),
        };
        let revision = 0;
        Self {
            published: Arc::new(published),
            revision,
            data,
            known: Some(Known { serial, revision }),
        }
    }

    /// What comes after this snapshot when the set is `data`. Costs one pass over both sets.
    pub fn next(
        &self,
        data: DataSet,
        trigger: Trigger,
        now: UnixTime,
        limits: HistoryLimits,
    ) -> Step {
        let before = &self.published;
        let delta = Delta::between(&before.payload, data.payload());
        if delta.is_empty() {
            // What others do not know yet is news to them.
            if data == self.data && self.knows_all() {
                return Step::Unchanged;
            }
            let published = Arc::clone(before);
            let (serial, revision) = (before.serial, self.revision + 1);
            return Step::Revision(Self {
                published,
                revision,
                data,
                known: Some(Known { serial, revision }),
            });
        }
        let serial = before.serial.next();
        let entry = Entry::new(before.serial, serial, now, trigger, delta);
        let mut entries = before.entries.clone();
        entries.push_back(Arc::new(entry));
        prune(
            &mut entries,
            image::full_octets(data.payload()),
            now,
            limits,
        );
        let published = Published {
            name: before.name,
            ids: Arc::clone(&before.ids),
            serial,
            generation: before.generation.next(),
            payload: data.payload().clone(),
            full: Default::default(),
            increments: entries.iter().map(|_| OnceLock::new()).collect(),
            entries,
        };
        let revision = 0;
        Step::Serial(Self {
            published: Arc::new(published),
            revision,
            data,
            known: Some(Known { serial, revision }),
        })
    }

    /// The history's name.
    pub fn name(&self) -> HistoryName {
        self.published.name
    }

    /// The serial.
    pub fn serial(&self) -> Serial {
        self.published.serial
    }

    /// Counts the revisions of this serial, from 0.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Which of the serials that this process published this is.
    pub fn generation(&self) -> &Arc<Generation> {
        &self.published.generation
    }

    /// Of which moment the attributes are; `None` when they are of none. What is made here knows
    /// its own. What a leader says of its payloads comes later than they do: until then those that
    /// are new expire with its word.
    pub const fn known(&self) -> Option<Known> {
        self.known
    }

    /// Whether the attributes are those of this serial and revision. What is not known is not to
    /// be passed on under their numbers.
    pub fn knows_all(&self) -> bool {
        let (serial, revision) = (self.serial(), self.revision);
        self.known == Some(Known { serial, revision })
    }

    /// The set with its attributes.
    pub const fn data(&self) -> &DataSet {
        &self.data
    }

    /// The set.
    pub fn payload(&self) -> &PayloadSet {
        &self.published.payload
    }

    /// The steps that are kept, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> + ExactSizeIterator {
        self.published.entries.iter()
    }

    /// The Session ID of a view; for version 0 a fresh one at each call.
    pub fn session_id(&self, view: View) -> SessionId {
        let ids = &self.published.ids;
        ids.of(view).unwrap_or_else(|| ids.fresh_v0(view.kinds()))
    }

    /// Whether a session of this view with this id is one of this history.
    pub fn serves(&self, view: View, id: SessionId) -> bool {
        self.published.ids.serves(view, id)
    }

    /// The answer to a Serial Query of this history, `None` when the serial is not kept, was
    /// never issued, or is 0.
    pub fn since(&self, serial: Serial) -> Option<Since> {
        if serial == self.serial() {
            return Some(Since::Current);
        }
        let entries = &self.published.entries;
        let place = entries.iter().rposition(|entry| entry.from == serial)?;
        Some(Since::Step(place))
    }

    /// Whether anything that these kinds show has changed since this serial. Unknown serials
    /// count as changed.
    pub fn changed_since(&self, serial: Serial, kinds: Kinds) -> bool {
        match self.since(serial) {
            None => true,
            Some(Since::Current) => false,
            Some(Since::Step(place)) => {
                let steps = self.published.entries.range(place..);
                steps
                    .into_iter()
                    .any(|entry| !entry.delta.kinds().and(kinds).is_empty())
            }
        }
    }

    /// The image of an answer if it was made before.
    pub fn ready(&self, answer: Answer) -> Option<&Image> {
        let cell = version_cell(answer.version);
        match answer.since {
            None => cell(&self.published.full).get(),
            Some(place) => cell(&self.published.increments.get(place)?.get()?.images).get(),
        }
    }

    /// The image of an answer, made now unless it was made before. The first call for a version
    /// or a serial costs a pass over the set, or a composition of the steps since; meanwhile
    /// other callers that need the same one wait.
    pub fn image(&self, answer: Answer) -> Option<&Image> {
        let cell = version_cell(answer.version);
        let Some(place) = answer.since else {
            let make = || Image::full(answer.version, self.payload());
            return Some(cell(&self.published.full).get_or_init(make));
        };
        let entries = &self.published.entries;
        let last = &entries.back()?.delta;
        let increment = self.published.increments.get(place)?.get_or_init(|| {
            let steps: Vec<&Delta> = entries.range(place..).map(|entry| &entry.delta).collect();
            let composed = (steps.len() > 1).then(|| Delta::compose(&steps));
            Box::new(Increment {
                composed,
                ..Increment::default()
            })
        });
        let delta = increment.composed.as_ref().unwrap_or(last);
        Some(cell(&increment.images).get_or_init(|| Image::increment(answer.version, delta)))
    }

    /// The versions that routers of this snapshot speak, as far as their questions show.
    pub fn versions_in_use(&self) -> impl Iterator<Item = Version> {
        let latest = self.published.increments.last().and_then(OnceLock::get);
        Version::ALL.into_iter().filter(move |version| {
            let cell = version_cell(*version);
            cell(&self.published.full).get().is_some()
                || latest.is_some_and(|increment| cell(&increment.images).get().is_some())
        })
    }
}

/// Where a Serial Query stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Since {
    /// The router has the current set.
    Current,
    /// The router is where this entry begins.
    Step(usize),
}

/// Names an image of a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The version.
    pub version: Version,
    /// The entry where an increment begins, `None` for the full set.
    pub since: Option<usize>,
}

fn version_cell<T>(version: Version) -> impl Fn(&[T; 3]) -> &T {
    move |[v0, v1, v2]| match version {
        Version::V0 => v0,
        Version::V1 => v1,
        Version::V2 => v2,
    }
}

/// Beyond half the octets of a full answer a Cache Reset is the cheaper one.
fn prune(
    entries: &mut VecDeque<Arc<Entry>>,
    full_octets: usize,
    now: UnixTime,
    limits: HistoryLimits,
) {
    let most = (full_octets / 2).max(HistoryLimits::OCTETS_ALWAYS);
    let mut octets: usize = entries.iter().map(|entry| entry.octets).sum();
    while let Some(oldest) = entries.front() {
        let aged = now.since(oldest.time) > limits.age.as_secs();
        if !aged && octets <= most && entries.len() <= HistoryLimits::STEPS {
            return;
        }
        octets -= oldest.octets;
        entries.pop_front();
    }
}
