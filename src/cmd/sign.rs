//! `rutter sign`: signatures on documents.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::rand::SystemRandom;

use super::acquire::now;
use super::dump::replace;
use crate::config;
use crate::json::export::{self, ExportMetadata};
use crate::json::{Keep, Limits, ReadError, decompress};
use crate::net::files::{self, FileError};
use crate::payload::DataSet;
use crate::sign::gortr::GortrDigest;
use crate::sign::{Digester, SigningKey, Statement};

/// What is to be signed.
#[derive(Clone, Debug)]
pub struct Request {
    /// The document; `-` is standard input.
    pub document: PathBuf,
    /// The file with the private key.
    pub key: PathBuf,
    /// How long the signature counts.
    pub valid: Duration,
    /// Whether it is GoRTR's.
    pub gortr: bool,
    /// Where it goes.
    pub out: Option<PathBuf>,
}

/// What cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// A key cannot be read.
    File(FileError),
    /// A document cannot be read.
    Read(PathBuf, io::Error),
    /// A document is none.
    Document(PathBuf, ReadError),
    /// Something cannot be written.
    Write(PathBuf, io::Error),
    /// The key is not one that GoRTR verifies.
    NotP256(PathBuf),
    /// There is no randomness.
    Random,
    /// Standard input has no name to put a statement beside.
    NoName,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Read(path, _) => write!(f, "cannot read {}", path.display()),
            Self::Document(path, _) => write!(f, "no document in {}", path.display()),
            Self::Write(path, _) => write!(f, "cannot write {}", path.display()),
            Self::NotP256(path) => write!(
                f,
                "{}: GoRTR verifies keys of P-256 alone (rutter keygen --algorithm es256)",
                path.display()
            ),
            Self::Random => f.write_str("no randomness for a signature"),
            Self::NoName => f.write_str("standard input needs --out for its statement"),
        }
    }
}

impl Error for Unusable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(_, error) | Self::Write(_, error) => Some(error),
            Self::Document(_, error) => Some(error),
            _ => None,
        }
    }
}

/// Signs a document.
///
/// # Errors
///
/// When the key or the document cannot be used, or the signature cannot be written.
pub fn run(request: &Request) -> Result<(), Box<dyn Error>> {
    let key = private_key(&request.key)?;
    match request.gortr {
        true => as_gortr(request, &key)?,
        false => statement(request, &key)?,
    }
    Ok(())
}

/// A private key.
pub(super) fn private_key(path: &Path) -> Result<SigningKey, Unusable> {
    let (key, public) = config::signing_key(path).map_err(Unusable::File)?;
    match public {
        false => Ok(key),
        true => {
            let error = FileError::new(path, "everybody may read this private key (chmod 600)");
            Err(Unusable::File(error))
        }
    }
}

fn statement(request: &Request, key: &SigningKey) -> Result<(), Unusable> {
    let path = &request.document;
    let out = match &request.out {
        Some(out) => out.clone(),
        None if is_input(path) => return Err(Unusable::NoName),
        None => files::beside(path, Statement::ENDING),
    };
    let mut digester = Digester::default();
    let serial = {
        // Of the document without compression, which may come and go on its way.
        let show = |octets: &[u8]| digester.update(octets);
        let limits = Limits::default();
        let document = decompress::read_and_show(open(path)?, &limits, Keep::Rows, show);
        let document = document.map_err(|error| Unusable::Document(path.clone(), error))?;
        document.metadata.serial
    };
    let issued = now();
    let statement = Statement {
        digest: digester.finish(),
        // What has no history has none that it could go back in.
        history: [0; 16],
        serial: serial.unwrap_or_default(),
        revision: 0,
        issued,
        expires: issued.plus(request.valid.as_secs()),
    };
    let text = statement.sign(key, &SystemRandom::new());
    let text = text.ok_or(Unusable::Random)?;
    let written = replace(&out, |mut file| file.write_all(text.as_bytes()));
    written.map_err(|cause| Unusable::Write(out, cause))
}

fn as_gortr(request: &Request, key: &SigningKey) -> Result<(), Unusable> {
    let path = &request.document;
    let document = decompress::read(open(path)?, &Limits::default());
    let document = document.map_err(|error| Unusable::Document(path.clone(), error))?;
    let data = DataSet::new(&document.rows);
    let generated = now();
    let valid = generated.plus(request.valid.as_secs());
    let signed = GortrDigest::of(data.payload(), generated, valid).sign(key);
    let signed = signed.ok_or_else(|| Unusable::NotP256(request.key.clone()))?;
    let about = ExportMetadata {
        generated: Some(generated),
        valid: Some(valid),
        serial: document.metadata.serial,
        session_id: None,
        gortr: Some((&signed.signature, &signed.signature_date)),
    };
    let write = |out: &mut dyn Write| {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        export::json(&mut out, &data, &about)?;
        out.flush()
    };
    match &request.out {
        None => {
            let written = write(&mut io::stdout().lock());
            written.map_err(|cause| Unusable::Write("-".into(), cause))
        }
        Some(out) => {
            let written = replace(out, |mut file| write(&mut file));
            written.map_err(|cause| Unusable::Write(out.clone(), cause))
        }
    }
}

fn is_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open(path: &Path) -> Result<Box<dyn Read>, Unusable> {
    if is_input(path) {
        return Ok(Box::new(io::stdin().lock()));
    }
    let wrong = |error| Unusable::Read(path.to_owned(), error);
    if fs::metadata(path).map_err(wrong)?.is_dir() {
        return Err(wrong(io::ErrorKind::IsADirectory.into()));
    }
    Ok(Box::new(File::open(path).map_err(wrong)?))
}
