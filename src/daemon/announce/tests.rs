//! Announcements under a clock of ours.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, timeout};

use super::*;
use crate::feed::manifest::SnapshotRef;
use crate::rtr::{HistoryName, Serial, Timing};
use crate::sign::{Algorithm, VerifyKey};

/// A time in the middle of the day of these tests.
const NOON: u64 = 1_800_000_000;

fn stock(serial: u32, authority: Authority, served: bool) -> Option<Arc<Stock>> {
    let serial = Serial::new(serial);
    let at = UnixTime::new(NOON - 60);
    Some(Arc::new(Stock {
        manifest: Manifest {
            history: HistoryName::new([7; 16]),
            serial,
            revision: 0,
            timing: Timing::RECOMMENDED,
            issued: at,
            valid_until: at,
            snapshot: SnapshotRef {
                serial,
                digest: Digest::of(b""),
            },
            attributes: None,
            mirrored: false,
            deltas: Vec::new(),
        },
        folder: Path::new("/state/feed").into(),
        authority,
        served,
    }))
}

fn key(algorithm: Algorithm) -> Arc<SigningKey> {
    let rng = SystemRandom::new();
    let pem = SigningKey::generate(algorithm, &rng).unwrap();
    Arc::new(SigningKey::from_pem(pem.as_bytes(), &rng).unwrap())
}

fn rules(key: Option<Arc<SigningKey>>) -> Rules {
    let keys = ExportKeys {
        sign: key,
        ..ExportKeys::default()
    };
    Rules::new(&Export::default(), &keys, Duration::from_secs(7_200))
}

