//! Why a route is what it is: every VRP that bears on a prefix, from the sources to the routers.

use std::fmt::Write as _;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::payload::validity::{Fit, State, Validity};
use crate::payload::{Asn, Attribute, DataSet, PayloadSet, Rows, UnixTime, Vrp};
use crate::slurm::Exceptions;

/// What is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Question {
    /// The prefix of a route.
    pub prefix: IpNet,
    /// Its origin, when the validity of the route is wanted.
    pub origin: Option<Asn>,
    /// The time by the calendar.
    pub now: UnixTime,
}

/// A source, as far as an explanation needs it.
#[derive(Clone, Copy, Debug)]
pub struct Witness<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it has. Rows that expired may still be among them.
    pub rows: Option<&'a Rows>,
    /// What it had until that expired.
    pub gone: Option<&'a Rows>,
    /// Whether it counts in the merge.
    pub counts: bool,
}

/// The way from the sources to the routers.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The sources.
    pub sources: &'a [Witness<'a>],
    /// The merged rows that are accepted.
    pub accepted: Option<&'a Rows>,
    /// The merged rows that the guard stopped.
    pub candidate: Option<&'a Rows>,
    /// The local exceptions.
    pub exceptions: &'a Exceptions,
    /// What routers get; `None` while nothing is served.
    pub served: Option<&'a PayloadSet>,
}

/// The answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Explanation {
    /// The prefix asked for.
    pub prefix: String,
    /// The origin asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asn: Option<u32>,
    /// Whether anything is served at all.
    pub serving: bool,
    /// `valid`, `invalid` or `not-found` by what is served, when an origin was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validity: Option<String>,
    /// The same by what was validated, before local exceptions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validity_without_exceptions: Option<String>,
    /// The VRPs that cover the prefix now, or did lately, or would, from short to long.
    pub vrps: Vec<Story>,
    /// All of it in words.
    pub words: Vec<String>,
}

/// What became of one VRP.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Story {
    /// Its prefix.
    pub prefix: String,
    /// Its max length.
    pub max_length: u8,
    /// Its AS.
    pub asn: u32,
    /// Whether routers get it.
    pub served: bool,
    /// `matched`, `wrong-as`, `wrong-length` or `wrong-as-and-length`, for the origin asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fit: Option<String>,
    /// The sources that have it.
    pub sources: Vec<Testimony>,
    /// Whether the merge has it and the guard let it pass.
    pub accepted: bool,
    /// What a held update would do to it: `come` or `go`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<String>,
    /// The filters that take it out.
    pub filtered_by: Vec<String>,
    /// The assertions that put it in.
    pub asserted_by: Vec<String>,
    /// Why it is served, or not.
    pub reason: String,
}

/// What a source says of a VRP.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Testimony {
    /// The source.
    pub source: String,
    /// The trust anchor, if the source names one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trust_anchor: Option<String>,
    /// When it expires, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<u64>,
    /// Whether it has expired.
    pub expired: bool,
    /// Whether the source counts in the merge.
    pub counts: bool,
}

/// Explains a prefix. Costs a few binary searches in each set.
pub fn explain(question: Question, way: &Way<'_>) -> Explanation {
    let Question { prefix, origin, .. } = question;
    let sets = Sets::new(way);
    let mut vrps: Vec<Vrp> = Vec::new();
    for set in sets.all().chain(way.served) {
        let covering = set.validity(prefix, origin).covering;
        vrps.extend(covering.into_iter().map(|(vrp, _)| vrp));
    }
    // All of them cover one prefix, so their own is known by its length.
    vrps.sort_by_key(|vrp| (vrp.prefix().prefix_len(), vrp.max_len(), vrp.asn()));
    vrps.dedup();
    let served = way.served.map(|set| set.validity(prefix, origin));
    let stories: Vec<Story> = vrps.iter().map(|vrp| story(vrp, question, way)).collect();
    let state = |validity: &Validity| origin.map(|_| word(validity.state).to_owned());
    let without = sets
        .accepted
        .as_ref()
        .map(|set| set.validity(prefix, origin));
    let mut explanation = Explanation {
        prefix: prefix.to_string(),
        asn: origin.map(Asn::into_u32),
        serving: way.served.is_some(),
        validity: served.as_ref().and_then(state),
        validity_without_exceptions: without.as_ref().and_then(state),
        vrps: stories,
        words: Vec::new(),
    };
    explanation.words = words(&explanation);
    explanation
}

/// The sets in which VRPs are looked for.
struct Sets {
    sources: Vec<PayloadSet>,
    accepted: Option<PayloadSet>,
    candidate: Option<PayloadSet>,
}

impl Sets {
    fn new(way: &Way<'_>) -> Self {
        let set = |rows: &Rows| DataSet::new(rows).payload().clone();
        let sources = way.sources.iter();
        let rows = sources.flat_map(|source| [source.rows, source.gone]);
        Self {
            sources: rows.flatten().map(set).collect(),
            accepted: way.accepted.map(set),
            candidate: way.candidate.map(set),
        }
    }

    fn all(&self) -> impl Iterator<Item = &PayloadSet> {
        let merged = [&self.accepted, &self.candidate].into_iter().flatten();
        self.sources.iter().chain(merged)
    }
}

