//! Documents on the web.

use super::error::SourceError;
use super::intake::{self, Lease};
use super::judge::Claim;
use super::list::{Conditions, List};
use super::pace::{self, Reading};
use super::web::{Fetcher, Place};
use super::{Closed, Content, Outlet, Requests, limits, unix_now};
use crate::config::Source;
use crate::net::Url;

/// Delivers what a URL has as often as it changes, after what was kept of an earlier run.
pub(super) async fn deliver(
    source: &Source,
    url: &Url,
    kept: &Conditions,
    outlet: &Outlet,
    requests: Requests,
) -> Result<(), Closed> {
    let mut visitor = Visitor::new(source, url);
    visitor.fetcher.go_on(kept);
    pace::ask(&mut visitor, source.refresh, outlet, requests).await
}

/// Asks for a document, and remembers how old it was.
struct Visitor<'s> {
    source: &'s Source,
    fetcher: Fetcher,
    /// What was delivered last.
    delivered: Option<Claim>,
    /// What the server has, if it was refused for its age.
    refused: Option<Claim>,
}

impl Reading for Visitor<'_> {
    fn read(&mut self) -> impl Future<Output = Result<Content, SourceError>> + Send {
        self.visit()
    }
}

impl<'s> Visitor<'s> {
    fn new(source: &'s Source, url: &Url) -> Self {
        Self {
            source,
            fetcher: Fetcher::new(Place::of(source, url)),
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
        Ok(answer.map(|answer| List {
            conditions: self.fetcher.conditions(),
            ..List::of_document(answer.content, answer.arrived)
        }))
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
