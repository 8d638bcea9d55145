//! The feed as a source: a leader, something that carries its feed, and whoever follows.

mod leader;
mod refused;
mod steps;
mod waiting;

use std::sync::Arc;

use tempfile::TempDir;

use super::super::{Content, List, Mirror, Past, SourceError};
use super::{Running, start, start_after};
use crate::payload::Kinds;
use crate::rtr::snapshot::{Answer, Since};
use crate::rtr::{Serial, Snapshot, Version, View};

use self::leader::{Leader, Web};

/// What a follower has, in whatever update it comes next; an attempt that brings nothing new
/// says nothing.
async fn mirror(running: &mut Running) -> (List, Arc<Mirror>) {
    loop {
        match running.next().await.unwrap() {
            Content::Mirror(list, mirror) => return (*list, mirror),
            Content::Unchanged { .. } => {}
            Content::List(_) => unreachable!("a feed is mirrored"),
        }
    }
}

/// The same once it has the attributes of this serial and revision, too.
async fn complete(running: &mut Running, leader: &Leader) -> Arc<Snapshot> {
    let (wanted, mut found) = (leader.latest(), mirror(running).await.1);
    let at = |snapshot: &Snapshot| (snapshot.name(), snapshot.serial(), snapshot.revision());
    while at(&found.snapshot) != at(wanted) || !found.snapshot.knows_all() {
        found = mirror(running).await.1;
    }
    Arc::clone(&found.snapshot)
}

/// The next error, of this kind; what was said before is passed over.
async fn failure(running: &mut Running, kind: &str) -> SourceError {
    loop {
        match running.next().await {
            Err(error) => {
                assert_eq!(error.kind(), kind, "{error}: {error:?}");
                return error;
            }
            Ok(Content::Unchanged { .. }) => {}
            Ok(other) => unreachable!("delivered {other:?}"),
        }
    }
}

fn octets(snapshot: &Snapshot, since: Option<usize>) -> Vec<u8> {
    let version = Version::V2;
    let image = snapshot.image(Answer { version, since }).unwrap();
    image.segments(Kinds::ALL).flatten().copied().collect()
}

/// Whether a follower answers as the leader does, octet for octet, from this serial on.
fn same(found: &Snapshot, leader: &Leader, from: Serial) {
    let latest = leader.latest();
    assert_eq!(found.payload(), latest.payload());
    assert_eq!(found.serial(), latest.serial());
    assert_eq!(octets(found, None), octets(latest, None));
    for version in [Version::V1, Version::V2] {
        let view = View::new(version, Kinds::ALL);
        assert_eq!(found.session_id(view), latest.session_id(view));
    }
    if found.knows_all() {
        assert_eq!(found.data(), latest.data());
        assert_eq!(found.revision(), latest.revision());
    }
    let begins = leader.serials.iter().position(|old| old.serial() == from);
    for (number, old) in leader.serials.iter().enumerate() {
        let since = found.since(old.serial());
        assert!(since.is_some() || number < begins.unwrap(), "{number}");
        if let (Some(Since::Step(place)), Some(Since::Step(theirs))) =
            (since, latest.since(old.serial()))
        {
            assert_eq!(octets(found, Some(place)), octets(latest, Some(theirs)));
        }
    }
}

