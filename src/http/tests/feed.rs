//! The feed for followers: its manifest, waiting for it, and its files.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Answer, Memory, Running, announcement, request, rest, within};
use crate::feed::WAITED;
use crate::http::Limits;
use crate::http::backend::Announcement;
use crate::payload::UnixTime;

const SIGNED: &str = "/feed/manifest.jws";
const PLAIN: &str = "/feed/manifest.json";
const WAITING: &str = "rutter_http_feed_waiting";

/// Announces another manifest.
fn announce(memory: &Memory, tag: &str, change: impl FnOnce(&mut Announcement)) {
    let mut next = announcement(memory.folder.path(), tag);
    change(&mut next);
    memory.exports.announce(Some(next));
}

#[tokio::test(start_paused = true)]
async fn a_manifest_says_how_long_it_keeps() {
    let memory = Memory::start(Limits::default());
    for (path, signed, media_type) in [
        (SIGNED, true, "application/jose"),
        (PLAIN, false, "application/json"),
    ] {
        announce(&memory, "a", |next| next.signed = signed);
        let answer = memory.get(path).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "the manifest a")
        );
        assert_eq!(answer.header("content-type"), Some(media_type));
        assert_eq!(answer.header("etag"), Some("\"a\""));
        let modified = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(answer.header("last-modified"), modified);
        let caching = "public, max-age=5, stale-while-revalidate=5, stale-if-error=86400";
        assert_eq!(answer.header("cache-control"), Some(caching));
        assert_eq!(answer.header(WAITED), None);
        let head = memory.ask("HEAD", path, "").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.header("content-length"), Some("14"));

        let known = "If-None-Match: \"b\", \"a\"\r\n";
        let answer = memory.ask("GET", path, known).await;
        assert_eq!((answer.status, answer.body.as_str()), (304, ""));
        assert_eq!(answer.header("cache-control"), Some(caching));
        assert_eq!(answer.header("etag"), Some("\"a\""));
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(memory.ask("POST", path, "").await.status, 405);
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_one_form_of_a_manifest() {
    let memory = Memory::start(Limits::default());
    for (path, other, signed) in [(PLAIN, SIGNED, true), (SIGNED, PLAIN, false)] {
        announce(&memory, "a", |next| next.signed = signed);
        for wait in ["", "?wait=a"] {
            let answer = memory.get(&format!("{path}{wait}")).await;
            assert_eq!(answer.status, 404);
            assert!(answer.body.contains(other), "{}", answer.body);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_feed_nothing_is_waited_for() {
    let memory = Memory::start(Limits::default());
    let begun = Instant::now();
    let unavailable = async |reason| {
        for path in [SIGNED, "/feed/manifest.jws?wait=a"] {
            let answer = memory.get(path).await;
            assert_eq!(answer.status, 503);
            assert!(answer.body.contains(reason), "{}", answer.body);
            assert_eq!(answer.header("retry-after"), Some("5"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    };
    announce(&memory, "a", |next| next.valid_until = UnixTime::new(1));
    unavailable("expired at 1970-01-01T00:00:01Z").await;
    memory.exports.announce(None);
    unavailable("no feed").await;
    let file = "/feed/abababababababababababababababab-5.snapshot";
    assert_eq!(memory.get(file).await.status, 503);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn another_tag_is_news_at_once() {
    let memory = Memory::start(Limits::default());
    let begun = Instant::now();
    for query in ["?wait=tag-0", "?wait=", "?wait=%ff", "?wait=%22tag-1%22"] {
        let answer = memory.get(&format!("{SIGNED}{query}")).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "the manifest tag-1")
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header(WAITED), Some("1"));
        assert_eq!(answer.header("etag"), Some("\"tag-1\""));
    }
    for query in ["?wait=a&wait=b", "?watch=a"] {
        let answer = memory.get(&format!("{SIGNED}{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_known_tag_waits_until_the_time_is_over() {
    let memory = Memory::start(Limits::default());
    for method in ["GET", "HEAD"] {
        let begun = Instant::now();
        let answer = memory.ask(method, "/feed/manifest.jws?wait=tag-1", "");
        let answer = answer.await;
        assert_eq!((answer.status, answer.body.as_str()), (304, ""));
        assert_eq!(begun.elapsed(), Duration::from_secs(25));
        assert_eq!(answer.header("etag"), Some("\"tag-1\""));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header(WAITED), Some("1"));
        assert_eq!(answer.header("content-length"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_hear_of_a_change() {
    let memory = Memory::start(Limits::default());
    let mut waiters = JoinSet::new();
    for _ in 0..500 {
        let asked = request("GET", "/feed/manifest.jws?wait=tag-1", "", "");
        let pipe = memory.send(asked).await;
        waiters.spawn(Answer::rest(pipe));
    }
    let begun = Instant::now();
    memory.until(WAITING, 500).await;
    // The same again is no news.
    announce(&memory, "tag-1", |_| {});
    announce(&memory, "tag-2", |_| {});
    while let Some(answer) = waiters.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "the manifest tag-2")
        );
        assert_eq!(answer.header("etag"), Some("\"tag-2\""));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    memory.until(WAITING, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_goes_away_ends_the_wait() {
    let memory = Memory::start(Limits::default());
    let wait = request("GET", "/feed/manifest.jws?wait=tag-1", "", "");
    let pipe = memory.send(&wait).await;
    memory.until(WAITING, 1).await;
    memory.exports.announce(None);
    let answer = Answer::rest(pipe).await;
    assert_eq!((answer.status, answer.header(WAITED)), (503, Some("1")));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_goes_is_not_asked_in_a_hurry() {
    let Memory {
        router,
        shared,
        stop,
        exports,
        folder,
    } = Memory::start(Limits::default());
    let left = Memory {
        exports: super::Exports::new(folder.path()),
        router,
        shared,
        stop,
        folder,
    };
    drop(exports);
    let begun = Instant::now();
    let answer = left.get("/feed/manifest.jws?wait=tag-1").await;
    assert_eq!(answer.status, 304);
    assert_eq!(begun.elapsed(), Duration::from_secs(25));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_does_not_wait_any_more() {
    let memory = Memory::start(Limits::default());
    let begun = Instant::now();
    let wait = request("GET", "/feed/manifest.jws?wait=tag-1", "", "");
    let pipe = memory.send(&wait).await;
    memory.until(WAITING, 1).await;
    drop(pipe);
    memory.until(WAITING, 0).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait() {
    let memory = Memory::start(Limits::default());
    let begun = Instant::now();
    let wait = "GET /feed/manifest.jws?wait=tag-1 HTTP/1.1\r\nHost: test\r\n\r\n";
    let pipe = memory.send(wait).await;
    memory.until(WAITING, 1).await;
    memory.stop.send_replace(true);
    // The connection does not stay, although nobody asked for its end.
    let answer = Answer::rest(pipe).await;
    assert_eq!(answer.status, 304);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn it_can_be_waited_for_over_sockets() {
    let running = Running::start(Limits::default());
    let wait = request("GET", "/feed/manifest.jws?wait=tag-1", "", "");
    let mut over_tcp = running.send(&wait).await;
    let mut over_control = running.send_control(&wait).await;
    let both = async {
        while !running
            .get("/metrics")
            .await
            .body
            .contains("\nrutter_http_feed_waiting 2\n")
        {
            tokio::task::yield_now().await;
        }
    };
    within(both).await;
    let next = announcement(running.folder.path(), "tag-2");
    running.exports.announce(Some(next));
    for answer in [rest(&mut over_tcp).await, rest(&mut over_control).await] {
        assert_eq!(Answer::read(&answer).body, "the manifest tag-2");
    }
    let mut last = running
        .send(request("GET", "/feed/manifest.jws?wait=tag-2", "", ""))
        .await;
    running.end().await;
    // Cut short by the end, or before it was read.
    let mut answer = Vec::new();
    let _ = within(last.read_to_end(&mut answer)).await;
}

const NAMES: [&str; 4] = [
    "abababababababababababababababab-5.snapshot",
    "abababababababababababababababab-5-6.delta",
    "abababababababababababababababab-5-6.replaced",
    "abababababababababababababababab-5-1.attributes",
];

#[tokio::test(start_paused = true)]
async fn a_file_keeps_for_ever() {
    let memory = Memory::start(Limits::default());
    for name in NAMES {
        std::fs::write(memory.folder.path().join(name), name).unwrap();
        let path = format!("/feed/{name}");
        let answer = memory.get(&path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, name));
        let caching = Some("public, max-age=31536000, immutable");
        assert_eq!(answer.header("cache-control"), caching);
        let media_type = Some("application/octet-stream");
        assert_eq!(answer.header("content-type"), media_type);
        let tag = format!("\"{name}\"");
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
        assert_eq!(answer.header("vary"), None);

        let head = memory.ask("HEAD", &path, "").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        let length = name.len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()));
        let known = format!("If-None-Match: {tag}\r\n");
        assert_eq!(memory.ask("GET", &path, &known).await.status, 304);
        // The rest of a download that broke off.
        let rest = format!("Range: bytes=30-\r\nIf-Range: {tag}\r\n");
        let answer = memory.ask("GET", &path, &rest).await;
        assert_eq!((answer.status, answer.body.as_str()), (206, &name[30..]));
    }
}

#[tokio::test(start_paused = true)]
async fn only_files_of_the_feed_can_be_reached() {
    let memory = Memory::start(Limits::default());
    let folder = memory.folder.path().join("feed");
    std::fs::create_dir(&folder).unwrap();
    let inside = folder.clone();
    announce(&memory, "a", |next| next.folder = inside.into());
    let secret = memory.folder.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    std::fs::write(folder.join("export.key"), "secret").unwrap();
    std::fs::write(folder.join("manifest.json"), "secret").unwrap();
    let [link, deep, pipe, gone] = NAMES;
    std::os::unix::fs::symlink(&secret, folder.join(link)).unwrap();
    std::fs::create_dir(folder.join(deep)).unwrap();
    // Opened, it would be waited for.
    let made = std::process::Command::new("mkfifo")
        .arg(folder.join(pipe))
        .status();
    assert!(made.unwrap().success());
    let upper = link.to_uppercase();
    let long = format!("{}-5.snapshot", "ab".repeat(3_000));
    let nul = format!("{link}%00");
    let many = format!("{link}%2f..%2f{link}");
    for name in [
        link,
        deep,
        pipe,
        gone,
        &upper,
        &long,
        &nul,
        &many,
        "",
        ".",
        "..",
        "export.key",
        "manifest",
        "manifest.jws%00",
        "manifest%2Ejson.x",
        "../secret",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "%2e%2e/secret",
        "..%5csecret",
        "x/../../secret",
        "%252e%252e%252fsecret",
        "//secret",
        "%2fetc%2fpasswd",
        "%00",
        "%",
        "%ff",
        "abababababababababababababababab-05.snapshot",
        "abababababababababababababababab-5-7.delta",
        "abababababababababababababababab-4294967296.snapshot",
        "abababababababababababababababab-5.snapshot/",
    ] {
        let answer = memory.get(&format!("/feed/{name}")).await;
        assert!([400, 404].contains(&answer.status), "{name}: {answer:?}");
        assert!(!answer.body.contains("secret"), "{name}: {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    // The manifest that is served is the one that is announced.
    let answer = memory.get("/feed/manifest%2ejson").await;
    assert_eq!(answer.status, 404);
}
