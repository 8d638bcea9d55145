//! When certificates are over, and who is told before.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

use super::pipeline::unix_now;
use super::status::Around;
use crate::net::tls::{Stage, expiry_stage};
use crate::payload::UnixTime;

/// A certificate that a listener shows or trusts.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Certificate {
    /// The file it is from.
    pub(super) file: Box<str>,
    /// When it is over.
    pub(super) until: UnixTime,
}

/// Remembers what was said of each certificate, to say it once. A file may have several.
#[derive(Debug, Default)]
struct Watch {
    said: HashMap<Certificate, Stage>,
}

impl Watch {
    /// The certificates that came nearer to their end than what was said of them. It forgets those
    /// that are not among them.
    fn news(&mut self, certificates: &[Certificate], now: UnixTime) -> Vec<(Certificate, Stage)> {
        let before = std::mem::take(&mut self.said);
        let mut news = Vec::new();
        for certificate in certificates {
            let stage = expiry_stage(certificate.until.seconds(), now.seconds());
            if stage > before.get(certificate).copied().unwrap_or(Stage::Fine) {
                news.push((certificate.clone(), stage));
            }
            self.said.insert(certificate.clone(), stage);
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

    #[test]
    fn certificates_of_one_file_are_said_once_each() {
        let certificate = |until| Certificate {
            file: "bundle.pem".into(),
            until: UnixTime::new(until),
        };
        let bundle = [certificate(1), certificate(2), certificate(4_000_000_000)];
        let mut watch = Watch::default();
        let now = UnixTime::new(1_000);
        assert_eq!(watch.news(&bundle, now).len(), 2);
        assert!(watch.news(&bundle, now).is_empty());
    }
}
