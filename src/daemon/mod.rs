//! HOW IT RUNS: sources feed a pipeline, the pipeline publishes to a store, listeners accept
//! routers, and each router has a session that hears of what the store publishes.
//!
//! Nobody ever waits for anybody: sources wait for the pipeline only, the pipeline for nobody,
//! and a slow router for itself.

pub mod lifecycle;
pub mod listener;
pub mod peers;
pub mod pipeline;
pub mod random;
pub mod session;
pub mod source;
pub mod store;
pub mod voice;

pub use self::lifecycle::{ServeError, serve};

/// Resolves when the server stops, which it also does when nobody is left to say so.
async fn told(stop: &mut tokio::sync::watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
