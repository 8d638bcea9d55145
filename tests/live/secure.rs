//! A server with a listener of each transport, and routers that log in over TLS and SSH.
//!
//! A [`Router`] speaks octets over a socket. What is between it and the server here is a bridge: a
//! task that has the client of rustls or of russh on its one side, and that socket on its other.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::{LineEnding, PrivateKey};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Preferred, kex};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::cache::{Cache, PATIENCE};
use super::pki::{Ca, Leaf, for_clients, for_servers, secret};
use super::router::Router;
use crate::support::{temp_dir, wait_for};

/// The password of the user `xr`.
pub(crate) const PASSWORD: &str = "correct horse";

/// A server, the files of it and its routers, and what drives the routers.
pub(crate) struct Secure {
    // Before the cache: no router outlives it, and its folder goes last.
    pub(crate) runtime: Runtime,
    pub(crate) cache: Cache,
    pub(crate) ca: Ca,
    /// What a router shows, whose address is any of [`ROUTERS`].
    pub(crate) router: Leaf,
    /// The key of the SSH user `router`.
    pub(crate) key: Arc<PrivateKey>,
    rest: String,
    tls: SocketAddr,
    ssh: SocketAddr,
}

/// The addresses in the certificate of the router.
const ROUTERS: &str = "127.0.0.1 127.0.0.2 127.0.3.1 127.0.3.2 127.0.3.3 r1.example";

/// What a server is given, before it starts.
pub(crate) struct Plan {
    folder: tempfile::TempDir,
    pub(crate) ca: Ca,
    /// More lines of the listener with TLS.
    pub(crate) tls: String,
    /// More lines of the listener with SSH.
    pub(crate) ssh: String,
    /// Tables that follow: sources, limits.
    pub(crate) tables: String,
}

