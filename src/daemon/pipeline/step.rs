//! One turn of the pipeline: a function of what the sources say, the local exceptions, what was
//! accepted before, and the time.

use std::sync::Arc;
use std::time::Instant;

use super::guard::{self, Digest, Standing, Verdict};
use super::mirror;
use crate::config::{Guard, Stale};
use crate::daemon::authority::Authority;
use crate::daemon::source::Mirror;
use crate::payload::census::{Change, census};
use crate::payload::merge::{Contribution, merge};
use crate::payload::{Attribute, DataSet, Rows, UnixTime};
use crate::rtr::snapshot::{Answer, HistoryLimits, Since, Step, Trigger};
use crate::rtr::{HistoryName, Snapshot};
use crate::slurm::{Effect, Exceptions};

/// Which sources count in a turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selection {
    /// What at least `least` of the sources at these places have.
    Merge {
        /// The places, ascending.
        places: Vec<usize>,
        /// How many must have a payload.
        least: usize,
    },
    /// No source, or too few, can be relied on.
    Nothing,
}

/// Local exceptions that are to come into force, and the digest of their files.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The exceptions.
    pub exceptions: Exceptions,
    /// Names them in an approval.
    pub digest: Digest,
}

/// All that a turn works from.
#[derive(Debug)]
pub struct Work {
    /// The rows of each source, `None` for those that have said nothing.
    pub sources: Vec<Option<Rows>>,
    /// Which of them count.
    pub selection: Selection,
    /// The place of the source whose leader's history is to be served as it is, and that history;
    /// `None` when what is served is made here.
    pub mirror: Option<(usize, Arc<Mirror>)>,
    /// Whether a leader's history that is served stands although no source counts.
    pub stands: bool,
    /// The merged rows that were accepted last.
    pub baseline: Option<Rows>,
    /// The exceptions in force; `None` while those that are configured were never read.
    pub in_force: Option<Exceptions>,
    /// Exceptions to replace them.
    pub pending: Option<Pending>,
    /// The candidate that the operator approves in this turn.
    pub approved: Option<Digest>,
    /// Whether the rule for stale data was in force before.
    pub lapsed: bool,
    /// The rules.
    pub guard: Guard,
    /// Where the guard of updates stands.
    pub updates: Standing,
    /// Where the guard of exceptions stands.
    pub changes: Standing,
    /// Whose history that is which was published last.
    pub authority: Authority,
    /// What was published last.
    pub previous: Option<Arc<Snapshot>>,
    /// What set the turn off.
    pub trigger: Trigger,
    /// The time by the calendar.
    pub now: UnixTime,
    /// The same moment, for waits.
    pub instant: Instant,
    /// How much of the past is kept.
    pub limits: HistoryLimits,
}

/// What is to be served after a turn.
#[derive(Debug)]
pub enum Serving {
    /// Nothing, since nothing is known yet.
    NothingYet,
    /// Nothing, by the rule for stale data: what routers were told stays what they were told.
    Withheld,
    /// What was published last.
    Same,
    /// Something new.
    New(Arc<Snapshot>),
}

/// What comes of a turn.
#[derive(Debug)]
pub struct Turn {
    /// The sources' rows without those that expired, which never come back without a list.
    pub kept: Vec<Option<Rows>>,
    /// Those that expired in this turn.
    pub gone: Vec<Option<Rows>>,
    /// The merged rows that are accepted now.
    pub baseline: Option<Rows>,
    /// The merged rows that were not let through.
    pub candidate: Option<Rows>,
    /// The exceptions in force now.
    pub in_force: Option<Exceptions>,
    /// The exceptions that wait.
    pub pending: Option<Pending>,
    /// What the exceptions in force do.
    pub effect: Option<Effect>,
    /// Where the guard of updates stands.
    pub updates: Standing,
    /// Where the guard of exceptions stands.
    pub changes: Standing,
    /// How the update was judged.
    pub update_verdict: Verdict,
    /// How the exceptions were judged, `None` when no others were to come into force.
    pub change_verdict: Option<Verdict>,
    /// What new exceptions change past a limit, let through or not.
    pub change_excess: Vec<Change>,
    /// When the next payload expires.
    pub next_expiry: Option<UnixTime>,
    /// Whether the rule for stale data is in force: no source, or too few, can be relied on, or
    /// what came since then is not let through.
    pub lapsed: bool,
    /// What is to be served.
    pub serving: Serving,
    /// Whose history that is.
    pub authority: Authority,
}

