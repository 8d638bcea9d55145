//! What an update takes away and brings, counted for a guard and listed for an operator.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::aspa::Aspa;
use super::customers::{Customer, customers};
use super::item::Payload;
use super::kind::Kind;
use super::rows::{Rows, Table, TrustAnchorId, TrustAnchors};
use super::walk;

/// Payloads that are counted together. A payload is in the group of its kind and, where its
/// trust anchor is known, in that of its trust anchor.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Group {
    /// All of a kind.
    Kind(Kind),
    /// All of the trust anchor with this name, of every kind.
    TrustAnchor(Box<str>),
}

impl fmt::Display for Group {
    /// `IPv4 VRPs`, `trust anchor ripe`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "{kind}s"),
            Self::TrustAnchor(name) => write!(f, "trust anchor {name}"),
        }
    }
}

/// What becomes of a group. An ASPA counts as its customer, so other providers are no change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The group.
    pub group: Group,
    /// How many payloads it has before.
    pub before: usize,
    /// How many it has after.
    pub after: usize,
    /// How many of those before are not in it after.
    pub lost: usize,
    /// How many of those after are not in it before.
    pub gained: usize,
}

/// What an update does to each group that has payloads before or after: the kinds in wire order,
/// then the trust anchors by name. A payload that changes its trust anchor is lost to one and
/// gained by the other. Costs a pass over both lists, without comparisons where they share their
/// records.
pub fn census(before: &Rows, after: &Rows) -> Vec<Change> {
    let mut anchors = Anchors::new(before.trust_anchors(), after.trust_anchors());
    let kinds = [
        (Kind::Ipv4, count(before.v4(), after.v4(), &mut anchors)),
        (Kind::Ipv6, count(before.v6(), after.v6(), &mut anchors)),
        (
            Kind::RouterKey,
            count(before.router_keys(), after.router_keys(), &mut anchors),
        ),
        (
            Kind::Aspa,
            count_customers(before.aspas(), after.aspas(), &mut anchors),
        ),
    ];
    let kinds = kinds.map(|(kind, tally)| (Group::Kind(kind), tally));
    let mut groups = Vec::from(kinds);
    groups.extend(anchors.finish());
    let groups = groups
        .into_iter()
        .filter(|(_, tally)| *tally != Tally::default());
    groups.map(|(group, tally)| tally.of(group)).collect()
}

/// The first `limit` payloads of `before` that are not in `after`, in wire order. With the two
/// exchanged it lists what comes. Costs a pass over both lists.
pub fn lost(before: &Rows, after: &Rows, limit: usize) -> Vec<Payload> {
    let mut lost = Vec::new();
    let (old, new) = (before, after);
    list_lost(old.v4(), new.v4(), limit, &mut lost);
    list_lost(old.v6(), new.v6(), limit, &mut lost);
    list_lost(old.router_keys(), new.router_keys(), limit, &mut lost);
    let (old, new) = (customers(old.aspas()), customers(new.aspas()));
    walk::pair(old.iter(), new.iter(), by_asn, |old, new| {
        if let (Some(gone), None) = (old, new)
            && lost.len() < limit
        {
            lost.extend(gone.union().map(Payload::Aspa));
        }
    });
    lost
}

