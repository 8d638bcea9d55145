//! Who may log in with a key, in the format of OpenSSH's `authorized_keys`.
//!
//! A line that cannot be read, or that restricts in a way that is not understood here, is an
//! error: passing over it could let somebody in whom its author meant to keep out. What a line
//! grants beyond the one subsystem that there is, is passed over with a warning.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ssh_key::public::KeyData;
use ssh_key::{Fingerprint, HashAlg};

use super::key::{self, Strength};
use super::pattern;
use super::warnings::Warnings;
use crate::net::access;
use crate::net::files::FileError;

/// A key, and when and from where it counts.
#[derive(Clone, Debug)]
pub(super) struct AuthorizedKey {
    /// The key.
    pub(super) key: KeyData,
    /// What it is known by afterwards.
    pub(super) print: Fingerprint,
    /// The addresses that it counts from; `None` means all of them.
    from: Option<Addresses>,
    /// When it ceases to count.
    until: Option<Timestamp>,
}

impl AuthorizedKey {
    /// Whether it counts for a peer with this address.
    pub(super) fn counts_from(&self, origin: &Origin) -> bool {
        let from = self.from.as_ref();
        from.is_none_or(|from| from.hold(origin))
    }

    /// Whether it counts for every peer.
    pub(super) const fn counts_from_everywhere(&self) -> bool {
        self.from.is_none()
    }

    /// Whether it counts at this time.
    pub(super) fn counts_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn parse(line: &str, warn: &mut impl FnMut(String)) -> Result<Self, String> {
        let (options, key) = if begins_with_key(line) {
            ("", line)
        } else {
            split_options(line)?
        };
        if key.is_empty() {
            return Err(NO_KEY.to_owned());
        }
        let mut given = Options::default();
        if !options.is_empty() {
            given.read(options, warn)?;
        }
        let key = key::read(key).ok_or(NO_KEY)?;
        match key::strength(&key) {
            Strength::Strong => {}
            Strength::Weak => warn(format!("{WEAK}, so nobody gets in with it")),
            Strength::Foreign => return Err("the key is of a kind that is not taken".to_owned()),
        }
        Ok(Self {
            print: key.fingerprint(HashAlg::Sha256),
            key,
            from: given.from,
            until: given.until,
        })
    }
}

/// The address of a peer, as prefixes and as patterns want it.
pub(super) struct Origin {
    address: IpAddr,
    text: String,
}

impl Origin {
    pub(super) fn new(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            text: address.to_string(),
        }
    }
}

/// Reads a file. Comments and empty lines say nothing.
///
/// # Errors
///
/// When a line lets nobody know whom it lets in: all lines count, or none.
pub(super) fn parse(
    path: &Path,
    octets: &[u8],
    warnings: &mut Warnings,
) -> Result<Vec<AuthorizedKey>, FileError> {
    let mut keys = Vec::new();
    for (place, line) in octets.split(|octet| *octet == b'\n').enumerate() {
        let number = place + 1;
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if line.len() > MAX_LINE {
            let cause = format!("a line longer than {MAX_LINE} octets");
            return Err(FileError::at(path, number, cause));
        }
        // A comment may be in any character set, and all the rest is ASCII.
        let line = String::from_utf8_lossy(line);
        let mut warn = |text: String| warnings.line(path, number, text);
        let key = AuthorizedKey::parse(&line, &mut warn)
            .map_err(|cause| FileError::at(path, number, cause))?;
        keys.push(key);
    }
    Ok(keys)
}

/// Whether a line begins with the kind of a key, and so has no options.
fn begins_with_key(line: &str) -> bool {
    let kind = line.split([' ', '\t']).next().unwrap_or(line);
    ["ssh-", "ecdsa-", "sk-", "rsa-"]
        .iter()
        .any(|start| kind.starts_with(start))
}

/// Takes the options off the front of a line: to the first white space outside of quotes.
fn split_options(line: &str) -> Result<(&str, &str), String> {
    let end = ends_unquoted(line, |octet| matches!(octet, b' ' | b'\t'))?;
    let (options, key) = line.split_at_checked(end).unwrap_or((line, ""));
    Ok((options, key.trim_start()))
}

