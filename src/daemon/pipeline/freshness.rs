//! How old what a source says is, and what follows from that.

use std::time::Duration;

use crate::payload::UnixTime;

/// What is known of the age of a source's list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Age {
    /// When its author made it, if the author says so.
    pub stated: Option<UnixTime>,
    /// When it arrived here. A cache confirms its list with every End of Data, which is an
    /// arrival.
    pub arrived: UnixTime,
    /// Until when its author lets it count, if the author says so.
    pub valid: Option<UnixTime>,
    /// How old it may be; `None` for ever.
    pub max_age: Option<Duration>,
}

impl Age {
    /// From when on it is stale; `None` for never.
    pub fn stale_at(&self) -> Option<UnixTime> {
        let born = self.stated.unwrap_or(self.arrived);
        let aged = self.max_age.map(|age| born.plus(age.as_secs()));
        [aged, self.valid].into_iter().flatten().min()
    }

    /// Whether it can be relied on.
    pub fn is_fresh(&self, now: UnixTime) -> bool {
        self.stale_at().is_none_or(|at| now < at)
    }

    /// When an operator should hear that it is about to be stale: when three quarters of its
    /// time are over.
    pub fn announce_at(&self) -> Option<UnixTime> {
        let at = self.stale_at()?;
        let born = self.stated.unwrap_or(self.arrived);
        Some(born.plus(at.since(born) * 3 / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(stated: Option<u64>, valid: Option<u64>, max_age: Option<u64>) -> Age {
        Age {
            stated: stated.map(UnixTime::new),
            arrived: UnixTime::new(1_000),
            valid: valid.map(UnixTime::new),
            max_age: max_age.map(Duration::from_secs),
        }
    }

    fn stale_at(stated: Option<u64>, valid: Option<u64>, max_age: Option<u64>) -> Option<u64> {
        age(stated, valid, max_age)
            .stale_at()
            .map(UnixTime::seconds)
    }

    #[test]
    fn what_the_author_says_counts_before_the_arrival() {
        assert_eq!(stale_at(Some(900), None, Some(500)), Some(1_400));
        assert_eq!(stale_at(None, None, Some(500)), Some(1_500));
        assert_eq!(stale_at(Some(900), None, None), None);
    }

    #[test]
    fn an_author_can_set_an_earlier_end() {
        assert_eq!(stale_at(Some(900), Some(1_200), Some(500)), Some(1_200));
        assert_eq!(stale_at(Some(900), Some(9_999), Some(500)), Some(1_400));
        assert_eq!(stale_at(None, Some(1_200), None), Some(1_200));
    }

    #[test]
    fn it_is_announced_before_it_acts() {
        let age = age(Some(1_000), None, Some(400));
        assert_eq!(age.announce_at().map(UnixTime::seconds), Some(1_300));
        assert!(age.is_fresh(UnixTime::new(1_399)) && !age.is_fresh(UnixTime::new(1_400)));
    }
}
