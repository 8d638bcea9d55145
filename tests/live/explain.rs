//! `rutter explain` asks the running server: from two sources over the guard and the local
//! exceptions to the routers.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::cache::{Cache, PATIENCE};
use crate::support::payloads::{Payloads, Vrp};
use crate::support::{temp_dir, wait_for};

/// Two sources, of which the first counts, a filter and an assertion, and a guard that stops what
/// changes more than one VRP.
fn config(folder: &Path) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    format!(
        "[[source]]\nname = \"a\"\nurl = \"{}\"\n\
         [[source]]\nname = \"b\"\nurl = \"{}\"\n\
         [guard]\nmin-change = 1\nmax-shrink = \"1%\"\n\
         [slurm]\nfiles = [\"{}\"]",
        path("a.json"),
        path("b.json"),
        path("s.json"),
    )
}

const SLURM: &str = r#"{
  "slurmVersion": 1,
  "validationOutputFilters": {
    "prefixFilters": [{ "prefix": "192.0.2.0/24", "asn": 64496 }],
    "bgpsecFilters": []
  },
  "locallyAddedAssertions": {
    "prefixAssertions": [{ "prefix": "192.0.2.0/24", "asn": 64499 }],
    "bgpsecAssertions": []
  }
}
"#;

/// VRPs of 192.0.2.0/24 with these origins, and some that have nothing to do with it.
fn list(origins: &[u32]) -> Payloads {
    let mut payloads = Payloads::default();
    let origins = origins.iter();
    payloads
        .vrps
        .extend(origins.map(|origin| Vrp::new([192, 0, 2, 0].into(), 24, 24, *origin)));
    let others = (0..20).map(|third| Vrp::new([10, 0, third, 0].into(), 24, 24, 64500));
    payloads.vrps.extend(others);
    payloads
}

/// The lines without those of sources, and the exit code.
fn told(output: &Output) -> (Option<i32>, Vec<String>) {
    let out = String::from_utf8_lossy(&output.stdout);
    let lines = out.lines().filter(|line| !line.starts_with("  source "));
    (output.status.code(), lines.map(str::to_owned).collect())
}

#[test]
fn the_running_server_explains_a_route() {
    let folder = temp_dir();
    list(&[64496, 64497]).write_json(&folder.path().join("a.json"));
    list(&[64496, 64497, 64498]).write_json(&folder.path().join("b.json"));
    fs::write(folder.path().join("s.json"), SLURM).unwrap();
    let config = config(folder.path());
    let cache = Cache::configured(folder, &config);
    cache.says(&["published"]);
    let explain = |arguments: &[&str]| cache.control(&[&["explain"], arguments].concat());
    let slurm = cache.folder().join("s.json");
    let slurm = slurm.display();

    let asserted = format!(
        "192.0.2.0/24-24 AS64499, wrong AS: served, because {slurm} prefixAssertions[0] \
         (192.0.2.0/24-24 AS64499) asserts it"
    );
    let output = explain(&["192.0.2.0/24", "AS64496"]);
    assert_eq!(
        told(&output),
        (
            Some(1),
            vec![
                "192.0.2.0/24 from AS64496 is invalid; without local exceptions it would be valid"
                    .to_owned(),
                format!(
                    "192.0.2.0/24-24 AS64496, matches: not served, because {slurm} \
                     prefixFilters[0] (192.0.2.0/24 AS64496) filters it"
                ),
                "192.0.2.0/24-24 AS64497, wrong AS: served".to_owned(),
                "192.0.2.0/24-24 AS64498, wrong AS: not served, because no source that counts \
                 has it"
                    .to_owned(),
                asserted,
            ]
        )
    );
    let out = String::from_utf8_lossy(&output.stdout);
    let said: Vec<&str> = out
        .lines()
        .filter(|line| line.contains("source b,"))
        .collect();
    assert_eq!(said.len(), 3, "{out}");
    assert!(
        said.iter()
            .all(|line| line.ends_with(", does not count at the moment"))
    );
    assert_eq!(explain(&["192.0.2.0/24", "64497"]).status.code(), Some(0));
    assert_eq!(explain(&["203.0.113.0/24", "64497"]).status.code(), Some(0));
    assert_eq!(explain(&["192.0.2.1"]).status.code(), Some(0));

    // An update that loses two VRPs and gains one is stopped, and the words say so.
    let mut update = list(&[64495]);
    update
        .vrps
        .remove(&Vrp::new([10, 0, 0, 0].into(), 24, 24, 64500));
    update.write_json(&cache.folder().join("a.json"));
    cache.says(&["held by the guard"]);
    let stopped = "because the guard stopped the update that";
    let expected = [
        format!("192.0.2.0/24-24 AS64495: not served, {stopped} has it"),
        format!("192.0.2.0/24-24 AS64497: served, {stopped} lacks it"),
    ];
    wait_for("the guard is in the words", PATIENCE, || {
        let (code, lines) = told(&explain(&["192.0.2.0/24"]));
        let all = expected.iter().all(|line| lines.contains(line));
        (code == Some(0) && all)
            .then_some(())
            .ok_or_else(|| lines.join("\n"))
    });
    let json = explain(&["192.0.2.0/24", "--output", "json"]).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        (&json["serving"], &json["basis"]),
        (&true.into(), &"current".into())
    );
    assert_eq!(json["vrps"][0]["held"], "come");
    let held = json["vrps"].as_array().unwrap();
    let held: Vec<&Value> = held.iter().map(|vrp| &vrp["held"]).collect();
    assert_eq!(
        held,
        ["come", "go", "go"]
            .map(Value::from)
            .iter()
            .chain([&Value::Null; 2])
            .collect::<Vec<_>>()
    );
}

