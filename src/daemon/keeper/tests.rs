//! The keeper with a real folder.

use std::time::Duration;

use super::super::authority::Validity;
use super::super::standing::Weight;
use super::super::state::tests::data;
use super::*;

fn after(snapshot: &Snapshot, count: u32) -> Arc<Snapshot> {
    let limits = HistoryLimits::default();
    match snapshot.next(data(count), Trigger::Source, unix_now(), limits) {
        Step::Serial(next) => Arc::new(next),
        other => panic!("{other:?}"),
    }
}

fn open(path: &Path) -> (Keeper, Option<Kept>) {
    Keeper::open(path, Timing::RECOMMENDED, HistoryLimits::default()).unwrap()
}

/// What the pipeline does with a snapshot.
async fn publish(
    keeper: &mut Keeper,
    next: Arc<Snapshot>,
    before: Option<&Arc<Snapshot>>,
) -> Arc<Snapshot> {
    let before = before.cloned();
    let (snapshot, authority) = keeper.keep(next, before, Authority::Own).await;
    assert_eq!(authority, Authority::Own);
    keeper.tell(Authority::Own, true);
    snapshot
}

async fn settle(keeper: &mut Keeper, latest: &Arc<Snapshot>) {
    keeper.settle(Some(Arc::clone(latest)), Authority::Own);
    keeper.settling.take().unwrap().await.unwrap();
}

fn told(stock: &watch::Receiver<Option<Arc<Stock>>>) -> Option<(Serial, bool)> {
    let stock = stock.borrow();
    stock
        .as_ref()
        .map(|stock| (stock.manifest.serial, stock.served))
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_told_what_the_disk_holds_after_routers() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, kept) = open(folder.path());
    assert!(kept.is_none() && keeper.due().is_none());
    let stock = keeper.subscribe();
    let first = Arc::new(Snapshot::first(random_name(), data(100)));
    let first = publish(&mut keeper, first, None).await;
    assert_eq!(told(&stock), None);
    // The first set of a history is stored at once.
    assert!(keeper.due().unwrap() <= Instant::now());
    settle(&mut keeper, &first).await;
    assert_eq!(told(&stock), Some((first.serial(), true)));
    let second = after(&first, 101);
    let (second, _) = keeper
        .keep(second, Some(Arc::clone(&first)), Authority::Own)
        .await;
    // It is durable, but routers do not have it yet.
    let stored = keeper.standing().borrow().stored.unwrap();
    assert_eq!(stored.serial, second.serial());
    assert_eq!(told(&stock), Some((first.serial(), true)));
    keeper.tell(Authority::Own, true);
    assert_eq!(told(&stock), Some((second.serial(), true)));
    keeper.tell(Authority::Own, false);
    assert_eq!(told(&stock), Some((second.serial(), false)));
    // What comes later needs no more than the next start.
    let wait = keeper.due().unwrap() - Instant::now();
    assert!(
        wait > Duration::from_millis(500) && wait <= QUIET,
        "{wait:?}"
    );
    keeper.end(Some(Arc::clone(&second)), Authority::Own).await;
    let (mut keeper, kept) = open(folder.path());
    let kept = kept.unwrap();
    assert_eq!(of(&kept.snapshot), of(&second));
    assert_eq!(kept.snapshot.entries().len(), 1);
    keeper.tell(kept.authority, true);
    assert_eq!(told(&keeper.subscribe()), Some((second.serial(), true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_holds_on_to_an_older_serial_ends_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, _) = open(folder.path());
    let (stock, standing) = (keeper.subscribe(), keeper.standing());
    let first = Arc::new(Snapshot::first(random_name(), data(100)));
    let first = publish(&mut keeper, first, None).await;
    settle(&mut keeper, &first).await;
    // A manifest that can neither be replaced nor removed.
    let manifest = folder.path().join("feed/manifest.json");
    fs::remove_file(&manifest).unwrap();
    fs::create_dir_all(manifest.join("x")).unwrap();
    let second = after(&first, 101);
    let anew = publish(&mut keeper, Arc::clone(&second), Some(&first)).await;
    assert_ne!(anew.name(), second.name());
    assert_eq!(anew.payload(), second.payload());
    assert_eq!(told(&stock), None);
    let weight = |standing: &Standing| standing.failure.as_ref().map(|failure| failure.weight);
    assert_eq!(weight(&standing.borrow()), Some(Weight::Lost));
    // It is tried again later, and not with each update.
    let due = keeper.due().unwrap();
    assert!(due > Instant::now() + QUIET);
    let third = publish(&mut keeper, after(&anew, 102), Some(&anew)).await;
    assert_eq!(third.name(), anew.name());
    assert_eq!(keeper.due(), Some(due));
    settle(&mut keeper, &third).await;
    assert_eq!(standing.borrow().failures, 2);
    assert_eq!(weight(&standing.borrow()), Some(Weight::Lost));
    fs::remove_dir_all(&manifest).unwrap();
    settle(&mut keeper, &third).await;
    assert_eq!(weight(&standing.borrow()), None);
    assert_eq!(told(&stock), Some((third.serial(), true)));
    drop(keeper);
    let (_, kept) = open(folder.path());
    assert_eq!(of(&kept.unwrap().snapshot), of(&third));
}

/// Nobody here gives a leader's serial other data, so it need not end with the disk; and followers
/// of such a server would be reset by each update.
#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_leader_outlives_such_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, _) = open(folder.path());
    let authority = Authority::Leader(Validity {
        issued: UnixTime::new(1_000),
        valid_until: UnixTime::new(1_100),
    });
    let first = Arc::new(Snapshot::first(random_name(), data(100)));
    let (first, _) = keeper.keep(first, None, authority).await;
    keeper.settle(Some(Arc::clone(&first)), authority);
    keeper.settling.take().unwrap().await.unwrap();
    let manifest = folder.path().join("feed/manifest.json");
    fs::remove_file(&manifest).unwrap();
    fs::create_dir_all(manifest.join("x")).unwrap();
    let mut served = first;
    for count in 101..104 {
        let next = after(&served, count);
        let before = Some(Arc::clone(&served));
        let (kept, whose) = keeper.keep(Arc::clone(&next), before, authority).await;
        assert!(Arc::ptr_eq(&kept, &next) && whose == authority);
        served = next;
    }
    let standing = keeper.standing();
    let failure = standing.borrow().failure.clone();
    assert_eq!(failure.unwrap().weight, Weight::Lost);
}

