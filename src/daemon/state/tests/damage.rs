//! Files that are not what they were.

use std::path::{Path, PathBuf};

use super::super::State;
use super::Random;
use super::server::{Account, NOW, ROOT, Server};
use super::sim::{Rest, Sim};

/// A stored history with steps before and behind the set.
fn stored(random: &mut Random) -> (Sim, Server) {
    let disk = Sim::new();
    let mut server = Server::start(disk.clone(), Account::default());
    loop {
        server.publish(random, &disk);
        if random.below(2) == 0 {
            server.settle(&disk);
        }
        let Some(manifest) = server.state.manifest() else {
            continue;
        };
        let before = manifest.steps_before_snapshot();
        let behind = manifest.deltas.len() - before;
        let replaced = manifest.deltas.iter().any(|delta| delta.replaced.is_some());
        if before > 1 && behind > 1 && replaced {
            return (disk, server);
        }
    }
}

fn feed(disk: &Sim) -> Vec<PathBuf> {
    let mut paths = disk.paths();
    paths.retain(|path| path.starts_with("/state/feed"));
    paths
}

fn ends(path: &Path, kind: &str) -> bool {
    path.extension().is_some_and(|extension| extension == kind)
}

/// The server that starts checks all that it finds, so here only something has to start.
fn restart(
    disk: &Sim,
    path: &Path,
    content: &[u8],
    server: &Server,
    random: &mut Random,
) -> Server {
    let disk = disk.rest(Rest::All, random);
    disk.damage(path, content);
    let again = Server::start(disk.clone(), server.account.clone());
    assert!(!again.damage.is_empty(), "{path:?}");
    for damage in &again.damage {
        let aside = damage.aside.as_ref().unwrap();
        assert!(aside.starts_with("/state/damaged"), "{damage}");
        assert!(
            damage
                .to_string()
                .contains("; set aside as /state/damaged/1970-01-01T02:46:40Z-")
        );
        assert!(disk.paths().contains(aside) && !disk.paths().contains(&damage.path));
    }
    again
}

#[test]
fn damage_never_makes_another_set() {
    let mut random = Random::new(31);
    let (disk, server) = stored(&mut random);
    let (mut whole, mut shorter, mut nothing) = (0, 0, 0);
    let entries = server.serving.as_ref().unwrap().entries().len();
    for path in server.named() {
        let content = disk.content(&path);
        let places = (0..content.len()).step_by(5);
        let flipped = places.map(|place| {
            let mut other = content.clone();
            other[place] ^= 1 << (place % 8);
            other
        });
        // White space at the end of a manifest may go.
        let cut = (0..content.len() - 1)
            .step_by(7)
            .map(|end| content[..end].to_vec());
        let cases: Vec<Vec<u8>> = flipped.chain(cut).collect();
        for other in cases {
            let format = String::from_utf8_lossy(&other).into_owned();
            if ends(&path, "json")
                && format.starts_with("{\"rutter-feed\":")
                && !format.starts_with("{\"rutter-feed\":1")
            {
                // Said to be of another format: nothing is touched.
                continue;
            }
            let again = restart(&disk, &path, &other, &server, &mut random);
            match &again.serving {
                None => nothing += 1,
                Some(snapshot) if snapshot.entries().len() < entries => shorter += 1,
                Some(_) => whole += 1,
            }
            // What the set needs ends the history, and what is of use beside it does not.
            let needed = ends(&path, "json") || ends(&path, "snapshot");
            assert!(again.serving.is_none() || !needed, "{path:?}");
            assert!(
                again.serving.is_some() || !ends(&path, "attributes"),
                "{path:?}"
            );
        }
    }
    assert!(
        whole > 10 && shorter > 10 && nothing > 10,
        "{whole} {shorter} {nothing}"
    );
}

/// Nothing but its digest tells most of these sets from the one that was stored.
#[test]
fn a_damaged_set_ends_the_history_without_steps_or_attributes_too() {
    let mut random = Random::new(35);
    let (disk, mut server) = stored(&mut random);
    let find = |server: &Server, kind: &str| {
        let mut named = server.named().into_iter();
        named.find(|path| ends(path, kind)).unwrap()
    };
    let bare = disk.rest(Rest::All, &mut random);
    bare.damage(&find(&server, "attributes"), b"");
    let path = find(&server, "snapshot");
    let mut cases = vec![(bare, path)];
    let newest = |server: &Server| {
        let manifest = server.state.manifest().unwrap();
        manifest.steps_before_snapshot() == manifest.deltas.len()
    };
    while !newest(&server) {
        server.publish(&mut random, &disk);
        server.settle(&disk);
    }
    cases.push((disk, find(&server, "snapshot")));
    for (disk, path) in cases {
        let content = disk.content(&path);
        for place in 0..content.len() {
            let mut other = content.clone();
            other[place] ^= 1 << (place % 8);
            let again = restart(&disk, &path, &other, &server, &mut random);
            assert!(again.serving.is_none(), "{place}");
        }
    }
}

