//! `rutter serve`.

use std::error::Error;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::config::{Carrier, Config, Listener, Loaded, Settings};
use crate::daemon::{self, Load, Start};
use crate::net::Secret;
use crate::net::ssh::Passwords;

/// Serves until told to stop by SIGTERM or SIGINT.
///
/// # Errors
///
/// With everything that is wrong with the settings, or when it cannot start.
pub fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut settings = settings.clone();
    if settings.demo && settings.demo_password.is_none() {
        let secret = Secret::mint().ok_or("the system has no randomness to make a password of")?;
        settings.demo_password = Some(secret);
    }
    let Loaded {
        config, warnings, ..
    } = Config::load(&settings, super::environment())?;
    config.listeners.iter().for_each(tell_password);
    // A reload keeps the password.
    let again = settings;
    let load: Load = Box::new(move || match Config::load(&again, super::environment()) {
        Ok(loaded) => Ok((loaded.config, loaded.warnings)),
        Err(errors) => Err(errors.to_string()),
    });
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
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
    });
    // A read that a file system never answers shall not keep the process.
    runtime.shutdown_timeout(LAST_READS);
    served
}

/// How long reads of files that are under way at the end are waited for.
const LAST_READS: Duration = Duration::from_secs(1);

/// Says how to log in where nobody could know. It goes past the log, which may be kept.
fn tell_password(listener: &Listener) {
    let Carrier::Ssh(ssh) = &listener.carrier else {
        return;
    };
    if let Some(Passwords::Minted { user, password }) = &ssh.passwords {
        let (address, password) = (listener.address, password.reveal());
        eprintln!("rutter: ssh://{user}@{address} takes the password {password} in this run");
    }
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
