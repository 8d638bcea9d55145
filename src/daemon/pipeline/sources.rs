//! The sources together, and which of them count.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::spawn_blocking;
use tracing::error;

use super::failover;
use super::feed::Feed;
use super::order::Rules;
use super::report;
use super::step::Selection;
use crate::config::{Merge, MergeMode, Source, Stale};
use crate::payload::UnixTime;
use crate::payload::merge::{Agreement, Contribution, agreement};
use crate::rtr::Snapshot;

/// The sources, in the order of preference.
#[derive(Debug)]
pub(super) struct Sources {
    feeds: Vec<Feed>,
    /// The place of the source in use, where one is.
    active: Option<usize>,
    /// The tasks of the sources that counted last.
    counted: Vec<usize>,
    choose_again: Option<Instant>,
    stale: bool,
}

impl Sources {
    /// Sources of which none has been chosen.
    pub(super) const fn new(feeds: Vec<Feed>) -> Self {
        Self {
            feeds,
            active: None,
            counted: Vec::new(),
            choose_again: None,
            stale: false,
        }
    }

    /// Takes other sources. One that keeps its name keeps its data until it delivers others.
    /// Gives the tasks that are gone, each with the name of its source.
    pub(super) fn configure(&mut self, sources: Vec<(usize, Source)>) -> Vec<(usize, Box<str>)> {
        let active = self.active.and_then(|place| self.feeds.get(place));
        let active = active.map(|feed| feed.source.name.clone());
        let mut old = std::mem::take(&mut self.feeds);
        let tasks = old.iter().map(|feed| (feed.id, feed.source.name.clone()));
        let mut gone: Vec<(usize, Box<str>)> = tasks.collect();
        let counted = std::mem::take(&mut self.counted);
        for (id, source) in sources {
            let known = old.iter().position(|feed| feed.source.name == source.name);
            let feed = match known.map(|place| old.swap_remove(place)) {
                Some(mut feed) => {
                    if counted.contains(&feed.id) {
                        self.counted.push(id);
                    }
                    feed.reconfigure(id, source);
                    feed
                }
                None => Feed::new(id, source),
            };
            self.feeds.push(feed);
        }
        let mut feeds = self.feeds.iter();
        self.active = feeds.position(|feed| Some(&feed.source.name) == active.as_ref());
        gone.retain(|(id, _)| self.feeds.iter().all(|feed| feed.id != *id));
        gone
    }

    /// Which sources count now. `started` says whether anything was accepted before, and
    /// `reached` is what was served last of a leader's history.
    pub(super) fn select(
        &mut self,
        rules: &Rules,
        started: bool,
        reached: Option<&Arc<Snapshot>>,
        now: UnixTime,
        instant: Instant,
    ) -> Selection {
        for feed in &mut self.feeds {
            feed.compare(reached);
            feed.observe(now, instant);
        }
        let (selection, stale) = self.choose(rules, started, now, instant);
        let before = std::mem::replace(&mut self.stale, stale);
        report::staleness(before, stale, rules.guard.stale);
        selection
    }

    /// All of them.
    pub(super) fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// All of them, to take in what they say.
    pub(super) fn feeds_mut(&mut self) -> impl Iterator<Item = &mut Feed> {
        self.feeds.iter_mut()
    }

    /// The place of the source in use, with failover.
    pub(super) const fn active(&self) -> Option<usize> {
        self.active
    }

    /// Whether none, or too few, can be relied on.
    pub(super) const fn are_stale(&self) -> bool {
        self.stale
    }

    /// When a better source will have been fresh for long enough.
    pub(super) const fn choose_again(&self) -> Option<Instant> {
        self.choose_again
    }

    /// Which sources count now, and whether none or too few can be relied on.
    fn choose(
        &mut self,
        rules: &Rules,
        started: bool,
        now: UnixTime,
        instant: Instant,
    ) -> (Selection, bool) {
        let fresh = self.places(|feed| feed.is_fresh(now));
        let chosen = self.merge_of(&rules.merge, &fresh, instant);
        if let Selection::Merge { places, .. } = &chosen {
            let feeds = places.iter().filter_map(|place| self.feeds.get(*place));
            self.counted = feeds.map(|feed| feed.id).collect();
            return (chosen, false);
        }
        let heard = self.feeds.iter().any(|feed| feed.rows.is_some());
        if rules.guard.stale != Stale::Keep {
            return (Selection::Nothing, heard);
        }
        // Where stale data are kept, a start goes on with what there is, and the sources that
        // counted last are followed: stale as it is, what they say later is the better list.
        let counted = self.places(|feed| feed.is_usable() && self.counted.contains(&feed.id));
        let quorum = matches!(rules.merge.mode, MergeMode::Quorum { .. });
        match (started, counted.is_empty()) {
            (true, _) if quorum => (Selection::Nothing, heard),
            (true, false) => (merge_by(rules.merge.mode, &counted), heard),
            (true, true) => (Selection::Nothing, heard),
            (false, _) => {
                let any = self.places(Feed::is_usable);
                let feeds = any.iter().filter_map(|place| self.feeds.get(*place));
                self.counted = feeds.map(|feed| feed.id).collect();
                (merge_by(rules.merge.mode, &any), heard)
            }
        }
    }

    /// How far they agree, when there are several. Works on a thread for that.
    pub(super) async fn compare(&self) -> Option<Arc<Agreement>> {
        if self.feeds.len() < 2 {
            return None;
        }
        let rows = super::feed::rows_of(&self.feeds);
        let counted = spawn_blocking(move || agreement(&Contribution::each(&rows)));
        match counted.await {
            Ok(agreement) => Some(Arc::new(agreement)),
            Err(error) => {
                error!(%error, "the sources could not be compared");
                None
            }
        }
    }

    fn places(&self, of: impl Fn(&Feed) -> bool) -> Vec<usize> {
        let places = self.feeds.iter().enumerate();
        places
            .filter(|(_, feed)| of(feed))
            .map(|(place, _)| place)
            .collect()
    }

    fn merge_of(&mut self, merge: &Merge, fresh: &[usize], instant: Instant) -> Selection {
        let MergeMode::Failover = merge.mode else {
            // A trial that a reload has ended must not wake anybody.
            self.choose_again = None;
            return merge_by(merge.mode, fresh);
        };
        let standings: Vec<_> = self.feeds.iter().map(|feed| feed.standing).collect();
        let hysteresis = merge.hysteresis;
        let choice = failover::choose(self.active, &standings, hysteresis, instant);
        self.choose_again = choice.again;
        if choice.place.is_some() && choice.place != self.active {
            report::switched(&self.feeds, self.active, choice.place);
            self.active = choice.place;
        }
        match choice.place {
            Some(place) => Selection::Merge {
                places: vec![place],
                least: 1,
            },
            None => Selection::Nothing,
        }
    }
}

/// The merge of these sources by the rule, without a choice that lasts.
fn merge_by(mode: MergeMode, places: &[usize]) -> Selection {
    let (places, least) = match mode {
        MergeMode::Failover => (places.get(..1).unwrap_or_default(), 1),
        MergeMode::Union => (places, 1),
        MergeMode::Quorum { least } => (places, least),
    };
    match places.len() >= least {
        true => Selection::Merge {
            places: places.to_vec(),
            least,
        },
        false => Selection::Nothing,
    }
}
