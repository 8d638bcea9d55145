//! Who does not get in over TLS and SSH, and that they keep nobody else out.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, SerialNumber, date_time_ymd};
use russh::ChannelMsg;
use russh::client::Handle;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, PrivateKey};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::cache::PATIENCE;
use super::pki::{Ca, Leaf, for_clients, for_servers, secret};
use super::router::{RESET_QUERY, Router, announced};
use super::secure::{AnyHost, PASSWORD, Plan, SOON, Secure, ed25519, ssh_config, user};
use crate::support::payloads::{Payloads, Prng};
use crate::support::{report, wait_for};

/// The serial number of the certificate that is revoked.
const REVOKED: u64 = 77;

/// Asks over TLS, and expects to be refused, with the reason in metric and log.
#[track_caller]
fn refused_by_tls(secure: &Secure, from: &str, config: &Arc<ClientConfig>, reason: &str) {
    let before = secure.refused("tls", reason);
    let heard = secure.run(async {
        let mut stream = secure.shake_hands(from, config).await?;
        stream.write_all(&RESET_QUERY[1]).await?;
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).await?;
        Ok::<_, std::io::Error>(octets)
    });
    if let Ok(octets) = heard {
        assert_eq!(octets, b"", "{reason}");
    }
    secure.refused_by(before + 1, "tls", reason);
    let said = format!("reason=\"{reason}\"");
    secure
        .cache
        .says(&["connection refused", "tls", &said, from]);
}

#[test]
fn a_certificate_that_is_not_right_is_refused_with_its_reason() {
    let mut plan = Plan::new();
    Payloads::vrps(50, &mut Prng::new(1)).write_json(&plan.path("vrps.json"));
    plan.ca.revoke(REVOKED);
    plan.tls = "crl = \"ca.crl\"\ndeny = [\"127.0.9.0/24\"]\n".into();
    let secure = plan.start();
    let other = Ca::new(&secure.path(""), "other");
    let leaf = |change: fn(&mut CertificateParams)| {
        let change = |params: &mut CertificateParams| {
            for_clients(params);
            change(params);
        };
        secure.ca.leaf("leaf", "127.0.0.1", change)
    };
    let cases: [(Option<Leaf>, &str); 7] = [
        (None, "no certificate"),
        (
            Some(other.leaf("strange", "127.0.0.1", for_clients)),
            "unknown ca",
        ),
        (
            Some(leaf(|params| params.not_after = date_time_ymd(2020, 1, 1))),
            "certificate time",
        ),
        (
            Some(leaf(|params| params.not_before = date_time_ymd(3000, 1, 1))),
            "certificate time",
        ),
        (
            Some(leaf(|params| {
                params.serial_number = Some(SerialNumber::from(REVOKED));
            })),
            "certificate revoked",
        ),
        (
            Some(secure.ca.leaf("far", "192.0.2.1 2001:db8::1", for_clients)),
            "certificate address",
        ),
        (
            Some(secure.ca.leaf("wrong", "127.0.0.1", for_servers)),
            "certificate usage",
        ),
    ];
    for (leaf, reason) in cases {
        let config = secure.ca.client(leaf.as_ref());
        refused_by_tls(&secure, "127.0.0.1", &config, reason);
    }
    let good = secure.ca.client(Some(&secure.router));
    refused_by_tls(&secure, "127.0.4.1", &good, "certificate address");
    refused_by_tls(&secure, "127.0.9.1", &good, "access list");
    let mut router = secure.tls_router("127.0.0.1");
    router.load(1);
    let clients = secure.cache.get("/api/v1/clients");
    assert_eq!(clients["total"], 1, "{clients}");
}

/// Waits until the SSH listener has refused another one for this.
#[track_caller]
fn refused_by_ssh<T>(secure: &Secure, reason: &str, detail: &str, what: impl FnOnce() -> T) {
    let before = secure.refused("ssh", reason);
    drop(what());
    secure.refused_by(before + 1, "ssh", reason);
    let said = format!("reason=\"{reason}\"");
    let words = ["connection refused", "ssh", &said, detail];
    secure.cache.says(&words);
}

