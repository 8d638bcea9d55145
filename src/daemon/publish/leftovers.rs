//! Which of the files that were laid out may go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::feed::FileName;

/// How long a file stays that is not named any more: a follower that has an earlier manifest is
/// still fetching what it names.
pub(super) const GRACE: Duration = Duration::from_secs(600);

/// The files that no manifest names, and since when.
#[derive(Debug, Default)]
pub(super) struct Leftovers(BTreeMap<String, Instant>);

impl Leftovers {
    /// Of the names that are there, those that were not named for long enough. A name that is not
    /// one of a feed is never among them.
    pub(super) fn over(
        &mut self,
        present: impl IntoIterator<Item = String>,
        named: &BTreeSet<String>,
        now: Instant,
    ) -> Vec<String> {
        let mut known = std::mem::take(&mut self.0);
        let ours = |name: &String| FileName::parse(name).is_some() && !named.contains(name);
        for name in present.into_iter().filter(ours) {
            let since = known.remove(&name).unwrap_or(now);
            self.0.insert(name, since);
        }
        let over = self.0.iter();
        let over = over.filter(|(_, since)| now.duration_since(**since) >= GRACE);
        over.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtr::{HistoryName, Serial};

    fn name(serial: u32) -> String {
        let (history, serial) = (HistoryName::new([1; 16]), Serial::new(serial));
        FileName::Snapshot { history, serial }.to_string()
    }

    #[test]
    fn a_file_goes_when_it_was_not_named_for_long() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let present = || ["index.html".to_owned(), name(1), name(2), name(3)];
        let named = |serials: &[u32]| serials.iter().map(|serial| name(*serial)).collect();
        let mut leftovers = Leftovers::default();
        let mut over = |named, at| leftovers.over(present(), &named, after(at));
        assert_eq!(over(named(&[2, 3]), 0), [""; 0]);
        assert_eq!(over(named(&[3]), 599), [""; 0]);
        assert_eq!(over(named(&[3]), 600), [name(1)]);
        // It was named again, and begins anew.
        assert_eq!(over(named(&[1, 2, 3]), 700), [""; 0]);
        assert_eq!(over(named(&[3]), 1_300), [""; 0]);
        assert_eq!(over(named(&[3]), 1_900), [name(1), name(2)]);
    }
}
