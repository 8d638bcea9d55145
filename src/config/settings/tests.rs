//! The file, the environment and the flags, from literal texts.

mod export;
mod secure;

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::document::Document;
use crate::config::{MergeMode, Percent, Stale};
use crate::rtr::Version;

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn settings(set: &[&str], listen: &[&str], allow: &[&str]) -> Settings {
    Settings {
        demo: true,
        listen: owned(listen),
        allow: owned(allow),
        set: owned(set),
        ..Settings::default()
    }
}

/// Reads a file of this text, beside a few others that it can name.
fn file_and(
    text: &str,
    change: impl FnOnce(&mut Settings),
    environment: &[(&str, &str)],
) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.toml");
    fs::write(&file, text).unwrap();
    for beside in [
        "token",
        "ca.pem",
        "cert.pem",
        "key.pem",
        "local.json",
        "keys",
        "users",
    ] {
        fs::write(folder.path().join(beside), "x").unwrap();
    }
    let mut settings = Settings {
        config: Some(file),
        ..Settings::default()
    };
    change(&mut settings);
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(&settings, environment).map_err(|errors| {
        let folder = format!("{}/", folder.path().display());
        errors.to_string().replace(&folder, "")
    })
}

fn file(text: &str) -> Result<Loaded, String> {
    file_and(text, |_| {}, &[])
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let errors = file(text).unwrap_err();
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines, expected, "\n{errors}");
}

const SOURCE: &str = "[[source]]\nurl = \"vrps.json\"\n";

const WHOLE: &str = r#"
control = "run/control"
[rtr]
refresh = "30m"
history = "48h"
highest-version = 1
[[source]]
name = "a"
url = "https://a.example/json"
refresh = "5m"
timeout = "30s"
connect-timeout = "5s"
max-age = "12h"
max-size = "64MiB"
max-bad-rows = "0%"
conditional = false
headers = { Accept = "application/json", X-Key = { file = "token" } }
bearer-token-file = "token"
client-certificate = "cert.pem"
client-key = "key.pem"
ca = ["ca.pem"]
proxy = "http://proxy.example:3128"
[[source]]
url = "tcp://cache.example"
max-age = "off"
[merge]
mode = "quorum"
quorum = 2
[guard]
max-shrink = "off"
max-growth = "200%"
min-change = 7
hold = "30m"
on-timeout = "accept"
slurm = true
stale = "no-data"
[slurm]
files = ["local.json", "https://slurm.example/x.json"]
lenient = true
aspa-overlap = true
refresh = "1m"
[[listener]]
transport = "tcp"
address = ["[::]:323", "127.0.0.1:323"]
allow = ["192.0.2.0/24", "2001:db8::1"]
versions = [1, 0]
[limits]
connections = 9
stall = "20s"
drain = "1s"
[http]
address = "0.0.0.0:9847"
allow = "192.0.2.0/24"
token-file = "token"
"#;

#[test]
fn a_file_cut_anywhere_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    let settings = Settings {
        config: Some(path.clone()),
        ..Settings::default()
    };
    for end in 0..WHOLE.len() {
        fs::write(&path, &WHOLE.as_bytes()[..end]).unwrap();
        let Err(errors) = Config::load(&settings, std::iter::empty()) else {
            continue;
        };
        for error in errors.iter() {
            let place = error.place.as_ref().unwrap();
            let line = WHOLE[..end].split('\n').nth(place.line - 1);
            let line = line.unwrap_or_else(|| panic!("{end}: {error}"));
            assert!(place.column <= line.chars().count() + 1, "{end}: {error}");
        }
    }
}

