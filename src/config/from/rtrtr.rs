//! RTRTR: a file whose units feed each other and, at the end, targets.
//!
//! Here there is one path from sources to routers, so of the graphs those can be said that are
//! one: targets of one unit, which is a source, or `any` or `merge` of sources, below `slurm` or
//! not.

use std::net::SocketAddr;

use toml::{Table, Value};

use super::Given;
use super::draft::{Draft, Part};

pub(super) fn convert(given: &Given) -> Result<String, Vec<String>> {
    let mut errors = Vec::new();
    if !given.arguments.is_empty() {
        errors.push(format!(
            "its flags say nothing about what is served; name its file with --file (found {:?})",
            given.arguments.join(" ")
        ));
    }
    let Some(text) = &given.file else {
        errors.push("is configured by a file: name it with --file".to_owned());
        return Err(errors);
    };
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let error: &toml::de::Error = &error;
            errors.push(format!("no TOML: {}", error.message().replace('\n', ", ")));
            return Err(errors);
        }
    };
    let mut graph = Graph {
        errors,
        draft: Draft::default(),
        units: Table::new(),
        globals: Globals::default(),
    };
    graph.read(&table);
    if graph.errors.is_empty() {
        Ok(graph.draft.to_toml("What RTRTR was told, for rutter."))
    } else {
        Err(graph.errors)
    }
}

/// Settings of all HTTP requests.
#[derive(Debug, Default)]
struct Globals {
    proxy: Option<String>,
    ca: Vec<String>,
    agent: Option<String>,
}

struct Graph {
    errors: Vec<String>,
    draft: Draft,
    units: Table,
    globals: Globals,
}

impl Graph {
    fn read(&mut self, table: &Table) {
        for (key, value) in table {
            match key.as_str() {
                "units" => self.units = value.as_table().cloned().unwrap_or_default(),
                "targets" => {}
                "http-listen" => self.http(&texts(value)),
                "http-proxies" => self.globals.proxy = self.proxy(&texts(value)),
                "http-root-certs" => self.globals.ca = texts(value),
                "http-user-agent" => self.globals.agent = value.as_str().map(str::to_owned),
                "http-client-addr" => {
                    self.draft
                        .remark("http-client-addr: the system chooses here");
                }
                "log" | "log_level" | "log_target" | "log_facility" | "log_file" | "log-level"
                | "log-target" | "log-facility" | "log-file" => {
                    self.draft
                        .remark(format!("{key}: here it is a flag, --log"));
                }
                _ => self.errors.push(format!("unknown key {key:?}")),
            }
        }
        let targets = table.get("targets").and_then(Value::as_table);
        self.targets(&targets.cloned().unwrap_or_default());
    }

    fn http(&mut self, addresses: &[String]) {
        for (place, text) in addresses.iter().enumerate() {
            match text.parse::<SocketAddr>() {
                Ok(address) if place == 0 => self.draft.http.address(address),
                Ok(address) => self.draft.http.note(&format!("and {address}")),
                Err(_) => self
                    .errors
                    .push(format!("http-listen: not an address (found {text:?})")),
            }
        }
    }

    fn proxy(&mut self, proxies: &[String]) -> Option<String> {
        match proxies {
            [one] if one.starts_with("http://") || one.starts_with("https://") => Some(one.clone()),
            [] => None,
            _ => {
                let remark = "http-proxies: here a source has one proxy, http:// or https://; \
                              set it under [[source]]";
                self.draft.remark(remark);
                None
            }
        }
    }

    fn targets(&mut self, targets: &Table) {
        let mut root: Option<String> = None;
        for (name, target) in targets {
            let at = format!("targets.{name}");
            let Some(target) = target.as_table() else {
                self.errors.push(format!("{at} is not a table"));
                continue;
            };
            match text(target, "type") {
                Some("rtr") => self.rtr(&at, target, &[]),
                Some("rtr-tls") => self.rtr(&at, target, &["certificate", "key"]),
                Some("http") => {
                    self.known(&at, target, &["type", "path", "format", "unit"]);
                    self.draft
                        .remark(format!("{at}: here the path is /rpki.json under [http]"));
                }
                kind => {
                    self.errors
                        .push(format!("{at} has an unknown type (found {kind:?})"));
                    continue;
                }
            }
            let Some(unit) = text(target, "unit") else {
                self.errors.push(format!("{at} has no unit"));
                continue;
            };
            match &root {
                Some(other) if other != unit => self.errors.push(format!(
                    "{at} serves {unit:?} and another target {other:?}: one server serves one set, \
                     so make a file for each"
                )),
                _ => root = Some(unit.to_owned()),
            }
        }
        match root {
            Some(root) => self.root(&root),
            None => self
                .errors
                .push("no target of type \"rtr\" or \"http\"".to_owned()),
        }
    }

