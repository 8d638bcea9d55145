//! Accepting routers.

use std::net::IpAddr;
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
use super::session::{self, End, Shared};
use crate::config::{self, Listener};
use crate::net::access::is_within;
use crate::net::gate::Place;
use crate::net::proxy::{self, Header};
use crate::net::{self, Acceptor, Identity, Peer, Reason, Refused, Stream, Transport};

/// What a listener and its sessions go by; a reload sends others.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whether it is still there.
    pub standing: Standing,
    /// Where it is, and who may connect.
    pub listener: Listener,
    /// Its handshake.
    pub acceptor: Acceptor,
    /// How long a connection may take until it is logged in.
    pub handshake_timeout: Duration,
    /// What routers get.
    pub profiles: Profiles,
}

/// Whether a listener is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It accepts connections.
    Open,
    /// A reload took it away, and its sessions with it.
    Gone,
}

impl Terms {
    /// What a configuration means for one of its listeners.
    pub fn new(config: &config::Config, listener: &Listener, acceptor: Acceptor) -> Self {
        Self {
            standing: Standing::Open,
            profiles: Profiles::new(config, listener),
            listener: listener.clone(),
            acceptor,
            handshake_timeout: config.limits.handshake_timeout,
        }
    }

    /// The last terms of a listener that a reload takes away.
    pub fn withdrawn(&self) -> Self {
        Self {
            standing: Standing::Gone,
            ..self.clone()
        }
    }

    /// Whether a router that came under other terms would be let in under these.
    pub fn still_admit(&self, who: &Who, stream: &Stream) -> bool {
        let address = who.peer.address().ip();
        let Listener {
            access, proxies, ..
        } = &self.listener;
        let welcome = match who.proxy {
            Some(proxy) => {
                let trusted = is_within(proxies, proxy) && !access.denies(proxy);
                trusted && access.allows_named(address)
            }
            None => access.allows(address),
        };
        self.standing == Standing::Open && welcome && self.acceptor.still_admits(stream, who.peer)
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
    /// The terms that it is let in under.
    agreed: Arc<Terms>,
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
    let agreed = Arc::clone(&terms.borrow());
    let listener = &agreed.listener;
    let transport = agreed.acceptor.transport();
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
    let way = match (proxied, transport) {
        (true, _) => Way::Proxied,
        (false, Transport::Tcp) => Way::Open,
        (false, Transport::Tls | Transport::Ssh) => Way::Handshake,
    };
    let place = match way {
        Way::Open => shared.gate.enter(ip).map_err(Refusal::Full),
        // Who would find no place afterwards needs no handshake.
        Way::Handshake => match shared.gate.has_room(ip) {
            Ok(()) => shared.unproven.enter(ip).map_err(|_| Refusal::Unproven),
            Err(full) => Err(Refusal::Full(full)),
        },
        Way::Proxied => {
            let place = shared.unproven.enter_unnamed();
            place.map_err(|_| Refusal::Unproven)
        }
    };
    match place {
        Ok(place) => Ok(Arrival {
            peer,
            place,
            agreed,
            way,
        }),
        Err(refusal) => Err((peer, refusal)),
    }
}

/// Serves a connection from its first octet to its end.
async fn serve(
    socket: TcpStream,
    arrival: Arrival,
    shared: Arc<Shared>,
    terms: watch::Receiver<Arc<Terms>>,
) {
    let Arrival {
        peer,
        place,
        agreed,
        way,
    } = arrival;
    let mut router = Router {
        peer,
        place,
        proxy: None,
        identity: Identity::Unproven,
    };
    let stream = match way {
        Way::Open => Stream::from(socket),
        Way::Handshake | Way::Proxied => {
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
        proxy,
        identity,
    } = router;
    let open = Open::new(&shared, peer.transport());
    debug!(%peer, transport = peer.transport().name(), %identity, "connected");
    let who = Arc::new(Who {
        peer,
        proxy,
        identity,
        since: unix_now(),
    });
    let end = session::serve(stream, who, Arc::clone(&shared), agreed, terms).await;
    if end.is_eviction() {
        shared.counters.evicted.count();
    }
    if matches!(end, End::Revoked) {
        shared.counters.revoked.count();
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
    /// The proxy that has said who it is.
    proxy: Option<IpAddr>,
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
            self.introduce(header, terms, shared)?;
        }
        let (stream, identity) = match terms.acceptor.transport() {
            Transport::Tcp => terms.acceptor.accept(socket, self.peer).await?,
            Transport::Tls | Transport::Ssh => {
                self.shake_hands(socket, deadline, terms, shared).await?
            }
        };
        self.identity = identity;
        // From here on it takes a place of a router, and none of those who have yet to log in.
        let place = shared.gate.enter(self.peer.address().ip());
        self.place = place.map_err(|full| Denied::of(Refusal::Full(full)))?;
        Ok(stream)
    }

    /// Becomes who a proxy says that it is.
    fn introduce(&mut self, header: Header, terms: &Terms, shared: &Shared) -> Result<(), Denied> {
        let access = &terms.listener.access;
        let allowed = match header {
            Header::For(named) => {
                self.proxy = Some(self.peer.address().ip());
                self.peer = Peer::new(named, self.peer.transport());
                access.allows_named(self.peer.address().ip())
            }
            Header::Local => access.allows(self.peer.address().ip()),
        };
        if !allowed {
            return Err(Denied::of(Refusal::AccessList));
        }
        let address = self.peer.address().ip();
        let room = shared.gate.has_room(address);
        room.map_err(|full| Denied::of(Refusal::Full(full)))?;
        let named = self.place.name(address);
        named.map_err(|_| Denied::of(Refusal::Unproven))
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
