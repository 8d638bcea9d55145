//! SSH of a listener: its host keys, and who may log in.

use std::path::{Path, PathBuf};

use super::document::Section;
use super::report::{self, Report};
use super::value::{self, Raw};
use crate::net::ssh::{Algorithms, HostKeys, Keys, Passwords, Preset, ServerOptions};

/// The keys of a listener that speaks SSH.
pub(super) const KEYS: [&str; 11] = [
    "host-keys",
    "auth",
    "authorized-keys",
    "dangerous-accept-any-key",
    "users",
    "user",
    "password-file",
    "algorithms",
    "key-exchange",
    "ciphers",
    "macs",
];

/// The host key that is made in the state directory when no other is named.
const HOST_KEY: &str = "ssh_host_ed25519_key";

/// What there is to say to an array without a name in it.
const SOME_NAME: &str = "at least one name of the IANA registry";

pub(super) const PRESETS: [(&str, Preset); 3] = [
    ("default", Preset::Default),
    ("modern", Preset::Modern),
    ("legacy", Preset::Legacy),
];

/// How somebody logs in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Method {
    PublicKey,
    Password,
}

/// SSH without what only the whole configuration knows.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    host_keys: Option<Vec<PathBuf>>,
    keys: Option<Keys>,
    passwords: Option<Passwords>,
    algorithms: Algorithms,
}

impl Draft {
    /// Reads the keys of a listener that lets these prefixes connect.
    pub(super) fn read(section: &Section<'_>, allow: &[ipnet::IpNet], report: &mut Report) -> Self {
        let host_key = |raw| host_key(raw, |path| section.document.resolve(path));
        let host_keys = report.take_some(section, "host-keys", "at least one file", host_key);
        let methods = methods(section, report);
        Self {
            host_keys,
            keys: keys(section, methods.as_deref(), allow, report),
            passwords: passwords(section, methods.as_deref(), report),
            algorithms: algorithms(section, report),
        }
    }

    /// The whole, with what other tables say.
    ///
    /// # Errors
    ///
    /// When nothing says where the host key is to be.
    pub(super) fn finish(
        self,
        state_dir: Option<&Path>,
        auth_attempts: usize,
    ) -> Result<ServerOptions, &'static str> {
        let files = match (self.host_keys, state_dir) {
            (Some(files), _) => files,
            (None, Some(folder)) => vec![folder.join(HOST_KEY)],
            (None, None) => {
                return Err(
                    "missing (expected the files of the host keys, or state-dir, where one \
                            is made)",
                );
            }
        };
        Ok(ServerOptions {
            host_keys: HostKeys::Files(files),
            keys: self.keys,
            passwords: self.passwords,
            algorithms: self.algorithms,
            auth_attempts,
        })
    }
}

/// A host key has to be there, but for one that is made when it is not.
fn host_key(raw: Raw<'_>, resolve: impl Fn(&str) -> PathBuf) -> Result<PathBuf, String> {
    let path = resolve(value::text(raw, "a path")?);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.contains("ed25519") && !path.exists() {
        return Ok(path);
    }
    report::readable(path)
}

/// How somebody may log in; `None` when that is not known.
fn methods(section: &Section<'_>, report: &mut Report) -> Option<Vec<Method>> {
    const EXPECTED: &str = "\"publickey\", \"password\" or both";
    let Some(entry) = section.entry("auth") else {
        report.missing(section, "auth", EXPECTED);
        return None;
    };
    let before = report.errors.len();
    let methods = report.read_some(&entry, EXPECTED, |raw| match raw.text() {
        Some("publickey") => Ok(Method::PublicKey),
        Some("password") => Ok(Method::Password),
        // RFC 8210 §9.1 by way of RFC 4252 §5.2: it lists the methods and lets nobody in.
        Some("none") => Err(value::wrong("lets everybody in", raw, EXPECTED)),
        _ => Err(value::wrong("not a method that is offered", raw, EXPECTED)),
    });
    (report.errors.len() == before).then_some(methods)
}

/// Reports the keys of a method that is not offered.
fn without(section: &Section<'_>, report: &mut Report, keys: &[&str], method: &str) {
    for entry in keys.iter().filter_map(|key| section.entry(key)) {
        let reason = format!("means nothing without {method:?} in auth");
        report.wrong(&entry.key_whence(), &entry.path, reason);
    }
}

fn keys(
    section: &Section<'_>,
    methods: Option<&[Method]>,
    allow: &[ipnet::IpNet],
    report: &mut Report,
) -> Option<Keys> {
    let file = |raw| authorized(raw, |path| section.document.resolve(path));
    let files = report.take_some(section, "authorized-keys", "at least one file", file);
    let any = report.take(section, "dangerous-accept-any-key", value::boolean);
    let offered = methods.is_none_or(|methods| methods.contains(&Method::PublicKey));
    if !offered {
        let keys = ["authorized-keys", "dangerous-accept-any-key"];
        without(section, report, &keys, "publickey");
        return None;
    }
    let Some(entry) = section
        .entry("dangerous-accept-any-key")
        .filter(|_| any == Some(true))
    else {
        if files.is_none() && methods.is_some() {
            let expected = "the files of the keys that may log in with \"publickey\"";
            report.missing(section, "authorized-keys", expected);
        }
        return files.map(Keys::Authorized);
    };
    if files.is_some() {
        let reason = "makes authorized-keys mean nothing: leave one of them out";
        report.wrong(&entry.key_whence(), &entry.path, reason);
    } else if allow.is_empty() {
        let reason = "needs `allow` beside it, with the prefixes of those who may connect";
        report.wrong(&entry.key_whence(), &entry.path, reason);
    }
    Some(Keys::Any)
}

