//! Why a route is what it is: every VRP that bears on a prefix, from the sources to the routers.
//!
//! It is about origin validation (RFC 6811): router keys and ASPAs have no part in it.

mod words;

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::payload::validity::{Fit, State, Validity};
use crate::payload::{Asn, Attribute, DataSet, PayloadSet, Rows, UnixTime, Vrp};
use crate::slurm::{Entry, Exceptions, Rule};

/// Reads a prefix as people type it: `192.0.2.0/24`, or an address alone, which is the prefix of
/// its full length.
///
/// # Errors
///
/// When it is no prefix, and when it has bits set beyond its length: nobody can tell whether the
/// address or the length is what was meant.
pub fn prefix(text: &str) -> Result<IpNet, PrefixError> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let parsed = text.parse::<IpNet>().or_else(|_| address());
    let prefix = parsed.map_err(|_| PrefixError::NoPrefix(text.to_owned()))?;
    if prefix.trunc() != prefix {
        return Err(PrefixError::HostBits(prefix));
    }
    Ok(prefix)
}

/// Why a text is no prefix.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PrefixError {
    /// It is something else.
    NoPrefix(String),
    /// It has bits set beyond its length.
    HostBits(IpNet),
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrefix(text) => write!(
                f,
                "`{text}` is not a prefix such as 192.0.2.0/24 or 2001:db8::/32"
            ),
            Self::HostBits(prefix) => write!(
                f,
                "{prefix} has bits set beyond its length; its prefix is {}",
                prefix.trunc()
            ),
        }
    }
}

impl Error for PrefixError {}

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

/// What the accepted rows rest on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Basis {
    /// Sources that can be relied on.
    #[default]
    Current,
    /// None, or too few, can be relied on; routers keep the last good data.
    LastGood,
    /// None, or too few, can be relied on, and the last good data were withdrawn from routers.
    Withdrawn,
}

impl Basis {
    /// The word for it, as programs know it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::LastGood => "last-good",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// The way from the sources to the routers.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The sources.
    pub sources: &'a [Witness<'a>],
    /// The merged rows that are accepted.
    pub accepted: Option<&'a Rows>,
    /// What these rest on.
    pub basis: Basis,
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
    /// What the validated data rest on: `current`, `last-good` or `withdrawn`.
    pub basis: String,
    /// `valid`, `invalid` or `not-found` by what is served, when an origin was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validity: Option<String>,
    /// The same by what was validated, before local exceptions; when that is withdrawn, by what
    /// it was.
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

/// Explains a prefix. Costs a pass over the ASPAs of each set and a few binary searches.
pub fn explain(question: Question, way: &Way<'_>) -> Explanation {
    let Question { prefix, origin, .. } = question;
    let sets = Sets::new(way);
    let mut vrps: Vec<Vrp> = Vec::new();
    for set in sets.all().chain(way.served) {
        let covering = set.validity(prefix, origin).covering;
        vrps.extend(covering.into_iter().map(|(vrp, _)| vrp));
    }
    // While nothing is served, the exceptions alone know of these.
    let asserted = way.exceptions.assertions_covering(prefix);
    vrps.extend(asserted.iter().filter_map(|entry| match entry.rule() {
        Rule::PrefixAssertion(vrp) => Some(*vrp),
        _ => None,
    }));
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
        basis: way.basis.word().to_owned(),
        validity: served.as_ref().and_then(state),
        validity_without_exceptions: without.as_ref().and_then(state),
        vrps: stories,
        words: Vec::new(),
    };
    explanation.words = explanation.words(way.basis);
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
    let texts = |entries: Vec<Entry<'_>>| entries.iter().map(ToString::to_string).collect();
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
    story.reason = story.why(way);
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

#[cfg(test)]
mod tests;
