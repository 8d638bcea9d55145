//! Histories that come from elsewhere: from before a restart, or from a leader.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::{Entry, Generation, Known, Published, Snapshot};
use crate::payload::DataSet;
use crate::rtr::serial::Serial;
use crate::rtr::view::{HistoryName, SessionIds};

/// All that a history is: what was served last, and how it came to that.
#[derive(Debug)]
pub struct Restored {
    /// Its name, from which the Session IDs of versions 1 and 2 follow.
    pub name: HistoryName,
    /// The serial of the set.
    pub serial: Serial,
    /// The revision of that serial.
    pub revision: u64,
    /// The set.
    pub data: DataSet,
    /// Of which moment its attributes are, `None` when they are of none.
    pub known: Option<Known>,
    /// The steps that are known, oldest first; the last one leads to the serial.
    pub steps: Vec<Arc<Entry>>,
    /// Where the Session IDs of version 0 begin. They are of one process, so this has to be
    /// another number, by chance, at each start: GoBGP keeps what vanished while an id is away.
    pub v0_turn: u16,
}

/// Steps that are no way to the serial.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RestoreError {
    /// A step does not begin where the one before ends, or the last one not where it should end.
    Gap {
        /// The serial where it should.
        expected: Serial,
        /// The serial where it does.
        found: Serial,
    },
    /// A step does not lead forward, or begins so long before the end that the two serials have
    /// no order (RFC 1982 §3.2).
    Order {
        /// The serial where it begins.
        from: Serial,
        /// The serial that it leads to.
        to: Serial,
    },
    /// A step to the next serial changes nothing, so there is no such serial.
    Empty(Serial),
    /// The serial was issued with other data before.
    Conflict(Serial),
    /// The serial is 0, which is never issued.
    Zero,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { expected, found } => {
                write!(f, "a step at serial {found} where {expected} was expected")
            }
            Self::Order { from, to } => {
                write!(
                    f,
                    "a step leads from serial {from} to {to}, which is no way forward"
                )
            }
            Self::Empty(serial) => write!(f, "the step to serial {serial} changes nothing"),
            Self::Conflict(serial) => write!(f, "serial {serial} had other data before"),
            Self::Zero => f.write_str("serial 0 is never issued"),
        }
    }
}

impl Error for RestoreError {}

impl Snapshot {
    /// What was served last in a history of which this process has served nothing yet.
    ///
    /// It tells the Session IDs that it told then, answers every serial that its steps reach, and
    /// goes on with [`next`](Self::next). Sessions of version 0 are not known any more.
    ///
    /// # Errors
    ///
    /// When the steps are no way to the serial.
    pub fn restore(history: Restored) -> Result<Self, RestoreError> {
        let ids = Arc::new(SessionIds::starting(history.name, history.v0_turn));
        Self::restored(history, ids, Arc::new(Generation(0)))
    }

    /// What is served after this snapshot when it is said elsewhere: a later serial or revision
    /// of the same history, which keeps its sessions of version 0, or another history.
    ///
    /// # Errors
    ///
    /// When the steps are no way to the serial, or the serial of this snapshot has other data.
    pub fn restore_after(&self, history: Restored) -> Result<Self, RestoreError> {
        let published = &self.published;
        if published.name != history.name {
            let ids = Arc::new(SessionIds::starting(history.name, history.v0_turn));
            return Self::restored(history, ids, published.generation.next());
        }
        if published.serial == history.serial {
            if published.payload != *history.data.payload() {
                return Err(RestoreError::Conflict(history.serial));
            }
            check(&history)?;
            return Ok(Self {
                published: Arc::clone(published),
                revision: history.revision,
                data: history.data,
                known: history.known,
            });
        }
        Self::restored(
            history,
            Arc::clone(&published.ids),
            published.generation.next(),
        )
    }

    /// This snapshot as what is served after `previous`, whatever it was made from: a later serial
    /// or revision of the same history, which keeps its sessions of version 0, or another history.
    /// Images that were made for this one stay with it.
    ///
    /// # Errors
    ///
    /// When its serial had other data.
    pub fn following(&self, previous: &Self) -> Result<Self, RestoreError> {
        let (new, old) = (&self.published, &previous.published);
        let same = new.name == old.name;
        if same && new.serial == old.serial {
            return match new.payload == old.payload {
                false => Err(RestoreError::Conflict(new.serial)),
                true => Ok(Self {
                    published: Arc::clone(old),
                    revision: self.revision,
                    data: self.data.clone(),
                    known: self.known,
                }),
            };
        }
        let published = Published {
            name: new.name,
            ids: Arc::clone(if same { &old.ids } else { &new.ids }),
            serial: new.serial,
            generation: old.generation.next(),
            payload: new.payload.clone(),
            full: Default::default(),
            increments: new.entries.iter().map(|_| OnceLock::new()).collect(),
            entries: new.entries.clone(),
        };
        Ok(Self {
            published: Arc::new(published),
            revision: self.revision,
            data: self.data.clone(),
            known: self.known,
        })
    }

