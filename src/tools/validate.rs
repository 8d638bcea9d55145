//! Origin validation of many routes: what each is, and how many are what.

use std::fmt;
use std::io::{self, Read, Write};

use super::lines::{End, Line, Lines};
use super::routes::{First, Layout, Origin, Route, RouteError};
use super::verdicts::{Extent, Outcome, Verdicts};
use crate::payload::Index;
use crate::payload::validity::{Fit, State, Validity};

/// What is done with a route that has an AS set for its origin.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AsSets {
    /// It is counted and not validated, as most comparisons of routes do it.
    #[default]
    Skip,
    /// It is validated: its origin is NONE, which matches nothing (RFC 6811 §2).
    None,
}

/// How many routes are what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Valid.
    pub valid: u64,
    /// Invalid for their AS.
    pub invalid_as: u64,
    /// Invalid for their length.
    pub invalid_length: u64,
    /// Invalid for both.
    pub invalid_both: u64,
    /// Covered by no VRP.
    pub not_found: u64,
    /// Skipped, for their origin is an AS set.
    pub skipped: u64,
    /// Lines that are no routes.
    pub bad: u64,
}

impl Counts {
    /// All that are invalid.
    pub const fn invalid(&self) -> u64 {
        self.invalid_as + self.invalid_length + self.invalid_both
    }

    /// All that were validated.
    pub const fn routes(&self) -> u64 {
        self.valid + self.invalid() + self.not_found
    }

    fn add(&mut self, validity: &Validity) {
        let count = match (validity.state, Reason::of(validity)) {
            (State::Valid, _) => &mut self.valid,
            (State::NotFound, _) | (State::Invalid, None) => &mut self.not_found,
            (State::Invalid, Some(Reason::As)) => &mut self.invalid_as,
            (State::Invalid, Some(Reason::Length)) => &mut self.invalid_length,
            (State::Invalid, Some(Reason::AsAndLength)) => &mut self.invalid_both,
        };
        *count += 1;
    }
}

/// Why a route is invalid: the least that would have to be otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// No covering VRP has its AS, and at least one has room for its length.
    As,
    /// A covering VRP has its AS, and it is too long for that.
    Length,
    /// No covering VRP has its AS, and it is too long for all of them.
    AsAndLength,
}

impl Reason {
    /// The reason, `None` for a route that is not invalid.
    pub fn of(validity: &Validity) -> Option<Self> {
        if validity.state != State::Invalid {
            return None;
        }
        let any = |wanted: Fit| validity.covering.iter().any(|(_, fit)| *fit == wanted);
        Some(if any(Fit::WrongLength) {
            Self::Length
        } else if any(Fit::WrongAs) {
            Self::As
        } else {
            Self::AsAndLength
        })
    }

    /// The word for it in JSON and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Self::As => "as",
            Self::Length => "length",
            Self::AsAndLength => "as-and-length",
        }
    }
}

/// A line that is no route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: u64,
    /// What is wrong with it.
    pub reason: RouteError,
}

impl fmt::Display for BadLine {
    /// `17: expected …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.number, self.reason)
    }
}

/// Why a list was not validated to its end.
#[derive(Debug)]
pub enum Stop {
    /// The list breaks off.
    Input(io::Error),
    /// There is nowhere to write to.
    Output(io::Error),
}

/// What happens while a list is read.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// There is a bad line.
    Bad(&'a BadLine),
    /// The last line, of this number, has a route and no newline. It was validated; if the list
    /// was cut short, then perhaps not as it was meant.
    Unended(u64),
    /// So many routes were validated so far.
    Progress(u64),
    /// The list ended and had nothing in it but comments.
    Empty,
}

/// Validates routes, in constant memory however many there are.
#[derive(Debug)]
pub struct Validator<W: Write> {
    index: Index,
    as_sets: AsSets,
    verdicts: Verdicts<W>,
    counts: Counts,
}

