//! Leaders that are asked to wait, and those that are away.

use std::time::Duration;

use super::leader::Waits;
use super::{Content, carried, complete, failure, first, mirror, same, start};
use crate::daemon::source::Occasion;

/// Longer than a test takes: only what was waited for can come.
const LONG: Duration = Duration::from_secs(3_600);

fn waits(name: &str) -> bool {
    name.starts_with("manifest.json?wait=")
}

#[tokio::test]
async fn a_leader_that_waits_is_heard_at_once() {
    let (mut leader, web) = carried(1, 91, 2).await;
    web.change(|site| site.waits = Waits::Well);
    let mut source = web.source();
    source.refresh = LONG;
    let mut running = start(source);
    complete(&mut running, &leader).await;
    for _ in 0..3 {
        leader.go_on();
        leader.learn();
        web.show(&leader);
        let update = running.updates.recv().await.unwrap();
        assert_eq!(update.occasion, Occasion::Event);
        assert!(matches!(update.result, Ok(Content::Mirror(..))));
        same(
            &*complete(&mut running, &leader).await,
            &leader,
            first(&leader),
        );
    }
    // The tag goes without its quotes.
    let asked = web.asked();
    let tag = asked.iter().find(|name| waits(name)).unwrap();
    assert!(
        tag.ends_with(|last: char| last.is_ascii_hexdigit()),
        "{tag}"
    );
    assert_eq!(
        asked.iter().filter(|name| *name == "manifest.json").count(),
        1
    );
    // Its patience ends, which is no news, and it is asked again.
    match running.next().await.unwrap() {
        Content::Unchanged { arrived: None } => {}
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_ends_a_wait() {
    let (leader, web) = carried(1, 92, 2).await;
    web.change(|site| site.waits = Waits::Well);
    let mut source = web.source();
    source.refresh = LONG;
    let mut running = start(source);
    complete(&mut running, &leader).await;
    web.until(waits).await;
    let started = tokio::time::Instant::now();
    let content = running.ask(5).await.unwrap();
    assert!(matches!(content, Content::Unchanged { .. }));
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "it was waited for"
    );
}

#[tokio::test]
async fn a_server_that_does_not_wait_is_asked_now_and_then() {
    let (mut leader, web) = carried(1, 93, 2).await;
    let mut running = start(web.source());
    complete(&mut running, &leader).await;
    leader.go_on();
    leader.learn();
    web.show(&leader);
    complete(&mut running, &leader).await;
    for _ in 0..3 {
        let content = running.next().await.unwrap();
        assert!(matches!(content, Content::Unchanged { .. }));
    }
    let asked = web.asked();
    assert_eq!(
        asked.iter().filter(|name| waits(name)).count(),
        1,
        "{asked:?}"
    );
    assert!(asked.iter().filter(|name| *name == "manifest.json").count() >= 4);
}

#[tokio::test]
async fn a_wait_that_is_none_is_not_repeated_at_once() {
    let (leader, web) = carried(1, 94, 2).await;
    web.change(|site| site.waits = Waits::Hastily);
    let mut source = web.source();
    source.refresh = LONG;
    let mut running = start(source);
    complete(&mut running, &leader).await;
    assert!(matches!(
        running.next().await.unwrap(),
        Content::Unchanged { .. }
    ));
    let pause = tokio::time::timeout(Duration::from_millis(300), running.updates.recv());
    assert!(pause.await.is_err());
    assert_eq!(web.asked().iter().filter(|name| waits(name)).count(), 1);
    // Whoever asks is answered all the same.
    running.ask(3).await.unwrap();
}

#[tokio::test]
async fn waits_that_break_off_are_given_up_and_no_errors() {
    let (mut leader, web) = carried(1, 95, 2).await;
    web.change(|site| site.waits = Waits::Badly);
    let mut running = start(web.source());
    complete(&mut running, &leader).await;
    for _ in 0..6 {
        assert!(matches!(
            running.next().await.unwrap(),
            Content::Unchanged { .. }
        ));
    }
    assert_eq!(web.asked().iter().filter(|name| waits(name)).count(), 3);
    leader.go_on();
    web.show(&leader);
    same(
        &mirror(&mut running).await.1.snapshot,
        &leader,
        first(&leader),
    );
}

#[tokio::test]
async fn a_leader_that_restarts_is_found_again_soon() {
    let (mut leader, web) = carried(1, 96, 2).await;
    web.change(|site| site.waits = Waits::Well);
    let mut source = web.source();
    source.refresh = Duration::from_secs(10);
    let mut running = start(source);
    complete(&mut running, &leader).await;
    web.until(waits).await;
    let web = web
        .restart(async { drop(failure(&mut running, "unreachable").await) })
        .await;
    leader.go_on();
    leader.learn();
    web.change(|site| site.waits = Waits::Well);
    web.show(&leader);
    let started = tokio::time::Instant::now();
    same(
        &*complete(&mut running, &leader).await,
        &leader,
        first(&leader),
    );
    // The first retry is after 1.5 s, the next after 3 s, each a tenth more or less.
    assert!(started.elapsed() < Duration::from_secs(6));
}
