//! One payload of any kind, as people are shown it.

use std::fmt;

use super::aspa::Aspa;
use super::kind::Kind;
use super::router_key::RouterKey;
use super::vrp::{Vrp, VrpV4, VrpV6};

/// A payload of any kind.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Payload {
    /// A VRP of either family.
    Vrp(Vrp),
    /// A router key.
    RouterKey(RouterKey),
    /// A customer with all its providers.
    Aspa(Aspa),
}

impl Payload {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Vrp(Vrp::V4(_)) => Kind::Ipv4,
            Self::Vrp(Vrp::V6(_)) => Kind::Ipv6,
            Self::RouterKey(_) => Kind::RouterKey,
            Self::Aspa(_) => Kind::Aspa,
        }
    }
}

impl From<&VrpV4> for Payload {
    fn from(vrp: &VrpV4) -> Self {
        Self::Vrp(Vrp::V4(*vrp))
    }
}

impl From<&VrpV6> for Payload {
    fn from(vrp: &VrpV6) -> Self {
        Self::Vrp(Vrp::V6(*vrp))
    }
}

impl From<&RouterKey> for Payload {
    fn from(key: &RouterKey) -> Self {
        Self::RouterKey(key.clone())
    }
}

impl From<&Aspa> for Payload {
    fn from(aspa: &Aspa) -> Self {
        Self::Aspa(aspa.clone())
    }
}

impl fmt::Display for Payload {
    /// `192.0.2.0/24-26 AS64496`; `router key 0102… AS64496` with the identifier in hexadecimal;
    /// `ASPA AS64496 by AS64497, AS64498`, of which only the first ten providers are written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        match self {
            Self::Vrp(vrp) => vrp.fmt(f),
            Self::RouterKey(key) => write!(f, "router key {key:?}"),
            Self::Aspa(aspa) => {
                write!(f, "ASPA {} by ", aspa.customer())?;
                for (place, provider) in aspa.providers().iter().take(SHOWN).enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{provider}")?;
                }
                match aspa.providers().len().checked_sub(SHOWN) {
                    Some(more @ 1..) => write!(f, " and {more} more"),
                    _ => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Asn;

    #[test]
    fn payloads_are_shown_in_a_line() {
        let asn = Asn::new(64496);
        let vrp = Vrp::new("192.0.2.0/24".parse().unwrap(), 26, asn).unwrap();
        let key = RouterKey::new([0xab; 20], asn, &[1]).unwrap();
        let aspa = |count| {
            let providers = (1..=count).map(Asn::new).collect();
            Payload::Aspa(Aspa::new(asn, providers).unwrap()).to_string()
        };
        assert_eq!(Payload::Vrp(vrp).to_string(), "192.0.2.0/24-26 AS64496");
        assert_eq!(
            Payload::RouterKey(key).to_string(),
            format!("router key {} AS64496", "ab".repeat(20))
        );
        assert_eq!(aspa(2), "ASPA AS64496 by AS1, AS2");
        assert!(aspa(10).ends_with("AS9, AS10"));
        assert!(aspa(12).ends_with("AS9, AS10 and 2 more"));
    }
}