#[test]
fn everything_in_the_file_arrives() {
    let loaded = file(WHOLE).unwrap();
    let config = loaded.config;
    let control = config.control.unwrap();
    assert!(control.path.is_absolute() && control.path.ends_with("run/control"));
    assert_eq!(control.need, Need::Required);
    assert_eq!(config.rtr.timing.seconds(), [1800, 600, 7200]);
    assert_eq!(config.rtr.versions.highest(), Version::V1);
    let [a, b] = config.sources.as_slice() else {
        panic!("{:?}", config.sources)
    };
    assert_eq!((&*a.name, a.refresh.as_secs()), ("a", 300));
    assert_eq!((a.timeout.as_secs(), a.connect_timeout.as_secs()), (30, 5));
    assert_eq!((a.max_octets, a.max_bad_rows), (64 << 20, 0));
    assert_eq!(a.max_age, Some(Duration::from_secs(43_200)));
    assert!(!a.web.conditional);
    assert_eq!(a.web.headers.len(), 2);
    assert!(a.web.bearer_token.as_ref().unwrap().is_absolute());
    assert!(a.tls.certificate.is_some() && a.tls.ca.len() == 1);
    assert_ne!(a.web.proxy, crate::config::Proxy::Environment);
    assert_eq!((&*b.name, b.max_age), ("tcp://cache.example:323", None));
    assert_eq!(config.merge.mode, MergeMode::Quorum { least: 2 });
    assert_eq!(config.guard.max_shrink, None);
    assert_eq!(config.guard.max_growth, Some(Percent(200)));
    assert_eq!((config.guard.min_change, config.guard.slurm), (7, true));
    assert_eq!(config.guard.stale, Stale::NoData);
    assert_eq!(config.slurm.files.len(), 2);
    assert!(config.slurm.lenient && config.slurm.aspa_overlap);
    assert_eq!(config.listeners.len(), 2);
    let listener = &config.listeners[1];
    assert_eq!(listener.access.allow.len(), 2);
    assert_eq!(listener.versions.highest(), Version::V1);
    assert_eq!(config.limits.connections, 9);
    assert_eq!(config.http.addresses.len(), 1);
    assert!(config.http.token.is_some());
    let [warning, other] = loaded.warnings.as_slice() else {
        panic!("{:?}", loaded.warnings)
    };
    assert!(warning.contains("max-age off"), "{warning}");
    assert!(other.starts_with("http.token-file travels in the clear"));
}

#[test]
fn the_defaults_of_a_file() {
    let loaded = file(SOURCE).unwrap();
    let config = loaded.config;
    let control = config.control.unwrap();
    assert_eq!(control.path, Path::new("/run/rutter/control"));
    assert_eq!(control.need, Need::Optional);
    assert_eq!(config.listeners[0].address, listener::DEFAULT);
    assert!(config.http.addresses.is_empty());
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let none = file(&format!("control = \"none\"\n{SOURCE}")).unwrap();
    assert_eq!(none.config.control, None);
    assert_eq!(
        Config::new(&settings(&[], &[], &[])).unwrap().0.control,
        None
    );
    let set = settings(&["control=x"], &[], &[]);
    assert_eq!(
        Config::new(&set).unwrap().0.control.unwrap().need,
        Need::Required
    );
}

#[test]
fn the_demo_has_a_status_page() {
    let (config, _) = Config::new(&settings(&[], &[], &[])).unwrap();
    assert_eq!(config.http.addresses, ["127.0.0.1:9847".parse().unwrap()]);
    assert_eq!(config.http.need, Need::Optional);
    let mut asked = settings(&[], &[], &[]);
    asked.http = owned(&["127.0.0.1:1"]);
    let (config, _) = Config::new(&asked).unwrap();
    assert_eq!(config.http.need, Need::Required);
    assert_eq!(config.http.addresses, ["127.0.0.1:1".parse().unwrap()]);
    asked.http = owned(&["0.0.0.0:1"]);
    assert!(Config::new(&asked).is_err());
}

