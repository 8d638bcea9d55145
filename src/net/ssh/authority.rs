//! Who may log in: what the files with keys and users say. Read whole or not at all; another
//! reading makes another [`Authority`].

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use ssh_key::public::KeyData;
use ssh_key::{Fingerprint, PublicKey};
use tokio::time::sleep;

use super::authorized_keys::{self, AuthorizedKey, Origin};
use super::key::{self, Strength};
use super::queue::Desks;
use super::users::{self, Book};
use super::warnings::Warnings;
use super::{Keys, Passwords};
use crate::net::files::{self, FileError};
use crate::net::refused::Reason;

/// Who may log in. Cheap to clone.
#[derive(Clone)]
pub struct Authority {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Option<KeyBook>,
    passwords: Option<Book>,
    warnings: Box<[String]>,
}

impl Authority {
    /// Reads the files; `None` is a method that is not offered. Blocks.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, a line of one cannot be understood, or everybody may write to
    /// one: all of it counts, or nothing.
    pub fn load(keys: Option<&Keys>, passwords: Option<&Passwords>) -> Result<Self, FileError> {
        let mut warnings = Warnings::default();
        let keys = keys.map(|keys| KeyBook::load(keys, &mut warnings));
        let keys = keys.transpose()?;
        let passwords = passwords.map(|passwords| Book::load(passwords, &mut warnings));
        Ok(Self {
            inner: Arc::new(Inner {
                keys,
                passwords: passwords.transpose()?,
                warnings: warnings.into_lines(),
            }),
        })
    }

    /// Whether keys are taken.
    pub fn takes_keys(&self) -> bool {
        self.inner.keys.is_some()
    }

    /// Whether passwords are taken.
    pub fn takes_passwords(&self) -> bool {
        self.inner.passwords.is_some()
    }

    /// What is worth saying about the files: a few lines, lower case, with the name of the file
    /// and perhaps the number of the line.
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }

    /// How many attempts with a password were refused unheard so far, because too many others
    /// were waiting to be tried.
    pub fn turned_away(&self) -> u64 {
        match &self.inner.passwords {
            Some(Book::Users(users)) => users.turned_away(),
            Some(Book::Single(_)) | None => 0,
        }
    }

    /// Whether a user may log in with a key, from an address. That the peer has the key is for
    /// others to check.
    ///
    /// # Errors
    ///
    /// [`Reason::WeakKey`] for DSA, RSA of another size than 2048 to 8192 bits, and kinds that
    /// are not taken; [`Reason::UnknownUser`] when there is no key for the name, or the only ones
    /// or this one do not count from the address; [`Reason::UnknownKey`] when it is no key of the
    /// user, or no longer; [`Reason::NoMethod`] when keys are not taken.
    pub fn key(&self, user: &str, key: &PublicKey, from: IpAddr) -> Result<(), Reason> {
        let book = self.inner.keys.as_ref().ok_or(Reason::NoMethod)?;
        book.check(user, key, from, Timestamp::now())
    }

    /// Whether a key that a user has logged in with still counts, from an address.
    pub(super) fn has_key(&self, user: &str, key: Fingerprint, from: IpAddr) -> bool {
        let book = self.inner.keys.as_ref();
        book.is_some_and(|book| book.holds(user, key, from, Timestamp::now()))
    }

    /// Whether there is a user with a password, whatever it is.
    pub(super) fn has_password(&self, user: &str) -> bool {
        match &self.inner.passwords {
            Some(Book::Users(users)) => users.holds(user),
            Some(Book::Single(single)) => single.is(user),
            None => false,
        }
    }

    /// Whether a user may log in with a password. It takes as long for an unknown user as for a
    /// known one, one after the other; `from` bounds what one network can have waiting. After ten
    /// failures from a network within a minute it takes 1, 2, 4 and up to 16 seconds more, until
    /// one succeeds.
    ///
    /// # Errors
    ///
    /// [`Reason::UnknownUser`] or [`Reason::Password`], which the peer must not be told apart;
    /// [`Reason::Password`] also for a password of more than 1024 octets; [`Reason::Busy`] when
    /// too many attempts wait, which [`Self::turned_away`] counts; [`Reason::NoMethod`] when
    /// passwords are not taken.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped gives its place in the queue back.
    pub async fn password(&self, user: &str, password: &str, from: IpAddr) -> Result<(), Reason> {
        let book = self.inner.passwords.as_ref().ok_or(Reason::NoMethod)?;
        let penalties = &Desks::shared().penalties;
        // Nothing is held meanwhile.
        sleep(penalties.wait(from)).await;
        let verdict = match book {
            Book::Users(users) => users.check(user, password, from).await,
            Book::Single(single) => single.check(user, password),
        };
        match verdict {
            Ok(()) => penalties.succeeded(from),
            Err(Reason::Busy) => {}
            Err(_) => penalties.failed(from),
        }
        verdict
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("takes_keys", &self.takes_keys())
            .field("takes_passwords", &self.takes_passwords())
            .finish_non_exhaustive()
    }
}

