//! OpenBGPD. It shows how many distinct prefixes it holds, not which VRPs.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::scenario::{Peer, Scenario};
use crate::support::payloads::Payloads;
use crate::support::process::{Process, run};
use crate::support::{free_port, is_root, program, temp_dir};

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
    const NAME: &'static str = "OpenBGPD";
    // It waits up to 9 s after a Notify, after a Cache Reset and before it dials again.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn missing() -> Option<String> {
        missing()
    }

    fn start(port: u16) -> Self {
        fs::create_dir_all(HOME).unwrap();
        let folder = temp_dir();
        let config = folder.path().join("bgpd.conf");
        fs::write(
            &config,
            format!(
                "AS 64500\n\
                 router-id 192.0.2.1\n\
                 fib-update no\n\
                 listen on 127.0.0.1 port {}\n\
                 socket \"{}\"\n\
                 rtr 127.0.0.1 {{\n descr \"rutter\"\n port {port}\n}}\n",
                free_port(),
                folder.path().join("ctl").display()
            ),
        )
        .unwrap();
        fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
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

#[test]
fn openbgpd_follows_load_update_and_restart() {
    let Some(mut run) = Scenario::<OpenBgpd>::begin(3) else {
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
