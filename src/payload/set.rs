//! The set that is served.

use std::sync::Arc;

use super::asn::Asn;
use super::aspa::{Aspa, AspaError};
use super::kind::Kind;
use super::router_key::RouterKey;
use super::rows::{Attribute, Rows, Table, TrustAnchors};
use super::vrp::{Vrp, VrpV4, VrpV6};

/// Payloads, each once, in wire order; immutable and cheap to clone.
///
/// A customer has at most one ASPA here (8210bis §5.12).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PayloadSet {
    pub(super) v4: Arc<Vec<VrpV4>>,
    pub(super) v6: Arc<Vec<VrpV6>>,
    pub(super) router_keys: Arc<Vec<RouterKey>>,
    pub(super) aspas: Arc<Vec<Aspa>>,
}

impl PayloadSet {
    /// A set of records that are in wire order and unique, as [`super::delta`] makes them.
    pub(super) fn from_ordered(
        v4: Vec<VrpV4>,
        v6: Vec<VrpV6>,
        router_keys: Vec<RouterKey>,
        aspas: Vec<Aspa>,
    ) -> Self {
        Self {
            v4: Arc::new(v4),
            v6: Arc::new(v6),
            router_keys: Arc::new(router_keys),
            aspas: Arc::new(aspas),
        }
    }

    /// This set with the ASPAs of another in place of its own. Costs nothing.
    #[must_use]
    pub(crate) fn with_aspas_of(self, other: &Self) -> Self {
        Self {
            aspas: Arc::clone(&other.aspas),
            ..self
        }
    }

    /// The IPv4 VRPs, in wire order.
    pub fn v4(&self) -> &[VrpV4] {
        &self.v4
    }

    /// The IPv6 VRPs, in wire order.
    pub fn v6(&self) -> &[VrpV6] {
        &self.v6
    }

    /// The router keys, in wire order.
    pub fn router_keys(&self) -> &[RouterKey] {
        &self.router_keys
    }

    /// The ASPAs, in wire order, one a customer.
    pub fn aspas(&self) -> &[Aspa] {
        &self.aspas
    }

    /// The ASPA of a customer. Costs a binary search.
    pub fn aspa(&self, customer: Asn) -> Option<&Aspa> {
        let place = self
            .aspas
            .binary_search_by_key(&customer, Aspa::customer)
            .ok()?;
        self.aspas.get(place)
    }

    /// Whether a VRP is in the set. Costs a binary search.
    pub fn contains_vrp(&self, vrp: &Vrp) -> bool {
        match vrp {
            Vrp::V4(vrp) => self.v4.binary_search(vrp).is_ok(),
            Vrp::V6(vrp) => self.v6.binary_search(vrp).is_ok(),
        }
    }

    /// All VRPs of both families, in wire order.
    pub fn vrps(&self) -> impl Iterator<Item = Vrp> {
        let v4 = self.v4.iter().copied().map(Vrp::V4);
        v4.chain(self.v6.iter().copied().map(Vrp::V6))
    }

    /// How many payloads of this kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Ipv4 => self.v4.len(),
            Kind::Ipv6 => self.v6.len(),
            Kind::RouterKey => self.router_keys.len(),
            Kind::Aspa => self.aspas.len(),
        }
    }

    /// How many payloads there are of all kinds.
    pub fn len(&self) -> usize {
        Kind::ALL.into_iter().map(|kind| self.count(kind)).sum()
    }

    /// Whether there is no payload. An empty set is data; it is not the absence of data.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<PayloadSet> for Rows {
    /// The payloads as rows without expiry or trust anchor. They are shared, so this costs as
    /// much as their attributes: eight octets each.
    fn from(set: PayloadSet) -> Self {
        Self {
            v4: Table::plain(set.v4),
            v6: Table::plain(set.v6),
            router_keys: Table::plain(set.router_keys),
            aspas: Table::plain(set.aspas),
            trust_anchors: TrustAnchors::default(),
        }
    }
}

/// A set with what is known of its payloads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    payload: PayloadSet,
    rows: Rows,
    left_out: Vec<LeftOut>,
}

/// A customer whose ASPA cannot be served, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeftOut {
    /// The customer.
    pub customer: Asn,
    /// What its records amount to.
    pub reason: AspaError,
}

impl DataSet {
    /// The set that these rows amount to: what [`Rows`] has, with one ASPA a customer. VRPs and
    /// router keys are shared with the rows, so this costs a pass over the ASPAs only.
    pub fn new(rows: &Rows) -> Self {
        let mut left_out = Vec::new();
        let records = rows.aspas.records();
        let single = records.is_sorted_by(|a, b| a.customer() < b.customer());
        let short = |aspa: &Aspa| aspa.providers().len() <= Aspa::MAX_PROVIDERS;
        let aspas = if single && records.iter().all(short) {
            rows.aspas.clone()
        } else {
            Table::build(unions(&rows.aspas, &mut left_out))
        };
        let payload = PayloadSet {
            v4: Arc::clone(rows.v4.records()),
            v6: Arc::clone(rows.v6.records()),
            router_keys: Arc::clone(rows.router_keys.records()),
            aspas: Arc::clone(aspas.records()),
        };
        Self {
            payload,
            rows: Rows {
                aspas,
                ..rows.clone()
            },
            left_out,
        }
    }

    /// The payloads.
    pub const fn payload(&self) -> &PayloadSet {
        &self.payload
    }

    /// The IPv4 VRPs with their attributes.
    pub const fn v4(&self) -> &Table<VrpV4> {
        &self.rows.v4
    }

    /// The IPv6 VRPs with their attributes.
    pub const fn v6(&self) -> &Table<VrpV6> {
        &self.rows.v6
    }

    /// The router keys with their attributes.
    pub const fn router_keys(&self) -> &Table<RouterKey> {
        &self.rows.router_keys
    }

    /// The ASPAs with their attributes; the expiry is that of the record that goes first.
    pub const fn aspas(&self) -> &Table<Aspa> {
        &self.rows.aspas
    }

    /// The names behind the attributes' trust anchors.
    pub const fn trust_anchors(&self) -> &TrustAnchors {
        &self.rows.trust_anchors
    }

    /// All payloads with their attributes, one ASPA a customer.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The customers whose ASPA cannot be served.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }
}

/// One ASPA for each run of records of a customer: the union of their providers.
fn unions(records: &Table<Aspa>, left_out: &mut Vec<LeftOut>) -> Vec<(Aspa, Attribute)> {
    let rows: Vec<(&Aspa, &Attribute)> = records.iter().collect();
    let mut unions = Vec::new();
    for run in rows.chunk_by(|(a, _), (b, _)| a.customer() == b.customer()) {
        let Some(((first, attribute), rest)) = run.split_first() else {
            continue;
        };
        let customer = first.customer();
        let providers = run
            .iter()
            .flat_map(|(aspa, _)| aspa.providers())
            .copied()
            .collect();
        let joined = rest.iter().fold(**attribute, |joined, (_, next)| {
            joined.join_earliest(**next)
        });
        match Aspa::new(customer, providers) {
            Ok(aspa) => unions.push((aspa, joined)),
            Err(reason) => left_out.push(LeftOut { customer, reason }),
        }
    }
    unions
}
