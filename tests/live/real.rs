//! Real lists of several years, through the readers, the pipeline's step and validation.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;
use lzma_rust2::XzReader;
use rutter::config::Guard;
use rutter::daemon::authority::Authority;
use rutter::daemon::pipeline::guard::Standing;
use rutter::daemon::pipeline::step::{Selection, Serving, Work, step};
use rutter::json::{self, Document, Limits};
use rutter::payload::validity::State;
use rutter::payload::{Asn, DataSet, Delta, Index, Kind, PayloadSet, Rows, UnixTime};
use rutter::rtr::snapshot::{Answer, HistoryLimits, Since, Trigger};
use rutter::rtr::{HistoryName, Snapshot, Version};
use rutter::slurm::Exceptions;

use crate::support::{Need, not_run, shared_data};

/// A file of the shared data; without it the test does not run, which is an error where nothing
/// may be left out.
fn shared(path: &str) -> Option<PathBuf> {
    let file = shared_data().map(|folder| folder.join(path));
    if let Some(file) = file.filter(|file| file.is_file()) {
        return Some(file);
    }
    assert!(std::env::var_os("CI").is_none(), "{path} is missing");
    not_run(path, Need::Shared, "no such file beside the repository");
    None
}

fn unpacked(path: &Path) -> impl Read + use<> {
    XzReader::new(BufReader::new(File::open(path).unwrap()), true)
}

fn read(path: &Path) -> Document {
    json::read(File::open(path).unwrap(), &Limits::default()).unwrap()
}

fn counts(set: &PayloadSet) -> (usize, usize) {
    (set.count(Kind::Ipv4), set.count(Kind::Ipv6))
}

fn global_2020() -> Option<PayloadSet> {
    let path = shared("vrp/global-2020-02-17.routinator.csv.xz")?;
    let document = read(&path);
    // Two rows name negative AS numbers, which nothing can be made of.
    assert_eq!((document.listed, document.skipped.count), (130_043, 2));
    Some(DataSet::new(&document.rows).payload().clone())
}

#[test]
fn the_global_list_of_2020_is_read_whole() {
    let Some(set) = global_2020() else { return };
    assert_eq!(counts(&set), (111_359 - 2, 18_684));
    // As it was published: without a header, with other columns.
    let Some(path) = shared("vrp/global-2020-02-17.bgpsquelch-roa.csv.xz") else {
        return;
    };
    let published = read(&path);
    assert!(*DataSet::new(&published.rows).payload() == set);
}

#[test]
fn a_list_of_todays_size_is_read_whole() {
    let Some(path) = shared("vrp/derived-440k.rpki-client.json.xz") else {
        return;
    };
    let document = read(&path);
    assert_eq!((document.listed, document.skipped.count), (440_556, 0));
    let set = DataSet::new(&document.rows);
    assert_eq!(counts(set.payload()), (350_096, 90_460));
    // 6 to 240 hours from 2025-08-14T16:00Z.
    let start = 1_755_187_200;
    let rows = &document.rows;
    let first = rows.next_expiry().unwrap();
    assert!(first.since(UnixTime::new(start)) >= 6 * 3_600);
    let (later, expired) = rows.split_expired(UnixTime::new(start + 100 * 3_600));
    assert!(later.len() > 100_000 && later.len() < 440_556);
    assert_eq!(later.len() + expired.unwrap().len(), 440_556);
    let (nothing, expired) = rows.split_expired(UnixTime::new(start + 241 * 3_600));
    assert!(nothing.is_empty() && expired.unwrap() == *rows);
}

/// The members of a tar.xz file by name, oldest first.
fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = unpacked(path);
    let mut members = Vec::new();
    let mut header = [0; 512];
    while read_block(&mut archive, &mut header) {
        let text = |from: usize, len: usize| {
            let field = &header[from..from + len];
            let end = field.iter().position(|octet| *octet == 0).unwrap_or(len);
            String::from_utf8(field[..end].to_vec()).unwrap()
        };
        let name = text(0, 100);
        if name.is_empty() {
            break;
        }
        let size = usize::from_str_radix(text(124, 12).trim(), 8).unwrap();
        let mut content = vec![0; size.next_multiple_of(512)];
        archive.read_exact(&mut content).unwrap();
        content.truncate(size);
        if matches!(header[156], b'0' | 0) {
            members.push((name, content));
        }
    }
    members.sort();
    members
}

