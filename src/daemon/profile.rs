//! What each router gets: the terms of its listener, or those of the first profile that fits.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Listener, Profile};
use crate::net::Identity;
use crate::net::access::is_within;
use crate::payload::Kinds;
use crate::rtr::server::ServerConfig;
use crate::rtr::{Version, Versions};

/// What a router gets.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The name of its profile, `None` when none fits.
    pub profile: Option<Box<str>>,
    /// How the protocol is spoken.
    pub server: Arc<ServerConfig>,
    /// How long it may take no octet of an answer.
    pub stall: Duration,
    /// How long it may send no query once it has got an answer; `None` for ever.
    pub idle: Option<Duration>,
}

/// All offers of a listener, made once for all its routers.
#[derive(Clone, Debug)]
pub struct Profiles {
    listed: Vec<(Profile, Arc<Offer>)>,
    others: Arc<Offer>,
}

impl Profiles {
    /// What a configuration means for one of its listeners.
    pub fn new(config: &Config, listener: &Listener) -> Self {
        let others = Offer::of(config, listener);
        let listed = config.profiles.iter().map(|profile| {
            let offer = Arc::new(others.under(profile));
            (profile.clone(), offer)
        });
        Self {
            listed: listed.collect(),
            others: Arc::new(others),
        }
    }

    /// The offer for a router: that of the first profile that fits. The address is not to be an
    /// IPv4 one mapped into IPv6.
    pub fn choose(&self, address: IpAddr, identity: &Identity) -> &Arc<Offer> {
        let mut listed = self.listed.iter();
        let chosen = listed.find(|(profile, _)| fits(profile, address, identity));
        chosen.map_or(&self.others, |(_, offer)| offer)
    }
}

/// Whether a router has everything that a profile asks for.
fn fits(profile: &Profile, address: IpAddr, identity: &Identity) -> bool {
    let Profile {
        prefixes,
        tls_names,
        ssh_users,
        ..
    } = profile;
    let within = is_within(prefixes, address);
    let named = match identity {
        Identity::Certificate(names) => names.iter().any(|name| tls_names.contains(name)),
        Identity::Unproven | Identity::User(_) => false,
    };
    let known = match identity {
        Identity::User(user) => ssh_users.contains(user),
        Identity::Unproven | Identity::Certificate(_) => false,
    };
    (prefixes.is_empty() || within)
        && (tls_names.is_empty() || named)
        && (ssh_users.is_empty() || known)
}

impl Offer {
    /// What routers get that no profile fits.
    fn of(config: &Config, listener: &Listener) -> Self {
        let (all, own) = (config.rtr.versions, listener.versions);
        let versions = Versions::new(
            all.lowest().max(own.lowest()),
            all.highest().min(own.highest()),
        );
        Self {
            profile: None,
            server: Arc::new(ServerConfig {
                versions: versions.unwrap_or(all),
                kinds: Kinds::ALL,
                timing: config.rtr.timing,
                notify_interval: config.rtr.notify_interval,
                announce_restart: listener.announce_restart,
                ..ServerConfig::default()
            }),
            stall: config.limits.stall,
            idle: config.limits.idle,
        }
    }

    /// The same with what a profile changes.
    fn under(&self, profile: &Profile) -> Self {
        let base = &*self.server;
        let timing = profile.timing.unwrap_or(base.timing);
        Self {
            profile: Some(profile.name.clone()),
            server: Arc::new(ServerConfig {
                versions: lowered(base.versions, profile.highest_version),
                kinds: profile.kinds.unwrap_or(base.kinds),
                timing,
                notify: profile.notify.unwrap_or(base.notify),
                announce_restart: profile.announce_restart.unwrap_or(base.announce_restart),
                ..base.clone()
            }),
            // A stall is no longer than three times the retry interval (8210bis §9).
            stall: self.stall.min(timing.retry() * 3),
            idle: self.idle,
        }
    }
}

