//! Both sides of a session in memory, with a virtual clock.
//!
//! A [`World`] is what is published and what time it is. A [`Conn`] is the cache's side of one
//! connection, with raw octets on the other end; a [`Pair`] puts a client there. Frames are
//! split here by the length field alone and compared as octets, so that a mistake of the codec
//! cannot hide itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rutter::payload::{
    Asn, Aspa, Attribute, DataSet, PayloadSet, RouterKey, RowsBuilder, UnixTime, Vrp,
};
use rutter::rtr::client::{self, ClientConfig, ClientSession, Reconnect, Update};
use rutter::rtr::server::{Close, Event, Output, ServerConfig, ServerSession, SessionRecord};
use rutter::rtr::snapshot::{HistoryLimits, Step, Trigger};
use rutter::rtr::{HistoryName, Pdu, Serial, SessionId, Snapshot, Version, Versions};

/// The octets that this hexadecimal text stands for.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|octet| !octet.is_ascii_whitespace())
        .map(|octet| char::from(octet).to_digit(16).unwrap() as u8)
        .collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// A set from a text: entries behind each other with `;` between them, as `10.0.0.0/8-16 64496`,
/// `key 7 64496` and `aspa 64500 1 2`.
pub(crate) fn data(text: &str) -> DataSet {
    let mut rows = RowsBuilder::new();
    for entry in text.split(';').map(str::trim).filter(|s| !s.is_empty()) {
        push(&mut rows, entry, Attribute::default());
    }
    DataSet::new(&rows.finish())
}

/// Adds an entry of the form that [`data`] takes.
pub(crate) fn push(rows: &mut RowsBuilder, entry: &str, attribute: Attribute) {
    let words: Vec<&str> = entry.split_whitespace().collect();
    match words[0] {
        "key" => rows.push_router_key(key(words[1].parse().unwrap(), words[2]), attribute),
        "aspa" => rows.push_aspa(aspa(words[1], &words[2..]), attribute),
        _ => rows.push_vrp(vrp(entry), attribute),
    }
}

/// The VRP `prefix[-max] asn`.
pub(crate) fn vrp(text: &str) -> Vrp {
    let (prefix, asn) = text.split_once(' ').unwrap();
    let (prefix, max) = match prefix.split_once('-') {
        Some((prefix, max)) => (prefix, Some(max.parse().unwrap())),
        None => (prefix, None),
    };
    let prefix: ipnet::IpNet = prefix.parse().unwrap();
    let max = max.unwrap_or_else(|| prefix.prefix_len());
    Vrp::new(prefix, max, asn.parse().unwrap()).unwrap()
}

/// A key whose identifier repeats one octet, for this AS.
pub(crate) fn key(octet: u8, asn: &str) -> RouterKey {
    RouterKey::new([octet; 20], asn.parse().unwrap(), &[0x30, 0x59, octet]).unwrap()
}

/// The ASPA of a customer.
pub(crate) fn aspa(customer: &str, providers: &[&str]) -> Aspa {
    let providers: Vec<Asn> = providers.iter().map(|asn| asn.parse().unwrap()).collect();
    Aspa::new(customer.parse().unwrap(), providers).unwrap()
}

/// A history whose name repeats one octet.
pub(crate) fn name(octet: u8) -> HistoryName {
    HistoryName::new([octet; 16])
}

/// What is published, and what time it is.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) unix: UnixTime,
    pub(crate) limits: HistoryLimits,
    pub(crate) current: Option<Arc<Snapshot>>,
}

impl World {
    /// Nothing is published yet.
    pub(crate) fn empty() -> Self {
        Self {
            now: Instant::now(),
            unix: UnixTime::new(1_000_000),
            limits: HistoryLimits::default(),
            current: None,
        }
    }

    /// This text is published as the first set.
    pub(crate) fn of(text: &str) -> Self {
        let mut world = Self::empty();
        world.publish(text);
        world
    }

    /// Publishes a set; `false` when the serial stays.
    pub(crate) fn publish(&mut self, text: &str) -> bool {
        self.publish_data(data(text))
    }

    pub(crate) fn publish_data(&mut self, data: DataSet) -> bool {
        let step = match &self.current {
            None => Step::Serial(Snapshot::first(name(7), data)),
            Some(before) => before.next(data, Trigger::Source, self.unix, self.limits),
        };
        let moved = matches!(step, Step::Serial(_));
        if let Step::Serial(next) | Step::Revision(next) = step {
            self.current = Some(Arc::new(next));
        }
        moved
    }