/// Who may log in with a key.
enum KeyBook {
    /// Anybody with any.
    Any,
    /// Those who are listed.
    Listed {
        everyone: Ring,
        users: BTreeMap<Box<str>, Ring>,
    },
}

/// Keys, found by what they are: a file may have tens of thousands.
#[derive(Default)]
struct Ring {
    /// All lines of each key.
    keys: HashMap<KeyData, Vec<AuthorizedKey>>,
    /// Keys that do not count from everywhere.
    bound: Vec<AuthorizedKey>,
    /// Whether there is one that does.
    open: bool,
}

impl Ring {
    fn extend(&mut self, keys: Vec<AuthorizedKey>) {
        for key in keys {
            match key.counts_from_everywhere() {
                true => self.open = true,
                false => self.bound.push(key.clone()),
            }
            self.keys.entry(key.key.clone()).or_default().push(key);
        }
    }

    /// Whether any of the keys counts from there.
    fn counts_from(&self, origin: &Origin) -> bool {
        self.open || self.bound.iter().any(|key| key.counts_from(origin))
    }

    fn of(&self, key: &KeyData) -> &[AuthorizedKey] {
        self.keys.get(key).map_or(&[], |keys| keys)
    }
}

impl KeyBook {
    fn load(keys: &Keys, warnings: &mut Warnings) -> Result<Self, FileError> {
        let paths = match keys {
            Keys::Any => {
                warnings.push("anybody may log in over ssh with any key");
                return Ok(Self::Any);
            }
            Keys::Authorized(paths) => paths,
        };
        let mut everyone = Ring::default();
        let mut users: BTreeMap<Box<str>, Ring> = BTreeMap::new();
        let mut count = 0;
        let mut read = |path: &Path, warnings: &mut Warnings| {
            let keys = read_keys(path, warnings)?;
            count += keys.len();
            match count > MAX_KEYS {
                true => Err(FileError::new(path, format!("more than {MAX_KEYS} keys"))),
                false => Ok(keys),
            }
        };
        for path in paths {
            let Some(name) = UserFiles::new(path)? else {
                everyone.extend(read(path, warnings)?);
                continue;
            };
            for user in name.users(warnings)? {
                let keys = read(&name.path(&user), warnings)?;
                users.entry(user.into()).or_default().extend(keys);
            }
        }
        if count == 0 {
            warnings.push("nobody may log in over ssh with a key, there is none in the files");
        }
        Ok(Self::Listed { everyone, users })
    }

    fn holds(&self, user: &str, key: Fingerprint, from: IpAddr, now: Timestamp) -> bool {
        let Self::Listed { everyone, users } = self else {
            return true;
        };
        let origin = Origin::new(from);
        let rings = [Some(everyone), users.get(user)].into_iter().flatten();
        let mut same = rings
            .flat_map(|ring| ring.keys.values().flatten())
            .filter(|listed| listed.print == key);
        same.any(|listed| listed.counts_from(&origin) && listed.counts_at(now))
    }