/// Where the first of some octets stands outside of quotes, or the length when none does.
fn ends_unquoted(text: &str, stops: impl Fn(u8) -> bool) -> Result<usize, String> {
    let mut quoted = false;
    let mut octets = text.bytes().enumerate().peekable();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'\\' if octets.peek().is_some_and(|(_, next)| *next == b'"') => {
                octets.next();
            }
            b'"' => quoted = !quoted,
            octet if !quoted && stops(octet) => return Ok(at),
            _ => {}
        }
    }
    match quoted {
        true => Err("a quote is not closed".to_owned()),
        false => Ok(text.len()),
    }
}

/// What the options of a line say about who may log in.
#[derive(Debug, Default)]
struct Options {
    from: Option<Addresses>,
    until: Option<Timestamp>,
}

impl Options {
    fn read(&mut self, text: &str, warn: &mut impl FnMut(String)) -> Result<(), String> {
        let mut rest = Some(text);
        while let Some(text) = rest {
            let end = ends_unquoted(text, |octet| octet == b',')?;
            let (option, after) = text.split_at_checked(end).unwrap_or((text, ""));
            rest = after.strip_prefix(',');
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(unquote(name, value)?)),
                None => (option, None),
            };
            self.take(&name.to_ascii_lowercase(), value.as_deref(), warn)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        name: &str,
        value: Option<&str>,
        warn: &mut impl FnMut(String),
    ) -> Result<(), String> {
        match (name, value) {
            // They take away what nobody gets here.
            (
                "restrict"
                | "no-port-forwarding"
                | "no-agent-forwarding"
                | "no-x11-forwarding"
                | "no-pty"
                | "no-user-rc"
                | "no-touch-required",
                None,
            )
            | ("permitopen" | "permitlisten", Some(_)) => {}
            (
                "port-forwarding" | "agent-forwarding" | "x11-forwarding" | "pty" | "user-rc",
                None,
            )
            | ("command" | "environment" | "tunnel", Some(_)) => warn(format!(
                "the option {name} has no effect, there is only the subsystem rpki-rtr"
            )),
            ("from", Some(list)) => {
                if self.from.is_some() {
                    return Err("the option from stands twice".to_owned());
                }
                self.from = Some(Addresses::parse(list, warn)?);
            }
            ("expiry-time", Some(time)) => {
                let until = expiry(time)?;
                self.until = Some(self.until.map_or(until, |other| other.min(until)));
            }
            ("cert-authority" | "principals", _) => {
                return Err("certificates of users are not supported".to_owned());
            }
            _ => {
                // The text may be anything, a piece of a secret in the wrong file among it.
                return Err("an option is unknown, or has a value too many or none".to_owned());
            }
        }
        Ok(())
    }
}

/// The value of an option without its quotes.
fn unquote(name: &str, value: &str) -> Result<String, String> {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .filter(|value| !value.replace("\\\"", "").contains('"'))
        .map(|value| value.replace("\\\"", "\""))
        .ok_or_else(|| {
            let known = name.bytes().all(|octet| octet.is_ascii_alphabetic()) && name.len() < 20;
            let name = if known { name } else { "an option" };
            format!("the value of {name} needs one pair of quotes around it")
        })
}

/// Reads `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, in UTC with a `Z` behind it, else in the
/// time zone of the system.
fn expiry(text: &str) -> Result<Timestamp, String> {
    let bad = || {
        "expiry-time is no time, expected YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, and perhaps Z"
            .to_owned()
    };
    let (digits, zone) = match text.strip_suffix(['Z', 'z']) {
        Some(digits) => (digits, TimeZone::UTC),
        None => {
            let zone = TimeZone::try_system()
                .map_err(|_| "expiry-time needs a Z, the time zone of the system is unknown")?;
            (text, zone)
        }
    };
    let is_time = digits.bytes().all(|octet| octet.is_ascii_digit());
    if !is_time || !matches!(digits.len(), 8 | 12 | 14) {
        return Err(bad());
    }
    let number = |from: usize, to: usize| -> Option<i8> { digits.get(from..to)?.parse().ok() };
    let time = |from: usize| number(from, from + 2).unwrap_or(0);
    let read = || {
        let year = digits.get(..4)?.parse().ok()?;
        let (month, day) = (number(4, 6)?, number(6, 8)?);
        let civil = DateTime::new(year, month, day, time(8), time(10), time(12), 0).ok()?;
        Some(civil.to_zoned(zone).ok()?.timestamp())
    };
    read().ok_or_else(bad)
}

