//! TLS, SSH, TCP MD5, profiles and limits: each key right, and wrong with its whole message.

use std::time::Duration;

use super::{SOURCE, file, file_and, owned, settings};
use crate::config::{Carrier, Config, Listener, Loaded, Origin, Settings};
use crate::net::ssh::{HostKeys, Keys, Passwords, Preset};
use crate::net::tls::{Certificate, ClientAuth};
use crate::net::{Secret, Transport};
use crate::payload::{Kind, Kinds};
use crate::rtr::Version;

/// A listener of a transport, on loopback, with these lines.
fn listener(transport: &str, lines: &str) -> Result<Loaded, String> {
    let head = format!("[[listener]]\ntransport = \"{transport}\"\naddress = \"127.0.0.1:1\"\n");
    file(&format!("{SOURCE}{head}{lines}"))
}

#[track_caller]
fn right(transport: &str, lines: &str) -> (Listener, Vec<String>) {
    let loaded = listener(transport, lines).unwrap_or_else(|errors| panic!("{lines}\n{errors}"));
    let listener = loaded.config.listeners[0].clone();
    (listener, loaded.warnings)
}

/// The one thing that is wrong; its line counts from the first of `lines`.
#[track_caller]
fn wrong(transport: &str, lines: &str, at: &str, expected: &str) {
    let errors = listener(transport, lines).unwrap_err();
    let (line, column) = at.split_once(':').unwrap();
    let line = line.parse::<usize>().unwrap() + 5;
    assert_eq!(
        errors,
        format!("r.toml:{line}:{column}: {expected}"),
        "{lines}"
    );
}

const TLS: &str = "certificate = \"cert.pem\"\nkey = \"key.pem\"\n";
const SSH: &str = "host-keys = \"keys\"\nauth = \"publickey\"\nauthorized-keys = \"keys\"\n";

#[test]
fn every_listener_has_lists_and_versions() {
    let lines = "allow = \"192.0.2.0/24\"\ndeny = [\"192.0.2.9\", \"127.0.0.0/8\"]\n\
                 proxy-protocol = [\"192.0.2.1\"]\nannounce-restart = true\n";
    let (listener, warnings) = right("tcp", lines);
    assert!(listener.access.allows("192.0.2.8".parse().unwrap()));
    assert!(!listener.access.allows("192.0.2.9".parse().unwrap()));
    assert!(!listener.access.allows("127.0.0.1".parse().unwrap()));
    assert_eq!(listener.proxies.len(), 1);
    assert!(listener.announce_restart);
    assert!(warnings.is_empty(), "{warnings:?}");
    let (_, warnings) = right("tcp", "proxy-protocol = \"192.0.2.1\"");
    assert_eq!(
        warnings,
        [
            "listener 127.0.0.1:1 has proxy-protocol without allow: whoever comes through a proxy is \
          refused"
        ]
    );
    wrong(
        "tcp",
        "proxy-protocol = [\"10.0.0.0/8\", \"::/0\"]",
        "1:33",
        "listener.proxy-protocol: anybody could name any address (found \"::/0\", expected the \
         prefixes of proxies, not of everybody)",
    );
    wrong(
        "tcp",
        "deny = \"x\"",
        "1:8",
        "listener.deny: not a prefix (found \"x\", expected a prefix such as \"192.0.2.0/24\" or \
         \"2001:db8::/32\")",
    );
    wrong(
        "tcp",
        "announce-restart = true\nversions = [0, 1]",
        "1:1",
        "listener.announce-restart: means nothing without version 2",
    );
    let errors = listener_error("quic");
    assert_eq!(
        errors,
        "r.toml:4:13: listener.transport: unknown word (found \"quic\", expected \"tcp\" or \"tls\" \
         or \"ssh\")"
    );
}

fn listener_error(transport: &str) -> String {
    listener(transport, "").unwrap_err()
}

#[test]
fn a_key_of_another_transport_is_refused_by_name() {
    for (transport, line, expected) in [
        (
            "tcp",
            "certificate = \"cert.pem\"",
            "certificate: means nothing for transport = \"tcp\": it is for \"tls\"",
        ),
        (
            "tcp",
            "auth = \"none\"",
            "auth: means nothing for transport = \"tcp\": it is for \"ssh\"",
        ),
        (
            "tls",
            "md5 = []",
            "md5: means nothing for transport = \"tls\": it is for \"tcp\"",
        ),
        (
            "tls",
            "users = \"users\"",
            "users: means nothing for transport = \"tls\": it is for \"ssh\"",
        ),
        (
            "ssh",
            "client-ca = \"ca.pem\"",
            "client-ca: means nothing for transport = \"ssh\": it is for \"tls\"",
        ),
        (
            "tcp",
            "cipher = \"x\"",
            "cipher: unknown key; did you mean \"ciphers\"?",
        ),
        (
            "tcp",
            "tcp-ao = \"x\"",
            "tcp-ao: TCP-AO (RFC 5925) is not to be had here (expected transport = \"tls\" or \
             \"ssh\", or md5 for what is older)",
        ),
        (
            "ssh",
            "ao = []",
            "ao: TCP-AO (RFC 5925) is not to be had here (expected transport = \"tls\" or \"ssh\", \
             or md5 for what is older)",
        ),
    ] {
        let rest = match transport {
            "tls" => TLS,
            "ssh" => SSH,
            _ => "",
        };
        wrong(
            transport,
            &format!("{line}\n{rest}"),
            "1:1",
            &format!("listener.{expected}"),
        );
    }
}

