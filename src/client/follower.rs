//! A cache that is followed over connections that come and go.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::connection::FetchError;
use crate::net::{Stream, Target, TcpOptions, dial};
use crate::rtr::client::{ClientConfig, ClientSession, Epoch, Event, Output, Reconnect, Update};

/// How a cache is followed.
#[derive(Clone, Debug)]
pub struct FollowerConfig {
    /// The session.
    pub client: ClientConfig,
    /// How long a connection may take, all addresses together.
    pub connect_timeout: Duration,
    /// How long an answer may take, from the query to End of Data.
    pub answer_timeout: Duration,
    /// The longest time between two queries. The refresh interval of the cache counts when it is
    /// shorter.
    pub refresh: Duration,
}

impl Default for FollowerConfig {
    /// Ten seconds to connect, two minutes to answer, and the intervals of the cache.
    fn default() -> Self {
        Self {
            client: ClientConfig::default(),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(120),
            refresh: Duration::MAX,
        }
    }
}

/// What a [`Follower`] has to tell.
#[derive(Debug)]
pub enum News {
    /// The cache has answered completely. It has said what its data are now, whether anything in
    /// them changed or not.
    Updated {
        /// What there is, and what changed.
        update: Box<Update>,
        /// The time from the query to End of Data.
        took: Duration,
    },
    /// The cache has no data (error 2). It is asked again on the same connection after the retry
    /// interval.
    NoData,
    /// What there was must not be used any more: it is older than the expire interval of the cache
    /// (RFC 8210 §6), or the cache has said that it ends for good (8210bis §8.6). Told once.
    Expired,
    /// There is no connection any more, or none came about. What there is stays good until it
    /// expires. Another connection is made after the retry interval, or after what
    /// [`reconnect_in`](Follower::reconnect_in) says.
    Lost(FetchError),
}

/// A router that asks a cache for its payloads, hears of changes and takes only these, and
/// connects again whenever it has to.
///
/// ```no_run
/// # async fn example(target: rutter::net::Target) {
/// use rutter::client::{Follower, FollowerConfig, News};
///
/// let mut follower = Follower::new(target, FollowerConfig::default());
/// loop {
///     match follower.next().await {
///         News::Updated { update, .. } => println!("{} payloads", update.epoch.set.len()),
///         News::Expired => println!("no payloads"),
///         News::NoData => println!("nothing yet"),
///         News::Lost(error) => println!("{error}"),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Follower {
    target: Target,
    config: FollowerConfig,
    session: ClientSession,
    link: Link,
    buffer: Vec<u8>,
    /// When the first query that has no answer yet was sent.
    asked: Option<Instant>,
    /// When a query is due that the cache did not ask for.
    due: Option<Instant>,
    /// What is told first.
    pending: Option<News>,
}

/// The connection.
#[derive(Debug)]
enum Link {
    /// There is none until then.
    Down { until: Instant, why: Why },
    /// There is one, and this is still to be sent on it.
    Up { stream: Stream, sending: Bytes },
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Why {
    /// The next one begins from what is known of the cache, or anew without that.
    Away,
    /// The next one goes on with a lower version.
    Downgrade,
}

impl Follower {
    /// Octets taken from a connection at once.
    const BUFFER: usize = 64 * 1024;

    /// A follower that has nothing yet and connects when it is first asked for news.
    pub fn new(target: Target, config: FollowerConfig) -> Self {
        let now = Instant::now();
        Self {
            session: ClientSession::new(config.client.clone(), now.into_std()),
            target,
            config,
            link: Link::Down {
                until: now,
                why: Why::Away,
            },
            buffer: Vec::new(),
            asked: None,
            due: None,
            pending: None,
        }
    }

