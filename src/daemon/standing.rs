//! How the keeping of the state goes, as it is shown, counted and said.

use std::path::Path;
use std::sync::Arc;

use tracing::{debug, error, info, warn};

use super::state::KeepError;
use crate::feed::Manifest;
use crate::payload::UnixTime;
use crate::rtr::{HistoryName, Serial};

/// How the keeping goes.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The state directory.
    pub folder: Arc<Path>,
    /// What the next start goes on from; `None` when that is nothing.
    pub stored: Option<Held>,
    /// Why not all is stored, if it is not.
    pub failure: Option<Trouble>,
    /// Attempts that failed, since the start.
    pub failures: u64,
}

/// A serial that the disk holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Held {
    /// The history.
    pub history: HistoryName,
    /// The serial.
    pub serial: Serial,
    /// When that was written.
    pub at: UnixTime,
}

/// Why not all is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// What it means.
    pub weight: Weight,
    /// All of it, for people.
    pub reason: String,
}

/// What a failure means, the worst last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Weight {
    /// The next start takes longer.
    Late,
    /// The next start begins a history of its own.
    Unstored,
    /// Routers had to begin anew already.
    Lost,
}

impl Held {
    /// What a manifest says, and when it was written.
    pub const fn of((manifest, at): (&Manifest, UnixTime)) -> Self {
        Self {
            history: manifest.history,
            serial: manifest.serial,
            at,
        }
    }
}

impl Weight {
    /// What an error means.
    pub const fn of(error: &KeepError) -> Self {
        match error {
            KeepError::Late(_) => Self::Late,
            KeepError::Unstored(_) => Self::Unstored,
            KeepError::Lost(_) => Self::Lost,
        }
    }
}

impl Standing {
    /// Before anything was stored or has failed.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: Arc::from(folder),
            stored: None,
            failure: None,
            failures: 0,
        }
    }

    /// Takes note of a failure, and says it when it is the first one or a worse one.
    pub fn fail(&mut self, failure: &KeepError) {
        let (weight, error) = (Weight::of(failure), failure.to_string());
        let before = self.failure.as_ref().map(|before| before.weight);
        match weight {
            _ if Some(weight) <= before => debug!(%error, "state still not kept"),
            Weight::Late => warn!(%error, "state not kept up to date"),
            Weight::Unstored => error!(%error, "state not kept"),
            Weight::Lost => error!(%error, "state not kept, all routers begin anew"),
        }
        self.failures += 1;
        if before.is_none_or(|before| weight >= before) {
            let reason = error;
            self.failure = Some(Trouble { weight, reason });
        }
    }

    /// Takes note that all is stored.
    pub fn succeed(&mut self) {
        if self.failure.take().is_some() {
            info!("state kept again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::state::DiskError;
    use super::*;

    #[test]
    fn what_lasts_is_said_once_and_the_worst_of_it_stays() {
        let error = || DiskError {
            path: "/state/feed".into(),
            cause: io::ErrorKind::StorageFull.into(),
        };
        let mut standing = Standing::new(Path::new("/state"));
        standing.fail(&KeepError::Late(error()));
        standing.fail(&KeepError::Unstored(error()));
        standing.fail(&KeepError::Late(error()));
        assert_eq!(standing.failures, 3);
        let failure = standing.failure.clone().unwrap();
        assert_eq!(failure.weight, Weight::Unstored);
        assert!(failure.reason.starts_with("the state is not stored: "));
        standing.succeed();
        assert_eq!((standing.failure, standing.failures), (None, 3));
    }
}
