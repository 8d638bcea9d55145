//! Hashes of passwords: Argon2id (RFC 9106) in the PHC string format.

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use subtle::ConstantTimeEq;

/// The longest password that is looked at, in octets.
pub const LONGEST: usize = 1024;

/// What it costs to try a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Lanes of that memory. Here they are worked off one after the other.
    pub lanes: u32,
}

impl Cost {
    /// The memory that is allowed. One password is tried at a time, so this is what all of them
    /// together take.
    pub const MEMORY_KIB: RangeInclusive<u32> = 4096..=65_536;
    /// The passes that are allowed.
    pub const PASSES: RangeInclusive<u32> = 1..=10;
    /// The lanes that are allowed.
    pub const LANES: RangeInclusive<u32> = 1..=16;

    fn check(self) -> Result<(), PasswordError> {
        for (name, value, range) in [
            ("m", self.memory_kib, Self::MEMORY_KIB),
            ("t", self.passes, Self::PASSES),
            ("p", self.lanes, Self::LANES),
        ] {
            if !range.contains(&value) {
                return Err(PasswordError::Cost { name, value, range });
            }
        }
        Ok(())
    }

    fn params(self, output: usize) -> Result<Params, PasswordError> {
        self.check()?;
        Params::new(self.memory_kib, self.passes, self.lanes, Some(output))
            .map_err(|_| PasswordError::Format)
    }
}

impl Default for Cost {
    /// What OWASP recommends: 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
            lanes: 1,
        }
    }
}

/// Hashes a password with a new salt; gives what a line of a users file has behind the colon.
/// Takes as long and as much memory as `cost` says.
///
/// # Errors
///
/// When the password is empty or too long, the cost is out of its bounds, or the system has no
/// random numbers or memory.
pub fn hash(password: &str, cost: Cost) -> Result<String, PasswordError> {
    match password.len() {
        0 => return Err(PasswordError::Empty),
        length if length > LONGEST => return Err(PasswordError::TooLong),
        _ => {}
    }
    let hasher = hasher(cost.params(OUTPUT)?);
    let hash: Result<phc::PasswordHash, _> = hasher.hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| PasswordError::System(error.to_string().into()))
}

/// A hash to try passwords on. Not to be shown, so without `Debug`.
#[derive(Clone)]
pub(super) struct PasswordHash {
    params: Params,
    salt: Box<[u8]>,
    output: Box<[u8]>,
}

impl PasswordHash {
    /// Reads a hash in the PHC string format.
    pub(super) fn parse(text: &str) -> Result<Self, PasswordError> {
        let hash = phc::PasswordHash::new(text).map_err(|_| PasswordError::Format)?;
        if hash.algorithm != Algorithm::Argon2id.ident() {
            return Err(PasswordError::Algorithm);
        }
        if hash.version != Some(Version::V0x13.into()) {
            return Err(PasswordError::Version);
        }
        let names = hash.params.iter().map(|(name, _)| name);
        if !names.eq(["m", "t", "p"]
            .iter()
            .filter_map(|name| phc::Ident::new(name).ok()))
        {
            return Err(PasswordError::Format);
        }
        let (Some(salt), Some(output)) = (&hash.salt, &hash.hash) else {
            return Err(PasswordError::Format);
        };
        if output.len() < SHORTEST_OUTPUT {
            return Err(PasswordError::Format);
        }
        let number = |name: &str| hash.params.get_decimal(name).ok_or(PasswordError::Format);
        let cost = Cost {
            memory_kib: number("m")?,
            passes: number("t")?,
            lanes: number("p")?,
        };
        Ok(Self {
            params: cost.params(output.len())?,
            salt: salt.as_ref().into(),
            output: output.as_bytes().into(),
        })
    }

    /// One that no password fits, as costly to try as new ones are by default.
    pub(super) fn nobody() -> Option<Self> {
        Some(Self {
            params: Cost::default().params(OUTPUT).ok()?,
            salt: Box::from([0; 16]),
            // Whoever finds a password for it is told that there is no such user.
            output: Box::from([0; OUTPUT]),
        })
    }

    /// Whether a password fits. Takes as long and as much memory as the hash says, and blocks.
    pub(super) fn fits(&self, password: &[u8]) -> bool {
        let mut output = vec![0; self.output.len()];
        let hasher = hasher(self.params.clone());
        let done = hasher.hash_password_into(password, &self.salt, &mut output);
        done.is_ok() && bool::from(output.ct_eq(&self.output))
    }
}

