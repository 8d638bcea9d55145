//! Sets as they come back from where they were kept: in order already, so nothing is sorted, and
//! checked, so nothing is believed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::aspa::Aspa;
use super::kind::Kind;
use super::router_key::RouterKey;
use super::rows::{Attribute, Rows, Table, TrustAnchors};
use super::set::{DataSet, PayloadSet};
use super::vrp::{VrpV4, VrpV6};
use super::walk;

/// A list that is no part of a set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoredError {
    /// A record is out of the order of announcements, or is there twice.
    Order(Kind),
    /// There are not as many attributes of a kind as records.
    Attributes {
        /// How many records there are.
        expected: usize,
        /// How many attributes.
        found: usize,
    },
}

impl fmt::Display for StoredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(kind) => write!(f, "an {kind} is out of order or there twice"),
            Self::Attributes { expected, found } => {
                write!(f, "{found} attributes for {expected} records")
            }
        }
    }
}

impl Error for StoredError {}

impl PayloadSet {
    /// The set of these records. Costs a pass that compares neighbours.
    ///
    /// # Errors
    ///
    /// When a list is not in wire order, each record once and each customer once.
    pub fn from_records(
        v4: Vec<VrpV4>,
        v6: Vec<VrpV6>,
        router_keys: Vec<RouterKey>,
        aspas: Vec<Aspa>,
    ) -> Result<Self, StoredError> {
        let checks = [
            (Kind::Ipv4, v4.is_sorted_by(|a, b| a < b)),
            (Kind::Ipv6, v6.is_sorted_by(|a, b| a < b)),
            (Kind::RouterKey, router_keys.is_sorted_by(|a, b| a < b)),
            (
                Kind::Aspa,
                aspas.is_sorted_by(|a, b| a.customer() < b.customer()),
            ),
        ];
        match checks.iter().find(|(_, ordered)| !ordered) {
            Some((kind, _)) => Err(StoredError::Order(*kind)),
            None => Ok(Self::from_ordered(v4, v6, router_keys, aspas)),
        }
    }
}

impl DataSet {
    /// The set with these attributes: for each kind, in the order of [`Kind::ALL`], one for each
    /// record in wire order. Costs a pass over the ASPAs.
    ///
    /// # Errors
    ///
    /// When there are not as many attributes of a kind as records.
    pub fn with_attributes(
        payload: PayloadSet,
        attributes: [Vec<Attribute>; 4],
        trust_anchors: TrustAnchors,
    ) -> Result<Self, StoredError> {
        for (kind, list) in Kind::ALL.into_iter().zip(&attributes) {
            let (expected, found) = (payload.count(kind), list.len());
            if found != expected {
                return Err(StoredError::Attributes { expected, found });
            }
        }
        let [v4, v6, router_keys, aspas] = attributes.map(Arc::new);
        Ok(Self::new(&Rows {
            v4: Table::from_ordered(payload.v4, v4),
            v6: Table::from_ordered(payload.v6, v6),
            router_keys: Table::from_ordered(payload.router_keys, router_keys),
            aspas: Table::from_ordered(payload.aspas, aspas),
            trust_anchors,
        }))
    }

    /// Another set, in which a record that is in this one too keeps its attribute, and every
    /// other record has the `unknown` one. Costs a pass over both.
    #[must_use]
    pub fn carried_to(&self, payload: PayloadSet, unknown: Attribute) -> Self {
        let (old, new) = (self.rows(), Rows::from(payload));
        Self::new(&Rows {
            v4: carried(&old.v4, &new.v4, unknown),
            v6: carried(&old.v6, &new.v6, unknown),
            router_keys: carried(&old.router_keys, &new.router_keys, unknown),
            aspas: carried(&old.aspas, &new.aspas, unknown),
            trust_anchors: old.trust_anchors.clone(),
        })
    }

    /// The attributes, one for each record in wire order over all kinds.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        let rows = self.rows();
        let vrps = rows
            .v4
            .attributes()
            .iter()
            .chain(rows.v6.attributes().iter());
        let others = rows.router_keys.attributes().iter();
        vrps.chain(others).chain(rows.aspas.attributes().iter())
    }
}