/// A leader that has served for a while, and a server that carries its feed.
async fn carried(name: u8, seed: u64, serials: usize) -> (Leader, Web) {
    let mut leader = Leader::new(name, seed);
    for _ in 1..serials {
        leader.go_on();
    }
    leader.catch_up();
    let web = Web::start(leader.tree()).await;
    (leader, web)
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn first(leader: &Leader) -> Serial {
    leader.serials[0].serial()
}

#[tokio::test]
async fn a_follower_is_its_leader_octet_for_octet() {
    let (mut leader, web) = carried(1, 41, 6).await;
    // The set and the attributes are behind the serial, each by some steps.
    leader.base = 2;
    web.show(&leader);
    let mut running = start(web.source());
    let (list, found) = mirror(&mut running).await;
    same(&found.snapshot, &leader, first(&leader));
    assert!(found.snapshot.knows_all());
    assert_eq!(found.issued, leader.issued);
    assert_eq!(found.valid_until, leader.issued.plus(3_600));
    let latest = leader.latest();
    assert_eq!(&list.rows, latest.data().rows());
    assert_eq!(list.serial, Some(latest.serial().into_u32()));
    assert_eq!(
        (list.stated, list.valid),
        (Some(leader.issued), Some(found.valid_until))
    );
    assert_eq!(&*list.dialect, "feed");
    assert_eq!((list.listed, list.skipped), (list.rows.len(), 0));
}

#[tokio::test]
async fn a_signed_feed_is_followed() {
    let (leader, web) = carried(1, 42, 3).await;
    let leader = leader.with_key();
    web.show(&leader);
    let keys = folder();
    let mut source = web.source();
    leader.trusted(&mut source, keys.path());
    let mut running = start(source);
    let found = mirror(&mut running).await.1;
    same(&found.snapshot, &leader, first(&leader));
    assert!(!web.asked().iter().any(|name| name == "manifest.json"));
}

#[tokio::test]
async fn a_feed_in_a_folder_is_followed_as_it_changes() {
    let folder = folder();
    let mut leader = Leader::new(1, 43);
    leader.lay_out(folder.path());
    let mut source = super::source(&format!("feed+file:{}", folder.path().display()));
    // Longer than the test: only notices of the system bring anything.
    source.refresh = std::time::Duration::from_secs(3_600);
    let mut running = start(source);
    for _ in 0..4 {
        let found = complete(&mut running, &leader).await;
        same(&found, &leader, first(&leader));
        leader.go_on();
        leader.learn();
        leader.lay_out(folder.path());
    }
}

#[tokio::test]
async fn nothing_new_is_said_to_be_so_and_new_times_keep_the_snapshot() {
    let (mut leader, web) = carried(1, 44, 3).await;
    let mut running = start(web.source());
    let before = mirror(&mut running).await.1;
    for _ in 0..2 {
        let content = running.next().await.unwrap();
        assert!(matches!(content, Content::Unchanged { arrived: None }));
    }
    leader.issued = leader.issued.plus(20);
    web.show(&leader);
    let (list, after) = mirror(&mut running).await;
    assert!(Arc::ptr_eq(&before.snapshot, &after.snapshot));
    assert_eq!(after.issued, leader.issued);
    assert_eq!(after.valid_until, before.valid_until.plus(20));
    assert_eq!(list.stated, Some(leader.issued));
    let content = running.ask(7).await.unwrap();
    assert!(matches!(content, Content::Unchanged { arrived: None }));
}

/// Whatever a leader does, and whatever its followers see of that.
#[tokio::test]
async fn followers_agree_with_the_leader_whatever_they_miss() {
    for seed in 1..=8 {
        let (mut leader, web) = carried(1, 100 + seed, 3).await;
        let kept = folder();
        let past = || Past {
            folder: Some(kept.path().into()),
            ..Past::default()
        };
        let mut running = start_after(past(), web.source());
        let mut found = complete(&mut running, &leader).await;
        // A history is as long as what it was seen of is.
        let mut begins = first(&leader);
        for round in 0..15 {
            for _ in 0..leader.random.below(4) {
                match leader.random.below(6) {
                    0 => leader.revise(),
                    1 => leader.jump(),
                    _ => leader.go_on(),
                }
            }
            match leader.random.below(4) {
                0 => leader.catch_up(),
                1 => {}
                _ => leader.learn(),
            }
            if leader.random.below(3) == 0 {
                let most = u64::try_from(leader.base + 1).unwrap();
                let unnamed = usize::try_from(leader.random.below(most)).unwrap();
                leader.unnamed = leader.unnamed.max(unnamed);
                begins = leader.serials[leader.unnamed].serial();
            }
            leader.issued = leader.issued.plus(1);
            web.show(&leader);
            if leader.random.below(4) == 0 {
                running.stop().await;
                let mirrored = Some(Arc::clone(&found));
                running = start_after(Past { mirrored, ..past() }, web.source());
            }
            let named = leader
                .stock()
                .0
                .attributes
                .map(|named| (named.serial, named.revision));
            let latest = leader.latest();
            let learns = named == Some((latest.serial(), latest.revision()));
            found = loop {
                let found = mirror(&mut running).await.1;
                let at = (found.snapshot.serial(), found.snapshot.revision());
                let there = at == (latest.serial(), latest.revision());
                if there && found.issued == leader.issued && (!learns || found.snapshot.knows_all())
                {
                    break Arc::clone(&found.snapshot);
                }
            };
            assert_eq!(found.knows_all(), learns, "{seed} {round}");
            let base = leader.serials[leader.base].serial();
            assert!(found.since(base).is_some(), "{seed} {round}");
            same(&found, &leader, begins);
        }
        running.stop().await;
    }
}
