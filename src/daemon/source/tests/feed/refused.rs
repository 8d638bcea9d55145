//! What is refused: everything that is not exactly what the leader says now.

use std::sync::Arc;
use std::time::Duration;

use super::leader::{Leader, Odd, Tree, Web, key};
use super::{
    Past, SourceError, carried, complete, failure, first, folder, mirror, same, start, start_after,
};
use crate::daemon::source::error::{Phase, RedirectError};
use crate::feed::{FeedError, FileName, Manifest};

#[tokio::test]
async fn only_the_key_that_is_trusted_is() {
    let (leader, web) = carried(1, 71, 3).await;
    let mut leader = leader.with_key();
    let keys = folder();
    let mut source = web.source();
    leader.trusted(&mut source, keys.path());
    let signed = leader.tree();
    let right = leader.key.replace(key());
    web.show(&leader);
    let mut running = start(source);
    failure(&mut running, "signature").await;
    // What nobody has signed, under either name.
    leader.key = None;
    let plain = leader.tree();
    let mut disguised = plain.clone();
    let text = disguised.remove("manifest.json").unwrap();
    disguised.insert("manifest.jws".into(), text.clone());
    web.change(|site| site.tree = disguised);
    failure(&mut running, "signature").await;
    web.change(|site| site.tree = plain);
    loop {
        let error = running.next().await.unwrap_err();
        if error.kind() == "signature" {
            continue;
        }
        assert_eq!(error.kind(), "manifest");
        assert!(error.to_string().contains("manifest.jws"), "{error}");
        break;
    }
    // A signature over something else.
    let mut cut = signed.clone();
    let text = cut.get_mut("manifest.jws").unwrap();
    let middle = text.len() / 2;
    text[middle] = if text[middle] == b'A' { b'B' } else { b'A' };
    web.change(|site| site.tree = cut);
    while running.next().await.unwrap_err().kind() != "signature" {}
    web.change(|site| site.tree = signed);
    leader.key = right;
    while !matches!(running.next().await, Ok(super::Content::Mirror(..))) {}
    assert!(!web.asked().iter().any(|name| name == "manifest.json"));
}

#[tokio::test]
async fn who_asks_for_no_key_is_told_of_a_leader_that_signs() {
    let (leader, web) = carried(1, 72, 2).await;
    let leader = leader.with_key();
    web.show(&leader);
    let mut running = start(web.source());
    let error = failure(&mut running, "manifest").await;
    assert!(error.to_string().contains("verify-key"), "{error}");
    assert!(!web.asked().iter().any(|name| name == "manifest.jws"));

    let feed = folder();
    leader.lay_out(feed.path());
    let source = super::super::source(&format!("feed+file:{}", feed.path().display()));
    let error = failure(&mut start(source), "manifest").await;
    assert!(error.to_string().contains("verify-key"), "{error}");
}

#[tokio::test]
async fn a_manifest_counts_for_its_time_only() {
    let (mut leader, web) = carried(1, 73, 2).await;
    let made = leader.issued;
    let mut running = start(web.source());
    leader.issued = made.plus(Manifest::SKEW + 1_000);
    web.show(&leader);
    let mut running2 = start(web.source());
    failure(&mut running2, "future").await;
    (leader.issued, leader.valid) = (crate::payload::UnixTime::new(1_000), 3_600);
    web.show(&leader);
    let mut running3 = start(web.source());
    failure(&mut running3, "stale").await;
    drop((running2, running3));
    // One that was taken ends while it is still the one that there is.
    let ends = super::super::super::unix_now().plus(2);
    (leader.issued, leader.valid) = (made, ends.since(made));
    web.show(&leader);
    loop {
        match running.next().await {
            Err(error) if matches!(error.kind(), "future" | "stale") => {
                if super::super::super::unix_now() >= ends {
                    assert_eq!(error.kind(), "stale");
                    break;
                }
            }
            other => drop(other.unwrap()),
        }
    }
}

/// What a follower that stands here says to something old.
async fn goes_back(change: impl Fn(&mut Leader)) {
    let (mut leader, web) = carried(1, 74, 3).await;
    leader.revise();
    leader.learn();
    web.show(&leader);
    let kept = folder();
    let past = || Past {
        folder: Some(kept.path().into()),
        ..Past::default()
    };
    let mut running = start_after(past(), web.source());
    let found = complete(&mut running, &leader).await;
    // It has been kept when the next one is asked for.
    running.next().await.unwrap();
    let now = leader.tree();
    change(&mut leader);
    let old = leader.tree();
    web.change(|site| site.tree = old);
    failure(&mut running, "rollback").await;
    running.stop().await;
    // A restart makes nobody forget, whether it was mirrored or not.
    let mut running = start_after(past(), web.source());
    failure(&mut running, "rollback").await;
    running.stop().await;
    let mirrored = Past {
        mirrored: Some(Arc::clone(&found)),
        ..past()
    };
    let mut running = start_after(mirrored, web.source());
    failure(&mut running, "rollback").await;
    // What was there goes on.
    web.change(|site| site.tree = now);
    while !matches!(running.next().await, Ok(super::Content::Mirror(..))) {}
}

