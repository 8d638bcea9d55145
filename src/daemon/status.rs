//! What a server says of itself when somebody asks, in the shapes of the API.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::{Guard, Merge, MergeMode, OnTimeout, Stale};
use crate::http::shape::{
    Agreement, CertificateStatus, Change, Check, GuardStatus, Held, HeldKind, ListenerStatus,
    MergeStatus, Moment, Ready, Refused, ReloadStatus, Serving, SessionStatus, SlurmFile,
    SlurmState, SlurmStatus, SourceState, SourceStatus, StateStatus, Status, Stored, millis,
};
use crate::payload::census;
use crate::payload::{Kind, UnixTime};

use super::certificates::Certificate;
use super::counters::Refusal;
use super::pipeline::feed::Feed;
use super::publish::{self, Standing};
use super::session::Shared;
use super::standing;
use super::view::{Hold, View};

/// What is known beside what the pipeline knows.
#[derive(Clone, Debug)]
pub(super) struct Around {
    /// When the server started.
    pub(super) started: UnixTime,
    /// The listeners.
    pub(super) listeners: Vec<ListenerStatus>,
    /// The certificates that they show or trust.
    pub(super) certificates: Vec<Certificate>,
    /// The most connections at once.
    pub(super) connections: usize,
    /// The last reload.
    pub(super) reload: Option<ReloadStatus>,
    /// Reloads since the start, and how many of them were refused.
    pub(super) reloads: [u64; 2],
    /// How the keeping of the state goes, where there is a state directory.
    pub(super) state: Option<watch::Receiver<standing::Standing>>,
    /// What is odd about the configuration.
    pub(super) warnings: Vec<String>,
    /// How it stands with the places where the feed is laid out.
    pub(super) places: Vec<Arc<Standing>>,
}

/// The whole status. Costs a look at each source and entry, none at payloads.
pub(super) fn status(view: &View, around: &Around, shared: &Shared, now: UnixTime) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: now.into(),
        started: around.started.into(),
        ready: ready(view, around),
        serving: serving(view),
        sources: sources(view, now),
        merge: merge(view),
        guard: guard(view),
        slurm: slurm(view),
        state: around.state.as_ref().map(|state| kept(&state.borrow())),
        listeners: around.listeners.clone(),
        certificates: around.certificates.iter().map(certificate).collect(),
        sessions: sessions(shared, around.connections),
        reload: around.reload.clone(),
        warnings: [around.warnings.clone(), publish::warnings(&around.places)].concat(),
    }
}

/// Whether routers can rely on the server: there is data, it is not stale, and somebody can
/// connect.
fn ready(view: &View, around: &Around) -> Ready {
    let check = |name: &str, ok: bool, reason: String| match ok {
        true => Check::passed(name),
        false => Check::failed(name, reason),
    };
    let data = view.snapshot.is_some() && !view.withheld;
    Ready::of(vec![
        check("data", data, missing(view)),
        check("fresh", !view.stale, why_stale(view)),
        check(
            "listeners",
            !around.listeners.is_empty(),
            "nobody can connect".to_owned(),
        ),
    ])
}

fn missing(view: &View) -> String {
    if view.withheld {
        let reason = match view.stale {
            true => "kept from routers, because the sources are stale",
            false => "kept from routers, because the guard holds what came after stale data",
        };
        return reason.to_owned();
    }
    if !view.slurm_ready {
        return match &view.slurm_failure {
            Some(reason) => format!("local exceptions cannot be read: {reason}"),
            None => "local exceptions were not read yet".to_owned(),
        };
    }
    let reasons: Vec<String> = view.feeds.iter().filter_map(why_silent).collect();
    match reasons.is_empty() {
        true => "the sources were not heard yet".to_owned(),
        false => reasons.join("; "),
    }
}

fn why_silent(feed: &Feed) -> Option<String> {
    let failure = feed.failure.as_ref().filter(|_| feed.rows.is_none())?;
    Some(format!("{}: {}", feed.source.name, failure.reason))
}

fn why_stale(view: &View) -> String {
    match view.merge.mode {
        MergeMode::Quorum { least } => format!("fewer than {least} sources are fresh"),
        MergeMode::Failover | MergeMode::Union => "no source is fresh".to_owned(),
    }
}

fn serving(view: &View) -> Option<Serving> {
    let snapshot = view.snapshot.as_ref()?;
    let (published, trigger) = view.published?;
    let set = snapshot.payload();
    let count = |kind| count(set.count(kind));
    Some(Serving {
        history: snapshot.name().to_string(),
        serial: snapshot.serial().into_u32(),
        revision: snapshot.revision(),
        published: published.into(),
        trigger: trigger.to_string(),
        ipv4: count(Kind::Ipv4),
        ipv6: count(Kind::Ipv6),
        router_keys: count(Kind::RouterKey),
        aspas: count(Kind::Aspa),
        leader_until: view.authority.leader_until().map(Into::into),
        withheld: view.withheld,
    })
}

