//! Answers that are large or keep: with validators, in parts, and in the coding a client takes.
//!
//! [`Representation`] is what a path has to give, and [`answer`] what a request gets of it: RFC
//! 9110 whole for `GET` and `HEAD`. [`coding`] chooses among the forms of a document,
//! [`conditions`] weighs what the request asks for, and [`body`] reads a file while its octets
//! leave. Nothing here knows what the octets mean.

pub(super) mod body;
pub(super) mod coding;
pub(super) mod conditions;
pub(super) mod date;

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use self::body::FileBody;
use self::conditions::{Outcome, Validators};
use super::fault::{Fault, at};
use super::metrics::{Exposition, Metric};
use super::routes::Shared;
use crate::payload::UnixTime;

/// What a path has to give: the selected representation of RFC 9110 §3.2.
#[derive(Debug)]
pub(super) struct Representation<'a> {
    /// What it is recognised by.
    pub(super) recognition: Cow<'a, Recognition>,
    /// When what it says came to be, `None` when that is not told.
    pub(super) modified: Option<UnixTime>,
    /// Its media type.
    pub(super) media_type: &'static str,
    /// The coding that it is in.
    pub(super) coding: Option<&'static str>,
    /// Its octets.
    pub(super) content: Content<'a>,
}

/// What clients and caches recognise a representation by: its headers that go with a 304, too.
#[derive(Clone, Debug)]
pub(super) struct Recognition {
    /// Its strong validator, without quotes.
    tag: Box<str>,
    headers: HeaderMap,
}

impl Recognition {
    /// With this strong validator, without quotes, and what caches are told.
    pub(super) fn new(
        tag: impl Into<Box<str>>,
        guidance: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Self {
        let tag = tag.into();
        let mut headers: HeaderMap = guidance.into_iter().collect();
        insert(&mut headers, header::ETAG, &format!("\"{tag}\""));
        Self { tag, headers }
    }
}

/// Octets, wherever they are.
#[derive(Debug)]
pub(super) enum Content<'a> {
    /// In memory: a few kilobytes.
    Octets(&'a Bytes),
    /// In a file.
    File {
        /// The file, to be read at positions.
        file: &'a Arc<File>,
        /// How many of its octets count.
        length: u64,
    },
}

impl Content<'_> {
    fn length(&self) -> u64 {
        match self {
            Self::Octets(octets) => u64::try_from(octets.len()).unwrap_or(u64::MAX),
            Self::File { length, .. } => *length,
        }
    }
}

/// The places of those who read files.
#[derive(Debug)]
pub(super) struct Room {
    /// Bodies that are on their way.
    bodies: Arc<Semaphore>,
    /// Reads of files on threads.
    reads: Arc<Semaphore>,
}

/// Bodies from files at once; a further one waits within the time of its answer. Each holds a
/// file, whose space may be all that is left of it, and a chunk.
const BODIES: usize = 64;

/// Reads at once. They come from the page cache, or from a disk that is not faster for more.
const READS: usize = 4;

const SENDING: Metric = Metric::gauge(
    "rutter_http_file_bodies",
    "Bodies of HTTP answers that are on their way out of files",
);

impl Default for Room {
    fn default() -> Self {
        Self {
            bodies: Arc::new(Semaphore::new(BODIES)),
            reads: Arc::new(Semaphore::new(READS)),
        }
    }
}

impl Room {
    /// Leave to keep a thread busy with a file.
    pub(super) fn reads(&self) -> Arc<Semaphore> {
        Arc::clone(&self.reads)
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        let sending = BODIES.saturating_sub(self.bodies.available_permits());
        out.family(&SENDING).sample(&[], sending);
    }
}

/// Answers a `GET` or a `HEAD` with it: whole, in part, or with the news that there is none.
pub(super) async fn answer(
    shared: &Shared,
    request: &Parts,
    representation: Representation<'_>,
) -> Response {
    let length = representation.content.length();
    let now = date::now();
    let validators = Validators {
        tag: &representation.recognition.tag,
        // RFC 9110 §8.8.2.1: never later than the answer, whatever clock it came from.
        modified: representation.modified.map(|modified| modified.min(now)),
        length,
    };
    let outcome = conditions::evaluate(&request.method, &request.headers, &validators);
    let (status, range) = match outcome {
        Outcome::Whole => (StatusCode::OK, 0..length),
        Outcome::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Outcome::Unchanged => return unchanged(&representation),
        Outcome::Failed => {
            let fault = Fault::new(StatusCode::PRECONDITION_FAILED, "it is another one by now");
            return at(&request.uri, fault);
        }
        Outcome::Unsatisfiable => {
            let reason = format!("no such range: it has {length} octets");
            let fault = Fault::new(StatusCode::RANGE_NOT_SATISFIABLE, reason);
            let mut response = at(&request.uri, fault);
            let whole = format!("bytes */{length}");
            insert(response.headers_mut(), header::CONTENT_RANGE, &whole);
            return response;
        }
    };
    let mut headers = representation.recognition.headers.clone();
    if let Some(modified) = validators.modified.and_then(date::write) {
        insert(&mut headers, header::LAST_MODIFIED, &modified);
    }
    insert(
        &mut headers,
        header::CONTENT_TYPE,
        representation.media_type,
    );
    if let Some(coding) = representation.coding {
        insert(&mut headers, header::CONTENT_ENCODING, coding);
    }
    insert(&mut headers, header::ACCEPT_RANGES, "bytes");
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!(
            "bytes {}-{}/{length}",
            range.start,
            range.end.saturating_sub(1)
        );
        insert(&mut headers, header::CONTENT_RANGE, &part);
    }
    let count = range.end.saturating_sub(range.start);
    headers.insert(header::CONTENT_LENGTH, count.into());
    // What HEAD gets of the body is its length.
    if request.method == Method::HEAD {
        return (status, headers).into_response();
    }
    match send(shared, representation.content, range).await {
        Ok(body) => (status, headers, body).into_response(),
        Err(fault) => at(&request.uri, fault),
    }
}

/// Says that who asks has it already. RFC 9110 §15.4.5 wants what a 200 would tell caches, and
/// nothing that describes a body.
pub(super) fn unchanged(representation: &Representation<'_>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
        .headers_mut()
        .clone_from(&representation.recognition.headers);
    response
}

/// The body with this range of the content.
async fn send(shared: &Shared, content: Content<'_>, range: Range<u64>) -> Result<Body, Fault> {
    let file = match content {
        Content::Octets(octets) => {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(octets.len());
            return Ok(Body::from(
                octets.slice(place(range.start)..place(range.end)),
            ));
        }
        Content::File { file, .. } => Arc::clone(file),
    };
    let place = Arc::clone(&shared.files.bodies).acquire_owned();
    let place = timeout(shared.limits.request, place).await;
    // The room is never closed; if it were, there would be none.
    let Ok(Ok(place)) = place else {
        return Err(Fault::late());
    };
    let until = Instant::now() + shared.limits.body;
    let reads = shared.files.reads();
    Ok(Body::new(FileBody::new(file, range, until, reads, place)))
}

/// Sets a header; what cannot stand in one is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
