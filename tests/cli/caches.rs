//! `rutter dump` of caches that are odd, old, broken or hostile.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::program::{Ran, rutter};

/// Starts a cache that does this with each connection, and gives its endpoint and the count of
/// its connections. It ends with the process.
fn cache(serve: impl Fn(TcpStream) + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("tcp://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            serve(stream.unwrap());
        }
    });
    (at, count)
}

/// The version of the next query, which must be a Reset Query; `None` at the end.
fn query(stream: &mut TcpStream) -> Option<u8> {
    let mut octets = [0; 8];
    stream.read_exact(&mut octets).ok()?;
    assert_eq!(octets[1..], [2, 0, 0, 0, 0, 0, 8]);
    Some(octets[0])
}

/// Says so much once it was asked, and no more until the client is gone.
fn say(mut stream: TcpStream, octets: &[u8]) {
    query(&mut stream);
    // The client may have heard enough.
    let _ = stream.write_all(octets);
    let _ = stream.read_to_end(&mut Vec::new());
}

fn dump(at: &str) -> Ran {
    rutter(["dump", at, "--timeout", "20", "--output", "csv"])
}

const SESSION: [u8; 2] = [0x12, 0x34];

fn response(version: u8) -> Vec<u8> {
    vec![version, 3, SESSION[0], SESSION[1], 0, 0, 0, 8]
}

/// 10.0.`third`.0/24-24 AS64496.
fn prefix(version: u8, third: u8) -> Vec<u8> {
    vec![
        version, 4, 0, 0, 0, 0, 0, 20, 1, 24, 24, 0, 10, 0, third, 0, 0, 0, 0xfb, 0xf0,
    ]
}

fn end(version: u8) -> Vec<u8> {
    let mut pdu = vec![version, 7, SESSION[0], SESSION[1], 0, 0, 0, 12, 0, 0, 0, 9];
    if version > 0 {
        pdu[7] = 24;
        for seconds in [3_600u32, 600, 7_200] {
            pdu.extend_from_slice(&seconds.to_be_bytes());
        }
    }
    pdu
}

fn full(version: u8) -> Vec<u8> {
    [
        response(version),
        prefix(version, 1),
        prefix(version, 2),
        end(version),
    ]
    .concat()
}

const WHOLE: &str = "ASN,IP Prefix,Max Length,Trust Anchor,Expires\n\
                     AS64496,10.0.2.0/24,24,,4294967295\nAS64496,10.0.1.0/24,24,,4294967295\n";

/// An Error Report with a text and nothing enclosed.
fn report(version: u8, code: u8, text: &[u8]) -> Vec<u8> {
    let len = u8::try_from(text.len()).unwrap();
    let mut pdu = vec![version, 10, 0, code, 0, 0, 0, 16 + len];
    pdu.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, len]);
    pdu.extend_from_slice(text);
    pdu
}

#[test]
fn answers_that_are_not_whole_print_nothing() {
    let [first, second] = [prefix(2, 1), prefix(2, 2)];
    let mut other_end = end(2);
    other_end[2] = 0x77;
    let mut withdrawn = first.clone();
    withdrawn[8] = 0;
    let long = [
        2, 4, 0, 0, 0, 0, 0, 21, 1, 24, 24, 0, 10, 0, 1, 0, 0, 0, 1, 1, 1,
    ];
    let answers: Vec<(&str, Vec<u8>)> = vec![
        ("no data", report(2, 2, b"later")),
        ("internal error", report(2, 1, b"ouch")),
        (
            "Cache Reset to a Reset Query",
            [2, 8, 0, 0, 0, 0, 0, 8].into(),
        ),
        ("payload without Cache Response", first.clone()),
        ("End of Data alone", end(2)),
        ("a query", vec![2, 2, 0, 0, 0, 0, 0, 8]),
        ("two Cache Responses", [response(2), response(2)].concat()),
        (
            "another session at the end",
            [response(2), first.clone(), other_end].concat(),
        ),
        (
            "announced twice",
            [response(2), first.clone(), first.clone(), end(2)].concat(),
        ),
        ("withdrawn", [response(2), withdrawn, end(2)].concat()),
        (
            "a wrong length",
            [response(2), long.to_vec(), end(2)].concat(),
        ),
        (
            "another version",
            [response(2), prefix(1, 1), end(2)].concat(),
        ),
        (
            "an unknown type",
            [response(2), vec![2, 99, 0, 0, 0, 0, 0, 8], end(2)].concat(),
        ),
        ("a huge length", vec![2, 3, 0, 0, 255, 255, 255, 255]),
        ("a length of nothing", vec![2, 3, 0, 0, 0, 0, 0, 0]),
        ("words", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        (
            "a report in the middle",
            [response(2), second, report(2, 1, b"no")].concat(),
        ),
    ];
    for (what, answer) in answers {
        let (at, _) = cache(move |stream| say(stream, &answer));
        let begin = Instant::now();
        dump(&at).fails_with("no set from");
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(10), "{what}: waited {took:?}");
    }
}

