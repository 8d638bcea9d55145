//! `rutter hash-password`: a line for the users file of an SSH listener.

use std::error::Error;
use std::io::{self, IsTerminal};

use super::say;
use crate::net::ssh::password::{self, Cost};
use crate::tools::secret;

/// What is to be hashed for whom.
#[derive(Clone, Debug)]
pub struct Request {
    /// The name to print before the hash, `None` for the hash alone.
    pub user: Option<String>,
    /// What it costs to try the password.
    pub cost: Cost,
}

/// Asks for a password, twice on a terminal, and prints its hash.
///
/// # Errors
///
/// When there is no password, it cannot be hashed, or the hash cannot be written.
pub fn run(request: &Request) -> Result<(), Box<dyn Error>> {
    let password = match io::stdin().is_terminal() {
        true => secret::ask_twice("password", password::LONGEST)?,
        false => secret::read_line(password::LONGEST)?,
    };
    let hash = password::hash(&password, request.cost)?;
    let line = match &request.user {
        Some(user) => format!("{user}:{hash}\n"),
        None => format!("{hash}\n"),
    };
    Ok(say(&line)?)
}
