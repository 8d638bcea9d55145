//! From what several sources say to one list, and how far they agree.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::aspa::Aspa;
use super::customers::{Customer, customers};
use super::item::Payload;
use super::rows::{Attribute, Ranked, Rows, RowsBuilder, Table, TrustAnchorId, TrustAnchors};
use super::walk;

/// A source's rows and its place in the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// 0 to 14, and later places share 14: a bit each in the masks. Bit 15 means local
    /// exceptions.
    pub place: usize,
    /// What the source says.
    pub rows: &'a Rows,
}

impl<'a> Contribution<'a> {
    /// Those of several sources, each with its place.
    pub fn each(rows: &'a [(usize, Rows)]) -> Vec<Self> {
        let each = |(place, rows): &'a (usize, Rows)| Self {
            place: *place,
            rows,
        };
        rows.iter().map(each).collect()
    }

    /// The bit of this source in the masks.
    fn mark(&self) -> u16 {
        1 << self.place.min(14)
    }
}

/// What at least `least` of the contributions have: 1 is the union, 0 too. Each record is marked
/// with all the sources that have it, in place of any mark before.
///
/// A VRP or router key counts as itself, and expires when it would drop out: the `least`-th
/// latest of its expiries, where none is later than all. Its trust anchor is that of the same
/// contribution, the first of them where expiries are equal.
///
/// ASPAs count by customer (8210bis §5.12): when enough contributions have a record of it, all
/// its records from all of them are kept, so that its providers become their union. The merge
/// then denies no hop that a source attests, and no path upstream that every source allows; one
/// downstream only where each of the two hops that deny it is denied by a source. A record
/// expires at its latest expiry, or earlier when its customer drops out earlier.
///
/// Trust anchors get ids of one table, of at most 255 names; what is beyond has none.
///
/// Costs one pass over all tables. Records that turn out to be those of a contribution are
/// shared with it, and only attributes are new.
pub fn merge(contributions: &[Contribution<'_>], least: usize) -> Rows {
    let (trust_anchors, ids) = joined_names(contributions);
    let sources = contributions.iter().zip(ids);
    let sources = sources.map(|(contribution, ids)| Source {
        rows: contribution.rows,
        mark: contribution.mark(),
        ids,
    });
    let merger = Merger {
        sources: sources.collect(),
        least: least.max(1),
    };
    Rows {
        v4: merger.table(Rows::v4),
        v6: merger.table(Rows::v6),
        router_keys: merger.table(Rows::router_keys),
        aspas: merger.aspas(),
        trust_anchors,
    }
}

/// One table of the names of all, and the id in it of each id of each contribution.
fn joined_names(contributions: &[Contribution<'_>]) -> (TrustAnchors, Vec<Vec<TrustAnchorId>>) {
    let mut names = RowsBuilder::new();
    let ids = contributions.iter().map(|contribution| {
        let known = contribution.rows.trust_anchors().names();
        let known = known.map(|name| names.trust_anchor(name));
        std::iter::once(TrustAnchorId::default())
            .chain(known)
            .collect()
    });
    let ids = ids.collect();
    (names.finish().trust_anchors, ids)
}

struct Source<'a> {
    rows: &'a Rows,
    mark: u16,
    /// The id in the merge of each id of this source.
    ids: Vec<TrustAnchorId>,
}

struct Merger<'a> {
    sources: Vec<Source<'a>>,
    least: usize,
}

/// A record with what one source knows of it, and the position of the source.
type Found<'a, T> = (usize, (&'a T, &'a Attribute));

