//! A limit on what peers and sources can make us say.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets a few lines through at once and one a second in the long run, so that nobody outside fills a log.
#[derive(Debug)]
pub struct Voice {
    /// When the allowance would be whole again.
    full_at: Mutex<Instant>,
}

impl Default for Voice {
    /// A voice that has said nothing.
    fn default() -> Self {
        Self {
            full_at: Mutex::new(Instant::now()),
        }
    }
}

impl Voice {
    /// Lines at once.
    const BURST: u32 = 20;

    /// The time that a line costs.
    const COST: Duration = Duration::from_secs(1);

    /// Whether a line may be written now.
    pub fn may_speak(&self) -> bool {
        let now = Instant::now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*full_at).max(now) + Self::COST;
        let allowed = next <= now + Self::COST * Self::BURST;
        if allowed {
            *full_at = next;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_no_more() {
        let voice = Voice::default();
        let said = (0..1_000).filter(|_| voice.may_speak()).count();
        assert!((20..=21).contains(&said), "{said}");
    }
}
