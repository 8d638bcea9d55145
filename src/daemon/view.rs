//! What a running server can say of itself: the pipeline writes it after each turn, and status,
//! metrics and explanations are made from it when somebody asks.

use std::sync::Arc;

use crate::config::{Guard, Merge};
use crate::payload::merge::Agreement;
use crate::payload::{Rows, UnixTime};
use crate::rtr::Snapshot;
use crate::rtr::snapshot::Trigger;
use crate::slurm::{Effect, Exceptions};

use super::authority::Authority;
use super::pipeline::feed::Feed;
use super::pipeline::guard::{Digest, Held};
use super::slurm::FileNote;

/// The pipeline after a turn. Everything large in it is shared with what is served.
#[derive(Clone, Debug)]
pub struct View {
    /// The sources.
    pub feeds: Vec<Feed>,
    /// How they are merged.
    pub merge: Merge,
    /// The source in use, with [`MergeMode::Failover`](crate::config::MergeMode::Failover).
    pub active: Option<usize>,
    /// Whether no source, or too few, can be relied on.
    pub stale: bool,
    /// How far the sources agree, when there are several.
    pub agreement: Option<Arc<Agreement>>,
    /// The merged rows that are accepted.
    pub baseline: Option<Rows>,
    /// The merged rows that were not let through.
    pub candidate: Option<Rows>,
    /// The rules of the guard.
    pub guard: Guard,
    /// The update that is held.
    pub held_update: Option<Hold>,
    /// The exceptions that are held.
    pub held_change: Option<Hold>,
    /// The update or the exceptions that were held until their time was over, and when that was.
    pub refused: Vec<(Digest, UnixTime)>,
    /// The exceptions in force.
    pub exceptions: Exceptions,
    /// What they do.
    pub effect: Option<Effect>,
    /// Their files.
    pub files: Vec<FileNote>,
    /// Why the last attempt to read exceptions failed, if it did.
    pub slurm_failure: Option<String>,
    /// Whether exceptions are configured.
    pub slurm_configured: bool,
    /// Whether configured exceptions were read at least once.
    pub slurm_ready: bool,
    /// When the exceptions were last found in order.
    pub slurm_read: Option<UnixTime>,
    /// What was published last.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Whose its history is.
    pub authority: Authority,
    /// Whether it is kept from routers by the rule for stale data.
    pub withheld: bool,
    /// When it was published, and why.
    pub published: Option<(UnixTime, Trigger)>,
    /// Figures since the start.
    pub counts: Counts,
}

impl View {
    /// Before anything is known.
    pub fn empty() -> Self {
        Self {
            feeds: Vec::new(),
            merge: Merge::default(),
            active: None,
            stale: false,
            agreement: None,
            baseline: None,
            candidate: None,
            guard: Guard::default(),
            held_update: None,
            held_change: None,
            refused: Vec::new(),
            exceptions: Exceptions::default(),
            effect: None,
            files: Vec::new(),
            slurm_failure: None,
            slurm_configured: false,
            slurm_ready: true,
            slurm_read: None,
            snapshot: None,
            authority: Authority::Own,
            withheld: false,
            published: None,
            counts: Counts::default(),
        }
    }
}

/// A candidate that is held, by the calendar.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The candidate.
    pub held: Held,
    /// Since when.
    pub since: UnixTime,
    /// Until when.
    pub until: UnixTime,
    /// Some of the payloads that would go.
    pub examples: Vec<String>,
}

impl Hold {
    /// What is held now. What was held before keeps the moment since when.
    pub fn of(held: &Held, before: Option<Self>, examples: Vec<String>, now: UnixTime) -> Self {
        let before = before.filter(|before| before.held.since == held.since);
        let since = before.map_or(now, |before| before.since);
        // A reload may have given it another time.
        let hold = held.until.saturating_duration_since(held.since);
        Self {
            held: held.clone(),
            since,
            until: since.plus(hold.as_secs()),
            examples,
        }
    }
}

/// What the pipeline has done since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Serials published.
    pub serials: u64,
    /// Candidates that were held.
    pub holds: u64,
    /// Candidates that were approved.
    pub approvals: u64,
    /// Attempts to read exceptions that failed.
    pub slurm_failures: u64,
}
