//! Documents in chunks.

use memchr::{memchr_iter, memrchr};

use super::csv::Csv;
use super::cursor::{Fault, Stop};
use super::document::Document;
use super::error::{Form, Position, ReadError};
use super::limits::Limits;
use super::machine::Machine;
use super::texts::Keep;

/// Reads a document that comes in chunks of any size, and keeps its rows and nothing else.
///
/// What is carried from one chunk to the next is a row, a text or a line at most. A document is
/// taken as a whole or not at all: the rows come out of [`finish`](Self::finish), which knows
/// whether the end was reached. (The end of CSV cannot be known: a document that is cut at the end
/// of a line reads like a shorter one, so that its transport has to know the length.)
#[derive(Debug)]
pub struct Reader {
    state: State,
    fed: u64,
    limits: Limits,
    keep: Keep,
}

#[derive(Debug)]
enum State {
    /// Only white space came so far, behind this many octets of a byte order mark.
    Start {
        mark: usize,
        at: Position,
    },
    Json(Box<Json>),
    Csv(Box<Csv>),
    Refused,
}

impl Reader {
    /// A reader that has read nothing and keeps rows alone.
    pub fn new(limits: Limits) -> Self {
        Self::keeping(Keep::Rows, limits)
    }

    /// A reader that has read nothing and keeps this.
    pub fn keeping(keep: Keep, limits: Limits) -> Self {
        Self {
            keep,
            state: State::Start { mark: 0, at: START },
            fed: 0,
            limits: Limits {
                depth: limits.depth.min(Limits::MAX_DEPTH),
                ..limits
            },
        }
    }

    /// Reads on. After an error nothing else is taken.
    ///
    /// # Errors
    ///
    /// When the document is refused whatever follows; a bad row alone is no reason.
    pub fn feed(&mut self, octets: &[u8]) -> Result<(), ReadError> {
        let outcome = self.take(octets);
        if outcome.is_err() {
            self.state = State::Refused;
        }
        outcome
    }

    /// The document, at its end.
    ///
    /// # Errors
    ///
    /// When something is missing from the end, when the document has no list that is known, when
    /// too many rows are bad, and after an error of [`feed`](Self::feed).
    pub fn finish(self) -> Result<Document, ReadError> {
        match self.state {
            State::Start { .. } => Err(ReadError::Unreadable {
                looks_like: Form::Empty,
            }),
            State::Json(json) => json.finish(),
            State::Csv(csv) => csv.finish(),
            State::Refused => Err(ReadError::Refused),
        }
    }

    fn take(&mut self, octets: &[u8]) -> Result<(), ReadError> {
        self.fed = self.fed.saturating_add(wide(octets.len()));
        if self.fed > self.limits.octets {
            return Err(ReadError::TooLarge {
                limit: self.limits.octets,
            });
        }
        let rest = self.start(octets)?;
        match &mut self.state {
            State::Start { .. } => Ok(()),
            State::Json(json) => json.feed(rest),
            State::Csv(csv) => csv.feed(rest),
            State::Refused => Err(ReadError::Refused),
        }
    }

    /// Goes past what may stand before a document and finds out what kind it is. Returns what is
    /// left of the octets.
    fn start<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], ReadError> {
        let State::Start { mark, at } = &mut self.state else {
            return Ok(octets);
        };
        let mut rest = octets;
        while let (Some(due), [octet, tail @ ..]) = (BYTE_ORDER_MARK.get(*mark), rest) {
            if octet != due {
                break;
            }
            *mark += 1;
            at.advance(std::slice::from_ref(octet));
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(rest);
        }
        if !matches!(*mark, 0 | 3) {
            return Err(ReadError::Unreadable {
                looks_like: Form::Unknown,
            });
        }
        // A mark cannot come later.
        *mark = BYTE_ORDER_MARK.len();
        let blank = |octet: &&u8| matches!(octet, b' ' | b'\t' | b'\n' | b'\r');
        let blanks = rest.iter().take_while(blank).count();
        let (space, document) = rest.split_at_checked(blanks).unwrap_or_default();
        at.advance(space);
        let at = *at;
        match document.first() {
            None => {}
            Some(b'{' | b'[') => {
                let json = Json::new(&self.limits, self.keep, at);
                self.state = State::Json(Box::new(json));
            }
            Some(_) => self.state = State::Csv(Box::new(Csv::new(&self.limits, at))),
        }
        Ok(document)
    }
}

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

const START: Position = Position {
    offset: 0,
    line: 1,
    column: 1,
};

impl Position {
    /// Goes past these octets.
    fn advance(&mut self, octets: &[u8]) {
        self.offset += wide(octets.len());
        match memrchr(b'\n', octets) {
            None => self.column += wide(octets.len()),
            Some(last) => {
                self.line += wide(memchr_iter(b'\n', octets).count());
                self.column = wide(octets.len() - last);
            }
        }
    }

