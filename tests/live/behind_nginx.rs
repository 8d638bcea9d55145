//! A follower of a leader behind nginx, with the cache that the README shows.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use ring::rand::SystemRandom;
use rutter::feed::Manifest;
use rutter::payload::UnixTime;
use rutter::sign::SigningKey;

use super::cache::{Cache, PATIENCE};
use super::followers::Node;
use super::router::{ERROR_REPORT, NOTIFY, Router, announced, increment};
use crate::support::payloads::{Payloads, Prng};
use crate::support::process::Process;
use crate::support::{Need, free_port, not_run, program, report, temp_dir, wait_for};

/// nginx before a port of loopback, as the README has it.
struct Nginx {
    process: Process,
    folder: tempfile::TempDir,
    port: u16,
}

impl Nginx {
    #[track_caller]
    fn before(upstream: u16) -> Option<Self> {
        let nginx = program("nginx")?;
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let readme = fs::read_to_string(readme).unwrap();
        let (_, rest) = readme.split_once("```nginx\n").unwrap();
        let (shown, _) = rest.split_once("```").unwrap();
        let (folder, port) = (temp_dir(), free_port());
        let at = folder.path().display().to_string();
        let replaced = [
            ("192.0.2.1:9847", format!("127.0.0.1:{upstream}")),
            ("listen 8080", format!("listen 127.0.0.1:{port}")),
            ("/var/cache/nginx/feed", format!("{at}/cache")),
        ];
        let mut server = shown.to_owned();
        for (from, to) in replaced {
            assert!(server.contains(from), "the README says nothing of {from}");
            server = server.replace(from, &to);
        }
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\n\
             http {{\n{temporary}log_format seen '$upstream_cache_status $status $request_uri';\n\
             access_log {at}/access seen;\n{server}\n}}\n"
        );
        let path = folder.path().join("nginx.conf");
        fs::write(&path, config).unwrap();
        let mut command = Command::new(nginx);
        command.args(["-e", "stderr", "-p", &at, "-c"]).arg(&path);
        let process = Process::start(&mut command, &folder.path().join("log"));
        Some(Self {
            process,
            folder,
            port,
        })
    }

    /// Asks it for the manifest.
    fn ask(&self) {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let request = b"GET /feed/manifest.jws HTTP/1.0\r\n\r\n";
        socket.write_all(request).unwrap();
        socket.read_to_end(&mut Vec::new()).unwrap();
    }

    /// Waits until it has answered so, doing something meanwhile.
    #[track_caller]
    fn until(&self, line: &str, meanwhile: impl Fn(&Self)) {
        wait_for(line, PATIENCE, || {
            meanwhile(self);
            let seen = self.seen();
            let found = seen.lines().any(|seen| seen == line);
            found.then_some(()).ok_or(seen)
        });
    }

    /// What it has answered, a line each.
    fn seen(&self) -> String {
        fs::read_to_string(self.folder.path().join("access")).unwrap_or_default()
    }
}

/// The file that is named by what it is, of a line that was seen.
fn file_of(line: &str) -> Option<&str> {
    let name = line.rsplit(' ').next()?;
    (!name.contains("manifest")).then_some(name)
}

/// A leader that has nothing but the last manifest, which it has signed for a few seconds more.
struct Ghost {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Ghost {
    #[track_caller]
    fn of(folder: &tempfile::TempDir, port: u16, seconds: u64) -> Self {
        let plain = fs::read(folder.path().join("state/feed/manifest.json")).unwrap();
        let mut manifest = Manifest::read_plain(&plain).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        manifest.issued = UnixTime::new(now.unwrap().as_secs());
        manifest.valid_until = manifest.issued.plus(seconds);
        let pem = fs::read(folder.path().join("export.key")).unwrap();
        let random = SystemRandom::new();
        let key = SigningKey::from_pem(&pem, &random).unwrap();
        let text = manifest.sign(&key, &random).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = wait_for("the port is free", PATIENCE, || {
            TcpListener::bind(address).map_err(|error| error.to_string())
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for socket in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut socket) = socket else { return };
                let mut head = [0; 4_096];
                let length = socket.read(&mut head).unwrap_or(0);
                let asked = String::from_utf8_lossy(&head[..length]).into_owned();
                let (status, body) = match asked.contains("/feed/manifest.jws") {
                    true => ("200 OK", text.as_str()),
                    false => ("404 Not Found", ""),
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nETag: \"ghost\"\r\nCache-Control: max-age=1\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                // nginx may have heard enough.
                let _ = socket.write_all(answer.as_bytes());
            }
        });
        Self {
            stop,
            address,
            thread: Some(thread),
        }
    }
}

