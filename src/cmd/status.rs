//! `rutter status`.

use std::error::Error;
use std::fmt::{self, Display, Write};
use std::path::PathBuf;

use serde_json::Value;

use crate::http::control::Client;
use crate::http::shape::{
    GuardStatus, HeldKind, MergeStatus, Moment, SlurmState, SlurmStatus, SourceStatus, Status,
};

/// The forms of the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// For people.
    Table,
    /// As the server says it.
    Json,
}

/// Prints how a running server is. Gives whether routers can rely on it.
///
/// # Errors
///
/// When the server cannot be reached or gives no answer that is understood.
pub fn run(control: PathBuf, form: Form) -> Result<bool, Box<dyn Error>> {
    let client = Client::new(control, Client::LOOK);
    let answer = super::wait(client.get("/api/v1/status"))??;
    match form {
        Form::Json => {
            super::say(&format!("{answer:#}\n"))?;
            let ready = answer.pointer("/ready/ready").and_then(Value::as_bool);
            Ok(ready.unwrap_or(false))
        }
        Form::Table => {
            let status: Status = serde_json::from_value(answer).map_err(NotUnderstood)?;
            super::say(&Table(&status).to_string())?;
            Ok(status.ready.ready)
        }
    }
}

/// The server is of a version that says it otherwise.
#[derive(Debug)]
struct NotUnderstood(serde_json::Error);

impl Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the status of the server is not understood, is it of another version")
    }
}

impl Error for NotUnderstood {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// A status on one screen: the worst first.
struct Table<'a>(&'a Status);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.0;
        let now = status.now.unix;
        if status.ready.ready {
            writeln!(f, "ready")?;
        } else {
            writeln!(f, "NOT READY")?;
        }
        for reason in status.ready.reasons() {
            writeln!(f, "  {reason}")?;
        }
        for warning in &status.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        let up = Span(now.saturating_sub(status.started.unix));
        writeln!(f, "rutter {}, up {up}", status.version)?;
        serving(f, status)?;
        sources(f, status)?;
        merge(f, &status.merge)?;
        guard(f, &status.guard, now)?;
        slurm(f, &status.slurm)?;
        state(f, status)?;
        peers(f, status)
    }
}

fn serving(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    let Some(serving) = &status.serving else {
        return writeln!(
            f,
            "\nserving    nothing: routers get error 2, no data available"
        );
    };
    let published = Ago(&serving.published, status.now.unix);
    write!(
        f,
        "\nserving    serial {}, published {published}",
        serving.serial
    )?;
    writeln!(f, " by {}", serving.trigger)?;
    writeln!(
        f,
        "           {} IPv4, {} IPv6, {} router keys, {} ASPAs",
        serving.ipv4, serving.ipv6, serving.router_keys, serving.aspas
    )?;
    if let Some(until) = &serving.leader_until {
        write!(f, "           the leader's history, ")?;
        match until.unix.saturating_sub(status.now.unix) {
            0 => writeln!(f, "whose word is OVER since {}", until.utc)?,
            rest => writeln!(f, "whose word counts for {}", Span(rest))?,
        }
    }
    if serving.withheld {
        writeln!(
            f,
            "           WITHHELD: no source is fresh, routers get error 2"
        )?;
    }
    Ok(())
}

fn sources(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    let sources = &status.sources;
    let name = |source: &SourceStatus| source.name.chars().count();
    let width = sources.iter().map(name).max().unwrap_or(0).clamp(4, 32);
    writeln!(
        f,
        "\n  {:width$}  STATE    {:>9}  DATA      TRIED     AT",
        "NAME", "ROWS"
    )?;
    for source in sources {
        let now = status.now.unix;
        let ago = |moment: &Option<Moment>| match moment {
            Some(moment) => Ago(moment, now).to_string(),
            None => "never".into(),
        };
        writeln!(
            f,
            "{} {:width$}  {:7}  {:>9}  {:8}  {:8}  {}",
            if source.active { '*' } else { ' ' },
            source.name,
            source.state.name(),
            source.rows,
            ago(&source.arrived),
            ago(&source.last_attempt),
            source.endpoint,
        )?;
        if let Some(reason) = &source.reason {
            writeln!(f, "    {reason}")?;
        }
        if let (skipped @ 1.., Some(first)) = (source.skipped, &source.first_skipped) {
            writeln!(f, "    {skipped} bad rows left out, the first is {first}")?;
        }
    }
    Ok(())
}

