//! Other servers that go on with a history.

use super::super::history::{News, Parts, compose, compose_after};
use super::super::manifest::{Manifest, ManifestError};
use super::super::snapshot;
use super::{DeltaRef, Random, go_on, manifest, serials};
use crate::payload::{Delta, UnixTime};
use crate::rtr::snapshot::{HistoryLimits, Since, Step, Trigger};
use crate::rtr::{Serial, Snapshot};
use crate::sign::Digest;

const NOW: UnixTime = UnixTime::new(2_500);

fn history() -> Vec<Snapshot> {
    serials(&mut Random::new(31), 4)
}

/// A manifest that was changed, as it is read.
fn read(change: impl FnOnce(&mut Manifest)) -> Result<Manifest, ManifestError> {
    let serials = history();
    let mut manifest = manifest(&serials, 1, None).taken_over(NOW).unwrap();
    change(&mut manifest);
    Manifest::read_plain(manifest.to_plain().as_bytes())
}

#[test]
fn the_same_set_is_a_jump_away() {
    let serials = history();
    let before = manifest(&serials, 3, Some(3));
    let after = before.clone().taken_over(NOW).unwrap();
    assert_eq!(after.serial, before.serial.jump());
    assert_eq!((after.revision, after.issued), (0, NOW));
    assert_eq!(after.valid_until, before.valid_until);
    assert_eq!(after.attributes, before.attributes);
    assert_eq!(after.deltas[..3], before.deltas);
    assert_eq!(after.steps_before_snapshot(), 3);
    let text = after.to_plain();
    assert_eq!(Manifest::read_plain(text.as_bytes()).as_ref(), Ok(&after));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let step = &json["deltas"][3];
    assert_eq!(step["from"], 1);
    assert_eq!(
        (&step["to"], &step["length"]),
        (&1_048_577.into(), &0.into())
    );
    assert_eq!(step["cause"], "takeover");
    assert_eq!(step["name"], format!("{}-1-1048577.delta", before.history));
    // What counts no more does not count again.
    let late = before.clone().taken_over(UnixTime::new(10_000)).unwrap();
    assert_eq!(
        (late.issued, late.valid_until),
        (late.valid_until, UnixTime::new(10_000))
    );
    // Whoever made it may have another clock.
    let early = before.clone().taken_over(UnixTime::new(1_000)).unwrap();
    assert_eq!(early.issued, before.issued);
}

#[test]
fn a_jump_is_gone_with_from_the_set_and_from_before() {
    let serials = history();
    let last = &serials[3];
    let manifest = manifest(&serials, 3, None).taken_over(NOW).unwrap();
    let mut deltas: Vec<Delta> = last.entries().map(|entry| entry.delta().clone()).collect();
    deltas.push(Delta::default());
    let parts = Parts {
        snapshot: last.payload().clone(),
        attributes: None,
        deltas,
    };
    let whole = Snapshot::restore(compose(&manifest, parts).unwrap()).unwrap();
    let news = News {
        deltas: vec![Delta::default()],
        attributes: None,
    };
    let after = compose_after(&manifest, last, news).unwrap();
    let after = last.restore_after(after).unwrap();
    for snapshot in [whole, after] {
        assert_eq!(snapshot.serial(), last.serial().jump());
        assert_eq!(snapshot.payload(), last.payload());
        let step = snapshot.entries().next_back().unwrap();
        assert_eq!((step.trigger(), step.time()), (Trigger::Takeover, NOW));
        for (place, old) in serials.iter().enumerate() {
            assert_eq!(snapshot.since(old.serial()), Some(Since::Step(place)));
        }
        // Whatever the one before has told routers beyond.
        assert_eq!(snapshot.since(last.serial().next()), None);
        // What comes then has attributes that others can have.
        let mut further = vec![snapshot];
        go_on(&mut further, &mut Random::new(32), 2);
        assert_eq!(further[1].serial(), last.serial().jump().next());
        assert!(further[1].knows_all());
    }
}

