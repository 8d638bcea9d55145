//! The shapes of the API: what a server says of itself, in the words of JSON.
//!
//! The server writes them and the client for the control socket reads them. Keys are in snake
//! case. What is not known or does not apply is absent; no value stands for "none".

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::payload::UnixTime;

/// A moment, for programs and for people.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Moment {
    /// Seconds since the beginning of 1970.
    pub unix: u64,
    /// The same in RFC 3339, UTC.
    pub utc: String,
}

impl From<UnixTime> for Moment {
    fn from(time: UnixTime) -> Self {
        Self {
            unix: time.seconds(),
            utc: time.to_string(),
        }
    }
}

/// How a server is: the answer of `/api/v1/status`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// The moment of this answer.
    pub now: Moment,
    /// When the server started.
    pub started: Moment,
    /// Whether routers can rely on it, and why not.
    pub ready: Ready,
    /// What routers get; absent while they get no data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
    /// The sources, in the order of preference.
    pub sources: Vec<SourceStatus>,
    /// How they become one list.
    pub merge: MergeStatus,
    /// What is held back.
    pub guard: GuardStatus,
    /// The local exceptions.
    pub slurm: SlurmStatus,
    /// What is kept for the next start; absent without a state directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StateStatus>,
    /// Where routers connect.
    pub listeners: Vec<ListenerStatus>,
    /// The certificates that listeners show or trust.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStatus>,
    /// The routers, in numbers.
    pub sessions: SessionStatus,
    /// The last reload; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload: Option<ReloadStatus>,
    /// What is allowed but not advisable, a line each.
    pub warnings: Vec<String>,
}

/// Whether routers can rely on a server: the answer of `/readyz`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ready {
    /// Whether every check is passed.
    pub ready: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

impl Ready {
    /// Ready when every check is passed and there is one.
    pub fn of(checks: Vec<Check>) -> Self {
        Self {
            ready: !checks.is_empty() && checks.iter().all(|check| check.ok),
            checks,
        }
    }

    /// Why it is not ready: `name: reason` for each check that is not passed.
    pub fn reasons(&self) -> impl Iterator<Item = String> + '_ {
        let failed = self.checks.iter().filter(|check| !check.ok);
        failed.map(|check| match &check.reason {
            Some(reason) => format!("{}: {reason}", check.name),
            None => check.name.clone(),
        })
    }
}

/// One thing that readiness depends on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Check {
    /// What is checked, such as `data` or `listeners`.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Why, in words; present at least when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Check {
    /// A check that is passed.
    pub fn passed(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ok: true,
            reason: None,
        }
    }

    /// A check that is not passed, and why.
    pub fn failed(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ok: false,
            reason: Some(reason.into()),
        }
    }
}

/// What routers get.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Serving {
    /// The name of the history: 32 hexadecimal digits.
    pub history: String,
    /// The serial.
    pub serial: u32,
    /// Counts the changes of attributes, such as expiry, which leave the serial.
    pub revision: u64,
    /// When the set was published.
    pub published: Moment,
    /// What set it off, such as `source`, `slurm`, `expiry`, `approval` or `takeover`.
    pub trigger: String,
    /// VRPs of IPv4.
    pub ipv4: u64,
    /// VRPs of IPv6.
    pub ipv6: u64,
    /// Router keys.
    pub router_keys: u64,
    /// ASPAs.
    pub aspas: u64,
    /// Until when the word of the leader counts whose history this is; absent in a history of
    /// this server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_until: Option<Moment>,
    /// Whether the set is kept from routers: the data are stale and the policy is `no-data`.
    pub withheld: bool,
}

/// What is kept for the next start.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StateStatus {
    /// The state directory.
    pub folder: String,
    /// What the next start goes on from; absent while that is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
    /// Why not all is stored; absent while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Attempts that failed, since the start.
    pub failures: u64,
}

