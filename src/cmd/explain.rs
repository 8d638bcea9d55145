//! `rutter explain`: why a route is what it is.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use ipnet::IpNet;

use super::acquire::{acquire, now};
use super::{Answer, slurm};
use crate::http::control::Client;
use crate::http::explain::{self, Basis, Explanation, Question, Way, Witness};
use crate::net::Endpoint;
use crate::payload::merge::{Contribution, merge};
use crate::payload::{Asn, Attribute, DataSet, Rows};
use crate::slurm::{AspaOverlap, Reading};
use crate::tools::dump;

/// What is to be explained, and how it is told.
#[derive(Clone, Debug)]
pub struct Request {
    /// The prefix of a route, without host bits.
    pub prefix: IpNet,
    /// Its origin, `None` when its validity is not asked for.
    pub origin: Option<Asn>,
    /// Who is to know.
    pub by: Expert,
    /// The form of the output.
    pub form: Form,
}

/// Who is to know.
#[derive(Clone, Debug)]
pub enum Expert {
    /// The running server with this control socket.
    Server(PathBuf),
    /// We ourselves, from lists.
    Lists(Lists),
}

/// Lists that count together: what one of them has is there.
#[derive(Clone, Debug)]
pub struct Lists {
    /// Where they are.
    pub from: Vec<dump::Request>,
    /// Files and folders of local exceptions to them.
    pub slurm: Vec<PathBuf>,
    /// How these are read.
    pub reading: Reading,
    /// Whether two of them may speak of one customer's ASPAs.
    pub aspa_overlap: AspaOverlap,
}

/// The forms of the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// For people.
    Text,
    /// As the server says it.
    Json,
}

/// Explains a prefix. The answer is no when an origin was asked for and the route is invalid, and
/// undetermined when nothing is served, or nothing of the lists is left.
///
/// # Errors
///
/// When the server cannot be reached or gives no answer that is understood, and when a list or
/// the local exceptions cannot be had.
pub fn run(request: &Request) -> Result<Answer, Box<dyn Error>> {
    let explanation = match &request.by {
        Expert::Server(control) => asked(control.clone(), request)?,
        Expert::Lists(lists) => found(lists, request)?,
    };
    let text = match request.form {
        Form::Text => explanation.words.join("\n") + "\n",
        Form::Json => format!("{:#}\n", serde_json::to_value(&explanation)?),
    };
    super::say(&text)?;
    Ok(match explanation.validity.as_deref() {
        _ if !explanation.serving => Answer::Undetermined,
        Some("invalid") => Answer::No,
        _ => Answer::Yes,
    })
}

/// What the server says.
fn asked(control: PathBuf, request: &Request) -> Result<Explanation, Box<dyn Error>> {
    let mut path = format!("/api/v1/explain/{}", request.prefix);
    if let Some(origin) = request.origin {
        path.push_str(&format!("?asn={}", origin.into_u32()));
    }
    let client = Client::new(control, Client::LOOK);
    let answer = super::wait(client.get(&path))??;
    Ok(serde_json::from_value(answer).map_err(NotUnderstood)?)
}

/// What the lists say, as a server would that serves their union.
fn found(lists: &Lists, request: &Request) -> Result<Explanation, Box<dyn Error>> {
    lists.reads_stdin_once()?;
    // Before anything is fetched: it is quicker to see what is wrong with a file.
    let exceptions = slurm::exceptions(&lists.slurm, lists.reading, lists.aspa_overlap)?;
    let now = now();
    let mut known = Vec::new();
    for from in &lists.from {
        let (rows, gone) = acquire(from)?.rows.split_expired(now);
        known.push((from.from.to_string(), rows, gone));
    }
    let accepted = union(known.iter().map(|(_, rows, _)| rows));
    let sources: Vec<Witness<'_>> = known
        .iter()
        .map(|(name, rows, gone)| Witness {
            name,
            rows: Some(rows),
            gone: gone.as_ref(),
            counts: true,
        })
        .collect();
    // Else every route would be not found, which looks as if all were well.
    let left = !accepted.is_empty() || known.iter().all(|(_, _, gone)| gone.is_none());
    if !left {
        eprintln!("rutter: all payloads have expired, so that nothing would be served");
    }
    let served = left.then(|| DataSet::new(&exceptions.apply(&accepted, Attribute::LOCAL).rows));
    let question = Question {
        prefix: request.prefix,
        origin: request.origin,
        now,
    };
    let way = Way {
        sources: &sources,
        accepted: left.then_some(&accepted),
        basis: Basis::Current,
        candidate: None,
        exceptions: &exceptions,
        served: served.as_ref().map(DataSet::payload),
    };
    Ok(explain::explain(question, &way))
}

fn union<'a>(lists: impl Iterator<Item = &'a Rows>) -> Rows {
    let contributions: Vec<Contribution<'_>> = lists
        .enumerate()
        .map(|(place, rows)| Contribution { place, rows })
        .collect();
    match contributions.as_slice() {
        [only] => only.rows.clone(),
        several => merge(several, 1),
    }
}

impl Lists {
    /// Standard input can be read once, and nobody says which of several means it.
    fn reads_stdin_once(&self) -> Result<(), Box<dyn Error>> {
        let lists = self.from.iter().filter(|from| from.from == Endpoint::Stdin);
        let files = self.slurm.iter().filter(|path| path.as_os_str() == "-");
        if lists.count() + files.count() > 1 {
            return Err("standard input can be read once only".into());
        }
        Ok(())
    }
}

/// The server is of a version that says it otherwise.
#[derive(Debug)]
struct NotUnderstood(serde_json::Error);

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the explanation of the server is not understood, is it of another version")
    }
}

impl Error for NotUnderstood {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
