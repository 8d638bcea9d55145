//! What handshakes may cost, before anybody has proven anything.
//!
//! A handshake begins with a turn, and there are few turns at once. A turn ends with the handshake
//! when it succeeds, and else after [`TURN`]: one that fails sooner keeps it for so long, so that
//! failures begin at a bounded rate, whatever they cost; one that takes longer goes on without it,
//! so that peers who let us wait keep nobody out. And one network has at most half of the turns,
//! so that others find one at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::net::gate::Network;
use crate::net::{Reason, Refused};

/// How long a turn takes: many times what a handshake needs of a processor, and the round trips of
/// a near router.
pub const TURN: Duration = Duration::from_millis(50);

/// Turns of handshakes, shared by all listeners.
#[derive(Debug)]
pub struct Handshakes {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    all: Arc<Semaphore>,
    /// Networks with a handshake that has a turn or waits for one: no more than connections.
    shares: HashMap<Network, Share>,
}

/// The part of a network.
#[derive(Debug)]
struct Share {
    turns: Arc<Semaphore>,
    users: usize,
}

impl Handshakes {
    /// So many turns at once; at least one.
    pub fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                limit: bounded(limit),
                all: Arc::new(Semaphore::new(bounded(limit))),
                shares: HashMap::new(),
            }),
        }
    }

    /// Makes them more or fewer, for those who come from now on. Turns that are taken end soon.
    pub fn resize(&self, limit: usize) {
        let mut state = self.state();
        if state.limit != bounded(limit) {
            state.limit = bounded(limit);
            state.all = Arc::new(Semaphore::new(bounded(limit)));
            for share in state.shares.values_mut() {
                share.turns = Arc::new(Semaphore::new(part(bounded(limit))));
            }
        }
    }

    /// Waits for a turn of a peer with this address. Those of one network have theirs in the order
    /// in which they came.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that was dropped takes no turn.
    pub async fn turn(&self, address: IpAddr) -> Turn<'_> {
        let network = Network::of(address);
        let (own, all) = self.state().join(network);
        let user = User {
            handshakes: self,
            network,
        };
        // They are never closed, so there is always a permit.
        let own = own.acquire_owned().await.ok();
        let all = all.acquire_owned().await.ok();
        Turn {
            end: Instant::now() + TURN,
            _permits: [own, all],
            _user: user,
        }
    }

    /// A panic while it was locked cannot have left it half-changed in a way that matters.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn join(&mut self, network: Network) -> (Arc<Semaphore>, Arc<Semaphore>) {
        let limit = self.limit;
        let share = self.shares.entry(network).or_insert_with(|| Share {
            turns: Arc::new(Semaphore::new(part(limit))),
            users: 0,
        });
        share.users += 1;
        (Arc::clone(&share.turns), Arc::clone(&self.all))
    }

    fn leave(&mut self, network: Network) {
        if let Some(share) = self.shares.get_mut(&network) {
            share.users = share.users.saturating_sub(1);
            if share.users == 0 {
                self.shares.remove(&network);
            }
        }
    }
}

fn bounded(limit: usize) -> usize {
    limit.clamp(1, Semaphore::MAX_PERMITS)
}

/// What one network may have of so many turns.
fn part(limit: usize) -> usize {
    (limit / 2).max(1)
}

/// A turn for one handshake.
#[derive(Debug)]
pub struct Turn<'h> {
    end: Instant,
    _permits: [Option<OwnedSemaphorePermit>; 2],
    _user: User<'h>,
}

impl Turn<'_> {
    /// Carries a handshake out, until the deadline.
    ///
    /// # Errors
    ///
    /// When it fails, or takes too long.
    pub async fn run<T>(
        self,
        deadline: Instant,
        handshake: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        let mut handshake = std::pin::pin!(handshake);
        match timeout_at(self.end.min(deadline), &mut handshake).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(refused)) => {
                sleep_until(self.end).await;
                Err(refused)
            }
            Err(_) => {
                drop(self);
                let late = |_| Refused::new(Reason::Deadline, "the handshake took too long");
                timeout_at(deadline, handshake).await.map_err(late)?
            }
        }
    }
}

