//! The JSON document around its rows.
//!
//! The machine goes from unit to unit: a row is one, so is any other text, number, brace or
//! comma. It keeps nothing but where it is, so that a document of any length can pass through it.

use super::cursor::{Cursor, Fault, Stop, Value};
use super::document::{Dialect, Document, Metadata, RowPlace};
use super::error::{ReadError, RowError};
use super::limits::Limits;
use super::row::{self, Row, RowKind};
use super::shape::Shape;
use super::sink::Sink;
use super::texts::{Keep, RowTexts};
use super::value;

/// The state between two units.
#[derive(Debug)]
pub(super) struct Machine {
    sink: Sink,
    metadata: Metadata,
    /// GoRTR's `signature` and `signatureDate`.
    signatures: [Option<Box<str>>; 2],
    /// What they are over, `None` when nobody wants to know.
    texts: Option<RowTexts>,
    marks: Marks,
    shape: Shape,
    /// The objects and lists that are open.
    open: Vec<Scope>,
    next: Next,
    /// The member whose value is next or was last.
    member: Member,
    /// The place of the next row in its list.
    index: usize,
    limits: Limits,
}

/// An object or list that is open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scope {
    Document,
    Metadata,
    Authorizations,
    Rows(List),
    OtherObject,
    OtherList,
}

impl Scope {
    const fn is_object(self) -> bool {
        !matches!(self, Self::Rows(_) | Self::OtherList)
    }
}

/// A list of rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum List {
    Array,
    Roas,
    Data,
    BgpsecKeys,
    RouterKeys,
    Aspas,
    AuthorizationsV4,
    AuthorizationsV6,
}

impl List {
    const fn name(self) -> &'static str {
        match self {
            Self::Array => "",
            Self::Roas => "roas",
            Self::Data => "data",
            Self::BgpsecKeys => "bgpsec_keys",
            Self::RouterKeys => "routerKeys",
            Self::Aspas => "aspas",
            Self::AuthorizationsV4 => "provider_authorizations.ipv4",
            Self::AuthorizationsV6 => "provider_authorizations.ipv6",
        }
    }

    const fn kind(self) -> RowKind {
        match self {
            Self::Array | Self::Roas | Self::Data => RowKind::Vrp,
            Self::BgpsecKeys | Self::RouterKeys => RowKind::RouterKey,
            Self::Aspas | Self::AuthorizationsV4 | Self::AuthorizationsV6 => RowKind::Aspa,
        }
    }
}

/// What must come next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

/// A member by its meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Member {
    Metadata,
    Authorizations,
    Rows(List),
    Buildtime,
    Generated,
    Valid,
    Serial,
    /// One of GoRTR's.
    Signature(usize),
    Other,
}

/// What was seen that only some programs write.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    array: bool,
    data: bool,
    rpki_client: bool,
    routinator: bool,
    sources: bool,
    gortr: bool,
    /// Something that belongs to a VRP document at all.
    any: bool,
}

impl Machine {
    pub(super) fn new(limits: &Limits, keep: Keep) -> Self {
        Self {
            sink: Sink::new(limits),
            metadata: Metadata::default(),
            signatures: [None, None],
            texts: (keep == Keep::Texts).then(RowTexts::default),
            marks: Marks::default(),
            shape: Shape::default(),
            open: Vec::new(),
            next: Next::Value,
            member: Member::Other,
            index: 0,
            limits: *limits,
        }
    }

