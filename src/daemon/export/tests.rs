//! The exporter as HTTP sees it.

use std::fs;
use std::future::poll_fn;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::task::Poll;
use std::time::Duration;

use ring::rand::SystemRandom;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

use super::*;
use crate::config::{Export, ExportKeys};
use crate::http::metrics::{Exposition, Format};
use crate::json;
use crate::payload::{Asn, Attribute, DataSet, RowsBuilder, Vrp};
use crate::rtr::snapshot::restore::Restored;
use crate::rtr::snapshot::{HistoryLimits, Step, Trigger};
use crate::sign::gortr::{GortrDigest, GortrSignature};
use crate::sign::key::Algorithm;
use crate::sign::{Digest, SigningKey, Statement};

const WAIT: Duration = Duration::from_secs(20);

fn data(asns: &[u32]) -> DataSet {
    data_until(asns, 2_000_000_000)
}

fn data_until(asns: &[u32], expires: u64) -> DataSet {
    let mut rows = RowsBuilder::new();
    let anchor = rows.trust_anchor("arin \"x\"");
    for asn in asns {
        let vrp = Vrp::new("192.0.2.0/24".parse().unwrap(), 24, Asn::new(*asn)).unwrap();
        rows.push_vrp(vrp, Attribute::new(Some(UnixTime::new(expires)), anchor));
    }
    DataSet::new(&rows.finish())
}

fn next(snapshot: &Snapshot, data: DataSet) -> Arc<Snapshot> {
    let now = UnixTime::new(1);
    match snapshot.next(data, Trigger::Source, now, HistoryLimits::default()) {
        Step::Serial(next) | Step::Revision(next) => Arc::new(next),
        Step::Unchanged => panic!("nothing new"),
    }
}

struct Running {
    store: Arc<Store>,
    exporter: Exporter,
    config: watch::Sender<Arc<Recipe>>,
    folder: tempfile::TempDir,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(recipe: Recipe) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new();
        let (config, configs) = watch::channel(Arc::new(recipe));
        let (stop, stopped) = watch::channel(false);
        let private = folder.path().join("export");
        let (exporter, work) = Exporter::new(Arc::clone(&store), configs, private, stopped);
        Self {
            store,
            exporter,
            config,
            folder,
            stop,
            task: tokio::spawn(work),
        }
    }

    fn publish(&self, snapshot: &Arc<Snapshot>) {
        self.store.publish(Arc::clone(snapshot), false);
    }

    async fn ask(&self, document: Document) -> Result<Arc<Edition>, Refusal> {
        match self.exporter.document(document) {
            Editing::There(edition) => Ok(edition),
            Editing::Coming(editing) => timeout(WAIT, editing).await.unwrap(),
        }
    }

    /// Asks for a document, and waits until it is being made.
    async fn making(
        &self,
        document: Document,
    ) -> impl Future<Output = Result<Arc<Edition>, Refusal>> + use<> {
        let Editing::Coming(mut asked) = self.exporter.document(document) else {
            panic!("{document:?} is there already");
        };
        let first = poll_fn(|context| Poll::Ready(asked.as_mut().poll(context))).await;
        assert!(first.is_pending());
        while self.exporter.wishes.wants(document) {
            yield_now().await;
        }
        asked
    }

    async fn text(&self, document: Document) -> String {
        let edition = self.ask(document).await.unwrap();
        String::from_utf8(octets(&edition, None)).unwrap()
    }

    async fn end(self) {
        self.stop.send(true).unwrap();
        timeout(WAIT, self.task).await.unwrap().unwrap();
        // Nothing is left over.
        let left = fs::read_dir(self.folder.path().join("export"));
        assert_eq!(left.map_or(0, Iterator::count), 0);
    }
}

