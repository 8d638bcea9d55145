//! WHAT WE CARRY: validated RPKI payloads as pure values.
//!
//! A [`Vrp`] says which AS may originate a prefix, a [`RouterKey`] which key signs BGPsec paths
//! for an AS, an [`Aspa`] which providers a customer AS has. Read in this order: the values
//! ([`asn`], [`vrp`], [`router_key`], [`aspa`]), what a source says of them ([`rows`]), what
//! several sources amount to ([`merge`]), what an update takes away ([`census`]), the set that is
//! served ([`set`]), how two sets differ ([`delta`]), how one changes piece by piece ([`edit`])
//! or comes back from where it was kept ([`stored`]), and what a set says about a route ([`validity`], [`index`], [`aspa_path`]).
//!
//! Nothing here knows a protocol, a file format or a clock. The one thing it shares with the wire
//! is the order: every value's `Ord` is the order of announcements of 8210bis §11.2, so that a
//! set is sorted once, when it is built, and never again.

pub mod asn;
pub mod aspa;
pub mod aspa_path;
pub mod census;
mod customers;
pub mod delta;
pub mod edit;
pub mod index;
pub mod item;
pub mod kind;
pub mod merge;
mod patch;
pub mod router_key;
pub mod rows;
pub mod set;
pub mod stored;
pub mod time;
pub mod validity;
pub mod vrp;
mod walk;

pub use self::asn::Asn;
pub use self::aspa::Aspa;
pub use self::delta::Delta;
pub use self::edit::Edits;
pub use self::index::Index;
pub use self::item::Payload;
pub use self::kind::{Kind, Kinds};
pub use self::router_key::RouterKey;
pub use self::rows::{Attribute, Rows, RowsBuilder};
pub use self::set::{DataSet, PayloadSet};
pub use self::time::UnixTime;
pub use self::vrp::Vrp;
