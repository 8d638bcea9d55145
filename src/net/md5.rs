//! Keys of TCP MD5 signatures (RFC 2385), which the kernel puts on segments and checks.

use std::fmt;
use std::path::Path;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::files::{self, FileError};

/// The key of the peers within a prefix.
#[derive(Clone)]
pub struct Md5Key {
    prefix: IpNet,
    key: Zeroizing<Vec<u8>>,
    public: bool,
}

impl Md5Key {
    /// The most octets that the kernel takes.
    pub const LONGEST: usize = 80;

    /// The key in the first line of a file. Blocks.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or its first line has no octet or more than
    /// [`LONGEST`](Self::LONGEST).
    pub fn load(prefix: IpNet, file: &Path) -> Result<Self, FileError> {
        let key = files::read_secret(file)?;
        let length = key.len();
        if length > Self::LONGEST {
            let cause = format!(
                "too long for tcp md5 (found {length} octets, expected at most {})",
                Self::LONGEST
            );
            return Err(FileError::new(file, cause));
        }
        Ok(Self {
            prefix: prefix.trunc(),
            public: key.is_public(),
            key: Zeroizing::new(key.to_vec()),
        })
    }

    /// The peers.
    pub const fn prefix(&self) -> IpNet {
        self.prefix
    }

    /// Whether everybody can read the file that it is from.
    pub const fn is_public(&self) -> bool {
        self.public
    }

    /// The key itself, for the kernel.
    pub(super) fn octets(&self) -> &[u8] {
        &self.key
    }
}

impl PartialEq for Md5Key {
    /// Who may read its file is no part of a key.
    fn eq(&self, other: &Self) -> bool {
        (self.prefix, &self.key) == (other.prefix, &other.key)
    }
}

impl Eq for Md5Key {}

impl fmt::Debug for Md5Key {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Md5Key")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_key_has_1_to_80_octets_and_is_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let load = |text: &str| {
            fs::write(file.path(), text).unwrap();
            Md5Key::load("192.0.2.7/24".parse().unwrap(), file.path())
        };
        let longest = "x".repeat(80);
        for text in ["k\n", "0123456789abcdef0123456789abcdef\nmore", &longest] {
            let key = load(text).unwrap();
            assert_eq!(key.octets(), text.lines().next().unwrap().as_bytes());
            assert_eq!(format!("{key:?}"), "Md5Key { prefix: 192.0.2.0/24, .. }");
        }
        assert!(load("").is_err());
        let error = load(&"x".repeat(81)).unwrap_err().to_string();
        assert!(
            error.ends_with(": too long for tcp md5 (found 81 octets, expected at most 80)"),
            "{error}"
        );
    }
}