    /// `files` are the keys of TLS, which have the same names here.
    fn rtr(&mut self, at: &str, target: &Table, files: &[&str]) {
        let keys = [
            "type",
            "listen",
            "unit",
            "history-size",
            "refresh",
            "retry",
            "expire",
            "client-metrics",
        ];
        self.known(at, target, &[&keys, files].concat());
        for key in files {
            match text(target, key) {
                Some(file) => self.draft.relative(&format!("{at}.{key}"), file),
                None => self.errors.push(format!("{at} has no {key}")),
            }
        }
        for listen in target.get("listen").map(texts).unwrap_or_default() {
            match listen.parse::<SocketAddr>() {
                Ok(address) => {
                    let mut part = Part::default();
                    if !files.is_empty() {
                        part.set("transport", "tls");
                    }
                    part.address(address);
                    for key in files {
                        part.set(key, text(target, key).unwrap_or_default());
                    }
                    self.draft.listeners.push(part);
                }
                Err(_) => self
                    .errors
                    .push(format!("{at}.listen is no address (found {listen:?})")),
            }
        }
        let timers = ["refresh", "retry", "expire"].map(|key| self.seconds(at, target, key));
        if timers.iter().any(Option::is_some) {
            let mut part = Part::default();
            part.timers(timers);
            self.draft.rtr = part;
        }
        if target.contains_key("history-size") {
            let remark = format!("{at}.history-size: here it is a time, rtr.history");
            self.draft.remark(remark);
        }
        if target.contains_key("client-metrics") {
            self.draft
                .remark(format!("{at}.client-metrics: always there"));
        }
    }

    /// From the unit that the targets serve down to the sources.
    fn root(&mut self, name: &str) {
        let mut name = name.to_owned();
        // As deep as there are units: any deeper is a circle.
        for _ in 0..=self.units.len() {
            let Some(unit) = self.unit(&name) else {
                return;
            };
            let at = format!("units.{name}");
            match text(&unit, "type") {
                Some("slurm") => {
                    self.known(&at, &unit, &["type", "source", "files"]);
                    self.slurm(&unit);
                    let Some(source) = text(&unit, "source") else {
                        self.errors.push(format!("{at} has no source"));
                        return;
                    };
                    name = source.to_owned();
                }
                Some(kind @ ("any" | "merge")) => {
                    self.known(&at, &unit, &["type", "sources", "random"]);
                    if kind == "merge" {
                        self.draft.merge.set("mode", "union");
                    } else if unit.get("random").and_then(Value::as_bool) == Some(true) {
                        let note = "random = true: here the first fresh source counts";
                        self.draft.merge.note(note);
                    }
                    for source in unit.get("sources").map(texts).unwrap_or_default() {
                        self.source(&source);
                    }
                    return self.any_left();
                }
                _ => {
                    self.source(&name);
                    return self.any_left();
                }
            }
        }
        self.errors.push(format!("units.{name} feeds itself"));
    }

    fn any_left(&mut self) {
        if self.draft.sources.is_empty() && self.errors.is_empty() {
            self.errors
                .push("no source is left that this version can read".to_owned());
        }
    }

    fn unit(&mut self, name: &str) -> Option<Table> {
        let unit = self.units.get(name).and_then(Value::as_table).cloned();
        if unit.is_none() {
            self.errors.push(format!("there is no unit {name:?}"));
        }
        unit
    }

    fn slurm(&mut self, unit: &Table) {
        let files = unit.get("files").map(texts).unwrap_or_default();
        for file in &files {
            self.draft.relative("slurm.files", file);
        }
        let part = &mut self.draft.slurm;
        part.set("files", files);
        part.note("bgpsecFilters and aspaFilters did nothing there; here they count");
    }

