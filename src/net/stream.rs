//! Octets in both directions, whatever carries them.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::ssh::{SshConnection, SshStream};
use super::tls::TlsStream;

/// A connection: octets from the peer, octets to the peer.
///
/// An idle session waits in [`readable`](Self::readable) and so holds no buffer of ours; what
/// encrypts has its own.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
    /// The subsystem `rpki-rtr` of SSH.
    Ssh(Box<SshStream>),
    /// The same, begun from here.
    SshClient(Box<SshConnection>),
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

impl Stream {
    /// Takes back what [`into_idle`](Self::into_idle) gave. The socket must not block.
    ///
    /// # Errors
    ///
    /// When the runtime cannot watch the socket.
    pub fn from_idle(socket: std::net::TcpStream) -> io::Result<Self> {
        TcpStream::from_std(socket).map(Self::Tcp)
    }

    /// Reads what has arrived, waiting for the first octet; 0 is the end of the peer's octets.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that was dropped has read nothing.
    pub async fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.readable().await?;
            if let Some(octets) = self.try_recv(buffer)? {
                return Ok(octets);
            }
        }
    }

    /// Waits until [`try_recv`](Self::try_recv) may have something: octets, their end, or an
    /// error. It may be wrong, and then `try_recv` says so.
    ///
    /// # Errors
    ///
    /// When the connection is broken or the runtime is going down.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn readable(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.readable().await,
            Self::Tls(stream) => stream.readable().await,
            Self::Ssh(stream) => stream.readable().await,
            Self::SshClient(stream) => stream.readable().await,
        }
    }

    /// Reads what has arrived without waiting, `None` when nothing has; 0 is the end of the
    /// peer's octets.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn try_recv(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Tcp(socket) => would_block_is_none(socket.try_read(buffer)),
            Self::Tls(stream) => stream.try_recv(buffer),
            Self::Ssh(stream) => stream.try_recv(buffer),
            Self::SshClient(stream) => stream.try_recv(buffer),
        }
    }

    /// Sends some of `octets` and takes that off their front; resolves, with how many these were,
    /// as soon as the transport has taken any. To send all, call it until nothing is left.
    ///
    /// Each call is progress, so a deadline around it is one on a peer that takes nothing. A
    /// transport that takes everything at once never makes this wait: whoever sends much has to
    /// yield between turns.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: `octets` always begins with the first octet that was not taken.
    pub async fn send(&mut self, octets: &mut Bytes) -> io::Result<usize> {
        if octets.is_empty() {
            return Ok(0);
        }
        match self {
            Self::Tcp(socket) => send(socket, octets).await,
            Self::Tls(stream) => stream.send(octets).await,
            Self::Ssh(stream) => stream.send(octets).await,
            Self::SshClient(stream) => stream.send(octets).await,
        }
    }

    /// Closes in an orderly way, so that the peer can read everything that was sent.
    ///
    /// A socket that is closed with unread input answers with a reset, and a reset makes the peer
    /// drop what it has not read yet: the error report that says why. So only our half is closed,
    /// and what the peer still says is thrown away until it closes too, or has had its share of
    /// octets or time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that was dropped has closed the connection, perhaps with a reset.
    pub async fn finish(self) {
        match self {
            Self::Tcp(mut socket) => {
                if socket.shutdown().await.is_ok() {
                    // What the peer does not close in time is closed here all the same.
                    let _ = tokio::time::timeout(DRAIN_TIME, drain(&socket)).await;
                }
            }
            Self::Tls(stream) => stream.finish().await,
            Self::Ssh(stream) => stream.finish().await,
            Self::SshClient(stream) => stream.finish().await,
        }
    }

    /// The plain TCP socket below, for a session that waits without a task; `None` when the
    /// transport has a state of its own. The socket does not block.
    pub fn into_idle(self) -> Option<std::net::TcpStream> {
        match self {
            Self::Tcp(socket) => socket.into_std().ok(),
            Self::Tls(_) | Self::Ssh(_) | Self::SshClient(_) => None,
        }
    }
}

async fn send(socket: &TcpStream, octets: &mut Bytes) -> io::Result<usize> {
    loop {
        socket.writable().await?;
        let written = socket.try_write(octets);
        match would_block_is_none(written)? {
            Some(0) => return Err(io::ErrorKind::WriteZero.into()),
            Some(taken) => {
                octets.advance(taken);
                return Ok(taken);
            }
            None => {}
        }
    }
}

