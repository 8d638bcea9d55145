//! What was typed.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::builder::RangedI64ValueParser;
use clap::{ArgGroup, Args, Parser, Subcommand};
use ipnet::IpNet;

use crate::net::Endpoint;
use crate::net::ssh::{self, password::Cost};
use crate::payload::Asn;

use crate::config::Settings;
use crate::http::{control, explain};

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
    Dump(Dump),
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
    Explain(Explain),
    /// Validate the origins of routes
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(Box<Validate>),
    /// Work with files of local exceptions (SLURM, RFC 8416)
    #[command(subcommand)]
    Slurm(Slurm),
    /// Hash a password for the users file of an SSH listener
    #[command(after_help = HASH_PASSWORD_EXAMPLES)]
    HashPassword(HashPassword),
}

/// The commands under `slurm`.
#[derive(Debug, Subcommand)]
pub enum Slurm {
    /// Check files, and say what they do to a set
    #[command(after_help = SLURM_CHECK_EXAMPLES)]
    Check(SlurmCheck),
}

const SERVE_EXAMPLES: &str = "\
Examples:
  rutter serve --demo
      Serve the built-in sample on this host itself: tcp:// on port 8282, tls:// on 8283 and
      ssh:// on 8284, with a password that is made and told at the start.
  rutter serve --config /etc/rutter/rutter.toml
      Serve what a file says; `rutter config check` tells beforehand what is wrong with it.
  rutter serve --source /var/lib/rpki-client/json --listen tcp://127.0.0.1:323
      Serve what rpki-client writes; a renamed or rewritten file is picked up within a second.
  rutter serve --source https://validator.example/json \\
               --listen 'tcp://[::]:323' --allow 192.0.2.0/24 --allow 2001:db8::/32
      Serve what a validator offers over HTTPS, to the routers of two prefixes.
  rutter serve --source https://a.example/json --source https://b.example/json
      Serve the first, and the second while the first is stale.
  rutter serve --source vrps.csv --set rtr.refresh=10m --set rtr.highest-version=1
      With a shorter refresh interval, and without version 2.

What counts, later over earlier: defaults, the file, the environment, flags, --set. A flag takes
the place of the whole table of the file.

Settings for --set, with their defaults:
  rtr.refresh=1h  rtr.retry=10m  rtr.expire=2h      the timers of End of Data (RFC 8210, 6)
  rtr.history=24h                                   how long increments are kept
  rtr.notify-interval=60s                           least time between two Serial Notifies
  rtr.lowest-version=0  rtr.highest-version=2       the versions served
  merge.mode=failover                               or union, or quorum with merge.quorum
  merge.hysteresis=10m                              how long a better source must be fresh again
  guard.max-shrink=10%  guard.max-growth=50%        what an update may change, or off
  guard.min-change=5                                fewer payloads are let through in any case
  guard.hold=1h  guard.on-timeout=refuse            how long an update is held, then accept or
                                                    refuse
  guard.slurm=false                                 hold changes of local exceptions, too
  guard.stale=keep                                  or withdraw, or no-data
  slurm.lenient=false                               accept deviations from RFC 8416
  slurm.aspa-overlap=false                          several files may name one customer AS
  slurm.refresh=10m                                 time between two requests for URLs
  limits.connections=10000                          connections at once
  limits.connections-per-address=64                 from one address
  limits.connections-per-network=1024               from one network: 24 bits of IPv4, 48 of IPv6
  limits.handshakes=16                              handshakes of TLS and SSH at once
  limits.handshake-timeout=30s                      how long one may take, login included
  limits.auth-attempts=6                            failed logins over SSH that end a connection
  limits.stall=60s                                  how long a router may take no octet
  limits.idle=off                                   how long a router may send no query
  limits.drain=30s                                  how long answers may take to end at a stop
  state-dir                                         the folder for what outlives a run
  control=none                                      the control socket; with a file its default
                                                    is /run/rutter/control
  http.connections=128                              HTTP connections at once
  http.connections-per-address=32                   from one address
  http.certificate  http.key                        PEM files, for HTTPS
  http.client-auth  http.match-address              what HTTPS asks of clients, with http.client-ca
  http.token-file                                   the file with the token for changes by HTTP

