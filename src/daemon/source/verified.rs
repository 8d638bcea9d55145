//! Documents that must be signed.
//!
//! A statement beside the document (`.jws`) is small, so it is asked for first: what it says is
//! where the document stands, and only another one is read. GoRTR's signature is in the document.
//! Nothing of a document is delivered before its signature is good; and nobody goes back: where
//! the source stands is remembered, over restarts, too.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::error::{SignatureError, SourceError};
use super::intake::{self, Lease};
use super::judge::Claim;
use super::list::List;
use super::pace::Pace;
use super::watcher::Watcher;
use super::web::{Fetcher, Place};
use super::{Closed, Content, Occasion, Outlet, Past, Requests, limits, unix, unix_now};
use crate::config::{Scheme, Source, Verify};
use crate::json::Document;
use crate::net::{Endpoint, files};
use crate::payload::{DataSet, UnixTime};
use crate::sign::gortr::{GortrDigest, GortrSignature};
use crate::sign::statement::StatementError;
use crate::sign::{Digest, Digester, Statement, VerifyKey, hex};

/// The longest file with a public key.
const MAX_KEY: u64 = 64 * 1024;

/// The longest statement.
const MAX_STATEMENT: u64 = 16 * 1024;

/// How often a document and its statement are read again when they do not fit: one of them may
/// have been replaced in between.
const TRIES: u32 = 10;

/// The wait before that.
const AGAIN: Duration = Duration::from_millis(500);

/// Delivers what is there as often as it changes, if it is signed.
pub(super) async fn deliver(
    source: &Source,
    endpoint: &Endpoint,
    past: &Past,
    outlet: &Outlet,
    mut requests: Requests,
) -> Result<(), Closed> {
    let Some(verify) = &source.verify else {
        return Ok(());
    };
    let mut watcher = match endpoint {
        Endpoint::File(path) => Some(Watcher::new(path)),
        _ => None,
    };
    let mut pace = Pace::new(source.refresh);
    let mut reader = Reader::new(source, verify, endpoint, past);
    let mut occasion = Occasion::Schedule;
    loop {
        if let Some(watcher) = &mut watcher {
            // Where the system tells of no changes, the time between two looks is what there is.
            let _ = watcher.renew();
        }
        let started = Instant::now();
        let result = reader.read().await;
        let wait = match (&result, watcher.is_some()) {
            (Ok(_), _) => pace.succeeded(),
            (Err(_), true) => source.refresh,
            (Err(_), false) => pace.failed(),
        };
        let quiet = matches!(
            (&result, occasion),
            (Ok(Content::Unchanged { .. }), Occasion::Event)
        );
        if !quiet {
            outlet.send(occasion, result, started.elapsed()).await?;
        }
        let changed = async {
            match &mut watcher {
                Some(watcher) => watcher.changed().await,
                None => std::future::pending().await,
            }
        };
        occasion = tokio::select! {
            () = sleep(wait) => Occasion::Schedule,
            () = changed => Occasion::Event,
            asked = requests.next() => asked,
        };
    }
}

/// Where a source stands that is to be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Mark {
    history: [u8; 16],
    serial: u32,
    revision: u64,
    issued: UnixTime,
}

impl Mark {
    /// What speaks against going on to `next`.
    fn against(&self, next: &Self) -> Option<SignatureError> {
        let back = |what: String| Some(SignatureError::Back(what.into()));
        if next.issued < self.issued {
            return back(format!(
                "it was signed at {}, before the one of {}",
                next.issued, self.issued
            ));
        }
        if next.history != self.history || self.history == [0; 16] {
            return None;
        }
        // RFC 1982: what is not ahead is behind.
        let steps = next.serial.wrapping_sub(self.serial);
        if steps > u32::MAX / 2 {
            return back(format!(
                "it goes back from serial {} to {}",
                self.serial, next.serial
            ));
        }
        if steps == 0 && next.revision < self.revision {
            return back(format!(
                "it goes back from revision {} to {}",
                self.revision, next.revision
            ));
        }
        None
    }
}