#[test]
fn a_missing_file_is_damage_too() {
    use super::super::Disk;
    let mut random = Random::new(32);
    let (disk, server) = stored(&mut random);
    for path in server.named() {
        let mut disk = disk.rest(Rest::All, &mut random);
        disk.remove(&path).unwrap();
        let mut again = Server::start(disk.clone(), server.account.clone());
        assert_eq!(again.damage.is_empty(), ends(&path, "json"), "{path:?}");
        // The server goes on, and what it leaves is whole.
        again.publish(&mut random, &disk);
        again.settle(&disk);
        let last = Server::start(disk.rest(Rest::Durable, &mut random), again.account);
        assert!(last.damage.is_empty() && last.serving.is_some());
        assert_eq!(last.certain, again.certain);
    }
}

#[test]
fn a_set_without_attributes_ends_with_the_manifest() {
    let mut random = Random::new(33);
    let (disk, server) = stored(&mut random);
    let mut named = server.named().into_iter();
    let path = named.find(|path| ends(path, "attributes"));
    let again = restart(&disk, &path.unwrap(), b"", &server, &mut random);
    let snapshot = again.serving.unwrap();
    let ends = NOW.plus(7_200);
    let mut attributes = snapshot.data().attributes();
    assert!(attributes.all(|attribute| attribute.expires() == Some(ends)));
}

#[test]
fn only_the_last_damaged_files_are_kept() {
    let mut random = Random::new(34);
    let (disk, mut server) = stored(&mut random);
    for round in 0..30 {
        let content = format!("damage {round}");
        disk.damage("/state/feed/manifest.json".as_ref(), content.as_bytes());
        let now = NOW.plus(round);
        let (state, loaded) = State::with_disk(disk.clone(), ROOT.as_ref(), now).unwrap();
        assert!(loaded.history.is_none());
        server.state = state;
        server.serving = None;
        server.publish(&mut random, &disk);
        server.settle(&disk);
    }
    let mut kept = disk.paths();
    kept.retain(|path| path.starts_with("/state/damaged"));
    assert_eq!(kept.len(), 16);
    assert_eq!(disk.content(&kept[15]), b"damage 29");
}

#[test]
fn what_a_later_version_wrote_is_set_aside_whole() {
    let mut random = Random::new(35);
    let (disk, server) = stored(&mut random);
    let known = |disk: &Sim, path: &Path| disk.content(path);
    for (path, content, aside) in [
        ("/state/version", "2\n", ["version", "feed"].as_slice()),
        (
            "/state/feed/manifest.json",
            "{\"rutter-feed\":2,\"more\":true}",
            ["feed"].as_slice(),
        ),
    ] {
        let disk = disk.rest(Rest::All, &mut random);
        disk.damage(path.as_ref(), content.as_bytes());
        let before: Vec<(PathBuf, Vec<u8>)> = disk
            .paths()
            .into_iter()
            .map(|path| (path.clone(), known(&disk, &path)))
            .collect();
        let mut again = Server::start(disk.clone(), server.account.clone());
        assert!(again.serving.is_none());
        let [damage] = &again.damage[..] else {
            panic!("{:?}", again.damage);
        };
        let folder = "/state/later-2-1970-01-01T02:46:40Z";
        let text = format!(
            "{path}: format 2 of a later version, and only 1 is known here; set aside as {folder}"
        );
        assert_eq!(damage.to_string(), text);
        for (path, content) in before {
            let rest = path.strip_prefix("/state").unwrap();
            if aside.iter().any(|name| rest.starts_with(name)) {
                assert_eq!(known(&disk, &Path::new(folder).join(rest)), content);
            }
        }
        // Another history is stored, and found.
        again.publish(&mut random, &disk);
        again.settle(&disk);
        let last = Server::start(disk.rest(Rest::Durable, &mut random), again.account);
        assert!(last.damage.is_empty() && last.serving.is_some());
        assert_eq!(last.certain, again.certain);
        assert_ne!(
            last.serving.unwrap().name(),
            server.serving.as_ref().unwrap().name()
        );
    }
    // A damaged version is no later one.
    disk.damage("/state/version".as_ref(), b"x");
    let (_, loaded) = State::with_disk(disk.clone(), ROOT.as_ref(), NOW).unwrap();
    assert!(loaded.history.is_some() && loaded.damage.len() == 1);
    assert_eq!(disk.content("/state/version".as_ref()), b"1\n");
}

/// A follower that has the manifest from before still finds what it names, for some time.
#[test]
fn what_nothing_names_is_removed_later() {
    let mut random = Random::new(36);
    let (disk, mut server) = stored(&mut random);
    let mut gone = 0;
    for second in 1..=40 {
        let before = server.named();
        server.publish(&mut random, &disk);
        let serving = server.serving.clone().unwrap();
        server.state.settle(&serving, NOW.plus(second)).unwrap();
        let (now, named) = (feed(&disk), server.named());
        gone += before.iter().filter(|path| !named.contains(path)).count();
        assert!(before.iter().chain(&named).all(|path| now.contains(path)));
        let large = |path: &&PathBuf| ends(path, "snapshot") || ends(path, "attributes");
        assert!(now.iter().filter(large).count() <= 2 + 4);
    }
    assert!(gone > 10);
    let serving = server.serving.clone().unwrap();
    for (seconds, left) in [(600, true), (640, false)] {
        server.state.settle(&serving, NOW.plus(seconds)).unwrap();
        assert_eq!(feed(&disk) != server.named(), left, "{seconds}");
    }
}
