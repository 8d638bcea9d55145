//! pyRTR: variables, with `PYRTR_` before them in one version and without in another.

use std::net::{IpAddr, SocketAddr};

use super::Given;
use super::draft::{Draft, Part};
use super::shell;

const NAMES: [&str; 12] = [
    "LOGLEVEL",
    "HOST",
    "RTR_PORT",
    "HTTP_PORT",
    "DATASOURCE",
    "LOCATION",
    "DATA_LOCATION",
    "CACHE_LOCATION",
    "RELOAD",
    "REFRESH",
    "RETRY",
    "EXPIRE",
];

struct Variables {
    given: Vec<(&'static str, String)>,
    errors: Vec<String>,
}

impl Variables {
    fn get(&self, name: &str) -> Option<&str> {
        let mut given = self.given.iter().rev();
        given
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let text = self.get(name)?;
        match text.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                let reason = format!("{name} is a whole number (found {text:?})");
                self.errors.push(reason);
                None
            }
        }
    }

    /// A port; `0` and `False` turn it off.
    fn port(&mut self, name: &str, default: u16) -> Option<u16> {
        let text = match self.get(name) {
            None => return Some(default),
            Some("0") => return None,
            Some(text) if text.eq_ignore_ascii_case("false") => return None,
            Some(text) => text,
        };
        match text.parse() {
            Ok(port) => Some(port),
            Err(_) => {
                let reason = format!("{name} is a port (found {text:?})");
                self.errors.push(reason);
                None
            }
        }
    }
}

pub(super) fn convert(given: &Given) -> Result<String, Vec<String>> {
    let mut variables = Variables {
        given: Vec::new(),
        errors: Vec::new(),
    };
    let mut draft = Draft::default();
    if given.file.is_some() {
        variables
            .errors
            .push("has no configuration file; --env reads its variables".to_owned());
    }
    read(given, &mut variables, &mut draft);
    let timers = ["REFRESH", "RETRY", "EXPIRE"].map(|name| variables.number(name));
    draft.rtr.timers(timers);
    draft
        .rtr
        .note("version 2 (ASPAs) is served, too, which was not known there; without it:");
    draft.rtr.note("highest-version = 1");
    source(&mut variables, &mut draft);
    places(&mut variables, &mut draft);
    if variables.get("LOGLEVEL").is_some() {
        draft.remark("LOGLEVEL: here it is a flag, --log");
    }
    if variables.get("CACHE_LOCATION").is_some() {
        draft.remark("CACHE_LOCATION: this version stores nothing yet");
    }
    if variables.errors.is_empty() {
        Ok(draft.to_toml("What pyRTR was told, for rutter."))
    } else {
        Err(variables.errors)
    }
}

/// Variables from the file and, over them, from the arguments.
fn read(given: &Given, variables: &mut Variables, draft: &mut Draft) {
    let mut all = match shell::variables(given.environment.as_deref().unwrap_or_default()) {
        Ok(all) => all,
        Err(reason) => {
            variables.errors.push(reason);
            Vec::new()
        }
    };
    for argument in given.arguments.iter().filter(|argument| *argument != "--") {
        match argument
            .split_once('=')
            .filter(|(name, _)| !name.starts_with('-'))
        {
            Some((name, value)) => all.push((name.to_owned(), value.to_owned())),
            None => variables
                .errors
                .push(format!("{argument:?} is not of the form NAME=VALUE")),
        }
    }
    for (name, value) in all {
        let own = name.strip_prefix("PYRTR_");
        let plain = own.unwrap_or(&name);
        match NAMES.iter().find(|known| **known == plain) {
            Some(known) => variables.given.push((known, value)),
            None if own.is_some() => variables.errors.push(format!("unknown variable {name}")),
            None => draft.remark(format!("{name} did nothing there")),
        }
    }
}

fn source(variables: &mut Variables, draft: &mut Draft) {
    let kind = variables.get("DATASOURCE").unwrap_or("RPKICLIENT");
    if kind != "RPKICLIENT" {
        let reason = format!("DATASOURCE was only ever RPKICLIENT (found {kind:?})");
        variables.errors.push(reason);
    }
    let mut part = Part::default();
    let location = variables
        .get("DATA_LOCATION")
        .or_else(|| variables.get("LOCATION"));
    let location = location.unwrap_or("json").to_owned();
    if let Err(reason) = part.url(&location) {
        variables.errors.push(format!("LOCATION: {reason}"));
    }
    draft.relative("the data", &location);
    match variables.number("RELOAD") {
        Some(seconds) => part.refresh(seconds, true),
        None => part.note("RELOAD was 900 s there; here a file is read when it changes"),
    }
    draft.sources.push(part);
}

fn places(variables: &mut Variables, draft: &mut Draft) {
    let host = variables.get("HOST").unwrap_or("127.0.0.1");
    let Ok(host) = host.parse::<IpAddr>() else {
        let reason = format!("HOST is an IP address (found {host:?})");
        variables.errors.push(reason);
        return;
    };
    match variables.port("RTR_PORT", 8323) {
        Some(port) => {
            let mut part = Part::default();
            part.address(SocketAddr::new(host, port));
            draft.listeners.push(part);
        }
        None => draft.remark("RTR_PORT was off: here there is always a listener"),
    }
    if let Some(port) = variables.port("HTTP_PORT", 8080) {
        draft.http.address(SocketAddr::new(host, port));
    }
}
