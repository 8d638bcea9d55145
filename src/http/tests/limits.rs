//! What a peer may cost.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Running, request, rest, within};
use crate::http::stall::Stalling;
use crate::http::{Access, Limits};
use crate::net::gate::Bounds;
use crate::net::tls::{Certificate, ClientAuth, ServerOptions, TlsAcceptor};

const SOON: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_header_that_does_not_end_is_not_waited_for() {
    let running = Running::start(Limits {
        header: SOON,
        ..Limits::default()
    });
    for octets in ["", "G", "GET / HTTP/1.1\r\nHost: te"] {
        assert_eq!(running.ask(octets).await, "", "{octets:?}");
    }
    // Nor is one that grows by an octet now and then.
    let mut socket = TcpStream::connect(running.tcp).await.unwrap();
    let drip = async {
        while socket.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SOON / 5).await;
        }
    };
    within(drip).await;
    running.end().await;
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let running = Running::start(Limits {
        header: SOON,
        ..Limits::default()
    });
    let answer = running
        .ask("GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        .await;
    assert_eq!(Answer::read(&answer).body, "ok\n");
    running.end().await;
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let running = Running::start(Limits::default());
    let mut octets = "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n".repeat(5);
    octets.push_str(&request("GET", "/healthz", "", ""));
    let answers = running.ask(octets).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 6, "{answers}");
    running.end().await;
}

#[tokio::test]
async fn a_large_header_is_refused() {
    let running = Running::start(Limits::default());
    let big = format!("X-Big: {}\r\n", "x".repeat(20_000));
    let answer = running.ask(request("GET", "/healthz", &big, "")).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = "X-Many: x\r\n".repeat(100);
    let answer = running.ask(request("GET", "/healthz", &many, "")).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    running.end().await;
}

#[tokio::test]
async fn a_large_body_is_refused() {
    let running = Running::start(Limits {
        body_octets: 1_000,
        ..Limits::default()
    });
    let large = "x".repeat(1_001);
    let stated = request("POST", "/api/v1/approve", "", &large);
    let answer = Answer::read(&running.control(stated).await);
    answer.fails_with(413, "more than 1000 octets");
    // Refused by what it says, before any of it comes.
    let head = "POST /api/v1/reload HTTP/1.1\r\nHost: test\r\nConnection: close\r\n";
    let boast = format!("{head}Content-Length: 99999999999\r\n\r\n");
    let answer = Answer::read(&running.control(boast).await);
    answer.fails_with(413, "more than 1000 octets");
    // Refused by what comes.
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n3e9\r\n{large}\r\n0\r\n\r\n");
    let answer = Answer::read(&running.control(chunked).await);
    answer.fails_with(413, "more than 1000 octets");
    running.end().await;
}

#[tokio::test]
async fn a_body_that_does_not_end_is_not_waited_for() {
    let running = Running::start(Limits {
        request: SOON,
        ..Limits::default()
    });
    let octets = "POST /api/v1/approve HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n{";
    let answer = Answer::read(&running.control(octets).await);
    answer.fails_with(408, "took too long");
    running.end().await;
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    for (total, per_address, reason) in [(1, 9, "limit"), (9, 1, "address")] {
        let bounds = Bounds {
            total,
            per_address,
            per_network: 9,
        };
        one_too_many(bounds, reason).await;
    }
}

