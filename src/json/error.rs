//! Why a document is refused, and why a row is.

use std::error::Error;
use std::fmt;
use std::io;

use super::document::Skipped;
use crate::payload::asn::AsnError;
use crate::payload::aspa::AspaError;
use crate::payload::router_key::RouterKeyError;
use crate::payload::vrp::VrpError;

/// Why a whole document is refused.
#[derive(Debug)]
pub enum ReadError {
    /// The source of the octets failed, or what they are compressed with is broken.
    Io(io::Error),
    /// It is not JSON, or has something else where a list or a row must be.
    Syntax {
        /// Where.
        at: Position,
        /// What would have been right there.
        expected: &'static str,
    },
    /// It ends before it is complete.
    CutShort {
        /// Where.
        at: Position,
    },
    /// Objects and lists nest too deep.
    TooDeep {
        /// Where.
        at: Position,
        /// How deep they may nest.
        limit: usize,
    },
    /// A row, a text or a line is too long.
    TooLong {
        /// Where it begins.
        at: Position,
        /// How long it may be, in octets.
        limit: usize,
    },
    /// There are too many rows.
    TooManyRows {
        /// How many there may be.
        limit: usize,
    },
    /// The document is too long, after decompression.
    TooLarge {
        /// How long it may be, in octets.
        limit: u64,
    },
    /// Too many rows are bad to trust the others.
    BadRows {
        /// The bad rows.
        skipped: Skipped,
        /// How many rows there are, bad ones included.
        listed: usize,
    },
    /// It is something known that is neither JSON nor CSV, or nothing known.
    Unreadable {
        /// What it looks like.
        looks_like: Form,
    },
    /// It is JSON, but nothing in it belongs to a VRP document.
    NoList,
    /// It was refused before.
    Refused,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the document cannot be read"),
            Self::Syntax { at, expected } => write!(f, "{at}: expected {expected}"),
            Self::CutShort { at } => write!(f, "{at}: the document is cut short"),
            Self::TooDeep { at, limit } => write!(f, "{at}: nested deeper than {limit}"),
            Self::TooLong { at, limit } => write!(f, "{at}: longer than {limit} octets"),
            Self::TooManyRows { limit } => write!(f, "more than {limit} rows"),
            Self::TooLarge { limit } => write!(f, "the document is longer than {limit} octets"),
            Self::BadRows { skipped, listed } => {
                write!(f, "{} of {listed} rows are bad", skipped.count)?;
                match skipped.first {
                    Some(first) => write!(f, ", the first is {first}"),
                    None => Ok(()),
                }
            }
            Self::Unreadable { looks_like } => {
                write!(
                    f,
                    "neither JSON nor CSV of VRPs: it looks like {looks_like}"
                )
            }
            Self::NoList => f.write_str("no roas, routerKeys, bgpsec_keys, aspas or metadata"),
            Self::Refused => f.write_str("the document was refused before"),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

/// A place in a document, after decompression.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// Octets before it.
    pub offset: u64,
    /// The line, from 1.
    pub line: u64,
    /// The octet on the line, from 1.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            line,
            column,
        } = self;
        write!(f, "line {line}, column {column} (offset {offset})")
    }
}

/// What a document that cannot be read looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// Configuration of BIRD 1 or 2.
    Bird,
    /// Compressed data.
    Compressed,
    /// Nothing but white space.
    Empty,
    /// A page for a browser: HTML or XML.
    Markup,
    /// Configuration of OpenBGPD.
    Openbgpd,
    /// RPSL objects.
    Rpsl,
    /// Nothing known.
    Unknown,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bird => "a BIRD configuration",
            Self::Compressed => "compressed data",
            Self::Empty => "an empty file",
            Self::Markup => "an HTML or XML page",
            Self::Openbgpd => "an OpenBGPD configuration",
            Self::Rpsl => "RPSL objects",
            Self::Unknown => "nothing known",
        })
    }
}

/// Why a row is skipped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RowError {
    /// It is not an object.
    NotAnObject,
    /// A CSV line has other columns than the first one, or a quote that does not end.
    Columns,
    /// A member or a column is missing, or null.
    Missing(&'static str),
    /// The prefix is no text, or no prefix.
    Prefix,
    /// An AS number is none.
    Asn(AsnError),
    /// The max length is no number up to 255.
    MaxLen,
    /// Prefix and max length make no VRP.
    Vrp(VrpError),
    /// An expiry is no time.
    Expires,
    /// A trust anchor is no text, or longer than 256 octets.
    TrustAnchor,
    /// A subject key identifier is not 40 hexadecimal digits.
    Ski,
    /// A public key is not base64.
    Base64,
    /// A public key has a length that none has.
    RouterKey(RouterKeyError),
    /// The providers are no list, or there are too many of them.
    Providers,
    /// Customer and providers make no ASPA.
    Aspa(AspaError),
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("not an object"),
            Self::Columns => f.write_str("other columns than before, or an open quote"),
            Self::Missing(name) => write!(f, "no {name}"),
            Self::Prefix => f.write_str("not a prefix"),
            Self::Asn(reason) => reason.fmt(f),
            Self::MaxLen => f.write_str("not a max length"),
            Self::Vrp(reason) => reason.fmt(f),
            Self::Expires => f.write_str("not an expiry time"),
            Self::TrustAnchor => f.write_str("not a trust anchor's name"),
            Self::Ski => f.write_str("not a key identifier of 40 hexadecimal digits"),
            Self::Base64 => f.write_str("a public key that is not base64"),
            Self::RouterKey(reason) => reason.fmt(f),
            Self::Providers => f.write_str("not a list of providers, or too long a one"),
            Self::Aspa(reason) => reason.fmt(f),
        }
    }
}

impl Error for RowError {}
