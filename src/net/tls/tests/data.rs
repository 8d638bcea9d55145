//! Octets on a connection that is up.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;

use super::pki::Ca;
use super::{ClientAuth, PATIENCE, TestStream, join, pair, peer, router, server};
use crate::net::stream::Stream;

/// Octets that no part of could be mistaken for another.
fn image(length: usize) -> Vec<u8> {
    let numbers = (0_u32..).flat_map(u32::to_be_bytes);
    numbers.take(length).collect()
}

/// A pair over a connection that holds only a few kilobytes.
async fn narrow_pair() -> (Stream, TestStream) {
    let ca = Ca::new("Servers");
    let acceptor = server(&ca, ClientAuth::None);
    let listener = TcpSocket::new_v4().unwrap();
    listener.set_send_buffer_size(4096).unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = listener.listen(1).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let dialled = socket.connect(listener.local_addr().unwrap());
    let (accepted, dialled) = tokio::join!(listener.accept(), dialled);
    let config = router(&TLS13, &ca, None);
    let (accepted, joined) = tokio::join!(
        acceptor.accept(accepted.unwrap().0, peer("127.0.0.1")),
        join(dialled.unwrap(), config)
    );
    (accepted.unwrap().0, joined.unwrap())
}

/// Asks a future once, and drops it.
fn ask_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

#[test]
fn a_stream_is_still_small() {
    assert!(size_of::<Stream>() <= 40);
}

