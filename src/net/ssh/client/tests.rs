//! The client against the server of russh, in one process.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::slice;

use bytes::Bytes;
use russh::keys::key::safe_rng;
use russh::server::{self, Auth, VerifiedPublicKey};
use ssh_key::{LineEnding, PublicKey};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::net::Endpoint;
use crate::net::ssh::known_hosts::Verdict;

/// More than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("too slow")
}

fn ed25519() -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
}

fn p384() -> PrivateKey {
    let curve = EcdsaCurve::NistP384;
    PrivateKey::random(&mut safe_rng(), Algorithm::Ecdsa { curve }).unwrap()
}

/// What the server does.
#[derive(Clone, Default)]
struct Manners {
    /// The key of the user `rpki`.
    key: Option<PublicKey>,
    /// Its password.
    password: Option<&'static str>,
    /// Opens a channel of its own after the login.
    intrudes: bool,
    /// Has no subsystem.
    refuses: bool,
    /// Says so many octets before it is asked, and then says no more.
    says: usize,
}

/// The server's side of a connection: echoes what it is sent.
struct Host {
    manners: Manners,
    /// What it saw: the methods that were tried, what was read, and the end.
    seen: mpsc::Sender<String>,
}

impl Host {
    fn see(&self, what: impl Into<String>) {
        self.seen.try_send(what.into()).unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.seen.try_send("end".to_owned());
    }
}

fn auth(taken: bool) -> Auth {
    match taken {
        true => Auth::Accept,
        false => Auth::reject(),
    }
}

impl server::Handler for Host {
    type Error = Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Error> {
        self.see(format!("key {}", key.algorithm));
        let known = self.manners.key.as_ref();
        let same = known.is_some_and(|known| known.key_data() == key.public_key.key_data());
        Ok(auth(user == "rpki" && same))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Error> {
        self.see("password");
        let same = self.manners.password == Some(password);
        Ok(auth(user == "rpki" && same))
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<server::Msg>,
        reply: server::ChannelOpenHandle,
        session: &mut server::Session,
    ) -> Result<(), Error> {
        if self.manners.intrudes {
            session.channel_open_forwarded_tcpip("h", 1, "h", 1)?;
        }
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: russh::ChannelId,
        name: &str,
        session: &mut server::Session,
    ) -> Result<(), Error> {
        self.see(name);
        match self.manners.refuses {
            true => session.channel_failure(channel)?,
            false => session.channel_success(channel)?,
        }
        if self.manners.says > 0 {
            session.data(channel, vec![7; self.manners.says])?;
        }
        Ok(())
    }

    async fn data(
        &mut self,
        channel: russh::ChannelId,
        octets: &[u8],
        session: &mut server::Session,
    ) -> Result<(), Error> {
        if octets == b"bye" {
            session.eof(channel)?;
            return session.close(channel);
        }
        session.data(channel, octets.to_vec())
    }

    async fn channel_eof(
        &mut self,
        _: russh::ChannelId,
        _: &mut server::Session,
    ) -> Result<(), Error> {
        self.see("eof");
        Ok(())
    }
}

/// A server, and a folder for the client's files.
struct Setting {
    folder: tempfile::TempDir,
    host_keys: Vec<PrivateKey>,
    manners: Manners,
    config: server::Config,
    options: ClientOptions,
}

impl Setting {
    /// One whose server takes a key of the client, and is known to it.
    fn new() -> Self {
        let mut setting = Self {
            folder: tempfile::tempdir().unwrap(),
            host_keys: vec![ed25519()],
            manners: Manners::default(),
            config: server::Config::default(),
            options: ClientOptions::default(),
        };
        setting.config.auth_rejection_time = Duration::ZERO;
        setting.has_key(&ed25519());
        let line = setting.line(&setting.host_keys[0]);
        setting.knows(&line);
        setting
    }

