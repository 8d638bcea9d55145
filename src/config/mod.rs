//! What the operator's words mean.
//!
//! Settings come as text (a file, flags, `--set`, the environment) and become a [`Config`] that
//! cannot be wrong, or a list of everything that is wrong with them. This file is what comes out;
//! `settings` is how it is read: `layers` and `flags` (one over the other), over `document` (the file
//! as a tree), `scalars`, `source`, `listener` with `carrier`, `tls` and `ssh`, and `profile` (its
//! parts), `value` (single values), `check` (one setting against another) and `warnings`. `files`
//! looks into what it names, with `keys` for those that sign. `show` is the way back, and [`from`] the way from other servers.

mod carrier;
mod check;
mod document;
mod error;
mod export;
mod files;
mod flags;
pub mod from;
mod keys;
mod layers;
mod listener;
mod profile;
mod report;
mod scalars;
mod settings;
mod show;
mod source;
mod ssh;
mod tls;
mod value;
mod warnings;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::net::ssh as net_ssh;
use crate::net::tls as net_tls;
use crate::net::{AccessList, Endpoint, Transport, Url};
use crate::payload::Kinds;
use crate::rtr::{Timing, Version, Versions};

pub use self::error::{ConfigError, ConfigErrors, Place, Whence};
pub use self::export::{Bucket, Export};
pub use self::files::Findings;
pub use self::keys::{Credentials, ExportKeys, signing_key};
pub use self::settings::{Loaded, Settings};

/// What a server is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder for what outlives a run, `None` for none.
    pub state_dir: Option<PathBuf>,
    /// The control socket, `None` for none.
    pub control: Option<Control>,
    /// The protocol.
    pub rtr: Rtr,
    /// Where data comes from, in the order of preference; at least one, at most
    /// [`MAX_SOURCES`](Self::MAX_SOURCES).
    pub sources: Vec<Source>,
    /// How several sources become one list.
    pub merge: Merge,
    /// What is not let through.
    pub guard: Guard,
    /// Local exceptions (RFC 8416).
    pub slurm: Slurm,
    /// Where routers connect.
    pub listeners: Vec<Listener>,
    /// What some of them get instead of what all get, in the order of preference.
    pub profiles: Vec<Profile>,
    /// What peers may cost.
    pub limits: Limits,
    /// The HTTP server.
    pub http: Http,
    /// What is given out beside RTR.
    pub export: Export,
}

impl Config {
    /// Sources are marked by a bit each in the attributes of a payload, and the last of sixteen
    /// bits means local exceptions.
    pub const MAX_SOURCES: usize = 15;
}

/// The Unix socket through which the running server is spoken to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Control {
    /// Where it is.
    pub path: PathBuf,
    /// Whether the server can do without it.
    pub need: Need,
}

/// What it means when something cannot be opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Need {
    /// The operator asked for it: no start without it.
    #[default]
    Required,
    /// It is a default: a warning, and on without it.
    Optional,
}

/// Where data comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The sample that is built in.
    Demo,
    /// A file, a folder, standard input, a URL, or another cache.
    At(Endpoint),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demo => f.write_str("demo"),
            Self::At(endpoint) => endpoint.fmt(f),
        }
    }
}

/// A source of payloads, and what it may cost.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// What the operator calls it; no two sources have the same name.
    pub name: Box<str>,
    /// Where it is.
    pub origin: Origin,
    /// For a URL, the time between two requests while all is well; up to a tenth is added or taken
    /// away by chance, so that many servers do not ask at once. For a file or folder, the time
    /// between two looks beside those that the system's notice of a change sets off. For a cache,
    /// the longest time between two queries; its own refresh interval counts when it is shorter.
    pub refresh: Duration,
    /// How long a fetch or an answer may take, from the beginning to the end.
    pub timeout: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How old the data may be until the source is stale; `None` for ever.
    pub max_age: Option<Duration>,
    /// The most octets of a document, as it comes and again when decompressed.
    pub max_octets: u64,
    /// How many percent of the rows may be bad before a document is refused.
    pub max_bad_rows: u8,
    /// For a URL.
    pub web: Web,
    /// For a cache over TLS, and for a URL: there the CAs are trusted beside those of the system,
    /// and the name and `insecure` count for nothing.
    pub tls: net_tls::ClientOptions,
    /// For a cache over SSH.
    pub ssh: net_ssh::ClientOptions,
    /// What must be signed, and by whom; `None` when nothing must.
    pub verify: Option<Verify>,
}

impl Source {
    /// Time between two requests for a URL.
    pub const WEB_REFRESH: Duration = Duration::from_secs(600);
    /// Time between two requests for the manifest of a feed that cannot be waited for.
    pub const FEED_REFRESH: Duration = Duration::from_secs(10);
    /// Time between two looks at a file: what there is to wait on file systems without notices.
    pub const FILE_REFRESH: Duration = Duration::from_secs(30);
    /// The refresh interval for a cache (RFC 8210 §6).
    pub const CACHE_REFRESH: Duration = Duration::from_secs(3_600);
    /// The age after which a list is no longer trusted by itself.
    pub const MAX_AGE: Duration = Duration::from_secs(86_400);

