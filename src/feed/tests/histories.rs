//! Whole histories from their files.

use super::super::attributes;
use super::super::history::{Parts, compose};
use super::super::{FeedError, delta, snapshot};
use super::{Random, attributes_of, go_on, jumped, manifest, sealed, serials, written};
use crate::payload::{Delta, Kinds, UnixTime};
use crate::rtr::snapshot::{Answer, Since};
use crate::rtr::{Snapshot, Version, View};

fn parts(serials: &[Snapshot], base: usize, known: Option<usize>, missing: usize) -> Parts {
    let last = serials.last().unwrap();
    let attributes = known.map(|known| {
        let at = &serials[known];
        let set = snapshot::digest(at.payload());
        let octets = written(|out| attributes::write(at.data(), &set, out));
        attributes_of(sealed(&octets)).unwrap()
    });
    let deltas = last.entries().skip(missing).map(|entry| {
        let octets = written(|out| delta::write(entry.delta(), out));
        let replaced = written(|out| delta::write_replaced(entry.delta(), out));
        let second = delta::replaces(entry.delta()).then(|| sealed(&replaced));
        delta::read(sealed(&octets), second).unwrap()
    });
    Parts {
        snapshot: serials[base].payload().clone(),
        attributes,
        deltas: deltas.collect(),
    }
}

fn increment(snapshot: &Snapshot, place: usize) -> Vec<u8> {
    let (version, since) = (Version::V2, Some(place));
    let image = snapshot.image(Answer { version, since }).unwrap();
    image.segments(Kinds::ALL).flatten().copied().collect()
}

/// Whatever the snapshot is, whatever attributes there are and whatever old steps are lost: what
/// comes back is what was there, and answers each serial it keeps with the same octets.
#[test]
fn every_history_comes_back_from_every_snapshot() {
    let mut random = Random::new(21);
    for round in 0..12 {
        let mut serials = serials(&mut random, 4);
        // In every other one another server takes over.
        if round % 2 == 1 {
            serials.push(jumped(&serials[3], UnixTime::new(1_100)));
        }
        go_on(&mut serials, &mut random, 7);
        let last = serials.last().unwrap();
        for base in 0..serials.len() {
            let known = base + usize::try_from(random.below(7)).unwrap();
            let known = (known < serials.len()).then_some(known);
            let missing = usize::try_from(random.below(7)).unwrap().min(base);
            let manifest = manifest(&serials, base, known);
            let parts = parts(&serials, base, known, missing);
            let restored = Snapshot::restore(compose(&manifest, parts).unwrap()).unwrap();
            assert_eq!(
                restored.payload(),
                last.payload(),
                "{round} {base} {known:?}"
            );
            assert_eq!(restored.serial(), last.serial());
            assert_eq!(restored.entries().len(), last.entries().len() - missing);
            if known == Some(serials.len() - 1) {
                assert_eq!(restored.data(), last.data());
            }
            let view = View::new(Version::V2, Kinds::ALL);
            assert_eq!(restored.session_id(view), last.session_id(view));
            for (number, old) in serials.iter().enumerate() {
                let since = restored.since(old.serial());
                assert_eq!(since.is_some(), number >= missing);
                if let Some(Since::Step(place)) = since {
                    let exact = Delta::between(old.payload(), last.payload());
                    let composed = increment(last, number);
                    assert_eq!(increment(&restored, place), composed);
                    let image = crate::rtr::image::Image::increment(Version::V2, &exact);
                    assert_eq!(image.len(Kinds::ALL), composed.len());
                }
            }
        }
    }
}

#[test]
fn what_nothing_is_known_of_ends_with_the_manifest() {
    let mut random = Random::new(22);
    let serials = serials(&mut random, 4);
    let last = serials.last().unwrap();
    let ends = Some(UnixTime::new(9_200));
    let blank = compose(&manifest(&serials, 1, None), parts(&serials, 1, None, 0)).unwrap();
    assert!(
        blank
            .data
            .attributes()
            .all(|attribute| attribute.expires() == ends)
    );
    let old = compose(
        &manifest(&serials, 1, Some(1)),
        parts(&serials, 1, Some(1), 0),
    )
    .unwrap();
    let (before, data) = (serials[1].data(), &old.data);
    let mut stayed = 0;
    for (vrp, attribute) in data.v4().iter() {
        let vrp = crate::payload::Vrp::V4(*vrp);
        match before.rows().attribute(&vrp) {
            Some(known) => {
                stayed += 1;
                assert_eq!((known.expires(), known), (attribute.expires(), attribute));
            }
            None => assert_eq!(attribute.expires(), ends),
        }
    }
    assert!(stayed > 0 && stayed < data.v4().len());
    assert_eq!(data.payload(), last.payload());
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let mut random = Random::new(23);
    let serials = serials(&mut random, 5);
    let manifest = manifest(&serials, 2, Some(3));
    let refused = |change: &dyn Fn(&mut Parts)| {
        let mut parts = parts(&serials, 2, Some(3), 0);
        change(&mut parts);
        compose(&manifest, parts).unwrap_err()
    };
    // A step that is needed, and one too many.
    let few = refused(&|parts| drop(parts.deltas.drain(..3)));
    assert_eq!(few, FeedError::Missing);
    let many = refused(&|parts| parts.deltas.push(Delta::default()));
    assert_eq!(many, FeedError::Missing);
    // The wrong set, the wrong step, the wrong attributes.
    let other = serials[1].payload().clone();
    let set = refused(&|parts| parts.snapshot = other.clone());
    assert!(matches!(set, FeedError::Mismatch(_)), "{set:?}");
    let step = refused(&|parts| parts.deltas.swap(2, 3));
    assert!(matches!(step, FeedError::Mismatch(_)), "{step:?}");
    let foreign = refused(&|parts| {
        let octets = serials[4].data();
        let set = snapshot::digest(octets.payload());
        let octets = written(|out| attributes::write(octets, &set, out));
        parts.attributes = Some(attributes_of(sealed(&octets)).unwrap());
    });
    assert_eq!(foreign, FeedError::OtherSet);
}
