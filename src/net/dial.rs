//! Connecting to a host, whichever of its addresses answers.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::endpoint::Endpoint;
use super::files::FileError;
use super::host::{Host, HostPort};
use super::peer::{Peer, Transport};
use super::refused::{Reason, Refused};
use super::ssh::{self, SshConnector};
use super::stream::Stream;
use super::sys::TcpOptions;
use super::tls::{self, TlsConnector};

/// Where to connect to, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Target {
    /// Plain TCP.
    Tcp(HostPort),
    /// TLS over TCP.
    Tls {
        /// The host and port.
        at: HostPort,
        /// The handshake.
        connector: TlsConnector,
    },
    /// The subsystem `rpki-rtr` of SSH.
    Ssh {
        /// The host and port.
        at: HostPort,
        /// The name to log in with.
        user: Box<str>,
        /// How to log in.
        connector: SshConnector,
    },
}

impl Target {
    /// The cache at an endpoint, with what the files say that its transport needs; `None` when
    /// there can be no cache at such an endpoint. Blocks.
    ///
    /// # Errors
    ///
    /// When a file cannot be used.
    pub fn load(
        endpoint: &Endpoint,
        tls: &tls::ClientOptions,
        ssh: &ssh::ClientOptions,
    ) -> Result<Option<Self>, FileError> {
        Ok(match endpoint {
            Endpoint::Tcp(at) => Some(Self::Tcp(at.clone())),
            Endpoint::Tls(at) => Some(Self::Tls {
                at: at.clone(),
                connector: TlsConnector::load(tls)?,
            }),
            Endpoint::Ssh { user, at } => Some(Self::Ssh {
                at: at.clone(),
                user: user.clone(),
                connector: SshConnector::load(ssh)?,
            }),
            Endpoint::Web(_)
            | Endpoint::Feed(_)
            | Endpoint::FeedFolder(_)
            | Endpoint::File(_)
            | Endpoint::Stdin => None,
        })
    }

    /// The host and port.
    pub const fn at(&self) -> &HostPort {
        match self {
            Self::Tcp(at) | Self::Tls { at, .. } | Self::Ssh { at, .. } => at,
        }
    }

    /// What looks wrong with the files, a line each.
    pub fn warnings(&self) -> &[String] {
        match self {
            Self::Tcp(_) => &[],
            Self::Tls { connector, .. } => connector.warnings(),
            Self::Ssh { connector, .. } => connector.warnings(),
        }
    }

    /// The transport of its streams.
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Tcp(_) => Transport::Tcp,
            Self::Tls { .. } => Transport::Tls,
            Self::Ssh { .. } => Transport::Ssh,
        }
    }

    async fn shake_hands(&self, socket: TcpStream) -> Result<Stream, HandshakeError> {
        match self {
            Self::Tcp(_) => Ok(Stream::from(socket)),
            Self::Tls { at, connector } => Ok(connector.connect(socket, at.host()).await?),
            Self::Ssh {
                at,
                user,
                connector,
            } => {
                let session = connector.connect(socket, at, user).await?;
                Ok(Stream::SshClient(Box::new(session)))
            }
        }
    }
}

impl fmt::Display for Target {
    /// As an endpoint is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => write!(f, "tcp://{at}"),
            Self::Tls { at, .. } => write!(f, "tls://{at}"),
            Self::Ssh { at, user, .. } => write!(f, "ssh://{user}@{at}"),
        }
    }
}

/// Connects. All addresses of the host are tried over TCP, one after the other, in the order of
/// the resolver, and hands are shaken with the first that answers. `limit` is for the whole of it,
/// and each address gets an equal share of what is left, so that one that does not answer leaves
/// time for the next.
///
/// # Errors
///
/// When the host has no address, or none of its addresses answers in time; then with the reason
/// for each of them. When the handshake comes to nothing, or not to its end in time.
///
/// # Cancel safety
///
/// Cancel safe: a future that was dropped has no connection open. A lookup goes on in the
/// background, without effect.
pub async fn dial(
    target: &Target,
    limit: Duration,
    options: &TcpOptions,
) -> Result<(Stream, Peer), DialError> {
    let deadline = Instant::now() + limit;
    let (socket, address) = reach(target.at(), deadline, options).await?;
    // Boxed: the handshake of SSH is large, and gone once there is a stream.
    let handshake = Box::pin(target.shake_hands(socket));
    let cause = match timeout_at(deadline, handshake).await {
        Ok(Ok(stream)) => return Ok((stream, Peer::new(address, target.transport()))),
        Ok(Err(cause)) => cause,
        Err(_) => Refused::new(Reason::Deadline, format_args!("not done in {limit:?}")).into(),
    };
    Err(DialError::Handshake {
        at: target.at().clone(),
        address,
        cause: Box::new(cause),
    })
}

/// A connection to the first address that answers.
async fn reach(
    at: &HostPort,
    deadline: Instant,
    options: &TcpOptions,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let addresses = resolve(at, deadline).await?;
    let mut failures = Vec::new();
    for (place, address) in addresses.iter().enumerate() {
        let waiting = u32::try_from(addresses.len() - place).unwrap_or(u32::MAX);
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / waiting.max(1);
        match connect(*address, now + share, options).await {
            Ok(socket) => return Ok((socket, *address)),
            Err(error) => failures.push((*address, error)),
        }
    }
    Err(DialError::Unreachable {
        at: at.clone(),
        failures,
    })
}

