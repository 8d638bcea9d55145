//! What leads from the state directory to followers: the announcer, and the places where the feed
//! is laid out; and how a reload changes them.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::announce::{Announcer, Bulletin, Rules};
use super::pipeline::unix_now;
use super::publish::{self, Folder, Place, PublishError, Standing};
use super::stock::Stock;
use super::tasks::{Stop, stopper};
use crate::config::{Bucket, Config, ExportKeys};
use crate::http::backend::Announcement;
use crate::net::files::FileError;

/// What a configuration and its files say of the export.
#[derive(Debug)]
pub struct Prepared {
    /// The keys that sign.
    pub keys: ExportKeys,
    rules: Rules,
    places: Vec<(Wanted, Place)>,
}

/// A place as it is configured.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Wanted {
    Folder(PathBuf),
    Bucket(Bucket),
}

impl Wanted {
    fn name(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Bucket(bucket) => format!("s3://{}", bucket.place()),
        }
    }
}

impl Prepared {
    /// Reads the files with keys and credentials. Blocks.
    ///
    /// # Errors
    ///
    /// With everything that is wrong with them, a line for each file.
    pub fn load(config: &Config) -> Result<Self, String> {
        let lines = |errors: Vec<FileError>| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            lines.join("\n")
        };
        let export = &config.export;
        let mut keys = ExportKeys::load(export).map_err(lines)?;
        let mut places = Vec::new();
        if let Some(path) = &export.folder {
            let place = Place::Folder(Folder::new(path));
            places.push((Wanted::Folder(path.clone()), place));
        }
        if let Some(bucket) = &export.bucket {
            let place = bucket_place(bucket, &mut keys).map_err(|error| lines(vec![error]))?;
            places.push((Wanted::Bucket(bucket.clone()), place));
        }
        Ok(Self {
            rules: Rules::new(export, &keys, config.rtr.timing.expire()),
            keys,
            places,
        })
    }

    /// What is unwise about the files, a line each.
    pub fn warnings(&self) -> &[String] {
        &self.keys.warnings
    }
}

#[cfg(feature = "object-store")]
fn bucket_place(bucket: &Bucket, keys: &mut ExportKeys) -> Result<Place, FileError> {
    if bucket.credentials()?.is_public {
        let file = bucket.credentials.display();
        keys.warnings
            .push(format!("{file}: everybody can read this secret"));
    }
    let shelf = publish::bucket::Shelf::new(bucket, keys)?;
    Ok(Place::Bucket(Box::new(shelf)))
}

#[cfg(not(feature = "object-store"))]
fn bucket_place(bucket: &Bucket, _keys: &mut ExportKeys) -> Result<Place, FileError> {
    // The configuration is refused before.
    let cause = "this build has no storage";
    Err(FileError::new(&bucket.credentials, cause))
}

/// Takes what is in storage as the state of this server, when its state directory was never used.
/// To be called before the directory is opened and anything is served.
///
/// # Errors
///
/// When storage cannot be asked, or what is there cannot be believed: who cannot know whether there
/// is a history to go on with does not begin another one.
#[cfg_attr(
    not(feature = "object-store"),
    expect(
        clippy::unused_async,
        reason = "nobody is asked in a build without storage"
    )
)]
pub async fn take_over(config: &Config, keys: &ExportKeys) -> Result<(), PublishError> {
    let (Some(state_dir), Some(bucket)) = (&config.state_dir, &config.export.bucket) else {
        return Ok(());
    };
    #[cfg(feature = "object-store")]
    if let publish::bucket::Restored::Taken { history, serial } =
        publish::bucket::restore(bucket, keys, state_dir, unix_now()).await?
    {
        tracing::info!(%history, %serial, "the history in storage is gone on with");
    }
    #[cfg(not(feature = "object-store"))]
    let _ = (state_dir, bucket, keys);
    Ok(())
}

/// Everything that leads to followers.
pub struct Outlets {
    rules: watch::Sender<Rules>,
    feed: watch::Receiver<Option<Arc<Announcement>>>,
    bulletins: watch::Receiver<Option<Arc<Bulletin>>>,
    running: Vec<Running>,
    stopped: watch::Receiver<bool>,
}

struct Running {
    wanted: Wanted,
    standing: Arc<Standing>,
    _stop: Stop,
}

