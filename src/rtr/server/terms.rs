//! What a session is told at its beginning, and what it says.

use std::time::Duration;

use bytes::Bytes;

use crate::payload::Kinds;
use crate::rtr::error::ProtocolError;
use crate::rtr::pdu::ErrorReport;
use crate::rtr::serial::Serial;
use crate::rtr::snapshot::Answer;
use crate::rtr::timing::Timing;
use crate::rtr::version::{Version, Versions};
use crate::rtr::view::SessionId;

/// What the sessions of a listener or a profile have in common.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The versions served.
    pub versions: Versions,
    /// The kinds of payload shown.
    pub kinds: Kinds,
    /// The timers told in End of Data.
    pub timing: Timing,
    /// The least time between two Serial Notifies of a connection: a minute by RFC 8210 §8.2.
    pub notify_interval: Duration,
    /// Whether Serial Notifies are sent at all.
    pub notify: bool,
    /// Whether a router of version 2 is told of a planned restart (8210bis §8.5).
    pub announce_restart: bool,
    /// How long a query waits for the first data before No Data Available.
    pub data_wait: Duration,
    /// How long a connection may go without a first query, or with a PDU begun and not ended.
    pub input_wait: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            versions: Versions::ALL,
            kinds: Kinds::ALL,
            timing: Timing::RECOMMENDED,
            notify_interval: Duration::from_secs(60),
            notify: true,
            announce_restart: false,
            data_wait: Duration::from_secs(20),
            input_wait: Duration::from_secs(120),
        }
    }
}

/// What the owner of a session has to do next.
#[derive(Debug)]
pub enum Output {
    /// Send these octets, whole and in this order, then ask again.
    Send(Bytes),
    /// Send this error report, after the delay that the owner thinks the peer deserves, then ask
    /// again.
    Report(Bytes),
    /// Have the snapshot make this image where CPU time may be spent, then ask again.
    Prepare(Answer),
    /// Something happened that is worth a line or a counter.
    Event(Event),
    /// End the connection so that what was sent can still be read.
    Close(Close),
    /// Wait for input, a publication or the deadline. Input may be taken from the peer.
    Wait,
    /// Wait for a publication or the deadline. No input may be taken from the peer.
    WaitForData,
}

/// Why a session ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Close {
    /// The peer broke the protocol.
    Protocol(ProtocolError),
    /// The peer sent an Error Report.
    ReportReceived,
    /// The peer asked for versions it cannot have until patience ended.
    NoCommonVersion,
    /// The peer sent nothing, or half a PDU, for too long.
    Silent,
    /// Data arrived after a router of version 0 had been told that there is none; such routers
    /// do not ask again by themselves (CONFORMANCE decision 5.24).
    DataArrived,
}

/// What a session tells its owner for logs and counters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A query arrived.
    Query {
        /// The version negotiated.
        version: Version,
        /// The session and serial asked for, `None` in a Reset Query.
        since: Option<(SessionId, Serial)>,
    },
    /// An answer was handed over whole.
    Answered {
        /// How.
        answer: Answered,
        /// The serial of the set that the router has then.
        serial: Option<Serial>,
        /// The octets of the answer.
        octets: usize,
    },
    /// A Notify was handed over.
    Notified {
        /// The serial in it.
        serial: Serial,
    },
    /// The peer sent an Error Report.
    PeerError {
        /// Its version octet.
        version: u8,
        /// What it says; `None` when it is damaged itself.
        report: Option<ErrorReport>,
    },
}

/// The ways to answer a query.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Answered {
    /// With the whole set.
    Full,
    /// With what changed, possibly nothing.
    Increment,
    /// With a Cache Reset.
    CacheReset,
    /// With No Data Available.
    NoData,
}

/// What another process needs to go on with a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionRecord {
    /// The version negotiated.
    pub version: Version,
    /// The Session ID told.
    pub session: SessionId,
    /// The serial that the router has.
    pub serial: Serial,
}