    /// Waits for news, and meanwhile does everything to get some.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no news is lost, and a connection that is being made is made again.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.pending.take() {
                return news;
            }
            let news = match self.link {
                Link::Down { until, why } => self.connect(until, why).await,
                Link::Up { .. } => self.converse().await,
            };
            if let Some(news) = news {
                return news;
            }
        }
    }

    /// Asks the cache now, after a new connection if there is none, and not when it is time. An
    /// answer under way is not asked for again.
    pub fn ask_now(&mut self) {
        let now = Instant::now();
        match &mut self.link {
            Link::Down { until, .. } => *until = now,
            Link::Up { .. } => self.session.ask_now(now.into_std()),
        }
    }

    /// How long to wait from now before the next attempt to connect; nothing while there is a
    /// connection. For callers with many caches, who spread their attempts.
    pub fn reconnect_in(&mut self, wait: Duration) {
        if let Link::Down { until, .. } = &mut self.link {
            *until = Instant::now() + wait;
        }
    }

    /// Where and how the next connection is made; the one there is goes on.
    pub fn set_target(&mut self, target: Target) {
        self.target = target;
    }

    /// What the cache said last, `None` before the first End of Data and after it expired.
    pub const fn epoch(&self) -> Option<&Epoch> {
        self.session.epoch()
    }

    /// The retry interval: that of the cache, or else the configured one.
    pub fn retry(&self) -> Duration {
        self.session.retry()
    }

    /// Whether there is a connection.
    pub const fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    async fn connect(&mut self, until: Instant, why: Why) -> Option<News> {
        // A session without data has nothing that could expire, and nothing else happens to one
        // without a connection.
        let expires = self.session.epoch().and_then(|_| self.session.deadline());
        let expires = expires.map(Instant::from);
        sleep_until(expires.map_or(until, |expires| expires.min(until))).await;
        let now = Instant::now();
        if expires.is_some_and(|expires| expires <= now)
            && let Some(news) = self.expire(now)
        {
            return Some(news);
        }
        if now < until {
            return None;
        }
        let options = TcpOptions::default();
        let stream = match dial(&self.target, self.config.connect_timeout, &options).await {
            Ok((stream, _)) => stream,
            Err(error) => return Some(self.lost(FetchError::Dial(error))),
        };
        let now = Instant::now().into_std();
        if why == Why::Away && self.session.epoch().is_none() {
            // Versions that a cache refused while it was starting, say, are tried again.
            self.session = ClientSession::new(self.config.client.clone(), now);
        } else {
            self.session.connected(now);
        }
        self.buffer.resize(Self::BUFFER, 0);
        self.link = Link::Up {
            stream,
            sending: Bytes::new(),
        };
        None
    }

    fn expire(&mut self, now: Instant) -> Option<News> {
        while let Output::Event(event) = self.session.output(now.into_std()) {
            if matches!(event, Event::Expired) {
                return Some(News::Expired);
            }
        }
        None
    }

    /// One thing after the other, until one of them is news.
    async fn converse(&mut self) -> Option<News> {
        let now = Instant::now();
        let late = self.asked.map(|asked| asked + self.config.answer_timeout);
        if late.is_some_and(|late| late <= now) {
            self.session.abandoned();
            return Some(self.lost(FetchError::TimedOut(self.config.answer_timeout)));
        }
        let Link::Up { stream, sending } = &mut self.link else {
            return None;
        };
        if !sending.is_empty() {
            let patience = late.unwrap_or(now + self.config.answer_timeout);
            return match timeout_at(patience, stream.send(sending)).await {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => self.broken(Some(error)),
                Err(_) if late.is_some() => None,
                Err(_) => self.broken(None),
            };
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.session.ask_now(now.into_std());
        }
        match self.session.output(now.into_std()) {
            Output::Send(octets) => {
                *sending = octets;
                self.asked.get_or_insert(now);
                self.due = None;
                None
            }
            Output::Event(event) => self.heard(event, now),
            Output::Reconnect(reconnect) => self.hang_up(reconnect).await,
            Output::Wait => {
                let deadline = self.session.deadline().map(Instant::from);
                let deadline = [deadline, late, self.due].into_iter().flatten().min();
                let until = deadline.unwrap_or(now);
                let received = tokio::select! {
                    received = stream.recv(&mut self.buffer) => received,
                    () = sleep_until(until), if deadline.is_some() => return None,
                };
                match received {
                    Ok(0) => self.broken(None),
                    Ok(octets) => {
                        let octets = self.buffer.get(..octets).unwrap_or_default();
                        receive(&mut self.session, octets);
                        None
                    }
                    Err(error) => self.broken(Some(error)),
                }
            }
        }
    }

    fn heard(&mut self, event: Event, now: Instant) -> Option<News> {
        match event {
            Event::Updated(update) => {
                let asked = self.asked.take();
                self.due = now.checked_add(self.config.refresh);
                Some(News::Updated {
                    update,
                    took: asked.map_or(Duration::ZERO, |asked| now - asked),
                })
            }
            Event::NoData => {
                self.asked = None;
                Some(News::NoData)
            }
            Event::Expired => Some(News::Expired),
            Event::Notified(_) | Event::Reset | Event::Downgraded(_) => None,
        }
    }

    /// The connection broke. The session may have something to say before it is told of.
    fn broken(&mut self, error: Option<io::Error>) -> Option<News> {
        self.session.disconnected();
        let now = Instant::now();
        loop {
            match self.session.output(now.into_std()) {
                Output::Event(event) => {
                    let news = self.heard(event, now);
                    if news.is_some() {
                        // The connection is found broken again after that.
                        return news;
                    }
                }
                Output::Send(_) => {}
                Output::Reconnect(Reconnect::Downgrade(_)) => {
                    self.down(Why::Downgrade, now);
                    return None;
                }
                Output::Reconnect(Reconnect::After(failure)) => {
                    let error = error.map_or(FetchError::Failed(failure), FetchError::Transport);
                    return Some(self.lost(error));
                }
                Output::Wait => return None,
            }
        }
    }

    /// Ends the connection as the session wants it.
    async fn hang_up(&mut self, reconnect: Reconnect) -> Option<News> {
        let now = Instant::now();
        let before = std::mem::replace(
            &mut self.link,
            Link::Down {
                until: now,
                why: Why::Downgrade,
            },
        );
        if let Reconnect::After(failure) = reconnect {
            self.pending = Some(self.lost(FetchError::Failed(failure)));
        }
        if let Link::Up { stream, .. } = before {
            // So that the cache can read the report.
            stream.finish().await;
        }
        None
    }

    fn lost(&mut self, error: FetchError) -> News {
        self.down(Why::Away, Instant::now() + self.retry());
        News::Lost(error)
    }

    fn down(&mut self, why: Why, until: Instant) {
        self.link = Link::Down { until, why };
        self.buffer = Vec::new();
        self.due = None;
        if why == Why::Away {
            self.asked = None;
        }
    }
}

/// Payloads that are dealt with in less time than it takes to make way for others.
const FEW: usize = 10_000;

/// Gives octets to the session. With many payloads the last of them cost a sort and a comparison
/// of sets, and other tasks shall not wait for that.
fn receive(session: &mut ClientSession, octets: &[u8]) {
    let now = Instant::now().into_std();
    let known = session.epoch().map_or(0, |epoch| epoch.set.len());
    let several = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if several && known.max(session.received()) > FEW {
        block_in_place(|| session.receive(now, octets));
    } else {
        session.receive(now, octets);
    }
}
