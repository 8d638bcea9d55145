//! The tables that routers without RTR load, read by the programs they are for.

use std::process::Command;
use std::time::Duration;

use crate::readme::{accepts_text, bird_check, openbgpd_check};
use crate::support::payloads::{Payloads, Prng};
use crate::support::process::run;
use crate::support::{Need, not_run, program, temp_dir};
use crate::{bird, openbgpd};

/// What `rutter dump` makes of a list, odd prefixes included.
fn table(form: &str) -> String {
    let folder = temp_dir();
    let list = folder.path().join("vrps.json");
    Payloads::vrps(1_500, &mut Prng::new(8)).write_json(&list);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rutter"));
    command.args(["dump", "--output", form]).arg(&list);
    let text = run(&mut command, Duration::from_secs(20)).unwrap();
    assert!(text.lines().count() > 1_500);
    text
}

#[test]
fn bird_loads_static_tables() {
    let generations = [2, 3].map(|generation| bird::debian13(generation).map(|[bird, _]| bird));
    let mut birds: Vec<_> = generations.into_iter().chain([program("bird")]).collect();
    let text = table("bird");
    if birds.iter().any(Option::is_none) {
        not_run(
            "static tables, BIRD",
            Need::Peers,
            "not every BIRD is there",
        );
    }
    for bird in birds.drain(..).flatten() {
        let words = ["roa6 { table", "roa6 { tabel"];
        accepts_text("bird", &text, words, bird_check(&bird));
    }
}

#[test]
fn openbgpd_loads_its_set() {
    if let Some(why) = openbgpd::missing() {
        return not_run("a set of OpenBGPD", Need::Peers, &why);
    }
    let text = format!("AS 64500\nrouter-id 192.0.2.1\n{}", table("openbgpd"));
    accepts_text(
        "openbgpd",
        &text,
        ["source-as 0", "source-is 0"],
        openbgpd_check,
    );
}