    /// Takes the whole units that these octets begin with and says how many octets they are.
    pub(super) fn run(&mut self, octets: &[u8]) -> Result<usize, Stop> {
        let mut cursor = Cursor::new(octets, 0, 0);
        loop {
            cursor.skip_space();
            let before = cursor.rest();
            match self.unit(&mut cursor) {
                Ok(()) => {}
                Err(Stop::Incomplete) => return Ok(octets.len() - before.len()),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Whether the document is complete.
    pub(super) fn is_complete(&self) -> bool {
        self.next == Next::Nothing
    }

    pub(super) fn finish(self) -> Result<Document, ReadError> {
        if !self.marks.any {
            return Err(ReadError::NoList);
        }
        let mut document = self.sink.finish(self.marks.dialect(), self.metadata)?;
        if let [Some(signature), Some(date)] = self.signatures {
            document.gortr = Some([signature, date]);
        }
        document.texts = self.texts;
        Ok(document)
    }

    fn unit(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let octet = cursor.peek()?;
        match (self.next, octet) {
            (Next::Value, _) => self.value(octet, cursor),
            (Next::ValueOrEnd, b']') | (Next::NameOrEnd, b'}') => {
                self.close();
                cursor.pass();
                Ok(())
            }
            (Next::ValueOrEnd, _) => self.value(octet, cursor),
            (Next::Name | Next::NameOrEnd, b'"') => {
                let name = self.limited(cursor, Cursor::string)?;
                self.member = self.name(&name);
                self.next = Next::Colon;
                Ok(())
            }
            (Next::Name | Next::NameOrEnd, _) => Err(cursor.expected("a member's name")),
            (Next::Colon, b':') => {
                self.next = Next::Value;
                cursor.pass();
                Ok(())
            }
            (Next::Colon, _) => Err(cursor.expected("a colon")),
            (Next::CommaOrEnd, _) => self.comma_or_end(octet, cursor),
            (Next::Nothing, _) => Err(cursor.expected("the end of the document")),
        }
    }

    fn comma_or_end(&mut self, octet: u8, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let object = self.open.last().is_some_and(|scope| scope.is_object());
        match octet {
            b',' => self.next = if object { Next::Name } else { Next::Value },
            b'}' if object => self.close(),
            b']' if !object => self.close(),
            _ if object => return Err(cursor.expected("a comma or a closing brace")),
            _ => return Err(cursor.expected("a comma or a closing bracket")),
        }
        cursor.pass();
        Ok(())
    }

    fn close(&mut self) {
        self.open.pop();
        self.next = if self.open.is_empty() {
            Next::Nothing
        } else {
            Next::CommaOrEnd
        };
    }

    #[inline]
    fn value(&mut self, octet: u8, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let within = self.open.last().copied();
        if let Some(Scope::Rows(list)) = within {
            return self.element(list, octet, cursor);
        }
        let member = match within {
            Some(Scope::OtherObject | Scope::OtherList) | None => Member::Other,
            Some(_) => self.member,
        };
        match (octet, member) {
            (b'{', _) if within.is_none() => self.open(Scope::Document, cursor),
            (b'[', _) if within.is_none() => {
                self.marks.array = true;
                self.open(Scope::Rows(List::Array), cursor)
            }
            (b'{', Member::Metadata) => self.open(Scope::Metadata, cursor),
            (b'{', Member::Authorizations) => self.open(Scope::Authorizations, cursor),
            (b'[', Member::Rows(list)) => self.open(Scope::Rows(list), cursor),
            (b'n', Member::Rows(_) | Member::Metadata | Member::Authorizations) => {
                // Go's encoder writes null for a list that was never filled.
                self.limited(cursor, Cursor::bare)?;
                self.next = Next::CommaOrEnd;
                Ok(())
            }
            (_, Member::Rows(_)) => Err(cursor.expected("a list of rows")),
            (_, Member::Metadata | Member::Authorizations) => Err(cursor.expected("an object")),
            (b'{', _) => self.open(Scope::OtherObject, cursor),
            (b'[', _) => self.open(Scope::OtherList, cursor),
            _ => self.scalar(member, cursor),
        }
    }

    fn open(&mut self, scope: Scope, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        if self.open.len() >= self.limits.depth {
            return Err(cursor.fault(Fault::TooDeep));
        }
        if let Scope::Rows(_) = scope {
            self.index = 0;
            self.marks.any = true;
        }
        self.open.push(scope);
        self.next = if scope.is_object() {
            Next::NameOrEnd
        } else {
            Next::ValueOrEnd
        };
        cursor.pass();
        Ok(())
    }

    #[inline]
    fn element(&mut self, list: List, octet: u8, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        if self.sink.is_full() {
            return Err(cursor.fault(Fault::TooManyRows));
        }
        let place = RowPlace::Element {
            list: list.name(),
            index: self.index,
        };
        match octet {
            b'{' => self.row(list, place, cursor)?,
            b'[' => {
                self.open(Scope::OtherList, cursor)?;
                self.sink.skip(place, RowError::NotAnObject);
            }
            _ => {
                self.limited(cursor, Cursor::value)?;
                self.next = Next::CommaOrEnd;
                self.sink.skip(place, RowError::NotAnObject);
            }
        }
        self.index += 1;
        Ok(())
    }

    #[inline]
    fn row(&mut self, list: List, place: RowPlace, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let (kind, providers) = (list.kind(), self.limits.providers);
        let depth = self.open.len();
        let octets = self.limits.row_octets;
        let (shape, sink) = (&mut self.shape, &mut self.sink);
        let before = cursor.rest();
        within(cursor, depth, self.limits.depth, octets, |cursor| {
            if kind == RowKind::Vrp
                && let Some((payload, about)) = row::quick(cursor, shape)
            {
                sink.add(payload, about);
                return Ok(());
            }
            let Row { payload, remarks } = row::read(cursor, kind, shape, providers)?;
            self.marks.sources |= remarks.names_sources;
            match payload {
                Ok(payload) => sink.add(payload, remarks.about()),
                Err(reason) => sink.skip(place, reason),
            }
            Ok(())
        })?;
        if kind == RowKind::Vrp
            && let Some(texts) = &mut self.texts
        {
            let length = before.len() - cursor.rest().len();
            texts.add(before.get(..length).unwrap_or_default());
        }
        self.next = Next::CommaOrEnd;
        Ok(())
    }

    /// A text, number or word that is neither row nor list.
    fn scalar(&mut self, member: Member, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let value = self.limited(cursor, Cursor::value)?;
        // What cannot be read counts as absent, see `Metadata`.
        let time = || value::time(&value).ok().flatten();
        match member {
            Member::Buildtime => self.metadata.buildtime = time(),
            Member::Generated => self.metadata.generated = time(),
            Member::Valid => self.metadata.valid = time(),
            Member::Serial => self.metadata.serial = serial(&value),
            Member::Signature(place) => {
                if let Some(slot) = self.signatures.get_mut(place) {
                    *slot = text(&value);
                }
            }
            _ => {}
        }
        self.next = Next::CommaOrEnd;
        Ok(())
    }

    /// The meaning of a member's name where it stands.
    fn name(&mut self, name: &[u8]) -> Member {
        match self.open.last() {
            Some(Scope::Document) => {
                let member = document_member(name);
                self.marks.any |= member != Member::Other;
                self.marks.data |= member == Member::Rows(List::Data);
                self.marks.routinator |= member == Member::Rows(List::RouterKeys);
                self.marks.rpki_client |= matches!(
                    member,
                    Member::Rows(List::BgpsecKeys) | Member::Authorizations
                );
                member
            }
            Some(Scope::Metadata) => {
                self.marks.metadata_member(name);
                metadata_member(name)
            }
            Some(Scope::Authorizations) => match name {
                b"ipv4" => Member::Rows(List::AuthorizationsV4),
                b"ipv6" => Member::Rows(List::AuthorizationsV6),
                _ => Member::Other,
            },
            _ => Member::Other,
        }
    }

    fn limited<'a, T>(
        &self,
        cursor: &mut Cursor<'a>,
        read: impl FnOnce(&mut Cursor<'a>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        within(cursor, 0, 0, self.limits.token_octets, read)
    }
}

/// Reads something that must not be longer than `limit` octets. What is too long is told from
/// what is not there yet by these octets alone, so that chunks make no difference.
#[inline]
fn within<'a, T>(
    cursor: &mut Cursor<'a>,
    depth: usize,
    max_depth: usize,
    limit: usize,
    read: impl FnOnce(&mut Cursor<'a>) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let rest = cursor.rest();
    let (near, far) = rest.split_at_checked(limit).unwrap_or((rest, &[]));
    let mut inner = Cursor::new(near, depth, max_depth);
    match read(&mut inner) {
        Ok(found) => {
            cursor.pass_all(near.len() - inner.rest().len());
            Ok(found)
        }
        Err(Stop::Incomplete) if rest.len() >= limit => Err(cursor.fault(Fault::TooLong(limit))),
        Err(Stop::Incomplete) => Err(Stop::Incomplete),
        Err(Stop::Fault { left, fault }) => Err(Stop::Fault {
            left: left + far.len(),
            fault,
        }),
    }
}

fn document_member(name: &[u8]) -> Member {
    match name {
        b"metadata" => Member::Metadata,
        b"roas" => Member::Rows(List::Roas),
        b"data" => Member::Rows(List::Data),
        b"bgpsec_keys" => Member::Rows(List::BgpsecKeys),
        // The second spelling is Fort's.
        b"routerKeys" | b"router-keys" => Member::Rows(List::RouterKeys),
        b"aspas" => Member::Rows(List::Aspas),
        b"provider_authorizations" => Member::Authorizations,
        _ => Member::Other,
    }
}

fn metadata_member(name: &[u8]) -> Member {
    match name {
        b"buildtime" => Member::Buildtime,
        b"generated" => Member::Generated,
        b"valid" => Member::Valid,
        b"serial" => Member::Serial,
        b"signature" => Member::Signature(0),
        b"signatureDate" => Member::Signature(1),
        _ => Member::Other,
    }
}

fn text(value: &Value<'_>) -> Option<Box<str>> {
    match value {
        Value::Text(text) => std::str::from_utf8(text).ok().map(Into::into),
        _ => None,
    }
}

fn serial(value: &Value<'_>) -> Option<u32> {
    let number = match value {
        Value::Number(number) => *number,
        Value::Text(text) => value::digits(text),
        _ => None,
    };
    u32::try_from(number?).ok()
}

impl Marks {
    fn metadata_member(&mut self, name: &[u8]) {
        match name {
            b"generatedTime" => self.routinator = true,
            b"buildtime" | b"buildmachine" | b"vrps" | b"vaps" => self.rpki_client = true,
            b"counts" | b"valid" => self.gortr = true,
            _ => {}
        }
    }

    fn dialect(self) -> Dialect {
        match self {
            Self { array: true, .. } => Dialect::Array,
            Self { data: true, .. } => Dialect::Validator3,
            Self { sources: true, .. } => Dialect::RoutinatorExt,
            // What we export has the marks of both: Routinator never writes those of rpki-client.
            Self {
                rpki_client: true, ..
            } => Dialect::RpkiClient,
            Self {
                routinator: true, ..
            } => Dialect::Routinator,
            Self { gortr: true, .. } => Dialect::Gortr,
            _ => Dialect::Plain,
        }
    }
}
