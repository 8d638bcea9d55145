//! What is published, and how sessions hear of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Semaphore, watch};

use crate::rtr::Snapshot;
use crate::rtr::snapshot::{Answer, Generation};

/// The moment as every session sees it.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// What is served; `None` before the first data.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Whether what is served is a leader's history, which others may know to be further.
    pub mirrored: bool,
    /// Whether there is data that is kept from routers: no use in waiting for it.
    pub withheld: bool,
    /// The oldest generation of images that may still be sent from.
    pub oldest: u64,
    /// Whether the server stops: sessions end once nothing is under way.
    pub stopping: bool,
}

/// The one place where a snapshot is published. The pipeline alone writes; sessions subscribe to
/// the latest value and skip what they were too slow for.
#[derive(Debug)]
pub struct Store {
    moment: watch::Sender<Moment>,
    /// What was published last, which is not what is served while it is withheld.
    latest: Mutex<Option<Arc<Snapshot>>>,
    /// Makes one image at a time: the first session that needs one makes it for all.
    maker: Semaphore,
    generations: Mutex<VecDeque<Weak<Generation>>>,
}

impl Store {
    /// The most generations of images that live at once. A publication that would make one more
    /// ends the sessions that stall on the oldest, so slow routers cannot pile up memory.
    const GENERATIONS: usize = 4;

    /// A store without data.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            moment: watch::Sender::new(Moment::default()),
            latest: Mutex::default(),
            maker: Semaphore::new(1),
            generations: Mutex::default(),
        })
    }

    /// Hears of each publication, the latest first.
    pub fn subscribe(&self) -> watch::Receiver<Moment> {
        self.moment.subscribe()
    }

    /// What is served.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.moment.borrow().snapshot.clone()
    }

    /// What was published last, and what routers were told; served or not.
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.locked().clone()
    }

    /// Whether what was published last is kept from routers.
    pub fn is_withheld(&self) -> bool {
        self.moment.borrow().withheld
    }

    /// Keeps what was published last from routers: they are told that there is no data, and
    /// nothing by themselves.
    pub fn withhold(&self) {
        self.moment.send_if_modified(|moment| {
            let served = moment.snapshot.take().is_some();
            let news = served || !moment.withheld;
            moment.withheld = true;
            news
        });
    }

    /// Serves what was published last again, if it was withheld.
    pub fn release(&self) {
        let latest = self.latest();
        self.moment.send_if_modified(|moment| {
            let withheld = std::mem::take(&mut moment.withheld);
            if withheld {
                moment.snapshot = latest;
            }
            withheld
        });
    }

    fn locked(&self) -> MutexGuard<'_, Option<Arc<Snapshot>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes a snapshot: of a leader's history, or of our own.
    pub fn publish(&self, snapshot: Arc<Snapshot>, mirrored: bool) {
        *self.locked() = Some(Arc::clone(&snapshot));
        let oldest = self.admit(snapshot.generation());
        self.moment.send_modify(|moment| {
            moment.snapshot = Some(snapshot);
            moment.mirrored = mirrored;
            moment.withheld = false;
            moment.oldest = oldest;
        });
    }

    /// Tells every session that the server stops.
    pub fn stop(&self) {
        self.moment.send_modify(|moment| moment.stopping = true);
    }

    /// Makes an image on a thread for such work, unless it is there already. What waits for it
    /// waits here and not on a thread.
    pub async fn prepare(&self, snapshot: Arc<Snapshot>, answer: Answer) {
        let Ok(_turn) = self.maker.acquire().await else {
            return;
        };
        if snapshot.ready(answer).is_none() {
            // A panic in there is the only error; the session asks again and says so.
            let _ = tokio::task::spawn_blocking(move || snapshot.image(answer).is_some()).await;
        }
    }

    /// Makes room for a generation and says which is then the oldest that may live.
    fn admit(&self, new: &Arc<Generation>) -> u64 {
        let mut living = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        living.retain(|generation| generation.strong_count() > 0);
        let known = living.back().and_then(Weak::upgrade);
        if known.is_none_or(|known| !Arc::ptr_eq(&known, new)) {
            living.push_back(Arc::downgrade(new));
        }
        while living.len() > Self::GENERATIONS {
            living.pop_front();
        }
        let oldest = living.front().and_then(Weak::upgrade);
        oldest.map_or_else(|| new.number(), |generation| generation.number())
    }
}
