//! What is wrong with a file, and where.

use std::error::Error;
use std::fmt;

/// A place in a file.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The character on the line, from 1.
    pub column: u32,
}

impl Position {
    /// The first character.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FaultKind {
    /// The file is not JSON, or nests or grows past what is read.
    Syntax,
    /// A value has another type than it must have.
    WrongType,
    /// A member that must be there is not.
    MissingMember,
    /// A member that is not defined at this place.
    UnknownMember,
    /// A member that is there twice.
    DuplicateMember,
    /// The version is not one that is read.
    Version,
    /// A text is no prefix.
    Prefix,
    /// A max length is outside its range.
    MaxLen,
    /// A number is no AS number.
    Asn,
    /// A text is not base64 as RFC 8416 wants it.
    Base64,
    /// A key identifier does not have 20 octets.
    Ski,
    /// A key is no SubjectPublicKeyInfo.
    Key,
    /// A filter that says nothing of what it matches.
    EmptyFilter,
    /// Customer and providers make no ASPA.
    Aspa,
}

/// One fault of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Where.
    pub at: Position,
    /// The way to the value, such as `validationOutputFilters.prefixFilters[3].prefix`; empty
    /// for the file as a whole.
    pub path: String,
    /// What kind of fault.
    pub kind: FaultKind,
    /// What was expected there and what was found.
    pub message: String,
}

impl fmt::Display for Fault {
    /// `12:9: locallyAddedAssertions.prefixAssertions[3].asn: expected …, found …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.at.line, self.at.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Why a file is refused: all that is wrong with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileError {
    /// The name of the file.
    pub name: String,
    /// The first faults, at most 100, at least one.
    pub faults: Vec<Fault>,
    /// How many faults there are, with those that are not kept.
    pub count: usize,
}

impl fmt::Display for FileError {
    /// A line for each fault: `slurm.json:12:9: path: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.faults.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{fault}", self.name)?;
        }
        match self.count.saturating_sub(self.faults.len()) {
            0 => Ok(()),
            more => write!(f, "\n{}: and {more} more", self.name),
        }
    }
}

impl Error for FileError {}

/// Something that the standard does not allow and that was understood all the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leniency {
    /// Where.
    pub at: Position,
    /// The way to the value, as in [`Fault::path`].
    pub path: String,
    /// What was found and how it was read.
    pub message: String,
}

impl fmt::Display for Leniency {
    /// `line 12, column 9: path: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}
