//! Standard input, which is read once.

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::SourceError;
use super::intake::{self, Lease};
use super::judge::Claim;
use super::list::List;
use super::{Closed, Content, Occasion, Outlet, Requests, limits, unix_now};
use crate::config::Source;

/// Delivers the one document there is and then waits to be stopped.
pub(super) async fn deliver(
    source: &Source,
    outlet: &Outlet,
    mut requests: Requests,
) -> Result<(), Closed> {
    let started = Instant::now();
    let lease = Lease::default();
    let holder = lease.holder();
    let limits = limits(source);
    let (sender, answer) = oneshot::channel();
    // Not a thread of the runtime, which would wait at its end for a terminal that says nothing.
    let spawned = thread::Builder::new().name("stdin".into()).spawn(move || {
        let result = intake::read(io::stdin().lock(), &limits, &holder);
        // Nobody is there any more when we were told to stop.
        let _ = sender.send(result);
    });
    let path = PathBuf::from("-");
    let result = match spawned {
        Ok(_) => match answer.await {
            Ok(Ok(document)) => {
                let list = List::of_document(document, unix_now());
                let verdict = Claim::from(&list).judge(None, source.max_age, unix_now());
                verdict.map(|()| Content::List(Box::new(list)))
            }
            Ok(Err(failure)) => Err(SourceError::of_file(failure, &path)),
            Err(_) => Err(SourceError::Reader),
        },
        Err(error) => Err(SourceError::File { path, error }),
    };
    let delivered = result.is_ok();
    outlet
        .send(Occasion::Schedule, result, started.elapsed())
        .await?;
    loop {
        let asked = requests.next().await;
        let result = if delivered {
            Ok(Content::Unchanged { arrived: None })
        } else {
            Err(SourceError::ReadOnce)
        };
        outlet.send(asked, result, Duration::ZERO).await?;
    }
}
