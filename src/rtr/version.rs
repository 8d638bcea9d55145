//! Protocol versions.

use std::fmt;

use crate::payload::{Kind, Kinds};

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// RFC 6810: VRPs only.
    V0,
    /// RFC 8210: router keys and timers.
    V1,
    /// draft-ietf-sidrops-8210bis-27: ASPAs and a total order.
    V2,
}

impl Version {
    /// All versions, ascending.
    pub const ALL: [Self; 3] = [Self::V0, Self::V1, Self::V2];

    /// The octet that begins each PDU of this version.
    pub const fn octet(self) -> u8 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// The version of this octet, `None` when it is none of ours.
    pub const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::V0),
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }

    /// The kinds of payload that have a PDU in this version (CONFORMANCE VER-17).
    pub const fn kinds(self) -> Kinds {
        match self {
            Self::V0 => Kinds::VRPS,
            Self::V1 => Kinds::VRPS.with(Kind::RouterKey),
            Self::V2 => Kinds::ALL,
        }
    }

    /// The version below, `None` below version 0.
    pub const fn lower(self) -> Option<Self> {
        match self {
            Self::V0 => None,
            Self::V1 => Some(Self::V0),
            Self::V2 => Some(Self::V1),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.octet().fmt(f)
    }
}

/// The versions a cache serves: a range, as negotiation wants it (8210bis §7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Versions {
    lowest: Version,
    highest: Version,
}

impl Versions {
    /// Every version there is.
    pub const ALL: Self = Self {
        lowest: Version::V0,
        highest: Version::V2,
    };

    /// The versions from `lowest` to `highest`, `None` when there would be none.
    pub fn new(lowest: Version, highest: Version) -> Option<Self> {
        (lowest <= highest).then_some(Self { lowest, highest })
    }

    /// The lowest version served.
    pub const fn lowest(self) -> Version {
        self.lowest
    }

    /// The highest version served.
    pub const fn highest(self) -> Version {
        self.highest
    }

    /// The version of a PDU with this octet, `None` when it is not served.
    pub fn find(self, octet: u8) -> Option<Version> {
        Version::from_octet(octet).filter(|version| (self.lowest..=self.highest).contains(version))
    }
}
