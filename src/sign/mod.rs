//! Digests and signatures, with ring.
//!
//! What is exported is signed in two ways: by a statement of ours ([`statement`]) in a compact JWS
//! ([`jws`], RFC 7515), and by the two fields that GoRTR made up ([`gortr`]), for followers that
//! know nothing else. Keys are in [`key`]. Read in this order: [`key`], [`jws`], [`statement`],
//! [`gortr`].
//!
//! Nothing here reads a file, knows the time or makes randomness: they are arguments.

pub mod gortr;
pub mod jws;
pub mod key;
pub mod statement;

pub(crate) mod hex;

pub use self::gortr::GortrDigest;
pub use self::jws::JwsError;
pub use self::key::{Algorithm, KeyError, SigningKey, VerifyKey};
pub use self::statement::{Digest, Digester, Statement};
