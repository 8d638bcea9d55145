//! Several files together (RFC 8416 §4.2).

use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use ipnet::IpNet;

use super::exceptions::{Entry, Exceptions};
use super::fault::Position;
use super::file::{BgpsecFilter, File, List, PrefixFilter, Rule};
use super::nest::Block;
use crate::payload::Asn;

/// Whether two files may speak of the same customer AS in their ASPA entries, of which no
/// standard says anything.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AspaOverlap {
    /// They may not, like two files with keys of one AS.
    #[default]
    Refused,
    /// They may.
    Allowed,
}

/// Puts files together.
///
/// Files may not overlap: no address may lie in a prefix of two files, whether filtered or
/// asserted, and no AS may be in the BGPsec entries of two. Entries without a prefix, or with
/// nothing but a key identifier, have no part in this (RFC 8416 §4.2). Inside one file entries
/// may overlap.
///
/// Costs a sort of the entries.
///
/// # Errors
///
/// When two files overlap. Each entry that does so is named once, with the closest one of
/// another file.
pub fn combine(files: Vec<File>, aspa_overlap: AspaOverlap) -> Result<Exceptions, ConflictError> {
    let mut found = Found::default();
    if files.len() > 1 {
        let entries = || {
            let files = files.iter().enumerate();
            files.flat_map(|(place, file)| {
                let records = file.records().iter();
                records.map(move |record| (place, Entry::new(file, record)))
            })
        };
        let located = entries().filter_map(|entry| Some((prefix(&entry.1)?, entry)));
        let (v4, v6): (Vec<_>, Vec<_>) =
            located.partition(|(prefix, _)| matches!(prefix, IpNet::V4(_)));
        prefixes(v4, &mut found);
        prefixes(v6, &mut found);
        equals(
            entries().filter_map(|entry| Some((bgpsec_asn(&entry.1)?, entry))),
            Shared::BgpsecAsn,
            &mut found,
        );
        if aspa_overlap == AspaOverlap::Refused {
            equals(
                entries().filter_map(|entry| Some((customer(&entry.1)?, entry))),
                Shared::Customer,
                &mut found,
            );
        }
    }
    if found.count == 0 {
        return Ok(Exceptions::new(files));
    }
    Err(ConflictError {
        conflicts: found.conflicts,
        count: found.count,
    })
}

/// Why files cannot be used together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConflictError {
    /// The first conflicts, at most 100, at least one.
    pub conflicts: Vec<Conflict>,
    /// How many there are, with those that are not kept.
    pub count: usize,
}

/// Two entries of two files that overlap.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// What they have in common.
    pub shared: Shared,
    /// One of them; of two prefixes the one that covers the other.
    pub first: Named,
    /// The other one.
    pub second: Named,
}

/// An entry by name, free of the file that has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Named {
    /// The name of the file.
    pub file: String,
    /// The list.
    pub list: List,
    /// The place in the list, from 0.
    pub index: usize,
    /// Where it begins in the file.
    pub at: Position,
    /// What it says, such as `10.0.0.0/8 AS64496`.
    pub rule: String,
}

/// What two entries have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shared {
    /// Addresses: the second one's prefix is the first one's or inside of it.
    Addresses(IpNet),
    /// An AS in entries for router keys.
    BgpsecAsn(Asn),
    /// A customer AS in entries for ASPAs.
    Customer(Asn),
}

impl fmt::Display for ConflictError {
    /// A line for each conflict.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, conflict) in self.conflicts.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            conflict.fmt(f)?;
        }
        match self.count.saturating_sub(self.conflicts.len()) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl Error for ConflictError {}

impl fmt::Display for Conflict {
    /// `b.json:7:5: prefixFilters[0] (10.1.0.0/16) overlaps a.json:4:9: … in the addresses of …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            shared,
            first,
            second,
        } = self;
        write!(f, "{second} overlaps {first} in ")?;
        match shared {
            Shared::Addresses(prefix) => write!(f, "the addresses of {prefix}"),
            Shared::BgpsecAsn(asn) => write!(f, "the router keys of {asn}"),
            Shared::Customer(asn) => write!(f, "the ASPAs of {asn}"),
        }
    }
}

