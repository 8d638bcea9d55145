//! BGPsec router keys.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::asn::Asn;
use super::rows::Ranked;

/// A BGPsec router key (RFC 8635): the AS signs paths with the key of this identifier.
///
/// The order is that of 8210bis §11.2: identifier, length of the key, key, AS, all ascending.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct RouterKey {
    ski: [u8; 20],
    asn: Asn,
    key: Arc<[u8]>,
}

impl RouterKey {
    /// The longest key info taken, in octets. A P-256 key has 91; the bound keeps a PDU within
    /// what 8210bis §5.1 allows with much to spare.
    pub const MAX_KEY: usize = 4096;

    /// The key with this identifier (20 octets) and SubjectPublicKeyInfo (DER, outer header
    /// included) for this AS.
    ///
    /// # Errors
    ///
    /// When the key info is empty or longer than [`MAX_KEY`](Self::MAX_KEY).
    pub fn new(ski: [u8; 20], asn: Asn, key: &[u8]) -> Result<Self, RouterKeyError> {
        if key.is_empty() || key.len() > Self::MAX_KEY {
            return Err(RouterKeyError { octets: key.len() });
        }
        Ok(Self {
            ski,
            asn,
            key: key.into(),
        })
    }

    /// The subject key identifier.
    pub const fn ski(&self) -> &[u8; 20] {
        &self.ski
    }

    /// The AS.
    pub const fn asn(&self) -> Asn {
        self.asn
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

impl Ranked for RouterKey {
    fn rank(&self) -> u16 {
        let [high, low, ..] = self.ski;
        u16::from_be_bytes([high, low])
    }
}

impl Ord for RouterKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ski
            .cmp(&other.ski)
            .then_with(|| self.key.len().cmp(&other.key.len()))
            .then_with(|| self.key.cmp(&other.key))
            .then_with(|| self.asn.cmp(&other.asn))
    }
}

impl PartialOrd for RouterKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for RouterKey {
    /// The identifier in hexadecimal and the AS, without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.ski {
            write!(f, "{octet:02x}")?;
        }
        write!(f, " {}", self.asn)
    }
}

/// A key info that is empty or too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RouterKeyError {
    /// Its length in octets.
    pub octets: usize,
}

impl fmt::Display for RouterKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a key of {} octets is not between 1 and {}",
            self.octets,
            RouterKey::MAX_KEY
        )
    }
}

impl std::error::Error for RouterKeyError {}
