//! What all files say together, arranged to be applied.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::fault::Position;
use super::file::{BgpsecFilter, File, List, PrefixFilter, Record, Rule};
use super::filters::{EqualFilters, PrefixFilters};
use super::nest::{Block, Nest};
use crate::payload::vrp::{VrpV4, VrpV6};
use crate::payload::{Asn, Aspa, RouterKey, Vrp};

/// The exceptions of an operator: immutable and cheap to clone. The default is none.
///
/// Two are equal when their files say the same in the same places.
#[derive(Clone, Default)]
pub struct Exceptions(Arc<Arranged>);

/// The files and what is found by searching in them.
#[derive(Default)]
pub(super) struct Arranged {
    files: Vec<File>,
    /// A file and a record of it, by their places, for each entry.
    entries: Vec<(usize, usize)>,
    pub(super) v4: PrefixFilters,
    pub(super) v6: PrefixFilters,
    pub(super) router_keys: EqualFilters<BgpsecFilter>,
    pub(super) aspas: EqualFilters<Asn>,
    pub(super) asserted: Asserted,
    covered_v4: Nest,
    covered_v6: Nest,
}

/// What is asserted, each once and in wire order.
#[derive(Default)]
pub(super) struct Asserted {
    pub(super) v4: Distinct<VrpV4>,
    pub(super) v6: Distinct<VrpV6>,
    pub(super) router_keys: Distinct<RouterKey>,
    pub(super) aspas: Distinct<Aspa>,
}

/// Records in wire order, each once, and for each the first entry that asserts it.
pub(super) struct Distinct<T> {
    pub(super) records: Vec<T>,
    pub(super) entries: Vec<usize>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            entries: Vec::new(),
        }
    }
}

impl<T: Ord> Distinct<T> {
    fn new(mut asserted: Vec<(T, usize)>) -> Self {
        asserted.sort();
        asserted.dedup_by(|(later, _), (first, _)| later == first);
        let (records, entries) = asserted.into_iter().unzip();
        Self { records, entries }
    }
}

impl Exceptions {
    /// Of files that do not conflict.
    pub(super) fn new(files: Vec<File>) -> Self {
        let places = files.iter().enumerate();
        let entries: Vec<(usize, usize)> = places
            .flat_map(|(file, said)| (0..said.records().len()).map(move |record| (file, record)))
            .collect();
        let mut gathered = Gathered::default();
        let records = files.iter().flat_map(File::records);
        for (entry, record) in records.enumerate() {
            gathered.take(&record.rule, entry);
        }
        Self(Arc::new(gathered.arrange(files, entries)))
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// The files, in the order in which they were given.
    pub fn files(&self) -> &[File] {
        &self.0.files
    }

    /// All entries: file by file, in the order of [`File::records`].
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).filter_map(|place| self.entry(place))
    }

    /// The filters that remove this VRP. Costs a search.
    pub fn filters_of(&self, vrp: &Vrp) -> Vec<Entry<'_>> {
        let (filters, block) = match vrp {
            Vrp::V4(vrp) => (&self.0.v4, v4_block(vrp)),
            Vrp::V6(vrp) => (&self.0.v6, v6_block(vrp)),
        };
        self.at(filters.matching(block, vrp.asn()))
    }

    /// The filters that remove this router key.
    pub fn filters_of_router_key(&self, key: &RouterKey) -> Vec<Entry<'_>> {
        self.at(self.0.router_keys.matching(&key_filters(key)))
    }

    /// The filters that remove the ASPAs of this customer.
    pub fn filters_of_customer(&self, customer: Asn) -> Vec<Entry<'_>> {
        self.at(self.0.aspas.matching(&[customer]))
    }

    /// The asserted VRPs whose prefix is this one or covers it. Costs a search.
    pub fn assertions_covering(&self, prefix: IpNet) -> Vec<Entry<'_>> {
        let prefix = prefix.trunc();
        let nest = match prefix {
            IpNet::V4(_) => &self.0.covered_v4,
            IpNet::V6(_) => &self.0.covered_v6,
        };
        let nodes = nest.covering_block(Block::of(&prefix));
        let mut entries: Vec<usize> = nodes
            .flat_map(|node| node.entries.iter().copied())
            .collect();
        entries.sort_unstable();
        self.at(entries)
    }

    /// The assertions of this VRP. Costs a search.
    pub fn assertions_of(&self, vrp: &Vrp) -> Vec<Entry<'_>> {
        let equal =
            |rule: &Rule| matches!(rule, Rule::PrefixAssertion(asserted) if asserted == vrp);
        let mut entries = self.assertions_covering(vrp.prefix());
        entries.retain(|entry| equal(entry.rule()));
        entries
    }

    /// The assertions of this router key. Costs a look at each entry.
    pub fn assertions_of_router_key(&self, key: &RouterKey) -> Vec<Entry<'_>> {
        let equal =
            |rule: &Rule| matches!(rule, Rule::BgpsecAssertion(asserted) if asserted == key);
        self.entries().filter(|entry| equal(entry.rule())).collect()
    }

    /// The assertions for this customer. Costs a look at each entry.
    pub fn assertions_of_customer(&self, customer: Asn) -> Vec<Entry<'_>> {
        let of_customer =
            |rule: &Rule| matches!(rule, Rule::AspaAssertion(aspa) if aspa.customer() == customer);
        let found = self.entries().filter(|entry| of_customer(entry.rule()));
        found.collect()
    }

    pub(super) fn arranged(&self) -> &Arranged {
        &self.0
    }

    fn entry(&self, place: usize) -> Option<Entry<'_>> {
        let (file, record) = self.0.entries.get(place)?;
        let file = self.0.files.get(*file)?;
        let record = file.records().get(*record)?;
        Some(Entry { file, record })
    }

    fn at(&self, places: Vec<usize>) -> Vec<Entry<'_>> {
        let entries = places.into_iter().filter_map(|place| self.entry(place));
        entries.collect()
    }
}