#[test]
fn tls_asks_for_what_it_is_told_to_ask_for() {
    let (listener, _) = right("tls", TLS);
    let Carrier::Tls(options) = &listener.carrier else {
        panic!("{listener:?}")
    };
    let Certificate::Files { chain, key } = &options.certificate else {
        panic!("{options:?}")
    };
    assert!(chain.ends_with("cert.pem") && key.ends_with("key.pem"));
    assert!(chain.is_absolute());
    assert_eq!(options.clients, ClientAuth::None);
    for (lines, required, matches, lists) in [
        ("client-ca = \"ca.pem\"", true, true, 0),
        (
            "client-ca = [\"ca.pem\", \"cert.pem\"]\nclient-auth = \"required\"",
            true,
            true,
            0,
        ),
        (
            "client-ca = \"ca.pem\"\nclient-auth = \"optional\"",
            false,
            true,
            0,
        ),
        (
            "client-ca = \"ca.pem\"\nmatch-address = false\ncrl = [\"keys\"]",
            true,
            false,
            1,
        ),
    ] {
        let (listener, warnings) = right("tls", &format!("{TLS}{lines}"));
        let Carrier::Tls(options) = listener.carrier else {
            panic!("{lines}")
        };
        let check = match (&options.clients, required) {
            (ClientAuth::Required(check), true) | (ClientAuth::Optional(check), false) => check,
            other => panic!("{lines}\n{other:?}"),
        };
        assert_eq!(
            (check.match_address, check.crl.len()),
            (matches, lists),
            "{lines}"
        );
        let expected: &[&str] = match matches {
            true => &[],
            false => &[
                "listener 127.0.0.1:1 takes a client certificate from any address (match-address \
                 = false), which RFC 8210 §9.2 forbids",
            ],
        };
        assert_eq!(warnings, expected);
    }
}

#[test]
fn tls_that_is_not_whole_is_refused() {
    for (lines, at, expected) in [
        (
            "key = \"key.pem\"",
            "1:1",
            "key: needs certificate beside it",
        ),
        (
            "certificate = \"cert.pem\"",
            "1:1",
            "certificate: needs key beside it",
        ),
        (
            "certificate = \"cert.pem\"\nkey = \"no\"",
            "2:7",
            "key: cannot be read: No such file or directory (os error 2) (found \"no\", expected \
             a file)",
        ),
        (
            "certificate = \"cert.pem\"\nkey = \"key.pem\"\nclient-auth = \"required\"",
            "3:1",
            "client-auth: needs client-ca: the CAs that client certificates come from",
        ),
        (
            "certificate = \"cert.pem\"\nkey = \"key.pem\"\nmatch-address = true",
            "3:1",
            "match-address: means nothing without client-ca",
        ),
        (
            "certificate = \"cert.pem\"\nkey = \"key.pem\"\ncrl = \"keys\"",
            "3:1",
            "crl: means nothing without client-ca",
        ),
        (
            "certificate = \"cert.pem\"\nkey = \"key.pem\"\nclient-auth = \"none\"\nclient-ca = \"ca.pem\"",
            "4:1",
            "client-ca: means nothing with client-auth = \"none\"",
        ),
        (
            "certificate = \"cert.pem\"\nkey = \"key.pem\"\nclient-ca = []",
            "3:13",
            "client-ca: empty (expected at least one PEM file)",
        ),
        (
            "certificate = \"cert.pem\"\nkey = \"key.pem\"\nclient-ca = \"ca.pem\"\nclient-auth = \"maybe\"",
            "4:15",
            "client-auth: unknown word (found \"maybe\", expected \"none\" or \"optional\" or \
             \"required\")",
        ),
    ] {
        let errors = listener("tls", lines).unwrap_err().replace("\"/", "\"");
        let (line, column) = at.split_once(':').unwrap();
        let line = line.parse::<usize>().unwrap() + 5;
        let folderless = match errors.split_once("found \"") {
            Some((head, rest)) => {
                let name = rest.rsplit_once('/').map_or(rest, |(_, name)| name);
                format!("{head}found \"{name}")
            }
            None => errors,
        };
        assert_eq!(
            folderless,
            format!("r.toml:{line}:{column}: listener.{expected}"),
            "{lines}"
        );
    }
    let errors = listener("tls", "").unwrap_err();
    assert_eq!(
        errors,
        "r.toml:3:1: listener.certificate: missing (expected the PEM files of the server: \
         certificate and key)"
    );
}