async fn one_too_many(bounds: Bounds, reason: &str) {
    let running = Running::start(Limits::default());
    running.gate.resize(bounds);
    let mut first = TcpStream::connect(running.tcp).await.unwrap();
    let half = "GET /metrics HTTP/1.1\r\nHost: test\r\n";
    first.write_all(half.as_bytes()).await.unwrap();
    let second = running.ask(request("GET", "/healthz", "", "")).await;
    let second = Answer::read(&second);
    assert_eq!(
        (second.status, second.body.as_str()),
        (503, "too many connections\n")
    );
    // The operator still gets through.
    let control = running.control(request("GET", "/healthz", "", "")).await;
    assert_eq!(Answer::read(&control).status, 200);

    first.write_all(b"Connection: close\r\n\r\n").await.unwrap();
    let metrics = Answer::read(&rest(&mut first).await);
    let counted = format!("rutter_http_connections_refused_total{{reason=\"{reason}\"}} 1\n");
    assert!(metrics.body.contains(&counted), "{}", metrics.body);
    assert!(
        metrics.body.contains("rutter_http_connections 1\n"),
        "{}",
        metrics.body
    );
    drop(first);
    // The place is free again, if not at once.
    let freed = async {
        while running.get("/healthz").await.status != 200 {
            tokio::time::sleep(SOON / 10).await;
        }
    };
    within(freed).await;
    running.end().await;
}

#[tokio::test]
async fn a_stop_ends_idle_connections_at_once() {
    let running = Running::start(Limits::default());
    let mut idle = TcpStream::connect(running.tcp).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    let mut start = [0; 12];
    within(idle.read_exact(&mut start)).await.unwrap();
    let address = running.tcp;
    let begun = std::time::Instant::now();
    running.end().await;
    assert!(begun.elapsed() < Limits::default().drain);
    assert!(rest(&mut idle).await.ends_with("ok\n"));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stop_waits_for_a_request_only_so_long() {
    let running = Running::start(Limits {
        drain: SOON,
        ..Limits::default()
    });
    let octets = "POST /api/v1/approve HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n{";
    let asked = running.send_control(octets).await;
    // The server is in the middle of it.
    tokio::time::sleep(SOON / 2).await;
    running.end().await;
    drop(asked);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_stalls_fails_and_one_that_moves_does_not() {
    let (near, mut far) = tokio::io::duplex(10);
    let mut near = Stalling::new(near, Duration::from_secs(30));
    let reader = tokio::spawn(async move {
        // Slow, but never slower than the limit.
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(29)).await;
            far.read_exact(&mut [0; 10]).await.unwrap();
        }
        far
    });
    near.write_all(&[0; 110]).await.unwrap();
    let far = reader.await.unwrap();
    let begun = tokio::time::Instant::now();
    let error = near.write_all(&[0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 30);
    drop(far);
}

/// With a certificate that is made here; those who come from now on speak TLS.
fn secure(running: &Running) {
    let options = ServerOptions {
        certificate: Certificate::Minted,
        clients: ClientAuth::None,
    };
    let tls = TlsAcceptor::load(&options).unwrap().speaking("http/1.1");
    let change = |access: &mut Access| access.tls = Some(tls);
    running.access.send_modify(change);
}

#[tokio::test]
async fn a_handshake_has_the_time_of_a_header() {
    let running = Running::start(Limits {
        header: SOON,
        ..Limits::default()
    });
    secure(&running);
    // Nothing, the beginning of a ClientHello, and none.
    for octets in [
        &b""[..],
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let answer = running.ask(octets).await;
        assert!(!answer.contains("HTTP"), "{answer:?}");
    }
    let control = running.control(request("GET", "/healthz", "", "")).await;
    assert_eq!(Answer::read(&control).body, "ok\n");
    running.end().await;
}

#[tokio::test]
async fn a_handshake_counts_as_a_connection_and_does_not_hold_up_a_stop() {
    let running = Running::start(Limits::default());
    secure(&running);
    running.gate.resize(Bounds {
        total: 1,
        per_address: 1,
        per_network: 1,
    });
    let mut first = running.send("\x16\x03\x01").await;
    within(async {
        while running.gate.taken() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // In the clear it would be told why.
    assert_eq!(running.ask("").await, "");
    let begin = std::time::Instant::now();
    running.end().await;
    assert!(begin.elapsed() < Limits::default().header);
    let _ = within(first.read(&mut [0; 8])).await;
}
