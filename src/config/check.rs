//! What one setting says about another: contradictions, and what is allowed but unwise.

use std::time::Duration;

use super::listener::{self, Wish, version};
use super::report::Report;
use super::scalars::{Draft, Rule};
use super::value::show_duration;
use super::{Config, Limits, Merge, MergeMode, Origin, Rtr, Source};
use crate::net::Endpoint;
use crate::rtr::{Timing, Versions};

/// The whole, `None` when a part of it contradicts another.
pub(super) fn finish(
    draft: Draft,
    sources: Vec<Source>,
    wishes: Vec<Wish>,
    report: &mut Report,
) -> Option<Config> {
    let merge = merge(&draft, sources.len(), report);
    let rtr = rtr(&draft, report);
    let listeners = rtr
        .as_ref()
        .map(|rtr| listener::settle(wishes, rtr, report));
    // A router that is stalled for longer than this has long given up (8210bis §9).
    let longest = draft.retry * 3;
    if draft.limits.stall > longest {
        let longest = show_duration(longest);
        let warning = format!("limits.stall counts as three times rtr.retry at most ({longest})");
        report.warnings.push(warning);
    }
    let mut guard = draft.guard;
    guard.min_change = usize::try_from(draft.min_change).unwrap_or(usize::MAX);
    Some(Config {
        control: draft.control,
        rtr: rtr?,
        sources,
        merge: merge?,
        guard,
        slurm: draft.slurm,
        listeners: listeners?,
        profiles: Vec::new(),
        limits: Limits {
            connections: usize::try_from(draft.connections).unwrap_or(usize::MAX),
            stall: draft.limits.stall.min(longest),
            ..draft.limits
        },
        http: draft.http,
    })
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

/// What is off from RFC or habit but allowed.
pub(super) fn warnings(config: &Config, mut warnings: Vec<String>) -> Vec<String> {
    rtr_warnings(&config.rtr, &mut warnings);
    if config.merge.mode == (MergeMode::Quorum { least: 1 }) {
        warnings.push("merge.quorum of 1 is a union: any one source is believed".into());
    }
    for source in &config.sources {
        source_warnings(source, &mut warnings);
    }
    if !config.http.access.allow.is_empty() && config.http.addresses.is_empty() {
        warnings.push("http.allow does nothing without http.address".into());
    }
    if config.http.token.is_some() && config.http.addresses.is_empty() {
        warnings.push("http.token-file does nothing without http.address".into());
    }
    warnings
}

fn rtr_warnings(rtr: &Rtr, warnings: &mut Vec<String>) {
    if rtr.notify_interval < Duration::from_secs(60) {
        warnings.push(
            "rtr.notify-interval is below the minute of RFC 8210 §8.2: for laboratories only"
                .into(),
        );
    }
    if !rtr.timing.leaves_time_to_retry() {
        warnings.push("rtr.expire leaves no time for two retries after a missed refresh".into());
    }
    if rtr.history < Duration::from_secs(3_600) {
        warnings.push("rtr.history is below an hour: routers that poll hourly get resets".into());
    } else if rtr.history < rtr.timing.expire() {
        warnings.push(format!(
            "rtr.history is below rtr.expire ({}): a router that comes back in time gets a reset",
            show_duration(rtr.timing.expire())
        ));
    }
}

fn source_warnings(source: &Source, warnings: &mut Vec<String>) {
    let Origin::At(endpoint) = &source.origin else {
        return;
    };
    let name = &source.name;
    if source.max_age.is_none() && *endpoint != Endpoint::Stdin {
        warnings.push(format!(
            "source {name:?} has max-age off: what it said last is trusted for ever"
        ));
    }
    if let Endpoint::Web(url) = endpoint
        && !url.is_secure()
        && url.with_credentials().len() != url.to_string().len()
    {
        warnings.push(format!(
            "source {name:?} sends a password in the clear: its URL is http://"
        ));
    }
}
