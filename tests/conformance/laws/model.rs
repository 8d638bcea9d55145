//! The naive model of a set: plain values in the collections of the standard library.

use std::collections::{BTreeMap, BTreeSet};

use rutter::payload::vrp::{VrpV4, VrpV6};
use rutter::payload::{
    Asn, Aspa, Attribute, DataSet, PayloadSet, RouterKey, Rows, RowsBuilder, Vrp,
};

use super::Rng;

/// Address, prefix length, max length, AS.
pub(super) type Prefix<A> = (A, u8, u8, u32);

/// What a set has, in no order that matters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Model {
    pub(super) v4: BTreeSet<Prefix<u32>>,
    pub(super) v6: BTreeSet<Prefix<u128>>,
    /// Identifier octet, key, AS.
    pub(super) keys: BTreeSet<(u8, Vec<u8>, u32)>,
    pub(super) aspas: BTreeMap<u32, BTreeSet<u32>>,
}

/// One record of a model.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Record {
    V4(Prefix<u32>),
    V6(Prefix<u128>),
    Key((u8, Vec<u8>, u32)),
    Aspa(u32, BTreeSet<u32>),
}

impl Record {
    /// A record of a universe so small that records meet again and again.
    pub(super) fn random(rng: &mut Rng) -> Self {
        match rng.below(8) {
            0..3 => {
                let len = rng.below(33) as u8;
                let max = len + rng.below(u64::from(33 - len).min(3)) as u8;
                let bits = (rng.below(4) as u32) << 30 | rng.below(3) as u32;
                Self::V4((cut4(bits, len), len, max, rng.below(3) as u32))
            }
            3..5 => {
                let len = [0, 1, 2, 64, 65, 127, 128][rng.below(7) as usize];
                let max = len + rng.below(u64::from(129 - len).min(2)) as u8;
                let bits = u128::from(rng.below(4)) << 126 | u128::from(rng.below(4)) << 62;
                Self::V6((cut6(bits, len), len, max, rng.below(3) as u32))
            }
            5 => {
                let key = vec![rng.below(2) as u8; 1 + rng.below(2) as usize];
                Self::Key((rng.below(3) as u8, key, rng.below(2) as u32))
            }
            _ => {
                let mut providers: BTreeSet<u32> = (0..1 + rng.below(3))
                    .map(|_| 10 + rng.below(3) as u32)
                    .collect();
                if rng.one_in(8) {
                    providers = [0].into();
                }
                Self::Aspa(1 + rng.below(4) as u32, providers)
            }
        }
    }

    pub(super) fn vrp(&self) -> Option<Vrp> {
        match *self {
            Self::V4((address, len, max, asn)) => Some(Vrp::V4(
                VrpV4::new(address, len, max, Asn::new(asn)).unwrap(),
            )),
            Self::V6((address, len, max, asn)) => Some(Vrp::V6(
                VrpV6::new(address, len, max, Asn::new(asn)).unwrap(),
            )),
            _ => None,
        }
    }

    pub(super) fn push(&self, rows: &mut RowsBuilder, attribute: Attribute) {
        match self {
            Self::Key(value) => rows.push_router_key(key(value), attribute),
            Self::Aspa(customer, providers) => {
                rows.push_aspa(aspa(*customer, providers), attribute);
            }
            _ => rows.push_vrp(self.vrp().unwrap(), attribute),
        }
    }
}

pub(super) fn key((ski, key, asn): &(u8, Vec<u8>, u32)) -> RouterKey {
    RouterKey::new([*ski; 20], Asn::new(*asn), key).unwrap()
}

pub(super) fn aspa(customer: u32, providers: &BTreeSet<u32>) -> Aspa {
    let providers = providers.iter().copied().map(Asn::new).collect();
    Aspa::new(Asn::new(customer), providers).unwrap()
}

pub(super) fn cut4(address: u32, len: u8) -> u32 {
    if len == 0 {
        0
    } else {
        address >> (32 - len) << (32 - len)
    }
}

pub(super) fn cut6(address: u128, len: u8) -> u128 {
    if len == 0 {
        0
    } else {
        address >> (128 - len) << (128 - len)
    }
}

