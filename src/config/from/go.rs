//! StayRTR and GoRTR: flags as Go's `flag` package reads them, and a few variables.

use std::net::SocketAddr;

use super::Given;
use super::draft::{Draft, Part};
use super::shell;
use crate::config::value::nearest;

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flavour {
    StayRtr,
    GoRtr,
}

use Flavour::{GoRtr, StayRtr};

impl Flavour {
    const fn prefix(self) -> &'static str {
        match self {
            StayRtr => "STAYRTR",
            GoRtr => "GORTR",
        }
    }

    const fn cache(self) -> &'static str {
        match self {
            StayRtr => "https://console.rpki-client.org/rpki.json",
            GoRtr => "https://rpki.cloudflare.com/v2/rpki.json",
        }
    }

    const fn metrics(self) -> &'static str {
        match self {
            StayRtr => ":9847",
            GoRtr => ":8080",
        }
    }
}

/// Flags that take a value.
const VALUES: [&str; 23] = [
    "metrics.addr",
    "metrics.path",
    "export.path",
    "protocol",
    "rtr.refresh",
    "rtr.retry",
    "rtr.expire",
    "bind",
    "tls.bind",
    "tls.cert",
    "tls.key",
    "ssh.bind",
    "ssh.key",
    "ssh.auth.user",
    "ssh.auth.password",
    "ssh.auth.key.file",
    "cache",
    "useragent",
    "mime",
    "refresh",
    "maxconn",
    "slurm",
    "loglevel",
];
/// Flags that stand alone.
const SWITCHES: [&str; 9] = [
    "notifications",
    "ssh.method.password",
    "ssh.method.key",
    "ssh.auth.key.bypass",
    "checktime",
    "etag",
    "slurm.refresh",
    "log.verbose",
    "version",
];
const STAYRTR_SWITCHES: [&str; 5] = [
    "update.endpoint",
    "enforce.version",
    "disable.bgpsec",
    "enable.nodelay",
    "last.modified",
];
const GORTR_VALUES: [&str; 4] = ["export.sign", "rtr.sessionid", "verify.key", "useserial"];
const GORTR_SWITCHES: [&str; 1] = ["verify"];

/// What was typed: names and values, a switch as `true` or `false`.
#[derive(Debug)]
struct Flags {
    flavour: Flavour,
    given: Vec<(&'static str, String)>,
    errors: Vec<String>,
}

impl Flags {
    fn known(flavour: Flavour) -> (Vec<&'static str>, Vec<&'static str>) {
        let (values, switches) = (VALUES.to_vec(), SWITCHES.to_vec());
        match flavour {
            StayRtr => (values, [switches, STAYRTR_SWITCHES.to_vec()].concat()),
            GoRtr => (
                [values, GORTR_VALUES.to_vec()].concat(),
                [switches, GORTR_SWITCHES.to_vec()].concat(),
            ),
        }
    }

    /// `-x=y`, `-x y`, `--x`, and `-x` or `-x=false` for a switch, as Go reads them.
    fn read(&mut self, arguments: &[String]) {
        let (values, switches) = Self::known(self.flavour);
        let mut arguments = arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            let dashed = argument
                .strip_prefix("--")
                .or_else(|| argument.strip_prefix('-'));
            let Some(flag) = dashed.filter(|flag| !flag.is_empty()) else {
                let rest = arguments.len();
                if argument != "--" || rest > 0 {
                    self.errors.push(format!("{argument:?} is no flag"));
                }
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            if let Some(name) = switches.iter().find(|known| **known == name) {
                match truth(value.as_deref().unwrap_or("true")) {
                    Some(value) => self.given.push((name, value.to_string())),
                    None => self
                        .errors
                        .push(format!("-{name} is true or false (found {flag:?})")),
                }
            } else if let Some(name) = values.iter().find(|known| **known == name) {
                match value.or_else(|| arguments.next().cloned()) {
                    Some(value) => self.given.push((name, value)),
                    None => self.errors.push(format!("-{name} needs a value")),
                }
            } else {
                let all = values.iter().chain(&switches).copied();
                let hint = nearest(name, all).map(|near| format!("; did you mean -{near}?"));
                let hint = hint.unwrap_or_default();
                self.errors.push(format!("unknown flag -{name}{hint}"));
                // Most take a value, and nobody knows about this one.
                let _ = arguments.next_if(|next| value.is_none() && !next.starts_with('-'));
            }
        }
    }

    /// The last that was typed of a flag.
    fn typed(&self, name: &str) -> Option<&str> {
        let mut given = self.given.iter().rev();
        given
            .find(|(flag, _)| *flag == name)
            .map(|(_, value)| value.as_str())
    }

    fn value<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.typed(name).unwrap_or(default)
    }