    fn check(
        &self,
        user: &str,
        key: &PublicKey,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<(), Reason> {
        let strong = match key::strength(key.key_data()) {
            Strength::Strong => Ok(()),
            Strength::Weak | Strength::Foreign => Err(Reason::WeakKey),
        };
        let Self::Listed { everyone, users } = self else {
            return strong;
        };
        let origin = Origin::new(from);
        let rings = || [Some(everyone), users.get(user)].into_iter().flatten();
        if !rings().any(|ring| ring.counts_from(&origin)) {
            return Err(Reason::UnknownUser);
        }
        strong?;
        let (mut elsewhere, mut here) = (false, false);
        for listed in rings().flat_map(|ring| ring.of(key.key_data())) {
            match listed.counts_from(&origin) {
                true => here |= listed.counts_at(now),
                false => elsewhere = true,
            }
        }
        match (here, elsewhere) {
            (true, _) => Ok(()),
            (false, true) => Err(Reason::UnknownUser),
            (false, false) => Err(Reason::UnknownKey),
        }
    }
}

fn read_keys(path: &Path, warnings: &mut Warnings) -> Result<Vec<AuthorizedKey>, FileError> {
    let octets = files::read(path, files::MAX_FILE)?;
    authorized_keys::parse(path, &octets, warnings)
}

/// The files of a folder that are named for a user.
struct UserFiles<'a> {
    folder: &'a Path,
    before: &'a str,
    after: &'a str,
}

impl<'a> UserFiles<'a> {
    /// `None` when there is no `%u` in the path.
    fn new(path: &'a Path) -> Result<Option<Self>, FileError> {
        let fault = |cause: &str| FileError::new(path, cause);
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        if folder.to_string_lossy().contains("%u") {
            return Err(fault("%u can only stand in the name of the file"));
        }
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Ok(None);
        };
        let Some((before, after)) = name.split_once("%u") else {
            return Ok(None);
        };
        if after.contains("%u") {
            return Err(fault("%u can stand once only"));
        }
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        Ok(Some(Self {
            folder,
            before,
            after,
        }))
    }

    /// The users that have a file, sorted. Hidden files and what is no file are nobody's. Names
    /// come from the folder, never the other way round, so no name can lead out of it.
    fn users(&self, warnings: &mut Warnings) -> Result<Vec<String>, FileError> {
        let fault = |error| FileError::new(self.folder, error);
        let mut users = Vec::new();
        for entry in self.folder.read_dir().map_err(fault)? {
            let name = entry.map_err(fault)?.file_name();
            let Some(name) = name.to_str() else {
                warnings.file(self.folder, "the name of a file is not UTF-8");
                continue;
            };
            let user = name
                .strip_prefix(self.before)
                .and_then(|name| name.strip_suffix(self.after));
            let Some(user) = user.filter(|_| !name.starts_with('.')) else {
                continue;
            };
            let path = self.folder.join(name);
            if !path.metadata().is_ok_and(|data| data.is_file()) {
                continue;
            }
            if let Err(cause) = users::check_name(user) {
                warnings.file(&path, format_args!("it is no user's: {cause}"));
                continue;
            }
            if users.len() >= MAX_USER_FILES {
                let cause = format!("more than {MAX_USER_FILES} files of users");
                return Err(FileError::new(self.folder, cause));
            }
            users.push(user.to_owned());
        }
        users.sort();
        Ok(users)
    }

    fn path(&self, user: &str) -> std::path::PathBuf {
        let Self {
            folder,
            before,
            after,
        } = self;
        folder.join(format!("{before}{user}{after}"))
    }
}

/// The most keys of all files together: each may be compared with what a peer shows.
const MAX_KEYS: usize = 65_536;