    /// Publishes a set as the first of another history.
    pub(crate) fn begin_anew(&mut self, octet: u8, text: &str) {
        let before = self.current.as_ref().unwrap();
        self.current = Some(Arc::new(before.begin_anew(name(octet), data(text))));
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.unix = self.unix.plus(seconds);
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        self.current.as_deref().unwrap()
    }

    pub(crate) fn serial(&self) -> u32 {
        self.snapshot().serial().into_u32()
    }
}

/// One PDU as it came, read by its length field alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Frame(pub(crate) Vec<u8>);

impl Frame {
    /// The PDUs that these octets are, and nothing else.
    pub(crate) fn split(octets: &[u8]) -> Vec<Self> {
        let mut rest = octets;
        let mut frames = Vec::new();
        while !rest.is_empty() {
            assert!(rest.len() >= 8, "half a header: {rest:02x?}");
            let length = u32::from_be_bytes(rest[4..8].try_into().unwrap()) as usize;
            assert!(length >= 8 && length <= rest.len(), "length: {rest:02x?}");
            frames.push(Self(rest[..length].to_vec()));
            rest = &rest[length..];
        }
        frames
    }

    pub(crate) fn version(&self) -> u8 {
        self.0[0]
    }

    pub(crate) fn kind(&self) -> u8 {
        self.0[1]
    }

    /// Octets 2 and 3: Session ID or Error Code.
    pub(crate) fn field(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// The serial of a Notify, a Serial Query or an End of Data.
    pub(crate) fn serial(&self) -> u32 {
        assert!(matches!(self.kind(), 0 | 1 | 7), "{self:?}");
        u32::from_be_bytes(self.0[8..12].try_into().unwrap())
    }

    /// The PDU that an Error Report encloses, and its text.
    pub(crate) fn report(&self) -> (Vec<u8>, String) {
        assert_eq!(self.kind(), 10, "{self:?}");
        let word = |at: usize| u32::from_be_bytes(self.0[at..at + 4].try_into().unwrap()) as usize;
        let enclosed = word(8);
        let text = word(12 + enclosed);
        assert_eq!(16 + enclosed + text, self.0.len());
        let text = String::from_utf8(self.0[16 + enclosed..].to_vec()).unwrap();
        (self.0[12..12 + enclosed].to_vec(), text)
    }
}

/// The cache's side of a connection, with raw octets on the other end.
pub(crate) struct Conn {
    pub(crate) session: ServerSession,
    pub(crate) closed: Option<Close>,
    pub(crate) events: Vec<Event>,
    /// What the peer sent and the cache has not taken yet.
    inbox: Vec<u8>,
    /// What the cache sent and the peer has not looked at yet.
    out: Vec<u8>,
}

impl Conn {
    pub(crate) fn open(world: &World) -> Self {
        Self::with(world, ServerConfig::default())
    }

    pub(crate) fn with(world: &World, config: ServerConfig) -> Self {
        Self::from_session(ServerSession::new(Arc::new(config), world.now))
    }

    pub(crate) fn resumed(world: &World, record: &SessionRecord) -> Self {
        let config = Arc::new(ServerConfig::default());
        Self::from_session(ServerSession::resume(config, record, world.now))
    }

