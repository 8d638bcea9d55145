//! OpenBGPD. It shows how many distinct prefixes it holds, not which VRPs.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::door::{Door, Way};
use crate::scenario::{Peer, Scenario};
use crate::support::payloads::Payloads;
use crate::support::process::{Process, run};
use crate::support::{free_port, is_root, program, temp_dir};
use crate::table::{refuses, version};

/// `bgpd` elsewhere may be FRR's.
pub(crate) const BGPD: &str = "/usr/sbin/bgpd";

/// The folder that its unprivileged processes are confined to.
const HOME: &str = "/run/openbgpd";

pub(crate) fn missing() -> Option<String> {
    if !fs::exists(BGPD).unwrap_or(false) || program("bgpctl").is_none() {
        return Some("no OpenBGPD".to_owned());
    }
    (!is_root()).then(|| "OpenBGPD starts as root only".to_owned())
}

struct OpenBgpd {
    process: Process,
    folder: tempfile::TempDir,
}

impl Peer for OpenBgpd {
    const SHOWS: &'static str = "numbers of prefixes";
    // It waits up to 9 s after a Notify, after a Cache Reset and before it dials again.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name() -> String {
        format!("OpenBGPD {}", version(BGPD, &["-V"]))
    }

    fn missing() -> Option<String> {
        missing()
    }

    fn start(door: &Door) -> Self {
        fs::create_dir_all(HOME).unwrap();
        let folder = temp_dir();
        let config = folder.path().join("bgpd.conf");
        write(&config, &configuration(folder.path(), door.port, ""));
        let mut command = Command::new(BGPD);
        command.args(["-d", "-v", "-f"]).arg(&config);
        let process = Process::start(&mut command, &folder.path().join("output"));
        Self { folder, process }
    }

    fn check(&mut self, payloads: &Payloads) -> Result<(), String> {
        self.process.check()?;
        let mut command = Command::new(program("bgpctl").unwrap());
        command
            .args(["-j", "-s"])
            .arg(self.folder.path().join("ctl"))
            .args(["show", "sets"]);
        let text = run(&mut command, Duration::from_secs(10))?;
        let sets: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        let sets = sets["sets"].as_array().ok_or("no sets")?;
        let roas = sets
            .iter()
            .find(|set| set["name"] == "RPKI ROA")
            .ok_or("no set of ROAs")?;
        let held = (roas["num_IPv4"].as_u64(), roas["num_IPv6"].as_u64());
        let distinct = |v4: bool| {
            let prefixes: BTreeSet<_> = payloads
                .vrps
                .iter()
                .filter(|vrp| vrp.address.is_ipv4() == v4)
                .map(|vrp| (vrp.address, vrp.len))
                .collect();
            u64::try_from(prefixes.len()).ok()
        };
        let wanted = (distinct(true), distinct(false));
        if held == wanted {
            Ok(())
        } else {
            Err(format!(
                "{held:?} distinct prefixes held, {wanted:?} served"
            ))
        }
    }
}

fn configuration(folder: &Path, port: u16, rtr: &str) -> String {
    format!(
        "AS 64500\n\
         router-id 192.0.2.1\n\
         fib-update no\n\
         listen on 127.0.0.1 port {}\n\
         socket \"{}\"\n\
         rtr 127.0.0.1 {{\n descr \"rutter\"\n port {port}\n {rtr}\n}}\n",
        free_port(),
        folder.join("ctl").display()
    )
}

/// It takes no configuration that others can read.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn openbgpd_follows_load_update_and_restart() {
    let Some(mut run) = Scenario::<OpenBgpd>::begin(Way::Tcp, 3) else {
        return;
    };
    run.update();
    run.restart();
    let log = run.peer.process.output();
    let errors: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("received error") || line.contains("error report"))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn openbgpd_7_has_plain_tcp_only() {
    let folder = temp_dir();
    let check = |name: &str, rtr: &str| {
        let config = folder.path().join(name);
        write(&config, &configuration(folder.path(), 323, rtr));
        let mut command = Command::new(BGPD);
        command.args(["-n", "-f"]).arg(config);
        command
    };
    for (way, rtr) in [
        (Way::TcpMd5, "tcp md5sig password secret"),
        (Way::Tls, "tls"),
        (Way::TlsCertificate, "tls certificate \"router.crt\""),
        (Way::SshKey, "ssh key \"id_ed25519\""),
        (Way::SshPassword, "ssh password secret"),
    ] {
        let mut usual = check("usual", "local-address 127.0.0.1");
        refuses::<OpenBgpd>(way, &mut usual, &mut check("wanted", rtr));
    }
}
