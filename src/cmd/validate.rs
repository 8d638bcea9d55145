//! `rutter validate`: origin validation.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::acquire::{self, Expired, acquire};
use super::{Answer, slurm};
use crate::json::decompress;
use crate::net::Endpoint;
use crate::payload::{DataSet, Index, Rows};
use crate::slurm::{AspaOverlap, Reading};
use crate::tools::dump;
use crate::tools::routes;
use crate::tools::validate::{AsSets, Event, Stop, Validator};
use crate::tools::verdicts::{Extent, Form, Outcome, Verdicts};

/// What validated data counts.
#[derive(Clone, Debug)]
pub struct Data {
    /// Where it is.
    pub from: dump::Request,
    /// Files and folders of local exceptions to it.
    pub slurm: Vec<PathBuf>,
    /// How these are read.
    pub reading: Reading,
    /// Whether two of them may speak of one customer's ASPAs.
    pub aspa_overlap: AspaOverlap,
    /// What is done with what has expired.
    pub expired: Expired,
}

/// What is to be validated, and how it is told.
#[derive(Clone, Debug)]
pub struct Request {
    /// What counts.
    pub data: Data,
    /// Routes as they were typed.
    pub routes: Vec<String>,
    /// Lists of routes; `-` is standard input.
    pub lists: Vec<PathBuf>,
    /// What is done with routes from AS sets.
    pub as_sets: AsSets,
    /// What is done with lines that are no routes.
    pub bad_lines: BadLines,
    /// The form of the output.
    pub form: Form,
    /// What is written.
    pub extent: Extent,
}

/// What is done with lines that are no routes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BadLines {
    /// They leave the answer undetermined.
    #[default]
    Fail,
    /// They are counted.
    Skip,
}

/// Validates routes. The answer is yes when none is invalid.
///
/// # Errors
///
/// When the data or the routes cannot be had, or the verdicts cannot be written.
pub fn run(request: &Request) -> Result<Answer, Box<dyn Error>> {
    let typed = routes::typed(&request.routes)?;
    request.data.reads_stdin_once(&request.lists)?;
    let lists = open(&request.lists)?;
    let data = DataSet::new(&rows(&request.data)?);
    let index = Index::new(data.payload());
    let verdicts = Verdicts::new(io::stdout().lock(), request.form, request.extent);
    let mut validator = Validator::new(index, request.as_sets, verdicts);
    for route in &typed {
        if let Err(cause) = validator.route(route) {
            return unwritten(cause);
        }
    }
    let broken_off = match validate_lists(lists, &mut validator, Listener::new(request)?) {
        Ok(()) => None,
        Err((_, Stop::Output(cause))) => return unwritten(cause),
        Err((name, Stop::Input(cause))) => Some(BrokenOff { name, cause }),
    };
    let reason = broken_off.as_ref().map(|broken| super::explain(broken));
    let outcome = reason.as_deref();
    let outcome = outcome.map_or(Outcome::Complete, Outcome::BrokenOff);
    let counts = match validator.finish(&outcome) {
        Ok(counts) => counts,
        Err(cause) => return unwritten(cause),
    };
    if let Some(broken_off) = broken_off {
        return Err(broken_off.into());
    }
    Ok(if counts.bad > 0 && request.bad_lines == BadLines::Fail {
        Answer::Undetermined
    } else if counts.invalid() > 0 {
        Answer::No
    } else {
        Answer::Yes
    })
}

/// Validates lists up to the first that cannot be validated to its end, and names that.
fn validate_lists(
    lists: Vec<List>,
    validator: &mut Validator<impl Write>,
    mut listener: Listener,
) -> Result<(), (String, Stop)> {
    for List { name, input } in lists {
        listener.begin(&name);
        let read = decompress::unpacked(input)
            .map_err(Stop::Input)
            .and_then(|input| validator.list(input, |event| listener.hear(&name, event)));
        if let Err(stop) = read {
            listener.finish();
            return Err((name, stop));
        }
    }
    listener.finish();
    Ok(())
}

impl Data {
    /// Standard input can be read once, and nobody says which of several means it.
    pub(super) fn reads_stdin_once(&self, lists: &[PathBuf]) -> Result<(), Box<dyn Error>> {
        let paths = self.slurm.iter().chain(lists);
        let readers = paths.filter(|path| path.as_os_str() == "-").count();
        if readers + usize::from(self.from.from == Endpoint::Stdin) > 1 {
            return Err("standard input can be read once only".into());
        }
        Ok(())
    }
}

