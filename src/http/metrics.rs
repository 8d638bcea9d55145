//! Metrics, as Prometheus reads them: the text format 0.0.4, and OpenMetrics 1.0 on request.
//!
//! A metric is a constant beside the code that counts; an [`Exposition`] is one answer. Both
//! formats are specified at <https://prometheus.io/docs/specs/om/open_metrics_spec/> and
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;
use std::time::Duration;

use crate::payload::UnixTime;

/// What a metric is called, what it says, and how it moves.
///
/// ```
/// use rutter::http::metrics::{Exposition, Format, Metric};
///
/// const FETCHES: Metric = Metric::counter("rutter_fetches_total", "Fetches by their result");
///
/// let mut out = Exposition::new(Format::Text);
/// out.family(&FETCHES).sample(&[("result", "ok")], 7_u64);
/// assert!(out.finish().ends_with("rutter_fetches_total{result=\"ok\"} 7\n"));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metric {
    name: &'static str,
    help: &'static str,
    kind: Kind,
}

/// How a metric moves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// Only upwards, from 0 at the start of the program.
    Counter,
    /// Both ways.
    Gauge,
}

impl Metric {
    /// A metric that only goes up.
    ///
    /// # Panics
    ///
    /// When the name does not begin with `rutter_` and end with `_total`, or has anything but
    /// lower-case letters, digits and underscores, or the help is empty or would have to be
    /// escaped. In a constant that is an error of the compiler.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        assert!(ends_with(name, b"_total"), "a counter ends with _total");
        Self::checked(name, help, Kind::Counter)
    }

    /// A metric that goes up and down. Its name says the unit: `_seconds`, `_bytes`, `_ratio`;
    /// moments are `_timestamp_seconds`.
    ///
    /// # Panics
    ///
    /// As for [`counter`](Self::counter), but when the name does end with `_total`.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        assert!(!ends_with(name, b"_total"), "only a counter has _total");
        Self::checked(name, help, Kind::Gauge)
    }

    const fn checked(name: &'static str, help: &'static str, kind: Kind) -> Self {
        assert!(starts_with(name, b"rutter_"), "ours begin with rutter_");
        assert!(is_name(name), "lower case, digits and underscores only");
        assert!(is_plain(help), "a line that needs no escapes");
        Self { name, help, kind }
    }

    /// The name of its samples.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

const fn starts_with(text: &str, head: &[u8]) -> bool {
    let (mut text, mut head) = (text.as_bytes(), head);
    loop {
        match (text, head) {
            (_, []) => return true,
            ([a, more @ ..], [b, rest @ ..]) if *a == *b => (text, head) = (more, rest),
            _ => return false,
        }
    }
}

const fn ends_with(text: &str, tail: &[u8]) -> bool {
    let (mut text, mut tail) = (text.as_bytes(), tail);
    loop {
        match (text, tail) {
            (_, []) => return true,
            ([more @ .., a], [rest @ .., b]) if *a == *b => (text, tail) = (more, rest),
            _ => return false,
        }
    }
}

const fn is_name(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let [octet, more @ ..] = rest {
        if !matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'_') {
            return false;
        }
        rest = more;
    }
    !text.is_empty()
}

const fn is_plain(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let [octet, more @ ..] = rest {
        if matches!(octet, b'\n' | b'\\' | b'"') {
            return false;
        }
        rest = more;
    }
    !text.is_empty()
}

/// How metrics are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    #[default]
    Text,
    /// OpenMetrics text, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What a client that sent this `Accept` header gets: OpenMetrics when it is named with a
    /// weight above 0, as Prometheus does, else the text that everybody reads.
    pub fn accepted(accept: &str) -> Self {
        let wanted = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            media.eq_ignore_ascii_case("application/openmetrics-text")
                && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|q| q > 0.0))
        });
        if wanted {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A number of things.
    Whole(u64),
    /// A measure.
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(u64::try_from(value).unwrap_or(u64::MAX))
    }
}

