//! Sources are run as the daemon runs them, against real files and a real socket.

mod cache;
mod feed;
mod file;
mod folder;
mod http;
mod server;
mod tls;
mod verified;
mod web;

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Content, List, Occasion, SourceError, Update, run};
use crate::config::{Origin, Source};
use crate::net::Endpoint;

/// Longer than anything here takes, for tests to fail and not to hang.
const PATIENCE: Duration = Duration::from_secs(10);

const PLACE: usize = 7;

/// A source that runs, and what comes of it.
struct Running {
    updates: mpsc::Receiver<Update>,
    requests: watch::Sender<u64>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn source(endpoint: &str) -> Source {
    let endpoint: Endpoint = endpoint.parse().unwrap();
    Source::new("test", Origin::At(endpoint))
}

fn start(source: Source) -> Running {
    start_after(super::Past::default(), source)
}

fn start_after(past: super::Past, source: Source) -> Running {
    let (sender, updates) = mpsc::channel(1);
    let (requests, requested) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(run(source, PLACE, past, sender, requested, stopped));
    Running {
        updates,
        requests,
        stop,
        task,
    }
}

impl Running {
    async fn next_within(&mut self, limit: Duration) -> Result<Content, SourceError> {
        let update = timeout(limit, self.updates.recv()).await;
        let update = update.expect("an update in time").expect("a running task");
        assert_eq!(update.place, PLACE);
        update.result
    }

    async fn next(&mut self) -> Result<Content, SourceError> {
        self.next_within(PATIENCE).await
    }

    async fn error(&mut self) -> SourceError {
        self.next().await.unwrap_err()
    }

    /// The number of the next document.
    async fn serial(&mut self) -> u32 {
        serial(self.next().await)
    }

    /// Asks for a look and gives what is said to that.
    async fn ask(&mut self, number: u64) -> Result<Content, SourceError> {
        self.requests.send_replace(number);
        loop {
            let update = timeout(PATIENCE, self.updates.recv()).await;
            let update = update.expect("an update in time").expect("a running task");
            if update.occasion == Occasion::Asked(number) {
                return update.result;
            }
        }
    }

    async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.updates.recv().await.is_some() {}
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

/// A document that is told from others by a number.
fn document(serial: u32) -> String {
    format!(r#"{{"metadata":{{"serial":{serial}}},"roas":[]}}"#)
}

/// A document that says when it was made and names an AS.
fn dated(generated: u64, asn: u32) -> String {
    format!(
        r#"{{"metadata":{{"generated":{generated}}},
            "roas":[{{"prefix":"192.0.2.0/24","maxLength":24,"asn":{asn},"ta":"x"}}]}}"#
    )
}

fn list(result: Result<Content, SourceError>) -> List {
    match result.unwrap() {
        Content::List(list) => *list,
        Content::Mirror(..) | Content::Unchanged { .. } => unreachable!("no list"),
    }
}

fn serial(result: Result<Content, SourceError>) -> u32 {
    match result.unwrap() {
        Content::List(list) => list.serial.unwrap(),
        Content::Mirror(..) | Content::Unchanged { .. } => unreachable!("no document"),
    }
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_full_channel_is_waited_for() {
    let server = server::Server::start(|request| server::Reply::ok(&document(request))).await;
    let mut running = start(server.source());
    // One fills the channel and one waits at it; no third is asked for.
    server.requests(2).await;
    assert!(
        timeout(Duration::from_millis(100), server.requests(3))
            .await
            .is_err()
    );
    for serial in 1..5 {
        assert_eq!(running.serial().await, serial);
    }
}

#[tokio::test]
async fn a_source_stops_whatever_it_is_doing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("json");
    let mut running = start(source(path.to_str().unwrap()));
    running.error().await;
    running.stop().await;

    let server = server::Server::start(|_| server::Reply::ok("{").and_hold()).await;
    let running = start(server.source());
    server.requests(1).await;
    running.stop().await;

    let server = server::Server::start(|_| server::Reply::ok(&document(1))).await;
    let running = start(server.source());
    server.requests(2).await;
    drop(running.updates);
    timeout(PATIENCE, running.task).await.unwrap().unwrap();
}
