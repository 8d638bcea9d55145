//! From a web server with a certificate.

use std::path::Path;
use std::process::Command;

use super::cache::PATIENCE;
use crate::support::payloads::{Payloads, Prng};
use crate::support::process::{Process, run};
use crate::support::{Need, free_port, not_run, program, temp_dir, wait_for};

/// Makes `ca.pem`, and `server.pem` with its key for localhost, in the folder `$1`.
pub(super) const MINT: &str = r#"
    set -eu
    cd "$1"
    new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    $new -x509 -keyout ca.key -out ca.pem -subj /CN=rutter-test-ca -days 2
    $new -keyout server.key -out server.csr -subj /CN=rutter-test
    printf 'subjectAltName=DNS:localhost\n' >names
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
        -out server.pem -days 2 -extfile names
"#;

/// Serves `https://localhost:PORT/vrps.json` to routers that trust this file of certificates.
fn serve(folder: &Path, port: u16, trusted: &Path, log: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rutter"));
    command.args(["serve", "--listen", "tcp://127.0.0.1:0", "--source"]);
    command.arg(format!("https://localhost:{port}/vrps.json"));
    command
        .env("SSL_CERT_FILE", trusted)
        .env("NO_PROXY", "localhost");
    command.env_remove("SSL_CERT_DIR");
    Process::start(&mut command, &folder.join(log))
}

/// Serves the files of a folder over TLS, with the certificate that is there.
pub(super) fn secure(folder: &Path, port: u16, log: &str) -> Process {
    let mut web = Command::new("openssl");
    web.args([
        "s_server",
        "-WWW",
        "-cert",
        "server.pem",
        "-key",
        "server.key",
        "-accept",
    ]);
    web.arg(format!("127.0.0.1:{port}")).current_dir(folder);
    let web = Process::start(&mut web, &folder.join(log));
    wait_for("the web server listens", PATIENCE, || {
        let said = web.output();
        said.contains("ACCEPT").then_some(()).ok_or(said)
    });
    web
}

#[test]
fn a_document_is_taken_from_a_server_that_is_trusted_and_from_no_other() {
    if program("openssl").is_none() {
        return not_run("a source over HTTPS", Need::Peers, "needs openssl");
    }
    let folder = temp_dir();
    let folder = folder.path();
    Payloads::vrps(50, &mut Prng::new(1)).write_json(&folder.join("vrps.json"));
    run(
        Command::new("sh").args(["-c", MINT, "sh"]).arg(folder),
        PATIENCE,
    )
    .unwrap();
    // Another authority, which has signed nothing of this.
    let other = temp_dir();
    run(
        Command::new("sh")
            .args(["-c", MINT, "sh"])
            .arg(other.path()),
        PATIENCE,
    )
    .unwrap();

    let port = free_port();
    let _web = secure(folder, port, "web.log");

    let says = |server: &Process, word: &str| {
        wait_for(word, PATIENCE, || {
            let said = server.output();
            if said.contains(word) {
                Ok(said)
            } else {
                Err(said)
            }
        })
    };
    let trusting = serve(folder, port, &folder.join("ca.pem"), "trusting.log");
    says(&trusting, "published");
    let wary = serve(folder, port, &other.path().join("ca.pem"), "wary.log");
    let said = says(&wary, "source fails");
    assert!(
        said.contains("certificate") && !said.contains("published"),
        "{said}"
    );
}
