//! `[[source]]`: where data comes from.

use std::net::IpAddr;
use std::time::Duration;

use super::document::{Entry, Section};
use super::error::Whence;
use super::report::{self, Report};
use super::scalars::EVER;
use super::value::{self, Raw};
use super::{Config, Header, HeaderValue, Origin, Proxy, Scheme, Source, Verify};
use crate::net::{Endpoint, Host, Url};

/// The keys of a source.
pub(super) const KEYS: [&str; 22] = [
    "name",
    "url",
    "refresh",
    "timeout",
    "connect-timeout",
    "max-age",
    "max-size",
    "max-bad-rows",
    "conditional",
    "headers",
    "bearer-token-file",
    "client-certificate",
    "client-key",
    "ca",
    "proxy",
    "server-name",
    "known-hosts",
    "key",
    "password-file",
    "insecure",
    "verify-key",
    "verify-scheme",
];

/// The keys that every source has a use for.
const COMMON: [&str; 4] = ["name", "url", "timeout", "max-age"];

pub(super) const SCHEMES: [(&str, Scheme); 2] = [("jws", Scheme::Jws), ("gortr", Scheme::Gortr)];

/// Reads where a source is.
pub(super) fn endpoint(
    raw: Raw<'_>,
    resolve: impl Fn(&str) -> std::path::PathBuf,
) -> Result<Endpoint, String> {
    const EXPECTED: &str =
        "a path, \"-\", http://…, https://…, feed+https://…, tcp://…, tls://… or ssh://user@host";
    let text = value::text(raw, EXPECTED)?;
    match text.parse::<Endpoint>() {
        Ok(Endpoint::File(path)) => match path.to_str() {
            Some(path) => Ok(Endpoint::File(resolve(path))),
            None => Ok(Endpoint::File(path)),
        },
        Ok(Endpoint::FeedFolder(path)) => match path.to_str() {
            Some(path) => Ok(Endpoint::FeedFolder(resolve(path))),
            None => Ok(Endpoint::FeedFolder(path)),
        },
        Ok(endpoint) => Ok(endpoint),
        Err(error) => Err(value::wrong(&error.to_string(), raw, EXPECTED)),
    }
}

/// Reads all sources of a file.
pub(super) fn read_all(entry: &Entry<'_>, report: &mut Report) -> Vec<(Source, Whence)> {
    let Some(sections) = entry.tables() else {
        let reason = value::wrong("not an array of tables", entry.raw(), "[[source]]");
        report.wrong(&entry.key_whence(), &entry.path, reason);
        return Vec::new();
    };
    if let Some(beyond) = sections.get(Config::MAX_SOURCES) {
        let reason = format!(
            "too many (found {}, expected at most {})",
            sections.len(),
            Config::MAX_SOURCES
        );
        report.wrong(&beyond.whence(), "source", reason);
    }
    let read = |section| {
        let source = read(section, report)?;
        let named = section.entry("name").map(|entry| entry.whence());
        Some((source, named.unwrap_or_else(|| section.whence())))
    };
    sections.iter().filter_map(read).collect()
}

fn read(section: &Section<'_>, report: &mut Report) -> Option<Source> {
    report.unknown_keys(section, &KEYS);
    report.whence.insert(section.slot.clone(), section.whence());
    let url = report.take(section, "url", |raw| {
        endpoint(raw, |path| section.document.resolve(path))
    });
    let name = report.take(section, "name", value::name);
    if section.entry("url").is_none() {
        let reason = "missing (expected a path or URL to read from)";
        report.wrong(&section.whence(), "source.url", reason);
    }
    // What the other keys say is read, and is wrong or not, even for a source without a URL.
    let known = url.is_some();
    let url = url.unwrap_or(Endpoint::Stdin);
    let shown = url.to_string();
    let mut source = Source::new(name.map_or(shown, str::to_owned), Origin::At(url));
    costs(section, report, &mut source);
    web(section, report, &mut source);
    tls(section, report, &mut source);
    ssh(section, report, &mut source);
    source.verify = verify(section, report);
    if known {
        useless_keys(section, report, &source);
        contradictions(section, report, &source);
    }
    known.then_some(source)
}

