//! What a reload and a bad moment must not do.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::cache::{Cache, PATIENCE};
use crate::router::Router;
use crate::support::payloads::{Payloads, Prng};
use crate::support::{free_port, temp_dir, wait_for};

/// A server of a few payloads, and what follows its source in the configuration.
fn server(rest: &str) -> (Cache, Payloads) {
    let payloads = Payloads::vrps(100, &mut Prng::new(5));
    let folder = temp_dir();
    let source = folder.path().join("vrps.json");
    payloads.write_json(&source);
    let rest = format!(
        "[[source]]\nname = \"a\"\nurl = \"{}\"\n{rest}",
        source.display()
    );
    (Cache::configured(folder, &rest), payloads)
}

/// Changes the text of the configuration.
fn edit(cache: &Cache, change: impl FnOnce(String) -> String) {
    let path = cache.folder().join("rutter.toml");
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
}

#[track_caller]
fn reloaded(cache: &Cache) {
    let output = cache.control(&["reload"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_reload_that_moves_the_control_socket_is_answered() {
    let (cache, _) = server("");
    let other = cache.folder().join("elsewhere");
    let old = cache.folder().join("control");
    edit(&cache, |text| {
        text.replace(
            &format!("{}\"", old.display()),
            &format!("{}\"", other.display()),
        )
    });
    reloaded(&cache);
    wait_for("the old socket is gone", PATIENCE, || {
        let there = old.exists();
        if there {
            Err("there".to_owned())
        } else {
            Ok(())
        }
    });
    assert!(other.exists());
}

#[test]
fn reloads_leave_nothing_behind() {
    let (cache, payloads) = server("refresh = \"1h\"\n");
    let mut router = Router::connect(cache.address());
    router.load(1);
    reloaded(&cache);
    let before = cache.descriptors();
    for round in 0..30 {
        let (old, new) = match round % 2 {
            0 => ("refresh = \"1h\"", "refresh = \"2h\""),
            _ => ("refresh = \"2h\"", "refresh = \"1h\""),
        };
        edit(&cache, |text| text.replace(old, new));
        reloaded(&cache);
    }
    wait_for("descriptors are given back", PATIENCE, || {
        let now = cache.descriptors();
        if now <= before {
            Ok(())
        } else {
            Err(format!("{now} and not {before}"))
        }
    });
    // The session has stayed, and hears of what comes.
    let next = payloads.changed(1, 0, &mut Prng::new(6));
    cache.publish(&next);
    router.expect(0);
}

/// Exceptions that filter a prefix and whatever lies in it.
fn filtering(prefix: &str) -> String {
    format!(
        r#"{{"slurmVersion": 1,
            "validationOutputFilters": {{"prefixFilters": [{{"prefix": "{prefix}"}}], "bgpsecFilters": []}},
            "locallyAddedAssertions": {{"prefixAssertions": [], "bgpsecAssertions": []}}}}"#
    )
}

#[test]
fn a_url_that_is_away_is_told_of_and_holds_no_file_up() {
    let folder = temp_dir();
    let local = folder.path().join("local.slurm");
    fs::write(&local, filtering("192.0.2.0/32")).unwrap();
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/slurm.json", web.local_addr().unwrap());
    // It answers once and is gone.
    let once = thread::spawn(move || {
        let (mut stream, _) = web.accept().unwrap();
        let _ = stream.read(&mut [0; 4_096]).unwrap();
        let text = filtering("2001:db8::/128");
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
        write!(stream, "{head}: {}\r\n\r\n{text}", text.len()).unwrap();
    });
    let files = format!("[slurm]\nfiles = [\"{url}\", \"{}\"]\n", local.display());
    let (cache, _) = server(&files);
    cache.says(&["published"]);
    once.join().unwrap();
    let applied = |what: &str| {
        let status = cache.control(&["status", "--output", "json"]).stdout;
        let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
        assert_eq!(status["slurm"]["state"], what, "{status}");
    };
    applied("applied");
    cache.control(&["refresh"]);
    cache.says(&["local exceptions refused", &url]);
    fs::write(&local, filtering("192.0.2.0/24")).unwrap();
    cache.says(&["published", "serial=2", "trigger=slurm"]);
    wait_for("the url is told of again", PATIENCE, || {
        let times = cache.said(&["local exceptions refused", &url]);
        if times >= 2 {
            Ok(())
        } else {
            Err(format!("{times} times"))
        }
    });
    applied("failing");
}

#[test]
fn a_reload_that_is_refused_gives_back_what_it_opened() {
    let (cache, payloads) = server("");
    let mut router = Router::connect(cache.address());
    router.load(1);
    let spare = free_port();
    let old = fs::read_to_string(cache.folder().join("rutter.toml")).unwrap();
    // The second of the two new listeners cannot be had.
    edit(&cache, |text| {
        let listener = |address: SocketAddr| {
            format!("[[listener]]\ntransport = \"tcp\"\naddress = \"{address}\"\n")
        };
        let free = listener(([127, 0, 0, 1], spare).into());
        format!("{text}\n{free}{}", listener(cache.address()))
    });
    assert!(!cache.control(&["reload"]).status.success());
    assert!(TcpStream::connect(("127.0.0.1", spare)).is_err());
    cache.publish(&payloads.changed(1, 0, &mut Prng::new(6)));
    router.expect(0);
    edit(&cache, |_| old);
    reloaded(&cache);
}

#[test]
fn two_listeners_may_leave_their_port_to_the_system() {
    let listener = "[[listener]]\ntransport = \"tcp\"\naddress = \"127.0.0.1:0\"\n";
    let (cache, _) = server(listener);
    let second = cache.says_times(2, &["listening", "tcp"]);
    let second = second.split_once("address=").unwrap().1;
    let second = second.split_ascii_whitespace().next().unwrap();
    let places = [cache.address(), second.parse().unwrap()];
    for _ in 0..2 {
        for place in places {
            Router::connect(place).load(1);
        }
        reloaded(&cache);
    }
}
