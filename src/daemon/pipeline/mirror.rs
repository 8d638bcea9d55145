//! When a server is its leader, octet for octet.
//!
//! A server mirrors when one source alone decides what it serves, that source is a leader's feed
//! whose word counts, and there are no local exceptions. Then it serves the leader's history:
//! nothing expires here, nothing is filtered, and the guard judges nothing, because the leader has
//! done all that, and a router may come from any other server that does the same.
//!
//! Nobody goes back: a leader that is behind what was served of its history, or has other data
//! there, counts for nothing ([`against`]), and what is served stands until the word of whoever
//! gave it is over ([`stands`]). In every other case what is served is made here, and the leader's
//! history is never gone on with: see `Turn::publish` in `step`.

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
                write!(f, "it is at serial {found}, and {served} was served")
            }
            Self::Conflict(serial) => {
                write!(f, "it has other data at serial {serial}, which was served")
            }
        }
    }
}

/// What speaks against a leader that is here, after that was served of its history.
pub fn against(reached: &Snapshot, leader: &Snapshot) -> Option<Unfollowed> {
    if leader.name() != reached.name() {
        return None;
    }
    let (served, found) = (reached.serial(), leader.serial());
    match found.partial_cmp(&served) {
        Some(Ordering::Greater) => None,
        Some(Ordering::Equal) if leader.revision() < reached.revision() => {
            Some(Unfollowed::Behind { served, found })
        }
        Some(Ordering::Equal) => {
            let same = leader.payload() == reached.payload();
            (!same).then_some(Unfollowed::Conflict(found))
        }
        Some(Ordering::Less) | None => Some(Unfollowed::Behind { served, found }),
    }
}

/// Whether one source alone decides what is served, without local exceptions.
fn is_alone(feeds: &[Feed], rules: &Rules) -> bool {
    let alone = feeds.len() == 1 || rules.merge.mode == MergeMode::Failover;
    alone && !rules.slurm_configured
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
    let [place] = places[..] else { return None };
    let feed = feeds.get(place)?;
    let mirror = feed.mirror.as_ref()?;
    let counts = mirror.valid_until > now && feed.is_fresh(now);
    let ours = counts && is_alone(feeds, rules);
    ours.then(|| (place, Arc::clone(mirror)))
}

/// Whether a leader's history that is served goes on being served although no source has a say
/// now: after a restart before the leader was heard, and while another leader is behind. The word
/// of whoever gave it still counts, and is no older than the operator lets lists be.
pub fn stands(
    feeds: &[Feed],
    rules: &Rules,
    selection: &Selection,
    authority: Authority,
    now: UnixTime,
) -> bool {
    let Authority::Leader(validity) = authority else {
        return false;
    };
    let ages = feeds.iter().filter_map(|feed| feed.source.max_age);
    let oldest = ages.min().map(|age| validity.issued.plus(age.as_secs()));
    *selection == Selection::Nothing
        && is_alone(feeds, rules)
        && validity.valid_until > now
        && oldest.is_none_or(|oldest| oldest > now)
}

/// Takes a turn in which the leader's history is served as it is. Costs a comparison of two sets
/// when it is the serial that is served already, and next to nothing otherwise.
pub(super) fn follow(work: &Work, place: usize, mirror: &Mirror) -> Turn {
    let leader = &mirror.snapshot;
    let serving = match work.previous.as_deref() {
        None => Serving::New(Arc::clone(leader)),
        Some(previous) if is_served(previous, leader) => Serving::Same,
        Some(previous) => match leader.following(previous) {
            Ok(next) => Serving::New(Arc::new(next)),
            // Such a leader is not chosen.
            Err(_) => return stand(work),
        },
    };
    let validity = Validity {
        issued: mirror.issued,
        valid_until: mirror.valid_until,
    };
    Turn {
        baseline: Some(leader.data().rows().clone()),
        authority: Authority::Leader(validity),
        ..unjudged(work, Some(place), serving)
    }
}

/// Takes a turn in which what is served stands.
pub(super) fn stand(work: &Work) -> Turn {
    unjudged(work, None, Serving::Same)
}

/// A turn in which nothing is judged here, and nothing expires in what is served. Exceptions that
/// are none come into force.
fn unjudged(work: &Work, place: Option<usize>, serving: Serving) -> Turn {
    let each = work.sources.iter().enumerate();
    let (kept, gone) = each
        .map(|(at, rows)| match Some(at) == place {
            // The leader says what expires.
            true => (rows.clone(), None),
            false => split(rows, work.now),
        })
        .unzip();
    let pending = work.pending.as_ref();
    let coming = pending.map(|pending| pending.exceptions.clone());
    Turn {
        kept,
        gone,
        baseline: work.baseline.clone(),
        candidate: None,
        change_verdict: pending.map(|_| Verdict::Harmless),
        in_force: coming.or_else(|| work.in_force.clone()),
        pending: None,
        effect: None,
        updates: Standing::Clear,
        changes: Standing::Clear,
        update_verdict: Verdict::Harmless,
        change_excess: Vec::new(),
        next_expiry: None,
        lapsed: false,
        serving,
        authority: work.authority,
    }
}

/// Whether a snapshot is what is served already.
fn is_served(previous: &Snapshot, leader: &Snapshot) -> bool {
    let place = |snapshot: &Snapshot| (snapshot.name(), snapshot.serial(), snapshot.revision());
    place(previous) == place(leader)
        && leader.known() == previous.known()
        && leader.data() == previous.data()
}

#[cfg(test)]
mod tests;
