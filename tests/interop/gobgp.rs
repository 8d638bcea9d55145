//! GoBGP, which speaks version 0 only.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::scenario::{Peer, Scenario, go_vrp, same};
use crate::support::payloads::{Payloads, Vrp};
use crate::support::process::{Process, run};
use crate::support::{free_port, program, temp_dir};

struct GoBgp {
    process: Process,
    /// Kept for as long as its log is read.
    _folder: tempfile::TempDir,
    api: u16,
}

impl Peer for GoBgp {
    const NAME: &'static str = "GoBGP";
    // It dials again 30 s after a refused connection.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn missing() -> Option<String> {
        (program("gobgpd").is_none() || program("gobgp").is_none()).then(|| "no GoBGP".to_owned())
    }

    fn start(port: u16) -> Self {
        let folder = temp_dir();
        let config = folder.path().join("gobgpd.toml");
        fs::write(
            &config,
            format!(
                "[global.config]\nas = 64500\nrouter-id = \"192.0.2.1\"\nport = -1\n\
                 [[rpki-servers]]\n[rpki-servers.config]\n\
                 address = \"127.0.0.1\"\nport = {port}\n"
            ),
        )
        .unwrap();
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

#[test]
fn gobgp_follows_load_update_and_restart() {
    let Some(mut run) = Scenario::<GoBgp>::begin(4) else {
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
