//! What is worth saying about files with keys and users that can be used all the same.

use std::fmt;
use std::path::Path;

/// A list of warnings that a file of thousands of lines cannot make long.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    said: Vec<String>,
    more: usize,
}

impl Warnings {
    /// The most that are kept; of the others only the number is told.
    const MOST: usize = 20;

    /// Adds one about a file.
    pub(super) fn file(&mut self, path: &Path, text: impl fmt::Display) {
        self.push(format_args!("{}: {text}", path.display()));
    }

    /// Adds one about a line of a file, the first of which is 1.
    pub(super) fn line(&mut self, path: &Path, line: usize, text: impl fmt::Display) {
        self.push(format_args!("{}:{line}: {text}", path.display()));
    }

    /// Adds one.
    pub(super) fn push(&mut self, text: impl fmt::Display) {
        if self.said.len() < Self::MOST {
            self.said.push(text.to_string());
        } else {
            self.more += 1;
        }
    }

    /// All of them, lower case, a line each.
    pub(super) fn into_lines(mut self) -> Box<[String]> {
        if self.more > 0 {
            self.said.push(format!("and {} more warnings", self.more));
        }
        self.said.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let mut warnings = Warnings::default();
        for line in 1..=25 {
            warnings.line(Path::new("f"), line, "odd");
        }
        let lines = warnings.into_lines();
        assert_eq!(lines.len(), 21);
        assert_eq!(lines[0], "f:1: odd");
        assert_eq!(lines[20], "and 5 more warnings");
    }
}
