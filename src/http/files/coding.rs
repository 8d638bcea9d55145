//! Which coding a client takes (RFC 9110 §12.5.3).

use std::cmp::Reverse;

use axum::http::{HeaderMap, header};

use super::super::backend::Form;

/// The form that the client likes best, and of those it likes as well the smallest; `None` when it
/// takes none.
pub(in crate::http) fn choose<'a>(headers: &HeaderMap, forms: &'a [Form]) -> Option<&'a Form> {
    let members: Vec<_> = members(headers).collect();
    let weighed = forms
        .iter()
        .map(|form| (weight(&members, form.coding), form));
    let taken = weighed.filter(|(weight, _)| *weight > 0);
    let best = taken.max_by_key(|(weight, form)| (*weight, Reverse(form.length)));
    best.map(|(_, form)| form)
}

/// How much a client likes a coding, in thousandths.
fn weight(members: &[(&str, u16)], coding: Option<&str>) -> u16 {
    let name = coding.unwrap_or("identity");
    let mut any = None;
    for &(word, weight) in members {
        if is(word, name) {
            return weight;
        }
        if word == "*" && any.is_none() {
            any = Some(weight);
        }
    }
    // As it is goes with everybody who does not say otherwise, if nothing better does.
    let unnamed = if coding.is_none() { 1 } else { 0 };
    any.unwrap_or(unnamed)
}

/// The codings that a request names, with their weights; what is malformed is not there.
fn members(headers: &HeaderMap) -> impl Iterator<Item = (&str, u16)> {
    let lines = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|member| {
        let (word, weight) = match member.split_once(';') {
            None => (member, 1_000),
            Some((word, weight)) => (word, quality(weight.trim())?),
        };
        Some((word.trim(), weight))
    })
}

/// The weight of `q=0.5`, in thousandths (RFC 9110 §12.4.2).
fn quality(text: &str) -> Option<u16> {
    let value = text
        .strip_prefix("q=")
        .or_else(|| text.strip_prefix("Q="))?;
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

fn is(word: &str, name: &str) -> bool {
    // RFC 9110 §8.4.1.3: the same by an old name.
    let old = name == "gzip" && word.eq_ignore_ascii_case("x-gzip");
    old || word.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use axum::http::HeaderValue;

    use super::*;

    fn forms() -> Vec<Form> {
        let file = Arc::new(File::open("/dev/null").unwrap());
        [(None, 100), (Some("gzip"), 20), (Some("zstd"), 10)]
            .map(|(coding, length)| Form::new("1", coding, Arc::clone(&file), length))
            .into()
    }

    /// The coding for these lines of the header.
    fn chosen(lines: &[&'static str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(line));
        }
        let forms = forms();
        choose(&headers, &forms).map(|form| form.coding.unwrap_or("identity"))
    }

    #[test]
    fn the_smallest_that_is_liked_best() {
        for (line, expected) in [
            ("", "identity"),
            ("br", "identity"),
            ("deflate, br;q=1.0", "identity"),
            ("identity", "identity"),
            ("gzip", "gzip"),
            ("GZip", "gzip"),
            ("x-gzip", "gzip"),
            ("gzip, deflate, br, zstd", "zstd"),
            ("zstd;q=0.5, gzip", "gzip"),
            ("zstd ; q=0.5 , gzip ; q=0.501", "gzip"),
            ("gzip;q=0.001", "gzip"),
            ("gzip;q=0", "identity"),
            ("gzip;q=0, *", "zstd"),
            ("*", "zstd"),
            ("*;q=0.1, identity", "identity"),
            ("*;q=0, gzip", "gzip"),
            ("identity;q=0, gzip;q=0.1", "gzip"),
            ("identity, gzip;q=0.9", "identity"),
            // What is malformed is not there.
            ("gzip;q=2", "identity"),
            ("gzip;q=", "identity"),
            ("gzip;q=0.1234", "identity"),
            ("gzip;q=1.001", "identity"),
            ("gzip;q=-1, zstd;q=+1, ,;,;q=1", "identity"),
            ("gzip zstd", "identity"),
        ] {
            assert_eq!(chosen(&[line]), Some(expected), "{line}");
        }
        assert_eq!(chosen(&[]), Some("identity"));
        assert_eq!(chosen(&["zstd;q=0", "gzip"]), Some("gzip"));
    }

    #[test]
    fn none_when_none_is_taken() {
        for line in [
            "identity;q=0",
            "*;q=0",
            "br, *;q=0.000",
            "identity;q=0, gzip;q=0, zstd;q=0, *",
        ] {
            assert_eq!(chosen(&[line]), None, "{line}");
        }
    }
}