    fn is(&self, name: &str, default: bool) -> bool {
        self.typed(name).map_or(default, |value| value == "true")
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let text = self.typed(name)?;
        match text.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                let reason = format!("-{name} is a whole number (found {text:?})");
                self.errors.push(reason);
                None
            }
        }
    }

    fn address(&mut self, name: &str, default: &str) -> Option<SocketAddr> {
        let text = self.value(name, default);
        if text.is_empty() {
            return None;
        }
        let address = address(text);
        if address.is_none() {
            let reason = format!("-{name} is not ADDRESS:PORT with an IP address (found {text:?})");
            self.errors.push(reason);
        }
        address
    }
}

/// As Go's `strconv.ParseBool` has them.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `:8282` is every address there.
fn address(text: &str) -> Option<SocketAddr> {
    let wide = |port: &str| format!("[::]:{port}");
    let text = match (text.strip_prefix(':'), text.strip_prefix("localhost:")) {
        (Some(port), _) => wide(port),
        (None, Some(port)) => format!("127.0.0.1:{port}"),
        (None, None) => text.to_owned(),
    };
    text.parse().ok()
}

pub(super) fn convert(flavour: Flavour, given: &Given) -> Result<String, Vec<String>> {
    let mut flags = Flags {
        flavour,
        given: Vec::new(),
        errors: Vec::new(),
    };
    let mut draft = Draft::default();
    if given.file.is_some() {
        flags
            .errors
            .push("has no configuration file; --env reads its variables".to_owned());
    }
    let cache = environment(given, &mut flags, &mut draft);
    flags.read(&given.arguments);
    rtr(&mut flags, &mut draft);
    source(&mut flags, cache, &mut draft);
    slurm(&flags, &mut draft);
    places(&mut flags, &mut draft);
    export(&flags, &mut draft);
    everybody(&flags, &mut draft);
    nothing(&flags, &mut draft);
    if flags.errors.is_empty() {
        Ok(draft.to_toml(&format!(
            "What {} was told, for rutter.",
            flavour_name(flavour)
        )))
    } else {
        Err(flags.errors)
    }
}

const fn flavour_name(flavour: Flavour) -> &'static str {
    match flavour {
        StayRtr => "StayRTR",
        GoRtr => "GoRTR",
    }
}

/// Reads the variables; gives the cache that they name.
fn environment(given: &Given, flags: &mut Flags, draft: &mut Draft) -> Option<String> {
    let variables = match shell::variables(given.environment.as_deref().unwrap_or_default()) {
        Ok(variables) => variables,
        Err(reason) => {
            flags.errors.push(reason);
            return None;
        }
    };
    let mut cache = None;
    for (name, value) in variables {
        let prefix = flags.flavour.prefix();
        let own = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('_'));
        match (own, name.as_str()) {
            (Some("ARGS"), _) => match shell::words(&value) {
                Ok(words) => flags.read(&words),
                Err(reason) => flags.errors.push(format!("{name}: {reason}")),
            },
            (Some("CACHE"), _) if flags.flavour == StayRtr => cache = Some(value),
            (Some("SSH_PASSWORD"), _) => draft.remark(format!(
                "{name}: its value belongs into the file that password-file names"
            )),
            (Some("SSH_AUTHORIZEDKEYS"), _) => draft.remark(format!(
                "{name}: its lines belong into the file that authorized-keys names"
            )),
            (_, "HTTP_PROXY" | "HTTPS_PROXY" | "NO_PROXY" | "ALL_PROXY") => draft.remark(format!(
                "{name} counts here, too, when it is in the environment of the server"
            )),
            (Some(_), _) => flags.errors.push(format!("unknown variable {name}")),
            (None, _) => draft.remark(format!("{name} did nothing there")),
        }
    }
    cache
}

fn rtr(flags: &mut Flags, draft: &mut Draft) {
    let timers = ["rtr.refresh", "rtr.retry", "rtr.expire"];
    // 0 is the default there.
    let timers = timers.map(|name| flags.number(name).filter(|seconds| *seconds > 0));
    draft.rtr.timers(timers);
    let typed = flags.number("protocol");
    // Whatever is not 1 was 0 there.
    let protocol = typed.map_or(1, |typed| i64::from(typed == 1));
    if flags.is("enforce.version", false) {
        draft.rtr.set("lowest-version", protocol);
        draft.rtr.set("highest-version", protocol);
    } else if typed.is_some() {
        draft.rtr.set("highest-version", protocol);
    } else {
        draft
            .rtr
            .note("version 2 (ASPAs) is served, too, which was not known there; without it:");
        draft.rtr.note("highest-version = 1");
    }
}

