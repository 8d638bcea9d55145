//! From the text of a file to what it says.

use std::collections::HashMap;

use super::fault::{FaultKind, FileError, Leniency};
use super::file::{BgpsecFilter, File, List, PrefixFilter, Record, Rule, Version};
use super::members::{Name, members, required};
use super::reader::{self, Node, Value};
use super::report::{Path, Report};
use super::value;
use crate::payload::{Asn, Aspa, RouterKey, Vrp};

/// How closely a file must keep to the standard.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reading {
    /// Exactly RFC 8416 §3, or the ASPA draft: everything else is a fault.
    #[default]
    Strict,
    /// What many files have and what can be understood without doubt is read and noted. What
    /// cannot be understood is a fault still: half a file is never used.
    Lenient,
}

/// A file that was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parsed {
    /// What it says.
    pub file: File,
    /// What is not as the standard has it, at most the first 100. In a strict reading only the
    /// alphabet of a public key in version 2, which the draft's own example has wrong.
    pub leniencies: Vec<Leniency>,
    /// How many of those there are, with those that are not kept.
    pub leniency_count: usize,
}

const SLURM_VERSION: &str = "slurmVersion";
const FILTERS: &str = "validationOutputFilters";
const ASSERTIONS: &str = "locallyAddedAssertions";

const ASN: Name = Name::new("asn");
const COMMENT: Name = Name::new("comment");
const CUSTOMER: Name = Name::once(
    "customerAsn",
    &["customerAsid", "customer_asid", "customer"],
);
const MAX_LEN: Name = Name::once("maxPrefixLength", &["maxLength"]);
const PREFIX: Name = Name::new("prefix");
const PROVIDERS: Name = Name::once(
    "providerAsns",
    &[
        "providers",
        "providerAsid",
        "providerAsids",
        "providerSet",
        "provider_set",
    ],
);
const PUBLIC_KEY: Name = Name::new("routerPublicKey");
const SKI: Name = Name::new("SKI");

/// Reads a file of this name.
///
/// The file must be UTF-8 of at most 32 MiB. Costs a pass over it.
///
/// # Errors
///
/// When anything in the file is not as the reading wants it. The error has all faults, except
/// that nothing more is said of a file that is not JSON.
pub fn parse(name: &str, text: &[u8], reading: Reading) -> Result<Parsed, FileError> {
    let mut report = Report::new(reading);
    let read = reader::read(text, &mut report).and_then(|top| file(&top, &mut report));
    // Found in the order of the steps; a reader goes down the file.
    report.faults.sort_by_key(|fault| fault.at);
    report.leniencies.sort_by_key(|leniency| leniency.at);
    match read {
        Some((version, records)) if report.fault_count == 0 => Ok(Parsed {
            file: File::new(name, version, records),
            leniencies: report.leniencies,
            leniency_count: report.leniency_count,
        }),
        _ => Err(FileError {
            name: name.to_owned(),
            faults: report.faults,
            count: report.fault_count,
        }),
    }
}

/// RFC 8416 §3.2.
fn file(top: &Node<'_>, report: &mut Report) -> Option<(Version, Vec<Record>)> {
    let path = Path::Top;
    let names = [SLURM_VERSION, FILTERS, ASSERTIONS].map(Name::new);
    let [version, filters, assertions] = members(top, &path, &names, report)?;
    let version = required(version, top.at, &path, SLURM_VERSION, report);
    let version = version.and_then(|node| self::version(node, &path, report));
    let mut records = Vec::new();
    for (member, section) in [filters, assertions].into_iter().zip(&SECTIONS) {
        let path = path.member(section.name);
        match member {
            Some(node) => section.read(node, &path, version, &mut records, report),
            None => needed(top, &path, section.name, report),
        }
    }
    if report.is_lenient() {
        twins(&records, report);
    }
    Some((version?, records))
}

