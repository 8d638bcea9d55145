//! Accepting routers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info};

use super::clients::Who;
use super::counters::Refusal;
use super::pipeline::unix_now;
use super::profile::{Offer, Profiles};
use super::session::{self, Shared};
use crate::config;
use crate::net::access::is_within;
use crate::net::gate::Place;
use crate::net::proxy::{self, Header};
use crate::net::{self, Acceptor, Identity, Peer, Reason, Refused, Stream, Transport};

/// What a listener and its sessions go by; a reload sends others.
#[derive(Debug)]
pub struct Terms {
    /// Where it is, and who may connect.
    pub listener: config::Listener,
    /// Its handshake.
    pub acceptor: Acceptor,
    /// How long a connection may take until it is logged in.
    pub handshake_timeout: Duration,
    /// What routers get.
    pub profiles: Profiles,
}

impl Terms {
    /// What a configuration means for one of its listeners.
    pub fn new(config: &config::Config, listener: &config::Listener, acceptor: Acceptor) -> Self {
        Self {
            profiles: Profiles::new(config, listener),
            listener: listener.clone(),
            acceptor,
            handshake_timeout: config.limits.handshake_timeout,
        }
    }

    /// What a router gets.
    pub fn offer(&self, who: &Who) -> Arc<Offer> {
        let address = who.peer.address().ip();
        Arc::clone(self.profiles.choose(address, &who.identity))
    }
}

/// Accepts routers until told to stop, then waits for their sessions to end.
pub async fn run(
    socket: Arc<net::Listener>,
    terms: watch::Receiver<Arc<Terms>>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = super::told(&mut stop) => break,
            Some(_) = sessions.join_next() => {}
            (stream, address) = socket.accept() => {
                match enter(&shared, &terms, address) {
                    Ok(arrival) => {
                        let (shared, terms) = (Arc::clone(&shared), terms.clone());
                        sessions.spawn(serve(stream, arrival, shared, terms));
                    }
                    Err((peer, refusal)) => refuse(&shared, peer, refusal, ""),
                }
            }
        }
    }
    // No new connection queues up behind a server that goes.
    drop(socket);
    while sessions.join_next().await.is_some() {}
}

/// A connection that has a place.
struct Arrival {
    peer: Peer,
    place: Place,
    /// What it has to do before it is a session.
    way: Way,
}

/// What comes between a connection and a session.
enum Way {
    /// Nothing.
    Open,
    /// The handshake of the listener.
    Handshake,
    /// The header of a proxy, then the handshake.
    Proxied,
}

/// Gives a connection a place, or says why there is none for it.
fn enter(
    shared: &Shared,
    terms: &watch::Receiver<Arc<Terms>>,
    address: std::net::SocketAddr,
) -> Result<Arrival, (Peer, Refusal)> {
    let terms = terms.borrow();
    let listener = &terms.listener;
    let transport = terms.acceptor.transport();
    let peer = Peer::new(address, transport);
    let ip = peer.address().ip();
    let proxied = is_within(&listener.proxies, ip);
    let welcome = match proxied {
        // It may connect for others, and who they are is yet to be said.
        true => !listener.access.denies(ip),
        false => listener.access.allows(ip),
    };
    if !welcome {
        return Err((peer, Refusal::AccessList));
    }
    let place = match proxied {
        true => shared.gate.enter_unnamed(),
        false => shared.gate.enter(ip),
    };
    let way = match (proxied, transport) {
        (true, _) => Way::Proxied,
        (false, Transport::Tcp) => Way::Open,
        (false, Transport::Tls | Transport::Ssh) => Way::Handshake,
    };
    match place {
        Ok(place) => Ok(Arrival { peer, place, way }),
        Err(full) => Err((peer, Refusal::Full(full))),
    }
}

/// Serves a connection from its first octet to its end.
async fn serve(
    socket: TcpStream,
    arrival: Arrival,
    shared: Arc<Shared>,
    terms: watch::Receiver<Arc<Terms>>,
) {
    let Arrival { peer, place, way } = arrival;
    let mut router = Router {
        peer,
        place,
        identity: Identity::Unproven,
    };
    let stream = match way {
        Way::Open => Stream::from(socket),
        Way::Handshake | Way::Proxied => {
            let agreed = Arc::clone(&terms.borrow());
            // Most connections are plain, and shall not carry the size of this.
            let greeted = Box::pin(router.greet_in_time(socket, &way, &agreed, &shared));
            match greeted.await {
                Some(Ok(stream)) => stream,
                Some(Err(denied)) => {
                    return refuse(&shared, router.peer, denied.refusal, &denied.detail);
                }
                None => return,
            }
        }
    };
    let Router {
        peer,
        place: _place,
        identity,
    } = router;
    let open = Open::new(&shared, peer.transport());
    debug!(%peer, transport = peer.transport().name(), %identity, "connected");
    let who = Arc::new(Who {
        peer,
        identity,
        since: unix_now(),
    });
    let end = session::serve(stream, who, Arc::clone(&shared), terms).await;
    if end.is_eviction() {
        shared.counters.evicted.count();
    }
    if shared.voice.may_speak() {
        info!(%peer, reason = %end, "session ended");
    } else {
        debug!(%peer, reason = %end, "session ended");
    }
    drop(open);
}

