//! What followers are told: a manifest of what the disk holds, signed, that counts for a while.
//!
//! It is made anew whenever the disk holds something else, and when a quarter of its time is over,
//! so that a follower always gets one that counts for long. Of a leader's history it says what the leader said, and never for longer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ring::rand::SystemRandom;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info};

use super::authority::{Authority, Validity};
use super::stock::Stock;
use crate::config::{Export, ExportKeys};
use crate::feed::Manifest;
use crate::http::backend::Announcement;
use crate::payload::UnixTime;
use crate::sign::{Digest, SigningKey, hex};

/// How a feed is announced.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Signs the manifest; `None` for a plain one.
    key: Option<Arc<SigningKey>>,
    /// How long a manifest of our own history counts.
    valid: Duration,
    /// Whether HTTP has it.
    http: Outlet,
    /// Whether it is laid out elsewhere.
    elsewhere: Outlet,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outlet {
    Open,
    Shut,
}

impl Outlet {
    const fn of(open: bool) -> Self {
        if open { Self::Open } else { Self::Shut }
    }
}

impl Rules {
    /// What a configuration says, with its keys; `expire` is the one of routers.
    pub fn new(export: &Export, keys: &ExportKeys, expire: Duration) -> Self {
        Self {
            key: keys.sign.clone(),
            valid: export.feed_valid.unwrap_or(expire),
            http: Outlet::of(export.feed),
            elsewhere: Outlet::of(export.folder.is_some() || export.bucket.is_some()),
        }
    }
}

/// An announcement with the manifest that it is the text of.
#[derive(Clone, Debug)]
pub struct Bulletin {
    /// The manifest.
    pub manifest: Manifest,
    /// What followers are told.
    pub announcement: Arc<Announcement>,
}

/// Makes announcements of what the disk holds.
pub struct Announcer {
    stock: watch::Receiver<Option<Arc<Stock>>>,
    rules: watch::Receiver<Rules>,
    /// For HTTP.
    feed: watch::Sender<Option<Arc<Announcement>>>,
    /// For whoever lays it out elsewhere.
    bulletins: watch::Sender<Option<Arc<Bulletin>>>,
    clock: Box<dyn Fn() -> UnixTime + Send>,
    /// When the last manifest was made.
    issued: UnixTime,
    /// What was said last of why there is none.
    silence: Option<Silence>,
}

/// Why followers are told nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Silence {
    /// The disk holds nothing, or there is no feed.
    Nothing,
    /// Routers get nothing either.
    Withheld,
    /// The word of the leader counts no more.
    Over,
    /// It cannot be signed, and nothing unsigned takes its place.
    Unsigned,
}

/// What there is to tell, and how long it stays so if nothing changes.
struct Told {
    outcome: Result<Arc<Bulletin>, Silence>,
    /// `None` until something changes.
    lasts: Option<Duration>,
}

/// The wait before signing is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// A manifest is renewed when this part of its time has passed.
const RENEWED_AFTER: u32 = 4;

impl Announcer {
    /// One that has told nothing yet. A change of `rules` counts at once.
    pub fn new(
        stock: watch::Receiver<Option<Arc<Stock>>>,
        rules: watch::Receiver<Rules>,
        clock: impl Fn() -> UnixTime + Send + 'static,
    ) -> Self {
        Self {
            stock,
            rules,
            feed: watch::Sender::new(None),
            bulletins: watch::Sender::new(None),
            clock: Box::new(clock),
            issued: UnixTime::new(0),
            silence: Some(Silence::Nothing),
        }
    }

    /// What HTTP tells followers.
    pub fn feed(&self) -> watch::Receiver<Option<Arc<Announcement>>> {
        self.feed.subscribe()
    }

    /// What is laid out elsewhere.
    pub fn bulletins(&self) -> watch::Receiver<Option<Arc<Bulletin>>> {
        self.bulletins.subscribe()
    }

    /// Announces until told to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let stock = self.stock.borrow_and_update().clone();
            let rules = self.rules.borrow_and_update().clone();
            let told = self.tell(stock, rules.clone()).await;
            self.note(&told.outcome);
            self.send(told.outcome.as_ref().ok(), &rules);
            let over = async {
                match told.lasts {
                    Some(time) => sleep(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = super::told(&mut stop) => return,
                changed = self.stock.changed() => if changed.is_err() {
                    // Nobody is left to say that this stays so.
                    self.send(None, &rules);
                    return;
                },
                changed = self.rules.changed() => if changed.is_err() {
                    return;
                },
                () = over => {}
            }
        }
    }

