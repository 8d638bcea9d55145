//! What one setting says about another: contradictions, and what is allowed but unwise.

use super::export;
use super::listener::{self, Wish, version};
use super::report::Report;
use super::scalars::{Draft, Rule};
use super::value::show_duration;
use super::{Config, Limits, Merge, MergeMode, Profile, Rtr, Source, profile};
use crate::rtr::{Timing, Versions};

/// The whole, `None` when a part of it contradicts another.
pub(super) fn finish(
    mut draft: Draft,
    sources: Vec<Source>,
    (wishes, profiles): (Vec<Wish>, Vec<profile::Wish>),
    report: &mut Report,
) -> Option<Config> {
    let merge = merge(&draft, sources.len(), report);
    let rtr = rtr(&draft, report);
    let export = export::settle(&mut draft, report);
    let listeners = rtr
        .as_ref()
        .map(|rtr| listener::settle(wishes, rtr, &draft, report));
    let profiles = rtr
        .as_ref()
        .zip(listeners.as_ref())
        .map(|(rtr, listeners)| profile::settle(profiles, rtr, listeners, report));
    if let Some(rtr) = &rtr {
        idle(&draft, rtr, profiles.as_deref().unwrap_or_default(), report);
    }
    // A router that is stalled for longer than this has long given up (8210bis §9).
    let longest = draft.retry * 3;
    if draft.limits.stall > longest {
        let longest = show_duration(longest);
        let warning = format!("limits.stall counts as three times rtr.retry at most ({longest})");
        report.warnings.push(warning);
    }
    Some(Config {
        state_dir: draft.state_dir,
        control: draft.control,
        rtr: rtr?,
        sources,
        merge: merge?,
        guard: draft.guard,
        slurm: draft.slurm,
        listeners: listeners?,
        profiles: profiles?,
        limits: Limits {
            stall: draft.limits.stall.min(longest),
            ..draft.limits
        },
        http: draft.http,
        export,
    })
}

/// A session is for good (8210bis §9): a router that asks when it was told to is not idle.
fn idle(draft: &Draft, rtr: &Rtr, profiles: &[Profile], report: &mut Report) {
    let own = profiles.iter().filter_map(|profile| profile.timing);
    let longest = own.map(|timing| timing.refresh()).max();
    let refresh = longest.unwrap_or_default().max(rtr.timing.refresh());
    if let Some(idle) = draft.limits.idle.filter(|idle| *idle <= refresh) {
        let reason = format!(
            "would end routers that ask when they are told to (found {}, expected more than the \
             longest refresh, {})",
            show_duration(idle),
            show_duration(refresh)
        );
        report.contradiction("limits.idle", reason);
    }
}

fn rtr(draft: &Draft, report: &mut Report) -> Option<Rtr> {
    // Each is within its range already, unless it is reported as not being so.
    let timing = Timing::new(draft.refresh, draft.retry, draft.expire);
    let timing = timing.map_err(|error| {
        let keys = ["rtr.expire", "rtr.refresh", "rtr.retry"];
        let culprit = keys.into_iter().find(|key| report.is_set(key));
        report.contradiction(culprit.unwrap_or("rtr.expire"), error.to_string());
    });
    let range = version(Some(draft.lowest)).zip(version(Some(draft.highest)));
    let versions = range.and_then(|(lowest, highest)| Versions::new(lowest, highest));
    if versions.is_none() {
        let keys = ["rtr.lowest-version", "rtr.highest-version"];
        let culprit = keys.into_iter().find(|key| report.is_set(key));
        let reason = format!(
            "not a range of versions (found {} to {}, expected one within 0 to 2)",
            draft.lowest, draft.highest
        );
        report.contradiction(culprit.unwrap_or("rtr.lowest-version"), reason);
    }
    Some(Rtr {
        timing: timing.ok()?,
        history: draft.history,
        notify_interval: draft.notify_interval,
        versions: versions?,
    })
}

fn merge(draft: &Draft, sources: usize, report: &mut Report) -> Option<Merge> {
    if draft.rule != Rule::Failover && report.is_set("merge.hysteresis") {
        let reason = "means nothing without merge.mode = \"failover\"";
        report.contradiction("merge.hysteresis", reason);
    }
    if draft.rule != Rule::Quorum && draft.quorum.is_some() {
        let reason = "means nothing without merge.mode = \"quorum\"";
        report.contradiction("merge.quorum", reason);
    }
    let mode = match draft.rule {
        Rule::Failover => MergeMode::Failover,
        Rule::Union => MergeMode::Union,
        Rule::Quorum => MergeMode::Quorum {
            least: quorum(draft, sources, report)?,
        },
    };
    let hysteresis = draft.hysteresis;
    Some(Merge { mode, hysteresis })
}

fn quorum(draft: &Draft, sources: usize, report: &mut Report) -> Option<usize> {
    let Some(least) = draft.quorum else {
        let reason = "needs merge.quorum: how many sources must have a payload";
        report.contradiction("merge.mode", reason);
        return None;
    };
    let least = usize::try_from(least).unwrap_or(usize::MAX);
    if least > sources {
        let reason =
            format!("more than there are sources (found {least}, expected at most {sources})");
        report.contradiction("merge.quorum", reason);
    }
    Some(least)
}
