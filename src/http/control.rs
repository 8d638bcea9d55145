//! The client for the control socket.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::shape::Problem;

/// Where a server that was told nothing else has its control socket.
pub const DEFAULT_PATH: &str = "/run/rutter/control";

/// A client; each question has a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
    limit: Duration,
}

impl Client {
    /// How long a server may take to say how it is.
    pub const LOOK: Duration = Duration::from_secs(30);

    /// How long a server may take for a command, and a bit more: it says itself when it gives up.
    pub const COMMAND: Duration = Duration::from_secs(660);

    /// The most octets of an answer.
    const MAX_ANSWER: usize = 64 << 20;

    /// A client for the server with this socket, which may take so long for an answer.
    pub const fn new(path: PathBuf, limit: Duration) -> Self {
        Self { path, limit }
    }

    /// Asks for what is at a path.
    ///
    /// # Errors
    ///
    /// When there is no server, no answer, or one that is no success.
    pub async fn get(&self, path: &str) -> Result<Value, ControlError> {
        self.ask(Method::GET, path, None).await
    }

    /// Sends a command, with a body if it has one, and waits for its outcome.
    ///
    /// # Errors
    ///
    /// When there is no server, no answer, or one that is no success.
    pub async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, ControlError> {
        self.ask(Method::POST, path, body).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ControlError> {
        let (status, body) = timeout(self.limit, self.exchange(method, path, body))
            .await
            .unwrap_or_else(|_| {
                Err(ControlError::TimedOut {
                    path: self.path.clone(),
                    limit: self.limit,
                })
            })?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(ControlError::NotJson);
        }
        let problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem {
            error: format!("the server answers {status}"),
            details: Vec::new(),
        });
        Err(ControlError::Refused {
            status: status.as_u16(),
            problem,
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), ControlError> {
        let broken = |cause: Box<dyn Error + Send + Sync>| ControlError::Broken {
            path: self.path.clone(),
            cause,
        };
        let socket = connect(&self.path).await?;
        let handshake = http1::handshake(TokioIo::new(socket)).await;
        let (mut sender, connection) = handshake.map_err(|cause| broken(cause.into()))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "rutter")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(|cause| broken(cause.into()))?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), Self::MAX_ANSWER);
            Ok((status, body.collect().await?.to_bytes()))
        };
        // The connection moves the octets; what it has to say of a failure, the answer says.
        let (_, answer) = tokio::join!(connection, answer);
        answer.map_err(broken)
    }
}

async fn connect(path: &Path) -> Result<UnixStream, ControlError> {
    let connected = UnixStream::connect(path).await;
    connected.map_err(|cause| ControlError::NoServer {
        path: path.to_owned(),
        cause,
    })
}

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug)]
pub enum ControlError {
    /// Nobody can be reached at the socket.
    NoServer {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The connection broke, or what came is no HTTP.
    Broken {
        /// Where the socket is.
        path: PathBuf,
        /// What broke.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// There was no answer in time.
    TimedOut {
        /// Where the socket is.
        path: PathBuf,
        /// How long it might have taken.
        limit: Duration,
    },
    /// The answer is no JSON.
    NotJson(serde_json::Error),
    /// The server says no.
    Refused {
        /// The status of HTTP.
        status: u16,
        /// Why.
        problem: Problem,
    },
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer { path, cause } => {
                let absent = matches!(
                    cause.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                );
                let fault = if absent {
                    "no server at"
                } else {
                    "cannot connect to"
                };
                write!(f, "{fault} {}", path.display())
            }
            Self::Broken { path, cause } if cause.is::<LengthLimitError>() => {
                write!(f, "the answer of {} is too large", path.display())
            }
            Self::Broken { path, .. } => {
                write!(f, "the conversation with {} broke", path.display())
            }
            Self::TimedOut { path, limit } => {
                write!(f, "no answer from {} within {limit:?}", path.display())
            }
            Self::NotJson(_) => f.write_str("the answer is no JSON"),
            Self::Refused { problem, .. } => f.write_str(&problem.error),
        }
    }
}

impl Error for ControlError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoServer { cause, .. } => Some(cause),
            Self::Broken { cause, .. } => Some(&**cause),
            Self::NotJson(cause) => Some(cause),
            Self::TimedOut { .. } | Self::Refused { .. } => None,
        }
    }
}
