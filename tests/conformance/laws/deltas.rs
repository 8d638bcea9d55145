//! Sets, the differences between them, and changes one at a time.

use std::cmp::Reverse;

use rutter::payload::delta::Fault;
use rutter::payload::{Asn, Delta, Edits, PayloadSet};

use super::model::{Record, aspa, key};
use super::{Model, Rng};

/// The order of 8210bis §11.2, written once more.
fn assert_wire_order(set: &PayloadSet) {
    let v4 = |v: &rutter::payload::vrp::VrpV4| {
        Reverse((v.address(), v.max_len(), v.prefix_len(), v.asn().into_u32()))
    };
    let v6 = |v: &rutter::payload::vrp::VrpV6| {
        Reverse((v.address(), v.max_len(), v.prefix_len(), v.asn().into_u32()))
    };
    assert!(set.v4().is_sorted_by(|a, b| v4(a) < v4(b)));
    assert!(set.v6().is_sorted_by(|a, b| v6(a) < v6(b)));
    let order =
        |k: &rutter::payload::RouterKey| (*k.ski(), k.key().len(), k.key().to_vec(), k.asn());
    assert!(set.router_keys().is_sorted_by(|a, b| order(a) < order(b)));
    assert!(set.aspas().is_sorted_by(|a, b| a.customer() < b.customer()));
}

/// What a delta does, as the records that come and go; a replaced ASPA only comes.
fn changes(delta: &Delta) -> (Model, Vec<Record>) {
    let mut come = Model::default();
    let mut gone = Vec::new();
    for vrp in delta.v4().announced() {
        let asn = vrp.asn().into_u32();
        come.v4
            .insert((vrp.address(), vrp.prefix_len(), vrp.max_len(), asn));
    }
    for vrp in delta.v4().withdrawn() {
        let asn = vrp.asn().into_u32();
        gone.push(Record::V4((
            vrp.address(),
            vrp.prefix_len(),
            vrp.max_len(),
            asn,
        )));
    }
    for vrp in delta.v6().announced() {
        let asn = vrp.asn().into_u32();
        come.v6
            .insert((vrp.address(), vrp.prefix_len(), vrp.max_len(), asn));
    }
    for vrp in delta.v6().withdrawn() {
        let asn = vrp.asn().into_u32();
        gone.push(Record::V6((
            vrp.address(),
            vrp.prefix_len(),
            vrp.max_len(),
            asn,
        )));
    }
    for key in delta.router_keys().announced() {
        let asn = key.asn().into_u32();
        come.keys.insert((key.ski()[0], key.key().to_vec(), asn));
    }
    for key in delta.router_keys().withdrawn() {
        let asn = key.asn().into_u32();
        gone.push(Record::Key((key.ski()[0], key.key().to_vec(), asn)));
    }
    for change in delta.aspas() {
        let providers = |aspa: &rutter::payload::Aspa| {
            aspa.providers().iter().map(|asn| asn.into_u32()).collect()
        };
        let customer = change.customer().into_u32();
        match (change.announced(), change.before()) {
            (Some(after), _) => {
                come.aspas.insert(customer, providers(after));
            }
            (None, Some(before)) => gone.push(Record::Aspa(customer, providers(before))),
            (None, None) => panic!("a change without sides"),
        }
    }
    (come, gone)
}

#[test]
fn sets_are_what_was_put_in_and_in_wire_order() {
    let mut rng = Rng(1);
    for _ in 0..500 {
        let model = Model::random(&mut rng);
        let set = model.set();
        assert_eq!(Model::from(&set), model);
        assert_wire_order(&set);
    }
}

#[test]
fn differences_are_minimal_and_lead_to_the_set() {
    let mut rng = Rng(2);
    for _ in 0..1000 {
        let old = Model::random(&mut rng);
        let new = match rng.below(4) {
            0 => Model::random(&mut rng),
            _ => old.changed(&mut rng),
        };
        let (old_set, new_set) = (old.set(), new.set());
        let delta = Delta::between(&old_set, &new_set);
        let (mut come, mut gone) = new.difference(&old);
        let (found_come, mut found_gone) = changes(&delta);
        let mut found_come = found_come.records();
        for records in [&mut come, &mut gone, &mut found_come, &mut found_gone] {
            records.sort();
        }
        assert_eq!((&found_come, &found_gone), (&come, &gone));
        assert_eq!(
            (delta.announced(), delta.withdrawn()),
            (come.len(), gone.len())
        );
        assert_eq!(delta.len(), come.len() + gone.len());
        assert_eq!(delta.is_empty(), old == new);
        assert_eq!(delta.apply(&old_set).as_ref(), Ok(&new_set));
        assert_wire_order(&delta.apply(&old_set).unwrap());
    }
}

