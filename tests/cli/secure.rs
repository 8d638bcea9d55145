//! `rutter dump` of a cache over TLS.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::{fs, thread};

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::program::{Ran, command, run};

/// Answers each connection over TLS with an empty set, and gives the endpoint. Its certificate,
/// which is for localhost, goes to this file. It ends with the process.
fn cache(certificate: &Path) -> String {
    let pair = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let made = params.self_signed(&pair).unwrap();
    fs::write(certificate, made.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(tls, socket.unwrap());
            let mut query = [0; 8];
            // A client that does not trust us asks nothing.
            if stream.read_exact(&mut query).is_ok() {
                stream.write_all(&[2, 3, 0, 7, 0, 0, 0, 8]).unwrap();
                let mut end = vec![2, 7, 0, 7, 0, 0, 0, 24, 0, 0, 0, 5];
                for seconds in [3_600_u32, 600, 7_200] {
                    end.extend(seconds.to_be_bytes());
                }
                stream.write_all(&end).unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
            }
        }
    });
    format!("tls://localhost:{port}")
}

/// Dumps with these certificates for those of the system.
fn dump(at: &str, trusted: &Path) -> Ran {
    let mut command = command(["dump", at, "--timeout", "20"]);
    command.env("SSL_CERT_FILE", trusted);
    run(command.env_remove("SSL_CERT_DIR"))
}

#[test]
fn a_cache_is_dumped_when_the_system_trusts_it() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own"), folder.path().join("other"));
    let at = cache(&own);
    let _ = cache(&other);
    let printed = dump(&at, &own).done();
    assert!(printed.contains("\"serial\":5"), "{printed}");
    dump(&at, &other).fails_with("unknown ca");
    dump(&at, &folder.path().join("none")).fails_with("certificates of the system");
}
