//! Documents that must be signed.
//!
//! A statement beside the document (`.jws`) is small, so it is asked for first: what it says is
//! where the document stands, and only another one is read. It is on the octets of the document
//! without compression, be that of the file or of the transfer. GoRTR's signature is in the
//! document and is over the VRPs and two dates; what it does not cover is not taken. Nothing of a
//! document is delivered before its signature is good; and nobody goes back: where the source
//! stands is remembered, over restarts, too.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::error::{SignatureError, SourceError};
use super::file;
use super::intake::{self, Lease};
use super::judge::Claim;
use super::list::List;
use super::mark;
use super::pace::{self, Reading};
use super::watcher::Watcher;
use super::web::{Fetcher, Place};
use super::{Closed, Content, Occasion, Outlet, Past, Requests, limits, unix, unix_now};
use crate::config::{Scheme, Source, Verify};
use crate::feed::advance::{Mark, RollbackError};
use crate::json::{Document, Keep};
use crate::net::{Endpoint, files};
use crate::payload::UnixTime;
use crate::rtr::{HistoryName, Serial};
use crate::sign::gortr::{GortrDigest, GortrError, GortrSignature};
use crate::sign::statement::StatementError;
use crate::sign::{Digest, Digester, Statement, VerifyKey};

/// The longest statement.
const MAX_STATEMENT: u64 = 16 * 1024;

/// How often a document is read when it is not the one of its statement: one of them may have
/// been replaced in between.
const READINGS: u32 = 3;

/// How often the statement is asked for meanwhile.
const STATEMENTS: u32 = 6;

/// The wait before that.
const AGAIN: Duration = Duration::from_millis(500);

/// Of a document that says of none.
const NO_HISTORY: HistoryName = HistoryName::new([0; 16]);

/// Delivers what is there as often as it changes, if it is signed.
pub(super) async fn deliver(
    source: &Source,
    endpoint: &Endpoint,
    past: &Past,
    outlet: &Outlet,
    requests: Requests,
) -> Result<(), Closed> {
    let Some(verify) = &source.verify else {
        return Ok(());
    };
    let mut reader = Reader::new(source, verify, endpoint, past).await;
    match endpoint {
        Endpoint::File(path) => {
            let watcher = Watcher::new(path);
            watch(reader, watcher, outlet, requests).await
        }
        _ => pace::ask(&mut reader, source.refresh, outlet, requests).await,
    }
}

/// Reads a file when it, or the statement beside it, changes.
async fn watch(
    mut reader: Reader<'_>,
    mut watcher: Watcher,
    outlet: &Outlet,
    mut requests: Requests,
) -> Result<(), Closed> {
    let mut occasion = Occasion::Schedule;
    let mut watched = file::Watched::Yet;
    let mut failing = false;
    loop {
        // Before the look, so that no change falls between the two.
        (watcher, watched) = match &reader.place {
            Where::File(path) => file::renew(watcher, watched, reader.source, path).await,
            _ => (watcher, watched),
        };
        let started = Instant::now();
        let result = reader.read_once().await;
        // Something happens in a folder all the time.
        let is_news = failing || !matches!(result, Ok(Content::Unchanged { .. }));
        failing = result.is_err();
        if is_news || occasion != Occasion::Event {
            outlet.send(occasion, result, started.elapsed()).await?;
        }
        occasion = tokio::select! {
            next = file::wait(&mut watcher, reader.source.refresh, None) => next,
            asked = requests.next() => asked,
        };
    }
}

/// Reads a source again and again.
struct Reader<'s> {
    source: &'s Source,
    verify: &'s Verify,
    place: Where,
    /// For errors, and to know the mark by.
    at: Box<str>,
    folder: Option<PathBuf>,
    mark: Option<Mark>,
    delivered: Option<Delivered>,
    /// The keys with which the document that was read last was good, `None` when it was not.
    good_by: Option<Vec<VerifyKey>>,
}

/// What was delivered last.
struct Delivered {
    digest: Digest,
    /// Cheap to clone: the rows are shared.
    list: List,
    /// Until when the document says that it counts.
    valid: Option<UnixTime>,
}

/// Where the document and its statement are.
enum Where {
    Web {
        document: Box<Fetcher>,
        statement: Box<Fetcher>,
    },
    File(PathBuf),
    /// The statement has no URL.
    Nowhere,
}

