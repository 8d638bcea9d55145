//! How one set becomes another.

use std::fmt;

use super::asn::Asn;
use super::aspa::Aspa;
use super::kind::{Kind, Kinds};
use super::router_key::RouterKey;
use super::set::PayloadSet;
use super::vrp::{VrpV4, VrpV6};
use super::walk;

/// The difference between two sets: per record at most one change, and none that cancels out
/// (8210bis §5.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
    v4: Changes<VrpV4>,
    v6: Changes<VrpV6>,
    router_keys: Changes<RouterKey>,
    aspas: Vec<AspaChange>,
}

/// Records of one kind that came and went, both in the order of announcements.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes<T> {
    announced: Vec<T>,
    withdrawn: Vec<T>,
}

impl<T> Changes<T> {
    /// The records that came, in wire order.
    pub fn announced(&self) -> &[T] {
        &self.announced
    }

    /// The records that went, in the order of announcements; prefixes travel in the reverse.
    pub fn withdrawn(&self) -> &[T] {
        &self.withdrawn
    }

    fn len(&self) -> usize {
        self.announced.len() + self.withdrawn.len()
    }
}

impl<T: Ord> Changes<T> {
    /// Changes as they come back from where they were kept; `None` unless both lists are in the
    /// order of announcements, each record once, and no record is in both. Costs one pass.
    pub fn new(announced: Vec<T>, withdrawn: Vec<T>) -> Option<Self> {
        let ordered = |list: &[T]| list.is_sorted_by(|a, b| a < b);
        let mut apart = ordered(&announced) && ordered(&withdrawn);
        if apart {
            walk::pair(announced.iter(), withdrawn.iter(), T::cmp, |come, gone| {
                apart &= come.is_none() || gone.is_none();
            });
        }
        apart.then_some(Self {
            announced,
            withdrawn,
        })
    }
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self {
            announced: Vec::new(),
            withdrawn: Vec::new(),
        }
    }
}

/// What became of one customer's ASPA. Both sides are kept: whether two changes cancel out
/// cannot be known from the later one alone. At least one is there, and they differ.
#[derive(Clone, Debug, PartialEq)]
pub struct AspaChange {
    customer: Asn,
    before: Option<Aspa>,
    after: Option<Aspa>,
}

impl AspaChange {
    /// The change from one ASPA to another of the same customer; `None` when it is none.
    pub fn new(before: Option<Aspa>, after: Option<Aspa>) -> Option<Self> {
        let customer = before.as_ref().or(after.as_ref()).map(Aspa::customer)?;
        let same = |aspa: &Aspa| aspa.customer() == customer;
        let change = before != after && after.as_ref().is_none_or(same);
        change.then_some(Self {
            customer,
            before,
            after,
        })
    }

    /// The customer.
    pub const fn customer(&self) -> Asn {
        self.customer
    }

    /// The new ASPA, which replaces what was there; `None` when it was withdrawn.
    pub const fn announced(&self) -> Option<&Aspa> {
        self.after.as_ref()
    }

    /// The ASPA before, `None` when the customer had none.
    pub const fn before(&self) -> Option<&Aspa> {
        self.before.as_ref()
    }

    /// What is wrong where it does not fit.
    const fn mismatch(&self) -> Fault {
        match self.before {
            Some(_) => Fault::WithdrawalOfUnknown,
            None => Fault::DuplicateAnnouncement,
        }
    }
}

impl Delta {
    /// What makes `new` of `old`. Costs one pass over both.
    pub fn between(old: &PayloadSet, new: &PayloadSet) -> Self {
        let mut aspas = Vec::new();
        walk::pair(
            old.aspas().iter(),
            new.aspas().iter(),
            |a, b| a.customer().cmp(&b.customer()),
            |before, after| {
                if let Some(customer) = before.or(after).map(Aspa::customer)
                    && before != after
                {
                    let (before, after) = (before.cloned(), after.cloned());
                    aspas.push(AspaChange {
                        customer,
                        before,
                        after,
                    });
                }
            },
        );
        Self {
            v4: changes(old.v4(), new.v4()),
            v6: changes(old.v6(), new.v6()),
            router_keys: changes(old.router_keys(), new.router_keys()),
            aspas,
        }
    }

    /// The difference that these changes are, as they come back from where they were kept; `None`
    /// unless the customers of the ASPAs ascend.
    pub fn new(
        v4: Changes<VrpV4>,
        v6: Changes<VrpV6>,
        router_keys: Changes<RouterKey>,
        aspas: Vec<AspaChange>,
    ) -> Option<Self> {
        let ordered = aspas.is_sorted_by(|a, b| a.customer < b.customer);
        ordered.then_some(Self {
            v4,
            v6,
            router_keys,
            aspas,
        })
    }

