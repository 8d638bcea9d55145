//! Tasks of a running server: how they end, and how an operator who waits for one is answered.

use tokio::sync::{oneshot, watch};
use tokio::task::JoinError;
use tracing::error;

use crate::http::Refusal;

/// Where the outcome of a command goes.
pub(super) type Answer = oneshot::Sender<Result<serde_json::Value, Refusal>>;

/// Ends a task when it is dropped.
pub(super) struct Stop(watch::Sender<bool>);

impl Stop {
    /// What ends the tasks that hear of this channel.
    pub(super) const fn new(sender: watch::Sender<bool>) -> Self {
        Self(sender)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
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
