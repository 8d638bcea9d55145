//! One is served at a time: work that takes a processor and memory, behind a fair queue.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::super::gate::Network;
use super::penalty::Penalties;

/// What all listeners of the process share: several that take passwords must not take the memory
/// and the processors of several.
pub(super) struct Desks {
    /// Who guesses.
    pub(super) penalties: Penalties,
    /// Passwords that are hashed.
    pub(super) passwords: Arc<Queue>,
    /// Key exchanges with a finite field, which take up to a tenth of a second and more.
    pub(super) heavy: Arc<Queue>,
    /// All other key exchanges.
    pub(super) light: Arc<Queue>,
}

/// A queue before a desk where one is served at a time, one of each network in turn.
pub(super) struct Queue {
    places: Places,
    state: Mutex<State>,
    turned_away: AtomicU64,
}

/// How a queue is bounded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Who may wait.
    pub(super) total: usize,
    /// Who may wait from one network.
    pub(super) per_network: usize,
    /// How many times as long as it was busy the desk rests after each.
    pub(super) rest: u32,
}

#[derive(Default)]
struct State {
    busy: bool,
    /// When the desk has rested.
    rested: Option<Instant>,
    waiting: usize,
    lines: HashMap<Network, VecDeque<Ticket>>,
    /// The networks that have a line, the next one first.
    order: VecDeque<Network>,
    next: u64,
}

struct Ticket {
    number: u64,
    call: oneshot::Sender<Turn>,
}

/// There was no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

/// The longest rest, whatever a desk was busy with.
const LONGEST_REST: Duration = Duration::from_secs(1);

impl Desks {
    /// Those of the process.
    pub(super) fn shared() -> &'static Self {
        static DESKS: LazyLock<Desks> = LazyLock::new(|| {
            let desk = |total, per_network, rest| {
                Queue::new(Places {
                    total,
                    per_network,
                    rest,
                })
            };
            Desks {
                penalties: Penalties::default(),
                // At the default cost a hash takes less than 100 ms; each waits in a handshake,
                // which has a deadline.
                passwords: desk(1_024, 16, 0),
                // A quarter of one processor at most, and 64 times a tenth of a second in all.
                heavy: desk(64, 2, 3),
                // A millisecond or two each: half of one processor at most.
                light: desk(4_096, 256, 1),
            }
        });
        &DESKS
    }
}

impl Queue {
    pub(super) fn new(places: Places) -> Arc<Self> {
        Arc::new(Self {
            places,
            state: Mutex::default(),
            turned_away: AtomicU64::new(0),
        })
    }

    /// How many found no place so far.
    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// When there is no place, which shows at once.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped has given its place back.
    pub(super) async fn turn(self: Arc<Self>, from: IpAddr) -> Result<Turn, Full> {
        let turn = match self.enter(Network::of(from.to_canonical()))? {
            Entered::Served(turn) => turn,
            Entered::Waits(mut wait) => (&mut wait.called).await.map_err(|_| Full)?,
        };
        let rested = self.state().rested;
        if let Some(rested) = rested {
            sleep_until(rested).await;
        }
        Ok(turn)
    }

    /// Does work on a thread of its own when its turn comes.
    ///
    /// # Errors
    ///
    /// When there is no place, which shows at once, or the work panics.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped gives its place back. Work that has begun goes on without
    /// effect, and the next one waits for its end.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        from: IpAddr,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Full> {
        let turn = Arc::clone(self).turn(from).await?;
        let task = move || {
            let done = work();
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(task).await.map_err(|_| Full)
    }

    fn enter(self: &Arc<Self>, network: Network) -> Result<Entered, Full> {
        let mut state = self.state();
        if !state.busy {
            state.busy = true;
            drop(state);
            return Ok(Entered::Served(Turn::new(Arc::clone(self))));
        }
        let own = state.lines.get(&network).map_or(0, VecDeque::len);
        if state.waiting >= self.places.total || own >= self.places.per_network {
            drop(state);
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return Err(Full);
        }
        let (number, called) = state.line_up(network);
        drop(state);
        Ok(Entered::Waits(Wait {
            queue: Arc::clone(self),
            network,
            number,
            called,
        }))
    }

    /// A panic while it was locked cannot have left it half-changed in a way that matters.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn line_up(&mut self, network: Network) -> (u64, oneshot::Receiver<Turn>) {
        let (call, called) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        self.waiting += 1;
        let line = self.lines.entry(network).or_default();
        if line.is_empty() {
            self.order.push_back(network);
        }
        line.push_back(Ticket { number, call });
        (number, called)
    }

    /// Who is next; its network is then the last.
    fn call(&mut self) -> Option<Ticket> {
        let network = self.order.pop_front()?;
        let line = self.lines.get_mut(&network)?;
        let ticket = line.pop_front()?;
        self.waiting -= 1;
        match line.is_empty() {
            true => drop(self.lines.remove(&network)),
            false => self.order.push_back(network),
        }
        Some(ticket)
    }

    fn leave(&mut self, network: Network, number: u64) {
        let Some(line) = self.lines.get_mut(&network) else {
            return;
        };
        let before = line.len();
        line.retain(|ticket| ticket.number != number);
        self.waiting -= before - line.len();
        if line.is_empty() {
            self.lines.remove(&network);
            self.order.retain(|other| *other != network);
        }
    }
}

enum Entered {
    Served(Turn),
    Waits(Wait),
}

/// A place in the queue, given back when it is dropped.
struct Wait {
    queue: Arc<Queue>,
    network: Network,
    number: u64,
    called: oneshot::Receiver<Turn>,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.queue.state().leave(self.network, self.number);
    }
}

