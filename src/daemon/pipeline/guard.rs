//! Updates that take away or bring too much at once are held until somebody decides.
//!
//! What is held is a candidate with a digest of its own; an approval names it, so nobody approves
//! what came a moment later. All time is an argument.

use std::fmt;
use std::time::Instant;

use ring::digest::{Context, SHA256};

use crate::config::{Guard, OnTimeout};
use crate::payload::Rows;
use crate::payload::census::Change;

/// Names a candidate: the beginning of a SHA-256, in hexadecimal.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Digest([u8; 8]);

impl Digest {
    /// The digest of some octets.
    pub fn of_octets<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            // The length keeps the parts apart.
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        Self::finish(context)
    }

    /// The digest of some payloads, without their attributes: a renewed expiry makes no other
    /// candidate. Costs a pass over all of them.
    pub fn of_rows(rows: &Rows) -> Self {
        let mut context = Context::new(&SHA256);
        for vrp in rows.v4().records().iter() {
            context.update(&[4, vrp.prefix_len(), vrp.max_len()]);
            context.update(&vrp.address().to_be_bytes());
            context.update(&vrp.asn().into_u32().to_be_bytes());
        }
        for vrp in rows.v6().records().iter() {
            context.update(&[6, vrp.prefix_len(), vrp.max_len()]);
            context.update(&vrp.address().to_be_bytes());
            context.update(&vrp.asn().into_u32().to_be_bytes());
        }
        for key in rows.router_keys().records().iter() {
            context.update(&[9]);
            context.update(key.ski());
            context.update(&key.asn().into_u32().to_be_bytes());
            context.update(&key.key().len().to_be_bytes());
            context.update(key.key());
        }
        for aspa in rows.aspas().records().iter() {
            context.update(&[11]);
            context.update(&aspa.customer().into_u32().to_be_bytes());
            context.update(&aspa.providers().len().to_be_bytes());
            for provider in aspa.providers() {
                context.update(&provider.into_u32().to_be_bytes());
            }
        }
        Self::finish(context)
    }

    fn finish(context: Context) -> Self {
        let digest = context.finish();
        let mut short = [0; 8];
        for (octet, whole) in short.iter_mut().zip(digest.as_ref()) {
            *octet = *whole;
        }
        Self(short)
    }
}

impl fmt::Display for Digest {
    /// Sixteen hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The changes that go past a limit.
pub fn excess(rules: &Guard, changes: Vec<Change>) -> Vec<Change> {
    let past = |change: &Change| {
        // A group that was empty has no share; the first load of anything passes.
        let over = |count: usize, limit: Option<crate::config::Percent>| {
            limit.is_some_and(|limit| {
                let allowed = u128::try_from(change.before).unwrap_or(0) * u128::from(limit.0);
                let count_hundredfold = u128::try_from(count).unwrap_or(0) * 100;
                count >= rules.min_change.max(1) && count_hundredfold > allowed
            })
        };
        change.before > 0
            && (over(change.lost, rules.max_shrink) || over(change.gained, rules.max_growth))
    };
    changes.into_iter().filter(past).collect()
}

/// A candidate that waits for a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Its digest.
    pub digest: Digest,
    /// Since when something has been held without a break.
    pub since: Instant,
    /// When [`Guard::on_timeout`] decides.
    pub until: Instant,
    /// What it would change past a limit.
    pub excess: Vec<Change>,
}

/// Where a guard stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Standing {
    /// Nothing is held.
    #[default]
    Clear,
    /// A candidate is held.
    Holding(Box<Held>),
    /// A candidate was held until its time was over, and is refused from then on.
    Refused(Digest),
}

impl Standing {
    /// The candidate that is held.
    pub fn held(&self) -> Option<&Held> {
        match self {
            Self::Holding(held) => Some(held),
            _ => None,
        }
    }

    /// The candidate that was held for too long.
    pub const fn refused(&self) -> Option<Digest> {
        match self {
            Self::Refused(digest) => Some(*digest),
            _ => None,
        }
    }
}

/// Whether a candidate may pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It changes nothing past a limit.
    Harmless,
    /// It is past a limit, and the operator approved it.
    Approved,
    /// It is past a limit, nobody decided in time, and the rule for that lets it pass.
    TimedOut,
    /// It may not pass.
    Stopped,
}

impl Verdict {
    /// Whether it may pass.
    pub fn passes(&self) -> bool {
        *self != Self::Stopped
    }
}

