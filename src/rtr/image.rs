//! Encoded payload, made once and shared by all.

use bytes::Bytes;

use super::pdu::{self, Action};
use super::version::Version;
use crate::payload::delta::{AspaChange, Changes};
use crate::payload::vrp::{VrpV4, VrpV6};
use crate::payload::{Aspa, Delta, Kind, Kinds, PayloadSet, RouterKey};

/// The payload PDUs of an answer in one version, a segment for each kind, in the order of
/// 8210bis §11.2.
///
/// Cache Response and End of Data are not in it: a session writes them, so timers and Session
/// IDs cost no second image. A view that hides kinds sends fewer segments of the same image.
#[derive(Clone, Debug, Default)]
pub struct Image {
    segments: [Bytes; 4],
}

impl Image {
    /// The image of a whole set. Costs one pass over it and its octets in memory.
    pub fn full(version: Version, set: &PayloadSet) -> Self {
        let octet = version.octet();
        let has = |kind| version.kinds().contains(kind);
        let mut keys = Vec::new();
        if has(Kind::RouterKey) {
            announce_keys(octet, set.router_keys(), &mut keys);
        }
        let mut aspas = Vec::new();
        if has(Kind::Aspa) {
            announce_aspas(octet, set.aspas().iter(), &mut aspas);
        }
        let v4 = prefixes(set.v4(), &[], |action, vrp| pdu::ipv4(octet, action, vrp));
        let v6 = prefixes(set.v6(), &[], |action, vrp| pdu::ipv6(octet, action, vrp));
        Self {
            segments: [v4.into(), v6.into(), keys.into(), aspas.into()],
        }
    }

    /// The image of an increment. Costs one pass over the delta.
    pub fn increment(version: Version, delta: &Delta) -> Self {
        let octet = version.octet();
        let has = |kind| version.kinds().contains(kind);
        let mut keys = Vec::new();
        if has(Kind::RouterKey) {
            announce_keys(octet, delta.router_keys().announced(), &mut keys);
            for key in delta.router_keys().withdrawn() {
                pdu::router_key(octet, Action::Withdraw, key, &mut keys);
            }
        }
        let mut aspas = Vec::new();
        if has(Kind::Aspa) {
            announce_aspas(
                octet,
                delta.aspas().iter().filter_map(AspaChange::announced),
                &mut aspas,
            );
            for change in delta
                .aspas()
                .iter()
                .filter(|change| change.announced().is_none())
            {
                pdu::encode_aspa(octet, Action::Withdraw, change.customer(), &[], &mut aspas);
            }
        }
        let changed = |changes: &Changes<VrpV4>| {
            prefixes(changes.announced(), changes.withdrawn(), |action, vrp| {
                pdu::ipv4(octet, action, vrp)
            })
        };
        let changed_v6 = |changes: &Changes<VrpV6>| {
            prefixes(changes.announced(), changes.withdrawn(), |action, vrp| {
                pdu::ipv6(octet, action, vrp)
            })
        };
        let (v4, v6) = (changed(delta.v4()), changed_v6(delta.v6()));
        Self {
            segments: [v4.into(), v6.into(), keys.into(), aspas.into()],
        }
    }

    /// The segments of these kinds that are not empty, in wire order.
    pub fn segments(&self, kinds: Kinds) -> impl Iterator<Item = &Bytes> {
        Kind::ALL
            .into_iter()
            .zip(&self.segments)
            .filter(move |(kind, segment)| kinds.contains(*kind) && !segment.is_empty())
            .map(|(_, segment)| segment)
    }

    /// The octets of these kinds.
    pub fn len(&self, kinds: Kinds) -> usize {
        self.segments(kinds).map(Bytes::len).sum()
    }

    /// Whether there is no PDU of these kinds.
    pub fn is_empty(&self, kinds: Kinds) -> bool {
        self.len(kinds) == 0
    }
}

/// Announcements in set order, then withdrawals in the exact reverse (§11.2).
fn prefixes<T, const N: usize>(
    announced: &[T],
    withdrawn: &[T],
    encode: impl Fn(Action, &T) -> [u8; N],
) -> Vec<u8> {
    let mut out = Vec::with_capacity((announced.len() + withdrawn.len()) * N);
    for vrp in announced {
        out.extend_from_slice(&encode(Action::Announce, vrp));
    }
    for vrp in withdrawn.iter().rev() {
        out.extend_from_slice(&encode(Action::Withdraw, vrp));
    }
    out
}

fn announce_keys(octet: u8, keys: &[RouterKey], out: &mut Vec<u8>) {
    for key in keys {
        pdu::router_key(octet, Action::Announce, key, out);
    }
}

fn announce_aspas<'a>(octet: u8, aspas: impl Iterator<Item = &'a Aspa>, out: &mut Vec<u8>) {
    for aspa in aspas {
        pdu::encode_aspa(
            octet,
            Action::Announce,
            aspa.customer(),
            aspa.providers(),
            out,
        );
    }
}

/// The octets of a full answer's payload in version 2, without encoding it.
pub fn full_octets(set: &PayloadSet) -> usize {
    let keys: usize = set.router_keys().iter().map(key_octets).sum();
    let aspas: usize = set.aspas().iter().map(aspa_octets).sum();
    20 * set.v4().len() + 32 * set.v6().len() + keys + aspas
}

/// The octets of an increment's payload in version 2, without encoding it.
pub fn increment_octets(delta: &Delta) -> usize {
    let count = |announced: usize, withdrawn: usize| announced + withdrawn;
    let (v4, v6, keys) = (delta.v4(), delta.v6(), delta.router_keys());
    let keys: usize = keys
        .announced()
        .iter()
        .chain(keys.withdrawn())
        .map(key_octets)
        .sum();
    let aspas: usize = delta
        .aspas()
        .iter()
        .map(|change| change.announced().map_or(12, aspa_octets))
        .sum();
    20 * count(v4.announced().len(), v4.withdrawn().len())
        + 32 * count(v6.announced().len(), v6.withdrawn().len())
        + keys
        + aspas
}

fn key_octets(key: &RouterKey) -> usize {
    32 + key.key().len()
}

fn aspa_octets(aspa: &Aspa) -> usize {
    12 + 4 * aspa.providers().len()
}
