//! Single values: text in, a time, a size, a share, a word out; and back to text.
//!
//! Each reader answers with the whole reason: what is wrong, what was found, what was expected.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::Percent;
use crate::net::access;

/// A value as it was written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    /// From a place without types: a flag or the environment. It can mean anything.
    Word(&'a str),
    /// A string of a file.
    Text(&'a str),
    /// A whole number of a file; `None` below 0 or out of range.
    Number(Option<u64>, &'a str),
    /// A truth value of a file.
    Boolean(bool),
    /// Something else of a file, by the name of its type.
    Other(&'static str),
}

impl<'a> Raw<'a> {
    /// The text, when it can be one.
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Word(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// How an error names it. No secret of a URL is in it.
    fn found(self) -> String {
        match self {
            Self::Word(text) | Self::Text(text) => format!("{:?}", hidden(text)),
            Self::Number(_, text) => text.to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Other(kind) => kind.to_owned(),
        }
    }
}

/// A reason, in the one form all of them have.
pub(super) fn wrong(what: &str, raw: Raw<'_>, expected: &str) -> String {
    format!("{what} (found {}, expected {expected})", raw.found())
}

/// A text without what may be a user and a password of a URL, and not longer than a line.
pub(super) fn hidden(text: &str) -> String {
    const LONGEST: usize = 200;
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let shown = match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}…@{host}"),
        None => text.to_owned(),
    };
    if shown.chars().count() > LONGEST {
        shown.chars().take(LONGEST).chain(['…']).collect()
    } else {
        shown
    }
}

const TIME: &str = "a time such as \"500ms\", \"90s\", \"10m\", \"2h\" or \"1d\"";

/// Reads a time within a range.
pub(super) fn duration(raw: Raw<'_>, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let value = raw
        .text()
        .and_then(parse_duration)
        .ok_or_else(|| wrong("not a time", raw, TIME))?;
    if range.contains(&value) {
        return Ok(value);
    }
    let expected = format!(
        "{} to {}",
        show_duration(*range.start()),
        show_duration(*range.end())
    );
    Err(wrong("out of range", raw, &expected))
}

/// Reads a time, or that there is none.
pub(super) fn duration_or_off(
    raw: Raw<'_>,
    range: &RangeInclusive<Duration>,
) -> Result<Option<Duration>, String> {
    if raw.text() == Some("off") {
        return Ok(None);
    }
    duration(raw, range)
        .map(Some)
        .map_err(|reason| reason.replace("expected", "expected \"off\" or"))
}

const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*millis).map(Duration::from_millis)
}

/// The shortest text that means this time, whole milliseconds as all settings are.
pub(super) fn show_duration(value: Duration) -> String {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, unit): &&(&str, u64)| millis >= *unit && millis.is_multiple_of(*unit);
    match UNITS.iter().find(fits) {
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None => "0s".to_owned(),
    }
}

const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads a size of at least an octet.
pub(super) fn size(raw: Raw<'_>) -> Result<u64, String> {
    raw.text()
        .and_then(number_and_unit)
        .and_then(|(number, unit)| {
            let (_, octets) = SIZES.iter().find(|(name, _)| *name == unit)?;
            number.checked_mul(*octets)
        })
        .filter(|octets| *octets > 0)
        .ok_or_else(|| wrong("not a size", raw, "a size such as \"64MiB\" or \"1GiB\""))
}