fn merge(f: &mut fmt::Formatter<'_>, merge: &MergeStatus) -> fmt::Result {
    write!(f, "\nmerge      {}", merge.mode)?;
    if let Some(quorum) = merge.quorum {
        write!(f, " of {quorum}")?;
    }
    if let Some(active) = &merge.active {
        write!(f, ", {active}")?;
    }
    match &merge.reason {
        Some(reason) => writeln!(f, ": {reason}")?,
        None => writeln!(f)?,
    }
    // One source agrees with itself.
    if merge.agreement.len() > 1 {
        for source in &merge.agreement {
            writeln!(
                f,
                "           {} has {} alone and lacks {} that all others have",
                source.source, source.alone, source.lacks
            )?;
        }
    }
    Ok(())
}

fn guard(f: &mut fmt::Formatter<'_>, guard: &GuardStatus, now: u64) -> fmt::Result {
    let percent = |limit: Option<u32>| match limit {
        Some(percent) => format!("{percent}%"),
        None => "any".into(),
    };
    writeln!(
        f,
        "guard      shrink {}, growth {}, when stale {}{}",
        percent(guard.max_shrink),
        percent(guard.max_growth),
        guard.stale_policy,
        if guard.stale { ": IT IS STALE" } else { "" }
    )?;
    if let Some(held) = &guard.held {
        let what = match held.kind {
            HeldKind::Update => "an update",
            HeldKind::Slurm => "a change of the local exceptions",
        };
        let left = Span(held.until.unix.saturating_sub(now));
        let since = Ago(&held.since, now);
        writeln!(
            f,
            "           HOLDS {what} since {since}; in {left}: {}",
            held.on_timeout
        )?;
        for change in &held.changes {
            let (before, after) = (change.before, change.after);
            write!(f, "             {}: {before} to {after}", change.group)?;
            writeln!(f, ", {} lost, {} gained", change.lost, change.gained)?;
        }
        for example in &held.examples {
            writeln!(f, "             {example}")?;
        }
        writeln!(f, "           rutter approve {}", held.digest)?;
    }
    if let Some(refused) = &guard.refused {
        let at = Ago(&refused.at, now);
        writeln!(
            f,
            "           REFUSED an update {at}: rutter approve {}",
            refused.digest
        )?;
    }
    Ok(())
}

fn slurm(f: &mut fmt::Formatter<'_>, slurm: &SlurmStatus) -> fmt::Result {
    write!(f, "slurm      {}", slurm.state.name())?;
    if slurm.state != SlurmState::Off {
        let (filters, assertions) = (slurm.filters, slurm.assertions);
        write!(f, ": {filters} filters take {} away", slurm.removed)?;
        write!(f, ", {assertions} assertions add {}", slurm.added)?;
    }
    writeln!(f)?;
    for line in slurm.reason.iter().flat_map(|reason| reason.lines()) {
        writeln!(f, "           {line}")?;
    }
    for file in &slurm.files {
        for leniency in &file.leniencies {
            writeln!(f, "           {}: {leniency}", file.name)?;
        }
    }
    if let idle @ 1.. = slurm.idle.len() {
        writeln!(f, "           {idle} without effect")?;
    }
    Ok(())
}

fn state(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    let Some(state) = &status.state else {
        return Ok(());
    };
    write!(f, "state      ")?;
    match &state.stored {
        None => write!(f, "NOTHING IS STORED")?,
        Some(stored) => {
            let at = Ago(&stored.at, status.now.unix);
            write!(f, "serial {} stored {at}", stored.serial)?;
        }
    }
    writeln!(f, " in {}", state.folder)?;
    if let Some(reason) = &state.failure {
        writeln!(f, "           {reason}")?;
    }
    Ok(())
}

