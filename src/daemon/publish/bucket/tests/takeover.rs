//! A server that takes the place of one that is gone.

use std::fs;
use std::sync::Arc;

use tempfile::TempDir;

use super::super::super::tests::Press;
use super::super::restore::take;
use super::super::*;
use super::{Depot, LATER, NOW, fenced, key};
use crate::daemon::authority::{Authority, Validity};
use crate::daemon::state::{State, Stored};
use crate::feed::tests::{Random, data};
use crate::payload::{Delta, Kinds};
use crate::rtr::image::Image;
use crate::rtr::snapshot::{Answer, HistoryLimits, Since, Step, Trigger};
use crate::rtr::{HistoryName, Serial, Snapshot, Version};

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