fn version(node: &Node<'_>, path: &Path<'_>, report: &mut Report) -> Option<Version> {
    let path = path.member(SLURM_VERSION);
    let digits = match &node.value {
        Value::Number(digits) => *digits,
        Value::Text(text) => {
            let go_on = report.tolerate(
                FaultKind::WrongType,
                node.at,
                &path,
                || "expected the number 1 or 2, found a text".to_owned(),
                || "a text read as a number".to_owned(),
            );
            if !go_on {
                return None;
            }
            text
        }
        _ => "",
    };
    let version = match digits {
        "1" => Some(Version::V1),
        "2" => Some(Version::V2),
        _ => None,
    };
    if version.is_none() {
        let kind = match &node.value {
            Value::Number(_) | Value::Text(_) => FaultKind::Version,
            _ => FaultKind::WrongType,
        };
        let message = format!(
            "expected the number 1 or 2, found {}",
            node.value.described()
        );
        report.fault(kind, node.at, &path, message);
    }
    version
}

/// Says that a section or a list is not there, which it must be even when it is empty (RFC 8416
/// §3.2, §3.3, §3.4). A lenient reading takes an absent one for an empty one.
fn needed(within: &Node<'_>, path: &Path<'_>, name: &str, report: &mut Report) {
    report.tolerate(
        FaultKind::MissingMember,
        within.at,
        path,
        || format!("expected the member {name} even if it is empty, found none"),
        || format!("no member {name}, read as empty"),
    );
}

/// A section and its lists: those of VRPs, of router keys and of ASPAs.
struct Section {
    name: &'static str,
    lists: [List; 3],
    /// What a fragment of the draft calls the last one.
    aspa: Name,
}

const SECTIONS: [Section; 2] = [
    Section {
        name: FILTERS,
        lists: [List::PrefixFilters, List::BgpsecFilters, List::AspaFilters],
        aspa: Name::once("aspaFilters", &["aspaFilter"]),
    },
    Section {
        name: ASSERTIONS,
        lists: [
            List::PrefixAssertions,
            List::BgpsecAssertions,
            List::AspaAssertions,
        ],
        aspa: Name::once("aspaAssertions", &["aspaAssertion"]),
    },
];

impl Section {
    fn read(
        &self,
        node: &Node<'_>,
        path: &Path<'_>,
        version: Option<Version>,
        records: &mut Vec<Record>,
        report: &mut Report,
    ) {
        let [prefix, bgpsec, _] = self.lists;
        let names = [
            Name::new(prefix.name()),
            Name::new(bgpsec.name()),
            self.aspa,
        ];
        let Some(mut found) = members(node, path, &names, report) else {
            return;
        };
        if let ([.., aspas], Some(Version::V1)) = (&mut found, version) {
            self.only_in_v2(aspas, path, report);
        }
        for (member, list) in found.into_iter().zip(self.lists) {
            let path = path.member(list.name());
            // Without a version the entries can still be looked at, but not what lists there are.
            let optional = version != Some(Version::V2) && list.name() == self.aspa.right;
            let Some(member) = member else {
                if !optional {
                    needed(node, &path, list.name(), report);
                }
                continue;
            };
            self::list(member, &path, list, version, records, report);
        }
    }

    /// A list of ASPAs is unknown to RFC 8416; a lenient reading takes it all the same.
    fn only_in_v2(&self, aspas: &mut Option<&Node<'_>>, path: &Path<'_>, report: &mut Report) {
        let Some(node) = aspas else {
            return;
        };
        let name = self.aspa.right;
        let go_on = report.tolerate(
            FaultKind::UnknownMember,
            node.at,
            &path.member(name),
            || "unknown member of version 1, it needs slurmVersion 2".to_owned(),
            || "a member of version 2 in version 1, read as there".to_owned(),
        );
        if !go_on {
            *aspas = None;
        }
    }
}

fn list(
    node: &Node<'_>,
    path: &Path<'_>,
    list: List,
    version: Option<Version>,
    records: &mut Vec<Record>,
    report: &mut Report,
) {
    let Value::List(nodes) = &node.value else {
        let message = format!("expected an array, found {}", node.value.described());
        report.fault(FaultKind::WrongType, node.at, path, message);
        return;
    };
    for (index, node) in nodes.iter().enumerate() {
        let entry = EntryNode {
            node,
            path: path.item(index),
        };
        let read = match list {
            List::PrefixFilters => entry.prefix_filter(report),
            List::BgpsecFilters => entry.bgpsec_filter(report),
            List::AspaFilters => entry.aspa_filter(report),
            List::PrefixAssertions => entry.prefix_assertion(report),
            List::BgpsecAssertions => entry.bgpsec_assertion(version, report),
            List::AspaAssertions => entry.aspa_assertion(report),
        };
        if let Some((rule, comment)) = read {
            let at = node.at;
            records.push(Record {
                rule,
                index,
                at,
                comment,
            });
        }
    }
}

