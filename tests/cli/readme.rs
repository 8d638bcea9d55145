//! What the README shows of commands is what they print.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::program::{command, run};
use super::validate::words;
use crate::support::process::Process;
use crate::support::{Need, free_port, not_run, program, temp_dir, wait_for};

/// The text of a section of the README.
fn section(title: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("\n## {title}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// The blocks of code of a section, without the words that name their language.
fn blocks(section: &str) -> Vec<String> {
    let parts = section.split("```").skip(1).step_by(2);
    parts
        .map(|block| block.split_once('\n').unwrap().1.to_owned())
        .collect()
}

/// The cache that the README has running, and the file that has the same.
const CACHE: &str = "tcp://127.0.0.1:8282";
const SAMPLE: &str = "src/daemon/source/demo/sample.json";

/// Runs a command of the README in a folder and compares what it prints.
#[track_caller]
fn shows(folder: &Path, line: &str, output: &str) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join(SAMPLE);
    let sample = sample.to_str().unwrap();
    let words: Vec<String> = words(line)
        .into_iter()
        .skip(1)
        .map(|word| if word == CACHE { sample.into() } else { word })
        .collect();
    let ran = run(command(words).current_dir(folder));
    assert_eq!(ran.err, "", "{line}");
    assert_eq!(ran.out.replace(sample, CACHE), output, "{line}");
}

#[test]
fn validate_prints_what_the_readme_shows() {
    let folder = temp_dir();
    let blocks = blocks(&section("Validating routes"));
    assert_eq!(blocks.len(), 4);
    for pair in blocks.chunks(2) {
        shows(folder.path(), pair[0].trim(), &pair[1]);
    }
}

const EXCEPTIONS: &str = r#"{
  "slurmVersion": 1,
  "validationOutputFilters": {
    "prefixFilters": [
      { "prefix": "217.0.0.0/8" },
      { "prefix": "217.196.64.0/19", "asn": 20704 },
      { "asn": 64511 }
    ],
    "bgpsecFilters": []
  },
  "locallyAddedAssertions": {
    "prefixAssertions": [
      { "prefix": "217.196.64.0/19", "maxPrefixLength": 21, "asn": 20704 }
    ],
    "bgpsecAssertions": []
  }
}
"#;

#[test]
fn slurm_check_prints_what_the_readme_shows() {
    let folder = temp_dir();
    let bad = EXCEPTIONS
        .replace("{ \"asn\": 64511 }", "{ \"asn\": \"64511\" }")
        .replace("20704 }\n", "20704, \"ta\": \"x\" }\n");
    fs::write(folder.path().join("bad.json"), bad).unwrap();
    fs::write(folder.path().join("exceptions.json"), EXCEPTIONS).unwrap();
    let mut blocks = blocks(&section("Local exceptions"));
    blocks.retain(|block| block.starts_with("$ rutter slurm check "));
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let (line, output) = block.split_once('\n').unwrap();
        shows(folder.path(), line.strip_prefix("$ ").unwrap(), output);
    }
}

const REPLACED: &str = r#"{
  "slurmVersion": 1,
  "validationOutputFilters": {
    "prefixFilters": [{ "prefix": "192.0.2.0/24" }],
    "bgpsecFilters": []
  },
  "locallyAddedAssertions": {
    "prefixAssertions": [{ "prefix": "192.0.2.0/24", "asn": 64499 }],
    "bgpsecAssertions": []
  }
}
"#;

const LIST: &str = "\
ASN,IP Prefix,Max Length,Trust Anchor,Expires
AS64496,192.0.2.0/24,24,ripe,4000000000
AS64498,192.0.0.0/16,24,ripe,1732082400
";

#[test]
fn explain_prints_what_the_readme_shows() {
    let folder = temp_dir();
    fs::write(folder.path().join("exceptions.json"), REPLACED).unwrap();
    fs::write(folder.path().join("vrps.csv"), LIST).unwrap();
    let blocks = blocks(&section("Why a route is what it is"));
    let [_, block] = blocks.as_slice() else {
        panic!("{blocks:?}")
    };
    prints(folder.path(), block, 1);
}

/// A block, and what the command in its first line prints.
#[track_caller]
fn prints(folder: &Path, block: &str, code: i32) {
    let (line, output) = block.split_once('\n').unwrap();
    let typed = words(line.strip_prefix("$ rutter ").unwrap());
    let ran = run(command(typed).current_dir(folder));
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert_eq!(ran.out + &ran.err, output, "{line}");
}

#[test]
fn every_configuration_of_the_readme_is_right() {
    let folder = temp_dir();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).unwrap();
    let marked: Vec<&str> = text.split("<!-- check: config -->").skip(1).collect();
    assert!(marked.len() >= 3);
    for rest in marked {
        fs::write(folder.path().join("rutter.toml"), &blocks(rest)[0]).unwrap();
        prints(
            folder.path(),
            "$ rutter config check rutter.toml\nrutter.toml: ok\n",
            0,
        );
    }
}

