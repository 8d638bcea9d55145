//! CSV documents.
//!
//! The first line says what the columns are, be it a header or a row. A line that is not ended is
//! not taken: nothing else in CSV shows that a document is cut short, and a number that lacks its
//! last digits is a number too.

use memchr::memchr;

use super::document::{Dialect, Document, Metadata, RowPlace};
use super::error::{Form, Position, ReadError, RowError};
use super::limits::Limits;
use super::prefix::Prefix;
use super::sink::{About, Payload, Sink};
use super::value;
use crate::payload::{Asn, UnixTime};

/// A CSV document that is being read.
#[derive(Debug)]
pub(super) struct Csv {
    sink: Sink,
    layout: Option<Vec<Column>>,
    /// The beginning of a line.
    carry: Vec<u8>,
    /// Where the next line begins.
    at: Position,
    limits: Limits,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Column {
    Asn,
    Prefix,
    Address,
    Length,
    MaxLen,
    TrustAnchor,
    Expires,
    Uri,
    Other,
}

impl Csv {
    pub(super) fn new(limits: &Limits, at: Position) -> Self {
        Self {
            sink: Sink::new(limits),
            layout: None,
            carry: Vec::new(),
            at,
            limits: *limits,
        }
    }

    pub(super) fn feed(&mut self, octets: &[u8]) -> Result<(), ReadError> {
        let mut rest = octets;
        while let Some((line, tail)) = memchr(b'\n', rest)
            .and_then(|end| rest.split_at_checked(end))
            .and_then(|(line, tail)| Some((line, tail.get(1..)?)))
        {
            if self.carry.is_empty() {
                self.line(line)?;
            } else {
                self.carry(line)?;
                let mut whole = std::mem::take(&mut self.carry);
                self.line(&whole)?;
                whole.clear();
                self.carry = whole;
            }
            rest = tail;
        }
        self.carry(rest)
    }

    pub(super) fn finish(self) -> Result<Document, ReadError> {
        let carry = self.carry.trim_ascii();
        if !carry.is_empty() {
            if self.layout.is_none() && layout(carry).is_none() {
                return Err(unreadable(carry));
            }
            return Err(ReadError::CutShort { at: self.at });
        }
        let Some(layout) = self.layout else {
            return Err(unreadable(&[]));
        };
        let dialect = if layout.contains(&Column::Uri) {
            Dialect::CsvExt
        } else {
            Dialect::Csv
        };
        self.sink.finish(dialect, Metadata::default())
    }

    fn carry(&mut self, octets: &[u8]) -> Result<(), ReadError> {
        let limit = self.limits.token_octets;
        let room = limit.saturating_sub(self.carry.len());
        if let Some(part) = octets.get(..room)
            && part.len() < octets.len()
        {
            self.carry.extend_from_slice(part);
            return Err(self.too_long(&self.carry));
        }
        self.carry.extend_from_slice(octets);
        Ok(())
    }

