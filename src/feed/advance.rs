//! Whether a manifest may follow the one that was taken before.
//!
//! Whoever carries a feed cannot change it, and can show something old. So a follower keeps where
//! it stands, and goes back for nobody.

use std::cmp::Ordering;
use std::error::Error;
use std::fmt;

use super::manifest::Manifest;
use crate::payload::UnixTime;
use crate::rtr::{HistoryName, Serial};

/// Where a follower stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// The history.
    pub history: HistoryName,
    /// The serial.
    pub serial: Serial,
    /// The revision of that serial.
    pub revision: u64,
    /// When the manifest was made.
    pub issued: UnixTime,
}

/// What a manifest is to a follower.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Advance {
    /// The same state, with the same or a later time.
    Same,
    /// Other attributes of the same serial.
    Revision,
    /// A later serial.
    Serial,
    /// Another history: the leader has started afresh.
    Afresh,
}

/// A manifest that is older than one that was taken before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RollbackError {
    /// Its serial is lower, or so far away that it has no order (RFC 1982 §3.2).
    Serial {
        /// The serial that was reached.
        reached: Serial,
        /// The serial found.
        found: Serial,
    },
    /// Its revision of the same serial is lower.
    Revision {
        /// The revision that was reached.
        reached: u64,
        /// The revision found.
        found: u64,
    },
    /// It was made earlier.
    Issued {
        /// When the one before was made.
        reached: UnixTime,
        /// When this one was.
        found: UnixTime,
    },
}

impl fmt::Display for RollbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { reached, found } => {
                write!(f, "goes back from serial {reached} to {found}")
            }
            Self::Revision { reached, found } => {
                write!(f, "goes back from revision {reached} to {found}")
            }
            Self::Issued { reached, found } => {
                write!(f, "made at {found}, before the one of {reached}")
            }
        }
    }
}

impl Error for RollbackError {}

impl Mark {
    /// What the next one is to a follower that stands here.
    ///
    /// A later serial may have an earlier time: it is the leader's clock, and a clock may be set
    /// back. Another history may not, or an old one that still counts could be played back.
    ///
    /// # Errors
    ///
    /// When it is older.
    pub fn advance(&self, next: &Self) -> Result<Advance, RollbackError> {
        let issued = match next.issued < self.issued {
            true => Err(RollbackError::Issued {
                reached: self.issued,
                found: next.issued,
            }),
            false => Ok(()),
        };
        if next.history != self.history {
            return issued.map(|()| Advance::Afresh);
        }
        match next.serial.partial_cmp(&self.serial) {
            Some(Ordering::Greater) => Ok(Advance::Serial),
            Some(Ordering::Equal) if next.revision < self.revision => {
                Err(RollbackError::Revision {
                    reached: self.revision,
                    found: next.revision,
                })
            }
            Some(Ordering::Equal) => issued.map(|()| match next.revision > self.revision {
                true => Advance::Revision,
                false => Advance::Same,
            }),
            Some(Ordering::Less) | None => Err(RollbackError::Serial {
                reached: self.serial,
                found: next.serial,
            }),
        }
    }
}

impl Manifest {
    /// Where a follower stands that has taken this.
    pub const fn mark(&self) -> Mark {
        Mark {
            history: self.history,
            serial: self.serial,
            revision: self.revision,
            issued: self.issued,
        }
    }

    /// What it is to a follower that stands there: [`Mark::advance`].
    ///
    /// # Errors
    ///
    /// When it is older.
    pub fn advances(&self, from: &Mark) -> Result<Advance, RollbackError> {
        from.advance(&self.mark())
    }
}