/// What an entry says, with its comment.
type Said = (Rule, Option<Box<str>>);

/// An entry of a list that is being read.
struct EntryNode<'n, 'a> {
    node: &'n Node<'a>,
    path: Path<'n>,
}

impl EntryNode<'_, '_> {
    /// RFC 8416 §3.3.1.
    fn prefix_filter(&self, report: &mut Report) -> Option<Said> {
        let names = [PREFIX, ASN, COMMENT];
        let [prefix, asn, comment] = members(self.node, &self.path, &names, report)?;
        let comment = self.comment(comment, report);
        let prefix = prefix.map(|node| value::prefix(node, &self.path.member("prefix"), report));
        let asn = asn.map(|node| value::asn(node, &self.path.member("asn"), report));
        let filter = match (prefix, asn) {
            (None, None) => return self.empty("prefix or asn", report),
            (Some(prefix), None) => PrefixFilter::Prefix(prefix?),
            (None, Some(asn)) => PrefixFilter::Asn(asn?),
            (Some(prefix), Some(asn)) => PrefixFilter::Both(prefix?, asn?),
        };
        Some((Rule::PrefixFilter(filter), comment))
    }

    /// RFC 8416 §3.3.2.
    fn bgpsec_filter(&self, report: &mut Report) -> Option<Said> {
        let names = [ASN, SKI, COMMENT];
        let [asn, ski, comment] = members(self.node, &self.path, &names, report)?;
        let comment = self.comment(comment, report);
        let asn = asn.map(|node| value::asn(node, &self.path.member("asn"), report));
        let ski = ski.map(|node| value::ski(node, &self.path.member("SKI"), report));
        let filter = match (asn, ski) {
            (None, None) => return self.empty("asn or SKI", report),
            (Some(asn), None) => BgpsecFilter::Asn(asn?),
            (None, Some(ski)) => BgpsecFilter::Ski(ski?),
            (Some(asn), Some(ski)) => BgpsecFilter::Both(asn?, ski?),
        };
        Some((Rule::BgpsecFilter(filter), comment))
    }

    fn aspa_filter(&self, report: &mut Report) -> Option<Said> {
        let names = [CUSTOMER, COMMENT];
        let [customer, comment] = members(self.node, &self.path, &names, report)?;
        let comment = self.comment(comment, report);
        let customer = self.asn(customer, CUSTOMER, report)?;
        Some((Rule::AspaFilter(customer), comment))
    }

    /// RFC 8416 §3.4.1.
    fn prefix_assertion(&self, report: &mut Report) -> Option<Said> {
        let names = [ASN, PREFIX, MAX_LEN, COMMENT];
        let [asn, prefix, max_len, comment] = members(self.node, &self.path, &names, report)?;
        let comment = self.comment(comment, report);
        let asn = self.asn(asn, ASN, report);
        let prefix = self.required(prefix, PREFIX, report);
        let prefix =
            prefix.and_then(|node| value::prefix(node, &self.path.member("prefix"), report));
        let path = self.path.member(MAX_LEN.right);
        let max_len = match max_len {
            Some(node) => value::max_len(node, &path, prefix, report),
            None => prefix.map(|prefix| prefix.prefix_len()),
        };
        let (prefix, max_len, asn) = (prefix?, max_len?, asn?);
        match Vrp::new(prefix, max_len, asn) {
            Ok(vrp) => Some((Rule::PrefixAssertion(vrp), comment)),
            Err(error) => self.fault(FaultKind::MaxLen, &self.path, error.to_string(), report),
        }
    }

    /// RFC 8416 §3.4.2.
    fn bgpsec_assertion(&self, version: Option<Version>, report: &mut Report) -> Option<Said> {
        let names = [ASN, SKI, PUBLIC_KEY, COMMENT];
        let [asn, ski, key, comment] = members(self.node, &self.path, &names, report)?;
        let comment = self.comment(comment, report);
        let asn = self.asn(asn, ASN, report);
        let ski = self.required(ski, SKI, report);
        let ski = ski.and_then(|node| value::ski(node, &self.path.member("SKI"), report));
        let key = self.required(key, PUBLIC_KEY, report);
        let path = self.path.member(PUBLIC_KEY.right);
        let key = key.and_then(|node| value::key(node, &path, version, report));
        let (asn, ski, key) = (asn?, ski?, key?);
        match RouterKey::new(ski, asn, &key) {
            Ok(key) => Some((Rule::BgpsecAssertion(key), comment)),
            Err(error) => self.fault(FaultKind::Key, &path, error.to_string(), report),
        }
    }

