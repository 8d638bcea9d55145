//! Octets on their way to a reader that blocks.

use std::io::{self, Read};
use std::sync::{Arc, Weak};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use crate::json::{self, Document, Keep, ReadError};

/// Keeps the reading of a document going; when it is dropped, the reader gets an error.
#[derive(Debug, Default)]
pub(super) struct Lease(Arc<()>);

/// What a reader has of a [`Lease`].
#[derive(Clone, Debug)]
pub(super) struct LeaseHolder(Weak<()>);

impl Lease {
    /// What the reader gets.
    pub(super) fn holder(&self) -> LeaseHolder {
        LeaseHolder(Arc::downgrade(&self.0))
    }
}

impl LeaseHolder {
    fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// Why there is no document.
#[derive(Debug)]
pub(super) enum Failure {
    /// The octets could not be had.
    Input(io::Error),
    /// There are too many octets.
    TooLarge {
        /// How many there may be.
        limit: u64,
    },
    /// The octets are no document.
    Document(ReadError),
}

/// Reads a document on the thread of the caller, who must be one that may block.
pub(super) fn read(
    input: impl Read,
    limits: &json::Limits,
    lease: &LeaseHolder,
) -> Result<Document, Failure> {
    read_and_show(input, limits, lease, Keep::Rows, |_| {})
}

/// The same, keeps what it is told to, and shows all octets of the document as it is without
/// compression.
pub(super) fn read_and_show(
    input: impl Read,
    limits: &json::Limits,
    lease: &LeaseHolder,
    keep: Keep,
    show: impl FnMut(&[u8]),
) -> Result<Document, Failure> {
    let mut intake = Intake {
        input,
        left: limits.octets,
        state: State::Open,
        lease,
    };
    let result = json::decompress::read_and_show(&mut intake, limits, keep, show);
    match (result, intake.state) {
        (Ok(document), _) => Ok(document),
        (Err(_), State::Overrun) => Err(Failure::TooLarge {
            limit: limits.octets,
        }),
        (Err(ReadError::Io(error)), State::Broken) => Err(Failure::Input(error)),
        (Err(error), _) => Err(Failure::Document(error)),
    }
}

/// Reads a small text whole, on the thread of the caller, who must be one that may block.
pub(super) fn whole(input: impl Read, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let mut bounded = input.take(limit.saturating_add(1));
    let read = bounded.read_to_end(&mut octets).map_err(Failure::Input)?;
    match u64::try_from(read).is_ok_and(|read| read <= limit) {
        true => Ok(octets),
        false => Err(Failure::TooLarge { limit }),
    }
}

/// An input that counts octets and ends in an error when there are too many, or when nobody waits
/// for the document any more.
struct Intake<'l, R> {
    input: R,
    left: u64,
    state: State,
    lease: &'l LeaseHolder,
}

/// Tells the errors of the input from those of a decompressor above it.
enum State {
    Open,
    Broken,
    Overrun,
}

impl<R: Read> Read for Intake<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.lease.is_over() {
            self.state = State::Broken;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let octets = match self.input.read(buffer) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.state = State::Broken;
                return Err(error);
            }
        };
        // A `usize` that does not fit is more than any limit.
        let counted = u64::try_from(octets).unwrap_or(u64::MAX);
        let Some(left) = self.left.checked_sub(counted) else {
            self.state = State::Overrun;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.left = left;
        Ok(octets)
    }
}

/// Chunks that may wait for the reader. One is read while others arrive; more would only be
/// memory.
const CHUNKS: usize = 4;

/// Something on the way from a task to a reader.
#[derive(Debug)]
enum Piece {
    Octets(Bytes),
    /// All octets were sent. Without it the transfer was cut off, and a document that looks
    /// complete, as cut CSV does, must not pass for one.
    End,
}

/// The end of a bridge that a task fills. A full bridge makes it wait.
#[derive(Debug)]
pub(super) struct Feeder(mpsc::Sender<Piece>);

/// The end of a bridge that a blocking thread reads.
#[derive(Debug)]
pub(super) struct Bridge {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

/// The reader has stopped reading.
#[derive(Debug)]
pub(super) struct Hangup;

/// A bounded way from a task to a blocking thread.
pub(super) fn bridge() -> (Feeder, Bridge) {
    let (sender, pieces) = mpsc::channel(CHUNKS);
    let bridge = Bridge {
        pieces,
        current: Bytes::new(),
        ended: false,
    };
    (Feeder(sender), bridge)
}

impl Feeder {
    /// Sends some octets.
    pub(super) async fn send(&self, octets: Bytes) -> Result<(), Hangup> {
        let piece = Piece::Octets(octets);
        self.0.send(piece).await.map_err(|_| Hangup)
    }

    /// Says that all octets were sent. To drop the feeder instead is to say that some were not.
    pub(super) async fn end(self) -> Result<(), Hangup> {
        self.0.send(Piece::End).await.map_err(|_| Hangup)
    }
}

impl Read for Bridge {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Octets(octets)) => self.current = octets,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let octets = self.current.len().min(buffer.len());
        let (Some(taken), Some(room)) = (self.current.get(..octets), buffer.get_mut(..octets))
        else {
            return Ok(0);
        };
        room.copy_from_slice(taken);
        self.current.advance(octets);
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn octets_cross_the_bridge_in_order() {
        let (feeder, mut bridge) = bridge();
        let reader = tokio::task::spawn_blocking(move || {
            let mut got = Vec::new();
            bridge.read_to_end(&mut got).unwrap();
            got
        });
        for chunk in ["ab", "", "c", "defg", "h", "i", "j"] {
            feeder
                .send(Bytes::from_static(chunk.as_bytes()))
                .await
                .unwrap();
        }
        feeder.end().await.unwrap();
        assert_eq!(reader.await.unwrap(), b"abcdefghij");
    }

    #[tokio::test]
    async fn a_feeder_that_is_dropped_is_not_an_end() {
        let (feeder, mut bridge) = bridge();
        feeder.send(Bytes::from_static(b"a")).await.unwrap();
        let reader = tokio::task::spawn_blocking(move || bridge.read_to_end(&mut Vec::new()));
        drop(feeder);
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_reader_that_stops_ends_the_sending() {
        let (feeder, bridge) = bridge();
        drop(bridge);
        assert!(feeder.send(Bytes::from_static(b"a")).await.is_err());
    }

    #[test]
    fn a_lease_that_is_dropped_ends_the_reading() {
        let lease = Lease::default();
        let holder = lease.holder();
        drop(lease);
        let endless = io::repeat(b' ');
        let failure = read(endless, &json::Limits::default(), &holder).unwrap_err();
        assert!(matches!(failure, Failure::Input(_)), "{failure:?}");
    }

    #[test]
    fn an_endless_input_is_too_large() {
        let limits = json::Limits {
            octets: 100_000,
            ..json::Limits::default()
        };
        let lease = Lease::default();
        let failure = read(io::repeat(b' '), &limits, &lease.holder()).unwrap_err();
        // Who notices first depends on who counts first.
        let too_large = match failure {
            Failure::TooLarge { limit } => limit,
            Failure::Document(ReadError::TooLarge { limit }) => limit,
            other => unreachable!("{other:?}"),
        };
        assert_eq!(too_large, 100_000);
    }
}