    /// What there is to tell now.
    async fn tell(&mut self, stock: Option<Arc<Stock>>, rules: Rules) -> Told {
        let silent = |silence, lasts| Told {
            outcome: Err(silence),
            lasts,
        };
        let open = [rules.http, rules.elsewhere].contains(&Outlet::Open);
        let Some(stock) = stock.filter(|_| open) else {
            return silent(Silence::Nothing, None);
        };
        if !stock.served {
            return silent(Silence::Withheld, None);
        }
        let now = (self.clock)();
        let (validity, lasts) = match stock.authority {
            Authority::Own => self.own(&stock, &rules, now),
            Authority::Leader(validity) => self.leaders(validity, now),
        };
        if validity.valid_until <= now {
            return silent(Silence::Over, None);
        }
        let Validity {
            issued,
            valid_until,
        } = validity;
        let manifest = Manifest {
            issued,
            valid_until,
            ..stock.manifest.clone()
        };
        let folder = Arc::clone(&stock.folder);
        // A long history takes some milliseconds to write and sign.
        let made = spawn_blocking(move || {
            let text = text(&manifest, rules.key.as_deref())?;
            Some((manifest, text, rules.key.is_some()))
        });
        let Ok(Some((manifest, text, signed))) = made.await else {
            return silent(Silence::Unsigned, Some(AGAIN));
        };
        self.issued = issued;
        let announcement = Announcement {
            tag: hex::encode(&Digest::of(&text).sha256).into(),
            text,
            signed,
            issued,
            valid_until,
            folder,
        };
        Told {
            outcome: Ok(Arc::new(Bulletin {
                manifest,
                announcement: Arc::new(announcement),
            })),
            lasts: Some(lasts),
        }
    }

    /// For how long a manifest of our own history counts, and when it is renewed.
    fn own(&self, stock: &Stock, rules: &Rules, now: UnixTime) -> (Validity, Duration) {
        let before = self.issued.max(stock.manifest.issued);
        // Followers go back for nobody, so a clock that was set back waits for itself; but what
        // was from a future that nobody believes was taken by none of them.
        let issued = match before <= now.plus(Manifest::SKEW) {
            true => before.max(now),
            false => now,
        };
        let valid_until = now.plus(rules.valid.as_secs()).max(issued);
        let validity = Validity {
            issued,
            valid_until,
        };
        (validity, rules.valid / RENEWED_AFTER)
    }

    /// What the leader said, until it counts no more. It may be later than the leader's, so that
    /// it is not before what our own followers have taken.
    fn leaders(&self, said: Validity, now: UnixTime) -> (Validity, Duration) {
        let before = match self.issued <= now.plus(Manifest::SKEW) {
            true => self.issued,
            false => said.issued,
        };
        let issued = said.issued.max(before).min(said.valid_until);
        let validity = Validity { issued, ..said };
        let left = said.valid_until.since(now);
        (validity, Duration::from_secs(left))
    }

    /// Says why followers are told nothing, once.
    fn note(&mut self, outcome: &Result<Arc<Bulletin>, Silence>) {
        let silence = outcome.as_ref().err().copied();
        if silence == self.silence {
            return;
        }
        match silence {
            None => info!("the feed is announced"),
            Some(Silence::Nothing) => info!("there is no feed"),
            Some(Silence::Withheld) => info!("the feed is withheld, as routers get no data"),
            Some(Silence::Over) => info!("the feed ends, as the word of the leader is over"),
            Some(Silence::Unsigned) => {
                error!("the manifest cannot be signed: followers are told nothing");
            }
        }
        self.silence = silence;
    }

    fn send(&self, bulletin: Option<&Arc<Bulletin>>, rules: &Rules) {
        let open = |outlet| bulletin.filter(|_| outlet == Outlet::Open);
        let announcement = open(rules.http).map(|bulletin| Arc::clone(&bulletin.announcement));
        put(&self.feed, announcement, |it| &it.tag);
        let elsewhere = open(rules.elsewhere).cloned();
        put(&self.bulletins, elsewhere, |it| &it.announcement.tag);
    }
}

/// Tells a value, unless it is the one that was told last.
fn put<T>(sender: &watch::Sender<Option<T>>, value: Option<T>, tag: impl Fn(&T) -> &str) {
    sender.send_if_modified(|known| {
        let news = known.as_ref().map(&tag) != value.as_ref().map(&tag);
        *known = value;
        news
    });
}

/// The manifest as it is served; `None` when it cannot be signed.
fn text(manifest: &Manifest, key: Option<&SigningKey>) -> Option<Bytes> {
    match key {
        Some(key) => manifest
            .sign(key, &SystemRandom::new())
            .map(|text| text.into()),
        None => Some(manifest.to_plain().into()),
    }
}

#[cfg(test)]
mod tests;
