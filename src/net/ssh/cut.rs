//! A socket that can be cut off from the task that has it.
//!
//! russh runs a connection in a task that it does not give out. What ends it for sure is that
//! there is nothing more to read and nowhere to write.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// The knife: the socket is cut off when this is dropped.
#[derive(Debug)]
pub(super) struct Cut {
    _never_sent: Sender<()>,
}

/// The socket.
#[derive(Debug)]
pub(super) struct Cuttable {
    socket: TcpStream,
    /// `None` when it was cut off.
    uncut: Option<Receiver<()>>,
}

/// Makes both.
pub(super) fn cuttable(socket: TcpStream) -> (Cut, Cuttable) {
    let (sender, receiver) = channel();
    let cut = Cut {
        _never_sent: sender,
    };
    let socket = Cuttable {
        socket,
        uncut: Some(receiver),
    };
    (cut, socket)
}

impl Cuttable {
    /// The socket while it is not cut off; else the task is woken when it is.
    fn whole(&mut self, cx: &mut Context<'_>) -> Option<Pin<&mut TcpStream>> {
        if Pin::new(self.uncut.as_mut()?).poll(cx).is_ready() {
            self.uncut = None;
            return None;
        }
        Some(Pin::new(&mut self.socket))
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut().whole(cx) {
            Some(socket) => socket.poll_read(cx, buffer),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut().whole(cx) {
            Some(socket) => socket.poll_write(cx, octets),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_cut_wakes_whoever_reads_or_writes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for writes in [false, true] {
            let client = TcpStream::connect(listener.local_addr().unwrap());
            let (cut, mut socket) = cuttable(client.await.unwrap());
            let (_peer, _) = listener.accept().await.unwrap();
            let (began, begun) = channel();
            let task = tokio::spawn(async move {
                began.send(()).unwrap();
                loop {
                    let done = match writes {
                        true => socket.write(&[0; 65_536]).await,
                        false => socket.read(&mut [0; 16]).await,
                    };
                    if let Err(error) = done {
                        return error.kind();
                    }
                }
            });
            begun.await.unwrap();
            tokio::task::yield_now().await;
            drop(cut);
            let ended = tokio::time::timeout(Duration::from_secs(20), task).await;
            assert_eq!(ended.unwrap().unwrap(), io::ErrorKind::ConnectionAborted);
        }
    }
}
