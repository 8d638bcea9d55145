//! The real file system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::super::{State, StateError, Stored};
use super::data;
use super::server::NOW;
use crate::daemon::authority::{Authority, Validity};
use crate::feed::Manifest;
use crate::feed::tests::jumped;
use crate::rtr::snapshot::restore::Restored;
use crate::rtr::snapshot::{HistoryLimits, Known, Step, Trigger};
use crate::rtr::{HistoryName, Snapshot};

#[test]
fn a_history_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("some/state");
    let (mut state, loaded) = State::open(&root, NOW).unwrap();
    assert!(loaded.history.is_none() && loaded.damage.is_empty());
    let first = Snapshot::first(HistoryName::new([3; 16]), data(600));
    assert_eq!(state.publish(&first, None, NOW).unwrap(), Stored::Behind);
    state.settle(&first, NOW).unwrap();
    let limits = HistoryLimits::default();
    let Step::Serial(next) = first.next(data(610), Trigger::Slurm, NOW, limits) else {
        panic!("no serial");
    };
    let kept = state.publish(&next, Some(&first), NOW).unwrap();
    assert_eq!(kept, Stored::Durable);
    // One server has it.
    let other = State::open(&root, NOW).unwrap_err();
    assert!(matches!(other, StateError::Locked(_)), "{other}");
    assert!(other.to_string().ends_with("lock: held by another process"));
    drop(state);
    let (_, loaded) = State::open(&root, NOW).unwrap();
    let history = loaded.history.unwrap();
    assert_eq!(history.snapshot.payload(), next.payload());
    assert_eq!(history.snapshot.serial(), next.serial());
    assert_eq!(history.snapshot.entries().len(), 1);
    assert_eq!(history.issued, NOW);
}

/// A router is never answered with what is older than this or larger than a reset; the next start
/// still comes from the stored set to the serial.
#[test]
fn steps_outlive_the_history_as_long_as_they_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut state, _) = State::open(folder.path(), NOW).unwrap();
    let mut serving = Snapshot::first(HistoryName::new([4; 16]), data(600));
    state.publish(&serving, None, NOW).unwrap();
    state.settle(&serving, NOW).unwrap();
    let limits = HistoryLimits {
        age: Duration::ZERO,
    };
    for (seconds, count, entries) in [(1, 601, 1), (2, 602, 1), (3, 5_000, 0), (4, 5_001, 1)] {
        let now = NOW.plus(seconds);
        let next = serving.next(data(count), Trigger::Slurm, now, limits);
        let Step::Serial(next) = next else {
            panic!("no serial");
        };
        assert_eq!(next.entries().len(), entries);
        let kept = state.publish(&next, Some(&serving), now).unwrap();
        assert_eq!(kept, Stored::Durable);
        serving = next;
    }
    drop(state);
    let (mut state, loaded) = State::open(folder.path(), NOW).unwrap();
    let restored = loaded.history.unwrap().snapshot;
    assert_eq!(restored.payload(), serving.payload());
    // Once the set is stored, they go.
    state.settle(&serving, NOW).unwrap();
    assert_eq!(state.manifest().unwrap().deltas.len(), 1);
    assert_eq!(state.manifest().unwrap().snapshot.serial, serving.serial());
}

/// What a leader knows of its payloads comes later than they do. Until then there is no file that
/// says to have it, and the next start knows that something is lacking.
#[test]
fn what_a_leader_has_not_said_is_not_stored_as_its_word() {
    let folder = tempfile::tempdir().unwrap();
    let (mut state, _) = State::open(folder.path(), NOW).unwrap();
    let first = Snapshot::first(HistoryName::new([5; 16]), data(600));
    let limits = HistoryLimits::default();
    let mut previous: Option<Snapshot> = None;
    let mut theirs = first;
    for (count, stored) in [(600, false), (601, false), (5_000, false), (5_000, true)] {
        if let Step::Serial(next) = theirs.next(data(count), Trigger::Source, NOW, limits) {
            theirs = next;
        }
        let (serial, revision) = (theirs.serial(), theirs.revision());
        let ours = Snapshot::restore(Restored {
            name: theirs.name(),
            serial,
            revision,
            data: theirs.data().clone(),
            known: stored.then_some(Known { serial, revision }),
            steps: theirs.entries().cloned().collect(),
            v0_turn: 0,
        });
        let ours = ours.unwrap();
        state.publish(&ours, previous.as_ref(), NOW).unwrap();
        state.settle(&ours, NOW).unwrap();
        let named = state.manifest().unwrap().attributes;
        let known = named.map(|named| (named.serial, named.revision));
        assert_eq!(known, stored.then_some((serial, revision)), "{count}");
        assert!(named.is_some() || !ours.knows_all());
        previous = Some(ours);
    }
    drop(state);
    let (_, loaded) = State::open(folder.path(), NOW).unwrap();
    let restored = loaded.history.unwrap().snapshot;
    assert!(restored.knows_all());
    assert_eq!(restored.data(), theirs.data());
}

/// A leader's jump is a step like others, for the next start and for other followers.
#[test]
fn a_jump_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut state, _) = State::open(folder.path(), NOW).unwrap();
    state.set_authority(Authority::Leader(Validity {
        issued: NOW,
        valid_until: NOW.plus(600),
    }));
    let first = Snapshot::first(HistoryName::new([6; 16]), data(600));
    state.publish(&first, None, NOW).unwrap();
    state.settle(&first, NOW).unwrap();
    let after = jumped(&first, NOW);
    let limits = HistoryLimits::default();
    let Step::Serial(next) = after.next(data(601), Trigger::Source, NOW, limits) else {
        panic!("no serial");
    };
    for (before, after) in [(&first, &after), (&after, &next)] {
        let kept = state.publish(after, Some(before), NOW).unwrap();
        assert_eq!(kept, Stored::Durable);
    }
    let said = state.manifest().unwrap();
    assert_eq!(said.deltas.len(), 2);
    let text = said.to_plain();
    assert_eq!(Manifest::read_plain(text.as_bytes()).as_ref(), Ok(said));
    drop(state);
    let (_, loaded) = State::open(folder.path(), NOW).unwrap();
    assert!(loaded.damage.is_empty(), "{:?}", loaded.damage);
    let restored = loaded.history.unwrap().snapshot;
    assert_eq!(restored.serial(), first.serial().jump().next());
    assert_eq!(restored.payload(), next.payload());
    for serial in [first.serial(), after.serial()] {
        assert!(restored.since(serial).is_some());
        assert_eq!(restored.since(serial), next.since(serial));
    }
    assert_eq!(restored.since(first.serial().next()), None);
}

#[test]
fn a_folder_that_cannot_be_written_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = State::open(&file.join("state"), NOW)
        .unwrap_err()
        .to_string();
    assert!(error.contains("file/state: "), "{error}");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    // Root may write everywhere.
    if fs::write(closed.join("test"), "").is_err() {
        let error = State::open(&closed, NOW).unwrap_err().to_string();
        assert!(
            error.ends_with("closed/lock: Permission denied (os error 13)"),
            "{error}"
        );
    }
}