    fn from_session(session: ServerSession) -> Self {
        Self {
            session,
            closed: None,
            events: Vec::new(),
            inbox: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Sends octets to the cache and lets it act.
    pub(crate) fn send(&mut self, world: &World, octets: &[u8]) {
        self.inbox.extend_from_slice(octets);
        self.run(world);
    }

    /// Sends octets and hands out what came back.
    pub(crate) fn ask(&mut self, world: &World, octets: &[u8]) -> Vec<Frame> {
        self.send(world, octets);
        self.frames()
    }

    /// A Reset Query and its answer.
    pub(crate) fn reset(&mut self, world: &World, version: u8) -> Vec<Frame> {
        self.ask(world, &reset_query(version))
    }

    /// A Serial Query and its answer.
    pub(crate) fn since(
        &mut self,
        world: &World,
        version: u8,
        session: u16,
        serial: u32,
    ) -> Vec<Frame> {
        self.ask(world, &serial_query(version, session, serial))
    }

    /// Lets the cache act until it waits or the connection ends.
    pub(crate) fn run(&mut self, world: &World) {
        for _ in 0..100_000 {
            if self.closed.is_some() {
                return;
            }
            if !self.step(world) {
                return;
            }
        }
        panic!("the session never waits");
    }

    /// One output of the cache; `false` when it waits and there is nothing to give it.
    pub(crate) fn step(&mut self, world: &World) -> bool {
        let current = world.current.as_deref();
        match self.session.output(world.now, current) {
            Output::Send(octets) | Output::Report(octets) => {
                assert!(!octets.is_empty(), "an empty send");
                self.out.extend_from_slice(&octets);
            }
            Output::Prepare(answer) => {
                assert!(current.unwrap().image(answer).is_some());
            }
            Output::Event(event) => self.events.push(event),
            Output::Close(close) => self.closed = Some(close),
            Output::WaitForData => return false,
            Output::Wait if self.inbox.is_empty() => return false,
            Output::Wait => {
                let octets = std::mem::take(&mut self.inbox);
                self.session.receive(world.now, &octets);
            }
        }
        true
    }

    /// Lets time pass for this connection, from deadline to deadline.
    pub(crate) fn wait(&mut self, world: &mut World, seconds: u64) {
        let end = world.now + Duration::from_secs(seconds);
        self.run(world);
        for _ in 0..10_000 {
            let next = self.session.deadline(world.current.as_deref());
            match next.filter(|next| *next <= end && self.closed.is_none()) {
                None => {
                    let left = (end - world.now).as_secs();
                    world.pass(left);
                    return self.run(world);
                }
                Some(next) => {
                    let left = next.saturating_duration_since(world.now);
                    world.pass(left.as_secs());
                    self.run(world);
                }
            }
        }
        panic!("a deadline that never passes");
    }

    /// What the cache sent since the last look.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    pub(crate) fn frames(&mut self) -> Vec<Frame> {
        Frame::split(&self.take())
    }

    /// Whether nothing came and the connection lives.
    pub(crate) fn is_quiet(&self) -> bool {
        self.out.is_empty() && self.closed.is_none()
    }
}

pub(crate) fn reset_query(version: u8) -> Vec<u8> {
    vec![version, 2, 0, 0, 0, 0, 0, 8]
}

pub(crate) fn serial_query(version: u8, session: u16, serial: u32) -> Vec<u8> {
    let mut octets = vec![version, 1];
    octets.extend(session.to_be_bytes());
    octets.extend([0, 0, 0, 12]);
    octets.extend(serial.to_be_bytes());
    octets
}

/// The type octets of an answer.
pub(crate) fn kinds(frames: &[Frame]) -> Vec<u8> {
    frames.iter().map(Frame::kind).collect()
}

/// What an answer with data says: the session, the serial, and the payload between.
pub(crate) fn answer(frames: &[Frame]) -> (u16, u32, &[Frame]) {
    let [first, payload @ .., last] = frames else {
        panic!("no answer with data: {frames:02x?}");
    };
    assert_eq!((first.kind(), last.kind()), (3, 7), "{frames:02x?}");
    assert_eq!(
        first.field(),
        last.field(),
        "End of Data of another session"
    );
    assert!(
        payload
            .iter()
            .all(|pdu| matches!(pdu.kind(), 4 | 6 | 9 | 11))
    );
    (first.field(), last.serial(), payload)
}

/// What the payload of an answer does, as `+10.0.0.0/8-8 AS1` and the like.
pub(crate) fn told(frames: &[Frame]) -> Vec<String> {
    let (_, _, payload) = answer(frames);
    let said = |frame: &Frame| {
        let version = Version::from_octet(frame.version()).unwrap();
        let sign = |action| match action {
            rutter::rtr::pdu::Action::Announce => '+',
            rutter::rtr::pdu::Action::Withdraw => '-',
        };
        match Pdu::decode(version, &frame.0).unwrap() {
            Pdu::Prefix { action, vrp } => format!("{}{vrp}", sign(action)),
            Pdu::RouterKey { action, key } => {
                format!("{}key {} {}", sign(action), key.ski()[0], key.asn())
            }
            Pdu::AnnounceAspa(aspa) => {
                let mut text = format!("+aspa {}", aspa.customer());
                for provider in aspa.providers() {
                    text.push_str(&format!(" {}", provider.into_u32()));
                }
                text
            }
            Pdu::WithdrawAspa { customer } => format!("-aspa {customer}"),
            other => panic!("{other:?}"),
        }
    };
    payload.iter().map(said).collect()
}

/// A client and the cache it talks to. Connections are cut and made again as a test wants.
pub(crate) struct Pair {
    pub(crate) conn: Conn,
    pub(crate) client: ClientSession,
    pub(crate) updates: Vec<Update>,
    pub(crate) ended: Option<Reconnect>,
    /// The last query.
    pub(crate) asked: Vec<u8>,
    /// What the cache sent since a test looked last.
    pub(crate) tap: Vec<u8>,
    to_client: Vec<u8>,
}

impl Pair {
    pub(crate) fn new(world: &World, version: Version) -> Self {
        let versions = Versions::new(version, version).unwrap();
        let config = ClientConfig {
            versions,
            ..ClientConfig::default()
        };
        Self {
            conn: Conn::open(world),
            client: ClientSession::new(config, world.now),
            updates: Vec::new(),
            ended: None,
            asked: Vec::new(),
            tap: Vec::new(),
            to_client: Vec::new(),
        }
    }

