//! Tasks of a running server: how they end, and how an operator who waits for one is answered.

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tracing::error;

use crate::http::Refusal;

/// Where the outcome of a command goes.
pub(super) type Answer = oneshot::Sender<Result<serde_json::Value, Refusal>>;

/// Ends a task when it is dropped.
pub(super) struct Stop(watch::Sender<bool>);

impl Stop {
    /// What ends the tasks that hear of this channel.
    const fn new(sender: watch::Sender<bool>) -> Self {
        Self(sender)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// A stop of its own for a task, which the stop of the server is, too.
pub(super) fn stopper(
    stopped: &watch::Receiver<bool>,
    works: &mut JoinSet<()>,
) -> (Stop, watch::Receiver<bool>) {
    let (stop, told) = watch::channel(false);
    let (own, mut all) = (stop.clone(), stopped.clone());
    works.spawn(async move {
        tokio::select! {
            () = super::told(&mut all) => {
                own.send_replace(true);
            }
            () = own.closed() => {}
        }
    });
    (Stop::new(stop), told)
}

/// A task that broke is a fault of ours; the others go on.
pub(super) fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a task broke");
    }
}

/// Passes the outcome of an order on to whoever gave it, as long as somebody waits for it.
pub(super) async fn pass_on<T>(
    mut answer: Answer,
    heard: oneshot::Receiver<T>,
    in_words: impl FnOnce(T) -> Result<serde_json::Value, Refusal>,
) {
    tokio::select! {
        () = answer.closed() => {}
        heard = heard => if let Ok(heard) = heard {
            // Whoever asked has gone in this very moment.
            let _ = answer.send(in_words(heard));
        },
    }
}
