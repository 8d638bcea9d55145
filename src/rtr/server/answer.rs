//! An answer under way.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Answered, ServerConfig};
use crate::payload::Kinds;
use crate::rtr::image::Image;
use crate::rtr::pdu::Pdu;
use crate::rtr::serial::Serial;
use crate::rtr::snapshot::{Generation, Since, Snapshot};
use crate::rtr::version::Version;
use crate::rtr::view::{SessionId, View};

/// What is sent in answer to one query: a few octets of its own around slices of a shared image.
#[derive(Debug)]
pub(super) struct Reply {
    /// What is left to send, last part first.
    parts: Vec<Bytes>,
    octets: usize,
    answered: Answered,
    answers_query: bool,
    data: Option<Data>,
}

/// What an answer with data says.
#[derive(Debug)]
struct Data {
    generation: Arc<Generation>,
    kinds: Kinds,
    session: SessionId,
    serial: Serial,
    query: Option<(SessionId, Serial)>,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Reply {
    /// Answers up to this size are sent in one piece: a copy of that size costs less than
    /// another system call and another segment.
    const WHOLE: usize = 65_536;

    /// A larger answer begins with a piece of about this size. Whether the peer is still there
    /// shows before the large turns begin, and a peer that is gone costs no more than this.
    const FIRST: usize = 8_192;

    /// An answer of one PDU. `answers_query` is whether it ends what a query began.
    pub(super) fn single(octets: Bytes, answered: Answered, answers_query: bool) -> Self {
        let len = octets.len();
        Self {
            parts: vec![octets],
            octets: len,
            answered,
            answers_query,
            data: None,
        }
    }

    /// An answer with data, which is complete at once when the router is up to date and else
    /// needs [`begin`](Self::begin).
    pub(super) fn new(
        config: &ServerConfig,
        view: View,
        snapshot: &Snapshot,
        session: SessionId,
        since: Option<Since>,
    ) -> Self {
        let (version, serial) = (view.version(), snapshot.serial());
        let timing = Some(config.timing).filter(|_| version != Version::V0);
        let data = Data {
            generation: Arc::clone(snapshot.generation()),
            kinds: view.kinds(),
            session,
            serial,
            query: since.map(|_| (session, serial)),
            head: Pdu::CacheResponse { session }.octets(version),
            tail: Pdu::EndOfData {
                session,
                serial,
                timing,
            }
            .octets(version),
        };
        let answered = if since.is_some() {
            Answered::Increment
        } else {
            Answered::Full
        };
        let mut reply = Self {
            parts: Vec::new(),
            octets: 0,
            answered,
            answers_query: true,
            data: Some(data),
        };
        if since == Some(Since::Current) {
            reply.begin(&Image::default());
        }
        reply
    }

    /// Lines up what is sent.
    pub(super) fn begin(&mut self, image: &Image) {
        let Some(data) = &self.data else { return };
        let payload = image.len(data.kinds);
        self.octets = data.head.len() + payload + data.tail.len();
        let mut first = BytesMut::with_capacity(self.octets.min(Self::WHOLE));
        first.put_slice(&data.head);
        let mut parts = Vec::new();
        let whole = self.octets <= Self::WHOLE;
        let mut room = if whole { payload } else { Self::FIRST };
        for segment in image.segments(data.kinds) {
            let mut rest = segment.clone();
            let copied = rest.split_to(room.min(rest.len()));
            room -= copied.len();
            first.put_slice(&copied);
            if !rest.is_empty() {
                parts.push(rest);
            }
        }
        let tail = Bytes::copy_from_slice(&data.tail);
        if whole {
            first.put_slice(&tail);
        } else {
            parts.push(tail);
        }
        parts.insert(0, first.freeze());
        parts.reverse();
        self.parts = parts;
    }

    /// The next octets to send, `None` when all were handed out.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.parts.pop()
    }

    /// Whether this snapshot is the one that the answer is made of.
    pub(super) fn is_of(&self, snapshot: &Snapshot) -> bool {
        let generation = self.generation();
        generation.is_some_and(|generation| Arc::ptr_eq(generation, snapshot.generation()))
    }

    /// The generation of that snapshot, `None` when the answer has no data.
    pub(super) fn generation(&self) -> Option<&Arc<Generation>> {
        self.data.as_ref().map(|data| &data.generation)
    }

    /// The session and serial of the query that is answered, `None` for a Reset Query.
    pub(super) fn query(&self) -> Option<(SessionId, Serial)> {
        self.data.as_ref().and_then(|data| data.query)
    }

    /// The session and serial that the router has once the answer has arrived.
    pub(super) fn tells(&self) -> Option<(SessionId, Serial)> {
        self.data.as_ref().map(|data| (data.session, data.serial))
    }

    /// How the query is answered.
    pub(super) const fn answered(&self) -> Answered {
        self.answered
    }

    /// Whether this ends what a query began.
    pub(super) const fn answers_query(&self) -> bool {
        self.answers_query
    }

    /// The octets of the answer.
    pub(super) const fn octets(&self) -> usize {
        self.octets
    }
}
