//! From a file to routers.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rutter::client;
use rutter::net::{Endpoint, Target};
use rutter::rtr::client::ClientConfig;
use rutter::rtr::{Version, Versions};
use serde_json::json;

use super::cache::{Cache, PATIENCE};
use super::router::{NOTIFY, RESET_QUERY, Router, announced, increment};
use crate::support::payloads::{Payloads, Prng};
use crate::support::{report, temp_dir};

/// The help promises a second. Twice that, because the processors are shared; the look that needs
/// no notice from the system comes after half a minute and cannot be taken for it.
const PICKED_UP: Duration = Duration::from_secs(2);

#[test]
fn the_first_load_is_whole_at_every_version() {
    let payloads = Payloads::all_kinds(1_500, &mut Prng::new(1));
    let cache = Cache::start(&payloads, &[]);
    let mut sessions = Vec::new();
    for version in 0..=2 {
        let mut router = Router::connect(cache.address());
        let answer = router.load(version);
        assert!(answer.set() == announced(&payloads, version), "{version}");
        assert_eq!((answer.has.version, answer.has.serial), (version, 1));
        assert!(router.update(answer.has).payload.is_empty());
        sessions.push(answer.has.session);
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 3, "versions are different sessions");
}

#[test]
fn standard_input_is_served_after_its_end() {
    let payloads = Payloads::all_kinds(500, &mut Prng::new(6));
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    payloads.write_json(&path);
    let cache = Cache::start_on_input(fs::File::open(path).unwrap());
    for version in 0..=2 {
        let answer = Router::connect(cache.address()).load(version);
        assert!(answer.set() == announced(&payloads, version));
    }
}

#[test]
fn the_demo_serves_every_kind() {
    let cache = Cache::start_with(temp_dir(), &["--demo"], "127.0.0.1:0", &[]);
    let answer = Router::connect(cache.address()).load(2);
    let count = |kind| answer.payload.iter().filter(|pdu| pdu[1] == kind).count();
    assert!(count(4) > 1_000 && count(6) > 100 && count(9) > 0 && count(11) > 0);
}

#[test]
fn the_library_client_loads_what_the_file_has() {
    let payloads = Payloads::all_kinds(1_500, &mut Prng::new(2));
    let cache = Cache::start(&payloads, &[]);
    let Ok(Endpoint::Tcp(at)) = format!("tcp://{}", cache.address()).parse() else {
        panic!("no endpoint");
    };
    let target = Target::Tcp(at);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for version in Version::ALL {
        let config = ClientConfig {
            versions: Versions::new(Version::V0, version).unwrap(),
            ..ClientConfig::default()
        };
        let fetch = client::fetch(&target, config, PATIENCE, |_| {});
        let set = runtime.block_on(fetch).unwrap().set;
        let kinds = (set.router_keys().len(), set.aspas().len());
        assert_eq!(set.vrps().count(), payloads.vrps.len());
        let all = (payloads.keys.len(), payloads.aspas.len());
        assert_eq!(
            kinds,
            match version {
                Version::V0 => (0, 0),
                Version::V1 => (all.0, 0),
                Version::V2 => all,
            }
        );
    }
}

/// One Notify, one Serial Query, one increment, and the Notify in time.
fn a_change_arrives(publish: impl Fn(&Payloads, &Path)) {
    let mut random = Prng::new(3);
    let old = Payloads::vrps(1_500, &mut random);
    let new = old.changed(30, 20, &mut random);
    let cache = Cache::start(&old, &[]);
    let mut routers: Vec<_> = (0..=2)
        .map(|version| {
            let mut router = Router::connect(cache.address());
            let has = router.load(version).has;
            (router, has)
        })
        .collect();
    let begin = Instant::now();
    publish(&new, &cache.source());
    for (router, has) in &mut routers {
        let notify = router.expect(NOTIFY);
        let took = begin.elapsed();
        assert!(took < PICKED_UP, "{took:?}");
        let (version, took) = (has.version, took.as_millis());
        report(&format!(
            "live: a changed file reached a router of version {version} as a Notify after {took} ms"
        ));
        assert_eq!(
            (notify.version(), notify.word()),
            (has.version, has.session)
        );
        assert_eq!(notify.serial(), has.serial + 1);
        let answer = router.update(*has);
        assert_eq!(answer.has.serial, has.serial + 1);
        assert_eq!(answer.set(), increment(&old, &new, has.version));
    }
    // Longer than the interval after which another Notify might come.
    let (router, _) = &mut routers[1];
    assert!(router.is_quiet(Duration::from_millis(1_300)));
}