#[test]
fn differences_compose() {
    let mut rng = Rng(3);
    for _ in 0..300 {
        let mut models = vec![Model::random(&mut rng)];
        for _ in 0..6 {
            let next = match rng.below(5) {
                // Back to an earlier one: flaps of everything that changed.
                0 => models[rng.below(models.len() as u64) as usize].clone(),
                _ => models[models.len() - 1].changed(&mut rng),
            };
            models.push(next);
        }
        let sets: Vec<PayloadSet> = models.iter().map(Model::set).collect();
        let steps: Vec<Delta> = sets
            .windows(2)
            .map(|pair| Delta::between(&pair[0], &pair[1]))
            .collect();
        for from in 0..sets.len() {
            for to in from..sets.len() {
                let some: Vec<&Delta> = steps[from..to].iter().collect();
                let composed = Delta::compose(&some);
                let between = Delta::between(&sets[from], &sets[to]);
                assert_eq!(composed, between);
                assert_eq!(composed.apply(&sets[from]).as_ref(), Ok(&sets[to]));
            }
            // And compositions of compositions.
            let (a, b) = steps.split_at(from.min(steps.len()));
            let a = Delta::compose(&a.iter().collect::<Vec<_>>());
            let b = Delta::compose(&b.iter().collect::<Vec<_>>());
            let whole = Delta::between(&sets[0], &sets[sets.len() - 1]);
            assert_eq!(Delta::compose(&[&a, &b]), whole);
        }
    }
}

/// Applied elsewhere, a delta fails exactly when a change does not fit.
#[test]
fn deltas_do_not_fit_where_they_do_not_begin() {
    let mut rng = Rng(4);
    let (mut fitted, mut failed) = (0, 0);
    for _ in 0..2000 {
        let old = Model::random(&mut rng);
        let new = old.changed(&mut rng);
        let other = old.changed(&mut rng);
        let delta = Delta::between(&old.set(), &new.set());
        let fits = fits(&old, &new, &other);
        let applied = delta.apply(&other.set());
        assert_eq!(applied.is_ok(), fits, "{delta:?} to {other:?}");
        match applied {
            Ok(set) => {
                fitted += 1;
                let mut expected = other.clone();
                let (come, gone) = new.difference(&old);
                gone.iter()
                    .for_each(|record| assert!(expected.remove(record)));
                come.into_iter()
                    .for_each(|record| assert!(expected.insert(record)));
                assert_eq!(Model::from(&set), expected);
            }
            Err(_) => failed += 1,
        }
    }
    assert!(fitted > 100 && failed > 100, "{fitted} {failed}");
}

fn fits(old: &Model, new: &Model, other: &Model) -> bool {
    let (come, gone) = new.difference(old);
    let there = other.records();
    let come = come.iter().all(|record| match record {
        Record::Aspa(customer, _) => other.aspas.get(customer) == old.aspas.get(customer),
        _ => !there.contains(record),
    });
    come && gone.iter().all(|record| there.contains(record))
}

#[test]
fn edits_amount_to_the_difference() {
    let mut rng = Rng(5);
    let mut faults = 0;
    for _ in 0..1000 {
        let old = Model::random(&mut rng);
        let mut model = old.clone();
        let mut edits = Edits::new(old.set());
        for _ in 0..rng.below(30) {
            let record = Record::random(&mut rng);
            let comes = rng.one_in(2);
            let done = match (&record, comes) {
                (Record::Key(value), true) => edits.announce_router_key(key(value)),
                (Record::Key(value), false) => edits.withdraw_router_key(key(value)),
                (Record::Aspa(customer, providers), true) => {
                    edits.announce_aspa(aspa(*customer, providers));
                    Ok(())
                }
                (Record::Aspa(customer, _), false) => edits.withdraw_aspa(Asn::new(*customer)),
                (_, true) => edits.announce_vrp(record.vrp().unwrap()),
                (_, false) => edits.withdraw_vrp(record.vrp().unwrap()),
            };
            let expected = match comes {
                true => model
                    .insert(record)
                    .then_some(())
                    .ok_or(Fault::DuplicateAnnouncement),
                false => model
                    .remove(&record)
                    .then_some(())
                    .ok_or(Fault::WithdrawalOfUnknown),
            };
            assert_eq!(done, expected);
            faults += usize::from(done.is_err());
        }
        let set = edits.finish();
        assert_eq!(Model::from(&set), model);
        assert_eq!(set, model.set());
        let delta = Delta::between(&old.set(), &set);
        assert_eq!(delta.apply(&old.set()), Ok(set));
    }
    assert!(faults > 100);
}
