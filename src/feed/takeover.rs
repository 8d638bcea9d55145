//! How another server goes on with a history.
//!
//! Whoever led it before may have told routers serials that are in no manifest that others can
//! find, and may still do so. No serial is issued twice with different content, so whoever goes
//! on jumps over them: with a step that changes nothing, from the last serial that is known to
//! one that nobody else reaches. A router with a serial of the chain is answered as ever, and one
//! with a serial in between gets a Cache Reset.

use super::manifest::{DeltaRef, Manifest, ManifestError};
use crate::payload::UnixTime;
use crate::rtr::snapshot::Trigger;
use crate::sign::Digest;

impl Manifest {
    /// What whoever takes this history over begins with: the same set, a jump away. The file of
    /// the step that leads there has no octets.
    ///
    /// # Errors
    ///
    /// When there were so many jumps that the steps have no order any more (RFC 1982 §3.2).
    pub fn taken_over(self, now: UnixTime) -> Result<Self, ManifestError> {
        let mut ours = self.made_again(now);
        let (from, to) = (ours.serial, ours.serial.jump());
        ours.deltas.push(DeltaRef {
            from,
            to,
            time: now,
            trigger: Trigger::Takeover,
            digest: Digest::of(b""),
            replaced: None,
        });
        (ours.serial, ours.revision) = (to, 0);
        ours.trim(Self::MAX_STEP_FILES);
        ours.checked()
    }

    /// The same, made now. It counts for no longer than before: who makes it knows no more.
    #[must_use]
    pub fn made_again(mut self, now: UnixTime) -> Self {
        self.issued = self.issued.max(now);
        self.valid_until = self.valid_until.max(self.issued);
        self
    }
}