impl From<bool> for Value {
    /// 1 for yes, 0 for no.
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<Duration> for Value {
    /// In seconds.
    fn from(value: Duration) -> Self {
        Self::Real(value.as_secs_f64())
    }
}

impl From<UnixTime> for Value {
    /// In seconds since 1970.
    fn from(value: UnixTime) -> Self {
        Self::Whole(value.seconds())
    }
}

/// One answer: families of samples, one after the other.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    text: String,
}

impl Exposition {
    /// An empty answer.
    pub const fn new(format: Format) -> Self {
        Self {
            format,
            text: String::new(),
        }
    }

    /// Begins the family of a metric; an answer has each family once.
    pub fn family(&mut self, metric: &Metric) -> Family<'_> {
        let Metric { name, help, kind } = *metric;
        let (family, kind) = match (kind, self.format) {
            (Kind::Gauge, _) => (name, "gauge"),
            (Kind::Counter, Format::Text) => (name, "counter"),
            // There the suffix belongs to the sample and not to the family.
            (Kind::Counter, Format::OpenMetrics) => {
                (name.strip_suffix("_total").unwrap_or(name), "counter")
            }
        };
        self.line(format_args!("# HELP {family} {help}"));
        self.line(format_args!("# TYPE {family} {kind}"));
        Family { name, out: self }
    }

    /// The whole text.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.line(format_args!("# EOF"));
        }
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// The samples of one metric.
#[derive(Debug)]
pub struct Family<'a> {
    name: &'static str,
    out: &'a mut Exposition,
}