impl<'a> Merger<'a> {
    fn table<T: Ranked + Clone + 'a>(&self, of: impl Fn(&'a Rows) -> &'a Table<T>) -> Table<T> {
        let tables: Vec<&Table<T>> = self.sources.iter().map(|source| of(source.rows)).collect();
        let mut merged = Merged::new(&tables);
        walk::all(
            tables.iter().map(|table| table.iter()),
            |(a, _), (b, _)| a.cmp(b),
            |together| {
                let have = positions(together.iter().map(|(position, _)| *position));
                let attribute = self.attribute(together, self.least);
                match (together.first(), attribute) {
                    (Some((_, (record, _))), Some(attribute)) => {
                        merged.push(record, have, attribute);
                    }
                    _ => merged.skip(have),
                }
            },
        );
        merged.finish()
    }

    fn aspas(&self) -> Table<Aspa> {
        let tables: Vec<&Table<Aspa>> = self.sources.iter().map(|s| s.rows.aspas()).collect();
        let grouped: Vec<Vec<Customer<'_>>> = tables.iter().copied().map(customers).collect();
        let mut merged = Merged::new(&tables);
        walk::all(
            grouped.iter().map(|customers| customers.iter()),
            |a, b| a.asn.cmp(&b.asn),
            |together| match self.customer_ends(together) {
                Some(ends) => self.customer(together, ends, &mut merged),
                None => merged.skip(positions(together.iter().map(|(position, _)| *position))),
            },
        );
        merged.finish()
    }

    /// When too few sources have a record of the customer, `None` when too few have one now.
    fn customer_ends(&self, together: &[(usize, &Customer<'_>)]) -> Option<u64> {
        let last = |customer: &Customer<'_>| {
            let records = customer.records.iter();
            records.map(|(_, attribute)| attribute.ends()).max()
        };
        let mut ends: Vec<u64> = together.iter().filter_map(|(_, c)| last(c)).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        ends.get(self.least - 1).copied()
    }

    /// All records of a customer that counts until then.
    fn customer(
        &self,
        together: &[(usize, &Customer<'_>)],
        ends: u64,
        merged: &mut Merged<'_, Aspa>,
    ) {
        let lists = together.iter().map(|(position, customer)| {
            let records = customer.records.iter();
            records.map(|(aspa, attribute)| (*aspa, (*position, *attribute)))
        });
        let mut found: Vec<Found<'_, Aspa>> = Vec::with_capacity(together.len());
        walk::all(
            lists,
            |(a, _), (b, _)| a.cmp(b),
            |records| {
                found.clear();
                let records = records.iter();
                found
                    .extend(records.map(|(_, (aspa, (position, attribute)))| {
                        (*position, (*aspa, *attribute))
                    }));
                let have = positions(found.iter().map(|(position, _)| *position));
                let attribute = self.attribute(&found, 1);
                if let (Some((_, (aspa, _))), Some(attribute)) = (found.first(), attribute) {
                    merged.push(aspa, have, attribute.ending_by(ends));
                }
            },
        );
    }

    /// What is known of a record that these have together: the mark of each, and of the one
    /// with the `least`-th latest expiry the rest. `None` when they are fewer.
    fn attribute<T>(&self, found: &[Found<'_, T>], least: usize) -> Option<Attribute> {
        let later = |place: usize, ends: u64| {
            let others = found.iter().enumerate();
            let later = others.filter(|(other, (_, (_, attribute)))| {
                let its = attribute.ends();
                its > ends || (its == ends && *other < place)
            });
            later.count()
        };
        let mut places = found.iter().enumerate();
        let (_, (position, (_, chosen))) =
            places.find(|(place, (_, (_, its)))| later(*place, its.ends()) + 1 == least)?;
        let all = found.iter().filter_map(|(p, _)| self.sources.get(*p));
        let sources = all.fold(0, |mask, source| mask | source.mark);
        let ids = &self.sources.get(*position)?.ids;
        let trust_anchor = ids.get(chosen.trust_anchor().place());
        Some(chosen.merged(trust_anchor.copied().unwrap_or_default(), sources))
    }
}

/// A bit for each position; those past 63, which no configuration has, share none.
fn positions(positions: impl Iterator<Item = usize>) -> u64 {
    let bits = positions.filter_map(|position| 1u64.checked_shl(u32::try_from(position).ok()?));
    bits.fold(0, |mask, bit| mask | bit)
}

/// A table on its way. Its records are not copied while they are the first of some source's.
struct Merged<'a, T> {
    tables: &'a [&'a Table<T>],
    /// The positions of the tables whose records up to here are exactly the merged ones.
    alike: u64,
    /// The records, once they are those of no table.
    records: Option<Vec<T>>,
    attributes: Vec<Attribute>,
}

impl<'a, T: Clone> Merged<'a, T> {
    fn new(tables: &'a [&'a Table<T>]) -> Self {
        let most = tables.iter().map(|table| table.len()).max().unwrap_or(0);
        // A union is a little longer than its longest part; to find that out at the end would
        // cost a copy of twice its size.
        let room = most + most / 16;
        Self {
            tables,
            alike: positions(0..tables.len()),
            records: None,
            attributes: Vec::with_capacity(room),
        }
    }

    fn push(&mut self, record: &T, have: u64, attribute: Attribute) {
        self.keep_alike(have);
        if let Some(records) = &mut self.records {
            records.push(record.clone());
        }
        self.attributes.push(attribute);
    }

    /// Leaves out a record that these have.
    fn skip(&mut self, have: u64) {
        self.keep_alike(!have);
    }

    fn keep_alike(&mut self, left: u64) {
        if self.records.is_none() && self.alike & left == 0 {
            let so_far = self
                .alike_table()
                .and_then(|table| table.records().get(..self.attributes.len()));
            let mut records = Vec::with_capacity(self.attributes.capacity());
            records.extend_from_slice(so_far.unwrap_or_default());
            self.records = Some(records);
        }
        self.alike &= left;
    }

    fn alike_table(&self) -> Option<&'a Table<T>> {
        let position = usize::try_from(self.alike.trailing_zeros()).ok()?;
        self.tables.get(position).copied()
    }

    fn finish(mut self) -> Table<T> {
        let records = match (self.records.take(), self.alike_table()) {
            (Some(mut records), _) => {
                records.shrink_to_fit();
                Arc::new(records)
            }
            (None, Some(table)) => Arc::clone(table.records()),
            (None, None) => Arc::default(),
        };
        self.attributes.shrink_to_fit();
        Table::from_ordered(records, Arc::new(self.attributes))
    }
}

