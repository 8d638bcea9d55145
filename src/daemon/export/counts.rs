//! Figures of the exporter, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::http::backend::Document;
use crate::http::metrics::{Exposition, Metric};

const MADE: Metric = Metric::counter(
    "rutter_export_documents_total",
    "Documents that were made, by document",
);
const FAILED: Metric = Metric::counter(
    "rutter_export_failures_total",
    "Documents that could not be made, by document",
);
const UNFILED: Metric = Metric::counter(
    "rutter_export_file_failures_total",
    "Documents that could not be written to the export file",
);
const TOOK: Metric = Metric::gauge(
    "rutter_export_duration_seconds",
    "How long the last attempt at a document took",
);
const OCTETS: Metric = Metric::gauge(
    "rutter_export_size_bytes",
    "Octets of a document without a coding",
);

/// What is made by itself, and how it is called. A statement comes with its document.
const NAMES: [(Document, &str); 4] = [
    (Document::Json, "json"),
    (Document::Csv, "csv"),
    (Document::Bird, "bird"),
    (Document::OpenBgpd, "openbgpd"),
];

/// Figures since the start.
#[derive(Debug, Default)]
pub struct Counts {
    documents: [OfDocument; NAMES.len()],
    unfiled: AtomicU64,
}

/// Figures of a document since the start.
#[derive(Debug, Default)]
struct OfDocument {
    made: AtomicU64,
    failed: AtomicU64,
    /// How long the last attempt took, in milliseconds.
    took: AtomicU64,
    /// The octets of the last one.
    octets: AtomicU64,
}

impl Counts {
    /// Counts one that was made: how long that took, and its octets without a coding.
    pub(super) fn made(&self, document: Document, took: Duration, octets: u64) {
        if let Some(of) = self.of(document) {
            of.made.fetch_add(1, Ordering::Relaxed);
            of.octets.store(octets, Ordering::Relaxed);
            of.took(took);
        }
    }

    /// Counts one that was not made, and how long that took.
    pub(super) fn failed(&self, document: Document, took: Duration) {
        if let Some(of) = self.of(document) {
            of.failed.fetch_add(1, Ordering::Relaxed);
            of.took(took);
        }
    }

    /// Counts one that was made, but does not lie where the operator wants it.
    pub(super) fn unfiled(&self) {
        self.unfiled.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes them as metrics; of documents that nobody has asked for there are only zeros to
    /// count, and neither a time nor a size.
    pub fn write(&self, out: &mut Exposition) {
        let all = || self.documents.iter().zip(NAMES);
        let mut made = out.family(&MADE);
        for (of, (_, name)) in all() {
            made.sample(&[("document", name)], of.made.load(Ordering::Relaxed));
        }
        let mut failed = out.family(&FAILED);
        for (of, (_, name)) in all() {
            failed.sample(&[("document", name)], of.failed.load(Ordering::Relaxed));
        }
        out.family(&UNFILED)
            .sample(&[], self.unfiled.load(Ordering::Relaxed));
        let mut took = out.family(&TOOK);
        for (of, (_, name)) in all().filter(|(of, _)| of.was_tried()) {
            let millis = of.took.load(Ordering::Relaxed);
            took.sample(&[("document", name)], Duration::from_millis(millis));
        }
        let mut octets = out.family(&OCTETS);
        for (of, (_, name)) in all().filter(|(of, _)| of.was_made()) {
            octets.sample(&[("document", name)], of.octets.load(Ordering::Relaxed));
        }
    }

    fn of(&self, document: Document) -> Option<&OfDocument> {
        let mut all = NAMES.iter().zip(&self.documents);
        all.find(|((other, _), _)| *other == document)
            .map(|(_, of)| of)
    }
}

impl OfDocument {
    fn took(&self, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.took.store(millis, Ordering::Relaxed);
    }

    fn was_made(&self) -> bool {
        self.made.load(Ordering::Relaxed) > 0
    }

    fn was_tried(&self) -> bool {
        self.was_made() || self.failed.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::metrics::Format;

    fn text(counts: &Counts) -> String {
        let mut out = Exposition::new(Format::Text);
        counts.write(&mut out);
        out.finish()
    }

    #[test]
    fn each_document_has_figures_of_its_own() {
        let counts = Counts::default();
        let before = text(&counts);
        assert!(before.contains("rutter_export_documents_total{document=\"json\"} 0\n"));
        assert!(!before.contains("rutter_export_duration_seconds{"));

        counts.made(Document::Json, Duration::from_millis(1_500), 80);
        counts.made(Document::Csv, Duration::from_millis(250), 30);
        counts.failed(Document::Bird, Duration::from_millis(10));
        counts.unfiled();
        let after = text(&counts);
        for line in [
            "rutter_export_documents_total{document=\"json\"} 1\n",
            "rutter_export_documents_total{document=\"bird\"} 0\n",
            "rutter_export_failures_total{document=\"bird\"} 1\n",
            "rutter_export_failures_total{document=\"json\"} 0\n",
            "rutter_export_file_failures_total 1\n",
            "rutter_export_duration_seconds{document=\"json\"} 1.5\n",
            "rutter_export_duration_seconds{document=\"bird\"} 0.01\n",
            "rutter_export_size_bytes{document=\"csv\"} 30\n",
        ] {
            assert!(after.contains(line), "{line}{after}");
        }
        assert!(!after.contains("rutter_export_size_bytes{document=\"bird\"}"));
    }
}