/// The most files of users in a folder.
const MAX_USER_FILES: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::net::ssh::key::samples::{DSA, ECDSA, ED25519, OTHER_ED25519, RSA, SHORT_RSA};
    use crate::net::ssh::password::{self, tests::CHEAP};

    fn public(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn keys(paths: &[PathBuf]) -> Result<Authority, FileError> {
        Authority::load(Some(&Keys::Authorized(paths.to_vec())), None)
    }

    #[test]
    fn keys_are_for_everyone_or_for_one_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let long_ago = format!("expiry-time=\"20010101Z\" {OTHER_ED25519}\n");
        fs::write(
            path("all"),
            format!("{ED25519}\n{DSA}\n{SHORT_RSA}\n{long_ago}"),
        )
        .unwrap();
        fs::write(
            path("keys-alice.pub"),
            format!("from=\"192.0.2.0/24\" {RSA}\n"),
        )
        .unwrap();
        fs::write(path("keys-bob.pub"), format!("{ECDSA}\n")).unwrap();
        for unmatched in [
            "keys-.pub",
            "keys-carol",
            "other-carol.pub",
            ".keys-carol.pub",
        ] {
            fs::write(path(unmatched), "nonsense").unwrap();
        }
        fs::create_dir(path("keys-dave.pub")).unwrap();
        let error = keys(&[path("all"), path("keys-%u.pub"), path("none")]).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");

        let authority = keys(&[path("all"), path("keys-%u.pub")]).unwrap();
        assert!(authority.takes_keys() && !authority.takes_passwords());
        let warnings = authority.warnings();
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        let (near, far) = ("192.0.2.1", "198.51.100.1");
        for (user, key, from, expected) in [
            ("alice", ED25519, far, Ok(())),
            ("anybody", ED25519, far, Ok(())),
            ("../x", ED25519, far, Ok(())),
            ("alice", RSA, near, Ok(())),
            ("alice", RSA, "::ffff:192.0.2.1", Ok(())),
            ("alice", RSA, far, Err(Reason::UnknownUser)),
            ("bob", RSA, near, Err(Reason::UnknownKey)),
            ("bob", ECDSA, far, Ok(())),
            ("alice", ECDSA, far, Err(Reason::UnknownKey)),
            ("alice", DSA, near, Err(Reason::WeakKey)),
            ("alice", SHORT_RSA, near, Err(Reason::WeakKey)),
            ("alice", OTHER_ED25519, near, Err(Reason::UnknownKey)),
        ] {
            let found = authority.key(user, &public(key), ip(from));
            assert_eq!(found, expected, "{user} {key} {from}");
        }

        let users = keys(&[path("keys-%u.pub")]).unwrap();
        for (user, from, expected) in [
            ("alice", near, Ok(())),
            ("alice", far, Err(Reason::UnknownUser)),
            ("Alice", near, Err(Reason::UnknownUser)),
            ("carol", near, Err(Reason::UnknownUser)),
            ("dave", near, Err(Reason::UnknownUser)),
            ("", near, Err(Reason::UnknownUser)),
            ("../keys-alice", near, Err(Reason::UnknownUser)),
            ("x/../alice", near, Err(Reason::UnknownUser)),
        ] {
            let found = users.key(user, &public(RSA), ip(from));
            assert_eq!(found, expected, "{user} {from}");
        }
    }

    #[test]
    fn where_user_names_stand_is_checked() {
        for (path, why) in [
            ("/nowhere/%u/authorized_keys", "only stand in the name"),
            ("/nowhere/%u-%u", "once only"),
            ("/nowhere/%u", "No such file"),
        ] {
            let error = keys(&[path.into()]).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let bare = UserFiles::new(Path::new("%u.pub")).unwrap().unwrap();
        assert_eq!(bare.path("alice"), Path::new("./alice.pub"));
    }

    #[test]
    fn a_bad_file_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all");
        fs::write(&path, format!("{ED25519}\nnonsense\n")).unwrap();
        let error = keys(std::slice::from_ref(&path)).unwrap_err();
        assert!(error.to_string().contains("all:2: "), "{error}");
        fs::write(&path, ED25519).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o646)).unwrap();
        let error = keys(std::slice::from_ref(&path)).unwrap_err();
        assert!(error.to_string().contains("write"), "{error}");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(
            keys(std::slice::from_ref(&path))
                .unwrap()
                .warnings()
                .is_empty()
        );
        fs::write(&path, "# nobody\n").unwrap();
        assert!(keys(&[path]).unwrap().warnings()[0].contains("nobody"));
    }

    #[test]
    fn any_key_is_any_strong_key() {
        let authority = Authority::load(Some(&Keys::Any), None).unwrap();
        assert!(authority.warnings()[0].contains("anybody"));
        let from = ip("192.0.2.1");
        assert_eq!(authority.key("x", &public(ECDSA), from), Ok(()));
        let weak = authority.key("x", &public(SHORT_RSA), from);
        assert_eq!(weak, Err(Reason::WeakKey));
    }

    #[tokio::test]
    async fn passwords_come_from_users_or_from_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let hash = password::hash("s3cret", CHEAP).unwrap();
        fs::write(&path, format!("alice:{hash}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let users = Passwords::Users(path.clone());
        let authority = Authority::load(None, Some(&users)).unwrap();
        assert!(!authority.takes_keys() && authority.takes_passwords());
        assert!(authority.warnings().is_empty());
        let debug = format!("{authority:?}");
        assert!(
            !debug.contains("argon2") && !debug.contains("alice"),
            "{debug}"
        );
        let from = ip("192.0.2.1");
        assert_eq!(authority.password("alice", "s3cret", from).await, Ok(()));
        let wrong = authority.password("alice", "other", from).await;
        assert_eq!(wrong, Err(Reason::Password));
        let unknown = authority.password("bob", "s3cret", from).await;
        assert_eq!(unknown, Err(Reason::UnknownUser));
        assert_eq!(authority.turned_away(), 0);
        let no_keys = authority.key("alice", &public(ED25519), from);
        assert_eq!(no_keys, Err(Reason::NoMethod));

        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let authority = Authority::load(None, Some(&users)).unwrap();
        assert!(authority.warnings()[0].contains("everybody can read"));

        fs::write(&path, "s3cret\n").unwrap();
        let single = Passwords::Single {
            user: "alice".into(),
            file: path,
        };
        let authority = Authority::load(None, Some(&single)).unwrap();
        assert_eq!(authority.password("alice", "s3cret", from).await, Ok(()));
        let wrong = authority.password("alice", "other", from).await;
        assert_eq!(wrong, Err(Reason::Password));
        let nothing = Authority::load(None, None).unwrap();
        let refused = nothing.password("alice", "s3cret", from).await;
        assert_eq!(refused, Err(Reason::NoMethod));
    }

    #[tokio::test(start_paused = true)]
    async fn who_guesses_waits() {
        let password = crate::net::secret::Secret::mint().unwrap();
        let passwords = Passwords::Minted {
            user: "alice".into(),
            password: password.clone(),
        };
        let authority = Authority::load(None, Some(&passwords)).unwrap();
        let from = ip("203.0.113.7");
        let guess = async || {
            let begin = tokio::time::Instant::now();
            let refused = authority.password("alice", "guess", from).await;
            assert_eq!(refused, Err(Reason::Password));
            begin.elapsed().as_secs()
        };
        for _ in 0..10 {
            assert_eq!(guess().await, 0);
        }
        assert_eq!((guess().await, guess().await, guess().await), (1, 2, 4));
        let right = authority.password("alice", password.reveal(), from);
        assert_eq!(right.await, Ok(()));
        assert_eq!(guess().await, 0);
    }

    #[test]
    fn files_that_ssh_keygen_writes_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let path = folder.path().join(kind);
            let made = std::process::Command::new("ssh-keygen")
                .args(["-q", "-t", kind, "-N", "", "-C", "a router # 1", "-f"])
                .arg(&path)
                .status();
            assert!(made.unwrap().success());
            let path = path.with_extension("pub");
            let authority = keys(std::slice::from_ref(&path)).unwrap();
            let key = public(&fs::read_to_string(&path).unwrap());
            assert_eq!(authority.key("x", &key, ip("::1")), Ok(()), "{kind}");
        }
    }
}
