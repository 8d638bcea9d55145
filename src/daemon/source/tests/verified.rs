//! Documents that must be signed, and what is refused of them.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::rand::SystemRandom;

use super::super::{Content, Past, SourceError, unix_now};
use super::server::{Reply, Server};
use super::{Running, dated, gzip, list, source, start, start_after};
use crate::config::{Scheme, Source, Verify};
use crate::payload::UnixTime;
use crate::sign::key::Algorithm;
use crate::sign::{Digest, GortrDigest, SigningKey, Statement};

const HOUR: Duration = Duration::from_secs(3_600);

/// Keys in a folder, and a web server whose documents are replaced at will.
struct Site {
    folder: tempfile::TempDir,
    pages: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    server: Server,
}

impl Site {
    async fn new() -> Self {
        let pages: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
        let shown = Arc::clone(&pages);
        let server = Server::answering(move |_, head| {
            let path = head.split(' ').nth(1).unwrap();
            let shown = shown.lock().unwrap();
            let Some(page) = shown.get(path) else {
                return Reply::new("HTTP/1.1 404 Not Found\nContent-Length: 0", b"");
            };
            let tag = format!("\"{}\"", Digest::of(page).octets);
            match head.contains(&format!("if-none-match: {tag}\r\n")) {
                true => Reply::new("HTTP/1.1 304 Not Modified", b""),
                false => {
                    let length = page.len();
                    let head = format!("HTTP/1.1 200 OK\nETag: {tag}\nContent-Length: {length}");
                    Reply::new(&head, page)
                }
            }
        })
        .await;
        Self {
            folder: tempfile::tempdir().unwrap(),
            pages,
            server,
        }
    }

    fn show(&self, path: &str, page: impl Into<Vec<u8>>) {
        let mut pages = self.pages.lock().unwrap();
        pages.insert(path.to_owned(), page.into());
    }

    fn hide(&self, path: &str) {
        self.pages.lock().unwrap().remove(path);
    }

    /// A document and a statement on it.
    fn publish(&self, key: &SigningKey, document: &str, statement: Statement) {
        self.show("/json", document);
        self.show("/json.jws", signed(key, document, statement));
    }

    /// A source that reads when it is asked to.
    fn source(&self, keys: &[&Path], scheme: Scheme) -> Source {
        Source {
            refresh: HOUR,
            verify: Some(Verify {
                keys: keys.iter().map(|key| key.to_path_buf()).collect(),
                scheme,
            }),
            ..self.server.source()
        }
    }

    /// How often the document was asked for.
    async fn readings(&self) -> usize {
        let heads = self.server.requests(0).await;
        let mut count = 0;
        for head in heads {
            count += usize::from(head.starts_with("get /json http"));
        }
        count
    }
}

fn key() -> SigningKey {
    let rng = SystemRandom::new();
    let pem = SigningKey::generate(Algorithm::Es256, &rng).unwrap();
    SigningKey::from_pem(pem.as_bytes(), &rng).unwrap()
}

/// The file with the public key.
fn public(folder: &Path, name: &str, key: &SigningKey) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, key.public().to_pem()).unwrap();
    path
}

/// What a statement says when nothing is wrong: signed a minute ago, good for an hour.
fn says(serial: u32) -> Statement {
    let now = unix_now();
    Statement {
        digest: Digest::of(b""),
        history: [7; 16],
        serial,
        revision: 0,
        issued: UnixTime::new(now.seconds() - 60),
        expires: now.plus(3_600),
    }
}

fn signed(key: &SigningKey, document: &str, statement: Statement) -> String {
    let digest = Digest::of(document.as_bytes());
    let statement = Statement {
        digest,
        ..statement
    };
    statement.sign(key, &SystemRandom::new()).unwrap()
}

fn made(asn: u32) -> String {
    dated(unix_now().seconds() - 120, asn)
}

#[track_caller]
fn refused(result: Result<Content, SourceError>, kind: &str, text: &str) {
    let error = result.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(error.kind(), kind, "{error}: {cause:?}");
    assert!(cause.unwrap_or_default().contains(text), "{error}");
}

fn same(result: Result<Content, SourceError>) {
    let content = result.unwrap();
    assert!(matches!(content, Content::Unchanged { .. }), "{content:?}");
}

/// The AS of the only row.
fn asn(result: Result<Content, SourceError>) -> u32 {
    let list = list(result);
    let [vrp] = list.rows.v4().records()[..] else {
        unreachable!("not one row")
    };
    vrp.asn().into_u32()
}

