//! The server: sockets, connections, and their limits.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error, info};

use super::access::{Access, Asker};
use super::backend::Backend;
use super::counts::Counts;
use super::routes::{self, Shared};
use super::socket::ControlSocket;
use super::stall::Stalling;
use crate::net::gate::{Full, Gate};
use crate::net::tls::{TlsAcceptor, TlsStream};
use crate::net::{self, Peer, Reason, Refused, Stream, TcpOptions, Transport};

/// What peers may cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long the header of a request may take, from the end of the last answer on: it limits
    /// idle connections, too. A handshake of TLS before the first one has as long.
    pub header: Duration,
    /// The most octets of such a header; beyond it, 431.
    pub header_octets: usize,
    /// The most octets of the body of a request; beyond it, 413.
    pub body_octets: usize,
    /// How long the body of a request may take, and again its answer.
    pub request: Duration,
    /// How long the outcome of a command may take.
    pub command: Duration,
    /// How long a follower may wait for another manifest, less than proxies wait for an answer.
    pub wait: Duration,
    /// How long the body of an answer out of a file may take in all, looked at between chunks. Who
    /// needs longer goes on with a range: a file that was replaced fills the disk until then.
    pub body: Duration,
    /// How long a peer may take no octet of an answer.
    pub stall: Duration,
    /// How long requests under way may take to end when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Longer than the minute between two scrapes serves nobody but slow attackers.
            header: Duration::from_secs(30),
            header_octets: 16 * 1024,
            body_octets: 64 * 1024,
            request: Duration::from_secs(30),
            command: Duration::from_secs(600),
            wait: Duration::from_secs(25),
            body: Duration::from_secs(3_600),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

/// Connections over the control socket at once. A further one waits in the kernel's queue: it is
/// the operator's.
const CONTROL_CONNECTIONS: usize = 16;

/// Connections beyond the limit that are told so at once; further ones are only closed.
const FAREWELLS: usize = 32;

/// The headers of a request; a browser behind two proxies sends half of that.
const MAX_HEADERS: usize = 64;

/// The one HTTP server. First everything is bound, so that a start succeeds or fails whole, then
/// [`run`](Self::run) serves.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<net::Listener>,
    control: Option<ControlSocket>,
    access: watch::Receiver<Access>,
    gate: Arc<Gate>,
    limits: Limits,
}

impl Server {
    /// A server that listens nowhere yet. A changed access counts from the next request on, what it
    /// says of TLS from the next connection on.
    /// Connections over TCP come through the gate: one that finds it full is answered 503 and
    /// closed; over TLS it is only closed.
    pub const fn new(access: watch::Receiver<Access>, gate: Arc<Gate>, limits: Limits) -> Self {
        Self {
            listeners: Vec::new(),
            control: None,
            access,
            gate,
            limits,
        }
    }

    /// Listens at an address too; port 0 lets the system choose. Gives the address. Needs a
    /// runtime.
    ///
    /// # Errors
    ///
    /// When the address is in use, is not ours, or its family is switched off.
    pub fn bind_tcp(&mut self, address: SocketAddr) -> Result<SocketAddr, BindError> {
        let listener = net::Listener::bind(address, &TcpOptions::default())
            .map_err(|cause| BindError::Address { address, cause })?;
        let bound = listener.address();
        self.listeners.push(listener);
        Ok(bound)
    }

    /// Listens on a control socket, of mode 0660, in a folder that is made when there is none. A
    /// socket that nobody answers at any more is replaced. Needs a runtime.
    ///
    /// # Errors
    ///
    /// When somebody answers there, when there is something else than a socket, or when the system
    /// refuses.
    pub fn bind_control(&mut self, path: &Path) -> Result<(), BindError> {
        self.control = Some(ControlSocket::bind(path)?);
        Ok(())
    }

    /// Serves until told to stop; then requests under way may end, commands are given up, and the
    /// control socket goes.
    pub async fn run(self, backend: Arc<Backend>, stop: watch::Receiver<bool>) {
        let Self {
            listeners,
            control,
            access,
            gate,
            limits,
        } = self;
        let shared = Arc::new(Shared::new(backend, access, limits, stop));
        let router = routes::router(Arc::clone(&shared));
        let mut loops = JoinSet::new();
        let transport = match shared.access.borrow().tls {
            Some(_) => "https",
            None => "http",
        };
        for listener in listeners {
            info!(address = %listener.address(), transport, "listening");
            let (shared, router) = (Arc::clone(&shared), router.clone());
            loops.spawn(accept(listener, shared, router, Arc::clone(&gate)));
        }
        if let Some(socket) = control {
            info!(path = %socket.path().display(), transport = "control", "listening");
            loops.spawn(accept_control(socket, shared, router));
        }
        while let Some(ended) = loops.join_next().await {
            report(ended);
        }
    }
}