/// Takes a turn. Costs a pass over what is served, and another one over each source when there
/// are several.
pub fn step(work: &Work, fresh_name: impl FnOnce() -> HistoryName) -> Turn {
    if let Some((place, mirror)) = &work.mirror {
        return mirror::follow(work, *place, mirror);
    }
    if work.stands {
        return mirror::stand(work);
    }
    let (kept, gone): (Vec<_>, Vec<_>) = work
        .sources
        .iter()
        .map(|rows| split(rows, work.now))
        .unzip();
    let before = work
        .baseline
        .as_ref()
        .map(|rows| remaining(rows, &work.sources, &kept, work.now));
    let candidate = match &work.selection {
        Selection::Nothing => None,
        Selection::Merge { places, least } => Some(merged(&kept, places, *least)),
    };
    let fresh = candidate.is_some();
    let judged = candidate.and_then(|candidate| {
        let changes = changes(work, before.as_ref(), &candidate)?;
        Some(judge_update(work, changes, candidate))
    });
    let mut turn = Turn {
        gone,
        candidate: None,
        in_force: work.in_force.clone(),
        effect: None,
        // While nothing is served, nothing is held that could time out.
        changes: match (&work.pending, &work.changes) {
            (Some(_), Standing::Refused(digest)) => Standing::Refused(*digest),
            _ => Standing::Clear,
        },
        change_verdict: None,
        change_excess: Vec::new(),
        next_expiry: None,
        lapsed: !fresh,
        serving: Serving::NothingYet,
        authority: work.authority,
        // Without a candidate there is nothing that could be held or refused.
        updates: Standing::Clear,
        update_verdict: Verdict::Harmless,
        baseline: before,
        pending: work.pending.clone(),
        kept,
    };
    if let Some((updates, verdict, candidate)) = judged {
        if verdict.passes() {
            turn.baseline = Some(candidate);
        } else {
            // What was stale does not come back because the guard stops what is not.
            turn.lapsed = work.lapsed;
            turn.candidate = Some(candidate);
        }
        (turn.updates, turn.update_verdict) = (updates, verdict);
    }
    let published = work
        .previous
        .as_deref()
        .map(|previous| previous.data().rows());
    let rows = turn.kept.iter().flatten().chain(&turn.baseline);
    let alone = turn.in_force.is_none() || turn.baseline.is_none();
    let rows = rows.chain(published.filter(|_| alone));
    turn.next_expiry = rows.filter_map(Rows::next_expiry).min();
    match (&turn.baseline, work.guard.stale) {
        (None, _) if work.previous.is_none() => {}
        (_, Stale::NoData) if turn.lapsed => turn.serving = Serving::Withheld,
        (_, Stale::Withdraw) if turn.lapsed => {
            turn.serve(work, &Rows::default(), fresh_name);
        }
        // What was served before the restart, as long as nothing else is accepted.
        (None, _) => turn.go_on(work, fresh_name),
        (Some(accepted), _) => {
            let accepted = accepted.clone();
            turn.serve(work, &accepted, fresh_name);
        }
    }
    turn
}

/// Makes the increment that every router is about to ask for, in the versions they speak, so that
/// the first of them does not wait for it.
pub fn prepare(new: &Snapshot, old: &Snapshot) {
    if let Some(Since::Step(place)) = new.since(old.serial()) {
        for version in old.versions_in_use() {
            new.image(Answer {
                version,
                since: Some(place),
            });
        }
    }
}

impl Turn {
    /// From what is accepted to what is served: the local exceptions between the two.
    fn serve(&mut self, work: &Work, accepted: &Rows, fresh_name: impl FnOnce() -> HistoryName) {
        let Some(rows) = self.excepted(work, accepted) else {
            return;
        };
        self.publish(work, &rows, fresh_name);
    }

    /// Serves what is served already, without what has expired.
    fn go_on(&mut self, work: &Work, fresh_name: impl FnOnce() -> HistoryName) {
        if let Some(previous) = work.previous.as_deref() {
            let (rows, _) = previous.data().rows().split_expired(work.now);
            self.publish(work, &rows, fresh_name);
        }
    }

    /// Serves rows as they are.
    fn publish(&mut self, work: &Work, rows: &Rows, fresh_name: impl FnOnce() -> HistoryName) {
        let data = DataSet::new(rows);
        let trigger = self.trigger(work.trigger);
        self.serving = match work.previous.as_deref() {
            None => {
                self.authority = Authority::Own;
                Serving::New(Arc::new(Snapshot::first(fresh_name(), data)))
            }
            // A leader's history is not ours to go on with. What it says stands as long as it is
            // what would be served; what differs begins a history of our own.
            Some(previous) if work.authority != Authority::Own => {
                if data.payload() == previous.payload() {
                    self.serving = Serving::Same;
                    return;
                }
                self.authority = Authority::Own;
                Serving::New(Arc::new(previous.begin_away(fresh_name(), data)))
            }
            Some(previous) => match previous.next(data, trigger, work.now, work.limits) {
                Step::Unchanged => Serving::Same,
                Step::Revision(next) | Step::Serial(next) => Serving::New(Arc::new(next)),
            },
        };
    }

