//! What was typed.
//!
//! The commands are here; what each takes is in `serve`, `data`, `control` and `password`, and what
//! several take in `secure`.

mod control;
mod data;
mod password;
mod secure;
mod serve;
mod sign;

use clap::{Parser, Subcommand};

pub use self::control::{Approve, Control, Refresh, Reload, Status};
pub use self::data::{Dump, Explain, Slurm, SlurmCheck, Validate};
pub use self::password::HashPassword;
pub use self::secure::Secure;
pub use self::serve::{Config, Serve};
pub use self::sign::{Keygen, Sign, Verify};

use self::control::{APPROVE_EXAMPLES, REFRESH_EXAMPLES, RELOAD_EXAMPLES, STATUS_EXAMPLES};
use self::data::{DUMP_EXAMPLES, EXPLAIN_EXAMPLES, VALIDATE_EXAMPLES};
use self::password::HASH_PASSWORD_EXAMPLES;
use self::serve::SERVE_EXAMPLES;
use self::sign::{KEYGEN_EXAMPLES, SIGN_EXAMPLES, VERIFY_EXAMPLES};

/// An RPKI-to-Router (RTR) cache server, and tools for RTR.
#[derive(Debug, Parser)]
#[command(name = "rutter", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to say on standard error: error, warn, info, debug, trace, or a filter such as
    /// `rutter::daemon=debug`
    #[arg(long, global = true, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What was typed. Help and mistakes end the process here, as the parser does it.
    pub fn read() -> Self {
        Self::parse()
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve validated RPKI payloads to routers
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Check, show or write configuration files
    #[command(subcommand)]
    Config(Config),
    /// Print what a cache serves or a file holds
    #[command(after_help = DUMP_EXAMPLES)]
    Dump(Box<Dump>),
    /// Show how a running server is
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Status),
    /// Let a running server read its configuration again
    #[command(after_help = RELOAD_EXAMPLES)]
    Reload(Reload),
    /// Let a running server ask its sources now
    #[command(after_help = REFRESH_EXAMPLES)]
    Refresh(Refresh),
    /// Let an update through that a running server holds back
    #[command(after_help = APPROVE_EXAMPLES)]
    Approve(Approve),
    /// Explain why a route is valid, invalid or not found
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Box<Explain>),
    /// Validate the origins of routes
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(Box<Validate>),
    /// Work with files of local exceptions (SLURM, RFC 8416)
    #[command(subcommand)]
    Slurm(Slurm),
    /// Make a pair of keys for signatures on what is given out
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen(Keygen),
    /// Sign a document
    #[command(after_help = SIGN_EXAMPLES)]
    Sign(Sign),
    /// Verify the signature on a document or a feed
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
    /// Hash a password for the users file of an SSH listener
    #[command(after_help = HASH_PASSWORD_EXAMPLES)]
    HashPassword(HashPassword),
}
