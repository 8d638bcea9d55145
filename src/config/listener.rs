//! `[[listener]]` and `[http]`: where somebody connects, and who may.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::carrier::{self, Proof};
use super::document::{Entry, Section};
use super::error::Whence;
use super::report::Report;
use super::scalars::Draft;
use super::value::{self, Raw};
use super::{Carrier, Listener, Rtr};
use crate::net::{AccessList, Endpoint};
use crate::rtr::{Version, Versions};

/// The keys that every listener has.
const COMMON: [&str; 7] = [
    "transport",
    "address",
    "allow",
    "deny",
    "proxy-protocol",
    "versions",
    "announce-restart",
];

/// The listener of a server that was told none: StayRTR's port, on loopback.
pub(super) const DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8282);

/// A listener before it is known what the tables say that all listeners share.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) address: SocketAddr,
    pub(super) whence: Whence,
    pub(super) carrier: carrier::Wish,
    pub(super) access: AccessList,
    proxies: Vec<IpNet>,
    versions: Option<(Versions, Whence)>,
    announce_restart: bool,
    /// The tables of the file it is from, for what is shown.
    pub(super) slot: String,
}

impl Wish {
    /// A listener that was not told more.
    pub(super) fn new(
        address: SocketAddr,
        carrier: Carrier,
        allow: Vec<IpNet>,
        whence: Whence,
        slot: String,
    ) -> Self {
        Self {
            address,
            whence,
            carrier: carrier::Wish::Known(carrier),
            access: AccessList {
                allow,
                deny: Vec::new(),
            },
            proxies: Vec::new(),
            versions: None,
            announce_restart: false,
            slot,
        }
    }
}

/// The keys of a listener.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    COMMON.into_iter().chain(carrier::keys())
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
    carrier::known_keys(section, &COMMON, report);
    let allow = report.take_all(section, "allow", value::prefix);
    let deny = report.take_all(section, "deny", value::prefix);
    let proxies = report.take_all(section, "proxy-protocol", proxy);
    let named = allow.as_deref().unwrap_or_default();
    let (carrier, proof) = carrier::read(section, named, report);
    let range = report.take(section, "versions", |_| Ok(()));
    let range = range.and_then(|()| versions(&section.entry("versions")?, report));
    let announce = report.take(section, "announce-restart", value::boolean);
    let Some(entry) = section.entry("address") else {
        let expected = "an address with a port such as \"127.0.0.1:323\"";
        report.missing(section, "address", expected);
        return Vec::new();
    };
    let access = AccessList {
        allow: allowed(allow, proof),
        deny: deny.unwrap_or_default(),
    };
    let places = places(&entry, report);
    for (address, whence) in &places {
        if let Err(reason) = closed(*address, &access.allow) {
            report.wrong(whence, &entry.path, reason);
        }
    }
    if entry.items().is_empty() {
        let reason = "empty (expected at least one address with a port)";
        report.wrong(&entry.whence(), &entry.path, reason);
    }
    let Some(carrier) = carrier else {
        return Vec::new();
    };
    let wish = |(address, whence)| Wish {
        address,
        whence,
        carrier: carrier.clone(),
        access: access.clone(),
        proxies: proxies.clone().unwrap_or_default(),
        versions: range.clone(),
        announce_restart: announce.unwrap_or(false),
        slot: section.slot.clone(),
    };
    places.into_iter().map(wish).collect()
}

/// Who may connect. Where everybody has to prove who they are, that is enough; elsewhere nobody
/// but this host itself may unless it is said who.
pub(super) fn allowed(allow: Option<Vec<IpNet>>, proof: Proof) -> Vec<IpNet> {
    match (allow, proof) {
        (Some(allow), _) => allow,
        (None, Proof::Login) => EVERYBODY.to_vec(),
        (None, Proof::None) => Vec::new(),
    }
}

/// All addresses there are.
const EVERYBODY: [IpNet; 2] = [
    IpNet::V4(ipnet::Ipv4Net::new_assert(
        std::net::Ipv4Addr::UNSPECIFIED,
        0,
    )),
    IpNet::V6(ipnet::Ipv6Net::new_assert(
        std::net::Ipv6Addr::UNSPECIFIED,
        0,
    )),
];

/// Reads the prefix of proxies, who can name any address.
fn proxy(raw: Raw<'_>) -> Result<IpNet, String> {
    let prefix = value::prefix(raw)?;
    if prefix.prefix_len() == 0 {
        let expected = "the prefixes of proxies, not of everybody";
        return Err(value::wrong(
            "anybody could name any address",
            raw,
            expected,
        ));
    }
    Ok(prefix)
}

/// Reads addresses, with where each stands.
pub(super) fn places(entry: &Entry<'_>, report: &mut Report) -> Vec<(SocketAddr, Whence)> {
    report.whence.insert(entry.slot.clone(), entry.key_whence());
    let mut places = Vec::new();
    for item in entry.items() {
        match value::address(item.raw()) {
            Ok(address) => places.push((address, item.whence())),
            Err(reason) => report.wrong(&item.whence(), &entry.path, reason),
        }
    }
    places
}

/// Closed by default: plain TCP is for a trusted network only (RFC 8210 §9).
///
/// # Errors
///
/// When an address is off loopback and nobody may connect.
pub(super) fn closed(address: SocketAddr, allow: &[IpNet]) -> Result<(), String> {
    if address.ip().is_loopback() || !allow.is_empty() {
        return Ok(());
    }
    let what = "not on loopback, and nobody is allowed to connect";
    let expected = "`allow` beside it, with the prefixes of those who may";
    let found = address.to_string();
    Err(value::wrong(what, Raw::Word(&found), expected))
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
        Ok(Endpoint::Tls(_)) => {
            return Err(
                "takes a certificate: write a [[listener]] with transport = \"tls\" \
                        into the file of --config"
                    .into(),
            );
        }
        Ok(Endpoint::Ssh { .. }) => {
            return Err(
                "takes keys: write a [[listener]] with transport = \"ssh\" into the \
                        file of --config"
                    .into(),
            );
        }
        Ok(_) => return Err("only tcp:// can be listened on".into()),
        Err(error) => return Err(error.to_string()),
    };
    at.socket_addr()
        .ok_or_else(|| value::wrong("not an address", raw, "an IP address, not a name"))
}

/// The listeners, now that all the rest is known.
pub(super) fn settle(
    wishes: Vec<Wish>,
    rtr: &Rtr,
    draft: &Draft,
    report: &mut Report,
) -> Vec<Listener> {
    let settle = |wish| settle_one(wish, rtr, draft, report);
    wishes.into_iter().filter_map(settle).collect()
}

fn settle_one(wish: Wish, rtr: &Rtr, draft: &Draft, report: &mut Report) -> Option<Listener> {
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
    if wish.announce_restart && versions.highest() < Version::V2 {
        let slot = format!("{}.announce-restart", wish.slot);
        report.contradiction(&slot, "means nothing without version 2");
    }
    let carrier = wish.carrier.finish(draft).map_err(|(key, reason)| {
        report.wrong(&wish.whence, &format!("listener.{key}"), reason);
    });
    Some(Listener {
        address: wish.address,
        carrier: carrier.ok()?,
        access: wish.access,
        proxies: wish.proxies,
        versions,
        announce_restart: wish.announce_restart,
    })
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
