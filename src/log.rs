//! Events to standard error, as people or a journal read them.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Sends events to standard error from here on.
///
/// # Errors
///
/// When the filter cannot be read; then with the reason.
pub fn start(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("--log: {error}"))?;
    let terminal = std::io::stderr().is_terminal();
    // The convention of no-color.org: set to anything but nothing means no colours.
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let events = fmt()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_env_filter(filter);
    let events = events.with_target(false);
    // A journal has its own time.
    let started = if std::env::var_os("JOURNAL_STREAM").is_some() && !terminal {
        events.without_time().try_init()
    } else {
        events.try_init()
    };
    started.map_err(|error| error.to_string())
}