fn octets(edition: &Edition, coding: Option<&str>) -> Vec<u8> {
    let form = edition.forms.iter().find(|form| form.coding == coding);
    let form = form.unwrap();
    let mut octets = vec![0; usize::try_from(form.length).unwrap()];
    form.file.read_exact_at(&mut octets, 0).unwrap();
    assert_eq!(form.file.metadata().unwrap().len(), form.length);
    octets
}

fn key(algorithm: Algorithm) -> Arc<SigningKey> {
    let pem = SigningKey::generate(algorithm, &SystemRandom::new()).unwrap();
    let key = SigningKey::from_pem(pem.as_bytes(), &SystemRandom::new());
    Arc::new(key.unwrap())
}

/// Unsigned, over HTTP alone.
fn plain() -> Recipe {
    Recipe::new(&Export::default(), &ExportKeys::default())
}

fn signed(sign: Option<Arc<SigningKey>>, gortr: Option<Arc<SigningKey>>) -> Recipe {
    let keys = ExportKeys {
        sign,
        gortr,
        ..ExportKeys::default()
    };
    Recipe::new(&Export::default(), &keys)
}

fn first(asns: &[u32]) -> Arc<Snapshot> {
    Arc::new(Snapshot::first(HistoryName::new([7; 16]), data(asns)))
}

#[tokio::test]
async fn nobody_is_given_a_document_of_before() {
    let running = Running::start(plain());
    let serial = |edition: &Edition| {
        let octets = octets(edition, None);
        let document = json::read(&octets[..], &json::Limits::default());
        document.unwrap().metadata.serial
    };
    // So many that they take a while.
    let mut many: Vec<u32> = (10..10_000).collect();
    let mut snapshot = first(&many);
    running.publish(&snapshot);
    let edition = running.ask(Document::Json).await.unwrap();
    assert_eq!(serial(&edition), Some(1));
    // While another document is made, and while that of the serial before is.
    for (number, other) in [(2, Document::Csv), (4, Document::Json)] {
        if other == Document::Json {
            many.push(3);
            snapshot = next(&snapshot, data(&many));
            running.publish(&snapshot);
        }
        let being_made = running.making(other).await;
        many.push(number);
        snapshot = next(&snapshot, data(&many));
        running.publish(&snapshot);
        let edition = running.ask(Document::Json).await.unwrap();
        assert_eq!(serial(&edition), Some(number));
        being_made.await.unwrap();
    }
    running.end().await;
}

#[tokio::test]
async fn a_document_that_comes_before_it_is_waited_for_is_seen() {
    let running = Running::start(plain());
    running.publish(&first(&[1]));
    let Editing::Coming(mut asked) = running.exporter.document(Document::Json) else {
        panic!("nothing is made yet");
    };
    let made = running.ask(Document::Json).await.unwrap();
    let at_once = poll_fn(|context| Poll::Ready(asked.as_mut().poll(context))).await;
    assert!(matches!(at_once, Poll::Ready(Ok(edition)) if Arc::ptr_eq(&edition, &made)));
    running.end().await;
}

/// A follower hears of payloads first, and then of what its leader knows of them.
#[tokio::test]
async fn a_document_is_made_anew_when_more_is_known_of_the_same_payloads() {
    let running = Running::start(plain());
    let leaders = |known, expires| Restored {
        v0_turn: 0,
        name: HistoryName::new([1; 16]),
        serial: Serial::new(7),
        revision: 2,
        data: data_until(&[1, 2], expires),
        known,
        steps: Vec::new(),
    };
    let first = Snapshot::restore(leaders(None, 5_000)).unwrap();
    running.publish(&Arc::new(first));
    let first = running.store.snapshot().unwrap();
    let before = running.ask(Document::Json).await.unwrap();
    assert!(running.text(Document::Json).await.contains("5000"));
    let (serial, revision) = (first.serial(), first.revision());
    let known = Some(Known { serial, revision });
    let second = first.restore_after(leaders(known, 6_000)).unwrap();
    running.publish(&Arc::new(second));
    let after = running.ask(Document::Json).await.unwrap();
    let text = running.text(Document::Json).await;
    assert!(text.contains("6000") && !text.contains("5000"), "{text}");
    assert_ne!(before.tag, after.tag);
    running.end().await;
}

