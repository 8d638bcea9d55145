//! Holds our first NEWKEYS back until what follows it can go with it.
//!
//! RFC 8308 §2.4: a server tells its extensions in the packet after its first NEWKEYS. russh writes
//! that packet when the client's NEWKEYS has come, a round trip later. libssh does not wait: what
//! has not come with NEWKEYS it takes for absent, and then it signs with an RSA key as SHA-1 or
//! not at all. So both leave in one piece.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Where our first NEWKEYS is.
pub(super) enum FirstKeys {
    /// russh has not written it.
    Awaited,
    /// Here.
    Held(Held),
    /// On its way; nothing is held any more.
    Sent,
}

/// A packet that waits, and what was read meanwhile.
pub(super) struct Held {
    /// What of it was not sent yet.
    packet: &'static [u8],
    /// The length of the client's packet, as far as it was read.
    length: u64,
    /// Octets of that packet, its length included.
    read: u64,
    /// When it leaves whatever the client does.
    patience: Pin<Box<Sleep>>,
}

/// NEWKEYS in the clear, as russh writes it (RFC 4253 §6): 12 octets, 10 of them padding.
const NEWKEYS: &[u8] = &[0, 0, 0, 12, 10, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The octets of the length of a packet.
const LENGTH: u64 = 4;

/// For a client that waits for our NEWKEYS before it sends its own. None is known that does.
const PATIENCE: Duration = Duration::from_secs(1);

impl FirstKeys {
    /// What of `octets` may be written now. Nothing, when they are the packet and it is held.
    pub(super) fn hold_back<'o>(&mut self, octets: &'o [u8]) -> &'o [u8] {
        if !matches!(self, Self::Awaited) {
            return octets;
        }
        match octets.strip_suffix(NEWKEYS) {
            None => octets,
            Some([]) => {
                *self = Self::Held(Held {
                    packet: NEWKEYS,
                    length: 0,
                    read: 0,
                    patience: Box::pin(tokio::time::sleep(PATIENCE)),
                });
                &[]
            }
            Some(before) => before,
        }
    }

    /// Sends what is held in front of `octets`, and gives how many of these went with it.
    pub(super) fn try_write(&mut self, socket: &TcpStream, octets: &[u8]) -> io::Result<usize> {
        let Self::Held(held) = self else {
            return socket.try_write(octets);
        };
        let both = [IoSlice::new(held.packet), IoSlice::new(octets)];
        let written = socket.try_write_vectored(&both)?;
        let (_, left) = held.packet.split_at(written.min(held.packet.len()));
        let others = written.saturating_sub(held.packet.len());
        held.packet = left;
        if left.is_empty() {
            *self = Self::Sent;
        }
        Ok(others)
    }

    /// Counts what russh reads of the client's packet.
    pub(super) fn note_read(&mut self, octets: &[u8]) {
        let Self::Held(held) = self else { return };
        for octet in octets {
            if held.read < LENGTH {
                held.length = held.length << 8 | u64::from(*octet);
            }
            held.read += 1;
        }
    }

    /// Lets go of what is held when russh reads on: it has had the client's NEWKEYS then, and has
    /// nothing to say of extensions.
    pub(super) fn poll_read_on(
        &mut self,
        socket: &TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Self::Held(held) = self {
            let whole = held.read >= LENGTH + held.length && held.read > 0;
            if !whole && held.patience.as_mut().poll(cx).is_pending() {
                break;
            }
            ready!(socket.poll_write_ready(cx))?;
            match self.try_write(socket, &[]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => _ = result?,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (socket, _) = accepted.unwrap();
        socket.writable().await.unwrap();
        (socket, client.unwrap())
    }

    fn held() -> FirstKeys {
        let mut keys = FirstKeys::Awaited;
        let written = [b"reply", NEWKEYS].concat();
        assert_eq!(keys.hold_back(b"banner"), b"banner");
        assert_eq!(keys.hold_back(&written), b"reply");
        assert_eq!(keys.hold_back(NEWKEYS), b"");
        assert!(matches!(keys, FirstKeys::Held(_)));
        keys
    }

    async fn read_on(keys: &mut FirstKeys, socket: &TcpStream) {
        poll_fn(|cx| keys.poll_read_on(socket, cx)).await.unwrap();
    }

    async fn sent(mut client: TcpStream, socket: TcpStream) -> Vec<u8> {
        drop(socket);
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        got
    }

    #[tokio::test]
    async fn it_goes_with_what_is_written_next() {
        let (socket, client) = pair().await;
        let mut keys = held();
        // The client's packet is here as far as its last octet but one.
        keys.note_read(&[0, 0]);
        keys.note_read(&[0, 12, 10, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        read_on(&mut keys, &socket).await;
        assert!(matches!(keys, FirstKeys::Held(_)));
        keys.note_read(&[0]);
        assert_eq!(keys.try_write(&socket, b"extensions").unwrap(), 10);
        assert!(matches!(keys, FirstKeys::Sent));
        assert_eq!(keys.hold_back(NEWKEYS), NEWKEYS, "only the first is held");
        assert_eq!(
            sent(client, socket).await,
            [NEWKEYS, b"extensions"].concat()
        );
    }

    #[tokio::test]
    async fn it_goes_alone_when_nothing_follows() {
        let (socket, client) = pair().await;
        let mut keys = held();
        keys.note_read(&[0, 0, 0, 4, 1, 21, 0, 0]);
        read_on(&mut keys, &socket).await;
        assert!(matches!(keys, FirstKeys::Sent));
        assert_eq!(sent(client, socket).await, NEWKEYS);
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_in_time_whatever_the_client_does() {
        let (socket, client) = pair().await;
        let mut keys = held();
        read_on(&mut keys, &socket).await;
        assert!(matches!(keys, FirstKeys::Held(_)));
        tokio::time::advance(PATIENCE).await;
        read_on(&mut keys, &socket).await;
        assert_eq!(sent(client, socket).await, NEWKEYS);
    }
}
