//! An HTTP server of a few lines that says what it is told to, true or not.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::{Proxy, Source};

/// What is written, and whether the connection stays open after it.
pub(super) struct Reply {
    octets: Vec<u8>,
    hold: bool,
}

impl Reply {
    pub(super) fn new(head: &str, body: &[u8]) -> Self {
        let mut octets = head.replace('\n', "\r\n").into_bytes();
        octets.extend_from_slice(b"\r\n\r\n");
        octets.extend_from_slice(body);
        Self {
            octets,
            hold: false,
        }
    }

    pub(super) fn ok(body: &str) -> Self {
        let length = body.len();
        Self::new(
            &format!("HTTP/1.1 200 OK\nContent-Length: {length}"),
            body.as_bytes(),
        )
    }

    /// Says nothing more, and does not close either.
    pub(super) fn and_hold(mut self) -> Self {
        // Whatever length was promised, there is more to come.
        let text = String::from_utf8(self.octets).unwrap();
        self.octets = text.replace("Content-Length: ", "Content-Length: 9").into();
        self.hold = true;
        self
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    heads: watch::Receiver<Vec<String>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers each request, counted from 1, with what `reply` says.
    pub(super) async fn start(reply: impl Fn(u32) -> Reply + Send + 'static) -> Self {
        Self::answering(move |request, _| reply(request)).await
    }

    /// The same, by the head of the request, too, which is in lower case.
    pub(super) async fn answering(reply: impl Fn(u32, &str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heads) = watch::channel(Vec::new());
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            let mut request = 0;
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let Some(head) = head(&mut socket).await else {
                    // The client has given up already.
                    continue;
                };
                request += 1;
                let reply = reply(request, &head);
                sender.send_modify(|heads| heads.push(head));
                // The client may have heard enough.
                let _ = socket.write_all(&reply.octets).await;
                if reply.hold {
                    held.push(socket);
                }
            }
        });
        Self {
            address,
            heads,
            task,
        }
    }

    /// A source that asks again and again.
    pub(super) fn source(&self) -> Source {
        let mut source = super::source(&format!("http://{}/json", self.address));
        source.refresh = Duration::from_millis(5);
        source.web.proxy = Proxy::Direct;
        source
    }

    /// The heads of the requests, in lower case, once there are so many.
    pub(super) async fn requests(&self, count: usize) -> Vec<String> {
        let mut heads = self.heads.clone();
        let enough = heads.wait_for(|heads| heads.len() >= count);
        let heads = timeout(super::PATIENCE, enough).await.unwrap().unwrap();
        heads.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap().to_ascii_lowercase())
}
