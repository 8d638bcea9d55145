//! Validated ROA payloads.

use std::cmp::Ordering;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::asn::Asn;
use super::rows::Ranked;

/// A validated ROA payload: the AS may originate the prefix and its more specifics up to the
/// max length (RFC 6811 §2).
///
/// Max length lies between the prefix length and 32 or 128, and the address bits past the prefix
/// length are zero; both hold by construction.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Vrp {
    /// For an IPv4 prefix.
    V4(VrpV4),
    /// For an IPv6 prefix.
    V6(VrpV6),
}

impl Vrp {
    /// The VRP of these three values.
    ///
    /// # Errors
    ///
    /// When the max length is outside its range or the prefix has host bits set.
    pub fn new(prefix: IpNet, max_len: u8, asn: Asn) -> Result<Self, VrpError> {
        match prefix {
            IpNet::V4(net) => {
                VrpV4::new(net.addr().to_bits(), net.prefix_len(), max_len, asn).map(Self::V4)
            }
            IpNet::V6(net) => {
                VrpV6::new(net.addr().to_bits(), net.prefix_len(), max_len, asn).map(Self::V6)
            }
        }
    }

    /// The prefix.
    pub fn prefix(&self) -> IpNet {
        match self {
            Self::V4(vrp) => IpNet::V4(vrp.prefix()),
            Self::V6(vrp) => IpNet::V6(vrp.prefix()),
        }
    }

    /// The longest prefix length that the AS may announce.
    pub fn max_len(&self) -> u8 {
        match self {
            Self::V4(vrp) => vrp.max_len(),
            Self::V6(vrp) => vrp.max_len(),
        }
    }

    /// The AS.
    pub fn asn(&self) -> Asn {
        match self {
            Self::V4(vrp) => vrp.asn(),
            Self::V6(vrp) => vrp.asn(),
        }
    }
}

impl fmt::Display for Vrp {
    /// `192.0.2.0/24-26 AS64496`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} {}", self.prefix(), self.max_len(), self.asn())
    }
}

/// A VRP of an IPv4 prefix, packed into 12 octets.
///
/// The order is that of announcements in 8210bis §11.2: address, max length, prefix length and
/// AS, each descending.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct VrpV4 {
    address: u32,
    asn: u32,
    prefix_len: u8,
    max_len: u8,
}

impl VrpV4 {
    /// The VRP of these four values.
    ///
    /// # Errors
    ///
    /// When a length is outside its range or the address has bits past the prefix length.
    pub const fn new(
        address: u32,
        prefix_len: u8,
        max_len: u8,
        asn: Asn,
    ) -> Result<Self, VrpError> {
        if prefix_len > 32 {
            return Err(VrpError::PrefixLen {
                found: prefix_len,
                limit: 32,
            });
        }
        if max_len < prefix_len || max_len > 32 {
            return Err(VrpError::MaxLen {
                found: max_len,
                prefix_len,
                limit: 32,
            });
        }
        if prefix_len < 32 && address << prefix_len != 0 {
            return Err(VrpError::HostBits);
        }
        Ok(Self {
            address,
            asn: asn.into_u32(),
            prefix_len,
            max_len,
        })
    }

    /// The address of the prefix.
    pub const fn address(&self) -> u32 {
        self.address
    }

    /// The prefix length, 0 to 32.
    pub const fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// The max length, from the prefix length to 32.
    pub const fn max_len(&self) -> u8 {
        self.max_len
    }

    /// The AS.
    pub const fn asn(&self) -> Asn {
        Asn::new(self.asn)
    }

    /// The prefix.
    pub fn prefix(&self) -> Ipv4Net {
        // The length is at most 32 by construction, so nothing is asserted in vain.
        Ipv4Net::new_assert(Ipv4Addr::from_bits(self.address), self.prefix_len)
    }

    /// One number that orders as §11.2 does, ascending.
    fn key(&self) -> u128 {
        (u128::from(self.address) << 48)
            | (u128::from(self.max_len) << 40)
            | (u128::from(self.prefix_len) << 32)
            | u128::from(self.asn)
    }
}

impl Ranked for VrpV4 {
    fn rank(&self) -> u16 {
        let [high, low, ..] = self.address.to_be_bytes();
        !u16::from_be_bytes([high, low])
    }
}

impl Ord for VrpV4 {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for VrpV4 {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for VrpV4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Vrp::V4(*self), f)
    }
}

/// A VRP of an IPv6 prefix, packed into 24 octets; ordered as [`VrpV4`] is.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct VrpV6 {
    // Two halves, because a u128 would align the record to 16 octets and grow it to 32.
    high: u64,
    low: u64,
    asn: u32,
    prefix_len: u8,
    max_len: u8,
}

