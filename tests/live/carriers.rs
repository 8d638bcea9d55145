//! TLS and SSH do what plain TCP does: loads, updates, reloads, caches that follow, and the end.

use std::fs;
use std::process::Command;
use std::time::Duration;

use russh::ChannelMsg;
use russh::keys::PrivateKeyWithHashAlg;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::cache::{Cache, PATIENCE};
use super::pki::{Ca, for_servers, secret};
use super::router::{Answer, increment};
use super::router::{CACHE_RESPONSE, END_OF_DATA, NOTIFY, RESET_QUERY, Router, announced};
use super::secure::{PASSWORD, Plan, Secure, ed25519, ssh_config, user};
use crate::support::payloads::{Payloads, Prng};
use crate::support::{temp_dir, wait_for};

fn start(payloads: &Payloads, change: impl FnOnce(&mut Plan)) -> Secure {
    let mut plan = Plan::new();
    payloads.write_json(&plan.path("vrps.json"));
    change(&mut plan);
    plan.start()
}

/// One router over each of them.
fn routers(secure: &Secure) -> [Router; 2] {
    [
        secure.tls_router("127.0.0.1"),
        secure.ssh_router("127.0.0.1", ssh_config()),
    ]
}

/// Waits for a Serial Notify, and asks for what changed.
#[track_caller]
fn follow(router: &mut Router, from: &Answer) -> Answer {
    assert_eq!(router.expect(NOTIFY).serial(), from.has.serial + 1);
    let answer = router.update(from.has);
    assert_eq!(answer.has.serial, from.has.serial + 1);
    answer
}

#[test]
fn a_load_an_update_and_a_reload_leave_a_session_whole() {
    let mut random = Prng::new(1);
    let first = Payloads::vrps(2_000, &mut random);
    let second = first.changed(30, 20, &mut random);
    let third = second.changed(5, 5, &mut random);
    let secure = start(&first, |_| {});
    let mut routers = routers(&secure);
    let loaded = routers.each_mut().map(|router| router.load(2));
    for answer in &loaded {
        assert!(answer.set() == announced(&first, 2));
    }
    secure.cache.publish(&second);
    let mut updated = Vec::new();
    for (router, loaded) in routers.iter_mut().zip(&loaded) {
        let answer = follow(router, loaded);
        assert!(answer.set() == increment(&first, &second, 2));
        updated.push(answer);
    }

    // Everything that is proven with is another one now.
    let own = |secure: &Secure| {
        let config = secure.ca.client(Some(&secure.router));
        let stream = secure
            .run(secure.shake_hands("127.0.0.1", &config))
            .unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        shown[0].to_vec()
    };
    let before = own(&secure);
    secure.ca.leaf("server", "localhost 127.0.0.1", for_servers);
    let other = ed25519(2);
    let line = other.public_key().to_openssh().unwrap();
    secret(&secure.path("authorized_keys"), &format!("{line}\n"));
    secret(&secure.path("users"), &user("xr", "another one"));
    assert_eq!(own(&secure), before, "before the reload");
    secure.reload();
    assert_ne!(own(&secure), before, "after the reload");
    secure.run(async {
        let mut client = secure.greet("127.0.0.1", ssh_config()).await.unwrap();
        let key = |key| PrivateKeyWithHashAlg::new(key, None);
        let old = key(secure.key.clone());
        let answer = client.authenticate_publickey("router", old).await;
        assert!(!answer.unwrap().success());
        let new = key(other.into());
        let answer = client.authenticate_publickey("router", new).await;
        assert!(answer.unwrap().success());
        for (password, right) in [(PASSWORD, false), ("another one", true)] {
            let mut client = secure.greet("127.0.0.1", ssh_config()).await.unwrap();
            let answer = client.authenticate_password("xr", password).await;
            assert_eq!(answer.unwrap().success(), right, "{password}");
        }
    });

    // Files that cannot be used change nothing, and are named.
    let good = fs::read(secure.path("server.crt")).unwrap();
    fs::write(secure.path("server.crt"), "no certificate").unwrap();
    secret(&secure.path("users"), "xr:no hash\n");
    let refused = secure.cache.control(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("server.crt: ") && said.contains("users:1: "),
        "{said}"
    );
    fs::write(secure.path("server.crt"), good).unwrap();
    secret(&secure.path("users"), &user("xr", PASSWORD));
    own(&secure);

    secure.cache.publish(&third);
    for (router, updated) in routers.iter_mut().zip(&updated) {
        let answer = follow(router, updated);
        assert!(answer.set() == increment(&second, &third, 2), "it goes on");
    }
}

