//! THE FRONT DOOR: a short file for each command.

pub mod acquire;
pub mod config;
pub mod dump;
pub mod explain;
pub mod hash_password;
pub mod keygen;
pub mod order;
pub mod path;
pub mod serve;
pub mod sign;
pub mod slurm;
pub mod status;
pub mod validate;
pub mod verify;

use std::future::Future;
use std::io::{self, Write};

/// What came of a command that did what it was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Yes, or done.
    Yes,
    /// The answer is no.
    No,
    /// It could not be determined, and all there is to say about it was said.
    Undetermined,
}

/// Does something that waits for the network, in a runtime of its own.
fn wait<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}

/// Prints to standard output. Whoever reads may have seen enough, as `head` has.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

pub use crate::daemon::with_causes as explain;

/// The environment as text; what is none sets nothing of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}
