//! The paths, and what is answered there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{self, HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use tracing::{debug, error, warn};

use super::access::{Access, Asker, Denied};
use super::backend::{Backend, Command, Refusal, Request};
use super::counts::Counts;
use super::documents;
use super::explain;
use super::fault::{Fault, at};
use super::feed;
use super::files::Room;
use super::metrics::{Exposition, Format};
use super::server::{Limits, told};
use crate::payload::Asn;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) access: watch::Receiver<Access>,
    pub(super) limits: Limits,
    pub(super) counts: Counts,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) backend: Arc<Backend>,
    pub(super) files: Room,
    /// Answers that are worked out on threads at once; the others wait within their time.
    threads: Arc<Semaphore>,
    /// When it was last said that a file cannot be read.
    complained: Mutex<Option<Instant>>,
}

/// Answers that are worked out on threads at once: routers need the processor more.
const THREADS: usize = 2;

/// How often it is said that a file cannot be read, which any peer can bring about.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

impl Shared {
    pub(super) fn new(
        backend: Arc<Backend>,
        access: watch::Receiver<Access>,
        limits: Limits,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            access,
            limits,
            counts: Counts::default(),
            stop,
            backend,
            files: Room::default(),
            threads: Arc::new(Semaphore::new(THREADS)),
            complained: Mutex::default(),
        }
    }
}

/// The paths, but for those of [`documents`].
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/api/v1/status", get(status))
        // The slash of a prefix stands in the path as it is.
        .route("/api/v1/explain/{*prefix}", get(explained))
        .route("/api/v1/disagreement", get(disagreement))
        .route("/api/v1/clients", get(clients))
        .route("/feed/manifest.jws", manifest(feed::Form::Signed))
        .route("/feed/manifest.json", manifest(feed::Form::Plain))
        .route("/feed/{name}", get(feed_file))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/refresh", post(refresh))
        .route("/api/v1/approve", post(approve))
        .fallback(async |uri: Uri| at(&uri, Fault::new(StatusCode::NOT_FOUND, "no such path")))
        .method_not_allowed_fallback(async |uri: Uri| at(&uri, Fault::method()))
        .with_state(shared)
}

/// Answers one request, in bounded time, whatever it is. A body that comes out of a file follows
/// for as long as the peer goes on taking it.
pub(super) async fn answer(
    router: &Router,
    shared: &Shared,
    asker: &Asker,
    request: hyper::Request<Incoming>,
) -> Response {
    let (head, body) = request.into_parts();
    let stated = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let (mut response, uri) = if stated > shared.limits.body_octets {
        let response = at(&head.uri, Fault::too_large(&shared.limits));
        (response, head.uri)
    } else if let Some(document) = documents::at_path(head.uri.path()) {
        // What is asked for a thousand times a second takes no detour.
        let response = documents::answer(shared, document, &head).await;
        (response, head.uri)
    } else {
        let uri = head.uri.clone();
        let request = hyper::Request::from_parts(head, Body::new(body));
        // In a place of its own, so that the way of the documents has little to move.
        let routed = Box::pin(route(router.clone(), shared.limits, asker.clone(), request)).await;
        (routed.unwrap_or_else(|fault| at(&uri, fault)), uri)
    };
    let status = response.status();
    // A 304 says what its 200 said, and has no octets that could be taken for something else.
    if status != StatusCode::NOT_MODIFIED {
        let headers = response.headers_mut();
        let no_store = HeaderValue::from_static("no-store");
        headers.entry(header::CACHE_CONTROL).or_insert(no_store);
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    }
    shared.counts.answered(status.as_u16());
    debug!(path = uri.path(), status = status.as_u16(), "http request");
    response
}

/// Answers what has its path in the router.
async fn route(
    router: Router,
    limits: Limits,
    asker: Asker,
    mut request: http::Request<Body>,
) -> Result<Response, Fault> {
    request.extensions_mut().insert(asker);
    // A body may take its time, then its answer.
    let whole = limits.request * 2 + limits.command;
    match timeout(whole, router.oneshot(request)).await {
        Ok(Ok(mut response)) => {
            // RFC 9110 §8.6: if at all, a 304 has the length of what it stands for.
            if response.status() == StatusCode::NOT_MODIFIED {
                response.headers_mut().remove(header::CONTENT_LENGTH);
            }
            Ok(response)
        }
        Ok(Err(never)) => match never {},
        Err(_) => Err(Fault::late()),
    }
}

// What looks.

const INDEX: &str = "\
rutter, an RPKI-to-Router (RTR) cache server

GET  /metrics                          for Prometheus
GET  /healthz                          200 while the process works
GET  /readyz                           200 when routers can rely on it, else 503 and why
GET  /rpki.json                        what is served, in rpki-client's dialect
GET  /rpki.json.jws                    the signed statement of it
GET  /rpki.csv                         the same as CSV
GET  /rpki.bird                        static tables for BIRD
GET  /rpki.openbgpd                    static tables for OpenBGPD
GET  /feed/manifest.jws                what followers are told, ?wait=TAG until it is another one;
                                       manifest.json without a key; the files it names beside it