fn story(vrp: &Vrp, question: Question, way: &Way<'_>) -> Story {
    let served = way.served.is_some_and(|set| set.contains_vrp(vrp));
    let accepted = way
        .accepted
        .is_some_and(|rows| rows.attribute(vrp).is_some());
    let candidate = way.candidate.map(|rows| rows.attribute(vrp).is_some());
    let held = candidate.and_then(|would| match (accepted, would) {
        (true, false) => Some("go"),
        (false, true) => Some("come"),
        _ => None,
    });
    let texts =
        |entries: Vec<crate::slurm::Entry<'_>>| entries.iter().map(ToString::to_string).collect();
    let mut story = Story {
        prefix: vrp.prefix().to_string(),
        max_length: vrp.max_len(),
        asn: vrp.asn().into_u32(),
        served,
        fit: question.origin.map(|origin| {
            fit_word(Fit::of(vrp, question.prefix.prefix_len(), Some(origin))).to_owned()
        }),
        sources: testimonies(vrp, question.now, way.sources),
        accepted,
        held: held.map(str::to_owned),
        filtered_by: texts(way.exceptions.filters_of(vrp)),
        asserted_by: texts(way.exceptions.assertions_of(vrp)),
        reason: String::new(),
    };
    story.reason = reason(&story, way.served.is_some());
    story
}

fn testimonies(vrp: &Vrp, now: UnixTime, sources: &[Witness<'_>]) -> Vec<Testimony> {
    let of = |source: &Witness<'_>, rows: &Rows, attribute: &Attribute| Testimony {
        source: source.name.to_owned(),
        trust_anchor: rows
            .trust_anchors()
            .name(attribute.trust_anchor())
            .map(str::to_owned),
        expires: attribute.expires().map(UnixTime::seconds),
        expired: attribute.expires().is_some_and(|expires| expires <= now),
        counts: source.counts,
    };
    let said = sources.iter().flat_map(|source| {
        let rows = [source.rows, source.gone].into_iter().flatten();
        rows.filter_map(move |rows| Some(of(source, rows, rows.attribute(vrp)?)))
    });
    said.collect()
}

/// Why a VRP is served, or not, in words.
fn reason(story: &Story, serving: bool) -> String {
    let expired = !story.sources.is_empty() && story.sources.iter().all(|said| said.expired);
    let none_counts = !story
        .sources
        .iter()
        .any(|said| said.counts && !said.expired);
    if story.served {
        return match (story.asserted_by.first(), story.accepted) {
            (Some(entry), false) => format!("served, because {entry} asserts it"),
            (Some(entry), true) => format!("served; {entry} asserts it as well"),
            (None, _) => "served".to_owned(),
        };
    }
    if !serving {
        return "not served, because nothing is served".to_owned();
    }
    if let Some(entry) = story.filtered_by.first().filter(|_| story.accepted) {
        return format!("not served, because {entry} filters it");
    }
    if expired {
        return "not served, because it has expired".to_owned();
    }
    if story.held.as_deref() == Some("come") {
        return "not served yet, because the guard holds the update that has it".to_owned();
    }
    if none_counts && !story.sources.is_empty() {
        return "not served, because no source that counts has it".to_owned();
    }
    if !story.accepted {
        return "not served, because too few sources have it".to_owned();
    }
    "not served".to_owned()
}

fn words(explanation: &Explanation) -> Vec<String> {
    let mut words = Vec::new();
    let prefix = &explanation.prefix;
    if !explanation.serving {
        words.push("nothing is served at the moment".to_owned());
    }
    if let (Some(validity), Some(asn)) = (&explanation.validity, explanation.asn) {
        let mut line = format!("{prefix} from AS{asn} is {validity}");
        let before = explanation.validity_without_exceptions.as_ref();
        if let Some(before) = before.filter(|before| *before != validity) {
            // Writing to a string cannot fail.
            let _ = write!(line, "; without local exceptions it would be {before}");
        }
        words.push(line);
    }
    if explanation.vrps.is_empty() {
        words.push(format!(
            "no VRP covers {prefix}, in no source and no local exception"
        ));
    }
    for story in &explanation.vrps {
        words.extend(story.words());
    }
    words
}

impl Story {
    fn words(&self) -> Vec<String> {
        let (prefix, max_length, asn) = (&self.prefix, self.max_length, self.asn);
        let mut line = format!("{prefix}-{max_length} AS{asn}: {}", self.reason);
        if let Some(fit) = &self.fit {
            let _ = write!(line, " ({})", fit.replace('-', " "));
        }
        let mut words = vec![line];
        for said in &self.sources {
            words.push(format!("  {}", said.words()));
        }
        if self.held.as_deref() == Some("go") {
            words.push("  the update that the guard holds would take it away".to_owned());
        }
        for entry in self.filtered_by.iter().skip(usize::from(!self.accepted)) {
            words.push(format!("  filtered by {entry}"));
        }
        words
    }
}

impl Testimony {
    fn words(&self) -> String {
        let mut line = format!("source {}", self.source);
        if let Some(trust_anchor) = &self.trust_anchor {
            let _ = write!(line, ", trust anchor {trust_anchor}");
        }
        if let Some(expires) = self.expires {
            let verb = if self.expired { "expired" } else { "expires" };
            let _ = write!(line, ", {verb} {}", UnixTime::new(expires));
        }
        if !self.counts {
            line.push_str(", does not count at the moment");
        }
        line
    }
}

/// The word for a state, as programs know it.
pub const fn word(state: State) -> &'static str {
    match state {
        State::Valid => "valid",
        State::Invalid => "invalid",
        State::NotFound => "not-found",
    }
}

/// The word for a fit.
pub const fn fit_word(fit: Fit) -> &'static str {
    match fit {
        Fit::Matched => "matched",
        Fit::WrongAs => "wrong-as",
        Fit::WrongLength => "wrong-length",
        Fit::WrongAsAndLength => "wrong-as-and-length",
    }
}
