//! When certificates are over, and who is told before.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

use super::pipeline::unix_now;
use super::status::Around;
use crate::payload::UnixTime;

/// A certificate that a listener shows or trusts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Certificate {
    /// The file it is from.
    pub(super) file: Box<str>,
    /// When it is over.
    pub(super) until: UnixTime,
}

/// How near the end of a certificate is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    /// More than thirty days.
    Far,
    /// Thirty days.
    Month,
    /// Seven.
    Week,
    /// One.
    Day,
    /// It is past.
    Over,
}

impl Stage {
    fn of(until: UnixTime, now: UnixTime) -> Self {
        const DAY: u64 = 86_400;
        if now >= until {
            return Self::Over;
        }
        match until.seconds().saturating_sub(now.seconds()) {
            ..=DAY => Self::Day,
            left if left <= 7 * DAY => Self::Week,
            left if left <= 30 * DAY => Self::Month,
            _ => Self::Far,
        }
    }
}

/// Remembers what was said of each file, to say it once.
#[derive(Debug, Default)]
struct Watch {
    said: HashMap<Box<str>, (UnixTime, Stage)>,
}

impl Watch {
    /// The certificates that came nearer to their end than what was said of them. It forgets files
    /// that are not among them.
    fn news(&mut self, certificates: &[Certificate], now: UnixTime) -> Vec<(Certificate, Stage)> {
        let before = std::mem::take(&mut self.said);
        let mut news = Vec::new();
        for certificate in certificates {
            let Certificate { file, until } = certificate;
            let stage = Stage::of(*until, now);
            let known = before.get(file).filter(|(known, _)| known == until);
            if stage > known.map_or(Stage::Far, |(_, said)| *said) {
                news.push((certificate.clone(), stage));
            }
            self.said.insert(file.clone(), (*until, stage));
        }
        news
    }
}

/// How often the clock is looked at.
const EVERY: Duration = Duration::from_secs(3_600);

/// Warns thirty days, seven and one before a certificate is over, and when it is, until told to
/// stop; a reload that brings another certificate is looked at once.
pub(super) async fn run(mut around: watch::Receiver<Around>, mut stop: watch::Receiver<bool>) {
    let mut known = Watch::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let certificates = around.borrow_and_update().certificates.clone();
        for (Certificate { file, until }, stage) in known.news(&certificates, unix_now()) {
            match stage {
                Stage::Over => error!(file = &*file, %until, "a certificate is over"),
                _ => warn!(file = &*file, %until, "a certificate is over soon"),
            }
        }
        tokio::select! {
            () = super::told(&mut stop) => return,
            changed = around.changed() => if changed.is_err() {
                return;
            },
            _ = ticks.tick() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_is_said_once() {
        const DAY: u64 = 86_400;
        let end = 100 * DAY;
        let certificate = |until| Certificate {
            file: "a.pem".into(),
            until: UnixTime::new(until),
        };
        let mut watch = Watch::default();
        let mut said = Vec::new();
        for hour in 0..101 * 24 {
            let now = UnixTime::new(hour * 3_600);
            for (_, stage) in watch.news(&[certificate(end)], now) {
                said.push((hour / 24, stage));
            }
        }
        let wanted = [
            (70, Stage::Month),
            (93, Stage::Week),
            (99, Stage::Day),
            (100, Stage::Over),
        ];
        assert_eq!(said, wanted);
        // Another certificate in the file, which is over soon, too.
        let now = UnixTime::new(end);
        let renewed = [certificate(end + 2 * DAY)];
        assert_eq!(
            watch.news(&renewed, now),
            [(renewed[0].clone(), Stage::Week)]
        );
        assert!(watch.news(&renewed, now).is_empty());
        // A server that starts late says where it is, and nothing of the stages before.
        let mut late = Watch::default();
        assert_eq!(late.news(&[certificate(end)], now).len(), 1);
        assert!(watch.news(&[], now).is_empty() && watch.said.is_empty());
    }
}
