//! How it stands with a place where the feed is laid out, for the status and the metrics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::announce::Bulletin;
use crate::http::metrics::{Exposition, Metric};
use crate::payload::UnixTime;

/// How it stands with a place.
#[derive(Debug)]
pub struct Standing {
    name: Box<str>,
    facts: Mutex<Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    /// When the manifest was made that was laid out last.
    issued: Option<UnixTime>,
    laid: u64,
    failed: u64,
    /// Why it failed, since it did not succeed.
    failing: Option<String>,
    /// What was found of somebody else.
    fenced: Option<String>,
}

const LAID: Metric = Metric::counter("rutter_publish_total", "Manifests laid out, by place");
const FAILED: Metric = Metric::counter(
    "rutter_publish_failures_total",
    "Attempts to lay out the feed that failed, by place",
);
const ISSUED: Metric = Metric::gauge(
    "rutter_publish_issued_timestamp_seconds",
    "When the manifest was made that was laid out last, by place",
);
const FENCED: Metric = Metric::gauge(
    "rutter_publish_fenced",
    "1 when somebody else writes the feed there and this server does so no more, by place",
);

impl Standing {
    /// One of a place where nothing was done yet.
    pub fn new(name: impl Into<Box<str>>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            facts: Mutex::default(),
        })
    }

    /// What the place is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It was laid out. Whether that is news.
    pub(super) fn succeeded(&self, bulletin: &Bulletin) -> bool {
        let mut facts = self.facts();
        let news = facts.failing.take().is_some() || facts.laid == 0;
        facts.laid += 1;
        facts.issued = Some(bulletin.manifest.issued);
        news
    }

    /// It was not. Whether that is news.
    pub(super) fn failed(&self, reason: &str) -> bool {
        let mut facts = self.facts();
        facts.failed += 1;
        facts.failing.replace(reason.to_owned()).is_none()
    }

    /// Somebody else writes there.
    pub(super) fn fenced(&self, found: String) {
        self.facts().fenced = Some(found);
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an operator should know, a line for each place where something is wrong.
pub fn warnings(all: &[Arc<Standing>]) -> Vec<String> {
    let line = |standing: &Arc<Standing>| {
        let facts = standing.facts();
        let name = &standing.name;
        match (&facts.fenced, &facts.failing) {
            (Some(found), _) => Some(format!(
                "somebody else writes the feed to {name}, and this server does so no more: {found}"
            )),
            (None, Some(reason)) => {
                Some(format!("the feed cannot be laid out in {name}: {reason}"))
            }
            (None, None) => None,
        }
    };
    all.iter().filter_map(line).collect()
}

/// Writes the metrics of all places.
pub fn write_metrics(out: &mut Exposition, all: &[Arc<Standing>]) {
    if all.is_empty() {
        return;
    }
    let mut write = |metric, value: fn(&Facts) -> u64| {
        let mut family = out.family(metric);
        for standing in all {
            family.sample(&[("place", &standing.name)], value(&standing.facts()));
        }
    };
    write(&LAID, |facts| facts.laid);
    write(&FAILED, |facts| facts.failed);
    write(&FENCED, |facts| u64::from(facts.fenced.is_some()));
    let mut family = out.family(&ISSUED);
    for standing in all {
        if let Some(issued) = standing.facts().issued {
            family.sample(&[("place", &standing.name)], issued);
        }
    }
}
