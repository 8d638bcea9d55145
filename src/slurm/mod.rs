//! LOCAL EXCEPTIONS: RFC 8416 and its extension for ASPAs (draft-ietf-sidrops-aspa-slurm).
//!
//! An operator's files say which validated payloads are not to be served and which are served
//! beside them. [`parse`] reads one file, [`combine`] puts files together, and
//! [`Exceptions::apply`] turns the rows of the validators into the rows that are served, with the
//! [`Effect`] of each entry. Read in this order: what a file says (`file`), how it is read (`parse`,
//! on `reader`, `members` and `value`), what several say together (`combine`, `exceptions`), how
//! that is found fast (`nest`, `filters`) and what it does (`apply`, `effect`).
//!
//! The text of a file is an argument, as in all of the core, and every fault of a file is found
//! at once, with its place. Nothing of a file is used that is not understood in whole.
//!
//! <https://www.rfc-editor.org/rfc/rfc8416>,
//! <https://datatracker.ietf.org/doc/draft-ietf-sidrops-aspa-slurm/>

mod apply;
mod combine;
mod effect;
mod exceptions;
mod fault;
mod file;
mod filters;
mod members;
mod nest;
mod parse;
mod reader;
mod report;
mod value;

pub use self::apply::Applied;
pub use self::combine::{AspaOverlap, Conflict, ConflictError, Named, Shared, combine};
pub use self::effect::{Effect, EntryEffect};
pub use self::exceptions::{Entry, Exceptions};
pub use self::fault::{Fault, FaultKind, FileError, Leniency, Position};
pub use self::file::{BgpsecFilter, File, List, PrefixFilter, Record, Rule, Version};
pub use self::parse::{Parsed, Reading, parse};

#[cfg(test)]
mod tests;
