//! Where local exceptions come from: files, folders and URLs, read whole or not at all.
//!
//! [`load_all`] reads all of them once; [`run`] does it again whenever something changed and tells
//! the pipeline. What a set of files that is refused means is the pipeline's business: there the
//! last good ones stay.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::pipeline::guard::Digest;
use super::pipeline::order::Order;
use super::source::{SourceError, Watcher, WebText};
use crate::config::{Slurm, SlurmOrigin, Web};
use crate::net::Url;
use crate::slurm::{self, AspaOverlap, Exceptions, Reading};

/// The most octets of a file. The longest one known has some 600,000.
const MAX_OCTETS: u64 = 64 << 20;

/// The most files of a folder.
const MAX_FILES: usize = 1_000;

/// How long a URL may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Time between two looks at files whose changes the system does not tell of.
const LOOK: Duration = Duration::from_secs(30);

/// Time between two requests for a URL that could not be had.
const RETRY: Duration = Duration::from_secs(30);

/// Exceptions that were read from all their files.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The exceptions.
    pub exceptions: Exceptions,
    /// Names the contents of the files.
    pub digest: Digest,
    /// The files.
    pub files: Vec<FileNote>,
}

impl Default for Loaded {
    /// No exceptions, from no file.
    fn default() -> Self {
        Self {
            exceptions: Exceptions::default(),
            digest: Digest::of_octets([]),
            files: Vec::new(),
        }
    }
}

/// What is told of a file.
#[derive(Clone, Debug)]
pub struct FileNote {
    /// Its path or URL.
    pub name: Box<str>,
    /// How many filters it has.
    pub filters: usize,
    /// How many assertions it has.
    pub assertions: usize,
    /// The deviations that were read all the same.
    pub leniencies: Vec<String>,
}

/// A file's contents.
#[derive(Clone, Debug)]
struct Text {
    name: String,
    octets: Arc<Vec<u8>>,
}

/// Reads all exceptions, those of URLs included.
///
/// # Errors
///
/// With everything that is wrong with any of them, a line each.
pub async fn load_all(config: &Slurm) -> Result<Loaded, String> {
    let mut web = WebFiles::new(config);
    web.fetch(config).await;
    match (web.texts(), web.failure) {
        (Some(texts), _) => read_apart(config.clone(), texts).await,
        (None, failure) => Err(failure.unwrap_or_default()),
    }
}

/// Whether all exceptions can be had without a network.
pub fn is_local(config: &Slurm) -> bool {
    let local = |origin: &SlurmOrigin| matches!(origin, SlurmOrigin::Path(_));
    config.files.iter().all(local)
}

/// Where a task says what it read.
#[derive(Debug)]
pub struct Outlet {
    /// Names the task.
    pub reader: usize,
    /// Where orders go.
    pub orders: mpsc::Sender<Order>,
}

impl Outlet {
    /// Waits for room. An error means that nobody is left to hear it.
    async fn say(&self, read: Result<Box<Loaded>, String>) -> Result<(), SendError<Order>> {
        let reader = self.reader;
        self.orders.send(Order::Exceptions { reader, read }).await
    }
}

/// Reads the exceptions again whenever something changed, until told to stop.
///
/// `known` is what was read before, `None` when nothing was.
pub async fn run(
    config: Slurm,
    known: Option<Digest>,
    refresh: Arc<Notify>,
    outlet: Outlet,
    mut stop: watch::Receiver<bool>,
) {
    tokio::select! {
        biased;
        () = super::told(&mut stop) => {}
        // The pipeline is gone, so the server stops.
        Err(_) = follow(config, known, refresh, outlet) => {}
    }
}

async fn follow(
    config: Slurm,
    mut known: Option<Digest>,
    refresh: Arc<Notify>,
    outlet: Outlet,
) -> Result<(), SendError<Order>> {
    let changed = Arc::new(Notify::new());
    let mut watching = JoinSet::new();
    for origin in &config.files {
        if let SlurmOrigin::Path(path) = origin {
            watching.spawn(watch_path(path.clone(), Arc::clone(&changed)));
        }
    }
    let mut web = WebFiles::new(&config);
    let mut failing = false;
    loop {
        web.fetch(&config).await;
        let result = match web.texts() {
            None => Err(None),
            Some(texts) => {
                let read = read_apart(config.clone(), texts).await;
                read.map_err(Some)
            }
        };
        let failure = match result {
            Ok(loaded) => {
                // What a URL had last is good, and holds nothing else up while it is away.
                let news = known != Some(loaded.digest);
                known = Some(loaded.digest);
                if news || (failing && web.failure.is_none()) {
                    outlet.say(Ok(Box::new(loaded))).await?;
                }
                web.failure.clone()
            }
            Err(fault) => fault.or_else(|| web.failure.clone()),
        };
        failing = failure.is_some();
        if let Some(failure) = failure {
            outlet.say(Err(failure)).await?;
        }
        tokio::select! {
            () = changed.notified() => {}
            () = refresh.notified() => web.due = Instant::now(),
            () = sleep(LOOK) => {}
            () = sleep_until(web.due), if web.any() => {}
        }
    }
}

/// Tells of changes of a path: of the file, or of anything in the folder.
async fn watch_path(path: PathBuf, changed: Arc<Notify>) {
    let mut watcher = Watcher::new(&path);
    loop {
        let renewed = spawn_blocking(move || {
            // Where nothing can be watched, the looks of every half minute are all there is.
            let _ = watcher.renew();
            watcher
        });
        let Ok(back) = renewed.await else { return };
        watcher = back;
        tokio::select! {
            () = watcher.changed() => changed.notify_one(),
            () = sleep(LOOK) => {}
        }
    }
}

