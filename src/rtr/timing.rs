//! The three timers of End of Data.

use std::fmt;
use std::time::Duration;

/// Refresh, retry and expire as a cache tells them to its routers (RFC 8210 §6).
///
/// Each is within its range and expire is the largest, by construction: OpenBGPD ends a session
/// that says otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    refresh: u32,
    retry: u32,
    expire: u32,
}

impl Timing {
    /// The values RFC 8210 §6 recommends: 3600, 600 and 7200 seconds.
    pub const RECOMMENDED: Self = Self {
        refresh: 3600,
        retry: 600,
        expire: 7200,
    };

    /// These values, rounded down to whole seconds.
    ///
    /// # Errors
    ///
    /// When refresh is not within 1..=86400 s, retry not within 1..=7200 s, expire not within
    /// 600..=172800 s, or expire not larger than both.
    pub fn new(refresh: Duration, retry: Duration, expire: Duration) -> Result<Self, TimingError> {
        let within = |name, value: Duration, lowest, highest| {
            let seconds = u32::try_from(value.as_secs()).unwrap_or(u32::MAX);
            if (lowest..=highest).contains(&seconds) {
                Ok(seconds)
            } else {
                Err(TimingError::Range {
                    name,
                    found: value,
                    lowest,
                    highest,
                })
            }
        };
        let timing = Self {
            refresh: within("refresh", refresh, 1, 86_400)?,
            retry: within("retry", retry, 1, 7_200)?,
            expire: within("expire", expire, 600, 172_800)?,
        };
        if timing.expire <= timing.refresh || timing.expire <= timing.retry {
            return Err(TimingError::Expire { timing });
        }
        Ok(timing)
    }

    /// The timers of a received End of Data, each clamped into its range, which is what a
    /// router may do with values out of range (RFC 8210 §6).
    pub fn clamped(refresh: u32, retry: u32, expire: u32) -> Self {
        let refresh = refresh.clamp(1, 86_400);
        let retry = retry.clamp(1, 7_200);
        let expire = expire.clamp(600, 172_800);
        Self {
            refresh,
            retry,
            expire: expire.max(refresh.max(retry).saturating_add(1)),
        }
    }

    /// How long a router waits before it asks again, without a Notify.
    pub fn refresh(&self) -> Duration {
        Duration::from_secs(self.refresh.into())
    }

    /// How long a router waits after a failure.
    pub fn retry(&self) -> Duration {
        Duration::from_secs(self.retry.into())
    }

    /// How long a router uses what it has without hearing from the cache.
    pub fn expire(&self) -> Duration {
        Duration::from_secs(self.expire.into())
    }

    /// The three values in seconds, in wire order.
    pub const fn seconds(&self) -> [u32; 3] {
        [self.refresh, self.retry, self.expire]
    }

    /// Whether a router has time for two retries after a missed refresh before it drops what it
    /// has; the configuration warns when not (CONFORMANCE TIM-08).
    pub const fn leaves_time_to_retry(&self) -> bool {
        self.expire >= self.refresh + 2 * self.retry
    }
}

/// Timers that RFC 8210 §6 forbids.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TimingError {
    /// Expire is not larger than refresh and retry.
    Expire {
        /// The values.
        timing: Timing,
    },
    /// A value is out of its range.
    Range {
        /// Which one.
        name: &'static str,
        /// What it is.
        found: Duration,
        /// The lowest value allowed, in seconds.
        lowest: u32,
        /// The highest value allowed, in seconds.
        highest: u32,
    },
}

impl fmt::Display for TimingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expire {
                timing:
                    Timing {
                        refresh,
                        retry,
                        expire,
                    },
            } => write!(
                f,
                "expire ({expire} s) must be larger than refresh ({refresh} s) and retry ({retry} s)"
            ),
            Self::Range {
                name,
                found,
                lowest,
                highest,
            } => {
                write!(
                    f,
                    "{name} is {} s, allowed are {lowest} to {highest} s",
                    found.as_secs()
                )
            }
        }
    }
}

impl std::error::Error for TimingError {}
