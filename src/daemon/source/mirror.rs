//! The history of a leader, as its feed has it.

use std::sync::Arc;

use crate::payload::UnixTime;
use crate::rtr::Snapshot;

/// Where the history of a leader stands.
///
/// Whoever serves it as it is serves what the leader serves, octet for octet: under the same
/// history name and serials, so that a router may go from one to the other.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// What the leader serves, with the steps that are known.
    pub snapshot: Arc<Snapshot>,
    /// When the leader said so.
    pub issued: UnixTime,
    /// From when on nobody may serve it as the leader's.
    pub valid_until: UnixTime,
}
