//! What a command runs when it is longer than a file.

pub mod check;
pub mod dump;
pub mod effects;
pub mod exceptions;
pub mod lines;
pub mod path;
pub mod routes;
pub mod secret;
pub mod validate;
pub mod verdicts;