#[tokio::test]
async fn a_document_is_delivered_with_its_statement() {
    let site = Site::new().await;
    let key = key();
    let public = public(site.folder.path(), "pub", &key);
    let document = made(1);
    let statement = says(1);
    site.publish(&key, &document, statement);
    let mut running = start(site.source(&[&public], Scheme::Jws));
    let first = list(running.next().await);
    assert_eq!(first.stated, Some(statement.issued));
    assert_eq!(first.valid, Some(statement.expires));
    assert_eq!(first.rows.len(), 1);
    same(running.ask(1).await);

    // It counts for longer, and is not fetched again.
    let issued = statement.issued.plus(10);
    let longer = Statement {
        issued,
        expires: statement.expires.plus(10),
        ..statement
    };
    site.show("/json.jws", signed(&key, &document, longer));
    let second = list(running.ask(2).await);
    assert_eq!(second.valid, Some(longer.expires));
    assert!(second.rows.shares_all(&first.rows));
    assert_eq!(site.readings().await, 1);

    // On its way it may be compressed.
    let next = made(2);
    site.publish(&key, &next, Statement { issued, ..says(2) });
    site.show("/json", gzip(&next));
    assert_eq!(asn(running.ask(3).await), 2);
}

#[tokio::test]
async fn what_is_not_signed_is_refused() {
    let site = Site::new().await;
    let (key, other) = (key(), key());
    let public = public(site.folder.path(), "pub", &key);
    let good = made(1);
    site.publish(&key, &good, says(1));
    let mut running = start(site.source(&[&public], Scheme::Jws));
    assert_eq!(asn(running.next().await), 1);

    site.hide("/json.jws");
    refused(running.ask(1).await, "signature", "no statement beside it");
    site.publish(&other, &made(2), says(2));
    refused(running.ask(2).await, "signature", "key");
    let now = unix_now();
    let over = Statement {
        expires: now,
        ..says(2)
    };
    site.publish(&key, &made(2), over);
    refused(running.ask(3).await, "signature_expired", "expired at");
    let early = Statement {
        issued: now.plus(Statement::SKEW + 60),
        ..says(2)
    };
    site.publish(&key, &made(2), early);
    refused(running.ask(4).await, "signature", "signed in the future");
    site.show("/json.jws", "x".repeat(100_000));
    assert_eq!(running.ask(5).await.unwrap_err().kind(), "too_large");
    assert_eq!(site.readings().await, 1);

    // What was good is good still.
    site.publish(&key, &good, says(1));
    assert!(running.ask(6).await.is_ok());
}

#[tokio::test]
async fn another_document_than_the_signed_one_is_refused() {
    let site = Site::new().await;
    let key = key();
    let public = public(site.folder.path(), "pub", &key);
    site.publish(&key, &made(1), says(1));
    site.show("/json", made(2));
    let mut running = start(site.source(&[&public], Scheme::Jws));
    refused(
        running.next().await,
        "signature",
        "not the one that was signed",
    );
    assert_eq!(site.readings().await, 3);
}

#[tokio::test]
async fn an_update_in_between_is_waited_for() {
    let key = key();
    let folder = tempfile::tempdir().unwrap();
    let public = public(folder.path(), "pub", &key);
    let (first, second) = (made(1), made(2));
    let (on_first, on_second) = (
        signed(&key, &first, says(1)),
        signed(&key, &second, says(2)),
    );
    // The statement is behind, and then the document is.
    for (answers, readings) in [
        ([&on_first, &second, &on_second, &second], 1),
        ([&on_second, &first, &on_second, &second], 2),
    ] {
        let answers = answers.map(Clone::clone);
        let server = Server::start(move |request| {
            let place = usize::try_from(request).unwrap() - 1;
            Reply::ok(&answers[place])
        })
        .await;
        let mut source = server.source();
        source.refresh = HOUR;
        source.verify = Some(Verify {
            keys: vec![public.clone()],
            scheme: Scheme::Jws,
        });
        let mut running = start(source);
        assert_eq!(asn(running.next().await), 2);
        let heads = server.requests(2 * readings).await;
        let documents = heads.iter().filter(|head| head.contains("/json http"));
        assert_eq!(documents.count(), readings);
    }
}

