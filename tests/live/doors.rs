//! Access, limits, proxies, profiles and signatures, as the configuration file says them.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rutter::net::sys::sign_with_md5;
use socket2::{Domain, Protocol, Socket, Type};

use super::cache::{Cache, PATIENCE};
use super::pki::secret;
use super::router::{CACHE_RESET, CACHE_RESPONSE, ERROR_REPORT, NOTIFY, RESET_QUERY, Router};
use crate::support::payloads::{Payloads, Prng};
use crate::support::{temp_dir, wait_for};

/// A list in the folder, and the table of a source that reads it.
fn source(folder: &Path, payloads: &Payloads) -> String {
    let path = folder.join("vrps.json");
    payloads.write_json(&path);
    format!(
        "[[source]]\nname = \"file\"\nurl = \"{}\"\n",
        path.display()
    )
}

/// The value of a metric, by its name and labels as they stand in the text.
fn metric(cache: &Cache, sample: &str) -> Option<u64> {
    let text = cache.metrics();
    let mut lines = text.lines();
    let line = lines.find(|line| {
        line.strip_prefix(sample)
            .is_some_and(|rest| rest.starts_with(' '))
    });
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
}

#[track_caller]
fn refused(cache: &Cache, reason: &str, times: u64) {
    let sample =
        format!("rutter_connections_refused_total{{transport=\"tcp\",reason=\"{reason}\"}}");
    wait_for(&sample, PATIENCE, || match metric(cache, &sample) {
        Some(value) if value == times => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[track_caller]
fn reload(cache: &Cache) {
    let done = cache.control(&["reload"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
}

#[test]
fn who_may_connect_and_how_often_is_in_the_file() {
    let folder = temp_dir();
    let source = source(folder.path(), &Payloads::vrps(50, &mut Prng::new(1)));
    let rest = |deny: &str, address: u32| {
        format!(
            "deny = [\"{deny}\"]\n{source}[limits]\nconnections = 6\n\
             connections-per-address = {address}\nconnections-per-network = 3\n"
        )
    };
    let cache = Cache::configured(folder, &rest("127.0.9.0/24", 2));
    let gone = |a, b| {
        assert_eq!(
            Router::connect_from(a, b, cache.address()).until_gone(),
            b""
        );
    };
    gone(9, 1);
    refused(&cache, "access list", 1);
    let mut routers: Vec<_> = [(1, 1), (1, 1), (1, 2)]
        .map(|(a, b)| Router::connect_from(a, b, cache.address()))
        .into();
    gone(1, 1);
    refused(&cache, "limits.connections-per-address", 1);
    gone(1, 3);
    refused(&cache, "limits.connections-per-network", 1);
    routers.extend((2..5).map(|a| Router::connect_from(a, 1, cache.address())));
    gone(5, 1);
    refused(&cache, "limits.connections", 1);
    cache.says(&[
        "connection refused",
        "limits.connections-per-network",
        "127.0.1.3",
    ]);
    for router in &mut routers {
        router.load(1);
    }
    assert_eq!(
        metric(&cache, "rutter_rtr_sessions{transport=\"tcp\"}"),
        Some(6)
    );
    let status = cache.status();
    assert_eq!(status.listeners[0].deny, ["127.0.9.0/24"]);
    assert_eq!(
        (
            status.sessions.refused_access,
            status.sessions.refused_limit
        ),
        (1, 3)
    );

    drop(routers.split_off(3));
    wait_for("room", PATIENCE, || match cache.status().sessions.open {
        3 => Ok(()),
        open => Err(open.to_string()),
    });
    cache.reconfigure(&rest("127.0.1.0/24", 1));
    reload(&cache);
    gone(1, 9);
    refused(&cache, "access list", 2);
    let mut once = Router::connect_from(9, 1, cache.address());
    once.load(1);
    gone(9, 1);
    refused(&cache, "limits.connections-per-address", 2);
    // All of them are of the network that is denied now.
    for router in &mut routers {
        assert_eq!(router.until_gone(), b"");
    }
}

#[test]
fn a_proxy_and_a_profile_of_the_file_count() {
    let folder = temp_dir();
    let payloads = Payloads::vrps(50, &mut Prng::new(2));
    let source = source(folder.path(), &payloads);
    let profile = "[[profile]]\nname = \"old\"\nprefixes = [\"192.0.2.0/24\"]\n\
                   highest-version = 1\nrefresh = \"2m\"\nnotify = false\n";
    let begin = format!(
        "proxy-protocol = [\"127.0.6.0/24\"]\nallow = [\"192.0.2.0/24\"]\n{source}\
         [limits]\nhandshake-timeout = \"2s\"\n"
    );
    let cache = Cache::configured(folder, &format!("{begin}{profile}"));
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x34, 1, 67]);
    let mut old = Router::connect_from(6, 1, cache.address());
    old.send(&header);
    old.send(&RESET_QUERY[2]);
    let report = old.expect(ERROR_REPORT);
    assert_eq!((report.version(), report.word()), (1, 4));
    let answer = old.load(1);
    assert_eq!(answer.timers.unwrap()[0], 120);
    let clients = cache.get("/api/v1/clients");
    assert_eq!(clients["clients"][0]["address"], "192.0.2.7:4660");
    assert_eq!(clients["clients"][0]["profile"], "old");

    let mut half = Router::connect_from(6, 1, cache.address());
    half.send(&header[..15]);
    assert_eq!(half.until_gone(), b"");
    refused(&cache, "deadline", 1);
    let mut none = Router::connect_from(6, 1, cache.address());
    none.send(&[RESET_QUERY[1], RESET_QUERY[1]].concat());
    assert_eq!(none.until_gone(), b"");
    refused(&cache, "proxy header", 1);
    cache.says(&["connection refused", "proxy header", "no header"]);

    // Without router keys it is another view, which this list cannot tell but for its session.
    let hidden = profile.replace("notify", "kinds = [\"vrp\"]\nnotify");
    cache.reconfigure(&format!("{begin}{hidden}"));
    reload(&cache);
    old.send(&answer.has.query());
    old.expect(CACHE_RESET);
    let again = old.load(1);
    assert_ne!(again.has.session, answer.has.session);
    assert!(old.update(again.has).payload.is_empty());
    let mut plain = Router::connect_from(7, 1, cache.address());
    plain.load(1);
    cache.publish(&payloads.changed(2, 2, &mut Prng::new(3)));
    plain.expect(NOTIFY);
    assert!(old.is_quiet(Duration::from_millis(200)));
}

#[test]
fn stops_are_announced_as_the_file_says() {
    let folder = temp_dir();
    let source = source(folder.path(), &Payloads::vrps(50, &mut Prng::new(4)));
    let rest = format!(
        "announce-restart = true\n{source}[[profile]]\nname = \"fragile\"\n\
         prefixes = [\"127.0.2.0/24\"]\nannounce-restart = false\n"
    );
    let mut cache = Cache::configured(folder, &rest);
    let mut told = Router::connect_from(1, 1, cache.address());
    let mut untold = Router::connect_from(2, 1, cache.address());
    told.load(2);
    untold.load(2);
    cache.signal(Signal::TERM);
    let report = told.expect(ERROR_REPORT);
    assert_eq!((report.version(), report.word()), (2, 12));
    assert_eq!(told.until_closed(), b"");
    assert_eq!(untold.until_closed(), b"");
    drop((told, untold));
    assert_eq!(cache.ended(PATIENCE).code(), Some(0));
}

#[test]
fn idle_routers_are_ended_as_the_file_says() {
    let payloads = Payloads::vrps(50, &mut Prng::new(7));
    // Nobody is idle who polls as he was told, so it is more than the refresh interval.
    let set = ["--set", "rtr.refresh=1s", "--set", "limits.idle=2s"];
    let cache = Cache::start(&payloads, &set);
    let mut router = Router::connect(cache.address());
    let begin = Instant::now();
    router.load(1);
    assert_eq!(router.until_closed(), b"");
    assert!(begin.elapsed() >= Duration::from_secs(2));
    cache.says(&["session ended", "the router asks for nothing"]);
}

/// A connection whose segments are signed.
fn signed(from: &str, to: SocketAddr, key: Option<&str>) -> io::Result<Router> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    socket.bind(&from.into())?;
    if let Some(key) = key {
        sign_with_md5(&socket, to.ip().into(), key.as_bytes())?;
    }
    // What is not heard is sent again after a second.
    socket.connect_timeout(&to.into(), Duration::from_millis(700))?;
    Ok(Router::from_stream(socket.into()))
}

#[track_caller]
fn unheard(from: &str, to: SocketAddr, key: Option<&str>) {
    let error = signed(from, to, key).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn md5_keys_change_with_a_reload_and_end_no_session() {
    let folder = temp_dir();
    let payloads = Payloads::vrps(50, &mut Prng::new(5));
    let source = source(folder.path(), &payloads);
    let file = folder.path().join("md5.key");
    fs::write(&file, "first key\n").unwrap();
    let md5 = |prefix: &str| {
        let file = file.display();
        format!("md5 = [{{ prefix = \"{prefix}\", key-file = \"{file}\" }}]\n{source}")
    };
    let cache = Cache::configured(folder, &md5("127.0.8.0/24"));
    let to = cache.address();
    let mut old = signed("127.0.8.1", to, Some("first key")).unwrap();
    let has = old.load(1).has;
    unheard("127.0.8.1", to, None);
    unheard("127.0.8.1", to, Some("second key"));
    Router::connect_from(7, 1, to).load(1);

    // A key that is none leaves everything as it is, and the file is named.
    fs::write(&file, "x".repeat(81)).unwrap();
    let refused = cache.control(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("md5.key"), "{said}");
    signed("127.0.8.1", to, Some("first key")).unwrap().load(1);

    fs::write(&file, "second key\n").unwrap();
    reload(&cache);
    assert!(
        old.update(has).payload.is_empty(),
        "an open session goes on"
    );
    unheard("127.0.8.1", to, Some("first key"));
    signed("127.0.8.1", to, Some("second key")).unwrap().load(1);

    cache.reconfigure(&md5("127.0.9.0/24"));
    reload(&cache);
    Router::connect_from(8, 1, to).load(1);
    unheard("127.0.9.1", to, None);
    signed("127.0.9.1", to, Some("second key")).unwrap().load(2);
    cache.publish(&payloads.changed(3, 3, &mut Prng::new(6)));
    old.expect(NOTIFY);
}

/// A router over TLS that trusts this certificate, from an address of its own network.
fn load_over_tls(cache: &Cache, from: SocketAddr, root: &CertificateDer<'static>) -> Duration {
    let begin = Instant::now();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&cache.address().into()).unwrap();
    let mut socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    stream.write_all(&RESET_QUERY[1]).unwrap();
    let mut header = [0; 8];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[..2], [1, CACHE_RESPONSE]);
    begin.elapsed()
}

/// A cache over TLS that anybody may connect to, and its certificate.
fn over_tls(limits: &str) -> (Cache, CertificateDer<'static>) {
    let folder = temp_dir();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [chain, key] = ["tls.crt", "tls.key"].map(|name| folder.path().join(name));
    fs::write(&chain, pair.cert.pem()).unwrap();
    secret(&key, &pair.signing_key.serialize_pem());
    let source = source(folder.path(), &Payloads::vrps(50, &mut Prng::new(8)));
    let rest = format!("deny = []\n{source}[limits]\nhandshake-timeout = \"1m\"\n{limits}");
    let tls = format!("transport = \"tls\"\ncertificate = {chain:?}\nkey = {key:?}\n");
    let cache = Cache::configured_over(folder, &tls, &rest);
    (cache, pair.cert.der().clone())
}

/// Half of them say nothing, half begin a hello and fall silent.
#[test]
fn half_open_handshakes_delay_no_router() {
    let (cache, root) = over_tls("");
    // One router has the address of all of them, as behind a translator of addresses.
    let [near, far]: [SocketAddr; 2] =
        ["127.0.0.1:0", "127.0.7.1:0"].map(|from| from.parse().unwrap());
    let alone = load_over_tls(&cache, far, &root);
    let mut half: Vec<_> = (0..200)
        .map(|_| Router::connect_from(0, 1, cache.address()))
        .collect();
    for peer in half.iter_mut().step_by(2) {
        peer.send(b"\x16\x03\x01\x02\x00\x01\x00");
    }
    // Another network waits for nobody, and the same one for a second at most.
    let allowed = alone * 4 + Duration::from_secs(1);
    let beside = load_over_tls(&cache, far, &root);
    assert!(beside < allowed, "{beside:?} beside them, {alone:?} alone");
    let beside = load_over_tls(&cache, near, &root);
    assert!(beside < allowed + Duration::from_secs(1), "{beside:?}");
    // Once they have had their turns, nobody waits, although they are still there.
    let later = load_over_tls(&cache, near, &root);
    assert!(later < allowed, "{later:?}");
    assert!(cache.status().sessions.open >= 200);
    assert!(half[0].is_quiet(Duration::from_millis(10)));
}

/// Nor do they take the places of routers.
#[test]
fn half_open_handshakes_take_no_place_of_a_router() {
    let (cache, root) = over_tls("connections = 16\n");
    let half: Vec<_> = (0..256)
        .map(|_| Router::connect_from(20, 1, cache.address()))
        .collect();
    wait_for("half-open connections", PATIENCE, || {
        match metric(&cache, "rutter_connections") {
            Some(256) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let mut more = Router::connect_from(20, 1, cache.address());
    assert_eq!(more.until_gone(), b"");
    let sample = "rutter_connections_refused_total{transport=\"tls\",reason=\"unauthenticated\"}";
    assert_eq!(metric(&cache, sample), Some(1));
    load_over_tls(&cache, "127.0.20.2:0".parse().unwrap(), &root);
    drop(half);
}
