//! Filters arranged so that a long table is gone through once.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::effect::Tally;
use super::nest::{Block, Nest, Walk};
use crate::payload::Asn;

/// The prefix filters of one family.
///
/// Filters without an AS are one nest, and those of each AS are a nest of their own, in which an
/// AS alone is the prefix of all addresses. A VRP looks at two nests only, however many filters
/// have its prefix.
#[derive(Clone, Debug, Default)]
pub(super) struct PrefixFilters {
    any: Nest,
    /// By AS, ascending.
    by_asn: Vec<(Asn, Nest)>,
    asns: AsnSieve,
}

impl PrefixFilters {
    /// From the filters of this family, each with the place of its entry.
    pub(super) fn new(filters: Vec<(Option<Asn>, Block, usize)>) -> Self {
        let mut any = Vec::new();
        let mut by_asn: BTreeMap<Asn, Vec<(Block, usize)>> = BTreeMap::new();
        for (asn, block, entry) in filters {
            match asn {
                None => any.push((block, entry)),
                Some(asn) => by_asn.entry(asn).or_default().push((block, entry)),
            }
        }
        let mut asns = AsnSieve::default();
        by_asn.keys().for_each(|asn| asns.insert(*asn));
        Self {
            any: Nest::new(any),
            by_asn: by_asn
                .into_iter()
                .map(|(asn, blocks)| (asn, Nest::new(blocks)))
                .collect(),
            asns,
        }
    }

    /// The places of records that a filter matches, ascending. The records are in wire order,
    /// and `key` says where each lies and what its AS is.
    pub(super) fn sweep<T>(
        &self,
        records: &[T],
        key: impl Fn(&T) -> (Block, Asn),
        tally: &mut Tally,
    ) -> Vec<usize> {
        let mut removed = Vec::new();
        if self.any.len() == 0 && self.by_asn.is_empty() {
            return removed;
        }
        let mut any = Lane::new(&self.any);
        let mut by_asn: Vec<Lane<'_>> = self
            .by_asn
            .iter()
            .map(|(_, nest)| Lane::new(nest))
            .collect();
        for (place, record) in records.iter().enumerate() {
            let (block, asn) = key(record);
            let mut matches = any.matches(block);
            let own = self.place(asn);
            if let Some(lane) = own.and_then(|place| by_asn.get_mut(place)) {
                matches += lane.matches(block);
            }
            if matches == 0 {
                continue;
            }
            removed.push(place);
            if matches == 1 {
                any.alone(block);
                if let Some(lane) = own.and_then(|place| by_asn.get_mut(place)) {
                    lane.alone(block);
                }
            }
        }
        any.report(tally);
        by_asn.iter().for_each(|lane| lane.report(tally));
        removed
    }

    /// The entries that match, found by searches.
    pub(super) fn matching(&self, block: Block, asn: Asn) -> Vec<usize> {
        let own = self.place(asn).and_then(|place| self.by_asn.get(place));
        let nests = [Some(&self.any), own.map(|(_, nest)| nest)];
        let nodes = nests
            .into_iter()
            .flatten()
            .flat_map(|nest| nest.covering_block(block));
        let mut entries: Vec<usize> = nodes
            .flat_map(|node| node.entries.iter().copied())
            .collect();
        entries.sort_unstable();
        entries
    }

    fn place(&self, asn: Asn) -> Option<usize> {
        if !self.asns.may_have(asn) {
            return None;
        }
        self.by_asn.binary_search_by_key(&asn, |(asn, _)| *asn).ok()
    }
}

/// A nest that is gone through together with the records.
struct Lane<'a> {
    nest: &'a Nest,
    walk: Walk,
    /// For each prefix of the nest: how many records it matched, and how many with no other
    /// entry. Empty until the first match.
    counts: Vec<(usize, usize)>,
}

impl<'a> Lane<'a> {
    fn new(nest: &'a Nest) -> Self {
        Self {
            nest,
            walk: Walk::default(),
            counts: Vec::new(),
        }
    }

    /// How many entries match the block, which is not above the one before.
    #[inline]
    fn matches(&mut self, block: Block) -> usize {
        self.nest.advance(&mut self.walk, block.first);
        let mut matches = 0;
        for (place, node) in self.nest.covering(self.walk, block.len) {
            matches += node.entries.len();
            if self.counts.is_empty() {
                self.counts = vec![(0, 0); self.nest.len()];
            }
            if let Some((matched, _)) = self.counts.get_mut(place) {
                *matched += 1;
            }
        }
        matches
    }

    /// Counts the record at which the walk stands as one that only one entry matches, when that
    /// entry is here.
    fn alone(&mut self, block: Block) {
        let closest = self.nest.covering(self.walk, block.len).next();
        let count = closest.and_then(|(place, _)| self.counts.get_mut(place));
        if let Some((_, alone)) = count {
            *alone += 1;
        }
    }

    fn report(&self, tally: &mut Tally) {
        for (node, (matched, alone)) in self.nest.nodes().iter().zip(&self.counts) {
            for entry in &node.entries {
                tally.filter(*entry, *matched, *alone);
            }
        }
    }
}

/// Says at the cost of one look that most AS numbers are not in a set.
#[derive(Clone, Debug)]
struct AsnSieve(Box<[u64]>);

impl AsnSieve {
    /// 8 KiB, which stay in the nearest cache.
    const WORDS: usize = 1 << 10;

    fn bit(asn: Asn) -> (usize, u64) {
        // Fibonacci hashing; the upper 16 bits are the well mixed ones.
        let hash = asn.into_u32().wrapping_mul(0x9e37_79b9) >> 16;
        let word = usize::try_from(hash >> 6).unwrap_or(0);
        (word, 1 << (hash & 0x3f))
    }

    fn insert(&mut self, asn: Asn) {
        let (word, bit) = Self::bit(asn);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    #[inline]
    fn may_have(&self, asn: Asn) -> bool {
        let (word, bit) = Self::bit(asn);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl Default for AsnSieve {
    fn default() -> Self {
        Self(vec![0; Self::WORDS].into())
    }
}

/// Filters of values that are equal or not.
#[derive(Clone, Debug)]
pub(super) struct EqualFilters<K>(HashMap<K, Vec<usize>>);

impl<K: Eq + Hash> EqualFilters<K> {
    pub(super) fn new(filters: Vec<(K, usize)>) -> Self {
        let mut by_key: HashMap<K, Vec<usize>> = HashMap::with_capacity(filters.len());
        for (key, entry) in filters {
            by_key.entry(key).or_default().push(entry);
        }
        Self(by_key)
    }

    /// The entries of any of these keys.
    pub(super) fn matching<const N: usize>(&self, keys: &[K; N]) -> Vec<usize> {
        let found = keys.iter().filter_map(|key| self.0.get(key));
        let mut entries: Vec<usize> = found.flatten().copied().collect();
        entries.sort_unstable();
        entries
    }

    /// The places of records that a filter matches, ascending; `keys` says which keys match one.
    pub(super) fn sweep<T, const N: usize>(
        &self,
        records: &[T],
        keys: impl Fn(&T) -> [K; N],
        tally: &mut Tally,
    ) -> Vec<usize> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut removed = Vec::new();
        for (place, record) in records.iter().enumerate() {
            let entries = self.matching(&keys(record));
            let alone = usize::from(entries.len() == 1);
            for entry in &entries {
                tally.filter(*entry, 1, alone);
            }
            if !entries.is_empty() {
                removed.push(place);
            }
        }
        removed
    }
}

impl<K> Default for EqualFilters<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}
