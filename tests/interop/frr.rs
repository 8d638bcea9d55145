//! FRR's bgpd with rtrlib.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::door::{Door, USER, Way};
use crate::scenario::{Peer, Scenario, same, vrp};
use crate::support::payloads::Payloads;
use crate::support::process::{Process, run};
use crate::support::{is_root, program, temp_dir};
use crate::table::{refuses, version};

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
    const PATIENCE: Duration = Duration::from_secs(30);

    fn name() -> String {
        format!("FRR {}", version(BGPD, &["--version"]))
    }

    fn missing() -> Option<String> {
        missing()
    }

    fn start(door: &Door) -> Self {
        let folder = temp_dir();
        // bgpd makes its socket as the user frr.
        let sockets = folder.path().join("vty");
        fs::create_dir(&sockets).unwrap();
        fs::set_permissions(&sockets, Permissions::from_mode(0o777)).unwrap();
        let config = folder.path().join("frr.conf");
        let at = door.port;
        let cache = match door.way {
            Way::Tcp => format!("127.0.0.1 {at}"),
            Way::SshKey => {
                // The user frr reads them, and the key must be nobody else's.
                let [key, known] = ["key", "known_hosts"].map(|name| folder.path().join(name));
                fs::copy(door.key().unwrap(), &key).unwrap();
                fs::copy(door.known_hosts(), &known).unwrap();
                let mut chown = Command::new("chown");
                run(
                    chown.arg("frr").args([&key, &known]),
                    Duration::from_secs(10),
                )
                .unwrap();
                let (key, known) = (key.display(), known.display());
                format!("127.0.0.1 {at} {USER} {key} {known}")
            }
            way => panic!("FRR has no option for {}", way.name()),
        };
        fs::write(&config, configuration(&format!("{cache} preference 1"))).unwrap();
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

fn configuration(cache: &str) -> String {
    format!(
        "rpki\n rpki polling_period 60\n rpki retry_interval 2\n rpki expire_interval 600\n \
         rpki cache {cache}\n exit\n!\n"
    )
}

#[test]
fn frr_follows_load_update_and_restart() {
    let Some(mut run) = Scenario::<Frr>::begin(Way::Tcp, 2) else {
        return;
    };
    run.update();
    run.restart();
    let log = run.peer.process.output();
    assert!(!log.contains("Error PDU"), "{log}");
}

/// As packaged, with its wrong SHA-256: what the server offers decides.
#[test]
fn frr_follows_load_update_and_restart_over_ssh() {
    let Some(mut run) = Scenario::<Frr>::begin(Way::SshKey, 21) else {
        return;
    };
    run.update();
    run.restart();
    let log = run.peer.process.output();
    assert!(!log.contains("Error PDU"), "{log}");
}

#[test]
fn frr_lacks_md5_tls_and_passwords() {
    let folder = temp_dir();
    let check = |name: &str, cache: &str| {
        let config = folder.path().join(name);
        fs::write(&config, configuration(cache)).unwrap();
        let mut command = Command::new("vtysh");
        command.args(["-C", "--inputfile"]).arg(config);
        command
    };
    for (way, cache) in [
        (
            Way::TcpMd5,
            "127.0.0.1 323 md5 password secret preference 1 md5",
        ),
        (Way::Tls, "tls 127.0.0.1 324 preference 1"),
        (Way::TlsCertificate, "tls 127.0.0.1 324 preference 1"),
        (
            Way::SshPassword,
            "127.0.0.1 22 rpki password secret known_hosts preference 1",
        ),
    ] {
        let mut usual = check("usual", "127.0.0.1 22 rpki key known_hosts preference 1");
        refuses::<Frr>(way, &mut usual, &mut check("wanted", cache));
    }
}
