//! Views and their Session IDs.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ring::digest::{SHA256, digest};

use super::version::Version;
use crate::payload::Kinds;

/// What a router sees of a history: a version, and the kinds of payload it may have.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct View {
    version: Version,
    kinds: Kinds,
}

impl View {
    /// The view of this version, narrowed to these kinds.
    pub const fn new(version: Version, allowed: Kinds) -> Self {
        Self {
            version,
            kinds: version.kinds().and(allowed),
        }
    }

    /// The version.
    pub const fn version(self) -> Version {
        self.version
    }

    /// The kinds that are in it.
    pub const fn kinds(self) -> Kinds {
        self.kinds
    }

    /// A number from 0 to 31 for each view of versions 1 and 2, `None` for version 0.
    fn index(self) -> Option<usize> {
        let base = match self.version {
            Version::V0 => return None,
            Version::V1 => 0,
            Version::V2 => 16,
        };
        Some(base + usize::from(self.kinds.index()))
    }
}

/// A Session ID: which run of serials a serial belongs to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SessionId(u16);

impl SessionId {
    /// The id with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn into_u16(self) -> u16 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a history: 128 random bits that the caller brings.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct HistoryName([u8; 16]);

impl HistoryName {
    /// The name of these random octets.
    pub const fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// Its octets.
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for HistoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// The Session IDs of the views of one history.
///
/// Those of versions 1 and 2 follow from the history's name alone, so that every server of the
/// same history tells the same. They are never 0 and differ from view to view, so that a router
/// whose view was changed meets a foreign session and gets a Cache Reset.
///
/// Those of version 0 are this process's own: a connection that begins with a Reset Query gets a
/// fresh one, because GoBGP keeps VRPs that vanished when an id comes back (CONFORMANCE decision
/// 5.23). The ids given out are remembered with their view, a bit each, so increments work all the
/// same.
#[derive(Debug)]
pub struct SessionIds {
    derived: [SessionId; 32],
    given_v0: Box<[AtomicU64]>,
    next_v0: AtomicU32,
}

impl SessionIds {
    /// The words of one view.
    const V0_WORDS: usize = 65_536 / 64;

    /// The views of version 0: each VRP family may be hidden.
    const V0_VIEWS: usize = 4;

    /// The ids of the history with this name.
    pub fn new(name: HistoryName) -> Self {
        let [a, b, ..] = name.0;
        Self::starting(name, u16::from_be_bytes([a, b]))
    }

    /// The same, with the ids of version 0 from this turn on.
    pub fn starting(name: HistoryName, v0_turn: u16) -> Self {
        let mut derived: [SessionId; 32] = [SessionId(0); 32];
        for view in 0..derived.len() {
            let taken = derived;
            if let Some(id) = derived.get_mut(view) {
                *id = candidates(name, view)
                    .find(|id| id.0 != 0 && !taken.contains(id))
                    .unwrap_or(*id);
            }
        }
        Self {
            derived,
            given_v0: (0..Self::V0_VIEWS * Self::V0_WORDS)
                .map(|_| AtomicU64::new(0))
                .collect(),
            next_v0: AtomicU32::new(v0_turn.into()),
        }
    }

    /// The id of a view of version 1 or 2, `None` for version 0, which has no id of its own.
    pub fn of(&self, view: View) -> Option<SessionId> {
        self.derived.get(view.index()?).copied()
    }

    /// An id for a connection of version 0 that begins with a Reset Query and may see these kinds.
    /// None comes back before all others were given.
    pub fn fresh_v0(&self, kinds: Kinds) -> SessionId {
        loop {
            let turn = self.next_v0.fetch_add(1, Ordering::Relaxed);
            // An odd factor walks through all 65,536 values in an order that does not count up.
            let [_, _, high, low] = turn.wrapping_mul(40_503).to_be_bytes();
            let id = SessionId(u16::from_be_bytes([high, low]));
            // Versions shall not share ids (8210bis §5.1).
            if id.0 == 0 || self.derived.contains(&id) {
                continue;
            }
            if let Some((word, bit)) = self.v0_bit(kinds, id) {
                word.fetch_or(bit, Ordering::Relaxed);
            }
            return id;
        }
    }

    /// Whether this history serves a session of this view with this id.
    pub fn serves(&self, view: View, id: SessionId) -> bool {
        match view.version() {
            Version::V0 => self
                .v0_bit(view.kinds(), id)
                .is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0),
            Version::V1 | Version::V2 => self.of(view) == Some(id),
        }
    }

    fn v0_bit(&self, kinds: Kinds, id: SessionId) -> Option<(&AtomicU64, u64)> {
        let view = usize::from(kinds.and(Kinds::VRPS).index()) % Self::V0_VIEWS;
        let word = view * Self::V0_WORDS + usize::from(id.0 / 64);
        let word = self.given_v0.get(word)?;
        Some((word, 1 << (id.0 % 64)))
    }
}

/// The ids that a view could have, in the order in which they are tried.
fn candidates(name: HistoryName, view: usize) -> impl Iterator<Item = SessionId> {
    (0u8..=255).flat_map(move |round| {
        let mut seed = name.0.to_vec();
        seed.push(u8::try_from(view).unwrap_or(u8::MAX));
        seed.push(round);
        let octets = digest(&SHA256, &seed);
        let ids: Vec<SessionId> = octets
            .as_ref()
            .chunks_exact(2)
            .filter_map(|pair| {
                pair.try_into()
                    .ok()
                    .map(|pair| SessionId(u16::from_be_bytes(pair)))
            })
            .collect();
        ids
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::payload::Kind;

    #[test]
    fn ids_of_views_differ_and_are_never_zero() {
        for seed in 0..2_000u64 {
            let mut octets = [0; 16];
            octets[..8].copy_from_slice(&seed.to_be_bytes());
            let ids = SessionIds::new(HistoryName::new(octets));
            let unique: HashSet<SessionId> = ids.derived.into_iter().collect();
            assert_eq!(unique.len(), 32);
            assert!(!unique.contains(&SessionId(0)));
        }
    }

    #[test]
    fn v0_ids_are_those_of_a_view() {
        let ids = SessionIds::new(HistoryName::new([7; 16]));
        let (all, none) = (Kinds::VRPS, Kinds::NONE.with(Kind::Aspa));
        let [all, none] = [all, none].map(|kinds| View::new(Version::V0, kinds));
        let (of_all, of_none) = (ids.fresh_v0(all.kinds()), ids.fresh_v0(none.kinds()));
        assert!(ids.serves(all, of_all) && ids.serves(none, of_none));
        assert!(!ids.serves(none, of_all) && !ids.serves(all, of_none));
    }

    #[test]
    fn v0_ids_come_back_only_after_all_were_given() {
        let ids = SessionIds::new(HistoryName::new([7; 16]));
        let view = View::new(Version::V0, Kinds::ALL);
        let mut given = HashSet::new();
        assert!(!ids.serves(view, SessionId(99)));
        for _ in 0..65_536 - 33 {
            let id = ids.fresh_v0(view.kinds());
            assert!(given.insert(id), "{id} came back");
            assert!(ids.serves(view, id) && id.0 != 0 && !ids.derived.contains(&id));
        }
        assert!(given.contains(&ids.fresh_v0(view.kinds())));
    }
}
