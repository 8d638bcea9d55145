//! What each entry did.

use super::exceptions::{Entry, Exceptions};

/// What exceptions did to rows, entry by entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    exceptions: Exceptions,
    entries: Vec<EntryEffect>,
    removed: usize,
    added: usize,
}

/// What one entry did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EntryEffect {
    /// A filter.
    Filter {
        /// How many rows it matches.
        matched: usize,
        /// How many of those no other filter matches. None although some match: the filter could
        /// go without a change.
        alone: usize,
    },
    /// An assertion.
    Assertion {
        /// Whether it added a row; not when the row was there, or an earlier entry added it.
        added: bool,
    },
}

impl EntryEffect {
    /// Whether the entry did nothing at all.
    pub const fn is_idle(&self) -> bool {
        matches!(
            self,
            Self::Filter { matched: 0, .. } | Self::Assertion { added: false }
        )
    }

    /// Whether it is a filter of whose rows each is matched by another filter, too.
    pub const fn is_shadowed(&self) -> bool {
        matches!(
            self,
            Self::Filter {
                matched: 1..,
                alone: 0
            }
        )
    }
}

impl Effect {
    /// Each entry with what it did, in the order of [`Exceptions::entries`].
    pub fn entries(&self) -> impl Iterator<Item = (Entry<'_>, EntryEffect)> {
        self.exceptions.entries().zip(self.entries.iter().copied())
    }

    /// The entries that do nothing.
    pub fn idle(&self) -> impl Iterator<Item = Entry<'_>> {
        let idle = self.entries().filter(|(_, effect)| effect.is_idle());
        idle.map(|(entry, _)| entry)
    }

    /// The filters whose rows are all matched by other filters, too.
    pub fn shadowed(&self) -> impl Iterator<Item = Entry<'_>> {
        let shadowed = self.entries().filter(|(_, effect)| effect.is_shadowed());
        shadowed.map(|(entry, _)| entry)
    }

    /// How many rows were removed, each once.
    pub const fn removed(&self) -> usize {
        self.removed
    }

    /// How many rows were added, those among them that a filter had removed before.
    pub const fn added(&self) -> usize {
        self.added
    }
}

/// An effect under way.
#[derive(Debug)]
pub(super) struct Tally {
    effect: Effect,
}

impl Tally {
    pub(super) fn new(exceptions: &Exceptions) -> Self {
        let nothing = |entry: Entry<'_>| {
            if entry.list().is_filter() {
                EntryEffect::Filter {
                    matched: 0,
                    alone: 0,
                }
            } else {
                EntryEffect::Assertion { added: false }
            }
        };
        Self {
            effect: Effect {
                exceptions: exceptions.clone(),
                entries: exceptions.entries().map(nothing).collect(),
                removed: 0,
                added: 0,
            },
        }
    }

    /// A filter matched so many rows more.
    pub(super) fn filter(&mut self, entry: usize, more: usize, more_alone: usize) {
        if let Some(EntryEffect::Filter { matched, alone }) = self.effect.entries.get_mut(entry) {
            *matched += more;
            *alone += more_alone;
        }
    }

    /// An assertion added its row.
    pub(super) fn added(&mut self, entry: usize) {
        self.effect.added += 1;
        if let Some(effect) = self.effect.entries.get_mut(entry) {
            *effect = EntryEffect::Assertion { added: true };
        }
    }

    /// So many rows were removed.
    pub(super) const fn removed(&mut self, rows: usize) {
        self.effect.removed += rows;
    }

    pub(super) fn finish(self) -> Effect {
        self.effect
    }
}
