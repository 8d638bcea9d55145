//! What is served, as documents: validators, codings, ranges, and slow readers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::{Answer, Memory, Running, edition, request, rest, within};
use crate::http::backend::Document;
use crate::http::files::body::CHUNK;
use crate::http::{Limits, Refusal, RefusalKind};

const PATHS: [&str; 5] = [
    "/rpki.json",
    "/rpki.json.jws",
    "/rpki.csv",
    "/rpki.bird",
    "/rpki.openbgpd",
];

const CACHING: &str = "public, max-age=1, stale-if-error=600";
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// The headers of an answer but `Date` and `Connection`, in order.
fn headers(answer: &Answer) -> Vec<(&str, &str)> {
    let headers = answer.headers.iter();
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !["date", "connection"].contains(name))
        .collect();
    headers.sort_unstable();
    headers
}

#[tokio::test(start_paused = true)]
async fn a_document_comes_with_validators_and_says_what_caches_may_do() {
    let memory = Memory::start(Limits::default());
    for path in PATHS {
        let answer = memory.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.body, "[]\n".repeat(100));
        let expected = [
            ("accept-ranges", "bytes"),
            ("cache-control", CACHING),
            ("content-length", "300"),
            ("content-type", "application/json"),
            ("etag", "\"1-2\""),
            ("last-modified", MODIFIED),
            ("vary", "accept-encoding"),
            ("x-content-type-options", "nosniff"),
        ];
        assert_eq!(headers(&answer), expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_path_has_its_document() {
    let memory = Memory::start(Limits::default());
    let documents = [
        Document::Json,
        Document::Statement,
        Document::Csv,
        Document::Bird,
        Document::OpenBgpd,
    ];
    for (path, document) in PATHS.into_iter().zip(documents) {
        assert_eq!(memory.get(path).await.status, 200);
        assert_eq!(memory.exports.asked.lock().unwrap().take(), Some(document));
    }
    for other in ["/rpki.json/", "/rpki", "/RPKI.json", "/rpki.csv.jws"] {
        assert_eq!(memory.get(other).await.status, 404, "{other}");
        assert_eq!(*memory.exports.asked.lock().unwrap(), None, "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_coding_has_a_tag_of_its_own() {
    let memory = Memory::start(Limits::default());
    for (accept, coding, tag, body) in [
        ("identity", None, "\"1-2\"", "[]\n".repeat(100)),
        ("gzip, br", Some("gzip"), "\"1-2-gzip\"", "g".repeat(150)),
        ("gzip, zstd", Some("zstd"), "\"1-2-zstd\"", "z".repeat(100)),
    ] {
        let accept = format!("Accept-Encoding: {accept}\r\n");
        let answer = memory.ask("GET", "/rpki.json", &accept).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), coding);
        assert_eq!(answer.header("etag"), Some(tag));
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert_eq!(answer.body, body);
        let length = body.len().to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()));
        // The tag of one coding says nothing of another one.
        for (other, status) in [
            ("\"1-2\"", 304),
            ("\"1-2-gzip\"", 304),
            ("\"1-2-zstd\"", 304),
        ] {
            let known = format!("{accept}If-None-Match: {other}\r\n");
            let answer = memory.ask("GET", "/rpki.json", &known).await;
            let expected = if other == tag { status } else { 200 };
            assert_eq!(answer.status, expected, "{known}");
        }
    }
    let none = "Accept-Encoding: identity;q=0, br\r\n";
    let answer = memory.ask("GET", "/rpki.json", none).await;
    assert_eq!(answer.status, 406);
    assert_eq!(answer.header("vary"), Some("accept-encoding"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test(start_paused = true)]
async fn who_has_it_is_told_so_and_no_more() {
    let memory = Memory::start(Limits::default());
    for method in ["GET", "HEAD"] {
        for known in [
            "If-None-Match: \"1-2\"\r\n",
            "If-None-Match: \"x\", W/\"1-2\"\r\n",
            "If-None-Match: *\r\n",
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            "If-None-Match: \"1-2\"\r\nRange: bytes=0-9\r\n",
        ] {
            let answer = memory.ask(method, "/rpki.json", known).await;
            assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{known}");
            let expected = [
                ("cache-control", CACHING),
                ("etag", "\"1-2\""),
                ("vary", "accept-encoding"),
            ];
            assert_eq!(headers(&answer), expected, "{known}");
        }
    }
    let answer = memory
        .ask("GET", "/rpki.json", "If-Match: \"old\"\r\n")
        .await;
    assert_eq!(answer.status, 412);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test(start_paused = true)]
async fn an_old_date_of_the_client_gets_a_new_edition() {
    let memory = Memory::start(Limits::default());
    let known = format!("If-None-Match: \"1-2\"\r\nIf-Modified-Since: {MODIFIED}\r\n");
    assert_eq!(memory.ask("GET", "/rpki.json", &known).await.status, 304);
    let next = edition(memory.folder.path(), "1-3", "new\n");
    memory.exports.publish(Ok(next));
    // Of the same second: only the tag tells.
    let answer = memory.ask("GET", "/rpki.json", &known).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "new\n"));
}

