//! How a cache is reached: its endpoint, and the files that the transport needs.

use tokio::task::spawn_blocking;
use tracing::warn;

use super::error::SourceError;
use crate::client::Follower;
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

    /// Reads the files again, for the next connection: certificates are renewed while we run.
    /// Files that cannot be used change nothing.
    pub(super) async fn renew(&mut self, follower: &mut Follower) {
        if matches!(self.endpoint, Endpoint::Tcp(_)) {
            return;
        }
        match self.target().await {
            Ok(target) => follower.set_target(target),
            Err(error) => {
                let source = &*self.source.name;
                warn!(source, %error, "files of a source are bad, those read before are kept");
            }
        }
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
