//! Octets over TLS.
//!
//! The connection of rustls is driven here, over a socket that does not block: what it has sealed
//! waits in it until the socket takes it, and there is never more of that than three records.

use std::fmt;
use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use rustls::Connection;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;

use super::verdict::Broken;
use crate::net::stream::{DRAIN_TIME, drain};

/// A TLS connection whose handshake is done, of a server or of a client.
pub struct TlsStream {
    tls: Connection,
    socket: TcpStream,
}

impl TlsStream {
    /// Shakes hands.
    ///
    /// # Errors
    ///
    /// When the peer goes away or something in the handshake is refused. It has then been told
    /// why, and has had time to read it.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped has closed the connection.
    pub(super) async fn open(
        socket: TcpStream,
        tls: impl Into<Connection>,
    ) -> Result<Box<Self>, Broken> {
        let tls = tls.into();
        let mut stream = Box::new(Self { tls, socket });
        stream.tls.set_buffer_limit(Some(SEALED));
        match stream.shake_hands().await {
            Ok(()) => Ok(stream),
            Err(broken) => {
                if matches!(broken, Broken::Tls(_)) {
                    stream.part().await;
                }
                Err(broken)
            }
        }
    }

    /// The certificates that the peer has shown, its own first, in DER.
    pub(super) fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.chain().iter().map(AsRef::as_ref)
    }

    /// The certificates that the peer has shown, its own first.
    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        self.tls.peer_certificates().unwrap_or_default()
    }

    /// As `Stream::readable`. What was sealed and not sent yet is sent meanwhile.
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        // A peer that sends records without octets in them shall not keep others waiting.
        consume_budget().await;
        while !self.has_arrived() {
            if !self.tls.wants_write() {
                return self.socket.readable().await;
            }
            let ready = self
                .socket
                .ready(Interest::READABLE | Interest::WRITABLE)
                .await?;
            let pushed = self.push();
            if ready.is_readable() {
                // What has arrived can be read although nothing can be sent any more.
                return Ok(());
            }
            pushed?;
        }
        Ok(())
    }

    /// As `Stream::try_recv`. An end without close_notify counts as one: the protocol above says
    /// itself where an answer ends, and many peers just close.
    pub(crate) fn try_recv(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        for _ in 0..READS {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(0)),
                read => return read.map(Some),
            }
            if self.pull()?.is_none() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// As `Stream::send`, except that what is taken off `octets` is sealed, and may wait here for
    /// the socket to take it: at most [`SEALED`], which the next call waits for first.
    pub(crate) async fn send(&mut self, octets: &mut Bytes) -> io::Result<usize> {
        self.flush().await?;
        let taken = self.seal(octets)?;
        octets.advance(taken);
        Ok(taken)
    }

    /// Takes octets when nothing waits to be sent, and sends what the socket takes at once.
    pub(super) fn seal(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = self.tls.writer().write(octets)?;
        self.push()?;
        Ok(taken)
    }

    /// RFC 8446 §6.1: the peer knows by this that nothing was cut off. It is said once.
    pub(super) fn say_goodbye(&mut self) {
        self.tls.send_close_notify();
    }

    pub(super) const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) const fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// As `Stream::finish`.
    pub(crate) async fn finish(mut self: Box<Self>) {
        self.say_goodbye();
        self.part().await;
    }

    /// The octets that were sealed and not sent yet.
    #[cfg(test)]
    pub(super) fn sealed_octets(&mut self) -> usize {
        let state = self.tls.process_new_packets().unwrap();
        state.tls_bytes_to_write()
    }

    async fn shake_hands(&mut self) -> Result<(), Broken> {
        while self.tls.is_handshaking() || self.tls.wants_write() {
            if self.tls.wants_write() {
                self.flush().await?;
            } else {
                self.socket.readable().await?;
                if self.pull()? == Some(0) {
                    return Err(Broken::Socket(io::ErrorKind::UnexpectedEof.into()));
                }
            }
        }
        Ok(())
    }

    /// Sends what was sealed, closes our half, and lets the peer read it all.
    async fn part(&mut self) {
        let sent = timeout(DRAIN_TIME, self.flush()).await;
        if matches!(sent, Ok(Ok(()))) && self.socket.shutdown().await.is_ok() {
            // What the peer does not close in time is closed here all the same.
            let _ = timeout(DRAIN_TIME, drain(&self.socket)).await;
        }
    }

    /// Sends what was sealed. A future that was dropped has sent a part of it.
    async fn flush(&mut self) -> io::Result<()> {
        while !self.push()? {
            self.socket.writable().await?;
        }
        Ok(())
    }

    /// Sends what was sealed as far as the socket takes it; whether nothing is left.
    pub(super) fn push(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Socket(&self.socket)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Takes what has arrived from the socket, `None` when nothing has; 0 is its end.
    fn pull(&mut self) -> Result<Option<usize>, Broken> {
        let octets = match self.tls.read_tls(&mut Socket(&self.socket)) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let processed = self.tls.process_new_packets();
        if let Err(error) = processed {
            // The alert that says so; what went wrong before says more than what may go wrong here.
            let _ = self.push();
            return Err(Broken::Tls(error));
        }
        Ok(Some(octets))
    }

    /// Whether octets or their end wait here to be read.
    fn has_arrived(&mut self) -> bool {
        let first = self.tls.reader().into_first_chunk();
        !matches!(first, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Drop for TlsStream {
    /// RFC 8446 §6.1: says that this is the end, if that can be said at once.
    fn drop(&mut self) {
        if !self.tls.is_handshaking() && !self.tls.wants_write() {
            self.tls.send_close_notify();
            let _ = self.push();
        }
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsStream").field(&self.socket).finish()
    }
}

/// The socket as rustls wants it.
struct Socket<'s>(&'s TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.try_write(octets)
    }

    fn write_vectored(&mut self, octets: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The most octets that are sealed before the socket has taken them: three records. They are a
/// copy, so this is what a peer that stops reading costs. As measured, a connection then does nine
/// tenths and more of what rustls does in pieces of 64 KiB, and with two records eight tenths.
const SEALED: usize = 48 * 1024;

/// Reads from the socket in search of one octet: more than a record has.
const READS: usize = 8;