/// A turn at the desk, which ends when it is dropped.
pub(super) struct Turn {
    queue: Option<Arc<Queue>>,
    /// When the desk became busy.
    begun: Option<Instant>,
}

impl Turn {
    const fn new(queue: Arc<Queue>) -> Self {
        Self {
            queue: Some(queue),
            begun: None,
        }
    }

    /// What the desk rests from begins now.
    pub(super) fn begin(&mut self) {
        self.begun = Some(Instant::now());
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else {
            return;
        };
        if let Some(begun) = self.begun {
            let rest = begun.elapsed().saturating_mul(queue.places.rest);
            queue.state().rested = Some(Instant::now() + rest.min(LONGEST_REST));
        }
        loop {
            let mut state = queue.state();
            let Some(ticket) = state.call() else {
                state.busy = false;
                return;
            };
            drop(state);
            match ticket.call.send(Self::new(Arc::clone(&queue))) {
                Ok(()) => return,
                // It has just gone: the turn is the next one's.
                Err(mut turn) => turn.queue = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use tokio::task::{JoinHandle, JoinSet};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn queue(total: usize, per_network: usize, rest: u32) -> Arc<Queue> {
        Queue::new(Places {
            total,
            per_network,
            rest,
        })
    }

    fn address(number: u16) -> IpAddr {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 1))
    }

    fn waiting(queue: &Queue) -> usize {
        queue.state().waiting
    }

    /// Lets all tasks run that can.
    async fn settle(queue: &Queue, expected: usize) {
        let settled = async {
            while waiting(queue) != expected {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.unwrap();
    }

    /// Keeps the desk busy until the sender is used or dropped.
    async fn busy(queue: &Arc<Queue>) -> (JoinHandle<Result<(), Full>>, mpsc::Sender<()>) {
        let (end, ended) = mpsc::channel::<()>();
        let (begin, begun) = oneshot::channel();
        let queue = Arc::clone(queue);
        let task = tokio::spawn(async move {
            let work = move || {
                begin.send(()).unwrap();
                let _ = ended.recv_timeout(PATIENCE);
            };
            queue.run(address(0), work).await
        });
        begun.await.unwrap();
        (task, end)
    }

    #[tokio::test]
    async fn places_are_bounded_and_come_back() {
        let queue = queue(5, 3, 0);
        let served = Arc::clone(&queue).turn(address(0)).await;
        let mut waiters = JoinSet::new();
        for network in [1, 1, 1, 2, 3] {
            waiters.spawn(Arc::clone(&queue).turn(address(network)));
        }
        settle(&queue, 5).await;
        assert!(Arc::clone(&queue).turn(address(9)).await.is_err());
        // Those who give up make room at once.
        waiters.abort_all();
        while waiters.join_next().await.is_some() {}
        assert_eq!(waiting(&queue), 0);
        for _ in 0..3 {
            waiters.spawn(Arc::clone(&queue).turn(address(1)));
        }
        settle(&queue, 3).await;
        assert!(Arc::clone(&queue).turn(address(1)).await.is_err());
        assert_eq!(queue.turned_away(), 2);
        drop(served);
        while let Some(done) = waiters.join_next().await {
            drop(done.unwrap().unwrap());
        }
        let state = queue.state();
        assert!(!state.busy && state.lines.is_empty() && state.order.is_empty());
    }

    #[tokio::test]
    async fn networks_take_turns() {
        let queue = queue(100, 100, 0);
        let served = Arc::clone(&queue).turn(address(0)).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = JoinSet::new();
        for (number, network) in [1, 1, 1, 2, 3].into_iter().enumerate() {
            let (queue, order) = (Arc::clone(&queue), Arc::clone(&order));
            waiters.spawn({
                let queue = Arc::clone(&queue);
                async move {
                    let _turn = queue.turn(address(network)).await.unwrap();
                    order.lock().unwrap().push(network);
                }
            });
            settle(&queue, number + 1).await;
        }
        drop(served);
        while let Some(done) = waiters.join_next().await {
            done.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [1, 2, 3, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_desk_rests_for_as_long_as_it_was_busy_and_more() {
        let queue = queue(10, 10, 3);
        let mut turn = Arc::clone(&queue).turn(address(1)).await.unwrap();
        turn.begin();
        tokio::time::advance(Duration::from_millis(100)).await;
        let begin = Instant::now();
        drop(turn);
        drop(Arc::clone(&queue).turn(address(2)).await.unwrap());
        let rest = begin.elapsed();
        assert!((300..=310).contains(&rest.as_millis()), "{rest:?}");
    }

    #[tokio::test]
    async fn one_is_served_at_a_time_even_when_the_caller_is_gone() {
        let queue = queue(20, 20, 0);
        let (first, end) = busy(&queue).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        // The work of the one who left still has the desk.
        let served = Arc::new(AtomicUsize::new(0));
        let mut others = JoinSet::new();
        for number in 0..10 {
            let (queue, served) = (Arc::clone(&queue), Arc::clone(&served));
            others.spawn(async move {
                let work = move || {
                    assert_eq!(served.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    served.fetch_sub(1, Ordering::SeqCst);
                };
                queue.run(address(number), work).await
            });
        }
        settle(&queue, 10).await;
        assert!(queue.state().busy);
        end.send(()).unwrap();
        while let Some(done) = others.join_next().await {
            done.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_panic_frees_the_desk() {
        let queue = queue(1, 1, 0);
        let broken = queue.run(address(1), || std::panic::panic_any(1)).await;
        assert_eq!(broken, Err(Full));
        assert_eq!(queue.run(address(1), || 7).await, Ok(7));
    }
}