    /// What several steps amount to, in the order given, each from where the one before ends.
    /// Costs a sort of all their changes.
    pub fn compose(steps: &[&Self]) -> Self {
        Self::composed(steps).0
    }

    /// The same of steps that may not fit together, as when they come from elsewhere.
    ///
    /// # Errors
    ///
    /// When one of them does not begin where the one before ends, as far as their changes show.
    pub fn chain(steps: &[&Self]) -> Result<Self, MismatchError> {
        match Self::composed(steps) {
            (delta, None) => Ok(delta),
            (_, Some(mismatch)) => Err(mismatch),
        }
    }

    fn composed(steps: &[&Self]) -> (Self, Option<MismatchError>) {
        let (v4, fault4) = composed(steps.iter().map(|step| &step.v4));
        let (v6, fault6) = composed(steps.iter().map(|step| &step.v6));
        let (router_keys, fault_keys) = composed(steps.iter().map(|step| &step.router_keys));
        let (aspas, fault_aspas) = composed_aspas(steps);
        let faults = [
            (Kind::Ipv4, fault4),
            (Kind::Ipv6, fault6),
            (Kind::RouterKey, fault_keys),
            (Kind::Aspa, fault_aspas),
        ];
        let mut mismatches = faults.into_iter().filter_map(|(kind, fault)| {
            let fault = fault?;
            Some(MismatchError { kind, fault })
        });
        let mismatch = mismatches.next();
        let delta = Self {
            v4,
            v6,
            router_keys,
            aspas,
        };
        (delta, mismatch)
    }

    /// The set that `old` becomes. Costs one pass over it.
    ///
    /// # Errors
    ///
    /// When the delta does not start from `old`: a record that comes is there already, or one
    /// that goes is not.
    pub fn apply(&self, old: &PayloadSet) -> Result<PayloadSet, MismatchError> {
        let aspas = applied_aspas(old.aspas(), &self.aspas)?;
        Ok(PayloadSet::from_ordered(
            applied(old.v4(), &self.v4, Kind::Ipv4)?,
            applied(old.v6(), &self.v6, Kind::Ipv6)?,
            applied(old.router_keys(), &self.router_keys, Kind::RouterKey)?,
            aspas,
        ))
    }

    /// The changes of IPv4 VRPs.
    pub const fn v4(&self) -> &Changes<VrpV4> {
        &self.v4
    }

    /// The changes of IPv6 VRPs.
    pub const fn v6(&self) -> &Changes<VrpV6> {
        &self.v6
    }

    /// The changes of router keys.
    pub const fn router_keys(&self) -> &Changes<RouterKey> {
        &self.router_keys
    }

    /// The changes of ASPAs, by customer, ascending.
    pub fn aspas(&self) -> &[AspaChange] {
        &self.aspas
    }

    /// How many payloads are announced, replaced ASPAs included.
    pub fn announced(&self) -> usize {
        let aspas = self
            .aspas
            .iter()
            .filter(|change| change.after.is_some())
            .count();
        self.v4.announced.len() + self.v6.announced.len() + self.router_keys.announced.len() + aspas
    }