/// Accepts connections over TCP until told to stop, then waits for them to end.
async fn accept(listener: net::Listener, shared: Arc<Shared>, router: Router, gate: Arc<Gate>) {
    let farewells = Arc::new(Semaphore::new(FAREWELLS));
    let mut connections = JoinSet::new();
    let mut stop = shared.stop.clone();
    loop {
        tokio::select! {
            biased;
            () = told(&mut stop) => break,
            Some(ended) = connections.join_next() => report(ended),
            (socket, address) = listener.accept() => {
                if !shared.access.borrow().list.allows(address.ip()) {
                    debug!(peer = %address, reason = "access list", "http connection refused");
                    Counts::add(&shared.counts.refused_access);
                    continue;
                }
                let entered = gate.enter(address.ip());
                let Ok(place) = entered else {
                    debug!(peer = %address, reason = "too many", "http connection refused");
                    Counts::add(match entered {
                        Err(Full::Address) => &shared.counts.refused_address,
                        _ => &shared.counts.refused_limit,
                    });
                    // With TLS it could be told only after a handshake, which it shall not cost us.
                    let clear = shared.access.borrow().tls.is_none();
                    if clear && let Ok(place) = Arc::clone(&farewells).try_acquire_owned() {
                        connections.spawn(async move {
                            refuse(Stream::from(socket)).await;
                            drop(place);
                        });
                    }
                    continue;
                };
                Counts::add(&shared.counts.accepted);
                let (shared, router) = (Arc::clone(&shared), router.clone());
                let tls = shared.access.borrow().tls.clone();
                connections.spawn(async move {
                    let open = shared.counts.open();
                    let asker = Asker::Tcp(address);
                    match tls {
                        None => serve(socket, asker, shared.clone(), router).await,
                        Some(tls) => {
                            if let Some(stream) = shake_hands(socket, address, &tls, &shared).await {
                                serve(stream, asker, shared.clone(), router).await;
                            }
                        }
                    }
                    drop((open, place));
                });
            }
        }
    }
    // Nobody queues up behind a server that goes.
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

/// Accepts connections over the control socket until told to stop, then waits for them to end.
async fn accept_control(socket: ControlSocket, shared: Arc<Shared>, router: Router) {
    let room = Arc::new(Semaphore::new(CONTROL_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut stop = shared.stop.clone();
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (socket.accept().await, place)
        };
        tokio::select! {
            biased;
            () = told(&mut stop) => break,
            Some(ended) = connections.join_next() => report(ended),
            (stream, place) = next => {
                let uid = stream.peer_cred().map(|peer| peer.uid()).ok();
                let (shared, router) = (Arc::clone(&shared), router.clone());
                connections.spawn(async move {
                    serve(stream, Asker::Control { uid }, shared, router).await;
                    drop(place);
                });
            }
        }
    }
    // A new server may take the place while this one drains.
    drop(socket);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

/// Shakes hands in the time that the header of a request may take, unless the server stops before.
async fn shake_hands(
    socket: TcpStream,
    address: SocketAddr,
    tls: &TlsAcceptor,
    shared: &Shared,
) -> Option<Box<TlsStream>> {
    let mut stop = shared.stop.clone();
    let peer = Peer::new(address, Transport::Tls);
    let handshake = timeout(shared.limits.header, tls.accept_tls(socket, peer));
    let done = tokio::select! {
        done = handshake => done,
        () = told(&mut stop) => return None,
    };
    let refused = match done {
        Ok(Ok((stream, _))) => return Some(stream),
        Ok(Err(refused)) => refused,
        Err(_) => Refused::new(Reason::Deadline, "the handshake did not end in time"),
    };
    let (reason, detail) = (refused.reason.word(), refused.detail());
    debug!(peer = %address, reason, detail, "http connection refused");
    Counts::add(&shared.counts.refused_tls);
    None
}

/// Serves one connection to its end.
pub(super) async fn serve<S>(socket: S, asker: Asker, shared: Arc<Shared>, router: Router)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = shared.limits;
    let mut stop = shared.stop.clone();
    let name = asker.to_string();
    let service = service_fn(|request| async {
        Ok::<_, Infallible>(routes::answer(&router, &shared, &asker, request).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(limits.header_octets.max(MIN_BUFFER))
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Stalling::new(socket, limits.stall)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.drain, connection).await.ok()
        }
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => debug!(peer = %name, %error, "http connection ended"),
        None => debug!(peer = %name, "http connection cut at the stop"),
    }
}

/// The least that the machine below can do with.
const MIN_BUFFER: usize = 8192;

/// Tells a peer that there are too many.
async fn refuse(mut stream: Stream) {
    let mut octets = Bytes::from_static(BUSY);
    // A new socket takes that much at once; a peer that is gone hears nothing.
    if stream.send(&mut octets).await.is_ok() {
        stream.finish().await;
    }
}

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 21\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\r\n\
    too many connections\n";

/// Resolves when the server stops, which it also does when nobody is left to say so.
pub(super) async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A task that broke is a fault of ours; the others go on.
fn report(ended: Result<(), JoinError>) {
    if let Err(cause) = ended
        && cause.is_panic()
    {
        error!(error = %cause, "an http task broke");
    }
}

/// Why a server cannot listen.
#[derive(Debug)]
pub enum BindError {
    /// An address cannot be listened on.
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// Another server answers at the control socket.
    Live {
        /// Where it is.
        path: PathBuf,
    },
    /// Where the control socket should be there is something else.
    NoSocket {
        /// Where it is.
        path: PathBuf,
    },
    /// The control socket cannot be made.
    Control {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, .. } => write!(f, "cannot serve http on {address}"),
            Self::Live { path } => write!(
                f,
                "another server answers at the control socket {}",
                path.display()
            ),
            Self::NoSocket { path } => write!(
                f,
                "the control socket cannot take the place of {}, which is no socket",
                path.display()
            ),
            Self::Control { path, .. } => {
                write!(f, "cannot make the control socket {}", path.display())
            }
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Address { cause, .. } | Self::Control { cause, .. } => Some(cause),
            Self::Live { .. } | Self::NoSocket { .. } => None,
        }
    }
}
