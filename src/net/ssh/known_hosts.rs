//! Which host has which key, in the format of OpenSSH's `known_hosts`.
//!
//! A line that cannot be read is passed over with a warning: it could only have made us trust
//! somebody. One that takes trust away, and cannot be read, is an error.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ssh_key::Algorithm;
use ssh_key::public::KeyData;

use super::warnings::Warnings;
use super::{key, pattern};
use crate::net::files::{self, FileError};
use crate::net::host::{Host, HostPort};

/// The keys of hosts, from several files.
#[derive(Debug)]
pub(super) struct KnownHosts {
    /// Where to add a host.
    file: PathBuf,
    entries: Vec<Entry>,
}

/// What is known of a key that a host shows.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It is a key of the host.
    Known,
    /// The host is not known, and so its key is not.
    Unknown,
    /// The host has another key, here.
    Changed(Place),
    /// The key is not to be trusted any more, as it says here.
    Revoked(Place),
}

/// A line of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    path: PathBuf,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

impl KnownHosts {
    /// Reads files, at least one. Blocks.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or a line cannot that revokes a key.
    pub(super) fn load(paths: &[PathBuf], warnings: &mut Warnings) -> Result<Self, FileError> {
        let mut known = Self {
            file: paths.first().cloned().unwrap_or_default(),
            entries: Vec::new(),
        };
        for path in paths {
            let octets = files::read(path, files::MAX_FILE)?;
            known.add(path, &octets, warnings)?;
        }
        Ok(known)
    }

    /// Those of a user, who may have none yet. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub(super) fn of_user(home: &Path, warnings: &mut Warnings) -> Result<Self, FileError> {
        let path = home.join(".ssh/known_hosts");
        let there = path.try_exists();
        if there.map_err(|error| FileError::new(&path, error))? {
            return Self::load(&[path], warnings);
        }
        Ok(Self {
            file: path,
            entries: Vec::new(),
        })
    }

    fn add(
        &mut self,
        path: &Path,
        octets: &[u8],
        warnings: &mut Warnings,
    ) -> Result<(), FileError> {
        for (index, line) in octets.split(|octet| *octet == b'\n').enumerate() {
            let number = index + 1;
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let read = match line.len() {
                0..=MAX_LINE => parse(&String::from_utf8_lossy(line)),
                _ => Err("it is longer than 16384 octets"),
            };
            match read {
                Ok(Some((hosts, marker, key))) => self.entries.push(Entry {
                    hosts,
                    marker,
                    key,
                    place: Place {
                        path: path.to_owned(),
                        line: number,
                    },
                }),
                Ok(None) => {
                    warnings.line(path, number, "certificates of hosts are not supported");
                }
                Err(cause) if line.starts_with(b"@revoked") => {
                    return Err(FileError::at(path, number, cause));
                }
                Err(cause) => warnings.line(path, number, format_args!("not used: {cause}")),
            }
            if self.entries.len() > MAX_ENTRIES {
                let cause = format!("more than {MAX_ENTRIES} keys of hosts");
                return Err(FileError::new(path, cause));
            }
        }
        Ok(())
    }

    /// The file to add a host to.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether a host has a key. That of another port is the key of another host, as a host with
    /// several machines behind it has it.
    pub(super) fn judge(&self, at: &HostPort, key: &KeyData) -> Verdict {
        let name = name(at);
        let bare = bare_name(at.host());
        let revoked = self.entries.iter().find(|entry| {
            entry.marker == Marker::Revoked
                && entry.key == *key
                && (entry.hosts.hold(&name) || entry.hosts.hold(&bare))
        });
        if let Some(entry) = revoked {
            return Verdict::Revoked(entry.place.clone());
        }
        if self.of(&name).any(|entry| entry.key == *key) {
            return Verdict::Known;
        }
        // One of the same kind is the one that was changed, if there is one.
        let kind = key.algorithm();
        let changed = self
            .of(&name)
            .find(|entry| entry.key.algorithm() == kind)
            .or_else(|| self.of(&name).next());
        changed.map_or(Verdict::Unknown, |entry| {
            Verdict::Changed(entry.place.clone())
        })
    }

    /// The kinds of keys that a host has, in the order of the files.
    pub(super) fn algorithms(&self, at: &HostPort) -> Vec<Algorithm> {
        let name = name(at);
        let mut algorithms = Vec::new();
        for entry in self.of(&name) {
            let algorithm = entry.key.algorithm();
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.marker == Marker::None && entry.hosts.hold(name))
    }
}

