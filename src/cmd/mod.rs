//! THE FRONT DOOR: a short file for each command.

pub mod acquire;
pub mod dump;
pub mod path;
pub mod serve;
pub mod slurm;
pub mod validate;

/// What came of a command that did what it was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Yes, or done.
    Yes,
    /// The answer is no.
    No,
    /// It could not be determined, and all there is to say about it was said.
    Undetermined,
}

/// What went wrong and what caused it, on one line.
pub fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
