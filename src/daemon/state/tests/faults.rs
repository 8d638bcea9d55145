//! Operations that fail while the server goes on.

use std::io::ErrorKind;

use super::super::{KeepError, State, StateError, Stored};
use super::Random;
use super::server::{Account, NOW, ROOT, Server};
use super::sim::{Fate, Operation, Rest, Sim};
use crate::payload::DataSet;
use crate::rtr::{HistoryName, Snapshot};

/// Whatever fails, one operation or several in a row or now and then: routers never see a serial
/// with two contents, on this start or a later one.
#[test]
fn no_serial_has_two_contents_whatever_fails() {
    for seed in 1..=400 {
        let mut random = Random::new(seed);
        let mut account = Account::default();
        let mut disk = Sim::new();
        for _ in 0..3 {
            let mut server = Server::start(disk.clone(), account);
            let (first, length) = (random.below(40), 1 + random.below(12));
            let sporadic = random.below(2) == 0;
            let mut dice = Random::new(seed * 7);
            disk.judge(move |number, _| {
                let number = u64::try_from(number).unwrap();
                let within = (first..first + length).contains(&number);
                match within || (sporadic && dice.below(5) == 0) {
                    true => Fate::Fails(ErrorKind::StorageFull),
                    false => Fate::Works,
                }
            });
            for _ in 0..6 {
                server.publish(&mut random, &disk);
                match random.below(4) {
                    0 => true,
                    1 => server.settle_beside(&mut random, &disk),
                    _ => server.settle(&disk),
                };
            }
            account = server.account;
            let rest = Rest::ALL[usize::try_from(random.below(4)).unwrap()];
            disk = disk.rest(rest, &mut random);
        }
        Server::start(disk, account);
    }
}

fn stored(disk: &Sim, random: &mut Random) -> Server {
    let mut server = Server::start(disk.clone(), Account::default());
    server.publish(random, disk);
    server.settle(disk);
    server.publish(random, disk);
    assert!(server.certain.is_some());
    server
}

#[test]
fn a_full_disk_costs_the_stored_history_and_no_router() {
    let mut random = Random::new(5);
    let disk = Sim::new();
    let mut server = stored(&disk, &mut random);
    let name = server.serving.as_ref().unwrap().name();
    disk.judge(|_, operation| match operation {
        Operation::Write => Fate::Fails(ErrorKind::StorageFull),
        _ => Fate::Works,
    });
    while server.certain.is_some() {
        server.publish(&mut random, &disk);
    }
    // Nothing of it is left, which also makes room.
    assert!(server.state.manifest().is_none());
    let left = disk.paths();
    assert!(
        left.iter().all(|path| !path.starts_with("/state/feed")),
        "{left:?}"
    );
    let error = server.state.settle(server.serving.as_ref().unwrap(), NOW);
    let error = error.unwrap_err();
    assert!(matches!(error, KeepError::Unstored(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("the state is not stored: /state/feed/."),
        "{error}"
    );
    // Once there is room, the same history is stored again.
    disk.judge(|_, _| Fate::Works);
    server.settle(&disk);
    assert_eq!(server.serving.as_ref().unwrap().name(), name);
    let account = server.account.clone();
    let again = Server::start(disk.rest(Rest::Durable, &mut random), account);
    assert_eq!(again.certain, server.certain);
    assert!(again.certain.is_some());
}

#[test]
fn a_disk_that_takes_nothing_ends_the_history() {
    let mut random = Random::new(6);
    let disk = Sim::new();
    let mut server = stored(&disk, &mut random);
    let before = server.serving.as_ref().unwrap().name();
    disk.judge(|_, _| Fate::Fails(ErrorKind::ReadOnlyFilesystem));
    while server.certain.is_some() {
        server.publish(&mut random, &disk);
    }
    let after = server.serving.as_ref().unwrap().name();
    assert_ne!(before, after);
    // The other history goes on although nothing is stored.
    for _ in 0..5 {
        server.publish(&mut random, &disk);
        server.settle(&disk);
    }
    assert_eq!(server.serving.as_ref().unwrap().name(), after);
    // The old one is refused until the disk surely does not name it.
    let old = Snapshot::first(before, DataSet::default());
    let refused = server.state.publish(&old, None, NOW);
    assert!(matches!(refused, Err(KeepError::Lost(_))), "{refused:?}");
    // What is found is the old history as it was.
    let account = server.account.clone();
    let again = Server::start(disk.rest(Rest::All, &mut random), account);
    assert_eq!(again.serving.as_ref().unwrap().name(), before);
    // When the disk works again, the new one is stored.
    disk.judge(|_, _| Fate::Works);
    server.settle(&disk);
    let again = Server::start(disk.rest(Rest::Durable, &mut random), server.account);
    assert_eq!(again.serving.as_ref().unwrap().name(), after);
}

#[test]
fn what_is_written_behind_may_fail_without_harm() {
    let mut random = Random::new(7);
    let disk = Sim::new();
    let mut server = stored(&disk, &mut random);
    let certain = server.certain;
    for at in 0..6 {
        disk.judge(move |number, _| match number == at {
            true => Fate::Fails(ErrorKind::StorageFull),
            false => Fate::Works,
        });
        let kept = server.state.settle(server.serving.as_ref().unwrap(), NOW);
        assert!(matches!(kept, Err(KeepError::Late(_))), "{at}: {kept:?}");
        let disk = disk.rest(Rest::Durable, &mut random);
        let again = Server::start(disk, server.account.clone());
        assert_eq!(again.certain, certain);
    }
}

#[test]
fn what_is_no_longer_the_latest_is_not_stored() {
    let mut random = Random::new(8);
    let disk = Sim::new();
    let mut server = Server::start(disk.clone(), Account::default());
    server.publish(&mut random, &disk);
    let first = Snapshot::first(
        server.serving.as_ref().unwrap().name(),
        server.serving.as_ref().unwrap().data().clone(),
    );
    while server.serving.as_ref().unwrap().serial() == first.serial() {
        server.publish(&mut random, &disk);
    }
    // Nothing is stored yet, and routers know a later serial already.
    server.state.settle(&first, NOW).unwrap();
    assert!(server.state.manifest().is_none());
}

#[test]
fn a_gap_is_not_stored() {
    let mut random = Random::new(9);
    let disk = Sim::new();
    let mut server = stored(&disk, &mut random);
    let serving = server.serving.take().unwrap();
    let far = Snapshot::first_after(serving.name(), serving.serial().next(), DataSet::default());
    let kept = server.state.publish(&far, Some(&*serving), NOW);
    assert!(matches!(kept, Err(KeepError::Unstored(_))), "{kept:?}");
    assert!(server.state.manifest().is_none());
    // A history of another name takes nothing away.
    let mut server = stored(&disk, &mut random);
    let other = Snapshot::first(HistoryName::new([0xee; 16]), DataSet::default());
    let kept = server.state.publish(&other, None, NOW);
    assert_eq!(kept.unwrap(), Stored::Behind);
    assert!(server.state.manifest().is_some());
}

#[test]
fn a_disk_that_cannot_be_written_is_said() {
    let disk = Sim::new();
    disk.judge(|_, _| Fate::Fails(ErrorKind::ReadOnlyFilesystem));
    let error = State::with_disk(disk, ROOT.as_ref(), NOW).unwrap_err();
    assert!(matches!(error, StateError::Disk(_)));
    let text = error.to_string();
    assert!(text.starts_with("/state/.version.new: read-only"), "{text}");
}
