//! From a snapshot to a document.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ring::rand::SystemRandom;

use super::error::ExportError;
use super::file;
use crate::config::{Export, ExportKeys};
use crate::http::backend::{Document, Edition, Form};
use crate::json::export::{self, ExportMetadata};
use crate::net::files;
use crate::payload::{Kinds, UnixTime};
use crate::rtr::{Snapshot, Version, View};
use crate::sign::gortr::GortrDigest;
use crate::sign::{Digest, Digester, SigningKey, Statement, hex};

/// Fast: a document of 80 MB is made after each update, and most readers ask for zstd or nothing.
const GZIP: u32 = 3;
const ZSTD: i32 = 1;

/// What the operator wants of documents, and the keys that sign them.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Where the JSON document is written, too.
    pub file: Option<PathBuf>,
    /// How long a document counts.
    pub valid: Duration,
    /// What signs them.
    pub keys: ExportKeys,
}

impl Recipe {
    /// What a configuration says, with its keys.
    pub fn new(export: &Export, keys: &ExportKeys) -> Self {
        Self {
            file: export.file.clone(),
            valid: export.valid,
            keys: keys.clone(),
        }
    }

    /// Whether documents by the other one are the same.
    pub fn is(&self, other: &Self) -> bool {
        (&self.file, self.valid, self.key_ids()) == (&other.file, other.valid, other.key_ids())
    }

    /// The ids of the keys, of the statement and of GoRTR's signature; empty for none.
    fn key_ids(&self) -> [&str; 2] {
        [&self.keys.sign, &self.keys.gortr].map(|key| {
            let public = key.as_ref().map(|key| key.public().id());
            public.unwrap_or_default()
        })
    }
}

/// A document to make.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) document: Document,
    /// When it says that it was made.
    pub(super) made: UnixTime,
    pub(super) recipe: Arc<Recipe>,
    pub(super) folder: PathBuf,
    /// Whether it is to be written where the operator wants it, too.
    pub(super) file: bool,
}

/// What was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) document: Edition,
    pub(super) statement: Option<Edition>,
    /// From when on it is to be made anew: half of the time for which it counts.
    pub(super) due: UnixTime,
    /// Why it does not lie where the operator wants it, if it should.
    pub(super) unfiled: Option<ExportError>,
}

impl Made {
    /// The octets of the document as it is.
    pub(super) fn octets(&self) -> u64 {
        let plain = self
            .document
            .forms
            .iter()
            .find(|form| form.coding.is_none());
        plain.map_or(0, |form| form.length)
    }
}

impl Making {
    /// Makes it. Blocks.
    pub(super) fn make(&self) -> Result<Made, ExportError> {
        let tag = self.tag();
        let (forms, digest) = self.render(&tag)?;
        let statement = match (self.document, &self.recipe.keys.sign) {
            (Document::Json, Some(key)) => Some(self.sign(key, digest)?),
            _ => None,
        };
        let edition = statement.as_deref().map(|text| self.statement(text, &tag));
        let edition = edition.transpose()?;
        // Last, so that what is in the file is given out over HTTP, too.
        let unfiled = match (&self.recipe.file, self.file) {
            (Some(path), true) => self.put(path, &forms, statement.as_deref()).err(),
            _ => None,
        };
        Ok(Made {
            document: Edition {
                tag,
                modified: self.made,
                media_type: match self.document {
                    Document::Json | Document::Statement => "application/json",
                    Document::Csv => "text/csv; charset=utf-8",
                    Document::Bird | Document::OpenBgpd => "text/plain; charset=utf-8",
                },
                forms,
            },
            statement: edition,
            due: self.made.plus((self.recipe.valid.as_secs() / 2).max(1)),
            unfiled,
        })
    }

    /// Of what it says and when it says that it was made: two of the same octets have the same.
    fn tag(&self) -> Box<str> {
        let history = hex::encode(self.snapshot.name().octets());
        let short = history.get(..16).unwrap_or(&history);
        let (serial, revision) = (self.snapshot.serial(), self.snapshot.revision());
        let mut tag = format!("{short}-{serial}-{revision}-{}", self.made.seconds());
        // What a leader says of its payloads may come after them, and still within this second.
        if !self.snapshot.knows_all() {
            tag.push_str("-part");
        }
        for id in self.recipe.key_ids() {
            tag.push('-');
            tag.push_str(id.get(..8).unwrap_or(id));
        }
        tag.into()
    }

