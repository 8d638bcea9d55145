//! What can go wrong between a cache and a router, and the one mapping of it to the wire.

use std::fmt;

use super::serial::Serial;
use super::version::Version;
use super::view::SessionId;
use crate::payload::aspa::AspaError;

/// The code of an Error Report (8210bis §12 and the IANA registry).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorCode {
    /// 0: a PDU is damaged and no other code says how.
    CorruptData,
    /// 1: the sender has a problem of its own.
    InternalError,
    /// 2: the cache has nothing to serve. Not fatal.
    NoDataAvailable,
    /// 3: the request makes no sense.
    InvalidRequest,
    /// 4: fatal in versions 0 and 1 only.
    UnsupportedProtocolVersion,
    /// 5.
    UnsupportedPduType,
    /// 6: from a router that does not have what the cache withdraws.
    WithdrawalOfUnknownRecord,
    /// 7: from a router that has what the cache announces.
    DuplicateAnnouncement,
    /// 8: from version 1 on.
    UnexpectedProtocolVersion,
    /// 9: version 2.
    AspaProviderList,
    /// 10: version 2; the transport stalls.
    TransportFailure,
    /// 11: version 2; payload out of order.
    Ordering,
    /// 12: version 2; the cache will be back. Not fatal.
    CacheRestart,
    /// 13: version 2; the cache goes for good.
    CacheShutdown,
}

impl ErrorCode {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::CorruptData,
        Self::InternalError,
        Self::NoDataAvailable,
        Self::InvalidRequest,
        Self::UnsupportedProtocolVersion,
        Self::UnsupportedPduType,
        Self::WithdrawalOfUnknownRecord,
        Self::DuplicateAnnouncement,
        Self::UnexpectedProtocolVersion,
        Self::AspaProviderList,
        Self::TransportFailure,
        Self::Ordering,
        Self::CacheRestart,
        Self::CacheShutdown,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::CorruptData => 0,
            Self::InternalError => 1,
            Self::NoDataAvailable => 2,
            Self::InvalidRequest => 3,
            Self::UnsupportedProtocolVersion => 4,
            Self::UnsupportedPduType => 5,
            Self::WithdrawalOfUnknownRecord => 6,
            Self::DuplicateAnnouncement => 7,
            Self::UnexpectedProtocolVersion => 8,
            Self::AspaProviderList => 9,
            Self::TransportFailure => 10,
            Self::Ordering => 11,
            Self::CacheRestart => 12,
            Self::CacheShutdown => 13,
        }
    }

    /// The code with this number, `None` when it is not assigned.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether this version has the code: a session must not use those of another
    /// (8210bis §12).
    pub const fn exists_in(self, version: Version) -> bool {
        let last = match version {
            Version::V0 => 7,
            Version::V1 => 8,
            Version::V2 => 13,
        };
        self.number() <= last
    }

    /// The name in the registry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CorruptData => "Corrupt Data",
            Self::InternalError => "Internal Error",
            Self::NoDataAvailable => "No Data Available",
            Self::InvalidRequest => "Invalid Request",
            Self::UnsupportedProtocolVersion => "Unsupported Protocol Version",
            Self::UnsupportedPduType => "Unsupported PDU Type",
            Self::WithdrawalOfUnknownRecord => "Withdrawal of Unknown Record",
            Self::DuplicateAnnouncement => "Duplicate Announcement Received",
            Self::UnexpectedProtocolVersion => "Unexpected Protocol Version",
            Self::AspaProviderList => "ASPA Provider List Error",
            Self::TransportFailure => "Transport Failure",
            Self::Ordering => "Ordering Error",
            Self::CacheRestart => "Cache Restart",
            Self::CacheShutdown => "Cache Shutdown",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {})", self.name(), self.number())
    }
}

/// What the other side did against the protocol.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProtocolError {
    /// An ASPA with a list that must not be (8210bis §5.12).
    AspaProviders(AspaError),
    /// The records of an announcement that the router has already.
    DuplicateAnnouncement,
    /// A PDU whose length does not fit its type.
    Length {
        /// The type.
        pdu_type: u8,
        /// The length it claims, in octets.
        found: u32,
    },
    /// A PDU with a value that cannot be.
    Payload(&'static str),
    /// A Session ID that is not that of the open session (8210bis §5.3).
    SessionMismatch {
        /// The id told on this connection.
        told: SessionId,
        /// The id in the PDU.
        found: SessionId,
    },
    /// A serial that is not the one expected.
    SerialMismatch {
        /// The serial that would fit.
        expected: Serial,
        /// The serial in the PDU.
        found: Serial,
    },
    /// A PDU that cannot come at this point.
    Unexpected {
        /// Its type.
        pdu_type: u8,
    },
    /// A PDU of another version than was negotiated.
    UnexpectedVersion {
        /// The octet found.
        found: u8,
    },
    /// The withdrawal of a record that the router does not have.
    UnknownWithdrawal,
    /// A type that this version does not have.
    UnsupportedType {
        /// The type.
        pdu_type: u8,
    },
    /// A version that is not spoken here.
    UnsupportedVersion {
        /// The octet found.
        found: u8,
    },
}

impl ProtocolError {
    /// The code that reports it. This is the only place where an error becomes a code.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::AspaProviders(_) => ErrorCode::AspaProviderList,
            Self::DuplicateAnnouncement => ErrorCode::DuplicateAnnouncement,
            // Code 0 rather than 3 for a wrong length (CONFORMANCE decision 5.3).
            Self::Length { .. }
            | Self::Payload(_)
            | Self::SessionMismatch { .. }
            | Self::SerialMismatch { .. } => ErrorCode::CorruptData,
            Self::Unexpected { .. } => ErrorCode::InvalidRequest,
            Self::UnexpectedVersion { .. } => ErrorCode::UnexpectedProtocolVersion,
            Self::UnknownWithdrawal => ErrorCode::WithdrawalOfUnknownRecord,
            Self::UnsupportedType { .. } => ErrorCode::UnsupportedPduType,
            Self::UnsupportedVersion { .. } => ErrorCode::UnsupportedProtocolVersion,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AspaProviders(error) => write!(f, "ASPA: {error}"),
            Self::DuplicateAnnouncement => {
                f.write_str("a record is announced that is there already")
            }
            Self::Length { pdu_type, found } => {
                write!(f, "length {found} does not fit PDU type {pdu_type}")
            }
            Self::Payload(what) => f.write_str(what),
            Self::SessionMismatch { told, found } => {
                write!(f, "session ID {found} where {told} is open")
            }
            Self::SerialMismatch { expected, found } => {
                write!(f, "serial {found} where {expected} was expected")
            }
            Self::Unexpected { pdu_type } => write!(f, "PDU type {pdu_type} cannot come here"),
            Self::UnexpectedVersion { found } => {
                write!(f, "version {found} after another was negotiated")
            }
            Self::UnknownWithdrawal => f.write_str("a record is withdrawn that is not there"),
            Self::UnsupportedType { pdu_type } => {
                write!(f, "PDU type {pdu_type} is unknown in this version")
            }
            Self::UnsupportedVersion { found } => write!(f, "version {found} is not supported"),
        }
    }
}

impl std::error::Error for ProtocolError {}
