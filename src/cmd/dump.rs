//! `rutter dump`.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::acquire::{Expired, acquire, current, now};
use crate::daemon::random;
use crate::json::export::{self, ExportMetadata};
use crate::payload::DataSet;
use crate::tools::dump::{Dumped, Request};

/// The forms of the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// The JSON that the server gives out as `/rpki.json`, with what is known.
    Json,
    /// VRPs as CSV.
    Csv,
    /// Static tables for BIRD, without ASPAs.
    Bird,
    /// A `roa-set` for OpenBGPD, without ASPAs.
    Openbgpd,
    /// For people.
    Table,
}

/// Where the output goes.
#[derive(Clone, Debug)]
pub struct Output {
    /// In which form.
    pub form: Form,
    /// Into which file; `None` is standard output.
    pub file: Option<PathBuf>,
}

/// Prints a set once it is complete.
///
/// # Errors
///
/// When it is not complete, or cannot be written.
pub fn run(request: &Request, output: &Output) -> Result<(), Box<dyn Error>> {
    let Dumped {
        mut rows,
        mut metadata,
        ..
    } = acquire(request)?;
    let form = output.form;
    // Only BIRD would take for good what has expired: the other forms say until when it counts.
    if form == Form::Bird {
        let (fresh, expired) = current(&rows, Expired::Drop);
        if expired > 0 {
            eprintln!("rutter: {expired} payloads left out that have expired");
        }
        rows = fresh;
    }
    // What a cache serves is of the moment when it was got.
    if metadata.session_id.is_some() {
        metadata.generated.get_or_insert_with(now);
    }
    let data = DataSet::new(&rows);
    let written = match &output.file {
        None => print(form, &data, &metadata, io::stdout().lock()),
        Some(path) => replace(path, |file| print(form, &data, &metadata, file)),
    };
    written.map_err(|cause| {
        let to = output.file.clone();
        WriteError { to, cause }.into()
    })
}

/// The output cannot be written.
#[derive(Debug)]
struct WriteError {
    /// Into which file; `None` is standard output.
    to: Option<PathBuf>,
    cause: io::Error,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Some(path) => write!(f, "cannot write {}", path.display()),
            None => f.write_str("cannot write to standard output"),
        }
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// Writes a file beside the one wanted and puts it in its place once it is whole and on the disk.
/// A link stays one; a device or a pipe is written to as it is.
pub(super) fn replace(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|target| !target.is_file()) {
        return write(&File::options().write(true).open(&path)?);
    }
    // A name that neither another run nor a trap in a shared folder has.
    let chance = u64::from_be_bytes(random::octets());
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".{chance:016x}.part"));
    let file = File::create_new(&beside)?;
    let written = write(&file)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // What went wrong before says more than what may go wrong here.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn print(
    form: Form,
    data: &DataSet,
    about: &ExportMetadata<'_>,
    out: impl Write,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let written = match form {
        Form::Json => export::json(&mut out, data, about),
        Form::Csv => export::csv(&mut out, data),
        // As the server does: BIRD and OpenBGPD of Debian 12 refuse a file with ASPAs.
        Form::Bird => export::bird(&mut out, data, false),
        Form::Openbgpd => export::openbgpd(&mut out, data, false),
        Form::Table => table(&mut out, data, about),
    };
    match written.and_then(|()| out.flush()) {
        // Whoever reads has seen enough, as `head` has.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn table(out: &mut impl Write, data: &DataSet, about: &ExportMetadata<'_>) -> io::Result<()> {
    let set = data.payload();
    if let (Some(session), Some(serial)) = (about.session_id, about.serial) {
        writeln!(out, "session {session}, serial {serial}")?;
    }
    writeln!(out, "{:<43} {:>10}  AS", "PREFIX", "MAX LENGTH")?;
    for vrp in set.vrps() {
        writeln!(
            out,
            "{:<43} {:>10}  {}",
            vrp.prefix().to_string(),
            vrp.max_len(),
            vrp.asn()
        )?;
    }
    for key in set.router_keys() {
        writeln!(out, "router key {key:?}")?;
    }
    for aspa in set.aspas() {
        let providers: Vec<String> = aspa.providers().iter().map(ToString::to_string).collect();
        writeln!(out, "ASPA {}: {}", aspa.customer(), providers.join(" "))?;
    }
    Ok(())
}
