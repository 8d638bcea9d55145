use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::super::{Content, Source, SourceError, unix_now};
use super::{Running, dated, document, gzip, list, serial, source, start};
use crate::payload::UnixTime;

/// What the issue promises.
const SOON: Duration = Duration::from_secs(1);

/// A folder with a file that is only looked at when the system says so.
struct Place {
    folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("json");
        Self { folder, path }
    }

    fn source(&self) -> Source {
        let mut source = source(self.path.to_str().unwrap());
        source.refresh = Duration::from_secs(3600);
        source
    }

    fn rename_into_place(&self, text: &str) {
        let new = self.folder.path().join(".json.new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &self.path).unwrap();
    }

    async fn started_with(&self, number: u32) -> Running {
        self.rename_into_place(&document(number));
        let mut running = start(self.source());
        assert_eq!(running.serial().await, number);
        running
    }
}

#[tokio::test]
async fn a_file_is_picked_up_when_it_is_renamed_into_place() {
    let place = Place::new();
    let mut running = place.started_with(1).await;
    for number in 2..5 {
        place.rename_into_place(&document(number));
        assert_eq!(serial(running.next_within(SOON).await), number);
    }
}

#[tokio::test]
async fn a_file_is_picked_up_when_it_is_rewritten() {
    let place = Place::new();
    let mut running = place.started_with(1).await;
    fs::write(&place.path, document(22)).unwrap();
    assert_eq!(serial(running.next_within(SOON).await), 22);
    fs::write(&place.path, gzip(&document(3))).unwrap();
    assert_eq!(serial(running.next_within(SOON).await), 3);
}

#[tokio::test]
async fn a_file_that_is_being_written_is_no_error() {
    let place = Place::new();
    let mut running = place.started_with(1).await;
    let text = document(2);
    let (first, last) = text.split_at(10);
    let mut file = fs::File::create(&place.path).unwrap();
    file.write_all(first.as_bytes()).unwrap();
    file.write_all(last.as_bytes()).unwrap();
    file.flush().unwrap();
    // It stays open: only quiet tells that it is complete.
    assert_eq!(serial(running.next_within(SOON).await), 2);
}

#[tokio::test]
async fn a_file_that_is_missing_is_an_error_until_it_appears() {
    let place = Place::new();
    let mut running = start(place.source());
    let error = running.error().await;
    assert!(matches!(error, SourceError::File { .. }), "{error}");
    fs::write(&place.path, document(1)).unwrap();
    assert_eq!(serial(running.next_within(SOON).await), 1);
}

#[tokio::test]
async fn the_same_file_is_not_delivered_twice() {
    let place = Place::new();
    let mut running = place.started_with(1).await;
    let away = place.folder.path().join("away");
    fs::rename(&place.path, &away).unwrap();
    let error = running.error().await;
    assert!(matches!(error, SourceError::File { .. }), "{error}");
    fs::rename(&away, &place.path).unwrap();
    // An end to the error, and no document.
    let content = running.next_within(SOON).await.unwrap();
    assert!(matches!(content, Content::Unchanged { .. }));
    // Neighbours that come and go are nothing to us.
    fs::write(&away, document(9)).unwrap();
    fs::remove_file(&away).unwrap();
    place.rename_into_place(&document(2));
    assert_eq!(serial(running.next_within(SOON).await), 2);
}

#[tokio::test]
async fn a_broken_document_is_one_error_and_then_well_again() {
    let place = Place::new();
    let mut running = place.started_with(1).await;
    place.rename_into_place("{\"roas\":");
    let error = running.error().await;
    assert!(matches!(error, SourceError::Document { .. }), "{error}");
    // Looked at again, and known.
    fs::write(place.folder.path().join("neighbour"), "").unwrap();
    fs::remove_file(place.folder.path().join("neighbour")).unwrap();
    place.rename_into_place(&document(2));
    assert_eq!(serial(running.next_within(SOON).await), 2);
}

#[tokio::test]
async fn a_kubernetes_volume_is_followed() {
    let place = Place::new();
    let folder = place.folder.path();
    for (version, number) in [("..v1", 1), ("..v2", 2)] {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("json"), document(number)).unwrap();
    }
    symlink("..v1", folder.join("..data")).unwrap();
    symlink("..data/json", &place.path).unwrap();
    let mut running = start(place.source());
    assert_eq!(running.serial().await, 1);
    symlink("..v2", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    assert_eq!(serial(running.next_within(SOON).await), 2);
}