    /// The line that makes the server known. Its name stands for the address that it gets.
    fn line(&self, key: &PrivateKey) -> String {
        let key = key.public_key().to_openssh().unwrap();
        format!("[127.0.0.1]:* {key}\n")
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// What the client knows of hosts.
    fn knows(&mut self, text: &str) {
        self.options.known_hosts = vec![self.file("known_hosts", text)];
    }

    /// What the client logs in with, and the server takes.
    fn has_key(&mut self, key: &PrivateKey) {
        let text = key.to_openssh(LineEnding::LF).unwrap();
        self.options.key = Some(self.file("key", &text));
        self.manners.key = Some(key.public_key().clone());
    }

    fn has_password(&mut self, password: &'static str) {
        self.options.password_file = Some(self.file("password", password));
        self.manners.password = Some(password);
    }

    async fn connect(self) -> Met {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let client = TcpStream::connect(at).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let config = Arc::new(server::Config {
            keys: self.host_keys,
            ..self.config
        });
        let (seen, events) = mpsc::channel(100);
        let host = Host {
            manners: self.manners,
            seen,
        };
        let (cut, socket) = cut::cuttable(socket);
        let server = tokio::spawn(async move {
            let session = Box::pin(server::run_stream(config, socket, host)).await;
            match session {
                Ok(session) => session.await,
                Err(error) => Err(error),
            }
        });
        let connector = SshConnector::load(&self.options).unwrap();
        let Endpoint::Ssh { user, at } = format!("ssh://rpki@{at}").parse().unwrap() else {
            unreachable!()
        };
        let result = soon(connector.connect(client, &at, &user)).await;
        Met {
            result,
            events,
            server,
            cut,
            _folder: self.folder,
        }
    }

    async fn fails(self) -> String {
        self.connect().await.result.unwrap_err().to_string()
    }
}

/// What came of both sides.
struct Met {
    result: Result<SshConnection, ClientError>,
    events: mpsc::Receiver<String>,
    server: JoinHandle<Result<(), Error>>,
    /// Ends the server at once.
    cut: cut::Cut,
    _folder: tempfile::TempDir,
}

impl Met {
    /// What the server saw up to its end.
    async fn seen(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(event) = soon(self.events.recv()).await {
            if event == "end" {
                break;
            }
            seen.push(event);
        }
        seen
    }
}

async fn receive(connection: &mut SshConnection, octets: usize) -> Vec<u8> {
    let mut got = Vec::new();
    let mut buffer = [0; 4096];
    while got.len() < octets {
        soon(connection.readable()).await.unwrap();
        match connection.try_recv(&mut buffer).unwrap() {
            Some(0) => break,
            Some(length) => got.extend_from_slice(&buffer[..length]),
            None => {}
        }
    }
    got
}

async fn send(connection: &mut SshConnection, octets: &[u8]) {
    let mut octets = Bytes::copy_from_slice(octets);
    while !octets.is_empty() {
        soon(connection.send(&mut octets)).await.unwrap();
    }
}

#[tokio::test]
async fn octets_flow_in_both_directions() {
    let mut met = Setting::new().connect().await;
    let connection = met.result.as_mut().unwrap();
    assert_eq!(connection.try_recv(&mut [0; 8]).unwrap(), None);
    send(connection, b"query").await;
    assert_eq!(receive(connection, 5).await, b"query");
    let image: Vec<u8> = (0..=250).cycle().take(300_000).collect();
    send(connection, &image).await;
    assert!(receive(connection, image.len()).await == image);
    assert_eq!(connection.try_recv(&mut [0; 8]).unwrap(), None);
    assert_eq!(soon(connection.send(&mut Bytes::new())).await.unwrap(), 0);
    send(connection, b"bye").await;
    assert_eq!(receive(connection, 1).await, b"");
    assert_eq!(connection.try_recv(&mut [0; 8]).unwrap(), Some(0));
    met.result = Err(ClientError::Gone);
    assert_eq!(met.seen().await, ["key ssh-ed25519", "rpki-rtr"]);
}

#[tokio::test]
async fn a_key_is_tried_before_a_password() {
    let mut setting = Setting::new();
    setting.has_password("s3cret");
    let mut both = setting.connect().await;
    drop(both.result.unwrap());
    both.result = Err(ClientError::Gone);
    assert_eq!(both.seen().await, ["key ssh-ed25519", "rpki-rtr"]);

    let mut setting = Setting::new();
    setting.has_password("s3cret");
    setting.manners.key = None;
    let mut second = setting.connect().await;
    second.result.unwrap();
    second.result = Err(ClientError::Gone);
    let seen = ["key ssh-ed25519", "password", "rpki-rtr"];
    assert_eq!(second.seen().await, seen);

    let mut setting = Setting::new();
    setting.has_password("s3cret");
    setting.options.key = None;
    let mut only = setting.connect().await;
    only.result.unwrap();
    only.result = Err(ClientError::Gone);
    assert_eq!(only.seen().await, ["password", "rpki-rtr"]);
}

#[tokio::test]
async fn a_login_that_is_refused_says_what_was_tried() {
    let mut setting = Setting::new();
    setting.has_password("s3cret");
    setting.manners = Manners::default();
    let mut met = setting.connect().await;
    let error = met.result.as_ref().unwrap_err();
    let ClientError::Denied { user, tried, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(
        (&**user, &tried[..]),
        ("rpki", &["publickey", "password"][..])
    );
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    // And the connection ends with it.
    assert_eq!(met.seen().await, ["key ssh-ed25519", "password"]);
    let _ = soon(met.server).await.unwrap();
}

/// Makes a key with these arguments, and says where it is.
fn keygen(setting: &Setting, arguments: &str) -> PathBuf {
    let path = setting.folder.path().join("made");
    let _ = fs::remove_file(&path);
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-f"])
        .arg(&path)
        .arg("-N")
        .args(arguments.split(' '))
        .status();
    assert!(made.unwrap().success());
    path
}

impl Setting {
    /// One whose server takes a key of RSA, in a file of this format.
    fn with_rsa(format: &str) -> Self {
        let mut setting = Self::new();
        let path = keygen(&setting, &format!(" -t rsa -b 2048 -m {format}"));
        let public = fs::read_to_string(path.with_extension("pub")).unwrap();
        setting.manners.key = Some(PublicKey::from_openssh(&public).unwrap());
        setting.options.key = Some(path);
        setting
    }
}

#[tokio::test]
async fn rsa_signs_with_sha_2() {
    for format in ["RFC4716", "PKCS8", "PEM"] {
        let mut met = Setting::with_rsa(format).connect().await;
        met.result.unwrap();
        met.result = Err(ClientError::Gone);
        let seen = ["key rsa-sha2-512", "rpki-rtr"];
        assert_eq!(met.seen().await, seen, "{format}");
    }
}

#[tokio::test]
async fn rsa_with_sha_1_is_not_used() {
    let mut setting = Setting::with_rsa("PEM");
    let offered = vec![Algorithm::Ed25519, Algorithm::Rsa { hash: None }];
    setting.config.preferred.key = offered.into();
    let error = setting.fails().await;
    assert!(error.contains("SHA-1"), "{error}");
}

#[tokio::test]
async fn an_unknown_host_is_refused_before_the_login() {
    let setting = Setting::new();
    let file = setting.file("known_hosts", "");
    let key = setting.host_keys[0].public_key().clone();
    let mut met = setting.connect().await;
    let error = met.result.as_ref().unwrap_err().to_string();
    let print = key.fingerprint(HashAlg::Sha256).to_string();
    assert!(error.contains(&print), "{error}");
    assert!(error.contains(&format!(
        "add this line to {}: [127.0.0.1]:",
        file.display()
    )));
    assert!(error.ends_with(&key.to_openssh().unwrap()), "{error}");
    assert_eq!(met.seen().await, [""; 0]);
    // The line that it says is the one that helps.
    let (_, line) = error.split_once("known_hosts: ").unwrap();
    let name = line.split(' ').next().unwrap();
    let known = KnownHosts::load(slice::from_ref(&file), &mut Warnings::default()).unwrap();
    let Endpoint::Ssh { at, .. } = format!("ssh://u@{}", name.replace(['[', ']'], ""))
        .parse()
        .unwrap()
    else {
        unreachable!()
    };
    assert_eq!(known.judge(&at, key.key_data()), Verdict::Unknown);
    fs::write(&file, line).unwrap();
    let known = KnownHosts::load(&[file], &mut Warnings::default()).unwrap();
    assert_eq!(known.judge(&at, key.key_data()), Verdict::Known);
}

#[tokio::test]
async fn a_changed_and_a_revoked_host_are_refused() {
    let mut setting = Setting::new();
    let other = setting.line(&ed25519());
    setting.knows(&format!("\n{other}"));
    let error = setting.fails().await;
    assert!(
        error.contains("another key than") && error.contains("known_hosts:2"),
        "{error}"
    );

    let mut setting = Setting::new();
    let line = setting.line(&setting.host_keys[0]);
    setting.knows(&format!(
        "{line}@revoked * {}",
        line.split_once(' ').unwrap().1
    ));
    let error = setting.fails().await;
    assert!(error.contains("known_hosts:2 revokes"), "{error}");
}

#[tokio::test]
async fn a_host_shows_the_key_that_is_known() {
    let mut setting = Setting::new();
    setting.host_keys.push(p384());
    let line = setting.line(&setting.host_keys[1]);
    setting.knows(&line);
    setting.connect().await.result.unwrap();
}

#[tokio::test]
async fn any_host_will_do_when_that_is_wanted() {
    let mut setting = Setting::new();
    setting.options.insecure = true;
    // Nothing of it is read.
    setting.options.known_hosts = vec!["/nowhere".into()];
    let warnings = SshConnector::load(&setting.options).unwrap();
    assert!(warnings.warnings()[0].contains("any host"));
    setting.connect().await.result.unwrap();
}

#[tokio::test]
async fn a_server_without_the_subsystem_is_told_from_others() {
    let mut setting = Setting::new();
    setting.manners.refuses = true;
    let error = setting.fails().await;
    assert_eq!(error, "the server has no subsystem rpki-rtr for rpki");
}

#[tokio::test]
async fn a_server_opens_no_channels() {
    let mut setting = Setting::new();
    setting.manners.intrudes = true;
    let mut met = setting.connect().await;
    let error = match &mut met.result {
        Err(error) => error.to_string(),
        // It may have come through before.
        Ok(connection) => loop {
            soon(connection.readable()).await.unwrap();
            if let Err(error) = connection.try_recv(&mut [0; 8]) {
                break error.to_string();
            }
        },
    };
    assert_eq!(error, "the server opens channels of its own");
    assert!(soon(met.server).await.is_ok());
}

#[tokio::test]
async fn what_shares_no_algorithm_or_is_no_ssh_is_refused() {
    let mut setting = Setting::new();
    setting.config.preferred.kex = vec![kex::DH_G14_SHA1].into();
    let error = setting.connect().await.result.unwrap_err();
    assert!(
        matches!(error, ClientError::Protocol(Error::NoCommonAlgo { .. })),
        "{error:?}"
    );

    let setting = Setting::new();
    let connector = SshConnector::load(&setting.options).unwrap();
    for (said, gone) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], true),
        (&[0; 2000], false),
    ] {
        let (client, mut server) = pair().await;
        let (client, at) = client;
        tokio::io::AsyncWriteExt::write_all(&mut server, said)
            .await
            .unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut server)
            .await
            .unwrap();
        let error = soon(connector.connect(client, &at, "u")).await.unwrap_err();
        assert_eq!(matches!(error, ClientError::Gone), gone, "{error:?}");
    }
}

