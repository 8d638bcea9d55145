//! Who may connect.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The prefixes that may connect, and those within them that may not. Without any, only this host
/// itself may: closed by default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccessList {
    /// The prefixes that may, beside this host itself.
    pub allow: Vec<IpNet>,
    /// The prefixes that may not, whatever `allow` says; this host itself, when it is named here.
    pub deny: Vec<IpNet>,
}

impl AccessList {
    /// Whether a peer with this address may connect. An IPv4 address is not to be mapped into IPv6.
    pub fn allows(&self, address: IpAddr) -> bool {
        !self.denies(address) && (address.is_loopback() || is_within(&self.allow, address))
    }

    /// Whether a peer may connect that a proxy says has this address. Who is on this host needs no
    /// proxy, so its addresses have to be allowed like all others.
    pub fn allows_named(&self, address: IpAddr) -> bool {
        !self.denies(address) && is_within(&self.allow, address)
    }

    /// Whether a peer with this address may not connect, whoever says that it may.
    pub fn denies(&self, address: IpAddr) -> bool {
        is_within(&self.deny, address)
    }
}

/// The one form of a prefix: IPv4 where it is one of IPv4 addresses mapped into IPv6, for that is
/// the form that addresses are compared in.
///
/// # Errors
///
/// For a prefix that holds those addresses among others, and so would not mean what it says;
/// `::/0` stands for IPv6 and is no such prefix.
pub fn canonical(prefix: IpNet) -> Result<IpNet, &'static str> {
    let IpNet::V6(net) = prefix else {
        return Ok(prefix);
    };
    let mapped = Ipv6Net::new_assert(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), MAPPED);
    let length = net.prefix_len().checked_sub(MAPPED);
    match (length, net.addr().to_ipv4_mapped()) {
        (Some(length), Some(address)) => {
            let prefix = Ipv4Net::new(address, length);
            prefix.map(IpNet::V4).map_err(|_| "not a prefix")
        }
        (None, _) if net.prefix_len() > 0 && net.contains(&mapped) => {
            Err("a part of it is IPv4 addresses mapped into IPv6, which are to be given as IPv4")
        }
        _ => Ok(prefix),
    }
}

/// The bits before an IPv4 address that is mapped into IPv6.
const MAPPED: u8 = 96;

/// Whether an address is within one of these prefixes.
pub fn is_within(prefixes: &[IpNet], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_is_not_allowed() {
        let nets = |text: &str| text.split(' ').map(|net| net.parse().unwrap()).collect();
        let list = AccessList {
            allow: nets("192.0.2.0/24 2001:db8::/32"),
            deny: nets("192.0.2.128/25 127.0.0.2/32"),
        };
        for (address, allowed) in [
            ("192.0.2.1", true),
            ("192.0.3.0", false),
            ("2001:db9::7", false),
            ("127.9.9.9", true),
            ("192.0.2.129", false),
            ("198.51.100.1", false),
            ("2001:db8::1", true),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("::1", true),
        ] {
            assert_eq!(list.allows(address.parse().unwrap()), allowed, "{address}");
        }
        for (address, allowed) in [("192.0.2.1", true), ("127.0.0.1", false), ("::1", false)] {
            let named = list.allows_named(address.parse().unwrap());
            assert_eq!(named, allowed, "{address}");
        }
        assert!(!AccessList::default().allows("192.0.2.1".parse().unwrap()));
    }
}
