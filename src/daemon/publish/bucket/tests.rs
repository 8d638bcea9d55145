//! Feeds in storage that is in memory.

use std::fs;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path as At;
use object_store::{Attribute, GetOptions, ObjectStore, ObjectStoreExt};
use ring::rand::SystemRandom;
use tempfile::TempDir;
use tokio::time::{advance, timeout};

use super::super::leftovers::GRACE;
use super::super::tests::{NOON, Press, metrics, start};
use super::super::{Place, warnings};
use super::restore::take;
use super::*;
use crate::daemon::authority::{Authority, Validity};
use crate::daemon::state::{State, Stored};
use crate::feed::tests::{Random, data};
use crate::payload::{Delta, Kinds, UnixTime};
use crate::rtr::image::Image;
use crate::rtr::snapshot::{Answer, HistoryLimits, Since, Step, Trigger};
use crate::rtr::{HistoryName, Serial, Snapshot, Version};
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

/// A server with a state directory.
struct Server {
    folder: TempDir,
    state: State,
    serving: Snapshot,
    random: Random,
}

impl Server {
    /// One that has served some serials of its own.
    fn leader(serials: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut state, loaded) = State::open(folder.path(), NOW).unwrap();
        assert!(loaded.history.is_none());
        let mut random = Random::new(5);
        let serving = Snapshot::first(HistoryName::new([9; 16]), data(&mut random));
        state.publish(&serving, None, NOW).unwrap();
        state.settle(&serving, NOW).unwrap();
        let mut server = Self {
            folder,
            state,
            serving,
            random,
        };
        while server.serving.serial() != Serial::new(serials) {
            server.publish();
        }
        server
    }

    /// One that goes on with what is in storage.
    async fn taking_over(depot: &Depot, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let taken = take(&mut depot.shelf(), folder.path(), LATER)
            .await
            .unwrap();
        let (state, loaded) = State::open(folder.path(), LATER).unwrap();
        assert!(loaded.damage.is_empty(), "{:?}", loaded.damage);
        let serving = loaded.history.unwrap().snapshot;
        let (history, serial) = (serving.name(), serving.serial());
        assert_eq!(taken, Restored::Taken { history, serial });
        Self {
            folder,
            state,
            serving,
            random: Random::new(seed),
        }
    }

    /// Serves something else, which it makes durable.
    fn publish(&mut self) {
        let limits = HistoryLimits::default();
        let next = loop {
            let data = data(&mut self.random);
            match self.serving.next(data, Trigger::Source, NOW, limits) {
                Step::Serial(next) => break next,
                Step::Revision(_) | Step::Unchanged => {}
            }
        };
        let kept = self.state.publish(&next, Some(&self.serving), NOW).unwrap();
        assert_eq!(kept, Stored::Durable);
        self.state.settle(&next, NOW).unwrap();
        self.serving = next;
    }

    /// What it announces.
    fn bulletin(&self, depot: &Depot) -> Arc<Bulletin> {
        let manifest = self.state.manifest().unwrap().clone().made_again(LATER);
        let bulletin = depot.signed(&Press::new(1), manifest);
        let mut announcement = (*bulletin.announcement).clone();
        announcement.folder = self.folder.path().join("feed").into();
        Arc::new(Bulletin {
            manifest: bulletin.manifest.clone(),
            announcement: announcement.into(),
        })
    }

    /// A router with this set gets what leads from there to what is served.
    #[track_caller]
    fn answers(&self, old: &Snapshot) {
        let Some(Since::Step(since)) = self.serving.since(old.serial()) else {
            panic!("{} is not kept", old.serial());
        };
        let (version, since) = (Version::V2, Some(since));
        let image = self.serving.image(Answer { version, since }).unwrap();
        let exact = Delta::between(old.payload(), self.serving.payload());
        let exact = Image::increment(version, &exact);
        let octets = |image: &Image| image.segments(Kinds::ALL).flatten().copied().collect();
        let (found, exact): (Vec<u8>, Vec<u8>) = (octets(image), octets(&exact));
        assert_eq!(found, exact);
    }

    /// A router with this serial gets a Cache Reset.
    #[track_caller]
    fn resets(&self, serial: Serial) {
        assert_eq!(self.serving.since(serial), None, "{serial}");
    }
}

#[tokio::test]
async fn a_server_that_takes_over_goes_on_with_the_history() {
    let depot = Depot::new();
    let leader = Server::leader(2);
    let next = tempfile::tempdir().unwrap();
    let nothing = take(&mut depot.shelf(), next.path(), LATER).await.unwrap();
    assert_eq!(nothing, Restored::Nothing);
    depot.shelf().lay(&leader.bulletin(&depot)).await.unwrap();
    // Signed with another key it is not believed.
    let stranger = &mut depot.shelf_of(&key());
    let error = take(stranger, next.path(), LATER).await.unwrap_err();
    assert!(matches!(error, PublishError::Storage(_)), "{error:?}");
    let second = Server::taking_over(&depot, 6).await;
    assert_eq!(second.serving.name(), leader.serving.name());
    assert_eq!(second.serving.serial(), Serial::new(2).jump());
    assert_eq!(second.serving.payload(), leader.serving.payload());
    second.answers(&leader.serving);
    // It counts as long as it did, and storage has it before anybody is told.
    let mut manifest = leader.bulletin(&depot).manifest.clone();
    manifest = manifest.taken_over(LATER).unwrap();
    assert_eq!(second.state.manifest(), Some(&manifest));
    let there = depot.read(MANIFEST).await;
    assert_eq!(depot.shelf().read_signed(&there).unwrap(), manifest);
    // A directory that was used is left as it is, even without a manifest.
    fs::remove_file(second.folder.path().join("feed/manifest.json")).unwrap();
    let again = take(&mut depot.shelf(), second.folder.path(), LATER).await;
    assert_eq!(again.unwrap(), Restored::Used);
    assert_eq!(depot.read(MANIFEST).await, there);
}

