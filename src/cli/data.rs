//! Commands that look at a set: what a cache serves, or what a file holds.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use ipnet::IpNet;

use super::control::Control;
use super::secure::Secure;
use crate::http::explain;
use crate::net::Endpoint;
use crate::payload::Asn;

/// `rutter dump`.
#[derive(Args, Debug)]
pub struct Dump {
    /// tcp://HOST:PORT, http(s)://…, a file or folder, or `-` for standard input
    #[arg(value_name = "ENDPOINT|FILE")]
    pub from: String,
    /// The form of the output
    #[arg(long, value_parser = ["json", "csv", "bird", "openbgpd", "table"], default_value = "json")]
    pub output: String,
    /// Write to this file instead of standard output; it is replaced whole or not at all
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// The highest version to ask for; a cache that has none so high is asked for a lower one
    #[arg(long, value_name = "0|1|2", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub highest_version: u8,
    /// Seconds until the answer must be complete
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// How caches are spoken with over TLS and SSH
    #[command(flatten)]
    pub secure: Secure,
}

pub(super) const DUMP_EXAMPLES: &str = "\
Examples:
  rutter dump tcp://127.0.0.1:8282
      The JSON that rutter gives out as /rpki.json, with what is known: a cache tells neither trust
      anchors nor expiry.
  rutter dump tcp://rtr.example:323 --output csv > vrps.csv
  rutter dump tcp://[2001:db8::1] --highest-version 1 --output table
  rutter dump /var/lib/rpki-client/json --output table
  rutter dump https://validator.example/json --output bird --file /etc/bird/roas.conf
      Static tables for BIRD, without what has expired; the file is replaced whole or not at all.
  rutter dump /var/lib/rpki-client/json --output openbgpd --file /var/db/roa-set
      A roa-set for OpenBGPD, which lets go by itself of what expires.

Exit status: 0 after a complete End of Data, or when the file was read to its end; 2 otherwise,
and then nothing was written.";

/// `rutter validate`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["routes", "file", "path"])))]
pub struct Validate {
    /// Routes: `192.0.2.0/24 AS64496` or `192.0.2.0/24,64496`, repeatable
    #[arg(value_name = "ROUTE")]
    pub routes: Vec<String>,
    /// Where the VRPs are: tcp://HOST:PORT, http(s)://…, a file or folder, or `-`
    #[arg(long, value_name = "ENDPOINT|FILE")]
    pub vrps: Endpoint,
    /// A file of routes, or `-` for standard input, repeatable
    #[arg(long, value_name = "ROUTES")]
    pub file: Vec<PathBuf>,
    /// An AS path to verify by ASPAs instead, the neighbour first: `64501 64502 {64503,64504}`
    #[arg(long, value_name = "AS_PATH", requires = "from", conflicts_with_all = ["routes", "file", "summary"])]
    pub path: Option<String>,
    /// What the neighbour who handed the path over is to us: our customer, provider or lateral
    /// peer, our client of a route server, or the route server
    #[arg(long, value_name = "WHO", requires = "path", value_parser = ["customer", "provider", "peer", "rs-client", "rs"])]
    pub from: Option<String>,
    /// The neighbour, which must be the first AS of the path; not for a route server
    #[arg(long, value_name = "ASN", requires = "path")]
    pub neighbor: Option<Asn>,
    /// Apply local exceptions: a SLURM file or a folder of them, repeatable
    #[arg(long, value_name = "PATH")]
    pub slurm: Vec<PathBuf>,
    /// Read SLURM files that are not quite as RFC 8416 wants them
    #[arg(long)]
    pub lenient: bool,
    /// Let several SLURM files speak of the ASPAs of one customer
    #[arg(long)]
    pub aspa_overlap: bool,
    /// The form of the output
    #[arg(long, value_parser = ["table", "json", "csv"], default_value = "table")]
    pub output: String,
    /// Write only what it all amounts to
    #[arg(long)]
    pub summary: bool,
    /// What to do with routes whose origin is an AS set: count and skip them, or validate them
    /// with the origin NONE, which matches nothing (RFC 6811, 2)
    #[arg(long, value_name = "HOW", value_parser = ["skip", "none"], default_value = "skip")]
    pub as_sets: String,
    /// Let lines that are no routes be; they are told and counted all the same
    #[arg(long)]
    pub skip_bad: bool,
    /// Let VRPs count that have expired
    #[arg(long)]
    pub keep_expired: bool,
    /// Seconds until the VRPs must be complete
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// How caches are spoken with over TLS and SSH
    #[command(flatten)]
    pub secure: Secure,
}

pub(super) const VALIDATE_EXAMPLES: &str = "\
Examples:
  rutter validate --vrps tcp://127.0.0.1:8282 192.0.2.0/24 AS64496
      One route, against what a cache serves.
  rutter validate --vrps /var/lib/rpki-client/json --file riswhoisdump.IPv6.gz --summary
      How many of the routes that RIS sees are valid, invalid and not found.
  rutter validate --vrps https://validator.example/json --slurm /etc/rutter/slurm/ \\
                  --output json --file - --skip-bad
      Routes from a pipe, with local exceptions, a JSON object for each.
  rutter validate --vrps tcp://127.0.0.1:8282 --path '64501 64502 64503' --from provider
      An AS path that a provider sent us, against the ASPAs.

