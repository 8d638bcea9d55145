//! A configuration file as it is being written.

use std::net::SocketAddr;
use std::time::Duration;

use toml::Value;

use crate::config::scalars::EVER;
use crate::config::value::{Raw, show_duration};
use crate::config::{Source, source};
use crate::rtr::Timing;

/// The parts of the file, in its order.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// What there is to know before anything else.
    pub(super) remarks: Vec<String>,
    pub(super) rtr: Part,
    pub(super) sources: Vec<Part>,
    pub(super) merge: Part,
    pub(super) slurm: Part,
    pub(super) listeners: Vec<Part>,
    pub(super) profile: Part,
    pub(super) limits: Part,
    pub(super) http: Part,
    pub(super) export: Part,
}

/// The lines of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Part(Vec<String>);

impl Part {
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.push(format!("{key} = {}", value.into()));
    }

    pub(super) fn time(&mut self, key: &str, seconds: u64) {
        let time = Duration::from_secs(seconds).min(EVER);
        self.set(key, show_duration(time));
    }

    /// The time between two requests, and an age that is not below it.
    pub(super) fn refresh(&mut self, seconds: u64, ages: bool) {
        self.time("refresh", seconds.max(1));
        if ages && Duration::from_secs(seconds) > Source::MAX_AGE {
            self.note("data are stale after a day, and cannot be before they are asked for again:");
            self.time("max-age", seconds);
        }
    }

    /// Where a source is.
    ///
    /// # Errors
    ///
    /// When it cannot be one here.
    pub(super) fn url(&mut self, url: &str) -> Result<(), String> {
        source::endpoint(Raw::Word(url), |path| path.into())?;
        self.set("url", url);
        Ok(())
    }

    /// A comment. What came from outside is in it, so it is kept on its line.
    pub(super) fn note(&mut self, text: &str) {
        self.0.push(comment(text));
    }

    /// A place that others connect to. Off loopback it is for the operator to say who may: the
    /// lines are there, as a comment, and loopback until then.
    pub(super) fn address(&mut self, address: SocketAddr) {
        if address.ip().is_loopback() {
            self.set("address", address.to_string());
            return;
        }
        self.note(&format!(
            "everybody could connect to {address} there; here it takes the prefixes of those who"
        ));
        self.note("may, so this is loopback until they are filled in:");
        self.note(&format!("address = \"{address}\""));
        self.note("allow = [\"192.0.2.0/24\", \"2001:db8::/32\"]");
        let loopback = match address {
            // A client on this machine is more likely to be told 127.0.0.1 than ::1.
            address if address.ip().is_unspecified() => {
                SocketAddr::from(([127, 0, 0, 1], address.port()))
            }
            SocketAddr::V4(_) => SocketAddr::from(([127, 0, 0, 1], address.port())),
            SocketAddr::V6(_) => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], address.port())),
        };
        self.set("address", loopback.to_string());
    }

    /// Timers, as near to these as RFC 8210 §6 allows.
    pub(super) fn timers(&mut self, seconds: [Option<u64>; 3]) {
        let defaults = Timing::RECOMMENDED.seconds().map(u64::from);
        let [refresh, retry, expire] = std::array::from_fn(|at| {
            let typed = seconds.get(at).copied().flatten();
            typed.or_else(|| defaults.get(at).copied()).unwrap_or(0)
        });
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let right = Timing::clamped(small(refresh), small(retry), small(expire)).seconds();
        let names = ["refresh", "retry", "expire"];
        let wanted = [refresh, retry, expire];
        for (((name, typed), wanted), right) in names.iter().zip(seconds).zip(wanted).zip(right) {
            let right = u64::from(right);
            if right != wanted {
                self.note(&format!(
                    "{name} was {wanted} s there, which RFC 8210 §6 does not allow"
                ));
            }
            if typed.is_some() || right != wanted {
                self.time(name, right);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Draft {
    pub(super) fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    /// Something about a path that is not absolute.
    pub(super) fn relative(&mut self, setting: &str, path: &str) {
        let is_path = !path.contains("://") && !path.starts_with('/') && path != "-";
        if is_path {
            self.remark(format!(
                "{setting}: {path:?} was relative to the folder the server ran in; here it is \
                 relative to the folder of this file"
            ));
        }
    }

    pub(super) fn to_toml(&self, head: &str) -> String {
        let mut text = format!("{}\n", comment(head));
        for remark in &self.remarks {
            text.push_str(&comment(remark));
            text.push('\n');
        }
        let element = |name: &'static str| move |part| (name, part);
        let parts = [("[rtr]", &self.rtr)]
            .into_iter()
            .chain(self.sources.iter().map(element("[[source]]")))
            .chain([("[merge]", &self.merge), ("[slurm]", &self.slurm)])
            .chain(self.listeners.iter().map(element("[[listener]]")))
            .chain([("[[profile]]", &self.profile)])
            .chain([("[limits]", &self.limits), ("[http]", &self.http)])
            .chain([("[export]", &self.export)]);
        for (header, Part(lines)) in parts.filter(|(_, part)| !part.is_empty()) {
            text.push_str(&format!("\n{header}\n{}\n", lines.join("\n")));
        }
        text
    }
}

/// A comment on one line, whatever is in it.
fn comment(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    format!("# {line}")
}
