//! A source alone, without a server around it.

use rutter::config::Source;
use rutter::daemon::source::{self, Content, List, Occasion, SourceError, Update};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::cache::PATIENCE;

/// A source that runs until this is dropped.
pub(crate) struct Reading {
    updates: mpsc::Receiver<Update>,
    requests: watch::Sender<u64>,
    _stop: watch::Sender<bool>,
}

impl Reading {
    /// To be called inside a runtime.
    pub(crate) fn start(source: Source) -> Self {
        let (sender, updates) = mpsc::channel(1);
        let (requests, requested) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        // It ends with the sender of `stop`.
        tokio::spawn(source::run(
            source,
            0,
            source::Past::default(),
            sender,
            requested,
            stopped,
        ));
        Self {
            updates,
            requests,
            _stop: stop,
        }
    }

    pub(crate) async fn next(&mut self) -> Update {
        let update = timeout(PATIENCE, self.updates.recv()).await;
        update
            .expect("an update in time")
            .expect("a running source")
    }

    pub(crate) async fn list(&mut self) -> List {
        match self.next().await.result.unwrap() {
            Content::List(list) | Content::Mirror(list, _) => *list,
            Content::Unchanged { .. } => unreachable!("no list"),
        }
    }

    /// Asks for a look and gives what is said to that.
    pub(crate) async fn ask(&mut self) -> Result<Content, SourceError> {
        let mut number = 0;
        self.requests.send_modify(|last| {
            *last += 1;
            number = *last;
        });
        loop {
            let update = self.next().await;
            if update.occasion == Occasion::Asked(number) {
                return update.result;
            }
        }
    }
}
