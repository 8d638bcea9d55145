//! What the guard holds, as it is shown, counted and said.

use super::Pipeline;
use super::guard::{self, Digest, Standing};
use super::report;
use super::step::Turn;
use crate::daemon::view::Hold;
use crate::payload::UnixTime;

/// What is shown of the candidates that are held.
#[derive(Debug, Default)]
pub(super) struct Holds {
    pub(super) update: Option<Hold>,
    pub(super) change: Option<Hold>,
    /// What was held until its time was over, and when that was.
    pub(super) refused: Vec<(Digest, UnixTime)>,
}

impl Pipeline {
    /// Counts what the guard did in a turn, and says it.
    pub(super) fn count_and_tell(&mut self, turn: &Turn, now: UnixTime) {
        let would_go = |turn: &Turn| match (&turn.baseline, &turn.candidate) {
            (Some(before), Some(after)) => report::examples(before, after),
            _ => Vec::new(),
        };
        let held = |before: Option<Hold>, standing: &Standing, examples: Vec<String>| {
            standing
                .held()
                .map(|held| Hold::of(held, before, examples, now))
        };
        self.holds.update = held(self.holds.update.take(), &turn.updates, would_go(turn));
        self.holds.change = held(self.holds.change.take(), &turn.changes, Vec::new());
        let refused = [&turn.updates, &turn.changes]
            .into_iter()
            .filter_map(Standing::refused);
        let known = std::mem::take(&mut self.holds.refused);
        self.holds.refused = refused
            .map(|digest| {
                let at = known
                    .iter()
                    .find(|(known, _)| *known == digest)
                    .map(|(_, at)| *at);
                (digest, at.unwrap_or(now))
            })
            .collect();
        let mut guard = |what: &str, before: &Standing, after: &Standing, verdict| {
            self.counts.holds += report::guard(what, before, after, verdict, &self.voice);
        };
        guard("update", &self.updates, &turn.updates, &turn.update_verdict);
        if let Some(verdict) = &turn.change_verdict {
            guard("slurm", &self.changes, &turn.changes, verdict);
            if *verdict == guard::Verdict::Harmless {
                report::large_change(&turn.change_excess);
            }
        }
        let approved = [Some(&turn.update_verdict), turn.change_verdict.as_ref()];
        let approved = approved
            .into_iter()
            .flatten()
            .filter(|v| **v == guard::Verdict::Approved);
        self.counts.approvals += u64::try_from(approved.count()).unwrap_or(0);
    }
}