    /// Where something is wrong, that many octets before the end of these, which begin here.
    fn refuse(mut self, octets: &[u8], stop: Stop, limits: &Limits) -> ReadError {
        let Stop::Fault { left, fault } = stop else {
            self.advance(octets);
            return ReadError::CutShort { at: self };
        };
        let right = octets.len().saturating_sub(left);
        self.advance(octets.get(..right).unwrap_or_default());
        match fault {
            Fault::Expected(expected) => ReadError::Syntax { at: self, expected },
            Fault::TooDeep => ReadError::TooDeep {
                at: self,
                limit: limits.depth,
            },
            Fault::TooLong(limit) => ReadError::TooLong { at: self, limit },
            Fault::TooManyRows => ReadError::TooManyRows { limit: limits.rows },
        }
    }
}

fn wide(octets: usize) -> u64 {
    u64::try_from(octets).unwrap_or(u64::MAX)
}

/// A JSON document that is being read.
#[derive(Debug)]
struct Json {
    machine: Machine,
    /// The beginning of a unit that the last chunk did not complete.
    carry: Vec<u8>,
    boundary: Boundary,
    /// Where the next unit begins.
    at: Position,
    limits: Limits,
}

impl Json {
    fn new(limits: &Limits, keep: Keep, at: Position) -> Self {
        Self {
            machine: Machine::new(limits, keep),
            carry: Vec::new(),
            boundary: Boundary::default(),
            at,
            limits: *limits,
        }
    }

    fn feed(&mut self, octets: &[u8]) -> Result<(), ReadError> {
        let rest = self.complete(octets)?;
        let taken = self.run(rest)?;
        let unit = rest.get(taken..).unwrap_or_default();
        if !unit.is_empty() {
            self.boundary = Boundary::default();
            self.boundary.find(unit);
            self.carry.extend_from_slice(unit);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Document, ReadError> {
        // A carried unit may be wrong before it is cut short.
        let carry = std::mem::take(&mut self.carry);
        let taken = self.run(&carry)?;
        if !self.machine.is_complete() {
            let rest = carry.get(taken..).unwrap_or_default();
            return Err(self.at.refuse(rest, Stop::Incomplete, &self.limits));
        }
        self.machine.finish()
    }

    /// Completes the carried unit and returns the octets behind it, none when it goes on.
    fn complete<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], ReadError> {
        let mut rest = octets;
        while !self.carry.is_empty() && !rest.is_empty() {
            // In steps, so that no chunk makes the carried octets more than the limit.
            let room = self.limit().saturating_sub(self.carry.len()).max(1);
            let step = rest.get(..room).unwrap_or(rest);
            let end = self.boundary.find(step);
            let (part, tail) = rest
                .split_at_checked(end.unwrap_or(step.len()))
                .unwrap_or_default();
            self.carry.extend_from_slice(part);
            rest = tail;
            if end.is_some() || self.carry.len() >= self.limit() {
                let mut carry = std::mem::take(&mut self.carry);
                let taken = self.run(&carry)?;
                if taken < carry.len() {
                    let unit = carry.get(taken..).unwrap_or_default();
                    return Err(self.at.refuse(unit, Stop::Incomplete, &self.limits));
                }
                carry.clear();
                self.carry = carry;
                break;
            }
        }
        Ok(rest)
    }

    /// The longest that the carried unit can be before the machine must see it.
    fn limit(&self) -> usize {
        if self.carry.starts_with(b"{") {
            self.limits.row_octets
        } else {
            self.limits.token_octets
        }
    }

    fn run(&mut self, octets: &[u8]) -> Result<usize, ReadError> {
        let outcome = self.machine.run(octets);
        let taken = outcome.map_err(|stop| self.at.refuse(octets, stop, &self.limits))?;
        self.at.advance(octets.get(..taken).unwrap_or_default());
        Ok(taken)
    }
}

/// Finds the end of a unit whose beginning is known, octet by octet and without reading it: the
/// machine reads what it found.
#[derive(Clone, Copy, Debug, Default)]
struct Boundary {
    begun: bool,
    depth: usize,
    /// Within a text.
    text: bool,
    /// Behind a backslash.
    escaped: bool,
}

impl Boundary {
    /// How many of these octets belong to the unit, `None` when all do and it goes on. A number
    /// or a word includes the octet that ends it.
    fn find(&mut self, octets: &[u8]) -> Option<usize> {
        for (place, octet) in octets.iter().enumerate() {
            if self.ends(*octet) {
                return Some(place + 1);
            }
        }
        None
    }

    fn ends(&mut self, octet: u8) -> bool {
        let begun = std::mem::replace(&mut self.begun, true);
        if self.text {
            if self.escaped {
                self.escaped = false;
            } else if octet == b'\\' {
                self.escaped = true;
            } else if octet == b'"' {
                self.text = false;
                return self.depth == 0;
            }
            return false;
        }
        match octet {
            b'"' if self.depth > 0 || !begun => self.text = true,
            b'{' | b'[' if self.depth > 0 || !begun => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                return self.depth == 0;
            }
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.' => {}
            _ => return self.depth == 0,
        }
        false
    }
}
