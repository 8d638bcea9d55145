//! The flags of `rutter serve`: each takes the place of a table of the file.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::error::Whence;
use super::layers::{Reader, slurm};
use super::listener::{self, Wish};
use super::settings::Settings;
use super::source;
use super::tls;
use super::value::{self, Raw};
use super::{Carrier, Config, Http, Origin, Slurm, Source};
use crate::net::ssh as ssh_options;
use crate::net::{Endpoint, Secret, tls as tls_options};

impl Reader {
    pub(super) fn flags(&mut self, settings: &Settings) {
        let resolve = |path: &str| PathBuf::from(path);
        if let Some(folder) = &settings.state_dir {
            let whence = Whence::Flag(format!("--state-dir {}", folder.display()));
            self.typed("state-dir", &folder.to_string_lossy(), whence);
        }
        self.demo_or_sources(settings);
        if !settings.slurm.is_empty() {
            self.report.forget("slurm");
            self.draft.slurm = Slurm::default();
            for text in &settings.slurm {
                let whence = Whence::Flag(format!("--slurm {}", value::hidden(text)));
                match slurm(Raw::Word(text), resolve) {
                    Ok(origin) => {
                        self.draft.slurm.files.push(origin);
                        self.report.whence.insert("slurm.files".into(), whence);
                    }
                    Err(reason) => self.report.wrong(&whence, "", reason),
                }
            }
        }
        if !settings.http.is_empty() {
            self.report.forget("http");
            self.draft.http = Http::default();
            self.draft.http_tls = tls::Draft::default();
            self.http.clear();
            for text in &settings.http {
                let whence = Whence::Flag(format!("--http {text}"));
                match http(text) {
                    Ok(address) => self.http.push((address, whence.clone())),
                    Err(reason) => self.report.wrong(&whence, "", reason),
                }
                self.report.whence.insert("http.address".into(), whence);
            }
        }
        self.listen(settings);
    }

    fn demo_or_sources(&mut self, settings: &Settings) {
        if !settings.source.is_empty() || settings.demo {
            self.report.forget("source");
            self.sources.clear();
            self.sourced = true;
        }
        if settings.demo {
            let whence = Whence::Flag("--demo".to_owned());
            if !settings.source.is_empty() {
                let reason = "brings its own data; leave --source out";
                self.report.wrong(&whence, "", reason);
            }
            self.report
                .whence
                .insert("source[0].url".into(), whence.clone());
            self.sources
                .push((Source::new("demo", Origin::Demo), whence));
            return;
        }
        if settings.source.len() > Config::MAX_SOURCES {
            let whence = Whence::Flag("--source".into());
            let reason = format!(
                "too many (found {}, expected at most {})",
                settings.source.len(),
                Config::MAX_SOURCES
            );
            self.report.wrong(&whence, "", reason);
        }
        for (place, text) in settings.source.iter().enumerate() {
            let whence = Whence::Flag(format!("--source {}", value::hidden(text)));
            match source::endpoint(Raw::Word(text), |path| PathBuf::from(path)) {
                Ok(Endpoint::Ssh { .. }) => {
                    let reason = "takes a key or a password: write a [[source]] with key or \
                                  password-file into the file of --config";
                    self.report.wrong(&whence, "", reason);
                }
                Ok(endpoint) => {
                    let slot = format!("source[{place}].url");
                    self.report.whence.insert(slot, whence.clone());
                    let source = Source::new(endpoint.to_string(), Origin::At(endpoint));
                    self.sources.push((source, whence));
                }
                Err(reason) => self.report.wrong(&whence, "", reason),
            }
        }
    }

