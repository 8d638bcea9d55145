//! FRR's bgpd with rtrlib.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::scenario::{Peer, Scenario, same, vrp};
use crate::support::payloads::Payloads;
use crate::support::process::{Process, run};
use crate::support::{is_root, program, temp_dir};

/// `bgpd` in the search path is OpenBGPD's.
const BGPD: &str = "/usr/lib/frr/bgpd";

fn missing() -> Option<String> {
    if !Path::new(BGPD).is_file() || program("vtysh").is_none() {
        return Some("no FRR".to_owned());
    }
    let module = fs::read_dir("/usr/lib").is_ok_and(|folders| {
        folders
            .flatten()
            .any(|folder| folder.path().join("frr/modules/bgpd_rpki.so").is_file())
    });
    if !module {
        return Some("no RPKI module of FRR".to_owned());
    }
    (!is_root()).then(|| "FRR's bgpd starts as root only".to_owned())
}

struct Frr {
    process: Process,
    folder: tempfile::TempDir,
}

impl Peer for Frr {
    const NAME: &'static str = "FRR";
    const PATIENCE: Duration = Duration::from_secs(30);

    fn missing() -> Option<String> {
        missing()
    }

    fn start(port: u16) -> Self {
        let folder = temp_dir();
        // bgpd makes its socket as the user frr.
        let sockets = folder.path().join("vty");
        fs::create_dir(&sockets).unwrap();
        fs::set_permissions(&sockets, Permissions::from_mode(0o777)).unwrap();
        let config = folder.path().join("frr.conf");
        fs::write(
            &config,
            format!(
                "rpki\n rpki polling_period 60\n rpki retry_interval 2\n \
                 rpki expire_interval 600\n \
                 rpki cache 127.0.0.1 {port} preference 1\n exit\n!\n"
            ),
        )
        .unwrap();
        let mut command = Command::new(BGPD);
        command
            .args(["-Z", "-p", "0", "-l", "127.0.0.1", "-A", "127.0.0.1"])
            .args(["-P", "0", "-M", "rpki", "-f"])
            .arg(&config)
            .arg("-i")
            .arg(sockets.join("pid"))
            .arg("--vty_socket")
            .arg(&sockets);
        let process = Process::start(&mut command, &folder.path().join("output"));
        Self { folder, process }
    }

    fn check(&mut self, payloads: &Payloads) -> Result<(), String> {
        self.process.check()?;
        let mut command = Command::new(program("vtysh").unwrap());
        command
            .arg("--vty_socket")
            .arg(self.folder.path().join("vty"))
            .args(["-d", "bgpd", "-c", "show rpki prefix-table json"]);
        let text = run(&mut command, Duration::from_secs(10))?;
        let table: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        let rows = table["prefixes"].as_array().ok_or("no table")?;
        let held = rows
            .iter()
            .map(|row| {
                let prefix = row["prefix"].as_str().unwrap_or_default();
                let len = &row["prefixLenMin"];
                vrp(
                    &format!("{prefix}/{len}"),
                    &row["prefixLenMax"].to_string(),
                    &row["asn"].to_string(),
                )
            })
            .collect::<Result<_, _>>()?;
        same(&payloads.vrps, &held)
    }
}

#[test]
fn frr_follows_load_update_and_restart() {
    let Some(mut run) = Scenario::<Frr>::begin(2) else {
        return;
    };
    run.update();
    run.restart();
    let log = run.peer.process.output();
    assert!(!log.contains("Error PDU"), "{log}");
}
