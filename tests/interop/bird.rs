//! BIRD: the system's, which is 2.0 on Debian 12, and those of Debian 13, which take ASPAs.

use std::collections::BTreeSet;
use std::fs;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::door::{Door, USER, Way};
use crate::scenario::{Peer, Return, Scenario, same, vrp};
use crate::support::payloads::{Aspa, Payloads, Vrp};
use crate::support::process::{Process, run};
use crate::support::{Need, not_run, program, report, temp_dir};
use crate::table::{refuses, version};

/// Where the programs of Debian 13 are once `tests/peers/debian13` has fetched them.
const DEBIAN13: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/debian13/bin");

/// A version of BIRD.
trait Build {
    /// Whether it has tables of ASPAs, and so speaks version 2.
    const ASPAS: bool;

    /// Whether it keeps ASPAs that a full answer no longer has. VRPs it drops then.
    const HOARDS: bool;

    /// Its programs, `bird` and `birdc`.
    fn programs() -> Option<[PathBuf; 2]>;
}

struct System;

impl Build for System {
    const ASPAS: bool = false;
    const HOARDS: bool = false;

    fn programs() -> Option<[PathBuf; 2]> {
        Some([program("bird")?, program("birdc")?])
    }
}

struct Debian13<const GENERATION: u8>;

impl Build for Debian13<2> {
    const ASPAS: bool = true;
    const HOARDS: bool = true;

    fn programs() -> Option<[PathBuf; 2]> {
        debian13(2)
    }
}

impl Build for Debian13<3> {
    const ASPAS: bool = true;
    const HOARDS: bool = false;

    fn programs() -> Option<[PathBuf; 2]> {
        debian13(3)
    }
}

/// Why the programs of Debian 13 may be missing.
pub(crate) const NOT_FETCHED: &str = "tests/peers/debian13 has not fetched it";

/// The programs `bird` and `birdc` of Debian 13, of BIRD 2 or 3.
pub(crate) fn debian13(generation: u8) -> Option<[PathBuf; 2]> {
    let programs = ["bird", "birdc"].map(|name| format!("{DEBIAN13}/{name}{generation}").into());
    programs
        .iter()
        .all(|program: &PathBuf| program.is_file())
        .then_some(programs)
}

struct Bird<B> {
    process: Process,
    folder: tempfile::TempDir,
    build: PhantomData<B>,
}

impl<B: Build> Peer for Bird<B> {
    const SHOWS: &'static str = if B::ASPAS { "VRPs, ASPAs" } else { "VRPs" };
    // It waits its retry interval (2 s) after a lost connection, and again after a Cache Reset.
    // BIRD 3 takes a millisecond and more for each line of its log.
    const PATIENCE: Duration = Duration::from_secs(40);
    // Since 2.15.1 each connection begins with a full answer.
    const RETURN: Return = if B::ASPAS {
        Return::Begins
    } else {
        Return::Goes
    };

    fn name() -> String {
        let [bird, _] = B::programs().unwrap();
        format!("BIRD {}", version(bird.to_str().unwrap(), &["--version"]))
    }

    fn missing() -> Option<String> {
        let why = if B::ASPAS {
            NOT_FETCHED
        } else {
            "no bird and birdc"
        };
        B::programs().is_none().then(|| why.to_owned())
    }

    fn start(door: &Door) -> Self {
        let folder = temp_dir();
        let config = folder.path().join("bird.conf");
        fs::write(&config, configuration::<B>(door.port, &transport(door))).unwrap();
        let [bird, _] = B::programs().unwrap();
        let mut command = Command::new(bird);
        command
            .args(["-f", "-l", "-c"])
            .arg(&config)
            .arg("-s")
            .arg(folder.path().join("ctl"))
            .arg("-P")
            .arg(folder.path().join("pid"));
        let process = Process::start(&mut command, &folder.path().join("output"));
        Self {
            folder,
            process,
            build: PhantomData,
        }
    }

    fn check(&mut self, payloads: &Payloads) -> Result<(), String> {
        self.process.check()?;
        let mut held = self.vrps("r4")?;
        held.extend(self.vrps("r6")?);
        same(&payloads.vrps, &held)?;
        if B::ASPAS {
            let mut held = self.aspas()?;
            if B::HOARDS && self.full_answers() > 1 {
                let served: BTreeSet<u32> = payloads.aspas.iter().map(|a| a.customer).collect();
                held.retain(|aspa| served.contains(&aspa.customer));
            }
            same(&payloads.aspas, &held)?;
        }
        Ok(())
    }
}