fn peers(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    let sessions = &status.sessions;
    write!(
        f,
        "routers    {} of {} connected",
        sessions.open, sessions.limit
    )?;
    let refused = sessions
        .refused_access
        .saturating_add(sessions.refused_limit)
        .saturating_add(sessions.refused_peer);
    if refused > 0 {
        write!(f, ", {refused} refused")?;
    }
    writeln!(f)?;
    for listener in &status.listeners {
        write!(
            f,
            "           {}://{}",
            listener.transport, listener.address
        )?;
        match listener.allow.as_slice() {
            [] => write!(f, " for this host")?,
            allow => write!(f, " for {}", allow.join(" "))?,
        }
        for (word, prefixes) in [("but not", &listener.deny), ("through", &listener.proxies)] {
            if !prefixes.is_empty() {
                write!(f, " {word} {}", prefixes.join(" "))?;
            }
        }
        writeln!(f)?;
        for fingerprint in &listener.fingerprints {
            writeln!(f, "             {fingerprint}")?;
        }
    }
    certificates(f, status)?;
    if let Some(reload) = &status.reload {
        let at = Ago(&reload.at, status.now.unix);
        let outcome = if reload.ok { "done" } else { "REFUSED" };
        writeln!(f, "reload     {outcome} {at}")?;
        for reason in &reload.reasons {
            writeln!(f, "           {reason}")?;
        }
    }
    Ok(())
}

fn certificates(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    let now = status.now.unix;
    for (place, certificate) in status.certificates.iter().enumerate() {
        let head = if place == 0 { "certs" } else { "" };
        let until = &certificate.until;
        write!(f, "{head:10} {} until {}", certificate.file, until.utc)?;
        match until.unix.checked_sub(now) {
            Some(left @ 1..) => writeln!(f, ", {} left", Span(left))?,
            _ => writeln!(f, ", OVER")?,
        }
    }
    Ok(())
}

/// How long before now a moment was.
struct Ago<'a>(&'a Moment, u64);

impl Display for Ago<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(moment, now) = self;
        f.pad(&format!("{} ago", Span(now.saturating_sub(moment.unix))))
    }
}

/// A time in its largest unit, in seconds.
struct Span(u64);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = match self.0 {
            seconds @ ..120 => write!(text, "{seconds}s"),
            seconds @ ..7_200 => write!(text, "{}m", seconds / 60),
            seconds @ ..172_800 => write!(text, "{}h", seconds / 3_600),
            seconds => write!(text, "{}d", seconds / 86_400),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn moment(unix: u64) -> Value {
        json!({"unix": unix, "utc": "1970-01-03T00:00:00Z"})
    }

