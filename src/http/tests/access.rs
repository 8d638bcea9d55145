//! Who may look, and who may change something.

use serde_json::json;

use super::{Answer, Running, request};
use crate::http::{Command, Limits};

const RELOAD: &str = "/api/v1/reload";

async fn refused(running: &Running, headers: &str) -> Answer {
    Answer::read(&running.ask(request("POST", RELOAD, headers, "")).await)
}

#[tokio::test]
async fn without_a_token_nothing_is_changed_over_tcp() {
    let running = Running::start(Limits::default());
    for header in [
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer x\r\n",
    ] {
        let answer = refused(&running, header).await;
        answer.fails_with(403, "only the control socket may do this");
    }
    running.end().await;
}

#[tokio::test]
async fn only_the_right_token_changes_something() {
    let mut running = Running::start(Limits::default());
    running.token("correct-horse\n");
    for (header, reason) in [
        ("", "needs the header"),
        ("Authorization: Bearer \r\n", "needs the header"),
        ("Authorization: Basic correct-horse\r\n", "needs the header"),
        (
            "Authorization: Bearer correct-horsf\r\n",
            "not the right one",
        ),
        (
            "Authorization: Bearer correct-hors\r\n",
            "not the right one",
        ),
        (
            "Authorization: Bearer correct-horse2\r\n",
            "not the right one",
        ),
    ] {
        let answer = refused(&running, header).await;
        answer.fails_with(401, reason);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert!(running.requests.try_recv().is_err());

    let header = "Authorization: bearer correct-horse\r\n";
    let asked = running.send(request("POST", RELOAD, header, "")).await;
    let asker = asked.local_addr().unwrap();
    let heard = running.hear().await;
    assert_eq!(heard.command, Command::Reload);
    assert_eq!(*heard.by, *asker.to_string());
    heard.answer.send(Ok(json!({"changed": []}))).unwrap();
    let answer = Answer::rest(asked).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"changed": []}))
    );
    running.end().await;
}

#[tokio::test]
async fn the_token_is_read_at_each_use() {
    let mut running = Running::start(Limits::default());
    running.token("old");
    let header = "Authorization: Bearer new\r\n";
    refused(&running, header)
        .await
        .fails_with(401, "not the right one");
    running.token("new");
    let asked = running.send(request("POST", RELOAD, header, "")).await;
    running.hear().await.answer.send(Ok(json!({}))).unwrap();
    assert_eq!(Answer::rest(asked).await.status, 200);
    running.end().await;
}

#[tokio::test]
async fn a_token_file_that_holds_none_lets_nobody_in() {
    let running = Running::start(Limits::default());
    for token in ["", " \n", &"x".repeat(4097)] {
        running.token(token);
        let header = "Authorization: Bearer x\r\n";
        refused(&running, header)
            .await
            .fails_with(503, "cannot read its token file");
    }
    std::fs::remove_file(running.folder.path().join("token")).unwrap();
    let header = "Authorization: Bearer x\r\n";
    refused(&running, header)
        .await
        .fails_with(503, "cannot read its token file");
    running.end().await;
}