impl Outlets {
    /// Starts them. `stock` is what the disk holds.
    pub fn start(
        stock: watch::Receiver<Option<Arc<Stock>>>,
        prepared: Prepared,
        stopped: watch::Receiver<bool>,
        works: &mut JoinSet<()>,
    ) -> Self {
        let (rules, heard) = watch::channel(prepared.rules.clone());
        let announcer = Announcer::new(stock, heard, unix_now);
        let (feed, bulletins) = (announcer.feed(), announcer.bulletins());
        works.spawn(announcer.run(stopped.clone()));
        let mut outlets = Self {
            rules,
            feed,
            bulletins,
            running: Vec::new(),
            stopped,
        };
        outlets.configure(prepared, works);
        outlets
    }

    /// Goes on as another configuration says. A place that is in both goes on as it is: one where
    /// somebody else was found to write is not written to again before a restart.
    pub fn configure(&mut self, prepared: Prepared, works: &mut JoinSet<()>) {
        let mut before = std::mem::take(&mut self.running);
        for (wanted, place) in prepared.places {
            let known = before.iter().position(|running| running.wanted == wanted);
            let running = match known {
                Some(known) => before.swap_remove(known),
                None => self.open(wanted, place, works),
            };
            self.running.push(running);
        }
        self.rules.send_replace(prepared.rules);
    }

    fn open(&self, wanted: Wanted, place: Place, works: &mut JoinSet<()>) -> Running {
        let (stop, stopped) = stopper(&self.stopped, works);
        let standing = Standing::new(wanted.name());
        let (bulletins, known) = (self.bulletins.clone(), Arc::clone(&standing));
        works.spawn(publish::run(place, bulletins, known, stopped));
        Running {
            wanted,
            standing,
            _stop: stop,
        }
    }

    /// What followers are told over HTTP.
    pub fn feed(&self) -> watch::Receiver<Option<Arc<Announcement>>> {
        self.feed.clone()
    }

    /// How it stands with each place.
    pub fn standings(&self) -> Vec<Arc<Standing>> {
        let running = self.running.iter();
        running.map(|place| Arc::clone(&place.standing)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::authority::Authority;
    use super::super::publish::tests::Press;
    use super::*;
    use crate::config::Settings;

    fn prepared(folder: Option<&Path>) -> Prepared {
        let demo = Settings {
            demo: true,
            ..Settings::default()
        };
        let (mut config, _) = Config::new(&demo).unwrap();
        config.export.folder = folder.map(Path::to_owned);
        config.export.feed = true;
        Prepared::load(&config).unwrap()
    }

    fn stock(press: &Press, serial: u32) -> Option<Arc<Stock>> {
        Some(Arc::new(Stock {
            manifest: press.manifest(serial),
            folder: press.folder.path().into(),
            authority: Authority::Own,
            served: true,
        }))
    }

    async fn appears(file: &Path) {
        let there = async {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), there).await.unwrap();
    }

    #[tokio::test]
    async fn a_reload_opens_and_closes_places() {
        let (press, web) = (Press::new(1), tempfile::tempdir().unwrap());
        let (one, other) = (web.path().join("one"), web.path().join("other"));
        let (stock, heard) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let mut works = JoinSet::new();
        let mut outlets = Outlets::start(heard, prepared(Some(&one)), stopped, &mut works);
        let mut feed = outlets.feed();
        stock.send_replace(self::stock(&press, 1));
        appears(&one.join("manifest.json")).await;
        feed.changed().await.unwrap();
        assert!(feed.borrow().is_some());
        // The same again is left as it is.
        let before = outlets.standings();
        outlets.configure(prepared(Some(&one)), &mut works);
        assert!(Arc::ptr_eq(&before[0], &outlets.standings()[0]));
        outlets.configure(prepared(Some(&other)), &mut works);
        appears(&other.join("manifest.json")).await;
        assert_eq!(outlets.standings()[0].name(), other.display().to_string());
        outlets.configure(prepared(None), &mut works);
        assert!(outlets.standings().is_empty());
        assert!(feed.borrow().is_some());
        stop.send_replace(true);
        let all = async { while works.join_next().await.is_some() {} };
        timeout(Duration::from_secs(20), all).await.unwrap();
    }

    #[test]
    fn what_is_wrong_with_keys_is_told() {
        let demo = Settings {
            demo: true,
            ..Settings::default()
        };
        let (mut config, _) = Config::new(&demo).unwrap();
        config.export.sign_key = Some("/nowhere/a".into());
        config.export.gortr_key = Some("/nowhere/b".into());
        let errors = Prepared::load(&config).unwrap_err();
        let lines: Vec<&str> = errors.lines().collect();
        assert!(lines[0].starts_with("/nowhere/a: ") && lines[1].starts_with("/nowhere/b: "));
    }
}
