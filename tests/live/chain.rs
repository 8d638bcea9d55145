//! From one server to the next, over RTR.

use rutter::config::{Origin, Source};
use rutter::daemon::source::{Content, SourceError};
use rutter::payload::{DataSet, PayloadSet, Rows};
use tokio::runtime::Runtime;

use super::cache::Cache;
use super::reading::Reading;
use crate::support::payloads::{Payloads, Prng};
use crate::support::temp_dir;

/// What a source makes of a cache is what the cache made of its file.
fn of_file(payloads: &Payloads) -> PayloadSet {
    let folder = temp_dir();
    let path = folder.path().join("vrps.json");
    payloads.write_json(&path);
    let file = std::fs::File::open(path).unwrap();
    let document = rutter::json::read(file, &rutter::json::Limits::default()).unwrap();
    set(&document.rows)
}

fn set(rows: &Rows) -> PayloadSet {
    DataSet::new(rows).payload().clone()
}

#[test]
fn a_cache_of_ours_is_followed_through_changes_and_a_restart() {
    let mut random = Prng::new(7);
    let old = Payloads::all_kinds(30_000, &mut random);
    let new = old.changed(300, 200, &mut random);
    let cache = Cache::start(&old, &[]);
    let address = cache.address();
    let endpoint = format!("tcp://{address}");
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let source = Source::new("upstream", Origin::At(endpoint.parse().unwrap()));
        let mut reading = Reading::start(source);
        let first = reading.list().await;
        assert!(set(&first.rows) == of_file(&old));
        assert_eq!(&*first.dialect, "RTR version 2");
        assert!(matches!(
            reading.ask().await,
            Ok(Content::Unchanged { arrived: Some(_) })
        ));

        cache.publish(&new);
        let second = reading.list().await;
        assert!(set(&second.rows) == of_file(&new));
        assert!(second.serial > first.serial);

        // Another process with another history, at the same place.
        let folder = cache.kill();
        let error = reading.next().await.result.unwrap_err();
        assert!(matches!(error, SourceError::Cache { .. }), "{error}");
        old.write_json(&folder.path().join("vrps.json"));
        let path = folder.path().join("vrps.json");
        let path = path.to_str().unwrap().to_owned();
        let at = address.to_string();
        let _cache = Cache::start_with(folder, &["--source", &path], &at, &[]);
        match reading.ask().await.unwrap() {
            Content::List(list) | Content::Mirror(list, _) => {
                assert!(set(&list.rows) == of_file(&old))
            }
            Content::Unchanged { .. } => unreachable!("another list"),
        }
    });
}
