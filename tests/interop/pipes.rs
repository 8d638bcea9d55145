//! Programs that carry octets and know nothing of RTR: OpenSSH, paramiko, asyncssh and openssl.
//! What goes through them is the `rpki` crate's client, in version 2.

use std::process::Command;
use std::time::Duration;

use tokio::net::UnixStream;

use crate::door::{Door, USER, Way};
use crate::held::load_and_update;
use crate::support::process::{Process, run};
use crate::support::{Need, not_run, program, temp_dir};
use crate::table::version;

/// The interpreter that has Debian's packages; another one may come first in the path.
const PYTHON: &str = "/usr/bin/python3";

/// A program, and how it is told of a door.
struct Carrier {
    name: fn() -> String,
    missing: fn() -> Option<String>,
    command: fn(&Door) -> Command,
}

const OPENSSH: Carrier = Carrier {
    name: || format!("OpenSSH {}", version("ssh", &["-V"])),
    missing: || program("ssh").is_none().then(|| "no ssh".to_owned()),
    command: openssh,
};

const OPENSSL: Carrier = Carrier {
    name: || format!("openssl {}", version("openssl", &["version"])),
    missing: || {
        program("openssl")
            .is_none()
            .then(|| "no openssl".to_owned())
    },
    command: openssl,
};

const PARAMIKO: Carrier = Carrier {
    name: || {
        format!(
            "paramiko {}",
            version(PYTHON, &["-Wignore", "-c", &show("paramiko")])
        )
    },
    missing: || lacks("paramiko"),
    command: |door| python("paramiko_pipe.py", door),
};

const ASYNCSSH: Carrier = Carrier {
    name: || {
        format!(
            "asyncssh {}",
            version(PYTHON, &["-Wignore", "-c", &show("asyncssh")])
        )
    },
    missing: || lacks("asyncssh"),
    command: |door| python("asyncssh_pipe.py", door),
};

fn openssh(door: &Door) -> Command {
    let mut command = Command::new("ssh");
    let known_hosts = door.known_hosts();
    command
        .args(["-F", "none", "-o", "StrictHostKeyChecking=yes"])
        // New keys in the middle of the first answer.
        .args(["-o", "RekeyLimit=16K"])
        .args([
            "-o",
            &format!("UserKnownHostsFile={}", known_hosts.display()),
        ])
        .args([
            "-o",
            "GlobalKnownHostsFile=none",
            "-o",
            "IdentitiesOnly=yes",
        ])
        .args(["-p", &door.port.to_string()]);
    match door.key() {
        Some(key) => command.args(["-o", "BatchMode=yes", "-i"]).arg(key),
        None => command
            .args(["-o", "PreferredAuthentications=password"])
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("SSH_ASKPASS", door.askpass()),
    };
    command.args(["-s", &format!("{USER}@127.0.0.1"), "rpki-rtr"]);
    command
}

fn openssl(door: &Door) -> Command {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-quiet", "-nocommands", "-verify_return_error"])
        .args(["-verify_ip", "127.0.0.1", "-connect", &door.address()])
        .arg("-CAfile")
        .arg(door.ca());
    if let Some([chain, key]) = door.certificate() {
        command.arg("-cert").arg(chain).arg("-key").arg(key);
    }
    command
}

/// A script beside this file, with the port, the user, the known hosts, and what is shown.
fn python(script: &str, door: &Door) -> Command {
    let mut command = Command::new(PYTHON);
    command
        .args(["-W", "ignore"])
        .arg(format!(
            "{}/tests/interop/{script}",
            env!("CARGO_MANIFEST_DIR")
        ))
        .args([&door.port.to_string(), USER])
        .arg(door.known_hosts());
    match door.key() {
        Some(key) => command.arg("key").arg(key),
        None => command.arg("password").arg(door.password_file()),
    };
    command
}

fn show(module: &str) -> String {
    format!("import {module}; print({module}.__version__)")
}

fn lacks(module: &str) -> Option<String> {
    let mut command = Command::new(PYTHON);
    command.args(["-W", "ignore", "-c", &format!("import {module}")]);
    let had = run(&mut command, Duration::from_secs(20));
    had.err().map(|_| format!("no {module} for {PYTHON}"))
}

/// First load and update through the program.
async fn follows(carrier: &Carrier, way: Way, seed: u64) {
    if let Some(why) = (carrier.missing)() {
        return not_run(&format!("a client over {}", way.name()), Need::Peers, &why);
    }
    let folder = temp_dir();
    let connect = async |door: &Door| {
        let mut command = (carrier.command)(door);
        let (process, socket) = Process::piped(&mut command, &folder.path().join("errors"));
        socket.set_nonblocking(true).unwrap();
        (UnixStream::from_std(socket).unwrap(), process)
    };
    load_and_update(&(carrier.name)(), way, seed, connect).await;
}

#[tokio::test]
async fn openssh_carries_load_and_update() {
    follows(&OPENSSH, Way::SshKey, 71).await;
    follows(&OPENSSH, Way::SshPassword, 72).await;
}

#[tokio::test]
async fn paramiko_carries_load_and_update() {
    follows(&PARAMIKO, Way::SshKey, 73).await;
    follows(&PARAMIKO, Way::SshPassword, 74).await;
}

#[tokio::test]
async fn asyncssh_carries_load_and_update() {
    follows(&ASYNCSSH, Way::SshKey, 75).await;
    follows(&ASYNCSSH, Way::SshPassword, 76).await;
}

#[tokio::test]
async fn openssl_carries_load_and_update() {
    follows(&OPENSSL, Way::Tls, 77).await;
    follows(&OPENSSL, Way::TlsCertificate, 78).await;
}