fn configuration<B: Build>(port: u16, transport: &str) -> String {
    let (table, channel) = if B::ASPAS {
        ("aspa table at;", "aspa { table at; };")
    } else {
        ("", "")
    };
    format!(
        "log stderr all;\n\
         router id 192.0.2.1;\n\
         roa4 table r4; roa6 table r6; {table}\n\
         protocol device {{}}\n\
         protocol rpki c1 {{\n\
           debug {{ states, routes, events }};\n\
           roa4 {{ table r4; }}; roa6 {{ table r6; }}; {channel}\n\
           remote 127.0.0.1 port {port};\n\
           {transport}\n\
           retry 2;\n\
         }}\n"
    )
}

fn transport(door: &Door) -> String {
    match door.way {
        Way::Tcp => String::new(),
        Way::TcpMd5 => {
            let key = door.md5_key().unwrap();
            format!("transport tcp {{ authentication md5; password \"{key}\"; }};")
        }
        Way::SshKey => {
            let (key, known) = (door.key().unwrap(), door.known_hosts());
            format!(
                "transport ssh {{ bird private key {key:?}; remote public key {known:?}; \
                 user \"{USER}\"; }};"
            )
        }
        way => panic!("BIRD has no option for {}", way.name()),
    }
}

impl<B: Build> Bird<B> {
    fn show(&self, words: &[&str]) -> Result<String, String> {
        let [_, birdc] = B::programs().unwrap();
        let mut command = Command::new(birdc);
        command.arg("-s").arg(self.folder.path().join("ctl"));
        command.arg("show").args(words);
        run(&mut command, Duration::from_secs(10))
    }

