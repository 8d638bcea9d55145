//! rutter: an RPKI-to-Router (RTR) cache server, and the library under it.

pub mod daemon;
pub mod json;
pub mod net;
pub mod payload;
pub mod rtr;
