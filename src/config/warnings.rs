//! What is off from RFC or habit but allowed, said at each start and each check.

use std::time::Duration;

use ipnet::IpNet;

use super::source::is_loopback;
use super::value::show_duration;
use super::{Carrier, Config, Export, Http, Listener, MergeMode, Origin, Profile, Rtr, Source};
use crate::net::ssh::{Keys, Preset};
use crate::net::tls::ClientAuth;
use crate::net::{Endpoint, Transport};

/// What is off from RFC or habit but allowed.
pub(super) fn all(config: &Config, mut warnings: Vec<String>) -> Vec<String> {
    rtr_warnings(&config.rtr, &mut warnings);
    if config.merge.mode == (MergeMode::Quorum { least: 1 }) {
        warnings.push("merge.quorum of 1 is a union: any one source is believed".into());
    }
    for source in &config.sources {
        source_warnings(source, &mut warnings);
    }
    for listener in &config.listeners {
        listener_warnings(listener, &mut warnings);
    }
    for profile in &config.profiles {
        profile_warnings(profile, &config.listeners, &mut warnings);
    }
    http_warnings(&config.http, &mut warnings);
    export_warnings(&config.export, &config.rtr, &mut warnings);
    warnings
}

/// `allow` is not looked at: without it there may be a default that is not empty.
fn http_warnings(http: &Http, warnings: &mut Vec<String>) {
    let keys = [
        ("allow", http.tls.is_none() && !http.access.allow.is_empty()),
        ("deny", !http.access.deny.is_empty()),
        ("certificate", http.tls.is_some()),
        ("token-file", http.token.is_some()),
    ];
    for (key, _) in keys.iter().filter(|(_, set)| *set) {
        if http.addresses.is_empty() {
            warnings.push(format!("http.{key} does nothing without http.address"));
        }
    }
    let far = http.addresses.iter().any(|at| !at.ip().is_loopback());
    if far && http.token.is_some() && http.tls.is_none() {
        warnings.push("http.token-file travels in the clear without http.certificate".into());
    }
    if let Some(tls) = &http.tls {
        address_warning("the http server", &tls.clients, warnings);
    }
}

/// What followers and readers may be told that is not wise.
fn export_warnings(export: &Export, rtr: &Rtr, warnings: &mut Vec<String>) {
    if export.folder.is_some() && export.sign_key.is_none() {
        warnings.push(
            "export.folder without export.sign-key: followers believe whoever can write there"
                .into(),
        );
    }
    let expire = rtr.timing.expire();
    if let Some(valid) = export.feed_valid.filter(|valid| *valid > expire) {
        warnings.push(format!(
            "export.feed-valid ({}) is above rtr.expire ({}): followers serve without us for longer \
             than routers would use what we said",
            show_duration(valid),
            show_duration(expire)
        ));
    }
}

/// What can be said of a listener without reading its files.
fn listener_warnings(listener: &Listener, warnings: &mut Vec<String>) {
    let name = format!("listener {}", listener.address);
    if !listener.proxies.is_empty() && listener.access.allow.is_empty() {
        warnings.push(format!(
            "{name} has proxy-protocol without allow: whoever comes through a proxy is refused"
        ));
    }
    match &listener.carrier {
        Carrier::Tcp(keys) => {
            for md5 in keys {
                if !lets_in(listener, md5.prefix) {
                    let prefix = md5.prefix;
                    warnings.push(format!(
                        "{name} has an md5 key for {prefix}, where nobody may connect from"
                    ));
                }
            }
        }
        Carrier::Tls(options) => address_warning(&name, &options.clients, warnings),
        Carrier::Ssh(options) => {
            if options.keys == Some(Keys::Any) {
                warnings.push(format!(
                    "{name} IS OPEN: ANY KEY LOGS IN (dangerous-accept-any-key), under any name, \
                     from {}",
                    list(&listener.access.allow)
                ));
            }
            if options.algorithms.preset == Preset::Legacy {
                warnings.push(format!(
                    "{name} offers weak algorithms (algorithms = \"legacy\"): for routers that \
                     know no others"
                ));
            }
        }
    }
}

