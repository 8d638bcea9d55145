//! One router: a stream, a session machine, and what is published.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{debug, warn};

use super::clients::{Client, Clients, Who};
use super::counters::Counters;
use super::handshakes::Handshakes;
use super::listener::Terms;
use super::peers::Peers;
use super::profile::Offer;
use super::store::{Moment, Store};
use super::voice::Voice;
use crate::config::Limits;
use crate::net::Stream;
use crate::net::gate::{Bounds, Gate};
use crate::rtr::error::ErrorCode;
use crate::rtr::server::{Close, Event, Output, ServerSession};

/// What the sessions of a server share.
#[derive(Debug)]
pub struct Shared {
    /// What is published.
    pub store: Arc<Store>,
    /// What is remembered of addresses.
    pub peers: Peers,
    /// What routers may make us say.
    pub voice: Voice,
    /// What those may make us say who are refused: they shall not silence the routers.
    pub refusals: Voice,
    /// Room for connections.
    pub gate: Arc<Gate>,
    /// Room for connections that are not logged in, so that they take no place of a router.
    pub unproven: Arc<Gate>,
    /// Turns of handshakes.
    pub handshakes: Handshakes,
    /// Who is there.
    pub clients: Arc<Clients>,
    /// What is counted.
    pub counters: Counters,
    /// Tells that a router knows a later serial of the leader's history.
    pub behind: Notify,
}

impl Shared {
    /// At the start of a server with these limits.
    pub fn new(store: Arc<Store>, limits: &Limits) -> Self {
        Self {
            store,
            peers: Peers::default(),
            voice: Voice::default(),
            refusals: Voice::default(),
            gate: Gate::new(bounds(limits)),
            unproven: Gate::new(UNPROVEN_BOUNDS),
            handshakes: Handshakes::new(limits.handshakes),
            clients: Arc::default(),
            counters: Counters::default(),
            behind: Notify::new(),
        }
    }

    /// Connections of routers, with those that are not logged in yet.
    pub fn connections(&self) -> usize {
        self.gate.taken().saturating_add(self.unproven.taken())
    }

    /// Takes other limits. Who is there stays.
    pub fn resize(&self, limits: &Limits) {
        self.gate.resize(bounds(limits));
        self.handshakes.resize(limits.handshakes);
    }
}

const fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        total: limits.connections,
        per_address: limits.connections_per_address,
        per_network: limits.connections_per_network,
    }
}

/// Connections that may be without a login at once. One that says nothing costs a socket and a few
/// KiB, and no processor time, so there is room for many beside the routers among them.
const UNPROVEN: usize = 4_096;

/// The same of one network: an eighth of all.
const UNPROVEN_PER_NETWORK: usize = 512;

/// And of one address: routers behind one share it with whoever else is there, so two hundred
/// handshakes that stop half-way must leave them room.
const UNPROVEN_PER_ADDRESS: usize = 256;

const UNPROVEN_BOUNDS: Bounds = Bounds {
    total: UNPROVEN,
    per_address: UNPROVEN_PER_ADDRESS,
    per_network: UNPROVEN_PER_NETWORK,
};

/// How a session ended.
#[derive(Debug)]
pub enum End {
    /// The session machine ended it.
    Closed(Close),
    /// The router did.
    Gone,
    /// The transport failed.
    Failed(io::Error),
    /// The router took no octet for too long.
    Stalled,
    /// The router sent no query for too long.
    Idle,
    /// The router was the slowest, and what it was being sent had to go.
    TooSlow,
    /// A reload took away what it was let in by: its listener, its address or its proof.
    Revoked,
    /// The server stops.
    Stopped,
}

impl End {
    /// Whether we ended it because the router was too slow.
    pub const fn is_eviction(&self) -> bool {
        matches!(self, Self::Stalled | Self::TooSlow)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(Close::Protocol(error)) => write!(f, "protocol error: {error}"),
            Self::Closed(Close::ReportReceived) => f.write_str("the router sent an error report"),
            Self::Closed(Close::NoCommonVersion) => f.write_str("no common version"),
            Self::Closed(Close::Silent) => f.write_str("the router sent no whole query"),
            Self::Closed(Close::DataArrived) => f.write_str("data arrived after error 2"),
            Self::Gone => f.write_str("the router closed"),
            Self::Failed(error) => write!(f, "transport: {error}"),
            Self::Stalled => f.write_str("the router takes nothing"),
            Self::Idle => f.write_str("the router asks for nothing"),
            Self::TooSlow => f.write_str("the router is several publications behind"),
            Self::Revoked => f.write_str("no longer allowed"),
            Self::Stopped => f.write_str("the server stops"),
        }
    }
}

/// The most octets handed to the transport before other sessions have their turn.
const TURN: usize = 256 * 1024;

