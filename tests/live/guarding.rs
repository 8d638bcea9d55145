//! Updates that take away too much are held, and pass or are refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rutter::http::shape::{HeldKind, SlurmState};

use super::cache::Cache;
use super::router::{NOTIFY, Router, announced, increment};
use crate::support::payloads::{Payloads, Prng};
use crate::support::temp_dir;

fn lists() -> (Payloads, Payloads) {
    let mut random = Prng::new(1);
    let all = Payloads::vrps(400, &mut random);
    let few = all.changed(0, 200, &mut random);
    (all, few)
}

/// A server of one file, under these rules.
fn guarded(payloads: &Payloads, rules: &str) -> (Cache, PathBuf) {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    payloads.write_json(&path);
    let rest = format!("{}\n{rules}", source(&path));
    (Cache::configured(folder, &rest), path)
}

fn source(path: &Path) -> String {
    format!(
        "[[source]]\nname = \"file\"\nurl = \"{}\"\n",
        path.display()
    )
}

#[test]
fn an_update_that_drops_much_is_held_until_it_is_approved() {
    let (all, few) = lists();
    let (cache, path) = guarded(&all, "");
    let mut router = Router::connect(cache.address());
    let first = router.load(2);
    few.write_json(&path);
    let status = cache.until("something is held", |status| status.guard.held.is_some());
    let held = status.guard.held.unwrap();
    cache.says(&["held by the guard", &held.digest, "200 would go"]);
    assert_eq!(held.kind, HeldKind::Update);
    let groups: Vec<_> = held.changes.iter().map(|change| &*change.group).collect();
    assert!(
        groups.contains(&"IPv4 VRPs") && groups.contains(&"trust anchor test"),
        "{groups:?}"
    );
    let lost: u64 = held
        .changes
        .iter()
        .filter(|c| c.group.ends_with("VRPs"))
        .map(|c| c.lost)
        .sum();
    assert_eq!((lost, held.examples.len()), (200, 10));
    let metrics = cache.metrics();
    assert!(
        metrics.contains("rutter_guard_held{kind=\"update\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains(
        "rutter_guard_held_lost_payloads{kind=\"update\",group=\"trust anchor test\"} 200"
    ));

    // Routers hear nothing of it, and the server is as ready as it was.
    assert!(status.ready.ready && router.is_quiet(Duration::from_millis(1_300)));
    assert_eq!(router.update(first.has).payload.len(), 0);
    let wrong = cache.control(&["approve", "0123456789abcdef"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains(&held.digest),
        "{wrong:?}"
    );
    assert_eq!(router.update(first.has).payload.len(), 0);

    let done = cache.control(&["approve", &held.digest]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    assert_eq!(router.update(first.has).set(), increment(&all, &few, 2));
    let status = cache.status();
    assert_eq!(status.serving.unwrap().trigger, "approval");
    assert!(status.guard.held.is_none());
    let again = cache.control(&["approve", &held.digest]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("nothing is held"),
        "{again:?}"
    );
}

#[test]
fn a_hold_that_times_out_is_refused_and_a_better_list_passes() {
    let (all, few) = lists();
    let (cache, path) = guarded(&all, "[guard]\nhold = \"1s\"\n");
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    few.write_json(&path);
    cache.says(&["held candidate refused after its time"]);
    let status = cache.until("it is refused", |status| status.guard.refused.is_some());
    assert!(status.guard.held.is_none());
    assert_eq!(router.update(first.has).payload.len(), 0);
    let better = all.changed(10, 10, &mut Prng::new(2));
    better.write_json(&path);
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    assert_eq!(router.update(first.has).set(), increment(&all, &better, 1));
    cache.until("nothing is refused", |status| {
        status.guard.refused.is_none()
    });
}

#[test]
fn a_hold_that_times_out_is_accepted_where_that_is_the_rule() {
    let (all, few) = lists();
    let (cache, path) = guarded(&all, "[guard]\nhold = \"1s\"\non-timeout = \"accept\"\n");
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    few.write_json(&path);
    cache.says(&["held by the guard"]);
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    assert_eq!(router.update(first.has).set(), increment(&all, &few, 1));
    cache.says(&["held candidate accepted after its time"]);
}

#[test]
fn a_list_that_grows_too_much_is_held_and_limits_can_be_off() {
    let (all, few) = lists();
    let rules = "[guard]\nmax-growth = \"20%\"\nmax-shrink = \"off\"\n";
    let (cache, path) = guarded(&all, rules);
    few.write_json(&path);
    let mut router = Router::connect(cache.address());
    cache.until("the shorter list is served", |status| {
        status
            .serving
            .as_ref()
            .is_some_and(|serving| serving.serial == 2)
    });
    let first = router.load(1);
    assert!(first.set() == announced(&few, 1));
    all.write_json(&path);
    let status = cache.until("the longer list is held", |status| {
        status.guard.held.is_some()
    });
    let gained: Vec<_> = status
        .guard
        .held
        .unwrap()
        .changes
        .iter()
        .map(|c| (c.lost, c.gained))
        .collect();
    assert!(
        gained
            .iter()
            .all(|(lost, gained)| *lost == 0 && *gained > 0),
        "{gained:?}"
    );
    assert_eq!(router.update(first.has).payload.len(), 0);
}

/// Filters what this object says.
fn filter(what: &str) -> String {
    format!(
        r#"{{"slurmVersion": 1,
            "validationOutputFilters": {{"prefixFilters": [{what}], "bgpsecFilters": []}},
            "locallyAddedAssertions": {{"prefixAssertions": [], "bgpsecAssertions": []}}}}"#
    )
}

