//! Whose a history is.

use crate::payload::UnixTime;

/// Who issues the serials of the history that is served.
///
/// A server never issues a serial in the history of a leader: what would differ from what the
/// leader serves begins a history of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Authority {
    /// This server.
    Own,
    /// A leader, which says until when its word counts.
    Leader(Validity),
}

impl Authority {
    /// Until when the word of the leader counts; `None` in a history of our own.
    pub const fn leader_until(self) -> Option<UnixTime> {
        match self {
            Self::Own => None,
            Self::Leader(validity) => Some(validity.valid_until),
        }
    }
}

/// The time for which the word of a leader counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// When it was given.
    pub issued: UnixTime,
    /// From when on it counts no more.
    pub valid_until: UnixTime,
}
