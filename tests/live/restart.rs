//! A restart: routers go on as if nothing had been.

use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::Signal;

use super::cache::{Cache, PATIENCE};
use super::router::{NOTIFY, Router, announced, increment};
use crate::support::payloads::{Payloads, Prng};
use crate::support::{temp_dir, wait_for};

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SOURCE: &str = "[[source]]\nurl = \"vrps.json\"\n";

fn start(payloads: &Payloads) -> Cache {
    let folder = temp_dir();
    payloads.write_json(&folder.path().join("vrps.json"));
    let cache = Cache::with_state(folder, ANYWHERE, SOURCE);
    stored(&cache);
    cache
}

/// Waits until the first set of a history is stored.
fn stored(cache: &Cache) {
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