/// A serial that outlives the server.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stored {
    /// The name of the history: 32 hexadecimal digits.
    pub history: String,
    /// The serial.
    pub serial: u32,
    /// When that was written.
    pub at: Moment,
}

/// How a source is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// It has given nothing yet.
    Waiting,
    /// Its data are young enough, and the last attempt succeeded.
    Fresh,
    /// Its data are young enough, but the last attempt failed.
    Failing,
    /// Its data are too old to be used.
    Stale,
}

impl SourceState {
    /// Its word, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fresh => "fresh",
            Self::Failing => "failing",
            Self::Stale => "stale",
        }
    }
}

/// A source, and what came of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SourceStatus {
    /// What the operator calls it.
    pub name: String,
    /// Where it is, without user and password.
    pub endpoint: String,
    /// How it is.
    pub state: SourceState,
    /// Why it is so: the last failure, or why the data are stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether its data are young enough to be used.
    pub fresh: bool,
    /// Whether its data are in what is served.
    pub active: bool,
    /// The dialect of its document, or `rtr/2` for a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// Payloads it has.
    pub rows: u64,
    /// Rows of its document that were bad and left out.
    pub skipped: u64,
    /// The first of them, and what is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_skipped: Option<String>,
    /// When its data were made, as they say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stated: Option<Moment>,
    /// When its data arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrived: Option<Moment>,
    /// When it was last asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<Moment>,
    /// When it last answered, be it that nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Moment>,
    /// Attempts that failed since the last success.
    pub failures: u64,
    /// How long the last successful fetch took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// When it is asked next; absent when it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<Moment>,
    /// When its data become too old; absent when they never do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_at: Option<Moment>,
    /// Payloads that expired since the data arrived.
    pub expired: u64,
    /// When the next payload expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_expiry: Option<Moment>,
}

/// How several sources become one list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MergeStatus {
    /// `failover`, `union` or `quorum`.
    pub mode: String,
    /// With `quorum`, how many sources must have a payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u64>,
    /// With `failover`, the source that is used; absent while none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// Why this one, or why none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How far the sources agree, one entry for each that has data.
    pub agreement: Vec<Agreement>,
}

/// How far a source agrees with the others.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Agreement {
    /// The name of the source.
    pub source: String,
    /// Payloads it has.
    pub total: u64,
    /// Payloads that only it has.
    pub alone: u64,
    /// Payloads that every other source has and it has not.
    pub lacks: u64,
}

/// What is not let through.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GuardStatus {
    /// The share that an update may take away, in percent; absent for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_shrink: Option<u32>,
    /// The share that an update may add, in percent; absent for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_growth: Option<u32>,
    /// Changes of fewer payloads are let through.
    pub min_change: u64,
    /// The update that waits for approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The update that was refused last, if it is still what the sources say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// What happens when no source is fresh: `keep`, `withdraw` or `no-data`.
    pub stale_policy: String,
    /// Whether that is the case now.
    pub stale: bool,
}

/// What kind of change is held.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldKind {
    /// One of the sources.
    Update,
    /// One of the local exceptions.
    Slurm,
}

impl HeldKind {
    /// Its word, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Slurm => "slurm",
        }
    }
}

/// An update that waits for approval.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Held {
    /// Names it to `rutter approve`.
    pub digest: String,
    /// What kind of change it is.
    pub kind: HeldKind,
    /// Since when it is held.
    pub since: Moment,
    /// When it is decided without approval.
    pub until: Moment,
    /// How it is decided then: `refuse` or `accept`.
    pub on_timeout: String,
    /// The changes past a limit.
    pub changes: Vec<Change>,
    /// Some of the payloads that would be lost or gained.
    pub examples: Vec<String>,
}

/// A change of a group of payloads.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Change {
    /// The group, such as `ipv4`, `aspas` or the name of a trust anchor.
    pub group: String,
    /// Payloads before.
    pub before: u64,
    /// Payloads after.
    pub after: u64,
    /// Payloads that go.
    pub lost: u64,
    /// Payloads that come.
    pub gained: u64,
}

