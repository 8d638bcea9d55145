//! The four kinds of payload.

use std::fmt;

/// A kind of payload, in the order in which the kinds travel (8210bis §11.2: by PDU type).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A VRP of an IPv4 prefix.
    Ipv4,
    /// A VRP of an IPv6 prefix.
    Ipv6,
    /// A BGPsec router key.
    RouterKey,
    /// A customer's set of providers.
    Aspa,
}

impl Kind {
    /// All kinds, in wire order.
    pub const ALL: [Self; 4] = [Self::Ipv4, Self::Ipv6, Self::RouterKey, Self::Aspa];

    const fn bit(self) -> u8 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
            Self::RouterKey => 4,
            Self::Aspa => 8,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4 VRP",
            Self::Ipv6 => "IPv6 VRP",
            Self::RouterKey => "router key",
            Self::Aspa => "ASPA",
        })
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Kinds(u8);

impl Kinds {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Both families of VRPs: what RTR version 0 carries.
    pub const VRPS: Self = Self(1 | 2);
    /// All four.
    pub const ALL: Self = Self(1 | 2 | 4 | 8);

    /// This set and `kind`.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | kind.bit())
    }

    /// This set without `kind`.
    #[must_use]
    pub const fn without(self, kind: Kind) -> Self {
        Self(self.0 & !kind.bit())
    }

    /// The kinds in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether `kind` is in the set.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Whether the set has no kind at all.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// A number from 0 to 15 that stands for this set alone.
    pub const fn index(self) -> u8 {
        self.0
    }

    /// The sixteen sets, by their [`index`](Self::index).
    pub fn all_sets() -> impl Iterator<Item = Self> {
        (0..16).map(Self)
    }
}
