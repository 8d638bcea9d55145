//! One connection, as russh drives it and as the stream and the handshake see it.
//!
//! russh runs each connection in a task of its own that nothing but its socket can end. So the
//! socket belongs to both sides: russh has the [`Wire`], and whoever holds the [`Link`] can cut it.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::BytesMut;
use russh::Preferred;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use super::super::refused::{Reason, Refused};
use super::super::sys;
use super::clear::{self, Clear, Cost};
use super::first_keys::FirstKeys;
use super::queue::{Desks, Full, Turn};

/// What a connection is, outside of russh.
pub(super) struct Link {
    socket: TcpStream,
    /// Whether the peer has logged in: what it may cost us before is bounded.
    login: AtomicBool,
    /// Whether the connection was ended from our side.
    cut: AtomicBool,
    /// Octets that may be written at once before the login although a KEXINIT could hide there.
    granted: AtomicUsize,
    /// Whether what russh does takes time because we let it wait.
    waits: AtomicBool,
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
    /// Who waits to read without waiting for the socket.
    reader: Option<Waker>,
}

impl Link {
    pub(super) fn new(socket: TcpStream) -> Arc<Self> {
        Arc::new(Self {
            socket,
            login: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            granted: AtomicUsize::new(0),
            waits: AtomicBool::new(false),
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
        if let Some(reader) = self.state().reader.take() {
            reader.wake();
        }
    }

    /// Lifts the limits that hold before the login.
    pub(super) fn logged_in(&self) {
        self.login.store(true, Ordering::Relaxed);
    }

    /// Lets so many octets more be written at once before the login, for an answer to the login.
    pub(super) fn grant(&self, octets: usize) {
        self.granted.store(octets, Ordering::Relaxed);
    }

    /// Says that the time which russh takes for what it has read is not its own.
    pub(super) fn waits(&self) {
        self.waits.store(true, Ordering::Relaxed);
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
///
/// What russh reads it answers at once, on the thread that reads: a key exchange takes up to a
/// tenth of a second. So a packet of one is given to russh only when its turn comes, and the turn
/// lasts until russh comes back.
pub(super) struct Wire {
    link: Arc<Link>,
    from: IpAddr,
    /// Octets that may still be read before the login.
    readable: usize,
    /// Octets that may still be written before the login.
    writable: usize,
    /// The size of our KEXINIT, at least.
    smallest_init: usize,
    /// What the client says before its first NEWKEYS.
    clear: Option<Clear>,
    keys: FirstKeys,
    turn: Turns,
    /// When russh was given something that we cannot read.
    given: Option<Instant>,
    /// Set when nothing is read for a while.
    pause: Option<Pin<Box<Sleep>>>,
    /// Set when russh has said all it had to say.
    drain: Option<Pin<Box<Sleep>>>,
}

/// How far a packet of a key exchange is.
enum Turns {
    /// There is none.
    None,
    Awaited(Pin<Box<dyn Future<Output = Result<Turn, Full>> + Send>>),
    Taken(Turn),
}

/// Octets that a peer may send before it is logged in. A key exchange takes some 2 KiB and an
/// attempt to log in with a large RSA key as much.
const UNKNOWN_READ: usize = 64 * 1024;

/// Octets that are sent to a peer that is not logged in. A handshake takes 1 to 2 KiB, and 6 with
/// the largest keys.
const UNKNOWN_WRITE: usize = 16 * 1024;

/// Octets of what is said in the clear that are read at once: more than most packets have.
const PIECE: usize = 2048;

/// What our extensions take at most, which are written with the first keys.
const EXTENSIONS: usize = 1024;

/// Work for one packet that is paid for: what is longer is a key exchange, as a rule.
const WORK: Duration = Duration::from_millis(1);

/// How many times as long as the work nothing is read then. With this, a client that does nothing
/// but exchange keys costs a sixteenth of a processor.
const PAUSE: u32 = 15;

/// The longest pause: the machine may have been busy with something else.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How long the peer has for closing its side after russh has closed ours: a round trip of a slow
/// path. Closed earlier, its unread octets would make it lose our last words.
const DRAIN_TIME: Duration = Duration::from_secs(1);

impl Wire {
    pub(super) fn new(link: &Arc<Link>, from: IpAddr, preferred: &Preferred) -> Self {
        Self {
            link: Arc::clone(link),
            from,
            readable: UNKNOWN_READ,
            writable: UNKNOWN_WRITE,
            smallest_init: clear::smallest_init(preferred),
            clear: Some(Clear::new(preferred)),
            keys: FirstKeys::Awaited,
            turn: Turns::None,
            given: None,
            pause: None,
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

    /// russh is back: whatever it was given, it has done what it had to.
    fn is_back(&mut self) {
        let between = self.clear.as_ref().is_none_or(Clear::is_between_pieces);
        if between && matches!(self.turn, Turns::Taken(_)) {
            self.turn = Turns::None;
        }
        let waited = self.link.waits.swap(false, Ordering::Relaxed);
        let work = self.given.take().map(|given| given.elapsed());
        if let Some(work) = work.filter(|work| *work >= WORK && !waited) {
            let pause = work.saturating_mul(PAUSE).min(LONGEST_PAUSE);
            self.pause = Some(Box::pin(tokio::time::sleep(pause)));
        }
    }

    /// Waits for the end of a pause, and for a turn for what is to be given next.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let clear = self.clear.as_ref().filter(|clear| clear.wants() == 0);
        let Some(cost) = clear.and_then(Clear::cost) else {
            return Poll::Ready(Ok(()));
        };
        if matches!(self.turn, Turns::None) {
            let desks = Desks::shared();
            let desk = match cost {
                Cost::Heavy => &desks.heavy,
                Cost::Light => &desks.light,
            };
            let turn = Arc::clone(desk).turn(self.from);
            self.turn = Turns::Awaited(Box::pin(turn));
        }
        if let Turns::Awaited(turn) = &mut self.turn {
            let Ok(turn) = ready!(turn.as_mut().poll(cx)) else {
                let detail = "too many key exchanges wait";
                self.link.state().refusal = Some(Refused::new(Reason::Busy, detail));
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            };
            self.turn = Turns::Taken(turn);
        }
        Poll::Ready(Ok(()))
    }

    /// Gives russh what is here of a whole piece of what is said in the clear.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let Some(clear) = &mut self.clear else { return };
        let left = clear.left();
        let (now, _) = left.split_at(left.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.keys.note_read(now);
        let given = now.len();
        if let Some(method) = clear.gave(given) {
            if method.extensions {
                self.link.grant(EXTENSIONS);
            }
            self.clear = None;
        } else if let (true, Turns::Taken(turn)) = (clear.is_between_pieces(), &mut self.turn) {
            turn.begin();
        }
    }

    /// Reads more of a piece of what is said in the clear, which is never more than the piece;
    /// how much it was.
    fn read_piece(&mut self) -> io::Result<usize> {
        let mut octets = [0; PIECE];
        let Some(clear) = &mut self.clear else {
            return Ok(0);
        };
        let (wanted, _) = octets.split_at_mut(clear.wants().min(PIECE));
        let read = self.link.socket.try_read(wanted)?;
        let (read, _) = wanted.split_at(read);
        clear.add(read)?;
        self.pay(read.len(), 0)?;
        Ok(read.len())
    }

    /// Whether something may be written. Before the login we have no KEXINIT but the first to
    /// write: a peer that is not known cannot make us compute again.
    fn check_size(&self, octets: usize) -> io::Result<()> {
        let granted = self.link.granted.load(Ordering::Relaxed);
        let login = self.link.login.load(Ordering::Relaxed);
        match self.clear.is_none() && !login && octets >= self.smallest_init + granted {
            true => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "another key exchange before the login",
            )),
            false => Ok(()),
        }
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
        this.is_back();
        while !this.is_over(cx) {
            ready!(this.keys.poll_read_on(&this.link.socket, cx))?;
            this.link.state().reader = Some(cx.waker().clone());
            ready!(this.poll_turn(cx))?;
            if this.clear.as_ref().is_some_and(|clear| clear.wants() == 0) {
                // The turn may have come when all was over.
                if !this.is_over(cx) {
                    this.give(buffer);
                }
                return Poll::Ready(Ok(()));
            }
            ready!(this.link.socket.poll_read_ready(cx))?;
            if this.clear.is_some() {
                match this.read_piece() {
                    Ok(0) => return Poll::Ready(Ok(())),
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                        return Poll::Ready(Err(error));
                    }
                    _ => continue,
                }
            }
            let socket = &this.link.socket;
            match socket.try_read(buffer.initialize_unfilled()) {
                Ok(octets) => {
                    let before = buffer.filled().len();
                    buffer.advance(octets);
                    let (_, new) = buffer.filled().split_at(before);
                    this.keys.note_read(new);
                    this.given = Some(Instant::now());
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
        this.is_back();
        this.check_size(octets.len())?;
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
        self.link.granted.store(0, Ordering::Relaxed);
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
