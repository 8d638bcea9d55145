//! Each way that a VRP can take, in words and in figures.

use super::*;
use crate::payload::{RowsBuilder, merge};
use crate::slurm::{AspaOverlap, Reading, combine, parse};

const NOW: UnixTime = UnixTime::new(1_700_000_000);

/// An hour before and after, in seconds.
const BEFORE: u64 = NOW.seconds() - 3_600;
const AFTER: u64 = NOW.seconds() + 3_600;

/// Reads `192.0.2.0/24-25 AS64496`.
fn vrp(text: &str) -> Vrp {
    let (prefix, rest) = text.split_once('-').unwrap();
    let (max_len, asn) = rest.split_once(' ').unwrap();
    let (prefix, max_len) = (prefix.parse().unwrap(), max_len.parse().unwrap());
    Vrp::new(prefix, max_len, asn.parse().unwrap()).unwrap()
}

/// Rows of VRPs that expire then, of the trust anchor `ta`.
fn expiring(vrps: &[(&str, u64)]) -> Rows {
    let mut rows = RowsBuilder::new();
    let trust_anchor = rows.trust_anchor("ta");
    for (text, expires) in vrps {
        let attribute = Attribute::new(Some(UnixTime::new(*expires)), trust_anchor);
        rows.push_vrp(vrp(text), attribute);
    }
    rows.finish()
}

/// Rows of VRPs that never expire.
fn rows(vrps: &[&str]) -> Rows {
    let mut rows = RowsBuilder::new();
    for text in vrps {
        rows.push_vrp(vrp(text), Attribute::default());
    }
    rows.finish()
}

/// The exceptions of a file `s.json` with these entries.
fn slurm(filters: &str, assertions: &str) -> Exceptions {
    let text = format!(
        r#"{{"slurmVersion": 1,
        "validationOutputFilters": {{"prefixFilters": [{filters}], "bgpsecFilters": []}},
        "locallyAddedAssertions": {{"prefixAssertions": [{assertions}], "bgpsecAssertions": []}}}}"#
    );
    let parsed = parse("s.json", text.as_bytes(), Reading::Strict).unwrap();
    combine(vec![parsed.file], AspaOverlap::Refused).unwrap()
}

/// A server, as far as an explanation looks at it.
#[derive(Clone, Default)]
struct Case {
    /// A name, what it has, what expired, and whether it counts.
    sources: Vec<(&'static str, Option<Rows>, Option<Rows>, bool)>,
    accepted: Option<Rows>,
    basis: Basis,
    candidate: Option<Rows>,
    exceptions: Exceptions,
    /// Whether accepted rows reach routers.
    silent: bool,
}

impl Case {
    /// One source that counts, whose rows are accepted.
    fn of(rows: &Rows) -> Self {
        Self {
            sources: vec![("a", Some(rows.clone()), None, true)],
            accepted: Some(rows.clone()),
            ..Self::default()
        }
    }

    fn with(mut self, exceptions: Exceptions) -> Self {
        self.exceptions = exceptions;
        self
    }

    fn explain(&self, prefix: &str, origin: Option<&str>) -> Explanation {
        let known = self.sources.iter();
        let sources: Vec<Witness<'_>> = known
            .map(|(name, rows, gone, counts)| Witness {
                name,
                rows: rows.as_ref(),
                gone: gone.as_ref(),
                counts: *counts,
            })
            .collect();
        let none = Rows::default();
        let base = self.accepted.as_ref().map(|rows| match self.basis {
            Basis::Withdrawn => &none,
            Basis::Current | Basis::LastGood => rows,
        });
        let served = base.filter(|_| !self.silent).map(|rows| {
            let applied = self.exceptions.apply(rows, Attribute::LOCAL);
            DataSet::new(&applied.rows)
        });
        let question = Question {
            prefix: super::prefix(prefix).unwrap(),
            origin: origin.map(|origin| origin.parse().unwrap()),
            now: NOW,
        };
        let way = Way {
            sources: &sources,
            accepted: self.accepted.as_ref(),
            basis: self.basis,
            candidate: self.candidate.as_ref(),
            exceptions: &self.exceptions,
            served: served.as_ref().map(DataSet::payload),
        };
        explain(question, &way)
    }

