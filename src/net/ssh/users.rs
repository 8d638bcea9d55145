//! Who may log in with a password: a file of lines `name:$argon2id$…`, or one user whose password
//! is a file.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use ring::digest::{Digest, SHA256, digest};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::Passwords;
use super::password::{self, PasswordHash};
use super::queue::{Desks, Full, Queue};
use super::warnings::Warnings;
use crate::net::files::{self, FileError};
use crate::net::refused::Reason;

/// Says why a name cannot be one of a user, `Ok` if it can: it has 1 to 128 octets and neither
/// white space, control characters, slashes nor colons.
///
/// # Errors
///
/// When it cannot, with what is wrong.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/');
    match name.len() {
        0 => Err("the name is empty"),
        1..=LONGEST_NAME if name.contains(odd) => {
            Err("the name has white space, a control character, a slash or a colon in it")
        }
        1..=LONGEST_NAME => Ok(()),
        _ => Err("the name is longer than 128 octets"),
    }
}

/// Who may log in with a password.
pub(super) enum Book {
    /// Any of several.
    Users(Users),
    /// One.
    Single(Single),
}

impl Book {
    /// Reads the file. Blocks.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a line of it cannot.
    pub(super) fn load(passwords: &Passwords, warnings: &mut Warnings) -> Result<Self, FileError> {
        let (book, path, public) = match passwords {
            Passwords::Users(path) => {
                let content = files::read(path, files::MAX_FILE)?;
                let users = Users::parse(path, &content)?;
                if users.sorted.is_empty() {
                    warnings.file(path, "there is no user in it");
                }
                (Self::Users(users), path, content.is_public())
            }
            Passwords::Single { user, file } => {
                let content = files::read_secret(file)?;
                let single = Single::read(user, file, &content)?;
                (Self::Single(single), file, content.is_public())
            }
            Passwords::Minted { user, password } => {
                let single = Single::new(user, password.reveal().as_bytes());
                return Ok(Self::Single(single));
            }
        };
        if public {
            warnings.file(path, "everybody can read it, and it is secret");
        }
        Ok(book)
    }
}

/// Users and the hashes of their passwords. Not to be shown, so without `Debug`.
pub(super) struct Users {
    /// By name.
    sorted: Box<[(Box<str>, PasswordHash)]>,
    /// What is tried when there is no user at all.
    nobody: Option<PasswordHash>,
    /// Spreads unknown names over the hashes of known ones.
    spread: RandomState,
    /// The desk of the process.
    queue: Arc<Queue>,
}

impl Users {
    fn parse(path: &Path, octets: &[u8]) -> Result<Self, FileError> {
        let mut users: Vec<(Box<str>, PasswordHash, usize)> = Vec::new();
        for (place, line) in octets.split(|octet| *octet == b'\n').enumerate() {
            let number = place + 1;
            let fault = |cause: &str| FileError::at(path, number, cause);
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            if line.len() > MAX_LINE {
                return Err(fault("a line longer than 1024 octets"));
            }
            let line = str::from_utf8(line).map_err(|_| fault("the line is not UTF-8"))?;
            let (name, hash) = line
                .split_once(':')
                .ok_or_else(|| fault("expected a name, a colon and a hash"))?;
            check_name(name).map_err(fault)?;
            let hash = PasswordHash::parse(hash).map_err(|error| fault(&error.to_string()))?;
            users.push((name.into(), hash, number));
        }
        users.sort_by(|(a, _, _), (b, _, _)| a.cmp(b));
        for pair in users.windows(2) {
            if let [(name, _, line), (other, _, again)] = pair
                && name == other
            {
                let cause = format!("the user of line {line} stands here again");
                return Err(FileError::at(path, *again, cause));
            }
        }
        let users = users.into_iter().map(|(name, hash, _)| (name, hash));
        Ok(Self {
            sorted: users.collect(),
            nobody: PasswordHash::nobody(),
            spread: RandomState::new(),
            queue: Arc::clone(&Desks::shared().passwords),
        })
    }

    /// How many attempts found too many others waiting.
    pub(super) fn turned_away(&self) -> u64 {
        self.queue.turned_away()
    }

    /// Whether there is a user of this name.
    pub(super) fn holds(&self, user: &str) -> bool {
        let found = self.sorted.binary_search_by(|(name, _)| (**name).cmp(user));
        found.is_ok()
    }

