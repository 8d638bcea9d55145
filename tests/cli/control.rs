//! `rutter status`, `reload`, `refresh`, `approve` and `explain`, against a server that is made up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rutter::http::backend::Editing;
use rutter::http::metrics::Exposition;
use rutter::http::shape::Status;
use rutter::http::{Access, Backend, Command, Limits, Refusal, RefusalKind, Request, Server};
use rutter::net::gate::{Bounds, Gate};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

use crate::program::{Ran, command, run, rutter};

/// A server on a control socket, until it is dropped.
struct Fake {
    control: PathBuf,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Fake {
    fn start(ready: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = folder.path().join("control");
        let (stop, stopped) = watch::channel(false);
        let (up, is_up) = std::sync::mpsc::channel();
        let path = control.clone();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (_, access) = watch::channel(Access::default());
                let gate = Gate::new(Bounds {
                    total: 1,
                    per_address: 1,
                    per_network: 1,
                });
                let mut server = Server::new(access, gate, Limits::default());
                server.bind_control(&path).unwrap();
                up.send(()).unwrap();
                let (commands, requests) = mpsc::channel(1);
                let daemon = tokio::spawn(obey(requests));
                server
                    .run(Arc::new(backend(ready, commands)), stopped)
                    .await;
                daemon.abort();
            });
        });
        is_up.recv().unwrap();
        Self {
            control,
            stop,
            thread: Some(thread),
            _folder: folder,
        }
    }

    fn rutter(&self, arguments: &[&str]) -> Ran {
        at(&self.control, arguments)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn at(control: &Path, arguments: &[&str]) -> Ran {
    run(command(arguments).env("RUTTER_CONTROL", control))
}

async fn obey(mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        let _ = request.answer.send(outcome(request.command));
    }
}

fn outcome(command: Command) -> Result<Value, Refusal> {
    match command {
        Command::Reload => Err(
            Refusal::new(RefusalKind::Conflict, "the old configuration stays").with(vec![
                "rutter.toml:3:1: unknown key".into(),
                "slurm: none".into(),
            ]),
        ),
        Command::Refresh { source: None } => Ok(json!({"asked": ["a", "b & c"]})),
        Command::Refresh {
            source: Some(source),
        } if &*source == "b & c" => Ok(json!({"asked": [source]})),
        Command::Approve { digest } if &*digest == "ab12" => Ok(json!({"serial": 8})),
        Command::Approve { .. } => Err(Refusal::new(RefusalKind::Unavailable, "no data yet")),
        Command::Refresh { .. } => Err(Refusal::new(RefusalKind::Unknown, "no such source")),
    }
}

fn backend(ready: bool, commands: mpsc::Sender<Request>) -> Backend {
    Backend {
        status: Box::new(move || status(ready)),
        metrics: Box::new(|_: &mut Exposition| {}),
        explain: Box::new(|_, _| Ok(Value::Null)),
        disagreement: Box::new(|_| Ok(Value::Null)),
        clients: Box::new(|_| Ok(Value::Null)),
        documents: Box::new(|_| Editing::Coming(Box::pin(std::future::pending()))),
        feed: watch::channel(None).1,
        commands,
    }
}

fn status(ready: bool) -> Status {
    let moment = json!({"unix": 1_700_000_000, "utc": "2023-11-14T22:13:20Z"});
    let check = json!({"name": "data", "ok": ready, "reason": "no source has data"});
    serde_json::from_value(json!({
        "version": "0.1.0", "now": moment, "started": moment,
        "ready": {"ready": ready, "checks": [check]},
        "sources": [], "merge": {"mode": "failover", "agreement": []},
        "guard": {"min_change": 5, "stale_policy": "keep", "stale": false},
        "slurm": {
            "state": "off", "files": [], "filters": 0, "assertions": 0, "removed": 0,
            "added": 0, "idle": [],
        },
        "listeners": [], "warnings": [],
        "sessions": {
            "open": 0, "limit": 10, "accepted": 0, "refused_access": 0, "refused_limit": 0,
        },
    }))
    .unwrap()
}

#[test]
fn status_says_ready_and_exits_with_it() {
    let fake = Fake::start(true);
    let table = fake.rutter(&["status"]).done();
    assert!(table.starts_with("ready\n"), "{table}");
    let json = fake.rutter(&["status", "--output", "json"]).done();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json, serde_json::to_value(status(true)).unwrap());

    let fake = Fake::start(false);
    let table = fake.rutter(&["status"]);
    assert_eq!((table.code, table.err.as_str()), (Some(1), ""));
    assert!(
        table
            .out
            .starts_with("NOT READY\n  data: no source has data\n"),
        "{table:?}"
    );
    assert_eq!(fake.rutter(&["status", "--output", "json"]).code, Some(1));
}

#[test]
fn a_command_prints_what_came_of_it() {
    let fake = Fake::start(true);
    assert_eq!(fake.rutter(&["refresh"]).done(), "asked:\n  a\n  b & c\n");
    assert_eq!(
        fake.rutter(&["refresh", "b & c"]).done(),
        "asked:\n  b & c\n"
    );
    assert_eq!(fake.rutter(&["approve", "ab12"]).done(), "serial: 8\n");
}

#[test]
fn a_refusal_is_exit_code_1_and_every_reason_on_its_line() {
    let fake = Fake::start(true);
    let ran = fake.rutter(&["reload"]);
    let reasons =
        "rutter: the old configuration stays\n  rutter.toml:3:1: unknown key\n  slurm: none\n";
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (Some(1), "", reasons)
    );
    let ran = fake.rutter(&["refresh", "c"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (Some(1), "rutter: no such source\n")
    );
}

#[test]
fn what_cannot_be_determined_is_exit_code_2() {
    let fake = Fake::start(true);
    fake.rutter(&["approve", "cd34"]).fails_with("no data yet");
    fake.rutter(&["explain", "192.0.2.0/24"])
        .fails_with("the explanation of the server is not understood");
    let nowhere = fake.control.with_file_name("nowhere");
    for arguments in [
        &["status"][..],
        &["reload"],
        &["refresh"],
        &["approve", "ab12"],
        &["explain", "192.0.2.0/24", "AS64496"],
    ] {
        let expected = format!("no server at {}", nowhere.display());
        at(&nowhere, arguments).fails_with(&expected);
        let mut typed = arguments.to_vec();
        let path = nowhere.to_str().unwrap();
        typed.extend(["--control", path]);
        rutter(typed).fails_with(&expected);
    }
    rutter(["approve"]).fails_with("DIGEST");
}
