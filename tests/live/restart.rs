//! A restart: routers go on as if nothing had been.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::Signal;

use super::cache::{Cache, PATIENCE};
use super::router::{NOTIFY, Router, announced, increment};
use crate::support::payloads::{Payloads, Prng};
use crate::support::{temp_dir, wait_for};

pub(crate) const ANYWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
pub(crate) const SOURCE: &str = "[[source]]\nurl = \"vrps.json\"\n";

pub(crate) fn start(payloads: &Payloads) -> Cache {
    let folder = temp_dir();
    payloads.write_json(&folder.path().join("vrps.json"));
    let cache = Cache::with_state(folder, ANYWHERE, SOURCE);
    stored(&cache);
    cache
}

/// Waits until the first set of a history is stored.
pub(crate) fn stored(cache: &Cache) {
    let manifest = cache.folder().join("state/feed/manifest.json");
    wait_for("a stored history", PATIENCE, || {
        manifest.exists().then_some(()).ok_or_else(|| cache.log())
    });
}

/// Both ways to end, and both versions that have sessions for good.
#[test]
fn a_router_goes_on_from_its_serial_after_a_restart() {
    let mut random = Prng::new(1);
    let first = Payloads::vrps(1_500, &mut random);
    let second = first.changed(30, 20, &mut random);
    let third = second.changed(10, 5, &mut random);
    let mut cache = start(&first);
    let mut has = [1, 2].map(|version| {
        let mut router = Router::connect(cache.address());
        router.load(version).has
    });
    let mut before = first;
    for (payloads, kill) in [(&second, true), (&third, false)] {
        let folder = match kill {
            true => cache.kill(),
            false => {
                cache.signal(Signal::TERM);
                assert!(cache.ended(PATIENCE).success());
                cache.kill()
            }
        };
        payloads.write_json(&folder.path().join("vrps.json"));
        cache = Cache::with_state(folder, ANYWHERE, SOURCE);
        for has in &mut has {
            let mut router = Router::connect(cache.address());
            let mut update = router.update(*has);
            // It may have come before the source was read.
            if update.has.serial == has.serial {
                assert!(update.payload.is_empty());
                router.expect(NOTIFY);
                update = router.update(*has);
            }
            assert_eq!(update.has.session, has.session);
            assert_eq!(update.has.serial, has.serial + 1);
            assert!(update.set() == increment(&before, payloads, has.version));
            *has = update.has;
            assert!(router.load(has.version).set() == announced(payloads, has.version));
        }
        before = payloads.clone();
    }
}

/// Nothing is withdrawn because the source is not there, and nobody is told of anything.
#[test]
fn what_was_served_is_served_without_any_source() {
    let payloads = Payloads::all_kinds(300, &mut Prng::new(2));
    let cache = start(&payloads);
    let has = Router::connect(cache.address()).load(2).has;
    let before = cache.status();
    let folder = cache.kill();
    fs::remove_file(folder.path().join("vrps.json")).unwrap();
    let cache = Cache::with_state(folder, ANYWHERE, SOURCE);
    // From the first moment on, whatever becomes of the source.
    let status = cache.status();
    assert!(status.ready.ready, "{:?}", status.ready);
    cache.says(&["source fails, last good data stays"]);
    let mut router = Router::connect(cache.address());
    let update = router.update(has);
    assert_eq!((update.has, update.payload.len()), (has, 0));
    assert!(router.load(2).set() == announced(&payloads, 2));
    let status = cache.until("the failure is known", |status| {
        status.sources[0].last_attempt.is_some()
    });
    let (old, new) = (before.serving.unwrap(), status.serving.unwrap());
    assert_eq!((old.history, old.serial), (new.history.clone(), new.serial));
    let stored = status.state.unwrap().stored.unwrap();
    assert_eq!((stored.history, stored.serial), (new.history, new.serial));
    // It comes back with what it had, which is nothing new.
    payloads.write_json(&cache.source());
    cache.says(&["source loaded"]);
    let status = cache.until("the source is back", |status| status.sources[0].rows > 0);
    assert_eq!(status.serving.unwrap().serial, has.serial);
    assert_eq!(cache.said(&["published"]), 0, "{}", cache.log());
}