#[test]
fn equal_data_are_news_where_attributes_were_of_before() {
    let serials = history();
    let last = &serials[3];
    let manifest = manifest(&serials, 3, None).taken_over(NOW).unwrap();
    let news = News {
        deltas: vec![Delta::default()],
        attributes: None,
    };
    let ours = compose_after(&manifest, last, news).unwrap();
    let ours = last.restore_after(ours).unwrap();
    assert!(!ours.knows_all());
    let again = |snapshot: &Snapshot| {
        let data = snapshot.data().clone();
        snapshot.next(data, Trigger::Source, NOW, HistoryLimits::default())
    };
    let Step::Revision(next) = again(&ours) else {
        panic!("its attributes are not known to be those");
    };
    assert!(next.knows_all());
    assert_eq!((next.serial(), next.revision()), (ours.serial(), 1));
    assert!(matches!(again(&next), Step::Unchanged));
}

#[test]
fn steps_lead_forward() {
    assert!(read(|_| {}).is_ok());
    let refused = |change: fn(&mut Manifest)| match read(change) {
        Err(ManifestError::Inconsistent(what)) => what,
        other => panic!("{other:?}"),
    };
    let back = "a step does not lead forward";
    let to = |manifest: &mut Manifest, to: Serial| {
        manifest.deltas.last_mut().unwrap().to = to;
        manifest.serial = to;
    };
    for (number, what) in [
        (1, back),
        (u32::MAX, back),
        (1 + (1 << 31), back),
        (0, "serial 0 is never issued"),
    ] {
        let error = read(|manifest| to(manifest, Serial::new(number))).unwrap_err();
        assert_eq!(error, ManifestError::Inconsistent(what), "{number}");
    }
    // Each leads forward, and all together lead round.
    let round = refused(|manifest| {
        let last = *manifest.deltas.last().unwrap();
        let [half, whole] = [1, 2].map(|n| Serial::new(1 + (n << 30)));
        manifest.deltas.last_mut().unwrap().to = half;
        let (from, to) = (half, whole);
        let digest = Digest::of(b"");
        manifest.deltas.push(DeltaRef {
            from,
            to,
            digest,
            ..last
        });
        manifest.serial = whole;
    });
    assert_eq!(round, back);
    let zero = refused(|manifest| {
        let first = manifest.deltas[0];
        let (from, to) = (Serial::new(0), first.from);
        manifest.deltas.insert(0, DeltaRef { from, to, ..first });
    });
    assert_eq!(zero, "serial 0 is never issued");
    // A step that is left out.
    let chain = refused(|manifest| {
        manifest.deltas.remove(2);
    });
    assert_eq!(chain, "the steps are no chain");
    let end = refused(|manifest| {
        manifest.deltas.pop();
    });
    assert_eq!(end, "the last step does not lead to the serial");
}

/// Nobody loops over the serials that a jump passes, and what has no order is not written.
#[test]
fn serials_jump_as_often_as_they_have_an_order() {
    let serials = history();
    let mut manifest = manifest(&serials, 3, None);
    manifest.deltas.clear();
    manifest.snapshot.digest = snapshot::digest(serials[3].payload());
    let mut jumps = 0;
    let error = loop {
        match manifest.clone().taken_over(NOW) {
            Ok(after) => manifest = after,
            Err(error) => break error,
        }
        jumps += 1;
        assert!(jumps < 3_000);
    };
    assert_eq!(jumps, 2_047);
    let back = "a step does not lead forward";
    assert_eq!(error, ManifestError::Inconsistent(back));
    assert_eq!(manifest.place_of(serials[3].serial()), Some(0));
    // Once the set is written anew, it goes on.
    manifest.snapshot.serial = manifest.serial;
    manifest.trim(10);
    assert!(manifest.taken_over(NOW).is_ok());
}