fn read_block(archive: &mut impl Read, header: &mut [u8; 512]) -> bool {
    match archive.read_exact(header) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => panic!("{error}"),
    }
}

/// What publishing all members of a series one after another comes to.
struct Played {
    /// The unique VRPs of each member.
    sizes: Vec<usize>,
    /// What each member announced and withdrew, the first left out.
    steps: Vec<(usize, usize)>,
    bad_rows: Vec<usize>,
}

fn play(path: &Path) -> Played {
    let mut played = Played {
        sizes: Vec::new(),
        steps: Vec::new(),
        bad_rows: Vec::new(),
    };
    let mut snapshot: Option<Arc<Snapshot>> = None;
    let mut sets: Vec<PayloadSet> = Vec::new();
    for (number, (name, content)) in (0..).zip(members(path)) {
        let document = json::read(content.as_slice(), &Limits::default());
        let document = document.unwrap_or_else(|error| panic!("{name}: {error}"));
        played.bad_rows.push(document.skipped.count);
        let now = UnixTime::new(1_600_000_000 + number * 60);
        let turn = |previous: Option<Arc<Snapshot>>| {
            step(&work(&document.rows, previous, now), || {
                HistoryName::new([7; 16])
            })
            .serving
        };
        let Serving::New(next) = turn(snapshot.clone()) else {
            panic!("{name} is no other list");
        };
        if let Some(old) = &snapshot {
            assert_eq!(next.serial(), old.serial().next(), "{name}");
            let last = next.entries().next_back().unwrap();
            let (announced, withdrawn) = (last.delta().announced(), last.delta().withdrawn());
            played.steps.push((announced, withdrawn));
        }
        let again = turn(Some(Arc::clone(&next)));
        assert!(
            matches!(again, Serving::Same),
            "{name} twice is something new"
        );
        check_increments(&next, &sets, &name);
        played.sizes.push(next.payload().len());
        sets.push(next.payload().clone());
        snapshot = Some(next);
    }
    played
}

/// A turn with one source, without a guard: the lists of a series lie weeks apart.
fn work(rows: &Rows, previous: Option<Arc<Snapshot>>, now: UnixTime) -> Work {
    Work {
        sources: vec![Some(rows.clone())],
        selection: Selection::Merge {
            places: vec![0],
            least: 1,
        },
        mirror: None,
        stands: false,
        authority: Authority::Own,
        baseline: None,
        in_force: Some(Exceptions::default()),
        pending: None,
        approved: None,
        lapsed: false,
        guard: Guard {
            max_shrink: None,
            max_growth: None,
            ..Guard::default()
        },
        updates: Standing::Clear,
        changes: Standing::Clear,
        previous,
        trigger: Trigger::Source,
        now,
        instant: Instant::now(),
        limits: HistoryLimits::default(),
    }
}

/// From each of the sets before, the increment leads to the current one.
fn check_increments(snapshot: &Snapshot, sets: &[PayloadSet], name: &str) {
    let entries: Vec<_> = snapshot.entries().collect();
    assert_eq!(entries.len(), sets.len(), "{name}: a step was forgotten");
    for (place, old) in sets.iter().enumerate() {
        let from = entries[place].from();
        assert_eq!(snapshot.since(from), Some(Since::Step(place)));
        let steps: Vec<&Delta> = entries[place..].iter().map(|e| e.delta()).collect();
        let delta = Delta::compose(&steps);
        let new = delta.apply(old).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(new == *snapshot.payload(), "{name} from {from}");
        assert!(delta == Delta::between(old, snapshot.payload()));
        // What routers are sent is that long: nothing comes twice or for nothing.
        let image = snapshot.image(Answer {
            version: Version::V1,
            since: Some(place),
        });
        let octets: usize = image
            .unwrap()
            .segments(rutter::payload::Kinds::ALL)
            .map(|segment| count_pdus(segment))
            .sum();
        assert_eq!(octets, delta.len());
    }
}

fn count_pdus(mut octets: &[u8]) -> usize {
    let mut count = 0;
    while let Some(length) = octets.get(4..8) {
        let length = u32::from_be_bytes(length.try_into().unwrap());
        octets = &octets[usize::try_from(length).unwrap()..];
        count += 1;
    }
    assert!(octets.is_empty());
    count
}

