//! The metrics of a server: their names and help, and where their values come from.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::http::metrics::{Exposition, Metric};
use crate::net::Transport;
use crate::payload::{Kind, UnixTime};
use crate::rtr::Version;
use crate::rtr::server::Answered;

use super::certificates::Certificate;
use super::counters::Refusal;
use super::session::Shared;
use super::status::{Around, count};
use super::view::View;

const BUILD: Metric = Metric::gauge("rutter_build_info", "1, with the version of the program");
const STARTED: Metric = Metric::gauge("rutter_start_timestamp_seconds", "When the server started");
const SERIAL: Metric = Metric::gauge("rutter_serial", "The serial that was published last");
const REVISION: Metric = Metric::gauge("rutter_revision", "Changes of attributes of this serial");
const PUBLISHED: Metric = Metric::gauge(
    "rutter_published_timestamp_seconds",
    "When the serial was published",
);
const LEADER_UNTIL: Metric = Metric::gauge(
    "rutter_leader_valid_until_timestamp_seconds",
    "Until when the word of the leader counts whose history is served; absent in an own history",
);
const SERIALS: Metric = Metric::counter("rutter_serials_total", "Serials published");
const PAYLOADS: Metric = Metric::gauge("rutter_payloads", "Payloads served, by kind");
const READY: Metric = Metric::gauge("rutter_ready", "1 when routers can rely on the server");
const STALE: Metric = Metric::gauge(
    "rutter_stale",
    "1 when no source, or too few, can be relied on",
);
const WITHHELD: Metric =
    Metric::gauge("rutter_withheld", "1 when stale data are kept from routers");

const SOURCE_PAYLOADS: Metric = Metric::gauge("rutter_source_payloads", "Payloads of a source");
const SOURCE_SKIPPED: Metric = Metric::gauge(
    "rutter_source_skipped_rows",
    "Bad rows of the last list of a source",
);
const SOURCE_FRESH: Metric =
    Metric::gauge("rutter_source_fresh", "1 when a source can be relied on");
const SOURCE_ACTIVE: Metric = Metric::gauge(
    "rutter_source_active",
    "1 when a source counts in the merge",
);
const SOURCE_FAILING: Metric = Metric::gauge(
    "rutter_source_failing",
    "1 for the kind of failure a source has now",
);
const SOURCE_ATTEMPTS: Metric = Metric::counter(
    "rutter_source_attempts_total",
    "Attempts to read a source, by result",
);
const SOURCE_SUCCESS: Metric = Metric::gauge(
    "rutter_source_last_success_timestamp_seconds",
    "End of the last attempt that was no failure",
);
const SOURCE_STATED: Metric = Metric::gauge(
    "rutter_source_stated_timestamp_seconds",
    "When the list of a source was made, as it says",
);
const SOURCE_STALE_AT: Metric = Metric::gauge(
    "rutter_source_stale_timestamp_seconds",
    "When the list of a source becomes too old",
);
const SOURCE_TOOK: Metric = Metric::gauge(
    "rutter_source_duration_seconds",
    "How long the last attempt took",
);
const SOURCE_ALONE: Metric = Metric::gauge(
    "rutter_source_alone_payloads",
    "Payloads that no other source has",
);
const SOURCE_LACKS: Metric = Metric::gauge(
    "rutter_source_lacking_payloads",
    "Payloads that all other sources have",
);

const HELD: Metric = Metric::gauge("rutter_guard_held", "1 while a candidate is held, by kind");
const HELD_LOST: Metric = Metric::gauge(
    "rutter_guard_held_lost_payloads",
    "Payloads that a held candidate would drop",
);
const HELD_GAINED: Metric = Metric::gauge(
    "rutter_guard_held_gained_payloads",
    "Payloads that a held candidate would add",
);
const HOLDS: Metric = Metric::counter("rutter_guard_holds_total", "Candidates that were held");
const APPROVALS: Metric = Metric::counter(
    "rutter_guard_approvals_total",
    "Candidates that were approved",
);

const SLURM_OK: Metric = Metric::gauge(
    "rutter_slurm_applied",
    "1 when the newest local exceptions are in force",
);
const SLURM_ENTRIES: Metric = Metric::gauge("rutter_slurm_entries", "Entries of local exceptions");
const SLURM_IDLE: Metric = Metric::gauge(
    "rutter_slurm_idle_entries",
    "Entries of local exceptions that do nothing",
);
const SLURM_REMOVED: Metric = Metric::gauge(
    "rutter_slurm_removed_payloads",
    "Payloads that filters take out",
);
const SLURM_ADDED: Metric = Metric::gauge(
    "rutter_slurm_added_payloads",
    "Payloads that only assertions bring",
);
const SLURM_FAILURES: Metric = Metric::counter(
    "rutter_slurm_failures_total",
    "Local exceptions that were refused",
);

