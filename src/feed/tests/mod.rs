//! Files there and back, and everything that is refused on the way.

mod files;
mod histories;
mod manifests;
mod takeovers;

use std::sync::Arc;

use crate::payload::{Asn, Aspa, Attribute, DataSet, Delta, RouterKey, RowsBuilder, UnixTime, Vrp};
use crate::rtr::snapshot::restore::Restored;
use crate::rtr::snapshot::{Entry, HistoryLimits, Known, Step, Trigger};
use crate::rtr::{HistoryName, Serial, Snapshot};
use crate::sign::Digest;

use super::attributes::Attributes;
use super::manifest::{AttributesRef, DeltaRef, Manifest, SnapshotRef};
use super::{FeedError, Octets};
use super::{attributes, delta, snapshot};

const NAME: HistoryName = HistoryName::new([0x5a; 16]);

/// A pseudo-random sequence, the same for the same seed (xorshift64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub(crate) fn chance(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Some payloads of every kind, from few that there can be, so that they come and go.
pub(crate) fn data(random: &mut Random) -> DataSet {
    let mut rows = RowsBuilder::new();
    let anchors = ["north", "south", ""].map(|name| rows.trust_anchor(name));
    let attribute = |random: &mut Random| {
        let anchor = anchors[usize::try_from(random.below(3)).unwrap()];
        let expires = random
            .chance()
            .then(|| UnixTime::new(5_000 + random.below(3)));
        Attribute::new(expires, anchor)
    };
    for number in 0..12_u32 {
        if random.chance() {
            let prefix = format!("10.{number}.0.0/16").parse().unwrap();
            let vrp = Vrp::new(prefix, 24, Asn::new(number)).unwrap();
            rows.push_vrp(vrp, attribute(random));
        }
        if random.chance() {
            let prefix = format!("2001:db8:{number}::/48").parse().unwrap();
            let vrp = Vrp::new(prefix, 48, Asn::new(number)).unwrap();
            rows.push_vrp(vrp, attribute(random));
        }
        if number < 4 && random.chance() {
            let ski = [u8::try_from(number).unwrap(); 20];
            let key = RouterKey::new(ski, Asn::new(number), b"key").unwrap();
            rows.push_router_key(key, attribute(random));
        }
        if number < 4 && random.chance() {
            let provider = Asn::new(100 + u32::try_from(random.below(2)).unwrap());
            let aspa = Aspa::new(Asn::new(1 + number), vec![provider]).unwrap();
            rows.push_aspa(aspa, attribute(random));
        }
    }
    DataSet::new(&rows.finish())
}

/// Each of the first serials of a history, the first of them without steps.
fn serials(random: &mut Random, count: usize) -> Vec<Snapshot> {
    let first = Snapshot::first_after(NAME, Serial::new(u32::MAX - 3), data(random));
    let mut serials = vec![first];
    go_on(&mut serials, random, count);
    serials
}

/// Adds serials until there are so many.
fn go_on(serials: &mut Vec<Snapshot>, random: &mut Random, count: usize) {
    while serials.len() < count {
        let last = serials.last().unwrap();
        let now = UnixTime::new(1_000 + random.below(100));
        let trigger = Trigger::ALL[usize::try_from(random.below(5)).unwrap()];
        match last.next(data(random), trigger, now, HistoryLimits::default()) {
            Step::Serial(next) => serials.push(next),
            Step::Revision(next) => *serials.last_mut().unwrap() = next,
            Step::Unchanged => {}
        }
    }
}

/// What another server serves that has taken over and has all attributes.
pub(crate) fn jumped(last: &Snapshot, now: UnixTime) -> Snapshot {
    let (from, serial, revision) = (last.serial(), last.serial().jump(), 0);
    let step = Entry::new(from, serial, now, Trigger::Takeover, Delta::default());
    let steps = last.entries().cloned().chain([Arc::new(step)]);
    let restored = Restored {
        name: last.name(),
        serial,
        revision,
        data: last.data().clone(),
        known: Some(Known { serial, revision }),
        steps: steps.collect(),
        v0_turn: 0,
    };
    Snapshot::restore(restored).unwrap()
}

pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Vec<u8> {
    let mut octets = Vec::new();
    write(&mut octets).unwrap();
    octets
}

/// What is in a file of attributes.
fn attributes_of(file: Octets<'_>) -> Result<Attributes, FeedError> {
    attributes::read(&mut &file.octets[..], file.digest).unwrap()
}

fn sealed(octets: &[u8]) -> Octets<'_> {
    Octets {
        octets,
        digest: Digest::of(octets),
    }
}

/// The manifest of the last of these serials, with the snapshot of one and the attributes of
/// another of them.
fn manifest(serials: &[Snapshot], base: usize, known: Option<usize>) -> Manifest {
    let last = serials.last().unwrap();
    let attributes = known.map(|known| {
        let at = &serials[known];
        let set = snapshot::digest(at.payload());
        let octets = written(|out| attributes::write(at.data(), &set, out));
        AttributesRef {
            serial: at.serial(),
            revision: at.revision(),
            digest: Digest::of(&octets),
        }
    });
    let deltas = last.entries().map(|entry| {
        let octets = written(|out| delta::write(entry.delta(), out));
        let replaced = written(|out| delta::write_replaced(entry.delta(), out));
        DeltaRef {
            from: entry.from(),
            to: entry.serial(),
            time: entry.time(),
            trigger: entry.trigger(),
            digest: Digest::of(&octets),
            replaced: delta::replaces(entry.delta()).then(|| Digest::of(&replaced)),
        }
    });
    Manifest {
        history: NAME,
        serial: last.serial(),
        revision: last.revision(),
        timing: crate::rtr::Timing::RECOMMENDED,
        issued: UnixTime::new(2_000),
        valid_until: UnixTime::new(9_200),
        mirrored: false,
        snapshot: SnapshotRef {
            serial: serials[base].serial(),
            digest: snapshot::digest(serials[base].payload()),
        },
        attributes,
        deltas: deltas.collect(),
    }
}
