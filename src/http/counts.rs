//! What the server counts of itself.

use std::sync::atomic::{AtomicU64, Ordering};

use super::metrics::{Exposition, Metric};

const ACCEPTED: Metric = Metric::counter(
    "rutter_http_connections_accepted_total",
    "HTTP connections accepted over TCP",
);
const REFUSED: Metric = Metric::counter(
    "rutter_http_connections_refused_total",
    "HTTP connections refused, by the reason",
);
const OPEN: Metric = Metric::gauge(
    "rutter_http_connections",
    "HTTP connections that are open over TCP",
);
const REQUESTS: Metric = Metric::counter(
    "rutter_http_requests_total",
    "HTTP requests answered, by the class of the status",
);

const EXPORTS: Metric = Metric::counter(
    "rutter_http_export_requests_total",
    "HTTP requests for documents, manifests of the feed and its files",
);
const WAITING: Metric = Metric::gauge(
    "rutter_http_feed_waiting",
    "HTTP requests that wait for another manifest of the feed",
);

/// Numbers since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: AtomicU64,
    pub(super) refused_access: AtomicU64,
    pub(super) refused_address: AtomicU64,
    pub(super) refused_limit: AtomicU64,
    pub(super) refused_tls: AtomicU64,
    pub(super) documents: AtomicU64,
    pub(super) manifests: AtomicU64,
    pub(super) files: AtomicU64,
    waiting: AtomicU64,
    open: AtomicU64,
    succeeded: AtomicU64,
    unchanged: AtomicU64,
    mistaken: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// One more. A counter orders nothing.
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection as open until the value is dropped.
    pub(super) fn open(&self) -> Open<'_> {
        Self::add(&self.open);
        Open(&self.open)
    }

    /// Counts a request as waiting until the value is dropped.
    pub(super) fn waiting(&self) -> Open<'_> {
        Self::add(&self.waiting);
        Open(&self.waiting)
    }

    /// Counts an answer by its status code.
    pub(super) fn answered(&self, status: u16) {
        Self::add(match status {
            ..300 => &self.succeeded,
            300..400 => &self.unchanged,
            400..500 => &self.mistaken,
            500.. => &self.failed,
        });
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        out.family(&OPEN).sample(&[], read(&self.open));
        out.family(&ACCEPTED).sample(&[], read(&self.accepted));
        out.family(&REFUSED)
            .sample(&[("reason", "access")], read(&self.refused_access))
            .sample(&[("reason", "address")], read(&self.refused_address))
            .sample(&[("reason", "limit")], read(&self.refused_limit))
            .sample(&[("reason", "tls")], read(&self.refused_tls));
        out.family(&REQUESTS)
            .sample(&[("status", "2xx")], read(&self.succeeded))
            .sample(&[("status", "3xx")], read(&self.unchanged))
            .sample(&[("status", "4xx")], read(&self.mistaken))
            .sample(&[("status", "5xx")], read(&self.failed));
        out.family(&EXPORTS)
            .sample(&[("kind", "document")], read(&self.documents))
            .sample(&[("kind", "manifest")], read(&self.manifests))
            .sample(&[("kind", "file")], read(&self.files));
        out.family(&WAITING).sample(&[], read(&self.waiting));
    }
}

/// A connection that counts as open, or a request as waiting.
#[derive(Debug)]
pub(super) struct Open<'a>(&'a AtomicU64);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
