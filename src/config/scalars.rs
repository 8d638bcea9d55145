//! The settings that are one value each and stand in no array: the file, the environment and
//! `--set` reach all of them, by the same keys.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::export;
use super::report;
use super::tls;
use super::value::{self, Raw};
use super::{Control, Export, Guard, Http, Limits, Need, OnTimeout, Percent, Slurm, Stale};
use crate::net::Url;
use crate::rtr::Timing;

/// The settings so far, defaults first.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) state_dir: Option<PathBuf>,
    pub(super) control: Option<Control>,
    pub(super) refresh: Duration,
    pub(super) retry: Duration,
    pub(super) expire: Duration,
    pub(super) history: Duration,
    pub(super) notify_interval: Duration,
    pub(super) lowest: u64,
    pub(super) highest: u64,
    pub(super) rule: Rule,
    pub(super) quorum: Option<u64>,
    pub(super) hysteresis: Duration,
    pub(super) guard: Guard,
    pub(super) slurm: Slurm,
    pub(super) limits: Limits,
    pub(super) http: Http,
    pub(super) export: Export,
    /// Storage for the feed, key by key.
    pub(super) bucket: export::Draft,
    /// TLS for the HTTP server, key by key.
    pub(super) http_tls: tls::Draft,
}

/// A [`MergeMode`](super::MergeMode) without its numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rule {
    Failover,
    Union,
    Quorum,
}

pub(super) const RULES: [(&str, Rule); 3] = [
    ("failover", Rule::Failover),
    ("union", Rule::Union),
    ("quorum", Rule::Quorum),
];

pub(super) const ON_TIMEOUT: [(&str, OnTimeout); 2] =
    [("refuse", OnTimeout::Refuse), ("accept", OnTimeout::Accept)];

pub(super) const STALE: [(&str, Stale); 3] = [
    ("keep", Stale::Keep),
    ("withdraw", Stale::Withdraw),
    ("no-data", Stale::NoData),
];

impl Default for Draft {
    fn default() -> Self {
        let timing = Timing::RECOMMENDED;
        Self {
            state_dir: None,
            control: None,
            refresh: timing.refresh(),
            retry: timing.retry(),
            expire: timing.expire(),
            history: Duration::from_secs(86_400),
            notify_interval: Duration::from_secs(60),
            lowest: 0,
            highest: 2,
            rule: Rule::Failover,
            quorum: None,
            hysteresis: Duration::from_secs(600),
            guard: Guard::default(),
            slurm: Slurm::default(),
            limits: Limits {
                connections: 10_000,
                connections_per_address: 64,
                connections_per_network: 1_024,
                handshakes: 16,
                handshake_timeout: Duration::from_secs(30),
                auth_attempts: 6,
                stall: Duration::from_secs(60),
                idle: None,
                drain: Duration::from_secs(30),
            },
            http: Http::default(),
            export: Export::default(),
            bucket: export::Draft::default(),
            http_tls: tls::Draft::default(),
        }
    }
}

