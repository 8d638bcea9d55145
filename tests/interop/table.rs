//! The table of clients and ways in the README, made of what the tests have found.
//!
//! Each test leaves one cell, which must be the README's. `tests/peers/table` puts the cells of a
//! run together, for `tests/run` to compare the whole, or to renew the README.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::door::Way;
use crate::scenario::Peer;
use crate::support::process::run;
use crate::support::{Need, not_run, report};

/// What has no name for it in its configuration or on its command line.
const NO_OPTION: &str = "no option";

/// Leaves what was found of a client, given by its name and what it shows, on a way.
#[track_caller]
pub(crate) fn cell((client, shows): (&str, &str), way: Way, found: &str) {
    let way = way.name();
    report(&format!("cell: {client} | {shows} | {way} | {found}"));
    if renewing() {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    // Other versions have no row there: the run as a whole says so where it must.
    if let Some(shown) = shown(&fs::read_to_string(path).unwrap(), client, way) {
        assert_eq!(
            shown, found,
            "the README's cell of {client} over {way}; tests/peers/table --renew writes it anew"
        );
    }
}

/// Whether the README's table is about to be written.
fn renewing() -> bool {
    env::var_os("RENEW_TABLE").is_some()
}

/// The README's cell, `None` when it has no row of that client.
fn shown(readme: &str, client: &str, way: &str) -> Option<String> {
    let (_, rest) = readme.split_once("<!-- clients: begin -->")?;
    let (table, _) = rest.split_once("<!-- clients: end -->")?;
    let mut rows = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        });
    let head = rows.next()?;
    let column = head.iter().position(|cell| cell == way)?;
    let mut rows = std::iter::once(head).chain(rows);
    let row = rows.find(|row| row.first().is_some_and(|cell| cell == client))?;
    row.get(column).cloned()
}

/// Leaves that a client has no option for a way. It is asked: with `usual` it accepts what it is
/// told, with `wanted` it does not.
#[track_caller]
pub(crate) fn refuses<P: Peer>(way: Way, usual: &mut Command, wanted: &mut Command) {
    const PATIENCE: Duration = Duration::from_secs(20);
    if let Some(why) = P::missing() {
        let what = std::any::type_name::<P>();
        return not_run(&format!("{what} over {}", way.name()), Need::Peers, &why);
    }
    run(usual, PATIENCE).unwrap();
    let client = P::name();
    match run(wanted, PATIENCE) {
        Err(how) if !how.contains("still running") => {}
        taken => panic!("{client} takes an option for {}: {taken:?}", way.name()),
    }
    cell((&client, P::SHOWS), way, NO_OPTION);
}

/// The first two numbers of a version, as the command prints it on either output: `2.17`.
pub(crate) fn version(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2>&1", program]);
    command.args(arguments);
    let text = run(&mut command, Duration::from_secs(20)).unwrap();
    short(&text).unwrap_or_else(|| panic!("no version: {text}"))
}

/// The same, of a Debian package; nothing when there is none.
pub(crate) fn packaged(package: &str) -> String {
    let mut command = Command::new("dpkg-query");
    command.args(["--show", "--showformat=${Version}", package]);
    let text = run(&mut command, Duration::from_secs(20));
    text.ok().and_then(|text| short(&text)).unwrap_or_default()
}

/// The same, of a crate that the tests are linked with.
pub(crate) fn locked(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let name = format!("name = \"{name}\"\n");
    let (_, rest) = lock.split_once(&name).unwrap();
    short(rest).unwrap()
}

/// The first two numbers that a dot is between.
fn short(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words
        .filter_map(|word| {
            let mut numbers = word.split('.').filter(|number| !number.is_empty());
            Some(format!("{}.{}", numbers.next()?, numbers.next()?))
        })
        .next()
}

#[test]
fn the_readme_has_a_column_for_each_way() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(path).unwrap();
    for way in Way::ALL {
        let column = shown(&readme, "Client", way.name());
        assert!(column.is_some() || renewing(), "{way:?}");
    }
}

#[test]
fn cells_are_found_in_the_table() {
    let text = "\n<!-- clients: begin -->\n\n| Client | Compared | TCP | SSH, key |\n|---|---|---|---|\n\
                | A 1.2 | VRPs | live | no option |\n| B 2 | all | | fetches |\n\
                <!-- clients: end -->\n| A 3 | VRPs | TCP |\n";
    let some = |cell: &str| Some(cell.to_owned());
    assert_eq!(shown(text, "A 1.2", "SSH, key"), some("no option"));
    assert_eq!(shown(text, "B 2", "TCP"), some(""));
    assert_eq!(shown(text, "B 2", "SSH, key"), some("fetches"));
    assert_eq!(shown(text, "A 3", "TCP"), None);
    assert_eq!(shown(text, "A 1.2", "TLS"), None);
}

#[test]
fn versions_are_shortened() {
    for (text, wanted) in [
        ("BIRD version 2.17.6", Some("2.17")),
        ("OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19", Some("9.2")),
        ("0.8.0-1+b1", Some("0.8")),
        ("OpenBGPD 7.7", Some("7.7")),
        ("none. at all", None),
    ] {
        assert_eq!(short(text).as_deref(), wanted, "{text}");
    }
}