#[test]
fn who_has_to_log_in_needs_no_access_list() {
    let open = |transport: &str, lines: &str| {
        file(&format!(
            "{SOURCE}[[listener]]\ntransport = \"{transport}\"\naddress = \"[::]:1\"\n{lines}"
        ))
    };
    let asks = format!("{TLS}client-ca = \"ca.pem\"\n");
    for (transport, lines) in [("ssh", SSH), ("tls", &asks)] {
        let loaded = open(transport, lines).unwrap();
        let access = &loaded.config.listeners[0].access;
        for address in ["198.51.100.1", "2001:db8::1"] {
            assert!(access.allows(address.parse().unwrap()));
        }
        let errors = open(transport, &format!("{lines}allow = []")).unwrap_err();
        assert!(errors.contains("nobody is allowed to connect"), "{errors}");
        let loaded = open(transport, &format!("{lines}allow = \"192.0.2.0/24\"")).unwrap();
        let access = &loaded.config.listeners[0].access;
        assert!(!access.allows("198.51.100.1".parse().unwrap()));
    }
    let optional = format!("{asks}client-auth = \"optional\"\n");
    for lines in [TLS, &optional] {
        assert_eq!(
            open("tls", lines).unwrap_err(),
            "r.toml:5:11: listener.address: not on loopback, and nobody is allowed to connect \
             (found \"[::]:1\", expected `allow` beside it, with the prefixes of those who may)"
        );
    }
}

#[test]
fn ssh_lets_in_whom_it_is_told_to_let_in() {
    let (listener, warnings) = right("ssh", SSH);
    let Carrier::Ssh(options) = &listener.carrier else {
        panic!("{listener:?}")
    };
    assert!(matches!(&options.keys, Some(Keys::Authorized(files)) if files.len() == 1));
    assert!(options.passwords.is_none());
    assert_eq!(
        (options.algorithms.preset, options.auth_attempts),
        (Preset::Default, 6)
    );
    assert!(warnings.is_empty(), "{warnings:?}");
    let both = "host-keys = [\"new_ed25519\", \"keys\"]\nauth = [\"publickey\", \"password\"]\n\
                authorized-keys = [\"keys\", \"keys.%u\"]\nuser = \"rpki\"\npassword-file = \"token\"\n\
                algorithms = \"legacy\"\nkey-exchange = [\"a\", \"b@c\"]\nciphers = \"d\"\nmacs = \"e\"\n";
    let (listener, warnings) = right("ssh", both);
    let Carrier::Ssh(options) = &listener.carrier else {
        panic!("{listener:?}")
    };
    assert!(matches!(&options.host_keys, HostKeys::Files(files) if files.len() == 2));
    let Some(Passwords::Single { user, file }) = &options.passwords else {
        panic!("{options:?}")
    };
    assert!(&**user == "rpki" && file.ends_with("token"));
    let algorithms = &options.algorithms;
    assert_eq!(algorithms.key_exchanges.as_ref().unwrap().len(), 2);
    assert!(algorithms.ciphers.is_some() && algorithms.macs.is_some());
    assert_eq!(
        warnings,
        [
            "listener 127.0.0.1:1 offers weak algorithms (algorithms = \"legacy\"): for routers that \
          know no others"
        ]
    );
    let users = "host-keys = \"keys\"\nauth = \"password\"\nusers = \"users\"\n";
    let (listener, _) = right("ssh", users);
    let Carrier::Ssh(options) = &listener.carrier else {
        panic!("{listener:?}")
    };
    assert!(matches!(&options.passwords, Some(Passwords::Users(file)) if file.ends_with("users")));
    assert!(options.keys.is_none());
}

#[test]
fn the_host_key_is_in_the_state_directory() {
    let text = format!(
        "state-dir = \"state\"\n{SOURCE}[limits]\nauth-attempts = 3\n[[listener]]\n\
         transport = \"ssh\"\naddress = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\nauth = \"password\"\n\
         users = \"users\"\n"
    );
    let key = |loaded: &Loaded| {
        let Carrier::Ssh(options) = &loaded.config.listeners[1].carrier else {
            panic!("{loaded:?}")
        };
        assert_eq!(options.auth_attempts, 3);
        match &options.host_keys {
            HostKeys::Files(files) => files[0].clone(),
            HostKeys::Minted => panic!("{options:?}"),
        }
    };
    let loaded = file(&text).unwrap();
    assert!(loaded.config.state_dir.as_ref().unwrap().is_absolute());
    assert!(key(&loaded).ends_with("state/ssh_host_ed25519_key"));
    let moved = |settings: &mut Settings| settings.state_dir = Some("/elsewhere".into());
    let loaded = file_and(&text, moved, &[]).unwrap();
    assert_eq!(
        key(&loaded).to_str(),
        Some("/elsewhere/ssh_host_ed25519_key")
    );
    assert_eq!(
        loaded.whence["state-dir"].to_string(),
        "--state-dir /elsewhere"
    );
    let loaded = file_and(&text, |_| {}, &[("RUTTER_STATE_DIR", "/env")]).unwrap();
    assert!(key(&loaded).starts_with("/env"));
    // Several addresses of one table are one mistake.
    let errors = file(&text.replace("state-dir = \"state\"\n", "")).unwrap_err();
    let expected = "listener.host-keys: missing (expected the files of the host keys, or \
                    state-dir, where one is made)";
    assert_eq!(
        errors,
        format!("r.toml:7:12: {expected}\nr.toml:7:27: {expected}")
    );
    let errors = file(&format!("state-dir = \"token\"\n{SOURCE}")).unwrap_err();
    assert_eq!(
        errors,
        "r.toml:1:13: state-dir: not a folder (found \"token\", expected the path of a folder)"
    );
}