/// Throws away what the peer still says, until it closes or has had its share.
pub(super) async fn drain(socket: &TcpStream) {
    let mut left = DRAIN_OCTETS;
    while left > 0 && socket.readable().await.is_ok() {
        match discard(socket) {
            Ok(Some(0)) | Err(_) => return,
            Ok(Some(octets)) => left = left.saturating_sub(octets),
            Ok(None) => {}
        }
    }
}

/// A function of its own, so that its buffer is no part of a session's future.
fn discard(socket: &TcpStream) -> io::Result<Option<usize>> {
    would_block_is_none(socket.try_read(&mut [0; 4096]))
}

fn would_block_is_none(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

/// Input thrown away by [`Stream::finish`]: several thousand queries, more than a peer can have
/// had reason to send.
const DRAIN_OCTETS: usize = 64 * 1024;

/// How long [`Stream::finish`] waits for the peer: a few round trips of a slow path.
pub(super) const DRAIN_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tokio::net::TcpListener;

    use super::*;

    /// Both ends of a connection; the second one blocks.
    async fn pair() -> (Stream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        (Stream::from(socket), peer)
    }

    #[test]
    fn a_stream_is_small() {
        assert!(size_of::<Stream>() <= 40, "{}", size_of::<Stream>());
    }

    #[tokio::test]
    async fn recv_gives_what_has_arrived() {
        let (mut stream, mut peer) = pair().await;
        let mut buffer = [0; 8];
        assert_eq!(stream.try_recv(&mut buffer).unwrap(), None);
        peer.write_all(b"abcde").unwrap();
        assert_eq!(stream.recv(&mut buffer[..2]).await.unwrap(), 2);
        assert_eq!(&buffer[..2], b"ab");
        stream.readable().await.unwrap();
        assert_eq!(stream.try_recv(&mut buffer).unwrap(), Some(3));
        assert_eq!(&buffer[..3], b"cde");
        drop(peer);
        assert_eq!(stream.recv(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_dropped_recv_has_read_nothing() {
        let (mut stream, mut peer) = pair().await;
        let mut buffer = [0; 8];
        tokio::select! {
            biased;
            _ = stream.recv(&mut buffer) => unreachable!("nothing was sent"),
            () = std::future::ready(()) => {}
        }
        peer.write_all(b"ab").unwrap();
        assert_eq!(stream.recv(&mut buffer).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn send_resolves_with_a_part_when_the_peer_is_slow() {
        let (mut stream, mut peer) = pair().await;
        let image: Vec<u8> = (0..=250).cycle().take(8 << 20).collect();
        let mut octets = Bytes::from(image.clone());
        let first = stream.send(&mut octets).await.unwrap();
        assert!(first > 0 && first < image.len(), "{first}");
        assert_eq!(octets, image[first..]);

        let reader = tokio::task::spawn_blocking(move || {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).unwrap();
            got
        });
        while !octets.is_empty() {
            stream.send(&mut octets).await.unwrap();
        }
        assert_eq!(stream.send(&mut octets).await.unwrap(), 0);
        stream.finish().await;
        assert!(reader.await.unwrap() == image);
    }

    #[tokio::test]
    async fn a_report_is_readable_although_input_was_left_unread() {
        let (mut stream, mut peer) = pair().await;
        peer.write_all(&[7; 20_000]).unwrap();
        stream.readable().await.unwrap();
        let mut report = Bytes::from_static(b"report");
        stream.send(&mut report).await.unwrap();
        let finished = tokio::spawn(stream.finish());
        let got = tokio::task::spawn_blocking(move || {
            // Still talking, as a peer does that has not seen the report yet.
            peer.write_all(&[7; 20_000]).unwrap();
            let mut got = Vec::new();
            peer.read_to_end(&mut got).unwrap();
            got
        });
        assert_eq!(got.await.unwrap(), b"report");
        finished.await.unwrap();
    }

    #[tokio::test]
    async fn finish_ends_with_a_peer_that_never_stops_talking() {
        let (stream, mut peer) = pair().await;
        let talker = tokio::task::spawn_blocking(move || while peer.write(&[7; 4096]).is_ok() {});
        stream.finish().await;
        talker.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn finish_ends_with_a_peer_that_says_nothing() {
        let (stream, peer) = pair().await;
        let before = tokio::time::Instant::now();
        stream.finish().await;
        assert!(before.elapsed() >= DRAIN_TIME);
        drop(peer);
    }

    #[tokio::test]
    async fn an_idle_stream_is_a_plain_socket_and_comes_back() {
        let (stream, mut peer) = pair().await;
        let idle = stream.into_idle().unwrap();
        peer.write_all(b"query").unwrap();
        let mut stream = Stream::from_idle(idle).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(stream.recv(&mut buffer).await.unwrap(), 5);
    }
}