#[tokio::test]
async fn recv_gives_what_has_arrived() {
    for version in [&TLS13, &TLS12] {
        let (mut stream, mut client) = pair(version).await;
        let mut buffer = [0; 8];
        assert_eq!(stream.try_recv(&mut buffer).unwrap(), None);
        client.write_all(b"abcde").await.unwrap();
        assert_eq!(stream.recv(&mut buffer[..2]).await.unwrap(), 2);
        assert_eq!(&buffer[..2], b"ab");
        // The rest of the record is here and not at the socket any more.
        stream.readable().await.unwrap();
        assert_eq!(stream.try_recv(&mut buffer).unwrap(), Some(3));
        assert_eq!(&buffer[..3], b"cde");
        client.shutdown().await.unwrap();
        assert_eq!(stream.recv(&mut buffer).await.unwrap(), 0);
        assert_eq!(stream.recv(&mut buffer).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn an_end_without_close_notify_is_one() {
    let (mut stream, mut client) = pair(&TLS13).await;
    client.write_all(b"ab").await.unwrap();
    let (mut socket, _) = client.into_inner();
    socket.shutdown().await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(stream.recv(&mut buffer).await.unwrap(), 2);
    assert_eq!(stream.recv(&mut buffer).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_no_record_breaks_the_connection() {
    let (mut stream, client) = pair(&TLS13).await;
    let (mut socket, _) = client.into_inner();
    socket.write_all(&[0xff; 100]).await.unwrap();
    assert!(stream.recv(&mut [0; 8]).await.is_err());
}

#[tokio::test]
async fn the_end_is_told_whether_finished_or_dropped() {
    for version in [&TLS13, &TLS12] {
        let (mut stream, mut client) = pair(version).await;
        stream.send(&mut Bytes::from_static(b"last")).await.unwrap();
        let mut heard = Vec::new();
        // An end without close_notify is an error to this client.
        let reading = client.read_to_end(&mut heard);
        let (read, ()) = tokio::join!(reading, async { drop(stream) });
        assert_eq!(read.unwrap(), 4);

        let (mut stream, mut client) = pair(version).await;
        let image = image(100_000);
        let mut octets = Bytes::from(image.clone());
        let mut heard = Vec::new();
        let sending = async {
            while !octets.is_empty() {
                stream.send(&mut octets).await.unwrap();
            }
            stream.finish().await;
        };
        let reading = async {
            let read = client.read_to_end(&mut heard).await;
            drop(client);
            read
        };
        let (read, ()) = tokio::join!(reading, sending);
        assert_eq!(read.unwrap(), image.len());
        assert!(heard == image);
    }
}

#[tokio::test]
async fn a_report_is_readable_although_input_was_left_unread() {
    let (mut stream, mut client) = pair(&TLS13).await;
    client.write_all(&[7; 20_000]).await.unwrap();
    stream.readable().await.unwrap();
    stream
        .send(&mut Bytes::from_static(b"report"))
        .await
        .unwrap();
    let talking = async {
        client.write_all(&[7; 20_000]).await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        drop(client);
        heard
    };
    let (heard, ()) = tokio::join!(talking, stream.finish());
    assert_eq!(heard, b"report");
}

#[tokio::test]
async fn a_peer_that_does_not_read_costs_three_records() {
    let (mut stream, mut client) = narrow_pair().await;
    let image = image(8 << 20);
    let mut octets = Bytes::from(image.clone());
    let mut taken = 0;
    while let Some(sent) = ask_once(stream.send(&mut octets)) {
        taken += sent.unwrap();
        assert!(taken < 1 << 20, "it has no end");
        tokio::task::yield_now().await;
    }
    let Stream::Tls(inner) = &mut stream else {
        unreachable!();
    };
    // The three records that were sealed last are all there is here: their octets, and 22 more
    // for each.
    let waiting = inner.sealed_octets();
    assert!(waiting > 0 && waiting <= 48 * 1024 + 66, "{waiting}");
    assert_eq!(taken + octets.len(), image.len());

    let mut heard = Vec::new();
    let sending = async {
        while !octets.is_empty() {
            stream.send(&mut octets).await.unwrap();
        }
        stream.finish().await;
    };
    let reading = async {
        client.read_to_end(&mut heard).await.unwrap();
        drop(client);
    };
    timeout(PATIENCE, async { tokio::join!(sending, reading) })
        .await
        .unwrap();
    assert!(heard == image);
}

#[tokio::test]
async fn waiting_for_input_sends_what_was_sealed() {
    let (mut stream, mut client) = narrow_pair().await;
    let image = image(200_000);
    let mut octets = Bytes::from(image.clone());
    while ask_once(stream.send(&mut octets)).is_some() {
        tokio::task::yield_now().await;
    }
    let sent = image.len() - octets.len();
    let reading = async {
        let mut heard = vec![0; sent];
        client.read_exact(&mut heard).await.unwrap();
        assert!(heard == image[..sent]);
        client.write_all(b"query").await.unwrap();
    };
    let mut buffer = [0; 8];
    let waiting = async { stream.recv(&mut buffer).await.unwrap() };
    let both = async { tokio::join!(waiting, reading) };
    let (heard, ()) = timeout(PATIENCE, both).await.unwrap();
    assert_eq!(heard, 5);
}

#[tokio::test]
async fn dropped_futures_lose_nothing() {
    let (mut stream, client) = narrow_pair().await;
    let (mut from_client, mut to_client) = (Vec::new(), Vec::new());
    let image = image(600_000);
    let mut octets = Bytes::from(image.clone());
    let (reader, mut writer) = tokio::io::split(client);
    let echo = image.clone();
    let writing = async move {
        // In pieces that fit no record.
        for piece in echo.chunks(777) {
            writer.write_all(piece).await.unwrap();
        }
        writer.flush().await.unwrap();
    };
    let reading = async {
        // The client closes with the end of this.
        let mut reader = reader;
        let mut buffer = vec![0; 1000];
        while to_client.len() < image.len() {
            let read = reader.read(&mut buffer).await.unwrap();
            to_client.extend_from_slice(&buffer[..read]);
        }
    };
    let ours = async {
        let mut buffer = [0; 1234];
        // Each future is dropped as often as it is asked and not ready.
        while !octets.is_empty() || from_client.len() < image.len() {
            if let Some(read) = ask_once(stream.recv(&mut buffer)) {
                from_client.extend_from_slice(&buffer[..read.unwrap()]);
            }
            if let Some(sent) = ask_once(stream.send(&mut octets)) {
                sent.unwrap();
            }
            let _ = ask_once(stream.readable());
            tokio::task::yield_now().await;
        }
        stream
    };
    let (stream, ()) = timeout(PATIENCE, async {
        let ours = async {
            let mut stream = ours.await;
            // What was sealed last goes out while we wait.
            let _ = timeout(PATIENCE, stream.readable()).await;
            stream
        };
        let clients = async {
            tokio::join!(writing, reading);
        };
        tokio::join!(ours, clients)
    })
    .await
    .unwrap();
    drop(stream);
    assert!(from_client == image && to_client == image);
}
