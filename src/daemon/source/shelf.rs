//! The last good list of a source, kept for the next start.
//!
//! Its set and what is known of the payloads lie compressed in two files of the forms that a feed
//! has, under names made of their digests; a third one says what else is known of the list, and
//! names the two. It is replaced last, so that a list is there whole or not at all. What is not
//! believed is not used, and said: the source then starts without.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{info, warn};

use super::list::{Conditions, List};
use super::unix_now;
use crate::config::Source;
use crate::daemon::sets;
use crate::feed::attributes;
use crate::feed::snapshot;
use crate::feed::{FeedError, Sealed};
use crate::net::files;
use crate::payload::{DataSet, UnixTime};
use crate::sign::{Digest, hex};

/// The format. It grows when a version before would go wrong with it.
const FORMAT: u32 = 1;

/// Fast: the disk is not what is scarce.
const LEVEL: i32 = 1;

/// The least time between two notes that a list is still what a source has.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// The longest note.
const MAX_NOTE: u64 = 64 * 1024;

/// Where the list of one source is kept.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    /// Whose list it is: another place under the same name is another source, and what nobody had
    /// to sign is no list of a source that must be signed.
    of: String,
    max_octets: u64,
    source: Box<str>,
    /// What is written last, and when.
    noted: Option<(Note, Instant)>,
    failing: bool,
}

/// What is known of a list beside its payloads.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Note {
    format: u32,
    of: String,
    dialect: String,
    stated: Option<u64>,
    valid: Option<u64>,
    arrived: u64,
    listed: usize,
    skipped: usize,
    first_skipped: Option<String>,
    serial: Option<u32>,
    expire: Option<u64>,
    conditions: Conditions,
    set: Seal,
    attributes: Seal,
    /// The digest of all this without it, against accidents.
    check: String,
}

/// A file, uncompressed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Seal {
    octets: u64,
    sha256: String,
}

impl Seal {
    fn of(digest: &Digest) -> Self {
        Self {
            octets: digest.octets,
            sha256: hex::encode(&digest.sha256),
        }
    }

    fn digest(&self) -> Option<Digest> {
        let sha256 = hex::decode(&self.sha256)?.try_into().ok()?;
        let octets = self.octets;
        Some(Digest { octets, sha256 })
    }

    fn name(&self, ending: &str) -> String {
        let short = self.sha256.get(..32).unwrap_or(&self.sha256);
        format!("{short}.{ending}.zst")
    }
}

impl Note {
    fn checked(mut self) -> Self {
        self.check = self.digest();
        self
    }

    fn digest(&self) -> String {
        let bare = Self {
            check: String::new(),
            ..self.clone()
        };
        // Nothing in it can fail.
        let text = serde_json::to_vec(&bare).unwrap_or_default();
        hex::encode(&Digest::of(&text).sha256)
    }
}

impl Shelf {
    /// The shelf of a source.
    pub(super) fn new(folder: PathBuf, source: &Source) -> Self {
        Self {
            folder,
            of: match &source.verify {
                None => source.origin.to_string(),
                Some(verify) => format!("{} {verify:?}", source.origin),
            },
            max_octets: source.max_octets,
            source: source.name.clone(),
            noted: None,
            failing: false,
        }
    }

    /// The list that was kept, if there is one that can be believed.
    pub(super) async fn restore(&mut self) -> Option<List> {
        let (folder, limit) = (self.folder.clone(), self.max_octets);
        let read = spawn_blocking(move || read(&folder, limit)).await;
        let name = &self.source;
        match read {
            Ok(Ok((note, mut list))) if note.of == self.of => {
                // While it is away, nobody else ends it.
                let end = |expire: Duration| list.arrived.plus(expire.as_secs());
                list.valid = list.valid.or_else(|| list.expire.map(end));
                info!(source = %name, rows = list.rows.len(), dated = %list.dated(), "list of source restored");
                self.noted = Some((note, Instant::now()));
                Some(list)
            }
            // Of another place.
            Ok(Ok(_)) => None,
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Ok(Err(error)) => {
                warn!(source = %name, %error, "the kept list of a source is not believed");
                None
            }
            Err(error) => {
                warn!(source = %name, %error, "the kept list of a source was not read");
                None
            }
        }
    }

    /// Keeps a list, after it was delivered.
    pub(super) async fn keep(&mut self, list: Box<List>) {
        let (folder, of) = (self.folder.clone(), self.of.clone());
        let before = self.noted.take().map(|(note, _)| note);
        let done = spawn_blocking(move || put(&folder, of, &list, before.as_ref())).await;
        self.told(done.unwrap_or_else(|error| Err(io::Error::other(error))));
    }

