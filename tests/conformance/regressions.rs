//! Where other servers, or this one before, are known to go wrong: each case by its name.

mod ahead;
mod client;
mod doubt;
mod history;
mod increments;
mod queries;
mod silence;
mod terms;
mod values;