    /// A source with the defaults of its kind.
    pub fn new(name: impl Into<Box<str>>, origin: Origin) -> Self {
        let refresh = match &origin {
            Origin::Demo | Origin::At(Endpoint::File(_) | Endpoint::Stdin) => Self::FILE_REFRESH,
            Origin::At(Endpoint::Web(_)) => Self::WEB_REFRESH,
            Origin::At(Endpoint::Feed(_) | Endpoint::FeedFolder(_)) => Self::FEED_REFRESH,
            Origin::At(Endpoint::Tcp(_) | Endpoint::Tls(_) | Endpoint::Ssh { .. }) => {
                Self::CACHE_REFRESH
            }
        };
        // What cannot be renewed has no age.
        let ages = !matches!(origin, Origin::Demo | Origin::At(Endpoint::Stdin));
        Self {
            name: name.into(),
            origin,
            refresh,
            timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(10),
            max_age: ages.then_some(Self::MAX_AGE),
            max_octets: 1 << 30,
            max_bad_rows: 5,
            web: Web::default(),
            tls: net_tls::ClientOptions::default(),
            ssh: net_ssh::ClientOptions::default(),
            verify: None,
        }
    }
}

/// What must be signed of a source, and by whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verify {
    /// Files with public keys, PEM; a signature by any of them is good. At least one.
    pub keys: Vec<PathBuf>,
    /// How the document is signed. A feed has signatures of its own.
    pub scheme: Scheme,
}

/// How a document is signed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scheme {
    /// A statement beside it, a compact JWS (RFC 7515) at its name with `.jws` behind it.
    #[default]
    Jws,
    /// The fields `signature` and `signatureDate` of GoRTR.
    Gortr,
}

/// How a URL is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Web {
    /// Whether requests name the last answer, so that an unchanged list is not sent again.
    pub conditional: bool,
    /// Headers to send.
    pub headers: Vec<Header>,
    /// The file with the bearer token.
    pub bearer_token: Option<PathBuf>,
    /// The way there.
    pub proxy: Proxy,
}

impl Default for Web {
    /// Conditional, without credentials, through the proxy of the environment.
    fn default() -> Self {
        Self {
            conditional: true,
            headers: Vec::new(),
            bearer_token: None,
            proxy: Proxy::default(),
        }
    }
}

/// A header of a request. Its value may be a secret and so comes from a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// The name.
    pub name: Box<str>,
    /// The value.
    pub value: HeaderValue,
}

/// Where the value of a header is.
#[derive(Clone, Eq, PartialEq)]
pub enum HeaderValue {
    /// Here; not to be shown, for it may be a secret all the same.
    Text(Box<str>),
    /// In this file, read at each request, without the line end.
    File(PathBuf),
}

impl fmt::Debug for HeaderValue {
    /// Without the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// How a URL is reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Proxy {
    /// As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    /// Without a proxy.
    Direct,
    /// Through this one.
    Through(Url),
}

/// How several sources become one list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Merge {
    /// The rule.
    pub mode: MergeMode,
    /// With [`MergeMode::Failover`], how long a better source must be fresh again before it is
    /// gone back to.
    pub hysteresis: Duration,
}

/// The rules of a merge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MergeMode {
    /// The first fresh source, alone.
    Failover,
    /// What any fresh source has.
    Union,
    /// What at least so many fresh sources have.
    Quorum {
        /// How many; at least 1, at most the number of sources.
        least: usize,
    },
}

impl Default for Merge {
    /// Failover, and ten minutes on the way back.
    fn default() -> Self {
        Self {
            mode: MergeMode::Failover,
            hysteresis: Duration::from_secs(600),
        }
    }
}

/// What is not let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Guard {
    /// The share of a family, a kind or a trust anchor that an update may take away; `None` for
    /// any.
    pub max_shrink: Option<Percent>,
    /// The share by which an update may make one grow; `None` for any.
    pub max_growth: Option<Percent>,
    /// Changes of fewer payloads than this are let through whatever their share.
    pub min_change: usize,
    /// How long an update is held until `on_timeout` decides.
    pub hold: Duration,
    /// What becomes of a held update that nobody approved.
    pub on_timeout: OnTimeout,
    /// Whether a change of the local exceptions past a limit is held, too.
    pub slurm: bool,
    /// What happens when no source is fresh.
    pub stale: Stale,
}

impl Default for Guard {
    /// A tenth away, half as much again, an hour, then refused; stale data are kept.
    fn default() -> Self {
        Self {
            max_shrink: Some(Percent(10)),
            max_growth: Some(Percent(50)),
            min_change: 5,
            hold: Duration::from_secs(3_600),
            on_timeout: OnTimeout::Refuse,
            slurm: false,
            stale: Stale::Keep,
        }
    }
}

/// A share of a hundred; a growth can be more.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Percent(pub u32);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// What becomes of a held update that nobody approved in time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnTimeout {
    /// It is refused; the last good set stays.
    #[default]
    Refuse,
    /// It is let through.
    Accept,
}

