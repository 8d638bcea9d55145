//! `[[listener]]` and `[http]`: where somebody connects, and who may.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::document::{Entry, Section};
use super::error::Whence;
use super::report::Report;
use super::value::{self, Raw};
use super::{Carrier, Listener, Rtr};
use crate::net::{AccessList, Endpoint};
use crate::rtr::{Version, Versions};

/// The keys of a listener.
pub(super) const KEYS: [&str; 4] = ["transport", "address", "allow", "versions"];

/// Keys of versions to come.
const LATER: [&str; 9] = [
    "certificate",
    "key",
    "client-ca",
    "host-keys",
    "auth",
    "authorized-keys",
    "users",
    "announce-restart",
    "profile",
];

/// The listener of a server that was told none: StayRTR's port, on loopback.
pub(super) const DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8282);

/// A listener before it is known which versions are served at all.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) address: SocketAddr,
    pub(super) whence: Whence,
    pub(super) allow: Vec<IpNet>,
    pub(super) versions: Option<(Versions, Whence)>,
    /// The tables of the file it is from, for what is shown.
    pub(super) slot: String,
}

/// Reads all listeners of a file.
pub(super) fn read_all(entry: &Entry<'_>, report: &mut Report) -> Vec<Wish> {
    let Some(sections) = entry.tables() else {
        let reason = value::wrong("not an array of tables", entry.raw(), "[[listener]]");
        report.wrong(&entry.key_whence(), &entry.path, reason);
        return Vec::new();
    };
    let read = |section| read(section, report);
    sections.iter().flat_map(read).collect()
}

fn read(section: &Section<'_>, report: &mut Report) -> Vec<Wish> {
    report.unknown_keys(section, &KEYS, &LATER);
    report.take(section, "transport", |raw| match raw.text() {
        Some("tcp") => Ok(()),
        Some("tls" | "ssh") => {
            let what = "this version does not have it yet";
            Err(value::wrong(what, raw, "\"tcp\""))
        }
        _ => Err(value::wrong("unknown transport", raw, "\"tcp\"")),
    });
    let allow = report.take_all(section, "allow", value::prefix);
    let range = report.take(section, "versions", |_| Ok(()));
    let range = range.and_then(|()| versions(&section.entry("versions")?, report));
    let Some(entry) = section.entry("address") else {
        let reason = "missing (expected an address with a port such as \"127.0.0.1:323\")";
        report.wrong(&section.whence(), "listener.address", reason);
        return Vec::new();
    };
    let addresses = addresses(&entry, allow.as_deref(), report);
    if entry.items().is_empty() {
        let reason = "empty (expected at least one address with a port)";
        report.wrong(&entry.whence(), &entry.path, reason);
    }
    let allow = allow.unwrap_or_default();
    let wish = |(address, whence)| Wish {
        address,
        whence,
        allow: allow.clone(),
        versions: range.clone(),
        slot: section.slot.clone(),
    };
    addresses.into_iter().map(wish).collect()
}

/// Reads addresses, and refuses those that the whole net can reach unless it is said who may.
/// `allow` is `None` when the key is not there.
pub(super) fn addresses(
    entry: &Entry<'_>,
    allow: Option<&[IpNet]>,
    report: &mut Report,
) -> Vec<(SocketAddr, Whence)> {
    report.whence.insert(entry.slot.clone(), entry.key_whence());
    let mut addresses = Vec::new();
    for item in entry.items() {
        // Closed by default: plain TCP is for a trusted network only (RFC 8210 §9).
        let read = value::address(item.raw()).and_then(|address| {
            if address.ip().is_loopback() || allow.is_some_and(|allow| !allow.is_empty()) {
                return Ok(address);
            }
            let what = "not on loopback, and nobody is allowed to connect";
            let expected = "`allow` beside it, with the prefixes of those who may";
            Err(value::wrong(what, item.raw(), expected))
        });
        match read {
            Ok(address) => addresses.push((address, item.whence())),
            Err(reason) => report.wrong(&item.whence(), &entry.path, reason),
        }
    }
    addresses
}

fn versions(entry: &Entry<'_>, report: &mut Report) -> Option<(Versions, Whence)> {
    const EXPECTED: &str = "some of 0, 1 and 2 without a gap such as [0, 1]";
    let numbers = entry
        .items()
        .into_iter()
        .map(|item| value::number(item.raw(), &(0..=2)).map_err(|reason| (item.whence(), reason)));
    let mut all = Vec::new();
    for number in numbers {
        match number {
            Ok(number) => all.push(number),
            Err((whence, reason)) => {
                report.wrong(&whence, &entry.path, reason);
                return None;
            }
        }
    }
    let shown = format!("{all:?}");
    all.sort_unstable();
    let step = all.windows(2).all(|pair| match pair {
        [a, b] => a + 1 == *b,
        _ => true,
    });
    let range = version(all.first().copied()).zip(version(all.last().copied()));
    match range.and_then(|(lowest, highest)| Versions::new(lowest, highest)) {
        Some(versions) if step => Some((versions, entry.key_whence())),
        _ => {
            let reason = format!("not a range of versions (found {shown}, expected {EXPECTED})");
            report.wrong(&entry.whence(), &entry.path, reason);
            None
        }
    }
}

/// The version of a number.
pub(super) fn version(number: Option<u64>) -> Option<Version> {
    Version::from_octet(u8::try_from(number?).ok()?)
}

/// Reads what `--listen` says.
pub(super) fn flag(text: &str) -> Result<SocketAddr, String> {
    let raw = Raw::Word(text);
    let at = match text.parse::<Endpoint>() {
        Ok(Endpoint::Tcp(at)) => at,
        Ok(_) => return Err("only tcp:// can be listened on so far".into()),
        Err(error) => return Err(error.to_string()),
    };
    at.socket_addr()
        .ok_or_else(|| value::wrong("not an address", raw, "an IP address, not a name"))
}

/// The listeners, now that the versions are known.
pub(super) fn settle(wishes: Vec<Wish>, rtr: &Rtr, report: &mut Report) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for wish in wishes {
        let versions = match wish.versions {
            None => rtr.versions,
            Some((versions, whence)) => {
                let within = versions.lowest() >= rtr.versions.lowest()
                    && versions.highest() <= rtr.versions.highest();
                if !within {
                    let reason = format!(
                        "versions that are not served (found {}, expected {})",
                        show_range(versions),
                        show_range(rtr.versions)
                    );
                    report.wrong(&whence, "listener.versions", reason);
                }
                versions
            }
        };
        listeners.push(Listener {
            address: wish.address,
            carrier: Carrier::Tcp(Vec::new()),
            access: AccessList {
                allow: wish.allow,
                deny: Vec::new(),
            },
            proxies: Vec::new(),
            versions,
            announce_restart: false,
        });
    }
    listeners
}

fn show_range(versions: Versions) -> String {
    format!("{} to {}", versions.lowest(), versions.highest())
}

/// No two places listen on one address.
pub(super) fn addresses_differ(places: &[(SocketAddr, Whence, &str)], report: &mut Report) {
    for (at, (address, whence, key)) in places.iter().enumerate() {
        // Port 0 is another port each time.
        let mut before = places.iter().take(at);
        let same = |(other, _, _): &&(SocketAddr, Whence, &str)| other == address;
        if let Some((_, first, _)) = before.find(same).filter(|_| address.port() != 0) {
            let reason = format!("an address that is taken (found \"{address}\", also {first})");
            report.wrong(whence, key, reason);
        }
    }
}