/// Judges a candidate: where the guard stands afterwards, and whether it passes.
pub fn judge(
    rules: &Guard,
    before: &Standing,
    excess: Vec<Change>,
    digest: impl FnOnce() -> Digest,
    approved: Option<Digest>,
    now: Instant,
) -> (Standing, Verdict) {
    if excess.is_empty() {
        return (Standing::Clear, Verdict::Harmless);
    }
    let digest = digest();
    if approved == Some(digest) {
        return (Standing::Clear, Verdict::Approved);
    }
    let since = match before {
        Standing::Refused(refused) if *refused == digest => {
            return (before.clone(), Verdict::Stopped);
        }
        // One that takes the place of another has the rest of its time: a list that changes
        // with every refresh would be held for ever otherwise.
        Standing::Holding(held) => held.since,
        _ => now,
    };
    let until = since + rules.hold;
    if now >= until {
        return match rules.on_timeout {
            OnTimeout::Accept => (Standing::Clear, Verdict::TimedOut),
            OnTimeout::Refuse => (Standing::Refused(digest), Verdict::Stopped),
        };
    }
    let held = Held {
        digest,
        since,
        until,
        excess,
    };
    (Standing::Holding(Box::new(held)), Verdict::Stopped)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::payload::Kind;
    use crate::payload::census::Group;

    fn change(before: usize, lost: usize, gained: usize) -> Change {
        Change {
            group: Group::Kind(Kind::Ipv4),
            before,
            after: before + gained - lost,
            lost,
            gained,
        }
    }

    fn stops(before: usize, lost: usize, gained: usize) -> bool {
        !excess(&Guard::default(), vec![change(before, lost, gained)]).is_empty()
    }

    #[test]
    fn limits_are_shares_of_what_was_there() {
        assert!(!stops(1_000, 100, 0) && stops(1_000, 101, 0));
        assert!(!stops(1_000, 0, 500) && stops(1_000, 0, 501));
        // A list of others in its place loses everything, whatever its length.
        assert!(stops(1_000, 1_000, 1_000));
    }

    #[test]
    fn a_few_payloads_and_a_first_load_pass() {
        assert!(!stops(10, 4, 0) && stops(10, 5, 0));
        assert!(!stops(0, 0, 800_000));
    }

    #[test]
    fn limits_can_be_switched_off() {
        let rules = Guard {
            max_shrink: None,
            max_growth: None,
            ..Guard::default()
        };
        assert!(excess(&rules, vec![change(1_000, 1_000, 9_000)]).is_empty());
    }

    fn digest(name: &str) -> Digest {
        Digest::of_octets([name.as_bytes()])
    }

    fn judged(
        rules: &Guard,
        before: &Standing,
        name: &str,
        approved: Option<&str>,
        now: Instant,
    ) -> (Standing, Verdict) {
        let excess = vec![change(1_000, 900, 0)];
        let approved = approved.map(digest);
        judge(rules, before, excess, || digest(name), approved, now)
    }

    #[test]
    fn an_approval_passes_the_very_candidate_it_names() {
        let (rules, now) = (Guard::default(), Instant::now());
        let (held, verdict) = judged(&rules, &Standing::Clear, "a", None, now);
        assert_eq!(verdict, Verdict::Stopped);
        assert_eq!(held.held().unwrap().digest, digest("a"));
        assert_eq!(
            judged(&rules, &held, "b", Some("a"), now).1,
            Verdict::Stopped
        );
        let (after, verdict) = judged(&rules, &held, "a", Some("a"), now);
        assert_eq!((after, verdict), (Standing::Clear, Verdict::Approved));
    }

    #[test]
    fn a_hold_that_times_out_is_refused() {
        let (rules, start) = (Guard::default(), Instant::now());
        let (held, _) = judged(&rules, &Standing::Clear, "a", None, start);
        let late = start + rules.hold;
        let (refused, verdict) = judged(&rules, &held, "a", None, late);
        assert_eq!(
            (&refused, verdict),
            (&Standing::Refused(digest("a")), Verdict::Stopped)
        );
        assert_eq!(judged(&rules, &refused, "a", None, late).0, refused);
        // Another candidate has a time of its own.
        let (other, _) = judged(&rules, &refused, "b", None, late);
        assert_eq!(other.held().unwrap().until, late + rules.hold);
    }

    #[test]
    fn a_hold_that_times_out_can_be_accepted_however_it_changes() {
        let rules = Guard {
            on_timeout: OnTimeout::Accept,
            ..Guard::default()
        };
        let start = Instant::now();
        let (held, _) = judged(&rules, &Standing::Clear, "a", None, start);
        let (held, verdict) = judged(&rules, &held, "b", None, start + Duration::from_secs(600));
        assert_eq!(verdict, Verdict::Stopped);
        let late = start + rules.hold;
        assert_eq!(judged(&rules, &held, "c", None, late).1, Verdict::TimedOut);
    }

    #[test]
    fn a_harmless_candidate_ends_a_hold() {
        let (rules, now) = (Guard::default(), Instant::now());
        let (held, _) = judged(&rules, &Standing::Clear, "a", None, now);
        let judged = judge(&rules, &held, Vec::new(), || digest("b"), None, now);
        assert_eq!(judged, (Standing::Clear, Verdict::Harmless));
    }
}
