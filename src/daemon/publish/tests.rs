//! Feeds laid out in folders.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{advance, timeout};

use super::*;
use crate::feed::manifest::{DeltaRef, SnapshotRef};
use crate::feed::{FileName, Manifest};
use crate::http::backend::Announcement;
use crate::http::metrics::{Exposition, Format};
use crate::payload::UnixTime;
use crate::rtr::snapshot::Trigger;
use crate::rtr::{HistoryName, Serial, Timing};
use crate::sign::Digest;

/// When the first manifest of these tests was made.
pub(in crate::daemon) const NOON: u64 = 1_800_000_000;

/// A state directory with files, and the manifests of them.
pub(in crate::daemon) struct Press {
    pub(in crate::daemon) folder: TempDir,
    history: HistoryName,
}

impl Press {
    pub(in crate::daemon) fn new(history: u8) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            history: HistoryName::new([history; 16]),
        }
    }

    fn file(&self, name: FileName, content: &str) -> Digest {
        let path = self.folder.path().join(name.to_string());
        fs::write(path, content).unwrap();
        Digest::of(content.as_bytes())
    }

    /// A manifest of this serial with the set at 1 and all steps from there, whose files are
    /// there.
    pub(in crate::daemon) fn manifest(&self, serial: u32) -> Manifest {
        let history = self.history;
        let deltas = (1..serial).map(|from| {
            let from = Serial::new(from);
            let to = from.next();
            let name = FileName::Delta { history, from, to };
            DeltaRef {
                from,
                to,
                time: UnixTime::new(NOON),
                trigger: Trigger::Source,
                digest: self.file(name, &format!("step {from}")),
                replaced: None,
            }
        });
        let first = Serial::new(1);
        let name = FileName::Snapshot {
            history,
            serial: first,
        };
        let issued = UnixTime::new(NOON + u64::from(serial));
        Manifest {
            history,
            serial: Serial::new(serial),
            revision: 0,
            timing: Timing::RECOMMENDED,
            issued,
            valid_until: issued.plus(7_200),
            snapshot: SnapshotRef {
                serial: first,
                digest: self.file(name, "set"),
            },
            attributes: None,
            mirrored: false,
            deltas: deltas.collect(),
        }
    }

    pub(in crate::daemon) fn bulletin(
        &self,
        manifest: Manifest,
        signed: Option<String>,
    ) -> Arc<Bulletin> {
        let (is_signed, plain) = (signed.is_some(), manifest.to_plain());
        let text = Bytes::from(signed.unwrap_or(plain));
        Arc::new(Bulletin {
            announcement: Arc::new(Announcement {
                tag: crate::sign::hex::encode(&Digest::of(&text).sha256).into(),
                text,
                signed: is_signed,
                issued: manifest.issued,
                valid_until: manifest.valid_until,
                folder: self.folder.path().into(),
            }),
            manifest,
        })
    }

    fn plain(&self, serial: u32) -> Arc<Bulletin> {
        self.bulletin(self.manifest(serial), None)
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Everything that a manifest in a folder names is there as it says.
fn is_whole(folder: &Path, name: &str) -> Manifest {
    let manifest = Manifest::read_plain(&fs::read(folder.join(name)).unwrap()).unwrap();
    for (name, digest) in manifest.files() {
        let content = fs::read(folder.join(name.to_string())).unwrap();
        assert_eq!(Digest::of(&content), digest, "{name}");
    }
    manifest
}

#[tokio::test(start_paused = true)]
async fn a_folder_gets_the_files_and_then_the_manifest() {
    let (press, web) = (Press::new(1), tempfile::tempdir().unwrap());
    let path = web.path().join("a/feed");
    let mut folder = Folder::new(&path);
    let first = press.plain(3);
    folder.lay(&first).await.unwrap();
    assert_eq!(is_whole(&path, "manifest.json"), first.manifest);
    assert_eq!(names(&path).len(), 4);
    // They are the same files, which cost nothing.
    let (name, _) = first.manifest.files().next().unwrap();
    let inode = |folder: &Path| {
        let data = fs::metadata(folder.join(name.to_string())).unwrap();
        (data.ino(), data.mode() & 0o777)
    };
    assert_eq!(inode(&path), inode(press.folder.path()));
    // The next one brings what is new, and leaves the others.
    let second = press.plain(4);
    folder.lay(&second).await.unwrap();
    assert_eq!(is_whole(&path, "manifest.json"), second.manifest);
    assert_eq!(names(&path).len(), 5);
    // Signed, it takes the place of the one that is not.
    let signed = press.bulletin(press.manifest(4), Some("signed".to_owned()));
    folder.lay(&signed).await.unwrap();
    assert_eq!(fs::read(path.join("manifest.jws")).unwrap(), b"signed");
    assert!(!path.join("manifest.json").exists());
}

#[tokio::test(start_paused = true)]
async fn what_others_cannot_read_is_copied() {
    let (press, web) = (Press::new(1), tempfile::tempdir().unwrap());
    let bulletin = press.plain(2);
    for name in names(press.folder.path()) {
        let path = press.folder.path().join(name);
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }
    Folder::new(web.path()).lay(&bulletin).await.unwrap();
    is_whole(web.path(), "manifest.json");
    for name in names(web.path()) {
        let mode = fs::metadata(web.path().join(&name)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_named_goes_after_a_while() {
    let (press, web) = (Press::new(1), tempfile::tempdir().unwrap());
    let other = ["index.html", ".htaccess", "manifest.json.bak"];
    for name in other {
        fs::write(web.path().join(name), "x").unwrap();
    }
    let half = format!(".{}.new", press.manifest(1).snapshot_name());
    fs::write(web.path().join(&half), "x").unwrap();
    let mut folder = Folder::new(web.path());
    folder.lay(&press.plain(3)).await.unwrap();
    assert!(!web.path().join(half).exists());
    let next = Press::new(2);
    let bulletin = next.plain(2);
    folder.lay(&bulletin).await.unwrap();
    advance(leftovers::GRACE / 2).await;
    folder.lay(&bulletin).await.unwrap();
    // Three of the first history, two of the next, the manifest, and what is not ours.
    assert_eq!(names(web.path()).len(), 3 + 2 + 1 + 3);
    advance(leftovers::GRACE / 2).await;
    folder.lay(&bulletin).await.unwrap();
    is_whole(web.path(), "manifest.json");
    let left = names(web.path());
    assert_eq!(left.len(), 2 + 1 + 3, "{left:?}");
    assert!(other.iter().all(|name| left.contains(*name)), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_there_is_brought_again() {
    let (press, web) = (Press::new(1), tempfile::tempdir().unwrap());
    let bulletin = press.plain(2);
    let (name, _) = bulletin.manifest.files().next().unwrap();
    let there = web.path().join(name.to_string());
    fs::write(&there, "not").unwrap();
    Folder::new(web.path()).lay(&bulletin).await.unwrap();
    is_whole(web.path(), "manifest.json");
    // Another start looks at all of it again; a link that leads elsewhere is no file of ours.
    fs::remove_file(&there).unwrap();
    let secret = web.path().join("secret");
    fs::write(&secret, "set").unwrap();
    std::os::unix::fs::symlink(&secret, &there).unwrap();
    Folder::new(web.path()).lay(&bulletin).await.unwrap();
    assert!(there.symlink_metadata().unwrap().is_file());
    is_whole(web.path(), "manifest.json");
}

#[tokio::test(start_paused = true)]
async fn what_the_manifest_does_not_mean_is_not_laid_out() {
    let (press, web) = (Press::new(1), tempfile::tempdir().unwrap());
    let mut folder = Folder::new(web.path());
    let first = press.plain(1);
    folder.lay(&first).await.unwrap();
    let second = press.plain(2);
    let step = second.manifest.delta_name(&second.manifest.deltas[0]);
    let step = press.folder.path().join(step.to_string());
    fs::write(&step, "other").unwrap();
    let error = folder.lay(&second).await.unwrap_err();
    assert!(matches!(error, PublishError::Stale(_)), "{error:?}");
    fs::remove_file(&step).unwrap();
    let error = folder.lay(&second).await.unwrap_err();
    assert!(matches!(error, PublishError::File(..)), "{error:?}");
    assert_eq!(is_whole(web.path(), "manifest.json"), first.manifest);
}

/// A place with its task.
pub(super) struct Job {
    pub(super) bulletins: watch::Sender<Option<Arc<Bulletin>>>,
    pub(super) standing: Arc<Standing>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) task: JoinHandle<()>,
}

pub(super) fn start(place: Place) -> Job {
    let (bulletins, heard) = watch::channel(None);
    let (stop, stopped) = watch::channel(false);
    let standing = Standing::new("there");
    let task = run(place, heard, Arc::clone(&standing), stopped);
    Job {
        bulletins,
        standing,
        stop,
        task: tokio::spawn(task),
    }
}

pub(super) fn metrics(standing: &Arc<Standing>) -> String {
    let mut out = Exposition::new(Format::Text);
    write_metrics(&mut out, &[Arc::clone(standing)]);
    out.finish()
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_and_tried_again() {
    let (press, web) = (Press::new(1), tempfile::tempdir().unwrap());
    let path = web.path().join("feed");
    // A file stands where the folder should.
    fs::write(&path, "x").unwrap();
    let job = start(Place::Folder(Folder::new(&path)));
    job.bulletins.send_replace(Some(press.plain(1)));
    while warnings(&[Arc::clone(&job.standing)]).is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    let [warning] = &*warnings(&[Arc::clone(&job.standing)]) else {
        panic!()
    };
    assert!(
        warning.contains("cannot be laid out in there: "),
        "{warning}"
    );
    fs::remove_file(&path).unwrap();
    // Nothing new is announced: it tries by itself.
    let there = path.join("manifest.json");
    let tried = async {
        while !there.exists() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(WAITS[1] * 2, tried).await.unwrap();
    while !warnings(&[Arc::clone(&job.standing)]).is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    let text = metrics(&job.standing);
    for line in [
        "rutter_publish_total{place=\"there\"} 1\n",
        "rutter_publish_fenced{place=\"there\"} 0\n",
        &format!(
            "rutter_publish_issued_timestamp_seconds{{place=\"there\"}} {}\n",
            NOON + 1
        ),
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    job.stop.send_replace(true);
    timeout(Duration::from_secs(1), job.task)
        .await
        .unwrap()
        .unwrap();
}