    /// One thing happens: a side acts, or at most `chunk` octets reach the client. `false` when
    /// both sides wait or the client has given up the connection.
    pub(crate) fn step(&mut self, world: &World, chunk: usize) -> bool {
        if self.ended.is_some() {
            return false;
        }
        match self.client.output(world.now) {
            client::Output::Send(octets) => {
                self.asked = octets.to_vec();
                self.conn.inbox.extend_from_slice(&octets);
                return true;
            }
            client::Output::Event(client::Event::Updated(update)) => {
                self.updates.push(*update);
                return true;
            }
            client::Output::Event(_) => return true,
            client::Output::Reconnect(why) => {
                self.ended = Some(why);
                return true;
            }
            client::Output::Wait => {}
        }
        if self.to_client.is_empty() {
            let moved = self.conn.closed.is_none() && self.conn.step(world);
            self.to_client = self.conn.take();
            self.tap.extend_from_slice(&self.to_client);
            if self.conn.closed.is_some() && self.to_client.is_empty() {
                self.client.disconnected();
                return true;
            }
            return moved || !self.to_client.is_empty();
        }
        let rest = self.to_client.split_off(chunk.min(self.to_client.len()));
        let octets = std::mem::replace(&mut self.to_client, rest);
        self.client.receive(world.now, &octets);
        true
    }

    /// Ends the connection without a word; what is under way is lost.
    pub(crate) fn cut(&mut self) {
        self.client.disconnected();
        self.to_client.clear();
    }

    /// Makes another connection once the client wants one.
    pub(crate) fn reconnect(&mut self, world: &World) {
        self.to_client.clear();
        self.tap.clear();
        self.ended = None;
        self.conn = Conn::open(world);
        self.client.connected(world.now);
    }
}

/// A client of one version in the middle of an answer: of a full one, or of an increment to this
/// set.
pub(crate) fn client_in_answer(
    version: Version,
    before: Option<&PayloadSet>,
    now: Instant,
) -> ClientSession {
    let config = ClientConfig {
        versions: Versions::new(version, version).unwrap(),
        ..ClientConfig::default()
    };
    let mut client = ClientSession::new(config, now);
    let session = SessionId::new(0x1234);
    let begin = Pdu::CacheResponse { session }.octets(version);
    let asked = |client: &mut ClientSession| {
        let sent = loop {
            match client.output(now) {
                client::Output::Send(octets) => break octets,
                client::Output::Event(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(client.output(now), client::Output::Wait));
        sent[1]
    };
    assert_eq!(asked(&mut client), 2);
    client.receive(now, &begin);
    let Some(set) = before else { return client };
    for segment in
        rutter::rtr::image::Image::full(version, set).segments(rutter::payload::Kinds::ALL)
    {
        client.receive(now, segment);
    }
    client.receive(now, &end_of_data(version, 5));
    let notify = Pdu::SerialNotify {
        session,
        serial: Serial::new(6),
    };
    client.receive(now, &notify.octets(version));
    assert_eq!(asked(&mut client), 1);
    client.receive(now, &begin);
    client
}

/// An End of Data of the session that [`client_in_answer`] uses.
pub(crate) fn end_of_data(version: Version, serial: u32) -> Vec<u8> {
    let timing = (version != Version::V0).then_some(rutter::rtr::Timing::RECOMMENDED);
    Pdu::EndOfData {
        session: SessionId::new(0x1234),
        serial: Serial::new(serial),
        timing,
    }
    .octets(version)
}