#[test]
fn ssh_that_lets_in_the_wrong_ones_is_refused() {
    let host = "host-keys = \"keys\"\n";
    for (lines, at, expected) in [
        (
            "auth = \"none\"",
            "2:8",
            "auth: lets everybody in (found \"none\", expected \"publickey\", \"password\" or both)",
        ),
        (
            "auth = [\"hostbased\"]",
            "2:9",
            "auth: not a method that is offered (found \"hostbased\", expected \"publickey\", \
             \"password\" or both)",
        ),
        (
            "auth = []",
            "2:8",
            "auth: empty (expected \"publickey\", \"password\" or both)",
        ),
        (
            "auth = \"publickey\"\nauthorized-keys = \"keys\"\nusers = \"users\"",
            "4:1",
            "users: means nothing without \"password\" in auth",
        ),
        (
            "auth = \"password\"\nusers = \"users\"\nauthorized-keys = \"keys\"",
            "4:1",
            "authorized-keys: means nothing without \"publickey\" in auth",
        ),
        (
            "auth = \"password\"\nusers = \"users\"\nuser = \"r\"",
            "4:1",
            "user: means nothing beside users: leave one of them out",
        ),
        (
            "auth = \"password\"\nuser = \"r\"",
            "3:1",
            "user: needs password-file beside it",
        ),
        (
            "auth = \"password\"\npassword-file = \"token\"",
            "3:1",
            "password-file: needs user beside it",
        ),
        (
            "auth = \"password\"\npassword-file = \"token\"\nuser = \"a:b\"",
            "4:8",
            "user: not a user (found \"a:b\", expected a name of at most 64 visible characters, \
             none of them a colon)",
        ),
        (
            "auth = \"publickey\"\nauthorized-keys = \"%u/keys\"",
            "3:19",
            "authorized-keys: a folder with %u (found \"%u/keys\", expected a path, perhaps with \
             %u in the name of the file)",
        ),
        (
            "auth = \"publickey\"\nauthorized-keys = \"no/%u\"",
            "3:19",
            "authorized-keys: in no folder that is there (found \"no/%u\", expected a path, \
             perhaps with %u in the name of the file)",
        ),
        (
            "auth = \"publickey\"\nauthorized-keys = \"%u.%u\"",
            "3:19",
            "authorized-keys: more than one %u (found \"%u.%u\", expected a path, perhaps with %u \
             in the name of the file)",
        ),
        (
            "auth = \"publickey\"\ndangerous-accept-any-key = true",
            "3:1",
            "dangerous-accept-any-key: needs `allow` beside it, with the prefixes of those who may \
             connect",
        ),
        (
            "auth = \"publickey\"\nallow = \"192.0.2.0/24\"\nauthorized-keys = \"keys\"\n\
             dangerous-accept-any-key = true",
            "5:1",
            "dangerous-accept-any-key: makes authorized-keys mean nothing: leave one of them out",
        ),
        (
            "auth = \"publickey\"\nauthorized-keys = \"keys\"\nciphers = [\"a,b\"]",
            "4:12",
            "ciphers: not the name of an algorithm (found \"a,b\", expected a name of the IANA \
             registry such as \"aes256-gcm@openssh.com\")",
        ),
        (
            "auth = \"publickey\"\nauthorized-keys = \"keys\"\nmacs = [\"a\", \"a\"]",
            "4:1",
            "macs: named twice (found \"a\")",
        ),
        (
            "auth = \"publickey\"\nauthorized-keys = \"keys\"\nkey-exchange = []",
            "4:16",
            "key-exchange: empty (expected at least one name of the IANA registry)",
        ),
        (
            "auth = \"publickey\"\nauthorized-keys = \"keys\"\nalgorithms = \"modem\"",
            "4:14",
            "algorithms: unknown word (found \"modem\", expected \"default\" or \"modern\" or \
             \"legacy\"); did you mean \"modern\"?",
        ),
    ] {
        wrong(
            "ssh",
            &format!("{host}{lines}"),
            at,
            &format!("listener.{expected}"),
        );
    }
    for (lines, expected) in [
        (
            "",
            "auth: missing (expected \"publickey\", \"password\" or both)",
        ),
        (
            "auth = \"publickey\"",
            "authorized-keys: missing (expected the files of the keys that may log in with \
             \"publickey\")",
        ),
        (
            "auth = \"password\"",
            "users: missing (expected the file of those who may log in with \"password\")",
        ),
    ] {
        let errors = listener("ssh", &format!("{host}{lines}")).unwrap_err();
        assert_eq!(errors, format!("r.toml:3:1: listener.{expected}"));
    }
    let errors = listener(
        "ssh",
        "host-keys = \"no_rsa\"\nauth = \"password\"\nusers = \"users\"",
    );
    let errors = errors.unwrap_err();
    assert!(
        errors.starts_with("r.toml:6:13: listener.host-keys: cannot be read"),
        "{errors}"
    );
}