fn address_warning(name: &str, clients: &ClientAuth, warnings: &mut Vec<String>) {
    let (ClientAuth::Optional(check) | ClientAuth::Required(check)) = clients else {
        return;
    };
    if !check.match_address {
        warnings.push(format!(
            "{name} takes a client certificate from any address (match-address = false), which \
             RFC 8210 §9.2 forbids"
        ));
    }
}

/// A profile that does nothing, as far as the listeners tell.
fn profile_warnings(profile: &Profile, listeners: &[Listener], warnings: &mut Vec<String>) {
    let name = &profile.name;
    let certificates = |listener: &&Listener| match &listener.carrier {
        Carrier::Tls(options) => options.clients != ClientAuth::None,
        _ => false,
    };
    let mut listeners: Vec<&Listener> = listeners.iter().collect();
    if !profile.tls_names.is_empty() {
        listeners.retain(certificates);
        if listeners.is_empty() {
            warnings.push(format!(
                "profile {name:?} fits nobody: no listener asks for client certificates"
            ));
            return;
        }
    }
    if !profile.ssh_users.is_empty() {
        listeners.retain(|listener| listener.carrier.transport() == Transport::Ssh);
        if listeners.is_empty() {
            warnings.push(format!(
                "profile {name:?} fits nobody: no listener speaks ssh"
            ));
            return;
        }
    }
    for prefix in &profile.prefixes {
        if !listeners.iter().any(|listener| lets_in(listener, *prefix)) {
            warnings.push(format!(
                "profile {name:?} names {prefix}, where nobody may connect from"
            ));
        }
    }
    let Profile {
        highest_version: None,
        kinds: None,
        timing: None,
        notify: None,
        announce_restart: None,
        ..
    } = profile
    else {
        return;
    };
    warnings.push(format!(
        "profile {name:?} sets nothing: its routers get what all get"
    ));
}

/// Whether somebody of a prefix may connect; this host itself always may.
fn lets_in(listener: &Listener, prefix: IpNet) -> bool {
    let meets = |other: &IpNet| other.contains(&prefix) || prefix.contains(other);
    let host = prefix.addr().is_loopback();
    host || listener.access.allow.iter().any(meets)
}

fn list(prefixes: &[IpNet]) -> String {
    let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    prefixes.join(", ")
}

fn rtr_warnings(rtr: &Rtr, warnings: &mut Vec<String>) {
    if rtr.notify_interval < Duration::from_secs(60) {
        warnings.push(
            "rtr.notify-interval is below the minute of RFC 8210 §8.2: for laboratories only"
                .into(),
        );
    }
    if !rtr.timing.leaves_time_to_retry() {
        warnings.push("rtr.expire leaves no time for two retries after a missed refresh".into());
    }
    if rtr.history < Duration::from_secs(3_600) {
        warnings.push("rtr.history is below an hour: routers that poll hourly get resets".into());
    } else if rtr.history < rtr.timing.expire() {
        warnings.push(format!(
            "rtr.history is below rtr.expire ({}): a router that comes back in time gets a reset",
            show_duration(rtr.timing.expire())
        ));
    }
}

fn source_warnings(source: &Source, warnings: &mut Vec<String>) {
    let Origin::At(endpoint) = &source.origin else {
        return;
    };
    let name = &source.name;
    if source.tls.insecure || source.ssh.insecure {
        warnings.push(format!(
            "source {name:?} TAKES ANYBODY FOR ITS SERVER (insecure = true): for laboratories only"
        ));
    }
    if source.max_age.is_none() && *endpoint != Endpoint::Stdin {
        warnings.push(format!(
            "source {name:?} has max-age off: what it said last is trusted for ever"
        ));
    }
    if let Endpoint::Feed(url) = endpoint
        && !url.is_secure()
        && source.verify.is_none()
        && !is_loopback(url)
    {
        warnings.push(format!(
            "source {name:?} BELIEVES WHOEVER ANSWERS: its feed comes over http:// and nobody signs \
             it (verify-key)"
        ));
    }
    if let Endpoint::Web(url) | Endpoint::Feed(url) = endpoint
        && !url.is_secure()
        && url.with_credentials().len() != url.to_string().len()
    {
        warnings.push(format!(
            "source {name:?} sends a password in the clear: its URL is http://"
        ));
    }
}
