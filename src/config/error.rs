//! What is wrong with some settings, and where each of them came from.

use std::fmt;
use std::path::PathBuf;

/// A place in a configuration file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    /// `FILE:LINE:COLUMN`, as editors read it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        write!(f, "{}:{line}:{column}", file.display())
    }
}

/// Where a setting came from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Whence {
    /// Nobody set it.
    #[default]
    Default,
    /// The configuration file.
    File(Place),
    /// The environment variable of this name.
    Environment(String),
    /// A flag, as it was typed but for passwords.
    Flag(String),
}

impl fmt::Display for Whence {
    /// On one line, for a comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(Place { file, line, .. }) => write!(f, "{}:{line}", file.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(typed) => f.write_str(typed),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// Where it stands, `None` outside a file.
    pub place: Option<Place>,
    /// The setting: its key in a file, a flag as it was typed, or an environment variable. Empty
    /// when the file is no TOML there.
    pub setting: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.setting.is_empty() {
            write!(f, "{}: ", self.setting)?;
        }
        f.write_str(&self.reason)
    }
}

/// Everything that is wrong with some settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    unreadable: bool,
}

impl ConfigErrors {
    /// These, in the order of the file.
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by(|a, b| a.place.cmp(&b.place));
        // A table with several addresses says the same of each.
        errors.dedup();
        Self {
            errors,
            unreadable: false,
        }
    }

    /// The file itself cannot be read.
    pub(super) fn unreadable(file: &std::path::Path, reason: String) -> Self {
        Self {
            errors: vec![ConfigError {
                place: None,
                setting: file.display().to_string(),
                reason,
            }],
            unreadable: true,
        }
    }

    /// Whether nothing is known because the configuration file cannot be read.
    pub fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.errors.iter()
    }
}

impl fmt::Display for ConfigErrors {
    /// A line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.errors.iter().enumerate() {
            let line_end = if place == 0 { "" } else { "\n" };
            write!(f, "{line_end}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