#[test]
fn any_key_is_loud() {
    let lines = "host-keys = \"keys\"\nauth = \"publickey\"\ndangerous-accept-any-key = true\n\
                 allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n";
    let (listener, warnings) = right("ssh", lines);
    let Carrier::Ssh(options) = listener.carrier else {
        panic!("no ssh")
    };
    assert_eq!(options.keys, Some(Keys::Any));
    assert_eq!(
        warnings,
        [
            "listener 127.0.0.1:1 IS OPEN: ANY KEY LOGS IN (dangerous-accept-any-key), under any \
          name, from 192.0.2.0/24, 2001:db8::/32"
        ]
    );
}

#[test]
fn md5_keys_have_a_prefix_and_a_file() {
    let lines = "allow = \"192.0.2.0/24\"\n\
                 md5 = [{ prefix = \"192.0.2.7\", key-file = \"token\" },\n\
                 { prefix = \"198.51.100.9/24\", key-file = \"keys\" }]\n";
    let (listener, warnings) = right("tcp", lines);
    let Carrier::Tcp(keys) = listener.carrier else {
        panic!("no tcp")
    };
    assert_eq!(keys[0].prefix.to_string(), "192.0.2.7/32");
    assert_eq!(keys[1].prefix.to_string(), "198.51.100.0/24");
    assert!(keys[0].key_file.ends_with("token"));
    assert_eq!(
        warnings,
        ["listener 127.0.0.1:1 has an md5 key for 198.51.100.0/24, where nobody may connect from"]
    );
    for (line, at, expected) in [
        (
            "md5 = \"secret\"",
            "1:7",
            "md5: not an array of tables (found \"secret\", expected an array such as [{ prefix = \
             \"192.0.2.0/24\", key-file = \"md5.key\" }])",
        ),
        (
            "md5 = [{ prefix = \"127.0.0.1\" }]",
            "1:8",
            "md5.key-file: missing (expected the file whose first line is the key)",
        ),
        (
            "md5 = [{ key-file = \"token\" }]",
            "1:8",
            "md5.prefix: missing (expected the addresses of the peers)",
        ),
        (
            "md5 = [{ prefix = \"127.0.0.1\", key-file = \"token\", key = \"s\" }]",
            "1:52",
            "md5.key: unknown key (expected prefix, key-file)",
        ),
        (
            "md5 = [{ prefix = \"127.0.0.1\", key-file = \"token\" }, { prefix = \"127.0.0.1/32\", \
             key-file = \"keys\" }]",
            "1:65",
            "md5.prefix: named twice (found \"127.0.0.1/32\", expected one key for each prefix)",
        ),
    ] {
        wrong("tcp", line, at, &format!("listener.{expected}"));
    }
}

const TWO: &str = "[[listener]]\naddress = \"127.0.0.1:1\"\nallow = \"192.0.2.0/24\"\n\
                   [[listener]]\ntransport = \"ssh\"\naddress = \"127.0.0.1:2\"\nhost-keys = \"keys\"\n\
                   auth = \"publickey\"\nauthorized-keys = \"keys\"\nallow = \"192.0.2.0/24\"\n";

/// A file with two listeners and this after them, from line 13 on.
fn profiles(text: &str) -> Result<Loaded, String> {
    file(&format!("{SOURCE}{TWO}{text}"))
}