/// The shortest text that means this size.
pub(super) fn show_size(octets: u64) -> String {
    let fits = |(_, unit): &&(&str, u64)| octets >= *unit && octets.is_multiple_of(*unit);
    match SIZES.iter().find(fits) {
        Some((name, unit)) => format!("{}{name}", octets / unit),
        None => "0B".to_owned(),
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    Some((number.parse().ok()?, unit))
}

/// Reads a share such as `5%`, up to a limit.
pub(super) fn percent(raw: Raw<'_>, most: u32) -> Result<Percent, String> {
    let expected = match most {
        u32::MAX => "a share such as \"10%\"".to_owned(),
        most => format!("a share from \"0%\" to \"{most}%\""),
    };
    raw.text()
        .and_then(number_and_unit)
        .filter(|(_, unit)| *unit == "%")
        .and_then(|(number, _)| u32::try_from(number).ok())
        .filter(|number| *number <= most)
        .map(Percent)
        .ok_or_else(|| wrong("not a share", raw, &expected))
}

/// Reads a share, or that any is right.
pub(super) fn percent_or_off(raw: Raw<'_>, most: u32) -> Result<Option<Percent>, String> {
    if raw.text() == Some("off") {
        return Ok(None);
    }
    percent(raw, most)
        .map(Some)
        .map_err(|reason| reason.replace("expected", "expected \"off\" or"))
}

/// Reads a whole number within a range.
pub(super) fn number(raw: Raw<'_>, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let value = match raw {
        Raw::Number(value, _) => value,
        Raw::Word(text) => text.parse().ok(),
        _ => None,
    };
    value.filter(|value| range.contains(value)).ok_or_else(|| {
        let expected = match (*range.start(), *range.end()) {
            (lowest, u64::MAX) => format!("a whole number of at least {lowest}"),
            (lowest, highest) => format!("a whole number from {lowest} to {highest}"),
        };
        wrong("not such a number", raw, &expected)
    })
}

/// Reads how many there may be, within a range.
pub(super) fn count(raw: Raw<'_>, range: &RangeInclusive<u64>) -> Result<usize, String> {
    number(raw, range).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// Reads `true` or `false`.
pub(super) fn boolean(raw: Raw<'_>) -> Result<bool, String> {
    match raw {
        Raw::Boolean(value) => Ok(value),
        Raw::Word("true") => Ok(true),
        Raw::Word("false") => Ok(false),
        _ => Err(wrong("not a truth value", raw, "true or false")),
    }
}

/// Reads a text that is not empty.
pub(super) fn text<'a>(raw: Raw<'a>, expected: &str) -> Result<&'a str, String> {
    match raw.text() {
        Some("") => Err(wrong("empty", raw, expected)),
        Some(text) => Ok(text),
        None => Err(wrong("not a text", raw, expected)),
    }
}

/// Reads what the operator calls something.
pub(super) fn name(raw: Raw<'_>) -> Result<&str, String> {
    const EXPECTED: &str = "a name of at most 200 characters, without control characters";
    let name = text(raw, EXPECTED)?;
    if name.chars().any(char::is_control) || name.chars().count() > 200 {
        return Err(wrong("not a name", raw, EXPECTED));
    }
    Ok(name)
}

/// Reads a DNS name, into lower case.
pub(super) fn dns_name(raw: Raw<'_>) -> Result<Box<str>, String> {
    const EXPECTED: &str = "a DNS name such as \"r1.example\", whole and without a *";
    let name = text(raw, EXPECTED)?;
    let label = |label: &str| {
        let good = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
        (1..=63).contains(&label.len()) && label.bytes().all(good)
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(wrong("not a name", raw, EXPECTED));
    }
    Ok(name.to_ascii_lowercase().into())
}

/// Reads one of a few words.
pub(super) fn word<T: Copy>(raw: Raw<'_>, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| raw.text() == Some(*word));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let mut reason = wrong("unknown word", raw, &all.join(" or "));
        let names = words.iter().map(|(word, _)| *word);
        if let Some(near) = raw.text().and_then(|text| nearest(text, names)) {
            reason.push_str(&format!("; did you mean {near:?}?"));
        }
        reason
    })
}

