//! Accepting routers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info};

use super::counters::Refusal;
use super::session::{self, Shared};
use crate::config;
use crate::net::{self, Peer, Stream, Transport};
use crate::payload::Kinds;
use crate::rtr::Versions;
use crate::rtr::server::ServerConfig;

/// What a listener and its sessions go by; a reload sends others.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How the protocol is spoken.
    pub server: Arc<ServerConfig>,
    /// How long a router may take no octet of an answer.
    pub stall: Duration,
    /// Who may connect.
    pub listener: config::Listener,
}

impl Terms {
    /// What a configuration means for one of its listeners.
    pub fn new(config: &config::Config, listener: &config::Listener) -> Self {
        let (all, own) = (config.rtr.versions, listener.versions);
        let versions = Versions::new(
            all.lowest().max(own.lowest()),
            all.highest().min(own.highest()),
        );
        Self {
            server: Arc::new(ServerConfig {
                versions: versions.unwrap_or(all),
                kinds: Kinds::ALL,
                timing: config.rtr.timing,
                notify_interval: config.rtr.notify_interval,
                ..ServerConfig::default()
            }),
            stall: config.limits.stall,
            listener: listener.clone(),
        }
    }
}

/// Accepts routers until told to stop, then waits for their sessions to end.
pub async fn run(
    socket: net::Listener,
    terms: watch::Receiver<Arc<Terms>>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = super::told(&mut stop) => break,
            Some(_) = sessions.join_next() => {}
            (stream, address) = socket.accept() => {
                let peer = Peer::new(address, Transport::Tcp);
                let stream = Stream::from(stream);
                if let Some(reason) = refusal(&shared, &terms, peer.address().ip()) {
                    shared.counters.refused(reason).count();
                    if shared.voice.may_speak() {
                        info!(%peer, reason = reason.word(), "connection refused");
                    }
                    continue;
                }
                sessions.spawn(serve(stream, peer, Arc::clone(&shared), terms.clone()));
            }
        }
    }
    // No new connection queues up behind a server that goes.
    drop(socket);
    while sessions.join_next().await.is_some() {}
}

/// Why a peer may not connect; takes a place when it may.
fn refusal(
    shared: &Shared,
    terms: &watch::Receiver<Arc<Terms>>,
    address: IpAddr,
) -> Option<Refusal> {
    if !terms.borrow().listener.access.allows(address) {
        return Some(Refusal::AccessList);
    }
    (!shared.room.enter()).then_some(Refusal::Connections)
}

async fn serve(
    stream: Stream,
    peer: Peer,
    shared: Arc<Shared>,
    terms: watch::Receiver<Arc<Terms>>,
) {
    let _place = Place(Arc::clone(&shared));
    shared.counters.accepted.count();
    debug!(%peer, transport = peer.transport().name(), "connected");
    let end = session::serve(stream, peer, Arc::clone(&shared), terms).await;
    if end.is_eviction() {
        shared.counters.evicted.count();
    }
    if shared.voice.may_speak() {
        info!(%peer, reason = %end, "session ended");
    } else {
        debug!(%peer, reason = %end, "session ended");
    }
}

/// A place among the connections, given back however the session ends.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.room.leave();
    }
}
