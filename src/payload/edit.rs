//! Changes to a set, one at a time, as a router receives them.

use std::collections::BTreeMap;

use super::asn::Asn;
use super::aspa::Aspa;
use super::delta::Fault;
use super::router_key::RouterKey;
use super::set::PayloadSet;
use super::vrp::{Vrp, VrpV4, VrpV6};

/// Changes on their way to a set. Each is checked against the set and those before it, in the
/// order in which they come, and nothing takes effect before [`finish`](Self::finish).
#[derive(Debug)]
pub struct Edits {
    old: PayloadSet,
    v4: BTreeMap<VrpV4, Presence>,
    v6: BTreeMap<VrpV6, Presence>,
    router_keys: BTreeMap<RouterKey, Presence>,
    aspas: BTreeMap<Asn, Option<Aspa>>,
}

/// Whether a record is in the set after the edits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Presence {
    There,
    Gone,
}

impl Edits {
    /// No change yet to this set.
    pub fn new(old: PayloadSet) -> Self {
        Self {
            old,
            v4: BTreeMap::new(),
            v6: BTreeMap::new(),
            router_keys: BTreeMap::new(),
            aspas: BTreeMap::new(),
        }
    }

    /// Adds a VRP. Costs a binary search, as all edits do.
    ///
    /// # Errors
    ///
    /// When it is there already.
    pub fn announce_vrp(&mut self, vrp: Vrp) -> Result<(), Fault> {
        match vrp {
            Vrp::V4(vrp) => edit(&mut self.v4, self.old.v4(), vrp, Presence::There),
            Vrp::V6(vrp) => edit(&mut self.v6, self.old.v6(), vrp, Presence::There),
        }
    }

    /// Removes a VRP.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn withdraw_vrp(&mut self, vrp: Vrp) -> Result<(), Fault> {
        match vrp {
            Vrp::V4(vrp) => edit(&mut self.v4, self.old.v4(), vrp, Presence::Gone),
            Vrp::V6(vrp) => edit(&mut self.v6, self.old.v6(), vrp, Presence::Gone),
        }
    }

    /// Adds a router key.
    ///
    /// # Errors
    ///
    /// When it is there already.
    pub fn announce_router_key(&mut self, key: RouterKey) -> Result<(), Fault> {
        edit(
            &mut self.router_keys,
            self.old.router_keys(),
            key,
            Presence::There,
        )
    }

    /// Removes a router key.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn withdraw_router_key(&mut self, key: RouterKey) -> Result<(), Fault> {
        edit(
            &mut self.router_keys,
            self.old.router_keys(),
            key,
            Presence::Gone,
        )
    }

    /// Adds an ASPA, which replaces the customer's ASPA before (8210bis §5.12).
    pub fn announce_aspa(&mut self, aspa: Aspa) {
        self.aspas.insert(aspa.customer(), Some(aspa));
    }

    /// Removes a customer's ASPA.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn withdraw_aspa(&mut self, customer: Asn) -> Result<(), Fault> {
        let there = match self.aspas.get(&customer) {
            Some(edited) => edited.is_some(),
            None => self.old.aspa(customer).is_some(),
        };
        if !there {
            return Err(Fault::WithdrawalOfUnknown);
        }
        self.aspas.insert(customer, None);
        Ok(())
    }

    /// How many records were touched.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.router_keys.len() + self.aspas.len()
    }

    /// Whether none was touched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The set with all changes. Costs a pass over the set.
    pub fn finish(self) -> PayloadSet {
        let mut aspas = kept(self.old.aspas(), |aspa| {
            !self.aspas.contains_key(&aspa.customer())
        });
        aspas.extend(self.aspas.into_values().flatten());
        aspas.sort_unstable();
        PayloadSet::from_ordered(
            applied(self.old.v4(), self.v4),
            applied(self.old.v6(), self.v6),
            applied(self.old.router_keys(), self.router_keys),
            aspas,
        )
    }
}

fn edit<T: Ord>(
    edits: &mut BTreeMap<T, Presence>,
    old: &[T],
    record: T,
    wanted: Presence,
) -> Result<(), Fault> {
    let found = match edits.get(&record) {
        Some(presence) => *presence,
        None if old.binary_search(&record).is_ok() => Presence::There,
        None => Presence::Gone,
    };
    if found == wanted {
        return Err(match wanted {
            Presence::There => Fault::DuplicateAnnouncement,
            Presence::Gone => Fault::WithdrawalOfUnknown,
        });
    }
    edits.insert(record, wanted);
    Ok(())
}

fn kept<T: Clone>(old: &[T], keep: impl Fn(&T) -> bool) -> Vec<T> {
    old.iter().filter(|record| keep(record)).cloned().collect()
}

fn applied<T: Ord + Clone>(old: &[T], edits: BTreeMap<T, Presence>) -> Vec<T> {
    if edits.is_empty() {
        return old.to_vec();
    }
    let mut new = kept(old, |record| !edits.contains_key(record));
    let there = edits
        .into_iter()
        .filter(|(_, presence)| *presence == Presence::There);
    new.extend(there.map(|(record, _)| record));
    // Two runs in order: a stable sort merges them in one pass.
    new.sort();
    new
}
