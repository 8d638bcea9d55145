//! What local exceptions do to a set, entry by entry, for people and for programs.

use std::collections::HashMap;

use serde::Serialize;

use crate::payload::{DataSet, Kind, PayloadSet, Rows};
use crate::slurm::{Entry, EntryEffect, Exceptions, List};

/// What exceptions do to rows.
#[derive(Clone, Debug, Serialize)]
pub struct Effects {
    /// Each entry, in the order of the files.
    pub entries: Vec<EntryReport>,
    /// How many rows are removed, each once.
    pub removed: usize,
    /// How many rows are added.
    pub added: usize,
    /// What is served without the exceptions.
    pub before: Totals,
    /// What is served with them.
    pub after: Totals,
}

/// What one entry does.
#[derive(Clone, Debug, Serialize)]
pub struct EntryReport {
    /// The name of its file.
    pub file: String,
    /// The line on which it begins, from 1.
    pub line: u32,
    /// The character on that line, from 1.
    pub column: u32,
    /// The name of its list.
    pub list: &'static str,
    /// Its place in the list, from 0.
    pub index: usize,
    /// What it says.
    pub rule: String,
    /// What its writer says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
    /// Whether it does nothing.
    pub idle: bool,
    /// Whether it is a filter of whose rows each is removed by another one, too.
    pub shadowed: bool,
    /// Other filters that match what it matches, at most [`Effects::SHOWN`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_matched_by: Vec<String>,
    /// The first payloads that it matches, at most [`Effects::SHOWN`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub payloads: Vec<String>,
}

/// What an entry can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Action {
    /// Remove rows.
    Filter {
        /// How many it matches.
        matched: usize,
        /// How many of these no other filter matches.
        alone: usize,
    },
    /// Add a row.
    Assertion {
        /// Whether it does; not when the row is there anyway.
        added: bool,
    },
}

/// How many payloads there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Totals {
    /// VRPs of IPv4 prefixes.
    pub ipv4: usize,
    /// VRPs of IPv6 prefixes.
    pub ipv6: usize,
    /// Router keys.
    pub router_keys: usize,
    /// ASPAs, one a customer.
    pub aspas: usize,
}

impl Totals {
    fn of(set: &PayloadSet) -> Self {
        Self {
            ipv4: set.count(Kind::Ipv4),
            ipv6: set.count(Kind::Ipv6),
            router_keys: set.count(Kind::RouterKey),
            aspas: set.count(Kind::Aspa),
        }
    }
}

impl Effects {
    /// The most payloads, and the most other filters, that are shown of an entry.
    pub const SHOWN: usize = 5;

    /// What these exceptions do to these rows. Costs two passes over them, one with a search for
    /// each row.
    pub fn new(exceptions: &Exceptions, rows: &Rows) -> Self {
        let applied = exceptions.apply(rows, 0);
        let mut notes = Notes::new(exceptions);
        notes.take(rows);
        let entries = applied.effect.entries().zip(notes.entries);
        Self {
            entries: entries
                .map(|((entry, effect), note)| EntryReport::new(&entry, effect, note))
                .collect(),
            removed: applied.effect.removed(),
            added: applied.effect.added(),
            before: Totals::of(DataSet::new(rows).payload()),
            after: Totals::of(DataSet::new(&applied.rows).payload()),
        }
    }
}

impl EntryReport {
    fn new(entry: &Entry<'_>, effect: EntryEffect, note: Note) -> Self {
        Self {
            file: entry.file().to_owned(),
            line: entry.at().line,
            column: entry.at().column,
            list: entry.list().name(),
            index: entry.index(),
            rule: entry.rule().to_string(),
            comment: entry.comment().map(str::to_owned),
            action: match effect {
                EntryEffect::Filter { matched, alone } => Action::Filter { matched, alone },
                EntryEffect::Assertion { added } => Action::Assertion { added },
            },
            idle: effect.is_idle(),
            shadowed: effect.is_shadowed(),
            also_matched_by: note.others,
            payloads: note.payloads,
        }
    }
}

/// What is noted of an entry while rows pass by.
#[derive(Clone, Debug, Default)]
struct Note {
    others: Vec<String>,
    payloads: Vec<String>,
}

/// What is noted of all entries.
struct Notes<'a> {
    exceptions: &'a Exceptions,
    /// The place of each filter among the entries.
    places: HashMap<(&'a str, List, usize), usize>,
    entries: Vec<Note>,
}

impl<'a> Notes<'a> {
    fn new(exceptions: &'a Exceptions) -> Self {
        let entries = exceptions.entries().enumerate();
        Self {
            exceptions,
            places: entries.map(|(place, entry)| (key(&entry), place)).collect(),
            entries: vec![Note::default(); exceptions.len()],
        }
    }

    fn take(&mut self, rows: &Rows) {
        let exceptions = self.exceptions;
        for vrp in DataSet::new(rows).payload().vrps() {
            self.note(&exceptions.filters_of(&vrp), || vrp.to_string());
        }
        for (router_key, _) in rows.router_keys().iter() {
            let filters = exceptions.filters_of_router_key(router_key);
            self.note(&filters, || format!("{router_key:?}"));
        }
        for (aspa, _) in rows.aspas().iter() {
            let filters = exceptions.filters_of_customer(aspa.customer());
            self.note(&filters, || format!("{aspa:?}"));
        }
    }

    fn note(&mut self, filters: &[Entry<'_>], payload: impl Fn() -> String) {
        for filter in filters {
            let place = self.places.get(&key(filter)).copied();
            let Some(note) = place.and_then(|place| self.entries.get_mut(place)) else {
                continue;
            };
            if note.payloads.len() < Effects::SHOWN {
                note.payloads.push(payload());
            }
            for other in filters.iter().filter(|other| *other != filter) {
                if note.others.len() == Effects::SHOWN {
                    break;
                }
                let other = other.to_string();
                if !note.others.contains(&other) {
                    note.others.push(other);
                }
            }
        }
    }
}

fn key<'a>(entry: &Entry<'a>) -> (&'a str, List, usize) {
    (entry.file(), entry.list(), entry.index())
}
