//! The sample that is built in.

use std::time::Duration;

use super::error::SourceError;
use super::list::List;
use super::{Closed, Content, Occasion, Outlet, Requests, unix_now};
use crate::json::{Document, Limits, ReadError, decompress};

/// Delivers the sample and then waits to be stopped.
pub(super) async fn deliver(outlet: &Outlet, mut requests: Requests) -> Result<(), Closed> {
    let result = document()
        .map(|document| Content::List(Box::new(List::of_document(document, unix_now()))))
        .map_err(|error| SourceError::Document { error });
    outlet
        .send(Occasion::Schedule, result, Duration::ZERO)
        .await?;
    loop {
        let asked = requests.next().await;
        let result = Ok(Content::Unchanged { arrived: None });
        outlet.send(asked, result, Duration::ZERO).await?;
    }
}

/// Real payloads of a few moments in the past, see the notice beside the file. They are for
/// looking at, not for filtering routes.
const SAMPLE: &[u8] = include_bytes!("demo/sample.json");

/// The sample as a document.
///
/// # Errors
///
/// Never with the sample that a test has read.
fn document() -> Result<Document, ReadError> {
    decompress::read(SAMPLE, &Limits::default())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sample_has_every_kind() {
        let document = super::document().unwrap();
        let rows = document.rows;
        assert_eq!(document.skipped.count, 0);
        assert!(rows.v4().len() > 1_000 && rows.v6().len() > 100);
        assert!(!rows.router_keys().is_empty() && !rows.aspas().is_empty());
    }
}
