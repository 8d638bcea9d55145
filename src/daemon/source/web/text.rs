//! Small texts on the web, such as local exceptions.

use std::time::Duration;

use super::{Fetcher, Place};
use crate::config::Web;
use crate::daemon::source::error::SourceError;
use crate::daemon::source::intake;
use crate::net::Url;
use crate::net::tls::ClientOptions;

/// A text at a URL that is asked for again and again, under the same rules as a document.
pub struct WebText {
    fetcher: Fetcher,
}

impl WebText {
    /// A text of at most `max_octets`, which has to be here `timeout` after it was asked for.
    pub fn new(url: Url, web: Web, timeout: Duration, max_octets: u64) -> Self {
        let place = Place {
            url,
            web,
            tls: ClientOptions::default(),
            timeout,
            connect_timeout: timeout.min(CONNECT_TIMEOUT),
            max_octets,
            accept: "application/json, */*;q=0.1",
            encodings: "identity",
            query: None,
            keep: Duration::ZERO,
        };
        Self {
            fetcher: Fetcher::new(place),
        }
    }

    /// Asks for the text, its octets as they come: servers are told not to compress it. `None` when it is the one that was given last.
    ///
    /// # Errors
    ///
    /// When there is no complete text within the limits; what was given last is still asked about
    /// then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that was dropped leaves nothing behind.
    pub async fn fetch(&mut self) -> Result<Option<Vec<u8>>, SourceError> {
        let limit = self.fetcher.place.max_octets;
        let answer = self
            .fetcher
            .fetch(move |bridge| intake::whole(bridge, limit));
        Ok(answer.await?.map(|answer| answer.content))
    }

    /// The next [`fetch`](Self::fetch) gives the text even if it is the one that was given last.
    pub fn forget(&mut self) {
        self.fetcher.forget();
    }
}

/// How long a connection may take: that of a source, unless the text has to be here earlier.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
