//! The router's side of a session, without I/O.
//!
//! A [`ClientSession`] asks for a set, applies an answer only when it is complete, keeps what it
//! has while it asks for changes, and says when it is too old to be used. Its owner moves octets,
//! connects again when told to, and brings the time.

mod staging;
mod terms;

use std::time::{Duration, Instant};

use bytes::Bytes;

use self::staging::Staging;
pub use self::terms::{ClientConfig, Epoch, Event, Failure, Output, Reconnect, Update};
use super::decoder::{Decoder, Header};
use super::error::{ErrorCode, ProtocolError};
use super::pdu::{self, ErrorReport, Pdu, pdu_type};
use super::serial::Serial;
use super::timing::Timing;
use super::version::Version;
use super::view::SessionId;
use crate::payload::{Delta, PayloadSet};

#[derive(Debug)]
enum State {
    /// A query is to be sent.
    Asking,
    /// A query was sent; nothing of the answer has come.
    Awaiting { full: bool },
    /// A Cache Response has come.
    Receiving(Box<Staging>),
    /// Up to date until then, or until a Notify.
    Idle { until: Instant },
    /// The connection is to end; a report may have to go out before.
    Ending {
        report: Option<Bytes>,
        reconnect: Reconnect,
    },
}

/// The router's side of a session; it outlives connections.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    decoder: Decoder,
    state: State,
    events: Vec<Event>,
    version: Version,
    /// Whether the cache has answered in this version.
    agreed: bool,
    /// The version that the cache spoke last, on whatever connection.
    spoken: Option<Version>,
    /// Whether the cache named this version on this connection, which it may end over that.
    offered: bool,
    epoch: Option<Epoch>,
    /// What a Serial Query can name; `None` once the cache said that it cannot go on from there.
    resume: Option<(Version, SessionId, Serial)>,
    updated: Option<Instant>,
    heard: Instant,
    /// A Notify came while an answer was under way.
    behind: bool,
    received: usize,
}

impl ClientSession {
    /// A client without data on a new connection.
    pub fn new(config: ClientConfig, now: Instant) -> Self {
        let version = config.versions.highest();
        Self {
            config,
            decoder: Decoder::new(),
            state: State::Asking,
            events: Vec::new(),
            version,
            agreed: false,
            spoken: None,
            offered: false,
            epoch: None,
            resume: None,
            updated: None,
            heard: now,
            behind: false,
            received: 0,
        }
    }

    /// Tells that there is a new connection.
    pub fn connected(&mut self, now: Instant) {
        self.decoder = Decoder::new();
        self.state = State::Asking;
        self.agreed = false;
        self.offered = false;
        self.behind = false;
        self.heard = now;
    }

    /// Tells that the connection ended.
    pub fn disconnected(&mut self) {
        if matches!(self.state, State::Ending { .. }) {
            return;
        }
        // Some caches refuse a version by closing without a word; they are asked again one lower.
        // A cache that has spoken this version before is only away.
        let lower = self
            .version
            .lower()
            .filter(|lower| *lower >= self.config.versions.lowest())
            .filter(|_| self.spoken != Some(self.version));
        let reconnect = match (&self.state, lower) {
            (State::Asking | State::Awaiting { .. }, _) if self.offered && !self.agreed => {
                Reconnect::Downgrade(self.version)
            }
            (State::Awaiting { .. }, Some(lower)) if !self.agreed => {
                self.downgrade(lower);
                Reconnect::Downgrade(lower)
            }
            _ => Reconnect::After(Failure::Closed),
        };
        self.state = State::Ending {
            report: None,
            reconnect,
        };
    }

    /// Tells that the owner has ended the connection, for reasons of its own. What the client has
    /// still expires, and [`output`](Self::output) says so.
    pub fn abandoned(&mut self) {
        self.fail(None, Failure::Closed);
    }

    /// Asks now for what changed, and not when the refresh interval is over. An answer that is
    /// awaited or under way is not asked for again.
    pub fn ask_now(&mut self, now: Instant) {
        if matches!(self.state, State::Idle { .. }) {
            self.state = State::Idle { until: now };
        }
    }

