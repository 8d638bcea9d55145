//! The cache's side of a session, without I/O.
//!
//! A [`ServerSession`] is told what arrives ([`receive`](ServerSession::receive)); what to do is
//! asked of it with [`output`](ServerSession::output), again and again until it says to wait,
//! and then for how long ([`deadline`](ServerSession::deadline)). The moment and the snapshot
//! that is published are arguments: a session keeps neither a clock nor a set, and an idle one
//! owns no buffer.

mod ahead;
mod answer;
mod judge;
mod terms;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use self::answer::Reply;
use self::judge::{judge, report};
pub use self::terms::{Answered, Close, Event, Output, ServerConfig, SessionRecord};
use super::decoder::{Decoder, Header};
use super::error::{ErrorCode, ProtocolError};
use super::pdu::{self, Pdu, pdu_type};
use super::serial::Serial;
use super::snapshot::{Answer, Since, Snapshot};
use super::version::Version;
use super::view::{SessionId, View};

/// A query that waits for data.
#[derive(Clone, Copy, Debug)]
struct Query {
    since: Option<(SessionId, Serial)>,
}

#[derive(Debug)]
enum State {
    /// Nothing is under way.
    Ready,
    /// A query waits for the first data until then.
    Waiting { query: Query, until: Instant },
    /// An answer is under way.
    Answering(Box<Reply>),
    /// An answer waits for its image.
    Preparing(Box<Reply>, Answer),
    /// A report is to be sent, then the connection ends.
    Failing { report: Option<Bytes>, close: Close },
}

/// The cache's side of a connection.
#[derive(Debug)]
pub struct ServerSession {
    config: Arc<ServerConfig>,
    decoder: Decoder,
    state: State,
    events: Vec<Event>,
    version: Option<Version>,
    /// The id told by the last Cache Response.
    told: Option<SessionId>,
    /// The serial told by the last End of Data.
    serial: Option<Serial>,
    /// The serial of the last Notify that no query has followed yet.
    notified: Option<Serial>,
    notify_after: Option<Instant>,
    /// When input becomes overdue; `None` while none is.
    input_until: Option<Instant>,
    refused_versions: u8,
    told_no_data: bool,
    data_expected: bool,
    mirrors: bool,
    distrusted: bool,
}

impl ServerSession {
    /// Versions that a router may ask for in vain before the connection ends.
    const MAX_REFUSED_VERSIONS: u8 = 8;

    /// The session of a connection that was just accepted.
    pub fn new(config: Arc<ServerConfig>, now: Instant) -> Self {
        let input_until = now.checked_add(config.input_wait);
        Self {
            config,
            decoder: Decoder::new(),
            state: State::Ready,
            events: Vec::new(),
            version: None,
            told: None,
            serial: None,
            notified: None,
            notify_after: None,
            input_until,
            refused_versions: 0,
            told_no_data: false,
            data_expected: true,
            mirrors: false,
            distrusted: false,
        }
    }

    /// The session of a connection that another process began. It owes its router a Notify if
    /// the serial has moved.
    pub fn resume(config: Arc<ServerConfig>, record: &SessionRecord, now: Instant) -> Self {
        let mut session = Self::new(config, now);
        session.version = Some(record.version);
        session.told = Some(record.session);
        session.serial = Some(record.serial);
        session.input_until = None;
        // When the last Notify went out is not known here, so a minute passes first.
        session.notify_after = now.checked_add(session.config.notify_interval);
        session
    }

    /// What another process needs to go on, `None` while that is not possible: before the first
    /// End of Data, in the middle of an answer or of a PDU.
    pub fn record(&self) -> Option<SessionRecord> {
        let quiet = matches!(self.state, State::Ready) && self.decoder.is_empty();
        Some(SessionRecord {
            version: self.version.filter(|_| quiet)?,
            session: self.told?,
            serial: self.serial?,
        })
    }

