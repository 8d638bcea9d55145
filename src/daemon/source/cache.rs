//! Other caches, over RTR.

use std::time::Duration;

use tokio::time::sleep;

use super::error::SourceError;
use super::list::{Conditions, List};
use super::pace::Pace;
use super::target::Way;
use super::{Closed, Content, Occasion, Outlet, Requests, unix_now};
use crate::client::{FetchError, Follower, FollowerConfig, News};
use crate::config::Source;
use crate::net::{Endpoint, HostPort};
use crate::payload::Rows;
use crate::rtr::Timing;
use crate::rtr::client::{ClientConfig, Epoch, Failure, Update};

/// Delivers what a cache has as often as it changes, and says each time that it does not.
pub(super) async fn deliver(
    source: &Source,
    endpoint: &Endpoint,
    outlet: &Outlet,
    mut requests: Requests,
) -> Result<(), Closed> {
    let mut pace = Pace::new(source.refresh);
    let mut way = Way::new(source, endpoint);
    let mut occasion = Occasion::Schedule;
    let target = loop {
        let error = match way.target().await {
            Ok(target) => break target,
            Err(error) => error,
        };
        outlet.send(occasion, Err(error), Duration::ZERO).await?;
        occasion = tokio::select! {
            asked = requests.next() => asked,
            () = sleep(pace.failed()) => Occasion::Schedule,
        };
    };
    let mut reporter = Reporter {
        at: target.at().clone(),
        pace,
        delivered: false,
        expire: Duration::ZERO,
    };
    let mut follower = Follower::new(target, config(source));
    loop {
        let news = tokio::select! {
            asked = requests.next() => {
                occasion = asked;
                if !follower.is_connected() {
                    way.renew(&mut follower).await;
                }
                follower.ask_now();
                continue;
            }
            news = follower.next() => news,
        };
        if matches!(news, News::Lost(_)) {
            way.renew(&mut follower).await;
        }
        let took = match &news {
            News::Updated { took, .. } => *took,
            _ => Duration::ZERO,
        };
        // That something expired is no answer to who asked.
        let answered = match news {
            News::Expired => Occasion::Event,
            _ => std::mem::replace(&mut occasion, Occasion::Event),
        };
        let result = reporter.report(news, &mut follower);
        outlet.send(answered, result, took).await?;
    }
}

/// The shortest PDU of a payload, in octets: what bounds the octets of an answer by their number.
const SHORTEST_PAYLOAD: u64 = 20;

fn config(source: &Source) -> FollowerConfig {
    let standard = ClientConfig::default();
    let payloads = usize::try_from(source.max_octets / SHORTEST_PAYLOAD);
    FollowerConfig {
        client: ClientConfig {
            max_payloads: payloads.unwrap_or(usize::MAX).min(standard.max_payloads),
            timing: until_told(),
            answer_wait: standard.answer_wait.min(source.timeout),
            ..standard
        },
        connect_timeout: source.connect_timeout,
        answer_timeout: source.timeout,
        refresh: source.refresh,
    }
}

/// The timers until the cache tells its own, with a short retry interval: a cache that starts at
/// the same time as we do has data in a minute or so, and nothing would be served until then.
fn until_told() -> Timing {
    let standard = Timing::RECOMMENDED;
    Timing::new(
        standard.refresh(),
        Duration::from_secs(60),
        standard.expire(),
    )
    .unwrap_or(standard)
}

/// Makes updates of news.
struct Reporter {
    at: HostPort,
    pace: Pace,
    /// Whether a list was delivered that is still good.
    delivered: bool,
    /// The expire interval of what was delivered last.
    expire: Duration,
}

impl Reporter {
    fn report(&mut self, news: News, follower: &mut Follower) -> Result<Content, SourceError> {
        let at = self.at.clone();
        match news {
            News::Updated { update, .. } => Ok(self.updated(*update)),
            News::NoData => Err(SourceError::NoData { at }),
            News::Expired => {
                self.delivered = false;
                let expire = self.expire;
                Err(SourceError::Expired { at, expire })
            }
            News::Lost(error) => {
                follower.reconnect_in(self.wait(&error, follower.retry()));
                Err(SourceError::Cache { at, error })
            }
        }
    }

    /// A cache that is away is looked for soon, at first; one that did not like a query, or whose
    /// answer we did not like, has its retry interval.
    fn wait(&mut self, error: &FetchError, retry: Duration) -> Duration {
        let soon = self.pace.failed().min(retry);
        match error {
            FetchError::Failed(Failure::Closed) => soon,
            FetchError::Failed(_) => Pace::jittered(retry),
            _ => soon,
        }
    }

    fn updated(&mut self, update: Update) -> Content {
        self.pace.succeeded();
        let Update { epoch, delta } = update;
        self.expire = epoch.timing.expire();
        if std::mem::replace(&mut self.delivered, true) && delta.is_empty() {
            let arrived = Some(unix_now());
            return Content::Unchanged { arrived };
        }
        Content::List(Box::new(list(epoch)))
    }
}

fn list(epoch: Epoch) -> List {
    List {
        listed: epoch.set.len(),
        rows: Rows::from(epoch.set),
        dialect: format!("RTR version {}", epoch.version).into(),
        stated: None,
        valid: None,
        arrived: unix_now(),
        skipped: 0,
        first_skipped: None,
        serial: Some(epoch.serial.into_u32()),
        expire: Some(epoch.timing.expire()),
        conditions: Conditions::default(),
    }
}