    /// A bad night: one source fails, an update is held.
    fn bad_night() -> Status {
        let status = json!({
            "version": "0.1.0", "now": moment(100_000), "started": moment(1_000),
            "ready": {"ready": false, "checks": [
                {"name": "listeners", "ok": true},
                {"name": "data", "ok": false, "reason": "older than 24h"},
            ]},
            "serving": {
                "history": "00", "serial": 7, "revision": 2, "published": moment(99_990),
                "trigger": "source", "ipv4": 500_000, "ipv6": 150_000, "router_keys": 1,
                "aspas": 800, "leader_until": moment(103_600), "withheld": false,
            },
            "sources": [
                {
                    "name": "validator-a", "endpoint": "https://a.example/json",
                    "state": "failing", "reason": "connection refused", "fresh": true,
                    "active": true, "rows": 650_801, "skipped": 2,
                    "first_skipped": "roas[7]: max length 33", "failures": 3, "expired": 0,
                    "arrived": moment(96_400), "last_attempt": moment(99_940),
                },
                {
                    "name": "b", "endpoint": "/var/lib/b.json", "state": "waiting",
                    "fresh": false, "active": false, "rows": 0, "skipped": 0, "failures": 0,
                    "expired": 0,
                },
            ],
            "merge": {"mode": "failover", "active": "validator-a", "agreement": []},
            "guard": {
                "max_shrink": 10, "min_change": 5, "stale_policy": "keep", "stale": false,
                "held": {
                    "digest": "ab12", "kind": "update", "since": moment(99_880),
                    "until": moment(103_480), "on_timeout": "refuse",
                    "changes": [{
                        "group": "ipv4", "before": 500_000, "after": 400_000,
                        "lost": 100_001, "gained": 1,
                    }],
                    "examples": ["lost 192.0.2.0/24-24 AS64496"],
                },
            },
            "slurm": {
                "state": "applied", "files": [{
                    "name": "/etc/s.json", "filters": 1, "assertions": 2,
                    "leniencies": ["a comma too many"],
                }],
                "filters": 1, "assertions": 2, "removed": 4, "added": 1, "idle": ["x"],
            },
            "state": {
                "folder": "/var/lib/rutter", "failures": 2, "failure": "no space",
                "stored": {"history": "00", "serial": 7, "at": moment(99_990)},
            },
            "listeners": [{
                "transport": "tcp", "address": "[::]:323", "allow": ["192.0.2.0/24"],
            }, {
                "transport": "ssh", "address": "[::]:22", "allow": [], "deny": ["192.0.2.9/32"],
                "proxies": ["198.51.100.0/24"], "fingerprints": ["SHA256:abc"],
            }],
            "certificates": [
                {"file": "tls.crt", "until": moment(186_400)},
                {"file": "ca.crt", "until": moment(100_000)},
            ],
            "sessions": {
                "open": 12, "limit": 10_000, "accepted": 20, "refused_access": 1,
                "refused_limit": 2, "refused_peer": 3,
            },
            "reload": {"at": moment(40_000), "ok": false, "reasons": ["rutter.toml:3:1: no"]},
            "warnings": ["rtr.history is below an hour"],
        });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn the_worst_stands_first_and_what_to_type_beside_it() {
        let expected = "\
NOT READY
  data: older than 24h
  warning: rtr.history is below an hour
rutter 0.1.0, up 27h

serving    serial 7, published 10s ago by source
           500000 IPv4, 150000 IPv6, 1 router keys, 800 ASPAs
           the leader's history, whose word counts for 60m

  NAME         STATE         ROWS  DATA      TRIED     AT
* validator-a  failing     650801  60m ago   60s ago   https://a.example/json
    connection refused
    2 bad rows left out, the first is roas[7]: max length 33
  b            waiting          0  never     never     /var/lib/b.json

merge      failover, validator-a
guard      shrink 10%, growth any, when stale keep
           HOLDS an update since 2m ago; in 58m: refuse
             ipv4: 500000 to 400000, 100001 lost, 1 gained
             lost 192.0.2.0/24-24 AS64496
           rutter approve ab12
slurm      applied: 1 filters take 4 away, 2 assertions add 1
           /etc/s.json: a comma too many
           1 without effect
state      serial 7 stored 10s ago in /var/lib/rutter
           no space
routers    12 of 10000 connected, 6 refused
           tcp://[::]:323 for 192.0.2.0/24
           ssh://[::]:22 for this host but not 192.0.2.9/32 through 198.51.100.0/24
             SHA256:abc
certs      tls.crt until 1970-01-03T00:00:00Z, 24h left
           ca.crt until 1970-01-03T00:00:00Z, OVER
reload     REFUSED 16h ago
           rutter.toml:3:1: no
";
        assert_eq!(Table(&bad_night()).to_string(), expected);
    }

    #[test]
    fn each_fault_of_exceptions_has_its_line() {
        let mut status = bad_night();
        status.slurm.reason = Some("a.json:1:2: no\nb.json:3:4: no".to_owned());
        let text = Table(&status).to_string();
        let expected = "\n           a.json:1:2: no\n           b.json:3:4: no\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_server_without_data_says_what_routers_get() {
        let mut status = bad_night();
        status.serving = None;
        let text = Table(&status).to_string();
        assert!(text.contains("nothing: routers get error 2"), "{text}");
    }
}
