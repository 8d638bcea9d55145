//! `rutter serve`.

use std::error::Error;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

use crate::config::{Config, Settings};
use crate::daemon;

/// Serves until told to stop by SIGTERM or SIGINT.
///
/// # Errors
///
/// With everything that is wrong with the settings, or when it cannot start.
pub fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let loaded = Config::load(settings, super::environment())?;
    for warning in loaded.warnings {
        warn!("{warning}");
    }
    let config = loaded.config;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (terminate, interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        // A hang-up must not end a cache; it will mean reload once there is a file to reload.
        let _hang_up = signal(SignalKind::hangup())?;
        daemon::serve(config, told_to_stop(terminate, interrupt)).await?;
        Ok(())
    })
}

async fn told_to_stop(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
