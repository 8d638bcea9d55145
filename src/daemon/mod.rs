//! HOW IT RUNS: sources feed a pipeline, the pipeline publishes to a store, listeners accept
//! routers, and each router has a session that hears of what the store publishes.
//!
//! Nobody ever waits for anybody: sources wait for the pipeline only, the pipeline for nobody,
//! and a slow router for itself.

pub mod announce;
pub mod authority;
pub mod clients;
pub mod counters;
pub mod export;
pub mod handshakes;
pub mod keeper;
pub mod lifecycle;
pub mod listener;
pub mod outlets;
pub mod peers;
pub mod pipeline;
pub mod profile;
pub mod publish;
pub mod random;
pub mod session;
pub mod slurm;
pub mod source;
pub mod standing;
pub mod state;
pub mod stock;
pub mod store;
pub mod view;
pub mod voice;

mod backend;
mod carrier;
mod certificates;
mod metrics;
mod server;
mod sets;
mod sockets;
mod status;
mod tasks;

pub use self::lifecycle::{Load, ServeError, Start, serve};

/// Resolves when the server stops, which it also does when nobody is left to say so.
async fn told(stop: &mut tokio::sync::watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What went wrong and what caused it, on one line.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