/// The URLs, and what they had last.
struct WebFiles {
    files: Vec<WebFile>,
    refresh: Duration,
    due: Instant,
    /// Why the last attempt failed, if it did.
    failure: Option<String>,
}

struct WebFile {
    url: Url,
    web: WebText,
    text: Option<Text>,
}

impl WebFiles {
    fn new(config: &Slurm) -> Self {
        let files = config.files.iter().filter_map(|origin| match origin {
            SlurmOrigin::Path(_) => None,
            SlurmOrigin::Web(url) => Some(WebFile {
                url: url.clone(),
                web: WebText::new(url.clone(), Web::default(), TIMEOUT, MAX_OCTETS),
                text: None,
            }),
        });
        Self {
            files: files.collect(),
            refresh: config.refresh,
            due: Instant::now(),
            failure: None,
        }
    }

    fn any(&self) -> bool {
        !self.files.is_empty()
    }

    /// What all of them had last; `None` while one has never been had.
    fn texts(&self) -> Option<Vec<Text>> {
        self.files.iter().map(|file| file.text.clone()).collect()
    }

    /// Asks for every URL when it is time.
    async fn fetch(&mut self, config: &Slurm) {
        if self.files.is_empty() || Instant::now() < self.due {
            return;
        }
        let mut failures = Vec::new();
        for file in &mut self.files {
            match file.web.fetch().await {
                Ok(None) => {}
                Ok(Some(octets)) => {
                    file.text = Some(Text {
                        name: file.url.to_string(),
                        octets: Arc::new(octets),
                    });
                }
                Err(error) => failures.push(told(&file.url, &error)),
            }
        }
        let wait = if failures.is_empty() {
            self.refresh
        } else {
            RETRY.min(config.refresh)
        };
        self.due = Instant::now() + wait;
        self.failure = (!failures.is_empty()).then(|| failures.join("\n"));
    }
}

fn told(url: &Url, error: &SourceError) -> String {
    format!("{url}: {}", super::with_causes(error))
}

/// Reads everything on a thread for such work.
async fn read_apart(config: Slurm, fetched: Vec<Text>) -> Result<Loaded, String> {
    let read = spawn_blocking(move || read(&config, &fetched));
    read.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Reads everything and combines it.
fn read(config: &Slurm, fetched: &[Text]) -> Result<Loaded, String> {
    let mut texts = Vec::new();
    let mut faults = String::new();
    for origin in &config.files {
        match origin {
            SlurmOrigin::Web(url) => {
                let name = url.to_string();
                texts.extend(fetched.iter().filter(|text| text.name == name).cloned());
            }
            SlurmOrigin::Path(path) => match files_of(path) {
                Ok(paths) => paths.iter().for_each(|path| match text_of(path) {
                    Ok(text) => texts.push(text),
                    Err(error) => note(&mut faults, &format!("{}: {error}", path.display())),
                }),
                Err(error) => note(&mut faults, &format!("{}: {error}", path.display())),
            },
        }
    }
    let reading = match config.lenient {
        true => Reading::Lenient,
        false => Reading::Strict,
    };
    let mut files = Vec::new();
    let mut notes = Vec::new();
    for text in &texts {
        match slurm::parse(&text.name, &text.octets, reading) {
            Ok(parsed) => {
                let records = parsed.file.records();
                let filters = records.iter().filter(|record| record.list().is_filter());
                let filters = filters.count();
                notes.push(FileNote {
                    name: text.name.as_str().into(),
                    filters,
                    assertions: records.len() - filters,
                    leniencies: parsed.leniencies.iter().map(ToString::to_string).collect(),
                });
                files.push(parsed.file);
            }
            Err(error) => note(&mut faults, &error.to_string()),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let overlap = match config.aspa_overlap {
        true => AspaOverlap::Allowed,
        false => AspaOverlap::Refused,
    };
    let exceptions = slurm::combine(files, overlap).map_err(|error| error.to_string())?;
    let parts = texts
        .iter()
        .flat_map(|text| [text.name.as_bytes(), &text.octets]);
    Ok(Loaded {
        exceptions,
        digest: Digest::of_octets(parts),
        files: notes,
    })
}

/// Tells of the files that were read, and of what was read leniently.
pub fn tell(loaded: &Loaded) {
    for file in &loaded.files {
        let (name, filters, assertions) = (&file.name, file.filters, file.assertions);
        info!(file = %name, filters, assertions, "local exceptions read");
        if let Some(first) = file.leniencies.first() {
            let count = file.leniencies.len();
            warn!(file = %name, count, %first, "deviations from RFC 8416 were read all the same");
        }
    }
}

fn note(faults: &mut String, fault: &str) {
    let line_end = if faults.is_empty() { "" } else { "\n" };
    // Writing to a string cannot fail.
    let _ = write!(faults, "{line_end}{fault}");
}

/// The files that a path means: itself, or those of a folder in the order of their names.
fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let named = path
            .extension()
            .is_some_and(|end| end == "json" || end == "slurm");
        if named && !hidden && fs::metadata(&path)?.is_file() {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(io::Error::other(format!("more than {MAX_FILES} files")));
        }
    }
    files.sort();
    Ok(files)
}

fn text_of(path: &Path) -> io::Result<Text> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut octets = Vec::new();
    let read = fs::File::open(path)?
        .take(MAX_OCTETS + 1)
        .read_to_end(&mut octets)?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_OCTETS) {
        return Err(io::Error::other(format!("more than {MAX_OCTETS} octets")));
    }
    Ok(Text {
        name: path.display().to_string(),
        octets: Arc::new(octets),
    })
}