impl<W: Write> Validator<W> {
    /// Validates against the VRPs of this index.
    pub fn new(index: Index, as_sets: AsSets, verdicts: Verdicts<W>) -> Self {
        Self {
            index,
            as_sets,
            verdicts,
            counts: Counts::default(),
        }
    }

    /// Validates one route.
    ///
    /// # Errors
    ///
    /// When the verdict cannot be written.
    pub fn route(&mut self, route: &Route<'_>) -> io::Result<()> {
        if matches!(route.origin, Origin::Set(_)) && self.as_sets == AsSets::Skip {
            self.counts.skipped += 1;
            return Ok(());
        }
        let (prefix, origin) = (route.prefix, route.origin.asn());
        // Nobody asks what covers a route that is only counted, and is not invalid.
        if self.verdicts.extent() == Extent::Summary {
            let count = match self.index.state(prefix, origin) {
                State::Valid => Some(&mut self.counts.valid),
                State::NotFound => Some(&mut self.counts.not_found),
                State::Invalid => None,
            };
            if let Some(count) = count {
                *count += 1;
                return Ok(());
            }
        }
        let validity = self.index.validity(prefix, origin);
        self.counts.add(&validity);
        self.verdicts.route(route, &validity)
    }

    /// Validates the routes of a list. What is known is written before more of it is waited for.
    ///
    /// # Errors
    ///
    /// When the list breaks off, or the verdicts cannot be written.
    pub fn list(&mut self, input: impl Read, mut tell: impl FnMut(Event<'_>)) -> Result<(), Stop> {
        let before = self.counts;
        let mut lines = Lines::new(input);
        let mut layout = None;
        loop {
            if lines.may_wait() {
                self.verdicts.flush().map_err(Stop::Output)?;
                tell(Event::Progress(self.counts.routes()));
            }
            let Some(line) = lines.next_line().map_err(Stop::Input)? else {
                if self.counts == before {
                    tell(Event::Empty);
                }
                return Ok(());
            };
            let number = line.number;
            match read(&line, &mut layout) {
                Ok(None) => {}
                Ok(Some(route)) => {
                    if line.end == End::Input {
                        tell(Event::Unended(number));
                    }
                    self.route(&route).map_err(Stop::Output)?;
                }
                Err(reason) if line.end == End::Input => {
                    return Err(Stop::Input(cut_short(&BadLine { number, reason })));
                }
                Err(reason) => {
                    self.counts.bad += 1;
                    tell(Event::Bad(&BadLine { number, reason }));
                }
            }
        }
    }

    /// Writes what it all amounts to.
    ///
    /// # Errors
    ///
    /// When that cannot be written.
    pub fn finish(mut self, outcome: &Outcome<'_>) -> io::Result<Counts> {
        self.verdicts.finish(&self.counts, outcome)?;
        Ok(self.counts)
    }

    /// How many routes are what so far.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// A last line that is no route and has no end is more likely the half of one than a mistake.
fn cut_short(line: &BadLine) -> io::Error {
    let BadLine { number, reason } = line;
    let text = format!("line {number} is not ended and no route: {reason}");
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

/// The route on a line, `None` for what is none and need not be: comments, space, a header.
fn read<'l>(line: &Line<'l>, layout: &mut Option<Layout>) -> Result<Option<Route<'l>>, RouteError> {
    if line.end == End::TooFar {
        let limit = Lines::<io::Empty>::LONGEST;
        return Err(RouteError::TooLong { limit });
    }
    let text = line.text.trim_ascii();
    // Some editors begin a file with a byte order mark.
    let text = match line.number {
        1 => text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
        _ => text,
    };
    if matches!(text, [] | [b'#' | b'%' | b';', ..]) {
        return Ok(None);
    }
    let text = str::from_utf8(text).map_err(|_| RouteError::Utf8)?;
    match layout {
        Some(layout) => layout.route(text).map(Some),
        None => match Layout::detect(text)? {
            First::Route(found) => layout.insert(found).route(text).map(Some),
            First::Header(found) => {
                *layout = Some(found);
                Ok(None)
            }
        },
    }
}