fn costs(section: &Section<'_>, report: &mut Report, source: &mut Source) {
    let second = Duration::from_secs(1)..=EVER;
    let wait = Duration::from_millis(100)..=EVER;
    put(
        &mut source.refresh,
        report.take(section, "refresh", |raw| value::duration(raw, &second)),
    );
    put(
        &mut source.timeout,
        report.take(section, "timeout", |raw| value::duration(raw, &wait)),
    );
    put(
        &mut source.connect_timeout,
        report.take(section, "connect-timeout", |raw| {
            value::duration(raw, &wait)
        }),
    );
    put(
        &mut source.max_age,
        report.take(section, "max-age", |raw| {
            value::duration_or_off(raw, &second)
        }),
    );
    put(
        &mut source.max_octets,
        report.take(section, "max-size", value::size),
    );
    let bad_rows = |raw| {
        let percent = value::percent(raw, 100)?;
        Ok(u8::try_from(percent.0).unwrap_or(100))
    };
    put(
        &mut source.max_bad_rows,
        report.take(section, "max-bad-rows", bad_rows),
    );
}

fn put<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn web(section: &Section<'_>, report: &mut Report, source: &mut Source) {
    let file = |raw| report::file(raw, |path| section.document.resolve(path));
    let web = &mut source.web;
    put(
        &mut web.conditional,
        report.take(section, "conditional", value::boolean),
    );
    web.bearer_token = report.take(section, "bearer-token-file", file);
    put(&mut web.proxy, report.take(section, "proxy", proxy));
    if let Some(entry) = section.entry("headers") {
        web.headers = headers(&entry, report);
    }
}

/// For `https://` and `tls://`.
fn tls(section: &Section<'_>, report: &mut Report, source: &mut Source) {
    let file = |raw| report::file(raw, |path| section.document.resolve(path));
    let tls = &mut source.tls;
    put(&mut tls.ca, report.take_all(section, "ca", file));
    tls.server_name = report.take(section, "server-name", server_name);
    let chain = report.take(section, "client-certificate", file);
    let key = report.take(section, "client-key", file);
    let pair = ["client-certificate", "client-key"].map(|key| section.entry(key));
    match pair {
        [Some(alone), None] => {
            let reason = "needs client-key beside it";
            report.wrong(&alone.key_whence(), &alone.path, reason);
        }
        [None, Some(alone)] => {
            let reason = "needs client-certificate beside it";
            report.wrong(&alone.key_whence(), &alone.path, reason);
        }
        _ => {}
    }
    tls.certificate = chain.zip(key);
}

/// For `ssh://`; `insecure` is for `tls://`, too.
fn ssh(section: &Section<'_>, report: &mut Report, source: &mut Source) {
    let file = |raw| report::file(raw, |path| section.document.resolve(path));
    let known_hosts = report.take_some(section, "known-hosts", "at least one file", file);
    put(&mut source.ssh.known_hosts, known_hosts);
    source.ssh.key = report.take(section, "key", file);
    source.ssh.password_file = report.take(section, "password-file", file);
    let insecure = report.take(section, "insecure", value::boolean);
    match source.origin {
        Origin::At(Endpoint::Tls(_)) => put(&mut source.tls.insecure, insecure),
        Origin::At(Endpoint::Ssh { .. }) => put(&mut source.ssh.insecure, insecure),
        _ => {}
    }
}

/// What must be signed of a document or a feed.
fn verify(section: &Section<'_>, report: &mut Report) -> Option<Verify> {
    let file = |raw| report::file(raw, |path| section.document.resolve(path));
    let keys = report.take_some(section, "verify-key", "at least one file", file);
    let scheme = report.take(section, "verify-scheme", |raw| value::word(raw, &SCHEMES));
    if let Some(alone) = section.entry("verify-scheme").filter(|_| keys.is_none()) {
        let reason = "needs verify-key beside it";
        report.wrong(&alone.key_whence(), &alone.path, reason);
    }
    Some(Verify {
        keys: keys?,
        scheme: scheme.unwrap_or_default(),
    })
}

/// Reads what the certificate of a server is for: a DNS name or an address.
fn server_name(raw: Raw<'_>) -> Result<Box<str>, String> {
    match raw.text().and_then(|text| text.parse::<IpAddr>().ok()) {
        Some(address) => Ok(address.to_string().into()),
        None => value::dns_name(raw),
    }
}

