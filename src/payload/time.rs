//! Moments of the calendar, as documents state them.

use std::fmt;
use std::num::NonZeroU32;

/// Seconds since 1970-01-01T00:00:00Z.
///
/// Documents say when a payload expires or when they were made in this unit. It is a value that
/// the caller brings: nothing in the core reads a clock.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The moment that many seconds after the beginning of 1970.
    pub const fn new(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the beginning of 1970.
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// The moment `seconds` later.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this moment, 0 when it is not later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The four octets an attribute keeps: 1970 and everything before is second 1, everything
    /// after February 2106 the last second that fits.
    pub(super) fn packed(self) -> NonZeroU32 {
        let seconds = u32::try_from(self.0).unwrap_or(u32::MAX);
        NonZeroU32::new(seconds).unwrap_or(NonZeroU32::MIN)
    }

    /// The reverse of [`packed`](Self::packed).
    pub(super) fn unpacked(seconds: NonZeroU32) -> Self {
        Self(u64::from(seconds.get()))
    }
}

impl fmt::Display for UnixTime {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = i64::try_from(self.0)
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        match moment {
            Some(moment) => moment.fmt(f),
            None => write!(f, "{} s after 1970", self.0),
        }
    }
}
