//! Documents on the web.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::SourceError;
use super::intake::{self, Lease};
use super::judge::Claim;
use super::list::List;
use super::pace::Pace;
use super::web::{Fetcher, Place};
use super::{Closed, Content, Occasion, Outlet, Requests, limits, unix_now};
use crate::config::Source;
use crate::net::Url;

/// Delivers what a URL has as often as it changes.
pub(super) async fn deliver(
    source: &Source,
    url: &Url,
    outlet: &Outlet,
    mut requests: Requests,
) -> Result<(), Closed> {
    let mut pace = Pace::new(source.refresh);
    let mut visitor = Visitor::new(source, url);
    let mut occasion = Occasion::Schedule;
    loop {
        let started = Instant::now();
        let result = visitor.visit().await;
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

/// JSON rather than CSV, which has no metadata, and anything else rather than an error.
const ACCEPTED: &str = "application/json, text/csv;q=0.5, */*;q=0.1";

/// What [`decompress`](crate::json::decompress) finds out by itself and servers are likely to have.
const ENCODINGS: &str = "gzip, zstd";

/// Asks for a document, and remembers how old it was.
struct Visitor<'s> {
    source: &'s Source,
    fetcher: Fetcher,
    /// What was delivered last.
    delivered: Option<Claim>,
    /// What the server has, if it was refused for its age.
    refused: Option<Claim>,
}

impl<'s> Visitor<'s> {
    fn new(source: &'s Source, url: &Url) -> Self {
        let place = Place {
            url: url.clone(),
            web: source.web.clone(),
            tls: source.tls.clone(),
            timeout: source.timeout,
            connect_timeout: source.connect_timeout,
            max_octets: source.max_octets,
            accept: ACCEPTED,
            encodings: ENCODINGS,
            query: None,
            keep: Duration::ZERO,
        };
        Self {
            source,
            fetcher: Fetcher::new(place),
            delivered: None,
            refused: None,
        }
    }

    async fn visit(&mut self) -> Result<Content, SourceError> {
        match self.fetch().await? {
            Some(list) => self.judged(list),
            None => match self.refused {
                None => Ok(Content::Unchanged { arrived: None }),
                // It is still there; perhaps its time has come.
                Some(claim) => {
                    self.judge(claim)?;
                    self.fetcher.forget();
                    match self.fetch().await? {
                        Some(list) => self.judged(list),
                        None => Ok(Content::Unchanged { arrived: None }),
                    }
                }
            },
        }
    }

    /// The list that the server has, `None` when it is the last one.
    async fn fetch(&mut self) -> Result<Option<List>, SourceError> {
        let limits = limits(self.source);
        let lease = Lease::default();
        let holder = lease.holder();
        let read = move |bridge| intake::read(bridge, &limits, &holder);
        let answer = self.fetcher.fetch(read).await?;
        Ok(answer.map(|answer| List::of_document(answer.content, answer.arrived)))
    }

    fn judged(&mut self, list: List) -> Result<Content, SourceError> {
        let claim = Claim::from(&list);
        self.refused = Some(claim);
        self.judge(claim)?;
        self.refused = None;
        self.delivered = Some(claim);
        Ok(Content::List(Box::new(list)))
    }

    fn judge(&self, claim: Claim) -> Result<(), SourceError> {
        claim.judge(self.delivered.as_ref(), self.source.max_age, unix_now())
    }
}