    /// Takes octets from the cache.
    pub fn receive(&mut self, now: Instant, octets: &[u8]) {
        self.heard = now;
        self.decoder.push(octets);
        while !matches!(self.state, State::Ending { .. }) && self.take_pdu(now) {}
    }

    /// What to do next.
    pub fn output(&mut self, now: Instant) -> Output {
        self.expire(now);
        if !self.events.is_empty() {
            return Output::Event(self.events.remove(0));
        }
        let silent = now >= self.silent_at();
        if silent && matches!(self.state, State::Awaiting { .. } | State::Receiving(_)) {
            self.fail(None, Failure::Silent);
        }
        match &mut self.state {
            State::Asking => self.ask(now),
            State::Idle { until } if now >= *until => self.ask(now),
            State::Ending { report, reconnect } => match report.take() {
                Some(report) => Output::Send(report),
                None => Output::Reconnect(reconnect.clone()),
            },
            _ => Output::Wait,
        }
    }

    /// When [`output`](Self::output) is to be asked again even if nothing arrives.
    pub fn deadline(&self) -> Option<Instant> {
        let next = match &self.state {
            State::Idle { until } => Some(*until),
            State::Awaiting { .. } | State::Receiving(_) => Some(self.silent_at()),
            State::Asking | State::Ending { .. } => None,
        };
        [next, self.expires_at()].into_iter().flatten().min()
    }

