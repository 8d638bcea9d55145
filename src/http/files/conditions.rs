//! What a request wants of a representation: conditions and ranges (RFC 9110 §13 and §14).

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, Method, header};

use super::date;
use crate::payload::UnixTime;

/// What a representation is recognised by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// The strong entity tag, without quotes.
    pub(super) tag: &'a str,
    /// When it was modified, `None` when that is not told.
    pub(super) modified: Option<UnixTime>,
    /// Its octets.
    pub(super) length: u64,
}

/// What a request gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// All of it: 200.
    Whole,
    /// These octets of it, at least one: 206.
    Part(Range<u64>),
    /// Nothing, it is as the request knows it: 304.
    Unchanged,
    /// Nothing, it is not as the request wants it: 412.
    Failed,
    /// Nothing, it has no such octets: 416.
    Unsatisfiable,
}

/// Weighs the conditions in the order of RFC 9110 §13.2.2. The method is `GET` or `HEAD`.
pub(super) fn evaluate(method: &Method, headers: &HeaderMap, of: &Validators<'_>) -> Outcome {
    let date = |name| date_in(headers, name).zip(of.modified);
    let asked_for = match tags(headers, header::IF_MATCH) {
        Some(mut tags) => tags.any(|tag| tag.is_strongly(of.tag)),
        None => date(header::IF_UNMODIFIED_SINCE).is_none_or(|(since, modified)| modified <= since),
    };
    if !asked_for {
        return Outcome::Failed;
    }
    let unchanged = match tags(headers, header::IF_NONE_MATCH) {
        Some(mut tags) => tags.any(|tag| tag.is_weakly(of.tag)),
        // Only without tags: dates tell less (§13.1.3).
        None => date(header::IF_MODIFIED_SINCE).is_some_and(|(since, modified)| modified <= since),
    };
    if unchanged {
        return Outcome::Unchanged;
    }
    // §14.2: ranges are for GET only.
    if *method == Method::GET && if_range(headers, of.tag) {
        return range(headers, of.length);
    }
    Outcome::Whole
}

/// An entity tag as a request states it, or the `*` that stands for any.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tag<'a> {
    Any,
    Strong(&'a str),
    Weak(&'a str),
}

impl Tag<'_> {
    /// The strong comparison of §8.8.3.2 with a strong tag.
    fn is_strongly(self, tag: &str) -> bool {
        matches!(self, Self::Any) || self == Tag::Strong(tag)
    }

    /// The weak comparison.
    fn is_weakly(self, tag: &str) -> bool {
        self.is_strongly(tag) || self == Tag::Weak(tag)
    }
}

/// The tags in all lines of a header, up to what is malformed in a line; `None` without one.
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<impl Iterator<Item = Tag<'_>>> {
    let mut lines = headers.get_all(name).into_iter().peekable();
    lines.peek()?;
    let lines = lines.filter_map(|line| line.to_str().ok());
    Some(lines.flat_map(|mut line| {
        std::iter::from_fn(move || {
            let (tag, rest) = next_tag(line)?;
            line = rest;
            Some(tag)
        })
    }))
}

/// The first tag of a list, and the rest.
fn next_tag(list: &str) -> Option<(Tag<'_>, &str)> {
    let list = list.trim_start_matches([' ', '\t', ',']);
    if let Some(rest) = list.strip_prefix('*') {
        return Some((Tag::Any, rest));
    }
    let weak = list.strip_prefix("W/");
    let (tag, rest) = weak.unwrap_or(list).strip_prefix('"')?.split_once('"')?;
    let tag = match weak {
        Some(_) => Tag::Weak(tag),
        None => Tag::Strong(tag),
    };
    Some((tag, rest))
}

fn date_in(headers: &HeaderMap, name: HeaderName) -> Option<UnixTime> {
    headers.get(name)?.to_str().ok().and_then(date::read)
}

/// Whether ranges count. A date never is a strong validator here: two revisions may come in one
/// second, and all codings share it (§8.8.2.2), so with one the whole is sent.
fn if_range(headers: &HeaderMap, tag: &str) -> bool {
    let Some(condition) = headers.get(header::IF_RANGE) else {
        return true;
    };
    let condition = condition.to_str().ok().and_then(next_tag);
    condition.is_some_and(|(stated, rest)| stated == Tag::Strong(tag) && rest.is_empty())
}

