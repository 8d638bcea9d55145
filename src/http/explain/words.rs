//! An explanation in words, to be read at night.

use std::fmt::Write as _;

use super::{Basis, Explanation, Story, Testimony, Way};
use crate::payload::UnixTime;

impl Explanation {
    /// All of it, a line each: what is wrong with everything, the route, then its VRPs.
    pub(super) fn words(&self, basis: Basis) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(line) = self.general(basis) {
            words.push(line.to_owned());
        }
        words.extend(self.route(basis));
        let prefix = &self.prefix;
        if self.vrps.is_empty() && self.serving {
            words.push(format!(
                "no VRP covers {prefix}, in no source and no local exception"
            ));
        } else if self.vrps.is_empty() {
            words.push(format!("no VRP is known that covers {prefix}"));
        }
        for story in &self.vrps {
            words.extend(story.words());
        }
        words
    }

    /// What does not depend on the route.
    const fn general(&self, basis: Basis) -> Option<&'static str> {
        match (basis, self.serving) {
            (Basis::Current, true) => None,
            (Basis::LastGood, true) => {
                Some("no source, or too few, can be relied on; routers keep the last good data")
            }
            (Basis::Withdrawn, true) => Some(
                "no source, or too few, can be relied on; the last good data were withdrawn from \
                 routers",
            ),
            (Basis::Withdrawn, false) => {
                Some("no source, or too few, can be relied on; nothing is served at the moment")
            }
            (Basis::Current | Basis::LastGood, false) => Some("nothing is served at the moment"),
        }
    }

    /// The validity, when an origin was asked for.
    fn route(&self, basis: Basis) -> Option<String> {
        let route = format!("{} from AS{}", self.prefix, self.asn?);
        let spoken = |validity: &Option<String>| Some(validity.as_ref()?.replace('-', " "));
        let before = spoken(&self.validity_without_exceptions);
        Some(match (spoken(&self.validity), before) {
            (Some(validity), Some(before)) if before != validity => {
                let without = match basis {
                    Basis::Withdrawn => "by the last good data",
                    Basis::Current | Basis::LastGood => "without local exceptions",
                };
                format!("{route} is {validity}; {without} it would be {before}")
            }
            (Some(validity), _) => format!("{route} is {validity}"),
            (None, Some(before)) => {
                format!("{route} would be {before} by what was validated, before local exceptions")
            }
            (None, None) => format!("{route} cannot be validated"),
        })
    }
}

impl Story {
    /// Why it is served, or not.
    pub(super) fn why(&self, way: &Way<'_>) -> String {
        match self.served {
            true => self.why_served(),
            false => format!("not served, because {}", self.why_not(way)),
        }
    }

    fn why_served(&self) -> String {
        // A filter never removes an assertion (RFC 8416 §3.2).
        let filter = self.filtered_by.first().filter(|_| self.accepted);
        match (self.asserted_by.first(), filter) {
            (Some(entry), Some(filter)) => {
                format!("served, because {entry} asserts it, although {filter} filters it")
            }
            (Some(entry), None) if self.accepted => format!("served; {entry} asserts it as well"),
            (Some(entry), None) => format!("served, because {entry} asserts it"),
            (None, _) if self.held.as_deref() == Some("go") => {
                "served, because the guard stopped the update that lacks it".to_owned()
            }
            (None, _) if self.counting() == 0 => {
                "served, as the last good data have it; no source that counts has it now".to_owned()
            }
            (None, _) => "served".to_owned(),
        }
    }

    /// What would have to be otherwise first.
    fn why_not(&self, way: &Way<'_>) -> String {
        let filter = self.filtered_by.first();
        if let Some(entry) = filter.filter(|_| self.accepted && self.asserted_by.is_empty()) {
            return format!("{entry} filters it");
        }
        let asserted = !self.asserted_by.is_empty();
        if !self.accepted && !asserted {
            if !self.sources.is_empty() && self.sources.iter().all(|said| said.expired) {
                return "it has expired".to_owned();
            }
            if self.held.as_deref() == Some("come") {
                return match filter {
                    None => "the guard stopped the update that has it".to_owned(),
                    Some(entry) => {
                        format!("the guard stopped the update that has it, and {entry} filters it")
                    }
                };
            }
        }
        if way.basis == Basis::Withdrawn && self.accepted {
            return "no source, or too few, can be relied on".to_owned();
        }
        if way.served.is_none() {
            return "nothing is served".to_owned();
        }
        match self.counting() {
            0 => "no source that counts has it".to_owned(),
            _ if way.basis != Basis::Current => {
                "the last good data lack it, and too few sources can be relied on".to_owned()
            }
            1 => "too few sources have it: 1 that counts".to_owned(),
            sources => format!("too few sources have it: {sources} that count"),
        }
    }

    /// How many sources have it that count.
    fn counting(&self) -> usize {
        let counting = self.sources.iter();
        counting.filter(|said| said.counts && !said.expired).count()
    }

    fn words(&self) -> Vec<String> {
        let (prefix, max_length, asn) = (&self.prefix, self.max_length, self.asn);
        let mut line = format!("{prefix}-{max_length} AS{asn}");
        match self.fit.as_deref().and_then(fit) {
            // RFC 6483 §4.
            Some(_) if asn == 0 => line.push_str(", which matches no origin"),
            Some(fit) => line.push_str(fit),
            None => {}
        }
        // Writing to a string cannot fail, here and below.
        let _ = write!(line, ": {}", self.reason);
        let mut words = vec![line];
        words.extend(
            self.sources
                .iter()
                .map(|said| format!("  {}", said.words())),
        );
        let told = self.served && self.asserted_by.is_empty();
        if self.held.as_deref() == Some("go") && !told {
            words.push("  the update that the guard stopped lacks it".to_owned());
        }
        words.extend(self.entries());
        words
    }

    /// The local exceptions that bear on it and that the reason does not name.
    fn entries(&self) -> Vec<String> {
        let mut words = Vec::new();
        let told = |entry: &&String| self.reason.contains(&format!(" {entry} "));
        let verb = match (self.accepted, self.asserted_by.is_empty()) {
            (true, _) => Some("filtered by"),
            (false, true) => Some("would be filtered by"),
            // What only an assertion has is nothing to a filter (RFC 8416 §3.2).
            (false, false) => None,
        };
        if let Some(verb) = verb {
            let untold = self.filtered_by.iter().filter(|entry| !told(entry));
            words.extend(untold.map(|entry| format!("  {verb} {entry}")));
        }
        let untold = self.asserted_by.iter().filter(|entry| !told(entry));
        words.extend(untold.map(|entry| format!("  asserted by {entry}")));
        words
    }
}

/// A fit as `rutter validate` says it, behind a VRP.
fn fit(word: &str) -> Option<&'static str> {
    match word {
        "matched" => Some(", matches"),
        "wrong-as" => Some(", wrong AS"),
        "wrong-length" => Some(", too long"),
        "wrong-as-and-length" => Some(", wrong AS and too long"),
        _ => None,
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