    /// How many payloads are withdrawn.
    pub fn withdrawn(&self) -> usize {
        self.len() - self.announced()
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.router_keys.len() + self.aspas.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The kinds that change.
    pub fn kinds(&self) -> Kinds {
        let counts = [
            (Kind::Ipv4, self.v4.len()),
            (Kind::Ipv6, self.v6.len()),
            (Kind::RouterKey, self.router_keys.len()),
            (Kind::Aspa, self.aspas.len()),
        ];
        let changed = counts.into_iter().filter(|(_, count)| *count > 0);
        changed.fold(Kinds::NONE, |kinds, (kind, _)| kinds.with(kind))
    }
}

fn changes<T: Ord + Clone>(old: &[T], new: &[T]) -> Changes<T> {
    let mut changes = Changes::default();
    walk::pair(old.iter(), new.iter(), T::cmp, |before, after| {
        match (before, after) {
            (Some(gone), None) => changes.withdrawn.push(gone.clone()),
            (None, Some(come)) => changes.announced.push(come.clone()),
            _ => {}
        }
    });
    changes
}

/// A record alternates between coming and going, so an even number of changes cancels out and of
/// an odd number the last one counts, which is then also the first. Where it does not alternate,
/// the steps do not fit together.
fn composed<'a, T: Ord + Clone + 'a>(
    steps: impl Iterator<Item = &'a Changes<T>>,
) -> (Changes<T>, Option<Fault>) {
    let mut all: Vec<(&T, bool)> = Vec::new();
    for step in steps {
        all.extend(step.announced.iter().map(|record| (record, true)));
        all.extend(step.withdrawn.iter().map(|record| (record, false)));
    }
    // Stable, so that the changes of one record stay in the order of the steps.
    all.sort_by_key(|(record, _)| *record);
    let mut changes = Changes::default();
    let mut fault = None;
    for run in all.chunk_by(|(a, _), (b, _)| a == b) {
        if let Some([(_, comes), _]) = run.array_windows().find(|[(_, a), (_, b)]| a == b) {
            fault = Some(match comes {
                true => Fault::DuplicateAnnouncement,
                false => Fault::WithdrawalOfUnknown,
            });
        }
        match run {
            [(record, comes), rest @ ..] if rest.len().is_multiple_of(2) => {
                let half = if *comes {
                    &mut changes.announced
                } else {
                    &mut changes.withdrawn
                };
                half.push((*record).clone());
            }
            _ => {}
        }
    }
    (changes, fault)
}

fn composed_aspas(steps: &[&Delta]) -> (Vec<AspaChange>, Option<Fault>) {
    let mut all: Vec<&AspaChange> = steps.iter().flat_map(|step| &step.aspas).collect();
    all.sort_by_key(|change| change.customer);
    let mut composed = Vec::new();
    let mut fault = None;
    for run in all.chunk_by(|a, b| a.customer == b.customer) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        if let Some([_, wrong]) = run.array_windows().find(|[a, b]| a.after != b.before) {
            fault = Some(wrong.mismatch());
        }
        if first.before != last.after {
            composed.push(AspaChange {
                customer: first.customer,
                before: first.before.clone(),
                after: last.after.clone(),
            });
        }
    }
    (composed, fault)
}

/// Between two changes the records are copied as they are: a few changes cost little more than the
/// memory.
fn applied<T: Ord + Clone>(
    old: &[T],
    changes: &Changes<T>,
    kind: Kind,
) -> Result<Vec<T>, MismatchError> {
    let (comes, goes) = (&changes.announced, &changes.withdrawn);
    let mut new = Vec::with_capacity(old.len() + comes.len());
    let (mut rest, mut fault) = (old, None);
    walk::pair(comes.iter(), goes.iter(), T::cmp, |comes, goes| {
        let Some(record) = comes.or(goes) else {
            return;
        };
        let (before, others) = rest.split_at(walk::place(rest, record));
        new.extend_from_slice(before);
        new.extend(comes.cloned());
        let there = others.split_first().filter(|(first, _)| *first == record);
        rest = there.map_or(others, |(_, others)| others);
        match (there.is_some(), comes.is_some()) {
            (true, true) => fault = Some(Fault::DuplicateAnnouncement),
            (false, false) => fault = Some(Fault::WithdrawalOfUnknown),
            _ => {}
        }
    });
    new.extend_from_slice(rest);
    fault.map_or(Ok(new), |fault| Err(MismatchError { kind, fault }))
}

fn applied_aspas(old: &[Aspa], changes: &[AspaChange]) -> Result<Vec<Aspa>, MismatchError> {
    let mut new: Vec<Aspa> = Vec::with_capacity(old.len() + changes.len());
    let mut changes = changes.iter().peekable();
    let fault = |change: &AspaChange| MismatchError {
        kind: Kind::Aspa,
        fault: change.mismatch(),
    };
    for have in old {
        while let Some(change) = changes.next_if(|change| change.customer < have.customer()) {
            if change.before.is_some() {
                return Err(fault(change));
            }
            new.extend(change.after.clone());
        }
        match changes.next_if(|change| change.customer == have.customer()) {
            None => new.push(have.clone()),
            Some(change) if change.before.as_ref() == Some(have) => {
                new.extend(change.after.clone())
            }
            Some(change) => return Err(fault(change)),
        }
    }
    for change in changes {
        if change.before.is_some() {
            return Err(fault(change));
        }
        new.extend(change.after.clone());
    }
    Ok(new)
}

/// A delta that does not start from the set it was applied to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MismatchError {
    /// The kind of the payload.
    pub kind: Kind,
    /// What is wrong with it.
    pub fault: Fault,
}

/// How a change can fail to fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It announces what is there already.
    DuplicateAnnouncement,
    /// It withdraws what is not there.
    WithdrawalOfUnknown,
}

impl fmt::Display for MismatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::DuplicateAnnouncement => write!(f, "announces an {} twice", self.kind),
            Fault::WithdrawalOfUnknown => write!(f, "withdraws an unknown {}", self.kind),
        }
    }
}

impl std::error::Error for MismatchError {}
