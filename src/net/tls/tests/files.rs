//! What files are good for, and what is said of those that are not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{KeyPair, date_time_ymd};
use rustls::version::TLS13;

use super::pki::{self, Ca, Leaf, RSA_KEY, names, without_pkcs8, write_key};
use super::{meet, router};
use crate::net::tls::{
    Certificate, CertificateFacts, ClientAuth, ClientCheck, Role, ServerOptions, TlsAcceptor,
};

fn options(leaf: &Leaf) -> ServerOptions {
    ServerOptions {
        certificate: Certificate::Files {
            chain: leaf.chain.clone(),
            key: leaf.key.clone(),
        },
        clients: ClientAuth::None,
    }
}

fn refusal(options: &ServerOptions) -> String {
    TlsAcceptor::load(options).unwrap_err().to_string()
}

#[tokio::test]
async fn keys_of_every_form_are_taken() {
    let ca = Ca::new("Servers");
    let ecdsa = KeyPair::generate().unwrap();
    let rsa = KeyPair::from_pem(RSA_KEY).unwrap();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let sec1 = without_pkcs8(&ecdsa, "EC PRIVATE KEY");
    let pkcs1 = without_pkcs8(&rsa, "RSA PRIVATE KEY");
    for (pair, pem) in [
        (ecdsa.serialize_pem(), sec1),
        (RSA_KEY.to_owned(), pkcs1),
        (RSA_KEY.to_owned(), RSA_KEY.to_owned()),
        (ecdsa.serialize_pem(), ecdsa.serialize_pem()),
        (ed25519.serialize_pem(), ed25519.serialize_pem()),
    ] {
        let pair = KeyPair::from_pem(&pair).unwrap();
        let leaf = ca.leaf_with(pair, |params| params.subject_alt_names = names("localhost"));
        write_key(&leaf.key, &pem);
        let acceptor = TlsAcceptor::load(&options(&leaf)).unwrap();
        let (outcome, heard) = meet(&acceptor, "127.0.0.1", router(&TLS13, &ca, None)).await;
        assert!(outcome.is_ok() && heard.unwrap() == "hello", "{pem}");
    }
}

