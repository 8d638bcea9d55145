//! What comes between an accepted socket and a stream.

use tokio::net::TcpStream;

use super::peer::{Identity, Peer, Transport};
use super::refused::Refused;
use super::ssh::SshAcceptor;
use super::stream::Stream;
use super::tls::TlsAcceptor;

/// The handshake of a listener. Cheap to clone; a reload makes another one, and the streams of
/// this one go on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Acceptor {
    /// None: octets go as they are.
    Tcp,
    /// That of TLS.
    Tls(TlsAcceptor),
    /// SSH.
    Ssh(SshAcceptor),
}

impl Acceptor {
    /// The transport of its streams.
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Tcp => Transport::Tcp,
            Self::Tls(_) => Transport::Tls,
            Self::Ssh(_) => Transport::Ssh,
        }
    }

    /// Whether a peer whose stream was made by an acceptor before this one would be let in by
    /// this one, as far as its proof goes: what it has shown is checked again, without asking it.
    ///
    /// A stream of another transport has shown nothing that counts here.
    pub fn still_admits(&self, stream: &Stream, peer: Peer) -> bool {
        let address = peer.address().ip();
        match (self, stream) {
            (Self::Tcp, Stream::Tcp(_)) => true,
            (Self::Tls(acceptor), Stream::Tls(stream)) => acceptor.still_admits(stream, address),
            (Self::Ssh(acceptor), Stream::Ssh(stream)) => {
                acceptor.still_admits(stream.login(), address)
            }
            _ => false,
        }
    }

    /// Makes a stream of a socket, and says who the peer has proven to be. It takes as long as the
    /// peer likes: the caller sets the deadline.
    ///
    /// # Errors
    ///
    /// When the peer is refused, or goes away.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped has closed the connection.
    pub async fn accept(
        &self,
        socket: TcpStream,
        peer: Peer,
    ) -> Result<(Stream, Identity), Refused> {
        match self {
            Self::Tcp => {
                std::future::ready(()).await;
                Ok((Stream::from(socket), Identity::Unproven))
            }
            Self::Tls(acceptor) => acceptor.accept(socket, peer).await,
            Self::Ssh(ssh) => ssh.accept(socket, peer).await,
        }
    }
}
