//! Whether a document is to be believed when it says how old it is.

use std::time::Duration;

use super::error::SourceError;
use super::list::List;
use crate::payload::UnixTime;

/// How far the clocks of a validator and of this host may be apart.
const SKEW: u64 = 3_600;

/// What a list says of its own age.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Claim {
    stated: Option<UnixTime>,
    valid: Option<UnixTime>,
    arrived: UnixTime,
}

impl From<&List> for Claim {
    fn from(list: &List) -> Self {
        Self {
            stated: list.stated,
            valid: list.valid,
            arrived: list.arrived,
        }
    }
}

impl Claim {
    /// Refuses what cannot be, and what is too old while there is something better: `last` is
    /// what was delivered last. The first list passes whatever its age, because its age is known
    /// to whoever gets it, and only they know what an operator wants done with it.
    pub(super) fn judge(
        &self,
        last: Option<&Self>,
        max_age: Option<Duration>,
        now: UnixTime,
    ) -> Result<(), SourceError> {
        if let Some(stated) = self.stated
            && stated > now.plus(SKEW)
        {
            return Err(SourceError::FromFuture { stated, now });
        }
        let Some(last) = last else { return Ok(()) };
        match self.staleness(max_age, now) {
            Some(error) if last.moment() > self.moment() => Err(error),
            Some(error) if last.staleness(max_age, now).is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Why it is stale.
    fn staleness(&self, max_age: Option<Duration>, now: UnixTime) -> Option<SourceError> {
        if let Some(valid) = self.valid
            && valid <= now
        {
            return Some(SourceError::NotValid { valid });
        }
        let max_age = max_age?;
        let stated = self.moment();
        (now.since(stated) > max_age.as_secs()).then_some(SourceError::Stale { stated, max_age })
    }

    /// The moment from which its age counts.
    fn moment(&self) -> UnixTime {
        self.stated.unwrap_or(self.arrived)
    }
}

/// When what was refused for this is to be judged again, `None` for never: what is too old stays
/// so, and what is ahead of its time does not.
pub(super) fn again(error: &SourceError) -> Option<UnixTime> {
    match error {
        SourceError::FromFuture { stated, .. } => {
            Some(UnixTime::new(stated.seconds().saturating_sub(SKEW)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const MAX_AGE: Option<Duration> = Some(Duration::from_secs(DAY));
    const NOW: UnixTime = UnixTime::new(1_000 * DAY);

    fn claim(age: u64) -> Claim {
        Claim {
            stated: Some(UnixTime::new(NOW.seconds() - age)),
            valid: None,
            arrived: NOW,
        }
    }

    fn verdict(claim: &Claim, last: Option<&Claim>) -> &'static str {
        match claim.judge(last, MAX_AGE, NOW) {
            Ok(()) => "good",
            Err(error) => error.kind(),
        }
    }

    #[test]
    fn an_hour_into_the_future_is_a_clock_and_more_is_an_error() {
        let ahead = |seconds| Claim {
            stated: Some(NOW.plus(seconds)),
            ..claim(0)
        };
        assert_eq!(verdict(&ahead(3_600), None), "good");
        assert_eq!(verdict(&ahead(3_601), None), "future");
        assert_eq!(verdict(&ahead(3_601), Some(&claim(0))), "future");
    }

    #[test]
    fn what_is_stale_passes_only_when_there_is_nothing_fresher() {
        let (stale, older) = (claim(DAY + 1), claim(DAY + 2));
        assert_eq!(verdict(&stale, None), "good");
        assert_eq!(verdict(&stale, Some(&older)), "good");
        assert_eq!(verdict(&stale, Some(&stale)), "good");
        assert_eq!(verdict(&stale, Some(&claim(5))), "stale");
        assert_eq!(verdict(&older, Some(&stale)), "stale");
        assert_eq!(verdict(&claim(DAY), Some(&claim(5))), "good");
        assert!(stale.judge(Some(&claim(5)), None, NOW).is_ok());
    }

    #[test]
    fn what_is_no_longer_valid_is_stale_whatever_its_age() {
        let until = |valid: UnixTime| Claim {
            valid: Some(valid),
            ..claim(60)
        };
        let passed = until(NOW);
        assert_eq!(verdict(&passed, None), "good");
        assert_eq!(verdict(&passed, Some(&claim(5))), "stale");
        assert!(passed.judge(Some(&claim(5)), None, NOW).is_err());
        assert_eq!(verdict(&until(NOW.plus(1)), Some(&claim(5))), "good");
    }

    #[test]
    fn what_states_no_time_is_as_old_as_its_arrival() {
        let silent = |age| Claim {
            stated: None,
            valid: None,
            arrived: UnixTime::new(NOW.seconds() - age),
        };
        assert_eq!(verdict(&silent(DAY + 1), Some(&silent(0))), "stale");
        assert_eq!(verdict(&silent(DAY), Some(&silent(0))), "good");
        assert_eq!(verdict(&silent(0), Some(&silent(5))), "good");
    }
}