/// The line of `known_hosts` for the SSH listener with this key.
fn known_hosts(secure: &Secure, key: &str) {
    let port = secure.ssh().port();
    let line = format!("[127.0.0.1]:{port} {key}\n");
    fs::write(secure.path("known_hosts"), line).unwrap();
}

/// The public host key, as `ssh-keygen -y` has it.
fn host_key(secure: &Secure) -> String {
    let text = fs::read_to_string(secure.path("host_ed25519")).unwrap();
    let key = russh::keys::decode_secret_key(&text, None).unwrap();
    let mut key = key.public_key().clone();
    key.set_comment("");
    key.to_openssh().unwrap()
}

#[test]
fn another_rutter_follows_over_both() {
    let mut random = Prng::new(2);
    let first = Payloads::vrps(2_000, &mut random);
    let second = first.changed(30, 20, &mut random);
    let secure = start(&first, |_| {});
    known_hosts(&secure, &host_key(&secure));
    let path = |name: &str| secure.path(name).display().to_string();
    let key = secure.key_file();
    // What is served has to come from both of them.
    let cache = Cache::configured(
        temp_dir(),
        &format!(
            "[merge]\nmode = \"quorum\"\nquorum = 2\n\
             [[source]]\nname = \"tls\"\nurl = \"tls://localhost:{}\"\nca = {:?}\n\
             client-certificate = {:?}\nclient-key = {:?}\n\
             [[source]]\nname = \"ssh\"\nurl = \"ssh://router@{}\"\nknown-hosts = {:?}\nkey = {:?}\n",
            secure.tls().port(),
            path("ca.crt"),
            path("router.crt"),
            path("router.key"),
            secure.ssh(),
            path("known_hosts"),
            key.display().to_string(),
        ),
    );
    let mut router = Router::connect(cache.address());
    let loaded = router.load(2);
    assert!(loaded.set() == announced(&first, 2));
    secure.cache.publish(&second);
    // The two sources come one after the other; each step is a serial.
    let mut set = loaded.set();
    let mut has = loaded.has;
    wait_for("the change has come through both", PATIENCE, || {
        if set == announced(&second, 2) {
            return Ok(());
        }
        router.expect(NOTIFY);
        let answer = router.update(has);
        has = answer.has;
        for mut pdu in answer.payload {
            match std::mem::replace(&mut pdu[8], 1) {
                1 => set.insert(pdu),
                _ => set.remove(&pdu),
            };
        }
        Err(format!("{} payloads", set.len()))
    });
}

/// What `rutter dump` of this cache comes to, with these words, in the folder of the server.
struct Dump<'s>(&'s Secure);

impl Dump<'_> {
    fn of(&self, url: &str, words: &str) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rutter"));
        command.args(["dump", url, "--output", "csv", "--timeout", "20"]);
        command.args(words.split_whitespace());
        let ran = command.current_dir(self.0.path("")).output().unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
    }

    /// It has so many rows, and warns of this or of nothing.
    #[track_caller]
    fn gives(&self, url: &str, words: &str, rows: usize, warning: &str) {
        let (code, out, err) = self.of(url, words);
        assert_eq!((code, out.lines().count()), (Some(0), 1 + rows), "{err}");
        match warning {
            "" => assert_eq!(err, ""),
            warning => assert!(err.contains(warning), "{err}"),
        }
    }

    /// It ends with 2, nothing, and why.
    #[track_caller]
    fn fails(&self, url: &str, words: &str, why: &[&str]) {
        let (code, out, err) = self.of(url, words);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(why.iter().all(|why| err.contains(why)), "{why:?}: {err}");
    }
}

#[test]
fn a_dump_over_tls_checks_whom_it_asks() {
    let payloads = Payloads::vrps(100, &mut Prng::new(3));
    let secure = start(&payloads, |_| {});
    Ca::new(&secure.path(""), "other");
    let url = format!("tls://localhost:{}", secure.tls().port());
    let dump = Dump(&secure);
    let shown = "--client-certificate router.crt --client-key router.key";
    let with = |words: &str| format!("{shown} {words}");
    dump.gives(&url, &with("--ca ca.crt"), 100, "");
    dump.gives(&url, &with("--insecure"), 100, "anybody may be it");
    dump.fails(&url, &with("--ca other.crt"), &["unknown ca: "]);
    let name = with("--ca ca.crt --server-name cache.example");
    dump.fails(&url, &name, &["certificate: ", "cache.example"]);
    dump.fails(&url, "--ca ca.crt", &["CertificateRequired"]);
}

