//! One connection, as russh drives it and as the stream and the handshake see it.
//!
//! russh runs each connection in a task of its own that nothing but its socket can end. So the
//! socket belongs to both sides: russh has the [`Wire`], and whoever holds the [`Link`] can cut it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Sleep;

use super::super::refused::Refused;
use super::super::sys;
use super::first_keys::FirstKeys;

/// What a connection is, outside of russh.
pub(super) struct Link {
    socket: TcpStream,
    /// Whether the peer has logged in: what it may cost us before is bounded.
    login: AtomicBool,
    /// Whether the connection was ended from our side.
    cut: AtomicBool,
    state: Mutex<State>,
    /// Told of every change of the state. One task at a time waits for it.
    pub(super) news: Notify,
}

/// What russh's task tells the stream and the handshake.
#[derive(Default)]
pub(super) struct State {
    /// Octets of the channel that were not read yet.
    pub(super) input: BytesMut,
    /// Whether the peer has said that there will be no more of them.
    pub(super) eof: bool,
    /// Whether the peer has closed the channel.
    pub(super) closed: bool,
    /// Whether russh has let go of the socket.
    pub(super) ended: bool,
    /// How often all that russh had written was taken by the socket.
    pub(super) flushes: u64,
    /// What the peer is refused for if it goes away now.
    pub(super) refusal: Option<Refused>,
}

impl Link {
    pub(super) fn new(socket: TcpStream) -> Arc<Self> {
        Arc::new(Self {
            socket,
            login: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            state: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// Ends the connection at once: the peer sees it, and russh's task finds nothing to read and
    /// nowhere to write.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        // A socket that is not connected any more needs no more.
        let _ = sys::shut(&self.socket);
    }

    /// Lifts the limits that hold before the login.
    pub(super) fn logged_in(&self) {
        self.login.store(true, Ordering::Relaxed);
    }

    /// Changes the state, and tells whoever waits for that.
    pub(super) fn tell<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.state());
        self.news.notify_one();
        result
    }

    /// The flushes so far, of a connection that can still send.
    pub(super) fn still_open(&self) -> io::Result<u64> {
        let state = self.state();
        if state.closed || state.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(state.flushes)
    }

    /// A panic while it was locked cannot have left it half-changed in a way that matters.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The socket, for russh alone.
pub(super) struct Wire {
    link: Arc<Link>,
    /// Octets that may still be read before the login.
    readable: usize,
    /// Octets that may still be written before the login.
    writable: usize,
    keys: FirstKeys,
    /// Set when russh has said all it had to say.
    drain: Option<Pin<Box<Sleep>>>,
}

/// Octets that a peer may send before it is logged in. A key exchange takes some 2 KiB and an
/// attempt to log in with a large RSA key as much.
const UNKNOWN_READ: usize = 64 * 1024;

/// Octets that are sent to a peer that is not logged in. A handshake takes 1 to 2 KiB, and 6 with
/// the largest keys. Each further key exchange costs the peer another 1 to 2 of this, so that it
/// cannot make us compute without end.
const UNKNOWN_WRITE: usize = 16 * 1024;

/// How long the peer has for closing its side after russh has closed ours: a round trip of a slow
/// path. Closed earlier, its unread octets would make it lose our last words.
const DRAIN_TIME: Duration = Duration::from_secs(1);

impl Wire {
    pub(super) fn new(link: &Arc<Link>) -> Self {
        Self {
            link: Arc::clone(link),
            readable: UNKNOWN_READ,
            writable: UNKNOWN_WRITE,
            keys: FirstKeys::Awaited,
            drain: None,
        }
    }

    /// Takes octets from what is left before the login.
    fn pay(&mut self, read: usize, written: usize) -> io::Result<()> {
        if self.link.login.load(Ordering::Relaxed) {
            return Ok(());
        }
        let left = (
            self.readable.checked_sub(read),
            self.writable.checked_sub(written),
        );
        let (Some(readable), Some(writable)) = left else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "more octets before the login than a handshake takes",
            ));
        };
        self.readable = readable;
        self.writable = writable;
        Ok(())
    }

    /// Whether nothing is read any more, whatever the peer says.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let drain = self.drain.as_mut();
        self.link.cut.load(Ordering::Relaxed)
            || drain.is_some_and(|time| time.as_mut().poll(cx).is_ready())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.is_over(cx) {
            let socket = &this.link.socket;
            ready!(this.keys.poll_read_on(socket, cx))?;
            ready!(socket.poll_read_ready(cx))?;
            match socket.try_read(buffer.initialize_unfilled()) {
                Ok(octets) => {
                    let before = buffer.filled().len();
                    buffer.advance(octets);
                    let (_, new) = buffer.filled().split_at(before);
                    this.keys.note_read(new);
                    return Poll::Ready(this.pay(octets, 0));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let now = this.keys.hold_back(octets);
        if now.is_empty() {
            return Poll::Ready(Ok(octets.len()));
        }
        while !this.link.cut.load(Ordering::Relaxed) {
            let socket = &this.link.socket;
            ready!(socket.poll_write_ready(cx))?;
            match this.keys.try_write(socket, now) {
                // Only of what was held.
                Ok(0) => {}
                Ok(written) => return Poll::Ready(this.pay(0, written).map(|()| written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    /// russh does this after it has written all that it had.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.tell(|state| state.flushes += 1);
        Poll::Ready(Ok(()))
    }

    /// russh does this at the end of a session, and then waits for the peer to close, for ever.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.drain = Some(Box::pin(tokio::time::sleep(DRAIN_TIME)));
        Poll::Ready(sys::shut_writing(&this.link.socket))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.link.cut();
        self.link.tell(|state| state.ended = true);
    }
}
