//! WHAT IS SERVED, AS FILES: for followers, and for the next start.
//!
//! A small [`manifest`] names a history, where it stands, and the files that hold it: the set at
//! some serial ([`snapshot`]), each step between two serials ([`delta`]), and what is known of the
//! payloads beside ([`attributes`]). Files are named by what they are ([`name`]), so that their
//! content never changes and any web server or cache can carry them; their digests are in the
//! manifest, so that none needs to be trusted. [`history`] makes of all that what
//! [`rtr`](crate::rtr) serves, [`advance`] says whether a manifest may follow another one, and
//! `takeover` how another server goes on with a history.
//!
//! Sets and steps are plain PDUs of RTR version 2 in the order of 8210bis §11.2: what a router
//! receives between Cache Response and End of Data. Nothing here opens a file or knows the time.

pub mod advance;
pub mod attributes;
pub mod delta;
pub mod error;
pub mod history;
pub mod manifest;
pub mod name;
pub mod seal;
pub mod snapshot;

mod pdus;
mod takeover;

#[cfg(test)]
pub(crate) mod tests;

pub use self::error::FeedError;
pub use self::manifest::{Manifest, ManifestError};
pub use self::name::FileName;
pub use self::seal::{Octets, Sealed, whole};

/// The header with which a server says that it waited for a manifest as it was asked to, in lower
/// case; what it says does not matter.
pub const WAITED: &str = "rutter-feed-wait";
