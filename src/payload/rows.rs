//! What one source says: payloads with what the source knows of each.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::aspa::Aspa;
use super::router_key::RouterKey;
use super::time::UnixTime;
use super::vrp::{Vrp, VrpV4, VrpV6};

/// What is known of a payload beside the payload: eight octets that lie in an array of their own.
///
/// None of it reaches a router, and a change of it alone never makes a new serial.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Attribute {
    expires: Option<NonZeroU32>,
    trust_anchor: TrustAnchorId,
    sources: u16,
}

impl Attribute {
    /// The expiry, in seconds since 1970, that stands for none where one has to be written: the
    /// last second that four octets hold, in February 2106. What is later is none, too.
    pub const NEVER: u64 = 0xffff_ffff;

    /// A payload of this trust anchor that expires then; `None` when its source does not say.
    pub fn new(expires: Option<UnixTime>, trust_anchor: TrustAnchorId) -> Self {
        let ends = expires.filter(|expires| expires.seconds() < Self::NEVER);
        Self {
            expires: ends.map(UnixTime::packed),
            trust_anchor,
            sources: 0,
        }
    }

    /// When the payload is no longer to be served, `None` when that is not known.
    pub fn expires(&self) -> Option<UnixTime> {
        self.expires.map(UnixTime::unpacked)
    }

    /// The trust anchor.
    pub const fn trust_anchor(&self) -> TrustAnchorId {
        self.trust_anchor
    }

    /// The sources that have the payload, a bit each, by their place in the configuration.
    pub const fn sources(&self) -> u16 {
        self.sources
    }

    /// The octets that are kept of it: expiry, trust anchor and sources, each big-endian, where 0
    /// is no expiry and no trust anchor.
    pub fn to_octets(self) -> [u8; 8] {
        let [a, b, c, d] = self.expires.map_or(0, NonZeroU32::get).to_be_bytes();
        let [e, f] = self.trust_anchor.0.to_be_bytes();
        let [g, h] = self.sources.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// The reverse of [`to_octets`](Self::to_octets), `None` for a trust anchor that is not among
    /// these.
    pub fn from_octets(octets: [u8; 8], anchors: &TrustAnchors) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = octets;
        let trust_anchor = TrustAnchorId(u16::from_be_bytes([e, f]));
        let known = trust_anchor.place() <= anchors.0.len();
        known.then_some(Self {
            expires: NonZeroU32::new(u32::from_be_bytes([a, b, c, d])),
            trust_anchor,
            sources: u16::from_be_bytes([g, h]),
        })
    }

    fn expired(&self, now: UnixTime) -> bool {
        self.expires().is_some_and(|expires| expires <= now)
    }

    /// Of equal payloads the latest expiry counts, and an unknown one is later than all.
    fn join(self, other: Self) -> Self {
        let later = match (self.expires, other.expires) {
            (None, _) => self,
            (Some(_), None) => other,
            (Some(own), Some(its)) => {
                if its > own {
                    other
                } else {
                    self
                }
            }
        };
        Self {
            sources: self.sources | other.sources,
            ..later
        }
    }

    /// When it expires as a number to compare by: not known is later than all.
    pub(super) fn ends(&self) -> u64 {
        self.expires
            .map_or(u64::MAX, |expires| expires.get().into())
    }

    /// The same, expiring no later than this number of [`ends`](Self::ends).
    pub(super) fn ending_by(self, ends: u64) -> Self {
        let earlier = u32::try_from(ends).ok().and_then(NonZeroU32::new);
        Self {
            expires: earlier.filter(|_| ends < self.ends()).or(self.expires),
            ..self
        }
    }

    /// The same in a merge: with an id of its trust anchors and the sources that have it.
    pub(super) const fn merged(self, trust_anchor: TrustAnchorId, sources: u16) -> Self {
        Self {
            trust_anchor,
            sources,
            ..self
        }
    }

    /// For a union of records: it changes when the first of them goes.
    pub(super) fn join_earliest(self, other: Self) -> Self {
        let expires = match (self.expires, other.expires) {
            (Some(own), Some(its)) => Some(own.min(its)),
            (one, other) => one.or(other),
        };
        Self {
            expires,
            sources: self.sources | other.sources,
            ..self
        }
    }
}

/// A trust anchor by its place in a [`TrustAnchors`] table.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct TrustAnchorId(u16);

