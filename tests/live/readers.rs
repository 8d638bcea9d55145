//! Readers over TLS and SSH that take little at a time, or nothing at all.

use std::fmt::Write as _;
use std::fs;
use std::future::pending;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::client::{self, Handle, Session};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::cache::PATIENCE;
use super::router::{CACHE_RESPONSE, END_OF_DATA, RESET_QUERY, announced};
use super::secure::{Plan, Secure, socket, ssh_config};
use crate::support::payloads::{Payloads, Prng};
use crate::support::{Need, not_run, program, report};

/// The smallest window and packet that anybody would choose.
fn narrow() -> client::Config {
    client::Config {
        window_size: 1024,
        maximum_packet_size: 256,
        ..ssh_config()
    }
}

#[test]
fn a_window_of_a_kibibyte_carries_a_full_set() {
    let plan = Plan::new();
    let payloads = Payloads::vrps(100_000, &mut Prng::new(1));
    payloads.write_json(&plan.path("vrps.json"));
    let secure = plan.start();
    let mut router = secure.ssh_router("127.0.0.1", narrow());
    let begin = Instant::now();
    assert!(router.load(1).set() == announced(&payloads, 1));
    report(&format!(
        "ssh: 100,000 VRPs through a window of 1 KiB in {} ms",
        begin.elapsed().as_millis()
    ));
}

/// OpenSSH with a session of the subsystem, killed by its id when this is dropped.
struct OpenSsh(Child);

impl OpenSsh {
    fn start(secure: &Secure, options: &[&str]) -> Self {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
        ]);
        ssh.args(["-o", "LogLevel=ERROR", "-o", "StrictHostKeyChecking=no"]);
        ssh.args([
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "KexAlgorithms=ecdh-sha2-nistp384",
        ]);
        ssh.args(options).arg("-i").arg(secure.path("id_ed25519"));
        ssh.args(["-p", &secure.ssh().port().to_string()]);
        ssh.args(["-s", "router@127.0.0.1", "rpki-rtr"]);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(ssh.spawn().unwrap())
    }

    fn ask(&mut self) {
        let input = self.0.stdin.as_mut().unwrap();
        input.write_all(&RESET_QUERY[1]).unwrap();
    }

    /// So many octets, which are read through a buffer of this size.
    fn read(&mut self, octets: usize) -> Vec<u8> {
        let mut got = vec![0; octets];
        self.0
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut got)
            .unwrap();
        got
    }
}

