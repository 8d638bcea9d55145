//! Hosts and ports, as they are written between `//` and the first `/`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::endpoint::EndpointError;

/// The name or the address of a machine.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Host {
    /// A name for the resolver: ASCII letters, digits, `-`, `_` and dots.
    Name(Box<str>),
    /// An address.
    Ip(IpAddr),
}

/// A host and a TCP port.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HostPort {
    host: Host,
    port: u16,
}

impl Host {
    /// Longest name DNS can carry (RFC 1035 §2.3.4), in octets.
    const MAX_NAME: usize = 253;

    /// Reads a name, an IPv4 address, or an IPv6 address in brackets.
    pub(super) fn parse(text: &str) -> Result<Self, EndpointError> {
        if text.is_empty() {
            return Err(EndpointError::NoHost);
        }
        let bad = || EndpointError::BadHost { host: text.into() };
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(bad)?;
            let address: Ipv6Addr = inner.parse().map_err(|_| bad())?;
            return Ok(Self::Ip(address.into()));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(IpAddr::V4(address)));
        }
        if Self::is_name(text) {
            Ok(Self::Name(text.into()))
        } else {
            Err(bad())
        }
    }

    /// A last label of digits is a mistyped IPv4 address: resolvers read `192.0.2` as `192.0.0.2`.
    fn is_name(text: &str) -> bool {
        let relative = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && label
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
        };
        let last = relative.rsplit('.').next().unwrap_or(relative);
        relative.len() <= Self::MAX_NAME
            && relative.split('.').all(label)
            && !last.bytes().all(|octet| octet.is_ascii_digit())
    }
}

impl HostPort {
    /// This port of this host.
    pub const fn new(host: Host, port: u16) -> Self {
        Self { host, port }
    }

    /// Reads `host` or `host:port`.
    pub(super) fn parse(text: &str, default_port: u16) -> Result<Self, EndpointError> {
        let (host, port) = Self::split(text)?;
        let port = port.map_or(Ok(default_port), |port| {
            // `parse` takes a sign, which is no part of a port.
            let digits = port.bytes().all(|octet| octet.is_ascii_digit());
            let number = if digits { port.parse().ok() } else { None };
            number.ok_or_else(|| EndpointError::BadPort { port: port.into() })
        })?;
        Ok(Self::new(Host::parse(host)?, port))
    }

    fn split(text: &str) -> Result<(&str, Option<&str>), EndpointError> {
        let after_brackets = if text.starts_with('[') {
            text.find(']').map_or(text.len(), |place| place + 1)
        } else {
            if text.matches(':').count() > 1 {
                return Err(EndpointError::BareIpv6 { host: text.into() });
            }
            text.find(':').unwrap_or(text.len())
        };
        let (host, rest) = text.split_at(after_brackets);
        if rest.is_empty() {
            return Ok((host, None));
        }
        match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None => Err(EndpointError::BadHost { host: text.into() }),
        }
    }

    /// The host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The TCP port. 0 asks the system to choose one, which only a listener can.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address and port, `None` when a resolver has to be asked first.
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Ip(address) => Some(SocketAddr::new(address, self.port)),
            Host::Name(_) => None,
        }
    }
}

impl fmt::Display for Host {
    /// As it is written in a URL: IPv6 addresses in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(address)) => address.fmt(f),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match HostPort::parse(text, 323) {
            Ok(at) => at.to_string(),
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn hosts_and_ports_are_read_and_shown() {
        for (text, shown) in [
            ("cache.example", "cache.example:323"),
            ("cache.example:8282", "cache.example:8282"),
            ("cache_1.example.:0", "cache_1.example.:0"),
            ("192.0.2.1:1", "192.0.2.1:1"),
            ("[2001:db8::1]", "[2001:db8::1]:323"),
            ("[2001:DB8:0::1]:65535", "[2001:db8::1]:65535"),
        ] {
            assert_eq!(read(text), shown);
        }
    }

    #[test]
    fn what_is_no_host_or_port_is_refused() {
        for text in [
            "",
            ":323",
            "host:",
            "host:65536",
            "host:+5",
            "host:x",
            "2001:db8::1",
            "[2001:db8::1",
            "[2001:db8::1]323",
            "[192.0.2.1]:323",
            "192.0.2.300",
            "192.0.2",
            "-host",
            "a..b",
            "ho st",
            "h\u{f6}st",
        ] {
            assert!(read(text).starts_with("! "), "{text}");
        }
        assert!(read(&"a".repeat(254)).starts_with("! "));
    }
}