#[test]
fn every_mistake_is_reported_where_it_stands() {
    refused(
        "[rtr]\n  refesh = \"1h\"\nretry = 600\nexpire = \"soon\"\n\
         [[source]]\nurl = \"rtr://x\"\nmax-bad-rows = \"500%\"\n\
         [guard]\nstale = \"keeep\"\n[gaurd]\n",
        &[
            "r.toml:2:3: rtr.refesh: unknown key; did you mean \"refresh\"?",
            "r.toml:3:9: rtr.retry: not a time (found 600, expected a time such as \"500ms\", \
             \"90s\", \"10m\", \"2h\" or \"1d\")",
            "r.toml:4:10: rtr.expire: not a time (found \"soon\", expected a time such as \
             \"500ms\", \"90s\", \"10m\", \"2h\" or \"1d\")",
            "r.toml:6:7: source.url: unknown scheme \"rtr\"; write tcp://cache.example:323, \
             tls://cache.example:324, ssh://user@cache.example:22, \
             https://validator.example/json, feed+https://leader.example/feed/ or a path \
             (found \"rtr://x\", expected a path, \"-\", http://…, https://…, feed+https://…, \
             tcp://…, tls://… or ssh://user@host)",
            "r.toml:7:16: source.max-bad-rows: not a share (found \"500%\", expected a share \
             from \"0%\" to \"100%\")",
            "r.toml:9:9: guard.stale: unknown word (found \"keeep\", expected \"keep\" or \
             \"withdraw\" or \"no-data\"); did you mean \"keep\"?",
            "r.toml:10:2: gaurd: unknown key; did you mean \"guard\"?",
        ],
    );
}

#[test]
fn columns_count_characters() {
    let errors =
        file("[[source]]\nurl = \"x\"\nname = \"\u{fc}\"\n\"\u{fc}\" = { x = \"\u{e9}\", y = 1 }")
            .unwrap_err();
    assert!(
        errors.starts_with("r.toml:4:1: source.\u{fc}: unknown key"),
        "{errors}"
    );
}

#[test]
fn broken_toml_is_reported_beside_what_is_wrong_elsewhere() {
    refused(
        "[rtr]\nrefresh = \n[[source]]\nurl = \"x\"\nurl = \"y\"\nmax-age = \"never\"\n",
        &[
            "r.toml:2:11: no TOML here: string values must be quoted, expected literal string",
            "r.toml:5:1: url: there already",
            "r.toml:6:11: source.max-age: not a time (found \"never\", expected \"off\" or a time \
             such as \"500ms\", \"90s\", \"10m\", \"2h\" or \"1d\")",
        ],
    );
}