    fn listen(&mut self, settings: &Settings) {
        let mut allow = Vec::new();
        for text in &settings.allow {
            match value::prefix(Raw::Word(text)) {
                Ok(prefix) => allow.push(prefix),
                Err(reason) => {
                    let whence = Whence::Flag(format!("--allow {}", value::hidden(text)));
                    self.report.wrong(&whence, "", reason);
                }
            }
        }
        if settings.listen.is_empty() {
            if self.listeners.is_empty() && !self.report.is_set("listener[0].address") {
                if let Some(text) = settings.allow.first() {
                    let whence = Whence::Flag(format!("--allow {}", value::hidden(text)));
                    self.report
                        .whence
                        .insert("listener[0].allow".into(), whence);
                }
                self.wish(listener::DEFAULT, allow, Whence::Default);
                if let (true, Some(password)) = (settings.demo, &settings.demo_password) {
                    self.demo_listeners(password);
                }
            } else if let Some(text) = settings.allow.first() {
                let whence = Whence::Flag(format!("--allow {}", value::hidden(text)));
                let reason = "goes with --listen; a listener of the file has its own `allow`";
                self.report.wrong(&whence, "", reason);
            }
            return;
        }
        self.report.forget("listener");
        self.listeners.clear();
        self.report.forget("profile");
        self.profiles.clear();
        for text in &settings.listen {
            let whence = Whence::Flag(format!("--listen {}", value::hidden(text)));
            match listener::flag(text) {
                // Closed by default: plain TCP is for a trusted network only (RFC 8210 §9).
                Ok(address) if !address.ip().is_loopback() && settings.allow.is_empty() => {
                    let reason =
                        "is not on loopback: name the routers that may connect with --allow";
                    self.report.wrong(&whence, "", reason);
                }
                Ok(address) => self.wish(address, allow.clone(), whence),
                Err(reason) => self.report.wrong(&whence, "", reason),
            }
        }
    }

    fn wish(&mut self, address: SocketAddr, allow: Vec<IpNet>, whence: Whence) {
        let slot = format!("listener[{}]", self.listeners.len());
        if whence != Whence::Default {
            self.report
                .whence
                .insert(format!("{slot}.address"), whence.clone());
            if !allow.is_empty() {
                self.report
                    .whence
                    .insert(format!("{slot}.allow"), whence.clone());
            }
        }
        let carrier = Carrier::Tcp(Vec::new());
        let wish = Wish::new(address, carrier, allow, whence, slot);
        self.listeners.push(wish);
    }

    /// TLS and SSH without a file, for this host itself alone.
    fn demo_listeners(&mut self, password: &Secret) {
        let tls = tls_options::ServerOptions {
            certificate: tls_options::Certificate::Minted,
            clients: tls_options::ClientAuth::None,
        };
        let ssh = ssh_options::ServerOptions {
            host_keys: ssh_options::HostKeys::Minted,
            keys: None,
            passwords: Some(ssh_options::Passwords::Minted {
                user: Settings::DEMO_USER.into(),
                password: password.clone(),
            }),
            algorithms: ssh_options::Algorithms::default(),
            auth_attempts: self.draft.limits.auth_attempts,
        };
        let carriers = [
            (DEMO_TLS, Carrier::Tls(Box::new(tls))),
            (DEMO_SSH, Carrier::Ssh(Box::new(ssh))),
        ];
        for (address, carrier) in carriers {
            let slot = format!("listener[{}]", self.listeners.len());
            let whence = Whence::Flag("--demo".to_owned());
            let wish = Wish::new(address, carrier, Vec::new(), whence, slot);
            self.listeners.push(wish);
        }
    }
}

/// Where the demo speaks TLS and SSH: beside the port of plain TCP, and open to everybody who may
/// open ports at all.
const DEMO_TLS: SocketAddr = loopback(8283);
const DEMO_SSH: SocketAddr = loopback(8284);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

/// Reads what `--http` says.
fn http(text: &str) -> Result<SocketAddr, String> {
    let raw = Raw::Word(text);
    let address = value::address(raw)?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    let what = "not on loopback";
    let expected = "127.0.0.1 or [::1]; elsewhere takes `allow` under [http] of a file";
    Err(value::wrong(what, raw, expected))
}
