//! The SSH server against OpenSSH.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use std::{fs, thread};

use bytes::Bytes;
use rutter::net::ssh::{Algorithms, HostKeys, Keys, Passwords, ServerOptions, SshAcceptor};
use rutter::net::{
    Acceptor, Identity, Listener, Peer, Reason, Refused, Stream, TcpOptions, Transport,
};
use tokio::runtime::Runtime;

use super::pki;
use crate::support::{Need, not_run, program, temp_dir};

/// More than a key exchange of code that is not optimised takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The octets of an answer: some dozens of packets and keys.
const OCTETS: usize = 1 << 20;

/// A server that answers each query of 8 octets with the same image, and ends with the client's.
struct Server {
    address: SocketAddr,
    accepted: Receiver<Result<Identity, Refused>>,
    folder: tempfile::TempDir,
    /// It stops with this.
    _runtime: Runtime,
}

/// Whether the programs are there.
fn programs(what: &str) -> bool {
    let found = program("ssh").is_some() && program("ssh-keygen").is_some();
    if !found {
        not_run(what, Need::Peers, "no ssh");
    }
    found
}

fn image() -> Bytes {
    let octets = (0..OCTETS).map(|index| u8::try_from(index % 251).unwrap());
    octets.collect()
}

impl Server {
    fn start() -> Self {
        let folder = temp_dir();
        let mut authorized = String::new();
        for (name, options) in KEYS {
            let mut keygen = Command::new("ssh-keygen");
            keygen
                .args(["-q", "-N", "", "-C", "", "-f"])
                .arg(folder.path().join(name));
            assert!(keygen.args(*options).status().unwrap().success());
            authorized += &fs::read_to_string(folder.path().join(format!("{name}.pub"))).unwrap();
        }
        let keys = secret(folder.path(), "authorized_keys", &authorized);
        let options = ServerOptions {
            host_keys: HostKeys::Files(vec![folder.path().join("host_ed25519")]),
            keys: Some(Keys::Authorized(vec![keys])),
            passwords: Some(Passwords::Single {
                user: "xr".into(),
                file: secret(folder.path(), "password", "secret"),
            }),
            algorithms: Algorithms::default(),
            auth_attempts: 6,
        };
        let acceptor = Acceptor::Ssh(SshAcceptor::load(&options).unwrap());
        let runtime = Runtime::new().unwrap();
        let _entered = runtime.enter();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &TcpOptions::default());
        let listener = listener.unwrap();
        let address = listener.address();
        let (tell, accepted) = channel();
        runtime.spawn(async move {
            loop {
                let (socket, address) = listener.accept().await;
                let (acceptor, tell) = (acceptor.clone(), tell.clone());
                tokio::spawn(async move {
                    let peer = Peer::new(address, Transport::Ssh);
                    let (stream, result) = match acceptor.accept(socket, peer).await {
                        Ok((stream, identity)) => (Some(stream), Ok(identity)),
                        Err(refused) => (None, Err(refused)),
                    };
                    let _ = tell.send(result);
                    if let Some(stream) = stream {
                        // The client sees how it ends.
                        let _ = serve(stream).await;
                    }
                });
            }
        });
        Self {
            address,
            accepted,
            folder,
            _runtime: runtime,
        }
    }

    /// OpenSSH, which asks nobody anything.
    fn ssh(&self, key: &str, options: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
        ]);
        ssh.args([
            "-o",
            "LogLevel=ERROR",
            "-o",
            "StrictHostKeyChecking=accept-new",
        ]);
        let known = self.folder.path().join("known_hosts");
        ssh.arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()));
        ssh.arg("-i").arg(self.folder.path().join(key));
        ssh.args(["-p", &self.address.port().to_string()])
            .args(options);
        ssh.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ssh
    }

    /// One query and its answer over the subsystem.
    fn query(&self, key: &str, options: &[&str]) -> Output {
        let mut ssh = self.ssh(key, options);
        let mut ssh = ssh
            .args(["-s", "router@127.0.0.1", "rpki-rtr"])
            .spawn()
            .unwrap();
        // Refused, it may be gone before.
        let _ = ssh.stdin.take().unwrap().write_all(&[0; 8]);
        ssh.wait_with_output().unwrap()
    }

    fn accepted(&self) -> Result<Identity, Refused> {
        self.accepted.recv_timeout(PATIENCE).unwrap()
    }
}

/// The keys of the user.
const KEYS: &[(&str, &[&str])] = &[
    ("ed25519", &["-t", "ed25519"]),
    ("p384", &["-t", "ecdsa", "-b", "384"]),
    ("rsa", &["-t", "rsa", "-b", "2048"]),
];

fn secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    pki::secret(&path, text);
    path
}

async fn serve(mut stream: Stream) -> io::Result<()> {
    let mut input = [0; 4096];
    let mut asked = 0;
    loop {
        let octets = stream.recv(&mut input).await?;
        if octets == 0 {
            stream.finish().await;
            return Ok(());
        }
        let before = asked / 8;
        asked += octets;
        for _ in before..asked / 8 {
            let mut octets = image();
            while !octets.is_empty() {
                stream.send(&mut octets).await?;
            }
        }
    }
}

