//! What goes wrong with a state directory.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::cache::{Cache, PATIENCE};
use super::restart::{ANYWHERE, SOURCE, start, stored};
use super::router::{CACHE_RESET, CACHE_RESPONSE, Has, NOTIFY, Router, announced, increment};
use crate::support::payloads::{Payloads, Prng};
use crate::support::{is_root, temp_dir};

/// The same source, and whatever it says is let through.
const UNGUARDED: &str =
    "[[source]]\nurl = \"vrps.json\"\n[guard]\nmax-growth = \"off\"\nmax-shrink = \"off\"\n";

/// What a server says that cannot start with a state directory.
fn refused(state: &Path) -> String {
    let child = Command::new(env!("CARGO_BIN_EXE_rutter"))
        .args(["serve", "--demo", "--listen", "tcp://127.0.0.1:0"])
        .arg("--state-dir")
        .arg(state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn one_server_has_a_state_directory() {
    let cache = start(&Payloads::vrps(50, &mut Prng::new(1)));
    let state = cache.folder().join("state");
    let said = refused(&state);
    let reason = "the state directory cannot be used";
    let lock = format!("{}: held by another process", state.join("lock").display());
    assert!(said.contains(reason) && said.contains(&lock), "{said}");
    // The first one is not disturbed.
    Router::connect(cache.address()).load(1);
}

#[test]
fn a_folder_that_cannot_be_written_refuses_the_start() {
    let folder = temp_dir();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let said = refused(&file.join("state"));
    assert!(said.contains("Not a directory"), "{said}");
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let mount = |arguments: &[&str]| {
        let done = Command::new(arguments[0])
            .args(&arguments[1..])
            .arg(&closed)
            .stderr(Stdio::null())
            .status();
        done.is_ok_and(|status| status.success())
    };
    if is_root() {
        // Rights do not bind root. Where it may not mount, nothing is left to try.
        if mount(&["mount", "-t", "tmpfs", "-o", "ro,size=64k", "none"]) {
            let said = std::panic::catch_unwind(|| refused(&closed));
            assert!(mount(&["umount"]));
            let said = said.unwrap();
            assert!(said.contains("Read-only file system"), "{said}");
        }
    } else {
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
        let said = refused(&closed);
        assert!(said.contains("Permission denied"), "{said}");
    }
}

/// What is damaged is said and set aside, and routers begin anew.
#[test]
fn a_damaged_state_is_set_aside() {
    let payloads = Payloads::vrps(400, &mut Prng::new(2));
    let cache = start(&payloads);
    let has = Router::connect(cache.address()).load(1).has;
    let folder = cache.kill();
    let feed = folder.path().join("state/feed");
    let set = fs::read_dir(&feed)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let set: Vec<_> = set
        .filter(|path| path.extension().is_some_and(|kind| kind == "snapshot"))
        .collect();
    let mut octets = fs::read(&set[0]).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    fs::write(&set[0], octets).unwrap();
    let cache = Cache::with_state(folder, ANYWHERE, SOURCE);
    cache.says(&[
        "WARN",
        "a part of the state is not believed",
        ".snapshot",
        "set aside as",
    ]);
    cache.says(&["WARN", "manifest.json", "names", "which is damaged"]);
    let mut router = Router::connect(cache.address());
    router.send(&has.query());
    router.expect(CACHE_RESET);
    let again = router.load(1);
    assert_ne!(again.has.session, has.session);
    assert!(again.set() == announced(&payloads, 1));
    stored(&cache);
    let aside = fs::read_dir(cache.folder().join("state/damaged")).unwrap();
    assert_eq!(aside.count(), 2);
}

/// Whoever goes back to the later version finds its state whole.
#[test]
fn the_state_of_a_later_version_is_set_aside() {
    let payloads = Payloads::vrps(100, &mut Prng::new(3));
    let cache = start(&payloads);
    let has = Router::connect(cache.address()).load(2).has;
    let folder = cache.kill();
    let state = folder.path().join("state");
    fs::write(state.join("version"), "7\n").unwrap();
    let cache = Cache::with_state(folder, ANYWHERE, SOURCE);
    let said = cache.says(&[
        "WARN",
        "format 7 of a later version, and only 1 is known here",
    ]);
    let aside = said.split("set aside as ").nth(1).unwrap();
    let aside = Path::new(aside.split_ascii_whitespace().next().unwrap()).to_owned();
    let mut router = Router::connect(cache.address());
    router.send(&has.query());
    router.expect(CACHE_RESET);
    stored(&cache);
    // Back again: what was set aside is put in place of what came after.
    let folder = cache.kill();
    let state = folder.path().join("state");
    for name in ["feed", "version"] {
        let place = state.join(name);
        let _ = fs::remove_dir_all(&place);
        fs::rename(aside.join(name), place).unwrap();
    }
    fs::write(state.join("version"), "1\n").unwrap();
    let cache = Cache::with_state(folder, ANYWHERE, SOURCE);
    assert_eq!(Router::connect(cache.address()).update(has).has, has);
}

/// Routers lose nothing when there is no room; the next start goes on once there was room again,
/// and begins anew if there was not.
#[test]
fn without_room_routers_lose_nothing() {
    let mut random = Prng::new(4);
    let few = Payloads::vrps(1_200, &mut random);
    let many = few.changed(2_200, 0, &mut random);
    let mut known: Option<(tempfile::TempDir, Has)> = None;
    for room in [true, false] {
        let folder = known.take().map_or_else(temp_dir, |(folder, _)| folder);
        few.write_json(&folder.path().join("vrps.json"));
        let cache = Cache::with_small_state(folder, 40, UNGUARDED);
        cache.says(&["source loaded"]);
        stored(&cache);
        let mut router = Router::connect(cache.address());
        let mut has = router.load(1).has;
        let first = router.update(has).has;
        cache.publish(&many);
        while has.serial == first.serial {
            router.expect(NOTIFY);
            has = router.update(has).has;
        }
        assert!(router.load(1).set() == announced(&many, 1));
        cache.says(&["ERROR", "state not kept", "the state is not stored"]);
        assert_eq!(cache.said(&["ERROR"]), 1, "{}", cache.log());
        let state = cache.status().state.unwrap();
        assert!(state.stored.is_none() && state.failures >= 1, "{state:?}");
        assert!(state.failure.unwrap().contains("File too large"));
        let mut cache = cache;
        let (folder, before) = match room {
            false => (cache.kill(), has),
            true => {
                cache.raise();
                cache.signal(Signal::TERM);
                assert!(cache.ended(PATIENCE).success());
                assert_eq!(cache.said(&["state kept again"]), 1, "{}", cache.log());
                (cache.kill(), has)
            }
        };
        let cache = Cache::with_state(folder, ANYWHERE, UNGUARDED);
        let mut router = Router::connect(cache.address());
        if room {
            assert_eq!(router.update(before).has, before);
            // The step to it outlived the time without room.
            let update = router.update(first);
            assert!(update.set() == increment(&few, &many, 1));
            known = Some((fresh(cache), before));
        } else {
            router.send(&before.query());
            router.expect(CACHE_RESET);
            assert_ne!(router.load(1).has.session, before.session);
        }
    }
}

/// The folder of a server that has ended, without its state.
fn fresh(cache: Cache) -> tempfile::TempDir {
    let folder = cache.kill();
    fs::remove_dir_all(folder.path().join("state")).unwrap();
    folder
}

/// All that was published, and all that routers were told, over all starts.
#[derive(Default)]
struct Ledger {
    published: BTreeSet<BTreeSet<Vec<u8>>>,
    issued: HashMap<(u8, u16, u32), BTreeSet<Vec<u8>>>,
}

impl Ledger {
    fn publish(&mut self, payloads: &Payloads) {
        self.published
            .extend([1, 2].map(|version| announced(payloads, version)));
    }

    #[track_caller]
    fn issue(&mut self, has: Has, set: &BTreeSet<Vec<u8>>) {
        assert!(self.published.contains(set), "{has:?} was never published");
        let key = (has.version, has.session, has.serial);
        let known = self.issued.entry(key).or_insert_with(|| set.clone());
        assert!(known == set, "{has:?} has two contents");
    }

    /// Asks from a serial that was issued. Whether the answer was an increment.
    #[track_caller]
    fn ask(&mut self, router: &mut Router, from: Has) -> Option<Has> {
        router.send(&from.query());
        let mut pdu = router.pdu();
        while pdu.kind() == NOTIFY {
            pdu = router.pdu();
        }
        if pdu.kind() == CACHE_RESET {
            return None;
        }
        assert_eq!(pdu.kind(), CACHE_RESPONSE, "{pdu:?}");
        let answer = router.rest_of_answer(&pdu);
        assert_eq!(answer.has.session, from.session);
        let key = (from.version, from.session, from.serial);
        let set = applied(&self.issued[&key], &answer.payload);
        self.issue(answer.has, &set);
        Some(answer.has)
    }
}

/// A set after an increment, which must fit it exactly.
#[track_caller]
fn applied(set: &BTreeSet<Vec<u8>>, payload: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let mut set = set.clone();
    for pdu in payload {
        let mut announced = pdu.clone();
        announced[8] = 1;
        match pdu[8] {
            1 => assert!(set.insert(announced), "announced twice"),
            _ => assert!(set.remove(&announced), "withdrawn, but not there"),
        }
    }
    set
}

/// Killed at any moment while updates run: what comes back is what was served, or later.
#[test]
fn no_kill_gives_a_serial_another_content() {
    const KILLS: usize = 200;
    let begin = Instant::now();
    let mut random = Prng::new(5);
    let mut ledger = Ledger::default();
    let mut payloads = Payloads::vrps(300, &mut random);
    let (mut kills, mut increments, mut resets) = (0, 0, 0);
    let mut newest: [Option<Has>; 2] = [None, None];
    let folder = temp_dir();
    ledger.publish(&payloads);
    payloads.write_json(&folder.path().join("vrps.json"));
    let mut folder = Some(folder);
    while kills < KILLS && (kills < 20 || begin.elapsed() < Duration::from_secs(75)) {
        let cache = Cache::with_state(folder.take().unwrap(), ANYWHERE, UNGUARDED);
        let version = if kills % 2 == 0 { 1 } else { 2 };
        let known = &mut newest[usize::from(version - 1)];
        let mut router = Router::connect(cache.address());
        let answer = router.load(version);
        ledger.issue(answer.has, &answer.set());
        let mut has = answer.has;
        if let Some(known) = *known {
            // The state was stored before the first kill.
            assert_eq!(known.session, has.session, "{}", cache.log());
            assert!(has.serial >= known.serial, "{known:?} became {has:?}");
        } else {
            stored(&cache);
        }
        // Routers of any serial get exactly what is new for them, or everything.
        let serials = u64::from(has.serial.min(40));
        for back in (0..6).map(|_| u32::try_from(random.below(serials + 1)).unwrap()) {
            let from = Has {
                serial: has.serial - back,
                ..has
            };
            if ledger
                .issued
                .contains_key(&(from.version, from.session, from.serial))
            {
                match ledger.ask(&mut router, from) {
                    Some(_) => increments += 1,
                    None => resets += 1,
                }
            }
        }
        let until = Instant::now() + Duration::from_millis(random.below(200));
        while Instant::now() < until {
            if random.below(3) == 0 {
                let steps = usize::try_from(random.below(4)).unwrap();
                payloads = payloads.changed(1 + steps, steps, &mut random);
                ledger.publish(&payloads);
                cache.publish(&payloads);
            }
            has = ledger.ask(&mut router, has).unwrap_or(has);
        }
        *known = Some(has);
        folder = Some(cache.kill());
        kills += 1;
    }
    let serials = ledger.issued.len();
    println!("{kills} kills, {serials} serials seen, {increments} increments, {resets} resets");
    assert!(kills >= 20 && serials > 2 * kills, "{serials} of {kills}");
    // No step is lost: a history that is this short is kept whole.
    assert!(increments > 2 * kills && resets == 0);
}
