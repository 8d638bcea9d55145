//! The file and the environment, laid over the defaults and under the flags.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::check;
use super::document::{Document, Entry, Section};
use super::error::{ConfigErrors, Whence};
use super::listener::{self, Wish};
use super::profile;
use super::report::{self, Report};
use super::scalars::Draft;
use super::settings::{Loaded, Settings};
use super::source;
use super::tls;
use super::value::{self, Raw};
use super::warnings;
use super::{Need, SlurmOrigin, Source};
use crate::net::{Endpoint, Url};

/// The HTTP address of `--demo`.
const DEMO_HTTP: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9847);

/// Tables of one value for each key, arrays of tables, and keys whose values are arrays.
const TABLES: [&str; 7] = ["rtr", "merge", "guard", "slurm", "limits", "http", "export"];
pub(super) const ARRAYS: [&str; 6] = [
    "slurm.files",
    "http.address",
    "http.allow",
    "http.deny",
    "http.client-ca",
    "http.crl",
];

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) draft: Draft,
    pub(super) report: Report,
    pub(super) sources: Vec<(Source, Whence)>,
    pub(super) listeners: Vec<Wish>,
    pub(super) profiles: Vec<profile::Wish>,
    pub(super) http: Vec<(SocketAddr, Whence)>,
    /// A source, right or wrong, was named.
    pub(super) sourced: bool,
}

impl Reader {
    pub(super) fn file(&mut self, file: &Path, octets: &[u8]) {
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
        let alone = ["state-dir", "control", "source", "listener", "profile"];
        let known = [alone.as_slice(), &TABLES].concat();
        for entry in root.entries() {
            match entry.key {
                "source" => {
                    self.sourced = true;
                    self.sources = source::read_all(&entry, &mut self.report);
                }
                "listener" => self.listeners = listener::read_all(&entry, &mut self.report),
                "profile" => self.profiles = profile::read_all(&entry, &mut self.report),
                "state-dir" | "control" => self.scalar(&entry, &known),
                table if TABLES.contains(&table) => match entry.table() {
                    Some(section) => self.table(&section),
                    None => {
                        let expected = format!("a table: [{table}]");
                        let reason = value::wrong("not a table", entry.raw(), &expected);
                        self.report.wrong(&entry.key_whence(), table, reason);
                    }
                },
                _ => self.report.unknown(&entry, &known),
            }
        }
    }

    fn table(&mut self, section: &Section<'_>) {
        let prefix = format!("{}.", section.path);
        let all = Draft::keys();
        let known = all.iter().chain(ARRAYS.iter());
        let known: Vec<&str> = known.filter_map(|key| key.strip_prefix(&prefix)).collect();
        let file = |raw| report::file(raw, |path| section.document.resolve(path));
        for entry in section.entries() {
            match entry.path.as_str() {
                "slurm.files" => {
                    let resolve = |path: &str| section.document.resolve(path);
                    let files = self.report.read_all(&entry, |raw| slurm(raw, resolve));
                    self.draft.slurm.files = files;
                }
                "http.address" => self.http = listener::places(&entry, &mut self.report),
                "http.allow" => {
                    self.draft.http.access.allow = self.report.read_all(&entry, value::prefix);
                }
                "http.deny" => {
                    self.draft.http.access.deny = self.report.read_all(&entry, value::prefix);
                }
                "http.client-ca" => {
                    let files = self.report.read_some(&entry, tls::SOME_FILE, file);
                    self.draft.http_tls.client_ca = Some(files);
                }
                "http.crl" => {
                    let files = self.report.read_some(&entry, "at least one file", file);
                    self.draft.http_tls.crl = Some(files);
                }
                _ => self.scalar(&entry, &known),
            }
        }
    }

    fn scalar(&mut self, entry: &Entry<'_>, known: &[&str]) {
        let resolve = |path: &str| entry.document.resolve(path);
        match self.draft.set(&entry.path, entry.raw(), resolve) {
            Some(read) => {
                self.report.keep(entry, read);
            }
            None => self.report.unknown(entry, known),
        }
    }

    /// A scalar from a place without types.
    pub(super) fn typed(&mut self, key: &str, value: &str, whence: Whence) {
        match self
            .draft
            .set(key, Raw::Word(value), |path| PathBuf::from(path))
        {
            Some(Ok(())) => {
                self.report.whence.insert(key.to_owned(), whence);
            }
            Some(Err(reason)) => {
                self.report.wrong(&whence, key, reason);
                self.report.tried(key, whence);
            }
            None => self.report.wrong(&whence, key, unknown_scalar(key)),
        }
    }

    pub(super) fn environment(&mut self, environment: impl Iterator<Item = (String, String)>) {
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

    pub(super) fn set(&mut self, set: &[String]) {
        for setting in set {
            let whence = Whence::Flag(format!("--set {}", value::hidden(setting)));
            match setting.split_once('=') {
                Some((key, value)) => self.typed(key, value, whence),
                None => self.report.wrong(&whence, "", "not of the form KEY=VALUE"),
            }
        }
    }

    pub(super) fn finish(mut self, settings: &Settings) -> Result<Loaded, ConfigErrors> {
        self.draft.http.addresses = self.http.iter().map(|(address, _)| *address).collect();
        let said = self.report.is_set("http.address");
        if settings.demo && !said {
            self.draft.http.addresses.push(DEMO_HTTP);
            self.draft.http.need = Need::Optional;
        }
        if !self.sourced {
            self.no_source(settings);
        }
        source::names_differ(&self.sources, &mut self.report);
        let http = self.http.iter().cloned();
        let places: Vec<_> = self
            .listeners
            .iter()
            .map(|wish| (wish.address, wish.whence.clone(), "listener.address"))
            .chain(http.map(|(address, whence)| (address, whence, "http.address")))
            .collect();
        listener::addresses_differ(&places, &mut self.report);
        self.settle_http();
        let sources: Vec<Source> = self.sources.into_iter().map(|(source, _)| source).collect();
        let slots = self.listeners.iter().map(|wish| wish.slot.clone());
        let listener_slots = slots.collect();
        let slots = self.profiles.iter().map(|wish| wish.slot.clone());
        let profile_slots = slots.collect();
        let config = check::finish(
            self.draft,
            sources,
            (self.listeners, self.profiles),
            &mut self.report,
        );
        match config {
            Some(config) if self.report.errors.is_empty() => {
                let warnings = warnings::all(&config, self.report.warnings);
                Ok(Loaded {
                    config,
                    warnings,
                    whence: self.report.whence,
                    listener_slots,
                    profile_slots,
                })
            }
            _ => Err(ConfigErrors::new(self.report.errors)),
        }
    }

    /// TLS of the HTTP server, and who may connect there.
    fn settle_http(&mut self) {
        let draft = std::mem::take(&mut self.draft.http_tls);
        let proof = draft.proof();
        self.draft.http.tls = draft.finish_if_any("http", &mut self.report);
        let access = &mut self.draft.http.access;
        let allow = self.report.is_set("http.allow");
        let allow = allow.then(|| std::mem::take(&mut access.allow));
        access.allow = listener::allowed(allow, proof);
        for (address, whence) in &self.http {
            if let Err(reason) = listener::closed(*address, &access.allow) {
                self.report.wrong(whence, "http.address", reason);
            }
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
    if ["source", "listener", "profile"].contains(&key.split('.').next().unwrap_or_default())
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
pub(super) fn slurm(
    raw: Raw<'_>,
    resolve: impl Fn(&str) -> PathBuf,
) -> Result<SlurmOrigin, String> {
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