/// Serves one router until the end: of the connection, or of the terms that it was let in under.
pub async fn serve(
    stream: Stream,
    who: Arc<Who>,
    shared: Arc<Shared>,
    agreed: Arc<Terms>,
    terms: watch::Receiver<Arc<Terms>>,
) -> End {
    let mut moments = shared.store.subscribe();
    moments.mark_changed();
    let peer = who.peer;
    let offer = agreed.offer(&who);
    let client = shared.clients.list(Arc::clone(&who), Arc::clone(&offer));
    let mut machine = ServerSession::new(Arc::clone(&offer.server), Instant::now());
    if shared
        .peers
        .take_distrust(peer.address().ip(), Instant::now())
    {
        machine.distrust();
    }
    let mut session = Session {
        stream,
        who,
        client,
        moments,
        machine,
        shared,
        agreed,
        terms,
        offer,
        heard: None,
    };
    let end = session.run().await;
    // An error report must be readable after the close, so what is unread is drained first. And a
    // router that sends no more has not always closed: TLS and SSH have an end of their own to
    // tell. It is bounded in time.
    if matches!(end, End::Closed(_) | End::Stopped | End::Gone | End::Idle) {
        Box::pin(session.stream.finish()).await;
    }
    end
}

/// Waits for other terms. Where none can come any more the server stops, and says so elsewhere.
async fn told(terms: &mut watch::Receiver<Arc<Terms>>) {
    if terms.changed().await.is_err() {
        std::future::pending().await
    }
}

struct Session {
    stream: Stream,
    who: Arc<Who>,
    client: Client,
    moments: watch::Receiver<Moment>,
    machine: ServerSession,
    shared: Arc<Shared>,
    /// What holds for it, and where other terms come from.
    agreed: Arc<Terms>,
    terms: watch::Receiver<Arc<Terms>>,
    offer: Arc<Offer>,
    /// The last query, or the end of its answer.
    heard: Option<Instant>,
}

