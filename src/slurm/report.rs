//! What is collected while a file is read.

use std::fmt;

use super::fault::{Fault, FaultKind, Leniency, Position};
use super::parse::Reading;

/// The most faults and the most leniencies that are kept, each; all are counted. A file of a
/// hundred thousand wrong entries shall not become as many lines.
const KEPT: usize = 100;

/// The way from the top of a file to a value: a list through the frames of the calls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    Top,
    Member(&'a Self, &'a str),
    Item(&'a Self, usize),
}

impl<'a> Path<'a> {
    pub(super) const fn member(&'a self, name: &'a str) -> Self {
        Self::Member(self, name)
    }

    pub(super) const fn item(&'a self, index: usize) -> Self {
        Self::Item(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Member(Path::Top, name) => f.write_str(&shown(name)),
            Self::Member(above, name) => write!(f, "{above}.{}", shown(name)),
            Self::Item(above, index) => write!(f, "{above}[{index}]"),
        }
    }
}

/// A text of the file as it may stand in a message: one line, and not a long one.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(|c| {
            let plain = !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
            let escaped = (!plain).then(|| c.escape_unicode());
            plain
                .then_some(c)
                .into_iter()
                .chain(escaped.into_iter().flatten())
        })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Faults and leniencies, in the order in which they are found.
#[derive(Debug)]
pub(super) struct Report {
    reading: Reading,
    pub(super) faults: Vec<Fault>,
    pub(super) fault_count: usize,
    pub(super) leniencies: Vec<Leniency>,
    pub(super) leniency_count: usize,
}

impl Report {
    pub(super) const fn new(reading: Reading) -> Self {
        Self {
            reading,
            faults: Vec::new(),
            fault_count: 0,
            leniencies: Vec::new(),
            leniency_count: 0,
        }
    }

    pub(super) const fn is_lenient(&self) -> bool {
        matches!(self.reading, Reading::Lenient)
    }

    pub(super) fn fault(
        &mut self,
        kind: FaultKind,
        at: Position,
        path: &Path<'_>,
        message: impl Into<String>,
    ) {
        self.fault_count += 1;
        if self.faults.len() < KEPT {
            self.faults.push(Fault {
                at,
                path: path.to_string(),
                kind,
                message: message.into(),
            });
        }
    }

    /// Notes what was understood although it is not as the standard has it.
    pub(super) fn note(&mut self, at: Position, path: &Path<'_>, message: impl Into<String>) {
        self.leniency_count += 1;
        if self.leniencies.len() < KEPT {
            self.leniencies.push(Leniency {
                at,
                path: path.to_string(),
                message: message.into(),
            });
        }
    }

    /// Notes it in a lenient reading, and else makes a fault of it. Whether to go on.
    pub(super) fn tolerate(
        &mut self,
        kind: FaultKind,
        at: Position,
        path: &Path<'_>,
        fault: impl FnOnce() -> String,
        note: impl FnOnce() -> String,
    ) -> bool {
        if self.is_lenient() {
            self.note(at, path, note());
        } else {
            self.fault(kind, at, path, fault());
        }
        self.is_lenient()
    }
}
