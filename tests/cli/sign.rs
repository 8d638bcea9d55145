//! `rutter keygen`, `rutter sign` and `rutter verify`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Need, not_run, temp_dir};

const DOCUMENT: &str = r#"{"metadata":{"serial":7},"roas":[
    {"prefix":"192.0.2.0/24","maxLength":24,"asn":65001,"ta":"x","expires":4000000000},
    {"prefix":"2001:db8::/32","maxLength":48,"asn":4200000000,"ta":"x","expires":4000000000}]}"#;

fn rutter(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rutter"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[track_caller]
fn does(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = rutter(folder, arguments);
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

/// A folder with a document and two pairs of keys, `a` and `b`.
fn folder() -> tempfile::TempDir {
    let folder = temp_dir();
    let at = folder.path();
    fs::write(at.join("rpki.json"), DOCUMENT).unwrap();
    does(at, &["keygen", "--out", "a.key"], 0);
    does(
        at,
        &[
            "keygen",
            "--out",
            "b.key",
            "--algorithm",
            "eddsa",
            "--public",
            "b.pub",
        ],
        0,
    );
    folder
}

#[test]
fn a_private_key_is_its_owners_and_is_never_written_over() {
    let folder = folder();
    let at = folder.path();
    let mode = |name: &str| fs::metadata(at.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a.key"), mode("a.key.pub") & 0o600), (0o600, 0o600));
    let before = fs::read(at.join("a.key")).unwrap();
    let said = does(at, &["keygen", "--out", "a.key"], 2);
    assert!(said.contains("cannot write a.key: File exists"), "{said}");
    assert_eq!(fs::read(at.join("a.key")).unwrap(), before);
    // Half a pair is not left behind.
    does(
        at,
        &["keygen", "--out", "c.key", "--public", "a.key.pub"],
        2,
    );
    assert!(!at.join("c.key").exists());
    let public = does(at, &["keygen", "--public-of", "a.key"], 0);
    assert_eq!(public, fs::read_to_string(at.join("a.key.pub")).unwrap());
}

#[test]
fn a_statement_is_good_on_its_document_alone() {
    let folder = folder();
    let at = folder.path();
    let verify = ["verify", "--key", "a.key.pub", "rpki.json"];
    let said = does(at, &verify, 1);
    assert!(said.contains("there is no statement beside it"), "{said}");
    does(at, &["sign", "--key", "a.key", "rpki.json"], 0);
    let said = does(at, &verify, 0);
    assert!(said.contains("payloads:    2\nserial:      7\n"), "{said}");
    // By another key, and by one of several.
    does(at, &["verify", "--key", "b.pub", "rpki.json"], 1);
    does(
        at,
        &[
            "verify",
            "--key",
            "b.pub",
            "--key",
            "a.key.pub",
            "rpki.json",
        ],
        0,
    );
    let mut changed = DOCUMENT.replace("65001", "65002");
    fs::write(at.join("rpki.json"), &changed).unwrap();
    does(at, &verify, 1);
    changed = DOCUMENT.to_owned() + " ";
    fs::write(at.join("rpki.json"), &changed).unwrap();
    does(at, &verify, 1);
    // What cannot be known is not bad.
    does(at, &["verify", "--key", "a.key.pub", "none.json"], 2);
    does(at, &["verify", "--key", "none.pub", "rpki.json"], 2);
    does(
        at,
        &[
            "verify",
            "--key",
            "a.key.pub",
            "http://127.0.0.1:1/rpki.json",
        ],
        2,
    );
}

#[test]
fn gortrs_signature_is_in_the_document() {
    let folder = folder();
    let at = folder.path();
    let sign = [
        "sign",
        "--gortr",
        "--key",
        "a.key",
        "--out",
        "signed.json",
        "rpki.json",
    ];
    does(at, &sign, 0);
    let verify = ["verify", "--scheme", "gortr", "--key", "a.key.pub"];
    let outcome = |name, code| does(at, &[&verify[..], &[name]].concat(), code);
    outcome("signed.json", 0);
    let said = outcome("rpki.json", 1);
    assert!(
        said.contains("it has no signature and signatureDate"),
        "{said}"
    );
    let signed = fs::read_to_string(at.join("signed.json")).unwrap();
    for (from, to) in [("65001", "65002"), ("\"valid\":1", "\"valid\":2")] {
        fs::write(at.join("changed.json"), signed.replacen(from, to, 1)).unwrap();
        outcome("changed.json", 1);
    }
    let said = does(at, &["sign", "--gortr", "--key", "b.key", "rpki.json"], 2);
    assert!(said.contains("P-256"), "{said}");
}

#[test]
fn a_statement_is_on_the_octets_without_compression() {
    let folder = folder();
    let at = folder.path();
    let file = fs::File::create(at.join("rpki.json.gz")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(DOCUMENT.as_bytes()).unwrap();
    encoder.finish().unwrap();
    does(at, &["sign", "--key", "a.key", "rpki.json"], 0);
    fs::rename(at.join("rpki.json.jws"), at.join("rpki.json.gz.jws")).unwrap();
    does(at, &["verify", "--key", "a.key.pub", "rpki.json.gz"], 0);
    does(at, &["sign", "--key", "a.key", "rpki.json.gz"], 0);
    does(at, &["verify", "--key", "a.key.pub", "rpki.json.gz"], 0);
}

#[test]
fn a_private_key_that_everybody_may_read_is_refused() {
    let folder = folder();
    let at = folder.path();
    fs::set_permissions(at.join("a.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let said = does(at, &["sign", "--key", "a.key", "rpki.json"], 2);
    assert!(
        said.contains("everybody may read this private key"),
        "{said}"
    );
    assert!(!at.join("rpki.json.jws").exists());
}

/// The Python that has other libraries.
fn python() -> Option<PathBuf> {
    let python = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/peers/pypi/bin/python"
    ));
    python.exists().then_some(python)
}

/// The texts and both signatures of GoRTR, made by other means from the document alone.
#[test]
fn an_independent_library_verifies_gortrs_signatures() {
    let Some(python) = python() else {
        let why = "tests/peers/pypi has not fetched it";
        return not_run("GoRTR's signatures in cryptography", Need::Peers, why);
    };
    let folder = folder();
    let at = folder.path();
    let sign = ["sign", "--gortr", "--key", "a.key", "--out", "signed.json"];
    does(at, &[&sign[..], &["rpki.json"]].concat(), 0);
    let script = r#"
import json
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from decimal import Decimal
key = load_pem_public_key(open('a.key.pub', 'rb').read())
said = json.load(open('signed.json'))
about = said['metadata']
def number(asn):
    if asn < 1000000:
        return str(asn)
    digits, exponent = f'{Decimal(asn).normalize():e}'.split('e+')
    return f'{digits}e+{int(exponent):02}'
rows = ''.join(sorted(f"{r['prefix']},{r['maxLength']},{number(r['asn'])}," for r in said['roas']))
assert rows == '192.0.2.0/24,24,65001,2001:db8::/32,48,4.2e+09,', rows
dated = f"{about['generated']},{rows}{about['valid']}"
for field, text in (('signatureDate', rows), ('signature', dated)):
    key.verify(bytes.fromhex(about[field]), text.encode(), ec.ECDSA(SHA256()))
print('good')
"#;
    let output = Command::new(&python)
        .args(["-c", script])
        .current_dir(at)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"good\n", "{text}");
}

/// A library that is not ours reads the statement.
#[test]
fn an_independent_library_verifies_the_statement() {
    let Some(python) = python() else {
        let why = "tests/peers/pypi has not fetched it";
        return not_run("statements in joserfc", Need::Peers, why);
    };
    let folder = folder();
    let at = folder.path();
    for (key, public) in [("a.key", "a.key.pub"), ("b.key", "b.pub")] {
        does(at, &["sign", "--key", key, "rpki.json"], 0);
        let script = "\
import hashlib, json, sys, time
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey
pem = open(sys.argv[1]).read()
try:
    key = ECKey.import_key(pem)
except Exception:
    key = OKPKey.import_key(pem)
text = open('rpki.json.jws').read()
registry = jws.JWSRegistry(algorithms=['ES256', 'EdDSA', 'Ed25519'], strict_check_header=False)
made = jws.deserialize_compact(text, key, algorithms=['ES256', 'EdDSA', 'Ed25519'], registry=registry)
said = json.loads(made.payload)
octets = open('rpki.json', 'rb').read()
assert said['sha256'] == hashlib.sha256(octets).hexdigest()
assert said['length'] == len(octets) and said['serial'] == 7
assert said['iat'] <= time.time() + 5 < said['exp']
try:
    jws.deserialize_compact(text[:-4] + 'AAAA', key, algorithms=['ES256', 'EdDSA'], registry=registry)
except Exception:
    print('good')
";
        let output = Command::new(&python)
            .args(["-c", script, public])
            .current_dir(at)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.stdout, b"good\n", "{key}: {text}");
    }
}
