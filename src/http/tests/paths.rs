//! What is answered at each path.

use serde_json::json;

use super::{Answer, Running, request};
use crate::http::Limits;
use crate::http::metrics;
use crate::http::shape::{Check, Ready, Status};

#[tokio::test]
async fn the_first_page_names_every_path() {
    let running = Running::start(Limits::default());
    let index = running.get("/").await;
    assert_eq!(index.status, 200);
    for line in index.body.lines().filter(|line| line.contains(" /")) {
        let mut words = line.split_ascii_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let method = if method == "POST" { "GET" } else { method };
        let found = running.ask(request(method, path, "", "")).await;
        // A path for POST only is there, but not with this method.
        let expected = if line.starts_with("POST") { 405 } else { 200 };
        assert_eq!(Answer::read(&found).status, expected, "{line}");
    }
    running.end().await;
}

#[tokio::test]
async fn health_is_not_readiness() {
    let unready = Ready::of(vec![
        Check::passed("listeners"),
        Check::failed("data", "no source has data"),
    ]);
    let running = Running::with(Limits::default(), unready);
    assert_eq!(running.get("/healthz").await.status, 200);
    let ready = running.get("/readyz").await;
    assert_eq!(ready.status, 503);
    let expected = json!({"ready": false, "checks": [
        {"name": "listeners", "ok": true},
        {"name": "data", "ok": false, "reason": "no source has data"},
    ]});
    assert_eq!(ready.json(), expected);
    running.end().await;

    let running = Running::start(Limits::default());
    assert_eq!(running.get("/readyz").await.status, 200);
    running.end().await;
}

#[tokio::test]
async fn the_status_is_read_as_it_was_written() {
    let running = Running::start(Limits::default());
    let answer = running.get("/api/v1/status").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let json = answer.json();
    // Absent is absent, and not null.
    assert!(json.get("serving").is_none(), "{json}");
    assert_eq!(json["now"]["utc"], "2023-11-14T22:13:20Z");
    let status: Status = serde_json::from_value(json).unwrap();
    assert_eq!(
        status,
        super::status(Ready::of(vec![Check::passed("data")]))
    );
    running.end().await;
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let running = Running::start(Limits::default());
    let text = running.get("/metrics").await;
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(text.header("content-type"), Some(media_type));
    metrics::tests::check(&text.body, metrics::Format::Text);
    assert!(text.body.contains("\nrutter_sessions 3\n"), "{}", text.body);

    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2\r\n";
    let open = running.ask(request("GET", "/metrics", accept, "")).await;
    let open = Answer::read(&open);
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(media_type));
    metrics::tests::check(&open.body, metrics::Format::OpenMetrics);
    // The scrape before was counted.
    let counted = "\nrutter_http_requests_total{status=\"2xx\"} 1\n";
    assert!(open.body.contains(counted), "{}", open.body);
    running.end().await;
}

