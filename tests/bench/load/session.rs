//! One router as the server sees it: a connection that asks and reads the answer as fast as it
//! comes. All sessions run on one thread and share one large buffer, so that the client is never
//! what limits a run.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::net::{TcpSocket, TcpStream};

use crate::wire::{self, Count, Digest, Event, Framer, State};

/// One system call drains what a server writes in one turn.
const BUFFER: usize = 256 << 10;

/// Loopback has some 28,000 ports an address; beyond these sessions the next address is used.
const SESSIONS_PER_ADDRESS: usize = 10_000;

/// Where the server is and how to talk to it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// Address and port of the server
    #[arg(long, default_value = "127.0.0.1:8282")]
    pub(crate) address: SocketAddr,
    /// Protocol version
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) version: u8,
    /// Process of the server, to read its processor time and memory
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// End the run after so many seconds and report what was reached
    #[arg(long, default_value_t = 300)]
    timeout: u64,
}

impl Target {
    /// When the run has to be over.
    pub(crate) fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + Duration::from_secs(self.timeout)
    }
}

/// Makes sessions with one target.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    address: SocketAddr,
    version: u8,
    digest: Digest,
    buffer: Rc<RefCell<Vec<u8>>>,
}

impl Connector {
    /// Sessions of which the first one digests what it reads, if asked to.
    pub(crate) fn new(target: &Target, digest: Digest) -> Self {
        Self {
            address: target.address,
            version: target.version,
            digest,
            buffer: Rc::new(RefCell::new(vec![0; BUFFER])),
        }
    }

    /// The session with this number, from 0.
    pub(crate) async fn connect(&self, number: usize) -> io::Result<Session> {
        let stream = match source(self.address, number) {
            None => TcpStream::connect(self.address).await?,
            Some(source) => {
                let socket = TcpSocket::new_v4()?;
                socket.bind(source)?;
                socket.connect(self.address).await?
            }
        };
        stream.set_nodelay(true)?;
        let digest = if number == 0 { self.digest } else { Digest::No };
        Ok(Session {
            stream,
            version: self.version,
            framer: Framer::new(digest),
            rest: Vec::new(),
            buffer: Rc::clone(&self.buffer),
            octets: 0,
            first_octet: None,
        })
    }

    /// As many sessions, connected one after the other.
    pub(crate) async fn connect_all(&self, count: usize) -> io::Result<Vec<Session>> {
        let mut sessions = Vec::with_capacity(count);
        for number in 0..count {
            sessions.push(self.connect(number).await?);
        }
        Ok(sessions)
    }
}

fn source(target: SocketAddr, number: usize) -> Option<SocketAddr> {
    let group = u8::try_from(number / SESSIONS_PER_ADDRESS).ok()?;
    let loopback = matches!(target.ip(), IpAddr::V4(ip) if ip.is_loopback());
    (loopback && group > 0).then(|| (Ipv4Addr::new(127, 0, 1, group), 0).into())
}

/// A connection and what has been read from it.
#[derive(Debug)]
pub(crate) struct Session {
    stream: TcpStream,
    version: u8,
    framer: Framer,
    /// What came behind an event and belongs to the next one.
    rest: Vec<u8>,
    buffer: Rc<RefCell<Vec<u8>>>,
    octets: u64,
    first_octet: Option<Instant>,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) state: State,
    pub(crate) count: Count,
    /// Octets of the answer, and of what came before it unasked.
    pub(crate) octets: u64,
    pub(crate) first_octet: Instant,
    pub(crate) end: Instant,
}

impl Session {
    pub(crate) async fn reset_query(&mut self) -> io::Result<()> {
        self.send(&wire::reset_query(self.version)).await
    }

    pub(crate) async fn serial_query(&mut self, state: State) -> io::Result<()> {
        self.send(&wire::serial_query(self.version, state)).await
    }

    async fn send(&mut self, mut octets: &[u8]) -> io::Result<()> {
        self.first_octet = None;
        self.octets = 0;
        self.framer.take();
        while !octets.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(octets) {
                Ok(sent) => octets = octets.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads up to the next event, however long it takes.
    pub(crate) async fn event(&mut self) -> io::Result<Event> {
        if !self.rest.is_empty() {
            let kept = std::mem::take(&mut self.rest);
            let mut octets = kept.as_slice();
            let event = self.framer.feed(&mut octets);
            self.rest = octets.to_vec();
            if let Some(event) = event {
                return Ok(event);
            }
        }
        loop {
            self.stream.readable().await?;
            let mut buffer = self.buffer.borrow_mut();
            let read = match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            self.first_octet.get_or_insert_with(Instant::now);
            self.octets += u64::try_from(read).unwrap_or(u64::MAX);
            let mut octets = buffer.get(..read).unwrap_or_default();
            let event = self.framer.feed(&mut octets);
            if let Some(event) = event {
                self.rest = octets.to_vec();
                return Ok(event);
            }
        }
    }

    /// Reads up to the first octets of whatever comes, and leaves them unread.
    pub(crate) async fn first_octet(&mut self) -> io::Result<()> {
        let mut octet = [0];
        match self.stream.peek(&mut octet).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Reads the answer to a query. Notifies on the way are left out, they say nothing new.
    ///
    /// # Errors
    ///
    /// When the connection breaks or the answer is another one.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        loop {
            match self.event().await? {
                Event::Notify(_) => {}
                Event::EndOfData(state) => {
                    let end = Instant::now();
                    return Ok(Answer {
                        state,
                        count: self.framer.take(),
                        octets: self.octets,
                        first_octet: self.first_octet.unwrap_or(end),
                        end,
                    });
                }
                other => return Err(io::Error::other(format!("no answer but {other:?}"))),
            }
        }
    }

    /// Closes so that no port waits for two minutes, as a router that crashes does.
    pub(crate) fn abandon(self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }
}

/// Connects and asks until there is a full answer with payload in it: a server that starts may
/// refuse connections, report that it has no data, or take its time.
pub(crate) async fn until_synced(connector: &Connector) -> (Session, Answer) {
    loop {
        if let Ok(mut session) = connector.connect(0).await
            && session.reset_query().await.is_ok()
            && let Ok(answer) = session.answer().await
            && answer.count.payload() > 0
        {
            return (session, answer);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
