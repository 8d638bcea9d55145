//! A leader, its follower, and the follower of that one: one history for all routers behind them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::cache::{Cache, PATIENCE};
use super::restart::ANYWHERE;
use super::router::{Has, NOTIFY, Router, announced};
use crate::support::payloads::{Payloads, Prng};
use crate::support::process::{Process, run};
use crate::support::{Need, free_port, not_run, program, report, temp_dir, wait_for};

/// A server with a feed, signed by its own key.
pub(crate) struct Node {
    pub(crate) cache: Cache,
    /// The port of its HTTP server.
    pub(crate) http: u16,
    /// The file with its public key.
    pub(crate) key: String,
    /// Its configuration.
    config: String,
}

impl Node {
    /// A leader of these payloads.
    #[track_caller]
    pub(crate) fn leader(payloads: &Payloads) -> Self {
        let folder = temp_dir();
        payloads.write_json(&folder.path().join("vrps.json"));
        Self::leading(folder)
    }

    /// A leader of the list in a folder.
    #[track_caller]
    pub(crate) fn leading(folder: tempfile::TempDir) -> Self {
        Self::start(folder, "url = \"vrps.json\"\n")
    }

    /// A follower of this one.
    #[track_caller]
    pub(crate) fn follower(&self) -> Self {
        Self::following(self.http, &self.key)
    }

    /// A follower of the feed at a port of loopback, which this key has signed.
    #[track_caller]
    pub(crate) fn following(port: u16, key: &str) -> Self {
        let source = format!(
            "name = \"leader\"\nurl = \"feed+http://127.0.0.1:{port}/feed/\"\n\
             verify-key = \"{key}\"\nproxy = \"none\"\n"
        );
        Self::start(temp_dir(), &source)
    }

    #[track_caller]
    fn start(folder: tempfile::TempDir, source: &str) -> Self {
        let key = keygen(folder.path());
        let http = free_port();
        let config = format!(
            "[[source]]\n{source}[http]\naddress = \"127.0.0.1:{http}\"\n\
             [export]\nsign-key = \"export.key\"\n"
        );
        Self {
            cache: Cache::with_state(folder, ANYWHERE, &config),
            http,
            key,
            config,
        }
    }

    /// Kills it, and starts it again.
    #[track_caller]
    pub(crate) fn restarted(self) -> Self {
        let cache = Cache::with_state(self.cache.kill(), ANYWHERE, &self.config);
        Self { cache, ..self }
    }

    /// How many answers of a kind it has given.
    #[track_caller]
    fn answers(&self, kind: &str) -> u64 {
        let metrics = self.cache.metrics();
        let label = format!("rutter_rtr_answers_total{{kind=\"{kind}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&label));
        line.unwrap().parse().unwrap()
    }
}

/// Makes a pair of keys in a folder, and gives the path of the public one.
#[track_caller]
pub(crate) fn keygen(folder: &Path) -> String {
    let public = folder.join("export.pub");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rutter"));
    command
        .args(["keygen", "--out"])
        .arg(folder.join("export.key"))
        .arg("--public")
        .arg(&public);
    run(&mut command, PATIENCE).unwrap();
    public.to_str().unwrap().to_owned()
}

/// A router with all that it has been told.
struct Member {
    router: Router,
    has: Has,
    set: BTreeSet<Vec<u8>>,
    at: usize,
}

impl Member {
    #[track_caller]
    fn join(at: usize, to: SocketAddr, version: u8) -> Self {
        let mut router = Router::connect(to);
        let first = router.load(version);
        Self {
            router,
            has: first.has,
            set: first.set(),
            at,
        }
    }

    /// Goes to another server and goes on there from what it has.
    #[track_caller]
    fn go(&mut self, at: usize, to: SocketAddr) {
        self.at = at;
        self.router = Router::connect(to);
        self.ask();
    }

    /// Takes an increment; a Cache Reset is a failure.
    #[track_caller]
    fn ask(&mut self) {
        self.router.send(&self.has.query());
        let mut pdu = self.router.pdu();
        while pdu.kind() == NOTIFY {
            pdu = self.router.pdu();
        }
        let update = self.router.rest_of_answer(&pdu);
        for pdu in update.payload {
            self.take(pdu);
        }
        assert_eq!(update.has.session, self.has.session);
        self.has = update.has;
    }

    /// Applies a PDU of an increment, of which the third octet of the body, or the first of the
    /// header for others than prefixes, says whether it comes or goes.
    #[track_caller]
    fn take(&mut self, mut pdu: Vec<u8>) {
        let flags = if matches!(pdu[1], 4 | 6) { 8 } else { 2 };
        let comes = pdu[flags] == 1;
        pdu[flags] = 1;
        if pdu[1] == 11 {
            // What a customer had goes, whatever it had.
            let customer = pdu[8..12].to_vec();
            self.set
                .retain(|old| old[1] != 11 || old[8..12] != customer);
            if comes {
                self.set.insert(pdu);
            }
        } else if comes {
            assert!(self.set.insert(pdu), "announced twice");
        } else {
            assert!(self.set.remove(&pdu), "withdrawn, and was not there");
        }
    }