#[test]
fn a_bad_file_is_named_with_what_was_expected() {
    let ca = Ca::new("Servers");
    let leaf = ca.leaf(|params| params.subject_alt_names = names("localhost"));
    let other = ca.leaf(|_| {});
    let folder = ca.folder.path();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let none = folder.join("none");
    let text = file("text", "nothing of that kind\n");
    let damaged = file("damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_der = file("no-der", no_der);
    let label = "ENCRYPTED PRIVATE KEY";
    let locked = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let locked = file("locked", &locked);

    let with = |chain: &Path, key: &Path| {
        refusal(&ServerOptions {
            certificate: Certificate::Files {
                chain: chain.to_owned(),
                key: key.to_owned(),
            },
            clients: ClientAuth::None,
        })
    };
    for (chain, key, blamed, cause) in [
        (&none, &leaf.key, &none, "No such file"),
        (
            &text,
            &leaf.key,
            &text,
            "expected a PEM certificate, found none",
        ),
        (&damaged, &leaf.key, &damaged, "found damaged PEM"),
        (&no_der, &leaf.key, &no_der, "cannot be used"),
        (&leaf.chain, &none, &none, "No such file"),
        (&leaf.chain, &text, &text, "PKCS#8, SEC1 or PKCS#1"),
        (
            &leaf.chain,
            &leaf.chain,
            &leaf.chain,
            "expected a private key",
        ),
        (&leaf.chain, &locked, &locked, "found an encrypted one"),
        (&leaf.chain, &other.key, &other.key, "found another one"),
    ] {
        let said = with(chain, key);
        let names = said.starts_with(&format!("{}: ", blamed.display()));
        assert!(names && said.contains(cause), "{said}");
    }

    let clients = |ca: &Path, crl: Option<&PathBuf>| {
        refusal(&ServerOptions {
            clients: ClientAuth::Required(ClientCheck {
                ca: vec![ca.to_owned()],
                crl: crl.into_iter().cloned().collect(),
                match_address: true,
            }),
            ..options(&leaf)
        })
    };
    for (authority, crl, cause) in [
        (&none, None, "none: No such file"),
        (&text, None, "text: expected a PEM certificate"),
        (&no_der, None, "no-der: certificate 1 cannot be trusted"),
        (&ca.file, Some(&none), "none: No such file"),
        (
            &ca.file,
            Some(&text),
            "text: expected a revocation list in PEM or DER",
        ),
        (
            &ca.file,
            Some(&ca.file),
            "ca.pem: expected a revocation list in PEM or DER",
        ),
    ] {
        let said = clients(authority, crl);
        assert!(said.contains(cause), "{said}");
    }
}

#[test]
fn what_looks_wrong_is_a_warning() {
    let ca = Ca::new("Servers");
    let good = |params: &mut rcgen::CertificateParams| {
        params.subject_alt_names = names("cache.example");
    };
    let warnings = |leaf: &Leaf| {
        let acceptor = TlsAcceptor::load(&options(leaf)).unwrap();
        let about = |warning: &String| {
            let (path, what) = warning.split_once(": ").unwrap();
            assert!(Path::new(path) == leaf.chain || Path::new(path) == leaf.key);
            what.to_owned()
        };
        acceptor.warnings().iter().map(about).collect::<Vec<_>>()
    };
    assert!(warnings(&ca.leaf(good)).is_empty());

    let open = ca.leaf(good);
    fs::set_permissions(&open.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(warnings(&open), ["the key can be read by everybody"]);

    for (leaf, said) in [
        (
            ca.leaf(|params| params.subject_alt_names = names("192.0.2.1")),
            "no dNSName",
        ),
        (
            ca.leaf(|params| params.subject_alt_names = names("*.example")),
            "*.example",
        ),
        (
            ca.leaf(|params| {
                good(params);
                pki::for_clients(params);
            }),
            "not for servers",
        ),
        (
            ca.leaf(|params| {
                good(params);
                params.not_after = date_time_ymd(2020, 1, 1);
            }),
            "cache.example is over",
        ),
        (
            ca.leaf(|params| {
                good(params);
                params.not_before = date_time_ymd(3000, 1, 1);
            }),
            "cache.example is not valid yet",
        ),
    ] {
        let warnings = warnings(&leaf);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(said), "{warnings:?}");
    }
}

#[test]
fn facts_are_there_for_every_file() {
    let (ca, routers) = (Ca::new("Servers"), Ca::new("Routers"));
    let leaf = ca.leaf(|params| {
        params.subject_alt_names = names("Cache.Example 192.0.2.1 ::ffff:192.0.2.2 2001:db8::1");
        params.not_after = date_time_ymd(2049, 12, 31);
    });
    let own = fs::read_to_string(&leaf.chain).unwrap();
    let chain = own + &fs::read_to_string(&ca.file).unwrap();
    fs::write(&leaf.chain, chain).unwrap();
    let crl = routers.crl(7, 2050);
    let acceptor = TlsAcceptor::load(&ServerOptions {
        clients: ClientAuth::Optional(ClientCheck {
            ca: vec![routers.file.clone()],
            crl: vec![crl.clone()],
            match_address: false,
        }),
        ..options(&leaf)
    })
    .unwrap();
    let facts = |role, file: &Path, names: &[&str], not_after| CertificateFacts {
        role,
        file: Some(file.to_owned()),
        names: names.iter().map(|name| Box::from(*name)).collect(),
        not_after,
    };
    // The last is rcgen's own.
    let far = 67_090_118_400;
    let all = ["cache.example", "192.0.2.1", "192.0.2.2", "2001:db8::1"];
    assert_eq!(
        acceptor.certificates(),
        [
            facts(Role::Server, &leaf.chain, &all, 2_524_521_600),
            facts(Role::Intermediate, &leaf.chain, &["Servers"], far),
            facts(Role::ClientCa, &routers.file, &["Routers"], far),
            facts(Role::Crl, &crl, &["Routers"], 2_556_057_600),
        ]
    );
    assert!(acceptor.warnings().is_empty(), "{:?}", acceptor.warnings());
    let over = routers.crl(7, 2020);
    let acceptor = TlsAcceptor::load(&ServerOptions {
        clients: ClientAuth::Required(ClientCheck {
            ca: vec![routers.file.clone()],
            crl: vec![over],
            match_address: false,
        }),
        ..options(&leaf)
    })
    .unwrap();
    let warnings = acceptor.warnings();
    assert!(warnings[0].ends_with("the revocation list is over: clients are refused"));
}

#[test]
fn a_minted_certificate_is_for_this_host() {
    let acceptor = TlsAcceptor::load(&ServerOptions {
        certificate: Certificate::Minted,
        clients: ClientAuth::None,
    })
    .unwrap();
    let [facts] = acceptor.certificates() else {
        unreachable!("{acceptor:?}");
    };
    let names: Vec<&str> = facts.names.iter().map(|name| &**name).collect();
    assert_eq!(names, ["localhost", "127.0.0.1", "::1"]);
    assert_eq!((facts.role, &facts.file), (Role::Server, &None));
    assert!(acceptor.warnings().is_empty());
}
