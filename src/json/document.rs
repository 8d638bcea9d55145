//! What a document amounts to.

use std::fmt;

use super::error::RowError;
use super::texts::RowTexts;
use crate::payload::{Rows, UnixTime};

/// A document that was read to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The good rows. Those that have expired are among them: only the caller knows the time.
    pub rows: Rows,
    /// Who seems to have written it.
    pub dialect: Dialect,
    /// What it says of itself.
    pub metadata: Metadata,
    /// How many rows it listed, bad and repeated ones included.
    pub listed: usize,
    /// The bad rows.
    pub skipped: Skipped,
    /// GoRTR's `signature` and `signatureDate`, if it has both.
    pub gortr: Option<[Box<str>; 2]>,
    /// The texts of its VRP rows, if they were to be kept and it is JSON.
    pub texts: Option<RowTexts>,
}

/// The programs and forms that are told apart, by what only they write.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dialect {
    /// JSON of rpki-client of any year, or of StayRTR, rtrdump and rutter, which write the same.
    RpkiClient,
    /// Routinator's `json`.
    Routinator,
    /// Routinator's `jsonext`, which states where rows come from instead of a trust anchor.
    RoutinatorExt,
    /// GoRTR's JSON, also that of Cloudflare and of dn42.
    Gortr,
    /// The API of RIPE's validator 3.
    Validator3,
    /// A JSON list without an object around it.
    Array,
    /// JSON with nothing but rows in it, which several programs write.
    Plain,
    /// CSV with the columns of Routinator and rpki-client, or a variant of them.
    Csv,
    /// Routinator's `csvext`, with the URI and the validity of each row.
    CsvExt,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RpkiClient => "rpki-client JSON",
            Self::Routinator => "Routinator json",
            Self::RoutinatorExt => "Routinator jsonext",
            Self::Gortr => "GoRTR JSON",
            Self::Validator3 => "RIPE validator 3 JSON",
            Self::Array => "JSON list",
            Self::Plain => "plain JSON",
            Self::Csv => "CSV",
            Self::CsvExt => "Routinator csvext",
        })
    }
}

/// What a document says of itself. A value that cannot be read counts as absent, so that a check
/// of freshness fails closed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Metadata {
    /// `buildtime`: when rpki-client made it.
    pub buildtime: Option<UnixTime>,
    /// `generated`: when Routinator or GoRTR made it.
    pub generated: Option<UnixTime>,
    /// `valid`: until when GoRTR lets it count.
    pub valid: Option<UnixTime>,
    /// `serial`: the number it had at its source.
    pub serial: Option<u32>,
}

/// The bad rows of a document.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Skipped {
    /// How many there are.
    pub count: usize,
    /// The first one.
    pub first: Option<SkippedRow>,
}

impl Skipped {
    pub(super) fn add(&mut self, place: RowPlace, reason: RowError) {
        self.count += 1;
        self.first.get_or_insert(SkippedRow { place, reason });
    }
}

/// A bad row: where it is and what is wrong with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SkippedRow {
    /// Where it is.
    pub place: RowPlace,
    /// What is wrong with it.
    pub reason: RowError,
}

impl fmt::Display for SkippedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// Where a row is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RowPlace {
    /// In a JSON list.
    Element {
        /// The name of the list, empty for a bare one.
        list: &'static str,
        /// The place in it, from 0.
        index: usize,
    },
    /// On a line of a CSV document, from 1.
    Line(u64),
}

impl fmt::Display for RowPlace {
    /// `roas[17]` or `line 18`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element { list, index } => write!(f, "{list}[{index}]"),
            Self::Line(number) => write!(f, "line {number}"),
        }
    }
}