impl Drop for OpenSsh {
    fn drop(&mut self) {
        // It may have ended by itself; that is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn keys_are_exchanged_anew_in_the_middle_of_an_answer() {
    if program("ssh").is_none() {
        return not_run("OpenSSH, new keys", Need::Peers, "no ssh");
    }
    let plan = Plan::new();
    let payloads = Payloads::vrps(100_000, &mut Prng::new(2));
    payloads.write_json(&plan.path("vrps.json"));
    let secure = plan.start();
    secure.key_file();
    let mut ssh = OpenSsh::start(&secure, &["-o", "RekeyLimit=64K"]);
    ssh.ask();
    let set = announced(&payloads, 1);
    let octets = 8 + set.iter().map(Vec::len).sum::<usize>() + 24;
    let answer = ssh.read(octets);
    assert_eq!(answer[1], CACHE_RESPONSE);
    assert_eq!(answer[octets - 23], END_OF_DATA);
    let mut rest = &answer[8..octets - 24];
    let mut got = std::collections::BTreeSet::new();
    while !rest.is_empty() {
        let length = usize::from(rest[7]);
        got.insert(rest[..length].to_vec());
        rest = &rest[length..];
    }
    assert!(got == set);
}

/// Readers of each kind that stop.
const SLOW: usize = 50;

/// What each of them may cost beyond an idle session, in octets.
const ALLOWED: usize = 64 * 1024;

/// The VRPs of an answer of 20 MB: IPv6, of 32 octets each.
const MANY: u32 = 650_000;

fn large_list() -> String {
    let mut list = "ASN,IP Prefix,Max Length,Trust Anchor\n".to_owned();
    for number in 0..MANY {
        let (high, low) = (number >> 16, number & 0xffff);
        writeln!(list, "AS64496,2001:{high:x}:{low:x}::/48,48,ripe").unwrap();
    }
    list
}

/// A server of a large answer whose readers may stall for as long as the test takes.
fn large() -> Secure {
    let mut plan = Plan::new();
    let list = plan.path("vrps.csv");
    fs::write(&list, large_list()).unwrap();
    plan.tables = format!(
        "[[source]]\nurl = {list:?}\n[limits]\nstall = \"5m\"\n\
         connections-per-address = 200\n"
    );
    let secure = plan.start();
    secure
        .cache
        .until("the list is there", |status| status.ready.ready);
    secure
}

/// Everything that the large answer has.
#[track_caller]
fn serves_others(secure: &Secure) -> Duration {
    let begin = Instant::now();
    let mut router = secure.tls_router("127.0.0.2");
    assert_eq!(router.load(1).payload.len(), usize::try_from(MANY).unwrap());
    let mut router = secure.ssh_router("127.0.0.2", ssh_config());
    router.send(&RESET_QUERY[1]);
    router.expect(CACHE_RESPONSE);
    begin.elapsed()
}

/// Lets all of them ask and stop, and holds their cost against the allowed one.
#[track_caller]
fn cost_little(secure: &Secure, what: &str, ask: impl FnOnce()) {
    let idle = secure.cache.resident();
    ask();
    let stalled = settled(secure);
    let each = stalled.saturating_sub(idle) / SLOW;
    report(&format!(
        "readers: {SLOW} stop in an answer of 20 MB over {what}: {} KiB each beyond an idle \
         session ({} to {} KiB)",
        each / 1024,
        idle / 1024,
        stalled / 1024
    ));
    assert!(each < ALLOWED, "{each} octets each, {ALLOWED} are allowed");
    let metrics = secure.cache.metrics();
    assert!(
        metrics.contains("rutter_rtr_evicted_total 0\n"),
        "{metrics}"
    );
}

/// The memory of the server once it has sent what it could: when the octets that it has handed
/// over stay the same for half a second.
fn settled(secure: &Secure) -> usize {
    let deadline = Instant::now() + PATIENCE;
    let mut last = secure.cache.resident();
    let mut same = 0;
    while same < 5 {
        assert!(Instant::now() < deadline, "it does not settle");
        std::thread::sleep(Duration::from_millis(100));
        let now = secure.cache.resident();
        same = if now.abs_diff(last) < 64 * 1024 {
            same + 1
        } else {
            0
        };
        last = now;
    }
    last
}

#[test]
fn readers_of_tls_that_stop_cost_little() {
    let secure = large();
    serves_others(&secure);
    let config = secure.ca.client(Some(&secure.router));
    let mut readers: Vec<_> = (0..SLOW)
        .map(|_| {
            secure
                .run(secure.shake_hands("127.0.0.1", &config))
                .unwrap()
        })
        .collect();
    cost_little(&secure, "TLS", || {
        for reader in &mut readers {
            secure.run(async {
                reader.write_all(&RESET_QUERY[1]).await.unwrap();
                reader.read_exact(&mut [0; 8]).await.unwrap();
            });
        }
    });
    serves_others(&secure);
}

/// A client that takes one message of a channel and never another one.
struct Deaf(tokio::sync::mpsc::Sender<()>);

impl client::Handler for Deaf {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn data(&mut self, _: ChannelId, _: &[u8], _: &mut Session) -> Result<(), Self::Error> {
        let _ = self.0.try_send(());
        pending().await
    }
}

type Reader = (
    Handle<Deaf>,
    Channel<client::Msg>,
    tokio::sync::mpsc::Receiver<()>,
);

async fn deaf(secure: &Secure, window: u32) -> Reader {
    let config = client::Config {
        window_size: window,
        ..ssh_config()
    };
    let socket = socket("127.0.0.1", secure.ssh()).await.unwrap();
    let (heard, hear) = tokio::sync::mpsc::channel(1);
    let client = client::connect_stream(Arc::new(config), socket, Deaf(heard));
    let mut client = client.await.unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&secure.key), None);
    let answer = client.authenticate_publickey("router", key).await.unwrap();
    assert!(answer.success());
    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "rpki-rtr").await.unwrap();
    // The answer to it; from here on it would have to be read.
    channel.wait().await.unwrap();
    (client, channel, hear)
}

#[track_caller]
fn readers_of_ssh_that_stop(window: u32, what: &str) {
    let secure = large();
    serves_others(&secure);
    let mut readers: Vec<Reader> = (0..SLOW)
        .map(|_| secure.run(deaf(&secure, window)))
        .collect();
    cost_little(&secure, what, || {
        for (_, channel, hear) in &mut readers {
            secure.run(async {
                channel.data(&RESET_QUERY[1][..]).await.unwrap();
                hear.recv().await.unwrap();
            });
        }
    });
    serves_others(&secure);
}

#[test]
fn readers_of_ssh_with_a_window_of_2_mib_that_stop_cost_little() {
    readers_of_ssh_that_stop(2 << 20, "SSH, window 2 MiB");
}

#[test]
fn readers_of_ssh_with_a_window_of_2_gib_that_stop_cost_little() {
    readers_of_ssh_that_stop(0x7fff_ffff, "SSH, window 2 GiB");
}

#[test]
fn openssh_that_stops_costs_little() {
    if program("ssh").is_none() {
        return not_run("OpenSSH, readers that stop", Need::Peers, "no ssh");
    }
    let secure = large();
    serves_others(&secure);
    secure.key_file();
    let mut readers: Vec<OpenSsh> = (0..SLOW).map(|_| OpenSsh::start(&secure, &[])).collect();
    secure.cache.until("all are logged in", |status| {
        status.sessions.open >= u64::try_from(SLOW).unwrap()
    });
    cost_little(&secure, "OpenSSH", || {
        for reader in &mut readers {
            reader.ask();
            reader.read(8);
        }
    });
    serves_others(&secure);
}