#[test]
fn a_dump_over_ssh_checks_whom_it_asks() {
    let payloads = Payloads::vrps(100, &mut Prng::new(4));
    let secure = start(&payloads, |_| {});
    secure.key_file();
    let dump = Dump(&secure);
    let [router, xr, nobody] =
        ["router", "xr", "nobody"].map(|user| format!("ssh://{user}@{}", secure.ssh()));
    let key = "--ssh-key id_ed25519 --known-hosts known_hosts";
    let password = "--password-file password --known-hosts known_hosts";
    let host = host_key(&secure);
    fs::write(secure.path("known_hosts"), "").unwrap();
    let unknown = ["is not known", "SHA256:", "add this line to", &host];
    dump.fails(&router, key, &unknown);
    known_hosts(&secure, &ed25519(3).public_key().to_openssh().unwrap());
    let changed = ["shows another key than", "known_hosts:1", &host];
    dump.fails(&router, key, &changed);
    let loud = "--ssh-key id_ed25519 --insecure";
    dump.gives(&router, loud, 100, "any host is taken for the right one");
    known_hosts(&secure, &host);
    dump.gives(&router, key, 100, "");
    dump.gives(&xr, password, 100, "");
    let denied = ["does not let nobody in with password"];
    dump.fails(&nobody, password, &denied);
}

const MANY: usize = 60_000;

/// The octets of an answer up to End of Data, and what comes after it.
fn is_whole(octets: &[u8], payloads: usize) {
    let mut rest = octets;
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[4..8].try_into().unwrap());
        kinds.push(rest[1]);
        rest = &rest[usize::try_from(length).unwrap()..];
    }
    assert_eq!(kinds.len(), payloads + 2);
    assert_eq!(
        (kinds[0], kinds.last()),
        (CACHE_RESPONSE, Some(&END_OF_DATA))
    );
}

#[test]
fn sigterm_lets_an_answer_end_and_closes_in_order() {
    let payloads = Payloads::vrps(MANY, &mut Prng::new(4));
    let mut secure = start(&payloads, |_| {});
    let config = secure.ca.client(Some(&secure.router));
    let narrow = russh::client::Config {
        window_size: 64 * 1024,
        ..ssh_config()
    };
    let (mut tls, client, mut channel) = secure.run(async {
        let mut tls = secure.shake_hands("127.0.0.1", &config).await.unwrap();
        tls.write_all(&RESET_QUERY[1]).await.unwrap();
        let client = secure.log_in("127.0.0.1", narrow).await.unwrap();
        let channel = client.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "rpki-rtr").await.unwrap();
        channel.data(&RESET_QUERY[1][..]).await.unwrap();
        (tls, client, channel)
    });
    // Both are in the middle of it.
    let (mut over_tls, mut over_ssh) = (vec![0; 8], Vec::new());
    secure.run(async {
        tls.read_exact(&mut over_tls).await.unwrap();
        while over_ssh.is_empty() {
            if let Some(ChannelMsg::Data { data }) = channel.wait().await {
                over_ssh.extend_from_slice(&data);
            }
        }
    });
    secure.cache.signal(Signal::TERM);
    secure.cache.says(&["stopping"]);
    let ends = secure.run(async {
        // Without close_notify this would be an error.
        tls.read_to_end(&mut over_tls).await.unwrap();
        let mut ends = Vec::new();
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    assert!(ends.is_empty(), "octets after {ends:?}");
                    over_ssh.extend_from_slice(&data);
                }
                ChannelMsg::Eof => ends.push("eof"),
                ChannelMsg::Close => ends.push("close"),
                _ => {}
            }
        }
        ends
    });
    is_whole(&over_tls, MANY);
    is_whole(&over_ssh, MANY);
    assert!(ends.starts_with(&["eof"]), "{ends:?}");
    drop((tls, channel, client));
    assert_eq!(secure.cache.ended(Duration::from_secs(15)).code(), Some(0));
}