/// What the header `Range` gets of so many octets. Whatever is not exactly one range of octets is
/// ignored, as §14.2 allows: a list of many small ones is an old attack.
fn range(headers: &HeaderMap, length: u64) -> Outcome {
    let mut lines = headers.get_all(header::RANGE).into_iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Outcome::Whole;
    };
    let Some((first, last)) = line.to_str().ok().and_then(one_range) else {
        return Outcome::Whole;
    };
    let range = match (first, last) {
        (Some(first), Some(last)) if last < first => return Outcome::Whole,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(length),
        (Some(first), None) => first..length,
        // All of nothing has no range that could be told.
        (None, Some(1..)) if length == 0 => return Outcome::Whole,
        (None, Some(suffix)) => length.saturating_sub(suffix)..length,
        (None, None) => return Outcome::Whole,
    };
    match range.is_empty() {
        true => Outcome::Unsatisfiable,
        false => Outcome::Part(range),
    }
}

/// The two numbers of `bytes=1-2`, of which one may be absent.
fn one_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    Some((number(first)?, number(last)?))
}

/// A number, the largest when it is larger still; `None` inside when there is no digit.
fn number(digits: &str) -> Option<Option<u64>> {
    if digits.is_empty() {
        return Some(None);
    }
    if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    Some(Some(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::feed::tests::Random;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    /// What a request with these headers gets of 1,000 octets.
    fn outcome(method: &Method, lines: &[(HeaderName, &'static str)]) -> Outcome {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        let of = Validators {
            tag: "a,b",
            modified: Some(UnixTime::new(784_111_777)),
            length: 1_000,
        };
        evaluate(method, &headers, &of)
    }

    #[track_caller]
    fn gets(expected: &Outcome, lines: &[(HeaderName, &'static str)]) {
        assert_eq!(&outcome(&Method::GET, lines), expected, "{lines:?}");
    }

    #[test]
    fn tags_are_compared_as_they_stand_in_lists() {
        for list in [
            "\"a,b\"",
            "W/\"a,b\"",
            "*",
            "\"x\", \"a,b\"",
            "\"x\",W/\"a,b\" , \"y\"",
            ",, \"a,b\"",
        ] {
            gets(&Outcome::Unchanged, &[(header::IF_NONE_MATCH, list)]);
        }
        for list in [
            "",
            "a,b",
            "\"a\"",
            "\"b\"",
            "\"a,b",
            "w/\"a,b\"",
            "\"A,B\"",
            "\"a,b-gzip\"",
            "x \"a,b\"",
        ] {
            gets(&Outcome::Whole, &[(header::IF_NONE_MATCH, list)]);
        }
        let two = [
            (header::IF_NONE_MATCH, "\"x\""),
            (header::IF_NONE_MATCH, "\"a,b\""),
        ];
        gets(&Outcome::Unchanged, &two);
        assert_eq!(outcome(&Method::HEAD, &two), Outcome::Unchanged);
    }

    #[test]
    fn tags_go_before_dates() {
        gets(&Outcome::Unchanged, &[(header::IF_MODIFIED_SINCE, DATE)]);
        gets(&Outcome::Unchanged, &[(header::IF_MODIFIED_SINCE, LATER)]);
        gets(&Outcome::Whole, &[(header::IF_MODIFIED_SINCE, EARLIER)]);
        gets(&Outcome::Whole, &[(header::IF_MODIFIED_SINCE, "yesterday")]);
        let other = (header::IF_NONE_MATCH, "\"x\"");
        gets(
            &Outcome::Whole,
            &[other, (header::IF_MODIFIED_SINCE, LATER)],
        );
        let same = (header::IF_NONE_MATCH, "\"a,b\"");
        gets(
            &Outcome::Unchanged,
            &[same, (header::IF_MODIFIED_SINCE, EARLIER)],
        );
    }

    #[test]
    fn a_condition_that_fails_is_said() {
        gets(&Outcome::Failed, &[(header::IF_MATCH, "\"x\"")]);
        // Strongly compared, a weak tag is never the same.
        gets(&Outcome::Failed, &[(header::IF_MATCH, "W/\"a,b\"")]);
        gets(&Outcome::Whole, &[(header::IF_MATCH, "\"x\", \"a,b\"")]);
        gets(&Outcome::Whole, &[(header::IF_MATCH, "*")]);
        gets(&Outcome::Failed, &[(header::IF_UNMODIFIED_SINCE, EARLIER)]);
        gets(&Outcome::Whole, &[(header::IF_UNMODIFIED_SINCE, DATE)]);
        let both = [
            (header::IF_MATCH, "*"),
            (header::IF_UNMODIFIED_SINCE, EARLIER),
        ];
        gets(&Outcome::Whole, &both);
    }

    #[test]
    fn one_range_is_a_part() {
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-", 0..1_000),
            ("Bytes = 10-19", 10..20),
            ("bytes=990-5000", 990..1_000),
            ("bytes=-10", 990..1_000),
            ("bytes=-5000", 0..1_000),
            (
                "bytes=999-99999999999999999999999999999999999999999",
                999..1_000,
            ),
            ("bytes=-99999999999999999999999999999999999999999", 0..1_000),
            ("bytes=0-18446744073709551615", 0..1_000),
        ] {
            gets(&Outcome::Part(part), &[(header::RANGE, range)]);
            assert_eq!(
                outcome(&Method::HEAD, &[(header::RANGE, range)]),
                Outcome::Whole
            );
        }
        for range in [
            "bytes=1000-",
            "bytes=1000-1001",
            "bytes=-0",
            "bytes=99999999999999999999999999999999999999999-",
            "bytes=18446744073709551615-18446744073709551615",
        ] {
            gets(&Outcome::Unsatisfiable, &[(header::RANGE, range)]);
        }
    }

    #[test]
    fn what_is_not_one_range_is_ignored() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=0-1,2-3",
            "bytes=0-,0-,0-,0-,0-,0-,0-,0-",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=a-b",
            "bytes=1 -2",
            "lines=0-1",
        ] {
            gets(&Outcome::Whole, &[(header::RANGE, range)]);
        }
        let two = [(header::RANGE, "bytes=0-1"), (header::RANGE, "bytes=2-3")];
        gets(&Outcome::Whole, &two);
    }

    #[test]
    fn nothing_has_no_part() {
        for (range, expected) in [
            ("bytes=0-", Outcome::Unsatisfiable),
            ("bytes=-0", Outcome::Unsatisfiable),
            ("bytes=-1", Outcome::Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(range));
            let of = Validators {
                tag: "a",
                modified: None,
                length: 0,
            };
            assert_eq!(evaluate(&Method::GET, &headers, &of), expected, "{range}");
        }
    }

    #[test]
    fn whatever_is_asked_for_a_part_lies_within() {
        const WORDS: [&str; 16] = [
            "bytes",
            "=",
            "-",
            ",",
            "0",
            "9",
            "18446744073709551615",
            "\"",
            "W/",
            "*",
            " ",
            "\t",
            "a,b",
            "1994",
            "GMT",
            "\u{e9}",
        ];
        let mut random = Random::new(9110);
        let mut dice = |sides: usize| {
            let sides = sides.try_into().unwrap();
            usize::try_from(random.below(sides)).unwrap()
        };
        let mut parts = 0;
        for _ in 0..50_000 {
            let mut headers = HeaderMap::new();
            for name in [header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH] {
                let count = dice(6);
                let mut value: String = (0..count).map(|_| WORDS[dice(WORDS.len())]).collect();
                if name == header::RANGE {
                    value.insert_str(0, "bytes=");
                } else if count < 4 {
                    continue;
                }
                headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let length = [0, 1, 10, u64::MAX][dice(4)];
            let of = Validators {
                tag: "a,b",
                modified: None,
                length,
            };
            if let Outcome::Part(part) = evaluate(&Method::GET, &headers, &of) {
                assert!(part.start < part.end && part.end <= length, "{headers:?}");
                parts += 1;
            }
        }
        assert!(parts > 100, "{parts}");
    }

    #[test]
    fn a_range_counts_only_for_what_the_client_has_the_rest_of() {
        let range = (header::RANGE, "bytes=0-9");
        gets(
            &Outcome::Part(0..10),
            &[range.clone(), (header::IF_RANGE, "\"a,b\"")],
        );
        for condition in [
            "\"x\"",
            "W/\"a,b\"",
            "*",
            "\"a,b\", \"x\"",
            DATE,
            LATER,
            "nonsense",
        ] {
            gets(
                &Outcome::Whole,
                &[range.clone(), (header::IF_RANGE, condition)],
            );
        }
        let known = [range, (header::IF_NONE_MATCH, "\"a,b\"")];
        gets(&Outcome::Unchanged, &known);
    }
}