const RELOADS: Metric = Metric::counter("rutter_reloads_total", "Reloads, by result");
const RELOAD_OK: Metric = Metric::gauge(
    "rutter_reload_success",
    "1 when the last reload was taken, 0 when refused",
);

const STATE_FAILING: Metric = Metric::gauge(
    "rutter_state_failing",
    "1 while not all is stored for the next start",
);
const STATE_FAILURES: Metric = Metric::counter(
    "rutter_state_failures_total",
    "Attempts to store the state that failed",
);
const STATE_SERIAL: Metric = Metric::gauge(
    "rutter_state_serial",
    "The serial that the next start goes on from",
);
const STATE_STORED: Metric = Metric::gauge(
    "rutter_state_stored_timestamp_seconds",
    "When that was written",
);

const CERTIFICATES: Metric = Metric::gauge(
    "rutter_certificate_expiry_timestamp_seconds",
    "When a certificate is over, by the file it is from",
);

const CONNECTIONS: Metric = Metric::gauge(
    "rutter_connections",
    "Connections of routers, with those that are not logged in yet",
);
const SESSIONS: Metric = Metric::gauge("rutter_rtr_sessions", "Sessions of routers");
const ACCEPTED: Metric = Metric::counter(
    "rutter_rtr_accepted_total",
    "Connections that became sessions",
);
const REFUSED: Metric = Metric::counter(
    "rutter_connections_refused_total",
    "Connections of routers that were refused, by reason",
);
const REVOKED: Metric = Metric::counter(
    "rutter_rtr_revoked_total",
    "Sessions ended because a reload no longer lets them in",
);
const EVICTED: Metric = Metric::counter(
    "rutter_rtr_evicted_total",
    "Sessions ended because the router was too slow",
);
const QUERIES: Metric = Metric::counter("rutter_rtr_queries_total", "Queries, by version and kind");
const ANSWERS: Metric = Metric::counter("rutter_rtr_answers_total", "Answers, by kind");
const ANSWERED: Metric = Metric::counter(
    "rutter_rtr_answer_bytes_total",
    "Octets of answers handed to routers",
);
const NOTIFIES: Metric = Metric::counter("rutter_rtr_notifies_total", "Serial Notifies sent");
const REPORTS: Metric = Metric::counter("rutter_rtr_error_reports_total", "Error Reports");

/// Writes all of them.
pub(super) fn write(
    out: &mut Exposition,
    view: &View,
    around: &Around,
    shared: &Shared,
    now: UnixTime,
) {
    let ready = super::status::status(view, around, shared, now).ready.ready;
    out.family(&BUILD)
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1u64);
    out.family(&STARTED).sample(&[], around.started);
    out.family(&READY).sample(&[], ready);
    out.family(&STALE).sample(&[], view.stale);
    out.family(&WITHHELD).sample(&[], view.withheld);
    served(out, view);
    sources(out, view, now);
    guard(out, view);
    slurm(out, view);
    state(out, around);
    reloads(out, around);
    let mut family = out.family(&CERTIFICATES);
    // A file may have several, and a series has one value: the first end is what to act on.
    let mut ends: BTreeMap<&str, UnixTime> = BTreeMap::new();
    for Certificate { file, until } in &around.certificates {
        let end = ends.entry(file).or_insert(*until);
        *end = (*end).min(*until);
    }
    for (file, end) in ends {
        family.sample(&[("file", file)], end);
    }
    sessions(out, shared);
    super::publish::write_metrics(out, &around.places);
}

fn served(out: &mut Exposition, view: &View) {
    out.family(&SERIALS).sample(&[], view.counts.serials);
    let Some(snapshot) = &view.snapshot else {
        return;
    };
    out.family(&SERIAL)
        .sample(&[], snapshot.serial().into_u32());
    out.family(&REVISION).sample(&[], snapshot.revision());
    if let Some((at, _)) = view.published {
        out.family(&PUBLISHED).sample(&[], at);
    }
    if let Some(until) = view.authority.leader_until() {
        out.family(&LEADER_UNTIL).sample(&[], until);
    }
    let mut family = out.family(&PAYLOADS);
    for kind in Kind::ALL {
        family.sample(&[("kind", kind_word(kind))], snapshot.payload().count(kind));
    }
}

const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Ipv4 => "ipv4",
        Kind::Ipv6 => "ipv6",
        Kind::RouterKey => "router_key",
        Kind::Aspa => "aspa",
    }
}