/// A leader's history may come with several steps at once, or with none that lead there.
#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_leader_is_stored_as_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, _) = open(folder.path());
    let validity = |issued| {
        Authority::Leader(Validity {
            issued: UnixTime::new(issued),
            valid_until: UnixTime::new(issued + 100),
        })
    };
    let first = Arc::new(Snapshot::first(random_name(), data(100)));
    let (first, _) = keeper.keep(first, None, validity(1_000)).await;
    keeper.settle(Some(Arc::clone(&first)), validity(1_000));
    keeper.settling.take().unwrap().await.unwrap();
    let third = after(&after(&first, 101), 102);
    let before = Some(Arc::clone(&first));
    let (third, _) = keeper.keep(third, before, validity(1_001)).await;
    let standing = keeper.standing();
    assert_eq!(standing.borrow().stored.unwrap().serial, third.serial());
    let serial = third.serial().next().next();
    let far = Snapshot::first_after(third.name(), serial, data(103));
    let before = Some(Arc::clone(&third));
    let (far, _) = keeper.keep(Arc::new(far), before, validity(1_002)).await;
    assert_eq!(far.name(), third.name());
    assert_eq!(standing.borrow().failures, 0);
    keeper.end(Some(Arc::clone(&far)), validity(1_003)).await;
    let (_, kept) = open(folder.path());
    let kept = kept.unwrap();
    assert_eq!(of(&kept.snapshot), of(&far));
    assert_eq!(kept.authority, validity(1_003));
}

#[test]
fn a_source_that_is_gone_loses_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a", "../b", "https://c.example/?d", "A"];
    let folders: Vec<_> = names
        .iter()
        .map(|name| source_folder(folder.path(), name))
        .collect();
    for (place, path) in folders.iter().enumerate() {
        assert_eq!(path.parent(), Some(&*folder.path().join("sources")));
        assert!(!folders[..place].contains(path));
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("list"), "").unwrap();
    }
    forget_sources(folder.path(), &["a".into(), "A".into()]);
    let left = folders.iter().map(|path| path.exists());
    assert_eq!(left.collect::<Vec<_>>(), [true, false, false, true]);
    // Where nothing was ever kept, nothing is said.
    forget_sources(&folder.path().join("none"), &[]);
}
