//! The feed for followers: its manifest, which can be waited for, and its files.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::future::pending;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::time::timeout;
use tracing::warn;

use super::backend::Announcement;
use super::counts::Counts;
use super::fault::{Fault, at};
use super::files::{self, Content, Recognition, Representation, date};
use super::routes::Shared;
use super::server::told;
use crate::feed::{FileName, WAITED};
use crate::payload::UnixTime;

/// The two forms of a manifest. A feed has one of them, never both.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// `manifest.jws`.
    Signed,
    /// `manifest.json`.
    Plain,
}

impl Form {
    const fn of(announcement: &Announcement) -> Self {
        match announcement.signed {
            true => Self::Signed,
            false => Self::Plain,
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            // RFC 7515 §9.2.1.
            Self::Signed => "application/jose",
            Self::Plain => "application/json",
        }
    }
}

/// Answers with the manifest. With the tag of one that the client knows it waits for another one
/// first, so that followers hear of it at once.
pub(super) async fn manifest(
    shared: &Shared,
    form: Form,
    known: Option<&str>,
    request: &Parts,
) -> Response {
    Counts::add(&shared.counts.manifests);
    let waited = match (known, current(shared, form)) {
        (Some(known), Ok(_)) => {
            wait(shared, known).await;
            current(shared, form)
        }
        (_, current) => current,
    };
    let mut response = match waited {
        Ok(announcement) => {
            let same = known == Some(&*announcement.tag);
            let representation = represent(&announcement, form);
            match same {
                true => files::unchanged(&representation),
                false => files::answer(shared, request, representation).await,
            }
        }
        Err(fault) => at(&request.uri, fault),
    };
    if known.is_some() {
        // What was waited for is news for one only, and no cache shall wait for others.
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let waited = HeaderName::from_static(WAITED);
        headers.insert(waited, HeaderValue::from_static("1"));
    }
    response
}

/// What followers are told now in this form.
fn current(shared: &Shared, form: Form) -> Result<Arc<Announcement>, Fault> {
    let announcement = shared.backend.feed.borrow().clone();
    let announcement = announcement.ok_or_else(absent)?;
    match (form, Form::of(&announcement)) {
        (Form::Signed, Form::Plain) => {
            let reason = "the feed is not signed: its manifest is /feed/manifest.json";
            return Err(Fault::new(StatusCode::NOT_FOUND, reason));
        }
        (Form::Plain, Form::Signed) => {
            let reason = "the feed is signed: its manifest is /feed/manifest.jws";
            return Err(Fault::new(StatusCode::NOT_FOUND, reason));
        }
        _ => {}
    }
    if announcement.valid_until <= date::now() {
        let reason = format!("the manifest expired at {}", announcement.valid_until);
        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, reason));
    }
    Ok(announcement)
}

fn absent() -> Fault {
    let reason = "no feed: there is no data yet, or no state directory to serve it from";
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, reason)
}

/// Waits while the manifest is the known one: until another one comes, the time is over, or the
/// server stops.
async fn wait(shared: &Shared, known: &str) {
    let _waiting = shared.counts.waiting();
    let mut feed = shared.backend.feed.clone();
    let mut stop = shared.stop.clone();
    let other = |now: &Option<Arc<Announcement>>| now.as_ref().is_none_or(|now| *now.tag != *known);
    let news = async {
        if feed.wait_for(other).await.is_err() {
            // Nobody is left to bring any. An answer at once would be asked for again at once.
            pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        _ = timeout(shared.limits.wait, news) => {}
        () = told(&mut stop) => {}
    }
}

fn represent(announcement: &Announcement, form: Form) -> Representation<'_> {
    let caching = caching(date::now(), announcement.valid_until);
    Representation {
        recognition: Cow::Owned(Recognition::new(&*announcement.tag, guidance(&caching))),
        modified: Some(announcement.issued),
        media_type: form.media_type(),
        coding: None,
        content: Content::Octets(&announcement.text),
    }
}

