//! Words of others, and what they come to.

use std::fs;

use super::{Given, Peer, convert};
use crate::config::{Carrier, Config, Loaded, MergeMode, Origin, Scheme, Settings};
use crate::net::Transport;
use crate::net::ssh::{Keys, Passwords};
use crate::net::tls::ClientAuth;
use crate::payload::{Kind, Kinds};

fn given(arguments: &[&str]) -> Given {
    Given {
        arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        ..Given::default()
    }
}

/// Converts, reads what came out with our own reader, and gives both.
#[track_caller]
fn read(peer: Peer, given: &Given) -> (String, Loaded) {
    let toml = convert(peer, given).unwrap_or_else(|errors| panic!("{errors:?}"));
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "slurm.json",
        "a.pem",
        "key.pem",
        "private.pem",
        "keys",
        "authorized_keys",
        "ssh-password",
        "cf.pub",
    ] {
        fs::write(folder.path().join(name), "{}").unwrap();
    }
    let file = folder.path().join("r.toml");
    fs::write(&file, &toml).unwrap();
    let settings = Settings {
        config: Some(file),
        ..Settings::default()
    };
    let loaded = Config::load(&settings, std::iter::empty());
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
    (toml, loaded)
}

#[track_caller]
fn refused(peer: Peer, given: &Given, expected: &[&str]) {
    let errors = convert(peer, given).unwrap_err();
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
    }
}

fn source(loaded: &Loaded) -> String {
    loaded.config.sources[0].origin.to_string()
}

#[test]
fn the_defaults_of_each_server_are_read() {
    for (peer, url, listener, http) in [
        (
            Peer::StayRtr,
            "https://console.rpki-client.org/rpki.json",
            "127.0.0.1:8282",
            "127.0.0.1:9847",
        ),
        (
            Peer::GoRtr,
            "https://rpki.cloudflare.com/v2/rpki.json",
            "127.0.0.1:8282",
            "127.0.0.1:8080",
        ),
        (Peer::PyRtr, "json", "127.0.0.1:8323", "127.0.0.1:8080"),
    ] {
        let (toml, loaded) = read(peer, &Given::default());
        assert!(source(&loaded).ends_with(url), "{toml}");
        assert_eq!(loaded.config.listeners[0].address.to_string(), listener);
        assert_eq!(loaded.config.http.addresses[0].to_string(), http);
    }
}

#[test]
fn every_place_open_to_all_waits_for_its_access_list() {
    let (toml, loaded) = read(Peer::StayRtr, &given(&["-bind", "0.0.0.0:323"]));
    assert!(
        toml.contains("# address = \"0.0.0.0:323\"\n# allow = ["),
        "{toml}"
    );
    let address = loaded.config.listeners[0].address;
    assert_eq!(address.to_string(), "127.0.0.1:323");
    // With the comment taken out, it is what it was.
    let open = toml
        .replace("# address = ", "address = ")
        .replace("# allow = ", "allow = ")
        .replace("address = \"127.0.0.1:323\"\n", "")
        .replace("address = \"127.0.0.1:9847\"\n", "");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.toml");
    fs::write(&file, &open).unwrap();
    let settings = Settings {
        config: Some(file),
        ..Settings::default()
    };
    let (config, _) = Config::new(&settings).unwrap_or_else(|errors| panic!("{errors}\n{open}"));
    assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:323");
    assert_eq!(config.http.addresses[0].to_string(), "[::]:9847");
}

#[test]
fn flags_of_stayrtr_are_read_as_go_reads_them() {
    let typed = given(&[
        "-bind",
        "127.0.0.1:8282",
        "--cache=http://validator.example/json",
        "-checktime=false",
        "-etag=0",
        "-last.modified=f",
        "-useragent",
        "me",
        "-mime=application/json",
        "-refresh",
        "300",
        "-rtr.refresh=1800",
        "-rtr.expire",
        "10",
        "-protocol=1",
        "-enforce.version",
        "-slurm",
        "slurm.json",
        "-metrics.addr=",
        "-maxconn",
        "7",
        "-ssh.bind=:22",
        "-ssh.auth.password",
        "s3cret",
        "-disable.bgpsec=false",
        "-notifications",
    ]);
    let (toml, loaded) = read(Peer::StayRtr, &typed);
    let config = &loaded.config;
    assert_eq!(source(&loaded), "http://validator.example/json");
    let web = &config.sources[0].web;
    assert!(!web.conditional && web.headers.len() == 2, "{web:?}");
    assert_eq!(config.sources[0].refresh.as_secs(), 300);
    assert_eq!(config.sources[0].max_age, None);
    assert_eq!(config.rtr.timing.seconds(), [1800, 600, 1801], "{toml}");
    assert_eq!(config.rtr.versions.lowest(), config.rtr.versions.highest());
    assert!(config.slurm.lenient && config.slurm.files.len() == 1);
    assert!(config.http.addresses.is_empty());
    for said in [
        "-maxconn 7",
        "# address = \"[::]:22\"",
        "anybody could log in there",
        "expire was 10 s",
    ] {
        assert!(toml.contains(said), "{said}\n{toml}");
    }
    for unsaid in ["s3cret", "bgpsec", "notifications"] {
        assert!(!toml.contains(unsaid), "{unsaid}\n{toml}");
    }
}