fn sources(view: &View, now: UnixTime) -> Vec<SourceStatus> {
    let places = view.feeds.iter().enumerate();
    places
        .map(|(place, feed)| source(view, place, feed, now))
        .collect()
}

fn source(view: &View, place: usize, feed: &Feed, now: UnixTime) -> SourceStatus {
    let fresh = feed.is_fresh(now);
    let moment = |time: Option<UnixTime>| time.map(Moment::from);
    let facts = feed.facts.as_ref();
    SourceStatus {
        name: feed.source.name.to_string(),
        endpoint: feed.source.origin.to_string(),
        state: state(feed, fresh),
        reason: reason(feed, fresh),
        fresh,
        active: counts(view, place, fresh),
        dialect: facts.map(|facts| facts.dialect.to_string()),
        rows: feed.rows.as_ref().map_or(0, |rows| count(rows.len())),
        skipped: facts.map_or(0, |facts| count(facts.skipped)),
        first_skipped: facts.and_then(|facts| facts.first_skipped.clone()),
        stated: moment(feed.age.and_then(|age| age.stated)),
        arrived: moment(feed.age.map(|age| age.arrived)),
        last_attempt: moment(feed.attempted),
        last_success: moment(feed.succeeded),
        failures: feed.failure.as_ref().map_or(0, |failure| failure.times),
        took_ms: feed.attempted.map(|_| millis(feed.took)),
        next_attempt: None,
        stale_at: moment(feed.age.and_then(|age| age.stale_at())),
        expired: feed.gone.as_ref().map_or(0, |gone| count(gone.len())),
        next_expiry: moment(feed.next_expiry),
    }
}

fn state(feed: &Feed, fresh: bool) -> SourceState {
    match (&feed.rows, &feed.failure) {
        (None, None) => SourceState::Waiting,
        (None, Some(_)) => SourceState::Failing,
        (Some(_), _) if !fresh => SourceState::Stale,
        (Some(_), Some(_)) => SourceState::Failing,
        (Some(_), None) => SourceState::Fresh,
    }
}

fn reason(feed: &Feed, fresh: bool) -> Option<String> {
    if let Some(failure) = &feed.failure {
        return Some(failure.reason.clone());
    }
    let age = feed.age.filter(|_| !fresh && feed.rows.is_some())?;
    let at = age.stale_at()?;
    Some(match age.stated {
        Some(stated) => format!("made {stated}, stale since {at}"),
        None => format!("arrived {}, stale since {at}", age.arrived),
    })
}

/// Whether a source is in what the merge makes.
pub(super) fn counts(view: &View, place: usize, fresh: bool) -> bool {
    match view.merge.mode {
        MergeMode::Failover => view.active == Some(place),
        MergeMode::Union | MergeMode::Quorum { .. } => fresh,
    }
}

fn merge(view: &View) -> MergeStatus {
    let Merge { mode, .. } = view.merge;
    let active = view.active.and_then(|place| view.feeds.get(place));
    let quorum = match mode {
        MergeMode::Quorum { least } => Some(count(least)),
        MergeMode::Failover | MergeMode::Union => None,
    };
    let agreement = view
        .agreement
        .iter()
        .flat_map(|agreement| &agreement.sources);
    MergeStatus {
        mode: mode_word(mode).to_owned(),
        quorum,
        active: active
            .filter(|_| mode == MergeMode::Failover)
            .map(|feed| feed.source.name.to_string()),
        reason: merge_reason(view),
        agreement: agreement
            .filter_map(|source| {
                Some(Agreement {
                    source: view.feeds.get(source.place)?.source.name.to_string(),
                    total: count(source.total),
                    alone: count(source.alone),
                    lacks: count(source.lacks),
                })
            })
            .collect(),
    }
}

fn merge_reason(view: &View) -> Option<String> {
    if view.stale {
        return Some(why_stale(view));
    }
    let place = view
        .active
        .filter(|place| *place > 0 && view.merge.mode == MergeMode::Failover)?;
    let better = view.feeds.get(..place)?;
    let trial = better
        .iter()
        .find(|feed| feed.standing.fresh_since.is_some());
    Some(match trial {
        Some(feed) => format!("{} is fresh again, and waits", feed.source.name),
        None => "no better source is fresh".to_owned(),
    })
}

const fn mode_word(mode: MergeMode) -> &'static str {
    match mode {
        MergeMode::Failover => "failover",
        MergeMode::Union => "union",
        MergeMode::Quorum { .. } => "quorum",
    }
}

