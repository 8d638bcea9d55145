//! What a check of SLURM files finds, and how it is written.

use std::io::{self, Write};

use serde::Serialize;

use super::effects::{Action, Effects, EntryReport, Totals};
use super::exceptions::Refusal;
use crate::slurm::{
    AspaOverlap, Conflict, ConflictError, Exceptions, File, List, Named, Parsed, Position, combine,
};

/// What a check finds.
#[derive(Debug, Serialize)]
pub struct Check {
    /// Each file.
    pub files: Vec<FileReport>,
    /// Entries of two files that cannot be together, at most the first 100.
    pub conflicts: Vec<ConflictReport>,
    /// How many of these there are.
    pub conflict_count: usize,
    /// What the files do to a set, when they were held against one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
}

/// What is found in one file.
#[derive(Debug, Serialize)]
pub struct FileReport {
    /// Its name.
    pub file: String,
    /// What it is.
    pub state: FileState,
    /// How many filters it has.
    pub filters: usize,
    /// How many assertions it has.
    pub assertions: usize,
    /// What is wrong with it, at most the first 100.
    pub faults: Vec<Finding>,
    /// How many of these there are.
    pub fault_count: usize,
    /// What is not as the standard wants it and is understood all the same, at most the first 100.
    pub leniencies: Vec<Finding>,
    /// How many of these there are.
    pub leniency_count: usize,
}

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// Good.
    Ok,
    /// Refused for its faults.
    Refused,
    /// Not to be read.
    Unreadable,
}

/// Something in a file, and where.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The line, from 1; `None` for a file that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The character on the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The way to the value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What there is to say.
    pub message: String,
}

/// Two entries that cannot be together.
#[derive(Debug, Serialize)]
pub struct ConflictReport {
    /// One of them; of two prefixes the one that covers the other.
    pub first: EntryName,
    /// The other one.
    pub second: EntryName,
    /// What is wrong with them, in words.
    pub message: String,
}

/// An entry by name.
#[derive(Debug, Serialize)]
pub struct EntryName {
    file: String,
    line: u32,
    column: u32,
    list: &'static str,
    index: usize,
    rule: String,
}

/// What the files do to a set.
#[derive(Debug, Serialize)]
pub struct Against {
    /// Where it is from.
    pub from: String,
    /// How many of its rows had expired, and were left out first.
    pub expired: usize,
    /// What the files do.
    #[serde(flatten)]
    pub effects: Effects,
}

/// How much is told of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detail {
    /// How many payloads it is about.
    Counts,
    /// The first of these, too.
    Payloads,
}

impl Check {
    /// Checks files one by one and together; gives what they say together, `None` when there is a
    /// fault or a conflict.
    pub fn new(
        loaded: Vec<(String, Result<Parsed, Refusal>)>,
        overlap: AspaOverlap,
    ) -> (Self, Option<Exceptions>) {
        let mut check = Self {
            files: Vec::new(),
            conflicts: Vec::new(),
            conflict_count: 0,
            against: None,
        };
        let mut good = Vec::new();
        for (name, result) in loaded {
            check.files.push(FileReport::new(name, &result));
            good.extend(result.ok().map(|parsed| parsed.file));
        }
        let exceptions = match combine(good, overlap) {
            Ok(exceptions) => Some(exceptions),
            Err(ConflictError { conflicts, count }) => {
                check.conflicts = conflicts.iter().map(ConflictReport::new).collect();
                check.conflict_count = count;
                None
            }
        };
        let all_good = check.files.iter().all(|file| file.state == FileState::Ok);
        (check, exceptions.filter(|_| all_good))
    }

    /// Whether a file could not be read.
    pub fn is_incomplete(&self) -> bool {
        let mut states = self.files.iter().map(|file| file.state);
        states.any(|state| state == FileState::Unreadable)
    }

    /// Whether there is neither a fault nor a conflict.
    pub fn is_good(&self) -> bool {
        let mut states = self.files.iter().map(|file| file.state);
        self.conflict_count == 0 && states.all(|state| state == FileState::Ok)
    }

    /// Writes it as one JSON object.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        out.write_all(b"\n")
    }

    /// Writes it for people, a line for each thing there is to say, each with its place first.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn table(&self, detail: Detail, out: &mut impl Write) -> io::Result<()> {
        for file in &self.files {
            file.table(out)?;
        }
        for conflict in &self.conflicts {
            writeln!(out, "{}", conflict.message)?;
        }
        more(self.conflict_count, self.conflicts.len(), "conflicts", out)?;
        match &self.against {
            None => Ok(()),
            Some(against) => against.table(detail, out),
        }
    }
}

/// Says how many of something are not shown.
fn more(count: usize, shown: usize, what: &str, out: &mut impl Write) -> io::Result<()> {
    match count.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "and {more} more {what}"),
    }
}

impl FileReport {
    fn new(name: String, result: &Result<Parsed, Refusal>) -> Self {
        let mut report = Self {
            file: name,
            state: FileState::Ok,
            filters: 0,
            assertions: 0,
            faults: Vec::new(),
            fault_count: 0,
            leniencies: Vec::new(),
            leniency_count: 0,
        };
        match result {
            Ok(parsed) => {
                report.filters = count(&parsed.file, true);
                report.assertions = count(&parsed.file, false);
                let found = parsed.leniencies.iter();
                report.leniencies = found
                    .map(|found| Finding::at(found.at, &found.path, &found.message))
                    .collect();
                report.leniency_count = parsed.leniency_count;
            }
            Err(Refusal::Faults(error)) => {
                report.state = FileState::Refused;
                let found = error.faults.iter();
                report.faults = found
                    .map(|found| Finding::at(found.at, &found.path, &found.message))
                    .collect();
                report.fault_count = error.count;
            }
            Err(Refusal::Unread(error)) => {
                report.state = FileState::Unreadable;
                report.fault_count = 1;
                report.faults.push(Finding {
                    line: None,
                    column: None,
                    path: String::new(),
                    message: error.reason(),
                });
            }
        }
        report
    }

