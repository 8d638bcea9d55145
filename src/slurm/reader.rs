//! JSON (RFC 8259) into a tree that knows where everything stands.
//!
//! A file of exceptions is small and written by people, so it is read whole; what counts is that
//! each message can name a line. Size, depth and the number of values are bounded before memory
//! is spent. In a lenient reading a byte order mark, comments and trailing commas are passed over,
//! each with a note.

use std::collections::HashSet;

use super::fault::{FaultKind, Position};
use super::report::{Path, Report, shown};

/// The longest file, in octets: room for some 200,000 entries.
pub(super) const MAX_OCTETS: usize = 32 << 20;
/// The most values in a file, those in others included.
const MAX_VALUES: usize = 2_000_000;
/// How deep objects and lists may nest; SLURM needs five.
const MAX_DEPTH: usize = 32;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node<'a> {
    pub(super) at: Position,
    pub(super) value: Value<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool,
    /// A number as it is written.
    Number(&'a str),
    Text(Text<'a>),
    List(Vec<Node<'a>>),
    Object(Vec<Member<'a>>),
}

/// A text without its escapes.
pub(super) type Text<'a> = std::borrow::Cow<'a, str>;

/// A member of an object and where its name begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member<'a> {
    pub(super) at: Position,
    pub(super) name: Text<'a>,
    pub(super) node: Node<'a>,
}

impl Value<'_> {
    /// What it is, for messages.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Number(number) => format!("the number {}", shown(number)),
            Self::Text(text) => format!("the text \"{}\"", shown(text)),
            Self::List(_) => "an array".to_owned(),
            Self::Object(_) => "an object".to_owned(),
        }
    }
}

/// Reads a text; `None` when it is not JSON or has a member twice, of which the report tells.
pub(super) fn read<'a>(octets: &'a [u8], report: &mut Report) -> Option<Node<'a>> {
    if octets.len() > MAX_OCTETS {
        let found = octets.len();
        let message = format!("a file of {found} octets is longer than {MAX_OCTETS}");
        report.fault(FaultKind::Syntax, Position::START, &Path::Top, message);
        return None;
    }
    let valid = match std::str::from_utf8(octets) {
        Ok(text) => text,
        Err(error) => {
            let (good, _) = octets.split_at(error.valid_up_to());
            let mut reader = Reader::new(std::str::from_utf8(good).unwrap_or_default(), report);
            reader.at = good.len();
            reader.fail::<()>("expected UTF-8, found an octet that is none");
            return None;
        }
    };
    let mut reader = Reader::new(valid, report);
    let node = reader.file()?;
    let before = report.fault_count;
    repeats(&node, &Path::Top, report);
    (report.fault_count == before).then_some(node)
}

/// Reports every member that its object has already: RFC 8259 §4 leaves open what it means, and
/// most readers keep the last one silently.
fn repeats(node: &Node<'_>, path: &Path<'_>, report: &mut Report) {
    match &node.value {
        Value::List(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                repeats(node, &path.item(index), report);
            }
        }
        Value::Object(members) => {
            let mut names = HashSet::with_capacity(members.len());
            for member in members {
                let path = path.member(&member.name);
                if !names.insert(member.name.as_ref()) {
                    let message = "the member is there twice";
                    report.fault(FaultKind::DuplicateMember, member.at, &path, message);
                }
                repeats(&member.node, &path, report);
            }
        }
        _ => {}
    }
}

struct Reader<'a, 'r> {
    text: &'a str,
    /// Octets that are read.
    at: usize,
    /// A place up to which lines and characters are counted, and its position.
    mark: (usize, Position),
    values: usize,
    depth: usize,
    report: &'r mut Report,
}

impl<'a, 'r> Reader<'a, 'r> {
    const fn new(text: &'a str, report: &'r mut Report) -> Self {
        Self {
            text,
            at: 0,
            mark: (0, Position::START),
            values: 0,
            depth: 0,
            report,
        }
    }