#[test]
fn a_profile_says_whom_it_fits_and_what_they_get() {
    let whole = "[[profile]]\nname = \"old\"\nprefixes = [\"192.0.2.0/25\"]\nssh-users = \"r1\"\n\
                 highest-version = 1\nkinds = [\"vrp\", \"aspa\"]\nrefresh = \"10m\"\nretry = \"1m\"\n\
                 expire = \"3h\"\nnotify = false\n\
                 [[profile]]\nname = \"rest\"\nannounce-restart = true\n";
    let loaded = profiles(whole).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let [old, rest] = loaded.config.profiles.as_slice() else {
        panic!("{loaded:?}")
    };
    assert_eq!((&*old.name, old.prefixes.len()), ("old", 1));
    assert_eq!(old.ssh_users, ["r1".into()]);
    assert_eq!(old.highest_version, Some(Version::V1));
    assert_eq!(old.kinds, Some(Kinds::ALL.without(Kind::RouterKey)));
    assert_eq!(old.timing.unwrap().seconds(), [600, 60, 10_800]);
    assert_eq!((old.notify, old.announce_restart), (Some(false), None));
    assert_eq!((rest.timing, rest.announce_restart), (None, Some(true)));
    let text = format!(
        "{SOURCE}[[listener]]\ntransport = \"tls\"\naddress = \"127.0.0.1:1\"\n{TLS}\
         client-ca = \"ca.pem\"\n[[profile]]\nname = \"x\"\ntls-names = \"R1.Example\"\nnotify = true\n"
    );
    let loaded = file(&text).unwrap();
    assert_eq!(loaded.config.profiles[0].tls_names, ["r1.example".into()]);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn a_profile_that_cannot_be_is_refused() {
    let name = "[[profile]]\nname = \"a\"\n";
    for (text, expected) in [
        (
            "[profile]\nname = \"a\"",
            "13:2: profile: not an array of tables (found a table, expected [[profile]])",
        ),
        (
            "[[profile]]\nnotify = true",
            "13:1: profile.name: missing (expected what it is called in logs)",
        ),
        (
            "prefixes = []",
            "15:12: profile.prefixes: empty (expected at least one prefix)",
        ),
        (
            "tls-names = \"*.example\"",
            "15:13: profile.tls-names: not a name (found \"*.example\", expected a DNS name such \
             as \"r1.example\", whole and without a *)",
        ),
        (
            "tls-names = \"a\"\nssh-users = \"b\"",
            "16:1: profile.ssh-users: fits nobody: a router with a certificate is in no ssh session",
        ),
        (
            "kinds = [\"roa\"]",
            "15:10: profile.kinds: unknown word (found \"roa\", expected \"vrp\" or \"router-key\" \
             or \"aspa\")",
        ),
        (
            "kinds = []",
            "15:9: profile.kinds: empty (expected some of \"vrp\", \"router-key\" and \"aspa\")",
        ),
        (
            "highest-version = 3",
            "15:19: profile.highest-version: not such a number (found 3, expected a whole number \
             from 0 to 2)",
        ),
        (
            "refresh = \"2d\"",
            "15:11: profile.refresh: out of range (found \"2d\", expected 1s to 1d)",
        ),
        (
            "announce-restart = true\nhighest-version = 1",
            "15:1: profile.announce-restart: means nothing without version 2",
        ),
        (
            "notify = true\n[[profile]]\nname = \"a\"\nprefixes = \"192.0.2.0/24\"",
            "17:8: profile.name: two profiles have this name (found \"a\", also r.toml:14)",
        ),
        (
            "notify = true\n[[profile]]\nname = \"b\"\nprefixes = \"192.0.2.0/24\"",
            "17:8: profile.name: fits nobody: \"a\" before it fits every router (found \"b\", also \
             r.toml:14)",
        ),
        (
            "version = 1",
            "15:1: profile.version: unknown key (expected name, prefixes, tls-names, \
            ssh-users, highest-version, kinds, refresh, retry, expire, notify, announce-restart)",
        ),
    ] {
        let text = match text.starts_with('[') {
            true => text.to_owned(),
            false => format!("{name}{text}"),
        };
        assert_eq!(
            profiles(&text).unwrap_err(),
            format!("r.toml:{expected}"),
            "{text}"
        );
    }
    let errors = profiles(&format!("{name}expire = \"10m\"")).unwrap_err();
    assert!(
        errors.starts_with("r.toml:15:1: profile.expire: "),
        "{errors}"
    );
    let low = format!(
        "{SOURCE}[[listener]]\naddress = \"127.0.0.1:1\"\nversions = [1, 2]\n{name}highest-version = 0\n"
    );
    assert_eq!(
        file(&low).unwrap_err(),
        "r.toml:8:1: profile.highest-version: below what every listener speaks (found 0, expected \
         1 or more)"
    );
}

#[test]
fn a_profile_that_does_nothing_warns() {
    for (text, expected) in [
        (
            "tls-names = \"r1.example\"\nnotify = true",
            "profile \"a\" fits nobody: no listener asks for client certificates",
        ),
        (
            "prefixes = [\"192.0.2.0/25\", \"198.51.100.0/24\"]\nnotify = true",
            "profile \"a\" names 198.51.100.0/24, where nobody may connect from",
        ),
        (
            "prefixes = \"127.0.0.1\"",
            "profile \"a\" sets nothing: its routers get what all get",
        ),
    ] {
        let loaded = profiles(&format!("[[profile]]\nname = \"a\"\n{text}")).unwrap();
        assert_eq!(loaded.warnings, [expected]);
    }
    let text = format!("{SOURCE}[[profile]]\nname = \"a\"\nssh-users = \"r\"\nnotify = true\n");
    assert_eq!(
        file(&text).unwrap().warnings,
        ["profile \"a\" fits nobody: no listener speaks ssh"]
    );
}

#[test]
fn limits_are_read() {
    let text = format!(
        "{SOURCE}[limits]\nconnections = 9\nconnections-per-address = 8\nconnections-per-network = 7\n\
         handshakes = 6\nhandshake-timeout = \"5s\"\nauth-attempts = 4\nstall = \"3s\"\nidle = \"2h\"\n\
         drain = \"1s\"\n"
    );
    let limits = file(&text).unwrap().config.limits;
    assert_eq!(
        (
            limits.connections,
            limits.connections_per_address,
            limits.connections_per_network
        ),
        (9, 8, 7)
    );
    assert_eq!((limits.handshakes, limits.auth_attempts), (6, 4));
    let secs = Duration::from_secs;
    assert_eq!(
        (limits.handshake_timeout, limits.idle),
        (secs(5), Some(secs(7200)))
    );
    assert_eq!((limits.stall, limits.drain), (secs(3), secs(1)));
    for (set, expected) in [
        (
            "limits.handshakes=0",
            "not such a number (found \"0\", expected a whole number of at least 1)",
        ),
        (
            "limits.auth-attempts=101",
            "not such a number (found \"101\", expected a whole number from 1 to 100)",
        ),
        (
            "limits.connections-per-network=x",
            "not such a number (found \"x\", expected a whole number of at least 1)",
        ),
        (
            "limits.handshake-timeout=1h",
            "out of range (found \"1h\", expected 1s to 10m)",
        ),
        (
            "limits.idle=1h",
            "would end routers that ask when they are told to (found 1h, expected more than the \
             longest refresh, 1h)",
        ),
    ] {
        let errors = Config::new(&settings(&[set], &[], &[])).unwrap_err();
        assert_eq!(errors.to_string(), format!("--set {set}: {expected}"));
    }
    let longer = "[[profile]]\nname = \"a\"\nrefresh = \"90m\"\n[limits]\nidle = \"80m\"\n";
    assert_eq!(
        profiles(longer).unwrap_err(),
        "r.toml:17:1: limits.idle: would end routers that ask when they are told to (found 80m, \
         expected more than the longest refresh, 90m)"
    );
}

#[test]
fn http_speaks_tls() {
    let http = |lines: &str| file(&format!("{SOURCE}[http]\n{lines}\n"));
    let whole = "address = \"[::]:1\"\nallow = \"192.0.2.0/24\"\ndeny = \"192.0.2.1\"\n\
                 connections = 3\nconnections-per-address = 2\ncertificate = \"cert.pem\"\n\
                 key = \"key.pem\"\nclient-ca = \"ca.pem\"\ncrl = \"keys\"\nmatch-address = true\n\
                 client-auth = \"optional\"\ntoken-file = \"token\"";
    let loaded = http(whole).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let http_config = loaded.config.http;
    assert_eq!(
        (http_config.connections, http_config.connections_per_address),
        (3, 2)
    );
    assert_eq!(
        (
            http_config.access.allow.len(),
            http_config.access.deny.len()
        ),
        (1, 1)
    );
    let Some(tls) = http_config.tls else {
        panic!("no tls")
    };
    assert!(matches!(tls.clients, ClientAuth::Optional(check) if check.crl.len() == 1));
    // Who has to show a certificate may try from anywhere.
    let closed = "address = \"[::]:1\"\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    let loaded = http(&format!("{closed}client-ca = \"ca.pem\"")).unwrap();
    assert!(
        loaded
            .config
            .http
            .access
            .allows("198.51.100.1".parse().unwrap())
    );
    assert_eq!(
        http(closed).unwrap_err(),
        "r.toml:4:11: http.address: not on loopback, and nobody is allowed to connect (found \
         \"[::]:1\", expected `allow` beside it, with the prefixes of those who may)"
    );
    for (lines, expected) in [
        (
            "certificate = \"cert.pem\"",
            "certificate: needs key beside it",
        ),
        (
            "client-ca = \"ca.pem\"",
            "client-ca: means nothing without certificate",
        ),
        (
            "client-auth = \"none\"",
            "client-auth: means nothing without certificate",
        ),
        (
            "connections = 0",
            "connections: not such a number (found 0, expected a whole number of \
            at least 1)",
        ),
    ] {
        let errors = http(lines).unwrap_err();
        let (place, reason) = errors.split_once(": ").unwrap();
        assert_eq!(reason, format!("http.{expected}"), "{errors}");
        assert!(place.starts_with("r.toml:4:"), "{errors}");
    }
    // The environment and --set reach the same keys, and --http forgets those of the file.
    let text = format!("{SOURCE}[http]\naddress = \"127.0.0.1:1\"\ncertificate = \"cert.pem\"\n");
    let errors = file_and(&text, |_| {}, &[("RUTTER_HTTP__KEY", "/nowhere")]).unwrap_err();
    assert!(
        errors.starts_with("RUTTER_HTTP__KEY: cannot be read"),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 1, "{errors}");
    let other = |settings: &mut Settings| settings.http = owned(&["127.0.0.1:2"]);
    let loaded = file_and(&text, other, &[]).unwrap();
    assert!(loaded.config.http.tls.is_none());
}

