//! Routers that know a later serial than we do.

use std::time::Duration;

use super::{Query, ServerSession};
use crate::rtr::serial::Serial;
use crate::rtr::snapshot::Snapshot;
use crate::rtr::view::View;

impl ServerSession {
    /// How long the query of a router that is ahead of us waits.
    pub const AHEAD_WAIT: Duration = Duration::from_secs(5);

    /// How many serials a router can be ahead of us and be believed, beside the jump of another
    /// leader: what a leader publishes in some hours.
    const MOST_AHEAD: u32 = 1_024;

    /// Whether what is served is the history of a leader. Then a router that comes from another
    /// server of that history may have a serial that is not known here yet: its Serial Query
    /// waits [`AHEAD_WAIT`](Self::AHEAD_WAIT) for it before the Cache Reset.
    pub const fn mirror(&mut self, mirrors: bool) {
        self.mirrors = mirrors;
    }

    /// Whether a query comes from another server of the leader's history, which is ahead of us.
    pub(super) fn is_ahead(&self, query: &Query, snapshot: &Snapshot) -> bool {
        let (Some((id, serial)), Some(version)) = (query.since, self.version) else {
            return false;
        };
        let view = View::new(version, self.config.kinds);
        let ours = self.told.is_none_or(|told| told == id)
            && self.serves(version)
            && snapshot.serves(view, id);
        let steps = serial.into_u32().wrapping_sub(snapshot.serial().into_u32());
        // A jump is one step, too.
        let ahead = [steps, steps.wrapping_sub(Serial::JUMP - 1)];
        let mut ahead = ahead.into_iter();
        let near = ahead.any(|steps| (1..=Self::MOST_AHEAD).contains(&steps));
        // Serial 0 is never issued.
        let possible = serial.into_u32() != 0 && near;
        self.mirrors && !self.distrusted && ours && possible
    }
}