impl Drop for Ghost {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the one who accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A follower through the cache, to which stale data are none.
fn follower(key: &str, nginx: &Nginx) -> Cache {
    let rest = format!(
        "[[source]]\nname = \"leader\"\nurl = \"feed+http://127.0.0.1:{}/feed/\"\n\
         verify-key = \"{}\"\nproxy = \"none\"\nrefresh = \"1s\"\n\
         [guard]\nstale = \"no-data\"\n",
        nginx.port, key
    );
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    Cache::with_state(temp_dir(), listen, &rest)
}

#[test]
fn a_cache_carries_the_feed_and_outlives_the_leader() {
    let mut random = Prng::new(9);
    let first = Payloads::vrps(1_000, &mut random);
    let second = first.changed(30, 20, &mut random);
    let leader = Node::leader(&first);
    let Some(mut nginx) = Nginx::before(leader.http) else {
        return not_run("a feed through nginx", Need::Peers, "no nginx");
    };
    let followers = [(); 2].map(|()| follower(&leader.key, &nginx));
    let mut routers = followers.each_ref().map(|follower| {
        let mut router = Router::connect(follower.address());
        let loaded = router.load(1);
        assert!(loaded.set() == announced(&first, 1));
        (router, loaded.has)
    });
    leader.cache.publish(&second);
    for (router, has) in &mut routers {
        router.expect(NOTIFY);
        let update = router.update(*has);
        assert!(update.set() == increment(&first, &second, 1));
        *has = update.has;
    }
    nginx.process.check().unwrap();
    // Each file was asked for once at the leader, whoever asked for it.
    let seen = nginx.seen();
    let files: BTreeSet<_> = seen.lines().filter_map(file_of).collect();
    assert!(files.len() >= 2, "{seen}");
    for file in files {
        let times = |status: &str| {
            let line = format!("{status} 200 {file}");
            seen.lines().filter(|seen| **seen == line).count()
        };
        assert_eq!((times("MISS"), times("HIT")), (1, 1), "{file}:\n{seen}");
    }
    // A manifest that is still the same is not sent again.
    nginx.until("REVALIDATED 200 /feed/manifest.jws", |nginx| nginx.ask());

    // What comes of a serial later is no other publication.
    for follower in &followers {
        follower.says(&["the leader says more of the same payloads"]);
        assert_eq!(follower.said(&[" published ", "serial=2"]), 1);
    }

    // The leader stops: what it said last counts on, from the cache, for newcomers, too.
    let folder = leader.cache.kill();
    nginx.until("STALE 304 /feed/manifest.jws", |_| ());
    for (router, has) in &mut routers {
        let update = router.update(*has);
        assert_eq!((update.has, update.payload.len()), (*has, 0));
    }
    let newcomer = follower(&leader.key, &nginx);
    let loaded = Router::connect(newcomer.address()).load(1);
    assert!(loaded.set() == announced(&second, 1));
    assert_eq!(loaded.has, routers[0].1);
    nginx.until("STALE 200 /feed/manifest.jws", |_| ());

    // And ends: the last word is for some seconds more, and then there are no data.
    let ghost = Ghost::of(&folder, leader.http, 8);
    for follower in &followers {
        follower.until("the last word has come", |status| {
            let source = &status.sources[0];
            let soon = source.stale_at.as_ref().map(|at| at.unix);
            soon.is_some_and(|soon| soon <= status.now.unix + 8)
        });
    }
    drop(ghost);
    for (follower, (_, has)) in followers.iter().zip(&routers) {
        let mut router = Router::connect(follower.address());
        let update = router.update(*has);
        assert_eq!((update.has, update.payload.len()), (*has, 0));
    }
    for (follower, (_, has)) in followers.iter().zip(&routers) {
        follower.until("the word of the leader is over", |status| {
            status
                .serving
                .as_ref()
                .is_none_or(|serving| serving.withheld)
        });
        let mut router = Router::connect(follower.address());
        router.send(&has.query());
        let answer = router.expect(ERROR_REPORT);
        assert_eq!(answer.word(), 2, "no data available");
    }
    report(
        "chain: nginx between leader and followers: one MISS a file, revalidated manifests; without \
         the leader served until valid-until, then by the stale policy",
    );
}
