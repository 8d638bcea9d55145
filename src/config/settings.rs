//! From what was typed, the file and the environment to a [`Config`].
//!
//! Each layer is laid over the one below: defaults, file, environment, flags, `--set`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::check;
use super::document::{Document, Section};
use super::error::{ConfigErrors, Whence};
use super::listener::{self, Wish};
use super::report::Report;
use super::scalars::Draft;
use super::value::{self, Raw};
use super::{Config, Control, Http, Need, Origin, Slurm, SlurmOrigin, Source};
use crate::net::{Endpoint, Url};

/// What was typed.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Serve the sample that is built in.
    pub demo: bool,
    /// The sources; any takes the place of those of the file.
    pub source: Vec<String>,
    /// The listeners, `tcp://address:port` each; any takes the place of those of the file.
    pub listen: Vec<String>,
    /// The prefixes that may connect to these listeners.
    pub allow: Vec<String>,
    /// Local exceptions, paths and URLs; any takes the place of `[slurm]` of the file.
    pub slurm: Vec<String>,
    /// Where the HTTP server listens; any takes the place of `[http]` of the file.
    pub http: Vec<String>,
    /// `KEY=VALUE` each.
    pub set: Vec<String>,
}

impl Settings {
    /// The file that an installed server reads.
    pub const DEFAULT_FILE: &'static str = "/etc/rutter/rutter.toml";
}

/// A configuration, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What a server is to do.
    pub config: Config,
    /// What is off from RFC or habit but allowed.
    pub warnings: Vec<String>,
    /// Where what was set came from, by key; `source[0].url` in arrays.
    pub(super) whence: BTreeMap<String, Whence>,
    /// How the keys of each listener begin there.
    pub(super) listener_slots: Vec<String>,
}

/// The control socket of a server with a configuration file.
const CONTROL: &str = "/run/rutter/control";

/// The HTTP address of `--demo`.
const DEMO_HTTP: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9847);

/// Far more than any configuration has.
const MOST_OCTETS: u64 = 4 << 20;

impl Config {
    /// What these settings mean, the file and the environment included. It reads the file each
    /// time, so a reload is the same call again.
    ///
    /// # Errors
    ///
    /// With everything that is wrong, not only the first of it.
    pub fn load(
        settings: &Settings,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigErrors> {
        let mut reader = Reader::default();
        if let Some(file) = &settings.config {
            let octets = read(file).map_err(|error| {
                ConfigErrors::unreadable(file, format!("cannot be read: {error}"))
            })?;
            reader.draft.control = Some(Control {
                path: CONTROL.into(),
                need: Need::Optional,
            });
            reader.file(file, &octets);
        }
        reader.environment(environment);
        reader.flags(settings);
        reader.set(&settings.set);
        reader.finish(settings)
    }

    /// What these settings mean with nothing in the environment, with its warnings.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn new(settings: &Settings) -> Result<(Self, Vec<String>), ConfigErrors> {
        let loaded = Self::load(settings, std::iter::empty())?;
        Ok((loaded.config, loaded.warnings))
    }

    /// The keys that the environment and `--set` reach.
    pub fn scalar_keys() -> Vec<&'static str> {
        Draft::keys()
    }

    /// Every key of the file, as `table.key`.
    pub fn file_keys() -> Vec<String> {
        let mut keys: Vec<String> = Draft::keys().into_iter().map(str::to_owned).collect();
        keys.extend(ARRAYS.map(str::to_owned));
        keys.extend(super::source::KEYS.map(|key| format!("source.{key}")));
        keys.extend(listener::KEYS.map(|key| format!("listener.{key}")));
        keys
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(file)?
        .take(MOST_OCTETS + 1)
        .read_to_end(&mut octets)?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > MOST_OCTETS {
        return Err(io::Error::other(
            "more than 4MiB, which is no configuration",
        ));
    }
    Ok(octets)
}

/// Tables of one value for each key, arrays of tables, and keys whose values are arrays.
const TABLES: [&str; 6] = ["rtr", "merge", "guard", "slurm", "limits", "http"];
const ARRAYS: [&str; 3] = ["slurm.files", "http.address", "http.allow"];
/// Keys of versions to come.
const LATER: [&str; 2] = ["state-dir", "export"];

/// What has been read so far.
#[derive(Debug, Default)]
struct Reader {
    draft: Draft,
    report: Report,
    sources: Vec<(Source, Whence)>,
    listeners: Vec<Wish>,
    http: Vec<(SocketAddr, Whence)>,
    /// A source, right or wrong, was named.
    sourced: bool,
}

