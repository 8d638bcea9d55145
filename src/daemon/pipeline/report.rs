//! What the pipeline tells the log.

use std::fmt::Display;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::feed::Feed;
use super::guard::{Standing, Verdict};
use super::mirror::Unfollowed;
use crate::config::Stale;
use crate::daemon::voice::Voice;
use crate::payload::census::{self, Change};
use crate::payload::{Kind, Rows};
use crate::rtr::Snapshot;
use crate::rtr::snapshot::Trigger;

/// How many of the payloads that would go are shown.
const EXAMPLES: usize = 10;

/// Sources that were waited for in vain.
pub(super) fn unheard(feeds: &[Feed]) {
    for feed in feeds.iter().filter(|feed| !feed.has_spoken()) {
        warn!(source = %feed.source.name, "source not heard yet, going on without it");
    }
}

/// Another source is in use.
pub(super) fn switched(feeds: &[Feed], from: Option<usize>, to: Option<usize>) {
    let name = |place: Option<usize>| Some(&*feeds.get(place?)?.source.name);
    if let (Some(from), Some(to)) = (name(from), name(to)) {
        warn!(from, to, "source in use changed");
    } else if feeds.len() > 1
        && let Some(to) = name(to)
    {
        info!(source = to, "source in use");
    }
}

/// The sources went stale altogether, or are back.
pub(super) fn staleness(before: bool, after: bool, policy: Stale) {
    match (before, after) {
        (false, true) => {
            let policy = match policy {
                Stale::Keep => "keep",
                Stale::Withdraw => "withdraw",
                Stale::NoData => "no-data",
            };
            error!(policy, "no source, or too few, can be relied on");
        }
        (true, false) => info!("sources can be relied on again"),
        _ => {}
    }
}

/// Exceptions could not be read.
pub(super) fn slurm_failed(failure: &str, before: Option<&String>) {
    if before.is_none_or(|before| before != failure) {
        // A fault is a line, and an event is one.
        let error = failure.lines().collect::<Vec<_>>().join("; ");
        error!(error, "local exceptions refused, the last good ones stay");
    }
}

/// A guard changed its mind. Gives 1 when it holds another candidate than before.
pub(super) fn guard(
    what: &str,
    before: &Standing,
    after: &Standing,
    verdict: &Verdict,
    voice: &Voice,
) -> u64 {
    match (verdict, after) {
        (Verdict::Approved, _) => info!(what, "held candidate approved"),
        (Verdict::TimedOut, _) => warn!(what, "held candidate accepted after its time"),
        (_, Standing::Holding(held)) => {
            if before
                .held()
                .is_some_and(|before| before.digest == held.digest)
            {
                return 0;
            }
            let digest = held.digest;
            // The first of a hold is always told of; others take its place as often as they like.
            if before.held().is_none() || voice.may_speak() {
                let changes = lines(&held.excess);
                error!(what, %digest, %changes, "held by the guard, the last good set stays");
            }
            return 1;
        }
        (_, Standing::Refused(digest)) if before != after => {
            error!(what, %digest, "held candidate refused after its time");
        }
        (Verdict::Harmless, Standing::Clear) if *before != Standing::Clear => {
            info!(what, "nothing is held any more");
        }
        _ => {}
    }
    0
}

/// New exceptions changed much and were let through.
pub(super) fn large_change(excess: &[Change]) {
    if !excess.is_empty() {
        let changes = lines(excess);
        warn!(%changes, "local exceptions changed a large part of the set");
    }
}

/// Something new is served, which took so long to make.
pub(super) fn published(
    snapshot: &Snapshot,
    before: Option<&Snapshot>,
    trigger: Trigger,
    took: Duration,
    voice: &Voice,
) {
    if !voice.may_speak() {
        debug!(serial = %snapshot.serial(), "published");
        return;
    }
    // A leader's history can stay where it was when more is known of its payloads.
    let place = |snapshot: &Snapshot| (snapshot.name(), snapshot.serial(), snapshot.revision());
    if before.is_some_and(|before| place(before) == place(snapshot)) {
        debug!(serial = %snapshot.serial(), "the leader says more of the same payloads");
        return;
    }
    left_out(snapshot, before);
    let set = snapshot.payload();
    let last = snapshot
        .entries()
        .next_back()
        .filter(|_| snapshot.revision() == 0);
    info!(
        serial = %snapshot.serial(),
        revision = snapshot.revision(),
        %trigger,
        announced = last.map(|entry| entry.delta().announced()),
        withdrawn = last.map(|entry| entry.delta().withdrawn()),
        ipv4 = set.count(Kind::Ipv4),
        ipv6 = set.count(Kind::Ipv6),
        router_keys = set.count(Kind::RouterKey),
        aspas = set.count(Kind::Aspa),
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "published"
    );
}

/// Says once, and not for each of them, that ASPAs cannot be served.
fn left_out(snapshot: &Snapshot, before: Option<&Snapshot>) {
    let left_out = snapshot.data().left_out();
    let known = before.is_some_and(|before| before.data().left_out() == left_out);
    if let Some(first) = left_out.first().filter(|_| !known) {
        let (customer, reason) = (first.customer, first.reason);
        warn!(count = left_out.len(), %customer, %reason, "ASPAs left out, the first is named");
    }
}

/// Some of the payloads that would go.
pub(super) fn examples(before: &Rows, after: &Rows) -> Vec<String> {
    let lost = census::lost(before, after, EXAMPLES);
    lost.iter().map(ToString::to_string).collect()
}

fn lines(changes: &[Change]) -> impl Display {
    let lines: Vec<String> = changes.iter().map(change).collect();
    lines.join("; ")
}

/// `IPv4 VRPs: 1000 now, 900 would go and 0 come`.
fn change(change: &Change) -> String {
    let Change {
        group,
        before,
        lost,
        gained,
        ..
    } = change;
    format!("{group}: {before} now, {lost} would go and {gained} come")
}

/// Says that the history of a leader is not followed, or is followed again.
pub(super) fn unfollowed(source: &str, before: Option<Unfollowed>, after: Option<Unfollowed>) {
    match (before, after) {
        (Some(_), None) => info!(source, "the leader's history is followed again"),
        (None, Some(reason)) => warn!(source, %reason, "the leader's history is not followed"),
        (Some(_), Some(reason)) => {
            debug!(source, %reason, "the leader's history is still not followed");
        }
        (None, None) => {}
    }
}