/// Reads a source again and again.
struct Reader<'s> {
    source: &'s Source,
    verify: &'s Verify,
    place: Where,
    /// For errors.
    at: Box<str>,
    folder: Option<PathBuf>,
    mark: Option<Mark>,
    /// What was delivered last: its octets, and the claim of its list.
    delivered: Option<(Digest, List)>,
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

impl<'s> Reader<'s> {
    fn new(source: &'s Source, verify: &'s Verify, endpoint: &Endpoint, past: &Past) -> Self {
        let place = match endpoint {
            Endpoint::File(path) => Where::File(path.clone()),
            Endpoint::Web(url) => {
                let place = Place {
                    url: url.clone(),
                    web: source.web.clone(),
                    tls: source.tls.clone(),
                    timeout: source.timeout,
                    connect_timeout: source.connect_timeout,
                    max_octets: source.max_octets,
                    accept: "application/json, */*;q=0.1",
                    encodings: "gzip, zstd",
                };
                match url.beside(".jws") {
                    Ok(beside) => Where::Web {
                        statement: Box::new(Fetcher::new(Place {
                            url: beside,
                            max_octets: MAX_STATEMENT,
                            accept: "application/jose, */*;q=0.1",
                            encodings: "identity",
                            ..place.clone()
                        })),
                        document: Box::new(Fetcher::new(place)),
                    },
                    Err(_) => Where::Nowhere,
                }
            }
            _ => Where::Nowhere,
        };
        let folder = past.folder.clone();
        Self {
            mark: folder.as_deref().and_then(|folder| kept(folder, source)),
            source,
            verify,
            place,
            at: endpoint.to_string().into(),
            folder,
            delivered: None,
        }
    }

    fn wrong(&self, error: SignatureError) -> SourceError {
        let at = self.at.clone();
        SourceError::Signature { at, error }
    }

    async fn read(&mut self) -> Result<Content, SourceError> {
        let paths = self.verify.keys.clone();
        let keys = spawn_blocking(move || keys(&paths)).await;
        let keys = keys.map_err(|_| SourceError::Reader)??;
        let before = self.delivered.as_ref().map(|(digest, _)| *digest);
        let (content, mark) = match self.verify.scheme {
            Scheme::Jws => self.by_statement(&keys).await?,
            Scheme::Gortr => self.by_fields(&keys).await?,
        };
        let news = self.mark != Some(mark);
        let same = before.is_some() && before == self.delivered.as_ref().map(|(digest, _)| *digest);
        if news {
            self.mark = Some(mark);
            self.keep(mark).await;
        }
        Ok(match same && !news {
            true => Content::Unchanged { arrived: None },
            false => Content::List(Box::new(content)),
        })
    }

    /// The document, if a statement says that it is the one.
    async fn by_statement(&mut self, keys: &[VerifyKey]) -> Result<(List, Mark), SourceError> {
        let mut tries = 0;
        loop {
            let text = self.statement().await?;
            let statement = Statement::verify(&text, keys, unix_now());
            let statement =
                statement.map_err(|error| self.wrong(SignatureError::Statement(error)))?;
            let mark = Mark {
                history: statement.history,
                serial: statement.serial,
                revision: statement.revision,
                issued: statement.issued,
            };
            if let Some(error) = self.mark.and_then(|before| before.against(&mark)) {
                return Err(self.wrong(error));
            }
            if let Some((digest, list)) = &mut self.delivered
                && *digest == statement.digest
            {
                // It counts for longer.
                list.stated = Some(statement.issued);
                list.valid = Some(statement.expires);
                return Ok((list.clone(), mark));
            }
            let (document, digest, arrived) = self.document().await?;
            if digest != statement.digest {
                tries += 1;
                if tries < TRIES {
                    sleep(AGAIN).await;
                    continue;
                }
                let error = SignatureError::Statement(StatementError::Digest);
                return Err(self.wrong(error));
            }
            let mut list = List::of_document(document, arrived);
            // The signer's word counts before the document's.
            list.stated = Some(statement.issued);
            let ends = [list.valid, Some(statement.expires)];
            list.valid = ends.into_iter().flatten().min();
            return self.judged(list, digest, mark);
        }
    }