The environment sets the same: RUTTER_RTR__REFRESH=10m is --set rtr.refresh=10m, and
RUTTER_GUARD__MAX_SHRINK=off is --set guard.max-shrink=off. Another variable that begins with
RUTTER_ is an error, but for those of Kubernetes (RUTTER_PORT…, RUTTER_SERVICE_…) and of our tests
(RUTTER_REQUIRE, RUTTER_REPORT, RUTTER_SHARED_DATA).";

const DUMP_EXAMPLES: &str = "\
Examples:
  rutter dump tcp://127.0.0.1:8282
  rutter dump tcp://rtr.example:323 --output csv > vrps.csv
  rutter dump tcp://[2001:db8::1] --highest-version 1 --output table
  rutter dump /var/lib/rpki-client/json --output table

Exit status: 0 after a complete End of Data, or when the file was read to its end; 2 otherwise,
and then nothing was written.";

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

const VALIDATE_EXAMPLES: &str = "\
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

/// `rutter serve`.
#[derive(Args, Debug)]
pub struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serve the sample that is built in, without file or network
    #[arg(long)]
    pub demo: bool,
    /// Where the data is: a path, `-`, http(s)://…, tcp://HOST:PORT or tls://HOST:PORT, repeatable
    #[arg(long, value_name = "ENDPOINT")]
    pub source: Vec<String>,
    /// Where routers connect: tcp://ADDRESS:PORT, repeatable [default: tcp://127.0.0.1:8282]
    #[arg(long, value_name = "ENDPOINT")]
    pub listen: Vec<String>,
    /// Who may connect beside this host itself: a prefix, repeatable
    #[arg(long, value_name = "PREFIX")]
    pub allow: Vec<String>,
    /// Local exceptions (RFC 8416): a file, a folder or a URL, repeatable
    #[arg(long, value_name = "PATH|URL")]
    pub slurm: Vec<String>,
    /// Where the HTTP server listens, on loopback: ADDRESS:PORT, repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub http: Vec<String>,
    /// The folder for what outlives a run, such as a host key for SSH that was made
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Set a scalar setting, repeatable; see below for the keys
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl From<Serve> for Settings {
    fn from(typed: Serve) -> Self {
        Self {
            config: typed.config,
            demo: typed.demo,
            demo_password: None,
            state_dir: typed.state_dir,
            source: typed.source,
            listen: typed.listen,
            allow: typed.allow,
            slurm: typed.slurm,
            http: typed.http,
            set: typed.set,
        }
    }
}

/// `rutter config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Say whether a file is right, and everything that is wrong with it
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// The configuration file
        #[arg(value_name = "FILE", default_value = Settings::DEFAULT_FILE)]
        file: PathBuf,
    },
    /// Print the values that count, and where each comes from
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// The configuration file
        #[arg(value_name = "FILE", default_value = Settings::DEFAULT_FILE)]
        file: PathBuf,
        /// Set a scalar setting as `rutter serve` does, repeatable
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// The form of the output
        #[arg(long, value_parser = ["toml", "json"], default_value = "toml")]
        output: String,
    },
    /// Print a file that does what another server was told to do
    #[command(after_help = FROM_EXAMPLES)]
    From {
        /// The other server
        #[arg(value_name = "SERVER", value_parser = ["stayrtr", "gortr", "pyrtr", "rtrtr"])]
        peer: String,
        /// A file with its environment, such as /etc/default/stayrtr
        #[arg(long, value_name = "FILE")]
        env: Option<PathBuf>,
        /// Its configuration file
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Its arguments
        #[arg(
            value_name = "ARGS",
            trailing_var_arg = true,
            allow_hyphen_values = true
        )]
        arguments: Vec<String>,
    },
}

const CHECK_EXAMPLES: &str = "\
Examples:
  rutter config check
      Check /etc/rutter/rutter.toml.
  rutter config check new.toml
      Check a file before it takes the place of the one in use.

Exit status: 0 when it is right, perhaps with warnings; 1 with everything that is wrong, a line
each as FILE:LINE:COLUMN: KEY: REASON; 2 when it cannot be read.";

const SHOW_EXAMPLES: &str = "\
Examples:
  rutter config show
  rutter config show rutter.toml --set rtr.refresh=10m --output json