/// `%u` in the name of a file stands for a user, whose file may come later.
fn authorized(raw: Raw<'_>, resolve: impl Fn(&str) -> PathBuf) -> Result<PathBuf, String> {
    const USER: &str = "%u";
    const EXPECTED: &str = "a path, perhaps with %u in the name of the file";
    let path = resolve(value::text(raw, EXPECTED)?);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(&path);
    match name.matches(USER).count() {
        _ if folder.to_string_lossy().contains(USER) => {
            Err(value::wrong("a folder with %u", raw, EXPECTED))
        }
        0 => report::readable(path),
        1 if folder.as_os_str().is_empty() || folder.is_dir() => Ok(path),
        1 => Err(value::wrong("in no folder that is there", raw, EXPECTED)),
        _ => Err(value::wrong("more than one %u", raw, EXPECTED)),
    }
}

fn passwords(
    section: &Section<'_>,
    methods: Option<&[Method]>,
    report: &mut Report,
) -> Option<Passwords> {
    let file = |raw| report::file(raw, |path| section.document.resolve(path));
    let users = report.take(section, "users", file);
    let user = report.take(section, "user", user);
    let secret = report.take(section, "password-file", file);
    if methods.is_some_and(|methods| !methods.contains(&Method::Password)) {
        let keys = ["users", "user", "password-file"];
        without(section, report, &keys, "password");
        return None;
    }
    let named = |key| section.entry(key);
    match (named("users"), named("user"), named("password-file")) {
        (None, None, None) => {
            if methods.is_some() {
                let expected = "the file of those who may log in with \"password\"";
                report.missing(section, "users", expected);
            }
        }
        (Some(_), None, None) => return users.map(Passwords::Users),
        (Some(_), one, other) => {
            for entry in [one, other].into_iter().flatten() {
                let reason = "means nothing beside users: leave one of them out";
                report.wrong(&entry.key_whence(), &entry.path, reason);
            }
        }
        (None, Some(alone), None) => {
            let reason = "needs password-file beside it";
            report.wrong(&alone.key_whence(), &alone.path, reason);
        }
        (None, None, Some(alone)) => {
            let reason = "needs user beside it";
            report.wrong(&alone.key_whence(), &alone.path, reason);
        }
        (None, Some(_), Some(_)) => {
            let (user, file) = user.zip(secret)?;
            return Some(Passwords::Single { user, file });
        }
    }
    None
}

/// Reads the name of a user: what can stand before the colon of a line.
pub(super) fn user(raw: Raw<'_>) -> Result<Box<str>, String> {
    const EXPECTED: &str = "a name of at most 64 visible characters, none of them a colon";
    let name = value::text(raw, EXPECTED)?;
    let bad = |letter: char| letter == ':' || letter.is_whitespace() || letter.is_control();
    if name.contains(bad) || name.chars().count() > 64 {
        return Err(value::wrong("not a user", raw, EXPECTED));
    }
    Ok(name.into())
}

fn algorithms(section: &Section<'_>, report: &mut Report) -> Algorithms {
    let preset = report.take(section, "algorithms", |raw| value::word(raw, &PRESETS));
    let mut names = |key| {
        let names = report.take_some(section, key, SOME_NAME, algorithm)?;
        twice(section, key, &names, report);
        Some(names)
    };
    Algorithms {
        preset: preset.unwrap_or_default(),
        key_exchanges: names("key-exchange"),
        ciphers: names("ciphers"),
        macs: names("macs"),
    }
}

/// Reads a name of RFC 4251 §6. Whether we have such an algorithm is seen when the listener is
/// made.
fn algorithm(raw: Raw<'_>) -> Result<Box<str>, String> {
    const EXPECTED: &str = "a name of the IANA registry such as \"aes256-gcm@openssh.com\"";
    let name = value::text(raw, EXPECTED)?;
    let good = |letter: u8| letter.is_ascii_graphic() && letter != b',';
    if name.len() > 64 || !name.bytes().all(good) {
        return Err(value::wrong("not the name of an algorithm", raw, EXPECTED));
    }
    Ok(name.into())
}

fn twice(section: &Section<'_>, key: &str, names: &[Box<str>], report: &mut Report) {
    let mut rest = names.iter();
    while let Some(name) = rest.next() {
        if rest.as_slice().contains(name) {
            let slot = format!("{}.{key}", section.slot);
            report.contradiction(&slot, format!("named twice (found {name:?})"));
        }
    }
}