#[tokio::test]
async fn every_coding_is_the_same_document_and_loses_nothing() {
    let running = Running::start(plain());
    let snapshot = first(&[64_496, 4_200_000_000]);
    running.publish(&snapshot);
    let edition = running.ask(Document::Json).await.unwrap();
    let plain = octets(&edition, None);
    let document = json::read(&plain[..], &json::Limits::default()).unwrap();
    assert_eq!(DataSet::new(&document.rows), *snapshot.data());
    assert_eq!(document.metadata.serial, Some(1));
    let mut gzip = Vec::new();
    let coded = octets(&edition, Some("gzip"));
    flate2::read::GzDecoder::new(&coded[..])
        .read_to_end(&mut gzip)
        .unwrap();
    let zstd = zstd::stream::decode_all(&octets(&edition, Some("zstd"))[..]).unwrap();
    assert!(gzip == plain && zstd == plain);
    let csv = running.text(Document::Csv).await;
    assert!(csv.contains("AS4200000000,192.0.2.0/24,24,"), "{csv}");
    assert!(running.text(Document::Bird).await.contains("as 64496;"));
    assert!(
        running
            .text(Document::OpenBgpd)
            .await
            .contains("source-as 64496")
    );
    // Unsigned is said, and not a wait.
    let refusal = running.ask(Document::Statement).await.unwrap_err();
    assert!(refusal.message.contains("export.sign-key"), "{refusal}");
    running.end().await;
}

#[tokio::test]
async fn a_document_follows_serial_and_revision_and_nothing_else() {
    let running = Running::start(plain());
    let one = first(&[1]);
    running.publish(&one);
    let before = running.ask(Document::Json).await.unwrap();
    let again = running.ask(Document::Json).await.unwrap();
    assert!(Arc::ptr_eq(&before, &again));
    let mut metrics = Exposition::new(Format::Text);
    running.exporter.counts().write(&mut metrics);
    let metrics = metrics.finish();
    assert!(metrics.contains("rutter_export_documents_total{document=\"json\"} 1\n"));
    let size = octets(&before, None).len();
    let size = format!("rutter_export_size_bytes{{document=\"json\"}} {size}\n");
    assert!(metrics.contains(&size), "{metrics}");
    let two = next(&one, data(&[1, 2]));
    running.publish(&two);
    let after = running.ask(Document::Json).await.unwrap();
    assert_ne!(before.tag, after.tag);
    // Whoever still reads the one before reads it to its end.
    assert!(
        !String::from_utf8(octets(&before, None))
            .unwrap()
            .contains("\"asn\":2")
    );
    let mut rows = RowsBuilder::new();
    for asn in [1, 2] {
        let vrp = Vrp::new("192.0.2.0/24".parse().unwrap(), 24, Asn::new(asn)).unwrap();
        rows.push_vrp(
            vrp,
            Attribute::new(Some(UnixTime::new(3)), Default::default()),
        );
    }
    let revised = next(&two, DataSet::new(&rows.finish()));
    assert_eq!((revised.serial(), revised.revision()), (two.serial(), 1));
    running.publish(&revised);
    let last = running.ask(Document::Json).await.unwrap();
    assert_ne!(last.tag, after.tag);
    running.store.withhold();
    assert!(running.ask(Document::Json).await.is_err());
    running.end().await;
}

