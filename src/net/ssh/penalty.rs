//! What guessing passwords costs: those who fail often wait, and with them their network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::gate::Network;

/// Failures by network.
#[derive(Default)]
pub(super) struct Penalties {
    failures: Mutex<HashMap<Network, Failures>>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Failures that cost nothing: a router with an old password tries a few times.
const FREE: u32 = 10;

/// How long a network has to be quiet until its failures are forgotten.
const MEMORY: Duration = Duration::from_secs(60);

/// The first wait; it doubles with each failure.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait, which a handshake has time for.
const LONGEST: Duration = Duration::from_secs(16);

/// Networks that are remembered. When there are more, the one that was quiet for longest is not.
const NETWORKS: usize = 4096;

impl Penalties {
    /// How long the next attempt has to wait.
    pub(super) fn wait(&self, from: IpAddr) -> Duration {
        let failures = self.failures();
        let known = failures.get(&network(from)).filter(|known| known.counts());
        match known.and_then(|known| known.count.checked_sub(FREE)) {
            None => Duration::ZERO,
            Some(more) => FIRST.saturating_mul(1 << more.min(16)).min(LONGEST),
        }
    }

    /// Remembers a failure.
    pub(super) fn failed(&self, from: IpAddr) {
        let network = network(from);
        let mut failures = self.failures();
        if failures.len() >= NETWORKS && !failures.contains_key(&network) {
            let oldest = failures.iter().min_by_key(|(_, known)| known.last);
            if let Some(oldest) = oldest.map(|(network, _)| *network) {
                failures.remove(&oldest);
            }
        }
        let known = failures.get(&network).filter(|known| known.counts());
        let count = known.map_or(0, |known| known.count).saturating_add(1);
        let last = Instant::now();
        failures.insert(network, Failures { count, last });
    }

    /// Forgets the failures of a network where somebody knows a password.
    pub(super) fn succeeded(&self, from: IpAddr) {
        self.failures().remove(&network(from));
    }

    /// A panic while it was locked cannot have left it half-changed in a way that matters.
    fn failures(&self) -> MutexGuard<'_, HashMap<Network, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    fn counts(&self) -> bool {
        self.last.elapsed() < MEMORY
    }
}

fn network(address: IpAddr) -> Network {
    Network::of(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_double_until_a_success_or_silence() {
        let penalties = Penalties::default();
        let near: IpAddr = "192.0.2.1".parse().unwrap();
        let wait = || {
            penalties
                .wait("::ffff:192.0.2.99".parse().unwrap())
                .as_secs()
        };
        for _ in 0..9 {
            penalties.failed(near);
        }
        assert_eq!(wait(), 0);
        for expected in [1, 2, 4, 8, 16, 16] {
            penalties.failed(near);
            assert_eq!(wait(), expected);
        }
        assert_eq!(penalties.wait("198.51.100.1".parse().unwrap()).as_secs(), 0);
        tokio::time::advance(MEMORY).await;
        assert_eq!(wait(), 0);
        penalties.failed(near);
        assert_eq!(wait(), 0, "the old ones are forgotten");
        for _ in 0..9 {
            penalties.failed(near);
        }
        assert_eq!(wait(), 1);
        penalties.succeeded(near);
        assert_eq!(wait(), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let penalties = Penalties::default();
        for number in 0..5_000_u32 {
            penalties.failed(IpAddr::V4((number << 8).into()));
        }
        assert_eq!(penalties.failures().len(), NETWORKS);
    }
}
