//! Origin validation (RFC 6811).

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::asn::Asn;
use super::set::PayloadSet;
use super::vrp::{Vrp, VrpV4, VrpV6};

/// The state of a route, and every VRP that bears on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Validity {
    /// The state.
    pub state: State,
    /// All VRPs that cover the prefix, from short to long, each with how it fits.
    pub covering: Vec<(Vrp, Fit)>,
}

impl Validity {
    /// What follows from all VRPs that cover the prefix, given in their order.
    pub(super) fn of(covering: impl Iterator<Item = (Vrp, Fit)>) -> Self {
        let covering: Vec<(Vrp, Fit)> = covering.collect();
        let state = if covering.is_empty() {
            State::NotFound
        } else if covering.iter().any(|(_, fit)| *fit == Fit::Matched) {
            State::Valid
        } else {
            State::Invalid
        };
        Self { state, covering }
    }

    /// The covering VRPs that fit in this way, in their order.
    pub fn fitting(&self, fit: Fit) -> impl Iterator<Item = &Vrp> {
        let covering = self.covering.iter();
        covering.filter_map(move |(vrp, own)| (*own == fit).then_some(vrp))
    }
}

/// RFC 6811 §2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// At least one covering VRP matches.
    Valid,
    /// There are covering VRPs and none matches.
    Invalid,
    /// No VRP covers the prefix.
    NotFound,
}

impl fmt::Display for State {
    /// `valid`, `invalid` or `not-found`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
        })
    }
}

/// How a covering VRP fits a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fit {
    /// The AS is the same and the route no longer than the max length.
    Matched,
    /// Only the AS differs, or it is AS0, which matches nothing.
    WrongAs,
    /// Only the route is too long.
    WrongLength,
    /// The AS differs and the route is too long.
    WrongAsAndLength,
}

impl Fit {
    /// How a VRP that covers a prefix of this length fits a route with this origin.
    pub fn of(vrp: &Vrp, len: u8, origin: Option<Asn>) -> Self {
        // AS0 in a VRP matches nothing, not even a route that claims AS0 (RFC 6811 §2).
        let same_as = origin == Some(vrp.asn()) && vrp.asn() != Asn::ZERO;
        match (same_as, len <= vrp.max_len()) {
            (true, true) => Self::Matched,
            (false, true) => Self::WrongAs,
            (true, false) => Self::WrongLength,
            (false, false) => Self::WrongAsAndLength,
        }
    }
}

impl fmt::Display for Fit {
    /// `matched`, `wrong AS`, `wrong length` or `wrong AS and length`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Matched => "matched",
            Self::WrongAs => "wrong AS",
            Self::WrongLength => "wrong length",
            Self::WrongAsAndLength => "wrong AS and length",
        })
    }
}

impl PayloadSet {
    /// The validity of a route with this origin; `None` is the origin of a path that ends in an
    /// AS_SET, which matches nothing (RFC 6811 §2). Host bits of the prefix are ignored.
    ///
    /// Costs one binary search for each set bit of the prefix; for many routes there is
    /// [`Index`](super::Index).
    pub fn validity(&self, prefix: IpNet, origin: Option<Asn>) -> Validity {
        let len = prefix.prefix_len();
        let mut covering: Vec<Vrp> = Vec::new();
        match prefix.network() {
            IpAddr::V4(address) => {
                let aligned = u128::from(address.to_bits()) << 96;
                let at = |address: &u128| u32::try_from(address >> 96).unwrap_or(u32::MAX);
                for candidate in ancestors(aligned, len) {
                    let found = run(self.v4(), &at(&candidate), VrpV4::address);
                    covering.extend(
                        found
                            .iter()
                            .filter(|v| v.prefix_len() <= len)
                            .map(|v| Vrp::V4(*v)),
                    );
                }
            }
            IpAddr::V6(address) => {
                for candidate in ancestors(address.to_bits(), len) {
                    let found = run(self.v6(), &candidate, VrpV6::address);
                    covering.extend(
                        found
                            .iter()
                            .filter(|v| v.prefix_len() <= len)
                            .map(|v| Vrp::V6(*v)),
                    );
                }
            }
        }
        covering.retain(|vrp| vrp.prefix().contains(&prefix.trunc()));
        covering.sort_by_key(|vrp| (vrp.prefix().prefix_len(), vrp.max_len(), vrp.asn()));
        let covering = covering.into_iter();
        Validity::of(covering.map(|vrp| (vrp, Fit::of(&vrp, len, origin))))
    }
}

/// The different addresses that the prefixes around this one can have, beginning with 0: the
/// address cut after each of its set bits. Left-aligned in 128 bits.
fn ancestors(address: u128, len: u8) -> impl Iterator<Item = u128> {
    let mut cut = 0u128;
    let bits = (0..u32::from(len)).filter_map(move |bit| {
        let mask = 1u128 << (127 - bit);
        (address & mask != 0).then(|| {
            cut |= mask;
            cut
        })
    });
    std::iter::once(0).chain(bits)
}

/// The records with this address in a slice in wire order, which is by address, descending.
fn run<'a, T, A: Ord>(records: &'a [T], address: &A, of: impl Fn(&T) -> A) -> &'a [T] {
    let start = records.partition_point(|record| of(record) > *address);
    let tail = records.get(start..).unwrap_or_default();
    let end = tail.partition_point(|record| of(record) == *address);
    tail.get(..end).unwrap_or_default()
}
