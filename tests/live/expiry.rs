//! Renewed moments of expiry, over restarts and from leader to followers.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use super::followers::Node;
use super::router::{Has, NOTIFY, Router};
use super::sources::{now, write_expiring};
use crate::support::{report, temp_dir, wait_for};

/// How long news may take over two hops.
const SLOWEST: u64 = 4;

/// Enough to see what has come already.
const SHORTLY: Duration = Duration::from_millis(20);

/// The moments at which the payloads of a node expire, as its document says them, by prefix.
fn moments(node: &Node) -> Vec<u64> {
    let document = node.cache.get("/rpki.json");
    let roas = document["roas"].as_array().unwrap();
    let sorted: BTreeMap<_, _> = roas
        .iter()
        .map(|roa| (roa["prefix"].to_string(), roa["expires"].as_u64().unwrap()))
        .collect();
    sorted.into_values().collect()
}

#[track_caller]
fn all_know(nodes: &[Node], expected: &[u64]) {
    for node in nodes {
        let patience = Duration::from_secs(10);
        wait_for("the moments are known", patience, || {
            let known = moments(node);
            match known == expected {
                true => Ok(()),
                false => Err(format!("{known:?}: {}", node.cache.log())),
            }
        });
    }
}

/// Connects to each of them, and takes what changed since; nothing has.
fn still(nodes: &[Node], has: &[Has]) -> Vec<Router> {
    let routers = nodes.iter().zip(has).map(|(node, has)| {
        let mut router = Router::connect(node.cache.address());
        let update = router.update(*has);
        assert_eq!((update.has, update.payload.len()), (*has, 0));
        router
    });
    routers.collect()
}

#[test]
fn renewed_moments_count_over_restarts_and_hops_and_make_no_serial() {
    let first = now() + 22;
    // One is renewed, one ends sooner than it was said to, and one stays.
    let (moment, never) = (first + 5, first + 100_000);
    let folder = temp_dir();
    write_expiring(&folder.path().join("vrps.json"), &[first, never, never]);
    let leader = Node::leading(folder);
    let middle = leader.follower();
    let last = middle.follower();
    let nodes = [leader, middle, last];
    let mut has = Vec::new();
    for node in &nodes {
        let loaded = Router::connect(node.cache.address()).load(1);
        assert_eq!(loaded.payload.len(), 3, "expired before it was served");
        has.push(loaded.has);
    }
    all_know(&nodes, &[first, never, never]);
    let source = nodes[0].cache.source();
    write_expiring(&source, &[moment, moment, never]);
    all_know(&nodes, &[moment, moment, never]);
    still(&nodes, &has);

    // What is known is kept: the list is read again with the same moments, and those who follow
    // have them from before.
    let nodes = nodes.map(Node::restarted);
    all_know(&nodes, &[moment, moment, never]);
    let mut routers = still(&nodes, &has);
    let margin = first.saturating_sub(now());
    assert!(margin > 0, "too late to tell whether it leaves too early");
    let before = Duration::from_secs(moment) - Duration::from_millis(500);
    // The timeouts of sockets are no clocks: those of many seconds come late.
    thread::sleep(before.saturating_sub(UNIX_EPOCH.elapsed().unwrap()));
    for router in &mut routers {
        assert!(router.is_quiet(SHORTLY), "they left too early");
    }
    for (router, has) in routers.iter_mut().zip(&has) {
        let notify = router.expect(NOTIFY);
        let late = now().checked_sub(moment);
        assert!(late.is_some_and(|late| late <= SLOWEST), "{late:?} s late");
        assert_eq!(notify.serial(), has.serial + 1);
        let update = router.update(*has);
        let gone: Vec<_> = update.payload.iter().map(|pdu| (pdu[8], pdu[12])).collect();
        assert_eq!(gone, [(0, 192), (0, 198)]);
    }
    report(
        "chain: renewed `expires` over three servers and their restarts: no serial, none too soon or late",
    );
}
