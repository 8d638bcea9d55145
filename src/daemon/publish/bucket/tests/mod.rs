//! Feeds in storage that is in memory.

mod takeover;

use std::fs;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path as At;
use object_store::{Attribute, GetOptions, ObjectStore, ObjectStoreExt};
use ring::rand::SystemRandom;
use tokio::time::{advance, timeout};

use super::super::leftovers::GRACE;
use super::super::tests::{NOON, Press, metrics, start};
use super::super::{Place, warnings};
use super::*;
use crate::payload::UnixTime;
use crate::rtr::HistoryName;
use crate::sign::{Algorithm, SigningKey};

/// When the first server serves, and when another one takes over.
const NOW: UnixTime = UnixTime::new(NOON);
const LATER: UnixTime = UnixTime::new(NOON + 9);

fn key() -> Arc<SigningKey> {
    let rng = SystemRandom::new();
    let pem = SigningKey::generate(Algorithm::EdDsa, &rng).unwrap();
    Arc::new(SigningKey::from_pem(pem.as_bytes(), &rng).unwrap())
}

/// Storage, and the key of those who write there.
struct Depot {
    store: Arc<InMemory>,
    key: Arc<SigningKey>,
}

impl Depot {
    fn new() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
            key: key(),
        }
    }

    fn shelf_of(&self, key: &Arc<SigningKey>) -> Shelf {
        let keys = ExportKeys {
            sign: Some(Arc::clone(key)),
            ..ExportKeys::default()
        };
        let store: Arc<InMemory> = Arc::clone(&self.store);
        Shelf::on(Store::with(store, "a/feed"), &keys)
    }

    /// A server that knows nothing yet.
    fn shelf(&self) -> Shelf {
        self.shelf_of(&self.key)
    }

    fn signed(&self, press: &Press, manifest: Manifest) -> Arc<Bulletin> {
        let text = manifest.sign(&self.key, &SystemRandom::new()).unwrap();
        press.bulletin(manifest, Some(text))
    }

    fn bulletin(&self, press: &Press, serial: u32) -> Arc<Bulletin> {
        self.signed(press, press.manifest(serial))
    }

    async fn read(&self, name: &str) -> Bytes {
        let at = At::from(format!("a/feed/{name}"));
        self.store.get(&at).await.unwrap().bytes().await.unwrap()
    }

    async fn write(&self, name: &str, content: &'static str) {
        let at = At::from(format!("a/feed/{name}"));
        self.store.put(&at, content.into()).await.unwrap();
    }

    async fn names(&self) -> BTreeSet<String> {
        let at = At::from("a/feed");
        let listed = self.store.list_with_delimiter(Some(&at)).await;
        let objects = listed.unwrap().objects.into_iter();
        objects
            .map(|meta| meta.location.filename().unwrap().to_owned())
            .collect()
    }

    /// What stands there is this, and all that it names is there.
    async fn holds(&self, bulletin: &Bulletin) {
        assert_eq!(self.read(MANIFEST).await, bulletin.announcement.text);
        for (name, digest) in bulletin.manifest.files() {
            let content = self.read(&name.to_string()).await;
            assert_eq!(Digest::of(&content), digest, "{name}");
        }
    }
}

