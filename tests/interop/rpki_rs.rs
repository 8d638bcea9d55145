//! The RTR client of the `rpki` crate (RTRTR, Routinator), in all versions and with all kinds.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rpki::rtr::client::Client;
use rpki::rtr::state::State;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::door::{Door, Way};
use crate::held::{Table, load_and_update};
use crate::scenario::Habit;
use crate::support::payloads::{Payloads, Prng};
use crate::support::server::RtrServer;
use crate::support::wait_for;
use crate::table::{cell, locked};

/// How long one step of the client may take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(
    version: u8,
    port: u16,
    table: Table,
    state: Option<State>,
) -> Client<TcpStream, Table> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    Client::with_initial_version(version, socket, table, state)
}

/// First load, update and restart, over one client that keeps its state.
async fn follows(version: u8) {
    let mut random = Prng::new(100 + u64::from(version));
    let first = Payloads::all_kinds(1500, &mut random);
    let mut server = RtrServer::start(&first);

    let mut client = connect(version, server.port(), Table::default(), None).await;
    timeout(PATIENCE, client.step()).await.unwrap().unwrap();
    client.target().check(&first, version);

    // A Notify wakes it, and the answer is the difference and nothing else: VRPs +30 −20, each
    // other kind +2 −1, and one ASPA announced anew.
    let second = first.changed(30, 20, &mut random);
    server.publish(&second);
    timeout(PATIENCE, client.step()).await.unwrap().unwrap();
    client.target().check(&second, version);
    assert_eq!(client.target().resets, 1, "an update is an increment");
    let steps = [(30, 20), (32, 21), (35, 22)][usize::from(version)];
    assert_eq!(client.target().last, steps, "no more than what changed");

    // The session of versions 1 and 2 outlives the process. That of version 0 does not: Cache
    // Reset, which the client answers by itself. An error report would end the step.
    server.kill();
    let state = client.state();
    let third = second.changed(10, 5, &mut random);
    server.publish(&third);
    server.start_again();
    wait_for("the server has read its source", PATIENCE, || {
        let log = server.log();
        log.contains(" published ").then_some(()).ok_or(log)
    });
    let mut client = connect(version, server.port(), client.into_target(), state).await;
    timeout(PATIENCE, client.step()).await.unwrap().unwrap();
    client.target().check(&third, version);
    let resets = if version == 0 { 2 } else { 1 };
    assert_eq!(client.target().resets, resets, "full answers");
}

async fn connect_tls(door: &Door) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(door.ca()).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match door.certificate() {
        None => config.with_no_client_auth(),
        Some([chain, key]) => {
            let chain = CertificateDer::pem_file_iter(chain).unwrap();
            let chain = chain.collect::<Result<_, _>>().unwrap();
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let socket = TcpStream::connect(door.address()).await.unwrap();
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, socket).await.unwrap()
}

fn name() -> String {
    format!("rpki crate {}", locked("rpki"))
}

async fn follows_over_tls(way: Way, seed: u64) {
    load_and_update(&name(), way, seed, async |door| {
        (connect_tls(door).await, ())
    })
    .await;
}

#[tokio::test]
async fn rpki_rs_follows_load_and_update_over_tls() {
    follows_over_tls(Way::Tls, 111).await;
}

#[tokio::test]
async fn rpki_rs_follows_load_and_update_over_tls_with_a_certificate() {
    follows_over_tls(Way::TlsCertificate, 112).await;
}

#[tokio::test]
async fn rpki_rs_version_0_follows_load_update_and_restart() {
    follows(0).await;
}

#[tokio::test]
async fn rpki_rs_version_1_follows_load_update_and_restart() {
    follows(1).await;
}

#[tokio::test]
async fn rpki_rs_version_2_follows_load_update_and_restart() {
    follows(2).await;
    cell((&name(), "all"), Way::Tcp, Habit::Live.word());
}
