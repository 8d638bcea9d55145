//! The server over real sockets, in front of a daemon that is made up.

mod access;
mod commands;
mod documents;
mod feed;
mod limits;
mod octets;
mod paths;
mod sockets;

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::access::Asker;
use super::backend::{Announcement, Document, Editing, Edition, Form};
use super::metrics::Metric;
use super::routes::{Shared, router};
use super::server::serve;
use super::shape::{
    Check, GuardStatus, MergeStatus, Moment, Ready, SessionStatus, SlurmState, SlurmStatus, Status,
};
use super::{Access, Backend, Limits, Refusal, RefusalKind, Request, Server};
use crate::net::gate::{Bounds, Gate};
use crate::payload::UnixTime;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const SESSIONS: Metric = Metric::gauge("rutter_sessions", "Routers that are connected");

/// A server that runs, and what the daemon would hold.
struct Running {
    tcp: SocketAddr,
    control: PathBuf,
    requests: mpsc::Receiver<Request>,
    access: watch::Sender<Access>,
    gate: Arc<Gate>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    exports: Exports,
    folder: tempfile::TempDir,
}

impl Running {
    fn start(limits: Limits) -> Self {
        Self::with(limits, Ready::of(vec![Check::passed("data")]))
    }

    fn with(limits: Limits, ready: Ready) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = folder.path().join("run/control");
        let (access, watched) = watch::channel(Access::default());
        let gate = Gate::new(Bounds {
            total: 128,
            per_address: 128,
            per_network: 128,
        });
        let mut server = Server::new(watched, Arc::clone(&gate), limits);
        let tcp = server.bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        server.bind_control(&control).unwrap();
        let (commands, requests) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let exports = Exports::new(folder.path());
        let backend = backend(ready, commands, &exports);
        let task = tokio::spawn(server.run(Arc::new(backend), stopped));
        Self {
            tcp,
            control,
            requests,
            access,
            gate,
            stop,
            task,
            exports,
            folder,
        }
    }

    /// Writes a token and lets its holder change something.
    fn token(&self, token: &str) {
        let path = self.folder.path().join("token");
        std::fs::write(&path, token).unwrap();
        self.access.send_modify(|access| access.token = Some(path));
    }

    /// What comes back for these octets over TCP, until the server closes.
    async fn ask(&self, octets: impl AsRef<[u8]>) -> String {
        exchange(TcpStream::connect(self.tcp).await.unwrap(), octets).await
    }

    /// What comes back for these octets over the control socket.
    async fn control(&self, octets: impl AsRef<[u8]>) -> String {
        exchange(UnixStream::connect(&self.control).await.unwrap(), octets).await
    }

    /// Sends these octets over TCP.
    async fn send(&self, octets: impl AsRef<[u8]>) -> TcpStream {
        let mut socket = TcpStream::connect(self.tcp).await.unwrap();
        socket.write_all(octets.as_ref()).await.unwrap();
        socket
    }

    /// Sends these octets over the control socket.
    async fn send_control(&self, octets: impl AsRef<[u8]>) -> UnixStream {
        let mut socket = UnixStream::connect(&self.control).await.unwrap();
        socket.write_all(octets.as_ref()).await.unwrap();
        socket
    }

    /// The next command, as the daemon hears it.
    async fn hear(&mut self) -> Request {
        within(self.requests.recv()).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::read(&self.ask(request("GET", path, "", "")).await)
    }

    /// Stops, and waits for the end.
    async fn end(self) {
        self.stop.send(true).unwrap();
        within(self.task).await.unwrap();
    }
}

/// A server without sockets, whose time is virtual: its connections are pipes.
struct Memory {
    shared: Arc<Shared>,
    router: axum::Router,
    stop: watch::Sender<bool>,
    exports: Exports,
    folder: tempfile::TempDir,
}

impl Memory {
    fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let exports = Exports::new(folder.path());
        let ready = Ready::of(vec![Check::passed("data")]);
        let backend = backend(ready, mpsc::channel(1).0, &exports);
        let (stop, stopped) = watch::channel(false);
        let access = watch::channel(Access::default()).1;
        let shared = Arc::new(Shared::new(Arc::new(backend), access, limits, stopped));
        Self {
            router: router(Arc::clone(&shared)),
            shared,
            stop,
            exports,
            folder,
        }
    }

    /// A connection through a pipe that holds so many octets, and the task that serves it.
    fn connect(&self, octets: usize) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = tokio::io::duplex(octets);
        let asker = Asker::Control { uid: None };
        let served = serve(far, asker, Arc::clone(&self.shared), self.router.clone());
        (near, tokio::spawn(served))
    }

    /// Asks, and gives the pipe that the answer comes through.
    async fn send(&self, octets: impl AsRef<[u8]>) -> DuplexStream {
        let (mut pipe, _) = self.connect(64 << 10);
        pipe.write_all(octets.as_ref()).await.unwrap();
        pipe
    }

    async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut pipe = self.send(request(method, path, headers, "")).await;
        let mut answer = Vec::new();
        pipe.read_to_end(&mut answer).await.unwrap();
        Answer::read(&String::from_utf8(answer).unwrap())
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    /// Goes on when a metric has this value.
    async fn until(&self, metric: &str, value: usize) {
        let line = format!("\n{metric} {value}\n");
        // In real time: the virtual one stands still while there is something to do.
        let begun = std::time::Instant::now();
        while !self.get("/metrics").await.body.contains(&line) {
            assert!(begun.elapsed() < PATIENCE, "never came: {line}");
            tokio::task::yield_now().await;
        }
    }
}