fn source(flags: &mut Flags, cache: Option<String>, draft: &mut Draft) {
    let mut part = Part::default();
    // There, the variable counts only while the flag is at its default.
    let default = flags.flavour.cache();
    let typed = flags.value("cache", default).to_owned();
    let url = match cache {
        Some(cache) if typed == default => cache,
        _ => typed,
    };
    if let Err(reason) = part.url(&url) {
        flags.errors.push(format!("-cache: {reason}"));
    }
    draft.relative("-cache", &url);
    if let Some(seconds) = flags.number("refresh") {
        part.refresh(seconds, flags.is("checktime", true));
    } else if !url.contains("://") {
        part.note("-refresh was 600 s there; here a file is read when it changes");
    }
    if !flags.is("checktime", true) {
        part.note("-checktime=false:");
        part.set("max-age", "off");
    }
    if flags.flavour == GoRtr {
        verify(flags, &mut part, &url, draft);
    }
    if url.contains("://") {
        web(flags, &mut part);
    } else {
        for name in ["useragent", "mime", "etag", "last.modified"] {
            if flags.typed(name).is_some() {
                part.note(&format!("-{name} did nothing there for a file"));
            }
        }
    }
    draft.sources.push(part);
}

/// Signatures of the list: the fields of GoRTR itself.
fn verify(flags: &Flags, part: &mut Part, url: &str, draft: &mut Draft) {
    if !flags.is("verify", true) {
        if flags.typed("verify.key").is_some() {
            draft.remark("-verify.key: it did nothing there without -verify");
        }
        return;
    }
    if !url.contains("://") {
        part.note("the list was verified there; here only what comes from a URL can be");
        return;
    }
    let key = flags.value("verify.key", "cf.pub");
    draft.relative("-verify.key", key);
    part.note("the list must be signed with this key, as it had to be there:");
    part.set("verify-key", vec![key.to_owned()]);
    part.set("verify-scheme", "gortr");
}

fn web(flags: &mut Flags, part: &mut Part) {
    let [etag, modified] = ["etag", "last.modified"].map(|name| flags.is(name, true));
    if !etag && (!modified || flags.flavour == GoRtr) {
        part.set("conditional", false);
    } else if !etag || !modified {
        part.note("-etag and -last.modified are one setting here: conditional, which is true");
    }
    let headers = [("useragent", "User-Agent"), ("mime", "Accept")];
    let mut table = toml::Table::new();
    for (flag, header) in headers {
        let Some(value) = flags.typed(flag) else {
            continue;
        };
        if value.bytes().all(|c| (b' '..=b'~').contains(&c)) {
            table.insert(header.to_owned(), value.into());
        } else {
            let reason = format!("-{flag} is no value of a header (found {value:?})");
            flags.errors.push(reason);
        }
    }
    if !table.is_empty() {
        part.set("headers", table);
    }
}

fn slurm(flags: &Flags, draft: &mut Draft) {
    let Some(file) = flags.typed("slurm").filter(|file| !file.is_empty()) else {
        return;
    };
    draft.relative("-slurm", file);
    let part = &mut draft.slurm;
    part.set("files", vec![file.to_owned()]);
    part.note("members that are missing or unknown did not matter there");
    part.set("lenient", true);
    part.note("a filter with neither prefix nor AS matched everything there; here it is an error");
    if file.contains("://") {
        if !flags.is("slurm.refresh", true) {
            part.note("-slurm.refresh=false: here it is always read again");
        }
    } else if flags.typed("slurm.refresh").is_some() {
        part.note("-slurm.refresh: here a file is always read again when it changes");
    }
}

fn places(flags: &mut Flags, draft: &mut Draft) {
    if let Some(address) = flags.address("bind", ":8282") {
        let mut part = Part::default();
        part.address(address);
        draft.listeners.push(part);
    } else if ["tls.bind", "ssh.bind"].map(|name| flags.value(name, "")) == ["", ""] {
        draft.remark("-bind was empty: here there is always a listener, tcp://127.0.0.1:8282");
    }
    tls(flags, draft);
    ssh(flags, draft);
    let default = flags.flavour.metrics();
    let Some(address) = flags.address("metrics.addr", default) else {
        return;
    };
    draft.http.address(address);
    for (name, path) in [("metrics.path", "/metrics"), ("export.path", "/rpki.json")] {
        if let Some(text) = flags.typed(name).filter(|text| *text != path) {
            let text = format!("-{name} {text}: the path is always {path} here");
            draft.http.note(&text);
        }
    }
    if flags.is("update.endpoint", false) {
        draft
            .http
            .note("-update.endpoint: here it is POST /api/v1/refresh, with token-file");
    }
}

