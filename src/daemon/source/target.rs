//! How a cache is reached: its endpoint, and the files that the transport needs.

use tokio::task::spawn_blocking;
use tracing::warn;

use super::error::SourceError;
use crate::config::Source;
use crate::net::{Endpoint, Target};

/// The way to the cache of a source.
pub(super) struct Way<'s> {
    source: &'s Source,
    endpoint: &'s Endpoint,
    /// What was said of its files last.
    said: Vec<String>,
}

impl<'s> Way<'s> {
    /// The way to an endpoint of a cache.
    pub(super) const fn new(source: &'s Source, endpoint: &'s Endpoint) -> Self {
        Self {
            source,
            endpoint,
            said: Vec::new(),
        }
    }

    /// Whether there are files that may be other ones by the next connection.
    pub(super) const fn has_files(&self) -> bool {
        !matches!(self.endpoint, Endpoint::Tcp(_))
    }

    /// Reads the files, and says what looks wrong with them, unless that was said before.
    pub(super) async fn target(&mut self) -> Result<Target, SourceError> {
        let (endpoint, source) = (self.endpoint.clone(), self.source);
        let (tls, ssh) = (source.tls.clone(), source.ssh.clone());
        let loaded = spawn_blocking(move || Target::load(&endpoint, &tls, &ssh)).await;
        let target = loaded.map_err(|_| SourceError::Reader)?;
        let target = target.map_err(|error| SourceError::Secret {
            what: "certificate, key or password".into(),
            error: String::from(error.cause).into(),
            path: error.path,
        })?;
        let target = target.ok_or(SourceError::Reader)?;
        self.say(target.warnings());
        Ok(target)
    }

    fn say(&mut self, warnings: &[String]) {
        if self.said != warnings {
            for warning in warnings {
                warn!(
                    source = &*self.source.name,
                    warning, "doubtful way to a source"
                );
            }
            self.said = warnings.to_vec();
        }
    }
}
