//! A list as a source delivers it, whatever the source is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mirror::Mirror;
use crate::json::Document;
use crate::payload::{Rows, UnixTime};

/// A list that was not delivered yet, whoever had it.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// The rows, those that have expired included.
    pub rows: Rows,
    /// What it was, for a reader: `rpki-client JSON`, `3 files`, `RTR version 2`.
    pub dialect: Box<str>,
    /// When it says that it was made, by `buildtime` or else `generated`; of several documents the
    /// oldest. `None` when it does not say; then its age counts from `arrived`.
    pub stated: Option<UnixTime>,
    /// Until when it says that it counts (GoRTR's `valid`); of several documents the earliest.
    pub valid: Option<UnixTime>,
    /// When it came: when a server began to answer, when a cache sent End of Data, and for a file
    /// when it was modified last, but never later than now.
    pub arrived: UnixTime,
    /// How many rows it listed, bad and repeated ones included.
    pub listed: usize,
    /// How many of them were bad and left out.
    pub skipped: usize,
    /// The first of these: where it is, and what is wrong with it.
    pub first_skipped: Option<String>,
    /// The serial that it has at its source. `None` when it has none.
    pub serial: Option<u32>,
    /// For how long after its arrival it counts when its source is away, if that says so: the
    /// expire interval of a cache (RFC 8210 §6).
    pub expire: Option<Duration>,
    /// What a server of documents can be asked with whether it is still the last one.
    pub conditions: Conditions,
}

/// What makes a request depend on a document, as headers have it (RFC 9110 §13.1).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Conditions {
    /// `If-None-Match`.
    pub none_match: Option<String>,
    /// `If-Modified-Since`.
    pub modified_since: Option<String>,
}

impl List {
    /// The moment from which its age counts.
    pub fn dated(&self) -> UnixTime {
        self.stated.unwrap_or(self.arrived)
    }

    /// The list that a leader serves, as a manifest says that came then.
    pub(super) fn of_mirror(mirror: &Mirror, arrived: UnixTime) -> Self {
        let rows = mirror.snapshot.data().rows().clone();
        Self {
            listed: rows.len(),
            rows,
            dialect: "feed".into(),
            stated: Some(mirror.issued),
            valid: Some(mirror.valid_until),
            arrived,
            skipped: 0,
            first_skipped: None,
            serial: Some(mirror.snapshot.serial().into_u32()),
            expire: None,
            conditions: Conditions::default(),
        }
    }

    /// The list in a document that arrived then.
    pub(super) fn of_document(document: Document, arrived: UnixTime) -> Self {
        let metadata = document.metadata;
        Self {
            rows: document.rows,
            dialect: document.dialect.to_string().into(),
            stated: metadata.buildtime.or(metadata.generated),
            valid: metadata.valid,
            arrived,
            listed: document.listed,
            skipped: document.skipped.count,
            first_skipped: document.skipped.first.map(|first| first.to_string()),
            serial: metadata.serial,
            expire: None,
            conditions: Conditions::default(),
        }
    }
}
