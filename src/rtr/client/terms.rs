//! What a client is told at its beginning, and what it says.

use std::time::Duration;

use bytes::Bytes;

use crate::payload::{Delta, PayloadSet};
use crate::rtr::error::ProtocolError;
use crate::rtr::pdu::ErrorReport;
use crate::rtr::serial::Serial;
use crate::rtr::timing::Timing;
use crate::rtr::version::{Version, Versions};
use crate::rtr::view::SessionId;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The versions spoken; the first query has the highest.
    pub versions: Versions,
    /// How long a connection may be silent while an answer is awaited or under way.
    pub answer_wait: Duration,
    /// The most payloads of an answer: what a cache can make us keep.
    pub max_payloads: usize,
    /// The timers until a cache tells its own.
    pub timing: Timing,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            versions: Versions::ALL,
            answer_wait: Duration::from_secs(60),
            max_payloads: 20_000_000,
            timing: Timing::RECOMMENDED,
        }
    }
}

/// What a client has: complete, from one cache, of one serial.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// The version it was received in.
    pub version: Version,
    /// The session.
    pub session: SessionId,
    /// The serial.
    pub serial: Serial,
    /// The timers.
    pub timing: Timing,
    /// The set.
    pub set: PayloadSet,
}

/// What the owner of a client has to do next.
#[derive(Debug)]
pub enum Output {
    /// Send these octets, then ask again.
    Send(Bytes),
    /// Something happened.
    Event(Event),
    /// End the connection and make another one, at once or after the retry interval, and tell
    /// [`connected`](super::ClientSession::connected).
    Reconnect(Reconnect),
    /// Wait for input or the deadline.
    Wait,
}

/// Why and when to connect again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reconnect {
    /// At once, to speak a lower version.
    Downgrade(Version),
    /// After the retry interval.
    After(Failure),
}

/// Why a connection is of no more use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// The cache ended the connection.
    Closed,
    /// The cache broke the protocol.
    Protocol(ProtocolError),
    /// The cache sent an Error Report.
    Report(ErrorReport),
    /// There is no version that both sides speak.
    NoCommonVersion {
        /// The highest version of the cache as its report says, if it is known.
        offered: u8,
    },
    /// The cache was silent while an answer was due.
    Silent,
    /// The answer has more payloads than the limit.
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// An answer that is complete.
#[derive(Clone, Debug)]
pub struct Update {
    /// What the client has now.
    pub epoch: Epoch,
    /// What changed since before.
    pub delta: Delta,
}

/// What a client tells its owner.
#[derive(Clone, Debug)]
pub enum Event {
    /// An answer is complete and applied.
    Updated(Box<Update>),
    /// A Serial Notify arrived.
    Notified(Serial),
    /// The cache cannot tell what changed; everything is asked for again.
    Reset,
    /// The cache has no data; it is asked again after the retry interval.
    NoData,
    /// A lower version is spoken from here on.
    Downgraded(Version),
    /// What the client has is older than the expire interval and must not be used any more.
    Expired,
}
