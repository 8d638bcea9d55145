//! What was typed, and the way from there to a [`Config`]: the layers are laid over each other by
//! `layers`, file and environment, and `flags`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::{ConfigErrors, Whence};
use super::layers::{ARRAYS, Reader};
use super::scalars::Draft;
use super::{Config, Control, Need, listener, profile};
use crate::net::Secret;

/// What was typed.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Serve the sample that is built in.
    pub demo: bool,
    /// Who knows it may log in to the demo over SSH. Without it the demo is on plain TCP alone.
    pub demo_password: Option<Secret>,
    /// The folder for what outlives a run; it takes the place of that of the file.
    pub state_dir: Option<PathBuf>,
    /// The sources; any takes the place of those of the file.
    pub source: Vec<String>,
    /// The listeners, `tcp://address:port` each; any takes the place of those of the file.
    pub listen: Vec<String>,
    /// The prefixes that may connect to these listeners.
    pub allow: Vec<String>,
    /// Local exceptions, paths and URLs; any takes the place of `[slurm]` of the file.
    pub slurm: Vec<String>,
    /// Where the HTTP server listens; any takes the place of `[http]` of the file.
    pub http: Vec<String>,
    /// `KEY=VALUE` each.
    pub set: Vec<String>,
}

impl Settings {
    /// The file that an installed server reads.
    pub const DEFAULT_FILE: &'static str = "/etc/rutter/rutter.toml";
    /// Who logs in to the demo over SSH.
    pub const DEMO_USER: &'static str = "rutter";
}

/// A configuration, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What a server is to do.
    pub config: Config,
    /// What is off from RFC or habit but allowed.
    pub warnings: Vec<String>,
    /// Where what was set came from, by key; `source[0].url` in arrays.
    pub(super) whence: BTreeMap<String, Whence>,
    /// How the keys of each listener begin there.
    pub(super) listener_slots: Vec<String>,
    /// The same for profiles.
    pub(super) profile_slots: Vec<String>,
}

/// The control socket of a server with a configuration file.
const CONTROL: &str = "/run/rutter/control";

/// Far more than any configuration has.
const MOST_OCTETS: u64 = 4 << 20;

impl Config {
    /// What these settings mean, the file and the environment included. It reads the file each
    /// time, so a reload is the same call again.
    ///
    /// # Errors
    ///
    /// With everything that is wrong, not only the first of it.
    pub fn load(
        settings: &Settings,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigErrors> {
        let mut reader = Reader::default();
        if let Some(file) = &settings.config {
            let octets = read(file).map_err(|error| {
                ConfigErrors::unreadable(file, format!("cannot be read: {error}"))
            })?;
            reader.draft.control = Some(Control {
                path: CONTROL.into(),
                need: Need::Optional,
            });
            reader.file(file, &octets);
        }
        // A flag takes the place of a table of the file, and of nothing that the environment says.
        reader.flags(settings);
        reader.environment(environment);
        reader.set(&settings.set);
        reader.finish(settings)
    }

    /// What these settings mean with nothing in the environment, with its warnings.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn new(settings: &Settings) -> Result<(Self, Vec<String>), ConfigErrors> {
        let loaded = Self::load(settings, std::iter::empty())?;
        Ok((loaded.config, loaded.warnings))
    }

    /// The keys that the environment and `--set` reach.
    pub fn scalar_keys() -> Vec<&'static str> {
        Draft::keys()
    }

    /// Every key of the file, as `table.key`.
    pub fn file_keys() -> Vec<String> {
        let mut keys: Vec<String> = Draft::keys().into_iter().map(str::to_owned).collect();
        keys.extend(ARRAYS.map(str::to_owned));
        keys.extend(super::source::KEYS.map(|key| format!("source.{key}")));
        keys.extend(listener::keys().map(|key| format!("listener.{key}")));
        keys.extend(profile::KEYS.map(|key| format!("profile.{key}")));
        keys
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(file)?
        .take(MOST_OCTETS + 1)
        .read_to_end(&mut octets)?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > MOST_OCTETS {
        return Err(io::Error::other(
            "more than 4MiB, which is no configuration",
        ));
    }
    Ok(octets)
}

#[cfg(test)]
mod tests;
