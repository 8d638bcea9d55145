//! Documents in files and folders.

use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::error::SourceError;
use super::intake::Lease;
use super::judge::{self, Claim};
use super::look::{Finding, Look, Seen};
use super::watcher::Watcher;
use super::{Closed, Content, Occasion, Outlet, Requests, limits};
use crate::config::Source;

/// Delivers a file or a folder as often as it changes.
pub(super) async fn deliver(
    source: &Source,
    path: &Path,
    outlet: &Outlet,
    mut requests: Requests,
) -> Result<(), Closed> {
    let mut watcher = Watcher::new(path);
    let mut known = Known::default();
    let mut occasion = Occasion::Schedule;
    let mut watched = Watched::Yet;
    loop {
        // Before the look, so that no change falls between the two.
        (watcher, watched) = renew(watcher, watched, source, path).await;
        let started = Instant::now();
        let finding = look(source, path, known.seen_for(occasion)).await;
        let said = match known.learn(finding, occasion) {
            Some(result) => {
                let took = started.elapsed();
                outlet.send(occasion, result, took).await?;
                None
            }
            None => Some(occasion),
        };
        let retry = known.retry();
        let next = tokio::select! {
            next = wait(&mut watcher, source.refresh, retry) => next,
            asked = requests.next() => asked,
        };
        occasion = match (said, next) {
            // Whoever asked is still to be answered.
            (Some(Occasion::Asked(number)), Occasion::Schedule | Occasion::Event) => {
                Occasion::Asked(number)
            }
            (_, next) => next,
        };
    }
}

/// Looks in a row that may find a file half-written before that is an error: half a minute.
const TORN_IN_A_ROW: u32 = 100;

/// Time from a look that found the file half-written to the next one.
const TORN_WAIT: Duration = Duration::from_millis(300);

/// The least time between two looks, however much happens in the folder.
const SPACING: Duration = Duration::from_millis(50);

pub(super) async fn wait(
    watcher: &mut Watcher,
    refresh: Duration,
    retry: Option<Duration>,
) -> Occasion {
    let looked = Instant::now();
    let again = async {
        if let Some(retry) = retry {
            sleep_until(looked + retry).await;
        } else {
            watcher.changed().await;
            sleep_until(looked + SPACING).await;
        }
    };
    tokio::select! {
        () = again => Occasion::Event,
        () = sleep_until(looked + refresh) => Occasion::Schedule,
    }
}

/// Whether the folder is watched, to say so once when that changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Watched {
    /// It was not tried yet.
    Yet,
    Yes,
    No,
}

/// Watches the folder that has the name now, and says so once when that cannot be.
pub(super) async fn renew(
    mut watcher: Watcher,
    before: Watched,
    source: &Source,
    path: &Path,
) -> (Watcher, Watched) {
    let renewed = spawn_blocking(move || {
        let result = watcher.renew();
        (watcher, result)
    });
    let Ok((watcher, result)) = renewed.await else {
        return (Watcher::new(path), Watched::No);
    };
    let source = &source.name;
    match result {
        Ok(()) => (watcher, Watched::Yes),
        Err(error) if before == Watched::No => {
            debug!(%source, %error, "folder of source not watched");
            (watcher, Watched::No)
        }
        Err(error) => {
            warn!(%source, %error, "folder of source not watched");
            (watcher, Watched::No)
        }
    }
}

/// What looks have shown so far.
#[derive(Clone, Debug, Default)]
struct Known {
    seen: Seen,
    /// Whether the last thing said was an error.
    failing: bool,
    /// Looks in a row that found the file half-written.
    torn: u32,
}

impl Known {
    /// When to look again whatever happens, `None` when it is enough to wait for an event.
    fn retry(&self) -> Option<Duration> {
        (self.torn > 0).then_some(TORN_WAIT)
    }

    /// What the next look need not find again. Whoever asks hears again what is wrong.
    fn seen_for(&self, occasion: Occasion) -> Seen {
        let mut seen = self.seen.clone();
        if matches!(occasion, Occasion::Asked(_)) {
            seen.refused = None;
        }
        seen
    }

    /// Remembers a finding. Gives what is to be said of it.
    fn learn(
        &mut self,
        finding: Finding,
        occasion: Occasion,
    ) -> Option<Result<Content, SourceError>> {
        let was_failing = self.failing;
        let was_torn = std::mem::take(&mut self.torn);
        match finding {
            Finding::List(stamp, list) => {
                *self = Self::default();
                self.seen.claim = Some(Claim::from(&*list));
                self.seen.delivered = Some(stamp);
                Some(Ok(Content::List(list)))
            }
            Finding::Delivered => {
                self.seen.refused = None;
                self.failing = false;
                (was_failing || occasion != Occasion::Event)
                    .then_some(Ok(Content::Unchanged { arrived: None }))
            }
            Finding::Refused => None,
            Finding::Torn(_) if was_torn < TORN_IN_A_ROW => {
                self.torn = was_torn + 1;
                None
            }
            Finding::Bad(stamp, error) => {
                self.seen.refused = Some(stamp);
                self.seen.again = judge::again(&error);
                self.failing = true;
                Some(Err(error))
            }
            Finding::Torn(error) => {
                self.failing = true;
                Some(Err(error))
            }
            Finding::Nothing(error) => {
                self.failing = true;
                (!was_failing || occasion != Occasion::Event).then_some(Err(error))
            }
        }
    }
}

async fn look(source: &Source, path: &Path, seen: Seen) -> Finding {
    let lease = Lease::default();
    let look = Look {
        path: path.into(),
        seen,
        limits: limits(source),
        max_age: source.max_age,
        lease: lease.holder(),
    };
    let finding = spawn_blocking(move || look.look()).await;
    finding.unwrap_or(Finding::Nothing(SourceError::Reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torn() -> Finding {
        Finding::Torn(SourceError::Reader)
    }

    #[test]
    fn a_file_that_is_being_written_is_an_error_only_after_long() {
        let mut known = Known::default();
        for _ in 0..TORN_IN_A_ROW {
            assert!(known.learn(torn(), Occasion::Event).is_none());
            assert_eq!(known.retry(), Some(TORN_WAIT));
        }
        assert!(known.learn(torn(), Occasion::Event).is_some());
        assert_eq!(known.retry(), None);
    }

    #[test]
    fn a_torn_read_in_between_begins_anew() {
        let mut known = Known::default();
        assert!(known.learn(torn(), Occasion::Event).is_none());
        let missing = || Finding::Nothing(SourceError::Reader);
        assert!(known.learn(missing(), Occasion::Event).is_some());
        assert_eq!(known.torn, 0);
        // Said once, however much happens in the folder; and again when it is time.
        assert!(known.learn(missing(), Occasion::Event).is_none());
        assert!(known.learn(missing(), Occasion::Schedule).is_some());
    }
}
