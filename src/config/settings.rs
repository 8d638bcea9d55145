//! From what was typed to a [`Config`].

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{Config, Guard, Http, Limits, Listener, Merge, Origin, Rtr, Slurm, Source};
use crate::net::Endpoint;
use crate::rtr::{Timing, Version, Versions};

/// What was typed.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Serve the sample that is built in.
    pub demo: bool,
    /// The source.
    pub source: Option<String>,
    /// The listeners, `tcp://address:port` each.
    pub listen: Vec<String>,
    /// The prefixes that may connect.
    pub allow: Vec<String>,
    /// `KEY=VALUE` each.
    pub set: Vec<String>,
}

/// The listener of `--demo` and of a server that was told none: StayRTR's port, on loopback.
const DEFAULT_LISTEN: &str = "tcp://127.0.0.1:8282";

/// Everything that is wrong with some settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigErrors(Vec<ConfigError>);

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// The setting, as it was typed.
    pub setting: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ConfigErrors {
    /// A line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, ConfigError { setting, reason }) in self.0.iter().enumerate() {
            let line_end = if place == 0 { "" } else { "\n" };
            write!(f, "{line_end}{setting}: {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// What these settings mean. What is off from RFC or habit but allowed comes as warnings.
    ///
    /// # Errors
    ///
    /// With everything that is wrong, not only the first of it.
    pub fn new(settings: &Settings) -> Result<(Self, Vec<String>), ConfigErrors> {
        let mut reader = Reader::default();
        let tuned = reader.tuned(&settings.set);
        let allow = reader.allow(&settings.allow);
        let listeners = reader.listeners(&settings.listen, &allow);
        let source = reader.source(settings);
        let (rtr, limits) = reader.finish(&tuned);
        match (source, rtr) {
            (Some(source), Some(rtr)) if reader.errors.is_empty() => {
                let warnings = warnings(&rtr);
                Ok((
                    Self {
                        rtr,
                        control: None,
                        sources: vec![Source::new(source.to_string(), source)],
                        merge: Merge::default(),
                        guard: Guard::default(),
                        slurm: Slurm::default(),
                        listeners,
                        limits,
                        http: Http::default(),
                    },
                    warnings,
                ))
            }
            _ => Err(ConfigErrors(reader.errors)),
        }
    }
}

fn warnings(rtr: &Rtr) -> Vec<String> {
    let mut warnings = Vec::new();
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
    }
    warnings
}

/// The scalar settings, as far as they were typed.
#[derive(Debug)]
struct Tuned {
    refresh: Duration,
    retry: Duration,
    expire: Duration,
    history: Duration,
    notify_interval: Duration,
    lowest: u64,
    highest: u64,
    connections: u64,
    stall: Duration,
    drain: Duration,
}

impl Default for Tuned {
    fn default() -> Self {
        let timing = Timing::RECOMMENDED;
        Self {
            refresh: timing.refresh(),
            retry: timing.retry(),
            expire: timing.expire(),
            history: Duration::from_secs(86_400),
            notify_interval: Duration::from_secs(60),
            lowest: 0,
            highest: 2,
            connections: 10_000,
            stall: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }
}

/// Where a scalar goes.
enum Slot<'a> {
    Duration(&'a mut Duration),
    Number(&'a mut u64),
}

impl Tuned {
    const KEYS: [&'static str; 10] = [
        "rtr.refresh",
        "rtr.retry",
        "rtr.expire",
        "rtr.history",
        "rtr.notify-interval",
        "rtr.lowest-version",
        "rtr.highest-version",
        "limits.connections",
        "limits.stall",
        "limits.drain",
    ];

    fn slot(&mut self, key: &str) -> Option<Slot<'_>> {
        Some(match key {
            "rtr.refresh" => Slot::Duration(&mut self.refresh),
            "rtr.retry" => Slot::Duration(&mut self.retry),
            "rtr.expire" => Slot::Duration(&mut self.expire),
            "rtr.history" => Slot::Duration(&mut self.history),
            "rtr.notify-interval" => Slot::Duration(&mut self.notify_interval),
            "rtr.lowest-version" => Slot::Number(&mut self.lowest),
            "rtr.highest-version" => Slot::Number(&mut self.highest),
            "limits.connections" => Slot::Number(&mut self.connections),
            "limits.stall" => Slot::Duration(&mut self.stall),
            "limits.drain" => Slot::Duration(&mut self.drain),
            _ => return None,
        })
    }
}

/// Collects what is wrong while it reads.
#[derive(Debug, Default)]
struct Reader {
    errors: Vec<ConfigError>,
}

impl Reader {
    fn wrong(&mut self, setting: impl Into<String>, reason: impl Into<String>) {
        self.errors.push(ConfigError {
            setting: setting.into(),
            reason: reason.into(),
        });
    }

    fn tuned(&mut self, set: &[String]) -> Tuned {
        let mut tuned = Tuned::default();
        for setting in set {
            let Some((key, value)) = setting.split_once('=') else {
                self.wrong(format!("--set {setting}"), "not of the form KEY=VALUE");
                continue;
            };
            let result = match tuned.slot(key) {
                None => Err(format!("unknown key; known are {}", Tuned::KEYS.join(", "))),
                Some(Slot::Duration(slot)) => duration(value).map(|value| *slot = value),
                Some(Slot::Number(slot)) => match value.parse() {
                    Ok(number) => {
                        *slot = number;
                        Ok(())
                    }
                    Err(_) => Err("not a whole number".to_owned()),
                },
            };
            if let Err(reason) = result {
                self.wrong(format!("--set {setting}"), reason);
            }
        }
        tuned
    }

