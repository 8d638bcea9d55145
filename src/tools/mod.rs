//! What a command runs when it is longer than a file.

pub mod dump;