/// An update that was refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Refused {
    /// Names it to `rutter approve`, which still can let it through.
    pub digest: String,
    /// When it was refused.
    pub at: Moment,
}

/// How the local exceptions are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlurmState {
    /// None are configured.
    Off,
    /// They are configured and were not read yet.
    Waiting,
    /// The newest are applied.
    Applied,
    /// The newest cannot be used; those before are applied.
    Failing,
}

impl SlurmState {
    /// Its word, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting => "waiting",
            Self::Applied => "applied",
            Self::Failing => "failing",
        }
    }
}

/// The local exceptions, and what they do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SlurmStatus {
    /// How they are.
    pub state: SlurmState,
    /// Why the newest cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When those that are applied were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Moment>,
    /// The files.
    pub files: Vec<SlurmFile>,
    /// Filters of all files.
    pub filters: u64,
    /// Assertions of all files.
    pub assertions: u64,
    /// Payloads that filters take away.
    pub removed: u64,
    /// Payloads that only assertions bring.
    pub added: u64,
    /// Filters that take away nothing and assertions that the sources have as well, a line each.
    pub idle: Vec<String>,
}

/// A file of local exceptions.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SlurmFile {
    /// Its path or URL.
    pub name: String,
    /// Filters in it.
    pub filters: u64,
    /// Assertions in it.
    pub assertions: u64,
    /// What in it is no valid SLURM and was read all the same, a line each.
    pub leniencies: Vec<String>,
}

/// A place where routers connect.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ListenerStatus {
    /// How octets travel: `tcp`, `tls` or `ssh`.
    pub transport: String,
    /// The address and port.
    pub address: String,
    /// The prefixes that may connect beside this host itself.
    pub allow: Vec<String>,
    /// The prefixes that may not, whatever `allow` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// The prefixes of proxies, which say for whom they connect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<String>,
    /// The fingerprints of the keys that an SSH host shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
}

/// A certificate that a listener shows or trusts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CertificateStatus {
    /// The file it is from.
    pub file: String,
    /// When it is over.
    pub until: Moment,
}

/// The routers: the answer of `/api/v1/clients`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Clients {
    /// How many there are.
    pub total: u64,
    /// Those that are listed, in the order in which they came.
    pub clients: Vec<ClientStatus>,
}

/// A router.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClientStatus {
    /// Its address and port; behind a proxy, those that the proxy named.
    pub address: String,
    /// How octets travel: `tcp`, `tls` or `ssh`.
    pub transport: String,
    /// The user that it is logged in as, over SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The DNS names of its certificate, over TLS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The name of its profile; absent when none fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// When its session began.
    pub since: Moment,
    /// The version it speaks; absent before its first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u8>,
    /// The serial of the set that it has; absent before its first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
}

/// The routers, in numbers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SessionStatus {
    /// Connections that are open, with those that are not logged in yet.
    pub open: u64,
    /// The most that may be open.
    pub limit: u64,
    /// Connections that became sessions since the start.
    pub accepted: u64,
    /// Connections refused by an access list since the start.
    pub refused_access: u64,
    /// Connections refused because too many were open, since the start.
    pub refused_limit: u64,
    /// Connections whose peer did not get through the handshake, since the start.
    #[serde(default)]
    pub refused_peer: u64,
}

/// The last reload of the configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReloadStatus {
    /// When it was.
    pub at: Moment,
    /// Whether the new configuration is in use.
    pub ok: bool,
    /// Why it is not, a line each.
    pub reasons: Vec<String>,
}

/// What went wrong with a request: the body of every answer below `/api` that is no success.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// What went wrong.
    pub error: String,
    /// The particulars, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// Milliseconds of a duration, as [`SourceStatus::took_ms`] has them.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
