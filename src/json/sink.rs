//! Where rows go, whatever they were written in.

use super::document::{Dialect, Document, Metadata, RowPlace, Skipped};
use super::error::{ReadError, RowError};
use super::limits::Limits;
use crate::payload::rows::TrustAnchorId;
use crate::payload::{Aspa, Attribute, RouterKey, RowsBuilder, UnixTime, Vrp};

/// The rows of the document so far.
#[derive(Debug)]
pub(super) struct Sink {
    builder: RowsBuilder,
    names: Names,
    listed: usize,
    skipped: Skipped,
    max_rows: usize,
    bad_rows_percent: u8,
}

/// What a row says beside its payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    pub(super) expires: Option<UnixTime>,
    /// Empty when the row names none.
    pub(super) trust_anchor: &'a [u8],
}

/// The payload of a row.
pub(super) enum Payload {
    Vrp(Vrp),
    RouterKey(RouterKey),
    Aspa(Aspa),
}

impl Sink {
    /// The longest name of a trust anchor; there are five, and a hostile document shall not buy
    /// memory with names.
    pub(super) const MAX_NAME: usize = 256;

    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            builder: RowsBuilder::new(),
            names: Names::default(),
            listed: 0,
            skipped: Skipped::default(),
            max_rows: limits.rows,
            bad_rows_percent: limits.bad_rows_percent,
        }
    }

    /// Whether no other row may come.
    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.listed >= self.max_rows
    }

    #[inline]
    pub(super) fn add(&mut self, payload: Payload, about: About<'_>) {
        self.listed += 1;
        let trust_anchor = self.names.id(about.trust_anchor, &mut self.builder);
        let attribute = Attribute::new(about.expires, trust_anchor);
        match payload {
            Payload::Vrp(vrp) => self.builder.push_vrp(vrp, attribute),
            Payload::RouterKey(key) => self.builder.push_router_key(key, attribute),
            Payload::Aspa(aspa) => self.builder.push_aspa(aspa, attribute),
        }
    }

    #[cold]
    pub(super) fn skip(&mut self, place: RowPlace, reason: RowError) {
        self.listed += 1;
        self.skipped.add(place, reason);
    }

    pub(super) fn finish(
        self,
        dialect: Dialect,
        metadata: Metadata,
    ) -> Result<Document, ReadError> {
        let bad = self.skipped.count.saturating_mul(100);
        if bad
            > self
                .listed
                .saturating_mul(usize::from(self.bad_rows_percent))
        {
            return Err(ReadError::BadRows {
                skipped: self.skipped,
                listed: self.listed,
            });
        }
        Ok(Document {
            rows: self.builder.finish(),
            dialect,
            metadata,
            listed: self.listed,
            skipped: self.skipped,
        })
    }
}

/// The names that came last: neighbouring rows share theirs, and a comparison costs less than a
/// hash.
#[derive(Debug, Default)]
struct Names {
    recent: Vec<(Box<[u8]>, TrustAnchorId)>,
}

impl Names {
    /// As many as there are registries, and some.
    const KEPT: usize = 8;

    #[inline]
    fn id(&mut self, name: &[u8], builder: &mut RowsBuilder) -> TrustAnchorId {
        if name.is_empty() {
            return TrustAnchorId::default();
        }
        match self.recent.iter().find(|(known, _)| **known == *name) {
            Some((_, id)) => *id,
            None => self.unknown(name, builder),
        }
    }

    #[cold]
    fn unknown(&mut self, name: &[u8], builder: &mut RowsBuilder) -> TrustAnchorId {
        // Routinator's word for rows that come from no trust anchor.
        let id = match std::str::from_utf8(name) {
            Ok("N/A") | Err(_) => TrustAnchorId::default(),
            Ok(name) => builder.trust_anchor(name),
        };
        if self.recent.len() < Self::KEPT {
            self.recent.push((name.into(), id));
        }
        id
    }
}