/// What the daemon makes for others.
struct Exports {
    /// What every document is.
    edition: Arc<Mutex<Result<Arc<Edition>, Refusal>>>,
    /// Which document was asked for last.
    asked: Arc<Mutex<Option<Document>>>,
    feed: watch::Sender<Option<Arc<Announcement>>>,
}

impl Exports {
    fn new(folder: &Path) -> Self {
        let edition = edition(folder, "1-2", &"[]\n".repeat(100));
        Self {
            edition: Arc::new(Mutex::new(Ok(Arc::new(edition)))),
            asked: Arc::default(),
            feed: watch::channel(Some(Arc::new(announcement(folder, "tag-1")))).0,
        }
    }

    fn publish(&self, edition: Result<Edition, Refusal>) {
        *self.edition.lock().unwrap() = edition.map(Arc::new);
    }

    fn announce(&self, announcement: Option<Announcement>) {
        self.feed.send_replace(announcement.map(Arc::new));
    }
}

/// A document whose files lose their names at once. What they hold in other codings is made up.
fn edition(folder: &Path, tag: &str, text: &str) -> Edition {
    let gzip = text[..text.len() / 2].replace(|_| true, "g");
    let zstd = text[..text.len() / 3].replace(|_| true, "z");
    let forms = [(None, text), (Some("gzip"), &gzip), (Some("zstd"), &zstd)];
    let forms = forms.map(|(coding, text)| {
        let path = folder.join("form");
        std::fs::write(&path, text).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        let length = text.len().try_into().unwrap();
        Form::new(tag, coding, file, length)
    });
    Edition {
        tag: tag.into(),
        modified: UnixTime::new(784_111_777),
        media_type: "application/json",
        forms: forms.into(),
    }
}

/// What followers are told, signed.
fn announcement(folder: &Path, tag: &str) -> Announcement {
    Announcement {
        text: format!("the manifest {tag}").into(),
        signed: true,
        tag: tag.into(),
        issued: UnixTime::new(784_111_777),
        // In 2096.
        valid_until: UnixTime::new(4_000_000_000),
        folder: folder.into(),
    }
}

fn backend(ready: Ready, commands: mpsc::Sender<Request>, exports: &Exports) -> Backend {
    let (edition, asked) = (Arc::clone(&exports.edition), Arc::clone(&exports.asked));
    Backend {
        status: Box::new(move || status(ready.clone())),
        metrics: Box::new(|out| {
            out.family(&SESSIONS).sample(&[], 3_u64);
        }),
        explain: Box::new(|prefix, asn| {
            if prefix.prefix_len() == 0 {
                return Err(Refusal::new(RefusalKind::Unavailable, "no data yet"));
            }
            Ok(json!({"prefix": prefix.to_string(), "asn": asn.map(|asn| asn.to_string())}))
        }),
        disagreement: Box::new(|limit| match limit {
            13 => panic!("an unlucky number"),
            limit => Ok(json!({ "limit": limit })),
        }),
        clients: Box::new(|limit| Ok(json!({ "total": 0, "limit": limit }))),
        documents: Box::new(move |document| {
            *asked.lock().unwrap() = Some(document);
            match edition.lock().unwrap().clone() {
                // One is there already, the others come.
                Ok(edition) if document == Document::Json => Editing::There(edition),
                edition => Editing::Coming(Box::pin(async { edition })),
            }
        }),
        feed: exports.feed.subscribe(),
        commands,
    }
}

pub(super) fn status(ready: Ready) -> Status {
    let moment = || Moment::from(UnixTime::new(1_700_000_000));
    Status {
        version: "0.1.0".into(),
        now: moment(),
        started: moment(),
        ready,
        serving: None,
        sources: Vec::new(),
        merge: MergeStatus {
            mode: "failover".into(),
            quorum: None,
            active: None,
            reason: None,
            agreement: Vec::new(),
        },
        guard: GuardStatus {
            max_shrink: Some(10),
            max_growth: None,
            min_change: 5,
            held: None,
            refused: None,
            stale_policy: "keep".into(),
            stale: false,
        },
        slurm: SlurmStatus {
            state: SlurmState::Off,
            reason: None,
            read: None,
            files: Vec::new(),
            filters: 0,
            assertions: 0,
            removed: 0,
            added: 0,
            idle: Vec::new(),
        },
        state: None,
        listeners: Vec::new(),
        certificates: Vec::new(),
        sessions: SessionStatus::default(),
        reload: None,
        warnings: Vec::new(),
    }
}

/// A request that asks for the end of the connection.
fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
}

async fn exchange(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    octets: impl AsRef<[u8]>,
) -> String {
    socket.write_all(octets.as_ref()).await.unwrap();
    rest(&mut socket).await
}

/// What comes until the server closes. A reset after an answer is a close, too.
async fn rest(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let _ = within(socket.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("too slow")
}

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// With the names in lower case.
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    /// The answer that comes over a socket until the server closes it.
    async fn rest(mut socket: impl AsyncRead + Unpin) -> Self {
        Self::read(&rest(&mut socket).await)
    }

    #[track_caller]
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect(text);
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        let status = first.strip_prefix("HTTP/1.1 ").expect(first)[..3]
            .parse()
            .unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self {
            status,
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.body).expect(&self.body)
    }

    /// It is no success below `/api`, with this status and reason.
    #[track_caller]
    fn fails_with(&self, status: u16, reason: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let problem = self.json();
        let error = problem["error"].as_str().unwrap();
        assert!(error.contains(reason), "{reason:?} is not in {error:?}");
    }
}
