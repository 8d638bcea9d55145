//! `rutter verify`: whether something is signed by one of these keys.

use std::error::Error;
use std::time::Duration;

use super::{Answer, explain, say};
use crate::cmd::acquire::{self, Visit};
use crate::config::Verify;
use crate::daemon::source::{List, SourceError};
use crate::net::Endpoint;
use crate::payload::UnixTime;

/// What is to be verified.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it is.
    pub what: Endpoint,
    /// By whom it has to be signed, and how.
    pub verify: Verify,
    /// How long it may take.
    pub limit: Duration,
}

/// Verifies it, and prints what it is.
///
/// # Errors
///
/// When it cannot be determined.
pub fn run(request: &Request) -> Result<Answer, Box<dyn Error>> {
    let visit = Visit {
        from: request.what.clone(),
        limit: request.limit,
        verify: Some(request.verify.clone()),
    };
    match acquire::read_once(visit)? {
        Ok(list) => {
            say(&told(&request.what, &list))?;
            Ok(Answer::Yes)
        }
        Err(error) if is_no(&error) => {
            eprintln!("rutter: {}", explain(&error));
            Ok(Answer::No)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether an error says that it is not good, and not that it could not be read.
fn is_no(error: &SourceError) -> bool {
    matches!(
        error.kind(),
        "signature" | "signature_expired" | "rollback" | "feed" | "stale" | "future" | "manifest"
    )
}

fn told(what: &Endpoint, list: &List) -> String {
    let moment = |time: Option<UnixTime>| {
        time.map_or_else(|| "not said".to_owned(), |time| time.to_string())
    };
    let serial = list
        .serial
        .map_or_else(|| "none".to_owned(), |serial| serial.to_string());
    format!(
        "good: {what}\nform:        {}\npayloads:    {}\nserial:      {serial}\n\
         signed at:   {}\ngood until:  {}\n",
        list.dialect,
        list.rows.len(),
        moment(list.stated),
        moment(list.valid),
    )
}