#[tokio::test]
async fn no_earlier_serial_is_taken() {
    goes_back(|leader| {
        leader.serials.pop();
        leader.catch_up();
        leader.issued = leader.issued.plus(60);
    })
    .await;
}

#[tokio::test]
async fn no_earlier_revision_is_taken() {
    goes_back(|leader| {
        let latest = leader.serials.len() - 1;
        let (before, set) = (&leader.serials[latest - 1], leader.latest().data().clone());
        let now = crate::payload::UnixTime::new(1_000);
        let limits = crate::rtr::snapshot::HistoryLimits::default();
        let trigger = crate::rtr::snapshot::Trigger::Source;
        let crate::rtr::snapshot::Step::Serial(again) = before.next(set, trigger, now, limits)
        else {
            unreachable!("another payload");
        };
        leader.serials[latest] = again;
        leader.catch_up();
        leader.issued = leader.issued.plus(60);
    })
    .await;
}

#[tokio::test]
async fn no_earlier_manifest_is_taken() {
    goes_back(|leader| leader.issued = crate::payload::UnixTime::new(leader.issued.seconds() - 1))
        .await;
}

#[tokio::test]
async fn no_earlier_history_is_taken() {
    goes_back(|leader| {
        let issued = leader.issued;
        *leader = Leader::new(9, 75);
        leader.issued = crate::payload::UnixTime::new(issued.seconds() - 1);
    })
    .await;
}

/// Without its own file a mark is still that of what was served.
#[tokio::test]
async fn what_was_mirrored_is_a_mark_by_itself() {
    let (mut leader, web) = carried(1, 76, 3).await;
    let mut running = start(web.source());
    let found = complete(&mut running, &leader).await;
    running.stop().await;
    leader.serials.pop();
    leader.catch_up();
    web.show(&leader);
    let past = Past {
        mirrored: Some(found),
        ..Past::default()
    };
    failure(&mut start_after(past, web.source()), "rollback").await;
}

/// Every file that is needed, in every way that it can be wrong, at a start and later on.
#[tokio::test]
async fn files_are_what_the_manifest_names_or_nothing() {
    let (mut leader, web) = carried(1, 77, 5).await;
    leader.base = 2;
    let whole = |name: &str| name.ends_with("snapshot") || name.ends_with("attributes");
    every_fault(&leader, &web, None, whole).await;
    leader.catch_up();
    web.show(&leader);
    let mut running = start(web.source());
    let before = complete(&mut running, &leader).await;
    running.stop().await;
    leader.go_on();
    leader.go_on();
    leader.learn();
    let (manifest, _) = leader.stock();
    let place = manifest.place_of(before.serial()).unwrap();
    let steps = manifest.deltas[place..].iter().flat_map(|step| {
        let replaced = step.replaced.map(|_| manifest.replaced_name(step));
        [Some(manifest.delta_name(step)), replaced]
    });
    let mut needed: Vec<FileName> = steps.flatten().collect();
    needed.push(manifest.attributes_name(&manifest.attributes.unwrap()));
    assert!(needed.len() > 3, "{needed:?}");
    let needed: Vec<String> = needed.iter().map(FileName::to_string).collect();
    let past = Past {
        mirrored: Some(before),
        ..Past::default()
    };
    every_fault(&leader, &web, Some(past), |name| {
        needed.iter().any(|one| one == name)
    })
    .await;
}

/// What is done to a file.
type Spoil<'a> = &'a dyn Fn(&mut Vec<u8>);

