//! One answer over one connection, or over two when the version has to be lowered.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};

use crate::net::sys::TcpOptions;
use crate::net::{DialError, Stream, Target, dial};
use crate::rtr::Version;
use crate::rtr::client::{ClientConfig, ClientSession, Epoch, Event, Failure, Output, Reconnect};

/// How far a fetch is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Connected; a query of this version goes out.
    Connected(Version),
    /// A lower version is tried.
    Downgraded(Version),
    /// This many payloads have arrived.
    Received(usize),
}

/// Why there is no complete set.
#[derive(Debug)]
pub enum FetchError {
    /// No connection.
    Dial(DialError),
    /// The cache could not or would not answer.
    Failed(Failure),
    /// The cache has no data.
    NoData,
    /// It took longer than this.
    TimedOut(Duration),
    /// The connection broke.
    Transport(io::Error),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(_) => f.write_str("no connection"),
            Self::Failed(Failure::Closed) => {
                f.write_str("the cache closed the connection before End of Data")
            }
            Self::Failed(Failure::Protocol(error)) => {
                write!(f, "the cache breaks the protocol: {error}")
            }
            Self::Failed(Failure::Report(report)) => match report.code() {
                Some(code) => write!(f, "the cache reports {code}: {:?}", report.text),
                None => write!(
                    f,
                    "the cache reports error {}: {:?}",
                    report.code, report.text
                ),
            },
            Self::Failed(Failure::NoCommonVersion { offered }) => {
                write!(f, "no common version; the cache offers {offered}")
            }
            Self::Failed(Failure::Silent) => f.write_str("the cache is silent"),
            Self::Failed(Failure::TooLarge { limit }) => {
                write!(f, "the answer has more than {limit} payloads")
            }
            Self::NoData => f.write_str("the cache has no data yet (error 2)"),
            Self::TimedOut(limit) => write!(f, "no End of Data within {} s", limit.as_secs()),
            Self::Transport(_) => f.write_str("the connection broke"),
        }
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Dial(cause) => Some(cause),
            Self::Transport(cause) => Some(cause),
            _ => None,
        }
    }
}

/// Gets the whole set of a cache, within a time limit.
///
/// # Errors
///
/// When there is no complete answer; a part of one is never given.
pub async fn fetch(
    target: &Target,
    config: ClientConfig,
    limit: Duration,
    progress: impl FnMut(Progress),
) -> Result<Epoch, FetchError> {
    let connect = Duration::from_secs(10).min(limit);
    let work = Box::pin(connections(target, config, connect, progress));
    timeout(limit, work)
        .await
        .unwrap_or(Err(FetchError::TimedOut(limit)))
}

async fn connections(
    target: &Target,
    config: ClientConfig,
    connect: Duration,
    mut progress: impl FnMut(Progress),
) -> Result<Epoch, FetchError> {
    let mut session = ClientSession::new(config, Instant::now());
    loop {
        let dialled = dial(target, connect, &TcpOptions::default()).await;
        let (mut stream, _) = dialled.map_err(FetchError::Dial)?;
        session.connected(Instant::now());
        progress(Progress::Connected(session.version()));
        match drive(&mut stream, &mut session, &mut progress).await? {
            Outcome::Complete(epoch) => {
                stream.finish().await;
                return Ok(*epoch);
            }
            Outcome::Again => {}
        }
    }
}

enum Outcome {
    Complete(Box<Epoch>),
    Again,
}

async fn drive(
    stream: &mut Stream,
    session: &mut ClientSession,
    progress: &mut impl FnMut(Progress),
) -> Result<Outcome, FetchError> {
    let mut buffer = vec![0; 64 * 1024];
    let mut downgraded = false;
    // Whether a lower version was asked for on this connection and nothing has come of it.
    let mut asked_again = false;
    loop {
        match session.output(Instant::now()) {
            Output::Send(mut octets) => {
                asked_again = downgraded;
                while !octets.is_empty() {
                    match stream.send(&mut octets).await {
                        Ok(_) => {}
                        Err(_) if asked_again => return Ok(Outcome::Again),
                        Err(error) => return Err(FetchError::Transport(error)),
                    }
                }
            }
            Output::Event(Event::Updated(update)) => {
                return Ok(Outcome::Complete(Box::new(update.epoch)));
            }
            Output::Event(Event::NoData) => return Err(FetchError::NoData),
            Output::Event(Event::Downgraded(version)) => {
                downgraded = true;
                progress(Progress::Downgraded(version));
            }
            Output::Event(_) => {}
            Output::Reconnect(Reconnect::Downgrade(_)) => return Ok(Outcome::Again),
            Output::Reconnect(Reconnect::After(failure)) => {
                return Err(FetchError::Failed(failure));
            }
            Output::Wait => {
                let deadline = session.deadline().map(Into::into);
                let until = deadline.unwrap_or_else(tokio::time::Instant::now);
                tokio::select! {
                    received = stream.recv(&mut buffer) => match received {
                        // Many caches close after error 4; what they offer stands.
                        Ok(0) | Err(_) if asked_again => return Ok(Outcome::Again),
                        Ok(0) => session.disconnected(),
                        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                            session.disconnected();
                        }
                        Err(error) => return Err(FetchError::Transport(error)),
                        Ok(octets) => {
                            let octets = buffer.get(..octets).unwrap_or_default();
                            asked_again = false;
                            session.receive(Instant::now(), octets);
                            progress(Progress::Received(session.received()));
                        }
                    },
                    () = sleep_until(until), if deadline.is_some() => {}
                }
            }
        }
    }
}