fn sources(out: &mut Exposition, view: &View, now: UnixTime) {
    let feeds = || view.feeds.iter().map(|feed| (&*feed.source.name, feed));
    let mut family = out.family(&SOURCE_PAYLOADS);
    for (name, feed) in feeds() {
        family.sample(
            &[("source", name)],
            feed.rows.as_ref().map_or(0, crate::payload::Rows::len),
        );
    }
    let mut family = out.family(&SOURCE_SKIPPED);
    for (name, feed) in feeds() {
        family.sample(
            &[("source", name)],
            feed.facts.as_ref().map_or(0, |facts| facts.skipped),
        );
    }
    let mut family = out.family(&SOURCE_FRESH);
    for (name, feed) in feeds() {
        family.sample(&[("source", name)], feed.is_fresh(now));
    }
    let mut family = out.family(&SOURCE_ACTIVE);
    for (place, (name, feed)) in feeds().enumerate() {
        let counts = super::status::counts(view, place, feed.is_fresh(now));
        family.sample(&[("source", name)], counts);
    }
    let mut family = out.family(&SOURCE_FAILING);
    for (name, feed) in feeds() {
        if let Some(failure) = &feed.failure {
            family.sample(&[("source", name), ("reason", failure.kind)], 1u64);
        }
    }
    let mut family = out.family(&SOURCE_ATTEMPTS);
    for (name, feed) in feeds() {
        family.sample(&[("source", name), ("result", "failed")], feed.failures);
        let good = feed.attempts.saturating_sub(feed.failures);
        family.sample(&[("source", name), ("result", "ok")], good);
    }
    moments(out, view);
    agreement(out, view);
}

fn moments(out: &mut Exposition, view: &View) {
    let feeds = || view.feeds.iter().map(|feed| (&*feed.source.name, feed));
    let mut family = out.family(&SOURCE_SUCCESS);
    for (name, feed) in feeds() {
        feed.succeeded
            .map(|at| family.sample(&[("source", name)], at));
    }
    let mut family = out.family(&SOURCE_STATED);
    for (name, feed) in feeds() {
        let stated = feed.age.and_then(|age| age.stated);
        stated.map(|at| family.sample(&[("source", name)], at));
    }
    let mut family = out.family(&SOURCE_STALE_AT);
    for (name, feed) in feeds() {
        let stale_at = feed.age.and_then(|age| age.stale_at());
        stale_at.map(|at| family.sample(&[("source", name)], at));
    }
    let mut family = out.family(&SOURCE_TOOK);
    for (name, feed) in feeds() {
        family.sample(&[("source", name)], feed.took);
    }
}

fn agreement(out: &mut Exposition, view: &View) {
    let Some(agreement) = &view.agreement else {
        return;
    };
    let known = || {
        let sources = agreement.sources.iter();
        sources.filter_map(|source| {
            let feed = view.feeds.get(source.place)?;
            Some((&*feed.source.name, source))
        })
    };
    let mut family = out.family(&SOURCE_ALONE);
    for (name, source) in known() {
        family.sample(&[("source", name)], source.alone);
    }
    let mut family = out.family(&SOURCE_LACKS);
    for (name, source) in known() {
        family.sample(&[("source", name)], source.lacks);
    }
}

fn guard(out: &mut Exposition, view: &View) {
    let holds = [("update", &view.held_update), ("slurm", &view.held_change)];
    let mut family = out.family(&HELD);
    for (kind, hold) in holds {
        family.sample(&[("kind", kind)], hold.is_some());
    }
    let changes = || {
        let held = holds.into_iter();
        let held = held.filter_map(|(kind, hold)| Some((kind, hold.as_ref()?)));
        held.flat_map(|(kind, hold)| hold.held.excess.iter().map(move |change| (kind, change)))
    };
    let mut family = out.family(&HELD_LOST);
    for (kind, change) in changes() {
        let group = change.group.to_string();
        family.sample(&[("kind", kind), ("group", &group)], change.lost);
    }
    let mut family = out.family(&HELD_GAINED);
    for (kind, change) in changes() {
        let group = change.group.to_string();
        family.sample(&[("kind", kind), ("group", &group)], change.gained);
    }
    out.family(&HOLDS).sample(&[], view.counts.holds);
    out.family(&APPROVALS).sample(&[], view.counts.approvals);
}

fn slurm(out: &mut Exposition, view: &View) {
    if !view.slurm_configured {
        return;
    }
    let held = view.held_change.is_some();
    let applied = view.slurm_ready && view.slurm_failure.is_none() && !held;
    out.family(&SLURM_OK).sample(&[], applied);
    out.family(&SLURM_ENTRIES)
        .sample(&[], view.exceptions.len());
    if let Some(effect) = &view.effect {
        out.family(&SLURM_IDLE).sample(&[], effect.idle().count());
        out.family(&SLURM_REMOVED).sample(&[], effect.removed());
        out.family(&SLURM_ADDED).sample(&[], effect.added());
    }
    out.family(&SLURM_FAILURES)
        .sample(&[], view.counts.slurm_failures);
}