const WRONG: &str = r#"[rtr]
refesh = "30m"
retry = "3h"

[[source]]
url = "https://validator.example/json"
max-age = "5m"

[merge]
mode = "quorm"

[[listener]]
address = "[::]:323"
"#;

#[test]
fn config_prints_what_the_readme_shows() {
    let folder = temp_dir();
    fs::write(folder.path().join("wrong.toml"), WRONG).unwrap();
    let blocks = blocks(&section("Configuration"));
    let shown = |start: &str| blocks.iter().find(|block| block.starts_with(start));
    prints(folder.path(), shown("$ rutter config check").unwrap(), 1);
    prints(folder.path(), shown("$ rutter config from").unwrap(), 0);

    // The README leaves lines out, so each that it has must be there.
    fs::write(folder.path().join("rutter.toml"), &blocks[0]).unwrap();
    let (line, output) = shown("$ RUTTER_").unwrap().split_once('\n').unwrap();
    let (variable, typed) = line[2..].split_once(" rutter ").unwrap();
    let (name, value) = variable.split_once('=').unwrap();
    let mut show = command(words(typed));
    let whole = run(show.env(name, value).current_dir(folder.path())).done();
    let mut rest = whole.lines();
    for line in output.lines() {
        assert!(rest.any(|other| other == line), "{line}\n{whole}");
    }
}

/// A shell in a folder, which finds the program and the script where the README has them.
fn shell(folder: &Path, line: &str) -> Command {
    let rutter = Path::new(env!("CARGO_BIN_EXE_rutter")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-euc", line]).current_dir(folder);
    shell.env("PATH", format!("{}:{path}", rutter.display()));
    shell
}

#[test]
fn tls_and_ssh_work_as_the_readme_says() {
    if program("openssl").is_none() || program("ssh-keygen").is_none() {
        let why = "needs openssl and ssh-keygen";
        return not_run("TLS and SSH of the README", Need::Peers, why);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = temp_dir();
    let folder = folder.path();
    symlink(here.join("certs"), folder.join("certs")).unwrap();
    let sample = here.join(SAMPLE);
    let here = |text: &str, ports: [&str; 2]| {
        text.replace("/var/lib/rpki-client/json", sample.to_str().unwrap())
            .replace("8324", ports[0])
            .replace("8022", ports[1])
    };
    let ports = [free_port(), free_port()].map(|port| port.to_string());
    let blocks = blocks(&section("TLS and SSH"));
    let blocks: Vec<String> = blocks
        .iter()
        .map(|text| here(text, [&ports[0], &ports[1]]))
        .collect();
    let [make, config, serve, dump] = blocks.as_slice() else {
        panic!("{blocks:?}")
    };
    run(&mut shell(folder, make)).done();
    fs::write(folder.join("pki/rutter.toml"), config).unwrap();
    let (check, serve) = serve.split_once('\n').unwrap();
    let checked = run(&mut shell(folder, check)).done();
    assert_eq!(checked, "pki/rutter.toml: ok\n");
    let serve = format!("exec {} --set control=control", serve.trim());
    let mut server = Process::start(&mut shell(folder, &serve), &folder.join("log"));
    wait_for("the sample is there", Duration::from_secs(20), || {
        server.check()?;
        let said = server.output();
        said.contains("published").then_some(()).ok_or(said)
    });
    assert_eq!(dump.lines().count(), 2);
    for line in dump.lines() {
        let ran = run(&mut shell(folder, line));
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{line}");
        let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert!(json["roas"].as_array().unwrap().len() > 2_000, "{line}");
    }
}

#[test]
fn every_reason_of_a_refusal_is_in_the_readme() {
    let section = section("TLS and SSH");
    let known = rutter::net::Reason::ALL.map(rutter::net::Reason::word);
    let proxies = |word: &&&str| **word != "proxy header";
    for word in known.iter().filter(proxies) {
        assert!(section.contains(&format!("`{word}`")), "{word}");
    }
}

/// Leader and follower as the README has them, with keys as it makes them.
#[test]
fn the_chain_of_the_readme_is_a_configuration() {
    let folder = temp_dir();
    let at = folder.path();
    let mut checked = 0;
    for name in ["export.key", "leader"] {
        let made = run(command(["keygen", "--out", name]).current_dir(at));
        assert_eq!(made.err, "");
    }
    fs::rename(at.join("leader.pub"), at.join("leader.key.pub")).unwrap();
    fs::copy(at.join("leader.key.pub"), at.join("leader.pub")).unwrap();
    for block in blocks(&section("Leader and followers")) {
        if !block.contains("state-dir") {
            continue;
        }
        fs::write(at.join("rutter.toml"), &block).unwrap();
        let ran = run(command(["config", "check", "rutter.toml"]).current_dir(at));
        assert_eq!(ran.code, Some(0), "{block}\n{}{}", ran.out, ran.err);
        checked += 1;
    }
    assert_eq!(checked, 2);
}
