//! Asking for a URL: what all documents on the web have in common, whatever is in them.

mod client;
mod fault;
mod secret;
mod text;

use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use reqwest::{Response, StatusCode};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use self::client::Clients;
use self::fault::timed_out;
pub use self::text::WebText;
use super::error::{Phase, RedirectError, SourceError};
use super::intake::{self, Bridge, Failure, Feeder};
use super::list::Conditions;
use super::unix_now;
use crate::config::{Source, Web};
use crate::net::Url;
use crate::net::tls::ClientOptions;
use crate::payload::UnixTime;

/// What is asked for, and what it may cost.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) url: Url,
    pub(super) web: Web,
    pub(super) tls: ClientOptions,
    /// From the beginning to the end of the document.
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    /// The most octets, as they come.
    pub(super) max_octets: u64,
    /// What is sent as `Accept`.
    pub(super) accept: &'static str,
    /// What is sent as `Accept-Encoding`.
    pub(super) encodings: &'static str,
    /// A name and a value to ask with, behind the URL as it is written.
    pub(super) query: Option<(&'static str, Box<str>)>,
    /// How long a connection is kept for the next request; zero for not at all.
    pub(super) keep: Duration,
}

impl Place {
    /// A document of a source, at this URL: JSON rather than CSV, which has no metadata, and
    /// anything else rather than an error, in codings that servers are likely to have and that
    /// [`decompress`](crate::json::decompress) finds out by itself.
    pub(super) fn of(source: &Source, url: &Url) -> Self {
        Self {
            url: url.clone(),
            web: source.web.clone(),
            tls: source.tls.clone(),
            timeout: source.timeout,
            connect_timeout: source.connect_timeout,
            max_octets: source.max_octets,
            accept: "application/json, text/csv;q=0.5, */*;q=0.1",
            encodings: "gzip, zstd",
            query: None,
            keep: Duration::ZERO,
        }
    }
}

/// Asks for one URL, and remembers what it got.
pub(super) struct Fetcher {
    place: Place,
    clients: Option<Clients>,
    /// Headers that make a request depend on the last document that was read.
    validators: HeaderMap,
    /// The headers of the last answer, whatever it was.
    answered: HeaderMap,
}

/// A document that arrived whole.
pub(super) struct Answer<T> {
    pub(super) content: T,
    /// When the server began to answer.
    pub(super) arrived: UnixTime,
}

/// Redirections that are followed in a row.
const MAX_REDIRECTS: usize = 5;