/// How a host is named in these files: with its port if that is not the one of SSH.
pub(super) fn name(at: &HostPort) -> String {
    let host = bare_name(at.host());
    match at.port() {
        22 => host,
        port => format!("[{host}]:{port}"),
    }
}

fn bare_name(host: &Host) -> String {
    match host {
        Host::Name(name) => name.to_ascii_lowercase(),
        Host::Ip(address) => address.to_string(),
    }
}

/// A key and its hosts.
#[derive(Debug)]
struct Entry {
    hosts: Hosts,
    marker: Marker,
    key: KeyData,
    place: Place,
}

/// What a line says of its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Marker {
    None,
    Revoked,
}

/// Reads a line; `None` for one that is about certificates.
fn parse(line: &str) -> Result<Option<(Hosts, Marker, KeyData)>, &'static str> {
    let (first, rest) = word(line);
    let (marker, (hosts, key)) = match first {
        "@cert-authority" => return Ok(None),
        "@revoked" => (Marker::Revoked, word(rest)),
        marker if marker.starts_with('@') => return Err("the marker is unknown"),
        hosts => (Marker::None, (hosts, rest)),
    };
    let hosts = Hosts::parse(hosts)?;
    let key = key::read(key).ok_or("there is no public key in the form of OpenSSH")?;
    Ok(Some((hosts, marker, key)))
}

/// Takes the first word off a line.
fn word(line: &str) -> (&str, &str) {
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    (word, rest.trim_ascii_start())
}

/// Which hosts a line is about.
enum Hosts {
    /// Patterns in lower case, with `!` before those that take away.
    Patterns(Box<str>),
    /// One host, by its name under HMAC-SHA-1 with this key.
    Hashed { key: hmac::Key, hash: Box<[u8]> },
}

impl Hosts {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(hashed) = text.strip_prefix("|1|") else {
            return match text {
                "" => Err("there is no host"),
                _ if text.starts_with('|') => Err("the name of the host is hashed in another way"),
                _ => Ok(Self::Patterns(text.to_ascii_lowercase().into())),
            };
        };
        let bad = "the hash of the host is damaged";
        let (salt, hash) = hashed.split_once('|').ok_or(bad)?;
        let salt = STANDARD.decode(salt).map_err(|_| bad)?;
        let hash = STANDARD.decode(hash).map_err(|_| bad)?;
        if hash.len()
            != hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY
                .digest_algorithm()
                .output_len()
        {
            return Err(bad);
        }
        Ok(Self::Hashed {
            key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt),
            hash: hash.into(),
        })
    }

    /// Whether one pattern fits and none that takes away does.
    fn hold(&self, name: &str) -> bool {
        let patterns = match self {
            Self::Patterns(patterns) => patterns,
            Self::Hashed { key, hash } => return hmac::verify(key, name.as_bytes(), hash).is_ok(),
        };
        let mut held = false;
        for element in patterns.split(',') {
            match element.strip_prefix('!') {
                Some(element) if pattern::fits(element, name) => return false,
                Some(_) => {}
                None => held |= pattern::fits(element, name),
            }
        }
        held
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patterns(patterns) => patterns,
            Self::Hashed { .. } => "|1|...",
        })
    }
}

/// The most octets of a line: what OpenSSH reads.
const MAX_LINE: usize = 16 * 1024;

