//! Rows of JSON lists.
//!
//! A row is read from octets that hold all of it. The members of a row may come in any order, a
//! repeated one counts where it stands last, and unknown ones are read over.

use std::borrow::Cow;

use super::cursor::{Cursor, Stop, Value};
use super::error::RowError;
use super::shape::{Field, Shape};
use super::sink::{About, Payload, Sink};
use super::value;
use crate::payload::{Asn, Aspa, RouterKey, UnixTime};

/// What the rows of a list are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RowKind {
    Vrp,
    RouterKey,
    Aspa,
}

/// A row whose syntax is right.
pub(super) struct Row<'a> {
    pub(super) payload: Result<Payload, RowError>,
    pub(super) remarks: Remarks<'a>,
}

/// Reads the object that is next.
#[inline]
pub(super) fn read<'a>(
    cursor: &mut Cursor<'a>,
    kind: RowKind,
    shape: &mut Shape,
    max_providers: usize,
) -> Result<Row<'a>, Stop> {
    match kind {
        RowKind::Vrp => vrp(cursor, shape),
        RowKind::RouterKey => router_key(cursor, shape),
        RowKind::Aspa => aspa(cursor, shape, max_providers),
    }
}

/// Reads the VRP's row that is next, if it is laid out like the one before and there is nothing
/// unusual or wrong about it.
#[inline]
pub(super) fn quick<'a>(cursor: &mut Cursor<'a>, shape: &Shape) -> Option<(Payload, About<'a>)> {
    let (row, rest) = shape.vrp(cursor.within()?)?;
    let vrp = row.prefix?.vrp(row.max_len, row.asn?).ok()?;
    if row.trust_anchor.len() > Sink::MAX_NAME {
        return None;
    }
    cursor.pass_all(cursor.rest().len() - rest.len());
    let about = About {
        expires: row.expires.map(UnixTime::new),
        trust_anchor: row.trust_anchor,
    };
    Some((Payload::Vrp(vrp), about))
}

/// Why a member is not taken: the row goes on after a bad value, but not after a stop.
enum Halt {
    Bad(RowError),
    Stop(Stop),
}

impl From<RowError> for Halt {
    fn from(reason: RowError) -> Self {
        Self::Bad(reason)
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Reads the row that is next, with `take` for each of its members, and remembers its layout; says
/// which value was the first bad one.
fn fields<'a>(
    cursor: &mut Cursor<'a>,
    shape: &mut Shape,
    mut take: impl FnMut(Field, &mut Cursor<'a>) -> Result<(), Halt>,
) -> Result<Result<(), RowError>, Stop> {
    let mut outcome = Ok(());
    let mut first = true;
    shape.forget();
    cursor.enter()?;
    loop {
        let before = cursor.rest();
        let Some(name) = cursor.member(&mut first)? else {
            shape.learn(before, cursor.rest(), None);
            return Ok(outcome);
        };
        cursor.peek()?;
        let field = Field::named(&name);
        shape.learn(before, cursor.rest(), Some(field));
        match take(field, cursor) {
            Ok(()) => {}
            Err(Halt::Bad(reason)) => outcome = outcome.and(Err(reason)),
            Err(Halt::Stop(stop)) => return Err(stop),
        }
    }
}

/// Reads the object that is next, with `take` for each of its members; says which value was the
/// first bad one.
#[inline]
fn members<'a>(
    cursor: &mut Cursor<'a>,
    mut take: impl FnMut(&[u8], &mut Cursor<'a>) -> Result<(), Halt>,
) -> Result<Result<(), RowError>, Stop> {
    let mut outcome = Ok(());
    let mut first = true;
    cursor.enter()?;
    while let Some(name) = cursor.member(&mut first)? {
        match take(&name, cursor) {
            Ok(()) => {}
            Err(Halt::Bad(reason)) => outcome = outcome.and(Err(reason)),
            Err(Halt::Stop(stop)) => return Err(stop),
        }
    }
    Ok(outcome)
}

#[inline]
fn vrp<'a>(cursor: &mut Cursor<'a>, shape: &mut Shape) -> Result<Row<'a>, Stop> {
    let mut remarks = Remarks::default();
    let (mut asn, mut prefix, mut max_len) = (None, None, None);
    let outcome = fields(cursor, shape, |field, cursor| {
        match field {
            Field::Asn => asn = read_asn(cursor)?,
            Field::Prefix => prefix = value::prefix(&cursor.value()?)?,
            Field::MaxLen => max_len = value::max_len(&cursor.value()?)?,
            _ => remarks.take(field, cursor)?,
        }
        Ok(())
    })?;
    let payload = outcome.and_then(|()| {
        let prefix = prefix.ok_or(RowError::Missing("prefix"))?;
        let asn = asn.ok_or(RowError::Missing("asn"))?;
        let vrp = prefix.vrp(max_len, asn).map_err(RowError::Vrp)?;
        Ok(Payload::Vrp(vrp))
    });
    Ok(Row { payload, remarks })
}