#[test]
fn a_query_is_answered_with_every_key_cipher_and_exchange_that_is_offered() {
    if !programs("OpenSSH, algorithms") {
        return;
    }
    let server = Server::start();
    let host = server.folder.path().join("known_hosts");
    for (key, options) in [
        ("ed25519", &[][..]),
        ("p384", &["-o", "KexAlgorithms=ecdh-sha2-nistp521"]),
        (
            "rsa",
            &["-o", "KexAlgorithms=diffie-hellman-group16-sha512"],
        ),
        ("ed25519", &["-c", "aes256-gcm@openssh.com"]),
        (
            "ed25519",
            &["-c", "aes128-gcm@openssh.com", "-o", "RekeyLimit=64K"],
        ),
        (
            "ed25519",
            &["-c", "aes256-ctr", "-m", "hmac-sha2-512-etm@openssh.com"],
        ),
        ("ed25519", &["-c", "aes128-ctr", "-m", "hmac-sha2-512"]),
        ("ed25519", &["-o", "RekeyLimit=64K"]),
        // The key of the host is still the same.
        ("ed25519", &["-o", "StrictHostKeyChecking=yes"]),
    ] {
        let output = server.query(key, options);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{options:?}: {said}");
        assert_eq!(said, "", "{options:?}");
        assert!(
            output.stdout == image(),
            "{options:?}: {}",
            output.stdout.len()
        );
        assert_eq!(server.accepted(), Ok(Identity::User("router".into())));
        assert_eq!(fs::read_to_string(&host).unwrap().lines().count(), 1);
    }
}

#[test]
fn what_is_not_the_subsystem_fails() {
    if !programs("OpenSSH, refusals") {
        return;
    }
    let server = Server::start();
    for (arguments, why) in [
        (
            &["router@127.0.0.1", "id"][..],
            "user `router` asked for a command",
        ),
        (&["router@127.0.0.1"], "user `router` asked for a shell"),
        (
            &["-tt", "router@127.0.0.1"],
            "user `router` asked for a shell",
        ),
        (
            &["-s", "router@127.0.0.1", "sftp"],
            "user `router` asked for the subsystem `sftp`",
        ),
        (
            &["-W", "127.0.0.1:22", "router@127.0.0.1"],
            "user `router` asked for nothing",
        ),
        (
            &[
                "-N",
                "-o",
                "ExitOnForwardFailure=yes",
                "-R",
                "9:127.0.0.1:9",
                "router@127.0.0.1",
            ],
            "user `router` asked for nothing",
        ),
    ] {
        let output = server.ssh("ed25519", arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let refused = server.accepted().unwrap_err();
        assert_eq!(refused.reason, Reason::Subsystem, "{arguments:?}");
        assert_eq!(refused.detail(), why, "{arguments:?}");
    }
    let output = server.query("ed25519", &["-o", "KexAlgorithms=curve25519-sha256"]);
    assert!(!output.status.success());
    assert_eq!(server.accepted().unwrap_err().reason, Reason::Algorithms);
    let stranger = server.folder.path().join("stranger");
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-N", "", "-t", "ed25519", "-f"])
        .arg(&stranger);
    assert!(keygen.status().unwrap().success());
    let output = server.query("stranger", &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("Permission denied (publickey,password)"),
        "{said}"
    );
    assert_eq!(server.accepted().unwrap_err().reason, Reason::UnknownKey);
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// OpenSSH opens its window only as its own reader takes octets, and goes on reading our queries
/// and giving them to the server meanwhile.
#[test]
fn queries_are_taken_while_the_window_is_shut() {
    if !programs("OpenSSH, a shut window") {
        return;
    }
    let server = Server::start();
    let mut ssh = server.ssh("ed25519", &["-s", "router@127.0.0.1", "rpki-rtr"]);
    let mut ssh = Running(ssh.spawn().unwrap());
    let mut stdin = ssh.0.stdin.take().unwrap();
    let mut stdout = ssh.0.stdout.take().unwrap();
    let mut first = vec![0; 1];
    stdin.write_all(&[0; 8 * 8]).unwrap();
    stdout.read_exact(&mut first).unwrap();
    // 8 answers are more than its window of 2 MiB, so the server waits.
    for _ in 0..8 {
        stdin.write_all(&[0; 8]).unwrap();
    }
    drop(stdin);
    let reader = thread::spawn(move || stdout.read_to_end(&mut first).map(|_| first));
    let got = reader.join().unwrap().unwrap();
    assert_eq!(got.len(), 16 * OCTETS);
    assert!(got == image().repeat(16));
    assert!(ssh.0.wait().unwrap().success());
    assert!(server.accepted().is_ok());
}

/// libssh signs with an RSA key only if our extensions came with our NEWKEYS.
#[test]
fn libssh_logs_in_with_every_kind_of_key() {
    if program("rtrclient").is_none() || !programs("libssh, keys") {
        return not_run("libssh, keys", Need::Peers, "no rtrclient");
    }
    let server = Server::start();
    for (key, _) in KEYS {
        let mut client = Command::new("rtrclient");
        let port = server.address.port().to_string();
        client.args(["ssh", "127.0.0.1", &port, "router"]);
        client.arg(server.folder.path().join(key));
        client.stdout(Stdio::null()).stderr(Stdio::null());
        let client = Running(client.spawn().unwrap());
        // Our octets are no answer to it, so it hangs up.
        assert_eq!(
            server.accepted(),
            Ok(Identity::User("router".into())),
            "{key}"
        );
        drop(client);
    }
}