    /// Notes that the list is still what the source has, now and then.
    pub(super) async fn renew(&mut self, arrived: UnixTime) {
        let Some((note, at)) = &self.noted else {
            return;
        };
        if at.elapsed() < NOTE_EVERY || note.arrived == arrived.seconds() {
            return;
        }
        let note = Note {
            arrived: arrived.seconds(),
            ..note.clone()
        };
        let (folder, note) = (self.folder.clone(), note.checked());
        let done = spawn_blocking(move || put_note(&folder, &note).map(|()| note)).await;
        self.told(done.unwrap_or_else(|error| Err(io::Error::other(error))));
    }

    fn told(&mut self, done: io::Result<Note>) {
        let source = &self.source;
        match done {
            Ok(note) => {
                if std::mem::take(&mut self.failing) {
                    info!(%source, "list of source kept again");
                }
                self.noted = Some((note, Instant::now()));
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(%source, %error, "list of source not kept");
                }
            }
        }
    }
}

const NOTE: &str = "list.json";

fn put(folder: &Path, of: String, list: &List, before: Option<&Note>) -> io::Result<Note> {
    fs::create_dir_all(folder)?;
    let data = DataSet::new(&list.rows);
    let set = snapshot::digest(data.payload());
    let note_set = Seal::of(&set);
    if before.is_none_or(|before| before.set != note_set) {
        put_packed(folder, &note_set.name("set"), |out| {
            snapshot::write(data.payload(), out)
        })?;
    }
    let mut sealed = Sealed::new(io::sink());
    attributes::write(&data, &set, &mut sealed)?;
    let note_attributes = Seal::of(&sealed.finish());
    if before.is_none_or(|before| before.attributes != note_attributes) {
        put_packed(folder, &note_attributes.name("attributes"), |out| {
            attributes::write(&data, &set, out)
        })?;
    }
    let note = Note {
        format: FORMAT,
        of,
        dialect: list.dialect.to_string(),
        stated: list.stated.map(UnixTime::seconds),
        valid: list.valid.map(UnixTime::seconds),
        arrived: list.arrived.seconds(),
        listed: list.listed,
        skipped: list.skipped,
        first_skipped: list.first_skipped.clone(),
        serial: list.serial,
        expire: list.expire.map(|expire| expire.as_secs()),
        // Several ASPAs of a customer are one in a set. Such a list is asked for again.
        conditions: match data.payload().len() == list.rows.len() {
            true => list.conditions.clone(),
            false => Conditions::default(),
        },
        set: note_set,
        attributes: note_attributes,
        check: String::new(),
    }
    .checked();
    files::sync_folder(folder)?;
    put_note(folder, &note)?;
    let named = [note.set.name("set"), note.attributes.name("attributes")];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".zst") && !named.iter().any(|named| *named == name) {
            // One that cannot be removed is removed the next time.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(note)
}

fn put_note(folder: &Path, note: &Note) -> io::Result<()> {
    let text = serde_json::to_vec(note)?;
    files::replace(&folder.join(NOTE), |file| file.write_all(&text))?;
    files::sync_folder(folder)
}

fn put_packed(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut zstd::stream::write::Encoder<'static, &mut File>) -> io::Result<()>,
) -> io::Result<()> {
    files::replace(&folder.join(name), |file| {
        let mut packed = zstd::stream::write::Encoder::new(file, LEVEL)?;
        write(&mut packed)?;
        packed.finish().map(drop)
    })
}