/// The versions up to this one. Where there is none, the lowest is what comes closest.
fn lowered(versions: Versions, highest: Option<Version>) -> Versions {
    let lowest = versions.lowest();
    let highest = highest.unwrap_or_else(|| versions.highest());
    let highest = highest.clamp(lowest, versions.highest());
    Versions::new(lowest, highest).unwrap_or(versions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Carrier;
    use crate::net::AccessList;
    use crate::payload::Kind;
    use crate::rtr::Timing;

    fn profile(name: &str) -> Profile {
        Profile {
            name: name.into(),
            prefixes: Vec::new(),
            tls_names: Vec::new(),
            ssh_users: Vec::new(),
            highest_version: None,
            kinds: None,
            timing: None,
            notify: None,
            announce_restart: None,
        }
    }

    fn listener() -> Listener {
        Listener {
            address: "127.0.0.1:0".parse().unwrap(),
            carrier: Carrier::Tcp(Vec::new()),
            access: AccessList::default(),
            proxies: Vec::new(),
            versions: Versions::new(Version::V1, Version::V2).unwrap(),
            announce_restart: true,
        }
    }

    fn config(profiles: Vec<Profile>) -> Config {
        let settings = crate::config::Settings {
            demo: true,
            ..Default::default()
        };
        let mut config = Config::new(&settings).unwrap().0;
        config.profiles = profiles;
        config
    }

    fn chosen(profiles: &Profiles, address: &str, identity: &Identity) -> Option<String> {
        let offer = profiles.choose(address.parse().unwrap(), identity);
        offer.profile.as_ref().map(ToString::to_string)
    }

    #[test]
    fn the_first_profile_that_fits_counts() {
        let listed = vec![
            Profile {
                prefixes: vec!["192.0.2.0/24".parse().unwrap()],
                ssh_users: vec!["edge".into()],
                ..profile("both")
            },
            Profile {
                prefixes: vec![
                    "192.0.2.0/25".parse().unwrap(),
                    "2001:db8::/32".parse().unwrap(),
                ],
                ..profile("place")
            },
            Profile {
                tls_names: vec!["r1.example.net".into(), "r2.example.net".into()],
                ..profile("name")
            },
            Profile {
                ssh_users: vec!["core".into()],
                ..profile("user")
            },
        ];
        let profiles = Profiles::new(&config(listed), &listener());
        let names = |names: &[&str]| {
            Identity::Certificate(names.iter().map(|name| Box::from(*name)).collect())
        };
        let user = |name: &str| Identity::User(name.into());
        for (address, identity, profile) in [
            ("192.0.2.1", Identity::Unproven, Some("place")),
            ("192.0.2.1", user("edge"), Some("both")),
            ("192.0.2.200", user("edge"), Some("both")),
            ("192.0.2.200", Identity::Unproven, None),
            ("192.0.3.1", user("edge"), None),
            ("192.0.3.1", user("core"), Some("user")),
            ("2001:db8::1", user("core"), Some("place")),
            ("192.0.3.1", names(&["r2.example.net", "x"]), Some("name")),
            ("192.0.3.1", names(&["core"]), None),
            ("192.0.3.1", user("r1.example.net"), None),
        ] {
            let got = chosen(&profiles, address, &identity);
            assert_eq!(got.as_deref(), profile, "{address} {identity:?}");
        }
    }

    #[test]
    fn a_profile_changes_what_it_names_and_nothing_else() {
        let timing = Timing::new(
            Duration::from_secs(60),
            Duration::from_secs(10),
            Duration::from_secs(600),
        )
        .unwrap();
        let listed = vec![Profile {
            highest_version: Some(Version::V1),
            kinds: Some(Kinds::NONE.with(Kind::Aspa)),
            timing: Some(timing),
            notify: Some(false),
            announce_restart: Some(false),
            ..profile("all")
        }];
        let address = "192.0.2.1".parse().unwrap();
        let profiles = Profiles::new(&config(listed), &listener());
        let offer = profiles.choose(address, &Identity::Unproven);
        let server = &offer.server;
        assert_eq!(server.versions.lowest(), Version::V1);
        assert_eq!(server.versions.highest(), Version::V1);
        assert_eq!(server.kinds, Kinds::NONE.with(Kind::Aspa));
        assert_eq!(server.timing, timing);
        assert!(!server.notify && !server.announce_restart);
        assert_eq!(offer.stall, Duration::from_secs(30));

        let profiles = Profiles::new(&config(vec![profile("none")]), &listener());
        let offer = profiles.choose(address, &Identity::Unproven);
        let (with, without) = (&offer.server, &profiles.others.server);
        assert_eq!(format!("{with:?}"), format!("{without:?}"));
        assert!(with.notify && with.announce_restart);
    }

    #[test]
    fn a_version_below_those_of_the_listener_gets_its_lowest() {
        let both = Versions::new(Version::V1, Version::V2).unwrap();
        let lowest = lowered(both, Some(Version::V0));
        assert_eq!(
            (lowest.lowest(), lowest.highest()),
            (Version::V1, Version::V1)
        );
        assert_eq!(lowered(both, Some(Version::V2)), both);
    }
}
