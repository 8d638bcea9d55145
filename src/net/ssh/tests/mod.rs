//! The server against the client of russh, in one process.

mod handshake;
mod keys;
mod session;

use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::{self, Handle};
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::{Algorithm, LineEnding, PrivateKey};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Preferred, kex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::{Identity, Peer, Reason, Refused, Stream, Transport};
use super::*;

/// More than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The query of a router: RFC 8210 §5.4, as an example of octets.
const QUERY: [u8; 8] = [1, 2, 0, 0, 0, 0, 0, 8];

type Accepted = JoinHandle<Result<(Stream, Identity), Refused>>;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("too slow")
}

/// A host, its users and their secrets, in a folder that goes with it.
struct Host {
    folder: tempfile::TempDir,
    options: ServerOptions,
    /// The key of the user `router`.
    key: Arc<PrivateKey>,
}

fn ed25519() -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
}

/// Writes a file that only its owner may read.
fn secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn key_file(folder: &Path, name: &str, key: &PrivateKey) -> PathBuf {
    secret(folder, name, &key.to_openssh(LineEnding::LF).unwrap())
}

impl Host {
    /// Takes the key of `router`, and the password `secret` of `xr`.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = ed25519();
        let line = key.public_key().to_openssh().unwrap();
        let keys = secret(folder.path(), "authorized_keys", &format!("{line}\n"));
        let password = secret(folder.path(), "password", "secret\n");
        let options = ServerOptions {
            host_keys: HostKeys::Minted,
            keys: Some(Keys::Authorized(vec![keys])),
            passwords: Some(Passwords::Single {
                user: "xr".into(),
                file: password,
            }),
            algorithms: Algorithms::default(),
            auth_attempts: 3,
        };
        Self {
            folder,
            options,
            key: Arc::new(key),
        }
    }

    fn acceptor(&self) -> SshAcceptor {
        SshAcceptor::load(&self.options).unwrap()
    }

    /// A socket of a client, and what becomes of it.
    async fn socket(&self) -> (TcpStream, Accepted) {
        meet(self.acceptor()).await
    }

    /// A client that has not logged in.
    async fn client(&self) -> (Handle<AnyHost>, Accepted) {
        let (socket, accepted) = self.socket().await;
        (connect(socket, config()).await.unwrap(), accepted)
    }

    /// A client that has.
    async fn router(&self) -> (Handle<AnyHost>, Accepted) {
        let (mut client, accepted) = self.client().await;
        self.log_in(&mut client).await;
        (client, accepted)
    }

    async fn log_in(&self, client: &mut Handle<AnyHost>) {
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&self.key), None);
        let answer = soon(client.authenticate_publickey("router", key)).await;
        assert!(answer.unwrap().success());
    }

    /// Both ends of a session of the subsystem.
    async fn session(&self, config: client::Config) -> Session {
        self.session_with(self.acceptor(), config).await
    }

    async fn session_with(&self, acceptor: SshAcceptor, config: client::Config) -> Session {
        let (socket, accepted) = meet(acceptor).await;
        let mut client = connect(socket, config).await.unwrap();
        self.log_in(&mut client).await;
        let mut channel = soon(client.channel_open_session()).await.unwrap();
        channel.request_subsystem(true, "rpki-rtr").await.unwrap();
        assert!(matches!(answer(&mut channel).await, ChannelMsg::Success));
        let (stream, identity) = soon(accepted).await.unwrap().unwrap();
        assert_eq!(identity, Identity::User("router".into()));
        Session {
            stream,
            channel,
            client,
        }
    }
}

struct Session {
    stream: Stream,
    channel: Channel<client::Msg>,
    client: Handle<AnyHost>,
}

async fn meet(acceptor: SshAcceptor) -> (TcpStream, Accepted) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let client = client.await.unwrap();
    let (socket, address) = listener.accept().await.unwrap();
    client.set_nodelay(true).unwrap();
    socket.set_nodelay(true).unwrap();
    let peer = Peer::new(address, Transport::Ssh);
    let accepted = tokio::spawn(async move { acceptor.accept(socket, peer).await });
    (client, accepted)
}

/// A client that trusts any host.
struct AnyHost;

impl client::Handler for AnyHost {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// With the cheapest key exchange that the default has.
fn config() -> client::Config {
    client::Config {
        preferred: preferred(&[kex::ECDH_SHA2_NISTP384]),
        ..client::Config::default()
    }
}

fn preferred(exchanges: &[kex::Name]) -> Preferred {
    let extensions = [
        kex::EXTENSION_SUPPORT_AS_CLIENT,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    ];
    Preferred {
        kex: [exchanges, &extensions].concat().into(),
        ..Preferred::default()
    }
}

async fn connect(
    socket: TcpStream,
    config: client::Config,
) -> Result<Handle<AnyHost>, russh::Error> {
    soon(client::connect_stream(Arc::new(config), socket, AnyHost)).await
}

/// The next message of a channel that is no news of its window.
async fn answer(channel: &mut Channel<client::Msg>) -> ChannelMsg {
    loop {
        match soon(channel.wait()).await.expect("the channel is gone") {
            ChannelMsg::WindowAdjusted { .. } => {}
            message => return message,
        }
    }
}

/// So many octets of the channel.
async fn read(channel: &mut Channel<client::Msg>, octets: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < octets {
        match answer(channel).await {
            ChannelMsg::Data { data } => got.extend_from_slice(&data),
            other => unreachable!("{other:?} after {} octets", got.len()),
        }
    }
    got
}

async fn receive(stream: &mut Stream, octets: usize) -> Vec<u8> {
    let mut got = vec![0; octets];
    let mut filled = 0;
    while filled < octets {
        let read = soon(stream.recv(&mut got[filled..])).await.unwrap();
        assert_ne!(read, 0, "the end after {filled} octets");
        filled += read;
    }
    got
}

async fn send_all(stream: &mut Stream, mut octets: Bytes) {
    while !octets.is_empty() {
        let taken = soon(stream.send(&mut octets)).await.unwrap();
        assert_ne!(taken, 0);
    }
}

/// Octets in which no two places look alike.
fn image(octets: usize) -> Bytes {
    let words = (0..octets.div_ceil(4)).map(|word| u32::try_from(word).unwrap());
    let mut image: Vec<u8> = words
        .flat_map(|word| word.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    image.truncate(octets);
    image.into()
}

async fn reason(accepted: Accepted) -> Reason {
    soon(accepted).await.unwrap().unwrap_err().reason
}
