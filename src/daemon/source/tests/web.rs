use std::fs;
use std::time::Duration;

use super::super::error::RedirectError;
use super::super::{Content, SourceError, WebText, unix_now};
use super::server::{Reply, Server};
use super::{dated, document, list, source, start};
use crate::config::{Header, HeaderValue, Proxy, Web};
use crate::net::Url;

fn moved(to: &str) -> Reply {
    Reply::new(
        &format!("HTTP/1.1 302 Found\nLocation: {to}\nContent-Length: 0"),
        b"",
    )
}

/// An answer with a tag and the time it was made.
fn tagged(tag: &str, generated: u64) -> Reply {
    let body = dated(generated, 1);
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\nETag: \"{tag}\"\nContent-Length: {length}");
    Reply::new(&head, body.as_bytes())
}

#[tokio::test]
async fn nothing_is_conditional_when_that_is_off() {
    let now = unix_now().seconds();
    let server = Server::start(move |_| tagged("a", now)).await;
    let mut source = server.source();
    source.web.conditional = false;
    let mut running = start(source);
    list(running.next().await);
    list(running.next().await);
    for head in server.requests(2).await {
        assert!(!head.contains("if-none-match"), "{head}");
    }
}

#[tokio::test]
async fn headers_and_tokens_are_read_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let (token, key) = (folder.path().join("token"), folder.path().join("key"));
    let server = Server::start(|request| Reply::ok(&document(request))).await;
    let mut source = server.source();
    source.refresh = Duration::from_secs(3600);
    source.web.bearer_token = Some(token.clone());
    let header = |name: &str, value| Header {
        name: name.into(),
        value,
    };
    source.web.headers = vec![
        header("X-Plain", HeaderValue::Text("one".into())),
        header("X-Key", HeaderValue::File(key.clone())),
        header("Accept", HeaderValue::Text("application/vrps".into())),
    ];
    fs::write(&key, "k1\n").unwrap();
    let mut running = start(source);
    let error = running.error().await;
    assert!(error.to_string().contains("as bearer token"), "{error}");
    assert_eq!(error.kind(), "secret");
    fs::write(&token, "t1\n").unwrap();
    running.ask(1).await.unwrap();
    fs::write(&token, "t2").unwrap();
    fs::write(&key, "k2").unwrap();
    running.ask(2).await.unwrap();

    let heads = server.requests(2).await;
    for (head, number) in heads.iter().zip(1..) {
        assert!(head.contains(&format!("\r\nauthorization: bearer t{number}\r\n")));
        assert!(head.contains(&format!("\r\nx-key: k{number}\r\n")));
        assert!(head.contains("\r\nx-plain: one\r\n"));
        assert!(head.contains("\r\naccept: application/vrps\r\n"));
        assert_eq!(head.matches("\r\naccept:").count(), 1);
    }
}