/// Who connects, as far as it is known.
struct Router {
    peer: Peer,
    place: Place,
    identity: Identity,
}

impl Router {
    /// Becomes a stream, or is refused, or the server stops before that.
    async fn greet_in_time(
        &mut self,
        socket: TcpStream,
        way: &Way,
        terms: &Terms,
        shared: &Shared,
    ) -> Option<Result<Stream, Denied>> {
        let mut moments = shared.store.subscribe();
        tokio::select! {
            greeted = self.greet(socket, way, terms, shared) => Some(greeted),
            _ = moments.wait_for(|moment| moment.stopping) => None,
        }
    }

    /// Takes the header of a proxy and the handshake of the listener, within their time.
    async fn greet(
        &mut self,
        mut socket: TcpStream,
        way: &Way,
        terms: &Terms,
        shared: &Shared,
    ) -> Result<Stream, Denied> {
        let deadline = Instant::now() + terms.handshake_timeout;
        if let Way::Proxied = way {
            let header = timeout_at(deadline, proxy::read(&mut socket)).await;
            let header = header.map_err(|_| Denied::late("the header of a proxy"))??;
            self.introduce(header, terms)?;
        }
        let (stream, identity) = match terms.acceptor.transport() {
            Transport::Tcp => terms.acceptor.accept(socket, self.peer).await?,
            Transport::Tls | Transport::Ssh => {
                self.shake_hands(socket, deadline, terms, shared).await?
            }
        };
        self.identity = identity;
        Ok(stream)
    }

    /// Becomes who a proxy says that it is.
    fn introduce(&mut self, header: Header, terms: &Terms) -> Result<(), Denied> {
        if let Header::For(address) = header {
            self.peer = Peer::new(address, self.peer.transport());
        }
        let address = self.peer.address().ip();
        if !terms.listener.access.allows(address) {
            return Err(Denied::of(Refusal::AccessList));
        }
        let named = self.place.name(address);
        named.map_err(|full| Denied::of(Refusal::Full(full)))
    }

    async fn shake_hands(
        &self,
        socket: TcpStream,
        deadline: Instant,
        terms: &Terms,
        shared: &Shared,
    ) -> Result<(Stream, Identity), Denied> {
        let acceptor = &terms.acceptor;
        // Who says nothing costs nothing, a turn neither. That octets may be there is not enough.
        let patience = match acceptor.transport() {
            Transport::Ssh => FIRST_WORD.min(deadline.saturating_duration_since(Instant::now())),
            Transport::Tcp | Transport::Tls => deadline.saturating_duration_since(Instant::now()),
        };
        match timeout(patience, socket.peek(&mut [0])).await {
            Ok(Ok(0)) => return Err(Refused::new(Reason::Gone, "it said nothing").into()),
            Ok(Err(error)) => return Err(Refused::new(Reason::Gone, error).into()),
            Err(_) if Instant::now() >= deadline => return Err(Denied::late("the first octet")),
            Ok(Ok(_)) | Err(_) => {}
        }
        let turn = shared.handshakes.turn(self.peer.address().ip());
        let turn = timeout_at(deadline, turn).await;
        let turn = turn.map_err(|_| Denied::of(Refusal::Handshakes))?;
        let handshake = acceptor.accept(socket, self.peer);
        Ok(turn.run(deadline, handshake).await?)
    }
}

/// How long a client of SSH is waited for before we speak: both sides may begin (RFC 4253 §4.2),
/// and some clients let the server.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// Why a connection came to no session.
struct Denied {
    refusal: Refusal,
    detail: Box<str>,
}

impl Denied {
    fn of(refusal: Refusal) -> Self {
        let detail = "".into();
        Self { refusal, detail }
    }

    fn late(what: &str) -> Self {
        Refused::new(
            Reason::Deadline,
            format_args!("{what} did not come in time"),
        )
        .into()
    }
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        Self {
            refusal: Refusal::Peer(refused.reason),
            detail: refused.detail().into(),
        }
    }
}

/// Counts a connection that is refused, and says so as long as there are not too many.
fn refuse(shared: &Shared, peer: Peer, refusal: Refusal, detail: &str) {
    let transport = peer.transport();
    shared.counters.of(transport).refuse(refusal);
    if shared.refusals.may_speak() {
        let (transport, reason) = (transport.name(), refusal.word());
        let detail = Some(detail).filter(|detail| !detail.is_empty());
        info!(%peer, transport, reason, detail, "connection refused");
    }
}

/// A session that is counted as open until the value is dropped.
struct Open {
    shared: Arc<Shared>,
    transport: Transport,
}

impl Open {
    fn new(shared: &Arc<Shared>, transport: Transport) -> Self {
        let carried = shared.counters.of(transport);
        carried.accepted.count();
        carried.open.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::clone(shared),
            transport,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let carried = self.shared.counters.of(self.transport);
        carried.open.fetch_sub(1, Ordering::Relaxed);
    }
}