/// Somebody who has a turn, or waits for one.
#[derive(Debug)]
struct User<'h> {
    handshakes: &'h Handshakes,
    network: Network,
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.handshakes.state().leave(self.network);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::task::JoinSet;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    /// A handshake that goes well at once; how long it took.
    async fn good(handshakes: &Handshakes, address: &str) -> Duration {
        let begin = Instant::now();
        let turn = handshakes.turn(address.parse().unwrap()).await;
        turn.run(begin + DEADLINE, ready(Ok(()))).await.unwrap();
        begin.elapsed()
    }

    /// Peers that begin and say no more.
    fn half_open(handshakes: &Arc<Handshakes>, number: u32, address: &'static str) -> JoinSet<()> {
        let mut peers = JoinSet::new();
        for _ in 0..number {
            let handshakes = Arc::clone(handshakes);
            peers.spawn(async move {
                let deadline = Instant::now() + DEADLINE;
                let turn = handshakes.turn(address.parse().unwrap()).await;
                let refused = turn.run(deadline, pending::<Result<(), _>>()).await;
                assert_eq!(refused.unwrap_err().reason, Reason::Deadline);
            });
        }
        peers
    }

    /// Until so many have a turn or wait for one.
    async fn all_have_come(handshakes: &Handshakes, number: usize) {
        let users = || {
            let state = handshakes.state();
            state
                .shares
                .values()
                .map(|share| share.users)
                .sum::<usize>()
        };
        while users() < number {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_open_handshakes_keep_nobody_out() {
        let handshakes = Arc::new(Handshakes::new(16));
        let mut peers = half_open(&handshakes, 200, "192.0.2.1");
        all_have_come(&handshakes, 200).await;
        assert_eq!(good(&handshakes, "198.51.100.1").await, Duration::ZERO);
        // Of the same network one waits in line, behind 200 turns of eight at once.
        let waited = good(&handshakes, "192.0.2.2").await;
        assert_eq!(waited, TURN * 200 / 8);
        // They are still half open, and nobody waits any more.
        assert_eq!(good(&handshakes, "192.0.2.1").await, Duration::ZERO);
        while let Some(done) = peers.join_next().await {
            done.unwrap();
        }
        assert!(handshakes.state().shares.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_begin_at_a_bounded_rate_and_successes_do_not() {
        let handshakes = Arc::new(Handshakes::new(16));
        let mut peers = JoinSet::new();
        let begin = Instant::now();
        for number in 0..1_600u32 {
            let handshakes = Arc::clone(&handshakes);
            peers.spawn(async move {
                let address = IpAddr::V4((number << 8).into());
                let turn = handshakes.turn(address).await;
                let failure = Refused::new(Reason::Protocol, "no hello");
                let failed = turn.run(begin + DEADLINE, ready(Err::<(), _>(failure)));
                assert!(failed.await.is_err());
            });
        }
        while let Some(done) = peers.join_next().await {
            done.unwrap();
        }
        assert_eq!(begin.elapsed(), TURN * 1_600 / 16);
        for _ in 0..1_000 {
            assert_eq!(good(&handshakes, "192.0.2.1").await, Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_takes_no_turn() {
        let handshakes = Arc::new(Handshakes::new(1));
        let turn = handshakes.turn("192.0.2.1".parse().unwrap()).await;
        let waiting = handshakes.turn("192.0.2.2".parse().unwrap());
        assert!(tokio::time::timeout(TURN, waiting).await.is_err());
        drop(turn);
        assert_eq!(good(&handshakes, "192.0.2.3").await, Duration::ZERO);
        assert!(handshakes.state().shares.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn other_limits_count_at_once() {
        let handshakes = Arc::new(Handshakes::new(2));
        let _peers = half_open(&handshakes, 2, "192.0.2.1");
        all_have_come(&handshakes, 2).await;
        handshakes.resize(0);
        assert_eq!(good(&handshakes, "198.51.100.1").await, Duration::ZERO);
        let _turn = handshakes.turn("198.51.100.1".parse().unwrap()).await;
        let waiting = handshakes.turn("203.0.113.1".parse().unwrap());
        assert!(tokio::time::timeout(TURN, waiting).await.is_err());
    }
}