/// The list of addresses of the option `from`.
#[derive(Clone, Debug)]
struct Addresses {
    wanted: Vec<Address>,
    unwanted: Vec<Address>,
}

/// An element of such a list.
#[derive(Clone, Debug)]
enum Address {
    Prefix(IpNet),
    /// With wildcards, in lower case.
    Pattern(Box<str>),
}

impl Addresses {
    fn parse(list: &str, warn: &mut impl FnMut(String)) -> Result<Self, String> {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for element in list.split(',') {
            match element.strip_prefix('!') {
                Some(element) => match Address::parse(element)? {
                    Some(address) => unwanted.push(address),
                    None => {
                        return Err("from excludes a name, and names are not looked up".to_owned());
                    }
                },
                None => match Address::parse(element)? {
                    Some(address) => wanted.push(address),
                    None => warn("from holds a name, and names are not looked up".to_owned()),
                },
            }
        }
        Ok(Self { wanted, unwanted })
    }

    /// Whether one element fits and none that is negated does.
    fn hold(&self, origin: &Origin) -> bool {
        let within = |list: &[Address]| list.iter().any(|element| element.holds(origin));
        within(&self.wanted) && !within(&self.unwanted)
    }
}

impl Address {
    /// `None` for the name of a host.
    fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() || text.bytes().any(|octet| octet.is_ascii_whitespace()) {
            return Err("from has an empty element or white space in it".to_owned());
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Some(Self::Prefix(address.to_canonical().into())));
        }
        if text.contains('/') {
            let prefix: Option<IpNet> = text.parse().ok();
            return match prefix.filter(|prefix| prefix.trunc() == *prefix) {
                Some(prefix) => {
                    let prefix = access::canonical(prefix).map_err(|why| format!("from: {why}"))?;
                    Ok(Some(Self::Prefix(prefix)))
                }
                None => {
                    Err("from has a prefix that is none, or with bits behind its length".into())
                }
            };
        }
        let wild = text.contains(['*', '?']);
        let digits = |octet: u8| octet.is_ascii_digit() || matches!(octet, b'.' | b'*' | b'?');
        let ipv4 = text.bytes().all(digits);
        let hex = |octet: u8| digits(octet) || octet == b':' || octet.is_ascii_hexdigit();
        let ipv6 = text.contains(':') && text.bytes().all(hex);
        match wild && (ipv4 || ipv6) {
            true => Ok(Some(Self::Pattern(text.to_ascii_lowercase().into()))),
            false => Ok(None),
        }
    }

    fn holds(&self, origin: &Origin) -> bool {
        match self {
            Self::Prefix(prefix) => prefix.contains(&origin.address),
            Self::Pattern(pattern) => pattern::fits(pattern, &origin.text),
        }
    }
}

const NO_KEY: &str = "there is no public key in the form of OpenSSH";

const WEAK: &str = "the key is of DSA, or of RSA and not of 2048 to 8192 bits";