#[test]
fn who_does_not_log_in_over_ssh_is_refused_with_the_reason() {
    let mut plan = Plan::new();
    Payloads::vrps(50, &mut Prng::new(2)).write_json(&plan.path("vrps.json"));
    plan.ssh = "deny = [\"127.0.9.0/24\"]\n".into();
    let secure = plan.start();
    let rsa = Algorithm::Rsa { hash: None };
    let rsa = Arc::new(PrivateKey::random(&mut safe_rng(), rsa).unwrap());
    let keys = [&*secure.key, &*rsa].map(|key| key.public_key().to_openssh().unwrap());
    secret(&secure.path("authorized_keys"), &keys.join("\n"));
    let lines = user("xr", PASSWORD);
    secret(&secure.path("users"), &lines);
    secure.reload();
    let greet = || secure.run(secure.greet("127.0.0.1", ssh_config())).unwrap();
    let refuses = |success: bool| assert!(!success);
    let by_key = |key: Arc<PrivateKey>, hash| {
        let mut client = greet();
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let answer = secure.run(client.authenticate_publickey("router", key));
        answer.unwrap().success()
    };
    refused_by_ssh(&secure, "password", "xr", || {
        refuses(
            secure
                .run(greet().authenticate_password("xr", "wrong"))
                .unwrap()
                .success(),
        );
    });
    refused_by_ssh(&secure, "unknown user", "nobody", || {
        refuses(
            secure
                .run(greet().authenticate_password("nobody", PASSWORD))
                .unwrap()
                .success(),
        );
    });
    refused_by_ssh(&secure, "unknown key", "router", || {
        refuses(by_key(ed25519(9).into(), None));
    });
    // RFC 8332: the same key, with SHA-1 and with SHA-512.
    refused_by_ssh(&secure, "weak key", "router", || {
        refuses(by_key(Arc::clone(&rsa), None));
    });
    assert!(by_key(rsa, Some(HashAlg::Sha512)));
    refused_by_ssh(&secure, "no method", "", || {
        refuses(
            secure
                .run(greet().authenticate_none("router"))
                .unwrap()
                .success(),
        );
    });
    refused_by_ssh(&secure, "access list", "127.0.9.1", || {
        secure.run(secure.greet("127.0.9.1", ssh_config())).is_ok()
    });
}

#[test]
fn who_is_logged_in_gets_the_subsystem_and_nothing_else() {
    let plan = Plan::new();
    Payloads::vrps(50, &mut Prng::new(3)).write_json(&plan.path("vrps.json"));
    let secure = plan.start();
    let log_in = || {
        secure
            .run(secure.log_in("127.0.0.1", ssh_config()))
            .unwrap()
    };
    let asks = |client: &Handle<AnyHost>, what: &str| {
        secure.run(async {
            let mut channel = client.channel_open_session().await.unwrap();
            match what {
                "shell" => channel.request_shell(true).await.unwrap(),
                "exec" => channel.exec(true, "id").await.unwrap(),
                other => channel.request_subsystem(true, other).await.unwrap(),
            }
            loop {
                match channel.wait().await {
                    Some(ChannelMsg::Success) => return true,
                    Some(ChannelMsg::Failure | ChannelMsg::Close) | None => return false,
                    Some(_) => {}
                }
            }
        })
    };
    for (what, detail) in [
        ("shell", "a shell"),
        ("exec", "a command"),
        ("sftp", "the subsystem `sftp`"),
    ] {
        refused_by_ssh(&secure, "subsystem", detail, || {
            assert!(!asks(&log_in(), what));
        });
    }
    refused_by_ssh(&secure, "subsystem", "nothing", || {
        let client = log_in();
        let at = client.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1);
        assert!(secure.run(at).is_err());
    });
    // What OpenSSH's `-R` asks for.
    refused_by_ssh(&secure, "subsystem", "nothing", || {
        let client = log_in();
        assert!(secure.run(client.tcpip_forward("127.0.0.1", 0)).is_err());
    });
    // The rest does no harm to one that has the subsystem.
    secure.ssh_router("127.0.0.1", ssh_config()).load(1);
}

#[test]
fn the_eleventh_of_ten_is_refused() {
    let mut plan = Plan::new();
    Payloads::vrps(50, &mut Prng::new(4)).write_json(&plan.path("vrps.json"));
    plan.tables += "[limits]\nconnections = 10\n";
    let secure = plan.start();
    let mut routers: Vec<Router> = (0..5)
        .flat_map(|_| {
            [
                secure.tls_router("127.0.0.1"),
                secure.ssh_router("127.0.0.1", ssh_config()),
            ]
        })
        .collect();
    let config = secure.ca.client(Some(&secure.router));
    refused_by_tls(&secure, "127.0.0.1", &config, "limits.connections");
    refused_by_ssh(&secure, "limits.connections", "127.0.0.1", || {
        secure.run(secure.greet("127.0.0.1", ssh_config())).is_ok()
    });
    for router in &mut routers {
        router.load(1);
    }
    drop(routers.pop());
    secure
        .cache
        .until("a place is free", |status| status.sessions.open == 9);
    secure.tls_router("127.0.0.1").load(1);
}

