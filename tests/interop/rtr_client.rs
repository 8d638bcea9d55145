//! rpki-rtr-client of PyPI: no router, but it follows a cache for as long as it runs.
//!
//! It writes each change that it takes into a file, asks again when the refresh interval is over
//! and not when it is told to, and never recovers from Cache Reset.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::door::{Door, Way};
use crate::scenario::{Peer, Scenario, same, vrp};
use crate::support::payloads::{Payloads, Vrp};
use crate::support::process::{Process, run};
use crate::support::temp_dir;

struct RtrClient {
    process: Process,
    folder: tempfile::TempDir,
}

fn program() -> PathBuf {
    let at = "/target/peers/pypi/bin/rtr_client";
    PathBuf::from([env!("CARGO_MANIFEST_DIR"), at].concat())
}

impl Peer for RtrClient {
    // The server's refresh interval is a minute. It waits a minute more when it has asked before
    // the list was read.
    const PATIENCE: Duration = Duration::from_secs(150);

    fn name() -> String {
        // Its version is an error to it.
        let mut command = Command::new("sh");
        command.args(["-c", "\"$0\" --version 2>&1; true"]);
        let text = run(command.arg(program()), Duration::from_secs(20)).unwrap();
        let version = text.rsplit("version: ").next().unwrap().trim().to_owned();
        let (short, _) = version.rsplit_once('.').unwrap();
        format!("rpki-rtr-client {short}")
    }

    fn missing() -> Option<String> {
        let why = "tests/peers/pypi has not fetched it";
        (!program().exists()).then(|| why.to_owned())
    }

    fn start(door: &Door) -> Self {
        let folder = temp_dir();
        let mut command = Command::new(program());
        command
            .args(["--host=127.0.0.1", &format!("--port={}", door.port)])
            // It computes with a fifth of that, and takes whole numbers only.
            .arg("--timeout=5")
            .current_dir(folder.path());
        let process = Process::start(&mut command, &folder.path().join("output"));
        Self { process, folder }
    }

    fn check(&mut self, payloads: &Payloads) -> Result<(), String> {
        self.process.check()?;
        same(&payloads.vrps, &self.held()?)
    }
}

impl RtrClient {
    /// What all its files amount to.
    fn held(&self) -> Result<BTreeSet<Vrp>, String> {
        let mut files = BTreeSet::new();
        let months = fs::read_dir(self.folder.path().join("data"));
        for month in months.into_iter().flatten().flatten() {
            let changes = fs::read_dir(month.path());
            files.extend(changes.into_iter().flatten().flatten().map(|f| f.path()));
        }
        let mut held = BTreeSet::new();
        // Their names begin with the time.
        for file in files {
            let (gone, come) = (changes(&file, "withdraw")?, changes(&file, "announce")?);
            for vrp in gone {
                held.remove(&vrp);
            }
            held.extend(come);
        }
        Ok(held)
    }
}

fn changes(file: &Path, kind: &str) -> Result<Vec<Vrp>, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    // It may be written just now.
    let change: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let list = change["routes"][kind].as_array().ok_or("no routes")?;
    let each = list.iter().map(|route| {
        let prefix = route["ip"].as_str().unwrap_or_default();
        let (_, len) = prefix.split_once('/').unwrap_or_default();
        let max_len = route["maxlen"].as_u64();
        let max_len = max_len.map_or_else(|| len.to_owned(), |len| len.to_string());
        vrp(prefix, &max_len, &route["asn"].to_string())
    });
    each.collect()
}

#[test]
fn rpki_rtr_client_follows_load_update_and_restart() {
    let Some(mut run) = Scenario::<RtrClient>::begin(Way::Tcp, 71) else {
        return;
    };
    run.update();
    run.restart();
}