    /// Whether a user has this password.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped gives its place in the queue back.
    pub(super) async fn check(
        &self,
        user: &str,
        password: &str,
        from: IpAddr,
    ) -> Result<(), Reason> {
        if password.len() > password::LONGEST {
            return Err(Reason::Password);
        }
        let candidate = self.candidate(user);
        let known = candidate.known;
        let hash = candidate.hash.ok_or(Reason::UnknownUser)?.clone();
        let password = Zeroizing::new(Box::<[u8]>::from(password.as_bytes()));
        let work = move || hash.fits(&password);
        let fits = self.queue.run(from, work).await;
        let fits = fits.map_err(|Full| Reason::Busy)?;
        match (known, fits) {
            (true, true) => Ok(()),
            (true, false) => Err(Reason::Password),
            (false, _) => Err(Reason::UnknownUser),
        }
    }

    /// The hash to try a password on. An unknown name always gets the hash of the same known one,
    /// so that time and memory tell nobody who is known, whatever costs the hashes have.
    fn candidate(&self, user: &str) -> Candidate<'_> {
        let stand_in = u64::try_from(self.sorted.len())
            .ok()
            .and_then(|users| self.spread.hash_one(user).checked_rem(users))
            .and_then(|place| self.sorted.get(usize::try_from(place).ok()?));
        let found = self.sorted.binary_search_by(|(name, _)| (**name).cmp(user));
        let entry = found.ok().and_then(|place| self.sorted.get(place));
        Candidate {
            known: entry.is_some(),
            hash: entry
                .or(stand_in)
                .map(|(_, hash)| hash)
                .or(self.nobody.as_ref()),
        }
    }
}

/// What a password is tried on.
struct Candidate<'a> {
    known: bool,
    hash: Option<&'a PasswordHash>,
}

/// One user and one password, as digests. Not to be shown, so without `Debug`.
pub(super) struct Single {
    user: Digest,
    password: Digest,
}

impl Single {
    fn read(user: &str, file: &Path, password: &[u8]) -> Result<Self, FileError> {
        if password.len() > password::LONGEST {
            return Err(FileError::new(
                file,
                "the password is longer than 1024 octets",
            ));
        }
        Ok(Self::new(user, password))
    }

    fn new(user: &str, password: &[u8]) -> Self {
        Self {
            user: digest(&SHA256, user.as_bytes()),
            password: digest(&SHA256, password),
        }
    }

    /// Whether this is the user.
    pub(super) fn is(&self, user: &str) -> bool {
        same(&self.user, user).into()
    }

    /// Whether the user has this password. What is compared is digests, in constant time.
    pub(super) fn check(&self, user: &str, password: &str) -> Result<(), Reason> {
        if password.len() > password::LONGEST {
            return Err(Reason::Password);
        }
        let user = same(&self.user, user);
        let password = same(&self.password, password);
        match (bool::from(user & password), bool::from(user)) {
            (true, _) => Ok(()),
            (false, true) => Err(Reason::Password),
            (false, false) => Err(Reason::UnknownUser),
        }
    }
}

fn same(expected: &Digest, text: &str) -> Choice {
    let found = digest(&SHA256, text.as_bytes());
    expected.as_ref().ct_eq(found.as_ref())
}

/// The most octets of a name: names go to logs.
const LONGEST_NAME: usize = 128;