#[test]
fn a_renamed_file_is_one_notify_and_one_increment() {
    a_change_arrives(Payloads::write_json);
}

#[test]
fn a_rewritten_file_is_one_notify_and_one_increment() {
    a_change_arrives(|payloads, path| {
        let beside = path.with_extension("other");
        payloads.write_json(&beside);
        fs::write(path, fs::read(&beside).unwrap()).unwrap();
    });
}

#[test]
fn a_broken_file_keeps_the_last_good_set() {
    let mut random = Prng::new(4);
    let old = Payloads::vrps(200, &mut random);
    let new = old.changed(3, 2, &mut random);
    let cache = Cache::start(&old, &[]);
    let mut router = Router::connect(cache.address());
    let has = router.load(1).has;

    let beside = cache.folder().join("broken");
    fs::write(&beside, "{\"roas\": [{\"prefix\": \"192.0.2.0/24\"").unwrap();
    fs::rename(&beside, cache.source()).unwrap();
    cache.says(&["source fails"]);
    assert!(router.update(has).payload.is_empty());
    let again = Router::connect(cache.address()).load(1);
    assert_eq!(again.has, has);
    assert!(again.set() == announced(&old, 1));

    cache.publish(&new);
    assert_eq!(router.expect(NOTIFY).serial(), has.serial + 1);
    assert_eq!(router.update(has).set(), increment(&old, &new, 1));
}

#[test]
fn a_query_waits_for_a_file_that_is_missing_at_the_start() {
    let cache = Cache::start_in(temp_dir(), &[]);
    cache.says(&["source fails"]);
    let mut routers: Vec<_> = (0..=2)
        .map(|version| {
            let mut router = Router::connect(cache.address());
            router.send(&RESET_QUERY[version]);
            router
        })
        .collect();
    assert!(routers[0].is_quiet(Duration::from_millis(200)));
    let payloads = Payloads::all_kinds(300, &mut Prng::new(5));
    cache.publish(&payloads);
    for (version, router) in (0..).zip(&mut routers) {
        let answer = router.answer();
        assert!(answer.set() == announced(&payloads, version));
    }
}

pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// Writes as many VRPs as there are moments, at most three, each of which expires at its own.
pub(crate) fn write_expiring(path: &Path, moments: &[u64]) {
    let vrps = [
        ("192.0.2.0/24", 64496),
        ("198.51.100.0/24", 64497),
        ("203.0.113.0/24", 64498),
    ];
    let roas = vrps.iter().zip(moments).map(|((prefix, asn), expires)| {
        json!({"prefix": prefix, "maxLength": 24, "asn": asn, "ta": "x", "expires": expires})
    });
    let document = json!({"metadata": {}, "roas": roas.collect::<Vec<_>>()});
    let beside = path.with_extension("new");
    fs::write(&beside, document.to_string()).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[test]
fn an_expired_vrp_leaves_without_a_new_document() {
    let folder = temp_dir();
    let end = now() + 3;
    write_expiring(&folder.path().join("vrps.json"), &[end, end + 1_000]);
    let cache = Cache::start_in(folder, &[]);
    let mut router = Router::connect(cache.address());
    let first = router.load(1);
    assert_eq!(first.payload.len(), 2, "expired before it was served");
    let notify = router.expect(NOTIFY);
    let late = now().checked_sub(end);
    assert!(late.is_some_and(|late| late <= 2), "{late:?} s late");
    assert_eq!(notify.serial(), first.has.serial + 1);
    let gone = [
        1, 4, 0, 0, 0, 0, 0, 20, 0, 24, 24, 0, 192, 0, 2, 0, 0, 0, 0xfb, 0xf0,
    ];
    assert_eq!(router.update(first.has).payload, [gone.to_vec()]);
    assert_eq!(Router::connect(cache.address()).load(1).payload.len(), 1);
    cache.says(&["published", "expiry"]);
}

#[test]
fn renewed_expiry_alone_sends_nothing() {
    let folder = temp_dir();
    let end = now() + 1_000;
    write_expiring(&folder.path().join("vrps.json"), &[end, end]);
    let cache = Cache::start_in(folder, &[]);
    let mut router = Router::connect(cache.address());
    let has = router.load(1).has;
    write_expiring(&cache.source(), &[end + 500, end + 600]);
    cache.says(&["published", "revision=1"]);
    // Nothing lies before the answer, and nothing comes later.
    let answer = router.update(has);
    assert_eq!((answer.has, answer.payload.len()), (has, 0));
    assert!(router.is_quiet(Duration::from_millis(1_300)));
}