impl TrustAnchorId {
    /// Its place among the ids of a list, in which 0 is none and the names follow in order.
    pub(super) fn place(self) -> usize {
        self.0.into()
    }
}

/// The names of trust anchors that a list uses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustAnchors(Arc<Vec<Box<str>>>);

impl TrustAnchors {
    /// These names, in the order of their ids.
    pub fn new(names: Vec<Box<str>>) -> Self {
        Self(Arc::new(names))
    }

    /// The name, `None` when the source gave none.
    pub fn name(&self, id: TrustAnchorId) -> Option<&str> {
        let place = usize::from(id.0).checked_sub(1)?;
        self.0.get(place).map(AsRef::as_ref)
    }

    /// All names, in the order of their ids.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// Records in wire order, each once, with an attribute beside each.
pub struct Table<T> {
    records: Arc<Vec<T>>,
    attributes: Arc<Vec<Attribute>>,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self {
            records: Arc::clone(&self.records),
            attributes: Arc::clone(&self.attributes),
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            records: Arc::default(),
            attributes: Arc::default(),
        }
    }
}

impl<T: PartialEq> PartialEq for Table<T> {
    fn eq(&self, other: &Self) -> bool {
        self.records == other.records && self.attributes == other.attributes
    }
}

impl<T: fmt::Debug> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T: Ranked> Table<T> {
    /// Sorts and joins rows. What is in no order becomes a table here only. Costs two passes, and
    /// a sort of the few rows that share a rank, in whatever order the rows come.
    pub(super) fn build(mut rows: Vec<(T, Attribute)>) -> Self {
        order(&mut rows);
        let count = rows.len();
        let mut records: Vec<T> = Vec::with_capacity(count);
        let mut attributes: Vec<Attribute> = Vec::with_capacity(count);
        for (record, attribute) in rows {
            match (records.last(), attributes.last_mut()) {
                (Some(twin), Some(joined)) if *twin == record => *joined = joined.join(attribute),
                _ => {
                    records.push(record);
                    attributes.push(attribute);
                }
            }
        }
        records.shrink_to_fit();
        attributes.shrink_to_fit();
        Self {
            records: Arc::new(records),
            attributes: Arc::new(attributes),
        }
    }
}

/// A record whose wire order begins with a number.
pub trait Ranked: Ord {
    /// A number that never falls along the wire order, spread as evenly as real data allow.
    fn rank(&self) -> u16;
}

/// Sorts rows by their records, in place.
///
/// Documents are sorted in ways of their own, so a sort by comparison would begin from nothing.
/// Instead rows are exchanged until those of each rank are together (an American flag sort), and
/// only the few of the same rank are compared.
fn order<T: Ranked>(rows: &mut [(T, Attribute)]) {
    // Below this, counting ranks costs more than it saves.
    const FEW: usize = 4_096;
    if rows.is_sorted_by(|(a, _), (b, _)| a <= b) {
        return;
    }
    if rows.len() < FEW {
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        return;
    }
    group(rows);
    for run in rows.chunk_by_mut(|(a, _), (b, _)| a.rank() == b.rank()) {
        run.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
}

/// Brings the rows of each rank together, ranks ascending.
fn group<T: Ranked>(rows: &mut [(T, Attribute)]) {
    let mut ends = vec![0usize; 1 << 16];
    for (record, _) in rows.iter() {
        if let Some(count) = ends.get_mut(usize::from(record.rank())) {
            *count += 1;
        }
    }
    let mut next = Vec::with_capacity(ends.len());
    let mut end = 0;
    for count in &mut ends {
        next.push(end);
        end += *count;
        *count = end;
    }
    for (rank, end) in ends.iter().enumerate() {
        while let Some(place) = next.get(rank).copied().filter(|place| place < end) {
            let Some(found) = rows
                .get(place)
                .map(|(record, _)| usize::from(record.rank()))
            else {
                return;
            };
            let Some(target) = next.get_mut(found) else {
                return;
            };
            if *target != place {
                rows.swap(place, *target);
            }
            *target += 1;
        }
    }
}

impl<T> Table<T> {
    /// Records of which nothing more is known. They are in wire order, each once, because they
    /// come from a set.
    pub(super) fn plain(records: Arc<Vec<T>>) -> Self {
        let attributes = Arc::new(vec![Attribute::default(); records.len()]);
        Self {
            records,
            attributes,
        }
    }

    /// The records, in wire order.
    pub const fn records(&self) -> &Arc<Vec<T>> {
        &self.records
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records with their attributes, in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&T, &Attribute)> {
        self.records.iter().zip(self.attributes.iter())
    }

    fn shares(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.records, &other.records)
            && Arc::ptr_eq(&self.attributes, &other.attributes)
    }

    fn next_expiry(&self) -> Option<NonZeroU32> {
        self.attributes
            .iter()
            .filter_map(|attribute| attribute.expires)
            .min()
    }
}

