//! `rutter serve`.

use std::error::Error;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::config::{Config, Loaded, Settings};
use crate::daemon::{self, Load, Start};

/// Serves until told to stop by SIGTERM or SIGINT.
///
/// # Errors
///
/// With everything that is wrong with the settings, or when it cannot start.
pub fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let Loaded {
        config, warnings, ..
    } = Config::load(settings, super::environment())?;
    let again = settings.clone();
    let load: Load = Box::new(move || match Config::load(&again, super::environment()) {
        Ok(loaded) => Ok((loaded.config, loaded.warnings)),
        Err(errors) => Err(errors.to_string()),
    });
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (terminate, interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let start = Start {
            config,
            warnings,
            load,
            hang_ups: hang_ups(signal(SignalKind::hangup())?),
        };
        daemon::serve(start, told_to_stop(terminate, interrupt)).await?;
        Ok(())
    })
}

/// Hang-ups as a channel. One that comes while another one waits is the same call.
fn hang_ups(mut signal: Signal) -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while signal.recv().await.is_some() {
            if let Err(TrySendError::Closed(())) = sender.try_send(()) {
                return;
            }
        }
    });
    receiver
}

async fn told_to_stop(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