/// A document that was read, and is not believed yet.
struct Read {
    document: Document,
    digest: Digest,
    arrived: UnixTime,
}

/// A document that is believed.
struct Believed {
    list: List,
    digest: Digest,
    valid: Option<UnixTime>,
    mark: Mark,
}

impl Reading for Reader<'_> {
    fn read(&mut self) -> impl Future<Output = Result<Content, SourceError>> + Send {
        self.read_once()
    }
}

impl<'s> Reader<'s> {
    async fn new(source: &'s Source, verify: &'s Verify, endpoint: &Endpoint, past: &Past) -> Self {
        let at: Box<str> = endpoint.to_string().into();
        Self {
            place: Where::new(source, endpoint),
            mark: last_mark(source, past, &at).await,
            source,
            verify,
            at,
            folder: past.folder.clone(),
            delivered: None,
            good_by: None,
        }
    }

    async fn read_once(&mut self) -> Result<Content, SourceError> {
        let verify = self.verify.clone();
        let keys = spawn_blocking(move || verify.load()).await;
        let keys = keys.map_err(|_| SourceError::Reader)?;
        let keys = keys.map_err(SourceError::of_key)?;
        let believed = match self.verify.scheme {
            Scheme::Jws => self.by_statement(&keys).await?,
            Scheme::Gortr => match self.by_fields(keys).await? {
                Some(believed) => believed,
                None => return Ok(Content::Unchanged { arrived: None }),
            },
        };
        self.deliver(believed).await
    }

    /// What becomes of a document that is believed, if its age is right, too.
    async fn deliver(&mut self, believed: Believed) -> Result<Content, SourceError> {
        let Believed {
            list,
            digest,
            valid,
            mark,
        } = believed;
        let last = self.delivered.as_ref();
        let claim = last.map(|delivered| Claim::from(&delivered.list));
        Claim::from(&list).judge(claim.as_ref(), self.source.max_age, unix_now())?;
        let same = last.is_some_and(|delivered| delivered.digest == digest);
        let unchanged = same && self.mark == Some(mark);
        if self.mark != Some(mark) {
            self.mark = Some(mark);
            self.keep(mark).await;
        }
        if unchanged {
            return Ok(Content::Unchanged { arrived: None });
        }
        self.delivered = Some(Delivered {
            digest,
            list: list.clone(),
            valid,
        });
        Ok(Content::List(Box::new(list)))
    }

    /// The document, if a statement says that it is the one.
    async fn by_statement(&mut self, keys: &[VerifyKey]) -> Result<Believed, SourceError> {
        let mut read: Option<Read> = None;
        let mut readings = 0;
        for attempt in 0..STATEMENTS {
            if attempt > 0 {
                sleep(AGAIN).await;
            }
            let text = self.statement().await?;
            let statement = Statement::verify(&text, keys, unix_now());
            let statement =
                statement.map_err(|error| self.wrong(SignatureError::Statement(error)))?;
            let mark = Mark {
                history: HistoryName::new(statement.history),
                serial: Serial::new(statement.serial),
                revision: statement.revision,
                issued: statement.issued,
            };
            self.check(&mark)?;
            if let Some(delivered) = &self.delivered
                && delivered.digest == statement.digest
            {
                // It is the same, and counts for longer.
                let (list, valid) = (delivered.list.clone(), delivered.valid);
                return Ok(Believed::by(&statement, list, valid, mark));
            }
            let is_on = |read: &Read| statement.is_on(&read.digest).is_ok();
            if !read.as_ref().is_some_and(is_on) && readings < READINGS {
                // Never two at a time.
                drop(read.take());
                readings += 1;
                read = self.document(Keep::Rows).await?;
            }
            if let Some(read) = read.take_if(|read| is_on(read)) {
                let list = List::of_document(read.document, read.arrived);
                let valid = list.valid;
                return Ok(Believed::by(&statement, list, valid, mark));
            }
        }
        Err(self.wrong(SignatureError::Statement(StatementError::Digest)))
    }