/// Says this, and waits for the end.
fn knock(to: SocketAddr, octets: &[u8]) {
    let mut socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may be refused before it has said all.
    let _ = socket.write_all(octets);
    let _ = socket.read_to_end(&mut Vec::new());
}

#[test]
fn a_thousand_attempts_write_few_lines() {
    const EACH: usize = 500;
    let plan = Plan::new();
    let payloads = Payloads::vrps(50, &mut Prng::new(5));
    payloads.write_json(&plan.path("vrps.json"));
    let secure = plan.start();
    let begin = Instant::now();
    let doors = [
        (secure.tls(), &b"GET / HTTP/1.1\r\n\r\n"[..]),
        (secure.ssh(), &b"GET / HTTP/1.1\r\n\r\n"[..]),
    ];
    thread::scope(|scope| {
        for (to, octets) in doors {
            for _ in 0..10 {
                scope.spawn(move || (0..EACH / 10).for_each(|_| knock(to, octets)));
            }
        }
    });
    let counted = |transport: &str| {
        let sample = format!("rutter_connections_refused_total{{transport=\"{transport}\",");
        let metrics = secure.cache.metrics();
        let lines = metrics.lines().filter(|line| line.starts_with(&sample));
        let values = lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap());
        values.sum::<usize>()
    };
    wait_for("all are counted", PATIENCE, || {
        match [counted("tls"), counted("ssh")] {
            [EACH, EACH] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // Twenty at once, and one a second.
    let seconds = usize::try_from(begin.elapsed().as_secs()).unwrap();
    let (lines, allowed) = (secure.cache.said(&["connection refused"]), 21 + seconds);
    assert!(lines <= allowed, "{lines} lines in {seconds} s");
    let log = secure.cache.log().lines().count();
    assert!(log < 40 + allowed, "{log} lines of all kinds");
    secure.tls_router("127.0.0.1").load(1);
    report(&format!(
        "strangers: 1,000 attempts in {seconds} s wrote {lines} lines"
    ));
}

/// How far a peer goes before it falls silent.
#[derive(Clone, Copy, Debug)]
enum Half {
    /// It says nothing.
    Nothing,
    /// It begins with a word of the protocol.
    Word,
    /// It goes as far as it can before somebody has to compute.
    Exchange,
}

const HALVES: [Half; 3] = [Half::Nothing, Half::Word, Half::Exchange];

/// The beginning of a ClientHello of TLS, and a whole one that waits for what comes.
fn tls_half(half: Half) -> Vec<u8> {
    let mut hello = Vec::new();
    let folder = crate::support::temp_dir();
    let config = Ca::new(folder.path(), "ca").client(None);
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    client.write_tls(&mut hello).unwrap();
    match half {
        Half::Nothing => hello.clear(),
        Half::Word => hello.truncate(20),
        Half::Exchange => {}
    }
    hello
}

/// Connects from this address and goes so far; `None` when there is no place for it.
fn half_open(from: (u8, u8), to: SocketAddr, ssh: bool, half: Half, hello: &[u8]) -> TcpStream {
    let mut stream = Router::connect_from(from.0, from.1, to).stream;
    // What was refused at once is still one who tries.
    let _ = match (ssh, half) {
        (_, Half::Nothing) => Ok(()),
        (false, _) => stream.write_all(hello),
        (true, Half::Word) => stream.write_all(b"SSH-2.0-"),
        (true, Half::Exchange) => mirror(&mut stream),
    };
    stream
}

/// Says who it is and what it speaks, in the words of the server, and stops.
fn mirror(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"SSH-2.0-half\r\n")?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut heard = [0; 4096];
    let mut filled = 0;
    while let Ok(octets @ 1..) = stream.read(&mut heard[filled..]) {
        filled += octets;
        let Some(line) = heard[..filled].iter().position(|octet| *octet == b'\n') else {
            continue;
        };
        let packet = &heard[line + 1..filled];
        if let Some((length, rest)) = packet.split_first_chunk::<4>()
            && rest.len() >= usize::try_from(u32::from_be_bytes(*length)).unwrap()
        {
            return stream.write_all(packet);
        }
    }
    Ok(())
}

/// A good router over each transport logs in and has its set; how long that took.
#[track_caller]
fn good_routers(secure: &Secure, payloads: &Payloads) -> Duration {
    let begin = Instant::now();
    let mut over_tls = secure.tls_router("127.0.3.1");
    assert!(over_tls.load(1).set() == announced(payloads, 1));
    let tls = begin.elapsed();
    let begin = Instant::now();
    let mut over_ssh = secure.ssh_router("127.0.3.1", ssh_config());
    assert!(over_ssh.load(1).set() == announced(payloads, 1));
    tls.max(begin.elapsed())
}

/// 200 from one address and 200 from many, over each transport.
fn strangers(secure: &Secure, half: Half) -> Vec<TcpStream> {
    let hello = tls_half(half);
    let doors = [(secure.tls(), false), (secure.ssh(), true)];
    thread::scope(|scope| {
        let threads: Vec<_> = doors
            .into_iter()
            .flat_map(|door| (0..20u8).map(move |part| (door, part)))
            .map(|((to, ssh), part)| {
                let hello = &hello;
                scope.spawn(move || {
                    let one = (0..10).map(|_| (6, 1));
                    let many = (0..10).map(|host| (7 + part % 2, 1 + part * 10 + host));
                    one.chain(many)
                        .map(|from| half_open(from, to, ssh, half, hello))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.flatten().collect()
    })
}

#[test]
fn half_open_handshakes_keep_no_router_out() {
    let plan = Plan::new();
    let payloads = Payloads::vrps(1_000, &mut Prng::new(6));
    payloads.write_json(&plan.path("vrps.json"));
    let secure = plan.start();
    let alone = good_routers(&secure, &payloads);
    for half in HALVES {
        let begin = Instant::now();
        let strangers = strangers(&secure, half);
        let mut slowest = Duration::ZERO;
        for _ in 0..3 {
            slowest = slowest.max(good_routers(&secure, &payloads));
        }
        // With the default of half a minute they are all still there.
        assert!(begin.elapsed() < Duration::from_secs(25), "a slow machine");
        let held = secure.cache.metrics();
        let held = held
            .lines()
            .find_map(|line| line.strip_prefix("rutter_connections "));
        let held: usize = held.unwrap().parse().unwrap();
        assert!(held >= 400, "only {held} connections");
        assert!(slowest < SOON, "{half:?}: {slowest:?}, alone {alone:?}");
        report(&format!(
            "half-open ({half:?}): {} tried, {held} held; a router is served in {} ms, alone {} ms",
            strangers.len(),
            slowest.as_millis(),
            alone.as_millis()
        ));
        drop(strangers);
        secure
            .cache
            .until("they are gone", |status| status.sessions.open == 0);
        wait_for("their places are free", PATIENCE, || {
            let metrics = secure.cache.metrics();
            match metrics.contains("rutter_connections 0") {
                true => Ok(()),
                false => Err(metrics),
            }
        });
    }
}

/// With a shorter time than the default, so that each of them comes to its end and comes again.
#[test]
fn half_open_handshakes_end_and_come_again() {
    let mut plan = Plan::new();
    let payloads = Payloads::vrps(1_000, &mut Prng::new(7));
    payloads.write_json(&plan.path("vrps.json"));
    plan.tables += "[limits]\nhandshake-timeout = \"3s\"\n";
    let secure = plan.start();
    let before = secure.cache.descriptors();
    for round in 0..2 {
        for half in HALVES {
            let mut strangers = strangers(&secure, half);
            let took = good_routers(&secure, &payloads);
            assert!(took < SOON, "{half:?}, round {round}: {took:?}");
            for stranger in &mut strangers {
                stranger.set_read_timeout(Some(PATIENCE)).unwrap();
                // It is closed, in whatever way; at most the server has said who it is.
                let _ = stranger.read_to_end(&mut Vec::new());
            }
        }
    }
    for transport in ["tls", "ssh"] {
        let late = secure.refused(transport, "deadline");
        assert!(late >= 6 * 200, "{transport}: {late}");
    }
    wait_for("their descriptors are closed", PATIENCE, || {
        match secure.cache.descriptors() {
            now if now <= before + 2 => Ok(()),
            now => Err(format!("{now}, {before} before")),
        }
    });
}