fn router_key<'a>(cursor: &mut Cursor<'a>, shape: &mut Shape) -> Result<Row<'a>, Stop> {
    let mut remarks = Remarks::default();
    let (mut asn, mut ski, mut key) = (None, None, None);
    let outcome = fields(cursor, shape, |field, cursor| {
        match field {
            Field::Asn => asn = read_asn(cursor)?,
            Field::Ski => {
                ski = text(cursor, RowError::Ski, value::ski)?;
            }
            Field::Key => {
                key = text(cursor, RowError::Base64, value::key)?;
            }
            _ => remarks.take(field, cursor)?,
        }
        Ok(())
    })?;
    let payload = outcome.and_then(|()| {
        let asn = asn.ok_or(RowError::Missing("asn"))?;
        let ski = ski.ok_or(RowError::Missing("ski"))?;
        let key = key.ok_or(RowError::Missing("pubkey"))?;
        let key = RouterKey::new(ski, asn, &key).map_err(RowError::RouterKey)?;
        Ok(Payload::RouterKey(key))
    });
    Ok(Row { payload, remarks })
}

fn aspa<'a>(
    cursor: &mut Cursor<'a>,
    shape: &mut Shape,
    max_providers: usize,
) -> Result<Row<'a>, Stop> {
    let mut remarks = Remarks::default();
    let (mut customer, mut providers) = (None, None);
    let outcome = fields(cursor, shape, |field, cursor| {
        match field {
            Field::Customer => customer = read_asn(cursor)?,
            Field::Providers => providers = read_providers(cursor, max_providers)?,
            _ => remarks.take(field, cursor)?,
        }
        Ok(())
    })?;
    let payload = outcome.and_then(|()| {
        let customer = customer.ok_or(RowError::Missing("customer"))?;
        let providers = providers.ok_or(RowError::Missing("providers"))?;
        let aspa = Aspa::new(customer, providers).map_err(RowError::Aspa)?;
        Ok(Payload::Aspa(aspa))
    });
    Ok(Row { payload, remarks })
}

fn read_asn(cursor: &mut Cursor<'_>) -> Result<Option<Asn>, Halt> {
    Ok(value::asn(&cursor.value()?)?)
}

/// The list of providers that is next, `None` for null.
fn read_providers(cursor: &mut Cursor<'_>, limit: usize) -> Result<Option<Vec<Asn>>, Halt> {
    if cursor.peek()? != b'[' {
        return match cursor.value()? {
            Value::Null => Ok(None),
            _ => Err(RowError::Providers.into()),
        };
    }
    let mut providers = Vec::new();
    let mut outcome = Ok(());
    let mut first = true;
    cursor.enter()?;
    while cursor.element(&mut first)? {
        match value::asn(&cursor.value()?) {
            Ok(Some(provider)) if providers.len() < limit => providers.push(provider),
            Ok(_) => outcome = outcome.and(Err(RowError::Providers)),
            Err(reason) => outcome = outcome.and(Err(reason)),
        }
    }
    outcome?;
    Ok(Some(providers))
}