impl Reader {
    fn file(&mut self, file: &Path, octets: &[u8]) {
        let text = match std::str::from_utf8(octets) {
            Ok(text) => text,
            Err(error) => {
                let before = octets.get(..error.valid_up_to()).unwrap_or_default();
                let before = String::from_utf8_lossy(before);
                let place = Document::new(file, &before).place(before.len());
                self.report.wrong(&Whence::File(place), "", "not UTF-8");
                self.sourced = true;
                return;
            }
        };
        let document = Document::new(file, text);
        let (tree, faults) = document.parse();
        if faults.is_empty() {
            self.root(&Section::root(&document, &tree));
            return;
        }
        // What a broken line leaves of its key says nothing; the other lines are read all the
        // same. What is missing may be what is broken.
        let mut beside = Self::default();
        beside.root(&Section::root(&document, &tree));
        let broken = |line| faults.iter().any(|(place, _)| place.line == line);
        beside.report.errors.retain(|error| {
            let line = error.place.as_ref().map(|place| place.line);
            !line.is_some_and(broken) && !error.reason.starts_with("missing")
        });
        self.report.errors.append(&mut beside.report.errors);
        for (place, reason) in faults {
            self.report.wrong(&Whence::File(place), "", reason);
        }
        self.sourced = true;
    }

    fn root(&mut self, root: &Section<'_>) {
        let known = [&["control", "source", "listener"], TABLES.as_slice()].concat();
        for entry in root.entries() {
            match entry.key {
                "source" => {
                    self.sourced = true;
                    self.sources = super::source::read_all(&entry, &mut self.report);
                }
                "listener" => self.listeners = listener::read_all(&entry, &mut self.report),
                "control" => self.scalar(&entry, &known),
                table if TABLES.contains(&table) => match entry.table() {
                    Some(section) => self.table(&section),
                    None => {
                        let expected = format!("a table: [{table}]");
                        let reason = value::wrong("not a table", entry.raw(), &expected);
                        self.report.wrong(&entry.key_whence(), table, reason);
                    }
                },
                _ => self.report.unknown(&entry, &known, &LATER),
            }
        }
    }

    fn table(&mut self, section: &Section<'_>) {
        let prefix = format!("{}.", section.path);
        let all = Draft::keys();
        let known = all.iter().chain(ARRAYS.iter());
        let known: Vec<&str> = known.filter_map(|key| key.strip_prefix(&prefix)).collect();
        for entry in section.entries() {
            match entry.path.as_str() {
                "slurm.files" => {
                    let resolve = |path: &str| section.document.resolve(path);
                    let files = self.report.read_all(&entry, |raw| slurm(raw, resolve));
                    self.draft.slurm.files = files;
                }
                "http.address" => {
                    let allow = section.entry("allow").map(|allow| {
                        let items = allow.items().into_iter();
                        items
                            .filter_map(|item| value::prefix(item.raw()).ok())
                            .collect::<Vec<_>>()
                    });
                    self.http = listener::addresses(&entry, allow.as_deref(), &mut self.report);
                }
                "http.allow" => {
                    self.draft.http.allow = self.report.read_all(&entry, value::prefix);
                }
                _ => self.scalar(&entry, &known),
            }
        }
    }

    fn scalar(&mut self, entry: &super::document::Entry<'_>, known: &[&str]) {
        let resolve = |path: &str| entry.document.resolve(path);
        match self.draft.set(&entry.path, entry.raw(), resolve) {
            Some(read) => {
                self.report.keep(entry, read);
            }
            None => self.report.unknown(entry, known, &LATER),
        }
    }

    /// A scalar from a place without types.
    fn typed(&mut self, key: &str, value: &str, whence: Whence) {
        match self
            .draft
            .set(key, Raw::Word(value), |path| PathBuf::from(path))
        {
            Some(Ok(())) => {
                self.report.whence.insert(key.to_owned(), whence);
            }
            Some(Err(reason)) => self.report.wrong(&whence, key, reason),
            None => self.report.wrong(&whence, key, unknown_scalar(key)),
        }
    }

    fn environment(&mut self, environment: impl Iterator<Item = (String, String)>) {
        let mut ours: Vec<_> = environment
            .filter_map(|(name, value)| {
                let rest = name.strip_prefix("RUTTER_")?.to_owned();
                (!is_of_others(&rest)).then_some((name, rest, value))
            })
            .collect();
        ours.sort();
        for (name, rest, value) in ours {
            let key = rest
                .to_ascii_lowercase()
                .replace("__", ".")
                .replace('_', "-");
            self.typed(&key, &value, Whence::Environment(name));
        }
    }

