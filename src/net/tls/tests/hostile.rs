//! Clients that do not mean well, or cannot do better.

use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::pki::Ca;
use super::{ClientAuth, PATIENCE, join, meet, peer, router, server, sockets};
use crate::net::refused::Reason;

/// What a server makes of a client that sends this and then ends its half.
async fn told(octets: &[u8]) -> Reason {
    let acceptor = server(&Ca::new("Servers"), ClientAuth::None);
    let (accepted, mut dialled) = sockets().await;
    let client = async {
        dialled.write_all(octets).await.unwrap();
        dialled.shutdown().await.unwrap();
        let mut heard = Vec::new();
        let _ = dialled.read_to_end(&mut heard).await;
    };
    let both = async { tokio::join!(acceptor.accept(accepted, peer("127.0.0.1")), client) };
    let (outcome, ()) = timeout(PATIENCE, both).await.unwrap();
    outcome.unwrap_err().reason
}

#[tokio::test]
async fn what_is_no_tls_is_refused() {
    // A Reset Query of RTR, as a router sends it to the wrong port.
    assert_eq!(told(&[1, 2, 0, 0, 0, 0, 0, 8]).await, Reason::Protocol);
    assert_eq!(told(b"GET / HTTP/1.1\r\n\r\n").await, Reason::Protocol);
    assert_eq!(told(&[0xff; 70_000]).await, Reason::Protocol);
    // A handshake message of 16 MB is not waited for.
    let mut endless = Vec::new();
    for _ in 0..8 {
        endless.extend([0x16, 3, 1, 0x40, 0]);
        endless.extend(
            std::iter::once(1)
                .chain([0xff, 0xff, 0xff])
                .chain([0; 0x3ffc]),
        );
    }
    assert_eq!(told(&endless).await, Reason::Protocol);
}

#[tokio::test]
async fn who_goes_away_is_gone() {
    assert_eq!(told(&[]).await, Reason::Gone);
    // In the middle of a record.
    assert_eq!(told(&[0x16, 3, 1, 2, 0, 1, 0]).await, Reason::Gone);
}

#[tokio::test]
async fn versions_of_the_past_are_not_spoken() {
    // A Client Hello of TLS 1.0 with one cipher suite and no extensions.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    assert_eq!(hello.len(), 5 + 45);
    assert_eq!(told(&hello).await, Reason::Algorithms);
}

#[tokio::test]
async fn what_is_offered_beyond_our_needs_is_passed_over() {
    let ca = Ca::new("Servers");
    let acceptor = server(&ca, ClientAuth::None);
    for version in [&TLS13, &TLS12] {
        let mut config = router(version, &ca, None);
        config.alpn_protocols = vec![b"h2".to_vec(), b"rpki-rtr".to_vec()];
        let (outcome, heard) = meet(&acceptor, "127.0.0.1", config).await;
        assert!(outcome.is_ok());
        assert_eq!(heard.unwrap(), "hello");
    }
}

#[tokio::test]
async fn no_session_is_resumed() {
    let ca = Ca::new("Servers");
    let acceptor = server(&ca, ClientAuth::None);
    for version in [&TLS13, &TLS12] {
        let mut config = router(version, &ca, None);
        config.enable_early_data = true;
        for _ in 0..2 {
            // The configuration holds the sessions that a client remembers.
            let (accepted, dialled) = sockets().await;
            let (accepted, joined) = tokio::join!(
                acceptor.accept(accepted, peer("127.0.0.1")),
                join(dialled, config.clone())
            );
            let mut joined = joined.unwrap();
            let kind = joined.get_ref().1.handshake_kind();
            assert_eq!(kind, Some(rustls::HandshakeKind::Full));
            let reading = async {
                let mut rest = Vec::new();
                joined.read_to_end(&mut rest).await.unwrap();
                drop(joined);
            };
            tokio::join!(accepted.unwrap().0.finish(), reading);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_wait_for_ever_for_who_does_not_read_it() {
    let acceptor = server(&Ca::new("Servers"), ClientAuth::None);
    let (accepted, mut dialled) = sockets().await;
    dialled.write_all(b"no tls at all").await.unwrap();
    let before = tokio::time::Instant::now();
    let outcome = acceptor.accept(accepted, peer("127.0.0.1")).await;
    assert_eq!(outcome.unwrap_err().reason, Reason::Protocol);
    assert!(before.elapsed() < Duration::from_secs(10));
}