#[test]
fn contradictions_are_refused() {
    let cases: &[(&str, &str)] = &[
        (
            "[merge]\nmode = \"quorum\"\nquorum = 2",
            "r.toml:5:1: merge.quorum: more than",
        ),
        (
            "[merge]\nmode = \"quorum\"",
            "r.toml:4:1: merge.mode: needs merge.quorum",
        ),
        (
            "[merge]\nquorum = 1",
            "r.toml:4:1: merge.quorum: means nothing",
        ),
        (
            "[merge]\nmode = \"union\"\nhysteresis = \"1m\"",
            "merge.hysteresis: means nothing",
        ),
        ("[rtr]\nexpire = \"1h\"", "r.toml:4:1: rtr.expire: "),
        (
            "[rtr]\nlowest-version = 2\nhighest-version = 1",
            "rtr.lowest-version: not a range",
        ),
        (
            "[[listener]]\naddress = \"[::]:323\"",
            "r.toml:4:11: listener.address: not on loopback",
        ),
        (
            "[[listener]]\naddress = \"[::]:323\"\nallow = []",
            "listener.address: not on loopback",
        ),
        (
            "[http]\naddress = \"0.0.0.0:80\"",
            "r.toml:4:11: http.address: not on loopback",
        ),
        (
            "[[listener]]\naddress = [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
            "taken",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1\"\n[http]\naddress = \"127.0.0.1:1\"",
            "r.toml:6:11: http.address: an address that is taken (found \"127.0.0.1:1\", also r.toml:4)",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1\"\nversions = [0, 2]",
            "r.toml:5:12: listener.versions: not a range",
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1\"\nversions = [2]\n[rtr]\nhighest-version = 1",
            "listener.versions: versions that are not served (found 2 to 2, expected 0 to 1)",
        ),
        (
            "[[listener]]\nallow = \"192.0.2.0/24\"",
            "r.toml:3:1: listener.address: missing",
        ),
        (
            "[[source]]\nname = \"n\"\nurl = \"x\"\n[[source]]\nname = \"n\"\nurl = \"y\"",
            "r.toml:7:8: source.name: two sources have this name (found \"n\", also r.toml:4)",
        ),
        (
            "[[source]]\nurl = \"http://h/\"\nbearer-token-file = \"token\"",
            "r.toml:5:1: source.bearer-token-file: a secret would travel in the clear",
        ),
        (
            "[[source]]\nurl = \"https://h/\"\nclient-key = \"key.pem\"",
            "source.client-key: needs client-certificate",
        ),
        (
            "[[source]]\nurl = \"https://h/\"\nca = \"no.pem\"",
            "r.toml:5:6: source.ca: cannot be read",
        ),
        (
            "[[source]]\nurl = \"x\"\nproxy = \"none\"",
            "source.proxy: means nothing for a file",
        ),
        (
            "[[source]]\nurl = \"tcp://h\"\nmax-size = \"1B\"",
            "source.max-size: means nothing for a cache",
        ),
        (
            "[[source]]\nurl = \"x\"\nrefresh = \"2d\"",
            "source.refresh: longer than max-age",
        ),
        (
            "[[source]]\nurl = \"https://h/\"\nmax-age = \"5m\"",
            "r.toml:5:1: source.max-age: shorter than refresh (found 5m, expected 10m or more)",
        ),
        (
            "[[source]]\nurl = \"feed+https://h/\"\nmax-size = \"1B\"",
            "r.toml:5:1: source.max-size: means nothing for a feed",
        ),
        (
            "[[source]]\nurl = \"feed+file:\"",
            "source.url: an endpoint cannot be empty",
        ),
        (
            "[[source]]\nurl = \"tcp://h\"\nverify-key = \"token\"",
            "r.toml:5:1: source.verify-key: means nothing for a cache",
        ),
        (
            "[[source]]\nurl = \"-\"\nverify-key = [\"token\"]",
            "source.verify-key: means nothing for standard input",
        ),
        (
            "[[source]]\nurl = \"https://h/\"\nverify-key = []",
            "r.toml:5:14: source.verify-key: empty (expected at least one file)",
        ),
        (
            "[[source]]\nurl = \"https://h/\"\nverify-scheme = \"jws\"",
            "r.toml:5:1: source.verify-scheme: needs verify-key beside it",
        ),
        (
            "[[source]]\nurl = \"feed+http://leader.example/\"\nbearer-token-file = \"token\"",
            "source.bearer-token-file: a secret would travel in the clear",
        ),
        (
            "[[source]]\nname = \"n\"",
            "r.toml:3:1: source.url: missing",
        ),
        (
            "[[source]]\nurl = \"-\"\n[[source]]\nname = \"n\"\nurl = \"-\"",
            "r.toml:6:8: source.url: standard input can be read once only",
        ),
        (
            "[export]\nsign-key = \"x\"",
            "r.toml:4:12: export.sign-key: cannot be read",
        ),
        (
            "[export]\nsing-key = \"x\"",
            "r.toml:4:1: export.sing-key: unknown key; did you mean \"sign-key\"?",
        ),
        (
            "[export]\nfeed = true",
            "r.toml:4:1: export.feed: needs state-dir",
        ),
        (
            "[export]\nfolder = \"feed\"",
            "r.toml:4:1: export.folder: needs state-dir",
        ),
        (
            "[export]\nvalid = \"1m\"",
            "r.toml:4:9: export.valid: out of range",
        ),
        (
            "[export]\nfeed-valid = \"1h\"",
            "r.toml:4:1: export.feed-valid: means nothing without a feed",
        ),
        (
            "[export]\nfile = \"no/rpki.json\"",
            "r.toml:4:8: export.file: its folder is not there",
        ),
        (
            "[export]\nbucket-region = \"x\"",
            "r.toml:4:1: export.bucket-region: means nothing without export.bucket",
        ),
        (
            "[export]\nbucket = \"Bad/x\"",
            "r.toml:4:10: export.bucket: not a place in storage",
        ),
        (
            "[slurm]\nfiles = \"no\"",
            "r.toml:4:9: slurm.files: there is no such file or folder",
        ),
        (
            "[http]\ntoken-file = \"/\"",
            "http.token-file: cannot be read: is a folder",
        ),
    ];
    for (text, expected) in cases {
        // Two lines before the case: the source that makes the rest whole.
        let errors = file(&format!("{SOURCE}{text}")).unwrap_err();
        assert!(errors.contains(expected), "{text}\n{errors}");
        let lines = errors.lines().count();
        assert_eq!(lines, 1, "{text}\n{errors}");
    }
    let early = file("export = \"x\"\n[source]\nurl = \"x\"").unwrap_err();
    assert!(early.contains("export: not a table"), "{early}");
    assert!(early.contains("expected [[source]]"), "{early}");
    let none = file("[rtr]\n").unwrap_err();
    assert_eq!(
        none,
        "r.toml:1:1: source: missing (expected at least one [[source]])"
    );
    let many: String = (0..16)
        .map(|n| format!("[[source]]\nurl = \"{n}\"\n"))
        .collect();
    let many = file(&many).unwrap_err();
    assert_eq!(
        many,
        "r.toml:31:1: source: too many (found 16, expected at most 15)"
    );
}