    /// Explains 192.0.2.0/24 from AS64496 and compares the words.
    #[track_caller]
    fn says(&self, words: &[&str]) {
        let explanation = self.explain("192.0.2.0/24", Some("AS64496"));
        assert_eq!(explanation.words, words, "{explanation:#?}");
        // Nothing is lost on the way to another program.
        let json = serde_json::to_string(&explanation).unwrap();
        let read: Explanation = serde_json::from_str(&json).unwrap();
        assert_eq!(read, explanation);
    }
}

const ROUTE: &str = "192.0.2.0/24-24 AS64496";
const FILTER: &str = r#"{"prefix": "192.0.2.0/24", "asn": 64496}"#;
const ASSERTION: &str = r#"{"prefix": "192.0.2.0/24", "asn": 64496}"#;

#[test]
fn a_vrp_that_is_served() {
    let explained = Case::of(&expiring(&[(ROUTE, AFTER)]));
    explained.says(&[
        "192.0.2.0/24 from AS64496 is valid",
        "192.0.2.0/24-24 AS64496, matches: served",
        "  source a, trust anchor ta, expires 2023-11-14T23:13:20Z",
    ]);
    let told = explained.explain("192.0.2.0/24", None);
    assert_eq!((told.validity, told.asn), (None, None));
    assert_eq!(told.words[0], "192.0.2.0/24-24 AS64496: served");
}

#[test]
fn nothing_that_covers() {
    Case::of(&rows(&[
        "192.0.2.0/25-32 AS64496",
        "198.51.100.0/24-24 AS1",
    ]))
    .says(&[
        "192.0.2.0/24 from AS64496 is not found",
        "no VRP covers 192.0.2.0/24, in no source and no local exception",
    ]);
}

#[test]
fn an_assertion_alone() {
    let mut case = Case::of(&rows(&[])).with(slurm("", ASSERTION));
    case.says(&[
        "192.0.2.0/24 from AS64496 is valid; without local exceptions it would be not found",
        "192.0.2.0/24-24 AS64496, matches: served, because s.json prefixAssertions[0] \
         (192.0.2.0/24-24 AS64496) asserts it",
    ]);
    // A source that does not count has it, too.
    case.sources.push(("b", Some(rows(&[ROUTE])), None, false));
    let story = &case.explain("192.0.2.0/24", None).vrps[0];
    assert!(story.served && !story.accepted, "{story:?}");
    assert_eq!(story.sources.len(), 1);
}

#[test]
fn an_assertion_of_what_is_there() {
    Case::of(&rows(&[ROUTE])).with(slurm("", ASSERTION)).says(&[
        "192.0.2.0/24 from AS64496 is valid",
        "192.0.2.0/24-24 AS64496, matches: served; s.json prefixAssertions[0] (192.0.2.0/24-24 \
         AS64496) asserts it as well",
        "  source a",
    ]);
}

#[test]
fn a_filter_names_its_entry() {
    let filters = format!(r#"{{"prefix": "10.0.0.0/8"}}, {FILTER}, {{"asn": 64496}}"#);
    Case::of(&rows(&[ROUTE, "192.0.2.0/24-24 AS64497"]))
        .with(slurm(&filters, ""))
        .says(&[
            "192.0.2.0/24 from AS64496 is invalid; without local exceptions it would be valid",
            "192.0.2.0/24-24 AS64496, matches: not served, because s.json prefixFilters[1] \
             (192.0.2.0/24 AS64496) filters it",
            "  source a",
            "  filtered by s.json prefixFilters[2] (AS64496)",
            "192.0.2.0/24-24 AS64497, wrong AS: served",
            "  source a",
        ]);
}

/// RFC 8416 §3.2: a filter never removes an assertion.
#[test]
fn an_assertion_prevails_over_a_filter() {
    let both = slurm(FILTER, ASSERTION);
    Case::of(&rows(&[ROUTE])).with(both.clone()).says(&[
        "192.0.2.0/24 from AS64496 is valid",
        "192.0.2.0/24-24 AS64496, matches: served, because s.json prefixAssertions[0] \
         (192.0.2.0/24-24 AS64496) asserts it, although s.json prefixFilters[0] (192.0.2.0/24 \
         AS64496) filters it",
        "  source a",
    ]);
    Case::of(&rows(&[])).with(both).says(&[
        "192.0.2.0/24 from AS64496 is valid; without local exceptions it would be not found",
        "192.0.2.0/24-24 AS64496, matches: served, because s.json prefixAssertions[0] \
         (192.0.2.0/24-24 AS64496) asserts it",
    ]);
}

#[test]
fn a_filter_of_what_is_not_accepted() {
    let mut case = Case::of(&rows(&[])).with(slurm(FILTER, ""));
    case.sources
        .push(("backup", Some(rows(&[ROUTE])), None, false));
    case.says(&[
        "192.0.2.0/24 from AS64496 is not found",
        "192.0.2.0/24-24 AS64496, matches: not served, because no source that counts has it",
        "  source backup, does not count at the moment",
        "  would be filtered by s.json prefixFilters[0] (192.0.2.0/24 AS64496)",
    ]);
}

#[test]
fn expired_everywhere() {
    let gone = Some(expiring(&[(ROUTE, BEFORE)]));
    let case = Case {
        sources: vec![
            ("a", Some(rows(&[])), gone.clone(), true),
            ("b", gone, None, true),
        ],
        accepted: Some(rows(&[])),
        ..Case::default()
    };
    case.says(&[
        "192.0.2.0/24 from AS64496 is not found",
        "192.0.2.0/24-24 AS64496, matches: not served, because it has expired",
        "  source a, trust anchor ta, expired 2023-11-14T21:13:20Z",
        "  source b, trust anchor ta, expired 2023-11-14T21:13:20Z",
    ]);
}

#[test]
fn what_expires_now_has_expired() {
    let at = |expires| {
        let case = Case::of(&expiring(&[(ROUTE, expires)]));
        case.explain("192.0.2.0/24", None).vrps[0].sources[0].expired
    };
    assert!(at(NOW.seconds()));
    assert!(!at(NOW.seconds() + 1));
}

#[test]
fn expired_in_one_of_two() {
    let left = expiring(&[(ROUTE, AFTER)]);
    let mut case = Case::of(&left);
    let gone = Some(expiring(&[(ROUTE, BEFORE)]));
    case.sources.insert(0, ("old", Some(rows(&[])), gone, true));
    case.says(&[
        "192.0.2.0/24 from AS64496 is valid",
        "192.0.2.0/24-24 AS64496, matches: served",
        "  source old, trust anchor ta, expired 2023-11-14T21:13:20Z",
        "  source a, trust anchor ta, expires 2023-11-14T23:13:20Z",
    ]);
    // Where two must have it, one is too few.
    case.accepted = Some(rows(&[]));
    let story = &case.explain("192.0.2.0/24", None).vrps[0];
    assert_eq!(
        story.reason,
        "not served, because too few sources have it: 1 that counts"
    );
}

#[test]
fn too_few_for_a_quorum() {
    let (has, lacks) = (rows(&[ROUTE]), rows(&[]));
    let contributions =
        [&has, &has, &lacks, &lacks].map(|rows| merge::Contribution { place: 0, rows });
    let case = Case {
        sources: vec![
            ("a", Some(has.clone()), None, true),
            ("b", Some(has.clone()), None, true),
            ("c", Some(lacks.clone()), None, true),
            ("d", Some(lacks.clone()), None, true),
        ],
        accepted: Some(merge::merge(&contributions, 3)),
        ..Case::default()
    };
    case.says(&[
        "192.0.2.0/24 from AS64496 is not found",
        "192.0.2.0/24-24 AS64496, matches: not served, because too few sources have it: 2 that \
         count",
        "  source a",
        "  source b",
    ]);
}

#[test]
fn a_source_that_does_not_count() {
    let mut case = Case::of(&rows(&[]));
    case.sources
        .push(("backup", Some(rows(&[ROUTE])), None, false));
    case.says(&[
        "192.0.2.0/24 from AS64496 is not found",
        "192.0.2.0/24-24 AS64496, matches: not served, because no source that counts has it",
        "  source backup, does not count at the moment",
    ]);
    // That it has expired where it counts does not make it expired.
    case.sources[0].2 = Some(expiring(&[(ROUTE, BEFORE)]));
    let story = &case.explain("192.0.2.0/24", None).vrps[0];
    assert!(story.reason.ends_with("no source that counts has it"));
}

#[test]
fn the_guard_stops_what_brings_it() {
    let mut case = Case::of(&rows(&[ROUTE]));
    case.accepted = Some(rows(&[]));
    case.candidate = Some(rows(&[ROUTE]));
    case.says(&[
        "192.0.2.0/24 from AS64496 is not found",
        "192.0.2.0/24-24 AS64496, matches: not served, because the guard stopped the update that \
         has it",
        "  source a",
    ]);
    case.exceptions = slurm(FILTER, "");
    let story = &case.explain("192.0.2.0/24", None).vrps[0];
    assert_eq!(story.held.as_deref(), Some("come"));
    assert_eq!(
        story.reason,
        "not served, because the guard stopped the update that has it, and s.json \
         prefixFilters[0] (192.0.2.0/24 AS64496) filters it"
    );
}

#[test]
fn the_guard_stops_what_takes_it() {
    let mut case = Case::of(&rows(&[]));
    case.accepted = Some(rows(&[ROUTE]));
    case.candidate = Some(rows(&[]));
    case.says(&[
        "192.0.2.0/24 from AS64496 is valid",
        "192.0.2.0/24-24 AS64496, matches: served, because the guard stopped the update that \
         lacks it",
    ]);
    case.exceptions = slurm(FILTER, "");
    case.says(&[
        "192.0.2.0/24 from AS64496 is not found; without local exceptions it would be valid",
        "192.0.2.0/24-24 AS64496, matches: not served, because s.json prefixFilters[0] \
         (192.0.2.0/24 AS64496) filters it",
        "  the update that the guard stopped lacks it",
    ]);
}

#[test]
fn the_guard_stops_what_changes_nothing_here() {
    let mut case = Case::of(&rows(&[ROUTE]));
    case.candidate = Some(rows(&[ROUTE, "198.51.100.0/24-24 AS1"]));
    let story = &case.explain("192.0.2.0/24", None).vrps[0];
    assert_eq!(
        (story.held.as_deref(), story.reason.as_str()),
        (None, "served")
    );
}

#[test]
fn nothing_is_served_yet() {
    let case = Case::default().with(slurm("", ASSERTION));
    case.says(&[
        "nothing is served at the moment",
        "192.0.2.0/24 from AS64496 cannot be validated",
        "192.0.2.0/24-24 AS64496, matches: not served, because nothing is served",
        "  asserted by s.json prefixAssertions[0] (192.0.2.0/24-24 AS64496)",
    ]);
    let mut case = Case::of(&rows(&[ROUTE]));
    case.accepted = None;
    case.says(&[
        "nothing is served at the moment",
        "192.0.2.0/24 from AS64496 cannot be validated",
        "192.0.2.0/24-24 AS64496, matches: not served, because nothing is served",
        "  source a",
    ]);
    let none = Case::default().explain("192.0.2.0/24", None);
    assert!(!none.serving);
    assert_eq!(
        none.words,
        [
            "nothing is served at the moment",
            "no VRP is known that covers 192.0.2.0/24"
        ]
    );
}

#[test]
fn only_a_stale_source_has_it() {
    let mut case = Case::of(&rows(&[ROUTE]));
    (case.basis, case.sources[0].3) = (Basis::LastGood, false);
    case.says(&[
        "no source, or too few, can be relied on; routers keep the last good data",
        "192.0.2.0/24 from AS64496 is valid",
        "192.0.2.0/24-24 AS64496, matches: served, as the last good data have it; no source that \
         counts has it now",
        "  source a, does not count at the moment",
    ]);
    // It came when too few others could be relied on to take anything new.
    (case.accepted, case.sources[0].3) = (Some(rows(&[])), true);
    let story = &case.explain("192.0.2.0/24", None).vrps[0];
    assert_eq!(
        story.reason,
        "not served, because the last good data lack it, and too few sources can be relied on"
    );
}

#[test]
fn stale_data_are_withdrawn() {
    let asserted = r#"{"prefix": "192.0.2.0/24", "asn": 64497}"#;
    let mut case = Case::of(&rows(&[ROUTE])).with(slurm("", asserted));
    (case.basis, case.sources[0].3) = (Basis::Withdrawn, false);
    case.says(&[
        "no source, or too few, can be relied on; the last good data were withdrawn from routers",
        "192.0.2.0/24 from AS64496 is invalid; by the last good data it would be valid",
        "192.0.2.0/24-24 AS64496, matches: not served, because no source, or too few, can be \
         relied on",
        "  source a, does not count at the moment",
        "192.0.2.0/24-24 AS64497, wrong AS: served, because s.json prefixAssertions[0] \
         (192.0.2.0/24-24 AS64497) asserts it",
    ]);
    case.silent = true;
    let told = case.explain("192.0.2.0/24", Some("AS64496"));
    assert_eq!(
        told.words[..2],
        [
            "no source, or too few, can be relied on; nothing is served at the moment",
            "192.0.2.0/24 from AS64496 would be valid by what was validated, before local \
             exceptions",
        ]
    );
    assert_eq!((told.validity, told.basis.as_str()), (None, "withdrawn"));
}

#[test]
fn as0_matches_nothing() {
    let case = Case::of(&rows(&["192.0.2.0/24-32 AS0"]));
    case.says(&[
        "192.0.2.0/24 from AS64496 is invalid",
        "192.0.2.0/24-32 AS0, which matches no origin: served",
        "  source a",
    ]);
    let told = case.explain("192.0.2.0/24", Some("AS0"));
    assert_eq!(told.validity.as_deref(), Some("invalid"));
    assert_eq!(told.vrps[0].fit.as_deref(), Some("wrong-as"));
    let told = case.explain("192.0.2.0/24", None);
    assert_eq!(told.words[0], "192.0.2.0/24-32 AS0: served");
}

#[test]
fn every_set_adds_its_vrps_each_once_from_short_to_long() {
    let mut case = Case::of(&rows(&[
        "192.0.2.0/24-25 AS9",
        "192.0.2.0/24-24 AS10",
        "192.0.0.0/16-24 AS3",
    ]));
    case.sources.push((
        "b",
        Some(rows(&["192.0.2.0/24-25 AS9", "0.0.0.0/0-0 AS7"])),
        Some(rows(&["192.0.2.0/24-25 AS8"])),
        true,
    ));
    case.candidate = Some(rows(&["192.0.0.0/8-24 AS4", "192.0.2.128/25-25 AS1"]));
    case.exceptions = slurm("", r#"{"prefix": "192.0.0.0/12", "asn": 5}"#);
    let told = case.explain("192.0.2.0/24", Some("AS9"));
    let vrps = told.vrps.iter();
    let vrps: Vec<String> = vrps
        .map(|s| format!("{}-{} AS{}", s.prefix, s.max_length, s.asn))
        .collect();
    assert_eq!(
        vrps,
        [
            "0.0.0.0/0-0 AS7",
            "192.0.0.0/8-24 AS4",
            "192.0.0.0/12-12 AS5",
            "192.0.0.0/16-24 AS3",
            "192.0.2.0/24-24 AS10",
            "192.0.2.0/24-25 AS8",
            "192.0.2.0/24-25 AS9",
        ]
    );
    let fits: Vec<&str> = told.vrps.iter().filter_map(|s| s.fit.as_deref()).collect();
    let long = "wrong-as-and-length";
    assert_eq!(
        fits,
        [
            long, "wrong-as", long, "wrong-as", "wrong-as", "wrong-as", "matched"
        ]
    );
    let sources: Vec<&str> = told.vrps[6].sources.iter().map(|s| &*s.source).collect();
    assert_eq!(sources, ["a", "b"]);
}

#[test]
fn a_route_that_is_too_long() {
    let case = Case::of(&rows(&["2001:db8::/32-48 AS64496"]));
    let told = case.explain("2001:db8::1", Some("AS64496"));
    assert_eq!(
        told.words[..2],
        [
            "2001:db8::1/128 from AS64496 is invalid",
            "2001:db8::/32-48 AS64496, too long: served"
        ]
    );
}

#[test]
fn the_shape_in_json() {
    let case = Case::of(&expiring(&[(ROUTE, AFTER)])).with(slurm(FILTER, ""));
    let told = case.explain("192.0.2.0/24", Some("AS64496"));
    let words = told.words.clone();
    let reason = told.vrps[0].reason.clone();
    let expected = serde_json::json!({
        "prefix": "192.0.2.0/24", "asn": 64_496, "serving": true, "basis": "current",
        "validity": "not-found", "validity_without_exceptions": "valid",
        "vrps": [{
            "prefix": "192.0.2.0/24", "max_length": 24, "asn": 64_496, "served": false,
            "fit": "matched", "accepted": true,
            "sources": [{
                "source": "a", "trust_anchor": "ta", "expires": AFTER, "expired": false,
                "counts": true,
            }],
            "filtered_by": ["s.json prefixFilters[0] (192.0.2.0/24 AS64496)"],
            "asserted_by": [], "reason": reason,
        }],
        "words": words,
    });
    assert_eq!(serde_json::to_value(told).unwrap(), expected);
}

#[test]
fn a_prefix_as_people_type_it() {
    for (text, read) in [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("2001:DB8::1", "2001:db8::1/128"),
    ] {
        assert_eq!(prefix(text).unwrap().to_string(), read);
    }
    for (text, reason) in [
        (
            "192.0.2.7/24",
            "192.0.2.7/24 has bits set beyond its length; its prefix is 192.0.2.0/24",
        ),
        (
            "2001:db8::1/32",
            "2001:db8::1/32 has bits set beyond its length; its prefix is 2001:db8::/32",
        ),
        (
            "192.0.2.0/33",
            "`192.0.2.0/33` is not a prefix such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "AS64496",
            "`AS64496` is not a prefix such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "",
            "`` is not a prefix such as 192.0.2.0/24 or 2001:db8::/32",
        ),
    ] {
        assert_eq!(prefix(text).unwrap_err().to_string(), reason);
    }
}