impl Plan {
    /// With a source for the file `vrps.json`, which has to be written.
    pub(crate) fn new() -> Self {
        let folder = temp_dir();
        let source = format!("[[source]]\nurl = {:?}\n", folder.path().join("vrps.json"));
        Self {
            ca: Ca::new(folder.path(), "ca"),
            folder,
            tls: String::new(),
            ssh: String::new(),
            tables: source,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the server.
    #[track_caller]
    pub(crate) fn start(self) -> Secure {
        let key = ed25519(1);
        let line = key.public_key().to_openssh().unwrap();
        secret(&self.path("authorized_keys"), &format!("{line}\n"));
        secret(&self.path("password"), PASSWORD);
        secret(&self.path("users"), &user("xr", PASSWORD));
        self.ca.leaf("server", "localhost 127.0.0.1", for_servers);
        let router = self.ca.leaf("router", ROUTERS, for_clients);
        let Self {
            folder,
            ca,
            tls,
            ssh,
            tables,
        } = self;
        let rest = format!(
            "[[listener]]\ntransport = \"tls\"\naddress = \"127.0.0.1:0\"\n\
             certificate = \"server.crt\"\nkey = \"server.key\"\nclient-ca = \"ca.crt\"\n{tls}\n\
             [[listener]]\ntransport = \"ssh\"\naddress = \"127.0.0.1:0\"\n\
             auth = [\"publickey\", \"password\"]\nhost-keys = [\"host_ed25519\"]\n\
             authorized-keys = \"authorized_keys\"\nusers = \"users\"\n{ssh}\n{tables}"
        );
        let cache = Cache::configured(folder, &rest);
        let [tls, ssh] = wait_for("the listeners are open", PATIENCE, || {
            let listeners = cache.status().listeners;
            let address = |name: &str| {
                let one = listeners.iter().find(|one| one.transport == name);
                one.and_then(|one| one.address.parse().ok())
            };
            let both = address("tls").zip(address("ssh"));
            both.map(|(tls, ssh)| [tls, ssh])
                .ok_or_else(|| format!("{listeners:?}"))
        });
        Secure {
            runtime: Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            cache,
            ca,
            router,
            key: Arc::new(key),
            rest,
            tls,
            ssh,
        }
    }
}

/// A key that depends on this number alone.
pub(crate) fn ed25519(seed: u8) -> PrivateKey {
    PrivateKey::new(Ed25519Keypair::from_seed(&[seed; 32]).into(), "test").unwrap()
}

/// The line of a user with this password.
pub(crate) fn user(name: &str, password: &str) -> String {
    let mut hash = Command::new(env!("CARGO_BIN_EXE_rutter"));
    hash.args(["hash-password", "--user", name]);
    let mut hash = hash.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let hash = hash.as_mut().unwrap();
    let mut input = hash.stdin.take().unwrap();
    input.write_all(password.as_bytes()).unwrap();
    drop(input);
    let mut line = String::new();
    let mut output = hash.stdout.take().unwrap();
    output.read_to_string(&mut line).unwrap();
    assert!(hash.wait().unwrap().success());
    line
}

/// A client that takes any host.
pub(crate) struct AnyHost;

impl client::Handler for AnyHost {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// A client with the cheapest key exchange that the server has.
pub(crate) fn ssh_config() -> client::Config {
    let exchange = [
        kex::ECDH_SHA2_NISTP384,
        kex::EXTENSION_SUPPORT_AS_CLIENT,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    ];
    client::Config {
        preferred: Preferred {
            kex: exchange.to_vec().into(),
            ..Preferred::default()
        },
        ..client::Config::default()
    }
}

/// A socket from this address.
pub(crate) async fn socket(from: &str, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{from}:0").parse().unwrap())?;
    let socket = socket.connect(to).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

pub(crate) type TlsClient = tokio_rustls::client::TlsStream<TcpStream>;

impl Secure {
    pub(crate) const fn tls(&self) -> SocketAddr {
        self.tls
    }

    pub(crate) const fn ssh(&self) -> SocketAddr {
        self.ssh
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.cache.folder().join(name)
    }

    /// Runs this, which has an end.
    #[track_caller]
    pub(crate) fn run<T>(&self, what: impl Future<Output = T>) -> T {
        let bounded = self
            .runtime
            .block_on(async { timeout(PATIENCE, what).await });
        bounded.expect("it takes too long")
    }

    /// Reads the same configuration again.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.cache.reconfigure(&self.rest);
        let done = self.cache.control(&["reload"]);
        assert_eq!(done.status.code(), Some(0), "{done:?}");
    }

    /// A handshake of TLS from this address.
    pub(crate) async fn shake_hands(
        &self,
        from: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<TlsClient> {
        let name = ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        connector.connect(name, socket(from, self.tls).await?).await
    }

    /// A router that has logged in over TLS.
    #[track_caller]
    pub(crate) fn tls_router(&self, from: &str) -> Router {
        let config = self.ca.client(Some(&self.router));
        let stream = self.run(self.shake_hands(from, &config)).unwrap();
        self.bridge(stream, ())
    }

    /// A connection of SSH that has not logged in.
    pub(crate) async fn greet(
        &self,
        from: &str,
        config: client::Config,
    ) -> Result<Handle<AnyHost>, russh::Error> {
        let socket = socket(from, self.ssh).await?;
        client::connect_stream(Arc::new(config), socket, AnyHost).await
    }

    /// One that has, with the key of the router.
    pub(crate) async fn log_in(
        &self,
        from: &str,
        config: client::Config,
    ) -> Result<Handle<AnyHost>, russh::Error> {
        let mut client = self.greet(from, config).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&self.key), None);
        let answer = client.authenticate_publickey("router", key).await?;
        assert!(answer.success(), "{answer:?}");
        Ok(client)
    }

    /// A router that has logged in over SSH, and has the subsystem.
    #[track_caller]
    pub(crate) fn ssh_router(&self, from: &str, config: client::Config) -> Router {
        let client = self.run(self.log_in(from, config)).unwrap();
        self.of_the_subsystem(client)
    }

    /// The same, logged in with a password.
    #[track_caller]
    pub(crate) fn password_router(&self, user: &str, password: &str) -> Router {
        let greeted = self.run(self.greet("127.0.0.1", ssh_config()));
        let mut client = greeted.unwrap();
        let answer = self.run(client.authenticate_password(user, password));
        assert!(answer.unwrap().success());
        self.of_the_subsystem(client)
    }

    #[track_caller]
    fn of_the_subsystem(&self, client: Handle<AnyHost>) -> Router {
        let stream = self.run(async {
            let channel = client.channel_open_session().await.unwrap();
            channel.request_subsystem(true, "rpki-rtr").await.unwrap();
            channel.into_stream()
        });
        self.bridge(stream, client)
    }

    /// A router behind a bridge, which keeps `held` as long as it stands.
    #[track_caller]
    fn bridge<S, H>(&self, mut far: S, held: H) -> Router
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        H: Send + 'static,
    {
        let (near, mut middle) = self.run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (near, listener.accept().await.unwrap().0)
        });
        self.runtime.spawn(async move {
            // Either end may break it off; the other one sees the end.
            let _ = copy_bidirectional(&mut far, &mut middle).await;
            drop(held);
        });
        Router::from_stream(near)
    }

    /// How many connections were refused for this reason.
    pub(crate) fn refused(&self, transport: &str, reason: &str) -> u64 {
        let sample = format!(
            "rutter_connections_refused_total{{transport=\"{transport}\",reason=\"{reason}\"}} "
        );
        let text = self.cache.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(&sample));
        line.unwrap_or_else(|| panic!("no {sample}\n{text}"))
            .parse()
            .unwrap()
    }

    /// Waits until so many were.
    #[track_caller]
    pub(crate) fn refused_by(&self, times: u64, transport: &str, reason: &str) {
        let what = format!("{transport} refused {times} times by {reason}");
        wait_for(&what, PATIENCE, || match self.refused(transport, reason) {
            found if found == times => Ok(()),
            found => Err(found.to_string()),
        });
    }

    /// Writes the key of the SSH router for a program, and gives its path.
    pub(crate) fn key_file(&self) -> PathBuf {
        let path = self.path("id_ed25519");
        secret(&path, &self.key.to_openssh(LineEnding::LF).unwrap());
        path
    }
}

/// How long a login may take beside any number of strangers.
pub(crate) const SOON: Duration = Duration::from_secs(10);
