//! When a server is its leader, octet for octet.
//!
//! A server mirrors when one source alone decides what it serves, that source is a leader's feed
//! whose word counts, and there are no local exceptions. Then it serves the leader's history:
//! nothing expires here, nothing is filtered, and the guard judges nothing, because the leader has
//! done all that, and a router may come from any other server that does the same. In every other
//! case what is served is made here, and the leader's history is never gone on with: see
//! `Turn::publish` in `step`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::feed::Feed;
use super::guard::{Standing, Verdict};
use super::order::Rules;
use super::step::{Selection, Serving, Turn, Work, split};
use crate::config::MergeMode;
use crate::daemon::authority::{Authority, Validity};
use crate::daemon::source::Mirror;
use crate::payload::UnixTime;
use crate::rtr::{Serial, Snapshot};

/// Why a leader's history is not followed although it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unfollowed {
    /// It is behind what is served: another follower is ahead of this leader, or the leader shows
    /// something old.
    Behind {
        /// The serial that is served.
        served: Serial,
        /// The leader's.
        found: Serial,
    },
    /// It has other data at a serial that is served.
    Conflict(Serial),
}

impl fmt::Display for Unfollowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { served, found } => {
                write!(
                    f,
                    "it is at serial {found}, behind {served}, which is served"
                )
            }
            Self::Conflict(serial) => {
                write!(f, "it has other data at serial {serial}, which is served")
            }
        }
    }
}

/// The leader's history that is to be served as it is, if that is so, and the place of its source.
pub fn chosen(
    feeds: &[Feed],
    rules: &Rules,
    selection: &Selection,
    now: UnixTime,
) -> Option<(usize, Arc<Mirror>)> {
    let Selection::Merge { places, .. } = selection else {
        return None;
    };
    let alone = feeds.len() == 1 || rules.merge.mode == MergeMode::Failover;
    let [place] = places[..] else { return None };
    let feed = feeds.get(place)?;
    let mirror = feed.mirror.as_ref()?;
    let counts = mirror.valid_until > now && feed.is_fresh(now);
    let ours = alone && !rules.slurm_configured && counts;
    ours.then(|| (place, Arc::clone(mirror)))
}

/// Takes a turn in which the leader's history is served as it is. Costs a comparison of two sets
/// when it is the serial that is served already, and next to nothing otherwise.
pub(super) fn follow(work: &Work, place: usize, mirror: &Mirror) -> Turn {
    let each = work.sources.iter().enumerate();
    let (kept, gone) = each
        .map(|(at, rows)| match at == place {
            // The leader says what expires.
            true => (rows.clone(), None),
            false => split(rows, work.now),
        })
        .unzip();
    let (serving, unfollowed) = match serving(work.previous.as_deref(), &mirror.snapshot) {
        Ok(serving) => (serving, None),
        Err(unfollowed) => (Serving::Same, Some(unfollowed)),
    };
    let rows = mirror.snapshot.data().rows().clone();
    let followed = Authority::Leader(Validity {
        issued: mirror.issued,
        valid_until: mirror.valid_until,
    });
    Turn {
        kept,
        gone,
        baseline: Some(rows),
        candidate: None,
        in_force: work.in_force.clone(),
        pending: work.pending.clone(),
        effect: None,
        updates: Standing::Clear,
        changes: Standing::Clear,
        update_verdict: Verdict::Harmless,
        change_verdict: None,
        change_excess: Vec::new(),
        next_expiry: None,
        lapsed: false,
        serving,
        // What is served stays the word of whoever gave it.
        authority: match unfollowed {
            None => followed,
            Some(_) => work.authority,
        },
        unfollowed,
    }
}

fn serving(previous: Option<&Snapshot>, leader: &Arc<Snapshot>) -> Result<Serving, Unfollowed> {
    let Some(previous) = previous else {
        return Ok(Serving::New(Arc::clone(leader)));
    };
    let (served, found) = (previous.serial(), leader.serial());
    if previous.name() == leader.name() {
        match found.partial_cmp(&served) {
            Some(Ordering::Greater) => {}
            Some(Ordering::Equal) if leader.revision() < previous.revision() => {
                return Err(Unfollowed::Behind { served, found });
            }
            Some(Ordering::Equal)
                if leader.revision() == previous.revision()
                    && leader.known() == previous.known()
                    && leader.data() == previous.data() =>
            {
                return Ok(Serving::Same);
            }
            Some(Ordering::Equal) => {}
            Some(Ordering::Less) | None => return Err(Unfollowed::Behind { served, found }),
        }
    }
    match leader.following(previous) {
        Ok(next) => Ok(Serving::New(Arc::new(next))),
        Err(_) => Err(Unfollowed::Conflict(found)),
    }
}

#[cfg(test)]
mod tests;