impl Model {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let mut model = Self::default();
        for _ in 0..rng.below(40) {
            model.insert(Record::random(rng));
        }
        model
    }

    /// The same with a few records more and less.
    pub(super) fn changed(&self, rng: &mut Rng) -> Self {
        let mut model = self.clone();
        for _ in 0..rng.below(12) {
            let record = Record::random(rng);
            if rng.one_in(2) {
                model.insert(record);
            } else {
                let all = self.records();
                if let Some(record) = all.get(rng.below(all.len().max(1) as u64) as usize) {
                    model.remove(record);
                }
            }
        }
        model
    }

    /// Adds a record; an ASPA replaces. False when it was there.
    pub(super) fn insert(&mut self, record: Record) -> bool {
        match record {
            Record::V4(record) => self.v4.insert(record),
            Record::V6(record) => self.v6.insert(record),
            Record::Key(record) => self.keys.insert(record),
            Record::Aspa(customer, providers) => {
                self.aspas.insert(customer, providers);
                true
            }
        }
    }

    /// Removes a record; an ASPA by its customer. False when it was not there.
    pub(super) fn remove(&mut self, record: &Record) -> bool {
        match record {
            Record::V4(record) => self.v4.remove(record),
            Record::V6(record) => self.v6.remove(record),
            Record::Key(record) => self.keys.remove(record),
            Record::Aspa(customer, _) => self.aspas.remove(customer).is_some(),
        }
    }

    pub(super) fn records(&self) -> Vec<Record> {
        let v4 = self.v4.iter().copied().map(Record::V4);
        let v6 = self.v6.iter().copied().map(Record::V6);
        let keys = self.keys.iter().cloned().map(Record::Key);
        let aspas = self.aspas.iter();
        let aspas = aspas.map(|(customer, providers)| Record::Aspa(*customer, providers.clone()));
        v4.chain(v6).chain(keys).chain(aspas).collect()
    }

    /// What this version shows.
    pub(super) fn projected(&self, version: u8) -> Self {
        let mut model = self.clone();
        if version < 1 {
            model.keys.clear();
        }
        if version < 2 {
            model.aspas.clear();
        }
        model
    }

    /// Records that are only here, and only there; a changed ASPA counts here alone.
    pub(super) fn difference(&self, other: &Self) -> (Vec<Record>, Vec<Record>) {
        let own: BTreeSet<Record> = self.records().into_iter().collect();
        let its: BTreeSet<Record> = other.records().into_iter().collect();
        let only = own.iter().filter(|record| !its.contains(record)).cloned();
        let gone = its.iter().filter(|record| match record {
            Record::Aspa(customer, _) => !self.aspas.contains_key(customer),
            _ => !own.contains(record),
        });
        (only.collect(), gone.cloned().collect())
    }

    pub(super) fn rows(&self) -> Rows {
        let mut rows = RowsBuilder::new();
        // Backwards, so that what is in order was put in order.
        for record in self.records().iter().rev() {
            record.push(&mut rows, Attribute::default());
        }
        rows.finish()
    }

    pub(super) fn data(&self) -> DataSet {
        DataSet::new(&self.rows())
    }

    pub(super) fn set(&self) -> PayloadSet {
        self.data().payload().clone()
    }
}

impl From<&PayloadSet> for Model {
    fn from(set: &PayloadSet) -> Self {
        let mut model = Self::default();
        for vrp in set.v4() {
            let asn = vrp.asn().into_u32();
            let fresh = (vrp.address(), vrp.prefix_len(), vrp.max_len(), asn);
            assert!(model.v4.insert(fresh), "{vrp:?} twice");
        }
        for vrp in set.v6() {
            let asn = vrp.asn().into_u32();
            let fresh = (vrp.address(), vrp.prefix_len(), vrp.max_len(), asn);
            assert!(model.v6.insert(fresh), "{vrp:?} twice");
        }
        for key in set.router_keys() {
            let fresh = (key.ski()[0], key.key().to_vec(), key.asn().into_u32());
            assert!(model.keys.insert(fresh), "{key:?} twice");
        }
        for aspa in set.aspas() {
            let providers = aspa.providers().iter().map(|asn| asn.into_u32()).collect();
            let before = model.aspas.insert(aspa.customer().into_u32(), providers);
            assert_eq!(before, None, "{aspa:?} twice");
        }
        model
    }
}