#[test]
fn a_cache_that_closes_early_prints_nothing() {
    let whole = full(2);
    for len in [0, 1, 8, 27, 28, 30, whole.len() - 1] {
        let part = whole[..len].to_vec();
        let (at, _) = cache(move |mut stream| {
            if query(&mut stream) == Some(2) {
                stream.write_all(&part).unwrap();
            }
        });
        dump(&at).fails_with("closed the connection before End of Data");
    }
    // Nobody there at all.
    let at = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("tcp://{}", listener.local_addr().unwrap())
    };
    dump(&at).fails_with("no connection");
}

#[test]
fn an_answer_that_does_not_end_is_given_up_in_time() {
    let limited = |at: &str| rutter(["dump", at, "--timeout", "1"]);
    let half = [response(2), prefix(2, 1)].concat();
    let (silent, _) = cache(|stream| say(stream, &[]));
    let (half, _) = cache(move |stream| say(stream, &half));
    let (endless, _) = cache(|mut stream| {
        query(&mut stream);
        let mut number = 0u32;
        let mut sent = stream.write_all(&response(2));
        while sent.is_ok() {
            let mut pdu = prefix(2, 0);
            pdu[9..11].copy_from_slice(&[32, 32]);
            pdu[12..16].copy_from_slice(&number.to_be_bytes());
            number += 1;
            sent = stream.write_all(&pdu);
        }
    });
    for at in [silent, half, endless] {
        let begin = Instant::now();
        limited(&at).fails_with("no End of Data within 1 s");
        assert!(begin.elapsed() < Duration::from_secs(8));
    }
}

#[test]
fn a_cache_that_refuses_a_version_is_asked_for_a_lower_one() {
    for highest in [0, 1] {
        // It says what it has and stays.
        let (at, count) = cache(move |mut stream| {
            while let Some(version) = query(&mut stream) {
                let answer = match version > highest {
                    true => report(highest, 4, b"too new"),
                    false => full(version),
                };
                stream.write_all(&answer).unwrap();
            }
        });
        assert_eq!(dump(&at).done(), WHOLE);
        assert_eq!(count.load(Ordering::SeqCst), 1, "the same connection");

        // It closes without a word.
        let (at, count) = cache(move |mut stream| {
            if let Some(version) = query(&mut stream).filter(|version| *version <= highest) {
                stream.write_all(&full(version)).unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        assert_eq!(dump(&at).done(), WHOLE);
        assert_eq!(count.load(Ordering::SeqCst), 3 - usize::from(highest));

        // It answers in its own version at once.
        let (at, _) = cache(move |stream| say(stream, &full(highest)));
        assert_eq!(dump(&at).done(), WHOLE);
    }
}

#[test]
fn a_cache_that_closes_after_error_4_is_taken_at_its_word() {
    for highest in [0, 1] {
        let (at, count) = cache(move |mut stream| {
            let answer = match query(&mut stream) {
                Some(version) if version > highest => report(highest, 4, b"too new"),
                Some(version) if version == highest => full(version),
                _ => return,
            };
            stream.write_all(&answer).unwrap();
        });
        assert_eq!(dump(&at).done(), WHOLE);
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn a_cache_without_a_version_of_ours_is_given_up() {
    for version in [3, 2] {
        let (at, _) = cache(move |stream| say(stream, &report(version, 4, b"newer only")));
        dump(&at).fails_with("no set from");
    }
    let (at, count) = cache(drop);
    dump(&at).fails_with("no set from");
    assert!(count.load(Ordering::SeqCst) <= 3);
}

#[test]
fn words_of_a_cache_cannot_command_a_terminal() {
    let (at, _) = cache(|stream| say(stream, &report(2, 1, b"\x1b[31mred\nrutter: all is well")));
    let ran = dump(&at);
    ran.fails_with("red");
    assert!(!ran.err.contains('\x1b'), "{ran:?}");
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
}

#[test]
fn a_notify_before_the_answer_is_ignored() {
    let notify = vec![1, 0, 0, 7, 0, 0, 0, 12, 0, 0, 0, 1];
    let (at, _) = cache(move |stream| say(stream, &[notify.clone(), full(2)].concat()));
    assert_eq!(dump(&at).done(), WHOLE);
}