    /// Makes the next Serial Query get a Cache Reset, once: what the router has is in doubt.
    pub const fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// Whether a query that finds no data shall wait for some: for the first ones it shall, and
    /// not for those that are withheld.
    pub const fn expect_data(&mut self, expected: bool) {
        self.data_expected = expected;
    }

    /// Takes other timers, versions and kinds. They count from the next answer on.
    ///
    /// Other kinds are another session: the next Serial Query gets a Cache Reset. So does one of a
    /// version that is no longer served, after which the version is negotiated anew.
    pub fn configure(&mut self, config: Arc<ServerConfig>) {
        self.config = config;
    }

    /// Takes octets from the peer. Only to be called after [`Output::Wait`].
    pub fn receive(&mut self, now: Instant, octets: &[u8]) {
        if self.decoder.is_empty() && !octets.is_empty() {
            self.input_until = now.checked_add(self.config.input_wait);
        }
        self.decoder.push(octets);
    }

    /// What to do next.
    pub fn output(&mut self, now: Instant, current: Option<&Snapshot>) -> Output {
        loop {
            if !self.events.is_empty() {
                return Output::Event(self.events.remove(0));
            }
            match std::mem::replace(&mut self.state, State::Ready) {
                State::Ready => {
                    if let Some(output) = self.ready(now, current) {
                        return output;
                    }
                }
                State::Waiting { query, until } => match current {
                    Some(snapshot) if now < until && self.is_ahead(&query, snapshot) => {
                        self.state = State::Waiting { query, until };
                        return Output::WaitForData;
                    }
                    Some(snapshot) => self.answer(query, snapshot),
                    None if now >= until || !self.data_expected => self.no_data(),
                    None => {
                        self.state = State::Waiting { query, until };
                        return Output::WaitForData;
                    }
                },
                State::Preparing(mut reply, answer) => {
                    match current.filter(|snapshot| reply.is_of(snapshot)) {
                        // The set moved on while the image was to be made: answer with the new.
                        None => self.restart(&reply, current),
                        Some(snapshot) => match snapshot.ready(answer) {
                            Some(image) => {
                                reply.begin(image);
                                self.state = State::Answering(reply);
                            }
                            None => {
                                self.state = State::Preparing(reply, answer);
                                return Output::Prepare(answer);
                            }
                        },
                    }
                }
                State::Answering(mut reply) => match reply.next() {
                    Some(octets) => {
                        self.state = State::Answering(reply);
                        return Output::Send(octets);
                    }
                    None => self.answered(&reply),
                },
                State::Failing {
                    report: Some(report),
                    close,
                } => {
                    self.state = State::Failing {
                        report: None,
                        close,
                    };
                    return Output::Report(report);
                }
                State::Failing {
                    report: None,
                    close,
                } => {
                    self.state = State::Failing {
                        report: None,
                        close: close.clone(),
                    };
                    return Output::Close(close);
                }
            }
        }
    }

    /// When [`output`](Self::output) is to be asked again even if nothing happens.
    pub fn deadline(&self, current: Option<&Snapshot>) -> Option<Instant> {
        match &self.state {
            State::Waiting { until, .. } => Some(*until),
            State::Ready => {
                let notify = self.notify_due(current).and(self.notify_after);
                [notify, self.input_until].into_iter().flatten().min()
            }
            _ => None,
        }
    }

    /// Whether an answer or a report is under way: a graceful stop lets it end.
    pub const fn is_busy(&self) -> bool {
        !matches!(self.state, State::Ready)
    }

    /// What tells the router of a planned restart, for a connection that ends because of one and
    /// has no answer under way; `None` when it is not to be told, or has no word for it: error 12
    /// came with version 2 (8210bis §8.5).
    pub fn farewell(&self) -> Option<Bytes> {
        let version = self.version.filter(|version| *version >= Version::V2)?;
        let told = self.config.announce_restart
            && matches!(self.state, State::Ready | State::Waiting { .. });
        let text = "restarting, come back soon";
        told.then(|| report(version, ErrorCode::CacheRestart, &[], text))
    }

