//! Answers that are no success.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::backend::{Refusal, RefusalKind};
use super::server::Limits;
use super::shape::Problem;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    problem: Problem,
}

impl Fault {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let problem = Problem {
            error: error.into(),
            details: Vec::new(),
        };
        Self { status, problem }
    }

    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
    }

    pub(super) fn late() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no answer in time")
    }

    pub(super) fn too_large(limits: &Limits) -> Self {
        let error = format!("a body of more than {} octets", limits.body_octets);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Bad => StatusCode::BAD_REQUEST,
            RefusalKind::Unknown => StatusCode::NOT_FOUND,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            status,
            problem: refusal.into(),
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let hint = hint(self.status);
        (self.status, hint, Json(self.problem)).into_response()
    }
}

/// The header that goes with a status.
fn hint(status: StatusCode) -> Option<[(HeaderName, HeaderValue); 1]> {
    let hint = match status {
        // RFC 9110 §11.6.1 wants it with every 401.
        StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
        // In seconds: what is missing at a start, or is crowded, is better by then.
        StatusCode::SERVICE_UNAVAILABLE => (header::RETRY_AFTER, "5"),
        _ => return None,
    };
    let (name, value) = hint;
    Some([(name, HeaderValue::from_static(value))])
}

/// A fault in the words of the path: JSON below `/api`, text elsewhere.
pub(super) fn at(uri: &Uri, fault: Fault) -> Response {
    if uri.path().starts_with("/api/") {
        return fault.into_response();
    }
    let text = format!("{}\n", fault.problem.error);
    (fault.status, hint(fault.status), text).into_response()
}