impl<T: Ord> Table<T> {
    fn attribute(&self, record: &T) -> Option<&Attribute> {
        let place = self.records.binary_search(record).ok()?;
        self.attributes.get(place)
    }
}

impl<T: Clone> Table<T> {
    /// What has not expired and what has, `None` when nothing has. Costs a pass, and a copy only
    /// when something expired.
    fn split_expired(&self, now: UnixTime) -> Option<(Self, Self)> {
        let mut attributes = self.attributes.iter();
        if !attributes.any(|attribute| attribute.expired(now)) {
            return None;
        }
        let part = |expired: bool| {
            let rows = || self.iter().filter(|(_, a)| a.expired(now) == expired);
            let records = rows().map(|(record, _)| record.clone()).collect();
            let attributes = rows().map(|(_, attribute)| *attribute).collect();
            Self::from_ordered(Arc::new(records), Arc::new(attributes))
        };
        Some((part(false), part(true)))
    }
}

/// The rows of one source: immutable, in wire order, cheap to clone.
///
/// Unlike in a [`DataSet`](super::DataSet) a customer may have several ASPA records here, each
/// with an expiry of its own; they become their union when the set that is served is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    pub(super) v4: Table<VrpV4>,
    pub(super) v6: Table<VrpV6>,
    pub(super) router_keys: Table<RouterKey>,
    pub(super) aspas: Table<Aspa>,
    pub(super) trust_anchors: TrustAnchors,
}

impl Rows {
    /// How many rows there are of all kinds.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.router_keys.len() + self.aspas.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The IPv4 VRPs.
    pub const fn v4(&self) -> &Table<VrpV4> {
        &self.v4
    }

    /// The IPv6 VRPs.
    pub const fn v6(&self) -> &Table<VrpV6> {
        &self.v6
    }

    /// The router keys.
    pub const fn router_keys(&self) -> &Table<RouterKey> {
        &self.router_keys
    }

    /// The ASPA records, of which a customer may have several.
    pub const fn aspas(&self) -> &Table<Aspa> {
        &self.aspas
    }

    /// The names behind the attributes' trust anchors.
    pub const fn trust_anchors(&self) -> &TrustAnchors {
        &self.trust_anchors
    }

    /// What is known of a VRP, `None` when there is no such row. Costs a binary search.
    pub fn attribute(&self, vrp: &Vrp) -> Option<&Attribute> {
        match vrp {
            Vrp::V4(vrp) => self.v4.attribute(vrp),
            Vrp::V6(vrp) => self.v6.attribute(vrp),
        }
    }

    /// The VRPs and nothing else: no router keys, no ASPAs, and nothing that is known of a VRP
    /// beside it.
    #[must_use]
    pub fn bare_vrps(&self) -> Self {
        Self {
            v4: Table::plain(Arc::clone(&self.v4.records)),
            v6: Table::plain(Arc::clone(&self.v6.records)),
            ..Self::default()
        }
    }

    /// Whether these are the rows of another value, and not only equal to them.
    pub fn shares_all(&self, other: &Self) -> bool {
        self.v4.shares(&other.v4)
            && self.v6.shares(&other.v6)
            && self.router_keys.shares(&other.router_keys)
            && self.aspas.shares(&other.aspas)
    }

