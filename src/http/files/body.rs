//! A body that is read from a file while it leaves.
//!
//! The machine below asks for the next chunk when the socket has taken the last one, so a peer
//! that reads slowly holds one chunk and the open file. Like [`stall`](super::super::stall), this
//! is a `poll` by hand: the trait of bodies has no other way.

use std::fs::File;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Octets of a read. Two or three fill the buffer of a socket, and a slow peer holds one.
pub(in crate::http) const CHUNK: usize = 64 * 1024;

/// A range of a file.
pub(super) struct FileBody {
    file: Arc<File>,
    /// What has not been handed out.
    rest: Range<u64>,
    until: Instant,
    reads: Arc<Semaphore>,
    reading: Option<Reading>,
    _place: OwnedSemaphorePermit,
}

type Reading = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

impl FileBody {
    /// This range of a file, which breaks off when it is not read by then. Each read takes one of `reads` for as long as it lasts; the body
    /// keeps its place until it is dropped.
    pub(super) const fn new(
        file: Arc<File>,
        rest: Range<u64>,
        until: Instant,
        reads: Arc<Semaphore>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            file,
            rest,
            until,
            reads,
            reading: None,
            _place: place,
        }
    }

    fn remaining(&self) -> u64 {
        self.rest.end.saturating_sub(self.rest.start)
    }

    fn read(&self) -> Reading {
        let length = usize::try_from(self.remaining()).map_or(CHUNK, |rest| rest.min(CHUNK));
        let (file, reads, at) = (
            Arc::clone(&self.file),
            Arc::clone(&self.reads),
            self.rest.start,
        );
        Box::pin(async move {
            let place = reads.acquire_owned().await.map_err(io::Error::other)?;
            let read = tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; length];
                // A file that lost octets ends the connection: what is short is never whole.
                let read = file.read_exact_at(&mut chunk, at);
                drop(place);
                read.map(|()| Bytes::from(chunk))
            });
            read.await.map_err(io::Error::other)?
        })
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        if self.until <= Instant::now() {
            self.rest.start = self.rest.end;
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.read(),
        };
        let Poll::Ready(read) = reading.as_mut().poll(context) else {
            self.reading = Some(reading);
            return Poll::Pending;
        };
        match read {
            Ok(chunk) => {
                let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                self.rest.start = self.rest.start.saturating_add(length);
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Err(error) => {
                self.rest.start = self.rest.end;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::BodyExt;

    use super::*;

    fn body(range: Range<u64>, places: &Arc<Semaphore>) -> FileBody {
        let mut file = tempfile::tempfile().unwrap();
        let octets: Vec<u8> = (0..=250).cycle().take(200_000).collect();
        file.write_all(&octets).unwrap();
        let place = Arc::clone(places).try_acquire_owned().unwrap();
        let until = Instant::now() + std::time::Duration::from_secs(60);
        let reads = Arc::new(Semaphore::new(1));
        FileBody::new(Arc::new(file), range, until, reads, place)
    }

    #[tokio::test]
    async fn it_comes_in_chunks_and_says_what_remains() {
        let places = Arc::new(Semaphore::new(1));
        let mut body = body(1..199_999, &places);
        let mut at = 1_usize;
        while let Some(frame) = body.frame().await {
            let chunk = frame.unwrap().into_data().unwrap();
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK);
            for octet in chunk {
                assert_eq!(usize::from(octet), at % 251);
                at += 1;
            }
            let rest = u64::try_from(199_999 - at).unwrap();
            assert_eq!(body.size_hint().exact(), Some(rest));
        }
        assert_eq!(at, 199_999);
        assert!(body.is_end_stream());
        assert_eq!(places.available_permits(), 0);
        drop(body);
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_short_file_is_an_error_and_then_the_end() {
        let mut body = body(150_000..200_001, &Arc::new(Semaphore::new(1)));
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(body.frame().await.is_none());
    }
}