fn list_lost<'a, T: Ord>(
    before: &'a Table<T>,
    after: &'a Table<T>,
    limit: usize,
    lost: &mut Vec<Payload>,
) where
    Payload: From<&'a T>,
{
    if Arc::ptr_eq(before.records(), after.records()) || lost.len() >= limit {
        return;
    }
    let (old, new) = (before.records().iter(), after.records().iter());
    walk::pair(old, new, T::cmp, |old, new| {
        if let (Some(gone), None) = (old, new)
            && lost.len() < limit
        {
            lost.push(Payload::from(gone));
        }
    });
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Tally {
    before: usize,
    after: usize,
    lost: usize,
    gained: usize,
}

impl Tally {
    const fn of(self, group: Group) -> Change {
        Change {
            group,
            before: self.before,
            after: self.after,
            lost: self.lost,
            gained: self.gained,
        }
    }

    /// Counts a payload that the group has on these sides.
    fn note(&mut self, side: Side) {
        match side {
            Side::Before => {
                self.before += 1;
                self.lost += 1;
            }
            Side::After => {
                self.after += 1;
                self.gained += 1;
            }
            Side::Both => {
                self.before += 1;
                self.after += 1;
            }
        }
    }
}

/// Where something is.
#[derive(Clone, Copy, Debug)]
enum Side {
    Before,
    After,
    Both,
}

fn count<T: Ord>(before: &Table<T>, after: &Table<T>, anchors: &mut Anchors<'_>) -> Tally {
    let mut tally = Tally::default();
    if Arc::ptr_eq(before.records(), after.records()) {
        tally.before = before.len();
        tally.after = after.len();
        for (old, new) in before.attributes().iter().zip(after.attributes().iter()) {
            anchors.note(Some(old.trust_anchor()), Some(new.trust_anchor()));
        }
        return tally;
    }
    walk::pair(
        before.iter(),
        after.iter(),
        |(a, _), (b, _)| a.cmp(b),
        |old, new| {
            tally.note(match (old, new) {
                (Some(_), Some(_)) => Side::Both,
                (Some(_), None) => Side::Before,
                _ => Side::After,
            });
            anchors.note(
                old.map(|(_, attribute)| attribute.trust_anchor()),
                new.map(|(_, attribute)| attribute.trust_anchor()),
            );
        },
    );
    tally
}

fn by_asn(a: &Customer<'_>, b: &Customer<'_>) -> std::cmp::Ordering {
    a.asn.cmp(&b.asn)
}

/// A customer counts once for each trust anchor that has a record of it.
fn count_customers(before: &Table<Aspa>, after: &Table<Aspa>, anchors: &mut Anchors<'_>) -> Tally {
    let (before, after) = (customers(before), customers(after));
    let mut tally = Tally::default();
    walk::pair(before.iter(), after.iter(), by_asn, |old, new| {
        tally.note(match (old, new) {
            (Some(_), Some(_)) => Side::Both,
            (Some(_), None) => Side::Before,
            _ => Side::After,
        });
        let ids = |customer: Option<&Customer<'_>>, places: &[Option<usize>]| {
            let records = customer.map_or(&[][..], |customer| &customer.records);
            let ids = records
                .iter()
                .filter_map(|(_, attribute)| place(places, attribute.trust_anchor()));
            let mut ids: Vec<usize> = ids.collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let (old, new) = (ids(old, &anchors.before), ids(new, &anchors.after));
        walk::pair(old.iter(), new.iter(), usize::cmp, |old, new| {
            anchors.note_places(old.copied(), new.copied());
        });
    });
    tally
}

/// The trust anchors of two lists, by name, each with its tally.
struct Anchors<'a> {
    names: Vec<&'a str>,
    tallies: Vec<Tally>,
    /// The place of each id of the list before; the first is that of no trust anchor.
    before: Vec<Option<usize>>,
    after: Vec<Option<usize>>,
}

impl<'a> Anchors<'a> {
    fn new(before: &'a TrustAnchors, after: &'a TrustAnchors) -> Self {
        let mut names = Vec::new();
        let mut known = HashMap::new();
        let mut places = |anchors: &'a TrustAnchors| {
            let places = anchors.names().map(|name| {
                Some(*known.entry(name).or_insert_with(|| {
                    names.push(name);
                    names.len() - 1
                }))
            });
            std::iter::once(None).chain(places).collect()
        };
        let (before, after) = (places(before), places(after));
        Self {
            tallies: vec![Tally::default(); names.len()],
            names,
            before,
            after,
        }
    }

    fn note(&mut self, old: Option<TrustAnchorId>, new: Option<TrustAnchorId>) {
        let old = old.and_then(|id| place(&self.before, id));
        let new = new.and_then(|id| place(&self.after, id));
        self.note_places(old, new);
    }

    fn note_places(&mut self, old: Option<usize>, new: Option<usize>) {
        let mut note = |at: Option<usize>, side| {
            if let Some(tally) = at.and_then(|at| self.tallies.get_mut(at)) {
                tally.note(side);
            }
        };
        if old == new {
            note(old, Side::Both);
        } else {
            note(old, Side::Before);
            note(new, Side::After);
        }
    }

    fn finish(self) -> Vec<(Group, Tally)> {
        let named = self.names.into_iter().zip(self.tallies);
        let mut groups: Vec<(Group, Tally)> = named
            .map(|(name, tally)| (Group::TrustAnchor(name.into()), tally))
            .collect();
        groups.sort_by(|(a, _), (b, _)| a.cmp(b));
        groups
    }
}

fn place(places: &[Option<usize>], id: TrustAnchorId) -> Option<usize> {
    places.get(id.place()).copied().flatten()
}
