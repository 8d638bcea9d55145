//! Commands: handed over, waited for, answered.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Running, request, within};
use crate::http::control::{Client, ControlError};
use crate::http::shape::Problem;
use crate::http::{Command, Limits, Refusal, RefusalKind};

impl Running {
    fn client(&self) -> Client {
        Client::new(self.control.clone(), super::PATIENCE)
    }

    /// Posts with the client, answers as the daemon would, and gives the command and what the
    /// client got.
    async fn post(
        &mut self,
        path: &str,
        body: Option<Value>,
        outcome: Result<Value, Refusal>,
    ) -> (Command, Result<Value, ControlError>) {
        let client = self.client();
        let asked = client.post(path, body.as_ref());
        let heard = async {
            let heard = self.hear().await;
            assert!(heard.by.starts_with("uid "), "{}", heard.by);
            heard.answer.send(outcome).unwrap();
            heard.command
        };
        let (got, command) = within(async { tokio::join!(asked, heard) }).await;
        (command, got)
    }
}

#[tokio::test]
async fn each_command_arrives_as_it_was_meant() {
    let mut running = Running::start(Limits::default());
    let approve = || Command::Approve {
        digest: "ab12".into(),
    };
    for (path, body, command) in [
        ("/api/v1/reload", None, Command::Reload),
        ("/api/v1/refresh", None, Command::Refresh { source: None }),
        (
            "/api/v1/refresh?source=validator%20a",
            None,
            Command::Refresh {
                source: Some("validator a".into()),
            },
        ),
        ("/api/v1/approve?digest=ab12", None, approve()),
        (
            "/api/v1/approve",
            Some(json!({"digest": "ab12"})),
            approve(),
        ),
        (
            "/api/v1/approve?digest=ab12",
            Some(json!({"digest": "ab12"})),
            approve(),
        ),
    ] {
        let (heard, got) = running.post(path, body, Ok(json!({"done": true}))).await;
        assert_eq!(heard, command);
        assert_eq!(got.unwrap(), json!({"done": true}));
    }
    running.end().await;
}

#[tokio::test]
async fn a_refusal_arrives_with_its_particulars() {
    let mut running = Running::start(Limits::default());
    for (kind, expected) in [
        (RefusalKind::Bad, 400),
        (RefusalKind::Unknown, 404),
        (RefusalKind::Conflict, 409),
        (RefusalKind::Unavailable, 503),
    ] {
        let details = vec!["rutter.toml:3:1: unknown key".to_owned()];
        let refusal = Refusal::new(kind, "the configuration is wrong").with(details.clone());
        let (_, got) = running.post("/api/v1/reload", None, Err(refusal)).await;
        let Err(ControlError::Refused { status, problem }) = got else {
            panic!("{got:?}");
        };
        let error = "the configuration is wrong".to_owned();
        assert_eq!((status, problem), (expected, Problem { error, details }));
    }
    running.end().await;
}

#[tokio::test]
async fn nonsense_never_reaches_the_daemon() {
    let mut running = Running::start(Limits::default());
    for (path, body, reason) in [
        ("/api/v1/approve", "", "needs the digest"),
        ("/api/v1/approve?digest=", "", "needs the digest"),
        ("/api/v1/approve", "{}", "needs the digest"),
        (
            "/api/v1/approve",
            "{\"digest\": 7}",
            "not {\"digest\": \"…\"}",
        ),
        (
            "/api/v1/approve",
            "{\"digest\": \"a\", \"b\": 1}",
            "unknown field",
        ),
        ("/api/v1/approve", "ab12", "not {\"digest\": \"…\"}"),
        ("/api/v1/approve?digest=a", "{\"digest\": \"b\"}", "differ"),
        ("/api/v1/refresh?name=a", "", "unknown field"),
    ] {
        let octets = request("POST", path, "", body);
        let answer = Answer::read(&running.control(octets).await);
        answer.fails_with(400, reason);
    }
    assert!(running.requests.try_recv().is_err());
    running.end().await;
}

#[tokio::test]
async fn a_full_channel_refuses_at_once() {
    let mut running = Running::start(Limits::default());
    let octets = || request("POST", "/api/v1/reload", "", "");
    let first = running.send_control(octets()).await;
    // The channel of the tests holds one.
    while running.requests.is_empty() {
        tokio::task::yield_now().await;
    }
    let second = Answer::read(&running.control(octets()).await);
    second.fails_with(503, "too many commands wait already");
    running.hear().await.answer.send(Ok(json!({}))).unwrap();
    assert_eq!(Answer::rest(first).await.status, 200);
    running.end().await;
}

#[tokio::test]
async fn a_command_that_is_given_up_or_late_is_an_answer() {
    let mut running = Running::start(Limits {
        command: Duration::from_millis(50),
        ..Limits::default()
    });
    let octets = || request("POST", "/api/v1/reload", "", "");
    let asked = running.send_control(octets()).await;
    drop(running.hear().await);
    Answer::rest(asked).await.fails_with(503, "given up");

    let asked = running.send_control(octets()).await;
    let held = running.hear().await;
    Answer::rest(asked)
        .await
        .fails_with(503, "no outcome in time");
    drop(held);
    running.end().await;
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_an_outcome() {
    let mut running = Running::start(Limits::default());
    let asked = running
        .send_control(request("POST", "/api/v1/reload", "", ""))
        .await;
    let held = running.hear().await;
    running.end().await;
    Answer::rest(asked)
        .await
        .fails_with(503, "the server is stopping");
    drop(held);
}

#[tokio::test]
async fn the_client_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let client = Client::new(path.clone(), Duration::from_millis(100));
    let error = client.get("/readyz").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("no server at {}", path.display())
    );

    // Somebody who never answers.
    let silent = tokio::net::UnixListener::bind(&path).unwrap();
    let error = client.get("/readyz").await.unwrap_err();
    let expected = format!("no answer from {} within 100ms", path.display());
    assert_eq!(error.to_string(), expected);

    // Somebody who speaks something else.
    let patient = Client::new(path.clone(), super::PATIENCE);
    for (said, expected) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "the conversation with"),
        ("", "the conversation with"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "no JSON"),
        (
            "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nok",
            "answers 500",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
            "the conversation with",
        ),
    ] {
        let answer = async {
            // The first in the queue may be the one that gave up above.
            loop {
                let (mut socket, _) = silent.accept().await.unwrap();
                let mut octets = [0; 4096];
                let read = tokio::io::AsyncReadExt::read(&mut socket, &mut octets).await;
                let octets = &octets[..read.unwrap()];
                let written = tokio::io::AsyncWriteExt::write_all(&mut socket, said.as_bytes());
                if written.await.is_ok() && octets.starts_with(b"GET /again ") {
                    return;
                }
            }
        };
        let both = async { tokio::join!(patient.get("/again"), answer) };
        let (got, ()) = within(Box::pin(both)).await;
        let error = got.unwrap_err().to_string();
        assert!(error.contains(expected), "{said:?}: {error}");
    }
}
