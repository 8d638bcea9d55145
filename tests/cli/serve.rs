//! `rutter serve` that does not start. What happens once it runs is in the live tests.

use std::net::TcpListener;

use super::program::{Ran, rutter};

fn serve(arguments: &[&str]) -> Ran {
    rutter(["serve"].iter().chain(arguments))
}

#[test]
fn a_server_needs_one_source() {
    serve(&[]).fails_with("--source: missing");
    serve(&["--demo", "--source", "vrps.json"]).fails_with("--demo");
    serve(&["--source", "ssh://r@127.0.0.1"]).fails_with("ssh://…@127.0.0.1: takes a key");
    serve(&["--source", "validator.example:80"]).fails_with("validator.example:80");
}

#[test]
fn a_listener_off_loopback_needs_an_access_list() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:323"] {
        let listen = format!("tcp://{address}");
        serve(&["--demo", "--listen", &listen]).fails_with("--allow");
    }
}

#[test]
fn mistakes_are_reported_all_at_once() {
    let wrong = [
        ["--listen", "tcp://0.0.0.0:323"],
        ["--listen", "tls://127.0.0.1"],
        ["--listen", "tcp://localhost:1"],
        ["--set", "rtr.refresh=soon"],
        ["--set", "rtr.bogus=1"],
        ["--set", "limits.connections"],
        ["--set", "limits.stall=10x"],
        ["--source", "gopher://x"],
    ];
    let ran = serve(wrong.as_flattened());
    for [flag, value] in wrong {
        ran.fails_with(&format!("{flag} {value}: "));
    }
    assert_eq!(ran.err.lines().count(), wrong.len(), "a line each: {ran:?}");
    let ran = serve(&["--demo", "--allow", "192.0.2.0/33", "--allow", "routers"]);
    ran.fails_with("--allow 192.0.2.0/33: ");
    ran.fails_with("--allow routers: ");
}

#[test]
fn settings_that_contradict_each_other_stop_the_start() {
    let wrong: &[&[&str]] = &[
        &["rtr.refresh=3h"],
        &["rtr.expire=1s"],
        &["rtr.lowest-version=2", "rtr.highest-version=1"],
        &["rtr.highest-version=3"],
        &["rtr.notify-interval=1ms"],
        &["limits.connections=0"],
    ];
    for set in wrong {
        let mut arguments = vec!["--demo", "--listen", "tcp://127.0.0.1:0"];
        arguments.extend(set.iter().flat_map(|set| ["--set", set]));
        serve(&arguments).fails_with(set[0].split('=').next().unwrap().split('.').next().unwrap());
    }
}

#[test]
fn an_address_in_use_stops_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = serve(&["--demo", "--listen", &format!("tcp://{address}")]);
    ran.fails_with(&address);
}
