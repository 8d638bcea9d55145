//! What is served, as documents: `/rpki.json` and the others.
//!
//! They are complete when they come here, in a file for each coding; who makes them is behind the
//! [`Backend`](super::Backend).

use std::borrow::Cow;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use tokio::time::timeout;

use super::backend::{Document, Editing, Edition};
use super::counts::Counts;
use super::fault::{Fault, at};
use super::files::{self, Content, Recognition, Representation, coding};
use super::routes::Shared;

/// The document with this path.
pub(super) fn at_path(path: &str) -> Option<Document> {
    match path {
        "/rpki.json" => Some(Document::Json),
        "/rpki.json.jws" => Some(Document::Statement),
        "/rpki.csv" => Some(Document::Csv),
        "/rpki.bird" => Some(Document::Bird),
        "/rpki.openbgpd" => Some(Document::OpenBgpd),
        _ => None,
    }
}

/// What caches are told. One in between asks again each second, which costs a 304, so that a
/// document and the signed statement of it seldom differ; without that second nginx would keep
/// nothing and ask for the whole each time. While the server is away, as during an upgrade, it may
/// go on with what it has.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=1, stale-if-error=600");

/// Each coding has its own octets. What is refused for its codings depends on them as well.
const VARY: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Answers with a document. What the peer sends with a question for one is not read.
pub(super) async fn answer(shared: &Shared, document: Document, request: &Parts) -> Response {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let mut response = at(&request.uri, Fault::method());
        let allowed = HeaderValue::from_static("GET,HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
        return response;
    }
    Counts::add(&shared.counts.documents);
    let edition = match (shared.backend.documents)(document) {
        Editing::There(edition) => edition,
        Editing::Coming(editing) => match timeout(shared.limits.request, editing).await {
            Ok(Ok(edition)) => edition,
            Ok(Err(refusal)) => return at(&request.uri, refusal.into()),
            Err(_) => return at(&request.uri, Fault::late()),
        },
    };
    match select(&edition, &request.headers) {
        Ok(representation) => files::answer(shared, request, representation).await,
        Err(fault) => {
            let mut response = at(&request.uri, fault);
            response.headers_mut().insert(header::VARY, VARY);
            response
        }
    }
}

/// What a form of an edition is recognised by.
pub(super) fn recognition(edition: &str, coding: Option<&str>) -> Recognition {
    let guidance = [(header::CACHE_CONTROL, CACHING), (header::VARY, VARY)];
    // RFC 9110 §8.8.3.3: other octets, another tag.
    match coding {
        None => Recognition::new(edition, guidance),
        Some(coding) => Recognition::new(format!("{edition}-{coding}"), guidance),
    }
}

/// The edition in the coding that this client gets.
fn select<'a>(edition: &'a Edition, headers: &HeaderMap) -> Result<Representation<'a>, Fault> {
    let form = coding::choose(headers, &edition.forms).ok_or_else(|| {
        let reason = "only in codings that `Accept-Encoding` refuses";
        Fault::new(StatusCode::NOT_ACCEPTABLE, reason)
    })?;
    Ok(Representation {
        recognition: Cow::Borrowed(&form.recognition),
        modified: Some(edition.modified),
        media_type: edition.media_type,
        coding: form.coding,
        content: Content::File {
            file: &form.file,
            length: form.length,
        },
    })
}