/// The most keys: all of them may be hashed, and then each costs a microsecond to look at.
const MAX_ENTRIES: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::net::Endpoint;
    use crate::net::ssh::key::samples::{ECDSA, ED25519, OTHER_ED25519, RSA};

    fn at(text: &str) -> HostPort {
        match format!("ssh://u@{text}").parse().unwrap() {
            Endpoint::Ssh { at, .. } => at,
            other => unreachable!("{other}"),
        }
    }

    fn read(text: impl AsRef<[u8]>) -> (Result<KnownHosts, String>, Box<[String]>) {
        let mut known = KnownHosts {
            file: "hosts".into(),
            entries: Vec::new(),
        };
        let mut warnings = Warnings::default();
        let added = known.add(Path::new("hosts"), text.as_ref(), &mut warnings);
        let known = added.map(|()| known).map_err(|error| error.to_string());
        (known, warnings.into_lines())
    }

    fn judge(known: &KnownHosts, host: &str, key: &str) -> Verdict {
        known.judge(&at(host), &key::read(key).unwrap())
    }

    fn line(line: usize) -> Place {
        Place {
            path: "hosts".into(),
            line,
        }
    }

    #[test]
    fn hosts_are_known_by_patterns() {
        for (hosts, host, expected) in [
            ("h.example", "h.example", true),
            ("H.Example", "h.EXAMPLE", true),
            ("h.example", "h.example:2222", false),
            ("[h.example]:2222", "h.example:2222", true),
            ("[h.example]:2222", "h.example:2223", false),
            ("[h.example]:22", "h.example", false),
            ("a.example,192.0.2.1", "192.0.2.1", true),
            ("2001:db8::1", "[2001:DB8::1]", true),
            ("[2001:db8::1]:2222", "[2001:db8::1]:2222", true),
            ("*.example", "h.example", true),
            ("*.example", "h.example:2222", false),
            ("*", "h.example:2222", true),
            ("[*.example]:22??", "h.example:2222", true),
            ("*.example,!h.example", "h.example", false),
            ("!h.example,*.example", "h.example", false),
            ("!h.example,*.example", "i.example", true),
            ("!h.example", "i.example", false),
        ] {
            let (known, warnings) = read(format!("{hosts} {ED25519} comment\n"));
            assert!(warnings.is_empty());
            let wanted = match expected {
                true => Verdict::Known,
                false => Verdict::Unknown,
            };
            assert_eq!(
                judge(&known.unwrap(), host, ED25519),
                wanted,
                "{hosts} {host}"
            );
        }
    }

    #[test]
    fn another_key_is_a_changed_one() {
        let (known, _) = read(format!(
            "# hosts\r\n\r\nh.example\t{RSA}\r\nh.example {ED25519}\n\
             both {ED25519}\nboth {OTHER_ED25519}\n"
        ));
        let known = known.unwrap();
        assert_eq!(judge(&known, "h.example", ED25519), Verdict::Known);
        assert_eq!(judge(&known, "h.example", RSA), Verdict::Known);
        let changed = judge(&known, "h.example", OTHER_ED25519);
        assert_eq!(changed, Verdict::Changed(line(4)));
        assert_eq!(judge(&known, "h.example", ECDSA), Verdict::Changed(line(3)));
        assert_eq!(judge(&known, "both", OTHER_ED25519), Verdict::Known);
        assert_eq!(judge(&known, "i.example", ED25519), Verdict::Unknown);
        let kinds = known.algorithms(&at("h.example"));
        assert_eq!(kinds, [Algorithm::Rsa { hash: None }, Algorithm::Ed25519]);
        assert!(known.algorithms(&at("i.example")).is_empty());
    }

    #[test]
    fn a_revoked_key_is_refused_whatever_else_there_is() {
        let (known, _) = read(format!("h.example {ED25519}\n@revoked * {ED25519}\n"));
        let verdict = judge(&known.unwrap(), "h.example", ED25519);
        assert_eq!(verdict, Verdict::Revoked(line(2)));
        // One for the host is one for all its ports.
        let (known, _) = read(format!("[h]:2222 {ED25519}\n@revoked h {ED25519}\n"));
        let verdict = judge(&known.unwrap(), "h:2222", ED25519);
        assert_eq!(verdict, Verdict::Revoked(line(2)));
        let (known, _) = read(format!("@revoked * {ED25519}\n"));
        let known = known.unwrap();
        assert_eq!(judge(&known, "h", OTHER_ED25519), Verdict::Unknown);
        assert!(known.algorithms(&at("h")).is_empty());
    }

    #[test]
    fn what_cannot_be_read_makes_nobody_trusted() {
        for (text, why) in [
            ("h.example", "no public key"),
            ("h.example ssh-ed25519", "no public key"),
            ("h.example ssh-ed25519 !!!!", "no public key"),
            ("h.example ssh-rsa KEY64", "no public key"),
            ("@odd h.example KEY", "marker"),
            ("|2|abc|abc KEY", "another way"),
            ("|1|abc KEY", "damaged"),
            ("|1|!!!|abc KEY", "damaged"),
            ("|1|YWJj|YWJj KEY", "damaged"),
            ("@cert-authority *.example KEY", "certificates"),
        ] {
            let base64 = ED25519.split(' ').nth(1).unwrap();
            let text = text.replace("KEY64", base64).replace("KEY", ED25519);
            let (known, warnings) = read(format!("\n{text}\nother {ED25519}"));
            assert_eq!(known.unwrap().entries.len(), 1, "{text}");
            assert_eq!(warnings.len(), 1);
            assert!(warnings[0].starts_with("hosts:2: "), "{warnings:?}");
            assert!(warnings[0].contains(why), "{why:?} is not in {warnings:?}");
        }
        for text in [
            "@revoked",
            "@revoked *",
            "@revoked * ssh-ed25519 AAAA",
            "@revoked |1|x KEY",
        ] {
            let (known, _) = read(text.replace("KEY", ED25519));
            assert!(known.unwrap_err().starts_with("hosts:1: "), "{text}");
        }
        let long = format!("{} {ED25519}\n", "h,".repeat(10_000));
        let (known, warnings) = read(&long);
        assert!(known.unwrap().entries.is_empty());
        assert!(warnings[0].contains("longer"), "{warnings:?}");
        assert!(read(format!("@revoked {long}")).0.is_err());
        let hostile = b"\0 \0\n\xff\xfe\n@revoke\xff x y\n,,, , ,\n";
        assert!(read(hostile).0.unwrap().entries.is_empty());
        let many = format!("* {ED25519}\n").repeat(MAX_ENTRIES + 1);
        assert!(read(many).0.unwrap_err().contains("more than 16384"));
    }

    #[test]
    fn a_file_cut_anywhere_does_no_harm() {
        let text = format!(
            "|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak= {ED25519}\n@revoked *.example,!h {RSA} c"
        );
        for end in 0..text.len() {
            let _ = read(&text[..end]);
        }
    }

    #[test]
    fn the_file_of_a_user_may_be_missing() {
        let home = tempfile::tempdir().unwrap();
        let mut warnings = Warnings::default();
        let known = KnownHosts::of_user(home.path(), &mut warnings).unwrap();
        assert_eq!(known.file(), home.path().join(".ssh/known_hosts"));
        assert_eq!(judge(&known, "h", ED25519), Verdict::Unknown);
        fs::create_dir(home.path().join(".ssh")).unwrap();
        fs::write(known.file(), format!("h {ED25519}\n")).unwrap();
        let known = KnownHosts::of_user(home.path(), &mut warnings).unwrap();
        assert_eq!(judge(&known, "h", ED25519), Verdict::Known);
        let none = KnownHosts::load(&[home.path().join("none")], &mut warnings);
        assert!(none.unwrap_err().to_string().contains("No such file"));
    }

    /// Runs `ssh-keygen` on a file of hosts, and says whether it found what it looked for.
    fn keygen(path: &Path, arguments: &[&str]) -> bool {
        let ran = Command::new("ssh-keygen")
            .args(arguments)
            .arg("-f")
            .arg(path)
            .output();
        ran.unwrap().status.success()
    }

    #[test]
    fn files_that_ssh_keygen_writes_are_read_as_it_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        fs::write(
            &path,
            format!("h.example,192.0.2.1 {ED25519}\n[h.example]:2222 {ECDSA}\ni.example {RSA}\n"),
        )
        .unwrap();
        let load = || KnownHosts::load(std::slice::from_ref(&path), &mut Warnings::default());
        let names = [
            "h.example",
            "192.0.2.1",
            "[h.example]:2222",
            "i.example",
            "j.example",
        ];
        let hosts = [
            "h.example",
            "192.0.2.1",
            "h.example:2222",
            "i.example",
            "j.example",
        ];
        let keys = [ED25519, ED25519, ECDSA, RSA, RSA];
        let agree = |expected: [bool; 5]| {
            let known = load().unwrap();
            for (index, found) in expected.into_iter().enumerate() {
                assert_eq!(
                    keygen(&path, &["-F", names[index]]),
                    found,
                    "{}",
                    names[index]
                );
                let verdict = judge(&known, hosts[index], keys[index]);
                assert_eq!(
                    verdict == Verdict::Known,
                    found,
                    "{verdict:?} {}",
                    hosts[index]
                );
            }
        };
        agree([true, true, true, true, false]);
        assert!(keygen(&path, &["-H"]));
        let hashed = fs::read_to_string(&path).unwrap();
        assert_eq!(hashed.matches("|1|").count(), 4, "{hashed}");
        agree([true, true, true, true, false]);
        assert!(keygen(&path, &["-R", "h.example"]));
        agree([false, true, true, true, false]);
        let changed = judge(&load().unwrap(), "i.example", ED25519);
        assert!(matches!(changed, Verdict::Changed(place) if place.path == path));
    }
}