    fn vrps(&self, table: &str) -> Result<BTreeSet<Vrp>, String> {
        let text = self.show(&["route", "table", table])?;
        // `192.0.2.0/24-24 AS64496  [c1 12:00:00.000] * (100)`
        text.lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (prefix, max_len) = words.next()?.split_once('-')?;
                let asn = words.next()?.strip_prefix("AS")?;
                Some(vrp(prefix, max_len, asn))
            })
            .collect()
    }

    fn aspas(&self) -> Result<BTreeSet<Aspa>, String> {
        let text = self.show(&["route", "table", "at", "all"])?;
        let mut aspas = BTreeSet::new();
        let mut customer = None;
        // `64496   [c1 12:00:00.000] * (100)`, and below it `aspa_providers: 64497 64498`.
        for line in text.lines() {
            let wrong = |_| format!("no ASPA: {line}");
            let (first, rest) = line.trim().split_once(' ').unwrap_or_default();
            if first == "aspa_providers:" {
                let providers = rest.split_whitespace().map(str::parse);
                aspas.insert(Aspa {
                    customer: customer.take().ok_or("providers of nobody")?,
                    providers: providers.collect::<Result<_, _>>().map_err(wrong)?,
                });
            } else if rest.contains("[c1 ") {
                customer = Some(first.parse().map_err(wrong)?);
            }
        }
        Ok(aspas)
    }

    /// How many VRPs its log says it has removed so far.
    fn removed(&self) -> usize {
        let vrp = |line: &&str| line.contains("c1.roa4 > ") || line.contains("c1.roa6 > ");
        let output = self.process.output();
        let lines = output.lines().filter(vrp);
        lines.filter(|line| line.contains("> removed")).count()
    }

    /// How many full answers it has asked for: since 2.15.1 each connection begins with one.
    fn full_answers(&self) -> usize {
        let connected = "from Connecting to Sync-Start state";
        self.process.output().matches(connected).count()
    }

    /// Its log speaks of no error report, in either direction.
    #[track_caller]
    fn told_no_error(&self) {
        const WORDS: [&str; 3] = ["Received Error", "Sending Error", "Fatal-Protocol-Error"];
        let output = self.process.output();
        let told = |line: &&str| WORDS.iter().any(|word| line.contains(word));
        let errors: Vec<&str> = output.lines().filter(told).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

/// First load and update.
fn updates<B: Build>(way: Way, seed: u64) -> Option<Scenario<Bird<B>>> {
    let mut run = Scenario::<Bird<B>>::begin(way, seed)?;
    assert_eq!(run.peer.removed(), 0, "the first load removed something");
    run.update();
    assert_eq!(
        run.peer.removed(),
        20,
        "an update removes what it withdraws"
    );
    run.peer.told_no_error();
    Some(run)
}

/// The same, and a restart of the server.
fn follows<B: Build>(seed: u64) -> Option<Scenario<Bird<B>>> {
    let mut run = updates::<B>(Way::Tcp, seed)?;
    run.restart();
    let removed = run.peer.removed() - 20;
    report(&format!(
        "interop: {} removed {removed} routes over a kill and restart on +10 −5",
        Bird::<B>::name()
    ));
    assert_eq!(
        removed, 5,
        "what is no longer served is removed, and nothing else"
    );
    run.peer.told_no_error();
    Some(run)
}

/// It does not take this transport in its configuration.
fn lacks<B: Build>(way: Way, transport: &str) {
    let folder = temp_dir();
    let [usual, wanted] = ["usual", "wanted"].map(|name| folder.path().join(name));
    fs::write(&usual, configuration::<B>(323, "")).unwrap();
    fs::write(&wanted, configuration::<B>(323, transport)).unwrap();
    let check = |config| {
        let [bird, _] = B::programs().unwrap_or_default();
        let mut command = Command::new(bird);
        command.args(["-p", "-c"]).arg(config);
        command
    };
    refuses::<Bird<B>>(way, &mut check(&usual), &mut check(&wanted));
}

fn lacks_tls_and_passwords<B: Build>() {
    lacks::<B>(Way::Tls, "transport tls {};");
    lacks::<B>(Way::TlsCertificate, "transport tls {};");
    let password = "transport ssh { password \"secret\"; user \"rpki\"; };";
    lacks::<B>(Way::SshPassword, password);
}

#[test]
fn bird_follows_load_update_and_restart() {
    follows::<System>(1);
}

/// BIRD 2.0 stops in the middle of an answer whose packets are too long for it.
#[test]
fn bird_follows_load_update_and_restart_over_ssh() {
    if let Some(mut run) = updates::<System>(Way::SshKey, 11) {
        run.restart();
        run.peer.told_no_error();
    }
}

#[test]
fn bird_2_0_lacks_md5_tls_and_passwords() {
    if Bird::<System>::missing().is_none() && Bird::<System>::name() != "BIRD 2.0" {
        return not_run("BIRD 2.0", Need::Peers, "the system's is another");
    }
    let md5 = "transport tcp { authentication md5; password \"secret\"; };";
    lacks::<System>(Way::TcpMd5, md5);
    lacks_tls_and_passwords::<System>();
}

#[test]
fn bird_2_17_follows_load_update_and_restart_with_aspas() {
    if let Some(run) = follows::<Debian13<2>>(7) {
        assert_eq!(run.peer.full_answers(), 2);
        let kept = run.peer.aspas().unwrap().len() - run.payloads.aspas.len();
        report(&format!(
            "interop: BIRD 2.17 keeps {kept} ASPAs that a full answer no longer has"
        ));
    }
}

#[test]
fn bird_2_17_follows_load_and_update_over_ssh() {
    updates::<Debian13<2>>(Way::SshKey, 12);
}

#[test]
fn bird_2_17_follows_load_and_update_with_md5() {
    updates::<Debian13<2>>(Way::TcpMd5, 13);
}

#[test]
fn bird_2_17_lacks_tls_and_passwords() {
    lacks_tls_and_passwords::<Debian13<2>>();
}

#[test]
fn bird_3_follows_load_update_and_restart_with_aspas() {
    follows::<Debian13<3>>(8);
}

#[test]
fn bird_3_follows_load_update_and_restart_over_ssh() {
    if let Some(mut run) = updates::<Debian13<3>>(Way::SshKey, 14) {
        run.restart();
        run.peer.told_no_error();
    }
}

#[test]
fn bird_3_follows_load_update_and_restart_with_md5() {
    if let Some(mut run) = updates::<Debian13<3>>(Way::TcpMd5, 15) {
        run.restart();
        run.peer.told_no_error();
    }
}

#[test]
fn bird_3_lacks_tls_and_passwords() {
    lacks_tls_and_passwords::<Debian13<3>>();
}