#[tokio::test]
async fn a_prefix_stands_in_the_path_as_it_is() {
    let running = Running::start(Limits::default());
    for (path, prefix, asn) in [
        ("192.0.2.0/24", "192.0.2.0/24", None),
        ("192.0.2.0%2F24?asn=64496", "192.0.2.0/24", Some("AS64496")),
        (
            "2001:db8::/32?asn=as64496",
            "2001:db8::/32",
            Some("AS64496"),
        ),
        ("192.0.2.7", "192.0.2.7/32", None),
    ] {
        let answer = running.get(&format!("/api/v1/explain/{path}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json(), json!({"prefix": prefix, "asn": asn}));
    }
    for (path, status, reason) in [
        ("192.0.2.0/33", 400, "is not a prefix such as"),
        ("192.0.2.7/24", 400, "its prefix is 192.0.2.0/24"),
        ("192.0.2.0/24?asn=AS4294967296", 400, "asn `AS4294967296`"),
        ("192.0.2.0/24?as=64496", 400, "unknown field `as`"),
        ("192.0.2.0/24?asn=1&asn=2", 400, "duplicate field `asn`"),
        ("%ff", 400, "UTF-8"),
        ("", 404, "no such path"),
        ("0.0.0.0/0", 503, "no data yet"),
    ] {
        let answer = running.get(&format!("/api/v1/explain/{path}")).await;
        answer.fails_with(status, reason);
    }
    running.end().await;
}

#[tokio::test]
async fn a_list_has_a_bounded_length() {
    let running = Running::start(Limits::default());
    for (query, limit) in [("", 100), ("?limit=7", 7), ("?limit=10000", 10_000)] {
        let answer = running.get(&format!("/api/v1/disagreement{query}")).await;
        assert_eq!(answer.json(), json!({ "limit": limit }));
    }
    for (query, reason) in [
        ("?limit=10001", "at most 10000"),
        ("?limit=-1", "invalid digit"),
        ("?limits=1", "unknown field"),
    ] {
        let answer = running.get(&format!("/api/v1/disagreement{query}")).await;
        answer.fails_with(400, reason);
    }
    running.end().await;
}

#[tokio::test]
async fn a_fault_of_ours_is_an_answer_and_not_an_end() {
    let running = Running::start(Limits::default());
    let answer = running.get("/api/v1/disagreement?limit=13").await;
    answer.fails_with(500, "a fault of the server");
    assert_eq!(running.get("/healthz").await.status, 200);
    running.end().await;
}

#[tokio::test]
async fn what_is_not_there_is_json_below_api_and_text_elsewhere() {
    let running = Running::start(Limits::default());
    running
        .get("/api/v2/status")
        .await
        .fails_with(404, "no such path");
    running
        .get("/api/v1/reload")
        .await
        .fails_with(405, "not with this method");
    let text = running.get("/favicon.ico").await;
    assert_eq!((text.status, text.body.as_str()), (404, "no such path\n"));
    for (path, body) in [
        ("/metrics", ""),
        ("/rpki.json", ""),
        ("/rpki.csv", "{}"),
        ("/feed/manifest.jws", ""),
    ] {
        for method in ["POST", "DELETE"] {
            let refused = running.ask(request(method, path, "", body)).await;
            let refused = Answer::read(&refused);
            assert_eq!(
                (refused.status, refused.body.as_str()),
                (405, "not with this method\n"),
                "{method} {path}"
            );
            assert_eq!(refused.header("allow"), Some("GET,HEAD"));
        }
    }
    running.end().await;
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let running = Running::start(Limits::default());
    for path in ["/", "/metrics", "/readyz", "/api/v1/status", "/nowhere"] {
        let get = running.get(path).await;
        let head = Answer::read(&running.ask(request("HEAD", path, "", "")).await);
        assert_eq!(
            (head.status, head.body.as_str()),
            (get.status, ""),
            "{path}"
        );
        if path != "/metrics" {
            let length = |answer: &Answer| answer.header("content-length").map(str::to_owned);
            assert_eq!(length(&head), length(&get), "{path}");
        }
    }
    running.end().await;
}

#[tokio::test]
async fn the_control_socket_speaks_the_same() {
    let running = Running::start(Limits::default());
    let answer = running
        .control(request("GET", "/api/v1/status", "", ""))
        .await;
    assert_eq!(Answer::read(&answer).status, 200);
    running.end().await;
}

#[tokio::test]
async fn routers_are_listed_up_to_a_limit() {
    let running = Running::start(Limits::default());
    for (query, limit) in [("", 100), ("?limit=7", 7)] {
        let answer = running.get(&format!("/api/v1/clients{query}")).await;
        assert_eq!(answer.status, 200);
        let list: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(list["limit"], limit);
    }
    for query in ["?limit=10001", "?limit=x", "?all=1"] {
        let answer = running.get(&format!("/api/v1/clients{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    running.end().await;
}
