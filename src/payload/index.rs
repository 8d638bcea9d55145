//! Origin validation of many routes against one set.

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::IpNet;

use super::asn::Asn;
use super::set::PayloadSet;
use super::validity::{Fit, State, Validity};
use super::vrp::{Vrp, VrpV4, VrpV6};

/// The VRPs of a set by prefix, for look-ups in millions.
///
/// The prefixes are sorted by address and length, and each knows the nearest one around it, so
/// that all VRPs that cover a route hang on one chain. Its beginning is found by a table of 2^16
/// first bits and a short binary search.
///
/// Building costs a pass over the set and a sort of the few VRPs with one address; keeping costs
/// 8 octets a VRP and 16 (IPv4) or 32 (IPv6) a prefix, at most 24 MiB for 800,000 VRPs with a
/// fifth of IPv6, and half a MiB for the tables.
#[derive(Clone, Debug)]
pub struct Index {
    v4: Family<u32>,
    v6: Family<u128>,
}

impl Index {
    /// The index of a set.
    pub fn new(set: &PayloadSet) -> Self {
        let v4 = set.v4().iter().rev();
        let v6 = set.v6().iter().rev();
        Self {
            v4: Family::new(v4.map(|vrp: &VrpV4| Entry {
                address: vrp.address(),
                len: vrp.prefix_len(),
                origin: Origin::new(vrp.max_len(), vrp.asn()),
            })),
            v6: Family::new(v6.map(|vrp: &VrpV6| Entry {
                address: vrp.address(),
                len: vrp.prefix_len(),
                origin: Origin::new(vrp.max_len(), vrp.asn()),
            })),
        }
    }

    /// The state of a route, as [`PayloadSet::validity`] has it. Allocates nothing.
    pub fn state(&self, prefix: IpNet, origin: Option<Asn>) -> State {
        let len = prefix.prefix_len();
        match prefix.addr() {
            IpAddr::V4(address) => self.v4.state(address.to_bits(), len, origin),
            IpAddr::V6(address) => self.v6.state(address.to_bits(), len, origin),
        }
    }

    /// What [`PayloadSet::validity`] says, in the same order.
    pub fn validity(&self, prefix: IpNet, origin: Option<Asn>) -> Validity {
        let len = prefix.prefix_len();
        let vrp4 = |address, len, own: &Origin| {
            let vrp = VrpV4::new(address, len, own.max_len, own.asn);
            vrp.ok().map(Vrp::V4)
        };
        let vrp6 = |address, len, own: &Origin| {
            let vrp = VrpV6::new(address, len, own.max_len, own.asn);
            vrp.ok().map(Vrp::V6)
        };
        let covering = match prefix.addr() {
            IpAddr::V4(address) => self.v4.covering(address.to_bits(), len, vrp4),
            IpAddr::V6(address) => self.v6.covering(address.to_bits(), len, vrp6),
        };
        let covering = covering.into_iter();
        Validity::of(covering.map(|vrp| (vrp, Fit::of(&vrp, len, origin))))
    }
}

/// The AS and the max length of a VRP. The order is that of a [`Validity`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Origin {
    max_len: u8,
    asn: Asn,
}

impl Origin {
    const fn new(max_len: u8, asn: Asn) -> Self {
        Self { max_len, asn }
    }
}

/// A VRP of either family.
struct Entry<A> {
    address: A,
    len: u8,
    origin: Origin,
}

/// A prefix that has VRPs.
#[derive(Clone, Copy, Debug)]
struct Node<A> {
    address: A,
    /// The place of the nearest prefix around this one.
    parent: Option<Place>,
    /// Where its VRPs begin; they end where those of the next prefix begin.
    origins: u32,
    len: u8,
}

/// A place in a list of nodes, the first being 1, so that none costs nothing.
#[derive(Clone, Copy, Debug)]
struct Place(NonZeroU32);

impl Place {
    /// The last of so many, `None` of none.
    fn last_of(count: u32) -> Option<Self> {
        NonZeroU32::new(count).map(Self)
    }
}

/// An address of a family as the number that its bits are.
trait Address: Copy + Ord {
    /// The address with the bits past this length cleared.
    fn cut(self, len: u8) -> Self;

    /// The row of the table of first bits, which never falls as addresses rise.
    fn row(self) -> u16;
}

impl Address for u32 {
    fn cut(self, len: u8) -> Self {
        let spare = Self::BITS.saturating_sub(len.into());
        self & Self::MAX.checked_shl(spare).unwrap_or(0)
    }

