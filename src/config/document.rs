//! The configuration file as a tree that knows where each of its values stands.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Place, Whence};
use super::value::Raw;

/// The text of a configuration file and its name.
#[derive(Debug)]
pub(super) struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    /// Where each line begins, in octets.
    lines: Vec<usize>,
}

impl<'a> Document<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file,
            text,
            lines: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// The tree, and what is no TOML in it, with the place.
    pub(super) fn parse(&self) -> (DeTable<'a>, Vec<(Place, String)>) {
        let (tree, errors) = DeTable::parse_recoverable(self.text);
        let errors = errors
            .iter()
            .map(|error| {
                let span = error.span().unwrap_or(0..0);
                let reason = error.message().trim_end().replace('\n', ", ");
                let reason = match self.text.get(span.clone()) {
                    Some(key) if reason == "duplicate key" => format!("{key}: there already"),
                    _ => format!("no TOML here: {reason}"),
                };
                (self.place(span.start), reason)
            })
            .collect();
        (tree.into_inner(), errors)
    }

    /// The place of an octet.
    pub(super) fn place(&self, at: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..at.min(self.text.len()));
        Place {
            file: self.file.to_owned(),
            line,
            column: before.map_or(0, |before| before.chars().count()) + 1,
        }
    }

    /// A path of the file: relative to its folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        match self.file.parent() {
            Some(folder) => folder.join(path),
            None => path.into(),
        }
    }
}

/// A table of a file.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    pub(super) document: &'a Document<'a>,
    /// How its keys begin in an error: `source`. Empty for the root.
    pub(super) path: String,
    /// The same where elements of arrays differ: `source[0]`.
    pub(super) slot: String,
    table: &'a DeTable<'a>,
    at: usize,
}

impl<'a> Section<'a> {
    pub(super) fn root(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Self {
        Self {
            document,
            path: String::new(),
            slot: String::new(),
            table,
            at: 0,
        }
    }

    /// Where it begins.
    pub(super) fn whence(&self) -> Whence {
        Whence::File(self.document.place(self.at))
    }

    /// Its entries in the order of the file.
    pub(super) fn entries(&self) -> Vec<Entry<'a>> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| Entry {
                document: self.document,
                key: key.get_ref(),
                path: join(&self.path, key.get_ref()),
                slot: join(&self.slot, key.get_ref()),
                key_at: key.span().start,
                value,
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_at);
        entries
    }

    pub(super) fn entry(&self, key: &str) -> Option<Entry<'a>> {
        self.entries().into_iter().find(|entry| entry.key == key)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A key of a file with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) document: &'a Document<'a>,
    pub(super) key: &'a str,
    pub(super) path: String,
    pub(super) slot: String,
    key_at: usize,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Entry<'a> {
    pub(super) fn key_whence(&self) -> Whence {
        Whence::File(self.document.place(self.key_at))
    }

    pub(super) fn whence(&self) -> Whence {
        self.item().whence()
    }

    pub(super) fn raw(&self) -> Raw<'a> {
        self.item().raw()
    }

    fn item(&self) -> Item<'a> {
        Item {
            document: self.document,
            value: self.value,
        }
    }

    /// The values of an array, or the one value as an array of one.
    pub(super) fn items(&self) -> Vec<Item<'a>> {
        let item = |value| Item {
            document: self.document,
            value,
        };
        match self.value.get_ref() {
            DeValue::Array(array) => array.iter().map(item).collect(),
            _ => vec![self.item()],
        }
    }

    /// The table it is.
    pub(super) fn table(&self) -> Option<Section<'a>> {
        self.section(self.value, self.slot.clone())
    }

    /// The tables of the array of tables it is. `[[x]]` begins where its header does.
    pub(super) fn tables(&self) -> Option<Vec<Section<'a>>> {
        let DeValue::Array(array) = self.value.get_ref() else {
            return None;
        };
        let section = |(place, value)| self.section(value, format!("{}[{place}]", self.slot));
        array.iter().enumerate().map(section).collect()
    }

    fn section(&self, value: &'a Spanned<DeValue<'a>>, slot: String) -> Option<Section<'a>> {
        let DeValue::Table(table) = value.get_ref() else {
            return None;
        };
        Some(Section {
            document: self.document,
            path: self.path.clone(),
            slot,
            table,
            at: value.span().start,
        })
    }
}

/// A value, perhaps of an array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    document: &'a Document<'a>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    pub(super) fn whence(&self) -> Whence {
        let Range { start, .. } = self.value.span();
        Whence::File(self.document.place(start))
    }

    pub(super) fn raw(&self) -> Raw<'a> {
        match self.value.get_ref() {
            DeValue::String(text) => Raw::Text(text),
            DeValue::Integer(number) => Raw::Number(
                u64::from_str_radix(number.as_str(), number.radix()).ok(),
                number.as_str(),
            ),
            DeValue::Boolean(value) => Raw::Boolean(*value),
            DeValue::Float(_) => Raw::Other("a number with a fraction"),
            DeValue::Datetime(_) => Raw::Other("a date"),
            DeValue::Array(_) => Raw::Other("an array"),
            DeValue::Table(_) => Raw::Other("a table"),
        }
    }
}
