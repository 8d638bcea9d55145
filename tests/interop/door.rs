//! The ways into the server: transports, and what somebody shows on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::payloads::Payloads;
use crate::support::process::run;
use crate::support::server::RtrServer;
use crate::support::temp_dir;

/// The SSH user.
pub(crate) const USER: &str = "rpki";

/// A transport, and what a client shows on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    Tcp,
    /// Segments that are signed (RFC 2385).
    TcpMd5,
    /// With a client that shows no certificate.
    Tls,
    TlsCertificate,
    SshKey,
    SshPassword,
}

impl Way {
    /// All of them, in the order of the table's columns.
    pub(crate) const ALL: [Self; 6] = [
        Self::Tcp,
        Self::TcpMd5,
        Self::Tls,
        Self::TlsCertificate,
        Self::SshKey,
        Self::SshPassword,
    ];

    /// As the table has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::TcpMd5 => "TCP, MD5 key",
            Self::Tls => "TLS",
            Self::TlsCertificate => "TLS, certificate",
            Self::SshKey => "SSH, key",
            Self::SshPassword => "SSH, password",
        }
    }

    /// What is made in a folder for it.
    const fn script(self) -> &'static str {
        match self {
            Self::Tcp => "",
            Self::TcpMd5 => "certs secret . md5.key",
            Self::Tls => {
                "certs ca .
                 certs server . server --dns localhost --ip 127.0.0.1"
            }
            Self::TlsCertificate => {
                "certs ca .
                 certs server . server --dns localhost --ip 127.0.0.1
                 certs router . router --dns router.example --ip 127.0.0.1"
            }
            Self::SshKey => {
                "certs ssh-host . --ip 127.0.0.1
                 certs ssh-router . router --from 127.0.0.0/8"
            }
            Self::SshPassword => {
                "certs ssh-host . --ip 127.0.0.1
                 certs secret . password
                 certs user . rpki <password
                 printf '#!/bin/sh\\ncat \"%s/password\"\\n' \"$PWD\" >askpass
                 chmod 700 askpass"
            }
        }
    }

    /// The keys of its listener, but for the address.
    fn listener(self, folder: &Path) -> String {
        let file = |name: &str| format!("{:?}", folder.join(name));
        let tls = || {
            let (certificate, key) = (file("server.crt"), file("server.key"));
            format!("transport = \"tls\"\ncertificate = {certificate}\nkey = {key}\n")
        };
        let ssh = |keys: &str| {
            let host = file("ssh_host_ed25519_key");
            format!("transport = \"ssh\"\nhost-keys = [{host}]\n{keys}\n")
        };
        match self {
            Self::Tcp => String::new(),
            Self::TcpMd5 => format!(
                "md5 = [{{ prefix = \"127.0.0.1/32\", key-file = {} }}]\n",
                file("md5.key")
            ),
            Self::Tls => tls(),
            Self::TlsCertificate => format!(
                "{}client-ca = {}\ncrl = {}\n",
                tls(),
                file("ca.crt"),
                file("ca.crl")
            ),
            Self::SshKey => ssh(&format!(
                "auth = [\"publickey\"]\nauthorized-keys = {}",
                file("authorized_keys")
            )),
            Self::SshPassword => ssh(&format!(
                "auth = [\"password\"]\nusers = {}",
                file("ssh-users")
            )),
        }
    }
}

/// Where the server listens, and what is needed to come in.
pub(crate) struct Door {
    pub(crate) way: Way,
    /// The port of 127.0.0.1.
    pub(crate) port: u16,
    folder: TempDir,
}

impl Door {
    /// Makes keys and certificates, and starts a server with them.
    #[track_caller]
    pub(crate) fn open(way: Way, payloads: &Payloads) -> (Self, RtrServer) {
        let folder = temp_dir();
        let mut make = Command::new("sh");
        make.args([
            "-euc",
            &format!("certs() {{ \"$CERTS\" \"$@\"; }}\n{}", way.script()),
        ])
        .current_dir(folder.path())
        .env(
            "CERTS",
            concat!(env!("CARGO_MANIFEST_DIR"), "/certs/rutter-certs"),
        )
        .env("RUTTER", env!("CARGO_BIN_EXE_rutter"));
        run(&mut make, Duration::from_secs(30)).unwrap();
        let server = RtrServer::listening(payloads, &way.listener(folder.path()));
        let door = Self {
            way,
            port: server.port(),
            folder,
        };
        if matches!(way, Way::SshKey | Way::SshPassword) {
            let key = door.text("ssh_host_ed25519_key.pub");
            let known = format!("[127.0.0.1]:{} {key}\n", door.port);
            fs::write(door.known_hosts(), known).unwrap();
        }
        (door, server)
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The CA that has signed the server's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// The certificate of a client and its key, where the way asks for them.
    pub(crate) fn certificate(&self) -> Option<[PathBuf; 2]> {
        let files = ["router.crt", "router.key"].map(|name| self.file(name));
        (self.way == Way::TlsCertificate).then_some(files)
    }

    /// The private SSH key of a client, where the way asks for one.
    pub(crate) fn key(&self) -> Option<PathBuf> {
        (self.way == Way::SshKey).then(|| self.file("router.id_ed25519"))
    }

    /// The SSH password, where the way asks for it.
    pub(crate) fn password(&self) -> Option<String> {
        (self.way == Way::SshPassword).then(|| self.text("password"))
    }

    /// The file with it.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.file("password")
    }

    /// A program that prints it.
    pub(crate) fn askpass(&self) -> PathBuf {
        self.file("askpass")
    }

    /// OpenSSH's file with the host key.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.file("known_hosts")
    }

    /// The SHA-256 fingerprint of the host key, in base64.
    pub(crate) fn fingerprint(&self) -> String {
        let mut command = Command::new("ssh-keygen");
        command
            .arg("-lf")
            .arg(self.file("ssh_host_ed25519_key.pub"));
        let text = run(&mut command, Duration::from_secs(10)).unwrap();
        let word = text.split_whitespace().nth(1).unwrap();
        word.strip_prefix("SHA256:").unwrap().to_owned()
    }

    /// The key of RFC 2385, where the way asks for it.
    pub(crate) fn md5_key(&self) -> Option<String> {
        (self.way == Way::TcpMd5).then(|| self.text("md5.key"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The first line of a file.
    fn text(&self, name: &str) -> String {
        let text = fs::read_to_string(self.file(name)).unwrap();
        text.lines().next().unwrap().to_owned()
    }
}
