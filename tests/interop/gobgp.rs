//! GoBGP, which speaks version 0 only.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::door::{Door, Way};
use crate::scenario::{Peer, Return, Scenario, go_vrp, same};
use crate::support::payloads::{Payloads, Vrp};
use crate::support::process::{Process, run};
use crate::support::{free_port, program, temp_dir};
use crate::table::{refuses, version};

struct GoBgp {
    process: Process,
    /// Kept for as long as its log is read.
    _folder: tempfile::TempDir,
    api: u16,
}

impl Peer for GoBgp {
    // It dials again 30 s after a refused connection.
    const PATIENCE: Duration = Duration::from_secs(60);
    const RETURN: Return = Return::Begins;

    fn name() -> String {
        format!("GoBGP {}", version("gobgpd", &["--version"]))
    }

    fn missing() -> Option<String> {
        (program("gobgpd").is_none() || program("gobgp").is_none()).then(|| "no GoBGP".to_owned())
    }

    fn start(door: &Door) -> Self {
        let folder = temp_dir();
        let config = folder.path().join("gobgpd.toml");
        fs::write(&config, configuration(door.port, "")).unwrap();
        let api = free_port();
        let mut command = Command::new(program("gobgpd").unwrap());
        command
            .arg("-f")
            .arg(&config)
            .args(["--api-hosts", &format!("127.0.0.1:{api}")])
            .arg("--pprof-disable");
        let process = Process::start(&mut command, &folder.path().join("output"));
        Self {
            _folder: folder,
            process,
            api,
        }
    }

    fn check(&mut self, payloads: &Payloads) -> Result<(), String> {
        self.process.check()?;
        let mut held = self.table("ipv4")?;
        held.extend(self.table("ipv6")?);
        same(&payloads.vrps, &held)
    }
}

impl GoBgp {
    fn ask(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program("gobgp").unwrap());
        command
            .args(["-p", &self.api.to_string(), "rpki"])
            .args(words);
        run(&mut command, Duration::from_secs(10))
    }

    fn table(&self, family: &str) -> Result<BTreeSet<Vrp>, String> {
        let text = self.ask(&["table", "-a", family])?;
        // `192.0.2.0/24       24     64496      127.0.0.1:323`, below a line of headings.
        text.lines()
            .filter(|line| line.contains('/'))
            .map(|line| {
                let mut words = line.split_whitespace();
                let mut next = || words.next().unwrap_or_default();
                go_vrp(next(), next(), next())
            })
            .collect()
    }

    /// A counter of its session, such as `Error`.
    fn counter(&self, name: &str) -> Option<u32> {
        let text = self.ask(&["server", "127.0.0.1"]).ok()?;
        let line = text.lines().find(|line| line.trim().starts_with(name))?;
        line.split_whitespace().last()?.parse().ok()
    }
}

fn configuration(port: u16, server: &str) -> String {
    format!(
        "[global.config]\nas = 64500\nrouter-id = \"192.0.2.1\"\nport = -1\n\
         [[rpki-servers]]\n[rpki-servers.config]\n\
         address = \"127.0.0.1\"\nport = {port}\n{server}\n"
    )
}

#[test]
fn gobgp_follows_load_update_and_restart() {
    let Some(mut run) = Scenario::<GoBgp>::begin(Way::Tcp, 4) else {
        return;
    };
    run.update();
    assert_eq!(
        run.peer.counter("ResetQuery:"),
        Some(1),
        "an update is an increment"
    );
    run.restart();
    assert_eq!(run.peer.counter("Error:"), Some(0));
}

#[test]
fn gobgp_has_tcp_only() {
    let folder = temp_dir();
    let check = |name: &str, server: &str| {
        let config = folder.path().join(name);
        fs::write(&config, configuration(323, server)).unwrap();
        let mut command = Command::new("gobgpd");
        command.args(["-d", "-f"]).arg(config);
        command
    };
    for (way, server) in [
        (Way::TcpMd5, "auth-password = \"secret\""),
        (Way::Tls, "tls = true"),
        (Way::TlsCertificate, "tls-cert-file = \"router.crt\""),
        (Way::SshKey, "ssh-key-file = \"id_ed25519\""),
        (Way::SshPassword, "ssh-password = \"secret\""),
    ] {
        let mut usual = check("usual", "record-lifetime = 3600");
        refuses::<GoBgp>(way, &mut usual, &mut check("wanted", server));
    }
}
