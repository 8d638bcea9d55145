//! Our client: whom it takes for the server, and what it shows.

use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::pki::{Ca, names};
use super::{PATIENCE, check, peer, server, sockets};
use crate::net::dial::{DialError, HandshakeError, Target, dial};
use crate::net::host::{Host, HostPort};
use crate::net::peer::{Identity, Transport};
use crate::net::refused::{Reason, Refused};
use crate::net::sys::TcpOptions;
use crate::net::tls::{
    Certificate, ClientAuth, ClientOptions, ServerOptions, TlsAcceptor, TlsConnector,
};

fn trusting(ca: &Ca) -> ClientOptions {
    ClientOptions {
        ca: vec![ca.file.clone()],
        ..ClientOptions::default()
    }
}

fn host(text: &str) -> Host {
    match text.parse() {
        Ok(address) => Host::Ip(address),
        Err(_) => Host::Name(text.into()),
    }
}

/// Both of our ends meet, and say something in both directions.
async fn reach(
    acceptor: &TlsAcceptor,
    options: &ClientOptions,
    to: &str,
) -> (Result<Identity, Refused>, Result<Vec<u8>, Refused>) {
    let connector = TlsConnector::load(options).unwrap();
    let (accepted, dialled) = sockets().await;
    let server = async {
        let (mut stream, identity) = acceptor.accept(accepted, peer("127.0.0.1")).await?;
        let mut heard = [0; 9];
        assert_eq!(stream.recv(&mut heard).await.unwrap(), 5);
        let mut octets = Bytes::copy_from_slice(&heard[..5]);
        stream.send(&mut octets).await.unwrap();
        stream.finish().await;
        Ok(identity)
    };
    let to = host(to);
    let client = async {
        let mut stream = connector.connect(dialled, &to).await?;
        stream
            .send(&mut Bytes::from_static(b"query"))
            .await
            .unwrap();
        let mut heard = vec![0; 9];
        match stream.recv(&mut heard).await {
            Ok(octets) => heard.truncate(octets),
            Err(error) => return Err(Refused::new(Reason::Gone, error)),
        }
        assert_eq!(stream.recv(&mut [0; 9]).await.unwrap(), 0);
        Ok(heard)
    };
    let both = async { tokio::join!(server, client) };
    timeout(PATIENCE, both).await.unwrap()
}

async fn verdict(acceptor: &TlsAcceptor, options: &ClientOptions, to: &str) -> Option<Reason> {
    let (served, heard) = reach(acceptor, options, to).await;
    assert_eq!(served.is_ok(), heard.is_ok(), "{served:?} {heard:?}");
    heard.err().map(|refused| refused.reason)
}

#[tokio::test]
async fn the_server_is_checked_by_name_and_by_ca() {
    let ca = Ca::new("Servers");
    let acceptor = server(&ca, ClientAuth::None);
    let options = trusting(&ca);
    assert_eq!(verdict(&acceptor, &options, "localhost").await, None);
    assert_eq!(verdict(&acceptor, &options, "localhost.").await, None);
    assert_eq!(verdict(&acceptor, &options, "127.0.0.1").await, None);
    let wrong = Some(Reason::Certificate);
    assert_eq!(verdict(&acceptor, &options, "127.0.0.2").await, wrong);
    assert_eq!(verdict(&acceptor, &options, "cache.example").await, wrong);

    // RFC 8210 §9.2: the configured name counts, not the one that led there.
    for (name, reason) in [("localhost", None), ("127.0.0.1", None), ("other", wrong)] {
        let options = ClientOptions {
            server_name: Some(name.into()),
            ..options.clone()
        };
        assert_eq!(verdict(&acceptor, &options, "cache.example").await, reason);
    }

    let unknown = Some(Reason::UnknownCa);
    let other = Ca::new("Others");
    let others = trusting(&other);
    assert_eq!(verdict(&acceptor, &others, "localhost").await, unknown);
}

