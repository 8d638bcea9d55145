//! Which of several sources is used when one is enough.

use std::time::{Duration, Instant};

/// What a choice has to know of a source.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// Since when it has been fresh without a break; `None` while it is not.
    pub fresh_since: Option<Instant>,
    /// Whether it was fresh before and then was not.
    pub relapsed: bool,
}

impl Standing {
    /// Takes in whether it is fresh now.
    pub fn observe(&mut self, fresh: bool, now: Instant) {
        match (self.fresh_since, fresh) {
            (None, true) => self.fresh_since = Some(now),
            (Some(_), false) => {
                self.fresh_since = None;
                self.relapsed = true;
            }
            _ => {}
        }
    }
}

/// The source in use, and when to choose again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Choice {
    /// Its place; `None` when none is fresh.
    pub place: Option<usize>,
    /// When a better one will have been fresh for long enough.
    pub again: Option<Instant>,
}

/// The first fresh source, except that one which failed before is gone back to only after it has
/// been fresh for `hysteresis`: a source that comes and goes must not take the routers with it.
pub fn choose(
    active: Option<usize>,
    standings: &[Standing],
    hysteresis: Duration,
    now: Instant,
) -> Choice {
    let fresh = |place: &usize| {
        let standing = standings.get(*place);
        standing.is_some_and(|standing| standing.fresh_since.is_some())
    };
    let places = 0..standings.len();
    let Some(active) = active.filter(fresh) else {
        return Choice {
            place: places.into_iter().find(fresh),
            again: None,
        };
    };
    let mut again: Option<Instant> = None;
    for (place, standing) in standings.iter().enumerate().take(active) {
        let Some(since) = standing.fresh_since else {
            continue;
        };
        let ripe = match standing.relapsed {
            false => since,
            true => since + hysteresis,
        };
        if ripe <= now {
            return Choice {
                place: Some(place),
                again,
            };
        }
        again = Some(again.map_or(ripe, |again| again.min(ripe)));
    }
    Choice {
        place: Some(active),
        again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(600);

    #[test]
    fn the_first_fresh_source_is_used_at_once_when_none_was() {
        let now = Instant::now();
        let mut standings = [Standing::default(); 3];
        assert_eq!(choose(None, &standings, WAIT, now).place, None);
        standings[2].observe(true, now);
        assert_eq!(choose(None, &standings, WAIT, now).place, Some(2));
        // One that was never lost needs no trial.
        standings[0].observe(true, now);
        assert_eq!(choose(Some(2), &standings, WAIT, now).place, Some(0));
    }

    #[test]
    fn a_source_that_failed_is_gone_back_to_after_a_while() {
        let start = Instant::now();
        let mut standings = [Standing::default(); 2];
        standings.iter_mut().for_each(|s| s.observe(true, start));
        standings[0].observe(false, start);
        assert_eq!(choose(Some(0), &standings, WAIT, start).place, Some(1));
        let back = start + Duration::from_secs(60);
        standings[0].observe(true, back);
        let waits = choose(Some(1), &standings, WAIT, back);
        assert_eq!(
            waits,
            Choice {
                place: Some(1),
                again: Some(back + WAIT)
            }
        );
        assert_eq!(
            choose(Some(1), &standings, WAIT, back + WAIT).place,
            Some(0)
        );
        // What comes and goes begins its trial anew.
        standings[0].observe(false, back);
        standings[0].observe(true, back + WAIT);
        assert_eq!(
            choose(Some(1), &standings, WAIT, back + WAIT).place,
            Some(1)
        );
    }

    #[test]
    fn a_source_on_trial_is_better_than_none() {
        let start = Instant::now();
        let mut standings = [Standing::default(); 2];
        standings[0].observe(true, start);
        standings[0].observe(false, start);
        standings[0].observe(true, start);
        assert_eq!(choose(Some(1), &standings, WAIT, start).place, Some(0));
    }
}
