//! Clients that fetch everything and end: rtrclient (rtrlib) and rtrdump (StayRTR).

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::door::{Door, USER, Way};
use crate::scenario::{Habit, Peer, Scenario, go_vrp, same, vrp};
use crate::support::payloads::Payloads;
use crate::support::process::run;
use crate::support::{program, temp_dir};
use crate::table::{packaged, refuses};

/// How long one fetch may take.
const FETCH: Duration = Duration::from_secs(20);

/// The words that bring a client in.
struct RtrClient {
    way: Vec<OsString>,
}

impl Peer for RtrClient {
    const HABIT: Habit = Habit::Fetch;
    const PATIENCE: Duration = Duration::from_secs(30);

    fn name() -> String {
        format!("rtrclient {}", packaged("rtr-tools"))
    }

    fn missing() -> Option<String> {
        program("rtrclient")
            .is_none()
            .then(|| "no rtrclient".to_owned())
    }

    fn start(door: &Door) -> Self {
        let port = door.port.to_string();
        let at = ["127.0.0.1", &port];
        let mut way: Vec<OsString> = Vec::new();
        match door.way {
            Way::Tcp => {
                way.push("tcp".into());
                way.extend(at.map(Into::into));
            }
            Way::SshKey => {
                way.push("ssh".into());
                way.extend(at.map(Into::into));
                way.push(USER.into());
                way.extend([door.key().unwrap().into(), door.known_hosts().into()]);
            }
            // It has no place for the host key then.
            Way::SshPassword => {
                way.extend(["ssh".into(), "-w".into()]);
                way.extend(at.map(Into::into));
                way.extend([USER.into(), door.password().unwrap().into()]);
            }
            way => panic!("rtrclient has no option for {}", way.name()),
        }
        Self { way }
    }

    fn check(&mut self, payloads: &Payloads) -> Result<(), String> {
        let folder = temp_dir();
        let output = folder.path().join("out.csv");
        let mut command = Command::new(program("rtrclient").unwrap());
        command
            .args(["-e", "-t", "csvwithheader", "-o"])
            .arg(&output)
            .args(&self.way);
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
    way: Vec<OsString>,
    /// The file of the CA, in the variable where Go's programs look.
    ca: PathBuf,
}

impl Peer for RtrDump {
    const HABIT: Habit = Habit::Fetch;
    const PATIENCE: Duration = Duration::from_secs(30);

    fn name() -> String {
        format!("rtrdump {}", packaged("stayrtr"))
    }

    fn missing() -> Option<String> {
        program("rtrdump")
            .is_none()
            .then(|| "no rtrdump".to_owned())
    }

    fn start(door: &Door) -> Self {
        let mut way: Vec<OsString> = vec!["-connect".into(), door.address().into()];
        let ssh = |method: &str| {
            let validate = ["-ssh.validate", "-ssh.validate.key"].map(OsString::from);
            let user = [
                "-type",
                "ssh",
                "-ssh.auth.user",
                USER,
                "-ssh.method",
                method,
            ];
            let mut way: Vec<OsString> = user.map(Into::into).into();
            way.extend(validate);
            way.push(door.fingerprint().into());
            way
        };
        match door.way {
            Way::Tcp => {}
            Way::Tls => way.extend(["-type".into(), "tls".into()]),
            Way::SshKey => {
                way.extend(ssh("key"));
                way.extend(["-ssh.auth.key".into(), door.key().unwrap().into()]);
            }
            Way::SshPassword => {
                way.extend(ssh("password"));
                way.extend(["-ssh.auth.password".into(), door.password().unwrap().into()]);
            }
            way => panic!("rtrdump has no option for {}", way.name()),
        }
        let ca = door.ca();
        Self { way, ca }
    }

    fn check(&mut self, payloads: &Payloads) -> Result<(), String> {
        let folder = temp_dir();
        let output = folder.path().join("out.json");
        let mut command = Command::new(program("rtrdump").unwrap());
        command
            .args(&self.way)
            .args(["-rtr.version", "1", "-file"])
            .arg(&output)
            .env("SSL_CERT_FILE", &self.ca);
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

/// First load and update.
fn updates<P: Peer>(way: Way, seed: u64) -> Option<Scenario<P>> {
    let mut run = Scenario::<P>::begin(way, seed)?;
    run.update();
    Some(run)
}

#[test]
fn rtrclient_fetches_load_update_and_restart() {
    if let Some(mut run) = updates::<RtrClient>(Way::Tcp, 5) {
        run.restart();
    }
}

#[test]
fn rtrclient_fetches_load_and_update_over_ssh() {
    updates::<RtrClient>(Way::SshKey, 51);
    updates::<RtrClient>(Way::SshPassword, 52);
}

#[test]
fn rtrclient_lacks_md5_and_tls() {
    for (way, words) in [
        (Way::TcpMd5, "tcp -m secret 127.0.0.1 323"),
        (Way::Tls, "tls 127.0.0.1 324"),
        (
            Way::TlsCertificate,
            "tls 127.0.0.1 324 router.crt router.key",
        ),
    ] {
        let mut usual = Command::new("rtrclient");
        let mut wanted = Command::new("rtrclient");
        wanted.args(words.split(' '));
        refuses::<RtrClient>(way, usual.arg("-l"), &mut wanted);
    }
}

#[test]
fn rtrdump_fetches_load_update_and_restart() {
    if let Some(mut run) = updates::<RtrDump>(Way::Tcp, 6) {
        run.restart();
    }
}

#[test]
fn rtrdump_fetches_load_and_update_over_tls() {
    updates::<RtrDump>(Way::Tls, 61);
}

#[test]
fn rtrdump_fetches_load_and_update_over_ssh() {
    updates::<RtrDump>(Way::SshKey, 62);
    updates::<RtrDump>(Way::SshPassword, 63);
}

#[test]
fn rtrdump_lacks_md5_and_certificates() {
    for (way, option) in [
        (Way::TcpMd5, "-tcp.md5=secret"),
        (Way::TlsCertificate, "-tls.certificate=router.crt"),
    ] {
        let mut usual = Command::new("rtrdump");
        let mut wanted = Command::new("rtrdump");
        wanted.args(["-version", option]);
        refuses::<RtrDump>(way, usual.arg("-version"), &mut wanted);
    }
}