#[test]
fn a_token_may_go_to_this_host_in_the_clear() {
    for host in ["localhost", "127.0.0.1:80", "[::1]:8080"] {
        let text =
            format!("[[source]]\nurl = \"http://{host}/json\"\nbearer-token-file = \"token\"\n");
        file(&text).unwrap();
    }
}

#[test]
fn later_layers_win() {
    let text = format!("[rtr]\nrefresh = \"10m\"\nretry = \"5m\"\nexpire = \"3h\"\n{SOURCE}");
    let loaded = file_and(
        &text,
        |settings| settings.set = owned(&["rtr.expire=4h"]),
        &[
            ("RUTTER_RTR__RETRY", "4m"),
            ("RUTTER_RTR__EXPIRE", "5h"),
            ("RUTTER_GUARD__MAX_SHRINK", "off"),
            ("RUTTER_CONTROL", "none"),
            ("RUTTER_PORT_323_TCP", "tcp://10.0.0.1:323"),
            ("HOME", "/"),
        ],
    )
    .unwrap();
    assert_eq!(loaded.config.rtr.timing.seconds(), [600, 240, 14_400]);
    assert_eq!(loaded.config.guard.max_shrink, None);
    assert_eq!(loaded.config.control, None);
    let from = |key: &str| loaded.whence[key].to_string();
    assert!(from("rtr.refresh").ends_with("r.toml:2"));
    assert_eq!(from("rtr.retry"), "RUTTER_RTR__RETRY");
    assert_eq!(from("rtr.expire"), "--set rtr.expire=4h");
    let errors = file_and(
        SOURCE,
        |_| {},
        &[
            ("RUTTER_RTR_REFRESH", "1h"),
            ("RUTTER_SOURCE__URL", "x"),
            ("RUTTER_RTR__RETRY", "1"),
        ],
    )
    .unwrap_err();
    assert_eq!(errors.lines().count(), 3, "{errors}");
    assert!(
        errors.contains(
            "RUTTER_RTR_REFRESH: unknown key \"rtr-refresh\"; did you mean \"rtr.refresh\"?"
        ),
        "{errors}"
    );
    assert!(
        errors.contains("RUTTER_SOURCE__URL: cannot be set here"),
        "{errors}"
    );
    assert!(errors.contains("RUTTER_RTR__RETRY: not a time"), "{errors}");
}

