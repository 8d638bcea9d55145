//! What sessions and listeners count.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::net::gate::Full;
use crate::net::{Reason, Transport};
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
    /// The address is on no access list, or on one of those who may not connect.
    AccessList,
    /// There are as many connections as a limit says.
    Full(Full),
    /// Too many connections are not logged in yet, of all or of one network.
    Unproven,
    /// No turn for a handshake came within its time.
    Handshakes,
    /// The peer is to blame.
    Peer(Reason),
}

impl Refusal {
    /// Those that are no blame of the peer.
    const OWN: [Self; 6] = [
        Self::AccessList,
        Self::Full(Full::Total),
        Self::Full(Full::Address),
        Self::Full(Full::Network),
        Self::Unproven,
        Self::Handshakes,
    ];

    /// How many there are.
    const COUNT: usize = Self::OWN.len() + Reason::ALL.len();

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let blamed = Reason::ALL.into_iter().map(Self::Peer);
        Self::OWN.into_iter().chain(blamed)
    }

    /// A word for a log or a metric.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AccessList => "access list",
            Self::Full(Full::Total) => "limits.connections",
            Self::Full(Full::Address) => "limits.connections-per-address",
            Self::Full(Full::Network) => "limits.connections-per-network",
            Self::Unproven => "unauthenticated",
            Self::Handshakes => "limits.handshakes",
            Self::Peer(reason) => reason.word(),
        }
    }
}

/// What is counted of each transport.
#[derive(Debug)]
pub struct Carried {
    /// Connections that became sessions.
    pub accepted: Counter,
    /// Sessions that there are.
    pub open: AtomicUsize,
    refused: [Counter; Refusal::COUNT],
}

impl Default for Carried {
    fn default() -> Self {
        Self {
            accepted: Counter::default(),
            open: AtomicUsize::new(0),
            refused: std::array::from_fn(|_| Counter::default()),
        }
    }
}

impl Carried {
    /// Connections refused for this reason.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.counter(refusal).map_or(0, Counter::value)
    }

    /// Counts a connection that is refused.
    pub fn refuse(&self, refusal: Refusal) {
        if let Some(counter) = self.counter(refusal) {
            counter.count();
        }
    }

    fn counter(&self, refusal: Refusal) -> Option<&Counter> {
        let place = Refusal::all().position(|known| known == refusal)?;
        self.refused.get(place)
    }
}

/// Counts since the start, of all listeners together.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions ended by a deadline or for being the slowest.
    pub evicted: Counter,
    /// Sessions ended because a reload no longer lets them in.
    pub revoked: Counter,
    /// Notifies handed over.
    pub notifies: Counter,
    /// Octets of answers handed over.
    pub octets: Counter,
    /// Error Reports received, damaged ones included.
    pub reports_received: Counter,
    /// Error Reports sent.
    pub reports_sent: Counter,
    carried: [Carried; 3],
    queries: [[Counter; 2]; 3],
    answers: [Counter; 4],
}

impl Counters {
    /// What is counted of this transport.
    pub const fn of(&self, transport: Transport) -> &Carried {
        let [tcp, tls, ssh] = &self.carried;
        match transport {
            Transport::Tcp => tcp,
            Transport::Tls => tls,
            Transport::Ssh => ssh,
        }
    }

    /// The same of all transports.
    pub const fn carried(&self) -> &[Carried; 3] {
        &self.carried
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_refusal_is_counted_by_itself() {
        let counters = Counters::default();
        let carried = counters.of(Transport::Tls);
        assert_eq!(Refusal::all().count(), Refusal::COUNT);
        for (times, refusal) in Refusal::all().enumerate() {
            (0..times).for_each(|_| carried.refuse(refusal));
        }
        for (times, refusal) in Refusal::all().enumerate() {
            assert_eq!(carried.refused(refusal), u64::try_from(times).unwrap());
            assert_eq!(counters.of(Transport::Tcp).refused(refusal), 0);
        }
        let words: BTreeSet<_> = Refusal::all().map(Refusal::word).collect();
        assert_eq!(words.len(), Refusal::COUNT);
    }
}
