//! What a configuration comes to: every effective value with where it came from, without secrets.

mod listener;

use std::path::{Path, PathBuf};

use serde_json::{Map, json};
use toml::Value;

use super::scalars::{ON_TIMEOUT, STALE};
use super::settings::Loaded;
use super::source::SCHEMES;
use super::value::{show_duration, show_size, show_word};
use super::{Config, HeaderValue, MergeMode, Origin, Proxy, SlurmOrigin, Source, Verify, Web};
use crate::net::tls::ClientOptions;
use crate::net::{Endpoint, Url};
use crate::rtr::Versions;

/// A table, an element of an array of tables, or the root.
#[derive(Debug)]
struct Section {
    /// Its name in the file, empty for the root.
    name: &'static str,
    /// How its keys begin in [`Loaded::whence`].
    slot: String,
    array: bool,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    key: &'static str,
    value: Value,
    note: &'static str,
}

impl Section {
    fn table(name: &'static str) -> Self {
        Self {
            name,
            slot: name.to_owned(),
            array: false,
            rows: Vec::new(),
        }
    }

    fn element(name: &'static str, slot: String) -> Self {
        Self {
            slot,
            array: true,
            ..Self::table(name)
        }
    }

    fn row(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.rows.push(Row {
            key,
            value: value.into(),
            note: "",
        });
        self
    }

    /// A row when there is a value.
    fn some(self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.row(key, value),
            None => self,
        }
    }

    /// Something to say about the last row.
    fn noted(mut self, note: &'static str) -> Self {
        if let Some(row) = self.rows.last_mut() {
            row.note = note;
        }
        self
    }
}

impl Loaded {
    /// The effective values as a file that means the same, each with a comment that says where it
    /// came from. Passwords in URLs and the texts of headers are left out.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for section in self.sections() {
            match (section.name, section.array) {
                ("", _) => {}
                (name, true) => text.push_str(&format!("\n[[{name}]]\n")),
                (name, false) => text.push_str(&format!("\n[{name}]\n")),
            }
            for row in &section.rows {
                let value = format!("{} = {}", row.key, row.value);
                let from = self.from(&section, row);
                text.push_str(&format!("{value:<44} # {from}{}\n", row.note));
            }
        }
        text
    }

    /// The same as JSON: `{"rtr": {"refresh": {"value": "1h", "from": "default"}}}`, with an array
    /// of such objects for each array of tables.
    pub fn to_json(&self) -> serde_json::Value {
        let mut root = Map::new();
        for section in self.sections() {
            let mut rows = Map::new();
            for row in &section.rows {
                let from = self.from(&section, row);
                let said = json!({ "value": row.value, "from": from });
                rows.insert(row.key.to_owned(), said);
            }
            if section.name.is_empty() {
                root.append(&mut rows);
            } else if section.array {
                let all = root.entry(section.name).or_insert_with(|| json!([]));
                if let Some(all) = all.as_array_mut() {
                    all.push(rows.into());
                }
            } else {
                root.insert(section.name.to_owned(), rows.into());
            }
        }
        root.into()
    }

    fn from(&self, section: &Section, row: &Row) -> String {
        let key = if section.slot.is_empty() {
            row.key.to_owned()
        } else {
            format!("{}.{}", section.slot, row.key)
        };
        self.whence
            .get(&key)
            .cloned()
            .unwrap_or_default()
            .to_string()
    }

    fn sections(&self) -> Vec<Section> {
        let config = &self.config;
        let mut sections = vec![root(config), rtr(config)];
        for (place, source) in config.sources.iter().enumerate() {
            sections.push(self::source(source, format!("source[{place}]")));
        }
        sections.extend([merge(config), guard(config), slurm(config)]);
        for (listener, slot) in config.listeners.iter().zip(&self.listener_slots) {
            sections.push(listener::listener(listener, slot.clone()));
        }
        for (profile, slot) in config.profiles.iter().zip(&self.profile_slots) {
            sections.push(listener::profile(profile, config, slot.clone()));
        }
        sections.extend([limits(config), http(config), export(config)]);
        sections
    }
}

fn root(config: &Config) -> Section {
    let control = config.control.as_ref();
    let path = control.map(|control| control.path.display().to_string());
    Section::table("")
        .some("state-dir", config.state_dir.as_deref().map(file))
        .row("control", path.unwrap_or_else(|| "none".to_owned()))
}

