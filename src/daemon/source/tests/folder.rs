use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::super::{Content, SourceError, unix_now};
use super::{Running, dated, gzip, list, source, start};
use crate::payload::UnixTime;

fn run(folder: &TempDir) -> Running {
    let mut source = source(folder.path().to_str().unwrap());
    source.refresh = Duration::from_secs(3600);
    start(source)
}

fn put(folder: &Path, name: &str, octets: impl AsRef<[u8]>) {
    let new = folder.join(".new");
    fs::write(&new, octets).unwrap();
    fs::rename(&new, folder.join(name)).unwrap();
}

#[tokio::test]
async fn the_documents_of_a_folder_are_one_list() {
    let now = unix_now().seconds();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(at, "a.json", dated(now - 50, 1));
    put(at, "b.json.gz", gzip(&dated(now - 70, 2)));
    put(
        at,
        "c.csv",
        "ASN,IP Prefix,Max Length,Trust Anchor\nAS3,192.0.2.0/24,24,x\n",
    );
    put(at, "notes.txt", "not for us");
    put(at, ".hidden.json", "nor this");
    fs::create_dir(at.join("folder.json")).unwrap();
    let mut running = run(&folder);
    let all = list(running.next().await);
    let origins: Vec<u32> = all
        .rows
        .v4()
        .records()
        .iter()
        .map(|vrp| vrp.asn().into_u32())
        .collect();
    assert_eq!(origins, [3, 2, 1]);
    assert_eq!(&*all.dialect, "3 files");
    assert_eq!((all.listed, all.stated), (3, Some(UnixTime::new(now - 70))));

    // What is renamed into it is picked up, and what goes, too.
    put(at, "d.json", dated(now, 4));
    assert_eq!(list(running.next().await).rows.v4().len(), 4);
    fs::remove_file(at.join("b.json.gz")).unwrap();
    assert_eq!(list(running.next().await).rows.v4().len(), 3);
    let content = running.ask(1).await.unwrap();
    assert!(matches!(content, Content::Unchanged { .. }));
}

#[tokio::test]
async fn a_folder_that_comes_later_is_watched_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("later");
    let mut source = source(inner.to_str().unwrap());
    source.refresh = Duration::from_secs(3600);
    let mut running = start(source);
    assert_eq!(running.error().await.kind(), "file");
    fs::create_dir(&inner).unwrap();
    put(&inner, "a.json", dated(1, 1));
    assert_eq!(list(running.next().await).rows.v4().len(), 1);
    put(&inner, "b.json", dated(1, 2));
    assert_eq!(list(running.next().await).rows.v4().len(), 2);
}

#[tokio::test]
async fn one_bad_document_spoils_a_folder_until_it_is_mended() {
    let now = unix_now().seconds();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(at, "a.json", dated(now, 1));
    let mut running = run(&folder);
    list(running.next().await);
    put(at, "b.json", "<!DOCTYPE html><html>");
    let error = running.error().await;
    let SourceError::InFolder { path, .. } = &error else {
        unreachable!("{error}");
    };
    assert_eq!(path, &at.join("b.json"));
    assert_eq!(error.kind(), "html");
    assert!(error.to_string().contains("b.json"), "{error}");
    put(at, "b.json", dated(now, 2));
    assert_eq!(list(running.next().await).rows.v4().len(), 2);
}

#[tokio::test]
async fn a_folder_without_documents_or_with_too_many_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut running = run(&folder);
    let error = running.error().await;
    assert!(error.to_string().starts_with("no documents in"), "{error}");
    put(at, "a.json", dated(1, 1));
    list(running.next().await);

    for number in 0..1_000 {
        fs::hard_link(at.join("a.json"), at.join(format!("{number}.json"))).unwrap();
    }
    let error = running.ask(1).await.unwrap_err();
    assert!(
        matches!(error, SourceError::TooManyDocuments { .. }),
        "{error}"
    );
    assert_eq!(error.kind(), "folder");
}
