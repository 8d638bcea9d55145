//! A secret that is in no file.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A password that lives as long as the process. It is neither shown nor logged, and equality
/// takes the same time whatever differs.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Letters and digits that nobody mistakes for each other.
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

    /// Characters of a minted secret: 80 bits.
    const LENGTH: usize = 16;

    /// A secret that nobody can guess; `None` when the system has no randomness to give.
    pub fn mint() -> Option<Self> {
        let mut octets = Zeroizing::new([0; Self::LENGTH]);
        SystemRandom::new().fill(octets.as_mut()).ok()?;
        let letter = |octet: &u8| {
            // 32 divides 256, so each letter is as likely as the others.
            let letter = Self::ALPHABET.get(usize::from(*octet % 32));
            char::from(letter.copied().unwrap_or(b'a'))
        };
        Some(Self(Zeroizing::new(octets.iter().map(letter).collect())))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_none_is_shown() {
        let (one, other) = (Secret::mint().unwrap(), Secret::mint().unwrap());
        assert_eq!(one, one.clone());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), Secret::LENGTH);
        let alphabet = Secret::ALPHABET;
        assert!(
            one.reveal()
                .bytes()
                .all(|letter| alphabet.contains(&letter))
        );
        assert_eq!(format!("{one:?}"), "Secret(…)");
        let mut letters = alphabet.to_vec();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), 32);
    }
}