impl<T> Table<T> {
    /// The same records with other attributes, as many as there are records.
    fn with_attributes(&self, attributes: Vec<Attribute>) -> Self {
        Self::from_ordered(Arc::clone(self.records()), Arc::new(attributes))
    }
}

fn carried<T: Ord>(old: &Table<T>, new: &Table<T>, unknown: Attribute) -> Table<T> {
    let mut attributes = Vec::with_capacity(new.len());
    let old = old.iter().map(|(record, attribute)| (record, *attribute));
    let news = new.records().iter().map(|record| (record, unknown));
    walk::pair(
        old,
        news,
        |(a, _), (b, _)| a.cmp(b),
        |before, after| {
            if let Some((_, unknown)) = after {
                attributes.push(before.map_or(unknown, |(_, known)| known));
            }
        },
    );
    new.with_attributes(attributes)
}

#[cfg(test)]
mod tests {
    use super::super::delta::{AspaChange, Changes, Fault};
    use super::super::{Asn, Delta, RowsBuilder, UnixTime, Vrp};
    use super::*;

    fn vrp(number: u32) -> VrpV4 {
        VrpV4::new(number << 8, 24, 24, Asn::new(number)).unwrap()
    }

    fn key(number: u8) -> RouterKey {
        RouterKey::new([number; 20], Asn::new(1), b"key").unwrap()
    }

    fn aspa(customer: u32, provider: u32) -> Aspa {
        Aspa::new(Asn::new(customer), vec![Asn::new(provider)]).unwrap()
    }

    fn data(numbers: &[u32]) -> DataSet {
        let mut rows = RowsBuilder::new();
        for number in numbers {
            let anchor = rows.trust_anchor(&format!("anchor-{}", number % 2));
            let expires = Some(UnixTime::new(u64::from(*number) * 1_000));
            rows.push_vrp(Vrp::V4(vrp(*number)), Attribute::new(expires, anchor));
        }
        rows.push_router_key(key(1), Attribute::asserted(Attribute::LOCAL));
        rows.push_aspa(aspa(5, 6), Attribute::default());
        DataSet::new(&rows.finish())
    }

    #[test]
    fn only_lists_in_order_are_a_set() {
        let set = |v4: &[u32], keys: &[u8], aspas: &[(u32, u32)]| {
            PayloadSet::from_records(
                v4.iter().map(|number| vrp(*number)).collect(),
                Vec::new(),
                keys.iter().map(|number| key(*number)).collect(),
                aspas.iter().map(|(a, b)| aspa(*a, *b)).collect(),
            )
        };
        assert_eq!(
            set(&[3, 2, 1], &[1, 2], &[(1, 2), (2, 1)]).unwrap().len(),
            7
        );
        let order = |kind| Err(StoredError::Order(kind));
        assert_eq!(set(&[1, 2], &[], &[]), order(Kind::Ipv4));
        assert_eq!(set(&[2, 2], &[], &[]), order(Kind::Ipv4));
        assert_eq!(set(&[], &[2, 1], &[]), order(Kind::RouterKey));
        // A customer stands once, whatever its providers.
        assert_eq!(set(&[], &[], &[(1, 2), (1, 3)]), order(Kind::Aspa));
    }

    #[test]
    fn only_changes_that_can_be_are_changes() {
        let changes = |come: &[u32], gone: &[u32]| {
            let list = |numbers: &[u32]| numbers.iter().map(|number| vrp(*number)).collect();
            Changes::new(list(come), list(gone))
        };
        assert!(changes(&[3, 1], &[4, 2]).is_some());
        for (come, gone) in [(&[1, 3][..], &[][..]), (&[], &[1, 1]), (&[3, 1], &[1])] {
            assert!(changes(come, gone).is_none(), "{come:?} {gone:?}");
        }
        let change = |before, after| AspaChange::new(before, after);
        assert!(change(Some(aspa(1, 2)), Some(aspa(1, 3))).is_some());
        assert!(change(Some(aspa(1, 2)), Some(aspa(1, 2))).is_none());
        assert!(change(Some(aspa(1, 2)), Some(aspa(2, 3))).is_none());
        assert!(change(None, None).is_none());
        let delta = |customers: [u32; 2]| {
            let changes = customers.map(|customer| change(None, Some(aspa(customer, 9))).unwrap());
            let none = Changes::new(Vec::new(), Vec::new()).unwrap();
            let no_keys = Changes::new(Vec::new(), Vec::new()).unwrap();
            let no_v6 = Changes::new(Vec::new(), Vec::new()).unwrap();
            Delta::new(none, no_v6, no_keys, changes.to_vec())
        };
        assert!(delta([1, 2]).is_some());
        assert!(delta([2, 1]).is_none() && delta([1, 1]).is_none());
    }

