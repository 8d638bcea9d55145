//! Both ends of TLS over loopback, with certificates that are made here.

mod client;
mod data;
mod files;
mod hostile;
mod pki;
mod routers;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use self::pki::{Ca, Leaf};
use super::{Certificate, ClientAuth, ClientCheck, ServerOptions, TlsAcceptor};
use crate::net::peer::{Identity, Peer, Transport};
use crate::net::refused::Refused;
use crate::net::stream::Stream;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Both ends of a TCP connection, the one that accepted first.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, dialled) = tokio::join!(listener.accept(), dialled);
    (accepted.unwrap().0, dialled.unwrap())
}

fn peer(address: &str) -> Peer {
    let address: IpAddr = address.parse().unwrap();
    Peer::new((address, 4711).into(), Transport::Tls)
}

/// A server with a certificate of this CA for `localhost` and 127.0.0.1.
fn server(ca: &Ca, clients: ClientAuth) -> TlsAcceptor {
    let shown = ca.leaf(|params| params.subject_alt_names = pki::names("localhost 127.0.0.1"));
    TlsAcceptor::load(&ServerOptions {
        certificate: Certificate::Files {
            chain: shown.chain.clone(),
            key: shown.key.clone(),
        },
        clients,
    })
    .unwrap()
}

fn check(ca: &Ca) -> ClientCheck {
    ClientCheck {
        ca: vec![ca.file.clone()],
        crl: Vec::new(),
        match_address: false,
    }
}

/// Another TLS client than ours, of one version.
fn router(
    version: &'static SupportedProtocolVersion,
    ca: &Ca,
    shown: Option<&Leaf>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    match shown {
        None => builder.with_no_client_auth(),
        Some(leaf) => builder
            .with_client_auth_cert(vec![leaf.der.clone()], leaf.private())
            .unwrap(),
    }
}

type TestStream = tokio_rustls::client::TlsStream<TcpStream>;

async fn join(socket: TcpStream, config: ClientConfig) -> io::Result<TestStream> {
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect(name, socket).await
}

/// A stream of ours and a client of another make, connected.
async fn pair(version: &'static SupportedProtocolVersion) -> (Stream, TestStream) {
    let ca = Ca::new("Servers");
    let acceptor = server(&ca, ClientAuth::None);
    let (accepted, dialled) = sockets().await;
    let config = router(version, &ca, None);
    let (accepted, joined) = tokio::join!(
        acceptor.accept(accepted, peer("127.0.0.1")),
        join(dialled, config)
    );
    (accepted.unwrap().0, joined.unwrap())
}

/// What comes of a client that comes from an address, says a word, and hears one: who it is or why
/// not, and what it has read to the end.
async fn meet(
    acceptor: &TlsAcceptor,
    from: &str,
    config: ClientConfig,
) -> (Result<Identity, Refused>, io::Result<String>) {
    let (accepted, dialled) = sockets().await;
    let server = async {
        let (mut stream, identity) = acceptor.accept(accepted, peer(from)).await?;
        let mut heard = [0; 5];
        assert_eq!(stream.recv(&mut heard).await.unwrap(), 5);
        stream
            .send(&mut Bytes::from_static(b"hello"))
            .await
            .unwrap();
        stream.finish().await;
        Ok(identity)
    };
    let client = async {
        let mut stream = join(dialled, config).await?;
        stream.write_all(b"query").await?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await?;
        Ok(heard)
    };
    let both = async { tokio::join!(server, client) };
    timeout(PATIENCE, both).await.unwrap()
}