#[tokio::test]
async fn a_folder_that_comes_later_is_found_by_looking() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("later");
    let path = inner.join("json");
    let mut source = source(path.to_str().unwrap());
    source.refresh = Duration::from_millis(20);
    let mut running = start(source);
    let error = running.error().await;
    assert!(matches!(error, SourceError::File { .. }), "{error}");
    let new = folder.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::write(new.join("json"), document(1)).unwrap();
    fs::rename(&new, &inner).unwrap();
    let number = loop {
        if let Ok(content) = running.next().await {
            break serial(Ok(content));
        }
    };
    assert_eq!(number, 1);
    assert!(matches!(
        running.next().await,
        Ok(Content::Unchanged { .. })
    ));
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let error = start(source("/dev/zero")).error().await;
    assert!(matches!(error, SourceError::NotAFile { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_once() {
    let place = Place::new();
    place.rename_into_place(&" ".repeat(100_000));
    let mut source = place.source();
    source.max_octets = 50_000;
    source.refresh = Duration::from_millis(20);
    let mut running = start(source);
    let error = running.error().await;
    assert!(error.to_string().contains("octets") || error.to_string().contains("refused"));
    place.rename_into_place(&document(2));
    assert_eq!(running.serial().await, 2);
}

#[tokio::test]
async fn who_asks_is_answered_whatever_there_is() {
    let place = Place::new();
    let mut running = place.started_with(1).await;
    let content = running.ask(1).await.unwrap();
    assert!(matches!(content, Content::Unchanged { arrived: None }));
    // What is known to be broken is read again for it.
    place.rename_into_place("{\"roas\":");
    assert_eq!(running.error().await.kind(), "cut_short");
    assert_eq!(running.ask(2).await.unwrap_err().kind(), "cut_short");
    fs::remove_file(&place.path).unwrap();
    assert_eq!(running.ask(3).await.unwrap_err().kind(), "file");
    place.rename_into_place(&document(4));
    while running.ask(4).await.is_err() {}
}

#[tokio::test]
async fn a_file_that_states_no_time_is_as_old_as_it_is() {
    let place = Place::new();
    fs::write(&place.path, document(1)).unwrap();
    let file = fs::File::options().write(true).open(&place.path).unwrap();
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_modified(at(1_000_000)).unwrap();
    let list_of = list(start(place.source()).next().await);
    assert_eq!(list_of.arrived, UnixTime::new(1_000_000));
    assert_eq!((list_of.stated, list_of.dated()), (None, list_of.arrived));
    // A clock that was ahead makes nothing younger than it is.
    file.set_modified(at(40_000_000_000)).unwrap();
    let list_of = list(start(place.source()).next().await);
    assert!(list_of.arrived <= unix_now());
}

#[tokio::test]
async fn a_stale_file_is_refused_while_there_is_better_and_read_once() {
    let now = unix_now().seconds();
    let place = Place::new();
    place.rename_into_place(&dated(now - 900_000, 1));
    let mut running = start(place.source());
    // The first is for the pipeline to judge.
    let first = list(running.next().await);
    assert_eq!(first.stated, Some(UnixTime::new(now - 900_000)));
    place.rename_into_place(&dated(now - 60, 2));
    list(running.next().await);

    place.rename_into_place(&dated(now - 900_000, 1));
    let error = running.error().await;
    assert!(matches!(error, SourceError::Stale { .. }), "{error}");
    assert_eq!(error.kind(), "stale");
    // Looked at again, and known: the next word is about the next file.
    fs::write(place.folder.path().join("neighbour"), "").unwrap();
    fs::remove_file(place.folder.path().join("neighbour")).unwrap();
    place.rename_into_place(&dated(now + 7_200, 3));
    let error = running.error().await;
    assert!(matches!(error, SourceError::FromFuture { .. }), "{error}");
    assert_eq!(error.kind(), "future");
    place.rename_into_place(&dated(now, 4));
    list(running.next().await);
}
