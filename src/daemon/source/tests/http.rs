use std::time::Duration;

use super::super::error::Phase;
use super::super::{Content, Past, SourceError};
use super::server::{Reply, Server};
use super::{document, gzip, serial, source, start, start_after};
use crate::config::{Proxy, Source, Web};
use crate::net::Url;

/// A complete answer with validators.
fn tagged(number: u32) -> Reply {
    let body = document(number);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\nETag: \"v{number}\"\nLast-Modified: Sat, 21 Nov 2026 12:00:0{number} GMT\n\
         Content-Length: {length}"
    );
    Reply::new(&head, body.as_bytes())
}

fn not_modified() -> Reply {
    Reply::new("HTTP/1.1 304 Not Modified", b"")
}

#[tokio::test]
async fn requests_depend_on_the_document_that_was_accepted() {
    let server = Server::start(|request| match request {
        1 => tagged(1),
        2 => not_modified(),
        _ => tagged(2),
    })
    .await;
    let mut running = start(server.source());
    assert_eq!(running.serial().await, 1);
    assert!(matches!(
        running.next().await,
        Ok(Content::Unchanged { .. })
    ));
    assert_eq!(running.serial().await, 2);

    let heads = server.requests(4).await;
    assert!(heads[0].starts_with("get /json http/1.1\r\n"));
    assert!(heads[0].contains("accept-encoding: gzip, zstd\r\n"));
    assert!(heads[0].contains(concat!("user-agent: rutter/", env!("CARGO_PKG_VERSION"))));
    assert!(!heads[0].contains("if-none-match"));
    for head in &heads[1..3] {
        assert!(head.contains("if-none-match: \"v1\"\r\n"));
        assert!(head.contains("if-modified-since: sat, 21 nov 2026 12:00:01 gmt\r\n"));
    }
    assert!(heads[3].contains("if-none-match: \"v2\"\r\n"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_leaves_the_old_validators() {
    let cut = || {
        let head = "HTTP/1.1 200 OK\nETag: \"cut\"\nContent-Length: 4000";
        Reply::new(head, document(9).as_bytes())
    };
    let server = Server::start(move |request| match request {
        1 | 4 => cut(),
        2 => tagged(2),
        3 => not_modified(),
        _ => tagged(5),
    })
    .await;
    let mut running = start(server.source());
    let error = running.error().await;
    assert!(matches!(error, SourceError::Transfer { .. }), "{error}");
    assert_eq!(running.serial().await, 2);
    assert!(matches!(
        running.next().await,
        Ok(Content::Unchanged { .. })
    ));
    let error = running.error().await;
    assert!(matches!(error, SourceError::Transfer { .. }), "{error}");
    assert_eq!(running.serial().await, 5);

    let heads = server.requests(5).await;
    assert!(!heads[1].contains("if-none-match"));
    assert!(heads[4].contains("if-none-match: \"v2\"\r\n"));
}

#[tokio::test]
async fn a_document_that_is_refused_leaves_the_old_validators() {
    let server = Server::start(|request| match request {
        1 => Reply::new(
            "HTTP/1.1 200 OK\nETag: \"page\"\nContent-Type: text/html",
            b"<!DOCTYPE html><html><body>log in</body></html>",
        ),
        _ => tagged(2),
    })
    .await;
    let mut running = start(server.source());
    let error = running.error().await;
    assert!(matches!(error, SourceError::Document { .. }), "{error}");
    assert_eq!(running.serial().await, 2);
    let heads = server.requests(2).await;
    assert!(!heads[1].contains("if-none-match"));
}

/// A document that was kept is not sent again after a restart, unless it is asked for without
/// conditions.
#[tokio::test]
async fn requests_depend_on_the_document_that_was_kept() {
    let server = Server::start(|request| match request {
        1 => tagged(1),
        2 => not_modified(),
        _ => tagged(2),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let past = Past {
        folder: Some(folder.path().join("past")),
        ..Past::default()
    };
    // It asks once in each run.
    let source = Source {
        refresh: Duration::from_secs(3_600),
        ..server.source()
    };
    let mut running = start_after(past.clone(), source.clone());
    assert_eq!(running.serial().await, 1);
    // A task that is told to stop waits for nothing.
    let note = folder.path().join("past/list.json");
    let kept = async {
        while !note.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), kept)
        .await
        .unwrap();
    running.stop().await;

    let mut running = start_after(past.clone(), source.clone());
    assert_eq!(running.serial().await, 1);
    let next = running.next().await;
    assert!(matches!(next, Ok(Content::Unchanged { arrived: None })));
    running.stop().await;
    let unconditional = Source {
        web: Web {
            conditional: false,
            ..source.web.clone()
        },
        ..source
    };
    let mut running = start_after(past, unconditional);
    assert_eq!(running.serial().await, 1);
    assert_eq!(running.serial().await, 2);
    running.stop().await;
    let heads = server.requests(3).await;
    assert!(heads[1].contains("if-none-match: \"v1\""), "{}", heads[1]);
    assert!(heads[1].contains("if-modified-since: sat, 21 nov 2026 12:00:01 gmt"));
    assert!(!heads[2].contains("if-none-match"));
}

#[tokio::test]
async fn other_statuses_are_errors() {
    let server = Server::start(|request| match request {
        1 => Reply::new("HTTP/1.1 404 Not Found\nContent-Length: 2", b"{}"),
        // Nobody asked whether it was modified.
        2 => not_modified(),
        3 => Reply::new("HTTP/1.1 204 No Content", b""),
        _ => Reply::new("HTTP/1.1 503 Service Unavailable\nContent-Length: 0", b""),
    })
    .await;
    let mut running = start(server.source());
    for expected in [404, 304, 204, 503] {
        match running.error().await {
            SourceError::Status { status, .. } => assert_eq!(status, expected),
            other => unreachable!("{other}"),
        }
    }
}

#[tokio::test]
async fn compressed_answers_are_read() {
    let server = Server::start(|_| {
        let head = "HTTP/1.1 200 OK\nContent-Encoding: gzip";
        Reply::new(head, &gzip(&document(3)))
    })
    .await;
    assert_eq!(start(server.source()).serial().await, 3);
}

#[tokio::test]
async fn a_stalled_answer_runs_out_of_time() {
    let server = Server::start(|request| match request {
        1 => Reply::ok("{\"roas\":[").and_hold(),
        _ => tagged(2),
    })
    .await;
    let mut source = server.source();
    source.timeout = Duration::from_millis(500);
    let mut running = start(source);
    match running.error().await {
        SourceError::Timeout { phase, limit, .. } => {
            assert_eq!(phase, Phase::Total);
            assert_eq!(limit, Duration::from_millis(500));
        }
        other => unreachable!("{other}"),
    }
    assert_eq!(running.serial().await, 2);
}

#[tokio::test]
async fn too_many_octets_are_refused_whether_announced_or_not() {
    let long = " ".repeat(100_000);
    let server = Server::start(move |request| match request {
        1 => Reply::ok(&long),
        2 => Reply::new("HTTP/1.1 200 OK", long.as_bytes()),
        // Few octets that become many.
        3 => Reply::new("HTTP/1.1 200 OK", &gzip(&long)),
        _ => tagged(4),
    })
    .await;
    let mut source = server.source();
    source.max_octets = 50_000;
    let mut running = start(source);
    for _ in 1..=3 {
        match running.error().await {
            SourceError::TooLarge { limit } => assert_eq!(limit, 50_000),
            SourceError::Document { error } => {
                assert!(error.to_string().contains("50000"), "{error}");
            }
            other => unreachable!("{other}"),
        }
    }
    assert_eq!(running.serial().await, 4);
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_whole_url() {
    let proxy = Server::start(|_| tagged(1)).await;
    let mut source = source("http://user:secret@validator.example/json");
    let through = format!("http://me:too@{}", proxy.address);
    source.web.proxy = Proxy::Through(Url::parse(&through).unwrap());
    assert_eq!(serial(start(source).next().await), 1);
    let heads = proxy.requests(1).await;
    assert!(heads[0].starts_with("get http://validator.example/json http/1.1\r\n"));
    assert!(heads[0].contains("\r\nproxy-authorization: basic "));
    assert!(heads[0].contains("\r\nauthorization: basic "));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_secrets() {
    let server = Server::start(|_| tagged(1)).await;
    let url = format!("http://user:secret@{}/json", server.address);
    drop(server);
    let mut source = source(&url);
    source.web.proxy = Proxy::Direct;
    let error = start(source).error().await;
    assert!(matches!(error, SourceError::Connect { .. }), "{error}");
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("/json") && !shown.contains("secret"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_connection_that_takes_too_long_is_said_to() {
    // A full backlog drops the handshakes of those that come later.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let connect = || tokio::net::TcpStream::connect(address);
    while let Ok(socket) = tokio::time::timeout(Duration::from_millis(200), connect()).await {
        waiting.push(socket);
    }
    let mut source = source(&format!("http://{address}/json"));
    source.web.proxy = Proxy::Direct;
    source.connect_timeout = Duration::from_millis(100);
    match start(source).error().await {
        SourceError::Timeout { phase, .. } => assert_eq!(phase, Phase::Connect),
        other => unreachable!("{other}"),
    }
}
