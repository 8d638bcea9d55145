//! The octets of a channel. What this promises is written down at [`Stream`](super::super::Stream).

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use russh::server::{Msg, RunningSession};
use russh::{ChannelWriteHalf, Disconnect, Error};
use tokio::time::timeout;

use super::handler::{Handler, Login};
use super::link::Link;

/// A session of the subsystem `rpki-rtr`. The connection ends with it.
pub struct SshStream {
    link: Arc<Link>,
    login: Login,
    channel: Arc<ChannelWriteHalf<Msg>>,
    /// russh's task, until its result was taken.
    session: Option<RunningSession<Handler>>,
    /// What the connection broke of, until it was told.
    broken: Option<io::Error>,
    sending: Option<Sending>,
    /// The most octets given to russh at once.
    slice: usize,
}

/// A slice on its way. It stays with the stream when a call is dropped: russh has taken its share
/// of the window by then.
struct Sending {
    /// Waits until russh has taken it; `None` when it has.
    queued: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>,
    /// The flushes before it was given to russh.
    flushes: u64,
}

/// The most octets given to russh at once. Their packet stays in russh's buffer while the socket
/// takes nothing, and the buffer stays with an idle session. As measured with OpenSSH, a reader that
/// stops costs 48 KiB with this and up to 66 with twice as much, which is a tenth faster at most.
const SLICE: usize = 16 * 1024;

/// The same for a peer that uses libssh. BIRD before 2.16 reads 4,096 octets of the socket and then
/// 4,096 of the channel, once each time the socket has something. What the packets that end in one
/// read bring beyond that stays in libssh, and when the socket has no more, for good: the router
/// ends the session in the middle of the answer, again and again. The headers of 13 packets and
/// more in a read make up for the packet that one read leaves for the next, and for the rest of a
/// router key (123 octets).
const LIBSSH_SLICE: usize = 256;

/// How many octets at once are good for a peer with this identification string (RFC 4253 §4.2).
pub(super) fn slice(identification: &[u8]) -> usize {
    if identification.starts_with(b"SSH-2.0-libssh") {
        LIBSSH_SLICE
    } else {
        SLICE
    }
}

/// How long a peer has for going away after we closed the channel, before it is told to.
const GRACE: Duration = Duration::from_secs(1);

/// How long [`SshStream::finish`] takes at most: a few round trips of a slow path.
const GOODBYE: Duration = Duration::from_secs(3);

impl SshStream {
    pub(super) fn new(
        link: Arc<Link>,
        channel: ChannelWriteHalf<Msg>,
        session: RunningSession<Handler>,
        login: Login,
        slice: usize,
    ) -> Self {
        Self {
            link,
            login,
            channel: Arc::new(channel),
            session: Some(session),
            broken: None,
            sending: None,
            slice,
        }
    }

    /// How the peer has logged in.
    pub(in super::super) const fn login(&self) -> &Login {
        &self.login
    }

    /// Waits for input, its end, or an error. What an earlier, dropped call began to send goes on.
    pub(in super::super) async fn readable(&mut self) -> io::Result<()> {
        loop {
            let ended = {
                let state = self.link.state();
                if !state.input.is_empty() || state.eof || state.closed {
                    return Ok(());
                }
                state.ended
            };
            if ended {
                if self.broken.is_none() {
                    self.broken = self.outcome().await;
                }
                return Ok(());
            }
            let queued = self
                .sending
                .as_mut()
                .and_then(|slice| slice.queued.as_mut());
            match queued {
                None => self.link.news.notified().await,
                Some(queued) => tokio::select! {
                    _ = queued.as_mut() => self.sending = None,
                    () = self.link.news.notified() => {}
                },
            }
        }
    }