Lists of routes have one form, which their first line shows: `prefix AS`, `AS prefix` with or
without a number of peers (RIS whois dumps), `address length AS`, or a header with names such as
prefix, address, length, origin; the columns stand between commas, spaces or tabs. Lines that
begin with #, % or ; are comments. Lists may be compressed with gzip, xz or zstd. A line in
another form is told and counted, and not guessed at.

The last line counts what there was; in JSON it is the object `summary`, in CSV a comment.

Exit status: 0 when no route and no path is invalid, 1 when one is; 2 when that could not be
determined, as with bad lines without --skip-bad and with a list that breaks off.";

/// `rutter explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// The prefix of the route; an address alone is the prefix of its full length
    #[arg(value_name = "PREFIX", value_parser = explain::prefix)]
    pub prefix: IpNet,
    /// Its origin, to be told whether it is valid
    #[arg(value_name = "ASN")]
    pub origin: Option<Asn>,
    /// Where the server is
    #[command(flatten)]
    pub control: Control,
    /// Ask no server, look into this instead, repeatable: tcp://HOST:PORT, http(s)://…, a file or
    /// folder, or `-`; what one of several has counts
    #[arg(long, value_name = "ENDPOINT|FILE")]
    pub from: Vec<Endpoint>,
    /// Apply local exceptions: a SLURM file or a folder of them, repeatable
    #[arg(long, value_name = "PATH", requires = "from")]
    pub slurm: Vec<PathBuf>,
    /// Read SLURM files that are not quite as RFC 8416 wants them
    #[arg(long, requires = "from")]
    pub lenient: bool,
    /// Let several SLURM files speak of the ASPAs of one customer
    #[arg(long, requires = "from")]
    pub aspa_overlap: bool,
    /// The form of the output
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    pub output: String,
    /// Seconds until each list must be complete
    #[arg(long, value_name = "SECONDS", requires = "from", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// How caches are spoken with over TLS and SSH
    #[command(flatten)]
    pub secure: Secure,
}

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  rutter explain 192.0.2.0/24 AS64496
      Why the running server has routers take this route for what it is: every VRP that covers
      the prefix, from the sources over the guard and the local exceptions to the routers.
  rutter explain 2001:db8::1
      Everything that covers an address, whatever the origin.
  rutter explain 192.0.2.0/24 AS64496 --control /run/rutter-lab/control --output json
  rutter explain 192.0.2.0/24 AS64496 --from /var/lib/rpki-client/json --slurm /etc/rutter/slurm/
      Without a server: what the list and the local exceptions make of it. VRPs that have expired
      are told.
  rutter explain 192.0.2.0/24 --from https://a.example/json --from tcp://rtr.example:323
      Which of two sources has what.

It is about VRPs; `rutter validate --path` tells of ASPAs. From another machine, ask the HTTP
server of rutter for /api/v1/explain/192.0.2.0/24?asn=64496.

Exit status: 0 when it is explained, and the route is valid or not found if an AS was given; 1 when
the route is invalid; 2 when that could not be determined: no server, or nothing is served, or all
that the lists have has expired.";

/// The commands under `slurm`.
#[derive(Debug, Subcommand)]
pub enum Slurm {
    /// Check files, and say what they do to a set
    #[command(after_help = SLURM_CHECK_EXAMPLES)]
    Check(SlurmCheck),
}

/// `rutter slurm check`.
#[derive(Args, Debug)]
pub struct SlurmCheck {
    /// Files, folders of .json and .slurm files, or `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Read what is not quite as RFC 8416 wants it, and say what that is
    #[arg(long)]
    pub lenient: bool,
    /// Let several files speak of the ASPAs of one customer
    #[arg(long)]
    pub aspa_overlap: bool,
    /// Hold the files against a set: tcp://HOST:PORT, http(s)://…, a file or folder, or `-`
    #[arg(long, value_name = "ENDPOINT|FILE")]
    pub against: Option<Endpoint>,
    /// Show the first payloads that each filter removes
    #[arg(long)]
    pub verbose: bool,
    /// The form of the output
    #[arg(long, value_parser = ["table", "json"], default_value = "table")]
    pub output: String,
    /// Seconds until the set must be complete
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// How caches are spoken with over TLS and SSH
    #[command(flatten)]
    pub secure: Secure,
}

const SLURM_CHECK_EXAMPLES: &str = "\
Examples:
  rutter slurm check /etc/rutter/slurm/
      Each fault with its file, line and column, and what cannot be together.
  rutter slurm check exceptions.json --against tcp://127.0.0.1:8282
      What each entry removes or adds, and which do nothing or are shadowed by others.
  rutter slurm check exceptions.json --against https://validator.example/json --verbose
      With the first payloads that each filter removes.
  rutter slurm check old.slurm --lenient --output json
      With what is not as RFC 8416 wants it and is understood all the same.

Exit status: 0 when all files are good and can be used together, 1 when there is a fault or a
conflict, 2 when a file or the set could not be read.";
