//! The header of the PROXY protocol, version 2, which a load balancer puts before the octets of
//! a peer to say whose they are.
//!
//! Only the binary header is taken, and only whole: 16 octets, then as many as they announce.
//! Never an octet more is read, for what follows belongs to TLS, SSH or the session.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

use super::peer::canonical;
use super::refused::{Reason, Refused};

/// What a header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Header {
    /// The connection is the proxy's own, such as a check of our health.
    Local,
    /// The connection is made for the peer with this address, never an IPv4 one mapped into IPv6.
    For(SocketAddr),
}

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The most octets of addresses and what comes after them. Those that proxies send, with the
/// names of a certificate in it, have a few hundred.
const LONGEST: u16 = 2_048;

/// Reads a header. The caller sets the deadline.
///
/// # Errors
///
/// When there is no header, a damaged one, one of version 1, or one for something else than a
/// TCP connection.
///
/// # Cancel safety
///
/// Not cancel safe: some of the header may have been read.
pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Result<Header, Refused> {
    let mut fixed = [0; 16];
    socket.read_exact(&mut fixed).await.map_err(broken)?;
    let (signature, [command, family, high, low]) = split(fixed);
    if signature != SIGNATURE {
        let what = match fixed.starts_with(b"PROXY ") {
            true => "version 1 (expected version 2)",
            false => "no header (expected version 2)",
        };
        return Err(wrong(what));
    }
    let length = u16::from_be_bytes([high, low]);
    if length > LONGEST {
        return Err(wrong(format_args!(
            "{length} octets announced (expected at most {LONGEST})"
        )));
    }
    let mut rest = vec![0; usize::from(length)];
    socket.read_exact(&mut rest).await.map_err(broken)?;
    match command {
        // What else a header of this command says is to be ignored.
        0x20 => Ok(Header::Local),
        0x21 => source(family, &rest).map(Header::For),
        other => Err(wrong(format_args!(
            "version and command {other:#04x} (expected 0x20 or 0x21)"
        ))),
    }
}

fn split(fixed: [u8; 16]) -> ([u8; 12], [u8; 4]) {
    let mut signature = [0; 12];
    let mut rest = [0; 4];
    let (front, back) = fixed.split_at(signature.len());
    signature.copy_from_slice(front);
    rest.copy_from_slice(back);
    (signature, rest)
}

/// The address of the peer: it comes first, then that of the proxy, the ports, and what is not
/// needed here.
fn source(family: u8, octets: &[u8]) -> Result<SocketAddr, Refused> {
    let short = || {
        wrong(format_args!(
            "{} octets of addresses, too few",
            octets.len()
        ))
    };
    let (address, ports): (IpAddr, _) = match family {
        0x11 => {
            let address: &[u8; 4] = octets.first_chunk().ok_or_else(short)?;
            ((*address).into(), octets.get(8..12).ok_or_else(short)?)
        }
        0x21 => {
            let address: &[u8; 16] = octets.first_chunk().ok_or_else(short)?;
            ((*address).into(), octets.get(32..36).ok_or_else(short)?)
        }
        other => {
            return Err(wrong(format_args!(
                "family and protocol {other:#04x} (expected 0x11 or 0x21)"
            )));
        }
    };
    let port = ports.first_chunk().ok_or_else(short)?;
    let port = u16::from_be_bytes(*port);
    let source = canonical(SocketAddr::new(address, port));
    let ip = source.ip();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    // No TCP connection comes from one of these.
    if ip.is_unspecified() || ip.is_multicast() || broadcast {
        return Err(wrong(format_args!("a peer at {ip}")));
    }
    Ok(source)
}

fn broken(error: io::Error) -> Refused {
    let cut = error.kind() == io::ErrorKind::UnexpectedEof;
    match cut {
        true => wrong("the connection ended within the header"),
        false => Refused::new(Reason::Gone, error),
    }
}

fn wrong(detail: impl std::fmt::Display) -> Refused {
    Refused::new(Reason::Proxy, detail)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Reads a header that is there whole, and says what is left.
    fn parse(octets: &[u8]) -> (Result<Header, Refused>, usize) {
        let mut rest = octets;
        let header = {
            let mut future = pin!(read(&mut rest));
            match future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Ready(header) => header,
                Poll::Pending => unreachable!("a slice never waits"),
            }
        };
        (header, rest.len())
    }

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut octets = SIGNATURE.to_vec();
        octets.extend([command, family]);
        octets.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        octets.extend_from_slice(rest);
        octets
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x34, 1, 67];

    fn v6(source: &str) -> Vec<u8> {
        let source: std::net::Ipv6Addr = source.parse().unwrap();
        let mut octets = source.octets().to_vec();
        octets.extend([0; 16]);
        octets.extend([0x12, 0x34, 1, 67]);
        octets
    }

    #[test]
    fn a_header_names_the_peer_and_nothing_more_is_read() {
        let mut with_tlvs = V4.to_vec();
        with_tlvs.extend([0x04, 0, 3, 1, 2, 3, 0xee, 0xff, 0xff]);
        for (octets, named) in [
            (header(0x21, 0x11, &V4), Some("192.0.2.7:4660")),
            (header(0x21, 0x11, &with_tlvs), Some("192.0.2.7:4660")),
            (
                header(0x21, 0x21, &v6("2001:db8::1")),
                Some("[2001:db8::1]:4660"),
            ),
            (
                header(0x21, 0x21, &v6("::ffff:192.0.2.9")),
                Some("192.0.2.9:4660"),
            ),
            (header(0x20, 0x11, &V4), None),
            (header(0x20, 0x00, &[]), None),
            (header(0x20, 0xff, &[9; 100]), None),
        ] {
            let mut stream = octets.clone();
            stream.extend([1, 2, 0, 0, 0, 0, 0, 8]);
            let (read, left) = parse(&stream);
            let wanted = named.map_or(Header::Local, |named| Header::For(named.parse().unwrap()));
            assert_eq!((read, left), (Ok(wanted), 8), "{octets:?}");
            for cut in 0..octets.len() {
                let refused = parse(&octets[..cut]).0.unwrap_err();
                assert_eq!(refused.reason, Reason::Proxy, "cut at {cut}");
            }
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let mut long = header(0x21, 0x11, &[0; 2_049]);
        for (octets, says) in [
            (
                b"PROXY TCP4 192.0.2.7 198.51.100.1 4660 323\r\n".to_vec(),
                "version 1",
            ),
            (
                vec![1, 2, 0, 0, 0, 0, 0, 8, 1, 2, 0, 0, 0, 0, 0, 8],
                "no header",
            ),
            (header(0x11, 0x11, &V4), "0x11 (expected 0x20 or 0x21)"),
            (header(0x22, 0x11, &V4), "0x22"),
            (header(0x21, 0x12, &V4), "family and protocol 0x12"),
            (header(0x21, 0x00, &V4), "family and protocol 0x00"),
            (header(0x21, 0x31, &[0; 216]), "family and protocol 0x31"),
            (header(0x21, 0x11, &V4[..11]), "11 octets of addresses"),
            (header(0x21, 0x21, &V4), "12 octets of addresses"),
            (std::mem::take(&mut long), "2049 octets announced"),
        ] {
            let refused = parse(&octets).0.unwrap_err();
            assert_eq!(refused.reason, Reason::Proxy);
            assert!(refused.detail().contains(says), "{says}: {refused}");
        }
    }
}