GET  /api/v1/status                    how it is
GET  /api/v1/explain/192.0.2.0/24      what becomes of a prefix, with ?asn=64496 for one origin
GET  /api/v1/disagreement              what the sources disagree on, ?limit=100 of it
GET  /api/v1/clients                   the routers that are connected, ?limit=100 of them
POST /api/v1/reload                    read the configuration again
POST /api/v1/refresh                   ask the sources now, with ?source=NAME one of them
POST /api/v1/approve?digest=DIGEST     let the held update through
";

async fn index() -> &'static str {
    INDEX
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let mut out = Exposition::new(format);
    (shared.backend.metrics)(&mut out);
    shared.counts.write(&mut out);
    shared.files.write(&mut out);
    let media_type = HeaderValue::from_static(format.media_type());
    ([(header::CONTENT_TYPE, media_type)], out.finish()).into_response()
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let ready = (shared.backend.status)().ready;
    let status = if ready.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(ready)).into_response()
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    Json((shared.backend.status)()).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    asn: Option<String>,
}

async fn explained(
    State(shared): State<Arc<Shared>>,
    prefix: Result<Path<String>, PathRejection>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
) -> Result<Json<Value>, Fault> {
    let Path(prefix) = prefix.map_err(|error| Fault::bad(error.body_text()))?;
    let prefix = explain::prefix(&prefix).map_err(|error| Fault::bad(error.to_string()))?;
    let Query(query) = query.map_err(|error| Fault::bad(error.body_text()))?;
    let asn = query.asn.map(|text| match text.parse::<Asn>() {
        Ok(asn) => Ok(asn),
        Err(error) => Err(Fault::bad(format!("asn `{text}`: {error}"))),
    });
    let asn = asn.transpose()?;
    on_thread(&shared, move |backend| (backend.explain)(prefix, asn)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitQuery {
    limit: Option<usize>,
}

/// Entries of a list when the request does not say.
const DEFAULT_ENTRIES: usize = 100;

/// The most entries of a list: some megabytes.
const MAX_ENTRIES: usize = 10_000;

async fn disagreement(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<LimitQuery>, QueryRejection>,
) -> Result<Json<Value>, Fault> {
    let limit = entries(query)?;
    on_thread(&shared, move |backend| (backend.disagreement)(limit)).await
}

async fn clients(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<LimitQuery>, QueryRejection>,
) -> Result<Json<Value>, Fault> {
    let limit = entries(query)?;
    on_thread(&shared, move |backend| (backend.clients)(limit)).await
}

/// How many entries are asked for.
fn entries(query: Result<Query<LimitQuery>, QueryRejection>) -> Result<usize, Fault> {
    let Query(query) = query.map_err(|error| Fault::bad(error.body_text()))?;
    let limit = query.limit.unwrap_or(DEFAULT_ENTRIES);
    if limit > MAX_ENTRIES {
        let reason = format!("limit {limit}: at most {MAX_ENTRIES} entries at once");
        return Err(Fault::bad(reason));
    }
    Ok(limit)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitQuery {
    wait: Option<Box<str>>,
}

/// Where a manifest is.
fn manifest(form: feed::Form) -> MethodRouter<Arc<Shared>> {
    get(
        async move |State(shared): State<Arc<Shared>>,
                    query: Result<Query<WaitQuery>, QueryRejection>,
                    request: http::Request<Body>| {
            let (request, _) = request.into_parts();
            match query {
                Ok(Query(WaitQuery { wait })) => {
                    feed::manifest(&shared, form, wait.as_deref(), &request).await
                }
                Err(error) => at(&request.uri, Fault::bad(error.body_text())),
            }
        },
    )
}

async fn feed_file(
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
    request: http::Request<Body>,
) -> Response {
    let (request, _) = request.into_parts();
    match name {
        Ok(Path(name)) => feed::file(&shared, &name, &request).await,
        Err(error) => at(&request.uri, Fault::bad(error.body_text())),
    }
}

/// Works an answer out on a thread that may block.
async fn on_thread(
    shared: &Shared,
    work: impl FnOnce(&Backend) -> Result<Value, Refusal> + Send + 'static,
) -> Result<Json<Value>, Fault> {
    let threads = Arc::clone(&shared.threads);
    let backend = Arc::clone(&shared.backend);
    let answer = async {
        let place = threads.acquire_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            let answer = work(&backend);
            // Given back when the work ends, not when nobody waits for it any more.
            drop(place);
            answer
        });
        work.await
    };
    let answer = timeout(shared.limits.request, answer).await;
    match answer.map_err(|_| Fault::late())? {
        Ok(answer) => Ok(Json(answer.map_err(Fault::from)?)),
        Err(broken) => {
            error!(error = %broken, "an http answer broke");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Err(Fault::new(
                status,
                "a fault of the server, its log says more",
            ))
        }
    }
}

// What changes something.

async fn reload(
    State(shared): State<Arc<Shared>>,
    Extension(asker): Extension<Asker>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Fault> {
    authorize(&shared, &asker, &headers).await?;
    read(&shared, body).await?;
    command(&shared, &asker, Command::Reload).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefreshQuery {
    source: Option<Box<str>>,
}

async fn refresh(
    State(shared): State<Arc<Shared>>,
    Extension(asker): Extension<Asker>,
    query: Result<Query<RefreshQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Fault> {
    authorize(&shared, &asker, &headers).await?;
    let Query(RefreshQuery { source }) = query.map_err(|error| Fault::bad(error.body_text()))?;
    read(&shared, body).await?;
    command(&shared, &asker, Command::Refresh { source }).await
}

/// The digest, in the query or in the body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApproveQuery {
    digest: Option<Box<str>>,
}

async fn approve(
    State(shared): State<Arc<Shared>>,
    Extension(asker): Extension<Asker>,
    query: Result<Query<ApproveQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Fault> {
    authorize(&shared, &asker, &headers).await?;
    let Query(query) = query.map_err(|error| Fault::bad(error.body_text()))?;
    let body = read(&shared, body).await?;
    let stated = if body.is_empty() {
        None
    } else {
        let stated = serde_json::from_slice::<ApproveQuery>(&body);
        stated
            .map_err(|error| Fault::bad(format!("not {{\"digest\": \"…\"}}: {error}")))?
            .digest
    };
    let digest = match (query.digest, stated) {
        (Some(query), Some(body)) if query != body => {
            return Err(Fault::bad(
                "the digests of the query and of the body differ",
            ));
        }
        (Some(digest), _) | (None, Some(digest)) if !digest.is_empty() => digest,
        _ => return Err(Fault::bad("needs the digest of the held update")),
    };
    command(&shared, &asker, Command::Approve { digest }).await
}

/// Lets the control socket and the holder of the token pass.
async fn authorize(shared: &Arc<Shared>, asker: &Asker, headers: &HeaderMap) -> Result<(), Fault> {
    if matches!(asker, Asker::Control { .. }) {
        return Ok(());
    }
    let access = shared.access.borrow().clone();
    let presented = headers.get(header::AUTHORIZATION).cloned();
    let check = tokio::task::spawn_blocking(move || {
        access.authorize(presented.as_ref().map(HeaderValue::as_bytes))
    });
    let checked = timeout(shared.limits.request, check).await;
    let denied = match checked.map_err(|_| Fault::late())? {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(denied)) => denied,
        Err(error) => Denied::Unreadable(error.to_string()),
    };
    if let Denied::Unreadable(error) = &denied
        && shared.may_complain()
    {
        warn!(%error, "cannot read the http token file");
    }
    let status = match denied {
        Denied::NoToken => StatusCode::FORBIDDEN,
        Denied::Missing | Denied::Wrong => StatusCode::UNAUTHORIZED,
        Denied::Unreadable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Err(Fault::new(status, denied.to_string()))
}

/// Reads the body of a request whole.
async fn read(shared: &Shared, body: Body) -> Result<Bytes, Fault> {
    let limits = &shared.limits;
    let whole = Limited::new(body, limits.body_octets).collect();
    match timeout(limits.request, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Fault::too_large(limits)),
        Ok(Err(error)) => Err(Fault::bad(format!("the body broke off: {error}"))),
        Err(_) => Err(Fault::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long",
        )),
    }
}

/// Hands a command over and waits for what comes of it.
async fn command(shared: &Shared, asker: &Asker, command: Command) -> Result<Json<Value>, Fault> {
    let (answer, outcome) = oneshot::channel();
    let request = Request {
        command,
        by: asker.to_string().into_boxed_str(),
        answer,
    };
    let unavailable = |reason: &str| Fault::new(StatusCode::SERVICE_UNAVAILABLE, reason);
    match shared.backend.commands.try_send(request) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(_)) => {
            return Err(unavailable("too many commands wait already"));
        }
        Err(mpsc::error::TrySendError::Closed(_)) => {
            return Err(unavailable("the server is stopping"));
        }
    }
    let mut stop = shared.stop.clone();
    tokio::select! {
        biased;
        outcome = timeout(shared.limits.command, outcome) => match outcome {
            Ok(Ok(outcome)) => Ok(Json(outcome?)),
            Ok(Err(_)) => Err(unavailable("the command was given up")),
            Err(_) => Err(unavailable("no outcome in time; it may still come")),
        },
        () = told(&mut stop) => Err(unavailable("the server is stopping")),
    }
}

impl Shared {
    /// Whether it is time to say again what any peer can bring about.
    pub(super) fn may_complain(&self) -> bool {
        let now = Instant::now();
        let mut last = self
            .complained
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.duration_since(last) >= COMPLAIN_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}