/// The first leader told its routers a serial, and died before storage heard of it, or not.
#[tokio::test]
async fn no_serial_is_issued_twice_by_who_takes_over() {
    let depot = Depot::new();
    let mut first = Server::leader(3);
    let mut running = depot.shelf();
    running.lay(&first.bulletin(&depot)).await.unwrap();
    let laid = first.serving.serial();
    let known = Snapshot::first_after(
        first.serving.name(),
        Serial::new(laid.into_u32() - 1),
        first.serving.data().clone(),
    );
    first.publish();
    let unheard = first.serving.serial();

    let mut second = Server::taking_over(&depot, 6).await;
    second.publish();
    let (ours, theirs) = (&second.serving, &first.serving);
    assert_ne!(ours.payload(), theirs.payload());
    assert_eq!(ours.serial(), laid.jump().next());
    second.answers(&known);
    second.resets(unheard);
    second.resets(unheard.next());
    second.resets(Serial::new(laid.jump().into_u32() - 1));
    let mut shelf = depot.shelf();
    shelf.lay(&second.bulletin(&depot)).await.unwrap();

    // The first one lives, and goes on, or comes back with its old state.
    first.publish();
    fenced(
        running.lay(&first.bulletin(&depot)).await,
        "it has serial 1048580",
    );
    let old = first.folder.path();
    let back = take(&mut depot.shelf(), old, LATER).await.unwrap();
    assert_eq!(back, Restored::Used);
    let mut again = depot.shelf();
    let laid = again.lay(&first.bulletin(&depot)).await;
    fenced(laid, "goes back from serial 1048580 to 5");
    depot.holds(&second.bulletin(&depot)).await;
    first.resets(second.serving.serial());

    // A start later nothing is different.
    drop(second.state);
    let (state, loaded) = State::open(second.folder.path(), LATER).unwrap();
    let serving = loaded.history.unwrap().snapshot;
    assert_eq!(serving.payload(), second.serving.payload());
    let mut second = Server {
        state,
        serving,
        ..second
    };
    second.answers(&known);
    second.resets(unheard);
    second.publish();
    second.answers(&known);
    shelf.lay(&second.bulletin(&depot)).await.unwrap();
    depot.holds(&second.bulletin(&depot)).await;
}

/// Whoever takes over from a server that has laid out nothing of its own.
#[tokio::test]
async fn each_that_takes_over_jumps() {
    let depot = Depot::new();
    let leader = Server::leader(2);
    depot.shelf().lay(&leader.bulletin(&depot)).await.unwrap();
    let mut second = Server::taking_over(&depot, 6).await;
    second.publish();
    let mut third = Server::taking_over(&depot, 7).await;
    assert_eq!(third.serving.serial(), Serial::new(2).jump().jump());
    third.publish();
    third.answers(&leader.serving);
    third.resets(second.serving.serial());
    second.resets(third.serving.serial());
    depot.shelf().lay(&third.bulletin(&depot)).await.unwrap();
    let laid = depot.shelf().lay(&second.bulletin(&depot)).await;
    fenced(laid, "goes back from serial 2097155 to 1048579");
}

#[tokio::test]
async fn of_two_that_take_over_at_once_one_does() {
    let depot = Depot::new();
    let leader = Server::leader(2);
    let bulletin = leader.bulletin(&depot);
    depot.shelf().lay(&bulletin).await.unwrap();
    let found = async || {
        let found = depot.shelf().store.get(MANIFEST, Manifest::MAX_LEN).await;
        found.unwrap().unwrap()
    };
    let both = [found().await, found().await];
    let mut taken = Vec::new();
    for found in both {
        let folder = tempfile::tempdir().unwrap();
        let there = bulletin.manifest.clone();
        let mut shelf = depot.shelf();
        let jumped = shelf.jump(there, found, folder.path(), LATER).await;
        taken.push(jumped);
    }
    let [Ok(_), Err(PublishError::Storage(error))] = &taken[..] else {
        panic!("{taken:?}");
    };
    assert_eq!(error.to_string(), "it changes while it is read");
}

/// Its serials are those of the leader, who may issue the next one at any moment.
#[tokio::test]
async fn a_leaders_history_is_taken_as_it_is() {
    let depot = Depot::new();
    let mut follower = Server::leader(2);
    follower.state.set_authority(Authority::Leader(Validity {
        issued: NOW,
        valid_until: NOW.plus(600),
    }));
    follower.publish();
    let bulletin = follower.bulletin(&depot);
    assert!(bulletin.manifest.mirrored);
    depot.shelf().lay(&bulletin).await.unwrap();
    let second = Server::taking_over(&depot, 6).await;
    assert_eq!(second.serving.serial(), Serial::new(3));
    depot.holds(&bulletin).await;
}

#[tokio::test]
async fn what_is_damaged_in_storage_is_not_taken_over() {
    let (depot, press) = (Depot::new(), Press::new(1));
    let bulletin = depot.bulletin(&press, 2);
    depot.shelf().lay(&bulletin).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let name = press.manifest(1).snapshot_name().to_string();
    for damage in ["sat", "", "setset"] {
        depot.write(&name, damage).await;
        let taken = take(&mut depot.shelf(), folder.path(), LATER).await;
        // A longer one begins as the manifest says, and is cut there.
        assert_eq!(taken.is_ok(), damage == "setset", "{damage}: {taken:?}");
        let there = folder.path().join("feed/manifest.json").exists();
        assert_eq!(there, damage == "setset");
    }
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