fn rtr(config: &Config) -> Section {
    let rtr = &config.rtr;
    Section::table("rtr")
        .row("refresh", show_duration(rtr.timing.refresh()))
        .row("retry", show_duration(rtr.timing.retry()))
        .row("expire", show_duration(rtr.timing.expire()))
        .row("history", show_duration(rtr.history))
        .row("notify-interval", show_duration(rtr.notify_interval))
        .row("lowest-version", i64::from(rtr.versions.lowest().octet()))
        .row("highest-version", i64::from(rtr.versions.highest().octet()))
}

fn source(source: &Source, slot: String) -> Section {
    let endpoint = match &source.origin {
        Origin::At(endpoint) => Some(endpoint),
        Origin::Demo => None,
    };
    let cache = matches!(
        endpoint,
        Some(Endpoint::Tcp(_) | Endpoint::Tls(_) | Endpoint::Ssh { .. })
    );
    let feed = matches!(endpoint, Some(Endpoint::Feed(_) | Endpoint::FeedFolder(_)));
    let document = !cache && !feed;
    let far = cache || matches!(endpoint, Some(Endpoint::Web(_) | Endpoint::Feed(_)));
    let max_age = source.max_age.map(show_duration);
    let mut section = Section::element("source", slot)
        .row("name", source.name.to_string())
        .row("url", source.origin.to_string());
    match endpoint {
        None => section = section.noted(", the built-in sample"),
        Some(Endpoint::Web(url) | Endpoint::Feed(url)) if has_credentials(url) => {
            section = section.noted(", user and password hidden");
        }
        Some(_) => {}
    }
    if endpoint != Some(&Endpoint::Stdin) {
        section = section.row("refresh", show_duration(source.refresh));
    }
    section = section.row("timeout", show_duration(source.timeout));
    if far {
        section = section.row("connect-timeout", show_duration(source.connect_timeout));
    }
    section = section.row("max-age", max_age.unwrap_or_else(|| "off".to_owned()));
    if document {
        section = section
            .row("max-size", show_size(source.max_octets))
            .row("max-bad-rows", format!("{}%", source.max_bad_rows));
    }
    match endpoint {
        Some(Endpoint::Web(_)) => {
            let section = section.row("conditional", source.web.conditional);
            let section = client(web(section, &source.web), &source.tls);
            let section = signed(proxy(section, &source.web), source.verify.as_ref());
            let scheme = source.verify.as_ref().map(|verify| verify.scheme);
            section.some("verify-scheme", scheme.map(|it| show_word(it, &SCHEMES)))
        }
        Some(Endpoint::Feed(_)) => {
            let section = client(web(section, &source.web), &source.tls);
            signed(proxy(section, &source.web), source.verify.as_ref())
        }
        Some(Endpoint::FeedFolder(_)) => signed(section, source.verify.as_ref()),
        Some(Endpoint::Tls(_)) => {
            let tls = &source.tls;
            client(section, tls)
                .some("server-name", tls.server_name.as_deref())
                .row("insecure", tls.insecure)
        }
        Some(Endpoint::Ssh { .. }) => {
            let ssh = &source.ssh;
            let known = (!ssh.known_hosts.is_empty()).then(|| files(&ssh.known_hosts));
            section
                .some("known-hosts", known)
                .some("key", ssh.key.as_deref().map(file))
                .some("password-file", ssh.password_file.as_deref().map(file))
                .row("insecure", ssh.insecure)
        }
        _ => section,
    }
}

/// What a client of TLS shows and trusts.
fn client(section: Section, tls: &ClientOptions) -> Section {
    let own = tls.certificate.as_ref();
    section
        .some("client-certificate", own.map(|(chain, _)| file(chain)))
        .some("client-key", own.map(|(_, key)| file(key)))
        .row("ca", files(&tls.ca))
}

/// A path as it is written.
fn file(path: &Path) -> String {
    path.display().to_string()
}

fn files(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| file(path)).collect()
}

/// What has a text, as an array.
fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn signed(section: Section, verify: Option<&Verify>) -> Section {
    section.some("verify-key", verify.map(|verify| files(&verify.keys)))
}

fn web(mut section: Section, web: &Web) -> Section {
    if !web.headers.is_empty() {
        let headers = web.headers.iter().map(|header| {
            let value = match &header.value {
                HeaderValue::Text(_) => Value::from("hidden"),
                HeaderValue::File(path) => {
                    toml::Table::from_iter([("file".to_owned(), Value::from(file(path)))]).into()
                }
            };
            (header.name.to_string(), value)
        });
        section = section.row("headers", headers.collect::<toml::Table>());
        section = section.noted(", texts hidden");
    }
    section.some("bearer-token-file", web.bearer_token.as_deref().map(file))
}