    /// The generation of images that an answer under way holds on to.
    pub fn holds(&self) -> Option<u64> {
        match &self.state {
            State::Answering(reply) => reply.generation().map(|generation| generation.number()),
            _ => None,
        }
    }

    /// The version, once it is negotiated.
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// The serial that the router has.
    pub const fn serial(&self) -> Option<Serial> {
        self.serial
    }

    /// The next thing to do when nothing is under way; `None` when the state changed.
    fn ready(&mut self, now: Instant, current: Option<&Snapshot>) -> Option<Output> {
        if self.told_no_data && self.version == Some(Version::V0) && current.is_some() {
            self.fail(None, Close::DataArrived);
            return None;
        }
        if let Some(header) = self.decoder.header()
            && self.take_pdu(header, now, current)
        {
            return None;
        }
        self.decoder.release();
        if !self.decoder.is_empty() {
            // What came behind a query in one segment has no deadline yet.
            let overdue = now.checked_add(self.config.input_wait);
            self.input_until = self.input_until.or(overdue);
        } else if self.version.is_some() {
            self.input_until = None;
        }
        if self.input_until.is_some_and(|until| now >= until) {
            self.fail(None, Close::Silent);
            return None;
        }
        self.notify(now, current).or(Some(Output::Wait))
    }

    /// Deals with the PDU of this header; `false` when more of it must arrive first. What the
    /// header alone decides is decided from the header alone.
    fn take_pdu(&mut self, header: Header, now: Instant, current: Option<&Snapshot>) -> bool {
        if header.pdu_type == pdu_type::ERROR_REPORT {
            return self.take_report(header);
        }
        let version = match self.version_of(header) {
            Ok(Some(version)) => version,
            Ok(None) => return self.refuse_version(header),
            Err(error) => return self.refuse(error, self.version.unwrap_or(Version::V0)),
        };
        if let Err(error) = judge(version, header) {
            return self.refuse(error, version);
        }
        let len = usize::try_from(header.length).unwrap_or(usize::MAX);
        let Some(octets) = self.decoder.take(len) else {
            return false;
        };
        let since = match Pdu::decode(version, octets) {
            Ok(Pdu::SerialQuery { session, serial }) => Some((session, serial)),
            Ok(Pdu::ResetQuery) => None,
            Ok(_) => {
                return self.refuse(
                    ProtocolError::Unexpected {
                        pdu_type: header.pdu_type,
                    },
                    version,
                );
            }
            Err(error) => return self.refuse(error, version),
        };
        self.version = Some(version);
        self.input_until = None;
        self.events.push(Event::Query { version, since });
        self.query(Query { since }, now, current);
        true
    }

    /// The version of a query, `None` when it is to be negotiated down (8210bis §7).
    fn version_of(&mut self, header: Header) -> Result<Option<Version>, ProtocolError> {
        match self.version {
            None => Ok(self.config.versions.find(header.version)),
            Some(version) if version.octet() == header.version => {
                // A version that was served until a reload: what goes on with it gets a Cache
                // Reset, what begins with it is negotiated down.
                let over = !self.serves(version) && header.pdu_type == pdu_type::RESET_QUERY;
                if over {
                    self.forget();
                }
                Ok(Some(version).filter(|_| !over))
            }
            Some(_) => Err(ProtocolError::UnexpectedVersion {
                found: header.version,
            }),
        }
    }

