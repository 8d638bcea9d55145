//! The octets of a session that a client began. What this promises is written down at
//! [`Stream`](crate::net::Stream).

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Disconnect, Error};
use tokio::time::timeout;

use super::client_error::ClientError;
use super::cut::Cut;
use super::greeter::{Ending, Greeter};

/// A session of the subsystem `rpki-rtr` with a server. The connection ends with it.
pub struct SshConnection {
    input: ChannelReadHalf,
    output: Arc<ChannelWriteHalf<Msg>>,
    /// russh's task, until it was seen to end.
    session: Option<Handle<Greeter>>,
    ending: Ending,
    _cut: Cut,
    /// Octets of a packet that were not read yet.
    unread: Bytes,
    /// Whether there will be no more packets.
    over: bool,
    /// What the connection broke of, until it was told.
    broken: Option<io::Error>,
    /// A slice on its way. It stays when a call is dropped: russh has taken its share of the
    /// window by then.
    sending: Option<Sending>,
}

type Sending = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl SshConnection {
    pub(super) fn new(
        cut: Cut,
        session: Handle<Greeter>,
        channel: Channel<Msg>,
        ending: Ending,
    ) -> Self {
        let (input, output) = channel.split();
        Self {
            input,
            output: Arc::new(output),
            session: Some(session),
            ending,
            _cut: cut,
            unread: Bytes::new(),
            over: false,
            broken: None,
            sending: None,
        }
    }

    /// Waits until [`try_recv`](Self::try_recv) has octets, their end, or an error.
    ///
    /// # Errors
    ///
    /// None, for the sake of its callers.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn readable(&mut self) -> io::Result<()> {
        while self.unread.is_empty() && !self.over {
            let message = match &mut self.sending {
                None => self.input.wait().await,
                // What an earlier, dropped call began to send goes on.
                Some(sending) => tokio::select! {
                    message = self.input.wait() => message,
                    _ = sending => {
                        self.sending = None;
                        continue;
                    }
                },
            };
            self.take(message);
        }
        Ok(())
    }

    /// Reads what has arrived without waiting, `None` when nothing has; 0 is the end.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn try_recv(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        while self.unread.is_empty() && !self.over {
            let mut now = Context::from_waker(Waker::noop());
            let Poll::Ready(message) = pin!(self.input.wait()).poll(&mut now) else {
                return Ok(None);
            };
            self.take(message);
        }
        if self.unread.is_empty() {
            return self.broken.take().map_or(Ok(Some(0)), Err);
        }
        let octets = buffer.len().min(self.unread.len());
        let (place, _) = buffer.split_at_mut(octets);
        self.unread.copy_to_slice(place);
        Ok(Some(octets))
    }

    /// Sends some of `octets`, takes that off their front and says how many these were.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: `octets` begins with the first octet that was not taken. What was taken is
    /// sent by the next call of this or of [`readable`](Self::readable).
    pub async fn send(&mut self, octets: &mut Bytes) -> io::Result<usize> {
        self.settle().await?;
        let slice = octets.split_to(octets.len().min(SLICE));
        let taken = slice.len();
        let output = Arc::clone(&self.output);
        self.sending = Some(Box::pin(async move { output.data_bytes(slice).await }));
        self.settle().await?;
        Ok(taken)
    }

    /// Closes in an orderly way: no more octets, the end of the channel (RFC 4254 §5.3), and of
    /// the connection.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped has closed the connection.
    pub async fn finish(mut self) {
        // A server that takes nothing has had its time: the connection is cut with this.
        let _ = timeout(GOODBYE, self.say_goodbye()).await;
    }

    async fn say_goodbye(&mut self) -> Result<(), Error> {
        let sent = self.settle().await.is_ok();
        let Some(session) = self.session.take().filter(|_| sent) else {
            return Ok(());
        };
        let (input, output) = (&mut self.input, &self.output);
        let goodbye = async {
            output.eof().await?;
            output.close().await?;
            let reason = Disconnect::ByApplication;
            session.disconnect(reason, "finished", "en").await?;
            let _ = session.await;
            Ok(())
        };
        // Input that nobody reads would hold up russh's task.
        let thrown_away = async {
            while input.wait().await.is_some() {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = goodbye => done,
            () = thrown_away => Ok(()),
        }
    }

    /// Waits until russh has taken the slice that is on its way.
    async fn settle(&mut self) -> io::Result<()> {
        let Some(sending) = &mut self.sending else {
            return Ok(());
        };
        let Some(session) = &mut self.session else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        // A window that never opens again is only seen by the end of the task.
        let sent = tokio::select! {
            biased;
            sent = sending => Some(sent),
            _ = session => None,
        };
        self.sending = None;
        match sent {
            Some(sent) => sent.map_err(|_| io::ErrorKind::BrokenPipe.into()),
            None => {
                self.session = None;
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn take(&mut self, message: Option<ChannelMsg>) {
        match message {
            Some(ChannelMsg::Data { data }) => self.unread = data,
            Some(ChannelMsg::Eof | ChannelMsg::Close) => self.over = true,
            Some(_) => {}
            None => {
                self.over = true;
                self.broken = self.ending.take().map(broken);
            }
        }
    }
}

impl fmt::Debug for SshConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshConnection").finish_non_exhaustive()
    }
}

fn broken(error: ClientError) -> io::Error {
    match error {
        ClientError::Protocol(Error::IO(error)) => error,
        ClientError::Protocol(Error::KeepaliveTimeout) => io::ErrorKind::TimedOut.into(),
        error => io::Error::other(error),
    }
}

/// The most octets given to russh at once: a packet.
const SLICE: usize = 32 * 1024;

/// How long [`SshConnection::finish`] takes at most: a few round trips of a slow path.
const GOODBYE: Duration = Duration::from_secs(2);