fn carrier(loaded: &Loaded, at: usize) -> &Carrier {
    &loaded.config.listeners[at].carrier
}

#[test]
fn tls_and_ssh_of_stayrtr_are_listeners() {
    let typed = given(&[
        "-bind=",
        "-tls.bind=127.0.0.1:8283",
        "-tls.cert=a.pem",
        "-tls.key=key.pem",
        "-ssh.bind=127.0.0.1:8284",
        "-ssh.method.password",
        "-ssh.auth.user=me",
        "-ssh.auth.password=s3cret",
        "-ssh.method.key",
        "-ssh.auth.key.file=keys",
        "-notifications=false",
        "-disable.bgpsec",
    ]);
    let (toml, loaded) = read(Peer::StayRtr, &typed);
    assert_eq!(loaded.config.listeners.len(), 2, "{toml}");
    let Carrier::Tls(tls) = carrier(&loaded, 0) else {
        panic!("{toml}")
    };
    assert_eq!(tls.clients, ClientAuth::None);
    let Carrier::Ssh(ssh) = carrier(&loaded, 1) else {
        panic!("{toml}")
    };
    assert!(matches!(&ssh.keys, Some(Keys::Authorized(files)) if files[0].ends_with("keys")));
    assert!(matches!(&ssh.passwords, Some(Passwords::Single { user, .. }) if &**user == "me"));
    assert!(
        !toml.contains("s3cret") && !toml.contains("-bind was empty"),
        "{toml}"
    );
    let [everybody] = loaded.config.profiles.as_slice() else {
        panic!("{toml}")
    };
    assert_eq!(everybody.notify, Some(false));
    assert_eq!(everybody.kinds, Some(Kinds::ALL.without(Kind::RouterKey)));
}

#[test]
fn what_let_everybody_in_does_not_here() {
    let bind = "-ssh.bind=127.0.0.1:8284";
    for (flags, said) in [
        (&[bind][..], "anybody could log in there"),
        (
            &[bind, "-ssh.method.key", "-ssh.auth.key.bypass"],
            "-ssh.auth.key.bypass let in any key there",
        ),
    ] {
        let (toml, loaded) = read(Peer::GoRtr, &given(flags));
        let Carrier::Ssh(ssh) = carrier(&loaded, 1) else {
            panic!("{toml}")
        };
        assert!(matches!(&ssh.keys, Some(Keys::Authorized(_))), "{toml}");
        assert!(toml.contains(said), "{toml}");
    }
    let (toml, loaded) = read(Peer::GoRtr, &given(&["-ssh.method.key", "-tls.key=x"]));
    assert_eq!(loaded.config.listeners.len(), 1);
    assert!(
        toml.contains("-tls.key: it did nothing there without -tls.bind"),
        "{toml}"
    );
    let missing = given(&["-tls.bind=:8283", "-tls.cert=a.pem"]);
    refused(Peer::StayRtr, &missing, &["-tls.bind needs -tls.key"]);
}

#[test]
fn what_nobody_knows_is_named_all_at_once() {
    refused(
        Peer::StayRtr,
        &given(&[
            "-chache",
            "x",
            "-verify",
            "-refresh",
            "soon",
            "-etag=maybe",
            "stray",
            "-bind",
            "here",
            "-slurm",
        ]),
        &[
            "unknown flag -chache; did you mean -cache?",
            "unknown flag -verify",
            "-etag is true or false",
            "\"stray\" is no flag",
            "-slurm needs a value",
            "-refresh is a whole number (found \"soon\")",
            "-bind is not ADDRESS:PORT",
        ],
    );
    refused(
        Peer::PyRtr,
        &given(&["PYRTR_X=1", "x"]),
        &["\"x\"", "PYRTR_X"],
    );
    refused(Peer::Rtrtr, &given(&["-c", "x"]), &["--file", "--file"]);
}