/// Each step is kept, those before the first set too, so that all routers of before go on.
#[test]
fn routers_of_every_serial_go_on() {
    let mut random = Prng::new(3);
    let mut sets = vec![Payloads::vrps(2_000, &mut random)];
    let cache = start(&sets[0]);
    let mut router = Router::connect(cache.address());
    let mut all = vec![router.load(1).has];
    for _ in 0..6 {
        let next = sets.last().unwrap().changed(8, 5, &mut random);
        cache.publish(&next);
        router.expect(NOTIFY);
        all.push(router.update(*all.last().unwrap()).has);
        sets.push(next);
    }
    let last = *all.last().unwrap();
    let cache = Cache::with_state(cache.kill(), ANYWHERE, SOURCE);
    let mut router = Router::connect(cache.address());
    for (has, set) in all.iter().zip(&sets) {
        let update = router.update(*has);
        assert_eq!(update.has, last);
        assert!(update.set() == increment(set, sets.last().unwrap(), 1));
    }
    let metrics = cache.metrics();
    let serial = format!("\nrutter_state_serial {}\n", last.serial);
    assert!(metrics.contains(&serial), "{metrics}");
    assert!(
        metrics.contains("\nrutter_state_failures_total 0\n"),
        "{metrics}"
    );
}

/// What is configured of two sources and more, and how many have to have a payload.
fn several(merge: &str, names: &[&str]) -> String {
    let sources = names
        .iter()
        .map(|name| format!("[[source]]\nname = \"{name}\"\nurl = \"{name}.json\"\n"));
    format!("{}[merge]\n{merge}\n", sources.collect::<String>())
}

/// One of the sources is away after the restart: what it had counts on.
#[test]
fn a_source_that_is_away_after_a_restart_withdraws_nothing() {
    let mut random = Prng::new(5);
    let [a, b] = [(); 2].map(|()| Payloads::vrps(300, &mut random));
    let mut both = a.clone();
    both.vrps.extend(b.vrps.iter().cloned());
    for (merge, lists, served) in [
        ("mode = \"union\"", vec![("a", &a), ("b", &b)], &both),
        (
            "mode = \"quorum\"\nquorum = 2",
            // Two of three have each: b alone has what both a and c lack, and nobody gets it.
            vec![("a", &a), ("b", &both), ("c", &b)],
            &both,
        ),
    ] {
        let folder = temp_dir();
        let path = |name: &str| folder.path().join(format!("{name}.json"));
        for (name, payloads) in &lists {
            payloads.write_json(&path(name));
        }
        let names: Vec<&str> = lists.iter().map(|(name, _)| *name).collect();
        let config = several(merge, &names);
        let gone = path("b");
        let cache = Cache::with_state(folder, ANYWHERE, &config);
        stored(&cache);
        let loaded = Router::connect(cache.address()).load(1);
        assert!(loaded.set() == announced(served, 1));
        let kept = cache.folder().join("state/sources");
        wait_for("the lists are kept", PATIENCE, || {
            let folders = fs::read_dir(&kept).map_err(|error| error.to_string())?;
            let notes = folders.filter(|entry| {
                let folder = entry.as_ref().unwrap().path();
                folder.join("list.json").exists()
            });
            match notes.count() == names.len() {
                true => Ok(()),
                false => Err(cache.log()),
            }
        });
        let folder = cache.kill();
        fs::remove_file(gone).unwrap();
        let cache = Cache::with_state(folder, ANYWHERE, &config);
        let mut router = Router::connect(cache.address());
        let update = router.update(loaded.has);
        assert_eq!((update.has, update.payload.len()), (loaded.has, 0));
        // Not when it is known to be away either.
        cache.until("the failure is known", |status| {
            let tried = |name: &str| {
                let mut sources = status.sources.iter();
                let source = sources.find(|source| source.name == name).unwrap();
                (source.last_attempt.is_some(), source.failures > 0)
            };
            names.iter().all(|name| tried(name) == (true, *name == "b"))
        });
        assert_eq!(cache.said(&[" published "]), 0, "{}", cache.log());
        let update = router.update(loaded.has);
        assert_eq!((update.has, update.payload.len()), (loaded.has, 0));
    }
}
