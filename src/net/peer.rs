//! Who is at the other end of a stream.

use std::fmt::{self, Write as _};
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

impl fmt::Display for Identity {
    /// For a log: its names, cut where they get long, with nothing in them that would break a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tame = |c: char| if c.is_control() { '?' } else { c };
        let part = |f: &mut fmt::Formatter<'_>, text: &str| {
            text.chars()
                .take(Self::LONGEST)
                .try_for_each(|c| f.write_char(tame(c)))
        };
        match self {
            Self::Unproven => f.write_str("unproven"),
            Self::User(user) => {
                f.write_str("user ")?;
                part(f, user)
            }
            Self::Certificate(names) => {
                f.write_str("certificate")?;
                for name in names.iter().take(Self::NAMES) {
                    f.write_char(' ')?;
                    part(f, name)?;
                }
                Ok(())
            }
        }
    }
}

impl Identity {
    /// The characters of a name that are shown.
    const LONGEST: usize = 100;

    /// The names of a certificate that are shown.
    const NAMES: usize = 3;
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
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Tls, Self::Ssh];

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
    fn identities_fit_a_line() {
        let names = ["a.example", "b.example", "c", "d"].map(Box::from);
        for (identity, shown) in [
            (Identity::Unproven, "unproven".to_owned()),
            (Identity::User("ro\nuter".into()), "user ro?uter".to_owned()),
            (
                Identity::User("x".repeat(200).into()),
                format!("user {}", "x".repeat(100)),
            ),
            (
                Identity::Certificate(names.into()),
                "certificate a.example b.example c".to_owned(),
            ),
        ] {
            assert_eq!(identity.to_string(), shown);
        }
    }

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
