//! Who may connect.

use std::net::IpAddr;

use ipnet::IpNet;

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

    /// Whether a peer with this address may not connect, whoever says that it may.
    pub fn denies(&self, address: IpAddr) -> bool {
        is_within(&self.deny, address)
    }
}

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
        assert!(!AccessList::default().allows("192.0.2.1".parse().unwrap()));
    }
}
