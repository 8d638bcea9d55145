//! Work that takes a processor and memory, one piece at a time, behind a short queue.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// A queue before a desk where one is served at a time.
pub(super) struct Queue {
    desk: Arc<Semaphore>,
    /// Who waits or is served, by network.
    inside: Mutex<Vec<IpAddr>>,
    turned_away: AtomicU64,
}

/// There was no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

impl Queue {
    /// Who may be inside at once. At the default cost of a hash a password takes less than 100 ms,
    /// so the last one is served before the deadline of a handshake, and a hundred routers that
    /// come back at once all are.
    pub(super) const PLACES: usize = 128;

    /// Who may be inside from one network: nobody can fill all places from one.
    pub(super) const SHARE: usize = 32;

    pub(super) fn new() -> Self {
        Self {
            desk: Arc::new(Semaphore::new(1)),
            inside: Mutex::new(Vec::new()),
            turned_away: AtomicU64::new(0),
        }
    }

    /// How many found no place so far.
    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Does work on a thread of its own when its turn comes, first come, first served.
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
        &self,
        from: IpAddr,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Full> {
        let Some(_place) = self.enter(from) else {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return Err(Full);
        };
        let turn = Arc::clone(&self.desk).acquire_owned().await;
        let turn = turn.map_err(|_| Full)?;
        let task = move || {
            let done = work();
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(task).await.map_err(|_| Full)
    }

    fn enter(&self, from: IpAddr) -> Option<Place<'_>> {
        let network = network(from);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let own = inside.iter().filter(|other| **other == network).count();
        if inside.len() >= Self::PLACES || own >= Self::SHARE {
            return None;
        }
        inside.push(network);
        Some(Place {
            queue: self,
            network,
        })
    }
}

/// An IPv4 address, or the /64 of an IPv6 address, which one host can have all of.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// A place, given back when it is dropped.
struct Place<'a> {
    queue: &'a Queue,
    network: IpAddr,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inside = self
            .queue
            .inside
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = inside.iter().position(|other| *other == self.network) {
            inside.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::task::{JoinHandle, JoinSet};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn address(number: usize) -> IpAddr {
        let number = u16::try_from(number).unwrap();
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, number, 0, 0, 0, 1))
    }

    fn inside(queue: &Queue) -> usize {
        queue.inside.lock().unwrap().len()
    }

    /// Keeps the desk busy until the sender is used or dropped.
    async fn busy(queue: &Arc<Queue>) -> (JoinHandle<Result<(), Full>>, mpsc::Sender<()>) {
        let (end, ended) = mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
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

    /// Lets all tasks run that can.
    async fn settle(queue: &Queue, expected: usize) {
        let settled = async {
            while inside(queue) != expected {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.unwrap();
    }

    #[tokio::test]
    async fn places_are_bounded_and_come_back() {
        let queue = Arc::new(Queue::new());
        let (first, end) = busy(&queue).await;
        let mut waiting = JoinSet::new();
        for number in 1..Queue::PLACES {
            let queue = Arc::clone(&queue);
            waiting.spawn(async move { queue.run(address(number), || ()).await });
        }
        settle(&queue, Queue::PLACES).await;
        assert_eq!(queue.run(address(999), || ()).await, Err(Full));
        assert_eq!(queue.turned_away(), 1);
        // Those who give up make room.
        waiting.abort_all();
        while waiting.join_next().await.is_some() {}
        assert_eq!(inside(&queue), 1);
        let another = {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.run(address(999), || 7).await })
        };
        settle(&queue, 2).await;
        end.send(()).unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(another.await.unwrap(), Ok(7));
        assert_eq!((inside(&queue), queue.turned_away()), (0, 1));
    }

    #[tokio::test]
    async fn one_network_cannot_take_all_places() {
        let queue = Queue::new();
        let near = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, host));
        let places: Vec<_> = (0..32)
            .map(|host| queue.enter(near(host)).unwrap())
            .collect();
        assert!(queue.enter(near(99)).is_none());
        assert!(queue.enter(address(8)).is_some());
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(network(mapped), "192.0.2.1".parse::<IpAddr>().unwrap());
        drop(places);
        assert!(queue.enter(near(99)).is_some());
    }

    #[tokio::test]
    async fn one_is_served_at_a_time_even_when_the_caller_is_gone() {
        let queue = Arc::new(Queue::new());
        let (first, end) = busy(&queue).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(inside(&queue), 0);
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
        assert_eq!(queue.desk.available_permits(), 0);
        end.send(()).unwrap();
        while let Some(done) = others.join_next().await {
            done.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_panic_frees_the_desk() {
        let queue = Queue::new();
        let broken = queue.run(address(1), || std::panic::panic_any(1)).await;
        assert_eq!(broken, Err(Full));
        assert_eq!(queue.run(address(1), || 7).await, Ok(7));
    }
}