#[test]
fn the_environment_of_a_package_is_read() {
    let environment = "# Set by hand\nSTAYRTR_ARGS=\"-bind 127.0.0.1:323 -useragent 'a b'\"\n\
                       STAYRTR_CACHE=https://cache.example/json\nSTAYRTR_SSH_PASSWORD=s3cret\n\
                       HTTPS_PROXY=http://u:s3cret@proxy\nLANG=C\n";
    let words = Given {
        environment: Some(environment.to_owned()),
        ..Given::default()
    };
    let (toml, loaded) = read(Peer::StayRtr, &words);
    assert_eq!(source(&loaded), "https://cache.example/json");
    assert_eq!(loaded.config.listeners[0].address.port(), 323);
    assert!(
        toml.contains("LANG did nothing") && !toml.contains("s3cret"),
        "{toml}"
    );
    // A flag that is not at its default wins over the variable.
    let both = Given {
        arguments: vec!["-cache=https://flag.example/".to_owned()],
        ..words
    };
    assert_eq!(
        source(&read(Peer::StayRtr, &both).1),
        "https://flag.example/"
    );
}

#[test]
fn gortr_says_what_it_verified() {
    let verified = |arguments: &[&str]| {
        let (toml, loaded) = read(Peer::GoRtr, &given(arguments));
        let verify = loaded.config.sources[0].verify.clone();
        let verify = verify.map(|verify| {
            assert_eq!(verify.scheme, Scheme::Gortr);
            let [key] = &*verify.keys else {
                panic!("{toml}")
            };
            key.file_name().unwrap().to_str().unwrap().to_owned()
        });
        (toml, verify)
    };
    assert_eq!(verified(&[]).1.as_deref(), Some("cf.pub"));
    let (_, key) = verified(&["-verify.key=a.pem"]);
    assert_eq!(key.as_deref(), Some("a.pem"));
    let (toml, key) = verified(&["-verify=false", "-verify.key=a.pem"]);
    assert_eq!(key, None);
    assert!(toml.contains("-verify.key: it did nothing"), "{toml}");
    let (toml, key) = verified(&["-cache", "/list.json"]);
    assert_eq!(key, None);
    assert!(toml.contains("only what comes from a URL"), "{toml}");
    let (_, loaded) = read(Peer::GoRtr, &given(&["-export.sign", "key.pem"]));
    assert!(loaded.config.export.gortr_key.is_some());
    let (toml, _) = read(
        Peer::GoRtr,
        &given(&["-verify=false", "-useserial", "full", "-rtr.sessionid=7"]),
    );
    assert!(!toml.contains("verify"), "{toml}");
    assert!(
        toml.contains("-useserial:") && toml.contains("-rtr.sessionid:"),
        "{toml}"
    );
}

#[test]
fn variables_of_pyrtr_are_read_with_and_without_their_prefix() {
    let words = Given {
        environment: Some("HOST=0.0.0.0\nPYRTR_RTR_PORT=323\nHTTP_PORT=False\n".to_owned()),
        ..given(&["PYRTR_RELOAD=60", "EXPIRE=3601", "LOCATION=/data/json"])
    };
    let (toml, loaded) = read(Peer::PyRtr, &words);
    assert_eq!(source(&loaded), "/data/json");
    assert_eq!(loaded.config.sources[0].refresh.as_secs(), 60);
    assert_eq!(loaded.config.rtr.timing.seconds(), [3600, 600, 3601]);
    assert!(toml.contains("# address = \"0.0.0.0:323\""), "{toml}");
    assert!(loaded.config.http.addresses.is_empty());
}

const GRAPH: &str = r#"
log_level = "debug"
http-listen = ["127.0.0.1:8323"]
http-proxies = ["http://proxy.example:3128"]
http-user-agent = "us"
[units.a]
type = "json"
uri = "https://a.example/json"
refresh = 60
[units.b]
type = "json"
uri = "file:///var/lib/b.json"
refresh = 60
[units.c]
type = "rtr"
remote = "cache.example:323"
retry = 10
[units.one]
type = "any"
sources = ["a", "b", "c"]
random = false
[units.local]
type = "slurm"
source = "one"
files = ["slurm.json"]
[targets.routers]
type = "rtr"
listen = ["127.0.0.1:9001", "[::]:9002"]
unit = "local"
history-size = 20
refresh = 1800
[targets.json]
type = "http"
path = "/json"
unit = "local"
"#;