    /// Error 4 carries our highest version. The connection stays usable for a version below the
    /// one asked for; below our lowest there is none (CONFORMANCE VER-04 to VER-06).
    fn refuse_version(&mut self, header: Header) -> bool {
        let highest = self.config.versions.highest();
        let error = ProtocolError::UnsupportedVersion {
            found: header.version,
        };
        let len = usize::try_from(header.length).unwrap_or(usize::MAX);
        let sane = (Header::LEN..=32).contains(&len);
        if header.version < self.config.versions.lowest().octet() || !sane {
            return self.refuse(error, highest);
        }
        if self.decoder.rest().len() < len {
            return false;
        }
        self.refused_versions += 1;
        if self.refused_versions >= Self::MAX_REFUSED_VERSIONS {
            self.fail(None, Close::NoCommonVersion);
            return true;
        }
        let report = report(
            highest,
            error.code(),
            self.decoder.rest(),
            &error.to_string(),
        );
        self.decoder.take(len);
        self.state = State::Answering(Box::new(Reply::single(report, Answered::NoData, false)));
        true
    }

    /// An Error Report ends the session, is never answered, and may be as large as a PDU can be:
    /// rtrlib 0.8 sends 3,328 octets.
    fn take_report(&mut self, header: Header) -> bool {
        let len = usize::try_from(header.length).unwrap_or(usize::MAX);
        let fits = (16..=pdu::MAX_LEN).contains(&header.length);
        let whole = self.decoder.rest().len() >= len;
        if fits && !whole {
            return false;
        }
        let octets = self.decoder.take(len).filter(|_| fits);
        let version = header.known_version().unwrap_or(Version::V2);
        let report = octets.and_then(|octets| match Pdu::decode(version, octets) {
            Ok(Pdu::ErrorReport(report)) => Some(report),
            _ => None,
        });
        self.events.push(Event::PeerError {
            version: header.version,
            report,
        });
        self.fail(None, Close::ReportReceived);
        true
    }

    /// Reports an error about the PDU that comes next and ends the session.
    fn refuse(&mut self, error: ProtocolError, version: Version) -> bool {
        let code = error.code();
        // A session uses the codes of its own version only: version 0 has no code 8, so a
        // change of version there just ends it (CONFORMANCE decision 5.5).
        let report = code
            .exists_in(version)
            .then(|| report(version, code, self.decoder.rest(), &error.to_string()));
        self.fail(report, Close::Protocol(error));
        true
    }

    fn fail(&mut self, report: Option<Bytes>, close: Close) {
        self.state = State::Failing { report, close };
    }

    fn query(&mut self, query: Query, now: Instant, current: Option<&Snapshot>) {
        match current {
            Some(snapshot) if self.is_ahead(&query, snapshot) => {
                let until = now.checked_add(Self::AHEAD_WAIT).unwrap_or(now);
                self.state = State::Waiting { query, until };
            }
            Some(snapshot) => self.answer(query, snapshot),
            // Error 2 leaves some routers mute, so a query waits for the first data a while.
            None => {
                let until = now.checked_add(self.config.data_wait).unwrap_or(now);
                self.state = State::Waiting { query, until };
            }
        }
    }

    fn no_data(&mut self) {
        let Some(version) = self.version else { return };
        self.told_no_data = true;
        let text = "no data yet, ask again later";
        let report = report(version, ErrorCode::NoDataAvailable, &[], text);
        self.state = State::Answering(Box::new(Reply::single(report, Answered::NoData, true)));
    }

