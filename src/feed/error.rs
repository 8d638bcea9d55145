//! What is wrong with a file of a feed.

use std::error::Error;
use std::fmt;

use crate::payload::Kind;
use crate::payload::delta::MismatchError;
use crate::payload::stored::StoredError;
use crate::rtr::ProtocolError;
use crate::rtr::snapshot::restore::RestoreError;

/// Why files are not what a manifest says, or not what they should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FeedError {
    /// There are more or fewer octets than the manifest says.
    Length {
        /// How many it says.
        expected: u64,
        /// How many there are, as far as was looked.
        found: u64,
    },
    /// The digest is another one than the manifest says.
    Digest,
    /// A PDU is wrong.
    Pdu {
        /// Where it begins, in octets.
        offset: u64,
        /// What is wrong with it.
        cause: ProtocolError,
    },
    /// A field that is to be 0 is not, so the same payload would have several forms.
    Reserved {
        /// Where the PDU begins, in octets.
        offset: u64,
    },
    /// A payload is not where the order wants it, or is there twice.
    Order {
        /// Where the PDU begins, in octets.
        offset: u64,
        /// The kind of the payload.
        kind: Kind,
    },
    /// The file ends within a PDU.
    Truncated {
        /// Where the PDU begins, in octets.
        offset: u64,
    },
    /// A step announces and withdraws the same, or says wrongly what it replaces.
    Contradiction(Kind),
    /// A file of attributes is not one.
    Attributes(&'static str),
    /// Attributes are those of another set.
    OtherSet,
    /// A step that is needed is not there.
    Missing,
    /// A set cannot be made of the records.
    Stored(StoredError),
    /// A step does not begin where the one before ends.
    Mismatch(MismatchError),
    /// The steps are no history.
    Restore(RestoreError),
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, found } => {
                write!(f, "{found} octets where {expected} were expected")
            }
            Self::Digest => f.write_str("the digest is not that of the manifest"),
            Self::Pdu { offset, cause } => write!(f, "at octet {offset}: {cause}"),
            Self::Reserved { offset } => {
                write!(f, "at octet {offset}: a field is set that must be 0")
            }
            Self::Order { offset, kind } => {
                write!(
                    f,
                    "at octet {offset}: an {kind} out of order or there twice"
                )
            }
            Self::Truncated { offset } => write!(f, "at octet {offset}: the PDU is cut off"),
            Self::Contradiction(kind) => write!(f, "contradicts itself about an {kind}"),
            Self::Attributes(what) => write!(f, "no attributes: {what}"),
            Self::OtherSet => f.write_str("the attributes belong to another set"),
            Self::Missing => f.write_str("a step to the serial is missing"),
            Self::Stored(error) => error.fmt(f),
            Self::Mismatch(error) => error.fmt(f),
            Self::Restore(error) => error.fmt(f),
        }
    }
}

impl Error for FeedError {}

impl From<StoredError> for FeedError {
    fn from(error: StoredError) -> Self {
        Self::Stored(error)
    }
}

impl From<MismatchError> for FeedError {
    fn from(error: MismatchError) -> Self {
        Self::Mismatch(error)
    }
}

impl From<RestoreError> for FeedError {
    fn from(error: RestoreError) -> Self {
        Self::Restore(error)
    }
}
