//! Certificates on both sides of a connection to a web server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::{fs, thread};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rutter::config::{Origin, Proxy, Source};
use rutter::daemon::source::SourceError;
use rutter::daemon::source::error::{RedirectError, RefusedBy};
use tokio::runtime::Runtime;

use super::cache::PATIENCE;
use super::reading::Reading;
use crate::support::process::run;
use crate::support::{Need, not_run, program, temp_dir};

/// Makes, in the folder `$1`, two authorities, a certificate of the first for localhost, and one
/// for a client with its key in three forms.
const MINT: &str = r#"
    set -eu
    cd "$1"
    new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for ca in ca other; do
        $new -x509 -keyout $ca.key -out $ca.pem -subj /CN=rutter-test-$ca -days 2
    done
    sign() {
        openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
            -out $1.pem -days 2 -extfile $1.names
    }
    $new -keyout server.key -out server.csr -subj /CN=rutter-test
    printf 'subjectAltName=DNS:localhost\n' >server.names
    sign server
    $new -keyout pkcs8.key -out pkcs8.csr -subj /CN=rutter-test-client
    printf 'extendedKeyUsage=clientAuth\n' >pkcs8.names
    sign pkcs8
    openssl ec -in pkcs8.key -out sec1.key
    cp pkcs8.pem sec1.pem
    openssl genrsa -traditional -out pkcs1.key 2048
    openssl req -new -key pkcs1.key -out pkcs1.csr -subj /CN=rutter-test-client
    cp pkcs8.names pkcs1.names
    sign pkcs1
"#;

fn mint(folder: &Path) {
    let mut command = Command::new("sh");
    run(command.args(["-c", MINT, "sh"]).arg(folder), PATIENCE).unwrap();
}

/// Whom a server lets in.
#[derive(Clone, Copy, PartialEq)]
enum Clients {
    All,
    Certified,
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(path).unwrap();
    read.collect::<Result<_, _>>().unwrap()
}