    pub(in super::super) fn try_recv(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let mut state = self.link.state();
        let octets = buffer.len().min(state.input.len());
        if octets > 0 {
            for (place, octet) in buffer.iter_mut().zip(&state.input) {
                *place = *octet;
            }
            state.input.advance(octets);
            if state.input.is_empty() {
                // An idle session holds no buffer.
                state.input = BytesMut::new();
            }
            return Ok(Some(octets));
        }
        let over = state.eof || state.closed || state.ended;
        Ok(over.then_some(0))
    }

    /// Sends a slice of `octets`: what fits the packets and the window of the peer. It is taken
    /// when the socket has its packet. Cancel safe, see [`Sending`].
    pub(in super::super) async fn send(&mut self, octets: &mut Bytes) -> io::Result<usize> {
        self.settle().await?;
        let room = room(&self.link, &self.channel).await?;
        let slice = octets.split_to(room.min(self.slice).min(octets.len()));
        let taken = slice.len();
        let channel = Arc::clone(&self.channel);
        self.sending = Some(Sending {
            flushes: self.link.state().flushes,
            queued: Some(Box::pin(async move {
                channel.data_bytes(slice).await.map_err(broken)
            })),
        });
        self.settle().await?;
        Ok(taken)
    }

    /// Closes the channel, and then the connection if the peer does not do it.
    pub(in super::super) async fn finish(mut self) {
        // A peer that takes nothing has had its time: the connection is cut when this is dropped.
        let _ = timeout(GOODBYE, self.say_goodbye()).await;
    }

    /// RFC 4254 §5.3 and §6.10: no more octets, a good end, the end of the channel.
    async fn say_goodbye(&mut self) -> Result<(), Error> {
        let sent = self.settle().await.is_ok();
        let Some(mut session) = self.session.take().filter(|_| sent) else {
            return Ok(());
        };
        self.channel.eof().await?;
        self.channel.exit_status(0).await?;
        self.channel.close().await?;
        if timeout(GRACE, &mut session).await.is_err() {
            let told = (Disconnect::ByApplication, "finished".into(), "en".into());
            session.handle().disconnect(told.0, told.1, told.2).await?;
            session.await?;
        }
        Ok(())
    }

    /// Waits until the slice on its way was taken: first by russh, then by the socket. After the
    /// first flush that follows, russh holds no older slice, and one of ours at most beside this.
    async fn settle(&mut self) -> io::Result<()> {
        while let Some(slice) = &mut self.sending {
            let flushes = self.link.still_open()?;
            match &mut slice.queued {
                None if flushes != slice.flushes => self.sending = None,
                None => self.link.news.notified().await,
                Some(queued) => tokio::select! {
                    biased;
                    result = queued.as_mut() => {
                        slice.queued = None;
                        result?;
                    }
                    () = self.link.news.notified() => {}
                },
            }
        }
        Ok(())
    }

    /// What russh's task ended with; it has let go of the socket and is about to be done.
    async fn outcome(&mut self) -> Option<io::Error> {
        let result = self.session.as_mut()?.await;
        self.session = None;
        match result {
            Ok(()) => None,
            Err(error) if is_end(&error) => None,
            Err(error) => Some(broken(error)),
        }
    }
}

impl Drop for SshStream {
    fn drop(&mut self) {
        self.link.cut();
    }
}

impl fmt::Debug for SshStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshStream").finish_non_exhaustive()
    }
}

/// Waits until the peer takes octets, and gives how many fit into its next packet.
async fn room(link: &Link, channel: &ChannelWriteHalf<Msg>) -> io::Result<usize> {
    loop {
        let room = channel.writable_packet_size().await;
        link.still_open()?;
        if room > 0 {
            return Ok(room);
        }
        link.news.notified().await;
    }
}

/// Whether a peer has closed the connection between two packets, or in one.
fn is_end(error: &Error) -> bool {
    match error {
        Error::Disconnect | Error::HUP => true,
        Error::IO(error) => error.kind() == io::ErrorKind::UnexpectedEof,
        _ => false,
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::IO(error) => error,
        Error::KeepaliveTimeout => io::ErrorKind::TimedOut.into(),
        Error::SendError => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::other(error),
    }
}
