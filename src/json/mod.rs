//! VRP documents: every known dialect in, ours out.
//!
//! A [`Reader`] is fed a document in chunks of any size and finds out by itself who wrote it:
//! rpki-client, Routinator, GoRTR, RIPE's validator 3 or one of the CSV exporters. Read in this
//! order: what comes out ([`document`]), what bounds it ([`limits`]) and what goes wrong
//! ([`error`]); then the [`reader`], and [`decompress`] for files as they lie on a disk. [`export`]
//! makes ours.
//!
//! Nothing here opens a file, knows the time or decides whether a row is still to be served.

pub mod decompress;
pub mod document;
pub mod error;
pub mod export;
pub mod limits;
pub mod reader;
pub mod texts;

mod csv;
mod cursor;
mod machine;
mod prefix;
mod row;
mod shape;
mod sink;
mod value;
mod write;

pub use self::decompress::read;
pub use self::document::{Dialect, Document, Metadata, Skipped};
pub use self::error::{ReadError, RowError};
pub use self::limits::Limits;
pub use self::reader::Reader;
pub use self::texts::Keep;

#[cfg(test)]
mod tests;