#[tokio::test]
async fn nobody_goes_back_not_even_over_a_restart() {
    let site = Site::new().await;
    let key = key();
    let public = public(site.folder.path(), "pub", &key);
    let past = Past {
        folder: Some(site.folder.path().join("past")),
        mirrored: None,
        keeps_mirrors: false,
    };
    let run = || start_after(past.clone(), site.source(&[&public], Scheme::Jws));
    let before = Statement {
        revision: 4,
        ..says(5)
    };
    site.publish(&key, &made(5), before);
    let mut running = run();
    assert_eq!(asn(running.next().await), 5);
    let back = |running: Running| async {
        let mut running = running;
        let later = before.issued.plus(5);
        for (number, statement, text) in [
            (
                1,
                Statement {
                    serial: 4,
                    ..before
                },
                "from serial 5 to 4",
            ),
            (
                2,
                Statement {
                    revision: 3,
                    ..before
                },
                "from revision 4 to 3",
            ),
            (
                3,
                Statement {
                    serial: 6,
                    issued: UnixTime::new(before.issued.seconds() - 1),
                    ..before
                },
                "made at",
            ),
        ] {
            let issued = match number {
                3 => statement.issued,
                _ => later,
            };
            let statement = Statement {
                issued,
                ..statement
            };
            site.publish(&key, &made(4), statement);
            refused(running.ask(number).await, "rollback", text);
        }
        running.stop().await;
    };
    back(running).await;
    back(run()).await;
    // Forwards it goes, and into another history.
    let on = Statement {
        history: [8; 16],
        serial: 1,
        ..before
    };
    site.publish(&key, &made(1), on);
    let mut running = run();
    // First what was kept of the last run.
    assert_eq!(asn(running.next().await), 5);
    assert_eq!(asn(running.next().await), 1);
}

#[tokio::test]
async fn keys_change_without_a_reload() {
    let site = Site::new().await;
    let folder = site.folder.path();
    let (old, new) = (key(), key());
    let first = public(folder, "first", &old);
    let second = public(folder, "second", &old);
    site.publish(&old, &made(1), says(1));
    let mut running = start(site.source(&[&first, &second], Scheme::Jws));
    assert_eq!(asn(running.next().await), 1);
    site.publish(&new, &made(2), says(2));
    refused(running.ask(1).await, "signature", "key");
    public(folder, "second", &new);
    assert_eq!(asn(running.ask(2).await), 2);
    site.publish(&old, &made(3), says(3));
    assert_eq!(asn(running.ask(3).await), 3);
    public(folder, "first", &new);
    refused(running.ask(4).await, "signature", "key");
    site.publish(&new, &made(4), says(4));
    assert_eq!(asn(running.ask(5).await), 4);

    // Whoever writes there says who is believed.
    fs::set_permissions(&second, fs::Permissions::from_mode(0o666)).unwrap();
    let error = running.ask(6).await.unwrap_err();
    assert_eq!(error.kind(), "secret", "{error}");
    fs::remove_file(&second).unwrap();
    assert_eq!(running.ask(7).await.unwrap_err().kind(), "secret");
}

#[tokio::test]
async fn a_statement_lies_beside_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let key = key();
    let public = public(folder.path(), "pub", &key);
    let path = folder.path().join("vrps.json");
    let mut source = source(path.to_str().unwrap());
    source.refresh = HOUR;
    source.verify = Some(Verify {
        keys: vec![public],
        scheme: Scheme::Jws,
    });
    let mut running = start(source);
    assert_eq!(running.error().await.kind(), "file");
    let document = made(1);
    fs::write(&path, &document).unwrap();
    refused(running.next().await, "signature", "no statement beside it");
    // The statement alone is worth a look.
    let beside = folder.path().join("vrps.json.jws");
    let new = folder.path().join("new");
    fs::write(&new, signed(&key, &document, says(1))).unwrap();
    fs::rename(&new, &beside).unwrap();
    let delivered = loop {
        match running.next().await {
            Ok(Content::List(list)) => break list,
            // What was heard of the document before.
            Err(error) => assert_eq!(error.kind(), "signature"),
            other => unreachable!("{other:?}"),
        }
    };
    assert_eq!(delivered.rows.len(), 1);
}

/// A document of GoRTR, with these rows and what is signed of them.
struct Gortr {
    rows: &'static str,
    texts: &'static [&'static str],
    generated: UnixTime,
    valid: UnixTime,
}

impl Gortr {
    fn signed(&self, key: &SigningKey) -> String {
        let digest = GortrDigest::of_sorted(self.texts, self.generated, self.valid);
        let fields = digest.sign(key).unwrap();
        format!(
            r#"{{"metadata":{{"generated":{},"valid":{},"serial":9,"buildtime":"2001-01-01T00:00:00Z",
               "signature":"{}","signatureDate":"{}"}},"roas":[{}],
               "aspas":[{{"customer_asid":65001,"providers":[65002]}}]}}"#,
            self.generated.seconds(),
            self.valid.seconds(),
            fields.signature,
            fields.signature_date,
            self.rows
        )
    }
}