    fn source(&mut self, name: &str) {
        let Some(unit) = self.unit(name) else {
            return;
        };
        let at = format!("units.{name}");
        let mut part = Part::default();
        part.set("name", name);
        match text(&unit, "type") {
            Some("json") => self.json(&at, &unit, &mut part),
            Some(kind @ ("rtr" | "rtr-tls")) => {
                let scheme = if kind == "rtr" { "tcp" } else { "tls" };
                let known = ["type", "remote", "retry", "cacerts"];
                let known = known
                    .iter()
                    .filter(|key| kind != "rtr" || **key != "cacerts");
                self.known(&at, &unit, &known.copied().collect::<Vec<_>>());
                let remote = text(&unit, "remote").unwrap_or_default();
                if let Err(reason) = part.url(&format!("{scheme}://{remote}")) {
                    self.errors.push(format!("{at}.remote: {reason}"));
                }
                if let Some(files) = unit.get("cacerts").map(texts) {
                    for file in &files {
                        self.draft.relative(&format!("{at}.cacerts"), file);
                    }
                    part.note("cacerts were trusted beside the CAs of the web there; here alone:");
                    part.set("ca", files);
                }
                if unit.contains_key("retry") {
                    part.note("retry: here it grows from failure to failure");
                }
            }
            Some(kind @ ("any" | "merge" | "slurm")) => {
                return self.errors.push(format!(
                    "{at} is {kind:?} below another unit: here sources come together once, and \
                     local exceptions apply to what they came to"
                ));
            }
            kind => {
                let reason = format!("{at} has an unknown type (found {kind:?})");
                return self.errors.push(reason);
            }
        }
        self.draft.sources.push(part);
    }

    fn json(&mut self, at: &str, unit: &Table, part: &mut Part) {
        self.known(
            at,
            unit,
            &["type", "uri", "refresh", "identity", "tls-12", "native-tls"],
        );
        let uri = text(unit, "uri").unwrap_or_default();
        let url = uri
            .strip_prefix("file://")
            .or_else(|| uri.strip_prefix("file:"));
        let url = url.unwrap_or(uri);
        if let Err(reason) = part.url(url) {
            self.errors.push(format!("{at}.uri: {reason}"));
        }
        self.draft.relative(at, url);
        if let Some(seconds) = self.seconds(at, unit, "refresh") {
            part.refresh(seconds, false);
        }
        part.note("data of any age were served there:");
        part.set("max-age", "off");
        for key in ["tls-12", "native-tls"] {
            if unit.contains_key(key) {
                part.note(&format!("{key}: TLS 1.2 and 1.3 of rustls here"));
            }
        }
        if !url.contains("://") {
            return;
        }
        if let Some(file) = text(unit, "identity") {
            part.note("identity: the certificate and the key may be one file");
            part.set("client-certificate", file);
            part.set("client-key", file);
        }
        let Globals { proxy, ca, agent } = &self.globals;
        if !ca.is_empty() {
            part.set("ca", ca.clone());
        }
        if let Some(agent) = agent {
            let agent = ("User-Agent".to_owned(), Value::from(agent.as_str()));
            part.set("headers", Table::from_iter([agent]));
        }
        if let Some(proxy) = proxy {
            part.set("proxy", proxy.as_str());
        }
    }

    fn seconds(&mut self, at: &str, table: &Table, key: &str) -> Option<u64> {
        let value = table.get(key)?;
        let seconds = value
            .as_integer()
            .and_then(|value| u64::try_from(value).ok());
        if seconds.is_none() {
            self.errors
                .push(format!("{at}.{key} is a number of seconds (found {value})"));
        }
        seconds
    }

    fn known(&mut self, at: &str, table: &Table, keys: &[&str]) {
        for key in table.keys().filter(|key| !keys.contains(&key.as_str())) {
            self.errors.push(format!("unknown key {at}.{key}"));
        }
    }
}

fn text<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Value::as_str)
}

/// A text or an array of texts.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => {
            let texts = values.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        value => value.as_str().map(str::to_owned).into_iter().collect(),
    }
}