fn file(text: &str) -> Given {
    Given {
        file: Some(text.to_owned()),
        ..Given::default()
    }
}

#[test]
fn a_graph_of_rtrtr_becomes_one_path() {
    let (toml, loaded) = read(Peer::Rtrtr, &file(GRAPH));
    let config = &loaded.config;
    let names: Vec<&str> = config.sources.iter().map(|source| &*source.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(
        matches!(&config.sources[1].origin, Origin::At(at) if at.to_string() == "/var/lib/b.json")
    );
    assert_eq!(
        config.sources[2].origin.to_string(),
        "tcp://cache.example:323"
    );
    assert_eq!(config.merge.mode, MergeMode::Failover);
    assert_eq!(config.slurm.files.len(), 1);
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.rtr.timing.seconds(), [1800, 600, 7200]);
    assert_eq!(config.http.addresses.len(), 1);
    assert!(toml.contains("history-size"), "{toml}");

    let merged = GRAPH
        .replace("type = \"any\"", "type = \"merge\"")
        .replace("random = false", "");
    let (_, loaded) = read(Peer::Rtrtr, &file(&merged));
    assert_eq!(loaded.config.merge.mode, MergeMode::Union);
}

#[test]
fn tls_of_rtrtr_is_tls_here() {
    let graph = GRAPH
        .replace(
            "type = \"rtr\"\nremote",
            "type = \"rtr-tls\"\ncacerts = [\"a.pem\"]\nremote",
        )
        .replace(
            "type = \"rtr\"\nlisten",
            "type = \"rtr-tls\"\ncertificate = \"a.pem\"\nkey = \"key.pem\"\nlisten",
        );
    let (toml, loaded) = read(Peer::Rtrtr, &file(&graph));
    let source = &loaded.config.sources[2];
    assert_eq!(source.origin.to_string(), "tls://cache.example:323");
    assert_eq!(source.tls.ca.len(), 1, "{toml}");
    let both = [0, 1].map(|at| carrier(&loaded, at).transport());
    assert_eq!(both, [Transport::Tls, Transport::Tls], "{toml}");
    let bare = file(&graph.replace("key = \"key.pem\"\n", ""));
    refused(Peer::Rtrtr, &bare, &["targets.routers has no key"]);
    let plain = file(&GRAPH.replace("retry = 10", "cacerts = [\"a.pem\"]"));
    refused(Peer::Rtrtr, &plain, &["unknown key units.c.cacerts"]);
}

#[test]
fn a_graph_that_is_no_path_is_refused() {
    let change = |from: &str, to: &str| file(&GRAPH.replace(from, to));
    let circle = change("source = \"one\"", "source = \"local\"");
    refused(Peer::Rtrtr, &circle, &["units.local feeds itself"]);
    let lost = change("source = \"one\"", "source = \"two\"");
    refused(Peer::Rtrtr, &lost, &["there is no unit \"two\""]);
    let nested = change("[\"a\", \"b\", \"c\"]", "[\"a\", \"local\"]");
    refused(
        Peer::Rtrtr,
        &nested,
        &["units.local is \"slurm\" below another unit"],
    );
    let two = change("path = \"/json\"\nunit = \"local\"", "unit = \"one\"");
    refused(Peer::Rtrtr, &two, &["one server serves one set"]);
    let unknown = change("retry = 10", "retyr = 10");
    refused(Peer::Rtrtr, &unknown, &["unknown key units.c.retyr"]);
    refused(Peer::Rtrtr, &file("x ="), &["no TOML"]);
    refused(Peer::Rtrtr, &file(""), &["no target"]);
}

#[test]
fn no_word_breaks_out_of_its_comment_or_text() {
    let typed = given(&[
        "-metrics.path",
        "x\n[rtr]\nrefresh = \"1s\"",
        "-cache",
        "/a\"\nb",
    ]);
    let (toml, loaded) = read(Peer::StayRtr, &typed);
    assert_eq!(
        loaded.config.rtr.timing.seconds(),
        [3600, 600, 7200],
        "{toml}"
    );
    assert!(source(&loaded).ends_with("/a\"\nb"));
}