fn hasher(params: Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The octets of a new hash.
const OUTPUT: usize = 32;

/// The octets of a hash below which it is too easy to fit one by chance.
const SHORTEST_OUTPUT: usize = 16;

/// Why a password or its hash cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PasswordError {
    /// There is no password.
    Empty,
    /// The password is longer than [`LONGEST`].
    TooLong,
    /// It is no hash in the form `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    Format,
    /// It is the hash of another algorithm.
    Algorithm,
    /// It is a hash of another version than 19.
    Version,
    /// It costs too much or too little.
    Cost {
        /// The parameter: `m`, `t` or `p`.
        name: &'static str,
        /// Its value.
        value: u32,
        /// What it can be.
        range: RangeInclusive<u32>,
    },
    /// The system has no random numbers, or no memory.
    System(Box<str>),
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the password is empty"),
            Self::TooLong => write!(f, "the password is longer than {LONGEST} octets"),
            Self::Format => f.write_str(
                "the hash is not of the form $argon2id$v=19$m=...,t=...,p=...$salt$hash, \
                 write one with rutter hash-password",
            ),
            Self::Algorithm => {
                f.write_str("the hash is not one of argon2id, write one with rutter hash-password")
            }
            Self::Version => f.write_str("the hash is not of version 19 of argon2id"),
            Self::Cost { name, value, range } => write!(
                f,
                "the parameter {name} of the hash is {value}, expected {} to {}",
                range.start(),
                range.end()
            ),
            Self::System(error) => write!(f, "the password cannot be hashed: {error}"),
        }
    }
}

impl Error for PasswordError {}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The cheapest there is.
    pub(in crate::net::ssh) const CHEAP: Cost = Cost {
        memory_kib: 4096,
        passes: 1,
        lanes: 1,
    };

    /// Of "pass word", as the reference implementation has it.
    const KNOWN: &str = "$argon2id$v=19$m=4096,t=2,p=3$c2FsdHNhbHQ\
                         $cVVzkqpUh9ilOzc1db/gWDknYoT4odk/xuuogKVHguc";

    #[test]
    fn a_hash_fits_its_password_only() {
        let text = hash("pass word", CHEAP).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=4096,t=1,p=1$"), "{text}");
        assert_ne!(hash("pass word", CHEAP).unwrap(), text, "salts differ");
        let hash = PasswordHash::parse(&text).unwrap();
        assert!(hash.fits(b"pass word"));
        assert!(PasswordHash::parse(KNOWN).unwrap().fits(b"pass word"));
        for other in ["", "pass wore", "pass word ", "Pass word"] {
            assert!(!hash.fits(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let output = "A".repeat(43);
        let with = |head: &str| format!("{head}c2FsdHNhbHQ${output}");
        let cost = |name, value, range| PasswordError::Cost { name, value, range };
        for (text, error) in [
            (String::new(), PasswordError::Format),
            ("plain".to_owned(), PasswordError::Format),
            (
                "$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHQ".to_owned(),
                PasswordError::Format,
            ),
            (
                "$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAA".to_owned(),
                PasswordError::Format,
            ),
            (
                with("$argon2i$v=19$m=4096,t=1,p=1$"),
                PasswordError::Algorithm,
            ),
            (with("$2y$v=19$m=4096,t=1,p=1$"), PasswordError::Algorithm),
            (
                with("$argon2id$v=16$m=4096,t=1,p=1$"),
                PasswordError::Version,
            ),
            (with("$argon2id$m=4096,t=1,p=1$"), PasswordError::Version),
            (with("$argon2id$v=19$m=4096,t=1$"), PasswordError::Format),
            (
                with("$argon2id$v=19$m=4096,t=1,p=1,data=AAAA$"),
                PasswordError::Format,
            ),
            (
                with("$argon2id$v=19$m=4096,t=1,p=1,p=1$"),
                PasswordError::Format,
            ),
            (
                with("$argon2id$v=19$m=4294967295,t=1,p=1$"),
                cost("m", u32::MAX, Cost::MEMORY_KIB),
            ),
            (
                with("$argon2id$v=19$m=65537,t=1,p=1$"),
                cost("m", 65_537, Cost::MEMORY_KIB),
            ),
            (
                with("$argon2id$v=19$m=8,t=1,p=1$"),
                cost("m", 8, Cost::MEMORY_KIB),
            ),
            (
                with("$argon2id$v=19$m=4096,t=11,p=1$"),
                cost("t", 11, Cost::PASSES),
            ),
            (
                with("$argon2id$v=19$m=4096,t=1,p=17$"),
                cost("p", 17, Cost::LANES),
            ),
            (
                with("$argon2id$v=19$m=4096,t=0,p=1$"),
                cost("t", 0, Cost::PASSES),
            ),
        ] {
            let found = PasswordHash::parse(&text).err();
            assert_eq!(found, Some(error), "{text}");
        }
        for end in 0..KNOWN.len() - 22 {
            assert!(PasswordHash::parse(&KNOWN[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn passwords_have_a_length() {
        assert_eq!(hash("", CHEAP), Err(PasswordError::Empty));
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(hash(&long, CHEAP), Err(PasswordError::TooLong));
        assert!(hash(&long[1..], CHEAP).is_ok());
        let greedy = Cost {
            memory_kib: 65_537,
            ..CHEAP
        };
        assert!(matches!(hash("x", greedy), Err(PasswordError::Cost { .. })));
    }
}
