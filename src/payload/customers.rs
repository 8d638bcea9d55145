//! The ASPA records of a list by customer.

use super::asn::Asn;
use super::aspa::Aspa;
use super::rows::{Attribute, Table};

/// The records of one customer, at least one, in wire order.
#[derive(Debug)]
pub(super) struct Customer<'a> {
    pub(super) asn: Asn,
    pub(super) records: Vec<(&'a Aspa, &'a Attribute)>,
}

/// The customers of a list, ascending. Costs a pass.
pub(super) fn customers(aspas: &Table<Aspa>) -> Vec<Customer<'_>> {
    let mut customers: Vec<Customer<'_>> = Vec::new();
    for (aspa, attribute) in aspas.iter() {
        match customers.last_mut() {
            Some(last) if last.asn == aspa.customer() => last.records.push((aspa, attribute)),
            _ => customers.push(Customer {
                asn: aspa.customer(),
                records: vec![(aspa, attribute)],
            }),
        }
    }
    customers
}

impl Customer<'_> {
    /// One ASPA with the providers of all records, however many: it is compared and shown, and
    /// not served. `None` for none that records of one customer can make.
    pub(super) fn union(&self) -> Option<Aspa> {
        if let [(only, _)] = self.records.as_slice() {
            return Some((*only).clone());
        }
        let records = self.records.iter();
        let mut providers: Vec<Asn> = records
            .flat_map(|(aspa, _)| aspa.providers())
            .copied()
            .collect();
        providers.sort_unstable();
        providers.dedup();
        if providers.len() > 1 {
            providers.retain(|provider| *provider != Asn::ZERO);
        }
        Aspa::from_wire(self.asn, providers).ok()
    }
}