/// What happens when no source is fresh.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Stale {
    /// The last set stays; its payloads still expire.
    #[default]
    Keep,
    /// An empty set is published.
    Withdraw,
    /// Queries get error 2, and routers let their data expire.
    NoData,
}

/// Local exceptions (RFC 8416).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Slurm {
    /// Where they are.
    pub files: Vec<SlurmOrigin>,
    /// Whether deviations seen in the wild are read, and reported, instead of refused.
    pub lenient: bool,
    /// Whether several files may name the same customer AS of an ASPA.
    pub aspa_overlap: bool,
    /// Time between two requests for URLs.
    pub refresh: Duration,
}

impl Default for Slurm {
    /// None, read strictly.
    fn default() -> Self {
        Self {
            files: Vec::new(),
            lenient: false,
            aspa_overlap: false,
            refresh: Duration::from_secs(600),
        }
    }
}

/// Where local exceptions are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SlurmOrigin {
    /// A file, or a folder of files that end in `.json` or `.slurm`.
    Path(PathBuf),
    /// A URL.
    Web(Url),
}

/// What all listeners have in common.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rtr {
    /// The timers of End of Data.
    pub timing: Timing,
    /// How long increments are kept.
    pub history: Duration,
    /// The least time between two Serial Notifies of a connection.
    pub notify_interval: Duration,
    /// The versions served.
    pub versions: Versions,
}

/// A place where routers connect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    /// The address and port.
    pub address: SocketAddr,
    /// How the octets travel.
    pub carrier: Carrier,
    /// Who may connect.
    pub access: AccessList,
    /// The prefixes of proxies: a connection from there begins with a header of the PROXY
    /// protocol, version 2, and counts as one of the address that it names.
    pub proxies: Vec<IpNet>,
    /// The versions served here, within those of [`Rtr`].
    pub versions: Versions,
    /// Whether a router of version 2 is told of a restart (error 12) here.
    pub announce_restart: bool,
}

/// How the octets of a listener travel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// Plain TCP; peers within these prefixes sign each segment (RFC 2385).
    Tcp(Vec<Md5>),
    /// TLS.
    Tls(Box<net_tls::ServerOptions>),
    /// SSH.
    Ssh(Box<net_ssh::ServerOptions>),
}

impl Carrier {
    /// The transport.
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Tcp(_) => Transport::Tcp,
            Self::Tls(_) => Transport::Tls,
            Self::Ssh(_) => Transport::Ssh,
        }
    }
}

/// The TCP MD5 key of some peers (RFC 2385).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Md5 {
    /// The peers.
    pub prefix: IpNet,
    /// The file whose first line is the key, of 1 to 80 octets.
    pub key_file: PathBuf,
}

/// What some routers get instead of what all get. The first profile that fits counts, alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    /// What the operator calls it; no two profiles have the same name.
    pub name: Box<str>,
    /// Routers with an address in one of these; any address when there are none.
    pub prefixes: Vec<IpNet>,
    /// Routers whose certificate has one of these DNS names, in lower case; any router when there
    /// are none.
    pub tls_names: Vec<Box<str>>,
    /// Routers that are logged in as one of these SSH users; any router when there are none.
    pub ssh_users: Vec<Box<str>>,
    /// The highest version, within those of the listener.
    pub highest_version: Option<Version>,
    /// The kinds of payload.
    pub kinds: Option<Kinds>,
    /// The timers of End of Data.
    pub timing: Option<Timing>,
    /// Whether Serial Notifies are sent.
    pub notify: Option<bool>,
    /// Whether a router of version 2 is told of a restart (error 12).
    pub announce_restart: Option<bool>,
}

/// What peers may cost.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections at once, of all listeners together.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_address: usize,
    /// Connections at once from one network: 24 bits of IPv4, 48 of IPv6.
    pub connections_per_network: usize,
    /// Handshakes of TLS and SSH at once; further ones wait for a place, within their deadline.
    pub handshakes: usize,
    /// How long a connection may take from its first octet, PROXY header included, until it is
    /// logged in.
    pub handshake_timeout: Duration,
    /// Failed attempts to log in over SSH that end a connection.
    pub auth_attempts: usize,
    /// How long a peer may take no octet of an answer.
    pub stall: Duration,
    /// How long a router may send no query once it has got an answer; `None` for ever, because
    /// GoBGP never asks by itself.
    pub idle: Option<Duration>,
    /// How long answers under way may take to end when the server stops.
    pub drain: Duration,
}

/// The HTTP server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Http {
    /// Where it listens; nowhere by default.
    pub addresses: Vec<SocketAddr>,
    /// Whether the server can do without it.
    pub need: Need,
    /// Who may connect.
    pub access: AccessList,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_address: usize,
    /// TLS, where it is spoken; then plain HTTP is not.
    pub tls: Option<net_tls::ServerOptions>,
    /// The file with the bearer token that lets a client change something. Without it only the
    /// control socket does.
    pub token: Option<PathBuf>,
}

impl Default for Http {
    /// Nowhere, with room for a few dozen scrapers.
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            need: Need::default(),
            access: AccessList::default(),
            connections: 128,
            connections_per_address: 32,
            tls: None,
            token: None,
        }
    }
}
