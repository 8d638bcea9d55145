//! What is asked for, and what is not.

use std::sync::Arc;
use std::time::Duration;

use super::leader::{Leader, Odd, Site};
use super::{Past, carried, complete, first, folder, mirror, same, start, start_after};
use crate::payload::{Kinds, UnixTime};
use crate::rtr::{Version, View};

fn kinds(asked: &[String]) -> Vec<&str> {
    let kinds = asked.iter().filter_map(|name| name.rsplit_once('.'));
    let mut kinds: Vec<&str> = kinds
        .map(|(_, kind)| kind)
        .filter(|kind| !kind.starts_with('j'))
        .collect();
    kinds.sort_unstable();
    kinds
}

#[tokio::test]
async fn a_later_serial_costs_its_steps_and_its_attributes() {
    let (mut leader, web) = carried(1, 51, 4).await;
    let mut running = start(web.source());
    let before = complete(&mut running, &leader).await;
    let asked = web.asked();
    assert_eq!(asked[0], "manifest.json");
    assert!(kinds(&asked).contains(&"snapshot"));
    let id = before.session_id(View::new(Version::V0, Kinds::ALL));

    leader.go_on();
    leader.go_on();
    // As a leader does: the steps at once, the attributes behind.
    web.show(&leader);
    let stepped = mirror(&mut running).await.1;
    same(&stepped.snapshot, &leader, first(&leader));
    assert!(!stepped.snapshot.knows_all());
    assert_eq!(stepped.snapshot.known(), before.known());
    let ends = Some(stepped.valid_until);
    let new = |end: Option<UnixTime>| end == ends;
    let unknown = stepped.snapshot.data().attributes();
    assert!(unknown.filter(|attribute| new(attribute.expires())).count() > 0);

    leader.learn();
    web.show(&leader);
    let after = complete(&mut running, &leader).await;
    same(&after, &leader, first(&leader));
    let (serial, generation) = (after.serial(), after.generation());
    assert_eq!(
        (stepped.snapshot.serial(), stepped.snapshot.generation()),
        (serial, generation)
    );
    assert_eq!(generation.number(), before.generation().number() + 1);
    assert!(after.serves(View::new(Version::V0, Kinds::ALL), id));

    let news = web.asked().split_off(asked.len());
    let news = kinds(&news);
    let count = |kind| news.iter().filter(|found| **found == kind).count();
    assert_eq!(
        (count("delta"), count("attributes"), count("snapshot")),
        (2, 1, 0)
    );
}

#[tokio::test]
async fn attributes_are_renewed_at_the_same_serial() {
    let (mut leader, web) = carried(1, 52, 2).await;
    let mut running = start(web.source());
    let before = complete(&mut running, &leader).await;
    for _ in 0..2 {
        let asked = web.asked().len();
        leader.revise();
        leader.learn();
        web.show(&leader);
        let after = complete(&mut running, &leader).await;
        same(&after, &leader, first(&leader));
        assert!(after.revision() > before.revision());
        assert_eq!(after.generation(), before.generation());
        let news = web.asked().split_off(asked);
        assert_eq!(kinds(&news), ["attributes"]);
    }
    // The number of a revision comes before what it says.
    leader.revise();
    web.show(&leader);
    let number = mirror(&mut running).await.1;
    assert_eq!(number.snapshot.revision(), leader.latest().revision());
    assert!(!number.snapshot.knows_all());
    leader.learn();
    web.show(&leader);
    same(
        &*complete(&mut running, &leader).await,
        &leader,
        first(&leader),
    );
}

#[tokio::test]
async fn steps_come_before_attributes_that_are_there_as_well() {
    let (mut leader, web) = carried(1, 53, 2).await;
    let mut running = start(web.source());
    complete(&mut running, &leader).await;
    leader.go_on();
    leader.learn();
    web.show(&leader);
    let stepped = mirror(&mut running).await.1;
    assert_eq!(stepped.snapshot.serial(), leader.latest().serial());
    assert!(!stepped.snapshot.knows_all());
    same(
        &*complete(&mut running, &leader).await,
        &leader,
        first(&leader),
    );
}

#[tokio::test]
async fn a_restart_costs_what_was_missed() {
    let (mut leader, web) = carried(1, 54, 4).await;
    let mut running = start(web.source());
    let before = complete(&mut running, &leader).await;
    running.stop().await;
    let asked = web.asked().len();
    let past = || Past {
        mirrored: Some(Arc::clone(&before)),
        ..Past::default()
    };
    // Nothing was missed.
    let mut running = start_after(past(), web.source());
    let found = mirror(&mut running).await.1;
    assert!(Arc::ptr_eq(&found.snapshot, &before));
    running.stop().await;
    leader.go_on();
    web.show(&leader);
    let mut running = start_after(past(), web.source());
    same(
        &mirror(&mut running).await.1.snapshot,
        &leader,
        first(&leader),
    );
    let news = web.asked().split_off(asked);
    assert_eq!(
        kinds(&news)
            .iter()
            .filter(|kind| **kind != "replaced")
            .count(),
        1
    );
}