    /// When the first row expires, `None` when none does. Costs a pass over the attributes.
    pub fn next_expiry(&self) -> Option<UnixTime> {
        [
            self.v4.next_expiry(),
            self.v6.next_expiry(),
            self.router_keys.next_expiry(),
            self.aspas.next_expiry(),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(UnixTime::unpacked)
    }

    /// These rows without those that have expired by `now`, and those that have; `None` when
    /// there is none. What did not change is shared.
    #[must_use]
    pub fn split_expired(&self, now: UnixTime) -> (Self, Option<Self>) {
        let mut kept = self.clone();
        let mut gone = Self {
            trust_anchors: self.trust_anchors.clone(),
            ..Self::default()
        };
        if let Some(parts) = self.v4.split_expired(now) {
            (kept.v4, gone.v4) = parts;
        }
        if let Some(parts) = self.v6.split_expired(now) {
            (kept.v6, gone.v6) = parts;
        }
        if let Some(parts) = self.router_keys.split_expired(now) {
            (kept.router_keys, gone.router_keys) = parts;
        }
        if let Some(parts) = self.aspas.split_expired(now) {
            (kept.aspas, gone.aspas) = parts;
        }
        let gone = (!gone.is_empty()).then_some(gone);
        (kept, gone)
    }
}

/// Collects rows in any order and makes [`Rows`] of them.
#[derive(Debug, Default)]
pub struct RowsBuilder {
    v4: Vec<(VrpV4, Attribute)>,
    v6: Vec<(VrpV6, Attribute)>,
    router_keys: Vec<(RouterKey, Attribute)>,
    aspas: Vec<(Aspa, Attribute)>,
    names: Vec<Box<str>>,
    ids: HashMap<Box<str>, TrustAnchorId>,
}

impl RowsBuilder {
    /// The most trust anchors told apart; rows of later ones have none. Five are in use, and
    /// a hostile document shall not buy memory with names.
    const MAX_TRUST_ANCHORS: usize = 255;

    /// A builder without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of the trust anchor with this name. Costs a hash of the name.
    pub fn trust_anchor(&mut self, name: &str) -> TrustAnchorId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        if self.names.len() >= Self::MAX_TRUST_ANCHORS {
            return TrustAnchorId::default();
        }
        self.names.push(name.into());
        let id = TrustAnchorId(u16::try_from(self.names.len()).unwrap_or(0));
        self.ids.insert(name.into(), id);
        id
    }

    /// Adds a VRP.
    pub fn push_vrp(&mut self, vrp: Vrp, attribute: Attribute) {
        match vrp {
            Vrp::V4(vrp) => self.v4.push((vrp, attribute)),
            Vrp::V6(vrp) => self.v6.push((vrp, attribute)),
        }
    }

    /// Adds a router key.
    pub fn push_router_key(&mut self, key: RouterKey, attribute: Attribute) {
        self.router_keys.push((key, attribute));
    }

    /// Adds an ASPA record. Another one of the same customer adds to it.
    pub fn push_aspa(&mut self, aspa: Aspa, attribute: Attribute) {
        self.aspas.push((aspa, attribute));
    }

    /// How many rows were added.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.router_keys.len() + self.aspas.len()
    }

    /// Whether none was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows: sorted into wire order, equal ones joined with the latest expiry.
    pub fn finish(self) -> Rows {
        Rows {
            v4: Table::build(self.v4),
            v6: Table::build(self.v6),
            router_keys: Table::build(self.router_keys),
            aspas: Table::build(self.aspas),
            trust_anchors: TrustAnchors(Arc::new(self.names)),
        }
    }
}

impl Attribute {
    /// The bit of [`sources`](Self::sources) that says: a local exception asserts it.
    pub const LOCAL: u16 = 0x8000;

    /// A payload that a local exception asserts: it never expires and has no trust anchor. The
    /// mask says who asserts it, such as [`LOCAL`](Self::LOCAL).
    pub const fn asserted(sources: u16) -> Self {
        Self {
            expires: None,
            trust_anchor: TrustAnchorId(0),
            sources,
        }
    }

    /// The same payload, asserted as well: it keeps its trust anchor and expires no more.
    pub(super) const fn also_asserted(self, sources: u16) -> Self {
        Self {
            expires: None,
            sources: self.sources | sources,
            ..self
        }
    }
}

impl<T> Table<T> {
    /// A table of records that are in wire order, each once, with an attribute for each.
    pub(super) const fn from_ordered(
        records: Arc<Vec<T>>,
        attributes: Arc<Vec<Attribute>>,
    ) -> Self {
        Self {
            records,
            attributes,
        }
    }

    /// The attributes, in the order of the records.
    pub(super) const fn attributes(&self) -> &Arc<Vec<Attribute>> {
        &self.attributes
    }
}
