//! Sources that fail: whatever goes wrong, the last good data are served and the status says why.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use rutter::http::shape::SourceState;

use super::cache::{Cache, PATIENCE};
use super::https::{MINT, secure};
use super::router::{Router, announced};
use crate::support::payloads::{Payloads, Prng};
use crate::support::process::run;
use crate::support::{Need, free_port, not_run, program, temp_dir};

/// What a web server does with a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// Sends these octets and closes.
    Octets(Vec<u8>),
    /// Sends nothing, until the client gives up.
    Silence,
}

impl Reply {
    pub(super) fn ok(body: &[u8]) -> Self {
        Self::with("200 OK", body.len(), body)
    }

    pub(super) fn with(status: &str, length: usize, body: &[u8]) -> Self {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        Self::Octets([head.as_bytes(), body].concat())
    }
}

/// A web server that answers every request in the same way, until it is told of another one. Its
/// threads end with the process; each waits for one client at most.
pub(super) struct Web {
    pub(super) address: SocketAddr,
    reply: Arc<Mutex<Reply>>,
}

impl Web {
    pub(super) fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let reply = Arc::new(Mutex::new(reply));
        let current = Arc::clone(&reply);
        thread::spawn(move || {
            for client in listener.incoming() {
                let reply = current.lock().unwrap().clone();
                thread::spawn(move || answer(client.unwrap(), reply));
            }
        });
        Self { address, reply }
    }

    pub(super) fn answers(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }
}

fn answer(mut client: TcpStream, reply: Reply) {
    let mut head = Vec::new();
    let mut octet = [0];
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut octet).unwrap_or(0) == 1 {
        head.push(octet[0]);
    }
    match reply {
        // The client may have seen enough, and closed.
        Reply::Octets(octets) => drop(client.write_all(&octets)),
        Reply::Silence => drop(client.read(&mut octet)),
    }
}

/// A document made at this moment, as it says.
fn document(payloads: &Payloads, made: SystemTime) -> Vec<u8> {
    let folder = temp_dir();
    let path = folder.path().join("json");
    payloads.write_json_of(made, &path);
    std::fs::read(path).unwrap()
}

fn source(address: SocketAddr) -> String {
    format!(
        "[[source]]\nname = \"web\"\nurl = \"http://{address}/json\"\nproxy = \"none\"\n\
         timeout = \"1s\"\nmax-size = \"200KiB\"\n"
    )
}

/// One failure: the source is asked, says why, and routers notice nothing.
#[track_caller]
fn fails(cache: &Cache, router: &mut Router, has: super::router::Has, words: &[&str]) {
    let asked = cache.control(&["refresh"]);
    let told = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!(asked.status.code(), Some(1), "{words:?}: {asked:?}");
    let status = cache.status();
    let source = &status.sources[0];
    assert_eq!(source.state, SourceState::Failing, "{words:?}: {source:?}");
    let reason = source.reason.as_deref().unwrap();
    for word in words {
        assert!(reason.contains(word), "{word:?} is not in {reason:?}");
        assert!(told.contains(word), "{word:?} is not in {told:?}");
    }
    assert!(
        status.ready.ready && source.fresh,
        "{words:?}: the last good data count"
    );
    let answer = router.update(has);
    assert_eq!((answer.payload.len(), answer.has), (0, has), "{words:?}");
}