/// What was signed there.
fn export(flags: &Flags, draft: &mut Draft) {
    let Some(key) = flags.typed("export.sign").filter(|path| !path.is_empty()) else {
        return;
    };
    draft.relative("-export.sign", key);
    let part = &mut draft.export;
    part.note("-export.sign: the dates that are signed are our own here, not the upstream's");
    part.set("gortr-key", key);
}

/// Certificates of clients were not asked for there.
fn tls(flags: &mut Flags, draft: &mut Draft) {
    let Some(address) = flags.address("tls.bind", "") else {
        unused(flags, draft, "tls.bind", &["tls.cert", "tls.key"]);
        return;
    };
    let mut part = Part::default();
    part.set("transport", "tls");
    part.address(address);
    for (flag, key) in [("tls.cert", "certificate"), ("tls.key", "key")] {
        match flags.typed(flag).filter(|path| !path.is_empty()) {
            Some(path) => {
                draft.relative(&format!("-{flag}"), path);
                part.set(key, path);
            }
            None => flags.errors.push(format!("-tls.bind needs -{flag}")),
        }
    }
    draft.listeners.push(part);
}

/// Nobody gets in here without a key that is known or a password, whatever did there.
fn ssh(flags: &mut Flags, draft: &mut Draft) {
    const KEYS: &str = "authorized_keys";
    let Some(address) = flags.address("ssh.bind", "") else {
        unused(flags, draft, "ssh.bind", &SSH_FLAGS);
        return;
    };
    let mut part = Part::default();
    part.set("transport", "ssh");
    part.address(address);
    let host_key = flags.value("ssh.key", "private.pem");
    draft.relative("-ssh.key", host_key);
    part.set("host-keys", host_key);
    let [password, key] =
        ["ssh.method.password", "ssh.method.key"].map(|name| flags.is(name, false));
    let bypass = flags.is("ssh.auth.key.bypass", false);
    let mut methods = Vec::new();
    if key || !password {
        methods.push("publickey");
    }
    if password {
        methods.push("password");
    }
    part.set("auth", methods);
    if key || !password {
        let file = flags.value("ssh.auth.key.file", "");
        if !key {
            part.note("anybody could log in there, without any method; here it takes a key:");
        } else if bypass {
            part.note("-ssh.auth.key.bypass let in any key there; here the keys stand in a file:");
        } else if file.is_empty() {
            part.note("put the keys that may log in into this file:");
        }
        let file = if file.is_empty() || bypass || !key {
            KEYS
        } else {
            file
        };
        if file != KEYS {
            draft.relative("-ssh.auth.key.file", file);
        }
        part.set("authorized-keys", file);
    }
    if password {
        part.set("user", flags.value("ssh.auth.user", "rpki"));
        part.note("-ssh.auth.password: write it into this file, which others cannot read:");
        part.set("password-file", "ssh-password");
    }
    draft.listeners.push(part);
}

const SSH_FLAGS: [&str; 7] = [
    "ssh.key",
    "ssh.method.password",
    "ssh.method.key",
    "ssh.auth.user",
    "ssh.auth.password",
    "ssh.auth.key.bypass",
    "ssh.auth.key.file",
];

/// Flags that did nothing without another one.
fn unused(flags: &Flags, draft: &mut Draft, without: &str, names: &[&str]) {
    for name in names.iter().filter(|name| flags.typed(name).is_some()) {
        draft.remark(format!("-{name}: it did nothing there without -{without}"));
    }
}

/// What all routers get, where it is not what they get by default.
fn everybody(flags: &Flags, draft: &mut Draft) {
    let quiet = !flags.is("notifications", true);
    let no_keys = flags.is("disable.bgpsec", false);
    if !quiet && !no_keys {
        return;
    }
    draft.profile.set("name", "everybody");
    if quiet {
        draft.profile.note("-notifications=false:");
        draft.profile.set("notify", false);
    }
    if no_keys {
        draft.profile.note("-disable.bgpsec:");
        draft.profile.set("kinds", vec!["vrp", "aspa"]);
    }
}

/// What does nothing, there or here.
fn nothing(flags: &Flags, draft: &mut Draft) {
    let remarks = [
        (
            "enable.nodelay",
            "it did nothing there, and is always on here",
        ),
        ("loglevel", "here it is a flag, --log"),
        ("log.verbose", "here it is a flag, --log debug"),
        ("version", "here it is rutter --version"),
        ("rtr.sessionid", "session ids are drawn by chance here"),
        ("useserial", "serials are always our own here"),
    ];
    for (name, remark) in remarks {
        if flags.typed(name).is_some() {
            draft.remark(format!("-{name}: {remark}"));
        }
    }
    if let Some(most) = flags.typed("maxconn") {
        let text = format!("-maxconn {most} did nothing there; here it would be connections");
        draft.limits.note(&text);
    }
}
