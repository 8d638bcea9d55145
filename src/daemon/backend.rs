//! What the HTTP server is handed, and what it answers operators.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::export::Exporter;
use super::metrics;
use super::pipeline::feed::{Feed, rows_of};
use super::pipeline::order::{Approved, Heard};
use super::pipeline::unix_now;
use super::session::Shared;
use super::status::{self, Around, counts};
use super::view::View;
use crate::config::{Config, Need, Stale};
use crate::http::backend::Announcement;
use crate::http::explain::{Basis, Question, Way, Witness, explain};
use crate::http::shape::ReloadStatus;
use crate::http::{Access, Backend, BindError, Limits, Refusal, RefusalKind, Request, Server};
use crate::net::Gate;
use crate::net::tls::TlsAcceptor;
use crate::payload::UnixTime;
use crate::payload::merge::{Contribution, differences};

/// A place where the server can be spoken to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Place {
    /// An address for HTTP.
    Web(SocketAddr),
    /// The control socket.
    Control(PathBuf),
}

/// The places of a configuration, and whether the server can do without each.
pub(super) fn places(config: &Config) -> impl Iterator<Item = (Place, Need)> {
    let http = &config.http;
    let web = http
        .addresses
        .iter()
        .map(|address| (Place::Web(*address), http.need));
    let control = config.control.iter();
    web.chain(control.map(|control| (Place::Control(control.path.clone()), control.need)))
}

impl Place {
    /// Opens it.
    pub(super) fn bind(
        &self,
        access: watch::Receiver<Access>,
        gate: &Arc<Gate>,
    ) -> Result<Server, BindError> {
        let mut server = Server::new(access, Arc::clone(gate), Limits::default());
        match self {
            Self::Web(address) => server.bind_tcp(*address).map(drop)?,
            Self::Control(path) => server.bind_control(path)?,
        }
        Ok(server)
    }
}

/// Who may speak to the server over HTTP.
pub(super) fn access(config: &Config, tls: Option<TlsAcceptor>) -> Access {
    Access {
        list: config.http.access.clone(),
        token: config.http.token.clone(),
        tls,
    }
}

/// Everything the HTTP server asks for.
pub(super) fn new(
    view: &watch::Receiver<Arc<View>>,
    around: &watch::Receiver<Around>,
    shared: &Arc<Shared>,
    (exporter, feed): (Arc<Exporter>, watch::Receiver<Option<Arc<Announcement>>>),
    commands: mpsc::Sender<Request>,
) -> Backend {
    let now = || {
        let (view, around, shared) = (view.clone(), around.clone(), Arc::clone(shared));
        move || {
            (
                Arc::clone(&view.borrow()),
                around.borrow().clone(),
                Arc::clone(&shared),
            )
        }
    };
    let (for_status, for_metrics) = (now(), now());
    let clients = Arc::clone(&shared.clients);
    let (explained, compared) = (view.clone(), view.clone());
    let counted = Arc::clone(&exporter);
    Backend {
        status: Box::new(move || {
            let (view, around, shared) = for_status();
            status::status(&view, &around, &shared, unix_now())
        }),
        metrics: Box::new(move |out| {
            let (view, around, shared) = for_metrics();
            metrics::write(out, &view, &around, &shared, unix_now());
            counted.counts().write(out);
        }),
        explain: Box::new(move |prefix, origin| {
            let view = Arc::clone(&explained.borrow());
            let question = Question {
                prefix,
                origin,
                now: unix_now(),
            };
            value(&explanation(&view, question))
        }),
        disagreement: Box::new(move |limit| {
            let view = Arc::clone(&compared.borrow());
            disagreement(&view, limit)
        }),
        clients: Box::new(move |limit| value(&clients.first(limit))),
        documents: Box::new(move |document| exporter.document(document)),
        feed,
        commands,
    }
}

fn value(of: &impl serde::Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(of)
        .map_err(|error| Refusal::new(RefusalKind::Unavailable, error.to_string()))
}

fn explanation(view: &View, question: Question) -> crate::http::explain::Explanation {
    let witness = |(place, feed): (usize, &'_ Feed)| {
        let fresh = feed.is_fresh(question.now);
        // The source in use stays in use while none is fresh, and says nothing new.
        let counts = fresh && counts(view, place, fresh);
        (
            feed.source.name.clone(),
            feed.rows.clone(),
            feed.gone.clone(),
            counts,
        )
    };
    let known: Vec<_> = view.feeds.iter().enumerate().map(witness).collect();
    let sources: Vec<Witness<'_>> = known
        .iter()
        .map(|(name, rows, gone, counts)| Witness {
            name,
            rows: rows.as_ref(),
            gone: gone.as_ref(),
            counts: *counts,
        })
        .collect();
    let served = view.snapshot.as_ref().filter(|_| !view.withheld);
    explain(
        question,
        &Way {
            sources: &sources,
            accepted: view.baseline.as_ref(),
            basis: match view.guard.stale {
                _ if !view.stale => Basis::Current,
                Stale::Keep => Basis::LastGood,
                Stale::Withdraw | Stale::NoData => Basis::Withdrawn,
            },
            candidate: view.candidate.as_ref(),
            exceptions: &view.exceptions,
            served: served.map(|snapshot| snapshot.payload()),
        },
    )
}