    /// Asks whenever it is told to, until it has this serial.
    #[track_caller]
    fn reach(&mut self, serial: u32) {
        while self.has.serial != serial {
            self.router.expect(NOTIFY);
            self.ask();
        }
    }
}

/// An address behind which the server changes.
struct Switch {
    address: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    stop: Arc<AtomicBool>,
}

impl Switch {
    fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let to = Arc::new(Mutex::new(to));
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (target, kept, stopped) = (Arc::clone(&to), Arc::clone(&open), Arc::clone(&stop));
        thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { return };
                let to = *target.lock().unwrap();
                let Ok(server) = TcpStream::connect(to) else {
                    continue;
                };
                let pairs = [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server.try_clone().unwrap(), client.try_clone().unwrap()),
                ];
                kept.lock().unwrap().extend([client, server]);
                for (mut from, mut to) in pairs {
                    thread::spawn(move || {
                        // One side has closed: so does the other.
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self {
            address,
            to,
            open,
            stop,
        }
    }

    /// From now on another server is there; who was connected has to come again.
    fn turn(&self, to: SocketAddr) {
        *self.to.lock().unwrap() = to;
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.turn(self.address);
        // Wakes the one who accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// The VRPs, as `192.0.2.0/24-24 AS64496`.
fn wanted(payloads: &Payloads) -> BTreeSet<String> {
    let vrps = payloads.vrps.iter();
    vrps.map(|v| format!("{}/{}-{} AS{}", v.address, v.len, v.max_len, v.asn))
        .collect()
}

/// BIRD on an address. It comes back after two seconds.
struct Bird {
    folder: tempfile::TempDir,
    process: Process,
}

impl Bird {
    fn start(at: SocketAddr) -> Option<Self> {
        let bird = program("bird")?;
        let folder = temp_dir();
        let config = folder.path().join("bird.conf");
        let text = format!(
            "log stderr all;\nrouter id 192.0.2.1;\nroa4 table r4; roa6 table r6;\n\
             protocol device {{}}\n\
             protocol rpki c1 {{\n debug {{ states, routes, events }};\n\
             roa4 {{ table r4; }}; roa6 {{ table r6; }};\n\
             remote 127.0.0.1 port {}; retry 2;\n}}\n",
            at.port()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(bird);
        command.args(["-f", "-l", "-c"]).arg(&config);
        command.arg("-s").arg(folder.path().join("ctl"));
        command.arg("-P").arg(folder.path().join("pid"));
        let process = Process::start(&mut command, &folder.path().join("output"));
        Some(Self { folder, process })
    }

    /// What it has, as `192.0.2.0/24-24 AS64496`.
    fn held(&self) -> Result<BTreeSet<String>, String> {
        let mut held = BTreeSet::new();
        for table in ["r4", "r6"] {
            let mut command = Command::new(program("birdc").ok_or("no birdc")?);
            command.arg("-s").arg(self.folder.path().join("ctl"));
            command.args(["show", "route", "table", table]);
            let text = run(&mut command, PATIENCE)?;
            held.extend(text.lines().filter_map(|line| {
                let mut words = line.split_whitespace();
                let (prefix, asn) = (words.next()?, words.next()?);
                asn.starts_with("AS").then(|| format!("{prefix} {asn}"))
            }));
        }
        Ok(held)
    }

    #[track_caller]
    fn holds(&self, payloads: &Payloads) {
        let wanted = wanted(payloads);
        wait_for("BIRD has the list", 2 * PATIENCE, || {
            let held = self.held()?;
            let differing = wanted.symmetric_difference(&held).count();
            match differing {
                0 => Ok(()),
                _ => Err(format!("{differing} of {} differ", wanted.len())),
            }
        });
    }

    /// How many VRPs its log says it has removed so far.
    fn removed(&self) -> usize {
        let output = self.process.output();
        let lines = output.lines().filter(|line| line.contains("> removed"));
        lines.count()
    }
}

/// rtrclient on an address, which prints what comes and goes.
struct RtrClient(Process);

impl RtrClient {
    fn start(at: SocketAddr, folder: &Path) -> Option<Self> {
        let mut command = Command::new(program("rtrclient")?);
        // Its output must come line by line.
        let mut lines = Command::new(program("stdbuf")?);
        lines.arg("-oL").arg(command.get_program());
        command = lines;
        command.args(["-p", "tcp", "127.0.0.1", &at.port().to_string()]);
        Some(Self(Process::start(
            &mut command,
            &folder.join("rtrclient"),
        )))
    }

    /// What it has printed as coming and not as going.
    fn held(&self) -> BTreeSet<String> {
        let mut held = BTreeSet::new();
        for line in self.0.output().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            // `+ 192.0.2.0            24 -  24         64496`
            let [sign @ ("+" | "-"), address, len, "-", max_len, asn] = words[..] else {
                continue;
            };
            let Ok(asn) = asn.parse::<i64>() else {
                continue;
            };
            // 0.8 prints an AS of 2147483648 and more as a negative number.
            let asn = if asn < 0 { asn + (1 << 32) } else { asn };
            let vrp = format!("{address}/{len}-{max_len} AS{asn}");
            match sign {
                "+" => held.insert(vrp),
                _ => held.remove(&vrp),
            };
        }
        held
    }

    #[track_caller]
    fn holds(&self, payloads: &Payloads) {
        let wanted = wanted(payloads);
        wait_for("rtrclient has the list", 2 * PATIENCE, || {
            let held = self.held();
            let differing: Vec<_> = wanted.symmetric_difference(&held).take(3).collect();
            match differing.is_empty() {
                true => Ok(()),
                false => Err(format!("differing: {differing:?}")),
            }
        });
    }
}

/// One leader, a follower and its follower; 100 routers, of which some move with each of 50
/// updates, and behind one address BIRD and rtrclient, which move with all of it.
#[test]
fn routers_move_between_followers_and_none_is_reset() {
    const ROUTERS: usize = 100;
    const UPDATES: usize = 50;
    let mut random = Prng::new(50);
    let mut payloads = Payloads::all_kinds(1_500, &mut random);
    let leader = Node::leader(&payloads);
    let first = leader.follower();
    let second = first.follower();
    let nodes = [&leader, &first, &second];
    let mirrors = nodes.map(|node| {
        let status = node.cache.status();
        let until = status.serving.unwrap().leader_until.map(|until| until.unix);
        let name = "rutter_leader_valid_until_timestamp_seconds ";
        let metrics = node.cache.metrics();
        let metric = metrics.lines().find_map(|line| line.strip_prefix(name));
        assert_eq!(metric.map(|metric| metric.parse().unwrap()), until);
        until.is_some()
    });
    assert_eq!(mirrors, [false, true, true]);
    let address = |at: usize| nodes[at % nodes.len()].cache.address();
    let mut members: Vec<Member> = (0..ROUTERS)
        .map(|number| {
            let version = if number % 2 == 0 { 1 } else { 2 };
            Member::join(number % nodes.len(), address(number), version)
        })
        .collect();
    let switch = Switch::start(address(1));
    let folder = temp_dir();
    let bird = Bird::start(switch.address);
    let client = RtrClient::start(switch.address, folder.path());
    let missing = "bird, rtrclient or stdbuf is not there";
    if bird.is_none() || client.is_none() {
        not_run("moving BIRD and rtrclient", Need::Peers, missing);
    }
    let check = |payloads: &Payloads| {
        bird.iter().for_each(|bird| bird.holds(payloads));
        client.iter().for_each(|client| client.holds(payloads));
    };
    check(&payloads);
    // What is withdrawn in all, and what is no longer there at each look at BIRD.
    let (mut withdrawn, mut gone) = (0, 0);
    let mut looked = payloads.clone();
    for update in 1..=UPDATES {
        let next = payloads.changed(30, 20, &mut random);
        withdrawn += next.vrp_steps_from(&payloads).1;
        leader.cache.publish(&next);
        payloads = next;
        let serial = 1 + u32::try_from(update).unwrap();
        // The leader's routers know first, and take it to servers that may not know yet.
        for (number, member) in members.iter_mut().enumerate() {
            if member.at == 0 {
                member.reach(serial);
            }
            if number % 10 == update % 10 {
                member.go((member.at + 1) % nodes.len(), address(member.at + 1));
            }
        }
        let wanted = [1, 2].map(|version| announced(&payloads, version));
        for member in &mut members {
            member.reach(serial);
            assert_eq!(member.set, wanted[usize::from(member.has.version) - 1]);
        }
        if update % 10 == 0 {
            check(&payloads);
            gone += payloads.vrp_steps_from(&looked).1;
            looked = payloads.clone();
            switch.turn(address(update / 10));
        }
    }
    check(&payloads);
    for node in nodes {
        assert_eq!(node.answers("cache_reset"), 0);
    }
    let name = |node: &Node| {
        let status = node.cache.status();
        let serving = status.serving.unwrap();
        (serving.history, serving.serial)
    };
    assert_eq!(name(&leader), name(&first));
    assert_eq!(name(&leader), name(&second));
    if let Some(bird) = &bird {
        // What comes and goes within the updates that one increment spans is not there to be
        // removed; and nothing else is removed, as a reset would do it.
        let removed = bird.removed();
        assert!(
            (gone..=withdrawn).contains(&removed),
            "BIRD removed {removed}, expected {gone} to {withdrawn}"
        );
    }
    report(&format!(
        "chain: {ROUTERS} routers, {UPDATES} updates, moves between a leader, its follower and \
         that one's: no Cache Reset, equal sets after each update"
    ));
}
