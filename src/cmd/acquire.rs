//! Getting a set from any endpoint, for all commands that need one.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime;
use tokio::sync::{mpsc, watch};

use crate::client::Progress;
use crate::config::{Origin, Source, Verify};
use crate::daemon::source::{self, Content, List, SourceError, Update};
use crate::json::export::ExportMetadata;
use crate::net::Endpoint;
use crate::payload::{Rows, UnixTime};
use crate::tools::dump::{Dumped, Request, dump};

/// Gets the rows that are at an endpoint, complete or not at all; those that have expired are
/// among them. Shows how far it is where standard error is a terminal, and says there how many
/// rows were bad.
///
/// # Errors
///
/// When they are not complete.
pub fn acquire(request: &Request) -> Result<Dumped, Box<dyn Error>> {
    // Hides itself where standard error is no terminal.
    let bar = ProgressBar::new_spinner();
    let template = "{spinner} {msg} {human_pos} payloads, {per_sec}";
    bar.set_style(ProgressStyle::with_template(template)?);
    let dumped = match &request.from {
        Endpoint::Web(_) | Endpoint::Feed(_) | Endpoint::FeedFolder(_) => visit(request),
        Endpoint::File(path) if path.is_dir() => visit(request),
        _ => {
            let from = request.from.to_string();
            let shown = dump(request, |progress| show(&bar, &from, progress));
            shown.map_err(Into::into)
        }
    };
    bar.finish_and_clear();
    let dumped = dumped?;
    if let Some((count, first)) = &dumped.skipped {
        eprintln!("rutter: {count} bad rows left out, the first is {first}");
    }
    Ok(dumped)
}

/// What is done with rows that have expired.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Expired {
    /// They are dropped, as a cache drops them.
    #[default]
    Drop,
    /// They are kept, to look at what was.
    Keep,
}

/// The rows that have not expired, and how many have.
pub fn current(rows: &Rows, expired: Expired) -> (Rows, usize) {
    if expired == Expired::Keep {
        return (rows.clone(), 0);
    }
    let (current, _) = rows.split_expired(now());
    let dropped = rows.len().saturating_sub(current.len());
    (current, dropped)
}

/// The time by the calendar.
pub(super) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::new(since.map_or(0, |since| since.as_secs()))
}

fn show(bar: &ProgressBar, from: &str, progress: Progress) {
    match progress {
        Progress::Connected(version) => bar.set_message(format!("{from}, version {version}:")),
        Progress::Downgraded(version) => {
            bar.set_message(format!("{from}, down to version {version}:"));
        }
        Progress::Received(payloads) => {
            bar.set_position(u64::try_from(payloads).unwrap_or(u64::MAX));
        }
    }
}

/// Lets the daemon's reader of sources read once. The age of a list plays no part.
fn visit(request: &Request) -> Result<Dumped, Box<dyn Error>> {
    let visit = Visit {
        from: request.from.clone(),
        limit: request.limit,
        verify: None,
    };
    let list = read_once(visit)??;
    Ok(Dumped {
        rows: list.rows,
        metadata: ExportMetadata {
            generated: list.stated,
            valid: list.valid,
            serial: list.serial,
            ..ExportMetadata::default()
        },
        skipped: list.first_skipped.map(|first| (list.skipped, first)),
    })
}

/// What is to be read once, as a source.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) from: Endpoint,
    pub(super) limit: Duration,
    /// Who must have signed it.
    pub(super) verify: Option<Verify>,
}

/// Reads a source once: what is there, or why it is not taken.
pub(super) fn read_once(visit: Visit) -> io::Result<Result<List, SourceError>> {
    let source = Source {
        timeout: visit.limit,
        connect_timeout: visit.limit.min(Duration::from_secs(30)),
        max_age: None,
        verify: visit.verify,
        ..Source::new(visit.from.to_string(), Origin::At(visit.from))
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let update = runtime.block_on(first_update(source));
    // A thread that still reads must not keep a program that has its answer.
    runtime.shutdown_background();
    Ok(match update.map(|update| update.result) {
        Some(Ok(Content::List(list) | Content::Mirror(list, _))) => Ok(*list),
        Some(Err(error)) => Err(error),
        Some(Ok(Content::Unchanged { .. })) | None => Err(SourceError::Reader),
    })
}

async fn first_update(source: Source) -> Option<Update> {
    let (updates, mut news) = mpsc::channel(1);
    let (_requests, requests) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let reader = tokio::spawn(source::run(
        source,
        0,
        source::Past::default(),
        updates,
        requests,
        stopped,
    ));
    let update = news.recv().await;
    drop((stop, news));
    // It ends at once, now that nobody listens.
    let _ = reader.await;
    update
}