#[test]
fn whatever_a_web_server_does_the_last_good_data_stay() {
    let payloads = Payloads::vrps(300, &mut Prng::new(1));
    let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
    let good = document(&payloads, now);
    let web = Web::start(Reply::ok(&good));
    let cache = Cache::configured(temp_dir(), &source(web.address));
    let mut router = Router::connect(cache.address());
    let first = router.load(2);
    assert!(first.set() == announced(&payloads, 2));

    let page = b"<!DOCTYPE html><html><body>Please log in</body></html>";
    let huge = [b"{\"roas\": [".to_vec(), vec![b' '; 300 << 10]].concat();
    let failures: [(Reply, &str, &[&str]); 10] = [
        (Reply::with("404 Not Found", 4, b"gone"), "status", &["404"]),
        (Reply::with("500 Oh no", 0, b""), "status", &["500"]),
        (Reply::Silence, "timeout", &["within 1s"]),
        (
            Reply::with("200 OK", good.len(), &good[..good.len() / 2]),
            "cut_short",
            &["broke off"],
        ),
        (
            Reply::ok(&good[..good.len() / 2]),
            "cut_short",
            &["cut short"],
        ),
        (Reply::ok(&huge), "too_large", &["204800"]),
        (Reply::ok(page), "html", &["HTML"]),
        (
            Reply::ok(b"not json, nor anything else"),
            "document",
            &["neither JSON nor CSV"],
        ),
        (
            Reply::ok(&document(
                &payloads.changed(5, 5, &mut Prng::new(2)),
                now - 2 * day,
            )),
            "stale",
            &["older than"],
        ),
        (
            Reply::ok(&document(
                &payloads.changed(5, 5, &mut Prng::new(3)),
                now + day,
            )),
            "future",
            &["future"],
        ),
    ];
    for (reply, kind, words) in failures {
        web.answers(reply);
        fails(&cache, &mut router, first.has, words);
        let metrics = cache.metrics();
        let wanted = format!("rutter_source_failing{{source=\"web\",reason=\"{kind}\"}} 1");
        assert!(metrics.contains(&wanted), "{wanted}: {metrics}");
        // And back: nothing is left of it.
        web.answers(Reply::ok(&good));
        assert_eq!(cache.control(&["refresh"]).status.code(), Some(0));
        let source = &cache.status().sources[0];
        assert_eq!((source.state, &source.reason), (SourceState::Fresh, &None));
        assert!(!cache.metrics().contains("rutter_source_failing{"));
    }
    assert_eq!(cache.control(&["refresh", "web"]).status.code(), Some(0));
    let unknown = cache.control(&["refresh", "other"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
}

#[test]
fn a_server_that_is_gone_leaves_what_it_said() {
    let payloads = Payloads::vrps(300, &mut Prng::new(4));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let cache = Cache::configured(temp_dir(), &source(address));
    let (client, _) = listener.accept().unwrap();
    answer(client, Reply::ok(&document(&payloads, SystemTime::now())));
    let mut router = Router::connect(cache.address());
    let first = router.load(2);
    assert!(first.set() == announced(&payloads, 2));
    drop(listener);
    fails(&cache, &mut router, first.has, &["no answer"]);
}

#[test]
fn a_certificate_that_is_not_trusted_leaves_what_was_said_before() {
    if program("openssl").is_none() {
        return not_run(
            "a source that loses its certificate",
            Need::Peers,
            "needs openssl",
        );
    }
    let (ours, theirs) = (temp_dir(), temp_dir());
    for folder in [&ours, &theirs] {
        run(
            Command::new("sh")
                .args(["-c", MINT, "sh"])
                .arg(folder.path()),
            PATIENCE,
        )
        .unwrap();
    }
    let payloads = Payloads::vrps(200, &mut Prng::new(5));
    for folder in [&ours, &theirs] {
        payloads.write_json(&folder.path().join("vrps.json"));
    }
    let port = free_port();
    let mut web = secure(ours.path(), port, "web.log");
    let cache = Cache::configured(
        temp_dir(),
        &format!(
            "[[source]]\nname = \"web\"\nurl = \"https://localhost:{port}/vrps.json\"\n\
             proxy = \"none\"\nca = \"{}\"\n",
            ours.path().join("ca.pem").display()
        ),
    );
    let mut router = Router::connect(cache.address());
    let first = router.load(2);
    assert!(first.set() == announced(&payloads, 2));
    web.kill();
    let _other = secure(theirs.path(), port, "other.log");
    fails(&cache, &mut router, first.has, &["certificate"]);
    assert!(cache.metrics().contains("reason=\"certificate\""));
}

#[test]
fn a_file_that_goes_or_breaks_leaves_what_it_said() {
    let payloads = Payloads::vrps(200, &mut Prng::new(6));
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    payloads.write_json(&path);
    let rest = format!(
        "[[source]]\nname = \"file\"\nurl = \"{}\"\n",
        path.display()
    );
    let cache = Cache::configured(folder, &rest);
    let mut router = Router::connect(cache.address());
    let first = router.load(2);
    std::fs::remove_file(&path).unwrap();
    fails(
        &cache,
        &mut router,
        first.has,
        &["cannot read", "No such file"],
    );
    std::fs::write(&path, "{\"roas\": [{\"prefix\": \"10.0.0.0/8\"").unwrap();
    fails(&cache, &mut router, first.has, &["cut short"]);
    payloads.write_json(&path);
    cache.until("the file is good again", |status| {
        status.sources[0].state == SourceState::Fresh
    });
    assert_eq!(router.update(first.has).has, first.has);
}
