//! Clients that fetch everything and end: rtrclient (rtrlib) and rtrdump (StayRTR).

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::scenario::{Peer, Scenario, go_vrp, same, vrp};
use crate::support::payloads::Payloads;
use crate::support::process::run;
use crate::support::{program, temp_dir};

/// How long one fetch may take.
const FETCH: Duration = Duration::from_secs(20);

struct RtrClient {
    port: u16,
}

impl Peer for RtrClient {
    const NAME: &'static str = "rtrclient";
    const PATIENCE: Duration = Duration::from_secs(30);

    fn missing() -> Option<String> {
        program("rtrclient")
            .is_none()
            .then(|| "no rtrclient".to_owned())
    }

    fn start(port: u16) -> Self {
        Self { port }
    }

    fn check(&mut self, payloads: &Payloads) -> Result<(), String> {
        let folder = temp_dir();
        let output = folder.path().join("out.csv");
        let mut command = Command::new(program("rtrclient").unwrap());
        command
            .args(["-e", "-t", "csvwithheader", "-o"])
            .arg(&output)
            .args(["tcp", "127.0.0.1", &self.port.to_string()]);
        run(&mut command, FETCH)?;
        let text = fs::read_to_string(output).map_err(|error| error.to_string())?;
        let held = text
            .lines()
            .skip(1)
            .filter(|line| !line.trim().is_empty())
            .map(|line| {
                let mut fields = line.split(',').map(str::trim);
                let mut next = || fields.next().unwrap_or_default();
                let (address, len, max_len) = (next(), next(), next());
                // 0.8 prints an AS of 2147483648 and more as a negative number.
                let asn: i64 = next().parse().map_err(|_| format!("no VRP: {line}"))?;
                let asn = if asn < 0 { asn + (1 << 32) } else { asn };
                vrp(&format!("{address}/{len}"), max_len, &asn.to_string())
            })
            .collect::<Result<_, _>>()?;
        same(&payloads.vrps, &held)
    }
}

struct RtrDump {
    port: u16,
}

impl Peer for RtrDump {
    const NAME: &'static str = "rtrdump";
    const PATIENCE: Duration = Duration::from_secs(30);

    fn missing() -> Option<String> {
        program("rtrdump")
            .is_none()
            .then(|| "no rtrdump".to_owned())
    }

    fn start(port: u16) -> Self {
        Self { port }
    }

    fn check(&mut self, payloads: &Payloads) -> Result<(), String> {
        let folder = temp_dir();
        let output = folder.path().join("out.json");
        let mut command = Command::new(program("rtrdump").unwrap());
        command
            .args(["-connect", &format!("127.0.0.1:{}", self.port)])
            .args(["-rtr.version", "1", "-file"])
            .arg(&output);
        run(&mut command, FETCH)?;
        let text = fs::read_to_string(output).map_err(|error| error.to_string())?;
        let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let rows = list["roas"].as_array().ok_or("no list")?;
        let held = rows
            .iter()
            .map(|row| {
                let prefix = row["prefix"].as_str().unwrap_or_default();
                go_vrp(
                    prefix,
                    &row["maxLength"].to_string(),
                    &row["asn"].to_string(),
                )
            })
            .collect::<Result<_, _>>()?;
        same(&payloads.vrps, &held)
    }
}

#[test]
fn rtrclient_fetches_load_update_and_restart() {
    let Some(mut run) = Scenario::<RtrClient>::begin(5) else {
        return;
    };
    run.update();
    run.restart();
}

#[test]
fn rtrdump_fetches_load_update_and_restart() {
    let Some(mut run) = Scenario::<RtrDump>::begin(6) else {
        return;
    };
    run.update();
    run.restart();
}