/// The most octets of a line: what OpenSSH reads.
const MAX_LINE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::ssh::key::samples::{DSA, ECDSA, ED25519, RSA, SHORT_RSA};

    fn read(text: impl AsRef<[u8]>) -> (Result<Vec<AuthorizedKey>, String>, Box<[String]>) {
        let mut warnings = Warnings::default();
        let keys = parse(Path::new("keys"), text.as_ref(), &mut warnings);
        (
            keys.map_err(|error| error.to_string()),
            warnings.into_lines(),
        )
    }

    #[track_caller]
    fn one(text: &str) -> AuthorizedKey {
        let (keys, _) = read(text);
        let mut keys = keys.unwrap();
        assert_eq!(keys.len(), 1, "{text}");
        keys.remove(0)
    }

    #[track_caller]
    fn refused(text: impl AsRef<[u8]>, why: &str) {
        let (keys, _) = read(text);
        let error = keys.unwrap_err();
        assert!(error.contains(why), "{why:?} is not in {error:?}");
    }

    #[test]
    fn comments_options_and_white_space_are_read() {
        let text = format!(
            "# comment\r\n\r\n  {ED25519} router one \"quoted\r\n\
             restrict {ECDSA}\n\
             no-pty,Command=\"/bin/a \\\"b\\\" c, d\",no-X11-forwarding\t{RSA}\n\
             {}\n\t#",
            ED25519.replace(' ', "\t  "),
        );
        let (keys, warnings) = read(&text);
        assert_eq!(keys.unwrap().len(), 4);
        let effect = "keys:5: the option command has no effect, there is only the subsystem";
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with(effect), "{warnings:?}");
        let latin = [ED25519.as_bytes(), b" M\xfcller\n"].concat();
        assert_eq!(read(latin).0.unwrap().len(), 1);
        assert_eq!(read("").0.unwrap().len(), 0);
    }

    #[test]
    fn a_prefix_of_mapped_addresses_is_one_of_ipv4() {
        for list in ["::ffff:192.0.2.0/120", "::ffff:192.0.2.7"] {
            let key = one(&format!("from=\"{list}\" {ED25519}"));
            assert!(
                key.counts_from(&Origin::new("192.0.2.7".parse().unwrap())),
                "{list}"
            );
        }
        refused(format!("from=\"::/64\" {ED25519}"), "mapped");
    }

    #[test]
    fn a_line_that_is_not_understood_is_refused_with_its_place() {
        let cases = [
            ("nonsense", "keys:2: there is no public key"),
            ("ssh-ed25519", "no public key"),
            ("ssh-ed25519 AAAA", "no public key"),
            ("ssh-rsa KEY", "no public key"),
            ("KEY64", "no public key"),
            ("restrict", "no public key"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "unknown"),
            ("no-such-option KEY", "unknown"),
            ("restrict,,no-pty KEY", "unknown"),
            ("restrict,  KEY", "unknown"),
            ("verify-required KEY", "unknown"),
            ("restrict=\"x\" KEY", "unknown"),
            ("from KEY", "unknown"),
            ("command KEY", "unknown"),
            ("cert-authority KEY", "certificates"),
            ("cert-authority,principals=\"a\" KEY", "certificates"),
            ("from=\"192.0.2.1 KEY", "quote"),
            ("from=192.0.2.1 KEY", "quotes"),
            ("from=\"192.0.2.1\"x KEY", "quotes"),
            ("from=\"192.0.2.1\"\"\" KEY", "quotes"),
            ("from=\"\" KEY", "empty"),
            ("from=\"192.0.2.1,\" KEY", "empty"),
            ("from=\"192.0.2.1, 192.0.2.2\" KEY", "white space"),
            ("from=\"192.0.2.1/24\" KEY", "behind its length"),
            ("from=\"192.0.2.0/33\" KEY", "prefix"),
            ("from=\"!bad.example,*\" KEY", "excludes a name"),
            ("from=\"!*.de,*\" KEY", "excludes a name"),
            ("from=\"::1\",from=\"::2\" KEY", "twice"),
            ("expiry-time=\"2030\" KEY", "YYYYMMDD"),
            ("expiry-time=\"20301301Z\" KEY", "YYYYMMDD"),
            ("expiry-time=\"203001011260Z\" KEY", "YYYYMMDD"),
            ("expiry-time=\"+2030101Z\" KEY", "YYYYMMDD"),
            ("expiry-time=\"\u{fc}30101Z\" KEY", "YYYYMMDD"),
            ("x\0y KEY", "unknown"),
        ];
        for (line, why) in cases {
            let base64 = ED25519.split(' ').nth(1).unwrap();
            let line = line.replace("KEY64", base64);
            let line = line.replace("ssh-rsa KEY", &format!("ssh-rsa {base64}"));
            refused(format!("\n{}\n", line.replace("KEY", ED25519)), why);
        }
        refused(
            format!("{ED25519}\nrestrict {}", "x".repeat(20_000)),
            "keys:2: a line longer",
        );
        refused(b"\xff\xfe KEY\n", "unknown");
        let sk = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAI\
                  M3GDOT1K0LBTyprpQ6ZLFwO22pJwtrdtDvUweMUu2OwAAAABHNzaDo=";
        refused(sk, "kind that is not taken");
    }

    #[test]
    fn no_message_repeats_a_line() {
        for line in [
            "s3cret",
            "s3cret=\"s3cret\" x",
            "s3cret=s3cret x",
            "ssh-s3cret s3cret",
        ] {
            let error = read(line).0.unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn weak_keys_are_told() {
        for text in [DSA, SHORT_RSA] {
            let (keys, warnings) = read(text);
            assert_eq!(key::strength(&keys.unwrap()[0].key), Strength::Weak);
            assert!(warnings[0].contains("nobody gets in"), "{warnings:?}");
        }
        for text in [ED25519, ECDSA, RSA] {
            let (keys, warnings) = read(text);
            assert_eq!(key::strength(&keys.unwrap()[0].key), Strength::Strong);
            assert!(warnings.is_empty(), "{warnings:?}");
        }
    }

    #[test]
    fn from_holds_addresses() {
        for (list, address, held) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24,!192.0.2.7", "192.0.2.7", false),
            ("!192.0.2.7,192.0.2.0/24", "192.0.2.7", false),
            ("!192.0.2.7,192.0.2.0/24", "192.0.2.8", true),
            ("!192.0.2.7", "192.0.2.8", false),
            ("192.0.2.*", "192.0.2.99", true),
            ("192.0.2.?", "192.0.2.99", false),
            ("*,!192.0.2.1?", "192.0.2.10", false),
            ("*,!192.0.2.1?", "192.0.2.1", true),
            ("*", "2001:db8::1", true),
            ("2001:DB8:*", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "192.0.2.1", false),
            ("router.example", "192.0.2.1", false),
            ("router.example,192.0.2.1", "192.0.2.1", true),
        ] {
            let key = one(&format!("from=\"{list}\" {ED25519}"));
            let address = address.parse().unwrap();
            assert_eq!(
                key.counts_from(&Origin::new(address)),
                held,
                "{list} {address}"
            );
        }
        let (_, warnings) = read(format!("from=\"router.example\" {ED25519}"));
        assert!(warnings[0].contains("not looked up"), "{warnings:?}");
    }

    #[test]
    fn a_key_expires() {
        for (time, until) in [
            ("20300102Z", "2030-01-02T00:00:00Z"),
            ("203001020304Z", "2030-01-02T03:04:00Z"),
            ("20300102030405z", "2030-01-02T03:04:05Z"),
        ] {
            let key = one(&format!("expiry-time=\"{time}\" {ED25519}"));
            let until: Timestamp = until.parse().unwrap();
            assert!(!key.counts_at(until), "{time}");
            assert!(key.counts_at(until - jiff::SignedDuration::from_nanos(1)));
        }
        // Without a zone it is that of the system, at most 14 hours off.
        let key = one(&format!("expiry-time=\"20300102\" {ED25519}"));
        assert!(key.counts_at("2030-01-01T09:00:00Z".parse().unwrap()));
        assert!(!key.counts_at("2030-01-02T15:00:00Z".parse().unwrap()));
        // Of two the earlier one counts.
        let key = one(&format!(
            "expiry-time=\"20310101Z\",expiry-time=\"20300101Z\" {ED25519}"
        ));
        assert!(!key.counts_at("2030-06-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_file_cut_anywhere_does_no_harm() {
        let line = format!("from=\"192.0.2.0/24,!::1\",expiry-time=\"20300101Z\",restrict {RSA} c");
        for end in 0..line.len() {
            let _ = read(&line[..end]);
        }
    }
}