#[test]
fn caches_over_tls_and_ssh_are_sources() {
    let text = "[[source]]\nurl = \"tls://cache.example\"\nca = \"ca.pem\"\n\
                client-certificate = \"cert.pem\"\nclient-key = \"key.pem\"\nserver-name = \"Other.Example\"\n\
                [[source]]\nurl = \"ssh://r@cache.example\"\nknown-hosts = \"keys\"\nkey = \"key.pem\"\n\
                password-file = \"token\"\n\
                [[source]]\nurl = \"ssh://r@lab.example\"\nkey = \"key.pem\"\ninsecure = true\n\
                [[source]]\nurl = \"tls://lab.example\"\ninsecure = true\n";
    let loaded = file(text).unwrap();
    let [tls, ssh, lab, other] = loaded.config.sources.as_slice() else {
        panic!("{loaded:?}")
    };
    assert_eq!(tls.tls.ca.len(), 1);
    assert!(tls.tls.certificate.is_some() && !tls.tls.insecure);
    assert_eq!(tls.tls.server_name.as_deref(), Some("other.example"));
    assert_eq!(ssh.ssh.known_hosts.len(), 1);
    assert!(ssh.ssh.key.is_some() && ssh.ssh.password_file.is_some() && !ssh.ssh.insecure);
    assert!(lab.ssh.insecure && !lab.tls.insecure && other.tls.insecure);
    let loud = |name: &str| {
        format!(
            "source {name:?} TAKES ANYBODY FOR ITS SERVER (insecure = true): for laboratories only"
        )
    };
    assert_eq!(
        loaded.warnings,
        [
            loud("ssh://r@lab.example:22"),
            loud("tls://lab.example:324")
        ]
    );
    let tls = "url = \"tls://h\"\n";
    let ssh = "url = \"ssh://r@h\"\n";
    for (lines, expected) in [
        (
            format!("{tls}known-hosts = \"keys\""),
            "known-hosts: means nothing for a cache over TLS (found url = \"tls://h:324\")",
        ),
        (
            format!("{ssh}key = \"key.pem\"\nca = \"ca.pem\""),
            "ca: means nothing for a cache over SSH (found url = \"ssh://r@h:22\")",
        ),
        (
            "url = \"https://h/\"\ninsecure = true".to_owned(),
            "insecure: means nothing for a document of the web (found url = \"https://h/\")",
        ),
        (
            "url = \"tcp://h\"\nkey = \"key.pem\"".to_owned(),
            "key: means nothing for a cache (found url = \"tcp://h:323\")",
        ),
        (
            format!("{tls}insecure = true\nca = \"ca.pem\""),
            "ca: means nothing with insecure = true: leave one of them out",
        ),
        (
            format!("{ssh}key = \"key.pem\"\ninsecure = true\nknown-hosts = \"keys\""),
            "known-hosts: means nothing with insecure = true: leave one of them out",
        ),
        (
            format!("{tls}client-key = \"key.pem\""),
            "client-key: needs client-certificate beside it",
        ),
        (
            format!("{tls}server-name = \"a b\""),
            "server-name: not a name (found \"a b\", expected a DNS name such as \"r1.example\", whole and without a *)",
        ),
        (
            ssh.to_owned(),
            "key: missing (expected what to log in with: key or password-file)",
        ),
    ] {
        let errors = file(&format!("[[source]]\n{lines}\n")).unwrap_err();
        let (_, reason) = errors.split_once(": ").unwrap();
        assert_eq!(reason, format!("source.{expected}"), "{lines}");
    }
}

