//! Which routers come in (RFC 8210 §9.2).

use std::sync::Arc;

use rcgen::{CertificateParams, SerialNumber, date_time_ymd};
use rustls::version::{TLS12, TLS13};

use super::pki::{self, Ca, Leaf, names};
use super::{ClientAuth, ClientCheck, check, meet, router, server};
use crate::net::peer::Identity;
use crate::net::refused::Reason;
use crate::net::tls::TlsAcceptor;

/// A router with a certificate that is made like this comes from an address, with both versions.
/// Those that come in have these dNSNames.
async fn comes(
    acceptor: &TlsAcceptor,
    servers: &Ca,
    from: &str,
    shown: Option<&Leaf>,
) -> Result<Identity, Reason> {
    let mut outcomes = Vec::new();
    for version in [&TLS13, &TLS12] {
        let (identity, heard) = meet(acceptor, from, router(version, servers, shown)).await;
        // The client knows as much: it has its answer, or not.
        assert_eq!(identity.is_ok(), heard.is_ok_and(|heard| heard == "hello"));
        outcomes.push(identity.map_err(|refused| refused.reason));
    }
    assert_eq!(outcomes[0], outcomes[1]);
    outcomes.remove(0)
}

#[tokio::test]
async fn another_ca_of_the_same_name_is_another_ca() {
    let (servers, routers) = (Ca::new("Servers"), Ca::new("Routers"));
    let acceptor = server(&servers, ClientAuth::Required(check(&routers)));
    let namesake = Ca::new("Routers").leaf(|_| {});
    let outcome = comes(&acceptor, &servers, "192.0.2.1", Some(&namesake)).await;
    assert_eq!(outcome, Err(Reason::UnknownCa));
}

fn known(names: &[&str]) -> Result<Identity, Reason> {
    let names = names.iter().map(|name| Box::from(*name)).collect();
    Ok(Identity::Certificate(names))
}

/// Whether a client of our own CA that is made like this comes in.
async fn tried(
    check: impl FnOnce(&Ca, &mut ClientCheck),
    from: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Result<Identity, Reason> {
    let (servers, routers) = (Ca::new("Servers"), Ca::new("Routers"));
    let mut checked = super::check(&routers);
    check(&routers, &mut checked);
    let acceptor = server(&servers, ClientAuth::Required(checked));
    comes(&acceptor, &servers, from, Some(&routers.leaf(change))).await
}

fn any(_: &Ca, _: &mut ClientCheck) {}

fn address(_: &Ca, check: &mut ClientCheck) {
    check.match_address = true;
}

#[tokio::test]
async fn a_certificate_is_asked_for_as_configured() {
    let (servers, routers) = (Ca::new("Servers"), Ca::new("Routers"));
    let named = routers.leaf(|params| params.subject_alt_names = names("R1.Example r1"));
    let strange = Ca::new("Strangers").leaf(|_| {});
    for (clients, without, with, from_another) in [
        (
            ClientAuth::None,
            Ok(Identity::Unproven),
            Ok(Identity::Unproven),
            Ok(Identity::Unproven),
        ),
        (
            ClientAuth::Optional(check(&routers)),
            Ok(Identity::Unproven),
            known(&["r1.example", "r1"]),
            Err(Reason::UnknownCa),
        ),
        (
            ClientAuth::Required(check(&routers)),
            Err(Reason::NoCertificate),
            known(&["r1.example", "r1"]),
            Err(Reason::UnknownCa),
        ),
    ] {
        let acceptor = server(&servers, clients);
        let from = "192.0.2.1";
        assert_eq!(comes(&acceptor, &servers, from, None).await, without);
        assert_eq!(comes(&acceptor, &servers, from, Some(&named)).await, with);
        let outcome = comes(&acceptor, &servers, from, Some(&strange)).await;
        assert_eq!(outcome, from_another);
    }
}

#[tokio::test]
async fn a_certificate_without_names_has_none() {
    assert_eq!(tried(any, "192.0.2.1", |_| {}).await, known(&[]));
}

#[tokio::test]
async fn a_certificate_counts_in_its_time() {
    let old = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let new = |params: &mut CertificateParams| params.not_before = date_time_ymd(3000, 1, 1);
    let time = Err(Reason::CertificateTime);
    assert_eq!(tried(any, "192.0.2.1", old).await, time);
    assert_eq!(tried(any, "192.0.2.1", new).await, time);
}

#[tokio::test]
async fn a_certificate_is_for_clients_or_does_not_say() {
    let usage = Err(Reason::CertificateUsage);
    assert_eq!(tried(any, "192.0.2.1", pki::for_servers).await, usage);
    assert_eq!(tried(any, "192.0.2.1", pki::for_clients).await, known(&[]));
}

#[tokio::test]
async fn each_address_of_a_certificate_is_compared() {
    let with = |text: &'static str| {
        move |params: &mut CertificateParams| params.subject_alt_names = names(text)
    };
    let wrong = Err(Reason::CertificateAddress);
    for (from, in_it, outcome) in [
        ("192.0.2.1", "192.0.2.1", known(&[])),
        ("192.0.2.2", "192.0.2.1 192.0.2.2", known(&[])),
        ("192.0.2.3", "192.0.2.1 192.0.2.2", wrong.clone()),
        ("2001:db8::1", "192.0.2.1 2001:db8::1", known(&[])),
        ("2001:db8::2", "192.0.2.1 2001:db8::1", wrong.clone()),
        // One address in two forms, on either side.
        ("::ffff:192.0.2.1", "192.0.2.1", known(&[])),
        ("192.0.2.1", "::ffff:192.0.2.1", known(&[])),
        ("192.0.2.1", "r1.example 192.0.2.1", known(&["r1.example"])),
        ("192.0.2.1", "r1.example", wrong.clone()),
        ("192.0.2.1", "", wrong),
    ] {
        let found = tried(address, from, with(in_it)).await;
        assert_eq!(found, outcome, "{from} with {in_it}");
    }
}