fn proxy(section: Section, web: &Web) -> Section {
    match &web.proxy {
        Proxy::Environment => section.row("proxy", "environment"),
        Proxy::Direct => section.row("proxy", "none"),
        Proxy::Through(url) => {
            let section = section.row("proxy", url.to_string());
            if has_credentials(url) {
                section.noted(", user and password hidden")
            } else {
                section
            }
        }
    }
}

fn has_credentials(url: &Url) -> bool {
    url.with_credentials().len() != url.to_string().len()
}

fn merge(config: &Config) -> Section {
    let merge = Section::table("merge");
    match config.merge.mode {
        MergeMode::Failover => merge
            .row("mode", "failover")
            .row("hysteresis", show_duration(config.merge.hysteresis)),
        MergeMode::Union => merge.row("mode", "union"),
        MergeMode::Quorum { least } => merge.row("mode", "quorum").row("quorum", number(least)),
    }
}

fn guard(config: &Config) -> Section {
    let guard = &config.guard;
    let share = |share: Option<super::Percent>| {
        share.map_or_else(|| "off".to_owned(), |share| share.to_string())
    };
    Section::table("guard")
        .row("max-shrink", share(guard.max_shrink))
        .row("max-growth", share(guard.max_growth))
        .row("min-change", number(guard.min_change))
        .row("hold", show_duration(guard.hold))
        .row("on-timeout", show_word(guard.on_timeout, &ON_TIMEOUT))
        .row("slurm", guard.slurm)
        .row("stale", show_word(guard.stale, &STALE))
}

fn slurm(config: &Config) -> Section {
    let slurm = &config.slurm;
    let hides = |file: &SlurmOrigin| matches!(file, SlurmOrigin::Web(url) if has_credentials(url));
    let files = slurm.files.iter().map(|file| match file {
        SlurmOrigin::Path(path) => path.display().to_string(),
        SlurmOrigin::Web(url) => url.to_string(),
    });
    let mut section = Section::table("slurm").row("files", files.collect::<Vec<_>>());
    if slurm.files.iter().any(hides) {
        section = section.noted(", user and password hidden");
    }
    section
        .row("lenient", slurm.lenient)
        .row("aspa-overlap", slurm.aspa_overlap)
        .row("refresh", show_duration(slurm.refresh))
}

fn limits(config: &Config) -> Section {
    let limits = &config.limits;
    Section::table("limits")
        .row("connections", number(limits.connections))
        .row(
            "connections-per-address",
            number(limits.connections_per_address),
        )
        .row(
            "connections-per-network",
            number(limits.connections_per_network),
        )
        .row("handshakes", number(limits.handshakes))
        .row("handshake-timeout", show_duration(limits.handshake_timeout))
        .row("auth-attempts", number(limits.auth_attempts))
        .row("stall", show_duration(limits.stall))
        .row(
            "idle",
            limits.idle.map_or_else(|| "off".to_owned(), show_duration),
        )
        .row("drain", show_duration(limits.drain))
}

fn http(config: &Config) -> Section {
    let http = &config.http;
    let section = Section::table("http")
        .row("address", texts(&http.addresses))
        .row("allow", texts(&http.access.allow))
        .row("deny", texts(&http.access.deny))
        .row("connections", number(http.connections))
        .row(
            "connections-per-address",
            number(http.connections_per_address),
        );
    let section = match &http.tls {
        Some(options) => listener::tls(section, options),
        None => section,
    };
    section.some("token-file", http.token.as_deref().map(file))
}

fn export(config: &Config) -> Section {
    let export = &config.export;
    let path = |path: &Option<PathBuf>| path.as_deref().map(file);
    let section = Section::table("export")
        .some("file", path(&export.file))
        .some("sign-key", path(&export.sign_key))
        .some("gortr-key", path(&export.gortr_key))
        .row("valid", show_duration(export.valid))
        .row("feed", export.feed)
        .some("feed-valid", export.feed_valid.map(show_duration))
        .some("folder", path(&export.folder));
    let Some(bucket) = &export.bucket else {
        return section;
    };
    let endpoint = bucket.endpoint.as_ref().map(ToString::to_string);
    section
        .row("bucket", bucket.place())
        .some("bucket-endpoint", endpoint)
        .row("bucket-region", bucket.region.to_string())
        .row("bucket-credentials", file(&bucket.credentials))
}

/// TOML's integers have a sign.
fn number(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn versions(versions: Versions) -> Vec<i64> {
    let range = versions.lowest().octet()..=versions.highest().octet();
    range.map(i64::from).collect()
}
