//! Accepting routers.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, info};

use super::session::{self, Shared};
use super::voice::Voice;
use crate::config;
use crate::net;

/// Accepts routers until told to stop, then waits for their sessions to end.
pub async fn run(
    socket: net::Listener,
    config: config::Listener,
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let voice = Arc::new(Voice::new());
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = sessions.join_next() => {}
            (stream, peer) = socket.accept() => {
                if !config.allows(peer.address().ip()) {
                    if voice.may_speak() {
                        info!(%peer, reason = "access list", "connection refused");
                    }
                    continue;
                }
                let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                    if voice.may_speak() {
                        info!(%peer, reason = "limits.connections", "connection refused");
                    }
                    continue;
                };
                let (shared, voice) = (Arc::clone(&shared), Arc::clone(&voice));
                sessions.spawn(async move {
                    debug!(%peer, transport = peer.transport().name(), "connected");
                    let end = session::serve(stream, peer, shared).await;
                    if voice.may_speak() {
                        info!(%peer, reason = %end, "session ended");
                    } else {
                        debug!(%peer, reason = %end, "session ended");
                    }
                    drop(place);
                });
            }
        }
    }
    // No new connection queues up behind a server that goes.
    drop(socket);
    while sessions.join_next().await.is_some() {}
}