    fn aspa_assertion(&self, report: &mut Report) -> Option<Said> {
        let names = [CUSTOMER, PROVIDERS, COMMENT];
        let [customer, providers, comment] = members(self.node, &self.path, &names, report)?;
        let comment = self.comment(comment, report);
        let customer = self.asn(customer, CUSTOMER, report);
        let list = self.required(providers, PROVIDERS, report)?;
        let path = self.path.member(PROVIDERS.right);
        let providers = self.providers(list, &path, report);
        let (customer, mut providers) = (customer?, providers?);
        // A lenient reading brings them into order; AS0 beside others contradicts itself.
        let ordered = providers.is_sorted_by(|a, b| a < b);
        if !ordered && report.is_lenient() {
            report.note(list.at, &path, "providers brought into ascending order");
            providers.sort_unstable();
            providers.dedup();
        }
        let most = Aspa::MAX_PROVIDERS;
        if providers.len() > most {
            let message = format!("expected at most {most}, found {}", providers.len());
            return self.fault(FaultKind::Aspa, &path, message, report);
        }
        match Aspa::from_wire(customer, providers) {
            Ok(aspa) => Some((Rule::AspaAssertion(aspa), comment)),
            Err(error) => self.fault(FaultKind::Aspa, &self.path, error.to_string(), report),
        }
    }

    fn providers(&self, node: &Node<'_>, path: &Path<'_>, report: &mut Report) -> Option<Vec<Asn>> {
        let Value::List(nodes) = &node.value else {
            let found = node.value.described();
            let message = format!("expected an array of AS numbers, found {found}");
            report.fault(FaultKind::WrongType, node.at, path, message);
            return None;
        };
        let mut providers = Some(Vec::with_capacity(nodes.len()));
        for (index, node) in nodes.iter().enumerate() {
            // All of them are looked at, even behind a fault.
            match (value::asn(node, &path.item(index), report), &mut providers) {
                (Some(asn), Some(providers)) => providers.push(asn),
                _ => providers = None,
            }
        }
        providers
    }

    fn required<'n, 'a>(
        &self,
        member: Option<&'n Node<'a>>,
        name: Name,
        report: &mut Report,
    ) -> Option<&'n Node<'a>> {
        required(member, self.node.at, &self.path, name.right, report)
    }

    fn asn(&self, member: Option<&Node<'_>>, name: Name, report: &mut Report) -> Option<Asn> {
        let node = self.required(member, name, report)?;
        value::asn(node, &self.path.member(name.right), report)
    }

    fn comment(&self, member: Option<&Node<'_>>, report: &mut Report) -> Option<Box<str>> {
        value::comment(member?, &self.path.member("comment"), report)
    }

    /// A filter that would match nothing or, to a careless reader, everything.
    fn empty(&self, what: &str, report: &mut Report) -> Option<Said> {
        let message = format!("expected {what} or both in a filter, found neither");
        self.fault(FaultKind::EmptyFilter, &self.path, message, report)
    }

    fn fault(
        &self,
        kind: FaultKind,
        path: &Path<'_>,
        message: String,
        report: &mut Report,
    ) -> Option<Said> {
        report.fault(kind, self.node.at, path, message);
        None
    }
}

/// Notes the entries that say what another one of their list says.
fn twins(records: &[Record], report: &mut Report) {
    let mut first: HashMap<&Rule, usize> = HashMap::with_capacity(records.len());
    for record in records {
        let list = record.list();
        let earlier = *first.entry(&record.rule).or_insert(record.index);
        if earlier != record.index {
            let section = if list.is_filter() {
                FILTERS
            } else {
                ASSERTIONS
            };
            let (top, list) = (Path::Top, list.name());
            let (section, message) = (
                top.member(section),
                format!("says the same as {list}[{earlier}]"),
            );
            let path = section.member(list);
            report.note(record.at, &path.item(record.index), message);
        }
    }
}