    #[test]
    fn a_chain_is_a_composition_of_steps_that_fit() {
        let set = |numbers: &[u32], provider| {
            let v4 = numbers.iter().map(|number| vrp(*number)).collect();
            let aspas = vec![aspa(1, provider)];
            PayloadSet::from_records(v4, Vec::new(), Vec::new(), aspas).unwrap()
        };
        let sets = [
            set(&[3, 1], 5),
            set(&[2, 1], 6),
            set(&[3, 2], 5),
            set(&[], 7),
        ];
        let steps: Vec<Delta> = sets
            .array_windows()
            .map(|[old, new]| Delta::between(old, new))
            .collect();
        let steps: Vec<&Delta> = steps.iter().collect();
        let whole = Delta::between(&sets[0], &sets[3]);
        assert_eq!(Delta::chain(&steps), Ok(whole));
        let wrong = |order: &[usize]| {
            let steps: Vec<&Delta> = order.iter().map(|place| steps[*place]).collect();
            Delta::chain(&steps).unwrap_err()
        };
        assert_eq!(wrong(&[0, 0]).fault, Fault::DuplicateAnnouncement);
        let replaced = |from, to| Delta::between(&set(&[], from), &set(&[], to));
        let apart = [replaced(5, 6), replaced(7, 8)];
        let mismatch = Delta::chain(&apart.each_ref()).unwrap_err();
        assert_eq!(mismatch.kind, Kind::Aspa);
        assert_eq!(wrong(&[1, 2, 2]).fault, Fault::WithdrawalOfUnknown);
    }

    #[test]
    fn attributes_come_back_in_their_places() {
        let data = data(&[1, 2, 3]);
        let anchors = data.trust_anchors().clone();
        let octets: Vec<[u8; 8]> = data.attributes().map(|a| a.to_octets()).collect();
        let mut octets = octets.into_iter();
        let mut read = |kind| {
            let these = octets.by_ref().take(data.payload().count(kind));
            let these = these.map(|octets| Attribute::from_octets(octets, &anchors));
            these.collect::<Option<Vec<_>>>().unwrap()
        };
        let read = Kind::ALL.map(&mut read);
        let joined =
            |lists| DataSet::with_attributes(data.payload().clone(), lists, anchors.clone());
        assert_eq!(joined(read.clone()).unwrap(), data);
        // As many in all, and not as many of each.
        let [mut v4, v6, mut router_keys, aspas] = read;
        router_keys.extend(v4.pop());
        let wrong = joined([v4, v6, router_keys, aspas]);
        let (expected, found) = (3, 2);
        assert_eq!(wrong, Err(StoredError::Attributes { expected, found }));
        assert!(Attribute::from_octets([0, 0, 0, 0, 0, 2, 0, 0], &anchors).is_some());
        assert!(Attribute::from_octets([0, 0, 0, 0, 0, 3, 0, 0], &anchors).is_none());
    }

    #[test]
    fn what_stays_keeps_its_attribute() {
        let (old, new) = (data(&[1, 2, 3]), data(&[2, 3, 4]));
        let unknown = Attribute::new(Some(UnixTime::new(7)), Default::default());
        let carried = old.carried_to(new.payload().clone(), unknown);
        assert_eq!(carried.payload(), new.payload());
        let known = |number| *carried.rows().attribute(&Vrp::V4(vrp(number))).unwrap();
        let before = |number| *old.rows().attribute(&Vrp::V4(vrp(number))).unwrap();
        assert_eq!((known(2), known(3)), (before(2), before(3)));
        assert_eq!(known(4), unknown);
        let (key, attribute) = carried.router_keys().iter().next().unwrap();
        assert_eq!(
            (key.asn(), attribute.sources()),
            (Asn::new(1), Attribute::LOCAL)
        );
    }
}
