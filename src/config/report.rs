//! What a reading comes to beside the values: everything wrong, and where each setting is from.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::document::{Entry, Section};
use super::error::{ConfigError, Whence};
use super::value::{self, Raw};

/// Collects while settings are read.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<String>,
    /// Where what was set came from, by key; `source[0].url` in arrays.
    pub(super) whence: BTreeMap<String, Whence>,
    /// Keys that are there and wrong, which is reported: nobody needs to be told to set them.
    tried: BTreeMap<String, Whence>,
}

impl Report {
    /// Something is wrong with a key that came from there.
    pub(super) fn wrong(&mut self, whence: &Whence, key: &str, reason: impl Into<String>) {
        let (place, setting) = match whence {
            Whence::Default => (None, key),
            Whence::File(place) => (Some(place.clone()), key),
            Whence::Environment(name) => (None, name.as_str()),
            Whence::Flag(typed) => (None, typed.as_str()),
        };
        self.errors.push(ConfigError {
            place,
            setting: setting.to_owned(),
            reason: reason.into(),
        });
    }

    /// The same for a key that was read before, wherever it came from.
    pub(super) fn contradiction(&mut self, slot: &str, reason: impl Into<String>) {
        let whence = self.whence_of(slot);
        self.wrong(&whence, &without_places(slot), reason);
    }

    /// A key that has to be in a table and is not.
    pub(super) fn missing(&mut self, section: &Section<'_>, key: &str, expected: &str) {
        let reason = format!("missing (expected {expected})");
        let key = format!("{}.{key}", section.path);
        self.wrong(&section.whence(), &key, reason);
    }

    /// Where a setting came from.
    pub(super) fn whence_of(&self, slot: &str) -> Whence {
        let tried = self.whence.get(slot).or_else(|| self.tried.get(slot));
        tried.cloned().unwrap_or_default()
    }

    pub(super) fn is_set(&self, slot: &str) -> bool {
        self.whence.contains_key(slot)
    }

    /// Whether a setting is there, right or wrong.
    pub(super) fn is_tried(&self, slot: &str) -> bool {
        self.is_set(slot) || self.tried.contains_key(slot)
    }

    /// A setting is there and wrong.
    pub(super) fn tried(&mut self, slot: &str, whence: Whence) {
        self.tried.insert(slot.to_owned(), whence);
    }

    /// A flag takes the place of a table: what the file says in it counts no more.
    pub(super) fn forget(&mut self, table: &str) {
        let other = |key: &str| {
            let rest = key.strip_prefix(table);
            !rest.is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        self.whence.retain(|key, _| other(key));
        self.tried.retain(|key, _| other(key));
    }

    /// Reads a key of a table, when it is there and right.
    pub(super) fn take<'a, T>(
        &mut self,
        section: &Section<'a>,
        key: &str,
        read: impl FnOnce(Raw<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let entry = section.entry(key)?;
        self.keep(&entry, read(entry.raw()))
    }

    /// Reads the values of a key that is an array, or one value; `None` when it is not there.
    pub(super) fn take_all<'a, T>(
        &mut self,
        section: &Section<'a>,
        key: &str,
        read: impl FnMut(Raw<'a>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let entry = section.entry(key)?;
        Some(self.read_all(&entry, read))
    }

    /// The same for a key that means nothing when it is empty.
    pub(super) fn take_some<'a, T>(
        &mut self,
        section: &Section<'a>,
        key: &str,
        expected: &str,
        read: impl FnMut(Raw<'a>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let entry = section.entry(key)?;
        Some(self.read_some(&entry, expected, read))
    }

    pub(super) fn read_some<'a, T>(
        &mut self,
        entry: &Entry<'a>,
        expected: &str,
        read: impl FnMut(Raw<'a>) -> Result<T, String>,
    ) -> Vec<T> {
        if entry.items().is_empty() {
            let reason = format!("empty (expected {expected})");
            self.wrong(&entry.whence(), &entry.path, reason);
        }
        self.read_all(entry, read)
    }

    pub(super) fn read_all<'a, T>(
        &mut self,
        entry: &Entry<'a>,
        mut read: impl FnMut(Raw<'a>) -> Result<T, String>,
    ) -> Vec<T> {
        self.whence.insert(entry.slot.clone(), entry.key_whence());
        let mut values = Vec::new();
        for item in entry.items() {
            match read(item.raw()) {
                Ok(value) => values.push(value),
                Err(reason) => self.wrong(&item.whence(), &entry.path, reason),
            }
        }
        values
    }

    /// Keeps where an entry is from, or what is wrong with it.
    pub(super) fn keep<T>(&mut self, entry: &Entry<'_>, read: Result<T, String>) -> Option<T> {
        match read {
            Ok(value) => {
                self.whence.insert(entry.slot.clone(), entry.key_whence());
                Some(value)
            }
            Err(reason) => {
                self.wrong(&entry.whence(), &entry.path, reason);
                self.tried(&entry.slot, entry.key_whence());
                None
            }
        }
    }

    /// A key that nobody knows in its table.
    pub(super) fn unknown(&mut self, entry: &Entry<'_>, known: &[&str]) {
        let reason = if let Some(near) = value::nearest(entry.key, known.iter().copied()) {
            format!("unknown key; did you mean {near:?}?")
        } else {
            format!("unknown key (expected {})", known.join(", "))
        };
        self.wrong(&entry.key_whence(), &entry.path, reason);
    }

    /// Everything in a table that is not among its keys.
    pub(super) fn unknown_keys(&mut self, section: &Section<'_>, known: &[&str]) {
        for entry in section.entries() {
            if !known.contains(&entry.key) {
                self.unknown(&entry, known);
            }
        }
    }
}

/// `source.url` for `source[0].url`.
fn without_places(slot: &str) -> String {
    let mut key = String::new();
    let mut inside = false;
    for letter in slot.chars() {
        match letter {
            '[' => inside = true,
            ']' => inside = false,
            letter if !inside => key.push(letter),
            _ => {}
        }
    }
    key
}

/// Reads the path of a file, which must be there and readable now.
pub(super) fn file(raw: Raw<'_>, resolve: impl Fn(&str) -> PathBuf) -> Result<PathBuf, String> {
    readable(resolve(value::text(raw, "a path")?))
}

/// The file of this name, which must be there and readable now.
pub(super) fn readable(path: PathBuf) -> Result<PathBuf, String> {
    let opened = File::open(&path).and_then(|file| file.metadata());
    let cause = match opened {
        Ok(metadata) if metadata.is_dir() => "is a folder".to_owned(),
        Ok(_) => return Ok(path),
        Err(error) => error.to_string(),
    };
    Err(unreadable(&path, &cause))
}

fn unreadable(path: &Path, cause: &str) -> String {
    format!("cannot be read: {cause} (found {path:?}, expected a file)")
}