/// The rows that count: without what expired, with the local exceptions.
pub(super) fn rows(data: &Data) -> Result<Rows, Box<dyn Error>> {
    // Before anything is fetched: it is quicker to see what is wrong with a file.
    let exceptions = slurm::exceptions(&data.slurm, data.reading, data.aspa_overlap)?;
    let acquired = acquire(&data.from)?;
    let (rows, expired) = acquire::current(&acquired.rows, data.expired);
    if expired > 0 {
        let from = &data.from.from;
        eprintln!("rutter: {expired} payloads of {from} have expired and do not count");
    }
    // Else every route would be not found, which looks as if all were well.
    if rows.is_empty() && expired > 0 {
        let from = data.from.from.clone();
        return Err(AllExpired { from }.into());
    }
    Ok(exceptions.apply(&rows, 0).rows)
}

/// A list that is open.
struct List {
    name: String,
    input: Box<dyn Read>,
}

/// Opens all lists before anything is written.
fn open(paths: &[PathBuf]) -> Result<Vec<List>, Unread> {
    let mut lists = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let input: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(opened(path)?)
        };
        lists.push(List { name, input });
    }
    Ok(lists)
}

fn opened(path: &Path) -> Result<File, Unread> {
    File::open(path).map_err(|cause| Unread {
        path: path.to_owned(),
        cause,
    })
}

/// Nobody reads what is written, or it cannot be written.
pub(super) fn unwritten(cause: io::Error) -> Result<Answer, Box<dyn Error>> {
    // Whoever reads has seen enough, as `head` has; but not all routes were looked at.
    if cause.kind() == io::ErrorKind::BrokenPipe {
        return Ok(Answer::Undetermined);
    }
    Err(Unwritten { cause }.into())
}

/// Tells what happens while lists are read, on standard error.
struct Listener {
    bar: ProgressBar,
    bad: u64,
}

impl Listener {
    /// The most bad lines that are shown; all are counted.
    const SHOWN: u64 = 10;

    fn new(request: &Request) -> Result<Self, Box<dyn Error>> {
        // Two things that move on one terminal are one too many.
        let quiet = request.extent == Extent::Summary || !io::stdout().is_terminal();
        let bar = ProgressBar::new_spinner();
        if !quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_style(ProgressStyle::with_template(
            "{spinner} {msg}: {human_pos} routes, {per_sec}",
        )?);
        Ok(Self { bar, bad: 0 })
    }

    fn begin(&self, name: &str) {
        self.bar.set_message(name.to_owned());
    }

    fn hear(&mut self, name: &str, event: Event<'_>) {
        match event {
            Event::Progress(routes) => self.bar.set_position(routes),
            Event::Empty => self.say(&format!("{name}: there are no routes")),
            Event::Unended(line) => self.say(&format!(
                "{name}:{line}: the last line is not ended; if it was cut short its route is wrong"
            )),
            Event::Bad(line) => {
                self.bad += 1;
                if self.bad <= Self::SHOWN {
                    self.say(&format!("{name}:{line}"));
                }
            }
        }
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("rutter: {text}"));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
        if let Some(more) = self.bad.checked_sub(Self::SHOWN).filter(|more| *more > 0) {
            eprintln!("rutter: and {more} more bad lines");
        }
    }
}

/// A list cannot be opened.
#[derive(Debug)]
struct Unread {
    path: PathBuf,
    cause: io::Error,
}

/// A list breaks off.
#[derive(Debug)]
struct BrokenOff {
    name: String,
    cause: io::Error,
}

/// The verdicts cannot be written.
#[derive(Debug)]
struct Unwritten {
    cause: io::Error,
}

/// There is data, and none of it counts any more.
#[derive(Debug)]
struct AllExpired {
    from: Endpoint,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}", self.path.display())
    }
}

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} breaks off", self.name)
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot write to standard output")
    }
}

impl fmt::Display for AllExpired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "all payloads of {} have expired; --keep-expired takes them all the same",
            self.from
        )
    }
}

impl Error for Unread {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl Error for BrokenOff {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl Error for Unwritten {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl Error for AllExpired {}