    /// The document, if GoRTR's fields in it are good.
    async fn by_fields(&mut self, keys: &[VerifyKey]) -> Result<(List, Mark), SourceError> {
        let (document, digest, arrived) = self.document().await?;
        let Some([signature, signature_date]) = document.gortr.clone() else {
            return Err(self.wrong(SignatureError::Unsigned));
        };
        let metadata = document.metadata;
        let dates = metadata.generated.zip(metadata.valid);
        let (generated, valid) = dates.ok_or_else(|| self.wrong(SignatureError::Unsigned))?;
        let rows = document.rows.clone();
        let fields = GortrSignature {
            signature: signature.into(),
            signature_date: signature_date.into(),
        };
        let keys = keys.to_vec();
        let checked = spawn_blocking(move || {
            let data = DataSet::new(&rows);
            GortrDigest::of(data.payload(), generated, valid).verify(&fields, &keys)
        });
        let checked = checked.await.map_err(|_| SourceError::Reader)?;
        checked.map_err(|error| self.wrong(SignatureError::Gortr(error)))?;
        if valid <= unix_now() {
            return Err(self.wrong(SignatureError::Over(valid)));
        }
        let mark = Mark {
            history: [0; 16],
            serial: metadata.serial.unwrap_or_default(),
            revision: 0,
            issued: generated,
        };
        if let Some(error) = self.mark.and_then(|before| before.against(&mark)) {
            return Err(self.wrong(error));
        }
        let list = List::of_document(document, arrived);
        self.judged(list, digest, mark)
    }

    fn judged(
        &mut self,
        list: List,
        digest: Digest,
        mark: Mark,
    ) -> Result<(List, Mark), SourceError> {
        let last = self.delivered.as_ref().map(|(_, list)| Claim::from(list));
        Claim::from(&list).judge(last.as_ref(), self.source.max_age, unix_now())?;
        self.delivered = Some((digest, list.clone()));
        Ok((list, mark))
    }

