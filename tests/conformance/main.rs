//! The protocol as RFC 6810, RFC 8210 and draft-ietf-sidrops-8210bis-27 have it, and the order
//! of its payload and origin validation with it, and RFC 8416, checked through the public API: no sockets, no
//! clock but a virtual one.
//!
//! `vectors` runs the files under `tests/data/vectors`, whole and counted. Section numbers in the
//! names and comments are those of the documents.
#![allow(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may fail like tests"
)]

mod bis27;
mod laws;
mod pair;
mod regressions;
mod rfc8210;
mod rfc8416;
mod vectors;