#[test]
fn before_there_is_data_nothing_can_be_explained() {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    let config = format!("[[source]]\nname = \"a\"\nurl = \"{}\"", path.display());
    let cache = Cache::configured(folder, &config);
    cache.says(&["source fails"]);
    let output = wait_for("the control socket answers", PATIENCE, || {
        let output = cache.control(&["explain", "192.0.2.0/24", "AS64496"]);
        let told = !output.stdout.is_empty();
        told.then(|| output.clone())
            .ok_or_else(|| format!("{output:?}"))
    });
    let expected = [
        "nothing is served at the moment",
        "192.0.2.0/24 from AS64496 cannot be validated",
        "no VRP is known that covers 192.0.2.0/24",
    ];
    assert_eq!(
        told(&output),
        (Some(2), expected.map(str::to_owned).to_vec())
    );
}

#[test]
fn stale_data_are_told_by_what_the_guard_makes_of_them() {
    let folder = temp_dir();
    let source = folder.path().join("vrps.json");
    let made = SystemTime::now() - Duration::from_secs(2 * 86_400);
    list(&[64496]).write_json_of(made, &source);
    let config = format!(
        "[guard]\nstale = \"keep\"\n[[source]]\nname = \"a\"\nurl = \"{}\"\nmax-age = \"off\"",
        source.display()
    );
    let cache = Cache::configured(folder, &config);
    cache.says(&["published"]);
    let reload = |from: &str, to: &str| {
        let path = cache.folder().join("rutter.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(from, to)).unwrap();
        let output = cache.control(&["reload"]);
        assert!(output.status.success(), "{output:?}");
    };
    let told_in_time = |code: i32, lines: &[&str]| {
        let expected = (Some(code), lines.iter().map(ToString::to_string).collect());
        wait_for("the staleness is in the words", PATIENCE, || {
            let told = told(&cache.control(&["explain", "192.0.2.0/24", "AS64496"]));
            let reason = format!("{told:?}");
            (told == expected).then_some(()).ok_or(reason)
        });
    };
    let valid = "192.0.2.0/24 from AS64496 is valid";
    told_in_time(0, &[valid, "192.0.2.0/24-24 AS64496, matches: served"]);
    reload("max-age = \"off\"", "max-age = \"1d\"");
    told_in_time(
        0,
        &[
            "no source, or too few, can be relied on; routers keep the last good data",
            valid,
            "192.0.2.0/24-24 AS64496, matches: served, as the last good data have it; no source \
             that counts has it now",
        ],
    );
    let lost = "192.0.2.0/24-24 AS64496, matches: not served, because no source, or too few, can \
                be relied on";
    reload("stale = \"keep\"", "stale = \"withdraw\"");
    told_in_time(
        0,
        &[
            "no source, or too few, can be relied on; the last good data were withdrawn from \
             routers",
            "192.0.2.0/24 from AS64496 is not found; by the last good data it would be valid",
            lost,
        ],
    );
    reload("stale = \"withdraw\"", "stale = \"no-data\"");
    told_in_time(
        2,
        &[
            "no source, or too few, can be relied on; nothing is served at the moment",
            "192.0.2.0/24 from AS64496 would be valid by what was validated, before local \
             exceptions",
            lost,
        ],
    );
}