/// What caches are told of a manifest that counts until then. None may give it out later, so that
/// all times together end there (RFC 5861).
fn caching(now: UnixTime, until: UnixTime) -> String {
    let rest = until.since(now);
    if rest <= FRESH {
        return format!("public, max-age={rest}, must-revalidate");
    }
    let stale = (rest - FRESH).min(MAX_STALE);
    let renewing = stale.min(FRESH);
    format!("public, max-age={FRESH}, stale-while-revalidate={renewing}, stale-if-error={stale}")
}

/// For how many seconds a cache need not ask again: what a follower behind it is late at most,
/// and once more while the cache asks.
const FRESH: u64 = 5;

/// For how many seconds a cache may go on when the leader is away, if the manifest lasts.
const MAX_STALE: u64 = 86_400;

/// Files are named by what they are: a name never has other octets (RFC 8246).
const FOR_EVER: &str = "public, max-age=31536000, immutable";

fn guidance(caching: &str) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::from_str(caching).ok()?;
    Some((header::CACHE_CONTROL, value))
}

/// Answers with a file of the feed. Only what is the name of one reaches the file system.
pub(super) async fn file(shared: &Shared, name: &str, request: &Parts) -> Response {
    Counts::add(&shared.counts.files);
    let found = match FileName::parse(name) {
        Some(name) => find(shared, name).await,
        None => Err(Fault::new(
            StatusCode::NOT_FOUND,
            "not the name of a file of a feed",
        )),
    };
    match found {
        Ok((name, file, length)) => {
            let representation = Representation {
                // The name says it all, and is the same wherever the file is.
                recognition: Cow::Owned(Recognition::new(name, guidance(FOR_EVER))),
                modified: None,
                media_type: "application/octet-stream",
                coding: None,
                content: Content::File {
                    file: &file,
                    length,
                },
            };
            files::answer(shared, request, representation).await
        }
        Err(fault) => at(&request.uri, fault),
    }
}

/// The file with its name and its octets.
async fn find(shared: &Shared, name: FileName) -> Result<(String, Arc<File>, u64), Fault> {
    let announcement = shared.backend.feed.borrow().clone();
    let folder = Arc::clone(&announcement.ok_or_else(absent)?.folder);
    let name = name.to_string();
    let path = folder.join(&name);
    let reads = shared.files.reads();
    let opened = async {
        let place = reads.acquire_owned().await.map_err(io::Error::other)?;
        let opened = tokio::task::spawn_blocking(move || {
            let opened = open(&path);
            drop(place);
            opened
        });
        opened.await.map_err(io::Error::other)?
    };
    let opened = timeout(shared.limits.request, opened).await;
    let opened = opened.map_err(|_| Fault::late())?;
    let file = opened.map_err(|error| {
        if shared.may_complain() {
            warn!(file = name, %error, "cannot read a file of the feed");
        }
        Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the file cannot be read now",
        )
    })?;
    let (file, length) = file.ok_or_else(|| {
        let reason = "no such file: the manifest names those that there are";
        Fault::new(StatusCode::NOT_FOUND, reason)
    })?;
    Ok((name, Arc::new(file), length))
}

/// Opens a plain file and gives its octets; `None` when there is none. A link is none, and what
/// would make an open wait is not waited for.
fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Ok(None),
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    Ok(about.is_file().then_some((file, about.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cache_is_told_to_go_beyond_the_end() {
        let now = UnixTime::new(1_000);
        for (rest, expected) in [
            (0, "public, max-age=0, must-revalidate"),
            (5, "public, max-age=5, must-revalidate"),
            (
                6,
                "public, max-age=5, stale-while-revalidate=1, stale-if-error=1",
            ),
            (
                7_200,
                "public, max-age=5, stale-while-revalidate=5, stale-if-error=7195",
            ),
            (
                1_000_000,
                "public, max-age=5, stale-while-revalidate=5, stale-if-error=86400",
            ),
        ] {
            assert_eq!(caching(now, now.plus(rest)), expected);
        }
        let past = UnixTime::new(1);
        assert_eq!(caching(now, past), "public, max-age=0, must-revalidate");
    }
}
