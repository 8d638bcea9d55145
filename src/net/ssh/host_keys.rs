//! The keys of the host: read, made where there is none, and never shown.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ring::rand::{SecureRandom, SystemRandom};
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};
use russh::keys::{self, decode_secret_key};
use zeroize::Zeroizing;

use super::super::files::{self, FileError};
use super::HostKeys;

/// How clients know a key of the host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fingerprint {
    /// Where the key is; `None` when it was minted.
    pub file: Option<PathBuf>,
    /// The algorithm, as in a line of `known_hosts`.
    pub algorithm: Box<str>,
    /// `SHA256:` and the digest in base 64, as `ssh-keygen -l` writes it.
    pub sha256: Box<str>,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.sha256)
    }
}

/// The keys of a host, one of each algorithm at most.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) keys: Vec<PrivateKey>,
    pub(super) fingerprints: Vec<Fingerprint>,
    pub(super) warnings: Vec<String>,
}

/// The most octets of a file with a key: an RSA key of 16384 bits has 13,000.
const MAX_KEY: u64 = 64 * 1024;

/// The fewest bits of an RSA key.
const MIN_RSA_BITS: u32 = 2048;

/// The comment of a key that was made here.
const COMMENT: &str = "rutter";

/// Reads the keys, and makes those that are missing. Blocks.
///
/// # Errors
///
/// When a file cannot be read or made, may be read by everybody, or holds no key that can be used.
pub(super) fn load(options: &HostKeys) -> Result<Loaded, FileError> {
    let missing = |path: &Path| make(path).map_err(|error| FileError::new(path, error));
    read_all(options, |path| missing(path).map(|()| Missing::Made))
}

/// Reads the keys that are there, and leaves it at that. Blocks.
///
/// # Errors
///
/// As [`load`], but for a key that would be made.
pub(super) fn inspect(options: &HostKeys) -> Result<Loaded, FileError> {
    read_all(options, |_| Ok(Missing::Left))
}

/// What has become of a missing key that can be made.
enum Missing {
    Made,
    Left,
}

fn read_all(
    options: &HostKeys,
    missing: impl Fn(&Path) -> Result<Missing, FileError>,
) -> Result<Loaded, FileError> {
    let mut loaded = Loaded::default();
    match options {
        HostKeys::Minted => {
            let key = minted().map_err(|error| FileError::new(Path::new("host key"), error))?;
            loaded.add(key, None)?;
        }
        HostKeys::Files(paths) => {
            for path in paths {
                if is_to_be_made(path) && matches!(missing(path)?, Missing::Left) {
                    continue;
                }
                loaded.warnings.extend(check_mode(path)?);
                let text = files::read(path, MAX_KEY)?;
                let key = parse(&text).map_err(|cause| FileError::new(path, cause))?;
                loaded.add(key, Some(path))?;
            }
        }
    }
    Ok(loaded)
}

impl Loaded {
    fn add(&mut self, key: PrivateKey, path: Option<&Path>) -> Result<(), FileError> {
        let algorithm = key.algorithm();
        if let Some(path) = path {
            // A client chooses an algorithm, and then it is one key that signs.
            if self.keys.iter().any(|other| other.algorithm() == algorithm) {
                let cause = format!("another host key is {algorithm}, too");
                return Err(FileError::new(path, cause));
            }
            if matches!(algorithm, Algorithm::Rsa { .. }) {
                self.warnings.push(format!(
                    "{}: RSA signatures take a time that depends on the key (RUSTSEC-2023-0071); \
                     prefer ed25519",
                    path.display()
                ));
            }
        }
        self.fingerprints.push(Fingerprint {
            file: path.map(Path::to_owned),
            algorithm: algorithm.as_str().into(),
            sha256: key.fingerprint(HashAlg::Sha256).to_string().into(),
        });
        self.keys.push(key);
        Ok(())
    }
}