fn state(out: &mut Exposition, around: &Around) {
    let Some(standing) = &around.state else {
        return;
    };
    let standing = standing.borrow();
    out.family(&STATE_FAILING)
        .sample(&[], standing.failure.is_some());
    out.family(&STATE_FAILURES).sample(&[], standing.failures);
    if let Some(held) = standing.stored {
        out.family(&STATE_SERIAL)
            .sample(&[], held.serial.into_u32());
        out.family(&STATE_STORED).sample(&[], held.at);
    }
}

fn reloads(out: &mut Exposition, around: &Around) {
    let [taken, refused] = around.reloads;
    out.family(&RELOADS)
        .sample(&[("result", "ok")], taken)
        .sample(&[("result", "refused")], refused);
    if let Some(reload) = &around.reload {
        out.family(&RELOAD_OK).sample(&[], reload.ok);
    }
}

fn sessions(out: &mut Exposition, shared: &Shared) {
    let counters = &shared.counters;
    out.family(&CONNECTIONS)
        .sample(&[], count(shared.connections()));
    let mut family = out.family(&SESSIONS);
    for transport in Transport::ALL {
        let open = counters.of(transport).open.load(Ordering::Relaxed);
        family.sample(&[("transport", transport.name())], count(open));
    }
    let mut family = out.family(&ACCEPTED);
    for transport in Transport::ALL {
        let accepted = counters.of(transport).accepted.value();
        family.sample(&[("transport", transport.name())], accepted);
    }
    let mut family = out.family(&REFUSED);
    for transport in Transport::ALL {
        let carried = counters.of(transport);
        for refusal in Refusal::all() {
            family.sample(
                &[("transport", transport.name()), ("reason", refusal.word())],
                carried.refused(refusal),
            );
        }
    }
    out.family(&EVICTED).sample(&[], counters.evicted.value());
    out.family(&REVOKED).sample(&[], counters.revoked.value());
    let mut family = out.family(&QUERIES);
    for version in Version::ALL {
        let [reset, serial] = counters.queries(version);
        let number = version.to_string();
        family.sample(&[("version", &number), ("kind", "reset")], reset.value());
        family.sample(&[("version", &number), ("kind", "serial")], serial.value());
    }
    let mut family = out.family(&ANSWERS);
    for (answered, word) in [
        (Answered::Full, "full"),
        (Answered::Increment, "increment"),
        (Answered::CacheReset, "cache_reset"),
        (Answered::NoData, "no_data"),
    ] {
        family.sample(&[("kind", word)], counters.answers(answered).value());
    }
    out.family(&ANSWERED).sample(&[], counters.octets.value());
    out.family(&NOTIFIES).sample(&[], counters.notifies.value());
    out.family(&REPORTS)
        .sample(
            &[("direction", "received")],
            counters.reports_received.value(),
        )
        .sample(&[("direction", "sent")], counters.reports_sent.value());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Instant;

    use super::super::pipeline::guard::{Digest, Held};
    use super::super::store::Store;
    use super::super::view::Hold;
    use super::*;
    use crate::http::metrics::Format;
    use crate::payload::census::{Change, Group};

    #[test]
    fn two_holds_of_one_group_are_two_samples() {
        let (now, instant) = (UnixTime::new(1), Instant::now());
        let change = Change {
            group: Group::Kind(Kind::Ipv4),
            before: 100,
            after: 10,
            lost: 90,
            gained: 0,
        };
        let held = Held {
            digest: Digest::of_octets([]),
            since: instant,
            until: instant,
            excess: vec![change],
        };
        let hold = Some(Hold::of(&held, None, Vec::new(), now));
        let view = View {
            held_update: hold.clone(),
            held_change: hold,
            ..View::empty()
        };
        let around = Around {
            started: now,
            listeners: Vec::new(),
            certificates: [9, 7, 8]
                .map(|until| Certificate {
                    file: "tls.crt".into(),
                    until: UnixTime::new(until),
                })
                .into(),
            connections: 1,
            reload: None,
            reloads: [0, 0],
            state: None,
            warnings: Vec::new(),
            places: vec![super::super::publish::Standing::new("/srv/feed")],
        };
        let settings = crate::config::Settings {
            demo: true,
            ..Default::default()
        };
        let limits = crate::config::Config::new(&settings).unwrap().0.limits;
        let shared = Shared::new(Store::new(), &limits);
        let mut out = Exposition::new(Format::Text);
        write(&mut out, &view, &around, &shared, now);
        let text = out.finish();
        let mut known = BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (sample, _) = line.rsplit_once(' ').unwrap();
            assert!(known.insert(sample), "twice: {line}");
        }
        assert!(known.iter().any(|sample| sample.contains("slurm")));
        let expiry = r#"rutter_certificate_expiry_timestamp_seconds{file="tls.crt"}"#;
        assert!(known.contains(expiry));
        assert!(text.contains(&format!("{expiry} 7\n")), "{text}");
    }
}
