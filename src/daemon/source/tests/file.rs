use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::super::{Content, Source, SourceError};
use super::{Running, document, gzip, serial, source, start};

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
    assert!(matches!(content, Content::Unchanged));
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
    assert!(matches!(running.next().await, Ok(Content::Unchanged)));
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = start(source(folder.path().to_str().unwrap())).error().await;
    assert!(matches!(error, SourceError::NotAFile { .. }), "{error}");
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
