//! Whether a server is asked to wait for news.

use std::time::Duration;

use tokio::time::Instant;

/// What is known of a server's patience.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Waits in a row that broke off.
    broken: u32,
    /// Until when it is not asked to wait again.
    refused_until: Option<Instant>,
    /// Whether the last wait ended at once.
    hasty: bool,
}

impl Patience {
    /// Waits that break off in a row until something on the way seems not to bear them.
    const BROKEN: u32 = 3;

    /// How long a server that does not wait is not asked to: it may learn.
    const REFUSED: Duration = Duration::from_secs(600);

    /// A wait that brings nothing and is over sooner was none.
    const HASTY: Duration = Duration::from_secs(1);

    /// Whether to ask it to wait.
    pub(super) fn may_wait(&self) -> bool {
        self.refused_until
            .is_none_or(|until| until <= Instant::now())
    }

    /// Whether to let some time pass after something that brought nothing new.
    pub(super) const fn is_hasty(&self) -> bool {
        self.hasty
    }

    /// It has waited that long, or until there was news.
    pub(super) fn waited(&mut self, took: Duration) {
        self.broken = 0;
        self.refused_until = None;
        self.hasty = took < Self::HASTY;
    }

    /// It has answered as if it had not been asked to wait.
    pub(super) fn refused(&mut self) {
        self.broken = 0;
        self.refused_until = Some(Instant::now() + Self::REFUSED);
    }

    /// The wait came to no end.
    pub(super) fn broke(&mut self) {
        self.broken += 1;
        if self.broken >= Self::BROKEN {
            self.refused();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_wait_is_asked_to_again_much_later() {
        let mut patience = Patience::default();
        assert!(patience.may_wait());
        patience.refused();
        assert!(!patience.may_wait());
        tokio::time::advance(Patience::REFUSED).await;
        assert!(patience.may_wait());
    }

    #[tokio::test(start_paused = true)]
    async fn waits_may_break_off_now_and_then_but_not_in_a_row() {
        let mut patience = Patience::default();
        for _ in 0..10 {
            patience.broke();
            patience.broke();
            assert!(patience.may_wait());
            patience.waited(Duration::from_secs(25));
        }
        for _ in 0..Patience::BROKEN {
            assert!(patience.may_wait());
            patience.broke();
        }
        assert!(!patience.may_wait());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_over_at_once_is_none() {
        let mut patience = Patience::default();
        assert!(!patience.is_hasty());
        patience.waited(Duration::from_millis(999));
        assert!(patience.is_hasty());
        patience.waited(Duration::from_secs(1));
        assert!(!patience.is_hasty());
    }
}