/// How far sources agree. ASPAs are compared by customer with all its providers in that source.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Agreement {
    /// For each combination of sources that has a payload nobody else has, how many such
    /// payloads there are. The key is a mask of places.
    pub combinations: BTreeMap<u16, usize>,
    /// The sources, in the order of the contributions.
    pub sources: Vec<Share>,
}

/// What one source has and lacks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share {
    /// The source's place in the configuration.
    pub place: usize,
    /// How many payloads it has.
    pub total: usize,
    /// How many of them no other source has.
    pub alone: usize,
    /// How many it lacks that all others have; none where there is no other.
    pub lacks: usize,
}

/// How far the contributions agree. Costs one pass over all tables.
pub fn agreement(contributions: &[Contribution<'_>]) -> Agreement {
    let mut combinations = BTreeMap::new();
    compare(contributions, |mask, _| {
        *combinations.entry(mask).or_insert(0) += 1;
    });
    let all = contributions.iter().fold(0, |all, c| all | c.mark());
    let count = |wanted: &dyn Fn(u16) -> bool| -> usize {
        let counts = combinations.iter().filter(|(mask, _)| wanted(**mask));
        counts.map(|(_, count)| *count).sum()
    };
    let share = |contribution: &Contribution<'_>| {
        let own = contribution.mark();
        Share {
            place: contribution.place,
            total: count(&|mask| mask & own != 0),
            alone: count(&|mask| mask == own),
            lacks: count(&|mask| mask == all & !own),
        }
    };
    let sources = contributions.iter().map(share).collect();
    Agreement {
        combinations,
        sources,
    }
}

/// The payloads on which sources differ.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Differences {
    /// How many there are.
    pub total: usize,
    /// The first of them, in wire order.
    pub listed: Vec<Difference>,
}

/// A payload that some sources have and others lack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The payload. A customer whose providers differ is listed once for each set of them.
    pub payload: Payload,
    /// The sources that have it, as a mask of places.
    pub sources: u16,
}

/// The payloads that not all of the contributions have, the first `limit` of them listed. Costs
/// one pass over all tables.
pub fn differences(contributions: &[Contribution<'_>], limit: usize) -> Differences {
    let all = contributions.iter().fold(0, |all, c| all | c.mark());
    let mut differences = Differences::default();
    compare(contributions, |sources, payload| {
        if sources == all {
            return;
        }
        differences.total += 1;
        if differences.listed.len() < limit {
            let payload = payload();
            differences.listed.push(Difference { payload, sources });
        }
    });
    differences
}

/// Meets every payload once, in wire order, with the mask of those that have it.
fn compare(contributions: &[Contribution<'_>], mut met: impl FnMut(u16, &dyn Fn() -> Payload)) {
    compare_tables(contributions, |rows| rows.v4().records(), &mut met);
    compare_tables(contributions, |rows| rows.v6().records(), &mut met);
    compare_tables(contributions, |rows| rows.router_keys().records(), &mut met);
    let unions = contributions.iter().map(|contribution| {
        let customers = customers(contribution.rows.aspas());
        customers.iter().filter_map(Customer::union).collect()
    });
    let unions: Vec<Vec<Aspa>> = unions.collect();
    let lists = contributions.iter().zip(&unions);
    compare_lists(lists.map(|(c, union)| (c, union.as_slice())), &mut met);
}

fn compare_tables<'a, T: Ord + 'a>(
    contributions: &'a [Contribution<'_>],
    of: impl Fn(&'a Rows) -> &'a Arc<Vec<T>>,
    met: &mut impl FnMut(u16, &dyn Fn() -> Payload),
) where
    Payload: From<&'a T>,
{
    let lists = contributions.iter().map(|c| (c, of(c.rows).as_slice()));
    compare_lists(lists, met);
}

fn compare_lists<'a, T: Ord + 'a>(
    lists: impl Iterator<Item = (&'a Contribution<'a>, &'a [T])>,
    met: &mut impl FnMut(u16, &dyn Fn() -> Payload),
) where
    Payload: From<&'a T>,
{
    let (marks, lists): (Vec<u16>, Vec<&[T]>) = lists.map(|(c, list)| (c.mark(), list)).unzip();
    walk::all(lists.iter().map(|list| list.iter()), T::cmp, |together| {
        let found = together
            .iter()
            .filter_map(|(position, _)| marks.get(*position));
        let mask = found.fold(0, |mask, mark| mask | mark);
        if let Some((_, record)) = together.first() {
            met(mask, &|| Payload::from(*record));
        }
    });
}
