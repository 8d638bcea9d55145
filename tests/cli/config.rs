//! `rutter config` from outside.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rutter::config::{Carrier, Config, Settings};
use rutter::net::ssh::Preset;
use rutter::net::tls::ClientAuth;

use super::certs::certs;
use super::program::{Ran, command, run, rutter};
use super::support::temp_dir;

fn config(arguments: &[&str]) -> Ran {
    rutter(["config"].iter().chain(arguments))
}

/// A folder with a file of this text in it.
fn folder(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.toml");
    fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (folder, name)
}

fn load(file: &Path) -> Config {
    let settings = Settings {
        config: Some(file.to_owned()),
        ..Settings::default()
    };
    let config = Config::new(&settings);
    config.unwrap_or_else(|errors| panic!("{errors}")).0
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|end| end == "toml"))
        .collect()
}

#[test]
fn a_file_that_is_right_is_ok() {
    let (_folder, file) = folder("[[source]]\nurl = \"x\"\nmax-age = \"off\"\n");
    let ran = config(&["check", &file]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out, format!("{file}: ok\n"));
    assert!(
        ran.err.starts_with(&format!("{file}: warning: source ")),
        "{ran:?}"
    );
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
}

#[test]
fn everything_wrong_is_exit_code_1() {
    let (_folder, file) = folder("[rtr]\nrefesh = \"1h\"\nretry = \n");
    for command in ["check", "show"] {
        let ran = config(&[command, &file]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        let lines: Vec<&str> = ran.err.lines().collect();
        assert_eq!(lines.len(), 2, "{ran:?}");
        let first = format!("{file}:2:1: rtr.refesh: unknown key; did you mean \"refresh\"?");
        assert_eq!(lines[0], first);
        assert!(lines[1].starts_with(&format!("{file}:3:")), "{ran:?}");
    }
    // A server does not start with it.
    rutter(["serve", "--config", &file]).fails_with("did you mean \"refresh\"?");
}

#[test]
fn a_file_that_cannot_be_read_is_exit_code_2() {
    for command in ["check", "show"] {
        config(&[command, "/nowhere/r.toml"]).fails_with("/nowhere/r.toml: cannot be read");
        let folder = tempfile::tempdir().unwrap();
        config(&[command, folder.path().to_str().unwrap()]).fails_with("cannot be read");
    }
    config(&["from", "stayrtr", "--env", "/nowhere"]).fails_with("cannot read /nowhere");
    config(&["from", "fort"]).fails_with("fort");
}

#[test]
fn shown_values_say_where_they_are_from_and_no_secrets() {
    let (_folder, file) = folder(
        "[rtr]\nretry = \"5m\"\n[[source]]\nurl = \"https://u:s3cret@validator.example/json\"\n\
         headers = { X-Key = \"s3cret\" }\nproxy = \"http://u:s3cret@proxy.example\"\n",
    );
    let mut shown = command(["config", "show", &file, "--set", "rtr.expire=3h"]);
    let shown = run(shown.env("RUTTER_RTR__REFRESH", "30m")).done();
    for (value, from) in [
        ("refresh = \"30m\"", "RUTTER_RTR__REFRESH"),
        ("retry = \"5m\"", &format!("{file}:2")),
        ("expire = \"3h\"", "--set rtr.expire=3h"),
        ("history = \"1d\"", "default"),
        (
            "url = \"https://validator.example/json\"",
            &format!("{file}:4, user and password hidden"),
        ),
    ] {
        let line = shown.lines().find(|line| line.starts_with(value));
        let line = line.unwrap_or_else(|| panic!("{value}\n{shown}"));
        assert_eq!(line.split_once(" # ").unwrap().1, from, "{line}");
    }
    assert!(!shown.contains("s3cret"), "{shown}");
    let json = config(&["show", &file, "--output", "json"]).done();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rtr"]["retry"]["value"], "5m");
    assert_eq!(json["rtr"]["refresh"]["from"], "default");
    assert_eq!(json["source"][0]["headers"]["value"]["X-Key"], "hidden");
    assert_eq!(json["control"]["value"], "/run/rutter/control");
    assert!(!json.to_string().contains("s3cret"), "{json}");
}

/// The example beside the files that it names, as the script makes them.
fn with_its_files(example: &Path, folder: &Path) -> PathBuf {
    for arguments in [
        "ca {}",
        "server {} server --dns cache.example",
        "ssh-router {} r1",
        "secret {} md5.key",
        "secret {} http-token",
    ] {
        certs(folder, arguments).done();
    }
    let salt = "c29tZXNhbHRzb21lc2FsdA";
    let hash = "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
    let user = format!("old:$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}\n");
    write_secret(&folder.join("ssh-users"), &user);
    let copy = folder.join(example.file_name().unwrap());
    fs::copy(example, &copy).unwrap();
    copy
}

#[test]
fn every_example_is_right_and_shown_as_what_it_means() {
    let examples = examples();
    assert!(examples.len() >= 5, "{examples:?}");
    let beside = temp_dir();
    for example in examples {
        let example = match example.ends_with("secure.toml") {
            true => with_its_files(&example, beside.path()),
            false => example,
        };
        let name = example.to_str().unwrap();
        let checked = config(&["check", name]).done();
        assert_eq!(checked, format!("{name}: ok\n"));
        let shown = config(&["show", name]).done();
        let (_folder, again) = folder(&shown);
        let (mut before, mut after) = (load(&example), load(Path::new(&again)));
        // What was a default is named now, and so required.
        (before.control, after.control) = (None, None);
        assert_eq!(format!("{before:?}"), format!("{after:?}"), "{shown}");
    }
}

/// A file that only we can read.
fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn check_reads_the_secrets_that_a_file_names() {
    let (folder, file) = folder(
        "[[source]]\nurl = \"x\"\n[http]\naddress = \"127.0.0.1:1\"\ntoken-file = \"token\"\n\
         [[listener]]\naddress = \"127.0.0.1:2\"\n\
         md5 = [{ prefix = \"127.0.0.1\", key-file = \"md5\" }]\n",
    );
    let path = |name: &str| folder.path().join(name);
    write_secret(&path("token"), "\n");
    write_secret(&path("md5"), &"k".repeat(81));
    let ran = config(&["check", &file]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    let (token, md5) = (path("token"), path("md5"));
    let expected = format!(
        "{}: too long for tcp md5 (found 81 octets, expected at most 80)\n\
         {}: there is no secret in its first line\n",
        md5.display(),
        token.display()
    );
    assert_eq!(ran.err, expected);
    write_secret(&token, "secret");
    fs::remove_file(&md5).unwrap();
    fs::write(&md5, "key").unwrap();
    let ran = config(&["check", &file]);
    let expected = format!(
        "{file}: warning: {}: everybody can read this secret\n",
        md5.display()
    );
    assert_eq!((ran.code, ran.err), (Some(0), expected));
}

/// What of this folder `config check` finds wrong in a file of this text, a line each.
fn faults(folder: &Path, text: &str) -> Vec<String> {
    let file = folder.join("r.toml");
    fs::write(&file, format!("[[source]]\nurl = \"x\"\n{text}")).unwrap();
    let ran = config(&["check", file.to_str().unwrap()]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    let errors = ran.err.lines().filter(|line| !line.contains(": warning: "));
    errors.map(str::to_owned).collect()
}

#[test]
fn check_finds_what_a_listener_cannot_use() {
    let folder = temp_dir();
    let folder = folder.path();
    for arguments in [
        "ca {}",
        "server {} a --dns a.example",
        "server {} b --dns b.example",
    ] {
        certs(folder, arguments).done();
    }
    write_secret(&folder.join("none.crt"), "no certificate");
    write_secret(&folder.join("keys"), "ssh-ed25519 AAAA\n");
    write_secret(&folder.join("users"), "# two\nr1:word\n");
    write_secret(&folder.join("host"), "no key");
    let tls = |certificate: &str, key: &str| {
        format!(
            "[[listener]]\ntransport = \"tls\"\naddress = \"127.0.0.1:1\"\n\
             certificate = \"{certificate}.crt\"\nkey = \"{key}.key\"\n"
        )
    };
    let begins = |faults: &[String], starts: &[&str]| {
        assert_eq!(faults.len(), starts.len(), "{faults:?}");
        for (fault, start) in faults.iter().zip(starts) {
            let start = match start.strip_prefix('/') {
                Some(name) => folder.join(name).display().to_string(),
                None => (*start).to_owned(),
            };
            assert!(fault.starts_with(&start), "{start:?}: {fault:?}");
        }
    };
    begins(&faults(folder, &tls("none", "a")), &["/none.crt: "]);
    begins(&faults(folder, &tls("a", "b")), &["/b.key: "]);
    let authorities = tls("a", "a") + "client-ca = \"none.crt\"\ncrl = \"none.crt\"\n";
    begins(&faults(folder, &authorities), &["/none.crt: "]);
    let ssh = "[[listener]]\ntransport = \"ssh\"\naddress = \"127.0.0.1:2\"\n\
               auth = [\"publickey\", \"password\"]\nhost-keys = [\"new_ed25519\", \"host\"]\n\
               authorized-keys = \"keys\"\nusers = \"users\"\nciphers = [\"rot13\"]\n";
    // All of it at once.
    let all = [
        "algorithms: no cipher `rot13`; expected some of ",
        "/host: ",
        "/keys:1: ",
        "/users:2: ",
    ];
    begins(&faults(folder, ssh), &all);
    assert!(
        !folder.join("new_ed25519").exists(),
        "a check makes nothing"
    );
    let http = "[http]\naddress = \"127.0.0.1:3\"\ncertificate = \"a.crt\"\nkey = \"b.key\"\n";
    begins(&faults(folder, http), &["/b.key: "]);
    let source = "[[source]]\nurl = \"tls://cache.example\"\nca = \"none.crt\"\n\
                  [[source]]\nurl = \"ssh://r@cache.example\"\nkey = \"host\"\n\
                  known-hosts = \"none.crt\"\n";
    begins(&faults(folder, source), &["/none.crt: ", "/host: "]);
    let good = folder.join("r.toml");
    let text = format!("[[source]]\nurl = \"x\"\n{}", tls("a", "a"));
    fs::write(&good, text).unwrap();
    config(&["check", good.to_str().unwrap()]).done();
}

/// The reference with its commented settings taken in, as `table.key` and as a file.
fn uncommented() -> (BTreeSet<String>, String) {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/rutter.toml");
    let text = fs::read_to_string(reference).unwrap();
    let (mut keys, mut file) = (BTreeSet::new(), String::new());
    let mut table = String::new();
    for line in text.lines() {
        // A comment has a space behind its sign, a setting has none.
        let line = match line.strip_prefix('#') {
            Some(rest) if rest.starts_with([' ', '#']) || rest.is_empty() => continue,
            Some(rest) => rest,
            None => line,
        };
        if line.starts_with('[') {
            table = format!("{}.", line.trim_matches(['[', ']']));
        } else if let Some((key, _)) = line.split_once(" = ") {
            keys.insert(format!("{table}{key}"));
        }
        file.push_str(line);
        file.push('\n');
    }
    (keys, file)
}

#[test]
fn the_reference_names_every_key_and_every_default() {
    let (keys, file) = uncommented();
    let known: BTreeSet<String> = Config::file_keys().into_iter().collect();
    assert_eq!(keys, known);
    // What cannot stand beside something else that is there.
    let mut file = file;
    for (line, rest) in [
        ("quorum = 2\n", ""),
        ("name = \"validator\"\n", ""),
        ("user = \"rutter\"\n", ""),
        ("password-file = \"ssh-password\"\nalgorithms", "algorithms"),
        ("bucket = \"routes/feed\"\n", ""),
        ("bucket-endpoint = \"https://s3.example\"\n", ""),
        ("bucket-region = \"us-east-1\"\n", ""),
        ("bucket-credentials = \"bucket-credentials\"\n", ""),
    ] {
        assert!(file.contains(line), "{line}");
        file = file.replacen(line, rest, 1);
    }
    let (folder, name) = folder(&file);
    for beside in [
        "token",
        "api-key",
        "client.pem",
        "client.key",
        "http-token",
        "known_hosts",
        "id_ed25519",
        "ssh-password",
        "tls.crt",
        "tls.key",
        "routers-ca.crt",
        "routers.crl",
        "authorized_keys",
        "ssh-users",
        "http.crt",
        "http.key",
        "clients-ca.crt",
        "clients.crl",
        "validator.pub",
        "leader.pub",
        "export.key",
        "gortr.key",
    ] {
        fs::write(folder.path().join(beside), "x").unwrap();
    }
    let full = load(Path::new(&name));
    let plain = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/rutter.toml");
    let mut plain = load(&plain);
    // All that is said there is a default, but for what has none.
    assert_eq!(full.sources.len(), 5);
    assert_eq!(full.sources[0], plain.sources[0]);
    assert!(full.sources[1].web.bearer_token.is_some());
    assert_eq!(
        full.control.unwrap().path,
        plain.control.take().unwrap().path
    );
    assert!(full.http.token.is_some());
    assert_eq!(format!("{:?}", full.rtr), format!("{:?}", plain.rtr));
    assert_eq!((full.merge, full.guard), (plain.merge, plain.guard));
    assert_eq!(full.slurm, plain.slurm);
    assert_eq!(full.listeners[0], plain.listeners[0]);
    assert_eq!(full.limits, plain.limits);
    // The defaults of the tables that are not there at all.
    let (tls, ssh) = (&full.listeners[1].carrier, &full.listeners[2].carrier);
    let Carrier::Tls(tls) = tls else {
        panic!("{tls:?}")
    };
    let ClientAuth::Required(check) = &tls.clients else {
        panic!("{tls:?}")
    };
    assert!(check.match_address);
    let Carrier::Ssh(ssh) = ssh else {
        panic!("{ssh:?}")
    };
    assert_eq!(ssh.algorithms.preset, Preset::Default);
    assert_eq!(full.profiles[0].timing, Some(full.rtr.timing));
    assert_eq!(full.profiles[0].kinds, Some(rutter::payload::Kinds::ALL));
    let http = rutter::config::Http::default();
    let room = |http: &rutter::config::Http| (http.connections, http.connections_per_address);
    assert_eq!(room(&full.http), room(&http));
}

#[test]
fn what_another_server_was_told_becomes_a_file() {
    let toml = config(&[
        "from",
        "stayrtr",
        "-bind",
        "127.0.0.1:8282",
        "-cache",
        "/var/lib/json",
        "-checktime=false",
        "--log.verbose",
    ])
    .done();
    let (_folder, file) = folder(&toml);
    let checked = config(&["check", &file]);
    assert_eq!(checked.code, Some(0), "{checked:?}\n{toml}");
    assert!(toml.contains("# -log.verbose: "), "{toml}");

    let (_folder, env) = folder("GORTR_ARGS=-bind 127.0.0.1:1 -verify=false\n");
    let toml = config(&["from", "gortr", "--env", &env, "--", "-refresh", "60"]).done();
    assert!(
        toml.contains("127.0.0.1:1") && toml.contains("refresh = \"1m\""),
        "{toml}"
    );
}

#[test]
fn what_another_server_would_not_know_is_exit_code_1() {
    let ran = config(&["from", "stayrtr", "-chache", "x", "-bind"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    let expected = "rutter: stayrtr: unknown flag -chache; did you mean -cache?\n\
                    rutter: stayrtr: -bind needs a value\n";
    assert_eq!(ran.err, expected);
}
