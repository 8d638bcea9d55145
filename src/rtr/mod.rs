//! HOW IT IS SPOKEN: the RPKI-to-Router protocol, versions 0 (RFC 6810), 1 (RFC 8210) and 2
//! (draft-ietf-sidrops-8210bis-27), without I/O.
//!
//! Read the words first ([`version`], [`serial`], [`timing`], [`error`]), then the octets
//! ([`pdu`], [`decoder`], [`image`]), then what is served ([`view`], [`snapshot`]), and last the
//! two sides of a session ([`server`], [`client`]), which are told what happened and when, and
//! say what to do.

pub mod client;
pub mod decoder;
pub mod error;
pub mod image;
pub mod pdu;
pub mod serial;
pub mod server;
pub mod snapshot;
pub mod timing;
pub mod version;
pub mod view;

pub use self::error::{ErrorCode, ProtocolError};
pub use self::pdu::Pdu;
pub use self::serial::Serial;
pub use self::snapshot::Snapshot;
pub use self::timing::Timing;
pub use self::version::{Version, Versions};
pub use self::view::{HistoryName, SessionId, View};
