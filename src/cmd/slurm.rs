//! `rutter slurm check`, and local exceptions for other commands.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::Answer;
use super::acquire::{self, Expired, acquire};
use super::validate::unwritten;
use crate::net::Endpoint;
use crate::slurm::{AspaOverlap, Exceptions, Reading, combine};
use crate::tools::check::{Against, Check, Detail};
use crate::tools::dump;
use crate::tools::effects::Effects;
use crate::tools::exceptions::load;

/// What is to be checked, and how it is told.
#[derive(Clone, Debug)]
pub struct Request {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// How they are read.
    pub reading: Reading,
    /// Whether two of them may speak of one customer's ASPAs.
    pub aspa_overlap: AspaOverlap,
    /// A set that they are held against, `None` for none.
    pub against: Option<dump::Request>,
    /// How much is told of an entry.
    pub detail: Detail,
    /// The form of the output.
    pub form: Form,
}

/// The forms of the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// For people.
    Table,
    /// One JSON object.
    Json,
}

/// Checks files. The answer is no when there is a fault or a conflict.
///
/// # Errors
///
/// When the set cannot be had, or what is found cannot be written. A file that cannot be read is
/// among what is found.
pub fn check(request: &Request) -> Result<Answer, Box<dyn Error>> {
    let from_stdin = request.paths.iter().filter(|path| path.as_os_str() == "-");
    let against = request.against.iter().map(|against| &against.from);
    let against = against.filter(|from| **from == Endpoint::Stdin);
    if from_stdin.count() + against.count() > 1 {
        return Err("standard input can be read once only".into());
    }
    let loaded = load(&request.paths, request.reading);
    let (mut check, exceptions) = Check::new(loaded, request.aspa_overlap);
    let mut failed = None;
    match (exceptions, &request.against) {
        (Some(exceptions), Some(against)) => match held_against(&exceptions, against) {
            Ok(against) => check.against = Some(against),
            // What was found in the files is worth telling all the same.
            Err(error) => failed = Some(error),
        },
        (None, Some(against)) => {
            let from = &against.from;
            eprintln!("rutter: files that cannot be used were not held against {from}");
        }
        (_, None) => {}
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match request.form {
        Form::Table => check.table(request.detail, &mut out),
        Form::Json => check.json(&mut out),
    };
    if let Err(cause) = written.and_then(|()| out.flush()) {
        return unwritten(cause);
    }
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(if check.is_incomplete() {
        Answer::Undetermined
    } else if check.is_good() {
        Answer::Yes
    } else {
        Answer::No
    })
}

fn held_against(
    exceptions: &Exceptions,
    request: &dump::Request,
) -> Result<Against, Box<dyn Error>> {
    let acquired = acquire(request)?;
    let (rows, expired) = acquire::current(&acquired.rows, Expired::Drop);
    Ok(Against {
        from: request.from.to_string(),
        expired,
        effects: Effects::new(exceptions, &rows),
    })
}

/// The exceptions of these files and folders; none of none.
///
/// # Errors
///
/// When one cannot be read or has a fault, and when two of them conflict.
pub(super) fn exceptions(
    paths: &[PathBuf],
    reading: Reading,
    overlap: AspaOverlap,
) -> Result<Exceptions, Box<dyn Error>> {
    let mut files = Vec::new();
    for (_, parsed) in load(paths, reading) {
        files.push(parsed?.file);
    }
    Ok(combine(files, overlap)?)
}