#[tokio::test]
async fn both_signatures_are_on_what_is_given_out() {
    let gortr_key = key(Algorithm::Es256);
    let signing = key(Algorithm::EdDsa);
    let running = Running::start(signed(Some(signing.clone()), Some(gortr_key.clone())));
    let snapshot = first(&[65_001, 4_200_000_000]);
    running.publish(&snapshot);
    let edition = running.ask(Document::Json).await.unwrap();
    let statement = running.text(Document::Statement).await;
    let plain = octets(&edition, None);
    let keys = [signing.public().clone()];
    let statement = Statement::verify(statement.as_bytes(), &keys, unix_now()).unwrap();
    statement.is_on(&Digest::of(&plain)).unwrap();
    assert_eq!((statement.serial, statement.revision), (1, 0));
    let document: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    let about = &document["metadata"];
    let moment = |name: &str| UnixTime::new(about[name].as_u64().unwrap());
    let word = |name: &str| about[name].as_str().unwrap().to_owned();
    let digest = GortrDigest::of(snapshot.payload(), moment("generated"), moment("valid"));
    let fields = GortrSignature {
        signature: word("signature"),
        signature_date: word("signatureDate"),
    };
    digest
        .verify(&fields, &[gortr_key.public().clone()])
        .unwrap();
    running.end().await;
}

#[tokio::test]
async fn nothing_unsigned_takes_the_place_of_what_is_to_be_signed() {
    let sign = key(Algorithm::Es256);
    let running = Running::start(signed(Some(sign.clone()), None));
    let one = first(&[1]);
    running.publish(&one);
    let before = running.ask(Document::Json).await.unwrap();
    // By another key it is another document.
    let recipe = signed(Some(key(Algorithm::Es256)), None);
    running.config.send_replace(Arc::new(recipe));
    let deadline = Instant::now() + WAIT;
    while running.ask(Document::Json).await.unwrap().tag == before.tag {
        assert!(Instant::now() < deadline);
        yield_now().await;
    }
    // One that cannot sign as GoRTR does.
    let recipe = signed(Some(sign), Some(key(Algorithm::EdDsa)));
    running.config.send_replace(Arc::new(recipe));
    running.publish(&next(&one, data(&[2])));
    for document in [Document::Json, Document::Statement] {
        let refusal = running.ask(document).await.unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Unavailable);
        assert!(refusal.message.contains("P-256"), "{refusal}");
    }
    running.end().await;
}

#[tokio::test]
async fn a_document_is_signed_anew_at_half_of_its_time() {
    let running = Running::start(Recipe {
        valid: Duration::from_secs(2),
        ..plain()
    });
    let one = first(&[1]);
    running.publish(&one);
    let before = running.ask(Document::Json).await.unwrap();
    let deadline = Instant::now() + WAIT;
    let after = loop {
        let now = running.ask(Document::Json).await.unwrap();
        if now.tag != before.tag {
            break now;
        }
        assert!(Instant::now() < deadline);
        yield_now().await;
    };
    let made = after.modified.since(before.modified);
    assert!((1..=2).contains(&made), "{made}");
    running.end().await;
}

#[tokio::test]
async fn a_file_is_whole_at_every_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpki.json");
    let running = Running::start(Recipe {
        file: Some(path.clone()),
        ..plain()
    });
    let mut snapshot = first(&[1]);
    running.publish(&snapshot);
    let many: Vec<u32> = (1..2_000).collect();
    for turn in 2..12_u32 {
        let deadline = Instant::now() + WAIT;
        loop {
            let text = fs::read(&path).unwrap_or_default();
            if !text.is_empty() {
                let read = json::read(&text[..], &json::Limits::default()).unwrap();
                if read.metadata.serial == Some(turn - 1) {
                    break;
                }
            }
            assert!(Instant::now() < deadline, "serial {} not written", turn - 1);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        snapshot = next(&snapshot, data(&many[usize::try_from(turn).unwrap()..]));
        running.publish(&snapshot);
    }
    // A folder that is gone is said, and what is asked for over HTTP is there all the same.
    running.config.send_replace(Arc::new(Recipe {
        file: Some(folder.path().join("gone/rpki.json")),
        ..plain()
    }));
    running.ask(Document::Json).await.unwrap();
    running.end().await;
}