    fn set(&mut self, set: &[String]) {
        for setting in set {
            let whence = Whence::Flag(format!("--set {}", value::hidden(setting)));
            match setting.split_once('=') {
                Some((key, value)) => self.typed(key, value, whence),
                None => self.report.wrong(&whence, "", "not of the form KEY=VALUE"),
            }
        }
    }

    fn flags(&mut self, settings: &Settings) {
        let resolve = |path: &str| PathBuf::from(path);
        self.demo_or_sources(settings);
        if !settings.slurm.is_empty() {
            self.report.forget("slurm");
            self.draft.slurm = Slurm::default();
            for text in &settings.slurm {
                let whence = Whence::Flag(format!("--slurm {}", value::hidden(text)));
                match slurm(Raw::Word(text), resolve) {
                    Ok(origin) => {
                        self.draft.slurm.files.push(origin);
                        self.report.whence.insert("slurm.files".into(), whence);
                    }
                    Err(reason) => self.report.wrong(&whence, "", reason),
                }
            }
        }
        if !settings.http.is_empty() {
            self.report.forget("http");
            self.draft.http = Http::default();
            self.http.clear();
            for text in &settings.http {
                let whence = Whence::Flag(format!("--http {text}"));
                match http(text) {
                    Ok(address) => self.http.push((address, whence.clone())),
                    Err(reason) => self.report.wrong(&whence, "", reason),
                }
                self.report.whence.insert("http.address".into(), whence);
            }
        }
        self.listen(settings);
    }

    fn demo_or_sources(&mut self, settings: &Settings) {
        if !settings.source.is_empty() || settings.demo {
            self.report.forget("source");
            self.sources.clear();
            self.sourced = true;
        }
        if settings.demo {
            let whence = Whence::Flag("--demo".to_owned());
            if !settings.source.is_empty() {
                let reason = "brings its own data; leave --source out";
                self.report.wrong(&whence, "", reason);
            }
            self.report
                .whence
                .insert("source[0].url".into(), whence.clone());
            self.sources
                .push((Source::new("demo", Origin::Demo), whence));
            return;
        }
        if settings.source.len() > Config::MAX_SOURCES {
            let whence = Whence::Flag("--source".into());
            let reason = format!(
                "too many (found {}, expected at most {})",
                settings.source.len(),
                Config::MAX_SOURCES
            );
            self.report.wrong(&whence, "", reason);
        }
        for (place, text) in settings.source.iter().enumerate() {
            let whence = Whence::Flag(format!("--source {}", value::hidden(text)));
            match super::source::endpoint(Raw::Word(text), |path| PathBuf::from(path)) {
                Ok(endpoint) => {
                    let slot = format!("source[{place}].url");
                    self.report.whence.insert(slot, whence.clone());
                    let source = Source::new(endpoint.to_string(), Origin::At(endpoint));
                    self.sources.push((source, whence));
                }
                Err(reason) => self.report.wrong(&whence, "", reason),
            }
        }
    }

    fn listen(&mut self, settings: &Settings) {
        let mut allow = Vec::new();
        for text in &settings.allow {
            match value::prefix(Raw::Word(text)) {
                Ok(prefix) => allow.push(prefix),
                Err(reason) => {
                    let whence = Whence::Flag(format!("--allow {}", value::hidden(text)));
                    self.report.wrong(&whence, "", reason);
                }
            }
        }
        if settings.listen.is_empty() {
            if self.listeners.is_empty() && !self.report.is_set("listener[0].address") {
                if let Some(text) = settings.allow.first() {
                    let whence = Whence::Flag(format!("--allow {}", value::hidden(text)));
                    self.report
                        .whence
                        .insert("listener[0].allow".into(), whence);
                }
                self.wish(listener::DEFAULT, allow, Whence::Default);
            } else if let Some(text) = settings.allow.first() {
                let whence = Whence::Flag(format!("--allow {}", value::hidden(text)));
                let reason = "goes with --listen; a listener of the file has its own `allow`";
                self.report.wrong(&whence, "", reason);
            }
            return;
        }
        self.report.forget("listener");
        self.listeners.clear();
        for text in &settings.listen {
            let whence = Whence::Flag(format!("--listen {}", value::hidden(text)));
            match listener::flag(text) {
                // Closed by default: plain TCP is for a trusted network only (RFC 8210 §9).
                Ok(address) if !address.ip().is_loopback() && settings.allow.is_empty() => {
                    let reason =
                        "is not on loopback: name the routers that may connect with --allow";
                    self.report.wrong(&whence, "", reason);
                }
                Ok(address) => self.wish(address, allow.clone(), whence),
                Err(reason) => self.report.wrong(&whence, "", reason),
            }
        }
    }

