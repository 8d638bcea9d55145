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
            gortr: None,
            texts: None,
        })
    }
}

/// The names that came first: there are hardly others, and a comparison costs less than a hash.
#[derive(Debug, Default)]
struct Names {
    known: Vec<Name>,
}

#[derive(Debug)]
struct Name {
    name: Box<[u8]>,
    head: u64,
    id: TrustAnchorId,
}

impl Names {
    /// As many as there are registries, and some.
    const KEPT: usize = 8;

    #[inline]
    fn id(&mut self, name: &[u8], builder: &mut RowsBuilder) -> TrustAnchorId {
        if name.is_empty() {
            return TrustAnchorId::default();
        }
        let head = head(name);
        let same = |known: &&Name| {
            known.head == head
                && known.name.len() == name.len()
                && (name.len() <= 8 || *known.name == *name)
        };
        match self.known.iter().find(same) {
            Some(known) => known.id,
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
        if self.known.len() < Self::KEPT {
            self.known.push(Name {
                name: name.into(),
                head: head(name),
                id,
            });
        }
        id
    }
}

/// The first eight octets as a number.
#[inline]
fn head(name: &[u8]) -> u64 {
    match name.first_chunk() {
        Some(head) => u64::from_le_bytes(*head),
        None => name
            .iter()
            .rev()
            .fold(0, |head, octet| (head << 8) | u64::from(*octet)),
    }
}