    /// Writes it into files, in all codings at once.
    fn render(&self, tag: &str) -> Result<(Vec<Form>, Digest), ExportError> {
        let wrong = |error| ExportError::Write(self.folder.clone(), error);
        let gortr = self.gortr()?;
        let create = || file::nameless(&self.folder);
        let [plain, gzip, zstd] = [create(), create(), create()];
        let (plain, gzip, zstd) = (
            plain.map_err(wrong)?,
            gzip.map_err(wrong)?,
            zstd.map_err(wrong)?,
        );
        let write = || -> io::Result<Digest> {
            let mut all = Tee {
                plain: &plain,
                gzip: GzEncoder::new(&gzip, Compression::new(GZIP)),
                zstd: zstd::stream::write::Encoder::new(&zstd, ZSTD)?,
                digester: Digester::default(),
            };
            let mut out = BufWriter::with_capacity(1 << 16, &mut all);
            self.write(&mut out, gortr.as_ref())?;
            out.flush()?;
            drop(out);
            all.gzip.finish()?;
            all.zstd.finish()?;
            Ok(all.digester.finish())
        };
        let digest = write().map_err(wrong)?;
        let forms = vec![
            form(tag, None, plain).map_err(wrong)?,
            form(tag, Some("gzip"), gzip).map_err(wrong)?,
            form(tag, Some("zstd"), zstd).map_err(wrong)?,
        ];
        Ok((forms, digest))
    }

    fn write(&self, out: &mut impl Write, gortr: Option<&Fields>) -> io::Result<()> {
        let data = self.snapshot.data();
        match self.document {
            Document::Json | Document::Statement => {
                let view = View::new(Version::V1, Kinds::ALL);
                let about = ExportMetadata {
                    generated: Some(self.made),
                    valid: Some(self.valid()),
                    serial: Some(self.snapshot.serial().into_u32()),
                    session_id: Some(self.snapshot.session_id(view).into_u16()),
                    gortr: gortr.map(|(data, dates)| (&**data, &**dates)),
                };
                export::json(out, data, &about)
            }
            Document::Csv => export::csv(out, data),
            // Without ASPAs, which the versions of Debian 12 cannot read.
            Document::Bird => export::bird(out, data, false),
            Document::OpenBgpd => export::openbgpd(out, data, false),
        }
    }

    fn valid(&self) -> UnixTime {
        self.made.plus(self.recipe.valid.as_secs())
    }

    /// GoRTR's two fields, where they are wanted.
    fn gortr(&self) -> Result<Option<Fields>, ExportError> {
        let key = self.recipe.keys.gortr.as_ref();
        let Some(key) = key.filter(|_| self.document == Document::Json) else {
            return Ok(None);
        };
        let digest = GortrDigest::of(self.snapshot.payload(), self.made, self.valid());
        let signed = digest.sign(key).ok_or(ExportError::NotP256)?;
        Ok(Some((signed.signature, signed.signature_date)))
    }

    fn sign(&self, key: &SigningKey, digest: Digest) -> Result<String, ExportError> {
        let statement = Statement {
            digest,
            history: *self.snapshot.name().octets(),
            serial: self.snapshot.serial().into_u32(),
            revision: self.snapshot.revision(),
            issued: self.made,
            expires: self.valid(),
        };
        let signed = statement.sign(key, &SystemRandom::new());
        signed.ok_or(ExportError::Random)
    }

    /// Writes it where the operator wants it, the statement last: whoever sees the new document
    /// with the old statement reads both again a moment later.
    fn put(&self, path: &Path, forms: &[Form], statement: Option<&str>) -> Result<(), ExportError> {
        let wrong = |error| ExportError::Write(path.to_owned(), error);
        let plain = forms.iter().find(|form| form.coding.is_none());
        let Some(plain) = plain else { return Ok(()) };
        files::replace(path, |out| file::copy(&plain.file, out)).map_err(wrong)?;
        match statement {
            None => Ok(()),
            Some(text) => {
                let path = files::beside(path, Statement::ENDING);
                files::replace(&path, |out| out.write_all(text.as_bytes())).map_err(wrong)
            }
        }
    }

    /// A statement that is complete.
    fn statement(&self, text: &str, tag: &str) -> Result<Edition, ExportError> {
        let made = || {
            let file = file::nameless(&self.folder)?;
            (&file).write_all(text.as_bytes())?;
            form(tag, None, file)
        };
        let form = made().map_err(|error| ExportError::Write(self.folder.clone(), error))?;
        Ok(Edition {
            tag: tag.into(),
            modified: self.made,
            media_type: "application/jose",
            forms: vec![form],
        })
    }
}

/// A file that is complete.
fn form(tag: &str, coding: Option<&'static str>, file: File) -> io::Result<Form> {
    let length = file.metadata()?.len();
    Ok(Form::new(tag, coding, Arc::new(file), length))
}

/// `signature` and `signatureDate`.
type Fields = (String, String);

/// Writes to all codings, and makes the digest of what is written.
struct Tee<'a> {
    plain: &'a File,
    gzip: GzEncoder<&'a File>,
    zstd: zstd::stream::write::Encoder<'static, &'a File>,
    digester: Digester,
}

impl Write for Tee<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.plain.write_all(octets)?;
        self.gzip.write_all(octets)?;
        self.zstd.write_all(octets)?;
        self.digester.update(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