#[track_caller]
fn fenced(laid: Result<(), PublishError>, why: &str) {
    match laid.unwrap_err() {
        PublishError::Fenced(found) => assert!(found.contains(why), "{found}"),
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn storage_gets_the_files_and_then_the_manifest() {
    let (depot, press) = (Depot::new(), Press::new(1));
    let mut shelf = depot.shelf();
    for serial in [1, 3] {
        let bulletin = depot.bulletin(&press, serial);
        shelf.lay(&bulletin).await.unwrap();
        depot.holds(&bulletin).await;
    }
    assert_eq!(depot.names().await.len(), 4);
    let says = async |name: &str| {
        let at = At::from(format!("a/feed/{name}"));
        let found = depot.store.get_opts(&at, GetOptions::default()).await;
        let attributes = found.unwrap().attributes;
        attributes
            .get(&Attribute::CacheControl)
            .unwrap()
            .to_string()
    };
    assert_eq!(says(MANIFEST).await, "public, max-age=5");
    let file = press.manifest(1).snapshot_name().to_string();
    assert_eq!(says(&file).await, "public, max-age=31536000, immutable");
    // After a restart it goes on, and does not put again what is there.
    fs::remove_file(press.folder.path().join(&file)).unwrap();
    let last = depot.bulletin(&press, 4);
    fs::remove_file(press.folder.path().join(&file)).unwrap();
    depot.shelf().lay(&last).await.unwrap();
    depot.holds(&last).await;
}

#[tokio::test]
async fn of_two_that_write_the_first_stops() {
    let (depot, press) = (Depot::new(), Press::new(1));
    let first = start(Place::Bucket(Box::new(depot.shelf())));
    let bulletin = depot.bulletin(&press, 1);
    first.bulletins.send_replace(Some(bulletin));
    while !metrics(&first.standing).contains("rutter_publish_total{place=\"there\"} 1\n") {
        tokio::task::yield_now().await;
    }
    let second = depot.bulletin(&press, 2);
    depot.shelf().lay(&second).await.unwrap();
    first
        .bulletins
        .send_replace(Some(depot.bulletin(&press, 3)));
    timeout(Duration::from_secs(10), first.task)
        .await
        .unwrap()
        .unwrap();
    depot.holds(&second).await;
    let text = metrics(&first.standing);
    assert!(
        text.contains("rutter_publish_fenced{place=\"there\"} 1\n"),
        "{text}"
    );
    let [warning] = &*warnings(&[first.standing]) else {
        panic!()
    };
    assert!(
        warning.contains("it has serial 2 of history 0101"),
        "{warning}"
    );
}

#[tokio::test]
async fn what_is_not_ours_is_not_written_over() {
    let press = Press::new(1);
    // The history went on there.
    let depot = Depot::new();
    let ahead = depot.bulletin(&press, 3);
    depot.shelf().lay(&ahead).await.unwrap();
    let laid = depot.shelf().lay(&depot.bulletin(&press, 2)).await;
    fenced(laid, "goes back from serial 3 to 2");
    depot.holds(&ahead).await;
    // Another key, and no manifest at all.
    let other = depot.shelf_of(&key()).lay(&ahead).await;
    fenced(other, "signed by none of the keys");
    depot.write(MANIFEST, "x").await;
    fenced(depot.shelf().lay(&ahead).await, "not a compact JWS");
    // The manifest is taken away.
    let depot = Depot::new();
    let bulletin = depot.bulletin(&press, 1);
    let mut shelf = depot.shelf();
    shelf.lay(&bulletin).await.unwrap();
    depot
        .store
        .delete(&At::from("a/feed/manifest.jws"))
        .await
        .unwrap();
    fenced(shelf.lay(&bulletin).await, "was removed there");
}

#[tokio::test]
async fn what_the_fenced_one_has_left_is_replaced() {
    let (depot, press) = (Depot::new(), Press::new(1));
    let mut first = depot.shelf();
    first.lay(&depot.bulletin(&press, 1)).await.unwrap();
    // The second has begun, and has put nothing of its own yet.
    let [mut third, mut second] = [depot.shelf(), depot.shelf()];
    third.look(&depot.bulletin(&press, 1)).await.unwrap();
    second.look(&depot.bulletin(&press, 1)).await.unwrap();
    let step = depot.bulletin(&press, 2);
    fenced(first.lay(&step).await, "it has serial 1");
    let name = step
        .manifest
        .delta_name(&step.manifest.deltas[0])
        .to_string();
    assert!(depot.names().await.contains(&name));
    // The same step of the second is another one.
    let mut other = press.manifest(2);
    fs::write(press.folder.path().join(&name), "another step").unwrap();
    other.deltas[0].digest = Digest::of(b"another step");
    let other = depot.signed(&press, other);
    second.lay(&other).await.unwrap();
    depot.holds(&other).await;
    // Nobody but whoever has the manifest does so.
    press.manifest(2);
    fenced(third.lay(&step).await, "with another content");
    depot.holds(&other).await;
    // What is there already as it should be is no matter.
    let depot = Depot::new();
    let bulletin = depot.bulletin(&press, 2);
    depot.write(&name, "step 1").await;
    let file = press.manifest(1).snapshot_name().to_string();
    depot.write(&file, "longer").await;
    depot.shelf().lay(&bulletin).await.unwrap();
    depot.holds(&bulletin).await;
}

#[tokio::test]
async fn what_was_found_is_never_put_again_octet_for_octet() {
    let (depot, press) = (Depot::new(), Press::new(1));
    let bulletin = depot.bulletin(&press, 2);
    let text = bulletin.announcement.text.clone();
    depot.shelf().lay(&bulletin).await.unwrap();
    assert_eq!(depot.read(MANIFEST).await, text);
    // In the same second, with a key that signs the same in the same way.
    let mut second = depot.shelf();
    second.look(&bulletin).await.unwrap();
    let claimed = depot.read(MANIFEST).await;
    assert_ne!(claimed, text);
    assert_eq!(
        second.read_signed(&claimed).as_ref(),
        Ok(&bulletin.manifest)
    );
    second.lay(&bulletin).await.unwrap();
    assert_ne!(depot.read(MANIFEST).await, text);
    // Not even by the one after it.
    let mut third = depot.shelf();
    third.look(&bulletin).await.unwrap();
    assert_ne!(depot.read(MANIFEST).await, claimed);
}

#[tokio::test]
async fn another_history_of_ours_takes_the_place() {
    let depot = Depot::new();
    let press = Press::new(1);
    let old = depot.bulletin(&press, 2);
    depot.shelf().lay(&old).await.unwrap();
    let press = Press::new(2);
    let new = depot.bulletin(&press, 3);
    depot.shelf().lay(&new).await.unwrap();
    depot.holds(&new).await;
    // One that is older waits for its clock.
    let mut older = press.manifest(3);
    older.history = HistoryName::new([3; 16]);
    older.issued = UnixTime::new(NOON - 1);
    let laid = depot.shelf().lay(&depot.signed(&press, older)).await;
    assert!(matches!(laid, Err(PublishError::Storage(_))), "{laid:?}");
    depot.holds(&new).await;
}

#[tokio::test]
async fn a_manifest_that_landed_unheard_is_ours() {
    let (depot, press) = (Depot::new(), Press::new(1));
    let mut shelf = depot.shelf();
    shelf.lay(&depot.bulletin(&press, 1)).await.unwrap();
    let unheard = depot.bulletin(&press, 2);
    let Some(Last::Tagged(tag)) = shelf.last.clone() else {
        panic!()
    };
    let text = unheard.announcement.text.clone();
    shelf.attempts.push_back(Digest::of(&text));
    let put = shelf.store.put(MANIFEST, text, Condition::Is(tag)).await;
    assert!(matches!(put, Ok(Put::Done(_))));
    let next = depot.bulletin(&press, 3);
    shelf.lay(&next).await.unwrap();
    depot.holds(&next).await;
    shelf.lay(&depot.bulletin(&press, 4)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_named_goes_after_a_while() {
    let (depot, press) = (Depot::new(), Press::new(2));
    let mut shelf = depot.shelf();
    shelf.lay(&depot.bulletin(&Press::new(1), 3)).await.unwrap();
    depot.write("index.html", "x").await;
    let bulletin = depot.bulletin(&press, 2);
    for (passed, left) in [(0, 7), (60, 7), (540, 7), (60, 4)] {
        advance(Duration::from_secs(passed)).await;
        shelf.lay(&bulletin).await.unwrap();
        assert_eq!(depot.names().await.len(), left, "{passed}");
    }
    assert_eq!(GRACE.as_secs(), 600);
    assert!(depot.names().await.contains("index.html"));
    depot.holds(&bulletin).await;
}

#[test]
fn a_place_is_connected_to_with_the_credentials_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    let bucket = Bucket {
        name: "name".into(),
        prefix: "".into(),
        endpoint: Some(crate::net::Url::parse("http://127.0.0.1:1/").unwrap()),
        region: "us-east-1".into(),
        credentials: credentials.clone(),
    };
    let keys = ExportKeys::default();
    assert!(Shelf::new(&bucket, &keys).is_err());
    fs::write(&credentials, "id\nhush\n").unwrap();
    let shelf = Shelf::new(&bucket, &keys).unwrap();
    assert!(!format!("{shelf:?}").contains("hush"), "{shelf:?}");
}
