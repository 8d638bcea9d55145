//! From start to stop.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{info, warn};

use super::carrier::Carriers;
use super::keeper::{self, Keeper, Kept};
use super::outlets::{self, Prepared};
use super::publish::PublishError;
use super::server::Server;
use super::slurm;
use super::state::StateError;
use crate::config::Config;
use crate::http::BindError;
use crate::net::sys;
use crate::rtr::snapshot::HistoryLimits;

/// Commands that may wait while another one is carried out. Each comes from an operator who
/// waits for it, so there are few; one more waits for room.
const REQUESTS: usize = 8;

/// What a server starts from.
pub struct Start {
    /// What it is to do.
    pub config: Config,
    /// What is odd about that.
    pub warnings: Vec<String>,
    /// Reads the configuration again, for a reload; blocks while it reads.
    pub load: Load,
    /// Calls for a reload.
    pub hang_ups: mpsc::Receiver<()>,
}

/// A way to read the configuration: what it means and what is odd about it, or all that is wrong
/// with it, a line each.
pub type Load = Box<dyn Fn() -> Result<(Config, Vec<String>), String> + Send + Sync>;

/// Why a server could not start, or could not take another configuration.
#[derive(Debug)]
pub enum ServeError {
    /// An address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The kernel does not take a key of TCP MD5 signatures.
    Sign {
        /// The address that peers connect to.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// Certificates, keys or users are not in order, a line for each file.
    Files(String),
    /// HTTP or the control socket cannot be served.
    Http(BindError),
    /// Local exceptions are not in order: nothing is served without them.
    Slurm(String),
    /// The history in storage cannot be gone on with.
    TakeOver(PublishError),
    /// The state directory cannot be used.
    State(StateError),
    /// Files were not read in time.
    Late,
    /// A thread for reading files ended unexpectedly.
    Reader,
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, .. } => write!(f, "cannot listen on {address}"),
            Self::Sign { address, .. } => {
                write!(f, "cannot sign the segments of {address} with MD5")
            }
            Self::Files(faults) => f.write_str(faults),
            Self::Http(error) => error.fmt(f),
            Self::Slurm(faults) => write!(f, "local exceptions refused: {faults}"),
            Self::TakeOver(_) => f.write_str("the history in storage cannot be gone on with"),
            Self::State(_) => f.write_str("the state directory cannot be used"),
            Self::Late => write!(
                f,
                "the configuration and its files were not read within {} s",
                READ_TIME.as_secs()
            ),
            Self::Reader => f.write_str("the reader ended unexpectedly"),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Listen { cause, .. } | Self::Sign { cause, .. } => Some(cause),
            Self::Http(error) => error.source(),
            Self::TakeOver(error) => Some(error),
            Self::State(error) => Some(error),
            Self::Files(_) | Self::Slurm(_) | Self::Late | Self::Reader => None,
        }
    }
}

/// Serves until `stop` resolves; then answers under way may end, and everything is closed.
///
/// # Errors
///
/// When it cannot start.
pub async fn serve(start: Start, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    sys::give_memory_back();
    if let Err(error) = sys::raise_open_files() {
        warn!(%error, "the limit of open files stays as it is");
    }
    let Start {
        config,
        warnings,
        load,
        mut hang_ups,
    } = start;
    for warning in &warnings {
        warn!("{warning}");
    }
    let carriers = load_carriers(&config).await?;
    for warning in carriers.warnings() {
        warn!("{warning}");
    }
    let exceptions = read_exceptions(&config).await?;
    let outlets = load_outlets(&config).await?;
    for warning in outlets.warnings() {
        warn!("{warning}");
    }
    let taken = outlets::take_over(&config, &outlets.keys).await;
    taken.map_err(ServeError::TakeOver)?;
    let state = open_state(&config).await?;
    let (stopping, stopped) = watch::channel(false);
    let (requests, mut inbox) = mpsc::channel(REQUESTS);
    let mut server = Server::start(
        config,
        load,
        warnings,
        (carriers, outlets),
        (exceptions, state),
        requests,
        stopped,
    )?;
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            // A reload that is cut off here needs no end.
            () = server.turn(&mut hang_ups, &mut inbox) => {}
        }
    }
    info!("stopping");
    let drain = server.drain();
    server.stop();
    // Nobody is left to listen only if everything has ended already.
    let _ = stopping.send(true);
    let (mut sessions, mut works) = server.into_tasks();
    let all = async { while sessions.join_next().await.is_some() {} };
    if timeout(drain, all).await.is_err() {
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

/// The state directory, with what was kept in it from before.
async fn open_state(config: &Config) -> Result<Option<(Keeper, Option<Kept>)>, ServeError> {
    let Some(path) = config.state_dir.clone() else {
        return Ok(None);
    };
    let timing = config.rtr.timing;
    let limits = HistoryLimits {
        age: config.rtr.history,
    };
    let names: Vec<_> = config.sources.iter().map(|s| s.name.clone()).collect();
    let opened = spawn_blocking(move || {
        let opened = Keeper::open(&path, timing, limits);
        if opened.is_ok() {
            keeper::forget_sources(&path, &names);
        }
        opened
    });
    let opened = opened.await.map_err(|_| ServeError::Reader)?;
    opened.map(Some).map_err(ServeError::State)
}

/// The exceptions of a start: what is on this machine must be in order at once. What is fetched
/// comes later, and nothing is served before.
async fn read_exceptions(config: &Config) -> Result<Option<slurm::Loaded>, ServeError> {
    match slurm::is_local(&config.slurm) {
        true => load_exceptions(config).await.map(Some),
        false => Ok(None),
    }
}

/// How long a reload may read files: local ones, read in milliseconds, unless a file system hangs.
pub(super) const READ_TIME: Duration = Duration::from_secs(30);

/// Waits for something that files say, within [`READ_TIME`].
pub(super) async fn in_time<T>(
    reading: impl Future<Output = Result<T, ServeError>>,
) -> Result<T, ServeError> {
    let read = timeout(READ_TIME, reading).await;
    read.unwrap_or(Err(ServeError::Late))
}

/// What the files of all listeners say.
pub(super) async fn load_carriers(config: &Config) -> Result<Carriers, ServeError> {
    let config = config.clone();
    let loaded = spawn_blocking(move || Carriers::load(&config)).await;
    let loaded = loaded.map_err(|_| ServeError::Reader)?;
    loaded.map_err(ServeError::Files)
}

/// What the files say that the ways to followers need.
pub(super) async fn load_outlets(config: &Config) -> Result<Prepared, ServeError> {
    let config = config.clone();
    let loaded = spawn_blocking(move || Prepared::load(&config)).await;
    let loaded = loaded.map_err(|_| ServeError::Reader)?;
    loaded.map_err(ServeError::Files)
}

/// All exceptions of a configuration.
pub(super) async fn load_exceptions(config: &Config) -> Result<slurm::Loaded, ServeError> {
    let loaded = slurm::load_all(&config.slurm).await;
    let loaded = loaded.map_err(ServeError::Slurm)?;
    slurm::tell(&loaded);
    Ok(loaded)
}