    fn file(&mut self) -> Option<Node<'a>> {
        if self.text.starts_with('\u{feff}') {
            self.lenient("a byte order mark")?;
            self.at = '\u{feff}'.len_utf8();
            // It is no character of the first line.
            self.mark.0 = self.at;
        }
        self.space()?;
        let node = self.node()?;
        self.space()?;
        match self.next() {
            None => Some(node),
            Some(_) => self.expected("the end of the file"),
        }
    }

    fn node(&mut self) -> Option<Node<'a>> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return self.fail(&format!("more than {MAX_VALUES} values"));
        }
        let at = self.position();
        let value = match self.next() {
            Some(b'{') => Value::Object(self.nested(Self::object)?),
            Some(b'[') => Value::List(self.nested(Self::list)?),
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool)?,
            Some(b'f') => self.word("false", Value::Bool)?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return self.expected("a JSON value"),
        };
        Some(Node { at, value })
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            return self.fail(&format!("nested deeper than {MAX_DEPTH}"));
        }
        self.depth += 1;
        self.at += 1;
        self.space()?;
        let read = read(self)?;
        self.depth -= 1;
        Some(read)
    }

    fn object(&mut self) -> Option<Vec<Member<'a>>> {
        let mut members = Vec::new();
        while self.more(b'}', members.is_empty())? {
            if self.next() != Some(b'"') {
                return self.expected("the name of a member in double quotes");
            }
            let at = self.position();
            let name = self.string()?;
            self.space()?;
            if self.next() != Some(b':') {
                return self.expected("a colon");
            }
            self.at += 1;
            self.space()?;
            let node = self.node()?;
            self.space()?;
            members.push(Member { at, name, node });
        }
        Some(members)
    }

    fn list(&mut self) -> Option<Vec<Node<'a>>> {
        let mut nodes = Vec::new();
        while self.more(b']', nodes.is_empty())? {
            let node = self.node()?;
            self.space()?;
            nodes.push(node);
        }
        Some(nodes)
    }

    /// Whether another element follows; goes past the comma before it, or past the end.
    fn more(&mut self, end: u8, first: bool) -> Option<bool> {
        if self.next() == Some(end) {
            self.at += 1;
            return Some(false);
        }
        if first {
            return Some(true);
        }
        if self.next() != Some(b',') {
            return self.expected(if end == b'}' {
                "a comma or the end of the object"
            } else {
                "a comma or the end of the array"
            });
        }
        let comma = self.position();
        self.at += 1;
        self.space()?;
        if self.next() != Some(end) {
            return Some(true);
        }
        let what = "a comma with nothing behind it";
        let go_on = self.report.tolerate(
            FaultKind::Syntax,
            comma,
            &Path::Top,
            || format!("{what} is not JSON"),
            || what.to_owned(),
        );
        go_on.then(|| {
            self.at += 1;
            false
        })
    }

    /// Goes past white space, and past comments where they are allowed.
    fn space(&mut self) -> Option<()> {
        loop {
            let rest = self.rest();
            let blank = |octet: &u8| !matches!(octet, b' ' | b'\t' | b'\n' | b'\r');
            self.at += rest.bytes().position(|o| blank(&o)).unwrap_or(rest.len());
            let rest = self.rest();
            let length = if rest.starts_with("//") || rest.starts_with('#') {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                let Some(end) = rest.find("*/") else {
                    return self.fail("a comment without an end");
                };
                end + 2
            } else {
                return Some(());
            };
            self.lenient("a comment")?;
            self.at += length;
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Option<Value<'a>> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        if rest.get(..length) != Some(word) {
            return self.expected("a JSON value");
        }
        self.at += length;
        Some(value)
    }

    fn number(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let number = rest.split(|c| !part(c)).next().unwrap_or_default();
        if !is_number(number) {
            return self.fail(&format!("expected a number, found {}", shown(number)));
        }
        self.at += number.len();
        Some(number)
    }

    fn string(&mut self) -> Option<Text<'a>> {
        self.at += 1;
        let start = self.at;
        let plain = |octet: u8| octet != b'"' && octet != b'\\' && octet >= 0x20;
        let skip = |this: &mut Self| {
            let rest = this.rest();
            this.at += rest.bytes().position(|o| !plain(o)).unwrap_or(rest.len());
        };
        skip(self);
        if self.next() == Some(b'"') {
            let text = self.text.get(start..self.at).unwrap_or_default();
            self.at += 1;
            return Some(text.into());
        }
        let mut text = self.text.get(start..self.at).unwrap_or_default().to_owned();
        loop {
            match self.next() {
                Some(b'"') => {
                    self.at += 1;
                    return Some(text.into());
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return self.fail("a control character in a text must be escaped"),
                None => return self.expected("the end of the text"),
            }
            let from = self.at;
            skip(self);
            text.push_str(self.text.get(from..self.at).unwrap_or_default());
        }
    }

    fn escape(&mut self) -> Option<char> {
        let escaped = match self.rest().as_bytes().get(1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return self.fail("expected an escape of JSON behind the backslash"),
        };
        self.at += 2;
        Some(escaped)
    }

    /// `\uXXXX`, or two of them that are one character together.
    fn unicode(&mut self) -> Option<char> {
        let unit = |text: &str| {
            let digits = text.strip_prefix("\\u")?.get(..4)?;
            let all = digits.bytes().all(|octet| octet.is_ascii_hexdigit());
            all.then(|| u16::from_str_radix(digits, 16).ok())?
        };
        let first = unit(self.rest());
        let second = self.rest().get(6..).and_then(unit);
        let units = [first, second].into_iter().map_while(|unit| unit);
        match char::decode_utf16(units).next() {
            Some(Ok(read)) => {
                self.at += 6 * read.len_utf16();
                Some(read)
            }
            _ => self.fail("expected the four hexadecimal digits of a character"),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Where the reader stands. Costs what was read since it was last asked.
    fn position(&mut self) -> Position {
        let (from, mut position) = self.mark;
        for c in self.text.get(from..self.at).unwrap_or_default().chars() {
            if c == '\n' {
                position.line = position.line.saturating_add(1);
                position.column = 1;
            } else {
                position.column = position.column.saturating_add(1);
            }
        }
        self.mark = (self.at, position);
        position
    }

    /// Goes on past something that only a lenient reading allows.
    fn lenient(&mut self, what: &str) -> Option<()> {
        let at = self.position();
        let go_on = self.report.tolerate(
            FaultKind::Syntax,
            at,
            &Path::Top,
            || format!("{what} is not JSON"),
            || what.to_owned(),
        );
        go_on.then_some(())
    }

    fn expected<T>(&mut self, what: &str) -> Option<T> {
        let found = match self.rest().chars().next() {
            Some(c) => format!("\"{}\"", shown(c.encode_utf8(&mut [0; 4]))),
            None => "the end of the file".to_owned(),
        };
        self.fail(&format!("expected {what}, found {found}"))
    }

    fn fail<T>(&mut self, message: &str) -> Option<T> {
        let at = self.position();
        self.report
            .fault(FaultKind::Syntax, at, &Path::Top, message);
        None
    }
}

/// Whether it is a number of RFC 8259 §6.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|o| o.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}
