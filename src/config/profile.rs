//! `[[profile]]`: what some routers get instead of what all get.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::{Entry, Section};
use super::error::Whence;
use super::report::Report;
use super::scalars;
use super::value::{self, Raw};
use super::{Listener, Profile, Rtr, listener, ssh};
use crate::payload::{Kind, Kinds};
use crate::rtr::{Timing, Version};

/// The keys of a profile.
pub(super) const KEYS: [&str; 11] = [
    "name",
    "prefixes",
    "tls-names",
    "ssh-users",
    "highest-version",
    "kinds",
    "refresh",
    "retry",
    "expire",
    "notify",
    "announce-restart",
];

/// The words for kinds of payload, and what each of them means.
pub(super) const KINDS: [(&str, Kinds); 3] = [
    ("vrp", Kinds::VRPS),
    ("router-key", Kinds::NONE.with(Kind::RouterKey)),
    ("aspa", Kinds::NONE.with(Kind::Aspa)),
];

/// A profile before it is known what holds for all routers.
#[derive(Debug)]
pub(super) struct Wish {
    profile: Profile,
    timers: [Option<Duration>; 3],
    whence: Whence,
    /// The table of the file it is from, for what is shown.
    pub(super) slot: String,
}

/// Reads all profiles of a file.
pub(super) fn read_all(entry: &Entry<'_>, report: &mut Report) -> Vec<Wish> {
    let Some(sections) = entry.tables() else {
        let reason = value::wrong("not an array of tables", entry.raw(), "[[profile]]");
        report.wrong(&entry.key_whence(), &entry.path, reason);
        return Vec::new();
    };
    let read = |section| read(section, report);
    sections.iter().map(read).collect()
}

fn read(section: &Section<'_>, report: &mut Report) -> Wish {
    report.unknown_keys(section, &KEYS);
    let name = report.take(section, "name", value::name);
    if section.entry("name").is_none() {
        report.missing(section, "name", "what it is called in logs");
    }
    let version = report.take(section, "highest-version", |raw| {
        value::number(raw, &(0..=2))
    });
    let timer = |report: &mut Report, key, range: &RangeInclusive<Duration>| {
        report.take(section, key, |raw| value::duration(raw, range))
    };
    let [refresh, retry, expire] = scalars::TIMERS;
    let profile = Profile {
        name: name.unwrap_or_default().into(),
        prefixes: some(
            section,
            "prefixes",
            "at least one prefix",
            value::prefix,
            report,
        ),
        tls_names: some(
            section,
            "tls-names",
            "at least one name",
            value::dns_name,
            report,
        ),
        ssh_users: some(section, "ssh-users", "at least one user", ssh::user, report),
        highest_version: listener::version(version),
        kinds: kinds(section, report),
        timing: None,
        notify: report.take(section, "notify", value::boolean),
        announce_restart: report.take(section, "announce-restart", value::boolean),
    };
    let named = section.entry("name").map(|entry| entry.whence());
    Wish {
        profile,
        timers: [
            timer(report, "refresh", &refresh),
            timer(report, "retry", &retry),
            timer(report, "expire", &expire),
        ],
        whence: named.unwrap_or_else(|| section.whence()),
        slot: section.slot.clone(),
    }
}

fn some<'a, T>(
    section: &Section<'a>,
    key: &str,
    expected: &str,
    read: impl FnMut(Raw<'a>) -> Result<T, String>,
    report: &mut Report,
) -> Vec<T> {
    let values = report.take_some(section, key, expected, read);
    values.unwrap_or_default()
}

fn kinds(section: &Section<'_>, report: &mut Report) -> Option<Kinds> {
    const EXPECTED: &str = "some of \"vrp\", \"router-key\" and \"aspa\"";
    let kinds = report.take_some(section, "kinds", EXPECTED, |raw| value::word(raw, &KINDS))?;
    let add = |all: Kinds, kinds: Kinds| {
        let within = |kind: &&Kind| kinds.contains(**kind);
        let own = Kind::ALL.iter().filter(within);
        own.fold(all, |all, kind| all.with(*kind))
    };
    Some(kinds.into_iter().fold(Kinds::NONE, add))
}

/// The profiles, now that it is known what holds for all routers.
pub(super) fn settle(
    wishes: Vec<Wish>,
    rtr: &Rtr,
    listeners: &[Listener],
    report: &mut Report,
) -> Vec<Profile> {
    let mut profiles: Vec<(Profile, Whence)> = Vec::new();
    for wish in wishes {
        let mut profile = wish.profile;
        let before = |fits: fn(&Profile, &Profile) -> bool| {
            let mut before = profiles.iter();
            before.find(|(other, _)| fits(other, &profile))
        };
        if let Some((_, first)) = before(|other, own| other.name == own.name) {
            let name = &profile.name;
            let reason = format!("two profiles have this name (found {name:?}, also {first})");
            report.wrong(&wish.whence, "profile.name", reason);
        } else if let Some((other, first)) = before(|other, _| fits_all(other)) {
            let reason = format!(
                "fits nobody: {:?} before it fits every router (found {:?}, also {first})",
                other.name, profile.name
            );
            report.wrong(&wish.whence, "profile.name", reason);
        }
        if !profile.tls_names.is_empty() && !profile.ssh_users.is_empty() {
            let reason = "fits nobody: a router with a certificate is in no ssh session";
            report.contradiction(&format!("{}.ssh-users", wish.slot), reason);
        }
        profile.timing = timing(&wish.timers, &wish.slot, rtr, report);
        versions(&profile, &wish.slot, rtr, listeners, report);
        profiles.push((profile, wish.whence));
    }
    profiles.into_iter().map(|(profile, _)| profile).collect()
}

/// Whether no router is left for those that come after it.
fn fits_all(profile: &Profile) -> bool {
    profile.prefixes.is_empty() && profile.tls_names.is_empty() && profile.ssh_users.is_empty()
}

/// The timers when one of them is set; the others are those of all routers.
fn timing(
    timers: &[Option<Duration>; 3],
    slot: &str,
    rtr: &Rtr,
    report: &mut Report,
) -> Option<Timing> {
    let [refresh, retry, expire] = *timers;
    refresh.or(retry).or(expire)?;
    let timing = Timing::new(
        refresh.unwrap_or_else(|| rtr.timing.refresh()),
        retry.unwrap_or_else(|| rtr.timing.retry()),
        expire.unwrap_or_else(|| rtr.timing.expire()),
    );
    let timing = timing.map_err(|error| {
        let keys = ["expire", "refresh", "retry"].map(|key| format!("{slot}.{key}"));
        let culprit = keys.iter().find(|key| report.is_set(key));
        let culprit = culprit.cloned().unwrap_or_default();
        report.contradiction(&culprit, error.to_string());
    });
    timing.ok()
}

/// No listener speaks a version that is as low, or error 12 goes to nobody.
fn versions(profile: &Profile, slot: &str, rtr: &Rtr, listeners: &[Listener], report: &mut Report) {
    let highest = profile.highest_version.unwrap_or(Version::V2);
    let lowest = listeners.iter().map(|listener| listener.versions.lowest());
    let lowest = lowest.min().unwrap_or_else(|| rtr.versions.lowest());
    if highest < lowest {
        let reason = format!(
            "below what every listener speaks (found {highest}, expected {lowest} or more)"
        );
        report.contradiction(&format!("{slot}.highest-version"), reason);
    }
    let highest = highest.min(rtr.versions.highest());
    if profile.announce_restart == Some(true) && highest < Version::V2 {
        let reason = "means nothing without version 2";
        report.contradiction(&format!("{slot}.announce-restart"), reason);
    }
}