    /// What the client has, `None` before the first End of Data and after it expired.
    pub const fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref()
    }

    /// Payloads received so far in the answer under way, for a progress display.
    pub const fn received(&self) -> usize {
        self.received
    }

    /// The version spoken or proposed.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The retry interval in force.
    pub fn retry(&self) -> Duration {
        self.timing().retry()
    }

    fn timing(&self) -> Timing {
        self.epoch
            .as_ref()
            .map_or(self.config.timing, |epoch| epoch.timing)
    }

    fn silent_at(&self) -> Instant {
        self.heard + self.config.answer_wait
    }

    fn expires_at(&self) -> Option<Instant> {
        self.updated?.checked_add(self.timing().expire())
    }

    fn expire(&mut self, now: Instant) {
        if self.expires_at().is_some_and(|at| now >= at) {
            self.drop_epoch();
            if matches!(self.state, State::Awaiting { full: false }) {
                // The increment would have nothing to start from.
                self.fail(None, Failure::Silent);
            }
        }
    }

    fn drop_epoch(&mut self) {
        self.epoch = None;
        self.resume = None;
        self.updated = None;
        self.events.push(Event::Expired);
    }

    fn ask(&mut self, now: Instant) -> Output {
        self.heard = now;
        self.behind = false;
        // Sessions of different versions are different sessions (RFC 8210 §5.1).
        let query = match self.resume {
            Some((version, session, serial)) if version == self.version => {
                Pdu::SerialQuery { session, serial }
            }
            _ => Pdu::ResetQuery,
        };
        self.state = State::Awaiting {
            full: matches!(query, Pdu::ResetQuery),
        };
        Output::Send(query.octets(self.version).into())
    }

    fn downgrade(&mut self, version: Version) {
        self.version = version;
        self.events.push(Event::Downgraded(version));
    }

    fn fail(&mut self, report: Option<Bytes>, failure: Failure) {
        self.state = State::Ending {
            report,
            reconnect: Reconnect::After(failure),
        };
    }

    /// Ends the connection over an error of the cache, with a report unless the PDU is itself
    /// one or the version has no such code.
    fn refuse(&mut self, error: ProtocolError, offending: &[u8]) {
        let code = error.code();
        let report = code.exists_in(self.version).then(|| {
            let report = ErrorReport::new(code, offending, &error.to_string());
            Pdu::ErrorReport(report).octets(self.version).into()
        });
        self.fail(report, Failure::Protocol(error));
    }

    /// Deals with the next PDU; `false` when it is not whole.
    fn take_pdu(&mut self, now: Instant) -> bool {
        let Some(header) = self.decoder.header() else {
            return false;
        };
        let pdu_type = header.pdu_type;
        let refused = match self.agree(header) {
            Err(error) => Some(error),
            Ok(version) if !pdu::type_exists(version, pdu_type) => {
                Some(ProtocolError::UnsupportedType { pdu_type })
            }
            Ok(version) => {
                let fixed =
                    pdu::fixed_len(version, pdu_type).is_none_or(|len| len == header.length);
                let sane = fixed && (8..=pdu::MAX_LEN).contains(&header.length);
                (!sane).then_some(ProtocolError::Length {
                    pdu_type,
                    found: header.length,
                })
            }
        };
        if let Some(error) = refused {
            if pdu_type == pdu_type::ERROR_REPORT {
                self.fail(None, Failure::Protocol(error));
            } else {
                let offending = self.decoder.rest().to_vec();
                self.refuse(error, &offending);
            }
            return true;
        }
        let Ok(len) = usize::try_from(header.length) else {
            return false;
        };
        let Some(octets) = self.decoder.take(len) else {
            return false;
        };
        let version = header.known_version().unwrap_or(self.version);
        match Pdu::decode(version, octets) {
            Err(error) if pdu_type == pdu_type::ERROR_REPORT => {
                self.fail(None, Failure::Protocol(error));
            }
            Err(error) => {
                let offending = octets.to_vec();
                self.refuse(error, &offending);
            }
            Ok(pdu) => {
                if let Err(error) = self.act(now, header, pdu) {
                    let offending = self.decoder.taken(len).to_vec();
                    self.refuse(error, &offending);
                }
            }
        }
        true
    }

    /// The version of a PDU, which must be the one spoken; the first answer may lower it.
    fn agree(&mut self, header: Header) -> Result<Version, ProtocolError> {
        let found = header.version;
        let Some(version) = header.known_version() else {
            return Err(ProtocolError::UnsupportedVersion { found });
        };
        let answer = matches!(
            header.pdu_type,
            pdu_type::CACHE_RESPONSE | pdu_type::CACHE_RESET
        );
        if version == self.version {
            self.agreed |= answer;
            return Ok(version);
        }
        // Before the version is agreed, a Notify is ignored whatever its version (8210bis §7)
        // and an Error Report may carry the cache's own.
        let free = matches!(
            header.pdu_type,
            pdu_type::SERIAL_NOTIFY | pdu_type::ERROR_REPORT
        );
        if free && !self.agreed {
            return Ok(version);
        }
        let lower = version < self.version && version >= self.config.versions.lowest();
        if answer && lower && !self.agreed {
            self.agreed = true;
            self.downgrade(version);
            return Ok(version);
        }
        Err(ProtocolError::UnexpectedVersion { found })
    }

    fn act(&mut self, now: Instant, header: Header, pdu: Pdu) -> Result<(), ProtocolError> {
        match pdu {
            Pdu::ErrorReport(report) => {
                self.report(now, header, report);
                return Ok(());
            }
            Pdu::SerialNotify { serial, .. } => {
                self.notified(now, serial);
                return Ok(());
            }
            _ => {}
        }
        let unexpected = ProtocolError::Unexpected {
            pdu_type: header.pdu_type,
        };
        match (std::mem::replace(&mut self.state, State::Asking), pdu) {
            (State::Awaiting { full }, Pdu::CacheResponse { session }) => self.begin(session, full),
            (State::Awaiting { full: false }, Pdu::CacheReset) => {
                self.epoch_lost();
                Ok(())
            }
            (
                State::Receiving(staging),
                Pdu::EndOfData {
                    session,
                    serial,
                    timing,
                },
            ) => self.complete(now, *staging, session, serial, timing),
            (State::Receiving(mut staging), payload) => {
                self.stage(&mut staging, payload, unexpected)?;
                // An over-large answer ends the connection.
                if matches!(self.state, State::Asking) {
                    self.state = State::Receiving(staging);
                }
                Ok(())
            }
            _ => Err(unexpected),
        }
    }

    fn begin(&mut self, session: SessionId, full: bool) -> Result<(), ProtocolError> {
        self.received = 0;
        let staging = match self.epoch.as_ref().filter(|_| !full) {
            Some(epoch) if epoch.session != session => {
                let told = epoch.session;
                self.epoch_lost();
                return Err(ProtocolError::SessionMismatch {
                    told,
                    found: session,
                });
            }
            Some(epoch) => Staging::increment(session, epoch.set.clone()),
            None => Staging::full(session),
        };
        self.state = State::Receiving(Box::new(staging));
        Ok(())
    }

    /// What the client has stays usable until it expires, but the cache knows it no more.
    fn epoch_lost(&mut self) {
        self.resume = None;
        self.events.push(Event::Reset);
        self.state = State::Asking;
    }

    fn stage(
        &mut self,
        staging: &mut Staging,
        pdu: Pdu,
        unexpected: ProtocolError,
    ) -> Result<(), ProtocolError> {
        staging.push(pdu, unexpected)?;
        self.received = staging.count();
        if staging.count() > self.config.max_payloads {
            let limit = self.config.max_payloads;
            self.fail(None, Failure::TooLarge { limit });
        }
        Ok(())
    }

    fn complete(
        &mut self,
        now: Instant,
        staging: Staging,
        session: SessionId,
        serial: Serial,
        timing: Option<Timing>,
    ) -> Result<(), ProtocolError> {
        let told = staging.session();
        if told != session {
            return Err(ProtocolError::SessionMismatch {
                told,
                found: session,
            });
        }
        let set = staging.finish()?;
        // What there was may have expired while the answer was under way; then all is new.
        let nothing = PayloadSet::default();
        let before = self.epoch.as_ref().map_or(&nothing, |epoch| &epoch.set);
        let delta = Delta::between(before, &set);
        let timing = timing.unwrap_or(self.config.timing);
        let epoch = Epoch {
            version: self.version,
            session,
            serial,
            timing,
            set,
        };
        self.spoken = Some(self.version);
        self.resume = Some((self.version, session, serial));
        self.epoch = Some(epoch.clone());
        self.updated = Some(now);
        self.events
            .push(Event::Updated(Box::new(Update { epoch, delta })));
        self.state = match self.behind {
            true => State::Asking,
            false => State::Idle {
                until: now + timing.refresh(),
            },
        };
        Ok(())
    }

    fn notified(&mut self, now: Instant, serial: Serial) {
        self.events.push(Event::Notified(serial));
        match self.state {
            State::Idle { .. } => self.state = State::Idle { until: now },
            State::Receiving(_) => self.behind = true,
            _ => {}
        }
    }

    fn report(&mut self, now: Instant, header: Header, report: ErrorReport) {
        match report.code() {
            Some(ErrorCode::NoDataAvailable) => {
                self.events.push(Event::NoData);
                self.agreed = true;
                self.state = State::Idle {
                    until: now + self.retry(),
                };
            }
            Some(ErrorCode::UnsupportedProtocolVersion) if !self.agreed => {
                match header.known_version() {
                    Some(version)
                        if version < self.version && version >= self.config.versions.lowest() =>
                    {
                        self.downgrade(version);
                        self.offered = true;
                        self.state = State::Asking;
                    }
                    _ => self.fail(
                        None,
                        Failure::NoCommonVersion {
                            offered: header.version,
                        },
                    ),
                }
            }
            // The cache will be back and what it gave stays good (8210bis §8.5).
            Some(ErrorCode::CacheRestart) => self.fail(None, Failure::Report(report)),
            Some(ErrorCode::CacheShutdown) => {
                self.drop_epoch();
                self.fail(None, Failure::Report(report));
            }
            _ => self.fail(None, Failure::Report(report)),
        }
    }
}
