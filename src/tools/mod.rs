//! What a command runs when it is longer than a file.

pub mod dump;
pub mod exceptions;
pub mod lines;
pub mod routes;
pub mod validate;
pub mod verdicts;
