//! Several sources, and what becomes of data that get old.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rutter::http::shape::SourceState;

use super::cache::Cache;
use super::router::{NOTIFY, Router, announced, increment};
use crate::support::payloads::{Payloads, Prng};
use crate::support::temp_dir;

/// A server of some files, `a.json`, `b.json` and so on, which have these lists at first.
fn serving(lists: &[&Payloads], rest: &str, of_source: &str) -> (Cache, Vec<PathBuf>) {
    let folder = temp_dir();
    let mut text = String::new();
    let mut paths = Vec::new();
    for (list, name) in lists.iter().zip(["a", "b", "c"]) {
        let path = folder.path().join(format!("{name}.json"));
        list.write_json(&path);
        let url = path.display();
        text += &format!("[[source]]\nname = \"{name}\"\nurl = \"{url}\"\n{of_source}\n");
        paths.push(path);
    }
    (Cache::configured(folder, &format!("{text}{rest}")), paths)
}

fn lists() -> [Payloads; 3] {
    let mut random = Prng::new(1);
    let a = Payloads::vrps(300, &mut random);
    let b = a.changed(8, 8, &mut random);
    let c = a.changed(8, 8, &mut random);
    [a, b, c]
}

fn united(lists: &[&Payloads]) -> Payloads {
    let mut all = lists[0].clone();
    for list in lists {
        all.vrps.extend(list.vrps.iter().cloned());
    }
    all
}

#[test]
fn a_union_has_what_any_source_has_and_shows_where_they_disagree() {
    let [a, b, _] = lists();
    let (cache, paths) = serving(&[&a, &b], "[merge]\nmode = \"union\"\n", "");
    let mut router = Router::connect(cache.address());
    let first = router.load(2);
    assert!(first.set() == announced(&united(&[&a, &b]), 2));

    let status = cache.until("the sources are compared", |status| {
        status.merge.agreement.len() == 2
    });
    let alone: Vec<_> = status
        .merge
        .agreement
        .iter()
        .map(|of| (&*of.source, of.alone, of.lacks))
        .collect();
    let (only_a, only_b) = (
        a.vrps.difference(&b.vrps).count(),
        b.vrps.difference(&a.vrps).count(),
    );
    let [only_a, only_b] = [only_a, only_b].map(|count| u64::try_from(count).unwrap());
    assert_eq!(alone, [("a", only_a, only_b), ("b", only_b, only_a)]);
    let listed = cache.get("/api/v1/disagreement?limit=3");
    assert_eq!(listed["total"], only_a + only_b);
    assert_eq!(listed["differences"].as_array().unwrap().len(), 3);
    assert!(cache.metrics().contains(&format!(
        "rutter_source_alone_payloads{{source=\"a\"}} {only_a}"
    )));

    // What leaves one source stays while the other has it.
    let less = a.changed(0, 20, &mut Prng::new(9));
    less.write_json(&paths[0]);
    let rows = u64::try_from(less.vrps.len()).unwrap();
    cache.until("a has less", |status| status.sources[0].rows == rows);
    let now = united(&[&less, &b]);
    let wanted = increment(&united(&[&a, &b]), &now, 2);
    assert_eq!(router.update(first.has).set(), wanted);
}

#[test]
fn a_quorum_has_what_enough_sources_have() {
    let [a, b, c] = lists();
    let rest = "[merge]\nmode = \"quorum\"\nquorum = 2\n";
    let (cache, paths) = serving(&[&a, &b, &c], rest, "");
    let two_of_three = |lists: [&Payloads; 3]| {
        let mut all = united(&lists);
        all.vrps
            .retain(|vrp| lists.iter().filter(|list| list.vrps.contains(vrp)).count() >= 2);
        all
    };
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    let before = two_of_three([&a, &b, &c]);
    assert!(first.set() == announced(&before, 1));
    let next = a.changed(10, 10, &mut Prng::new(5));
    next.write_json(&paths[0]);
    let after = two_of_three([&next, &b, &c]);
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    assert_eq!(
        router.update(first.has).set(),
        increment(&before, &after, 1)
    );
}

#[test]
fn the_next_source_takes_over_and_the_first_comes_back_after_a_while() {
    let [a, b, _] = lists();
    let folder = temp_dir();
    let (first, second) = (folder.path().join("a.json"), folder.path().join("b.json"));
    a.write_json(&first);
    b.write_json(&second);
    let rest = format!(
        "[[source]]\nname = \"a\"\nurl = \"{}\"\nrefresh = \"1s\"\nmax-age = \"6s\"\n\
         [[source]]\nname = \"b\"\nurl = \"{}\"\n[merge]\nhysteresis = \"2s\"\n",
        first.display(),
        second.display()
    );
    let cache = Cache::configured(folder, &rest);
    let mut router = Router::connect(cache.address());
    let loaded = router.load(2);
    assert!(loaded.set() == announced(&a, 2));
    // Said before it counts.
    cache.says(&["source will be stale", "source=a"]);
    cache.says(&["source in use changed", "from=\"a\"", "to=\"b\""]);
    assert_eq!(router.expect(NOTIFY).serial(), loaded.has.serial + 1);
    let on_b = router.update(loaded.has);
    assert_eq!(on_b.set(), increment(&a, &b, 2));
    let status = cache.status();
    assert_eq!(status.merge.active.as_deref(), Some("b"));
    assert_eq!(status.sources[0].state, SourceState::Stale);
    assert!(status.ready.ready);

    // Fresh again, it is on trial, and stays fresh for as long as it is renewed.
    a.write_json(&first);
    let status = cache.until("a is fresh", |status| status.sources[0].fresh);
    assert_eq!(status.merge.active.as_deref(), Some("b"));
    let back = cache.until("a is in use again", |status| {
        a.write_json(&first);
        status.merge.active.as_deref() == Some("a")
    });
    assert!(back.ready.ready);
    assert_eq!(router.expect(NOTIFY).serial(), loaded.has.serial + 2);
    assert_eq!(router.update(on_b.has).set(), increment(&b, &a, 2));
}

