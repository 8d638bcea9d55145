//! What sessions and listeners count.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::rtr::Version;
use crate::rtr::server::{Answered, Event};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.add(1);
    }

    /// Several more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The address is on no access list.
    AccessList,
    /// There are as many connections as `limits.connections` says.
    Connections,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::AccessList, Self::Connections];

    /// A word for a log or a metric.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AccessList => "access list",
            Self::Connections => "limits.connections",
        }
    }
}

/// Counts since the start, of all listeners together.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Sessions ended by a deadline or for being the slowest.
    pub evicted: Counter,
    /// Notifies handed over.
    pub notifies: Counter,
    /// Octets of answers handed over.
    pub octets: Counter,
    /// Error Reports received, damaged ones included.
    pub reports_received: Counter,
    /// Error Reports sent.
    pub reports_sent: Counter,
    refused: [Counter; 2],
    queries: [[Counter; 2]; 3],
    answers: [Counter; 4],
}

impl Counters {
    /// Connections refused for this reason.
    pub const fn refused(&self, reason: Refusal) -> &Counter {
        let [access, connections] = &self.refused;
        match reason {
            Refusal::AccessList => access,
            Refusal::Connections => connections,
        }
    }

    /// Queries of this version: Reset Queries and Serial Queries.
    pub const fn queries(&self, version: Version) -> &[Counter; 2] {
        let [v0, v1, v2] = &self.queries;
        match version {
            Version::V0 => v0,
            Version::V1 => v1,
            Version::V2 => v2,
        }
    }

    /// Answers given in this way.
    pub const fn answers(&self, answered: Answered) -> &Counter {
        let [full, increment, reset, no_data] = &self.answers;
        match answered {
            Answered::Full => full,
            Answered::Increment => increment,
            Answered::CacheReset => reset,
            Answered::NoData => no_data,
        }
    }

    /// Counts what a session says.
    pub fn note(&self, event: &Event) {
        match event {
            Event::Query { version, since } => {
                let [reset, serial] = self.queries(*version);
                let counter = if since.is_some() { serial } else { reset };
                counter.count();
            }
            Event::Answered { answer, octets, .. } => {
                self.answers(*answer).count();
                self.octets.add(u64::try_from(*octets).unwrap_or(0));
            }
            Event::Notified { .. } => self.notifies.count(),
            Event::PeerError { .. } => self.reports_received.count(),
        }
    }
}

/// Room for connections, of all listeners together.
#[derive(Debug)]
pub struct Room {
    taken: AtomicUsize,
    limit: AtomicUsize,
}

impl Room {
    /// Room for so many.
    pub fn new(limit: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        }
    }

    /// Makes it larger or smaller. Who is there stays.
    pub fn resize(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// A place, which is given back with [`leave`](Self::leave); whether there was one.
    #[must_use]
    pub fn enter(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let more = |taken: usize| (taken < limit).then(|| taken + 1);
        let order = Ordering::Relaxed;
        self.taken.fetch_update(order, order, more).is_ok()
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_limited_and_can_shrink_below_what_is_taken() {
        let room = Room::new(2);
        assert!(room.enter() && room.enter() && !room.enter());
        room.resize(1);
        room.leave();
        assert!(!room.enter());
        room.leave();
        assert!(room.enter() && room.taken() == 1);
    }
}
