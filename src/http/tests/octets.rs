//! Requests that are none: each gets an answer or a close, and the server lives on.

use super::Running;
use crate::http::Limits;

#[tokio::test]
async fn malformed_requests_are_refused() {
    let running = Running::start(Limits {
        header: std::time::Duration::from_millis(200),
        ..Limits::default()
    });
    let head = "Host: test\r\nConnection: close\r\n";
    let cases: [(&str, String, &str); 14] = [
        (
            "an RTR Reset Query",
            "\u{1}\u{2}\0\0\0\0\0\u{8}".into(),
            "400",
        ),
        ("no version", "GET /\r\n\r\n".into(), "400"),
        ("version 0.9", "GET / HTTP/0.9\r\n\r\n".into(), "400"),
        ("version 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), ""),
        ("a method of spaces", "   / HTTP/1.1\r\n\r\n".into(), "400"),
        (
            "a NUL in the path",
            format!("GET /\0 HTTP/1.1\r\n{head}\r\n"),
            "400",
        ),
        (
            "a header without colon",
            format!("GET / HTTP/1.1\r\n{head}oops\r\n\r\n"),
            "400",
        ),
        (
            "a folded header",
            format!("GET / HTTP/1.1\r\n{head}A: b\r\n c\r\n\r\n"),
            "400",
        ),
        (
            "a bare path",
            format!("GET metrics HTTP/1.1\r\n{head}\r\n"),
            "404",
        ),
        (
            "two lengths",
            format!(
                "POST /api/v1/reload HTTP/1.1\r\n{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"
            ),
            "400",
        ),
        (
            "a negative length",
            format!("POST /api/v1/reload HTTP/1.1\r\n{head}Content-Length: -1\r\n\r\n"),
            "400",
        ),
        (
            "the whole server",
            format!("OPTIONS * HTTP/1.1\r\n{head}\r\n"),
            "404",
        ),
        (
            "a tunnel",
            format!("CONNECT 192.0.2.1:22 HTTP/1.1\r\n{head}\r\n"),
            "404",
        ),
        (
            "dots",
            format!("GET /api/v1/../../etc/passwd HTTP/1.1\r\n{head}\r\n"),
            "404",
        ),
    ];
    for (name, octets, status) in cases {
        let answer = running.ask(&octets).await;
        let line = answer.lines().next().unwrap_or_default();
        let expected = match status {
            // Closed without a word: the peer would not read one of version 1.
            "" => String::new(),
            status => format!("HTTP/1.1 {status} "),
        };
        assert!(
            line.starts_with(&expected) && line.is_empty() == expected.is_empty(),
            "{name}: {line:?}"
        );
    }
    assert_eq!(running.get("/healthz").await.status, 200);
    running.end().await;
}

#[tokio::test]
async fn a_length_and_chunks_do_not_smuggle_a_request() {
    let running = Running::start(Limits::default());
    let octets = "POST /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\
                  Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: test\r\n\
                  Connection: close\r\n\r\n";
    let answers = running.ask(octets).await;
    // Refused, or read as chunks (RFC 9112 §6.3) and what follows as a request of its own: never
    // one that hides in the body of the other.
    assert!(!answers.starts_with("HTTP/1.1 200"), "{answers}");
    assert!(answers.matches("HTTP/1.1 200").count() <= 1, "{answers}");
    running.end().await;
}

#[tokio::test]
async fn a_request_cut_at_every_octet_harms_nobody() {
    let running = Running::start(Limits {
        header: std::time::Duration::from_secs(5),
        ..Limits::default()
    });
    let whole = "POST /api/v1/approve HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{";
    for cut in 0..whole.len() {
        let mut socket = tokio::net::TcpStream::connect(running.tcp).await.unwrap();
        let octets = &whole.as_bytes()[..cut];
        tokio::io::AsyncWriteExt::write_all(&mut socket, octets)
            .await
            .unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut socket)
            .await
            .unwrap();
        let answer = super::rest(&mut socket).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "cut at {cut}: {answer}");
    }
    assert_eq!(running.get("/healthz").await.status, 200);
    running.end().await;
}
