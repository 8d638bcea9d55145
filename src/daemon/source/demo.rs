//! The sample that is built in.

use std::time::Duration;

use super::error::SourceError;
use super::{Closed, Content, Outlet};
use crate::json::{Document, Limits, ReadError, decompress};

/// Delivers the sample and then waits to be stopped.
pub(super) async fn deliver(outlet: &Outlet) -> Result<(), Closed> {
    let result = document()
        .map(|document| Content::Document(Box::new(document)))
        .map_err(|error| SourceError::Document { error });
    outlet.send(result, Duration::ZERO).await?;
    std::future::pending().await
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