impl fmt::Display for Named {
    /// `a.json:4:9: prefixFilters[0] (10.0.0.0/8)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            list,
            index,
            at,
            rule,
        } = self;
        let Position { line, column } = at;
        write!(f, "{file}:{line}:{column}: {list}[{index}] ({rule})")
    }
}

impl From<Entry<'_>> for Named {
    fn from(entry: Entry<'_>) -> Self {
        Self {
            file: entry.file().to_owned(),
            list: entry.list(),
            index: entry.index(),
            at: entry.at(),
            rule: entry.rule().to_string(),
        }
    }
}

/// Conflicts under way.
#[derive(Default)]
struct Found {
    conflicts: Vec<Conflict>,
    count: usize,
}

impl Found {
    /// The most conflicts that are kept.
    const KEPT: usize = 100;

    fn push(&mut self, shared: Shared, first: Entry<'_>, second: Entry<'_>) {
        self.count += 1;
        if self.conflicts.len() < Self::KEPT {
            self.conflicts.push(Conflict {
                shared,
                first: first.into(),
                second: second.into(),
            });
        }
    }
}

/// An entry with the place of its file.
type Placed<'a> = (usize, Entry<'a>);

/// The prefix of an entry, when it has one. Max length does not widen it.
fn prefix(entry: &Entry<'_>) -> Option<IpNet> {
    match entry.rule() {
        Rule::PrefixFilter(PrefixFilter::Prefix(prefix) | PrefixFilter::Both(prefix, _)) => {
            Some(*prefix)
        }
        Rule::PrefixAssertion(vrp) => Some(vrp.prefix()),
        _ => None,
    }
}

const fn bgpsec_asn(entry: &Entry<'_>) -> Option<Asn> {
    match entry.rule() {
        Rule::BgpsecFilter(BgpsecFilter::Asn(asn) | BgpsecFilter::Both(asn, _)) => Some(*asn),
        Rule::BgpsecAssertion(key) => Some(key.asn()),
        _ => None,
    }
}

const fn customer(entry: &Entry<'_>) -> Option<Asn> {
    match entry.rule() {
        Rule::AspaFilter(customer) => Some(*customer),
        Rule::AspaAssertion(aspa) => Some(aspa.customer()),
        _ => None,
    }
}

/// Finds each prefix of one family that another file's prefix covers.
fn prefixes(entries: Vec<(IpNet, Placed<'_>)>, found: &mut Found) {
    let mut entries: Vec<(Block, IpNet, Placed<'_>)> = entries
        .into_iter()
        .map(|(prefix, entry)| (Block::of(&prefix), prefix, entry))
        .collect();
    // What covers comes first; the sort is stable, so equal ones are in the order of the files.
    entries.sort_by_key(|(block, ..)| (block.first, block.len));
    // Those that cover the entry at hand, closest last, each with the closest of another file.
    let mut open: Vec<(u128, Placed<'_>, Option<Placed<'_>>)> = Vec::new();
    for (block, prefix, entry) in entries {
        while open.last().is_some_and(|(last, ..)| *last < block.first) {
            open.pop();
        }
        let other = open.last().and_then(|(_, above, others)| {
            if above.0 == entry.0 {
                *others
            } else {
                Some(*above)
            }
        });
        if let Some((_, covering)) = other {
            found.push(Shared::Addresses(prefix), covering, entry.1);
        }
        open.push((block.last(), entry, other));
    }
}

/// Finds each entry whose key the first entry with it has in another file.
fn equals<'a>(
    entries: impl Iterator<Item = (Asn, Placed<'a>)>,
    shared: impl Fn(Asn) -> Shared,
    found: &mut Found,
) {
    let mut first: HashMap<Asn, Placed<'_>> = HashMap::new();
    for (asn, entry) in entries {
        let (file, earlier) = *first.entry(asn).or_insert(entry);
        if file != entry.0 {
            found.push(shared(asn), earlier, entry.1);
        }
    }
}
