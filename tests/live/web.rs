//! HTTP over TLS, as the configuration file says it.

use std::fs;
use std::process::Command;

use super::cache::{Cache, PATIENCE};
use super::pki::{Ca, for_clients, for_servers, secret};
use crate::support::payloads::{Payloads, Prng};
use crate::support::process::run;
use crate::support::{Need, free_port, not_run, program, temp_dir, wait_for};

/// Runs curl in the folder of the server; what it printed, or why it failed.
fn curl(cache: &Cache, words: &str) -> Result<String, String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
    curl.args(["--max-time", "20"]);
    curl.args(words.split_whitespace());
    run(curl.current_dir(cache.folder()), PATIENCE)
}

/// What openssl reads of the certificate that is shown on this port.
fn shown(cache: &Cache, port: u16, words: &str) -> String {
    let script = format!("openssl s_client -connect 127.0.0.1:{port} {words} </dev/null 2>&1");
    let mut openssl = Command::new("sh");
    openssl.args(["-c", &format!("{script}; true")]);
    run(openssl.current_dir(cache.folder()), PATIENCE).unwrap()
}

#[test]
fn https_takes_those_with_a_certificate_and_a_reload_changes_it() {
    if program("curl").is_none() || program("openssl").is_none() {
        return not_run("HTTPS against curl", Need::Peers, "needs curl and openssl");
    }
    let folder = temp_dir();
    let list = folder.path().join("vrps.json");
    Payloads::vrps(5_000, &mut Prng::new(1)).write_json(&list);
    let ca = Ca::new(folder.path(), "ca");
    let other = Ca::new(folder.path(), "other");
    ca.leaf("web", "localhost 127.0.0.1", for_servers);
    ca.leaf("scraper", "127.0.0.1", for_clients);
    ca.leaf("elsewhere", "192.0.2.1", for_clients);
    ca.leaf("server", "127.0.0.1", for_servers);
    other.leaf("stranger", "127.0.0.1", for_clients);
    secret(&folder.path().join("token"), "a token\n");
    let port = free_port();
    let http = |more: &str| {
        format!(
            "[[source]]\nurl = {list:?}\n[http]\naddress = \"127.0.0.1:{port}\"\n\
             token-file = \"token\"\n{more}"
        )
    };
    let secure = http("certificate = \"web.crt\"\nkey = \"web.key\"\nclient-ca = \"ca.crt\"\n");
    let cache = Cache::configured(folder, &secure);
    cache.says(&["listening", "https"]);
    let at = |path: &str| format!("https://localhost:{port}{path} --cacert ca.crt");
    let with = |name: &str| format!("--cert {name}.crt --key {name}.key");

    let metrics = curl(&cache, &format!("{} {}", at("/metrics"), with("scraper"))).unwrap();
    assert!(metrics.contains("rutter_ready 1"), "{metrics}");
    assert!(metrics.contains("rutter_certificate_expiry_timestamp_seconds{file="));
    // A body of some size, and many requests over one connection.
    let clients = [at("/api/v1/status"), at("/metrics"), with("scraper")].join(" ");
    assert!(curl(&cache, &clients).unwrap().len() > 10_000);
    let command = format!(
        "-X POST -H Authorization:Bearer\u{a0}x {} {}",
        at("/api/v1/refresh"),
        with("scraper")
    );
    assert!(curl(&cache, &command).unwrap_err().contains("401"));
    for name in ["stranger", "elsewhere", "server"] {
        let words = format!("{} {}", at("/metrics"), with(name));
        let error = curl(&cache, &words).unwrap_err();
        assert!(!error.contains("rutter_"), "{name}: {error}");
    }
    assert!(curl(&cache, &at("/metrics")).is_err());
    let plain = format!("http://127.0.0.1:{port}/metrics");
    assert!(curl(&cache, &plain).is_err());
    // Each place counts for itself, and the control socket has no TLS.
    let refused = "rutter_http_connections_refused_total{reason=\"tls\"} 5";
    wait_for(refused, PATIENCE, || {
        let metrics = curl(&cache, &format!("{} {}", at("/metrics"), with("scraper"))).unwrap();
        match metrics.contains(refused) {
            true => Ok(()),
            false => Err(metrics),
        }
    });
    let both = with("scraper").replace("--", "-");
    let offered = shown(&cache, port, &format!("{both} -alpn h2,http/1.1"));
    assert!(offered.contains("ALPN protocol: http/1.1"), "{offered}");
    let offered = shown(&cache, port, &format!("{both} -alpn h2"));
    assert!(offered.contains("no application protocol"), "{offered}");

    // One that says nothing does not hold up others, nor the stop at the end.
    let idle = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let reload = || {
        let done = cache.control(&["reload"]);
        assert_eq!(done.status.code(), Some(0), "{done:?}");
    };
    other.leaf("web", "localhost 127.0.0.1", for_servers);
    reload();
    let words = format!("{} {}", at("/healthz"), with("scraper"));
    assert!(curl(&cache, &words).is_err(), "the old CA");
    let words = words.replace("ca.crt", "other.crt");
    assert_eq!(curl(&cache, &words).unwrap(), "ok\n");

    // Files that do not fit leave it as it is.
    fs::copy(
        cache.folder().join("scraper.key"),
        cache.folder().join("web.key"),
    )
    .unwrap();
    let refused = cache.control(&["reload"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(curl(&cache, &words).unwrap(), "ok\n");

    cache.reconfigure(&http(""));
    reload();
    assert!(curl(&cache, &plain).unwrap().contains("rutter_ready 1"));
    assert!(curl(&cache, &words).is_err());
    cache.reconfigure(&secure);
    other.leaf("web", "localhost 127.0.0.1", for_servers);
    reload();
    assert_eq!(curl(&cache, &words).unwrap(), "ok\n");
    drop(idle);
}

#[test]
fn a_large_answer_over_https_comes_whole_to_a_slow_reader() {
    if program("curl").is_none() {
        return not_run("HTTPS against curl", Need::Peers, "needs curl");
    }
    let folder = temp_dir();
    let list = folder.path().join("vrps.json");
    let second = folder.path().join("second.json");
    Payloads::vrps(20_000, &mut Prng::new(2)).write_json(&list);
    Payloads::vrps(20_000, &mut Prng::new(3)).write_json(&second);
    let ca = Ca::new(folder.path(), "ca");
    ca.leaf("web", "localhost", for_servers);
    let port = free_port();
    let cache = Cache::configured(
        folder,
        &format!(
            "[[source]]\nname = \"a\"\nurl = {list:?}\n[[source]]\nname = \"b\"\nurl = {second:?}\n\
             [http]\naddress = \"127.0.0.1:{port}\"\ncertificate = \"web.crt\"\nkey = \"web.key\"\n"
        ),
    );
    cache.until("both are there", |status| status.ready.ready);
    let url = format!("https://localhost:{port}/api/v1/disagreement?limit=10000 --cacert ca.crt");
    let fast = curl(&cache, &url).unwrap();
    let json: serde_json::Value = serde_json::from_str(&fast).unwrap();
    assert_eq!(json["differences"].as_array().unwrap().len(), 10_000);
    let slow = curl(&cache, &format!("{url} --limit-rate 512K")).unwrap();
    assert_eq!(slow, fast);
}
