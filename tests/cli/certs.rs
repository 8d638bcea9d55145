//! `certs/rutter-certs`: what it makes, as openssl and ssh-keygen see it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::program::{Ran, run};
use super::support::temp_dir;

/// Runs the script with these words, of which `{}` is the folder.
#[track_caller]
pub(crate) fn certs(folder: &Path, words: &str) -> Ran {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/rutter-certs");
    let mut command = Command::new(script);
    for word in words.split(' ') {
        match word {
            "{}" => command.arg(folder),
            word => command.arg(word),
        };
    }
    run(command.stdin(Stdio::null()))
}

/// Runs a program in the folder, which answers with exit code 0.
#[track_caller]
fn says(folder: &Path, words: &str) -> String {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let ran = run(command.args(words).current_dir(folder).stdin(Stdio::null()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out
}

#[track_caller]
fn refused(ran: &Ran, code: i32, reason: &str) {
    assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{ran:?}");
    assert!(ran.err.starts_with("rutter-certs: "), "{ran:?}");
    assert!(ran.err.contains(reason), "{reason:?} is not in {ran:?}");
}

#[test]
fn certificates_are_what_rfc_8210_wants() {
    let folder = temp_dir();
    let folder = &folder.path().join("new");
    certs(folder, "ca {}").done();
    let server = "server {} cache --dns cache.example --dns cache2.example --ip 192.0.2.10";
    certs(folder, server).done();
    certs(folder, "router {} r1 --ip 192.0.2.1 --ip 2001:db8::1").done();

    let chain = "openssl verify -x509_strict -CAfile ca.crt -CRLfile ca.crl -crl_check -purpose";
    says(folder, &format!("{chain} sslserver cache.crt"));
    says(folder, &format!("{chain} sslclient r1.crt"));
    for (name, usage, names) in [
        (
            "cache",
            "TLS Web Server Authentication",
            "DNS:cache.example, DNS:cache2.example, IP Address:192.0.2.10",
        ),
        (
            "r1",
            "TLS Web Client Authentication",
            "IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1",
        ),
    ] {
        let text = says(folder, &format!("openssl x509 -noout -text -in {name}.crt"));
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for line in [
            usage,
            names,
            "ASN1 OID: prime256v1",
            "CA:FALSE",
            "Digital Signature",
        ] {
            assert!(lines.contains(&line), "{line}\n{text}");
        }
        // It is over in 90 days, and not in 89.
        let days = |days: u32| {
            format!(
                "openssl x509 -noout -in {name}.crt -checkend {}",
                days * 86_400
            )
        };
        says(folder, &days(89));
        let mut ended = Command::new("sh");
        let ended = run(ended.args(["-c", &days(91)]).current_dir(folder));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        // The key is the one of the certificate.
        let of_key = says(folder, &format!("openssl pkey -in {name}.key -pubout"));
        let of_chain = says(
            folder,
            &format!("openssl x509 -in {name}.crt -noout -pubkey"),
        );
        assert_eq!(of_key, of_chain);
    }
    let ca = says(folder, "openssl x509 -noout -text -in ca.crt");
    assert!(ca.contains("CA:TRUE, pathlen:0"), "{ca}");
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file:?}");
        assert!(
            !file.file_name().to_string_lossy().starts_with('.'),
            "{file:?}"
        );
    }
}

#[test]
fn what_is_revoked_is_in_the_list() {
    let folder = temp_dir();
    let folder = folder.path();
    certs(folder, "ca {}").done();
    certs(folder, "router {} r1 --ip 192.0.2.1").done();
    certs(folder, "router {} r2 --ip 192.0.2.2").done();
    certs(folder, "revoke {} r1").done();
    certs(folder, "crl {} --days 7").done();
    let check = "openssl verify -CAfile ca.crt -CRLfile ca.crl -crl_check";
    says(folder, &format!("{check} r2.crt"));
    let mut revoked = Command::new("sh");
    let revoked = run(revoked
        .args(["-c", &format!("{check} r1.crt")])
        .current_dir(folder));
    assert_eq!(revoked.code, Some(2), "{revoked:?}");
    assert!(revoked.err.contains("certificate revoked"), "{revoked:?}");
    let list = says(folder, "openssl crl -noout -text -in ca.crl");
    assert!(list.contains("X509v3 Authority Key Identifier"), "{list}");
    assert!(list.contains("X509v3 CRL Number"), "{list}");
    assert_eq!(list.matches("Serial Number:").count(), 1, "{list}");
    // Once is enough, and a name that is nobody's is told.
    let again = certs(folder, "revoke {} r1");
    assert_eq!((again.code, again.out.as_str()), (Some(1), ""), "{again:?}");
    refused(&certs(folder, "revoke {} r3"), 1, "there is no");
}

