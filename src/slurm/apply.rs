//! From the rows of the validators to the rows that are served.

use super::effect::{Effect, Tally};
use super::exceptions::{Distinct, Exceptions, key_filters, v4_block, v6_block};
use crate::payload::Rows;
use crate::payload::rows::Table;

/// What becomes of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The rows to serve.
    pub rows: Rows,
    /// What each entry did.
    pub effect: Effect,
}

impl Exceptions {
    /// The rows without those that a filter matches, and with those that are asserted: filters
    /// never remove an assertion (RFC 8416 §3.2).
    ///
    /// An asserted row has no expiry and no trust anchor, and `sources` for its sources, such as
    /// [`Attribute::LOCAL`](crate::payload::Attribute::LOCAL). A row that is there and asserted
    /// as well stays and expires no more. An asserted ASPA stands beside those of its customer.
    ///
    /// Costs a pass over the kinds that have filters, and a copy of each table that changes; a
    /// table that does not is shared.
    pub fn apply(&self, rows: &Rows, sources: u16) -> Applied {
        let mut tally = Tally::new(self);
        if self.is_empty() {
            let (rows, effect) = (rows.clone(), tally.finish());
            return Applied { rows, effect };
        }
        let arranged = self.arranged();
        let asserted = &arranged.asserted;
        let v4 = arranged.v4.sweep(
            rows.v4().records(),
            |vrp| (v4_block(vrp), vrp.asn()),
            &mut tally,
        );
        let v6 = arranged.v6.sweep(
            rows.v6().records(),
            |vrp| (v6_block(vrp), vrp.asn()),
            &mut tally,
        );
        let keys =
            arranged
                .router_keys
                .sweep(rows.router_keys().records(), key_filters, &mut tally);
        let aspas =
            arranged
                .aspas
                .sweep(rows.aspas().records(), |aspa| [aspa.customer()], &mut tally);
        let rows = rows.with_tables(
            patch(rows.v4(), &v4, &asserted.v4, sources, &mut tally),
            patch(rows.v6(), &v6, &asserted.v6, sources, &mut tally),
            patch(
                rows.router_keys(),
                &keys,
                &asserted.router_keys,
                sources,
                &mut tally,
            ),
            patch(rows.aspas(), &aspas, &asserted.aspas, sources, &mut tally),
        );
        Applied {
            rows,
            effect: tally.finish(),
        }
    }
}

fn patch<T: Clone + Ord>(
    table: &Table<T>,
    removed: &[usize],
    asserted: &Distinct<T>,
    sources: u16,
    tally: &mut Tally,
) -> Table<T> {
    let (patched, added) = table.patched(removed, &asserted.records, sources);
    tally.removed(removed.len());
    for (entry, added) in asserted.entries.iter().zip(added) {
        if added {
            tally.added(*entry);
        }
    }
    patched
}
