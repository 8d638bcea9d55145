//! From start to stop.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use super::listener;
use super::peers::Peers;
use super::pipeline::Pipeline;
use super::session::Shared;
use super::source::{self, Update};
use super::store::Store;
use super::voice::Voice;
use crate::config::{Config, Source};
use crate::net;
use crate::net::sys::{self, TcpOptions};
use crate::payload::Kinds;
use crate::rtr::server::ServerConfig;
use crate::rtr::snapshot::HistoryLimits;

/// Updates that may wait for the pipeline. Each can be a whole document, so there are few; a
/// source that meets a full channel waits.
const UPDATES: usize = 2;

/// Why a server could not start.
#[derive(Debug)]
pub enum ServeError {
    /// An address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, .. } => write!(f, "cannot listen on {address}"),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Listen { cause, .. } => Some(cause),
        }
    }
}

/// Serves until `stop` resolves; then answers under way may end, and everything is closed.
///
/// # Errors
///
/// When it cannot start.
pub async fn serve(config: Config, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    if let Err(error) = sys::raise_open_files() {
        warn!(%error, "the limit of open files stays as it is");
    }
    let store = Store::new();
    let (stopping, stopped) = watch::channel(false);
    let mut works = JoinSet::new();
    let (updates, inbox) = mpsc::channel(UPDATES);
    let names = start_sources(&config.sources, &updates, &stopped, &mut works);
    let limits = HistoryLimits {
        age: config.rtr.history,
    };
    let pipeline = Pipeline::new(names, limits, Arc::clone(&store));
    let mut sessions = start_listeners(&config, &store, &stopped)?;
    works.spawn(pipeline.run(inbox, stopped));

    stop.await;
    info!("stopping");
    store.stop();
    // Nobody is left to listen only if everything has ended already.
    let _ = stopping.send(true);
    let all = async { while sessions.join_next().await.is_some() {} };
    if timeout(config.limits.drain, all).await.is_err() {
        warn!("some routers did not take their answer in time");
        sessions.shutdown().await;
    }
    let all = async { while works.join_next().await.is_some() {} };
    if timeout(Duration::from_secs(5), all).await.is_err() {
        works.shutdown().await;
    }
    info!("stopped");
    Ok(())
}

/// Starts a task for each source. Gives their names, in their order.
fn start_sources(
    sources: &[Source],
    updates: &mpsc::Sender<Update>,
    stopped: &watch::Receiver<bool>,
    works: &mut JoinSet<()>,
) -> Vec<Box<str>> {
    for (place, source) in sources.iter().enumerate() {
        works.spawn(source::run(
            source.clone(),
            place,
            updates.clone(),
            watch::channel(0).1,
            stopped.clone(),
        ));
    }
    sources.iter().map(|source| source.name.clone()).collect()
}

/// Binds every address before anything is accepted, so that a start succeeds or fails whole.
fn start_listeners(
    config: &Config,
    store: &Arc<Store>,
    stopped: &watch::Receiver<bool>,
) -> Result<JoinSet<()>, ServeError> {
    let shared = Arc::new(Shared {
        store: Arc::clone(store),
        peers: Peers::default(),
        voice: Voice::default(),
        config: Arc::new(ServerConfig {
            versions: config.rtr.versions,
            kinds: Kinds::ALL,
            timing: config.rtr.timing,
            notify_interval: config.rtr.notify_interval,
            ..ServerConfig::default()
        }),
        stall: config.limits.stall,
    });
    let options = TcpOptions {
        // The session's own deadline decides; the kernel's must not come before it.
        user_timeout: TcpOptions::default()
            .user_timeout
            .max(config.limits.stall * 2),
        ..TcpOptions::default()
    };
    let mut sockets = Vec::new();
    for listener in &config.listeners {
        let address = listener.address;
        let socket = net::Listener::bind(address, &options)
            .map_err(|cause| ServeError::Listen { address, cause })?;
        sockets.push((socket, listener.clone()));
    }
    let room = Arc::new(Semaphore::new(
        config.limits.connections.min(Semaphore::MAX_PERMITS),
    ));
    let mut sessions = JoinSet::new();
    for (socket, listener) in sockets {
        info!(address = %socket.address(), transport = "tcp", "listening");
        let (shared, room) = (Arc::clone(&shared), Arc::clone(&room));
        sessions.spawn(listener::run(
            socket,
            listener,
            shared,
            room,
            stopped.clone(),
        ));
    }
    Ok(sessions)
}