/// A server with exceptions that filter nothing at first.
fn excepting(rules: &str) -> (Cache, PathBuf, Payloads) {
    let (all, _) = lists();
    let folder = temp_dir();
    let (list, slurm) = (
        folder.path().join("vrps.json"),
        folder.path().join("slurm.json"),
    );
    all.write_json(&list);
    fs::write(&slurm, filter(r#"{"asn": 4294967294}"#)).unwrap();
    let rest = format!(
        "{}\n[slurm]\nfiles = [\"{}\"]\n{rules}",
        source(&list),
        slurm.display()
    );
    (Cache::configured(folder, &rest), slurm, all)
}

fn rename_into(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[test]
fn exceptions_that_change_much_are_applied_with_a_warning() {
    let (cache, slurm, all) = excepting("");
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    assert!(first.set() == announced(&all, 1));
    rename_into(&slurm, &filter(r#"{"prefix": "0.0.0.0/0"}"#));
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    let gone = all.vrps.iter().filter(|vrp| vrp.address.is_ipv4()).count();
    assert_eq!(router.update(first.has).payload.len(), gone);
    cache.says(&[
        "local exceptions changed a large part",
        &format!("{gone} would go"),
    ]);
    assert_eq!(cache.status().serving.unwrap().trigger, "slurm");
}

#[test]
fn exceptions_that_change_much_are_held_where_that_is_the_rule() {
    let (cache, slurm, all) = excepting("[guard]\nslurm = true\n");
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    assert!(first.set() == announced(&all, 1));
    rename_into(&slurm, &filter(r#"{"prefix": "0.0.0.0/0"}"#));
    let status = cache.until("exceptions are held", |status| status.guard.held.is_some());
    let held = status.guard.held.unwrap();
    assert_eq!(
        (held.kind, status.slurm.state),
        (HeldKind::Slurm, SlurmState::Applied)
    );
    assert_eq!(router.update(first.has).payload.len(), 0);
    assert_eq!(
        cache.control(&["approve", &held.digest]).status.code(),
        Some(0)
    );
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    assert!(cache.status().serving.unwrap().ipv4 == 0);
}
