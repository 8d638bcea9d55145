//! A TLS connection for whoever reads and writes as tokio does: hyper.
//!
//! What was sealed and not sent yet is at most what the stream holds back anyway, so a peer that
//! stops reading costs no more here than elsewhere.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::TlsStream;

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(octets) = self.try_recv(buffer.initialize_unfilled())? {
                buffer.advance(octets);
                return Poll::Ready(Ok(()));
            }
            // It takes of the task's budget, so records without octets keep nobody waiting.
            ready!(self.socket().poll_read_ready(context))?;
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_flush(context))?;
        Poll::Ready(self.seal(octets))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.push()? {
            ready!(self.socket().poll_write_ready(context))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_goodbye();
        ready!(self.as_mut().poll_flush(context))?;
        Pin::new(self.socket_mut()).poll_shutdown(context)
    }
}