    fn row(self) -> u16 {
        let [high, low, ..] = self.to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

impl Address for u128 {
    fn cut(self, len: u8) -> Self {
        let spare = Self::BITS.saturating_sub(len.into());
        self & Self::MAX.checked_shl(spare).unwrap_or(0)
    }

    /// All of the Internet is in 2000::/3, so these three bits are left out of the number.
    fn row(self) -> u16 {
        const FIRST: u128 = 0x2000 << 112;
        u16::try_from(self.saturating_sub(FIRST) >> 109).unwrap_or(u16::MAX)
    }
}

#[derive(Clone, Debug)]
struct Family<A> {
    /// By address and length, ascending.
    nodes: Vec<Node<A>>,
    origins: Vec<Origin>,
    /// For each row, how many nodes are in rows before it; one more for the end.
    rows: Vec<u32>,
}

impl<A: Address> Family<A> {
    /// Of entries by address, ascending.
    fn new(entries: impl ExactSizeIterator<Item = Entry<A>>) -> Self {
        let mut entries: Vec<Entry<A>> = entries.collect();
        for run in entries.chunk_by_mut(|a, b| a.address == b.address) {
            run.sort_unstable_by_key(|entry| (entry.len, entry.origin));
        }
        let mut nodes: Vec<Node<A>> = Vec::with_capacity(entries.len());
        let mut origins = Vec::with_capacity(entries.len());
        // The prefixes around the last one, and itself.
        let mut around: Vec<(Place, A, u8)> = Vec::new();
        for run in entries.chunk_by(|a, b| (a.address, a.len) == (b.address, b.len)) {
            let Some(Entry { address, len, .. }) = run.first() else {
                continue;
            };
            let within = around.iter().rposition(|(_, a, l)| address.cut(*l) == *a);
            around.truncate(within.map_or(0, |last| last + 1));
            nodes.push(Node {
                address: *address,
                parent: around.last().map(|(place, ..)| *place),
                origins: counted(origins.len()),
                len: *len,
            });
            origins.extend(run.iter().map(|entry| entry.origin));
            let place = Place::last_of(counted(nodes.len()));
            around.extend(place.map(|place| (place, *address, *len)));
        }
        nodes.shrink_to_fit();
        let rows = rows(&nodes);
        Self {
            nodes,
            origins,
            rows,
        }
    }

    fn state(&self, address: A, len: u8, origin: Option<Asn>) -> State {
        let mut state = State::NotFound;
        // AS0 in a VRP matches nothing, not even a route that claims AS0 (RFC 6811 §2).
        let origin = origin.filter(|origin| *origin != Asn::ZERO);
        for (_, origins) in self.around(address, len) {
            let mut origins = origins.iter();
            if origins.any(|own| Some(own.asn) == origin && len <= own.max_len) {
                return State::Valid;
            }
            state = State::Invalid;
        }
        state
    }

    /// All VRPs that cover, from short to long.
    fn covering(
        &self,
        address: A,
        len: u8,
        vrp: impl Fn(A, u8, &Origin) -> Option<Vrp>,
    ) -> Vec<Vrp> {
        let mut around: Vec<_> = self.around(address, len).collect();
        around.reverse();
        let vrps = around.into_iter().flat_map(|(node, origins)| {
            let origins = origins.iter();
            origins.filter_map(|own| vrp(node.address, node.len, own))
        });
        vrps.collect()
    }

    /// The prefixes that cover this one, from long to short, with their VRPs.
    fn around(&self, address: A, len: u8) -> impl Iterator<Item = (&Node<A>, &[Origin])> {
        let address = address.cut(len);
        // What covers the route is the last prefix not after it, or around that one: whatever
        // stands between the two in this order is inside what covers the route.
        let mut place = self.last_until(address, len);
        while let Some((node, _)) = place.and_then(|place| self.at(place))
            && address.cut(node.len) != node.address
        {
            place = node.parent;
        }
        let next = |place: &Place| self.at(*place)?.0.parent;
        std::iter::successors(place, next).filter_map(|place| self.at(place))
    }

    /// The last node that is not after this prefix.
    fn last_until(&self, address: A, len: u8) -> Option<Place> {
        let row = usize::from(address.row());
        let (start, end) = (*self.rows.get(row)?, *self.rows.get(row + 1)?);
        let nodes = self.nodes.get(index(start)..index(end))?;
        let before = nodes.partition_point(|node| (node.address, node.len) <= (address, len));
        Place::last_of(start + counted(before))
    }

    fn at(&self, place: Place) -> Option<(&Node<A>, &[Origin])> {
        let next = index(place.0.get());
        let node = self.nodes.get(next - 1)?;
        let end = self.nodes.get(next).map(|node| index(node.origins));
        let end = end.unwrap_or(self.origins.len());
        let origins = self.origins.get(index(node.origins)..end)?;
        Some((node, origins))
    }
}

/// For each row, how many nodes are in rows before it.
fn rows<A: Address>(nodes: &[Node<A>]) -> Vec<u32> {
    const ROWS: usize = 1 << 16;
    let mut rows = Vec::with_capacity(ROWS + 1);
    for (before, node) in nodes.iter().enumerate() {
        let row = usize::from(node.address.row());
        if rows.len() <= row {
            rows.resize(row + 1, counted(before));
        }
    }
    rows.resize(ROWS + 1, counted(nodes.len()));
    rows
}

/// A set has fewer than 2^32 VRPs: they would fill 48 GiB.
fn counted(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn index(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_as_small_as_promised() {
        assert_eq!(size_of::<Origin>(), 8);
        assert_eq!(size_of::<Node<u32>>(), 16);
        assert_eq!(size_of::<Node<u128>>(), 32);
    }

    #[test]
    fn rows_begin_at_their_nodes() {
        let address = |row: u32| row << 16;
        let node = |row| Node {
            address: address(row),
            parent: None,
            origins: 0,
            len: 16,
        };
        let rows = rows(&[node(0), node(2), node(2), node(0xffff)]);
        assert_eq!(rows.len(), 65_537);
        assert_eq!(rows.get(..5), Some(&[0, 1, 1, 3, 3][..]));
        assert_eq!(rows.get(65_534..), Some(&[3, 3, 4][..]));
    }
}