    /// What is left by the exceptions that may come into force, or by those in force. While none
    /// are known, that is what was published before, and nothing that is not in it.
    fn excepted(&mut self, work: &Work, accepted: &Rows) -> Option<Rows> {
        let known = self.in_force.as_ref();
        let known = known.map(|in_force| in_force.apply(accepted, Attribute::LOCAL));
        let published = || {
            let rows = work.previous.as_deref()?.data().rows();
            match accepted.is_empty() {
                true => Some(Rows::default()),
                false => Some(rows.split_expired(work.now).0),
            }
        };
        let before = known.as_ref().map(|known| known.rows.clone());
        let before = before.or_else(published);
        if let Some(coming) = self.pending.take() {
            let output = coming.exceptions.apply(accepted, Attribute::LOCAL);
            // Those of a start may come into force: nothing was served without them.
            let served = before.as_ref().filter(|_| work.previous.is_some());
            if self.may_change(work, &coming, served, &output.rows) {
                self.in_force = Some(coming.exceptions);
                self.effect = Some(output.effect);
                return Some(output.rows);
            }
            self.pending = Some(coming);
        }
        self.effect = known.map(|known| known.effect);
        before
    }

    /// Whether new exceptions may come into force. What counts is what they alone change, not
    /// what came with them from the sources.
    fn may_change(
        &mut self,
        work: &Work,
        coming: &Pending,
        before: Option<&Rows>,
        output: &Rows,
    ) -> bool {
        let changes = before.map(|before| census(before, output));
        self.change_excess = guard::excess(&work.guard, changes.unwrap_or_default());
        let excess = match work.guard.slurm {
            true => self.change_excess.clone(),
            false => Vec::new(),
        };
        let digest = || coming.digest;
        let judged = guard::judge(
            &work.guard,
            &work.changes,
            excess,
            digest,
            work.approved,
            work.instant,
        );
        let passes = judged.1.passes();
        (self.changes, self.change_verdict) = (judged.0, Some(judged.1));
        passes
    }

    /// What is said to have set a serial off.
    fn trigger(&self, trigger: Trigger) -> Trigger {
        let approved = self.update_verdict == Verdict::Approved
            || self.change_verdict == Some(Verdict::Approved);
        match approved {
            true => Trigger::Approval,
            false => trigger,
        }
    }
}

pub(super) fn split(rows: &Option<Rows>, now: UnixTime) -> (Option<Rows>, Option<Rows>) {
    match rows {
        None => (None, None),
        Some(rows) => {
            let (kept, gone) = rows.split_expired(now);
            (Some(kept), gone)
        }
    }
}

/// What is left of the rows that were accepted. Where they are those of a source, they stay
/// those: a copy of their own would be memory.
fn remaining(
    accepted: &Rows,
    sources: &[Option<Rows>],
    kept: &[Option<Rows>],
    now: UnixTime,
) -> Rows {
    let pairs = sources.iter().flatten().zip(kept.iter().flatten());
    let mut twins = pairs.filter(|(source, _)| source.shares_all(accepted));
    let twin = twins.next().map(|(_, kept)| kept.clone());
    twin.unwrap_or_else(|| accepted.split_expired(now).0)
}

fn merged(kept: &[Option<Rows>], places: &[usize], least: usize) -> Rows {
    let contributions: Vec<Contribution<'_>> = places
        .iter()
        .filter_map(|place| {
            let rows = kept.get(*place)?.as_ref()?;
            Some(Contribution {
                place: *place,
                rows,
            })
        })
        .collect();
    match contributions.as_slice() {
        // Nothing to merge, and nothing to copy.
        [only] if least <= 1 => only.rows.clone(),
        several => merge(several, least),
    }
}

/// What a candidate takes away and brings. After a restart nothing was accepted yet but something
/// is served, so the two are compared with exceptions; `None` while those are not known.
fn changes(work: &Work, before: Option<&Rows>, candidate: &Rows) -> Option<Vec<Change>> {
    let restored = work.previous.as_deref();
    Some(match (before, restored) {
        // What is the same needs no look.
        (Some(before), _) if before.shares_all(candidate) => Vec::new(),
        (Some(before), _) => census(before, candidate),
        (None, Some(restored)) => {
            let pending = work.pending.as_ref().map(|pending| &pending.exceptions);
            let exceptions = work.in_force.as_ref().or(pending)?;
            let excepted = |rows: &Rows| match exceptions.len() {
                0 => rows.clone(),
                _ => exceptions.apply(rows, Attribute::LOCAL).rows,
            };
            census(&excepted(restored.data().rows()), &excepted(candidate))
        }
        // The very first load passes.
        (None, None) => Vec::new(),
    })
}

fn judge_update(work: &Work, changes: Vec<Change>, candidate: Rows) -> (Standing, Verdict, Rows) {
    let excess = guard::excess(&work.guard, changes);
    let digest = || Digest::of_rows(&candidate);
    let (standing, verdict) = guard::judge(
        &work.guard,
        &work.updates,
        excess,
        digest,
        work.approved,
        work.instant,
    );
    (standing, verdict, candidate)
}
