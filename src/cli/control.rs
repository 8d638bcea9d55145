//! What is said to a running server.

use std::path::PathBuf;

use clap::Args;

use crate::http::control;

/// Where the running server is.
#[derive(Args, Debug)]
pub struct Control {
    /// The control socket of the running server
    #[arg(
        long = "control",
        value_name = "PATH",
        env = "RUTTER_CONTROL",
        default_value = control::DEFAULT_PATH
    )]
    pub path: PathBuf,
}

/// `rutter status`.
#[derive(Args, Debug)]
pub struct Status {
    /// Where the server is
    #[command(flatten)]
    pub control: Control,
    /// The form of the output
    #[arg(long, value_parser = ["table", "json"], default_value = "table")]
    pub output: String,
}

/// `rutter reload`.
#[derive(Args, Debug)]
pub struct Reload {
    /// Where the server is
    #[command(flatten)]
    pub control: Control,
}

/// `rutter refresh`.
#[derive(Args, Debug)]
pub struct Refresh {
    /// Where the server is
    #[command(flatten)]
    pub control: Control,
    /// The name of the source; all of them without it
    #[arg(value_name = "SOURCE")]
    pub source: Option<String>,
}

/// `rutter approve`.
#[derive(Args, Debug)]
pub struct Approve {
    /// Where the server is
    #[command(flatten)]
    pub control: Control,
    /// The digest of the held update, as `rutter status` shows it
    #[arg(value_name = "DIGEST")]
    pub digest: String,
}

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  rutter status
  rutter status --output json | jq '.sources[] | select(.fresh | not) | .name'
  rutter status --control /run/rutter-lab/control

Exit status: 0 when routers can rely on the server; 1 when they cannot, and why is said; 2 when the
server cannot be reached.";

pub(super) const RELOAD_EXAMPLES: &str = "\
Examples:
  rutter reload
  rutter reload --control /run/rutter-lab/control

Exit status: 0 when the new configuration is in use; 1 when it was refused, with every reason on a
line of its own, and the old one stays; 2 when the server cannot be reached.";

pub(super) const REFRESH_EXAMPLES: &str = "\
Examples:
  rutter refresh
  rutter refresh validator-a

Exit status: 0 when it is done; 1 when it was refused; 2 when the server cannot be reached.";

pub(super) const APPROVE_EXAMPLES: &str = "\
Examples:
  rutter approve 3f8a2c61d0
      Let the held update through that `rutter status` shows with this digest.

Exit status: 0 when it is published; 1 when there is no such update; 2 when the server cannot be
reached.";