impl Family<'_> {
    /// Adds a sample; a family has each set of labels once. Values of labels may be anything,
    /// their names are ours.
    pub fn sample(
        &mut self,
        labels: &[(&'static str, &str)],
        value: impl Into<Value>,
    ) -> &mut Self {
        let text = &mut self.out.text;
        text.push_str(self.name);
        for (place, (label, value)) in labels.iter().enumerate() {
            text.push(if place == 0 { '{' } else { ',' });
            text.push_str(label);
            text.push_str("=\"");
            for letter in value.chars() {
                match letter {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        match value.into() {
            Value::Whole(value) => self.out.line(format_args!(" {value}")),
            Value::Real(value) if value.is_nan() => self.out.line(format_args!(" NaN")),
            Value::Real(f64::INFINITY) => self.out.line(format_args!(" +Inf")),
            Value::Real(f64::NEG_INFINITY) => self.out.line(format_args!(" -Inf")),
            Value::Real(value) => self.out.line(format_args!(" {value}")),
        }
        self
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FETCHES: Metric = Metric::counter("rutter_fetches_total", "Fetches by their result");
    const AGE: Metric = Metric::gauge("rutter_age_seconds", "Age of the data");

    /// Reads an exposition line by line and panics at the first that breaks a rule.
    #[track_caller]
    pub(in crate::http) fn check(text: &str, format: Format) {
        let body = match format {
            Format::Text => text,
            Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("no # EOF at the end"),
        };
        assert!(body.ends_with('\n'), "the last line has no end");
        let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
        let mut family = String::new();
        let mut counter = false;
        let mut lines = body.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split_once(' ').expect(line).0.to_owned();
                assert!(families.insert(family.clone()), "twice: {line}");
                let next = lines.next().expect("HELP without TYPE");
                let kind = next.strip_prefix(&format!("# TYPE {family} ")).expect(next);
                counter = kind == "counter";
                assert!(counter || kind == "gauge", "{next}");
                continue;
            }
            let (series, value) = sample(line);
            let name = series.split('{').next().unwrap();
            assert!(name.starts_with("rutter_"), "{line}");
            assert_eq!(counter, name.ends_with("_total"), "{line}");
            let expected = match (counter, format) {
                (true, Format::OpenMetrics) => format!("{family}_total"),
                _ => family.clone(),
            };
            assert_eq!(name, expected, "outside its family: {line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(samples.insert(series.to_owned()), "twice: {line}");
        }
        assert!(!samples.is_empty());
    }

    /// A sample as its series and its value; the labels are read by their quotes.
    #[track_caller]
    fn sample(line: &str) -> (&str, &str) {
        let Some((_, mut rest)) = line.split_once('{') else {
            return line.split_once(' ').expect(line);
        };
        loop {
            let (name, quoted) = rest.split_once("=\"").expect(line);
            let letters = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(!name.is_empty() && name.chars().all(letters), "{line}");
            let mut letters = quoted.char_indices();
            let end = loop {
                match letters.next().expect(line) {
                    (_, '\\') => {
                        let (_, escaped) = letters.next().expect(line);
                        assert!(matches!(escaped, '\\' | '"' | 'n'), "{line}");
                    }
                    (at, '"') => break at,
                    _ => {}
                }
            };
            rest = &quoted[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        let value = rest.strip_prefix("} ").expect(line);
        (&line[..line.len() - value.len() - 1], value)
    }

    fn exposition(format: Format) -> String {
        let mut out = Exposition::new(format);
        out.family(&FETCHES)
            .sample(&[("source", "a"), ("result", "ok")], 7_u64)
            .sample(&[("source", "b\\c \"d\"\ne{},=é"), ("result", "ok")], 0_u32);
        out.family(&AGE)
            .sample(&[], Duration::from_millis(1_500))
            .sample(&[("source", "a")], f64::NAN)
            .sample(&[("source", "b")], f64::INFINITY)
            .sample(&[("source", "c")], f64::NEG_INFINITY)
            .sample(&[("source", "d")], UnixTime::new(1_700_000_000))
            .sample(&[("source", "e")], true)
            .sample(&[("source", "f")], usize::MAX);
        out.finish()
    }

    #[test]
    fn text_is_written_as_the_format_says() {
        let text = exposition(Format::Text);
        check(&text, Format::Text);
        let expected = "\
# HELP rutter_fetches_total Fetches by their result
# TYPE rutter_fetches_total counter
rutter_fetches_total{source=\"a\",result=\"ok\"} 7
rutter_fetches_total{source=\"b\\\\c \\\"d\\\"\\ne{},=é\",result=\"ok\"} 0
# HELP rutter_age_seconds Age of the data
# TYPE rutter_age_seconds gauge
rutter_age_seconds 1.5
rutter_age_seconds{source=\"a\"} NaN
rutter_age_seconds{source=\"b\"} +Inf
rutter_age_seconds{source=\"c\"} -Inf
rutter_age_seconds{source=\"d\"} 1700000000
rutter_age_seconds{source=\"e\"} 1
rutter_age_seconds{source=\"f\"} 18446744073709551615
";
        assert_eq!(text, expected);
    }

    #[test]
    fn openmetrics_names_the_family_without_total_and_ends() {
        let text = exposition(Format::OpenMetrics);
        check(&text, Format::OpenMetrics);
        assert!(text.starts_with("# HELP rutter_fetches Fetches by their result\n"));
        assert!(text.contains("\nrutter_fetches_total{source=\"a\""));
        assert!(text.ends_with("\n# EOF\n"));
    }

    #[test]
    fn openmetrics_only_for_who_names_it() {
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/plain;version=0.0.4", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            (
                "application/openmetrics-text; version=1.0.0; q=0.000, */*",
                Format::Text,
            ),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }

    #[test]
    fn names_that_break_a_rule_are_no_metrics() {
        for (name, help) in [
            ("fetches_total", "No prefix"),
            ("rutter_fetches", "No suffix"),
            ("rutter_Fetches_total", "A capital"),
            ("rutter_fetches-total", "A dash"),
            ("rutter_fetches_total", ""),
            ("rutter_fetches_total", "Two\nlines"),
        ] {
            let made = std::panic::catch_unwind(|| Metric::counter(name, help));
            assert!(made.is_err(), "{name}: {help}");
        }
        assert!(std::panic::catch_unwind(|| Metric::gauge("rutter_age_total", "Age")).is_err());
    }
}