fn gortr() -> Gortr {
    let now = unix_now();
    Gortr {
        // Texts and numbers, one repeated, one that says it has expired.
        rows: r#"{"prefix":"192.0.2.0/24","maxLength":24,"asn":"AS65001","ta":"x"},
            {"prefix":"2001:db8::/32","maxLength":48,"asn":4200000000,"expires":1000},
            {"prefix":"10.0.0.0/8","maxLength":16,"asn":65001},
            {"prefix":"192.0.2.0/24","maxLength":24,"asn":"AS65001","ta":"y"}"#,
        texts: &[
            "10.0.0.0/8,16,65001,",
            "192.0.2.0/24,24,AS65001,",
            "192.0.2.0/24,24,AS65001,",
            "2001:db8::/32,48,4.2e+09,",
        ],
        generated: UnixTime::new(now.seconds() - 60),
        valid: now.plus(3_600),
    }
}

#[tokio::test]
async fn of_gortrs_documents_what_is_signed_is_taken() {
    let site = Site::new().await;
    let (key, other) = (key(), key());
    let public_key = public(site.folder.path(), "pub", &key);
    let terms = gortr();
    site.show("/json", terms.signed(&key));
    let mut running = start(site.source(&[&public_key], Scheme::Gortr));
    let taken = list(running.next().await);
    let rows = &taken.rows;
    assert_eq!((rows.v4().len(), rows.v6().len(), rows.len()), (2, 1, 3));
    assert_eq!(rows.next_expiry(), None);
    assert_eq!(taken.serial, None);
    assert_eq!(taken.stated, Some(terms.generated));
    // The same is not sent again, unless it is to be verified by other keys.
    same(running.ask(1).await);
    let heads = site.server.requests(2).await;
    assert!(heads[1].contains("if-none-match"), "{}", heads[1]);
    public(site.folder.path(), "pub", &other);
    refused(
        running.ask(2).await,
        "signature",
        "the rows are signed by none",
    );
    refused(
        running.ask(3).await,
        "signature",
        "the rows are signed by none",
    );
    public(site.folder.path(), "pub", &key);
    same(running.ask(4).await);
}

#[tokio::test]
async fn what_gortrs_signatures_are_not_over_is_refused() {
    let site = Site::new().await;
    let key = key();
    let public = public(site.folder.path(), "pub", &key);
    let terms = gortr();
    let generated = format!("\"generated\":{}", terms.generated.seconds());
    let good = terms.signed(&key);
    site.show("/json", good.as_str());
    let mut source = site.source(&[&public], Scheme::Gortr);
    source.max_bad_rows = 100;
    let mut running = start(source);
    list(running.next().await);

    // Two rows in one: their texts are the same, and without the comma's guard they are signed.
    let (hidden, shown) = (
        r#"{"prefix":"10.0.0.0/8","maxLength":16,"asn":65001},
            {"prefix":"192.0.2.0/24","maxLength":24,"asn":"AS65001","ta":"y"}"#,
        r#"{"prefix":"10.0.0.0/8,16,65001,192.0.2.0/24","maxLength":24,"asn":"AS65001"}"#,
    );
    let mut number = 0;
    for (from, to, text) in [
        ("\"AS65001\"", "65001", "the rows are signed by none"),
        ("4200000000", "4200000001", "the rows are signed by none"),
        (hidden, shown, "the rows are signed by none"),
        ("\"signatureDate\"", "\"other\"", "no signature and"),
        ("\"generated\"", "\"other\"", "no generated and valid"),
        (
            &generated,
            "\"generated\":5",
            "the dates are signed by none",
        ),
    ] {
        number += 1;
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        site.show("/json", changed);
        refused(running.ask(number).await, "signature", text);
    }
    let over = Gortr {
        valid: unix_now(),
        ..gortr()
    };
    site.show("/json", over.signed(&key));
    refused(running.ask(7).await, "signature_expired", "counts no more");
    let older = Gortr {
        generated: UnixTime::new(gortr().generated.seconds() - 100),
        ..gortr()
    };
    site.show("/json", older.signed(&key));
    refused(running.ask(8).await, "rollback", "it goes back: made at");
    site.show("/json", good);
    same(running.ask(9).await);
}
