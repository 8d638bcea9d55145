//! Tests of documents as a whole, most of them over real ones.

mod chunks;
mod dialects;
mod export;
mod oracle;
mod refusals;

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Document, Limits, ReadError, Reader};

/// Limits that no bad row goes past.
fn lenient() -> Limits {
    Limits {
        bad_rows_percent: 100,
        ..Limits::default()
    }
}

fn read(document: &[u8]) -> Result<Document, ReadError> {
    read_in(document, &lenient(), &mut || usize::MAX)
}

/// Reads the document in chunks of these sizes.
fn read_in(
    document: &[u8],
    limits: &Limits,
    size: &mut dyn FnMut() -> usize,
) -> Result<Document, ReadError> {
    let mut reader = Reader::new(*limits);
    let mut rest = document;
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(size().clamp(1, rest.len()));
        reader.feed(chunk)?;
        rest = tail;
    }
    reader.finish()
}

/// What came of a document, in a form that can be compared.
fn outcome(result: Result<Document, ReadError>) -> Result<Document, String> {
    result.map_err(|error| error.to_string())
}

/// Both the same document, or refused with the same words.
#[track_caller]
fn assert_same(found: &Result<Document, String>, due: &Result<Document, String>, what: &str) {
    let (left, right) = (found.as_ref().err(), due.as_ref().err());
    assert!(found == due, "{what}: {left:?} is not {right:?}");
}

fn unpacked(path: &Path) -> Vec<u8> {
    let octets = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "xz") {
        let mut whole = Vec::new();
        lzma_rust2::XzReader::new(octets.as_slice(), true)
            .read_to_end(&mut whole)
            .unwrap();
        return whole;
    }
    octets
}

/// A document of those that come with the source.
fn own(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vrp");
    unpacked(&folder.join(name))
}

/// The documents that come with the source, by name.
fn all_own() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vrp");
    documents_in(&folder)
}

fn documents_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut documents = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() && name != "README.md" {
            documents.push((name, unpacked(&path)));
        }
    }
    documents.sort();
    documents
}

/// The folder of documents that may not be passed on, `None` where there is none.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = env::var_os("RUTTER_SHARED_DATA").map_or(beside, PathBuf::from);
    let folder = folder.join("vrp");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(env::var_os("CI").is_none(), "no shared data at {folder:?}");
    println!("not run: no shared data at {folder:?}");
    None
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }
}