fn proxy(raw: Raw<'_>) -> Result<Proxy, String> {
    const EXPECTED: &str = "\"none\", \"environment\" or an http:// or https:// URL";
    match value::text(raw, EXPECTED)? {
        "none" => Ok(Proxy::Direct),
        "environment" => Ok(Proxy::Environment),
        url => match Url::parse(url) {
            Ok(url) => Ok(Proxy::Through(url)),
            Err(_) => Err(value::wrong("not a proxy", raw, EXPECTED)),
        },
    }
}

fn headers(entry: &Entry<'_>, report: &mut Report) -> Vec<Header> {
    let Some(table) = entry.table() else {
        let expected = "a table such as { Accept = \"application/json\" }";
        let reason = value::wrong("not a table", entry.raw(), expected);
        report.wrong(&entry.whence(), &entry.path, reason);
        return Vec::new();
    };
    report.whence.insert(entry.slot.clone(), entry.key_whence());
    let mut headers: Vec<Header> = Vec::new();
    for entry in table.entries() {
        let name = entry.key;
        if !is_token(name) {
            let reason =
                format!("not a header name (found {name:?}, expected a token of RFC 9110)");
            report.wrong(&entry.key_whence(), "source.headers", reason);
        } else if headers
            .iter()
            .any(|header| header.name.eq_ignore_ascii_case(name))
        {
            let reason = "there already, and upper or lower case makes no difference";
            report.wrong(&entry.key_whence(), &entry.path, reason);
        } else if let Some(value) = header_value(&entry, report) {
            let name = name.into();
            headers.push(Header { name, value });
        }
    }
    headers
}

/// A token of RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !name.is_empty() && name.bytes().all(allowed)
}

/// A text, or `{ file = "…" }`. No error repeats a text: it may be a secret all the same.
fn header_value(entry: &Entry<'_>, report: &mut Report) -> Option<HeaderValue> {
    if let Some(table) = entry.table() {
        report.unknown_keys(&table, &["file"]);
        let file = report.take(&table, "file", |raw| {
            report::file(raw, |path| table.document.resolve(path))
        });
        if table.entry("file").is_none() {
            report.wrong(&entry.key_whence(), &entry.path, "file is missing");
        }
        return file.map(HeaderValue::File);
    }
    let reason = match entry.raw().text() {
        Some(text)
            if text
                .bytes()
                .all(|c| c == b'\t' || (b' '..=b'~').contains(&c)) =>
        {
            return Some(HeaderValue::Text(text.into()));
        }
        Some(_) => "not a header value (expected visible ASCII characters and spaces)",
        None => "not a header value (expected a text or { file = \"…\" })",
    };
    report.wrong(&entry.whence(), &entry.path, reason);
    None
}

/// Keys that mean something for what is asked for again, for documents, for what can be signed, and
/// for web servers.
const ASKED: &[&str] = &["refresh"];
const READ: &[&str] = &["max-size", "max-bad-rows"];
const SIGNED: &[&str] = &["verify-key", "verify-scheme"];
const SERVED: &[&str] = &[
    "connect-timeout",
    "headers",
    "bearer-token-file",
    "client-certificate",
    "client-key",
    "ca",
    "proxy",
];

/// A setting that does nothing is a misunderstanding.
fn useless_keys(section: &Section<'_>, report: &mut Report, source: &Source) {
    let Origin::At(endpoint) = &source.origin else {
        return;
    };
    let (kind, useful): (_, &[&[&str]]) = match endpoint {
        Endpoint::Stdin => ("standard input", &[READ]),
        Endpoint::File(_) => ("a file", &[ASKED, READ, SIGNED]),
        Endpoint::FeedFolder(_) => ("a feed in a folder", &[ASKED, &["verify-key"]]),
        Endpoint::Feed(_) => ("a feed", &[ASKED, SERVED, &["verify-key"]]),
        Endpoint::Web(_) => (
            "a document of the web",
            &[ASKED, READ, SIGNED, SERVED, &["conditional"]],
        ),
        Endpoint::Tcp(_) => ("a cache", &[ASKED, &["connect-timeout"]]),
        Endpoint::Tls(_) => (
            "a cache over TLS",
            &[
                ASKED,
                &["connect-timeout", "client-certificate", "client-key", "ca"],
                &["server-name", "insecure"],
            ],
        ),
        Endpoint::Ssh { .. } => (
            "a cache over SSH",
            &[
                ASKED,
                &["connect-timeout", "known-hosts", "key", "password-file"],
                &["insecure"],
            ],
        ),
    };
    let useful = useful.concat();
    for entry in section.entries() {
        let key = &entry.key;
        if KEYS.contains(key) && !COMMON.contains(key) && !useful.contains(key) {
            let reason = format!(
                "means nothing for {kind} (found url = {:?})",
                endpoint.to_string()
            );
            report.wrong(&entry.key_whence(), &entry.path, reason);
        }
    }
}

