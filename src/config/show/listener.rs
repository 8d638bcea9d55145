//! Listeners and profiles, as they come to.

use toml::{Table, Value};

use super::{Section, file, files, texts, versions};
use crate::config::profile::KINDS;
use crate::config::ssh::PRESETS;
use crate::config::tls::shown;
use crate::config::value::{show_duration, show_word};
use crate::config::{Carrier, Config, Listener, Md5, Profile};
use crate::net::ssh::{HostKeys, Keys, Passwords, ServerOptions as SshOptions};
use crate::net::tls::{Certificate, ServerOptions as TlsOptions};

pub(super) fn listener(listener: &Listener, slot: String) -> Section {
    let section = Section::element("listener", slot)
        .row("transport", listener.carrier.transport().name())
        .row("address", listener.address.to_string())
        .row("allow", texts(&listener.access.allow))
        .row("deny", texts(&listener.access.deny))
        .row("proxy-protocol", texts(&listener.proxies))
        .row("versions", versions(listener.versions))
        .row("announce-restart", listener.announce_restart);
    match &listener.carrier {
        Carrier::Tcp(keys) => section.row("md5", keys.iter().map(md5).collect::<Vec<_>>()),
        Carrier::Tls(options) => tls(section, options),
        Carrier::Ssh(options) => ssh(section, options),
    }
}

fn md5(md5: &Md5) -> Value {
    let rows = [
        ("prefix".to_owned(), md5.prefix.to_string().into()),
        ("key-file".to_owned(), file(&md5.key_file).into()),
    ];
    Table::from_iter(rows).into()
}

/// TLS of a listener or of the HTTP server.
pub(super) fn tls(section: Section, options: &TlsOptions) -> Section {
    let section = match &options.certificate {
        Certificate::Files { chain, key } => section
            .row("certificate", file(chain))
            .row("key", file(key)),
        Certificate::Minted => section
            .row("certificate", "minted")
            .noted(", made at the start"),
    };
    let (auth, check) = shown(&options.clients);
    let section = section.row("client-auth", auth);
    let Some(check) = check else {
        return section;
    };
    let crl = (!check.crl.is_empty()).then(|| files(&check.crl));
    section
        .row("client-ca", files(&check.ca))
        .row("match-address", check.match_address)
        .some("crl", crl)
}

fn ssh(section: Section, options: &SshOptions) -> Section {
    let section = match &options.host_keys {
        HostKeys::Files(keys) => section.row("host-keys", files(keys)),
        HostKeys::Minted => section
            .row("host-keys", "minted")
            .noted(", made at the start"),
    };
    let methods = [
        options.keys.as_ref().map(|_| "publickey"),
        options.passwords.as_ref().map(|_| "password"),
    ];
    let methods: Vec<&str> = methods.into_iter().flatten().collect();
    let section = section.row("auth", methods);
    let section = match &options.keys {
        Some(Keys::Authorized(keys)) => section.row("authorized-keys", files(keys)),
        Some(Keys::Any) => section.row("dangerous-accept-any-key", true),
        None => section,
    };
    let section = match &options.passwords {
        Some(Passwords::Users(users)) => section.row("users", file(users)),
        Some(Passwords::Single { user, file: secret }) => section
            .row("user", user.to_string())
            .row("password-file", file(secret)),
        Some(Passwords::Minted { user, .. }) => section
            .row("user", user.to_string())
            .noted(", password made at the start"),
        None => section,
    };
    let algorithms = &options.algorithms;
    section
        .row("algorithms", show_word(algorithms.preset, &PRESETS))
        .some(
            "key-exchange",
            algorithms.key_exchanges.as_deref().map(texts),
        )
        .some("ciphers", algorithms.ciphers.as_deref().map(texts))
        .some("macs", algorithms.macs.as_deref().map(texts))
}

/// A profile; timers that are those of all routers are left out.
pub(super) fn profile(profile: &Profile, config: &Config, slot: String) -> Section {
    let highest = profile
        .highest_version
        .map(|version| i64::from(version.octet()));
    let kinds = profile.kinds.map(|kinds| {
        let words = KINDS.iter().filter(|(_, of)| kinds.and(*of) == *of);
        words.map(|(word, _)| *word).collect::<Vec<_>>()
    });
    let section = Section::element("profile", slot)
        .row("name", profile.name.to_string())
        .some("prefixes", several(&profile.prefixes))
        .some("tls-names", several(&profile.tls_names))
        .some("ssh-users", several(&profile.ssh_users))
        .some("highest-version", highest)
        .some("kinds", kinds);
    let timing = profile.timing.unwrap_or(config.rtr.timing);
    let mut section = section;
    if profile.timing.is_some() {
        section = section
            .row("refresh", show_duration(timing.refresh()))
            .row("retry", show_duration(timing.retry()))
            .row("expire", show_duration(timing.expire()));
    }
    section
        .some("notify", profile.notify)
        .some("announce-restart", profile.announce_restart)
}

fn several(values: &[impl ToString]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| texts(values))
}