/// Whether a key is missing, and its name says of what kind it is to be.
fn is_to_be_made(path: &Path) -> bool {
    let name = path.file_name();
    let says_ed25519 = name.is_some_and(|name| name.to_string_lossy().contains("ed25519"));
    says_ed25519 && matches!(path.try_exists(), Ok(false))
}

/// Refuses a file that everybody may read, and warns where sshd would refuse: a file of our own
/// that its group may read. One of root's is given to us that way.
fn check_mode(path: &Path) -> Result<Option<String>, FileError> {
    let data = path
        .metadata()
        .map_err(|error| FileError::new(path, error))?;
    let mode = data.mode() & 0o777;
    if mode & 0o007 != 0 {
        let cause = format!("mode {mode:03o} lets everybody at the private key; expected 600");
        return Err(FileError::new(path, cause));
    }
    let ours = data.uid() == rustix::process::geteuid().as_raw();
    let loose = ours && mode & 0o070 != 0;
    let warning = || format!("{}: mode {mode:03o}; expected 600", path.display());
    Ok(loose.then(warning))
}

fn parse(text: &[u8]) -> Result<PrivateKey, String> {
    let text = str::from_utf8(text).map_err(|_| "not the text of a private key".to_owned())?;
    let protected = "protected by a passphrase, which a server cannot type";
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains(",ENCRYPTED") {
        return Err(protected.into());
    }
    let key = decode_secret_key(text, None).map_err(|error| match error {
        keys::Error::KeyIsEncrypted => protected.into(),
        keys::Error::CouldNotReadKey => {
            "no private key that is known; expected OpenSSH or PKCS#8 PEM".into()
        }
        // Not all of russh's messages are one line.
        error => error.to_string().replace('\n', " "),
    })?;
    let known = matches!(
        key.algorithm(),
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. }
    );
    if !known {
        let name = key.algorithm();
        return Err(format!("a key of {name}; expected ed25519, ECDSA or RSA"));
    }
    let bits = key.key_data().rsa().map(|pair| pair.key_size());
    if let Some(bits) = bits.filter(|bits| *bits < MIN_RSA_BITS) {
        return Err(format!(
            "an RSA key of {bits} bits; expected {MIN_RSA_BITS} or more"
        ));
    }
    Ok(key)
}

/// The key of this process, the same for all listeners and after each reload: a client that has
/// seen it knows it again.
fn minted() -> io::Result<PrivateKey> {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key.clone());
    }
    let key = mint()?;
    Ok(KEY.get_or_init(|| key).clone())
}

fn mint() -> io::Result<PrivateKey> {
    let mut seed = Zeroizing::new([0; 32]);
    SystemRandom::new()
        .fill(&mut *seed)
        .map_err(|_| io::Error::other("the system has no random numbers"))?;
    let pair = Ed25519Keypair::from_seed(&seed);
    PrivateKey::new(pair.into(), COMMENT).map_err(io::Error::other)
}

/// Makes a key. Of two processes that do it at once, one makes it and both have it: a link is
/// made whole or not at all, and never over another file.
fn make(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let text = mint()?
        .to_openssh(LineEnding::LF)
        .map_err(io::Error::other)?;
    let temporary = temporary(path)?;
    let result = write_synced(&temporary, text.as_bytes()).and_then(|()| {
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    });
    // What is left over of a failure does no harm, and the failure is what counts.
    let _ = fs::remove_file(&temporary);
    result?;
    File::open(folder)?.sync_all()
}

/// A name beside a file that no other process chooses.
fn temporary(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| io::Error::other("the system has no random numbers"))?;
    let random = u64::from_be_bytes(random);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{random:016x}.new"));
    Ok(path.with_file_name(name))
}

fn write_synced(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_is_the_same_after_a_reload() {
        let first = load(&HostKeys::Minted).unwrap();
        let second = load(&HostKeys::Minted).unwrap();
        assert_eq!(first.fingerprints, second.fingerprints);
    }
}