/// An announcer at work, what it is told by, and its clock.
struct Desk {
    stock: watch::Sender<Option<Arc<Stock>>>,
    rules: watch::Sender<Rules>,
    feed: watch::Receiver<Option<Arc<Announcement>>>,
    bulletins: watch::Receiver<Option<Arc<Bulletin>>>,
    /// What the clock says beside the time that has passed.
    noon: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Desk {
    fn new(first: Option<Arc<Stock>>, key: Option<Arc<SigningKey>>) -> Self {
        let (stock, stocks) = watch::channel(first);
        let (rules, heard) = watch::channel(rules(key));
        let noon = Arc::new(AtomicU64::new(NOON));
        let (said, start) = (Arc::clone(&noon), Instant::now());
        let clock = move || {
            let noon = said.load(Ordering::Relaxed);
            UnixTime::new(noon + start.elapsed().as_secs())
        };
        let announcer = Announcer::new(stocks, heard, clock);
        let (feed, bulletins) = (announcer.feed(), announcer.bulletins());
        let (stop, stopped) = watch::channel(false);
        Self {
            stock,
            rules,
            feed,
            bulletins,
            noon,
            stop,
            task: tokio::spawn(announcer.run(stopped)),
        }
    }

    /// The next thing that followers are told.
    async fn next(&mut self) -> Option<Arc<Announcement>> {
        let day = Duration::from_secs(86_400);
        timeout(day, self.feed.changed()).await.unwrap().unwrap();
        self.feed.borrow_and_update().clone()
    }

    /// The times of the next announcement, from noon on.
    async fn times(&mut self) -> (u64, u64) {
        let told = self.next().await.unwrap();
        let manifest = Manifest::read_plain(&told.text).unwrap();
        assert_eq!(manifest.issued, told.issued);
        assert_eq!(manifest.valid_until, told.valid_until);
        let since = |time: UnixTime| time.since(UnixTime::new(NOON));
        (since(told.issued), since(told.valid_until))
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_disk_holds_is_announced_and_renewed() {
    let mut desk = Desk::new(None, None);
    desk.stock.send_replace(stock(1, Authority::Own, true));
    assert_eq!(desk.times().await, (0, 7_200));
    // Nothing changes, and a quarter of its time is over.
    assert_eq!(desk.times().await, (1_800, 9_000));
    advance(Duration::from_secs(60)).await;
    desk.stock.send_replace(stock(2, Authority::Own, true));
    assert_eq!(desk.times().await, (1_860, 9_060));
    assert_eq!(desk.times().await, (3_660, 10_860));
    let told = desk.feed.borrow().clone().unwrap();
    assert!(!told.signed);
    assert_eq!(&*told.folder, Path::new("/state/feed"));
    assert_eq!(&*told.tag, hex::encode(&Digest::of(&told.text).sha256));
    // It is told nobody else.
    assert!(desk.bulletins.borrow().is_none());
    desk.stop.send_replace(true);
    timeout(Duration::from_secs(1), desk.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_is_signed_with_the_key_of_the_moment() {
    let (old, new) = (key(Algorithm::Es256), key(Algorithm::EdDsa));
    let first = stock(1, Authority::Own, true);
    let mut desk = Desk::new(first, Some(Arc::clone(&old)));
    let signed_by = |told: &Announcement, key: &SigningKey| {
        let keys: [VerifyKey; 1] = [key.public().clone()];
        Manifest::verify(&told.text, &keys, told.issued).is_ok()
    };
    let told = desk.next().await.unwrap();
    assert!(told.signed && signed_by(&told, &old) && !signed_by(&told, &new));
    desk.rules.send_replace(rules(Some(Arc::clone(&new))));
    let told = desk.next().await.unwrap();
    assert!(signed_by(&told, &new) && !signed_by(&told, &old));
}

#[tokio::test(start_paused = true)]
async fn data_that_routers_do_not_get_are_not_announced() {
    let mut desk = Desk::new(stock(1, Authority::Own, true), None);
    assert!(desk.next().await.is_some());
    desk.stock.send_replace(stock(1, Authority::Own, false));
    assert!(desk.next().await.is_none());
    desk.stock.send_replace(stock(1, Authority::Own, true));
    assert!(desk.next().await.is_some());
    desk.stock.send_replace(None);
    assert!(desk.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_word_of_a_leader_is_never_lengthened() {
    let said = |issued, valid_until| {
        Authority::Leader(Validity {
            issued: UnixTime::new(NOON + issued),
            valid_until: UnixTime::new(NOON + valid_until),
        })
    };
    let mut desk = Desk::new(stock(1, said(0, 600), true), None);
    assert_eq!(desk.times().await, (0, 600));
    // It is not renewed, and at its end it is over.
    let began = Instant::now();
    assert!(desk.next().await.is_none());
    assert_eq!(began.elapsed().as_secs(), 600);
    desk.stock.send_replace(stock(1, said(590, 1_200), true));
    assert_eq!(desk.times().await, (590, 1_200));
    // Nor does it go back behind what our own followers have.
    desk.stock.send_replace(stock(2, said(580, 1_100), true));
    assert_eq!(desk.times().await, (590, 1_100));
    desk.stock.send_replace(stock(2, Authority::Own, true));
    assert_eq!(desk.times().await, (600, 7_800));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_takes_nothing_back() {
    let mut desk = Desk::new(stock(1, Authority::Own, true), None);
    assert_eq!(desk.times().await, (0, 7_200));
    desk.noon.store(NOON - 200, Ordering::Relaxed);
    desk.stock.send_replace(stock(2, Authority::Own, true));
    assert_eq!(desk.times().await, (0, 7_000));
    // What is further ahead than followers believe was taken by nobody.
    desk.noon.store(NOON + 10_000, Ordering::Relaxed);
    desk.stock.send_replace(stock(3, Authority::Own, true));
    assert_eq!(desk.times().await, (10_000, 17_200));
    desk.noon.store(NOON + 20, Ordering::Relaxed);
    desk.stock.send_replace(stock(4, Authority::Own, true));
    assert_eq!(desk.times().await, (20, 7_220));
}

#[tokio::test(start_paused = true)]
async fn each_outlet_is_opened_by_itself() {
    let mut desk = Desk::new(stock(1, Authority::Own, true), None);
    assert!(desk.next().await.is_some());
    let keys = ExportKeys::default();
    let open = |feed, folder: Option<&str>| {
        let export = Export {
            feed,
            folder: folder.map(Into::into),
            feed_valid: Some(Duration::from_secs(600)),
            ..Export::default()
        };
        Rules::new(&export, &keys, Duration::from_secs(7_200))
    };
    desk.rules.send_replace(open(false, Some("/srv")));
    assert!(desk.next().await.is_none());
    let bulletin = desk.bulletins.borrow_and_update().clone().unwrap();
    assert_eq!(bulletin.manifest.serial, Serial::new(1));
    assert_eq!(
        Manifest::read_plain(&bulletin.announcement.text).as_ref(),
        Ok(&bulletin.manifest)
    );
    assert_eq!(
        bulletin
            .announcement
            .valid_until
            .since(bulletin.announcement.issued),
        600
    );
    desk.rules.send_replace(open(false, None));
    desk.bulletins.changed().await.unwrap();
    assert!(desk.bulletins.borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn without_whoever_holds_the_disk_nothing_is_announced() {
    let mut desk = Desk::new(stock(1, Authority::Own, true), None);
    assert!(desk.next().await.is_some());
    drop(desk.stock);
    desk.task.await.unwrap();
    assert!(desk.feed.borrow().is_none());
}