#[test]
fn the_demo_speaks_every_transport_on_loopback() {
    let password = Secret::mint().unwrap();
    let mut demo = settings(&[], &[], &[]);
    demo.demo_password = Some(password.clone());
    let loaded = Config::load(&demo, std::iter::empty()).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let shown = format!("{loaded:?}{}{}", loaded.to_toml(), loaded.to_json());
    assert!(!shown.contains(password.reveal()), "{shown}");
    assert_eq!(loaded.config.sources[0].origin, Origin::Demo);
    let listeners = &loaded.config.listeners;
    let places: Vec<String> = listeners.iter().map(|at| at.address.to_string()).collect();
    assert_eq!(
        places,
        ["127.0.0.1:8282", "127.0.0.1:8283", "127.0.0.1:8284"]
    );
    for listener in listeners {
        assert!(listener.access.allow.is_empty());
    }
    let Carrier::Ssh(ssh) = &listeners[2].carrier else {
        panic!("{listeners:?}")
    };
    assert!(ssh.keys.is_none());
    let passwords = Some(Passwords::Minted {
        user: "rutter".into(),
        password,
    });
    assert_eq!(ssh.passwords, passwords);
    assert_eq!(listeners[1].carrier.transport(), Transport::Tls);
    // What is told where to listen listens there alone.
    demo.listen = owned(&["tcp://127.0.0.1:0"]);
    assert_eq!(Config::new(&demo).unwrap().0.listeners.len(), 1);
}

#[test]
fn flags_that_need_files_point_at_the_file() {
    for (listen, expected) in [
        (
            "tls://127.0.0.1",
            "takes a certificate: write a [[listener]] with transport = \"tls\" into the file of \
             --config",
        ),
        (
            "ssh://r@127.0.0.1",
            "takes keys: write a [[listener]] with transport = \"ssh\" into the file of --config",
        ),
    ] {
        let errors = Config::new(&settings(&[], &[listen], &[]))
            .unwrap_err()
            .to_string();
        assert!(errors.ends_with(&format!(": {expected}")), "{errors}");
    }
    let settings = Settings {
        source: owned(&["tls://cache.example"]),
        ..Settings::default()
    };
    assert!(Config::new(&settings).is_ok());
}
