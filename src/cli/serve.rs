//! `rutter serve` and `rutter config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::Settings;

/// `rutter serve`.
#[derive(Args, Debug)]
pub struct Serve {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serve the sample that is built in, without file or network
    #[arg(long)]
    pub demo: bool,
    /// Where the data is: a path, `-`, http(s)://…, feed+https://…, tcp://HOST:PORT or
    /// tls://HOST:PORT, repeatable
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

pub(super) const SERVE_EXAMPLES: &str = "\
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
  rutter serve --source feed+https://leader.example/feed/ --state-dir /var/lib/rutter
      Follow another rutter: the same serials, so that routers may go from one to the other.
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
  export.valid=1d                                   how long /rpki.json counts
  export.file                                       where it is written, too
  export.sign-key  export.gortr-key                 private keys, PEM files
  export.feed                                       serve the feed: true where there is state-dir
  export.feed-valid                                 how long it counts; rtr.expire unless it is set
  export.folder                                     where it is laid out for a web server
  export.bucket  export.bucket-credentials          where it is laid out in storage, and the file
  export.bucket-endpoint  export.bucket-region      with the credentials

The environment sets the same: RUTTER_RTR__REFRESH=10m is --set rtr.refresh=10m, and
RUTTER_GUARD__MAX_SHRINK=off is --set guard.max-shrink=off. Another variable that begins with
RUTTER_ is an error, but for those of Kubernetes (RUTTER_PORT…, RUTTER_SERVICE_…) and of our tests
(RUTTER_REQUIRE, RUTTER_REPORT, RUTTER_SHARED_DATA).";

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