    /// A first line that is too long is more likely no CSV at all.
    fn too_long(&self, line: &[u8]) -> ReadError {
        if self.layout.is_none() {
            return unreadable(line.trim_ascii());
        }
        ReadError::TooLong {
            at: self.at,
            limit: self.limits.token_octets,
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), ReadError> {
        if line.len() > self.limits.token_octets {
            return Err(self.too_long(line));
        }
        let text = line.trim_ascii();
        // Comments stand in none of the known exports, but in lists that people keep by hand.
        if !text.is_empty() && !text.starts_with(b"#") {
            self.row(text)?;
        }
        self.at.offset += octets(line) + 1;
        self.at.line += 1;
        self.at.column = 1;
        Ok(())
    }

    fn row(&mut self, text: &[u8]) -> Result<(), ReadError> {
        if self.layout.is_none() {
            let (found, is_header) = layout(text).ok_or_else(|| unreadable(text))?;
            self.layout = Some(found);
            if is_header {
                return Ok(());
            }
        }
        if self.sink.is_full() {
            return Err(ReadError::TooManyRows {
                limit: self.limits.rows,
            });
        }
        match row(text, self.layout.as_deref().unwrap_or_default()) {
            Ok((payload, about)) => self.sink.add(payload, about),
            Err(reason) => self.sink.skip(RowPlace::Line(self.at.line), reason),
        }
        Ok(())
    }
}

/// What a text that is no CSV of VRPs looks like, by how it begins.
fn unreadable(text: &[u8]) -> ReadError {
    let begins = |start: &[u8]| text.starts_with(start);
    let looks_like = match text {
        [] => Form::Empty,
        [b'<', ..] => Form::Markup,
        [0x1f, 0x8b, ..] | [0xfd, b'7', b'z', ..] | [b'(', 0xb5, b'/', 0xfd, ..] => {
            Form::Compressed
        }
        _ if begins(b"roa-set") => Form::Openbgpd,
        _ if begins(b"roa ") || begins(b"route ") || begins(b"define ") => Form::Bird,
        _ if begins(b"route:") || begins(b"route6:") => Form::Rpsl,
        _ => Form::Unknown,
    };
    ReadError::Unreadable { looks_like }
}

/// The columns of a document with this first line, and whether that is a header.
fn layout(line: &[u8]) -> Option<(Vec<Column>, bool)> {
    let header: Vec<Column> = Fields { rest: Some(line) }
        .map(|field| field.map_or(Column::Other, column))
        .collect();
    if header.contains(&Column::Asn) && header.contains(&Column::Prefix) {
        return Some((header, true));
    }
    let candidates: [&[Column]; 5] = [
        &[Column::Asn, Column::Prefix, Column::MaxLen],
        &[
            Column::Asn,
            Column::Prefix,
            Column::MaxLen,
            Column::TrustAnchor,
        ],
        &[Column::Address, Column::Length, Column::MaxLen, Column::Asn],
        &[
            Column::Asn,
            Column::Prefix,
            Column::MaxLen,
            Column::TrustAnchor,
            Column::Expires,
        ],
        &[
            Column::Uri,
            Column::Asn,
            Column::Prefix,
            Column::MaxLen,
            Column::Other,
            Column::Expires,
        ],
    ];
    // A bad row says as much of its columns as a good one, when its parts can be read.
    let fits = |columns: &&&[Column]| matches!(row(line, columns), Ok(_) | Err(RowError::Vrp(_)));
    let columns = candidates.iter().find(fits)?;
    Some((columns.to_vec(), false))
}

/// The column under this heading.
fn column(heading: &[u8]) -> Column {
    let letters = heading.iter().filter(|octet| octet.is_ascii_alphanumeric());
    let heading: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
    match heading.as_slice() {
        b"asn" => Column::Asn,
        b"ipprefix" | b"prefix" => Column::Prefix,
        b"maxlength" | b"maxlen" => Column::MaxLen,
        b"trustanchor" | b"ta" | b"tal" => Column::TrustAnchor,
        b"expires" | b"notafter" => Column::Expires,
        b"uri" => Column::Uri,
        _ => Column::Other,
    }
}

fn row<'a>(line: &'a [u8], columns: &[Column]) -> Result<(Payload, About<'a>), RowError> {
    let mut fields = Fields { rest: Some(line) };
    let mut about = About::default();
    let (mut asn, mut prefix, mut address, mut max_len) = (None, None, None, None);
    for column in columns {
        let field = fields.next().flatten().ok_or(RowError::Columns)?;
        match column {
            Column::Asn => asn = Some(Asn::from_ascii(field).map_err(RowError::Asn)?),
            Column::Prefix => prefix = Some(Prefix::from_ascii(field).ok_or(RowError::Prefix)?),
            Column::Address => address = Some(field),
            Column::Length => {
                let parts = address.and_then(|address| Prefix::from_parts(address, field));
                prefix = Some(parts.ok_or(RowError::Prefix)?);
            }
            Column::MaxLen => max_len = number(field)?,
            Column::TrustAnchor if field.len() > Sink::MAX_NAME => {
                return Err(RowError::TrustAnchor);
            }
            Column::TrustAnchor => about.trust_anchor = field,
            Column::Expires => about.expires = time(field)?,
            Column::Uri | Column::Other => {}
        }
    }
    if fields.next().is_some() {
        return Err(RowError::Columns);
    }
    let prefix = prefix.ok_or(RowError::Missing("prefix"))?;
    let asn = asn.ok_or(RowError::Missing("asn"))?;
    let vrp = prefix.vrp(max_len, asn).map_err(RowError::Vrp)?;
    Ok((Payload::Vrp(vrp), about))
}

fn number(field: &[u8]) -> Result<Option<u8>, RowError> {
    if field.is_empty() {
        return Ok(None);
    }
    let number = value::digits(field).and_then(|number| u8::try_from(number).ok());
    number.map(Some).ok_or(RowError::MaxLen)
}

fn time(field: &[u8]) -> Result<Option<UnixTime>, RowError> {
    if field.is_empty() || field == b"N/A" {
        return Ok(None);
    }
    let time = value::time_from_ascii(field);
    time.map(Some).ok_or(RowError::Expires)
}

fn octets(text: &[u8]) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// The fields of a line without the space and the quotes around them; `None` for one whose quote
/// does not end or ends too soon. A doubled quote within a field stays doubled.
struct Fields<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn quoted(&mut self, body: &'a [u8]) -> Option<&'a [u8]> {
        let mut from = 0;
        loop {
            let end = from + memchr(b'"', body.get(from..)?)?;
            let after = body.get(end + 1..)?;
            if after.starts_with(b"\"") {
                from = end + 2;
                continue;
            }
            self.rest = match after.trim_ascii_start() {
                [] => None,
                [b',', rest @ ..] => Some(rest),
                _ => return None,
            };
            return body.get(..end);
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.rest.take()?;
        if let [b'"', body @ ..] = line.trim_ascii_start() {
            return Some(self.quoted(body));
        }
        let Some((field, rest)) = memchr(b',', line).and_then(|end| line.split_at_checked(end))
        else {
            return Some(Some(line.trim_ascii()));
        };
        self.rest = rest.get(1..);
        Some(Some(field.trim_ascii()))
    }
}