fn read(folder: &Path, max_octets: u64) -> io::Result<(Note, List)> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut text = Vec::new();
    File::open(folder.join(NOTE))?
        .take(MAX_NOTE)
        .read_to_end(&mut text)?;
    let note: Note = serde_json::from_slice(&text).map_err(|error| bad(&error.to_string()))?;
    if note.format != FORMAT {
        return Err(bad("of another format"));
    }
    if note.check != note.digest() {
        return Err(bad("its note is damaged"));
    }
    let digests = note.set.digest().zip(note.attributes.digest());
    let (set, attributes) = digests.ok_or_else(|| bad("its note has no digests"))?;
    if set.octets > max_octets || attributes.octets > max_octets {
        return Err(bad("larger than max-size"));
    }
    let wrong = |error: FeedError| bad(&error.to_string());
    let open = |name: String| -> io::Result<_> {
        let file = File::open(folder.join(name));
        // Not there is damage here: the note names it.
        let file = file.map_err(|error| bad(&error.to_string()))?;
        zstd::stream::read::Decoder::new(file)
    };
    let payload = sets::read(&mut open(note.set.name("set"))?, set)?;
    let payload = payload.map_err(wrong)?;
    let known = attributes::read(&mut open(note.attributes.name("attributes"))?, attributes)?;
    let data = known.and_then(|known| known.join(payload, &set));
    let moment = |seconds: Option<u64>| seconds.map(UnixTime::new);
    let list = List {
        rows: data.map_err(wrong)?.rows().clone(),
        dialect: note.dialect.clone().into(),
        stated: moment(note.stated),
        valid: moment(note.valid),
        // A clock that was set back makes no list younger than it is.
        arrived: UnixTime::new(note.arrived).min(unix_now()),
        listed: note.listed,
        skipped: note.skipped,
        first_skipped: note.first_skipped.clone(),
        serial: note.serial,
        expire: note.expire.map(Duration::from_secs),
        conditions: note.conditions.clone(),
    };
    Ok((note, list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Origin, Scheme, Verify};
    use crate::payload::{Asn, Aspa, Attribute, RowsBuilder, Vrp};

    fn source() -> Source {
        Source::new("a", Origin::At("http://a.example/json".parse().unwrap()))
    }

    fn list(asns: &[u32]) -> List {
        let mut rows = RowsBuilder::new();
        let anchor = rows.trust_anchor("x");
        for asn in asns {
            let attribute = Attribute::new(Some(UnixTime::new(7_000 + u64::from(*asn))), anchor);
            for prefix in ["192.0.2.0/24", "2001:db8::/32"] {
                let vrp = Vrp::new(prefix.parse().unwrap(), 32, Asn::new(*asn)).unwrap();
                rows.push_vrp(vrp, attribute);
            }
            let aspa = Aspa::new(Asn::new(*asn), vec![Asn::new(7), Asn::new(8)]);
            rows.push_aspa(aspa.unwrap(), attribute);
        }
        List {
            rows: rows.finish(),
            dialect: "rpki-client JSON".into(),
            stated: Some(UnixTime::new(5)),
            valid: None,
            arrived: UnixTime::new(6),
            listed: 9,
            skipped: 1,
            first_skipped: Some("roas[3]: no prefix".into()),
            serial: Some(8),
            expire: None,
            conditions: Conditions {
                none_match: Some("\"x\"".to_owned()),
                modified_since: None,
            },
        }
    }

    async fn restored(folder: &Path) -> Option<List> {
        let mut shelf = Shelf::new(folder.to_owned(), &source());
        shelf.restore().await
    }

    #[tokio::test]
    async fn what_is_kept_is_what_was_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("new/one");
        assert!(restored(&at).await.is_none());
        let mut shelf = Shelf::new(at.clone(), &source());
        for asns in [&[1, 2, 3][..], &[2], &[]] {
            let list = list(asns);
            shelf.keep(Box::new(list.clone())).await;
            assert_eq!(restored(&at).await, Some(list));
            // What is no longer named is gone.
            assert_eq!(fs::read_dir(&at).unwrap().count(), 3);
        }
        let elsewhere = Source::new("a", Origin::At("http://b.example/json".parse().unwrap()));
        // What nobody had to sign is not taken for what somebody has signed.
        let signed = Source {
            verify: Some(Verify {
                keys: vec!["a.pub".into()],
                scheme: Scheme::Jws,
            }),
            ..source()
        };
        for other in [elsewhere, signed] {
            let mut shelf = Shelf::new(at.clone(), &other);
            assert!(shelf.restore().await.is_none());
        }
    }

    #[tokio::test]
    async fn a_cache_that_is_away_is_not_believed_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::new("a", Origin::At("tcp://127.0.0.1:323".parse().unwrap()));
        let mut shelf = Shelf::new(folder.path().to_owned(), &source);
        let expire = Some(Duration::from_secs(900));
        let list = List {
            expire,
            ..list(&[1])
        };
        shelf.keep(Box::new(list)).await;
        let restored = shelf.restore().await.unwrap();
        assert_eq!(restored.valid, Some(UnixTime::new(6 + 900)));
    }

    #[tokio::test]
    async fn no_damage_makes_another_list() {
        let folder = tempfile::tempdir().unwrap();
        let good = list(&[1, 2, 3]);
        Shelf::new(folder.path().to_owned(), &source())
            .keep(Box::new(good.clone()))
            .await;
        let files = fs::read_dir(folder.path()).unwrap();
        let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 3);
        let mut refused = 0;
        for path in files {
            let octets = fs::read(&path).unwrap();
            for at in 0..octets.len() {
                let mut damaged = octets.clone();
                damaged[at] ^= 1 << (at % 8);
                let cut = octets[..at].to_vec();
                for damaged in [damaged, cut] {
                    fs::write(&path, damaged).unwrap();
                    let found = restored(folder.path()).await;
                    refused += u32::from(found.is_none());
                    // Some octets of a compressed file mean nothing.
                    assert!(found.is_none_or(|found| found == good));
                }
            }
            fs::remove_file(&path).unwrap();
            assert!(restored(folder.path()).await.is_none());
            fs::write(&path, octets).unwrap();
        }
        assert!(refused > 500, "{refused}");
        assert_eq!(restored(folder.path()).await, Some(good));
    }
}
