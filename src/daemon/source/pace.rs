//! When to ask a server again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::SourceError;
use super::{Closed, Content, Occasion, Outlet, Requests};

use crate::daemon::random;

/// The time until the next request, from how the last ones went.
#[derive(Debug)]
pub(super) struct Pace {
    refresh: Duration,
    /// The first wait after a failure, doubled by each further one up to `refresh`.
    first_retry: Duration,
    /// Failures since the last success.
    failures: u32,
}

impl Pace {
    /// A server that restarts is found soon, and one that is down is not asked more often than one
    /// that is up.
    const FIRST_RETRY: Duration = Duration::from_secs(30);

    /// A leader is away for as long as a restart takes, and routers wait for what it says.
    const FIRST_RETRY_OF_LEADER: Duration = Duration::from_millis(1_500);

    pub(super) fn new(refresh: Duration) -> Self {
        Self {
            refresh,
            first_retry: Self::FIRST_RETRY,
            failures: 0,
        }
    }

    /// For a leader, which is asked again soon.
    pub(super) fn of_leader(refresh: Duration) -> Self {
        Self {
            first_retry: Self::FIRST_RETRY_OF_LEADER,
            ..Self::new(refresh)
        }
    }

    /// The wait after a success.
    pub(super) fn succeeded(&mut self) -> Duration {
        self.failures = 0;
        Self::jittered(self.refresh)
    }

    /// The wait after a failure.
    pub(super) fn failed(&mut self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let wait = self.first_retry.saturating_mul(factor);
        Self::jittered(wait.min(self.refresh))
    }

    /// Up to a tenth more or less.
    pub(super) fn jittered(wait: Duration) -> Duration {
        let [chance] = random::octets();
        let tenth = wait / 10;
        (wait - tenth) + tenth * 2 * u32::from(chance) / u32::from(u8::MAX)
    }
}

/// Something that is read again and again.
pub(super) trait Reading {
    /// Reads it once.
    fn read(&mut self) -> impl Future<Output = Result<Content, SourceError>> + Send;
}

/// Reads something when it is time or somebody asks, and delivers what comes of it.
pub(super) async fn ask(
    reading: &mut impl Reading,
    refresh: Duration,
    outlet: &Outlet,
    mut requests: Requests,
) -> Result<(), Closed> {
    let mut pace = Pace::new(refresh);
    let mut occasion = Occasion::Schedule;
    loop {
        let started = Instant::now();
        let result = reading.read().await;
        let wait = match result {
            Ok(_) => pace.succeeded(),
            Err(_) => pace.failed(),
        };
        outlet.send(occasion, result, started.elapsed()).await?;
        occasion = tokio::select! {
            () = sleep(wait) => Occasion::Schedule,
            asked = requests.next() => asked,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(wait: Duration, seconds: u64) -> bool {
        let middle = Duration::from_secs(seconds);
        wait >= middle * 9 / 10 && wait <= middle * 11 / 10
    }

    #[test]
    fn failures_wait_longer_up_to_the_refresh_time() {
        let mut pace = Pace::new(Duration::from_secs(600));
        for seconds in [30, 60, 120, 240, 480, 600, 600] {
            assert!(near(pace.failed(), seconds));
        }
        assert!(near(pace.succeeded(), 600));
        assert!(near(pace.failed(), 30));
        pace.failures = 1_000;
        assert!(near(pace.failed(), 600));
    }

    #[test]
    fn a_leader_is_asked_again_soon() {
        let mut pace = Pace::of_leader(Duration::from_secs(10));
        for millis in [1_500, 3_000, 6_000, 10_000, 10_000] {
            let (wait, middle) = (pace.failed(), Duration::from_millis(millis));
            assert!(wait >= middle * 9 / 10 && wait <= middle * 11 / 10);
        }
    }

    #[test]
    fn a_short_refresh_time_is_a_short_retry_time() {
        let mut pace = Pace::new(Duration::from_secs(5));
        assert!(near(pace.failed(), 5));
        assert!(near(pace.succeeded(), 5));
    }

    #[test]
    fn waits_differ() {
        let mut pace = Pace::new(Duration::from_secs(600));
        let first = pace.succeeded();
        assert!((0..100).any(|_| pace.succeeded() != first));
    }
}