/// The payloads that not all sources have, each with those that do.
fn disagreement(view: &View, limit: usize) -> Result<Value, Refusal> {
    let rows = rows_of(&view.feeds);
    let names = |mask: u16| {
        let has = |place: &usize| {
            1u16.checked_shl(u32::try_from(*place).unwrap_or(16))
                .is_some_and(|bit| mask & bit != 0)
        };
        let places = (0..view.feeds.len()).filter(has);
        let feeds = places.filter_map(|place| view.feeds.get(place));
        feeds
            .map(|feed| feed.source.name.to_string())
            .collect::<Vec<_>>()
    };
    let found = differences(&Contribution::each(&rows), limit);
    let listed: Vec<Value> = found
        .listed
        .iter()
        .map(|difference| {
            json!({"payload": difference.payload.to_string(), "sources": names(difference.sources)})
        })
        .collect();
    Ok(json!({
        "compared": rows.iter().filter_map(|(place, _)| view.feeds.get(*place)).map(|feed| feed.source.name.to_string()).collect::<Vec<_>>(),
        "total": found.total,
        "differences": listed,
    }))
}

/// What is known of the configuration and its reloads, at the start.
pub(super) fn around(config: &Config, warnings: Vec<String>) -> Around {
    Around {
        started: unix_now(),
        listeners: Vec::new(),
        certificates: Vec::new(),
        connections: config.limits.connections,
        reload: None,
        reloads: [0, 0],
        state: None,
        warnings,
        places: Vec::new(),
    }
}

/// Notes a reload.
pub(super) fn reloaded(around: &mut Around, outcome: &Result<Changes, Vec<String>>, at: UnixTime) {
    let [taken, refused] = &mut around.reloads;
    match outcome {
        Ok(_) => *taken += 1,
        Err(_) => *refused += 1,
    }
    around.reload = Some(ReloadStatus {
        at: at.into(),
        ok: outcome.is_ok(),
        reasons: outcome.as_ref().err().cloned().unwrap_or_default(),
    });
}

/// The answer to a reload: what it changed, and what is odd about the configuration.
pub(super) fn changed(changes: &Changes) -> Value {
    let Changes { parts, warnings } = changes;
    let reloaded = match parts.is_empty() {
        true => json!("nothing changed"),
        false => json!(parts),
    };
    match warnings.is_empty() {
        true => json!({"reloaded": reloaded}),
        false => json!({"reloaded": reloaded, "warnings": warnings}),
    }
}

/// The answer to an approval.
pub(super) fn approved(approved: &Approved) -> Value {
    json!({
        "approved": approved.digest.to_string(),
        "serial": approved.serial.map(crate::rtr::Serial::into_u32),
    })
}

/// The answer to a command that was refused.
pub(super) fn refused(message: &str, details: Vec<String>) -> Refusal {
    Refusal::new(RefusalKind::Conflict, message).with(details)
}

/// The answer to whoever asked sources.
pub(super) fn heard(heard: &[Heard]) -> Result<Value, Refusal> {
    let line = |heard: &Heard| match &heard.outcome {
        Ok(outcome) => format!("{}: {outcome}", heard.source),
        Err(reason) => format!("{}: {reason}", heard.source),
    };
    let details: Vec<String> = heard.iter().map(line).collect();
    match heard.iter().filter(|heard| heard.outcome.is_err()).count() {
        0 => Ok(json!({"refreshed": details})),
        failed => Err(refused(
            &format!("{failed} of {} sources failed", heard.len()),
            details,
        )),
    }
}

/// What a reload came to.
#[derive(Debug)]
pub(super) struct Changes {
    /// What is new, a line for each part.
    pub(super) parts: Vec<String>,
    /// What is odd about the configuration.
    pub(super) warnings: Vec<String>,
}

/// What a reload changes, a line for each part.
pub(super) fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    named(
        &mut lines,
        "sources",
        old.sources
            .iter()
            .map(|source| (source.name.to_string(), source)),
        new.sources
            .iter()
            .map(|source| (source.name.to_string(), source)),
    );
    named(
        &mut lines,
        "listeners",
        old.listeners
            .iter()
            .map(|listener| (listener.address.to_string(), listener)),
        new.listeners
            .iter()
            .map(|listener| (listener.address.to_string(), listener)),
    );
    named(
        &mut lines,
        "profiles",
        old.profiles
            .iter()
            .map(|profile| (profile.name.to_string(), profile)),
        new.profiles
            .iter()
            .map(|profile| (profile.name.to_string(), profile)),
    );
    let parts = [
        ("rtr", old.rtr == new.rtr),
        ("merge", old.merge == new.merge),
        ("guard", old.guard == new.guard),
        ("slurm", old.slurm == new.slurm),
        ("limits", old.limits == new.limits),
        ("http", old.http == new.http),
        ("export", old.export == new.export),
        ("control", old.control == new.control),
        ("export", old.export == new.export),
    ];
    lines.extend(
        parts
            .into_iter()
            .filter(|(_, same)| !same)
            .map(|(part, _)| format!("{part}: changed")),
    );
    lines
}

fn named<'a, T: PartialEq + 'a>(
    lines: &mut Vec<String>,
    what: &str,
    old: impl Iterator<Item = (String, &'a T)>,
    new: impl Iterator<Item = (String, &'a T)>,
) {
    let mut left: Vec<(String, &T)> = old.collect();
    let mut line = String::new();
    for (name, value) in new {
        let known = left.iter().position(|(known, _)| *known == name);
        let word = match known.map(|place| left.swap_remove(place)) {
            None => "added",
            Some((_, before)) if before != value => "changed",
            Some(_) => continue,
        };
        // Writing to a string cannot fail.
        let _ = write!(line, " {name} {word},");
    }
    for (name, _) in left {
        let _ = write!(line, " {name} removed,");
    }
    if let Some(line) = line.strip_suffix(',') {
        lines.push(format!("{what}:{line}"));
    }
}