#[test]
fn a_flag_takes_the_place_of_a_table() {
    let text = format!(
        "{SOURCE}[slurm]\nfiles = \"local.json\"\nlenient = true\n\
         [[listener]]\naddress = \"127.0.0.1:1\"\n[http]\naddress = \"127.0.0.1:2\"\ntoken-file = \"token\"\n"
    );
    let loaded = file_and(
        &text,
        |settings| {
            settings.source = owned(&["a.json", "b.json"]);
            settings.slurm = owned(&["https://slurm.example/"]);
            settings.listen = owned(&["tcp://127.0.0.1:3"]);
            settings.http = owned(&["[::1]:4"]);
        },
        &[("RUTTER_SLURM__ASPA_OVERLAP", "true")],
    )
    .unwrap();
    assert!(loaded.config.slurm.aspa_overlap);
    let names: Vec<&str> = loaded.config.sources.iter().map(|s| &*s.name).collect();
    assert_eq!(names, ["a.json", "b.json"]);
    assert!(!loaded.config.slurm.lenient);
    assert_eq!(loaded.config.listeners.len(), 1);
    assert_eq!(loaded.config.http.addresses.len(), 1);
    assert_eq!(loaded.config.http.token, None);
    let allow = |settings: &mut Settings| settings.allow = owned(&["192.0.2.0/24"]);
    let errors = file_and(&text, allow, &[]).unwrap_err();
    assert!(
        errors.starts_with("--allow 192.0.2.0/24: goes with --listen"),
        "{errors}"
    );
}

#[test]
fn no_secret_is_repeated() {
    let errors = file(
        "[[source]]\nurl = \"htps://u:s3cret@h/\"\nproxy = \"u:s3cret@h\"\n\
         headers = { Authorization = \"Bearer s3cret\\u0000\", \"bad name\" = \"s3cret\" }\n",
    )
    .unwrap_err();
    assert_eq!(errors.lines().count(), 4, "{errors}");
    assert!(!errors.contains("s3cret"), "{errors}");
    let loaded =
        file("[[source]]\nurl = \"https://u:s3cret@h/\"\nheaders = { X = \"s3cret\" }\n").unwrap();
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn a_file_that_is_none_is_unreadable() {
    let settings = Settings {
        config: Some("/nowhere/r.toml".into()),
        ..Settings::default()
    };
    let errors = Config::load(&settings, std::iter::empty()).unwrap_err();
    assert!(errors.is_unreadable());
    assert!(
        errors
            .to_string()
            .starts_with("/nowhere/r.toml: cannot be read")
    );
    let place = Document::new(Path::new("r.toml"), "a\nbc").place(3);
    assert_eq!((place.line, place.column), (2, 2));
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let settings = settings(
        &[
            "rtr.refresh=7200s",
            "rtr.expire=7200s",
            "rtr.bogus=1",
            "rtr.retry=soon",
        ],
        &["tcp://0.0.0.0:323", "tls://127.0.0.1"],
        &["192.0.2.0/33"],
    );
    let errors = Config::new(&settings).unwrap_err();
    assert_eq!(errors.iter().count(), 5, "{errors}");
}

#[test]
fn a_listener_off_loopback_needs_an_access_list() {
    assert!(Config::new(&settings(&[], &["tcp://[::]:323"], &[])).is_err());
    let (config, _) = Config::new(&settings(&[], &["tcp://[::]:323"], &["192.0.2.0/24"])).unwrap();
    let listener = &config.listeners[0];
    assert!(listener.access.allows("192.0.2.7".parse().unwrap()));
    assert!(listener.access.allows("127.0.0.1".parse().unwrap()));
    assert!(!listener.access.allows("198.51.100.7".parse().unwrap()));
}

#[test]
fn a_short_notify_interval_warns() {
    let (_, warnings) = Config::new(&settings(&["rtr.notify-interval=1s"], &[], &[])).unwrap();
    assert!(warnings[0].contains("RFC 8210 §8.2"), "{warnings:?}");
}