#[tokio::test(start_paused = true)]
async fn what_is_from_the_future_was_modified_by_now() {
    let memory = Memory::start(Limits::default());
    let mut next = edition(memory.folder.path(), "1-3", "new\n");
    next.modified = crate::payload::UnixTime::new(99_999_999_999);
    memory.exports.publish(Ok(next));
    let answer = memory.get("/rpki.json").await;
    let year = &answer.header("last-modified").unwrap()[12..16];
    assert!(year < "2100", "{year}");
}

#[tokio::test(start_paused = true)]
async fn a_range_is_a_part() {
    let memory = Memory::start(Limits::default());
    let text = "[]\n".repeat(100);
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=1-", 1, 299),
        ("bytes=-7", 293, 299),
        ("bytes=290-999999999999999999999999999999", 290, 299),
    ] {
        let range = format!("Range: {range}\r\nIf-Range: \"1-2\"\r\n");
        let answer = memory.ask("GET", "/rpki.json", &range).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.body, text[first..=last]);
        let part = format!("bytes {first}-{last}/300");
        assert_eq!(answer.header("content-range"), Some(part.as_str()));
        let length = (last - first + 1).to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()));
        assert_eq!(answer.header("etag"), Some("\"1-2\""));
        assert_eq!(answer.header("cache-control"), Some(CACHING));
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
    }
    // Of the octets in the coding, not of what they stand for.
    let coded = "Accept-Encoding: gzip\r\nRange: bytes=149-\r\n";
    let answer = memory.ask("GET", "/rpki.json", coded).await;
    assert_eq!((answer.status, answer.body.as_str()), (206, "g"));
    assert_eq!(answer.header("content-range"), Some("bytes 149-149/150"));
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
}