    fn table(&self, out: &mut impl Write) -> io::Result<()> {
        let Self {
            file,
            filters,
            assertions,
            ..
        } = self;
        for fault in &self.faults {
            fault.table(file, "", out)?;
        }
        more(self.fault_count, self.faults.len(), "faults", out)?;
        for leniency in &self.leniencies {
            leniency.table(file, "tolerated: ", out)?;
        }
        more(self.leniency_count, self.leniencies.len(), "tolerated", out)?;
        match self.state {
            FileState::Ok => writeln!(
                out,
                "{file}: ok, {filters} filters, {assertions} assertions"
            ),
            FileState::Refused | FileState::Unreadable => Ok(()),
        }
    }
}

fn count(file: &File, filters: bool) -> usize {
    let lists = List::ALL.into_iter();
    let lists = lists.filter(|list| list.is_filter() == filters);
    lists.map(|list| file.count(list)).sum()
}

impl Finding {
    fn at(at: Position, path: &str, message: &str) -> Self {
        Self {
            line: Some(at.line),
            column: Some(at.column),
            path: path.to_owned(),
            message: message.to_owned(),
        }
    }

    /// `FILE:LINE:COLUMN: path: message`.
    fn table(&self, file: &str, word: &str, out: &mut impl Write) -> io::Result<()> {
        write!(out, "{file}:")?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(out, "{line}:{column}:")?;
        }
        write!(out, " {word}")?;
        if !self.path.is_empty() {
            write!(out, "{}: ", self.path)?;
        }
        writeln!(out, "{}", self.message)
    }
}

impl ConflictReport {
    fn new(conflict: &Conflict) -> Self {
        Self {
            first: EntryName::new(&conflict.first),
            second: EntryName::new(&conflict.second),
            message: conflict.to_string(),
        }
    }
}

impl EntryName {
    fn new(named: &Named) -> Self {
        Self {
            file: named.file.clone(),
            line: named.at.line,
            column: named.at.column,
            list: named.list.name(),
            index: named.index,
            rule: named.rule.clone(),
        }
    }
}

impl Against {
    fn table(&self, detail: Detail, out: &mut impl Write) -> io::Result<()> {
        if self.expired > 0 {
            let Self { from, expired, .. } = self;
            writeln!(
                out,
                "{expired} payloads of {from} have expired and do not count"
            )?;
        }
        let effects = &self.effects;
        for entry in &effects.entries {
            entry.table(detail, out)?;
        }
        let count = |wanted: fn(&EntryReport) -> bool| {
            effects.entries.iter().filter(|entry| wanted(entry)).count()
        };
        writeln!(
            out,
            "{} entries against {}: {} removed, {} added; {} entries do nothing, {} are shadowed",
            effects.entries.len(),
            self.from,
            effects.removed,
            effects.added,
            count(|entry| entry.idle),
            count(|entry| entry.shadowed),
        )?;
        totals(&effects.before, &effects.after, out)
    }
}

fn totals(before: &Totals, after: &Totals, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:<12} {:>9} {:>9}", "", "BEFORE", "AFTER")?;
    for (kind, before, after) in [
        ("IPv4 VRPs", before.ipv4, after.ipv4),
        ("IPv6 VRPs", before.ipv6, after.ipv6),
        ("router keys", before.router_keys, after.router_keys),
        ("ASPAs", before.aspas, after.aspas),
    ] {
        writeln!(out, "{kind:<12} {before:>9} {after:>9}")?;
    }
    Ok(())
}

impl EntryReport {
    fn table(&self, detail: Detail, out: &mut impl Write) -> io::Result<()> {
        let Self {
            file,
            line,
            column,
            list,
            index,
            rule,
            ..
        } = self;
        write!(out, "{file}:{line}:{column}: {list}[{index}] ({rule}): ")?;
        match self.action {
            Action::Filter { matched: 0, .. } => writeln!(out, "removes nothing")?,
            Action::Filter { matched, alone: 0 } => {
                let others = self.also_matched_by.join(", ");
                writeln!(
                    out,
                    "removes {matched}, none of them alone: shadowed by {others}"
                )?;
            }
            Action::Filter { matched, alone } if alone < matched => {
                writeln!(out, "removes {matched}, {alone} of them alone")?;
            }
            Action::Filter { matched, .. } => writeln!(out, "removes {matched}")?,
            Action::Assertion { added: true } => writeln!(out, "adds it")?,
            Action::Assertion { added: false } => writeln!(out, "adds nothing, it is there")?,
        }
        if detail == Detail::Counts {
            return Ok(());
        }
        for payload in &self.payloads {
            writeln!(out, "    - {payload}")?;
        }
        if let Action::Filter { matched, .. } = self.action
            && matched > self.payloads.len()
        {
            let more = matched.saturating_sub(self.payloads.len());
            writeln!(out, "    and {more} more")?;
        }
        Ok(())
    }
}