fn contradictions(section: &Section<'_>, report: &mut Report, source: &Source) {
    let slot = |key: &str| format!("{}.{key}", section.slot);
    if let Some(age) = source.max_age.filter(|age| *age < source.refresh) {
        let refresh = value::show_duration(source.refresh);
        let age = value::show_duration(age);
        let (key, reason) = if report.is_set(&slot("refresh")) {
            let reason = format!("longer than max-age (found {refresh}, expected at most {age})");
            ("refresh", reason)
        } else {
            let reason = format!("shorter than refresh (found {age}, expected {refresh} or more)");
            ("max-age", reason)
        };
        report.contradiction(&slot(key), reason);
    }
    match &source.origin {
        Origin::At(Endpoint::Web(url) | Endpoint::Feed(url)) => {
            in_the_clear(section, report, source, url)
        }
        Origin::At(Endpoint::Tls(_)) if source.tls.insecure => {
            anybody(section, report, &["ca", "server-name"]);
        }
        Origin::At(Endpoint::Ssh { .. }) => {
            if source.ssh.insecure {
                anybody(section, report, &["known-hosts"]);
            }
            if !["key", "password-file"]
                .iter()
                .any(|key| section.entry(key).is_some())
            {
                report.missing(section, "key", "what to log in with: key or password-file");
            }
        }
        _ => {}
    }
}

/// Whoever takes anybody for the server checks nothing.
fn anybody(section: &Section<'_>, report: &mut Report, keys: &[&str]) {
    for entry in keys.iter().filter_map(|key| section.entry(key)) {
        let reason = "means nothing with insecure = true: leave one of them out";
        report.wrong(&entry.key_whence(), &entry.path, reason);
    }
}

/// What is shown to a server that has not proven who it is.
fn in_the_clear(section: &Section<'_>, report: &mut Report, source: &Source, url: &Url) {
    let slot = |key: &str| format!("{}.{key}", section.slot);
    let authorization = source
        .web
        .headers
        .iter()
        .any(|header| header.name.eq_ignore_ascii_case("authorization"));
    if source.web.bearer_token.is_some() && authorization {
        let reason = "headers has an Authorization already";
        report.contradiction(&slot("bearer-token-file"), reason);
    }
    if url.is_secure() {
        return;
    }
    if source.tls.certificate.is_some() {
        let reason = "a certificate is shown over https:// only";
        report.contradiction(&slot("client-certificate"), reason);
    }
    if !is_loopback(url) {
        let reason = "a secret would travel in the clear (found an http:// url, expected https://)";
        if source.web.bearer_token.is_some() {
            report.contradiction(&slot("bearer-token-file"), reason);
        }
        if authorization {
            report.contradiction(&slot("headers"), reason);
        }
    }
}

/// Whether this host itself is asked.
pub(super) fn is_loopback(url: &Url) -> bool {
    let shown = url.to_string();
    let rest = shown.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match format!("tcp://{authority}").parse() {
        Ok(Endpoint::Tcp(at)) => match at.host() {
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
            Host::Ip(IpAddr::V4(address)) => address.is_loopback(),
            Host::Ip(IpAddr::V6(address)) => address.is_loopback(),
        },
        _ => false,
    }
}

/// No two sources have one name, nor read standard input.
pub(super) fn names_differ(sources: &[(Source, Whence)], report: &mut Report) {
    for (place, (source, whence)) in sources.iter().enumerate() {
        let mut before = sources.iter().take(place);
        if let Some((_, first)) = before.find(|(other, _)| other.name == source.name) {
            let name = &source.name;
            let reason = format!("two sources have this name (found {name:?}, also {first})");
            report.wrong(whence, "source.name", reason);
        } else if source.origin == Origin::At(Endpoint::Stdin)
            && sources
                .iter()
                .take(place)
                .any(|(other, _)| other.origin == source.origin)
        {
            report.wrong(whence, "source.url", "standard input can be read once only");
        }
    }
}