    async fn statement(&mut self) -> Result<Vec<u8>, SourceError> {
        let missing = self.wrong(SignatureError::Missing);
        match &mut self.place {
            Where::Nowhere => Err(missing),
            Where::Web { statement, .. } => {
                statement.forget();
                let read = |bridge| whole(bridge, MAX_STATEMENT);
                match statement.fetch(read).await {
                    Ok(Some(answer)) => Ok(answer.content),
                    Ok(None) => Err(missing),
                    Err(SourceError::Status { status: 404, .. }) => Err(missing),
                    Err(error) => Err(error),
                }
            }
            Where::File(path) => {
                let mut name = path.clone().into_os_string();
                name.push(".jws");
                let path = PathBuf::from(name);
                let read = spawn_blocking(move || -> io::Result<Vec<u8>> {
                    let file = File::open(&path)?;
                    whole(file, MAX_STATEMENT).map_err(|_| io::ErrorKind::InvalidData.into())
                });
                match read.await.map_err(|_| SourceError::Reader)? {
                    Ok(text) => Ok(text),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing),
                    Err(error) => {
                        let path = self.at.as_ref().into();
                        Err(SourceError::File { path, error })
                    }
                }
            }
        }
    }

    /// The document with the digest of its octets, as they are without compression.
    async fn document(&mut self) -> Result<(Document, Digest, UnixTime), SourceError> {
        let limits = limits(self.source);
        let lease = Lease::default();
        let holder = lease.holder();
        match &mut self.place {
            Where::Nowhere => Err(SourceError::Reader),
            Where::Web { document, .. } => {
                document.forget();
                let read = move |bridge| {
                    let mut digester = Digester::default();
                    let show = |octets: &[u8]| digester.update(octets);
                    let document = intake::read_and_show(bridge, &limits, &holder, show)?;
                    Ok((document, digester.finish()))
                };
                let answer = document.fetch(read).await?.ok_or(SourceError::Reader)?;
                let (document, digest) = answer.content;
                Ok((document, digest, answer.arrived))
            }
            Where::File(path) => {
                let path = path.clone();
                let read = spawn_blocking(move || {
                    let missing = |error| SourceError::File {
                        path: path.clone(),
                        error,
                    };
                    if !fs::metadata(&path).map_err(missing)?.is_file() {
                        return Err(SourceError::NotAFile { path });
                    }
                    let file = File::open(&path).map_err(missing)?;
                    let modified = file.metadata().and_then(|metadata| metadata.modified());
                    let modified = modified.map(unix).unwrap_or_else(|_| unix_now());
                    let mut digester = Digester::default();
                    let show = |octets: &[u8]| digester.update(octets);
                    let document = intake::read_and_show(&file, &limits, &holder, show)
                        .map_err(|failure| SourceError::of_file(failure, &path))?;
                    Ok((document, digester.finish(), modified.min(unix_now())))
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
        let form = Form {
            at: self.at.to_string(),
            history: hex::encode(&mark.history),
            serial: mark.serial,
            revision: mark.revision,
            issued: mark.issued.seconds(),
        };
        let written = spawn_blocking(move || put(&folder, &form)).await;
        if let Ok(Err(error)) = written {
            let source = &self.source.name;
            warn!(%source, %error, "where the source stands is not kept");
        }
    }
}

/// A mark as a file.
#[derive(Deserialize, Serialize)]
struct Form {
    at: String,
    history: String,
    serial: u32,
    revision: u64,
    issued: u64,
}

const NAME: &str = "verified.json";

fn put(folder: &Path, form: &Form) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let beside = folder.join(".verified.new");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(form)?)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(NAME))
}

/// Where the source stood before the start, if it is still at the same place.
fn kept(folder: &Path, source: &Source) -> Option<Mark> {
    let text = fs::read(folder.join(NAME)).ok()?;
    let Ok(form) = serde_json::from_slice::<Form>(&text) else {
        warn!(source = %source.name, "the mark of a source is damaged; it may go back once");
        return None;
    };
    if form.at != source.origin.to_string() {
        return None;
    }
    Some(Mark {
        history: hex::decode(&form.history)?.try_into().ok()?,
        serial: form.serial,
        revision: form.revision,
        issued: UnixTime::new(form.issued),
    })
}

/// Reads the keys. Blocks.
fn keys(paths: &[PathBuf]) -> Result<Vec<VerifyKey>, SourceError> {
    let key = |path: &PathBuf| {
        let refused = |error: String| SourceError::Secret {
            what: "public key".into(),
            path: path.clone(),
            error: error.into(),
        };
        let text = files::read(path, MAX_KEY).map_err(|error| refused(error.to_string()))?;
        VerifyKey::from_pem(&text).map_err(|error| refused(error.to_string()))
    };
    paths.iter().map(key).collect()
}

fn whole(input: impl io::Read, limit: u64) -> Result<Vec<u8>, intake::Failure> {
    let mut octets = Vec::new();
    let mut bounded = input.take(limit.saturating_add(1));
    let read = io::Read::read_to_end(&mut bounded, &mut octets);
    let read = read.map_err(intake::Failure::Input)?;
    match u64::try_from(read).is_ok_and(|read| read <= limit) {
        true => Ok(octets),
        false => Err(intake::Failure::TooLarge { limit }),
    }
}
