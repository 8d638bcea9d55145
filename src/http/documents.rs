//! What is served, as documents: `/rpki.json` and the others.
//!
//! They are complete when they come here, in a file for each coding; who makes them is behind the
//! [`Backend`](super::Backend).

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::time::timeout;

use super::backend::{Document, Edition};
use super::counts::Counts;
use super::fault::{Fault, at};
use super::files::{self, Content, Representation, coding};
use super::routes::Shared;

/// What caches are told. One in between asks again each second, which costs a 304, so that a
/// document and the signed statement of it seldom differ; without that second nginx would keep
/// nothing and ask for the whole each time. While the server is away, as during an upgrade, it may
/// go on with what it has.
const CACHING: &str = "public, max-age=1, stale-if-error=600";

/// Answers with a document.
pub(super) async fn answer(shared: &Shared, document: Document, request: &Parts) -> Response {
    Counts::add(&shared.counts.documents);
    let editing = (shared.backend.documents)(document);
    let edition = match timeout(shared.limits.request, editing).await {
        Ok(Ok(edition)) => edition,
        Ok(Err(refusal)) => return at(&request.uri, refusal.into()),
        Err(_) => return at(&request.uri, Fault::late()),
    };
    match select(&edition, &request.headers) {
        Ok(representation) => files::answer(shared, request, representation).await,
        Err(fault) => {
            let mut response = at(&request.uri, fault);
            response.headers_mut().extend(vary());
            response
        }
    }
}

/// The edition in the coding that this client gets.
fn select(edition: &Edition, headers: &HeaderMap) -> Result<Representation, Fault> {
    let form = coding::choose(headers, &edition.forms).ok_or_else(|| {
        let reason = "only in codings that `Accept-Encoding` refuses";
        Fault::new(StatusCode::NOT_ACCEPTABLE, reason)
    })?;
    // RFC 9110 §8.8.3.3: other octets, another tag.
    let tag = match form.coding {
        None => edition.tag.to_string(),
        Some(coding) => format!("{}-{coding}", edition.tag),
    };
    let mut guidance: HeaderMap = vary().into_iter().collect();
    guidance.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHING));
    Ok(Representation {
        tag,
        modified: Some(edition.modified),
        media_type: edition.media_type,
        coding: form.coding,
        guidance,
        content: Content::File {
            file: Arc::clone(&form.file),
            length: form.length,
        },
    })
}

const fn vary() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::VARY, HeaderValue::from_static("accept-encoding"))]
}