/// A socket that is connected, and its other end.
async fn pair() -> ((TcpStream, HostPort), TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let Endpoint::Ssh { at, .. } = format!("ssh://u@{address}").parse().unwrap() else {
        unreachable!()
    };
    ((client, at), server)
}

/// Whether the other end of a socket is closed, after all that it sent.
async fn is_closed(server: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let read =
        async { while let Ok(1..) = tokio::io::AsyncReadExt::read(server, &mut buffer).await {} };
    soon(read).await;
}

#[tokio::test]
async fn a_connect_that_is_dropped_closes_the_connection() {
    let setting = Setting::new();
    let connector = SshConnector::load(&setting.options).unwrap();
    // Before and after the server has said who it is: then the task of russh has begun.
    for said in [&b""[..], b"SSH-2.0-silent\r\n"] {
        let ((client, at), mut server) = pair().await;
        tokio::io::AsyncWriteExt::write_all(&mut server, said)
            .await
            .unwrap();
        let connect = tokio::spawn({
            let connector = connector.clone();
            async move { connector.connect(client, &at, "u").await.is_ok() }
        });
        let mut identification = [0; 16];
        let wanted = if said.is_empty() { 1 } else { 500 };
        let mut got = 0;
        while got < wanted {
            let read = tokio::io::AsyncReadExt::read(&mut server, &mut identification);
            got += soon(read).await.unwrap();
        }
        connect.abort();
        assert!(connect.await.unwrap_err().is_cancelled());
        is_closed(&mut server).await;
    }
}