#[test]
fn keys_for_ssh_come_with_their_lines() {
    let folder = temp_dir();
    let folder = folder.path();
    let host = certs(
        folder,
        "ssh-host {} --dns cache.example --ip 192.0.2.10 --port 2222",
    )
    .done();
    let public = fs::read_to_string(folder.join("ssh_host_ed25519_key.pub")).unwrap();
    let key = public.trim().rsplit_once(' ').unwrap().0;
    for line in [
        format!("[cache.example]:2222 {key}"),
        format!("[192.0.2.10]:2222 {key}"),
    ] {
        assert!(host.lines().any(|other| other == line), "{line}\n{host}");
    }
    certs(
        folder,
        "ssh-router {} r1 --from 192.0.2.1/32 --from 2001:db8::/64",
    )
    .done();
    certs(folder, "ssh-router {} r2").done();
    certs(folder, "ssh-router {} r3 --user third").done();
    // The private key belongs to the public one, and has no passphrase.
    let public = says(folder, "ssh-keygen -y -P  -f r1.id_ed25519");
    let lines = fs::read_to_string(folder.join("authorized_keys")).unwrap();
    let line = format!("restrict,from=\"192.0.2.1/32,2001:db8::/64\" {public}");
    assert_eq!(lines.lines().next(), Some(line.trim()));
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let third = fs::read_to_string(folder.join("authorized_keys.third")).unwrap();
    assert!(third.starts_with("restrict ssh-ed25519 "), "{third}");

    // A key that the router has made itself.
    says(folder, "ssh-keygen -q -t ecdsa -b 384 -N  -C own -f own");
    let own = folder.join("own.pub").display().to_string();
    certs(folder, &format!("authorize {{}} {own}")).done();
    let again = certs(folder, &format!("authorize {{}} {own}"));
    refused(&again, 1, "already");
    let private = own.trim_end_matches(".pub");
    refused(
        &certs(folder, &format!("authorize {{}} {private}")),
        1,
        "no public key",
    );
    let lines = fs::read_to_string(folder.join("authorized_keys")).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(!lines.contains("PRIVATE"));
}

#[test]
fn users_come_from_rutter_itself() {
    let folder = temp_dir();
    let folder = folder.path();
    // What the program does with a password is tested elsewhere.
    let program = folder.join("program");
    let text =
        "#!/bin/sh\n[ \"$1 $2\" = 'hash-password --user' ] && echo \"$3:\\$argon2id\\$$(cat)\"\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/rutter-certs");
    let user = |name: &str| {
        let mut command = Command::new("sh");
        let typed = format!("echo word | \"{}\" user . {name}", script.display());
        let command = command.args(["-c", &typed]).current_dir(folder);
        run(command.env("RUTTER", &program))
    };
    user("r.1").done();
    user("rx1").done();
    refused(&user("r.1"), 1, "r.1 is in ./ssh-users already");
    let users = fs::read_to_string(folder.join("ssh-users")).unwrap();
    assert_eq!(users, "r.1:$argon2id$word\nrx1:$argon2id$word\n");
    fs::write(&program, "#!/bin/sh\nexit 1\n").unwrap();
    refused(&user("r2"), 1, "hash-password has failed");
}

#[test]
fn nothing_is_overwritten() {
    let folder = temp_dir();
    let folder = folder.path();
    let all = [
        "ca {}",
        "server {} s --dns s.example",
        "router {} r --ip 192.0.2.1",
        "ssh-host {} --dns s.example",
        "ssh-router {} r",
        "secret {} token",
    ];
    for words in all {
        certs(folder, words).done();
    }
    let token = fs::read_to_string(folder.join("token")).unwrap();
    let digits = token
        .trim_end()
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .count();
    assert_eq!((digits, token.len()), (48, 49));
    let content = || {
        let files = fs::read_dir(folder).unwrap();
        let mut files: Vec<_> = files
            .map(|file| file.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = content();
    for words in all {
        refused(&certs(folder, words), 1, "is there already");
    }
    assert_eq!(content(), before);
}

#[test]
fn what_is_typed_wrong_makes_nothing() {
    let folder = temp_dir();
    let folder = &folder.path().join("none");
    for (words, reason) in [
        ("mint {}", "unknown command mint"),
        ("ca", "needs a FOLDER"),
        ("ca {} --dns x", "ca takes no --dns"),
        ("ca {} --days 0", "0 is no number of days"),
        ("server {} s --ip 192.0.2.1", "a server needs --dns"),
        ("server {} s --dns a,IP:192.0.2.9", "is no DNS name"),
        ("server {} ../s --dns s.example", "is no name"),
        ("server {} ca --dns s.example", "is the name of the CA"),
        ("router {} r --dns r.example", "a router needs --ip"),
        ("router {} r --ip r.example", "r.example is no IP address"),
        ("router {} r --ip", "--ip needs a value"),
        ("ssh-host {}", "needs --dns or --ip"),
        ("ssh-router {} r --from x", "x is no prefix"),
        ("secret {}", "needs a FOLDER and one thing more"),
    ] {
        refused(&certs(folder, words), 2, reason);
    }
    assert!(!folder.exists());
    let helped = certs(folder, "--help").done();
    assert!(
        helped.starts_with("usage: rutter-certs COMMAND FOLDER"),
        "{helped}"
    );
    refused(
        &certs(folder, "router {} r --ip 192.0.2.1"),
        1,
        "there is no CA",
    );
}
