//! A table with some rows taken out and some put in, without a sort.
//!
//! What a few exceptions change of a long table costs a copy of it in runs; a table that they do
//! not change is shared.

use std::sync::Arc;

use super::aspa::Aspa;
use super::router_key::RouterKey;
use super::rows::{Attribute, Rows, Table};
use super::vrp::{VrpV4, VrpV6};

impl<T: Clone + Ord> Table<T> {
    /// This table without the rows at the `removed` places, which ascend, and with the `asserted`
    /// records, which are in wire order, each once. A record that stays and is asserted keeps its
    /// row and expires no more. Also says of each asserted record whether it was put in.
    ///
    /// Costs a binary search for each asserted record, and a copy when a row goes or comes.
    pub(crate) fn patched(
        &self,
        removed: &[usize],
        asserted: &[T],
        sources: u16,
    ) -> (Self, Vec<bool>) {
        let records = self.records().as_slice();
        let mut attributes = Arc::clone(self.attributes());
        let mut inserts = Vec::new();
        let mut added = Vec::with_capacity(asserted.len());
        for record in asserted {
            let place = records.binary_search(record);
            let stays = place.is_ok_and(|place| removed.binary_search(&place).is_err());
            match place {
                Ok(place) if stays => assert_row(&mut attributes, place, sources),
                Ok(place) | Err(place) => inserts.push((place, record)),
            }
            added.push(!stays);
        }
        if removed.is_empty() && inserts.is_empty() {
            let records = Arc::clone(self.records());
            return (Self::from_ordered(records, attributes), added);
        }
        let length = (records.len() + inserts.len()).saturating_sub(removed.len());
        let mut runs = Runs {
            old: (records, &attributes),
            new: (Vec::with_capacity(length), Vec::with_capacity(length)),
            at: 0,
            removed,
        };
        for (place, record) in inserts {
            runs.copy_to(place);
            runs.new.0.push(record.clone());
            runs.new.1.push(Attribute::asserted(sources));
        }
        runs.copy_to(records.len());
        let (records, attributes) = runs.new;
        let table = Self::from_ordered(Arc::new(records), Arc::new(attributes));
        (table, added)
    }
}

/// Marks a row as asserted; copies the attributes when that is the first change.
fn assert_row(attributes: &mut Arc<Vec<Attribute>>, place: usize, sources: u16) {
    let Some(before) = attributes.get(place).copied() else {
        return;
    };
    let after = before.also_asserted(sources);
    if after != before
        && let Some(attribute) = Arc::make_mut(attributes).get_mut(place)
    {
        *attribute = after;
    }
}

/// A copy under way: everything from the old table in runs, but not the removed places.
struct Runs<'a, T> {
    old: (&'a [T], &'a [Attribute]),
    new: (Vec<T>, Vec<Attribute>),
    at: usize,
    removed: &'a [usize],
}

impl<T: Clone> Runs<'_, T> {
    fn copy_to(&mut self, end: usize) {
        while let [first, rest @ ..] = self.removed
            && *first < end
        {
            self.copy_run(*first);
            self.at = *first + 1;
            self.removed = rest;
        }
        self.copy_run(end);
    }

    fn copy_run(&mut self, end: usize) {
        let run = self.at..end;
        let (records, attributes) = self.old;
        self.new
            .0
            .extend_from_slice(records.get(run.clone()).unwrap_or_default());
        self.new
            .1
            .extend_from_slice(attributes.get(run).unwrap_or_default());
        self.at = self.at.max(end);
    }
}

impl Rows {
    /// These rows with other tables; trust anchors keep their names.
    pub(crate) fn with_tables(
        &self,
        v4: Table<VrpV4>,
        v6: Table<VrpV6>,
        router_keys: Table<RouterKey>,
        aspas: Table<Aspa>,
    ) -> Self {
        Self {
            v4,
            v6,
            router_keys,
            aspas,
            trust_anchors: self.trust_anchors.clone(),
        }
    }
}