/// The word of a few for one of their values.
pub(super) fn show_word<T: Copy + PartialEq>(
    value: T,
    words: &[(&'static str, T)],
) -> &'static str {
    let found = words.iter().find(|(_, of)| *of == value);
    found.map_or("", |(word, _)| word)
}

/// Reads a prefix, or an address as the prefix that holds it alone.
pub(super) fn prefix(raw: Raw<'_>) -> Result<IpNet, String> {
    let parsed = raw.text().and_then(|text| {
        let prefix = text.parse::<IpNet>().ok();
        prefix.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    });
    let expected = "a prefix such as \"192.0.2.0/24\" or \"2001:db8::/32\"";
    let prefix = parsed.ok_or_else(|| wrong("not a prefix", raw, expected))?;
    access::canonical(prefix).map_err(|cause| wrong(cause, raw, expected))
}

/// Reads an address with a port.
pub(super) fn address(raw: Raw<'_>) -> Result<SocketAddr, String> {
    raw.text()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            let expected = "an IP address with a port such as \"[::]:323\" or \"127.0.0.1:323\"";
            wrong("not an address", raw, expected)
        })
}

/// The word that was most likely meant, `None` when none is near.
pub(super) fn nearest<'a>(typed: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|word| (strsim::osa_distance(typed, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len().min(typed.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: RangeInclusive<Duration> = Duration::ZERO..=Duration::MAX;

    #[test]
    fn times_and_sizes_are_read_and_shown() {
        for (text, shown) in [
            ("500ms", "500ms"),
            ("90s", "90s"),
            ("60s", "1m"),
            ("10m", "10m"),
            ("24h", "1d"),
            ("2h", "2h"),
            ("0s", "0s"),
        ] {
            assert_eq!(
                show_duration(duration(Raw::Text(text), &ANY).unwrap()),
                shown
            );
        }
        for text in [
            "",
            "10",
            "s",
            "1.5h",
            "-1s",
            "1 h",
            "1w",
            "99999999999999999d",
        ] {
            assert!(duration(Raw::Text(text), &ANY).is_err(), "{text}");
        }
        for (text, octets, shown) in [
            ("1GiB", 1 << 30, "1GiB"),
            ("1024MiB", 1 << 30, "1GiB"),
            ("3kB", 3_000, "3kB"),
            ("7B", 7, "7B"),
        ] {
            assert_eq!(size(Raw::Text(text)), Ok(octets));
            assert_eq!(show_size(octets), shown);
        }
        assert!(size(Raw::Text("0B")).is_err());
        assert!(size(Raw::Text("1gib")).is_err());
    }

    #[test]
    fn types_count_in_a_file_and_not_outside() {
        let any = 0..=9;
        assert_eq!(number(Raw::Word("7"), &any), Ok(7));
        assert_eq!(
            number(Raw::Text("7"), &any).unwrap_err(),
            "not such a number (found \"7\", expected a whole number from 0 to 9)"
        );
        assert_eq!(boolean(Raw::Word("true")), Ok(true));
        assert!(boolean(Raw::Text("true")).is_err());
        assert!(
            duration(Raw::Number(Some(3), "3"), &ANY)
                .unwrap_err()
                .contains("found 3,")
        );
    }

    #[test]
    fn prefixes_of_mapped_addresses_become_ipv4() {
        for (text, read) in [
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(prefix(Raw::Text(text)).unwrap().to_string(), read);
        }
        for text in ["::/64", "::ffff:0:0/95", "::/1"] {
            let reason = prefix(Raw::Text(text)).unwrap_err();
            assert!(reason.contains("mapped"), "{reason}");
        }
    }

    #[test]
    fn what_is_found_shows_no_password() {
        for text in ["https://u:secret@h/", "u:secret@h", "x://u:secret@h/a@b"] {
            let reason = prefix(Raw::Text(text)).unwrap_err();
            assert!(!reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn a_near_word_is_suggested() {
        let words = ["refresh", "retry", "expire"];
        assert_eq!(nearest("refesh", words.into_iter()), Some("refresh"));
        assert_eq!(nearest("retyr", words.into_iter()), Some("retry"));
        assert_eq!(nearest("history", words.into_iter()), None);
    }
}