#[tokio::test(start_paused = true)]
async fn no_range_costs_more_than_the_whole() {
    let memory = Memory::start(Limits::default());
    for range in [
        "bytes=300-",
        "bytes=-0",
        "bytes=99999999999999999999999999999-",
    ] {
        let range = format!("Range: {range}\r\n");
        let answer = memory.ask("GET", "/rpki.json", &range).await;
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), Some("bytes */300"));
    }
    let many = format!("bytes={}", "0-,".repeat(3_000));
    for range in [
        "bytes=0-9,20-29",
        "bytes=9-0",
        "pages=1-2",
        &many,
        "bytes=0-9\r\nIf-Range: \"old\"",
        "bytes=0-9\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT",
        "bytes=0-9\r\nRange: bytes=10-19",
    ] {
        let range = format!("Range: {range}\r\n");
        let answer = memory.ask("GET", "/rpki.json", &range).await;
        assert_eq!((answer.status, answer.body.len()), (200, 300), "{range}");
        assert_eq!(answer.header("content-range"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_the_body() {
    let memory = Memory::start(Limits::default());
    for path in PATHS {
        for lines in [
            "",
            "Accept-Encoding: zstd\r\n",
            "If-None-Match: \"1-2\"\r\n",
        ] {
            let get = memory.ask("GET", path, lines).await;
            let head = memory.ask("HEAD", path, lines).await;
            assert_eq!((head.status, head.body.as_str()), (get.status, ""));
            assert_eq!(headers(&head), headers(&get), "{path} {lines}");
        }
        // RFC 9110 §14.2: ranges are for GET.
        let head = memory.ask("HEAD", path, "Range: bytes=0-9\r\n").await;
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-length"), Some("300"));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_document_it_says_why() {
    let memory = Memory::start(Limits::default());
    for (kind, status) in [(RefusalKind::Unavailable, 503), (RefusalKind::Unknown, 404)] {
        memory.exports.publish(Err(Refusal::new(kind, "no key")));
        let answer = memory.get("/rpki.json.jws").await;
        assert_eq!((answer.status, answer.body.as_str()), (status, "no key\n"));
        let retry = (status == 503).then_some("5");
        assert_eq!(answer.header("retry-after"), retry);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let post = memory.ask("POST", "/rpki.json", "").await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET,HEAD")));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_not_an_error() {
    let memory = Memory::start(Limits::default());
    let empty = edition(memory.folder.path(), "1-3", "");
    memory.exports.publish(Ok(empty));
    for lines in ["", "Range: bytes=-5\r\n"] {
        let answer = memory.ask("GET", "/rpki.csv", lines).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!(answer.header("content-length"), Some("0"));
    }
    let answer = memory.ask("GET", "/rpki.csv", "Range: bytes=0-\r\n").await;
    assert_eq!(answer.status, 416);
}

/// A text of many chunks in which every place is another one.
fn long() -> String {
    (0..120_000).map(|line| format!("{line:07}\n")).collect()
}

#[tokio::test]
async fn a_document_is_sent_to_its_end_though_there_is_another_one() {
    let running = Running::start(Limits::default());
    let old = long();
    let publish = |tag, text: &str| {
        let edition = edition(running.folder.path(), tag, text);
        running.exports.publish(Ok(edition));
    };
    publish("1-3", &old);
    let mut reader = running.send(request("GET", "/rpki.json", "", "")).await;
    let mut begin = [0; 12];
    within(reader.read_exact(&mut begin)).await.unwrap();
    publish("1-4", "new\n");
    let range = "Range: bytes=0-2\r\n";
    let new = running.ask(request("GET", "/rpki.json", range, "")).await;
    assert_eq!(Answer::read(&new).body, "new");
    let rest = rest(&mut reader).await;
    let (head, body) = rest.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\"1-3\""), "{head}");
    assert!(body == old, "{} octets", body.len());
    // And the same through the control socket, by ranges.
    publish("1-3", &old);
    let mut read = String::new();
    while read.len() < old.len() {
        let from = read.len();
        let range = format!("Range: bytes={from}-{}\r\n", from + 3 * CHUNK);
        let part = running.control(request("GET", "/rpki.json", &range, ""));
        let part = Answer::read(&part.await);
        assert_eq!(part.status, 206);
        read.push_str(&part.body);
    }
    assert!(read == old);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_all_and_one_that_stops_is_left() {
    let memory = Memory::start(Limits::default());
    let text = long();
    let edition = edition(memory.folder.path(), "1-3", &text);
    memory.exports.publish(Ok(edition));

    let (mut slow, served) = memory.connect(CHUNK);
    let asked = request("GET", "/rpki.json", "", "");
    slow.write_all(asked.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let mut read = Vec::new();
    let mut some = vec![0; CHUNK / 4];
    loop {
        // Slow, but never slower than the limit, and much longer than an answer may take.
        tokio::time::sleep(Duration::from_secs(29)).await;
        match slow.read(&mut some).await.unwrap() {
            0 => break,
            count => read.extend_from_slice(&some[..count]),
        }
    }
    assert!(begun.elapsed() > Duration::from_secs(1_500));
    assert!(String::from_utf8(read).unwrap().ends_with(&text));
    served.await.unwrap();

    let (mut stopped, served) = memory.connect(CHUNK);
    stopped.write_all(asked.as_bytes()).await.unwrap();
    let begun = Instant::now();
    memory.until("rutter_http_file_bodies", 1).await;
    served.await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 30);
    memory.until("rutter_http_file_bodies", 0).await;
    // What it could have read: a pipe, and nothing of what came after.
    let mut left = Vec::new();
    stopped.read_to_end(&mut left).await.unwrap();
    assert_eq!(left.len(), CHUNK);
}

#[tokio::test(start_paused = true)]
async fn one_that_trickles_does_not_keep_an_old_file_for_ever() {
    let memory = Memory::start(Limits {
        body: Duration::from_secs(600),
        ..Limits::default()
    });
    let text = long();
    memory
        .exports
        .publish(Ok(edition(memory.folder.path(), "1-3", &text)));
    let (mut slow, served) = memory.connect(CHUNK);
    let asked = request("GET", "/rpki.json", "", "");
    slow.write_all(asked.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let mut some = vec![0; CHUNK / 4];
    while slow.read(&mut some).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_secs(29)).await;
    }
    // The end of the time, what the pipe holds, and the chunk that was on its way.
    let took = begun.elapsed().as_secs();
    assert!((600..600 + 12 * 29).contains(&took), "{took}");
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_that_lost_octets_is_never_taken_for_whole() {
    let memory = Memory::start(Limits::default());
    let mut edition = edition(memory.folder.path(), "1-3", &long());
    let lost = edition.forms[0].length + 1;
    edition.forms[0].length = lost;
    memory.exports.publish(Ok(edition));
    let answer = memory.get("/rpki.json").await;
    let stated = answer.header("content-length").unwrap();
    assert_eq!(stated, lost.to_string());
    assert!(answer.body.len() < lost.try_into().unwrap());
    memory.until("rutter_http_file_bodies", 0).await;
}

#[tokio::test(start_paused = true)]
async fn bodies_beyond_the_room_wait_for_a_place() {
    let memory = Memory::start(Limits {
        stall: Duration::from_secs(3_600),
        ..Limits::default()
    });
    let edition = edition(memory.folder.path(), "1-3", &long());
    memory.exports.publish(Ok(edition));
    let asked = request("GET", "/rpki.json", "", "");
    let mut readers = Vec::new();
    for _ in 0..64 {
        readers.push(memory.send(&asked).await);
    }
    memory.until("rutter_http_file_bodies", 64).await;
    let begun = Instant::now();
    let answer = memory.get("/rpki.json").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(begun.elapsed().as_secs(), 30);
    // What needs no place does not wait.
    let begun = Instant::now();
    let known = "If-None-Match: \"1-3\"\r\n";
    assert_eq!(memory.ask("GET", "/rpki.json", known).await.status, 304);
    assert_eq!(memory.ask("HEAD", "/rpki.json", "").await.status, 200);
    assert_eq!(memory.get("/feed/manifest.jws").await.status, 200);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Who waits gets the place of one who leaves.
    let waiting = memory.get("/rpki.json");
    let leaving = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        readers.pop();
    };
    let (answer, ()) = tokio::join!(waiting, leaving);
    assert_eq!(answer.status, 200);
}
