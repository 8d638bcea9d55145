//! What a signer says of a document: so small that neither the signer nor the verifier has to
//! hold the document.

use std::error::Error;
use std::fmt;

use ring::digest::{Context, SHA256};
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};

use super::hex;
use super::jws::{self, JwsError};
use super::key::{SigningKey, VerifyKey};
use crate::payload::UnixTime;

/// The SHA-256 of some octets, and how many they are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Digest {
    /// How many.
    pub octets: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// A [`Digest`] that is being made of octets as they come.
#[derive(Clone)]
pub struct Digester {
    octets: u64,
    context: Context,
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester")
            .field("octets", &self.octets)
            .finish_non_exhaustive()
    }
}

impl Default for Digester {
    /// Of nothing so far.
    fn default() -> Self {
        Self {
            octets: 0,
            context: Context::new(&SHA256),
        }
    }
}

impl Digester {
    /// Takes more octets.
    pub fn update(&mut self, octets: &[u8]) {
        self.octets += u64::try_from(octets.len()).unwrap_or(0);
        self.context.update(octets);
    }

    /// How many octets it has taken.
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// The digest of all of them.
    pub fn finish(self) -> Digest {
        let mut sha256 = [0; 32];
        for (to, from) in sha256.iter_mut().zip(self.context.finish().as_ref()) {
            *to = *from;
        }
        Digest {
            octets: self.octets,
            sha256,
        }
    }
}

impl Digest {
    /// The digest of octets that lie in memory.
    pub fn of(octets: &[u8]) -> Self {
        let mut digester = Digester::default();
        digester.update(octets);
        digester.finish()
    }
}

/// A signed statement on a document: what it is, in which history, and how long it counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Statement {
    /// The exact octets of the document.
    pub digest: Digest,
    /// The name of the history.
    pub history: [u8; 16],
    /// The serial that the document shows.
    pub serial: u32,
    /// The revision of that serial.
    pub revision: u64,
    /// When it was signed (`iat`, RFC 7519 §4.1.6).
    pub issued: UnixTime,
    /// From when on it counts no more (`exp`, RFC 7519 §4.1.4).
    pub expires: UnixTime,
}

/// Its form in JSON.
#[derive(Deserialize, Serialize)]
struct Form {
    sha256: String,
    length: u64,
    history: String,
    serial: u32,
    revision: u64,
    iat: u64,
    exp: u64,
}

/// Why a statement is not believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StatementError {
    /// Its signature is not.
    Jws(JwsError),
    /// It is signed, and says something else than a statement does.
    Malformed,
    /// It counts no more since then.
    Expired(UnixTime),
    /// It is from the future: one of the two clocks is wrong.
    NotYet(UnixTime),
    /// The document is another one.
    Digest,
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jws(cause) => cause.fmt(f),
            Self::Malformed => f.write_str("signed, but no statement on a document"),
            Self::Expired(since) => write!(f, "expired at {since}"),
            Self::NotYet(from) => write!(f, "signed in the future, at {from}"),
            Self::Digest => f.write_str("the document is not the one that was signed"),
        }
    }
}

impl Error for StatementError {}

impl Statement {
    /// The purpose in the header of its JWS.
    pub const PURPOSE: &str = "rutter-export";

    /// How the name of a statement ends, which is beside the document's.
    pub const ENDING: &str = ".jws";

    /// How far the clocks of a signer and a verifier may differ, in seconds.
    pub const SKEW: u64 = 300;

    /// The JWS. `None` when there is no randomness.
    pub fn sign(&self, key: &SigningKey, rng: &dyn SecureRandom) -> Option<String> {
        let form = Form {
            sha256: hex::encode(&self.digest.sha256),
            length: self.digest.octets,
            history: hex::encode(&self.history),
            serial: self.serial,
            revision: self.revision,
            iat: self.issued.seconds(),
            exp: self.expires.seconds(),
        };
        let payload = serde_json::to_vec(&form).ok()?;
        jws::sign(key, Self::PURPOSE, &payload, rng)
    }

    /// Reads a JWS that one of the keys has signed and that counts now.
    ///
    /// # Errors
    ///
    /// When it is none, none of the keys has signed it, or it does not count now.
    pub fn verify(text: &[u8], keys: &[VerifyKey], now: UnixTime) -> Result<Self, StatementError> {
        let (payload, _) = jws::verify(text, Self::PURPOSE, keys).map_err(StatementError::Jws)?;
        let form: Form = serde_json::from_slice(&payload).map_err(|_| StatementError::Malformed)?;
        let statement = form.statement().ok_or(StatementError::Malformed)?;
        if statement.expires <= now {
            return Err(StatementError::Expired(statement.expires));
        }
        if statement.issued.seconds() > now.seconds().saturating_add(Self::SKEW) {
            return Err(StatementError::NotYet(statement.issued));
        }
        Ok(statement)
    }

    /// Whether it is on this document.
    ///
    /// # Errors
    ///
    /// When it is on another one.
    pub fn is_on(&self, document: &Digest) -> Result<(), StatementError> {
        match self.digest == *document {
            true => Ok(()),
            false => Err(StatementError::Digest),
        }
    }
}

impl Form {
    fn statement(&self) -> Option<Statement> {
        Some(Statement {
            digest: Digest {
                octets: self.length,
                sha256: hex::decode(&self.sha256)?.try_into().ok()?,
            },
            history: hex::decode(&self.history)?.try_into().ok()?,
            serial: self.serial,
            revision: self.revision,
            issued: UnixTime::new(self.iat),
            expires: UnixTime::new(self.exp),
        })
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::super::key::Algorithm;
    use super::*;

    #[test]
    fn a_statement_holds_for_one_document_and_one_time() {
        let rng = SystemRandom::new();
        let pem = SigningKey::generate(Algorithm::EdDsa, &rng).unwrap();
        let key = SigningKey::from_pem(pem.as_bytes(), &rng).unwrap();
        let keys = [key.public().clone()];
        let statement = Statement {
            digest: Digest::of(b"document"),
            history: [7; 16],
            serial: 4_294_967_295,
            revision: 3,
            issued: UnixTime::new(1_000),
            expires: UnixTime::new(2_000),
        };
        let text = statement.sign(&key, &rng).unwrap();
        let read = |now| Statement::verify(text.as_bytes(), &keys, UnixTime::new(now));
        assert_eq!(read(1_000), Ok(statement));
        assert_eq!(read(1_000 - Statement::SKEW), Ok(statement));
        assert_eq!(
            read(999 - Statement::SKEW),
            Err(StatementError::NotYet(UnixTime::new(1_000)))
        );
        assert_eq!(
            read(2_000),
            Err(StatementError::Expired(UnixTime::new(2_000)))
        );
        assert_eq!(statement.is_on(&Digest::of(b"document")), Ok(()));
        let other = statement.is_on(&Digest::of(b"Document"));
        assert_eq!(other, Err(StatementError::Digest));
        let unsigned = Statement::verify(text.as_bytes(), &[], UnixTime::new(1_000));
        assert_eq!(unsigned, Err(StatementError::Jws(JwsError::UnknownKey)));
        let other = jws::sign(&key, Statement::PURPOSE, b"{}", &rng).unwrap();
        let other = Statement::verify(other.as_bytes(), &keys, UnixTime::new(1_000));
        assert_eq!(other, Err(StatementError::Malformed));
    }

    #[test]
    fn a_digest_in_pieces_is_that_of_the_whole() {
        let mut digester = Digester::default();
        for piece in [&b"doc"[..], b"", b"ument"] {
            digester.update(piece);
        }
        assert_eq!(digester.finish(), Digest::of(b"document"));
    }
}