    fn restored(
        history: Restored,
        ids: Arc<SessionIds>,
        generation: Arc<Generation>,
    ) -> Result<Self, RestoreError> {
        check(&history)?;
        let entries = VecDeque::from(history.steps);
        let published = Published {
            name: history.name,
            ids,
            serial: history.serial,
            generation,
            payload: history.data.payload().clone(),
            full: Default::default(),
            increments: entries.iter().map(|_| OnceLock::new()).collect(),
            entries,
        };
        Ok(Self {
            published: Arc::new(published),
            revision: history.revision,
            data: history.data,
            known: history.known,
        })
    }
}

fn check(history: &Restored) -> Result<(), RestoreError> {
    if history.serial == Serial::new(0) {
        return Err(RestoreError::Zero);
    }
    let mut at = None;
    for step in &history.steps {
        let expected = at.unwrap_or(step.from);
        if step.from != expected {
            let found = step.from;
            return Err(RestoreError::Gap { expected, found });
        }
        let (from, to) = (step.from, step.serial);
        if from == Serial::new(0) || to == Serial::new(0) {
            return Err(RestoreError::Zero);
        }
        // No serial comes twice on a way of which each part begins before its end.
        let forward = from < to && from < history.serial;
        if !forward {
            return Err(RestoreError::Order { from, to });
        }
        // A jump may change nothing.
        if step.delta.is_empty() && to == from.next() {
            return Err(RestoreError::Empty(to));
        }
        at = Some(step.serial);
    }
    match at {
        Some(found) if found != history.serial => Err(RestoreError::Gap {
            expected: history.serial,
            found,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, HistoryLimits, Since, Step, Trigger};
    use super::*;
    use crate::payload::{Asn, Attribute, Delta, Kinds, RowsBuilder, UnixTime, Vrp};
    use crate::rtr::{Version, View};

    const NAME: HistoryName = HistoryName::new([7; 16]);

    fn data(numbers: &[u32]) -> DataSet {
        let mut rows = RowsBuilder::new();
        for number in numbers {
            let prefix = format!("10.0.{number}.0/24").parse().unwrap();
            let vrp = Vrp::new(prefix, 24, Asn::new(*number)).unwrap();
            rows.push_vrp(vrp, Attribute::default());
        }
        DataSet::new(&rows.finish())
    }

    fn next(snapshot: &Snapshot, numbers: &[u32]) -> Snapshot {
        let limits = HistoryLimits::default();
        let (data, now) = (data(numbers), UnixTime::new(1_000));
        match snapshot.next(data, Trigger::Source, now, limits) {
            Step::Serial(next) | Step::Revision(next) => next,
            Step::Unchanged => panic!("nothing changed"),
        }
    }

    fn taken_apart(snapshot: &Snapshot) -> Restored {
        Restored {
            v0_turn: 0,
            name: snapshot.name(),
            serial: snapshot.serial(),
            revision: snapshot.revision(),
            data: snapshot.data().clone(),
            known: snapshot.known(),
            steps: snapshot.entries().cloned().collect(),
        }
    }

    fn leading(step: &Entry, to: Serial, delta: Delta) -> Entry {
        Entry::new(step.from(), to, step.time(), step.trigger(), delta)
    }

    fn octets(snapshot: &Snapshot, since: Option<usize>) -> Vec<u8> {
        let version = Version::V2;
        let image = snapshot.image(Answer { version, since }).unwrap();
        image.segments(Kinds::ALL).flatten().copied().collect()
    }

    #[test]
    fn what_comes_back_answers_as_before() {
        let mut old = Snapshot::first_after(NAME, Serial::new(u32::MAX - 2), data(&[1, 2]));
        for numbers in [&[2, 3][..], &[1, 2, 3], &[3]] {
            old = next(&old, numbers);
        }
        let new = Snapshot::restore(taken_apart(&old)).unwrap();
        assert_eq!(new.serial(), Serial::new(2));
        for version in [Version::V1, Version::V2] {
            let view = View::new(version, Kinds::ALL);
            assert_eq!(new.session_id(view), old.session_id(view));
        }
        assert_eq!(octets(&new, None), octets(&old, None));
        let serials: Vec<Serial> = old.entries().map(|entry| entry.from()).collect();
        assert_eq!(serials.len(), 3);
        for serial in serials {
            let since = new.since(serial);
            assert_eq!(since, old.since(serial));
            let Some(Since::Step(place)) = since else {
                panic!("{serial} is not kept");
            };
            assert_eq!(octets(&new, Some(place)), octets(&old, Some(place)));
        }
        let after = next(&new, &[4]);
        assert_eq!((after.serial(), after.entries().len()), (Serial::new(3), 4));
        assert_eq!(after.generation().number(), 1);
    }

    #[test]
    fn a_mirror_keeps_its_sessions() {
        let leader = Snapshot::first(NAME, data(&[1]));
        let mirror = Snapshot::restore(taken_apart(&leader)).unwrap();
        let v0 = View::new(Version::V0, Kinds::ALL);
        let id = mirror.session_id(v0);
        let leader = next(&leader, &[1, 2]);
        let later = mirror.restore_after(taken_apart(&leader)).unwrap();
        assert!(later.serves(v0, id));
        assert_eq!(later.generation().number(), 1);
        let mut revised = taken_apart(&leader);
        revised.revision = 5;
        let revised = later.restore_after(revised).unwrap();
        assert!(Arc::ptr_eq(&later.published, &revised.published));
        assert_eq!(revised.revision(), 5);
        let mut conflict = taken_apart(&leader);
        conflict.data = data(&[1, 3]);
        let conflict = later.restore_after(conflict).unwrap_err();
        assert_eq!(conflict, RestoreError::Conflict(leader.serial()));
        let other = Snapshot::first(HistoryName::new([8; 16]), data(&[1]));
        let other = later.restore_after(taken_apart(&other)).unwrap();
        assert!(!other.serves(v0, id));
        assert_eq!(other.generation().number(), 2);
    }

    #[test]
    fn steps_that_lead_elsewhere_are_refused() {
        let old = next(&next(&Snapshot::first(NAME, data(&[1])), &[2]), &[3]);
        let refused = |change: fn(&mut Restored)| {
            let mut history = taken_apart(&old);
            change(&mut history);
            Snapshot::restore(history).unwrap_err()
        };
        let gap = |expected, found| RestoreError::Gap {
            expected: Serial::new(expected),
            found: Serial::new(found),
        };
        assert_eq!(
            refused(|history| history.serial = Serial::new(4)),
            gap(4, 3)
        );
        assert_eq!(refused(|history| history.steps.truncate(1)), gap(3, 2));
        assert_eq!(refused(|history| history.steps.reverse()), gap(3, 1));
        assert_eq!(
            refused(|history| {
                let step = &history.steps[1];
                history.steps[1] = Arc::new(leading(step, step.serial(), Delta::default()));
            }),
            RestoreError::Empty(Serial::new(3))
        );
        assert_eq!(
            refused(|history| history.serial = Serial::new(0)),
            RestoreError::Zero
        );
    }

    #[test]
    fn a_step_may_jump_and_change_nothing() {
        let first = Snapshot::first_after(NAME, Serial::new(u32::MAX - 3), data(&[1]));
        let old = next(&first, &[2]);
        let (from, to) = (old.serial(), old.serial().jump());
        let jumped = |to: Serial| {
            let mut history = taken_apart(&old);
            let (time, delta) = (UnixTime::new(1_000), Delta::default());
            let step = Entry::new(from, to, time, Trigger::Takeover, delta);
            history.steps.push(Arc::new(step));
            history.serial = to;
            Snapshot::restore(history)
        };
        let new = next(&jumped(to).unwrap(), &[3]);
        assert_eq!(new.serial(), to.next());
        let exact = octets(&next(&old, &[3]), Some(1));
        for serial in [from, to] {
            let Some(Since::Step(place)) = new.since(serial) else {
                panic!("{serial} is not kept");
            };
            assert_eq!(octets(&new, Some(place)), exact);
        }
        assert!(new.since(first.serial()).is_some());
        // Who has not followed the jump may have anything.
        let strangers = [
            from.next(),
            Serial::new(to.into_u32() - 1),
            to.next().next(),
        ];
        assert!(strangers.iter().all(|serial| new.since(*serial).is_none()));
        // Nobody who has the set hears of it.
        let jumped_to = jumped(to).unwrap();
        assert!(!jumped_to.changed_since(from, Kinds::ALL));

        // Nowhere, and so far away that the step before has no order with the end, either.
        for number in [0, 1 << 31] {
            let to = Serial::new(from.into_u32().wrapping_add(number));
            let refused = jumped(to).unwrap_err();
            assert!(matches!(refused, RestoreError::Order { .. }), "{refused}");
        }
        assert_eq!(jumped(Serial::new(0)).unwrap_err(), RestoreError::Zero);
        // Two jumps of a quarter are one with no order.
        let mut history = taken_apart(&old);
        let [half, whole] =
            [1, 2].map(|n| Serial::new(first.serial().into_u32().wrapping_add(n << 30)));
        let step = Arc::clone(&history.steps[0]);
        let far = Entry::new(
            half,
            whole,
            step.time(),
            step.trigger(),
            step.delta().clone(),
        );
        history.steps = vec![
            Arc::new(leading(&step, half, step.delta().clone())),
            Arc::new(far),
        ];
        history.serial = whole;
        let (from, to) = (first.serial(), half);
        let refused = Snapshot::restore(history).unwrap_err();
        assert_eq!(refused, RestoreError::Order { from, to });
    }
}