/// The text that is next as `meaning` has it, `None` for null.
fn text<T>(
    cursor: &mut Cursor<'_>,
    otherwise: RowError,
    meaning: fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, Halt> {
    match cursor.value()? {
        Value::Text(text) => Ok(Some(meaning(&text).ok_or(otherwise)?)),
        Value::Null => Ok(None),
        _ => Err(otherwise.into()),
    }
}

/// What rows of all kinds say beside their payload.
#[derive(Default)]
pub(super) struct Remarks<'a> {
    trust_anchor: Cow<'a, [u8]>,
    expires: Option<UnixTime>,
    sources_expire: Option<UnixTime>,
    /// Whether the row says where it comes from, as only Routinator's jsonext does.
    pub(super) names_sources: bool,
}

impl<'a> Remarks<'a> {
    #[inline]
    pub(super) fn about(&self) -> About<'_> {
        About {
            expires: self.expires.or(self.sources_expire),
            trust_anchor: &self.trust_anchor,
        }
    }

    #[inline]
    fn take(&mut self, field: Field, cursor: &mut Cursor<'a>) -> Result<(), Halt> {
        match field {
            Field::TrustAnchor => self.trust_anchor = trust_anchor(cursor.value()?)?,
            Field::Expires => self.expires = value::time(&cursor.value()?)?,
            Field::Source if cursor.peek()? == b'[' => self.take_sources(cursor)?,
            _ => {
                cursor.value()?;
            }
        }
        Ok(())
    }

    /// Routinator's jsonext: the row counts as long as one of its sources does.
    fn take_sources(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Halt> {
        self.names_sources = true;
        let mut outcome = Ok(());
        let mut last_end = Some(UnixTime::new(0));
        let mut first = true;
        let mut none = true;
        cursor.enter()?;
        while cursor.element(&mut first)? {
            if cursor.peek()? != b'{' {
                cursor.value()?;
                continue;
            }
            none = false;
            let mut source = Source::default();
            let bad = members(cursor, |name, cursor| source.take(name, cursor))?;
            outcome = outcome.and(bad);
            last_end = last_end.zip(source.end).map(|(one, other)| one.max(other));
            if self.trust_anchor.is_empty() {
                self.trust_anchor = source.trust_anchor;
            }
        }
        outcome?;
        self.sources_expire = last_end.filter(|_| !none);
        Ok(())
    }
}

/// One source of a row in Routinator's jsonext.
#[derive(Default)]
struct Source<'a> {
    trust_anchor: Cow<'a, [u8]>,
    /// When the first thing it depends on ends, `None` when nothing does.
    end: Option<UnixTime>,
}

impl<'a> Source<'a> {
    fn take(&mut self, name: &[u8], cursor: &mut Cursor<'a>) -> Result<(), Halt> {
        match name {
            b"tal" => self.trust_anchor = trust_anchor(cursor.value()?)?,
            b"stale" => self.end_by(value::time(&cursor.value()?)?),
            b"validity" | b"chainValidity" if cursor.peek()? == b'{' => {
                members(cursor, |name, cursor| {
                    let value = cursor.value()?;
                    if name == b"notAfter" {
                        self.end_by(value::time(&value)?);
                    }
                    Ok(())
                })??;
            }
            _ => {
                cursor.value()?;
            }
        }
        Ok(())
    }

    fn end_by(&mut self, end: Option<UnixTime>) {
        self.end = self.end.into_iter().chain(end).min();
    }
}

fn trust_anchor(value: Value<'_>) -> Result<Cow<'_, [u8]>, RowError> {
    match value {
        Value::Text(name) if name.len() <= Sink::MAX_NAME => Ok(name),
        Value::Null => Ok(Cow::default()),
        _ => Err(RowError::TrustAnchor),
    }
}