/// Whether a follower was there before, or begins with the set and asks for the steps behind it.
#[tokio::test]
async fn a_jump_is_followed() {
    let (mut leader, web) = carried(1, 60, 4).await;
    let mut running = start(web.source());
    complete(&mut running, &leader).await;
    let before = leader.latest().serial();
    let asked = web.asked().len();
    leader.jump();
    web.show(&leader);
    let after = mirror(&mut running).await.1;
    same(&after.snapshot, &leader, first(&leader));
    assert_eq!(after.snapshot.serial(), before.jump());
    assert_eq!(kinds(&web.asked().split_off(asked)), ["delta"]);
    assert_eq!(after.snapshot.since(before.next()), None);
    for _ in 0..2 {
        leader.go_on();
        leader.learn();
        web.show(&leader);
        let followed = complete(&mut running, &leader).await;
        same(&followed, &leader, first(&leader));
        let mut other = start(web.source());
        let begun = mirror(&mut other).await.1;
        same(&begun.snapshot, &leader, first(&leader));
        assert!(begun.snapshot.since(before).is_some());
        // The set is behind the jump, and then beyond it.
        leader.catch_up();
    }
}

#[tokio::test]
async fn who_is_too_far_behind_begins_with_the_set() {
    let (mut leader, web) = carried(1, 55, 3).await;
    let mut running = start(web.source());
    let before = complete(&mut running, &leader).await;
    for _ in 0..3 {
        leader.go_on();
    }
    leader.catch_up();
    leader.unnamed = 4;
    web.show(&leader);
    let after = complete(&mut running, &leader).await;
    same(&after, &leader, leader.serials[4].serial());
    assert!(after.since(leader.serials[3].serial()).is_none());
    assert_eq!(
        after.generation().number(),
        before.generation().number() + 1
    );
}

#[tokio::test]
async fn a_leader_that_starts_afresh_is_followed() {
    let (leader, web) = carried(1, 56, 3).await;
    let mut running = start(web.source());
    let before = complete(&mut running, &leader).await;
    let mut other = Leader::new(2, 57);
    other.issued = leader.issued;
    web.show(&other);
    let after = complete(&mut running, &other).await;
    same(&after, &other, first(&other));
    assert_ne!(after.name(), before.name());
    assert!(after.generation() > before.generation());
}

#[tokio::test]
async fn older_steps_that_are_lost_only_shorten_the_history() {
    let (leader, web) = carried(1, 58, 8).await;
    let (manifest, _) = leader.stock();
    let lost = manifest.delta_name(&manifest.deltas[2]).to_string();
    let damaged = manifest.delta_name(&manifest.deltas[0]).to_string();
    web.change(|site| {
        site.tree.remove(&lost);
        site.tree.insert(damaged, b"nonsense".to_vec());
    });
    let mut running = start(web.source());
    let found = mirror(&mut running).await.1;
    same(&found.snapshot, &leader, leader.serials[3].serial());
    let lost = leader.serials[2].serial();
    assert!(found.snapshot.since(lost).is_none());
}

/// Slow ones do not keep routers waiting either.
#[tokio::test]
async fn older_steps_are_not_waited_for_long() {
    let (leader, web) = carried(1, 59, 3).await;
    let stalls = |site: &mut Site| site.odd = Some(("-2.delta", Odd::Stalls));
    web.change(stalls);
    let mut source = web.source();
    source.timeout = Duration::from_millis(400);
    let mut running = start(source);
    match running.next().await.unwrap() {
        super::Content::Mirror(_, found) => {
            same(&found.snapshot, &leader, leader.serials[1].serial());
        }
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_that_is_gone_means_that_the_manifest_is_old() {
    let (mut leader, web) = carried(1, 60, 3).await;
    let mut old = leader.tree();
    let stale = leader.stock().0.snapshot_name().to_string();
    leader.go_on();
    leader.catch_up();
    old.remove(&stale);
    let new = leader.tree();
    web.change(|site| (site.tree, site.then) = (old, Some(new)));
    let mut running = start(web.source());
    let found = mirror(&mut running).await.1;
    same(&found.snapshot, &leader, first(&leader));
    // The same for attributes, which are asked for after the steps.
    leader.revise();
    leader.learn();
    let mut old = leader.tree();
    let named = leader.stock().0;
    let stale = named
        .attributes_name(&named.attributes.unwrap())
        .to_string();
    old.remove(&stale);
    leader.revise();
    leader.learn();
    let new = leader.tree();
    web.change(|site| (site.tree, site.then) = (old, Some(new)));
    same(
        &*complete(&mut running, &leader).await,
        &leader,
        first(&leader),
    );
}

#[tokio::test]
async fn the_mark_is_kept_for_the_next_start() {
    let (leader, web) = carried(1, 61, 3).await;
    let kept = folder();
    let past = Past {
        folder: Some(kept.path().join("a")),
        ..Past::default()
    };
    let mut running = start_after(past, web.source());
    mirror(&mut running).await;
    running.next().await.unwrap();
    let text = std::fs::read_to_string(kept.path().join("a/mark.json")).unwrap();
    let serial = format!("\"serial\":{},", leader.latest().serial());
    assert!(text.contains(&serial), "{text}");
}
