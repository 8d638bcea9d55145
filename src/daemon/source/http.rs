//! Documents on the web.

use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::error::{Phase, SourceError};
use super::intake::{self, Failure, Feeder, Lease};
use super::list::List;
use super::pace::Pace;
use super::{Closed, Content, Occasion, Outlet, Requests, limits, unix_now};
use crate::config::{Proxy, Source};
use crate::json::Document;
use crate::net::Url;

/// Delivers what a URL has as often as it changes.
pub(super) async fn deliver(
    source: &Source,
    url: &Url,
    outlet: &Outlet,
    mut requests: Requests,
) -> Result<(), Closed> {
    let mut occasion = Occasion::Schedule;
    let mut pace = Pace::new(source.refresh);
    let mut fetcher = Fetcher {
        source,
        url,
        client: None,
        validators: HeaderMap::new(),
    };
    loop {
        let started = Instant::now();
        let result = fetcher.fetch_in_time().await;
        let wait = match result {
            Ok(_) => pace.succeeded(),
            Err(_) => pace.failed(),
        };
        outlet.send(occasion, result, started.elapsed()).await?;
        occasion = tokio::select! {
            () = sleep(wait) => Occasion::Schedule,
            asked = requests.next() => asked,
        };
    }
}

/// What we call ourselves.
const USER_AGENT: &str = concat!("rutter/", env!("CARGO_PKG_VERSION"));

/// JSON rather than CSV, which has no metadata, and anything else rather than an error.
const ACCEPTED: &str = "application/json, text/csv;q=0.5, */*;q=0.1";

/// What [`decompress`](crate::json::decompress) finds out by itself and servers are likely to have.
const ENCODINGS: &str = "gzip, zstd";

/// Asks for one URL, and remembers what it got.
struct Fetcher<'s> {
    source: &'s Source,
    url: &'s Url,
    /// Made on first use and again after it could not be made.
    client: Option<Client>,
    /// Headers that make a request depend on the last document that was accepted.
    validators: HeaderMap,
}

impl Fetcher<'_> {
    async fn fetch_in_time(&mut self) -> Result<Content, SourceError> {
        let client = self.client().await?;
        let limit = self.source.timeout;
        let url = self.url;
        let fetched = timeout(limit, self.fetch(&client)).await;
        fetched.unwrap_or_else(|_| Err(timed_out(url, Phase::Total, limit)))
    }

    async fn fetch(&mut self, client: &Client) -> Result<Content, SourceError> {
        let request = client.get(self.url.with_credentials());
        let response = self.ask(request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if !self.validators.is_empty() => {
                return Ok(Content::Unchanged { arrived: None });
            }
            status => {
                return Err(SourceError::Status {
                    url: self.url.clone(),
                    status: status.as_u16(),
                });
            }
        }
        let arrived = unix_now();
        let validators = validators(response.headers());
        let document = self.read(response).await?;
        // Only now: a broken answer shall be asked for again.
        self.validators = validators;
        Ok(Content::List(Box::new(List::of_document(
            document, arrived,
        ))))
    }

    /// It reads the certificates of the system, which takes a while.
    async fn client(&mut self) -> Result<Client, SourceError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let source = self.source.clone();
        let url = self.url.clone();
        let made = spawn_blocking(move || client(&source, &url)).await;
        let client = made.map_err(|_| SourceError::Reader)??;
        Ok(self.client.insert(client).clone())
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Response, SourceError> {
        let request = request
            .header(ACCEPT, ACCEPTED)
            .header(ACCEPT_ENCODING, ENCODINGS)
            .headers(self.validators.clone());
        request.send().await.map_err(|error| {
            if error.is_connect() && error.is_timeout() {
                return timed_out(self.url, Phase::Connect, self.source.connect_timeout);
            }
            SourceError::Connect {
                url: self.url.clone(),
                error: error.without_url().into(),
            }
        })
    }

    /// Reads a document while it arrives.
    async fn read(&self, response: Response) -> Result<Document, SourceError> {
        let limits = limits(self.source);
        let too_large = SourceError::TooLarge {
            limit: limits.octets,
        };
        if response.content_length() > Some(limits.octets) {
            return Err(too_large);
        }
        let lease = Lease::default();
        let holder = lease.holder();
        let (feeder, bridge) = intake::bridge();
        let reader = spawn_blocking(move || intake::read(bridge, &limits, &holder));
        // Whatever the transfer says comes before what the reader makes of a part.
        self.transfer(response, feeder).await?;
        outcome(reader.await)
    }

    async fn transfer(&self, mut response: Response, feeder: Feeder) -> Result<(), SourceError> {
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|error| SourceError::Transfer {
                url: self.url.clone(),
                error: error.without_url().into(),
            })?;
            let Some(octets) = chunk else { break };
            if feeder.send(octets).await.is_err() {
                // The reader has made up its mind.
                return Ok(());
            }
        }
        let _ = feeder.end().await;
        Ok(())
    }
}

fn outcome(joined: Result<Result<Document, Failure>, JoinError>) -> Result<Document, SourceError> {
    match joined {
        Ok(Ok(document)) => Ok(document),
        Ok(Err(Failure::Document(error))) => Err(SourceError::Document { error }),
        Ok(Err(Failure::TooLarge { limit })) => Err(SourceError::TooLarge { limit }),
        // The bridge has no errors of its own while we are here.
        Ok(Err(Failure::Input(_))) | Err(_) => Err(SourceError::Reader),
    }
}

fn timed_out(url: &Url, phase: Phase, limit: Duration) -> SourceError {
    SourceError::Timeout {
        url: url.clone(),
        phase,
        limit,
    }
}

/// The conditions under which an answer is worth sending, from an answer.
fn validators(answer: &HeaderMap) -> HeaderMap {
    let pairs: [(HeaderName, HeaderName); 2] =
        [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)];
    let conditions = pairs.into_iter().filter_map(|(tag, condition)| {
        let value: &HeaderValue = answer.get(tag)?;
        Some((condition, value.clone()))
    });
    conditions.collect()
}

fn client(source: &Source, url: &Url) -> Result<Client, SourceError> {
    install_provider();
    let secure = url.is_secure();
    let built = builder(source).and_then(|builder| builder.https_only(secure).build());
    let built = match built {
        // A machine without certificates, as small containers are, can do without TLS.
        Err(_) if !secure => builder(source).and_then(|builder| builder.tls_certs_only([]).build()),
        built => built,
    };
    built.map_err(|error| SourceError::Client {
        error: error.into(),
    })
}

fn builder(source: &Source) -> Result<ClientBuilder, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(source.connect_timeout)
        .referer(false)
        // The next request is minutes away; servers need not keep a connection for us until then.
        .pool_max_idle_per_host(0);
    match &source.web.proxy {
        Proxy::Environment => Ok(builder),
        Proxy::Direct => Ok(builder.no_proxy()),
        Proxy::Through(proxy) => {
            let proxy = reqwest::Proxy::all(proxy.with_credentials())?;
            Ok(builder.proxy(proxy))
        }
    }
}

/// The HTTP client has no cryptography of its own and takes that of the process. Whoever was
/// first with that has the same: there is only ring in this program.
fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