fn sums(steps: &[(usize, usize)]) -> (usize, usize, usize) {
    let announced = steps.iter().map(|step| step.0).sum();
    let withdrawn = steps.iter().map(|step| step.1).sum();
    let largest = steps.iter().map(|step| step.0 + step.1).max();
    (announced, withdrawn, largest.unwrap())
}

#[test]
fn the_weekly_lists_of_2017_play_in_order() {
    let Some(path) = shared("vrp/series/global-2017-weekly.csv.tar.xz") else {
        return;
    };
    let played = play(&path);
    assert_eq!(
        played.sizes,
        [
            38_575, 38_840, 38_980, 39_140, 39_319, 39_570, 40_025, 40_203, 40_335
        ]
    );
    assert_eq!(
        played.steps,
        [
            (281, 16),
            (189, 49),
            (251, 91),
            (224, 45),
            (292, 41),
            (539, 84),
            (220, 42),
            (149, 17)
        ]
    );
    assert_eq!(played.bad_rows, [0; 9]);
}

#[test]
fn the_dn42_lists_of_2021_play_in_order() {
    let Some(path) = shared("vrp/series/dn42-2021-05.export_dn42.tar.xz") else {
        return;
    };
    let played = play(&path);
    assert_eq!(played.sizes.len(), 87);
    // One more with the null prefix, which the list of this data counts as announced.
    assert_eq!(sums(&played.steps), (188 - 1, 10, 11 - 1));
    // Two `"AS"` everywhere, and a null prefix towards the end.
    assert!(played.bad_rows.iter().all(|bad| (2..=3).contains(bad)));
    assert_eq!((played.bad_rows[0], played.bad_rows[86]), (2, 3));
}

#[test]
fn the_neonetwork_lists_of_2020_play_in_order() {
    let Some(path) = shared("vrp/series/neonetwork-2020-07.roa46.tar.xz") else {
        return;
    };
    let played = play(&path);
    assert_eq!(played.sizes.len(), 90);
    assert_eq!(sums(&played.steps), (169, 76, 13));
    let (least, most) = (played.sizes.iter().min(), played.sizes.iter().max());
    assert_eq!((least, most), (Some(&51), Some(&148)));
}

/// Valid, invalid, not found, of all routes of a list.
fn validities(index: &Index, path: &Path) -> [usize; 3] {
    let mut found = [0; 3];
    for line in BufReader::new(unpacked(path)).lines() {
        let line = line.unwrap();
        let Some((prefix, origin)) = route(&line) else {
            continue;
        };
        found[match index.state(prefix, Some(origin)) {
            State::Valid => 0,
            State::Invalid => 1,
            State::NotFound => 2,
        }] += 1;
    }
    found
}

/// A prefix and an origin in either order; comments and AS sets are no routes.
fn route(line: &str) -> Option<(IpNet, Asn)> {
    if line.starts_with(['%', ';', '#']) || line.contains('{') {
        return None;
    }
    let mut words = line.split_ascii_whitespace();
    let (one, other) = (words.next()?, words.next()?);
    let (prefix, origin) = if one.contains('/') {
        (one, other)
    } else {
        (other, one)
    };
    let origin = Asn::from_ascii(origin.as_bytes()).unwrap();
    Some((prefix.parse().unwrap(), origin))
}

fn compare(lists: &[(&str, [usize; 3])]) {
    let Some(set) = global_2020() else { return };
    let index = Index::new(&set);
    for (name, expected) in lists {
        if let Some(path) = shared(&format!("routes/{name}")) {
            assert_eq!(validities(&index, &path), *expected, "{name}");
        }
    }
}

#[test]
fn routes_of_other_years_have_the_validity_that_others_found() {
    compare(&[
        ("riswhois-2019-03-04.IPv6.txt.xz", [15_417, 3_942, 58_918]),
        (
            "geant-2020-12-08.invalid_unreachable.IPv4.txt.xz",
            [9, 4_985, 98],
        ),
        (
            "geant-2020-12-08.invalid_unreachable.IPv6.txt.xz",
            [0, 507, 15],
        ),
        (
            "asmap-2025-08-14.prefix-as.txt.xz",
            [22_327, 22_101, 396_128],
        ),
    ]);
}

#[test]
fn routes_of_2014_have_the_validity_that_others_found() {
    compare(&[("pyasn-ipasn-20140513.dat.xz", [65_958, 22_739, 423_793])]);
}