    /// Begins the answer to a query (CONFORMANCE 2.2 to 2.4).
    fn answer(&mut self, query: Query, snapshot: &Snapshot) {
        let Some(version) = self.version else { return };
        self.told_no_data = false;
        let view = View::new(version, self.config.kinds);
        let Some((id, serial)) = query.since else {
            let id = match self.told {
                // Within a connection the id stays while it is served, in version 0 as well.
                Some(told) if snapshot.serves(view, told) => told,
                _ => snapshot.session_id(view),
            };
            return self.reply(
                Reply::new(&self.config, view, snapshot, id, None),
                None,
                version,
            );
        };
        if let Some(told) = self.told
            && told != id
        {
            // A foreign id on an open session is an error (8210bis §5.3).
            let error = ProtocolError::SessionMismatch { told, found: id };
            let octets = Pdu::SerialQuery {
                session: id,
                serial,
            }
            .octets(version);
            let report = report(version, error.code(), &octets, &error.to_string());
            return self.fail(Some(report), Close::Protocol(error));
        }
        let served = self.serves(version) && snapshot.serves(view, id);
        let since = snapshot
            .since(serial)
            .filter(|_| served && serial.into_u32() != 0);
        let doubted = std::mem::take(&mut self.distrusted);
        match since.filter(|_| !doubted) {
            None => {
                let reset = Pdu::CacheReset.octets(version).into();
                self.state =
                    State::Answering(Box::new(Reply::single(reset, Answered::CacheReset, true)));
                if !self.serves(version) {
                    self.forget();
                }
            }
            Some(since) => {
                self.reply(
                    Reply::new(&self.config, view, snapshot, id, Some((serial, since))),
                    Some(since),
                    version,
                );
            }
        }
    }

    fn serves(&self, version: Version) -> bool {
        self.config.versions.find(version.octet()).is_some()
    }

    /// Goes back to where the version is negotiated.
    const fn forget(&mut self) {
        self.version = None;
        self.told = None;
        self.serial = None;
        self.notified = None;
    }

    fn reply(&mut self, reply: Reply, since: Option<Since>, version: Version) {
        let reply = Box::new(reply);
        self.state = match since {
            Some(Since::Current) => State::Answering(reply),
            Some(Since::Step(place)) => State::Preparing(
                reply,
                Answer {
                    version,
                    since: Some(place),
                },
            ),
            None => State::Preparing(
                reply,
                Answer {
                    version,
                    since: None,
                },
            ),
        };
    }

    /// Answers the query of a reply that has sent nothing yet with another snapshot.
    fn restart(&mut self, reply: &Reply, current: Option<&Snapshot>) {
        match current {
            Some(snapshot) => self.answer(
                Query {
                    since: reply.query(),
                },
                snapshot,
            ),
            None => self.no_data(),
        }
    }

    fn answered(&mut self, reply: &Reply) {
        if let Some((session, serial)) = reply.tells() {
            self.told = Some(session);
            self.serial = Some(serial);
            self.notified = None;
            // After a full answer there is nothing left to doubt.
            self.distrusted &= reply.answered() != Answered::Full;
        }
        if reply.answers_query() {
            let (answer, octets) = (reply.answered(), reply.octets());
            let serial = reply.tells().map(|(_, serial)| serial);
            self.events.push(Event::Answered {
                answer,
                serial,
                octets,
            });
        }
    }

    /// The serial that the router is to be told, if there is one: never before the first End of
    /// Data, never twice the same, never what it cannot see (CONFORMANCE 2.11).
    fn notify_due(&self, current: Option<&Snapshot>) -> Option<Serial> {
        let current = current.filter(|_| self.config.notify);
        let (snapshot, told, serial) = (current?, self.told?, self.serial?);
        let view = View::new(self.version?, self.config.kinds);
        let moved = if snapshot.serves(view, told) {
            // Of what it was told already, only what is visible since then is news.
            snapshot.changed_since(self.notified.unwrap_or(serial), view.kinds())
        } else {
            snapshot.serial() != serial
        };
        (moved && self.notified != Some(snapshot.serial())).then(|| snapshot.serial())
    }

    fn notify(&mut self, now: Instant, current: Option<&Snapshot>) -> Option<Output> {
        let serial = self.notify_due(current)?;
        let (version, session) = (self.version?, self.told?);
        if self.notify_after.is_some_and(|after| now < after) {
            return None;
        }
        self.notified = Some(serial);
        self.notify_after = now.checked_add(self.config.notify_interval);
        self.events.push(Event::Notified { serial });
        let notify = Pdu::SerialNotify { session, serial };
        Some(Output::Send(notify.octets(version).into()))
    }
}