impl Session {
    async fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.heed() {
                return end;
            }
            let result = match self.next() {
                Output::Send(octets) => {
                    let sent = self.send(octets).await;
                    // Between the small first piece of a large answer and the rest, others have
                    // their turn, and a peer that has gone meanwhile is noticed.
                    if self.machine.is_busy() {
                        tokio::task::yield_now().await;
                    }
                    sent
                }
                Output::Report(octets) => Box::pin(self.report(octets)).await,
                Output::Prepare(answer) => {
                    if let Some(snapshot) = self.shared.store.snapshot() {
                        Box::pin(self.shared.store.prepare(snapshot, answer)).await;
                    }
                    Ok(())
                }
                Output::Event(event) => {
                    self.remember(&event);
                    self.note(&event);
                    Ok(())
                }
                Output::Close(close) => return End::Closed(close),
                Output::Wait => self.wait().await,
                Output::WaitForData => self.wait_for_data().await,
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    /// Goes by the terms of now. Ends when under them the router would not be let in.
    fn heed(&mut self) -> Result<(), End> {
        if Arc::ptr_eq(&self.agreed, &self.terms.borrow_and_update()) {
            return Ok(());
        }
        self.agreed = Arc::clone(&self.terms.borrow());
        if !self.agreed.still_admit(&self.who, &self.stream) {
            return Err(End::Revoked);
        }
        self.offer = self.agreed.offer(&self.who);
        self.client.gets(&self.offer);
        self.machine.configure(Arc::clone(&self.offer.server));
        Ok(())
    }

    fn next(&mut self) -> Output {
        let moment = self.moments.borrow_and_update();
        self.machine.expect_data(!moment.withheld);
        self.machine.mirror(moment.mirrored);
        self.machine
            .output(Instant::now(), moment.snapshot.as_deref())
    }

    fn deadline(&self) -> Option<tokio::time::Instant> {
        let moment = self.moments.borrow();
        self.machine
            .deadline(moment.snapshot.as_deref())
            .map(Into::into)
    }

    /// When the router has asked for nothing for too long.
    fn overdue(&self) -> Option<tokio::time::Instant> {
        let overdue = self.heard?.checked_add(self.offer.idle?)?;
        Some(overdue.into())
    }

    /// Tells the router of a restart where that is wanted (8210bis §8.5).
    async fn part(&mut self) -> End {
        if let Some(octets) = self.machine.farewell() {
            self.shared.counters.reports_sent.count();
            // One that takes nothing hears nothing: the connection ends all the same.
            let _ = timeout(self.offer.stall, self.send(octets)).await;
        }
        End::Stopped
    }

    /// Waits for input, a publication or the deadline. No buffer is held meanwhile.
    async fn wait(&mut self) -> Result<(), End> {
        if self.moments.borrow().stopping {
            return Err(Box::pin(self.part()).await);
        }
        let overdue = self.overdue();
        if overdue.is_some_and(|overdue| overdue <= tokio::time::Instant::now()) {
            return Err(End::Idle);
        }
        let deadline = [self.deadline(), overdue].into_iter().flatten().min();
        let until = deadline.unwrap_or_else(tokio::time::Instant::now);
        tokio::select! {
            readable = self.stream.readable() => {
                readable.map_err(End::Failed)?;
                self.receive()
            }
            changed = self.moments.changed() => changed.map_err(|_| End::Stopped),
            () = told(&mut self.terms) => Ok(()),
            () = sleep_until(until), if deadline.is_some() => Ok(()),
        }
    }

    async fn wait_for_data(&mut self) -> Result<(), End> {
        let (stopping, mirrored) = {
            let moment = self.moments.borrow();
            (moment.stopping, moment.mirrored)
        };
        if stopping {
            return Err(Box::pin(self.part()).await);
        }
        if mirrored {
            // Somebody else knows a later serial: time to ask the leader.
            self.shared.behind.notify_one();
        }
        let until = self.deadline().unwrap_or_else(tokio::time::Instant::now);
        tokio::select! {
            changed = self.moments.changed() => changed.map_err(|_| End::Stopped),
            () = told(&mut self.terms) => Ok(()),
            () = sleep_until(until) => Ok(()),
        }
    }

    fn receive(&mut self) -> Result<(), End> {
        // Queries have 8 or 12 octets; an Error Report comes in several reads.
        let mut buffer = [0; 1024];
        match self.stream.try_recv(&mut buffer) {
            Ok(None) => Ok(()),
            Ok(Some(0)) => Err(End::Gone),
            Ok(Some(octets)) => {
                let octets = buffer.get(..octets).unwrap_or_default();
                self.machine.receive(Instant::now(), octets);
                Ok(())
            }
            Err(error) => Err(End::Failed(error)),
        }
    }

    /// Sends in turns, each with a deadline for the first octet that the router takes.
    async fn send(&mut self, mut octets: Bytes) -> Result<(), End> {
        while !octets.is_empty() {
            let mut turn = octets.split_to(octets.len().min(TURN));
            let large = !octets.is_empty();
            while !turn.is_empty() {
                self.progress(&mut turn).await?;
            }
            if large {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Hands some octets over. Ends when the router takes none for too long, or when it is so far
    /// behind that what it is being sent has to go.
    async fn progress(&mut self, turn: &mut Bytes) -> Result<(), End> {
        let deadline = tokio::time::Instant::now() + self.stall();
        loop {
            if self
                .machine
                .holds()
                .is_some_and(|held| held < self.moments.borrow().oldest)
            {
                return Err(End::TooSlow);
            }
            tokio::select! {
                biased;
                sent = self.stream.send(turn) => return sent.map(drop).map_err(End::Failed),
                changed = self.moments.changed() => changed.map_err(|_| End::Stopped)?,
                () = told(&mut self.terms) => self.heed()?,
                () = sleep_until(deadline) => return Err(End::Stalled),
            }
        }
    }

    async fn report(&mut self, octets: Bytes) -> Result<(), End> {
        let delay = self
            .shared
            .peers
            .report_delay(self.who.peer.address().ip(), Instant::now());
        self.shared.counters.reports_sent.count();
        // Held back, it would hold up a stop; and a plain close is what calms a router most.
        tokio::select! {
            () = sleep(delay) => {}
            _ = self.moments.wait_for(|moment| moment.stopping) => return Err(End::Stopped),
        }
        match timeout(self.stall(), self.send(octets)).await {
            Ok(sent) => sent,
            Err(_) => Err(End::Stalled),
        }
    }

    /// Keeps what others ask about this router, and when it was last heard of.
    fn remember(&mut self, event: &Event) {
        if matches!(event, Event::Query { .. } | Event::Answered { .. }) {
            self.heard = Some(Instant::now());
        }
        if let (Event::Answered { .. }, Some(version), Some(serial)) =
            (event, self.machine.version(), self.machine.serial())
        {
            self.client.has(version, serial);
        }
    }

    fn stall(&self) -> Duration {
        self.offer.stall
    }

    fn note(&self, event: &Event) {
        let peer = self.who.peer;
        self.shared.counters.note(event);
        match event {
            Event::Query {
                version,
                since: None,
            } => debug!(%peer, %version, "reset query"),
            Event::Query {
                version,
                since: Some((session, serial)),
            } => {
                debug!(%peer, %version, %session, %serial, "serial query");
            }
            Event::Answered {
                answer,
                serial,
                octets,
            } => {
                let serial = serial.map(tracing::field::display);
                debug!(%peer, ?answer, serial, octets, "answered");
            }
            Event::Notified { serial } => debug!(%peer, %serial, "notified"),
            Event::PeerError {
                version,
                report: None,
            } => {
                debug!(%peer, version, "damaged error report received");
            }
            Event::PeerError {
                version,
                report: Some(report),
            } => {
                // Routers say here why they do not take what we send: worth a line, but not a
                // line for each of a router that comes back without end.
                if self.shared.voice.may_speak() {
                    let text: String = report.text.chars().take(200).collect();
                    warn!(%peer, version, code = report.code, ?text, "error report received");
                }
                let in_doubt = [
                    ErrorCode::WithdrawalOfUnknownRecord,
                    ErrorCode::DuplicateAnnouncement,
                ];
                if report.code().is_some_and(|code| in_doubt.contains(&code)) {
                    self.shared
                        .peers
                        .distrust(peer.address().ip(), Instant::now());
                }
            }
        }
    }
}