#[tokio::test]
async fn a_connection_ends_when_it_is_dropped() {
    for says in [0, 10 << 20] {
        let mut setting = Setting::new();
        setting.manners.says = says;
        let mut met = setting.connect().await;
        let mut connection = met.result.unwrap();
        if says > 0 {
            // More waits than fits, and nobody reads it.
            soon(connection.readable()).await.unwrap();
        }
        drop(connection);
        met.result = Err(ClientError::Gone);
        met.seen().await;
        let _ = soon(met.server).await.unwrap();
    }
}

#[tokio::test]
async fn finish_says_goodbye() {
    for says in [0, 10 << 20] {
        let mut setting = Setting::new();
        setting.manners.says = says;
        let mut met = setting.connect().await;
        soon(met.result.unwrap().finish()).await;
        met.result = Err(ClientError::Gone);
        let seen = met.seen().await;
        if says == 0 {
            assert_eq!(seen.last().unwrap(), "eof");
        }
        let _ = soon(met.server).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_noticed() {
    let met = Setting::new().connect().await;
    let mut connection = met.result.unwrap();
    drop(met.cut);
    soon(connection.readable()).await.unwrap();
    let sent = async {
        while connection
            .send(&mut Bytes::from_static(b"query"))
            .await
            .is_ok()
        {}
    };
    soon(sent).await;
    assert!(!matches!(
        connection.try_recv(&mut [0; 8]),
        Ok(Some(1..) | None)
    ));
    // And again, without harm.
    let mut query = Bytes::from_static(b"query");
    assert!(soon(connection.send(&mut query)).await.is_err());
    soon(connection.finish()).await;
}

#[test]
fn what_cannot_be_used_is_refused_at_once() {
    let mut setting = Setting::new();
    let options = setting.options.clone();
    let fails = |options: &ClientOptions| SshConnector::load(options).unwrap_err().to_string();

    setting.options.key = None;
    let error = fails(&setting.options);
    assert!(error.contains("give key or password-file"), "{error}");

    for (text, why) in [
        ("", "no private key"),
        ("nonsense", "no private key"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "no private key",
        ),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "passphrase",
        ),
    ] {
        setting.options.key = Some(setting.file("bad", text));
        let error = fails(&setting.options);
        assert!(error.contains(why), "{text:?}: {error}");
    }
    for arguments in [
        "secret -t ed25519",
        "secret -t ecdsa -m PKCS8",
        "secret -t rsa -m PEM",
    ] {
        setting.options.key = Some(keygen(&setting, arguments));
        let error = fails(&setting.options);
        assert!(error.contains("passphrase"), "{arguments}: {error}");
    }
    setting.options.key = Some(keygen(&setting, " -t rsa -b 1024"));
    assert!(fails(&setting.options).contains("2048 to 8192 bits"));

    setting.options = options;
    setting.has_password("s3cret");
    let connector = SshConnector::load(&setting.options).unwrap();
    assert!(connector.warnings().is_empty());
    let debug = format!("{connector:?}");
    assert!(
        !debug.contains("s3cret") && !debug.contains("Ed25519"),
        "{debug}"
    );
    for path in [&setting.options.key, &setting.options.password_file] {
        fs::set_permissions(path.as_ref().unwrap(), Permissions::from_mode(0o644)).unwrap();
    }
    let connector = SshConnector::load(&setting.options).unwrap();
    assert_eq!(connector.warnings().len(), 2);
    setting.options.known_hosts = vec!["/nowhere/known_hosts".into()];
    assert!(fails(&setting.options).contains("No such file"));
}