    /// The document, if GoRTR's fields in it are good; `None` when it is still the same.
    async fn by_fields(&mut self, keys: Vec<VerifyKey>) -> Result<Option<Believed>, SourceError> {
        let good_by = self.good_by.take();
        if good_by.as_ref() != Some(&keys) {
            self.place.forget();
        }
        let Some(read) = self.document(Keep::Texts).await? else {
            let valid = self
                .delivered
                .as_ref()
                .and_then(|delivered| delivered.valid);
            self.in_time(valid)?;
            self.good_by = good_by;
            return Ok(None);
        };
        let Read {
            mut document,
            digest,
            arrived,
        } = read;
        let fields = document.gortr.take();
        let [signature, signature_date] =
            fields.ok_or_else(|| self.wrong(SignatureError::Unsigned))?;
        let dates = document.metadata.generated.zip(document.metadata.valid);
        let (generated, valid) = dates.ok_or_else(|| self.wrong(SignatureError::Undated))?;
        let fields = GortrSignature {
            signature: signature.into(),
            signature_date: signature_date.into(),
        };
        let texts = document.texts.take();
        let theirs = keys.clone();
        let checked = spawn_blocking(move || {
            let mut texts = texts.ok_or(GortrError::Data)?;
            let rows = texts.sorted().ok_or(GortrError::Data)?;
            GortrDigest::of_sorted(rows, generated, valid).verify(&fields, &theirs)
        });
        let checked = checked.await.map_err(|_| SourceError::Reader)?;
        checked.map_err(|error| self.wrong(SignatureError::Gortr(error)))?;
        self.in_time(Some(valid))?;
        let mark = Mark {
            history: NO_HISTORY,
            serial: Serial::new(0),
            revision: 0,
            issued: generated,
        };
        self.check(&mark)?;
        self.good_by = Some(keys);
        // Neither expiry nor trust anchor of a row, no other rows, no serial: nobody signed them.
        let list = List {
            rows: document.rows.bare_vrps(),
            stated: Some(generated),
            serial: None,
            ..List::of_document(document, arrived)
        };
        Ok(Some(Believed {
            valid: list.valid,
            list,
            digest,
            mark,
        }))
    }

    fn in_time(&self, valid: Option<UnixTime>) -> Result<(), SourceError> {
        match valid {
            Some(valid) if valid <= unix_now() => Err(self.wrong(SignatureError::Over(valid))),
            _ => Ok(()),
        }
    }

    /// Nobody goes back in a history, and no document counts that was signed before another one:
    /// here the clock is the signer's, and there is no leader that goes on whatever its clock does.
    fn check(&self, next: &Mark) -> Result<(), SourceError> {
        let Some(before) = self.mark else {
            return Ok(());
        };
        let back = match next.issued < before.issued {
            true => Err(RollbackError::Issued {
                reached: before.issued,
                found: next.issued,
            }),
            // What has no history has none to go back in.
            false if next.history == NO_HISTORY => Ok(()),
            false => before.advance(next).map(|_| ()),
        };
        back.map_err(|error| self.wrong(SignatureError::Back(error)))
    }

    fn wrong(&self, error: SignatureError) -> SourceError {
        let at = self.at.clone();
        SourceError::Signature { at, error }
    }

    async fn statement(&mut self) -> Result<Vec<u8>, SourceError> {
        let missing = self.wrong(SignatureError::Missing);
        match &mut self.place {
            Where::Nowhere => Err(missing),
            Where::Web { statement, .. } => {
                statement.forget();
                let read = |bridge| intake::whole(bridge, MAX_STATEMENT);
                match statement.fetch(read).await {
                    Ok(Some(answer)) => Ok(answer.content),
                    Ok(None) => Err(missing),
                    Err(SourceError::Status {
                        status: 404 | 410, ..
                    }) => Err(missing),
                    Err(error) => Err(error),
                }
            }
            Where::File(path) => {
                let document = path.clone();
                let path = files::beside(path, Statement::ENDING);
                let read = spawn_blocking(move || {
                    // A document that is not there is worth to be said first.
                    open(&document)?;
                    match open(&path) {
                        Ok(file) => intake::whole(file, MAX_STATEMENT)
                            .map_err(|failure| SourceError::of_file(failure, &path)),
                        Err(SourceError::File { error, .. })
                            if error.kind() == io::ErrorKind::NotFound =>
                        {
                            Err(missing)
                        }
                        Err(error) => Err(error),
                    }
                });
                read.await.map_err(|_| SourceError::Reader)?
            }
        }
    }