/// Answers each request with `reply`, at localhost. The thread ends with the process.
fn serve(folder: &Path, clients: Clients, reply: String) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(certificates(&folder.join("ca.pem")).remove(0))
        .unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Clients::All => builder.with_no_client_auth(),
        Clients::Certified => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap(),
        ),
    };
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let chain = certificates(&folder.join("server.pem"));
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, socket.unwrap());
            let mut head = Vec::new();
            let mut octet = [0];
            // A client that is refused, or refuses, gets no answer.
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).is_ok_and(|n| n == 1) {
                head.push(octet[0]);
            }
            if head.ends_with(b"\r\n\r\n") {
                let _ = stream.write_all(reply.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    address
}

fn document() -> String {
    let body = r#"{"metadata":{"serial":1},"roas":[]}"#;
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn source(url: &str, ca: PathBuf) -> Source {
    let mut source = Source::new("test", Origin::At(url.parse().unwrap()));
    source.web.proxy = Proxy::Direct;
    source.tls.ca = vec![ca];
    source
}

async fn error(source: Source) -> SourceError {
    Reading::start(source).next().await.result.unwrap_err()
}

#[test]
fn a_server_is_trusted_by_the_authorities_that_are_named() {
    if program("openssl").is_none() {
        return not_run("authorities of a source", Need::Peers, "needs openssl");
    }
    let folder = temp_dir();
    let folder = folder.path();
    mint(folder);
    let address = serve(folder, Clients::All, document());
    let url = format!("https://localhost:{}/json", address.port());
    Runtime::new().unwrap().block_on(async {
        let right = folder.join("ca.pem");
        assert_eq!(
            Reading::start(source(&url, right.clone()))
                .list()
                .await
                .serial,
            Some(1)
        );

        // Another name than that in the certificate.
        let refused = error(source(&format!("https://{address}/json"), right.clone())).await;
        let by_us = |error: &SourceError| {
            let SourceError::Certificate { by, .. } = error else {
                unreachable!("{error:?}");
            };
            assert_eq!((*by, error.kind()), (RefusedBy::Us, "certificate"));
        };
        by_us(&refused);

        // Another authority; and the right one as soon as it lies in its place.
        let used = folder.join("used.pem");
        fs::copy(folder.join("other.pem"), &used).unwrap();
        let mut reading = Reading::start(source(&url, used.clone()));
        by_us(&reading.next().await.result.unwrap_err());
        fs::copy(&right, &used).unwrap();
        reading.ask().await.unwrap();

        // Nothing that is a certificate, and nothing at all.
        fs::write(&used, "certificate").unwrap();
        assert_eq!(reading.ask().await.unwrap_err().kind(), "secret");
        fs::remove_file(&used).unwrap();
        assert_eq!(reading.ask().await.unwrap_err().kind(), "secret");
        fs::copy(&right, &used).unwrap();
        reading.ask().await.unwrap();
    });
}

#[test]
fn a_client_shows_its_certificate_whatever_the_form_of_its_key() {
    if program("openssl").is_none() {
        return not_run(
            "client certificates of a source",
            Need::Peers,
            "needs openssl",
        );
    }
    let folder = temp_dir();
    let folder = folder.path();
    mint(folder);
    let address = serve(folder, Clients::Certified, document());
    let url = format!("https://localhost:{}/json", address.port());
    let with = |chain: &str, key: &str| {
        let mut source = source(&url, folder.join("ca.pem"));
        source.tls.certificate = Some((folder.join(chain), folder.join(key)));
        source
    };
    Runtime::new().unwrap().block_on(async {
        for form in ["pkcs8", "sec1", "pkcs1"] {
            let source = with(&format!("{form}.pem"), &format!("{form}.key"));
            assert_eq!(
                Reading::start(source).list().await.serial,
                Some(1),
                "{form}"
            );
        }
        let without = error(source(&url, folder.join("ca.pem"))).await;
        let SourceError::Certificate { by, .. } = without else {
            unreachable!("{without:?}");
        };
        assert_eq!(by, RefusedBy::Server);
        // One of an authority that the server does not know.
        let foreign = error(with("other.pem", "other.key")).await;
        assert_eq!(foreign.kind(), "certificate", "{foreign:?}");

        let no_key = error(with("pkcs8.pem", "pkcs8.pem")).await;
        assert_eq!(no_key.kind(), "secret");
        let missing = error(with("pkcs8.pem", "missing.key")).await;
        assert!(missing.to_string().contains("missing.key"), "{missing}");
        // The key of another certificate.
        assert_eq!(error(with("pkcs8.pem", "other.key")).await.kind(), "client");
    });
}

#[test]
fn a_redirection_never_leaves_tls() {
    if program("openssl").is_none() {
        return not_run("redirections of a source", Need::Peers, "needs openssl");
    }
    let folder = temp_dir();
    let folder = folder.path();
    mint(folder);
    // Nothing listens there, and nothing is to be asked there.
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://localhost:9/\r\nContent-Length: 0\r\n\r\n";
    let address = serve(folder, Clients::All, moved.into());
    let url = format!("https://localhost:{}/json", address.port());
    Runtime::new().unwrap().block_on(async {
        match error(source(&url, folder.join("ca.pem"))).await {
            SourceError::Redirect { reason, .. } => assert_eq!(reason, RedirectError::Insecure),
            other => unreachable!("{other:?}"),
        }
    });
}

#[test]
fn a_client_certificate_is_shown_to_the_first_server_only() {
    if program("openssl").is_none() {
        return not_run(
            "a redirected client certificate",
            Need::Peers,
            "needs openssl",
        );
    }
    let folder = temp_dir();
    let folder = folder.path();
    mint(folder);
    // Both want it, and only the first gets it.
    let second = serve(folder, Clients::Certified, document());
    let port = second.port();
    let moved = format!(
        "HTTP/1.1 302 Found\r\nLocation: https://localhost:{port}/\r\nContent-Length: 0\r\n\r\n"
    );
    let first = serve(folder, Clients::Certified, moved);
    let url = format!("https://localhost:{}/json", first.port());
    let mut source = source(&url, folder.join("ca.pem"));
    source.tls.certificate = Some((folder.join("pkcs8.pem"), folder.join("pkcs8.key")));
    Runtime::new().unwrap().block_on(async {
        let error = error(source).await;
        assert_eq!(error.kind(), "certificate", "{error:?}");
    });
}
