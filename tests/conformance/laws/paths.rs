//! Verification of AS paths against a search for a shape, and what a merge of ASPAs keeps.

use rutter::payload::aspa_path::{
    Attestation, Neighbor, PathElement, PathState, Procedure, Reason,
};
use rutter::payload::merge::{Contribution, merge};
use rutter::payload::{Asn, Aspa, Attribute, DataSet, PayloadSet, Rows, RowsBuilder};

use super::Rng;

const ASES: u64 = 6;

fn asn(rng: &mut Rng) -> Asn {
    Asn::new(1 + rng.below(ASES) as u32)
}

/// Records of a few customers, AS0 and several of one customer among them.
fn rows(rng: &mut Rng) -> Rows {
    let mut rows = RowsBuilder::new();
    for _ in 0..rng.below(2 * ASES) {
        let customer = asn(rng);
        let mut providers: Vec<Asn> = (0..1 + rng.below(3)).map(|_| asn(rng)).collect();
        providers.retain(|provider| *provider != customer);
        if rng.one_in(6) || providers.is_empty() {
            providers = vec![Asn::ZERO];
        }
        rows.push_aspa(
            Aspa::new(customer, providers).unwrap(),
            Attribute::default(),
        );
    }
    rows.finish()
}

fn path(rng: &mut Rng) -> Vec<Asn> {
    (0..1 + rng.below(5)).map(|_| asn(rng)).collect()
}

fn state(set: &PayloadSet, path: &[Asn], procedure: Procedure) -> PathState {
    let elements: Vec<PathElement> = path.iter().copied().map(PathElement::As).collect();
    let neighbor = Neighbor::As(path[0]);
    set.path_validity(&elements, procedure, neighbor).state
}

/// Whether some first ASes from the origin go up and some from the neighbour go down so that all
/// are in one or the other: the two may meet in an AS or in a hop between two.
fn has_shape(set: &PayloadSet, path: &[Asn], procedure: Procedure, missing: bool) -> bool {
    let attested = |customer: Asn, provider: Asn| match set.aspa(customer) {
        None => missing,
        Some(aspa) => provider != Asn::ZERO && aspa.providers().contains(&provider),
    };
    let mut path = path.to_vec();
    path.dedup();
    // From the origin to the neighbour.
    path.reverse();
    let goes_up = |part: &[Asn]| part.windows(2).all(|hop| attested(hop[0], hop[1]));
    let goes_down = |part: &[Asn]| part.windows(2).all(|hop| attested(hop[1], hop[0]));
    match procedure {
        Procedure::Upstream => goes_up(&path),
        Procedure::Downstream => {
            (0..=path.len()).any(|top| goes_up(&path[..top]) && goes_down(&path[top..]))
        }
    }
}

#[test]
fn path_states_are_those_of_a_search() {
    let mut rng = Rng(80);
    let mut states = [0; 3];
    for _ in 0..400 {
        let data = DataSet::new(&rows(&mut rng));
        let set = data.payload();
        for _ in 0..30 {
            let path = path(&mut rng);
            for procedure in [Procedure::Upstream, Procedure::Downstream] {
                let expected = if has_shape(set, &path, procedure, false) {
                    PathState::Valid
                } else if has_shape(set, &path, procedure, true) {
                    PathState::Unknown
                } else {
                    PathState::Invalid
                };
                let found = state(set, &path, procedure);
                assert_eq!(found, expected, "{path:?} {procedure:?} {set:?}");
                states[found as usize] += 1;
            }
        }
    }
    assert!(states.iter().all(|count| *count > 1_000), "{states:?}");
}

fn merged(sources: &[Rows], least: usize) -> DataSet {
    let places = sources.iter().enumerate();
    let contributions = places.map(|(place, rows)| Contribution { place, rows });
    DataSet::new(&merge(&contributions.collect::<Vec<_>>(), least))
}

/// A hop that a merge denies is denied by each of its sources that knows the customer.
#[test]
fn a_merge_denies_no_hop_that_a_source_attests() {
    let mut rng = Rng(81);
    let mut denied = 0;
    for _ in 0..400 {
        let sources: Vec<Rows> = (0..1 + rng.below(4)).map(|_| rows(&mut rng)).collect();
        let sets: Vec<DataSet> = sources.iter().map(DataSet::new).collect();
        for least in 1..=3 {
            let merged = merged(&sources, least);
            for _ in 0..30 {
                let (customer, provider) = (asn(&mut rng), asn(&mut rng));
                let of = |set: &DataSet| set.payload().attestation(customer, provider);
                if of(&merged) == Attestation::NotProvider {
                    assert!(sets.iter().all(|set| of(set) != Attestation::Provider));
                    let deny = sets.iter().filter(|s| of(s) == Attestation::NotProvider);
                    assert!(deny.count() >= least);
                    denied += 1;
                }
            }
        }
    }
    assert!(denied > 1_000, "{denied}");
}

#[test]
fn a_merge_never_makes_a_path_invalid_that_every_source_allows() {
    let mut rng = Rng(82);
    let mut invalid = [0; 2];
    for _ in 0..400 {
        let sources: Vec<Rows> = (0..1 + rng.below(4)).map(|_| rows(&mut rng)).collect();
        let sets: Vec<DataSet> = sources.iter().map(DataSet::new).collect();
        let customers = |set: &DataSet| -> Vec<Asn> {
            set.payload().aspas().iter().map(Aspa::customer).collect()
        };
        let same_customers = sets
            .windows(2)
            .all(|s| customers(&s[0]) == customers(&s[1]));
        for least in 1..=3 {
            let merged = merged(&sources, least);
            for _ in 0..30 {
                let path = path(&mut rng);
                // A path downstream is denied by two hops, of which each source may know one.
                let procedures = [Procedure::Upstream, Procedure::Downstream];
                let told = if same_customers { 2 } else { 1 };
                for (count, procedure) in invalid.iter_mut().zip(procedures).take(told) {
                    if state(merged.payload(), &path, procedure) == PathState::Invalid {
                        let deny = sets.iter().any(|set| {
                            state(set.payload(), &path, procedure) == PathState::Invalid
                        });
                        assert!(deny, "{path:?} {procedure:?} {sources:?}");
                        *count += 1;
                    }
                }
            }
        }
    }
    assert!(invalid.iter().all(|count| *count > 300), "{invalid:?}");
}

/// What the law above leaves out: together, sources can know of a leak what neither does alone.
#[test]
fn sources_of_different_customers_can_deny_a_leak_together() {
    let one = |customer, provider| {
        let mut rows = RowsBuilder::new();
        let aspa = Aspa::new(Asn::new(customer), vec![Asn::new(provider)]).unwrap();
        rows.push_aspa(aspa, Attribute::default());
        rows.finish()
    };
    // 4 hands to 3, not its provider; 1 has it from 2, not its provider either.
    let sources = [one(4, 9), one(1, 9)];
    let path = [1, 2, 3, 4].map(Asn::new);
    for source in &sources {
        let data = DataSet::new(source);
        let alone = state(data.payload(), &path, Procedure::Downstream);
        assert_eq!(alone, PathState::Unknown);
    }
    let elements = path.map(PathElement::As);
    let both = merged(&sources, 1);
    let neighbor = Neighbor::As(path[0]);
    let found = both
        .payload()
        .path_validity(&elements, Procedure::Downstream, neighbor);
    assert_eq!(found.state, PathState::Invalid);
    assert!(matches!(
        found.reason,
        Reason::Hops {
            up_stop: Some(_),
            down_stop: Some(_),
            ..
        }
    ));
}
