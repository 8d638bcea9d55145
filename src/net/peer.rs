//! Who is at the other end of a stream.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// How the octets travel.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP (RFC 8210 §9.2).
    Tls,
    /// The subsystem `rpki-rtr` of SSH (RFC 8210 §9.1).
    Ssh,
}

/// Who a peer has proven to be, beyond having an address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Identity {
    /// It was asked for no proof.
    #[default]
    Unproven,
    /// The owner of a certificate with these DNS names, in lower case; it may have none.
    Certificate(Box<[Box<str>]>),
    /// A user of SSH.
    User(Box<str>),
}

/// The other end of a stream: its address and how it is reached.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Peer {
    address: SocketAddr,
    transport: Transport,
}

impl Peer {
    /// The peer at this address.
    ///
    /// A socket that takes both families shows IPv4 peers as `::ffff:192.0.2.1`. They become IPv4
    /// here, so that access lists and logs know one form of an address.
    pub fn new(address: SocketAddr, transport: Transport) -> Self {
        Self {
            address: canonical(address),
            transport,
        }
    }

    /// Its address and port; never an IPv4 address mapped into IPv6.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is reached.
    pub const fn transport(&self) -> Transport {
        self.transport
    }
}

/// The one form of an address: IPv4 where it is mapped into IPv6.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

impl fmt::Display for Peer {
    /// Address and port; the transport has a field of its own in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Transport {
    /// Its name, as in the scheme of an endpoint.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ssh => "ssh",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_become_ipv4() {
        for (seen, shown) in [
            ("[::ffff:192.0.2.1]:4711", "192.0.2.1:4711"),
            ("192.0.2.1:4711", "192.0.2.1:4711"),
            ("[2001:db8::1]:4711", "[2001:db8::1]:4711"),
            ("[::1]:4711", "[::1]:4711"),
            ("[fe80::1%2]:4711", "[fe80::1%2]:4711"),
        ] {
            let peer = Peer::new(seen.parse().unwrap(), Transport::Tcp);
            assert_eq!(peer.to_string(), shown);
        }
    }
}
