//! What a file says: filters and assertions, each with its place.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::fault::Position;
use crate::payload::{Asn, Aspa, RouterKey, Vrp};

/// One parsed file: immutable and cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    name: Arc<str>,
    version: Version,
    records: Arc<[Record]>,
}

impl File {
    pub(super) fn new(name: &str, version: Version, records: Vec<Record>) -> Self {
        Self {
            name: name.into(),
            version,
            records: records.into(),
        }
    }

    /// The name that it was parsed under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its `slurmVersion` says.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Its filters and assertions: the lists in the order of [`List::ALL`], each list as it is.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How many entries a list has.
    pub fn count(&self, list: List) -> usize {
        let of_list = |record: &&Record| record.list() == list;
        self.records.iter().filter(of_list).count()
    }
}

/// The version of a file, which says what lists it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// RFC 8416.
    V1,
    /// draft-ietf-sidrops-aspa-slurm: RFC 8416 and ASPAs.
    V2,
}

/// A list of a file.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum List {
    /// `prefixFilters`.
    PrefixFilters,
    /// `bgpsecFilters`.
    BgpsecFilters,
    /// `aspaFilters`, in version 2.
    AspaFilters,
    /// `prefixAssertions`.
    PrefixAssertions,
    /// `bgpsecAssertions`.
    BgpsecAssertions,
    /// `aspaAssertions`, in version 2.
    AspaAssertions,
}

impl List {
    /// All lists, filters first.
    pub const ALL: [Self; 6] = [
        Self::PrefixFilters,
        Self::BgpsecFilters,
        Self::AspaFilters,
        Self::PrefixAssertions,
        Self::BgpsecAssertions,
        Self::AspaAssertions,
    ];

    /// Its name in a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrefixFilters => "prefixFilters",
            Self::BgpsecFilters => "bgpsecFilters",
            Self::AspaFilters => "aspaFilters",
            Self::PrefixAssertions => "prefixAssertions",
            Self::BgpsecAssertions => "bgpsecAssertions",
            Self::AspaAssertions => "aspaAssertions",
        }
    }

    /// Whether its entries are filters.
    pub const fn is_filter(self) -> bool {
        matches!(
            self,
            Self::PrefixFilters | Self::BgpsecFilters | Self::AspaFilters
        )
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An entry of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// What it says.
    pub rule: Rule,
    /// Its place in its list, from 0.
    pub index: usize,
    /// Where it begins in the file.
    pub at: Position,
    /// What its writer says about it (RFC 8416 §3.3, §3.4), `None` when nothing.
    pub comment: Option<Box<str>>,
}

impl Record {
    /// The list that it is in.
    pub const fn list(&self) -> List {
        match self.rule {
            Rule::PrefixFilter(_) => List::PrefixFilters,
            Rule::BgpsecFilter(_) => List::BgpsecFilters,
            Rule::AspaFilter(_) => List::AspaFilters,
            Rule::PrefixAssertion(_) => List::PrefixAssertions,
            Rule::BgpsecAssertion(_) => List::BgpsecAssertions,
            Rule::AspaAssertion(_) => List::AspaAssertions,
        }
    }
}

/// What an entry says.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Rule {
    /// VRPs that are not served (RFC 8416 §3.3.1).
    PrefixFilter(PrefixFilter),
    /// Router keys that are not served (RFC 8416 §3.3.2).
    BgpsecFilter(BgpsecFilter),
    /// The customer whose ASPAs are not served.
    AspaFilter(Asn),
    /// A VRP that is served (RFC 8416 §3.4.1).
    PrefixAssertion(Vrp),
    /// A router key that is served (RFC 8416 §3.4.2).
    BgpsecAssertion(RouterKey),
    /// Providers that are served.
    AspaAssertion(Aspa),
}

impl fmt::Display for Rule {
    /// `192.0.2.0/24 AS64496`, without the word for what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrefixFilter(PrefixFilter::Prefix(prefix)) => prefix.fmt(f),
            Self::PrefixFilter(PrefixFilter::Asn(asn)) => asn.fmt(f),
            Self::PrefixFilter(PrefixFilter::Both(prefix, asn)) => write!(f, "{prefix} {asn}"),
            Self::BgpsecFilter(BgpsecFilter::Asn(asn)) => asn.fmt(f),
            Self::BgpsecFilter(BgpsecFilter::Ski(ski)) => hexadecimal(ski, f),
            Self::BgpsecFilter(BgpsecFilter::Both(asn, ski)) => {
                hexadecimal(ski, f)?;
                write!(f, " {asn}")
            }
            Self::AspaFilter(customer) => customer.fmt(f),
            Self::PrefixAssertion(vrp) => vrp.fmt(f),
            Self::BgpsecAssertion(key) => fmt::Debug::fmt(key, f),
            Self::AspaAssertion(aspa) => providers(aspa, f),
        }
    }
}

fn hexadecimal(ski: &[u8; 20], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    ski.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

/// `AS64500 by AS64501, AS64502`, and not all of a long list.
fn providers(aspa: &Aspa, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const SHOWN: usize = 4;
    write!(f, "{} by ", aspa.customer())?;
    for (place, provider) in aspa.providers().iter().take(SHOWN).enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        write!(f, "{comma}{provider}")?;
    }
    match aspa.providers().len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

/// What a VRP must have to be filtered. Max length plays no part.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PrefixFilter {
    /// This prefix or one inside of it.
    Prefix(IpNet),
    /// This AS.
    Asn(Asn),
    /// Both.
    Both(IpNet, Asn),
}

/// What a router key must have to be filtered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BgpsecFilter {
    /// This AS.
    Asn(Asn),
    /// This identifier.
    Ski([u8; 20]),
    /// Both.
    Both(Asn, [u8; 20]),
}