    fn wish(&mut self, address: SocketAddr, allow: Vec<ipnet::IpNet>, whence: Whence) {
        let slot = format!("listener[{}]", self.listeners.len());
        if whence != Whence::Default {
            self.report
                .whence
                .insert(format!("{slot}.address"), whence.clone());
            if !allow.is_empty() {
                self.report
                    .whence
                    .insert(format!("{slot}.allow"), whence.clone());
            }
        }
        self.listeners.push(Wish {
            address,
            whence,
            allow,
            versions: None,
            slot,
        });
    }

    fn finish(mut self, settings: &Settings) -> Result<Loaded, ConfigErrors> {
        self.draft.http.addresses = self.http.iter().map(|(address, _)| *address).collect();
        let said = self.report.is_set("http.address");
        if settings.demo && !said {
            self.draft.http.addresses.push(DEMO_HTTP);
            self.draft.http.need = Need::Optional;
        }
        if !self.sourced {
            self.no_source(settings);
        }
        super::source::names_differ(&self.sources, &mut self.report);
        let http = self.http.into_iter();
        let places: Vec<_> = self
            .listeners
            .iter()
            .map(|wish| (wish.address, wish.whence.clone(), "listener.address"))
            .chain(http.map(|(address, whence)| (address, whence, "http.address")))
            .collect();
        listener::addresses_differ(&places, &mut self.report);
        let sources: Vec<Source> = self.sources.into_iter().map(|(source, _)| source).collect();
        let slots = self.listeners.iter().map(|wish| wish.slot.clone());
        let listener_slots = slots.collect();
        let config = check::finish(self.draft, sources, self.listeners, &mut self.report);
        match config {
            Some(config) if self.report.errors.is_empty() => {
                let warnings = check::warnings(&config, &self.report);
                Ok(Loaded {
                    config,
                    warnings,
                    whence: self.report.whence,
                    listener_slots,
                })
            }
            _ => Err(ConfigErrors::new(self.report.errors)),
        }
    }

    fn no_source(&mut self, settings: &Settings) {
        match &settings.config {
            None => {
                let whence = Whence::Flag("--source".into());
                let reason = "missing; name one here or in a file with --config, and --demo serves \
                              sample data without one";
                self.report.wrong(&whence, "", reason);
            }
            Some(file) => {
                let place = Document::new(file, "").place(0);
                let reason = "missing (expected at least one [[source]])";
                self.report.wrong(&Whence::File(place), "source", reason);
            }
        }
    }
}

/// Kubernetes sets such variables for a service that is called rutter, and our own tests read
/// three.
fn is_of_others(rest: &str) -> bool {
    rest.starts_with("SERVICE_")
        || rest == "PORT"
        || rest.starts_with("PORT_")
        || ["REQUIRE", "REPORT", "SHARED_DATA"].contains(&rest)
}

fn unknown_scalar(key: &str) -> String {
    let keys = Draft::keys();
    if ["source", "listener"].contains(&key.split('.').next().unwrap_or_default())
        || ARRAYS.contains(&key)
    {
        return "cannot be set here: only a file or a flag of its own can".to_owned();
    }
    match value::nearest(key, keys.iter().copied()) {
        Some(near) => format!("unknown key {key:?}; did you mean {near:?}?"),
        None => format!("unknown key {key:?} (expected {})", keys.join(", ")),
    }
}

/// Reads where local exceptions are. A path must be there: exceptions that are quietly missing
/// would change what is served.
fn slurm(raw: Raw<'_>, resolve: impl Fn(&str) -> PathBuf) -> Result<SlurmOrigin, String> {
    const EXPECTED: &str = "a file, a folder, http://… or https://…";
    let text = value::text(raw, EXPECTED)?;
    if text.contains("://") {
        let url = Url::parse(text).map_err(|error| value::wrong(&error.to_string(), raw, EXPECTED));
        return url.map(SlurmOrigin::Web);
    }
    let path = match text.parse::<Endpoint>() {
        Ok(Endpoint::File(_)) => resolve(text),
        _ => return Err(value::wrong("not a path or URL", raw, EXPECTED)),
    };
    if path.exists() {
        Ok(SlurmOrigin::Path(path))
    } else {
        let reason =
            format!("there is no such file or folder (found {path:?}, expected {EXPECTED})");
        Err(reason)
    }
}

/// Reads what `--http` says.
fn http(text: &str) -> Result<SocketAddr, String> {
    let raw = Raw::Word(text);
    let address = value::address(raw)?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    let what = "not on loopback";
    let expected = "127.0.0.1 or [::1]; elsewhere takes `allow` under [http] of a file";
    Err(value::wrong(what, raw, expected))
}

#[cfg(test)]
mod tests;