impl PartialEq for Exceptions {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.files == other.0.files
    }
}

impl Eq for Exceptions {}

impl fmt::Debug for Exceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries().map(|entry| entry.to_string());
        f.debug_list().entries(entries).finish()
    }
}

/// Where a VRP lies.
pub(super) fn v4_block(vrp: &VrpV4) -> Block {
    Block::v4(vrp.address(), vrp.prefix_len())
}

/// Where a VRP lies.
pub(super) fn v6_block(vrp: &VrpV6) -> Block {
    Block {
        first: vrp.address(),
        len: vrp.prefix_len(),
    }
}

/// The filters that match a key.
pub(super) const fn key_filters(key: &RouterKey) -> [BgpsecFilter; 3] {
    let (asn, ski) = (key.asn(), *key.ski());
    [
        BgpsecFilter::Asn(asn),
        BgpsecFilter::Ski(ski),
        BgpsecFilter::Both(asn, ski),
    ]
}

/// Entries by what they are about.
#[derive(Default)]
struct Gathered {
    filters_v4: Vec<(Option<Asn>, Block, usize)>,
    filters_v6: Vec<(Option<Asn>, Block, usize)>,
    filters_router_keys: Vec<(BgpsecFilter, usize)>,
    filters_aspas: Vec<(Asn, usize)>,
    v4: Vec<(VrpV4, usize)>,
    v6: Vec<(VrpV6, usize)>,
    router_keys: Vec<(RouterKey, usize)>,
    aspas: Vec<(Aspa, usize)>,
}

impl Gathered {
    fn take(&mut self, rule: &Rule, entry: usize) {
        match rule {
            Rule::PrefixFilter(filter) => self.take_prefix_filter(filter, entry),
            Rule::BgpsecFilter(filter) => self.filters_router_keys.push((*filter, entry)),
            Rule::AspaFilter(customer) => self.filters_aspas.push((*customer, entry)),
            Rule::PrefixAssertion(Vrp::V4(vrp)) => self.v4.push((*vrp, entry)),
            Rule::PrefixAssertion(Vrp::V6(vrp)) => self.v6.push((*vrp, entry)),
            Rule::BgpsecAssertion(key) => self.router_keys.push((key.clone(), entry)),
            Rule::AspaAssertion(aspa) => self.aspas.push((aspa.clone(), entry)),
        }
    }

    fn take_prefix_filter(&mut self, filter: &PrefixFilter, entry: usize) {
        let (prefix, asn) = match filter {
            PrefixFilter::Prefix(prefix) => (prefix, None),
            PrefixFilter::Both(prefix, asn) => (prefix, Some(*asn)),
            PrefixFilter::Asn(asn) => {
                // RFC 8416 §3.3.1: of any prefix, in both families.
                let all = Block { first: 0, len: 0 };
                self.filters_v4.push((Some(*asn), all, entry));
                self.filters_v6.push((Some(*asn), all, entry));
                return;
            }
        };
        let filters = match prefix {
            IpNet::V4(_) => &mut self.filters_v4,
            IpNet::V6(_) => &mut self.filters_v6,
        };
        filters.push((asn, Block::of(prefix), entry));
    }

    fn arrange(self, files: Vec<File>, entries: Vec<(usize, usize)>) -> Arranged {
        let v4 = self.v4.iter().map(|(vrp, entry)| (v4_block(vrp), *entry));
        let v6 = self.v6.iter().map(|(vrp, entry)| (v6_block(vrp), *entry));
        Arranged {
            files,
            entries,
            covered_v4: Nest::new(v4.collect()),
            covered_v6: Nest::new(v6.collect()),
            v4: PrefixFilters::new(self.filters_v4),
            v6: PrefixFilters::new(self.filters_v6),
            router_keys: EqualFilters::new(self.filters_router_keys),
            aspas: EqualFilters::new(self.filters_aspas),
            asserted: Asserted {
                v4: Distinct::new(self.v4),
                v6: Distinct::new(self.v6),
                router_keys: Distinct::new(self.router_keys),
                aspas: Distinct::new(self.aspas),
            },
        }
    }
}

/// One entry and the file that has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry<'a> {
    file: &'a File,
    record: &'a Record,
}

impl<'a> Entry<'a> {
    pub(super) const fn new(file: &'a File, record: &'a Record) -> Self {
        Self { file, record }
    }

    /// The name of the file.
    pub fn file(&self) -> &'a str {
        self.file.name()
    }

    /// The list.
    pub const fn list(&self) -> List {
        self.record.list()
    }

    /// The place in the list, from 0.
    pub const fn index(&self) -> usize {
        self.record.index
    }

    /// Where it begins in the file.
    pub const fn at(&self) -> Position {
        self.record.at
    }

    /// What it says.
    pub const fn rule(&self) -> &'a Rule {
        &self.record.rule
    }

    /// What its writer says about it, `None` when nothing.
    pub fn comment(&self) -> Option<&'a str> {
        self.record.comment.as_deref()
    }
}

impl fmt::Display for Entry<'_> {
    /// `slurm.json prefixFilters[3] (10.0.0.0/8 AS64496)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { rule, index, .. } = self.record;
        write!(f, "{} {}[{index}] ({rule})", self.file(), self.list())
    }
}