Passwords in URLs and the texts of headers are not shown. Exit status: as `rutter config check`.";

const FROM_EXAMPLES: &str = "\
Examples:
  rutter config from stayrtr -bind :323 -cache /var/lib/rpki-client/json -checktime=false
  rutter config from stayrtr --env /etc/default/stayrtr > rutter.toml
  rutter config from gortr -- -verify=false -cache https://validator.example/rpki.json
  rutter config from pyrtr PYRTR_DATA_LOCATION=/var/lib/rpki-client PYRTR_REFRESH=1800
  rutter config from rtrtr --file /etc/rtrtr.conf

What did nothing there, or is different here, is a comment. An address that anybody could connect
to becomes loopback, with the lines to fill in as a comment. Exit status: 1 when something has no
meaning, and then nothing is printed; 2 when a file cannot be read.";

/// `rutter dump`.
#[derive(Args, Debug)]
pub struct Dump {
    /// tcp://HOST:PORT, http(s)://…, a file or folder, or `-` for standard input
    #[arg(value_name = "ENDPOINT|FILE")]
    pub from: String,
    /// The form of the output
    #[arg(long, value_parser = ["json", "csv", "table"], default_value = "json")]
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
}

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

const STATUS_EXAMPLES: &str = "\
Examples:
  rutter status
  rutter status --output json | jq '.sources[] | select(.fresh | not) | .name'
  rutter status --control /run/rutter-lab/control

Exit status: 0 when routers can rely on the server; 1 when they cannot, and why is said; 2 when the
server cannot be reached.";

const RELOAD_EXAMPLES: &str = "\
Examples:
  rutter reload
  rutter reload --control /run/rutter-lab/control

Exit status: 0 when the new configuration is in use; 1 when it was refused, with every reason on a
line of its own, and the old one stays; 2 when the server cannot be reached.";

const REFRESH_EXAMPLES: &str = "\
Examples:
  rutter refresh
  rutter refresh validator-a

Exit status: 0 when it is done; 1 when it was refused; 2 when the server cannot be reached.";

const APPROVE_EXAMPLES: &str = "\
Examples:
  rutter approve 3f8a2c61d0
      Let the held update through that `rutter status` shows with this digest.

Exit status: 0 when it is published; 1 when there is no such update; 2 when the server cannot be
reached.";
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
}

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
}

const EXPLAIN_EXAMPLES: &str = "\
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
}

/// `rutter hash-password`.
#[derive(Args, Debug)]
pub struct HashPassword {
    /// Print a whole line of a users file, for this user
    #[arg(long, value_name = "NAME", value_parser = user_name)]
    pub user: Option<String>,
    /// The memory that trying a password takes, in KiB
    #[arg(long, value_name = "KIB", default_value_t = Cost::default().memory_kib, value_parser = within(Cost::MEMORY_KIB))]
    pub memory: u32,
    /// The passes over that memory
    #[arg(long, value_name = "NUMBER", default_value_t = Cost::default().passes, value_parser = within(Cost::PASSES))]
    pub passes: u32,
    /// The lanes of that memory
    #[arg(long, value_name = "NUMBER", default_value_t = Cost::default().lanes, value_parser = within(Cost::LANES))]
    pub lanes: u32,
}

fn within(range: RangeInclusive<u32>) -> RangedI64ValueParser<u32> {
    let (start, end) = (i64::from(*range.start()), i64::from(*range.end()));
    clap::value_parser!(u32).range(start..=end)
}

fn user_name(name: &str) -> Result<String, &'static str> {
    ssh::check_name(name).map(|()| name.to_owned())
}

const HASH_PASSWORD_EXAMPLES: &str = "\
Examples:
  rutter hash-password --user router1 >> /etc/rutter/ssh-users
      Ask for a password twice, without showing it, and add the user.
  rutter hash-password --memory 65536 --passes 3
      A hash that costs more to try; the server tries one password at a time.
  pwgen -s 24 1 | tee password | rutter hash-password --user router1
      Take the first line of a pipe.

The password is hashed with Argon2id and a new salt. It has 1 to 1024 octets of UTF-8, and never
stands on the command line, where others could read it.

Exit status: 0 when the hash is printed; 2 when there is none: the password was empty, too long or
not typed twice the same.";