impl Fetcher {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            clients: None,
            validators: HeaderMap::new(),
            answered: HeaderMap::new(),
        }
    }

    /// For another document of the same server, over the same connections.
    pub(super) fn beside(&self, url: Url, max_octets: u64) -> Self {
        let place = Place {
            url,
            max_octets,
            query: None,
            ..self.place.clone()
        };
        Self {
            clients: self.clients.clone(),
            ..Self::new(place)
        }
    }

    /// Asks in another way from now on.
    pub(super) const fn place_mut(&mut self) -> &mut Place {
        &mut self.place
    }

    /// Whether the last answer had a header of this name, in lower case.
    pub(super) fn has_said(&self, name: &'static str) -> bool {
        self.answered.contains_key(name)
    }

    /// The entity tag of the document that was read last, without its quotes (RFC 9110 §8.8.3).
    pub(super) fn tag(&self) -> Option<&str> {
        let tag = self.validators.get(IF_NONE_MATCH)?.to_str().ok()?;
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag.strip_prefix('"')?.strip_suffix('"')
    }

    /// The conditions of the next request, to be kept.
    pub(super) fn conditions(&self) -> Conditions {
        let value = |name| Some(self.validators.get(name)?.to_str().ok()?.to_owned());
        Conditions {
            none_match: value(IF_NONE_MATCH),
            modified_since: value(IF_MODIFIED_SINCE),
        }
    }

    /// Goes on from a document that was kept with these conditions.
    pub(super) fn go_on(&mut self, kept: &Conditions) {
        if !self.place.web.conditional {
            return;
        }
        let values = [
            (IF_NONE_MATCH, &kept.none_match),
            (IF_MODIFIED_SINCE, &kept.modified_since),
        ];
        let given = values.into_iter().filter_map(|(name, value)| {
            let value = HeaderValue::from_str(value.as_deref()?).ok()?;
            Some((name, value))
        });
        self.validators.extend(given);
    }

    /// The next request asks for the document even if it is the last one.
    pub(super) fn forget(&mut self) {
        self.validators.clear();
    }

    /// Asks for the document and has it read while it arrives, on a thread that may block; `None`
    /// when it is the one that was read last.
    pub(super) async fn fetch<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(Bridge) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Option<Answer<T>>, SourceError> {
        let limit = self.place.timeout;
        let url = self.place.url.clone();
        let fetched = timeout(limit, Box::pin(self.fetch_at_leisure(read))).await;
        fetched.unwrap_or_else(|_| Err(timed_out(&url, Phase::Total, limit)))
    }

    async fn fetch_at_leisure<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(Bridge) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Option<Answer<T>>, SourceError> {
        let secrets = self.prepare().await?;
        self.answered.clear();
        let response = self.ask(&secrets).await?;
        self.answered = response.headers().clone();
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if !self.validators.is_empty() => return Ok(None),
            status => {
                return Err(SourceError::Status {
                    url: self.place.url.clone(),
                    status: status.as_u16(),
                });
            }
        }
        let arrived = unix_now();
        let validators = validators(response.headers());
        let content = self.read(response, read).await?;
        // Only now: a broken answer shall be asked for again.
        if self.place.web.conditional {
            self.validators = validators;
        }
        Ok(Some(Answer { content, arrived }))
    }

    /// Reads the files that a request needs, and makes clients when there are none or their
    /// certificates have changed. Gives the headers for the server that was asked for.
    async fn prepare(&mut self) -> Result<HeaderMap, SourceError> {
        let place = self.place.clone();
        let clients = self.clients.clone();
        let prepared = spawn_blocking(move || {
            let secrets = secret::headers(&place.web)?;
            Ok((secrets, Clients::renewed(clients, &place)?))
        });
        let (secrets, clients) = prepared.await.map_err(|_| SourceError::Reader)??;
        self.clients = Some(clients);
        Ok(secrets)
    }

    /// Follows redirections to an answer. Only the server that was asked for, by name and port,
    /// learns user and password, the extra headers and the client's certificate.
    async fn ask(&self, secrets: &HeaderMap) -> Result<Response, SourceError> {
        let clients = self.clients.as_ref().ok_or(SourceError::Reader)?;
        let mut home = client::parsed(&self.place.url)?;
        if let Some((name, value)) = &self.place.query {
            home.query_pairs_mut().append_pair(name, value);
        }
        let mut at = home.clone();
        for _ in 0..=MAX_REDIRECTS {
            let ours = is_same_server(&home, &at);
            let mut headers = match ours {
                true => secrets.clone(),
                false => HeaderMap::new(),
            };
            for (name, value) in [
                (ACCEPT, self.place.accept),
                (ACCEPT_ENCODING, self.place.encodings),
            ] {
                let value = HeaderValue::from_static(value);
                headers.entry(name).or_insert(value);
            }
            headers.extend(self.validators.clone());
            let client = match ours {
                true => clients.ours(),
                false => clients.others(&self.place).await?,
            };
            let sent = client.get(at.clone()).headers(headers).send().await;
            let response = sent.map_err(|error| fault::of_request(&self.place, error))?;
            match self.redirection(&at, &response)? {
                None => return Ok(response),
                Some(next) => at = next,
            }
            if is_same_server(&home, &at) {
                // These cannot fail for a URL with a host.
                let _ = at.set_username(home.username());
                let _ = at.set_password(home.password());
            }
        }
        Err(self.not_followed(RedirectError::TooMany {
            limit: MAX_REDIRECTS,
        }))
    }

    /// Where the server sends us, `None` when it answers itself.
    fn redirection(
        &self,
        at: &reqwest::Url,
        response: &Response,
    ) -> Result<Option<reqwest::Url>, SourceError> {
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let nowhere = || self.not_followed(RedirectError::Nowhere);
        let location = response.headers().get(LOCATION).ok_or_else(nowhere)?;
        let location = location.to_str().map_err(|_| nowhere())?;
        let mut next = at.join(location).map_err(|_| nowhere())?;
        match (at.scheme(), next.scheme()) {
            (_, "https") | ("http", "http") => {}
            ("https", "http") => return Err(self.not_followed(RedirectError::Insecure)),
            _ => return Err(nowhere()),
        }
        // What a server writes there is not for us to show to another.
        let _ = next.set_username("");
        let _ = next.set_password(None);
        Ok(Some(next))
    }

    fn not_followed(&self, reason: RedirectError) -> SourceError {
        SourceError::Redirect {
            url: self.place.url.clone(),
            reason,
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        response: Response,
        read: impl FnOnce(Bridge) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, SourceError> {
        let limit = self.place.max_octets;
        if response.content_length() > Some(limit) {
            return Err(SourceError::TooLarge { limit });
        }
        let (feeder, bridge) = intake::bridge();
        let reader = spawn_blocking(move || read(bridge));
        // Whatever the transfer says comes before what the reader makes of a part.
        self.transfer(response, feeder).await?;
        match reader.await {
            Ok(Ok(content)) => Ok(content),
            Ok(Err(Failure::Document(error))) => Err(SourceError::Document { error }),
            Ok(Err(Failure::TooLarge { limit })) => Err(SourceError::TooLarge { limit }),
            // The bridge has no errors of its own while we are here.
            Ok(Err(Failure::Input(_))) | Err(_) => Err(SourceError::Reader),
        }
    }

    async fn transfer(&self, mut response: Response, feeder: Feeder) -> Result<(), SourceError> {
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|error| fault::of_transfer(&self.place, error))?;
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

/// Whether what one server may know the other may know, too: it is the same, or the same with TLS
/// on the ports that browsers take for both.
fn is_same_server(home: &reqwest::Url, other: &reqwest::Url) -> bool {
    let port = |url: &reqwest::Url| url.port_or_known_default();
    let upgraded = home.scheme() == "http"
        && other.scheme() == "https"
        && (port(home), port(other)) == (Some(80), Some(443));
    let same = home.scheme() == other.scheme() && port(home) == port(other);
    home.host() == other.host() && (same || upgraded)
}

/// The conditions under which an answer is worth sending, from an answer.
fn validators(answer: &HeaderMap) -> HeaderMap {
    let pairs: [(HeaderName, HeaderName); 2] =
        [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)];
    let conditions = pairs.into_iter().filter_map(|(tag, condition)| {
        let value = answer.get(tag)?;
        Some((condition, value.clone()))
    });
    conditions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_to_the_server_that_was_asked_for() {
        let same = |home: &str, other: &str| {
            is_same_server(&home.parse().unwrap(), &other.parse().unwrap())
        };
        assert!(same("https://a.example/x", "https://a.example:443/y"));
        assert!(same("http://a.example/x", "https://A.example/y"));
        assert!(same("http://a.example:8080/", "http://a.example:8080/y"));
        for (home, other) in [
            ("https://a.example/", "https://b.example/"),
            ("https://a.example/", "https://a.example.b.example/"),
            ("https://a.example/", "https://a.example:8443/"),
            ("https://a.example/", "http://a.example/"),
            ("http://a.example:8080/", "https://a.example:8080/"),
            ("http://a.example:8080/", "https://a.example/"),
        ] {
            assert!(!same(home, other), "{home} {other}");
        }
    }
}