    /// The document with the digest of its octets, as they are without compression; `None` when
    /// a server says that it is the one that was read last.
    async fn document(&mut self, keep: Keep) -> Result<Option<Read>, SourceError> {
        let limits = limits(self.source);
        let lease = Lease::default();
        let holder = lease.holder();
        match &mut self.place {
            Where::Nowhere => Err(SourceError::Reader),
            Where::Web { document, .. } => {
                if self.verify.scheme == Scheme::Jws {
                    document.forget();
                }
                let read = move |bridge| {
                    let mut digester = Digester::default();
                    let show = |octets: &[u8]| digester.update(octets);
                    let document = intake::read_and_show(bridge, &limits, &holder, keep, show)?;
                    Ok((document, digester.finish()))
                };
                let answer = document.fetch(read).await?;
                Ok(answer.map(|answer| {
                    let (document, digest) = answer.content;
                    Read {
                        document,
                        digest,
                        arrived: answer.arrived,
                    }
                }))
            }
            Where::File(path) => {
                let path = path.clone();
                let read = spawn_blocking(move || {
                    let file = open(&path)?;
                    let modified = file.metadata().and_then(|metadata| metadata.modified());
                    let arrived = modified.map_or_else(|_| unix_now(), unix).min(unix_now());
                    let mut digester = Digester::default();
                    let show = |octets: &[u8]| digester.update(octets);
                    let document = intake::read_and_show(&file, &limits, &holder, keep, show)
                        .map_err(|failure| SourceError::of_file(failure, &path))?;
                    Ok(Some(Read {
                        document,
                        digest: digester.finish(),
                        arrived,
                    }))
                });
                read.await.map_err(|_| SourceError::Reader)?
            }
        }
    }

    /// Remembers where the source stands.
    async fn keep(&self, mark: Mark) {
        let Some(folder) = self.folder.clone() else {
            return;
        };
        let at = self.at.clone();
        let written = spawn_blocking(move || mark::keep(&folder, &at, &mark)).await;
        if let Ok(Err(error)) = written {
            let source = &self.source.name;
            warn!(%source, %error, "where the source stands is not kept");
        }
    }
}

impl Believed {
    /// What a statement is on.
    fn by(statement: &Statement, list: List, valid: Option<UnixTime>, mark: Mark) -> Self {
        let ends = [valid, Some(statement.expires)];
        Self {
            list: List {
                // The signer's word counts before the document's.
                stated: Some(statement.issued),
                valid: ends.into_iter().flatten().min(),
                ..list
            },
            digest: statement.digest,
            valid,
            mark,
        }
    }
}

impl Where {
    fn new(source: &Source, endpoint: &Endpoint) -> Self {
        let url = match endpoint {
            Endpoint::File(path) => return Self::File(path.clone()),
            Endpoint::Web(url) => url,
            _ => return Self::Nowhere,
        };
        let Ok(beside) = url.beside(Statement::ENDING) else {
            return Self::Nowhere;
        };
        let document = Place::of(source, url);
        let statement = Place {
            url: beside,
            max_octets: MAX_STATEMENT,
            accept: "application/jose, */*;q=0.1",
            encodings: "identity",
            ..document.clone()
        };
        Self::Web {
            document: Box::new(Fetcher::new(document)),
            statement: Box::new(Fetcher::new(statement)),
        }
    }

    /// The next document is read even if it is the last one.
    fn forget(&mut self) {
        if let Self::Web { document, .. } = self {
            document.forget();
        }
    }
}

/// Where the source stood before the start.
async fn last_mark(source: &Source, past: &Past, at: &str) -> Option<Mark> {
    let folder = past.folder.clone()?;
    let at = at.to_owned();
    let kept = spawn_blocking(move || mark::kept(&folder, &at)).await;
    kept.ok()?.unwrap_or_else(|error| {
        let source = &source.name;
        warn!(%source, %error, "where the source stood is not known, it may go back once");
        None
    })
}

/// Opens a file that can be read to an end. Blocks, but not for a pipe.
fn open(path: &Path) -> Result<File, SourceError> {
    let wrong = |error| SourceError::File {
        path: path.into(),
        error,
    };
    if !fs::metadata(path).map_err(wrong)?.is_file() {
        return Err(SourceError::NotAFile { path: path.into() });
    }
    File::open(path).map_err(wrong)
}