async fn resolve(at: &HostPort, deadline: Instant) -> Result<Vec<SocketAddr>, DialError> {
    let name = match at.host() {
        Host::Ip(address) => return Ok(vec![SocketAddr::new(*address, at.port())]),
        Host::Name(name) => &**name,
    };
    let found = timeout_at(deadline, tokio::net::lookup_host((name, at.port())))
        .await
        .map_err(|_| io::ErrorKind::TimedOut.into())
        .flatten();
    let addresses: Vec<SocketAddr> = match found {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            let at = at.clone();
            return Err(DialError::Lookup { at, error });
        }
    };
    if addresses.is_empty() {
        return Err(DialError::NoAddress { at: at.clone() });
    }
    Ok(addresses)
}

async fn connect(
    address: SocketAddr,
    deadline: Instant,
    options: &TcpOptions,
) -> io::Result<TcpStream> {
    let socket = timeout_at(deadline, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    options.apply(&socket)?;
    Ok(socket)
}

/// Why there is no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum DialError {
    /// The resolver has no answer.
    Lookup {
        /// What was asked for.
        at: HostPort,
        /// What the resolver says.
        error: io::Error,
    },
    /// The resolver knows the name and no address of it.
    NoAddress {
        /// What was asked for.
        at: HostPort,
    },
    /// No address answers.
    Unreachable {
        /// What was asked for.
        at: HostPort,
        /// Each address that was tried, and what became of it.
        failures: Vec<(SocketAddr, io::Error)>,
    },
    /// An address answers, and the handshake comes to nothing.
    Handshake {
        /// What was asked for.
        at: HostPort,
        /// The address that answers.
        address: SocketAddr,
        /// Why.
        cause: Box<HandshakeError>,
    },
}

/// Why a handshake comes to nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Of TLS, or too late; what is said of a peer is said of the server.
    Refused(Refused),
    /// Of SSH.
    Ssh(ssh::ClientError),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(cause) => cause.fmt(f),
            Self::Ssh(cause) => cause.fmt(f),
        }
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(cause) => cause.source(),
            Self::Ssh(cause) => cause.source(),
        }
    }
}

impl From<Refused> for HandshakeError {
    fn from(cause: Refused) -> Self {
        Self::Refused(cause)
    }
}

impl From<ssh::ClientError> for HandshakeError {
    fn from(cause: ssh::ClientError) -> Self {
        Self::Ssh(cause)
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup { at, .. } => write!(f, "cannot look up {}", at.host()),
            Self::NoAddress { at } => write!(f, "{} has no address", at.host()),
            Self::Unreachable { at, failures } => {
                write!(f, "cannot connect to {at}")?;
                for (place, (address, error)) in failures.iter().enumerate() {
                    let before = if place == 0 { ": " } else { ", " };
                    write!(f, "{before}{address}: {error}")?;
                }
                Ok(())
            }
            Self::Handshake { at, address, .. } if at.socket_addr() == Some(*address) => {
                write!(f, "no handshake with {at}")
            }
            Self::Handshake { at, address, .. } => write!(f, "no handshake with {at} at {address}"),
        }
    }
}

impl Error for DialError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Lookup { error, .. } => Some(error),
            Self::Handshake { cause, .. } => Some(&**cause),
            Self::NoAddress { .. } | Self::Unreachable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::net::Endpoint;

    const LIMIT: Duration = Duration::from_secs(5);

    fn host_port(text: &str) -> HostPort {
        match format!("tcp://{text}").parse().unwrap() {
            Endpoint::Tcp(at) => at,
            other => unreachable!("{other}"),
        }
    }

    async fn try_dial(text: &str, limit: Duration) -> Result<(Stream, Peer), DialError> {
        let target = Target::Tcp(host_port(text));
        dial(&target, limit, &TcpOptions::default()).await
    }

    #[tokio::test]
    async fn a_name_is_resolved_until_an_address_answers() {
        // Whether `localhost` has an IPv6 address or not, only the IPv4 one answers.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let name = format!("localhost:{}", address.port());
        let (_stream, peer) = try_dial(&name, LIMIT).await.unwrap();
        assert_eq!(peer.address(), address);
    }

    #[tokio::test]
    async fn each_failure_is_reported() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = try_dial(&address.to_string(), LIMIT).await.unwrap_err();
        let text = error.to_string();
        let DialError::Unreachable { failures, .. } = error else {
            unreachable!("{text}");
        };
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].1.kind(), io::ErrorKind::ConnectionRefused);
        assert!(text.starts_with(&format!("cannot connect to {address}: {address}: ")));
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_a_failed_lookup() {
        let error = try_dial("rutter.invalid", LIMIT).await.unwrap_err();
        assert!(matches!(error, DialError::Lookup { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_runs_out_of_time() {
        // A full backlog drops the handshakes of those that come later.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let at = address.to_string();
        let mut waiting = Vec::new();
        let error = loop {
            match try_dial(&at, Duration::from_millis(200)).await {
                Ok(accepted) => waiting.push(accepted),
                Err(error) => break error,
            }
        };
        let DialError::Unreachable { failures, .. } = error else {
            unreachable!("{error}");
        };
        assert_eq!(failures[0].1.kind(), io::ErrorKind::TimedOut);
    }
}
