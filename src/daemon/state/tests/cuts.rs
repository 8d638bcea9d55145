//! The power goes between any two operations.

use super::Random;
use super::server::{Account, Server};
use super::sim::{Fate, Rest, Sim};

/// Some updates, with some of them written behind, until the power goes. Says what the next start
/// may find.
fn run(server: &mut Server, disk: &Sim, random: &mut Random, updates: usize) {
    for _ in 0..updates {
        if !server.publish(random, disk) {
            return;
        }
        let settled = match random.below(4) {
            0 => true,
            1 => server.settle_beside(random, disk),
            _ => server.settle(disk),
        };
        if !settled {
            return;
        }
    }
    server.possible = None;
}

/// What is found after a cut is what was certain, or what was being written.
fn check(before: &Server, after: &Server, what: &str) {
    assert!(after.damage.is_empty(), "{what}: {:?}", after.damage);
    let Some(certain) = before.certain else {
        return;
    };
    let found = after
        .certain
        .unwrap_or_else(|| panic!("{what}: {certain:?} is lost"));
    let known = found == certain || Some(found) == before.possible;
    assert!(known, "{what}: {found:?} where {certain:?} was");
}

fn operations(seed: u64) -> usize {
    let disk = Sim::new();
    let mut server = Server::start(disk.clone(), Account::default());
    disk.judge(|_, _| Fate::Works);
    run(&mut server, &disk, &mut Random::new(seed), 6);
    disk.operations()
}

#[test]
fn after_every_cut_the_state_is_one_that_was_published() {
    let (mut cuts, mut found) = (0, 0);
    for seed in 1..=3 {
        for at in 0..=operations(seed) {
            for rest in Rest::ALL {
                let what = format!("seed {seed}, operation {at}, {rest:?}");
                let mut random = Random::new(seed);
                let disk = Sim::new();
                let mut first = Server::start(disk.clone(), Account::default());
                disk.judge(move |number, _| match number == at {
                    true => Fate::Dies,
                    false => Fate::Works,
                });
                run(&mut first, &disk, &mut random, 6);
                let mut random = Random::new(seed * 1_000 + u64::try_from(at).unwrap());
                let disk = disk.rest(rest, &mut random);
                let mut second = Server::start(disk.clone(), first.account.clone());
                check(&first, &second, &what);
                cuts += 1;
                found += u32::from(second.serving.is_some());
                // It goes on, and all that comes after is found again.
                run(&mut second, &disk, &mut random, 3);
                let disk = disk.rest(Rest::Durable, &mut random);
                let third = Server::start(disk, second.account.clone());
                check(&second, &third, &what);
            }
        }
    }
    assert!(cuts > 600 && found > cuts / 2, "{found} of {cuts}");
}

/// The start itself writes, and may be cut as well.
#[test]
fn a_start_that_is_cut_loses_nothing() {
    let mut random = Random::new(9);
    let disk = Sim::new();
    let mut first = Server::start(disk.clone(), Account::default());
    run(&mut first, &disk, &mut random, 5);
    assert!(first.certain.is_some());
    // A file that was never completed, and one that nothing names.
    let stray = "/state/feed/11111111111111111111111111111111-7.snapshot";
    for path in ["/state/feed/.manifest.json.new", stray] {
        use super::super::Disk;
        let mut disk = disk.clone();
        disk.create(path.as_ref()).unwrap();
    }
    for at in 0..20 {
        for rest in Rest::ALL {
            let disk = disk.rest(Rest::All, &mut random);
            disk.judge(move |number, _| match number == at {
                true => Fate::Dies,
                false => Fate::Works,
            });
            let opened = super::super::State::with_disk(
                disk.clone(),
                super::server::ROOT.as_ref(),
                super::server::NOW,
            );
            assert_eq!(opened.is_err(), disk.is_dead(), "{at}");
            let disk = disk.rest(rest, &mut random);
            let second = Server::start(disk.clone(), first.account.clone());
            check(&first, &second, "start");
            let left = disk.paths();
            assert!(!left.iter().any(|path| path.ends_with(stray)), "{left:?}");
            assert!(!left.iter().any(|path| path.ends_with(".manifest.json.new")));
        }
    }
}