/// A server whose only source gets stale after three seconds.
fn aging(payloads: &Payloads, policy: &str) -> (Cache, PathBuf) {
    let rest = format!("[guard]\nstale = \"{policy}\"\n");
    let (cache, paths) = serving(&[payloads], &rest, "refresh = \"1s\"\nmax-age = \"3s\"");
    (cache, paths[0].clone())
}

#[test]
fn stale_data_are_kept() {
    let [a, b, _] = lists();
    let (cache, path) = aging(&a, "keep");
    let mut router = Router::connect(cache.address());
    let first = router.load(2);
    cache.says(&["no source, or too few, can be relied on", "keep"]);
    let status = cache.until("it is stale", |status| status.guard.stale);
    assert!(!status.ready.ready);
    let reasons: Vec<_> = status.ready.reasons().collect();
    assert!(reasons[0].contains("no source is fresh"), "{reasons:?}");
    assert_eq!(cache.control(&["status"]).status.code(), Some(1));
    assert_eq!(router.update(first.has).payload.len(), 0);
    assert!(Router::connect(cache.address()).load(2).set() == announced(&a, 2));
    b.write_json(&path);
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    assert_eq!(router.update(first.has).set(), increment(&a, &b, 2));
    cache.says(&["sources can be relied on again"]);
}

#[test]
fn stale_data_are_withdrawn_as_a_serial() {
    let [a, b, _] = lists();
    let (cache, path) = aging(&a, "withdraw");
    let mut router = Router::connect(cache.address());
    let first = router.load(2);
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    let mut nothing = a.clone();
    nothing.vrps.clear();
    let gone = router.update(first.has);
    assert_eq!(gone.set(), increment(&a, &nothing, 2));
    assert!(Router::connect(cache.address()).load(2).payload.is_empty());
    b.write_json(&path);
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 2);
    assert_eq!(router.update(gone.has).set(), increment(&nothing, &b, 2));
    // And for a router that missed the time between: only what differs.
    assert_eq!(router.update(first.has).set(), increment(&a, &b, 2));
}

#[test]
fn stale_data_are_withheld_and_come_back_as_what_changed() {
    const ERROR_REPORT: u8 = 10;
    let [a, b, _] = lists();
    let (cache, path) = aging(&a, "no-data");
    let mut router = Router::connect(cache.address());
    let first = router.load(2);
    let status = cache.until("data are withheld", |status| {
        status
            .serving
            .as_ref()
            .is_some_and(|serving| serving.withheld)
    });
    assert!(!status.ready.ready);
    // No Notify; both queries get error 2 at once, and the session stays.
    assert!(router.is_quiet(Duration::from_millis(1_300)));
    router.send(&first.has.query());
    assert_eq!(router.expect(ERROR_REPORT).word(), 2);
    let mut other = Router::connect(cache.address());
    other.send(&super::router::RESET_QUERY[2]);
    assert_eq!(other.expect(ERROR_REPORT).word(), 2);
    assert!(cache.metrics().contains("rutter_withheld 1"));

    b.write_json(&path);
    cache.until("data are back", |status| status.ready.ready);
    let pdu = router.pdu();
    assert_eq!((pdu.kind(), pdu.serial()), (NOTIFY, first.has.serial + 1));
    assert_eq!(router.update(first.has).set(), increment(&a, &b, 2));
    assert!(other.load(2).set() == announced(&b, 2));
}

#[test]
fn a_start_with_stale_data_only_follows_the_rule() {
    let [a, b, _] = lists();
    let old = SystemTime::now() - Duration::from_secs(3 * 86_400);
    let folder = temp_dir();
    let path = folder.path().join("a.json");
    a.write_json_of(old, &path);
    let text = format!("[[source]]\nname = \"a\"\nurl = \"{}\"\n", path.display());
    let cache = Cache::configured(folder, &text);
    let mut router = Router::connect(cache.address());
    // Kept: what there is, is served, and said to be stale; a list that is as old follows it.
    let first = router.load(2);
    assert!(first.set() == announced(&a, 2) && !cache.status().ready.ready);
    b.write_json_of(old + Duration::from_secs(60), &path);
    assert_eq!(router.expect(NOTIFY).serial(), first.has.serial + 1);
    assert_eq!(router.update(first.has).set(), increment(&a, &b, 2));

    let folder = temp_dir();
    let path = folder.path().join("a.json");
    a.write_json_of(old, &path);
    let text = format!(
        "[[source]]\nname = \"a\"\nurl = \"{}\"\n[guard]\nstale = \"no-data\"\n",
        path.display()
    );
    let cache = Cache::configured(folder, &text);
    cache.says(&["source is stale"]);
    let status = cache.until("it is heard", |status| status.sources[0].rows > 0);
    assert!(status.serving.is_none() && !status.ready.ready);
    a.write_json(&path);
    assert!(Router::connect(cache.address()).load(2).set() == announced(&a, 2));
}

#[test]
fn the_first_publication_waits_for_every_source() {
    let [a, b, _] = lists();
    let (cache, _) = serving(&[&a, &b], "[merge]\nmode = \"union\"\n", "");
    cache.says(&["published"]);
    let published = cache.log();
    let before = published.split("published").next().unwrap();
    assert_eq!(before.matches("source loaded").count(), 2, "{published}");
}