#[tokio::test]
async fn what_is_refused_for_its_address_is_told_in_the_log() {
    let (servers, routers) = (Ca::new("Servers"), Ca::new("Routers"));
    let mut checked = check(&routers);
    checked.match_address = true;
    let acceptor = server(&servers, ClientAuth::Optional(checked));
    let shown = routers.leaf(|params| params.subject_alt_names = names("r1.example 192.0.2.1"));
    let config = router(&TLS13, &servers, Some(&shown));
    let (refused, heard) = meet(&acceptor, "192.0.2.9", config).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "certificate address: it is for r1.example, 192.0.2.1, and not for 192.0.2.9"
    );
    assert_eq!(heard.unwrap(), "");
    // Who shows none needs none.
    let (identity, _) = meet(&acceptor, "192.0.2.9", router(&TLS13, &servers, None)).await;
    assert_eq!(identity, Ok(Identity::Unproven));
}

fn serial(number: u64) -> impl Fn(&mut CertificateParams) {
    move |params| params.serial_number = Some(SerialNumber::from(number))
}

#[tokio::test]
async fn revoked_certificates_are_refused() {
    fn pem(ca: &Ca, check: &mut ClientCheck) {
        check.crl.push(ca.crl(7, 4000));
    }
    fn der(ca: &Ca, check: &mut ClientCheck) {
        check.crl.push(ca.crl(7, 4000).with_extension("der"));
    }
    let revoked = Err(Reason::Revoked);
    assert_eq!(tried(pem, "192.0.2.1", serial(7)).await, revoked);
    assert_eq!(tried(der, "192.0.2.1", serial(7)).await, revoked);
    assert_eq!(tried(pem, "192.0.2.1", serial(8)).await, known(&[]));
    assert_eq!(tried(der, "192.0.2.1", serial(8)).await, known(&[]));
}

#[tokio::test]
async fn what_no_list_covers_or_a_list_that_is_over_is_refused() {
    fn over(ca: &Ca, check: &mut ClientCheck) {
        check.crl.push(ca.crl(7, 2020));
    }
    fn of_another(_: &Ca, check: &mut ClientCheck) {
        let other = Ca::new("Others");
        let list = other.crl(7, 4000);
        let kept = check.ca[0].with_file_name("other.crl");
        std::fs::copy(list, &kept).unwrap();
        check.crl.push(kept);
    }
    let refused = Err(Reason::Certificate);
    assert_eq!(tried(over, "192.0.2.1", serial(8)).await, refused);
    assert_eq!(tried(of_another, "192.0.2.1", serial(8)).await, refused);
}

#[tokio::test]
async fn the_whole_chain_has_to_be_covered() {
    let servers = Ca::new("Servers");
    let root = Ca::new("Root");
    let middle = Ca::below("Middle", Some(&root));
    let shown = middle.leaf(|_| {});
    for (lists, good) in [
        (vec![], true),
        (vec![root.crl(7, 4000), middle.crl(7, 4000)], true),
        (vec![middle.crl(7, 4000)], false),
        (vec![root.crl(7, 4000)], false),
    ] {
        let mut checked = check(&root);
        checked.crl = lists;
        let acceptor = server(&servers, ClientAuth::Required(checked));
        let chain = vec![shown.der.clone(), middle.der()];
        let mut config = router(&TLS13, &servers, None);
        let resolver = rustls::sign::CertifiedKey::from_der(
            chain,
            shown.private(),
            &rustls::crypto::ring::default_provider(),
        );
        let resolver = rustls::sign::SingleCertAndKey::from(resolver.unwrap());
        config.client_auth_cert_resolver = Arc::new(resolver);
        let (identity, _) = meet(&acceptor, "192.0.2.1", config).await;
        assert_eq!(identity.is_ok(), good, "{identity:?}");
    }
}

#[tokio::test]
async fn a_reload_is_another_acceptor_and_sessions_go_on() {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (before, after) = (Ca::new("Before"), Ca::new("After"));
    let first = server(&before, ClientAuth::None);
    let (accepted, dialled) = super::sockets().await;
    let config = router(&TLS13, &before, None);
    let (accepted, joined) = tokio::join!(
        first.accept(accepted, super::peer("127.0.0.1")),
        super::join(dialled, config)
    );
    let (mut stream, mut client) = (accepted.unwrap().0, joined.unwrap());
    let second = server(&after, ClientAuth::None);
    drop(first);
    let (outcome, _) = meet(&second, "127.0.0.1", router(&TLS13, &after, None)).await;
    assert_eq!(outcome, Ok(Identity::Unproven));
    let (outcome, _) = meet(&second, "127.0.0.1", router(&TLS13, &before, None)).await;
    // It does not take our certificate, and says so.
    let refused = outcome.unwrap_err();
    assert_eq!(refused.reason, Reason::Gone);
    assert!(refused.detail().contains("UnknownCA"), "{refused}");

    client.write_all(b"query").await.unwrap();
    let mut heard = [0; 8];
    assert_eq!(stream.recv(&mut heard).await.unwrap(), 5);
    stream
        .send(&mut Bytes::from_static(b"hello"))
        .await
        .unwrap();
    client.read_exact(&mut heard[..5]).await.unwrap();
    assert_eq!(&heard[..5], b"hello");
}