/// The most octets of a line: a long name and the longest hash.
const MAX_LINE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::ssh::password::tests::CHEAP;

    const ANYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn single_of(user: &str, file: &Path) -> Result<Single, FileError> {
        Single::read(user, file, &files::read_secret(file)?)
    }

    /// A hash that no password is known for.
    const HASH: &str = "$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHQ\
                        $cVVzkqpUh9ilOzc1db/gWDknYoT4odk/xuuogKVHguc";

    fn parse(text: impl AsRef<[u8]>) -> Result<Users, String> {
        Users::parse(Path::new("users"), text.as_ref()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_user_has_a_password() {
        let hash = password::hash("secret: \u{fc}", CHEAP).unwrap();
        let text = format!("# users\r\n\r\n  alice:{hash}\r\nbob:{HASH}\n");
        let users = parse(&text).unwrap();
        let long = "x".repeat(password::LONGEST + 1);
        for (user, password, expected) in [
            ("alice", "secret: \u{fc}", Ok(())),
            ("alice", "secret", Err(Reason::Password)),
            ("alice", &long, Err(Reason::Password)),
            ("bob", "secret: \u{fc}", Err(Reason::Password)),
            ("carol", "secret: \u{fc}", Err(Reason::UnknownUser)),
            ("", "", Err(Reason::UnknownUser)),
        ] {
            assert_eq!(
                users.check(user, password, ANYWHERE).await,
                expected,
                "{user}"
            );
        }
        let users = parse("").unwrap();
        let refused = users.check("alice", "secret", ANYWHERE).await;
        assert_eq!(refused, Err(Reason::UnknownUser));
    }

    /// No clock is needed to see that an unknown name costs what a known one does: it is tried on
    /// one of the hashes of the file, or on a hash of the default cost.
    #[test]
    fn an_unknown_name_is_tried_on_a_hash_too() {
        let costly = HASH.replace("t=1", "t=3");
        let users = parse(format!("alice:{HASH}\nbob:{costly}\n")).unwrap();
        let tried = |name: &str| {
            let candidate = users.candidate(name);
            let place = users.sorted.iter().position(|(_, hash)| {
                candidate
                    .hash
                    .is_some_and(|tried| std::ptr::eq(tried, hash))
            });
            (candidate.known, place)
        };
        assert_eq!(tried("alice"), (true, Some(0)));
        assert_eq!(tried("bob"), (true, Some(1)));
        let places: Vec<_> = (0..100).map(|i| tried(&format!("user{i}"))).collect();
        for place in [0, 1] {
            assert!(places.contains(&(false, Some(place))), "{places:?}");
        }
        let again: Vec<_> = (0..100).map(|i| tried(&format!("user{i}"))).collect();
        assert_eq!(again, places, "a name keeps its hash");
        let nobody = parse("").unwrap();
        assert!(nobody.candidate("alice").hash.is_some());
    }

    #[test]
    fn bad_lines_are_refused_with_their_place() {
        let cases: &[(&str, &str)] = &[
            ("alice", "users:2: expected a name"),
            ("alice:", "users:2: the hash is not of the form"),
            ("alice:plain", "not of the form"),
            ("alice:$2y$05$abcdefghijklmnopqrstuv", "hash"),
            (":HASH", "empty"),
            ("a b:HASH", "white space"),
            ("../a:HASH", "slash"),
            ("a\0b:HASH", "control"),
            ("a:HASH:more", "not of the form"),
            ("a:HASH\nb:HASH\na:HASH", "users:4: the user of line 2"),
            (
                "a:HASH\n\nb:HASH \r\nb:HASH\r\n",
                "users:5: the user of line 4",
            ),
        ];
        for (line, why) in cases {
            let error = parse(format!("\n{}", line.replace("HASH", HASH)))
                .err()
                .unwrap();
            assert!(error.contains(why), "{why:?} is not in {error:?}");
            assert!(
                !error.contains("alice") && !error.contains("plain"),
                "{error}"
            );
        }
        let long = format!("{}:{HASH}", "a".repeat(129));
        assert!(parse(long).err().unwrap().contains("longer than 128"));
        let long = format!("a:{HASH}{}", "A".repeat(2_000));
        assert!(parse(long).err().unwrap().contains("longer than 1024"));
        assert!(parse(b"\xff:x").err().unwrap().contains("UTF-8"));
        let line = format!("alice:{HASH}");
        for end in 0..line.len() {
            let _ = parse(&line[..end]);
        }
    }

    #[test]
    fn one_user_has_one_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret\n").unwrap();
        let single = single_of("alice", file.path()).unwrap();
        let long = "x".repeat(password::LONGEST + 1);
        for (user, password, expected) in [
            ("alice", "secret", Ok(())),
            ("alice", "secret\n", Err(Reason::Password)),
            ("alice", "", Err(Reason::Password)),
            ("alice", &long, Err(Reason::Password)),
            ("bob", "secret", Err(Reason::UnknownUser)),
            ("", "", Err(Reason::UnknownUser)),
        ] {
            assert_eq!(single.check(user, password), expected, "{user} {password}");
        }
        std::fs::write(file.path(), long).unwrap();
        let error = single_of("alice", file.path()).err().unwrap();
        assert!(error.to_string().contains("longer than 1024"), "{error}");
        std::fs::write(file.path(), "\n").unwrap();
        assert!(single_of("alice", file.path()).is_err());
    }
}