async fn every_fault(
    leader: &Leader,
    web: &Web,
    past: Option<Past>,
    needed: impl Fn(&str) -> bool,
) {
    let good = leader.tree();
    for name in good.keys().filter(|name| needed(name)) {
        let other = good.values().find(|octets| *octets != &good[name]).unwrap();
        let flipped = |octets: &mut Vec<u8>| {
            let middle = octets.len() / 2;
            octets[middle] ^= 1;
        };
        let faults: [(Spoil<'_>, &[&str]); 5] = [
            (&flipped, &["feed"]),
            (&|octets| octets.truncate(octets.len() - 1), &["feed"]),
            (&|octets| octets.push(0), &["feed", "too_large"]),
            (&|octets| octets.clear(), &["feed"]),
            (&|octets| *octets = other.clone(), &["feed", "too_large"]),
        ];
        for (spoil, kinds) in faults {
            let mut bad: Tree = good.clone();
            spoil(bad.get_mut(name).unwrap());
            web.change(|site| site.tree = bad);
            let past = past.clone().unwrap_or_default();
            let mut running = start_after(past, web.source());
            // Steps may be delivered before attributes are found wrong.
            let error = loop {
                match running.next().await {
                    Err(error) => break error,
                    Ok(super::Content::Mirror(_, found)) => {
                        assert!(name.ends_with("attributes") && !found.snapshot.knows_all());
                    }
                    Ok(_) => {}
                }
            };
            assert!(kinds.contains(&error.kind()), "{name}: {error:?}");
            if let SourceError::FeedFile { name: found, .. } = &error {
                let named = found.to_string();
                let replaced = named.replace(".delta", ".replaced");
                assert!(*name == named || *name == replaced, "{name} {named}");
            }
            // It is asked for again, although the manifest is the same.
            web.change(|site| site.tree = good.clone());
            let found = loop {
                match running.next().await {
                    Ok(super::Content::Mirror(_, found)) if found.snapshot.knows_all() => {
                        break found;
                    }
                    _ => {}
                }
            };
            same(&found.snapshot, leader, first(leader));
            running.stop().await;
        }
    }
}

#[tokio::test]
async fn a_history_that_has_forked_is_not_followed() {
    let (leader, web) = carried(1, 78, 3).await;
    let mut running = start(web.source());
    let ours = complete(&mut running, &leader).await;
    // Another leader of the same name and further on, as from an old copy of its state.
    let mut fork = Leader::new(1, 79);
    for _ in 0..5 {
        fork.go_on();
    }
    fork.catch_up();
    web.show(&fork);
    match failure(&mut running, "feed").await {
        SourceError::Feed { error, .. } => {
            assert!(matches!(error, FeedError::Mismatch(_)), "{error}");
        }
        other => unreachable!("{other}"),
    }
    assert_eq!(ours.serial(), leader.latest().serial());
}

#[tokio::test]
async fn what_is_too_much_is_not_read() {
    let (leader, web) = carried(1, 80, 3).await;
    let long = vec![b' '; Manifest::MAX_LEN + 100];
    web.change(|site| drop(site.tree.insert("manifest.json".into(), long)));
    let mut running = start(web.source());
    failure(&mut running, "too_large").await;
    running.stop().await;
    let endless = format!(
        "HTTP/1.1 200 OK\r\n\r\n{}",
        " ".repeat(Manifest::MAX_LEN + 100)
    );
    web.change(|site| site.odd = Some(("manifest.json", Odd::Says(endless))));
    failure(&mut start(web.source()), "too_large").await;
    web.change(|site| site.odd = None);
    web.show(&leader);
    let mut source = web.source();
    source.max_octets = leader.stock().0.snapshot.digest.octets - 1;
    let asked = web.asked().len();
    failure(&mut start(source), "too_large").await;
    let news = web.asked().split_off(asked);
    assert!(
        !news.iter().any(|name| name.ends_with("snapshot")),
        "{news:?}"
    );
}

#[tokio::test]
async fn what_stalls_runs_out_of_time() {
    let (_, web) = carried(1, 81, 2).await;
    for stalls in ["manifest.json", ".snapshot", ".attributes"] {
        web.change(|site| site.odd = Some((stalls, Odd::Stalls)));
        let mut source = web.source();
        source.timeout = Duration::from_millis(300);
        match failure(&mut start(source), "timeout").await {
            SourceError::Timeout { phase, limit, .. } => {
                assert_eq!((phase, limit), (Phase::Total, Duration::from_millis(300)));
            }
            other => unreachable!("{other}"),
        }
    }
}

#[tokio::test]
async fn redirections_are_followed_as_those_of_documents() {
    let (leader, web) = carried(1, 82, 3).await;
    let (_, front) = carried(2, 83, 1).await;
    let away =
        |to: String| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let port = web.source().origin.to_string();
    let at = port.trim_start_matches("feed+");
    let manifest = away(format!("{at}/manifest.json"));
    front.change(|site| site.odd = Some(("manifest.json", Odd::Says(manifest))));
    let tree = leader.tree();
    front.change(|site| site.tree = tree);
    let mut running = start(front.source());
    same(
        &mirror(&mut running).await.1.snapshot,
        &leader,
        first(&leader),
    );
    running.stop().await;
    let round = away("manifest.json".into());
    front.change(|site| site.odd = Some(("manifest.json", Odd::Says(round))));
    match failure(&mut start(front.source()), "redirect").await {
        SourceError::Redirect { reason, .. } => {
            assert!(matches!(reason, RedirectError::TooMany { .. }));
        }
        other => unreachable!("{other}"),
    }
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_no_keys() {
    let (leader, web) = carried(1, 84, 2).await;
    let leader = leader.with_key();
    web.show(&leader);
    let keys = folder();
    let mut source = web.source();
    leader.trusted(&mut source, keys.path());
    let path = keys.path().join("leader.pub");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, "nonsense").unwrap();
    let mut running = start(source);
    let error = failure(&mut running, "secret").await;
    assert!(error.to_string().contains("leader.pub"), "{error}");
    std::fs::write(&path, good).unwrap();
    while !matches!(running.next().await, Ok(super::Content::Mirror(..))) {}
}