#[tokio::test]
async fn nothing_but_the_option_switches_the_check_off() {
    let acceptor = TlsAcceptor::load(&ServerOptions {
        certificate: Certificate::Minted,
        clients: ClientAuth::None,
    })
    .unwrap();
    let nobody = Ca::new("Nobody");
    let trusting_nobody = trusting(&nobody);
    let outcome = verdict(&acceptor, &trusting_nobody, "localhost").await;
    assert_eq!(outcome, Some(Reason::UnknownCa));
    let insecure = ClientOptions {
        insecure: true,
        ..ClientOptions::default()
    };
    assert_eq!(
        verdict(&acceptor, &insecure, "anything.example").await,
        None
    );
    let connector = TlsConnector::load(&insecure).unwrap();
    assert!(connector.warnings()[0].contains("not checked"));
    // A machine may have no certificates; one that has does not trust this one.
    if TlsConnector::load(&ClientOptions::default()).is_ok() {
        let outcome = verdict(&acceptor, &ClientOptions::default(), "localhost").await;
        assert_eq!(outcome, Some(Reason::UnknownCa));
    }
}

#[tokio::test]
async fn the_client_shows_its_certificate() {
    let (servers, routers) = (Ca::new("Servers"), Ca::new("Routers"));
    let mut checked = check(&routers);
    checked.match_address = true;
    let acceptor = server(&servers, ClientAuth::Required(checked));
    let shown = routers.leaf(|params| params.subject_alt_names = names("r1 127.0.0.1"));
    let options = ClientOptions {
        certificate: Some((shown.chain.clone(), shown.key.clone())),
        ..trusting(&servers)
    };
    let (served, heard) = reach(&acceptor, &options, "localhost").await;
    assert_eq!(served, Ok(Identity::Certificate(["r1".into()].into())));
    assert_eq!(heard.unwrap(), b"query");
    let (served, heard) = reach(&acceptor, &trusting(&servers), "localhost").await;
    assert_eq!(served.unwrap_err().reason, Reason::NoCertificate);
    // The server says why, and it can be read although it has not read what was sent.
    let heard = heard.unwrap_err().to_string();
    assert!(heard.contains("CertificateRequired"), "{heard}");
}

#[test]
fn options_that_cannot_be_used_are_named() {
    let ca = Ca::new("Servers");
    let named = |name: &str| ClientOptions {
        server_name: Some(name.into()),
        ..trusting(&ca)
    };
    let error = TlsConnector::load(&named("a b")).unwrap_err().to_string();
    assert!(
        error.starts_with("server name: expected a DNS name"),
        "{error}"
    );
    let mut missing = trusting(&ca);
    missing.ca.push(ca.folder.path().join("none"));
    let error = TlsConnector::load(&missing).unwrap_err().to_string();
    assert!(error.contains("none: No such file"), "{error}");
}

fn target(listener: &TcpListener, ca: &Ca) -> Target {
    let address = listener.local_addr().unwrap();
    Target::Tls {
        at: HostPort::new(Host::Ip(address.ip()), address.port()),
        connector: TlsConnector::load(&trusting(ca)).unwrap(),
    }
}

#[tokio::test]
async fn dialling_includes_the_handshake() {
    let ca = Ca::new("Servers");
    let acceptor = server(&ca, ClientAuth::None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(&listener, &ca);
    assert!(target.to_string().starts_with("tls://127.0.0.1:"));
    let serving = async {
        let (socket, _) = listener.accept().await.unwrap();
        acceptor.accept(socket, peer("127.0.0.1")).await.unwrap()
    };
    let options = TcpOptions::default();
    let dialling = dial(&target, PATIENCE, &options);
    let (_served, dialled) = tokio::join!(serving, dialling);
    let (stream, reached) = dialled.unwrap();
    assert_eq!(reached.transport(), Transport::Tls);
    assert!(stream.into_idle().is_none());

    // Who says nothing is waited for within the one limit.
    let limit = Duration::from_millis(50);
    let error = dial(&target, limit, &options).await.unwrap_err();
    let DialError::Handshake { cause, .. } = &error else {
        unreachable!("{error}");
    };
    let HandshakeError::Refused(refused) = &**cause else {
        unreachable!("{cause}");
    };
    assert_eq!(refused.reason, Reason::Deadline);
    assert!(
        error
            .to_string()
            .starts_with("no handshake with 127.0.0.1:")
    );
}