impl VrpV6 {
    /// The VRP of these four values.
    ///
    /// # Errors
    ///
    /// When a length is outside its range or the address has bits past the prefix length.
    pub fn new(address: u128, prefix_len: u8, max_len: u8, asn: Asn) -> Result<Self, VrpError> {
        if prefix_len > 128 {
            return Err(VrpError::PrefixLen {
                found: prefix_len,
                limit: 128,
            });
        }
        if max_len < prefix_len || max_len > 128 {
            return Err(VrpError::MaxLen {
                found: max_len,
                prefix_len,
                limit: 128,
            });
        }
        if prefix_len < 128 && address << prefix_len != 0 {
            return Err(VrpError::HostBits);
        }
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address.to_be_bytes();
        Ok(Self {
            high: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            low: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
            asn: asn.into_u32(),
            prefix_len,
            max_len,
        })
    }

    /// The address of the prefix.
    pub fn address(&self) -> u128 {
        (u128::from(self.high) << 64) | u128::from(self.low)
    }

    /// The prefix length, 0 to 128.
    pub const fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// The max length, from the prefix length to 128.
    pub const fn max_len(&self) -> u8 {
        self.max_len
    }

    /// The AS.
    pub const fn asn(&self) -> Asn {
        Asn::new(self.asn)
    }

    /// The prefix.
    pub fn prefix(&self) -> Ipv6Net {
        // The length is at most 128 by construction, so nothing is asserted in vain.
        Ipv6Net::new_assert(Ipv6Addr::from_bits(self.address()), self.prefix_len)
    }

    fn key(&self) -> (u128, u64) {
        let rest = (u64::from(self.max_len) << 40)
            | (u64::from(self.prefix_len) << 32)
            | u64::from(self.asn);
        (self.address(), rest)
    }
}

impl Ranked for VrpV6 {
    /// All of the Internet is in 2000::/3, so these three bits are left out of the number.
    fn rank(&self) -> u16 {
        const FIRST: u64 = 0x2000 << 48;
        let offset = self.high.saturating_sub(FIRST) >> 45;
        !u16::try_from(offset).unwrap_or(u16::MAX)
    }
}

impl Ord for VrpV6 {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for VrpV6 {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for VrpV6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Vrp::V6(*self), f)
    }
}

/// Values that are no VRP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VrpError {
    /// The prefix length is past the family's limit.
    PrefixLen {
        /// The length found.
        found: u8,
        /// 32 or 128.
        limit: u8,
    },
    /// The max length is shorter than the prefix or past the family's limit.
    MaxLen {
        /// The max length found.
        found: u8,
        /// The prefix length it belongs to.
        prefix_len: u8,
        /// 32 or 128.
        limit: u8,
    },
    /// Address bits past the prefix length are set (8210bis §5.9 forbids to send them).
    HostBits,
}

impl fmt::Display for VrpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrefixLen { found, limit } => {
                write!(f, "prefix length {found} is past {limit}")
            }
            Self::MaxLen {
                found,
                prefix_len,
                limit,
            } => {
                write!(
                    f,
                    "max length {found} is not between {prefix_len} and {limit}"
                )
            }
            Self::HostBits => f.write_str("address bits past the prefix length are set"),
        }
    }
}

impl std::error::Error for VrpError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn vrp(prefix: &str, max_len: u8) -> Result<Vrp, VrpError> {
        Vrp::new(prefix.parse().unwrap(), max_len, Asn::new(64496))
    }

    #[test]
    fn records_are_as_small_as_promised() {
        assert_eq!(size_of::<VrpV4>(), 12);
        assert_eq!(size_of::<VrpV6>(), 24);
    }

    #[test]
    fn holds_its_bounds() {
        assert!(vrp("0.0.0.0/0", 0).is_ok() && vrp("::/0", 128).is_ok());
        assert!(vrp("192.0.2.1/32", 32).is_ok() && vrp("2001:db8::1/128", 128).is_ok());
        assert_eq!(vrp("192.0.2.1/24", 24), Err(VrpError::HostBits));
        assert_eq!(vrp("2001:db8::1/127", 128), Err(VrpError::HostBits));
        assert!(matches!(
            vrp("192.0.2.0/24", 23),
            Err(VrpError::MaxLen { .. })
        ));
        assert!(matches!(
            vrp("192.0.2.0/24", 33),
            Err(VrpError::MaxLen { .. })
        ));
        assert!(matches!(
            vrp("2001:db8::/32", 129),
            Err(VrpError::MaxLen { .. })
        ));
        assert!(matches!(
            VrpV4::new(0, 33, 33, Asn::ZERO),
            Err(VrpError::PrefixLen { .. })
        ));
    }

    #[test]
    fn keeps_its_values_through_packing() {
        let vrp = vrp("2001:db8:1:2:3:4:5:0/112", 120).unwrap();
        assert_eq!(vrp.to_string(), "2001:db8:1:2:3:4:5:0/112-120 AS64496");
    }
}
