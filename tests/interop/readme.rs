//! The router configurations of the README, read by the programs they are for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::bird;
use crate::openbgpd;
use crate::support::process::run;
use crate::support::{Need, not_run, program, temp_dir};

/// The block that follows `<!-- check: NAME -->` in the README.
fn configuration(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("<!-- check: {name} -->")).unwrap();
    let (_, block) = rest.split_once("```").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    // The first line names the language.
    block.split_once('\n').unwrap().1.to_owned()
}

/// The program accepts the README's section, and refuses it with `word` spelt as `wrong`.
#[track_caller]
fn accepts(name: &str, word: &str, wrong: &str, checker: impl Fn(&Path) -> Command) {
    accepts_text(name, &configuration(name), [word, wrong], checker);
}

/// The program accepts this text, and refuses it with the first word spelt as the second.
#[track_caller]
pub(crate) fn accepts_text(
    name: &str,
    text: &str,
    [word, wrong]: [&str; 2],
    checker: impl Fn(&Path) -> Command,
) {
    let folder = temp_dir();
    let config = folder.path().join("config");
    let check = |text: &str| {
        fs::write(&config, text).unwrap();
        fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
        run(&mut checker(&config), Duration::from_secs(30))
    };
    check(text).unwrap();
    assert!(text.contains(word));
    let accepted = check(&text.replace(word, wrong));
    assert!(accepted.is_err(), "{name} accepts {wrong}");
}

#[test]
fn bird_accepts_its_section() {
    let Some(bird) = program("bird") else {
        return not_run("README, BIRD", Need::Peers, "no bird");
    };
    accepts("bird", "remote", "remoat", bird_check(&bird));
    accepts("bird-ssh", "private", "secret", bird_check(&bird));
}

pub(crate) fn bird_check(bird: &Path) -> impl Fn(&Path) -> Command {
    move |config| {
        let mut command = Command::new(bird);
        command.args(["-p", "-c"]).arg(config);
        command
    }
}

#[test]
fn bird_3_accepts_its_section() {
    for generation in [2, 3] {
        let Some([bird, _]) = bird::debian13(generation) else {
            return not_run("README, BIRD 3", Need::Peers, bird::NOT_FETCHED);
        };
        accepts("bird3", "aspa table", "aspa tabel", bird_check(&bird));
        accepts("bird-ssh", "private", "secret", bird_check(&bird));
        accepts("bird-md5", "md5", "md6", bird_check(&bird));
    }
}

#[test]
fn frr_accepts_its_section() {
    let Some(vtysh) = program("vtysh") else {
        return not_run("README, FRR", Need::Peers, "no vtysh");
    };
    let check = |config: &Path| {
        let mut command = Command::new(&vtysh);
        command.args(["-C", "--inputfile"]).arg(config);
        command
    };
    accepts("frr", "rpki cache", "rpki cash", check);
    accepts("frr-ssh", "rpki cache", "rpki cash", check);
}

#[test]
fn openbgpd_accepts_its_section() {
    if let Some(why) = openbgpd::missing() {
        return not_run("README, OpenBGPD", Need::Peers, &why);
    }
    accepts("openbgpd", "rtr", "rrt", openbgpd_check);
}

pub(crate) fn openbgpd_check(config: &Path) -> Command {
    let mut command = Command::new(openbgpd::BGPD);
    command.args(["-n", "-f"]).arg(config);
    command
}

#[test]
fn gobgp_accepts_its_section() {
    let Some(gobgpd) = program("gobgpd") else {
        return not_run("README, GoBGP", Need::Peers, "no gobgpd");
    };
    accepts("gobgp", "rpki-servers", "rpki-serverz", |config| {
        let mut command = Command::new(&gobgpd);
        command.args(["-d", "-f"]).arg(config);
        command
    });
}