/// Where a value goes, and what it may be.
enum Slot<'a> {
    Time(&'a mut Duration, RangeInclusive<Duration>),
    /// A time, or none at all.
    Patience(&'a mut Option<Duration>, RangeInclusive<Duration>),
    Number(&'a mut u64, RangeInclusive<u64>),
    Count(&'a mut usize, RangeInclusive<u64>),
    Quorum(&'a mut Option<u64>),
    Flag(&'a mut bool),
    /// A flag whose default depends on others.
    Choice(&'a mut Option<bool>),
    Share(&'a mut Option<Percent>, u32),
    Rule(&'a mut Rule),
    OnTimeout(&'a mut OnTimeout),
    Stale(&'a mut Stale),
    Control(&'a mut Option<Control>),
    ClientAuth(&'a mut Option<tls::Auth>),
    /// A file that has to be there.
    File(&'a mut Option<PathBuf>),
    /// A folder, which may be made later.
    Folder(&'a mut Option<PathBuf>),
    /// A file that is written.
    Output(&'a mut Option<PathBuf>),
    /// A time that others say by default.
    Own(&'a mut Option<Duration>, RangeInclusive<Duration>),
    Bucket(&'a mut Option<(Box<str>, Box<str>)>),
    Region(&'a mut Option<Box<str>>),
    Endpoint(&'a mut Option<Url>),
}

/// How many there are.
const SCALARS: usize = 49;

/// Longest time there can be: ten years, so that no sum of a moment and a time overflows.
pub(super) const EVER: Duration = Duration::from_secs(315_360_000);

const fn secs(lowest: u64, highest: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(lowest)..=Duration::from_secs(highest)
}

/// The ranges of RFC 8210 §6 for refresh, retry and expire.
pub(super) const TIMERS: [RangeInclusive<Duration>; 3] =
    [secs(1, 86_400), secs(1, 7_200), secs(600, 172_800)];

impl Draft {
    /// Every scalar: the one list of them.
    fn slots(&mut self) -> [(&'static str, Slot<'_>); SCALARS] {
        let any = || Duration::ZERO..=EVER;
        let some = || 1..=u64::MAX;
        let [refresh, retry, expire] = TIMERS;
        let (guard, slurm, limits) = (&mut self.guard, &mut self.slurm, &mut self.limits);
        let (http, http_tls) = (&mut self.http, &mut self.http_tls);
        let (export, bucket) = (&mut self.export, &mut self.bucket);
        [
            ("state-dir", Slot::Folder(&mut self.state_dir)),
            ("control", Slot::Control(&mut self.control)),
            ("rtr.refresh", Slot::Time(&mut self.refresh, refresh)),
            ("rtr.retry", Slot::Time(&mut self.retry, retry)),
            ("rtr.expire", Slot::Time(&mut self.expire, expire)),
            ("rtr.history", Slot::Time(&mut self.history, any())),
            (
                "rtr.notify-interval",
                Slot::Time(&mut self.notify_interval, Duration::from_millis(100)..=EVER),
            ),
            ("rtr.lowest-version", Slot::Number(&mut self.lowest, 0..=2)),
            (
                "rtr.highest-version",
                Slot::Number(&mut self.highest, 0..=2),
            ),
            ("merge.mode", Slot::Rule(&mut self.rule)),
            ("merge.quorum", Slot::Quorum(&mut self.quorum)),
            ("merge.hysteresis", Slot::Time(&mut self.hysteresis, any())),
            ("guard.max-shrink", Slot::Share(&mut guard.max_shrink, 100)),
            (
                "guard.max-growth",
                Slot::Share(&mut guard.max_growth, u32::MAX),
            ),
            (
                "guard.min-change",
                Slot::Count(&mut guard.min_change, 0..=u64::MAX),
            ),
            ("guard.hold", Slot::Time(&mut guard.hold, any())),
            ("guard.on-timeout", Slot::OnTimeout(&mut guard.on_timeout)),
            ("guard.slurm", Slot::Flag(&mut guard.slurm)),
            ("guard.stale", Slot::Stale(&mut guard.stale)),
            ("slurm.lenient", Slot::Flag(&mut slurm.lenient)),
            ("slurm.aspa-overlap", Slot::Flag(&mut slurm.aspa_overlap)),
            (
                "slurm.refresh",
                Slot::Time(&mut slurm.refresh, Duration::from_secs(1)..=EVER),
            ),
            (
                "limits.connections",
                Slot::Count(&mut limits.connections, some()),
            ),
            (
                "limits.connections-per-address",
                Slot::Count(&mut limits.connections_per_address, some()),
            ),
            (
                "limits.connections-per-network",
                Slot::Count(&mut limits.connections_per_network, some()),
            ),
            (
                "limits.handshakes",
                Slot::Count(&mut limits.handshakes, some()),
            ),
            (
                "limits.handshake-timeout",
                Slot::Time(&mut limits.handshake_timeout, secs(1, 600)),
            ),
            (
                "limits.auth-attempts",
                Slot::Count(&mut limits.auth_attempts, 1..=100),
            ),
            ("limits.stall", Slot::Time(&mut limits.stall, any())),
            (
                "limits.idle",
                Slot::Patience(&mut limits.idle, Duration::from_secs(1)..=EVER),
            ),
            ("limits.drain", Slot::Time(&mut limits.drain, any())),
            (
                "http.connections",
                Slot::Count(&mut http.connections, some()),
            ),
            (
                "http.connections-per-address",
                Slot::Count(&mut http.connections_per_address, some()),
            ),
            ("http.certificate", Slot::File(&mut http_tls.certificate)),
            ("http.key", Slot::File(&mut http_tls.key)),
            (
                "http.client-auth",
                Slot::ClientAuth(&mut http_tls.client_auth),
            ),
            (
                "http.match-address",
                Slot::Choice(&mut http_tls.match_address),
            ),
            ("http.token-file", Slot::File(&mut http.token)),
            ("export.file", Slot::Output(&mut export.file)),
            ("export.sign-key", Slot::File(&mut export.sign_key)),
            ("export.gortr-key", Slot::File(&mut export.gortr_key)),
            ("export.valid", Slot::Time(&mut export.valid, export::VALID)),
            (
                "export.feed-valid",
                Slot::Own(&mut export.feed_valid, export::VALID),
            ),
            ("export.feed", Slot::Flag(&mut export.feed)),
            ("export.folder", Slot::Folder(&mut export.folder)),
            ("export.bucket", Slot::Bucket(&mut bucket.place)),
            (
                "export.bucket-endpoint",
                Slot::Endpoint(&mut bucket.endpoint),
            ),
            ("export.bucket-region", Slot::Region(&mut bucket.region)),
            (
                "export.bucket-credentials",
                Slot::File(&mut bucket.credentials),
            ),
        ]
    }

    /// The keys of all scalars.
    pub(super) fn keys() -> Vec<&'static str> {
        let mut draft = Self::default();
        draft.slots().map(|(key, _)| key).to_vec()
    }

    /// Sets a scalar; `None` when there is none of this key. Paths go through `resolve`.
    pub(super) fn set(
        &mut self,
        key: &str,
        raw: Raw<'_>,
        resolve: impl Fn(&str) -> PathBuf,
    ) -> Option<Result<(), String>> {
        let slots = self.slots();
        let (_, slot) = slots.into_iter().find(|(known, _)| *known == key)?;
        Some(slot.set(raw, resolve))
    }
}

impl Slot<'_> {
    fn set(self, raw: Raw<'_>, resolve: impl Fn(&str) -> PathBuf) -> Result<(), String> {
        match self {
            Self::Time(slot, range) => put(slot, value::duration(raw, &range)),
            Self::Patience(slot, range) => put(slot, value::duration_or_off(raw, &range)),
            Self::Number(slot, range) => put(slot, value::number(raw, &range)),
            Self::Count(slot, range) => put(slot, value::count(raw, &range)),
            Self::Quorum(slot) => put(slot, value::number(raw, &(1..=15)).map(Some)),
            Self::Flag(slot) => put(slot, value::boolean(raw)),
            Self::Choice(slot) => put(slot, value::boolean(raw).map(Some)),
            Self::Share(slot, most) => put(slot, value::percent_or_off(raw, most)),
            Self::Rule(slot) => put(slot, value::word(raw, &RULES)),
            Self::OnTimeout(slot) => put(slot, value::word(raw, &ON_TIMEOUT)),
            Self::Stale(slot) => put(slot, value::word(raw, &STALE)),
            Self::Control(slot) => put(slot, control(raw, resolve)),
            Self::ClientAuth(slot) => put(slot, value::word(raw, &tls::AUTH).map(Some)),
            Self::File(slot) => put(slot, report::file(raw, resolve).map(Some)),
            Self::Folder(slot) => put(slot, folder(raw, resolve).map(Some)),
            Self::Output(slot) => put(slot, output(raw, resolve).map(Some)),
            Self::Own(slot, range) => put(slot, value::duration(raw, &range).map(Some)),
            Self::Bucket(slot) => put(slot, export::place(raw).map(Some)),
            Self::Region(slot) => put(slot, export::region(raw).map(Some)),
            Self::Endpoint(slot) => put(slot, export::endpoint(raw).map(Some)),
        }
    }
}

fn put<T>(slot: &mut T, read: Result<T, String>) -> Result<(), String> {
    read.map(|value| *slot = value)
}

/// A folder, perhaps of the future; what is there already has to be one.
fn folder(raw: Raw<'_>, resolve: impl Fn(&str) -> PathBuf) -> Result<PathBuf, String> {
    const EXPECTED: &str = "the path of a folder";
    let path = resolve(value::text(raw, EXPECTED)?);
    if path.exists() && !path.is_dir() {
        return Err(value::wrong("not a folder", raw, EXPECTED));
    }
    Ok(path)
}

/// A file that is written later, into a folder that is there.
fn output(raw: Raw<'_>, resolve: impl Fn(&str) -> PathBuf) -> Result<PathBuf, String> {
    const EXPECTED: &str = "the path of a file in a folder that is there";
    let path = resolve(value::text(raw, EXPECTED)?);
    let folder = path
        .parent()
        .map(|folder| match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        });
    if path.file_name().is_none() || path.is_dir() {
        return Err(value::wrong("not a file", raw, EXPECTED));
    }
    match folder.is_some_and(Path::is_dir) {
        true => Ok(path),
        false => Err(value::wrong("its folder is not there", raw, EXPECTED)),
    }
}

/// What a Unix address can hold on Linux, with the NUL at its end.
const LONGEST_SOCKET_PATH: usize = 108;

fn control(raw: Raw<'_>, resolve: impl Fn(&str) -> PathBuf) -> Result<Option<Control>, String> {
    const EXPECTED: &str = "the path of a Unix socket, or \"none\"";
    let text = value::text(raw, EXPECTED)?;
    if text == "none" {
        return Ok(None);
    }
    let path = resolve(text);
    if path.as_os_str().len() >= LONGEST_SOCKET_PATH {
        let expected = "at most 107 octets";
        return Err(value::wrong("too long for a Unix socket", raw, expected));
    }
    let need = Need::Required;
    Ok(Some(Control { path, need }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_once() {
        let mut keys = Draft::keys();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!((keys.len(), all), (SCALARS, SCALARS));
    }
}
