//! `rutter validate --path`: verification of an AS path.

use std::error::Error;
use std::io::{self, Write};

use super::Answer;
use super::validate::{Data, rows, unwritten};
use crate::payload::DataSet;
use crate::payload::aspa_path::PathState;
use crate::tools::path::Question;
use crate::tools::verdicts::Form;

/// What is to be verified, and how it is told.
#[derive(Clone, Debug)]
pub struct Request {
    /// What counts.
    pub data: Data,
    /// The path.
    pub question: Question,
    /// The form of the output.
    pub form: Form,
}

/// Verifies a path. The answer is no when it is invalid.
///
/// # Errors
///
/// When the data cannot be had, or the answer cannot be written.
pub fn run(request: &Request) -> Result<Answer, Box<dyn Error>> {
    request.data.reads_stdin_once(&[])?;
    let data = DataSet::new(&rows(&request.data)?);
    let set = data.payload();
    if set.aspas().is_empty() {
        let from = &request.data.from.from;
        eprintln!("rutter: there are no ASPAs at {from}, so little can be known");
    }
    let answer = request.question.answer(set);
    let mut out = io::stdout().lock();
    let written = request.question.write(&answer, request.form, &mut out);
    if let Err(cause) = written.and_then(|()| out.flush()) {
        return unwritten(cause);
    }
    Ok(match answer.state {
        // Unknown counts like valid (draft-ietf-sidrops-aspa-verification).
        PathState::Valid | PathState::Unknown => Answer::Yes,
        PathState::Invalid => Answer::No,
    })
}