#[tokio::test]
async fn redirections_are_followed_but_secrets_stay_at_home() {
    let other = Server::start(|_| Reply::ok(&document(1))).await;
    let there = format!("http://{}/there", other.address);
    let server = Server::start(move |request| match request {
        1 => moved("/second?x=y"),
        _ => moved(&there),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "s3cret").unwrap();
    let mut source = source(&format!("http://me:s3cret@{}/first", server.address));
    source.web.proxy = Proxy::Direct;
    source.web.headers = vec![Header {
        name: "X-Key".into(),
        value: HeaderValue::File(token.clone()),
    }];
    list(start(source).next().await);

    let heads = server.requests(2).await;
    assert!(heads[0].starts_with("get /first "));
    assert!(heads[1].starts_with("get /second?x=y "));
    for head in &heads {
        assert!(head.contains("\r\nauthorization: basic ") && head.contains("\r\nx-key: s3cret"));
    }
    let foreign = &other.requests(1).await[0];
    assert!(foreign.starts_with("get /there "));
    assert!(!foreign.contains("s3cret") && !foreign.contains("authorization"));
    assert!(!foreign.contains("x-key"));
}

#[tokio::test]
async fn redirections_that_lead_nowhere_are_errors() {
    let server = Server::start(|request| match request {
        1..=6 => moved("/again"),
        7 => moved("ftp://validator.example/json"),
        8 => Reply::new("HTTP/1.1 301 Moved\nContent-Length: 0", b""),
        _ => Reply::ok(&document(9)),
    })
    .await;
    let mut running = start(server.source());
    for expected in [
        RedirectError::TooMany { limit: 5 },
        RedirectError::Nowhere,
        RedirectError::Nowhere,
    ] {
        let error = running.error().await;
        assert_eq!(error.kind(), "redirect");
        match error {
            SourceError::Redirect { reason, .. } => assert_eq!(reason, expected),
            other => unreachable!("{other}"),
        }
    }
    assert_eq!(running.serial().await, 9);
}

#[tokio::test]
async fn a_stale_document_is_refused_without_being_sent_again() {
    let now = unix_now().seconds();
    let not_modified = || Reply::new("HTTP/1.1 304 Not Modified", b"");
    let server = Server::start(move |request| match request {
        1 => tagged("good", now - 60),
        2 => tagged("stale", now - 900_000),
        3 | 4 => not_modified(),
        5 => tagged("future", now + 7_200),
        6 => not_modified(),
        7 => tagged("good", now - 60),
        _ => not_modified(),
    })
    .await;
    let mut running = start(server.source());
    list(running.next().await);
    for kind in ["stale", "stale", "stale", "future", "future"] {
        assert_eq!(running.error().await.kind(), kind);
    }
    list(running.next().await);
    let content = running.next().await.unwrap();
    assert!(matches!(content, Content::Unchanged { arrived: None }));
    let heads = server.requests(8).await;
    for (head, tag) in heads[1..].iter().zip([
        "good", "stale", "stale", "stale", "future", "future", "good",
    ]) {
        assert!(
            head.contains(&format!("if-none-match: \"{tag}\"\r\n")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_stale_document_is_delivered_when_there_is_no_other() {
    let now = unix_now().seconds();
    let server = Server::start(move |_| tagged("a", now - 900_000)).await;
    let first = list(start(server.source()).next().await);
    assert_eq!(now - first.stated.unwrap().seconds(), 900_000);
    assert!(first.arrived.seconds() >= now);
}

#[tokio::test]
async fn kinds_of_trouble_have_names() {
    let html = "<!DOCTYPE html><html><body>log in</body></html>";
    let server = Server::start(move |request| match request {
        1 => Reply::ok(html),
        2 => Reply::new("HTTP/1.1 404 Not Found\nContent-Length: 0", b""),
        3 => Reply::ok("{\"roas\": ["),
        4 => Reply::new("HTTP/1.1 200 OK\nContent-Length: 999", b"{\"roas\": ["),
        5 => Reply::ok(&" ".repeat(100_000)),
        6 => Reply::ok("{").and_hold(),
        _ => Reply::ok(&document(7)),
    })
    .await;
    let mut source = server.source();
    source.max_octets = 50_000;
    source.timeout = Duration::from_millis(300);
    let mut running = start(source);
    for kind in [
        "html",
        "status",
        "cut_short",
        "cut_short",
        "too_large",
        "timeout",
    ] {
        let error = running.error().await;
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert_eq!(running.serial().await, 7);
}

#[tokio::test]
async fn who_asks_is_answered_before_it_is_time_and_only_once() {
    let server = Server::start(|request| Reply::ok(&document(request))).await;
    let mut source = server.source();
    source.refresh = Duration::from_secs(3600);
    let mut running = start(source);
    assert_eq!(running.serial().await, 1);
    for number in 1..=5 {
        running.requests.send_replace(number);
    }
    assert_eq!(super::serial(running.ask(6).await), 2);
    // The next request is the next answer: none was left over.
    assert_eq!(super::serial(running.ask(7).await), 3);
    assert_eq!(server.requests(3).await.len(), 3);
}

#[tokio::test]
async fn a_text_is_given_when_it_changes() {
    let server = Server::start(|request| match request {
        1 | 3 => Reply::new("HTTP/1.1 200 OK\nETag: \"t\"\nContent-Length: 2", b"{}"),
        2 => Reply::new("HTTP/1.1 304 Not Modified", b""),
        _ => Reply::ok("{ }"),
    })
    .await;
    let url = Url::parse(&format!("http://{}/slurm", server.address)).unwrap();
    let web = Web {
        proxy: Proxy::Direct,
        ..Web::default()
    };
    let mut text = WebText::new(url, web, super::PATIENCE, 2);
    assert_eq!(text.fetch().await.unwrap().unwrap(), b"{}");
    assert!(text.fetch().await.unwrap().is_none());
    text.forget();
    assert_eq!(text.fetch().await.unwrap().unwrap(), b"{}");
    assert_eq!(text.fetch().await.unwrap_err().kind(), "too_large");
    let heads = server.requests(4).await;
    assert!(heads[1].contains("if-none-match: \"t\"") && !heads[2].contains("if-none-match"));
}