fn guard(view: &View) -> GuardStatus {
    let Guard {
        max_shrink,
        max_growth,
        min_change,
        stale,
        ..
    } = view.guard;
    let held = view
        .held_update
        .as_ref()
        .map(|hold| (hold, HeldKind::Update));
    let change = || Some((view.held_change.as_ref()?, HeldKind::Slurm));
    let held = held.or_else(change);
    GuardStatus {
        max_shrink: max_shrink.map(|percent| percent.0),
        max_growth: max_growth.map(|percent| percent.0),
        min_change: count(min_change),
        held: held.map(|(hold, kind)| held_status(hold, kind, view.guard.on_timeout)),
        refused: view.refused.first().map(|(digest, at)| Refused {
            digest: digest.to_string(),
            at: (*at).into(),
        }),
        stale_policy: stale_word(stale).to_owned(),
        stale: view.stale,
    }
}

pub(super) const fn stale_word(stale: Stale) -> &'static str {
    match stale {
        Stale::Keep => "keep",
        Stale::Withdraw => "withdraw",
        Stale::NoData => "no-data",
    }
}

fn held_status(hold: &Hold, kind: HeldKind, on_timeout: OnTimeout) -> Held {
    let change = |change: &census::Change| Change {
        group: change.group.to_string(),
        before: count(change.before),
        after: count(change.after),
        lost: count(change.lost),
        gained: count(change.gained),
    };
    Held {
        digest: hold.held.digest.to_string(),
        kind,
        since: hold.since.into(),
        until: hold.until.into(),
        on_timeout: match on_timeout {
            OnTimeout::Refuse => "refuse".to_owned(),
            OnTimeout::Accept => "accept".to_owned(),
        },
        changes: hold.held.excess.iter().map(change).collect(),
        examples: hold.examples.clone(),
    }
}

/// The most entries that do nothing which are named.
const IDLE: usize = 100;

fn slurm(view: &View) -> SlurmStatus {
    let files: Vec<SlurmFile> = view
        .files
        .iter()
        .map(|file| SlurmFile {
            name: file.name.to_string(),
            filters: count(file.filters),
            assertions: count(file.assertions),
            leniencies: file.leniencies.clone(),
        })
        .collect();
    let effect = view.effect.as_ref();
    let idle = effect.into_iter().flat_map(|effect| effect.idle());
    SlurmStatus {
        state: match (view.slurm_configured, &view.slurm_failure, view.slurm_ready) {
            (false, ..) => SlurmState::Off,
            (true, Some(_), _) => SlurmState::Failing,
            (true, None, false) => SlurmState::Waiting,
            (true, None, true) => SlurmState::Applied,
        },
        reason: view.slurm_failure.clone(),
        read: view.slurm_read.map(Moment::from),
        filters: files.iter().map(|file| file.filters).sum(),
        assertions: files.iter().map(|file| file.assertions).sum(),
        files,
        removed: effect.map_or(0, |effect| count(effect.removed())),
        added: effect.map_or(0, |effect| count(effect.added())),
        idle: idle.take(IDLE).map(|entry| entry.to_string()).collect(),
    }
}

fn kept(standing: &standing::Standing) -> StateStatus {
    StateStatus {
        folder: standing.folder.display().to_string(),
        stored: standing.stored.map(|held| Stored {
            history: held.history.to_string(),
            serial: held.serial.into_u32(),
            at: held.at.into(),
        }),
        failure: standing
            .failure
            .as_ref()
            .map(|trouble| trouble.reason.clone()),
        failures: standing.failures,
    }
}

fn certificate(certificate: &Certificate) -> CertificateStatus {
    CertificateStatus {
        file: certificate.file.to_string(),
        until: certificate.until.into(),
    }
}

fn sessions(shared: &Shared, limit: usize) -> SessionStatus {
    let carried = shared.counters.carried();
    let refused = |wanted: fn(Refusal) -> bool| {
        let refusals = Refusal::all().filter(|refusal| wanted(*refusal));
        let each = refusals.map(|refusal| carried.iter().map(|one| one.refused(refusal)).sum());
        each.fold(0, u64::saturating_add)
    };
    SessionStatus {
        open: count(shared.connections()),
        limit: count(limit),
        accepted: carried.iter().map(|one| one.accepted.value()).sum(),
        refused_access: refused(|refusal| refusal == Refusal::AccessList),
        refused_limit: refused(|refusal| matches!(refusal, Refusal::Full(_) | Refusal::Handshakes)),
        refused_peer: refused(|refusal| matches!(refusal, Refusal::Peer(_))),
    }
}

/// A count, for JSON.
pub(super) fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