    fn finish(&mut self, tuned: &Tuned) -> (Option<Rtr>, Limits) {
        let timing = Timing::new(tuned.refresh, tuned.retry, tuned.expire);
        let timing = timing
            .map_err(|error| self.wrong("rtr", error.to_string()))
            .ok();
        let version = |number: u64| u8::try_from(number).ok().and_then(Version::from_octet);
        let versions = version(tuned.lowest)
            .zip(version(tuned.highest))
            .and_then(|(lowest, highest)| Versions::new(lowest, highest));
        if versions.is_none() {
            self.wrong(
                "rtr.lowest-version, rtr.highest-version",
                "not a range within 0 to 2",
            );
        }
        if tuned.notify_interval < Duration::from_millis(100) {
            self.wrong("rtr.notify-interval", "below 100ms");
        }
        if tuned.connections == 0 {
            self.wrong("limits.connections", "nobody could connect");
        }
        let rtr = timing.zip(versions).map(|(timing, versions)| Rtr {
            timing,
            history: tuned.history,
            notify_interval: tuned.notify_interval,
            versions,
        });
        let limits = Limits {
            connections: usize::try_from(tuned.connections).unwrap_or(usize::MAX),
            // A router that is stalled for longer than this has long given up (8210bis §9).
            stall: tuned.stall.min(tuned.retry * 3),
            drain: tuned.drain,
        };
        (rtr, limits)
    }

    fn allow(&mut self, allow: &[String]) -> Vec<IpNet> {
        let mut prefixes = Vec::new();
        for text in allow {
            match text
                .parse::<IpNet>()
                .or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error))
            {
                Ok(prefix) => prefixes.push(prefix),
                Err(_) => {
                    self.wrong(
                        format!("--allow {text}"),
                        "not a prefix such as 192.0.2.0/24",
                    );
                }
            }
        }
        prefixes
    }

    fn listeners(&mut self, listen: &[String], allow: &[IpNet]) -> Vec<Listener> {
        let default = [DEFAULT_LISTEN.to_owned()];
        let listen = if listen.is_empty() { &default } else { listen };
        let mut listeners = Vec::new();
        for text in listen {
            match listener(text, allow) {
                Ok(listener) => listeners.push(listener),
                Err(reason) => self.wrong(format!("--listen {text}"), reason),
            }
        }
        listeners
    }

    fn source(&mut self, settings: &Settings) -> Option<Origin> {
        match (&settings.source, settings.demo) {
            (Some(_), true) => {
                self.wrong("--demo", "brings its own data; leave --source out");
                None
            }
            (None, true) => Some(Origin::Demo),
            (None, false) => {
                self.wrong("--source", "missing; --demo serves sample data without one");
                None
            }
            (Some(text), false) => match text.parse::<Endpoint>() {
                Ok(endpoint @ (Endpoint::File(_) | Endpoint::Stdin | Endpoint::Web(_))) => {
                    Some(Origin::At(endpoint))
                }
                Ok(_) => {
                    let reason = "only paths, http:// and https:// are sources so far";
                    self.wrong(format!("--source {text}"), reason);
                    None
                }
                Err(error) => {
                    self.wrong(format!("--source {text}"), error.to_string());
                    None
                }
            },
        }
    }
}

fn listener(text: &str, allow: &[IpNet]) -> Result<Listener, String> {
    let at = match text.parse::<Endpoint>() {
        Ok(Endpoint::Tcp(at)) => at,
        Ok(_) => return Err("only tcp:// can be listened on so far".into()),
        Err(error) => return Err(error.to_string()),
    };
    let Some(address) = at.socket_addr() else {
        return Err("needs an IP address, not a name".into());
    };
    // Closed by default: plain TCP is for a trusted network only (RFC 8210 §9).
    if !address.ip().is_loopback() && allow.is_empty() {
        return Err("is not on loopback: name the routers that may connect with --allow".into());
    }
    Ok(Listener {
        address,
        allow: allow.to_vec(),
        versions: Versions::ALL,
    })
}

/// Reads `500ms`, `90s`, `10m`, `2h`, `1d`.
fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(unit_at).unwrap_or((text, ""));
    let wrong = || "not a time such as 500ms, 90s, 10m, 2h or 1d".to_owned();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(set: &[&str], listen: &[&str], allow: &[&str]) -> Settings {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Settings {
            demo: true,
            source: None,
            listen: owned(listen),
            allow: owned(allow),
            set: owned(set),
        }
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let settings = settings(
            &[
                "rtr.refresh=7200s",
                "rtr.expire=7200s",
                "rtr.bogus=1",
                "rtr.retry=soon",
            ],
            &["tcp://0.0.0.0:323", "tls://127.0.0.1"],
            &["192.0.2.0/33"],
        );
        let errors = Config::new(&settings).unwrap_err();
        assert_eq!(errors.0.len(), 6, "{errors}");
    }

    #[test]
    fn a_listener_off_loopback_needs_an_access_list() {
        assert!(Config::new(&settings(&[], &["tcp://[::]:323"], &[])).is_err());
        let (config, _) =
            Config::new(&settings(&[], &["tcp://[::]:323"], &["192.0.2.0/24"])).unwrap();
        let listener = &config.listeners[0];
        assert!(listener.allows("192.0.2.7".parse().unwrap()));
        assert!(listener.allows("127.0.0.1".parse().unwrap()));
        assert!(!listener.allows("198.51.100.7".parse().unwrap()));
    }

    #[test]
    fn a_short_notify_interval_warns() {
        let (_, warnings) = Config::new(&settings(&["rtr.notify-interval=1s"], &[], &[])).unwrap();
        assert!(warnings[0].contains("RFC 8210 §8.2"), "{warnings:?}");
    }
}
