//! Keys: P-256 for ES256 and GoRTR, Ed25519 for EdDSA.

use std::error::Error;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::pkcs8::DecodePrivateKey;
use ring::rand::SecureRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, UnparsedPublicKey,
};
use ring::{digest, error::KeyRejected};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};

/// What a key signs with.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// Ed25519 (RFC 8037 §3.1).
    EdDsa,
}

impl Algorithm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Es256, Self::EdDsa];

    /// Its name in the header of a JWS.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with a key.
#[derive(Debug)]
pub enum KeyError {
    /// There is no PEM block of the right kind.
    NotPem,
    /// It is a key, but not of an algorithm that is known here.
    Unsupported,
    /// ring refuses it.
    Rejected(KeyRejected),
    /// There is no randomness to make one with.
    Random,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPem => f.write_str("no key in PEM form"),
            Self::Unsupported => f.write_str("not a key on P-256 or of Ed25519"),
            Self::Rejected(cause) => write!(f, "not a good key: {cause}"),
            Self::Random => f.write_str("no randomness"),
        }
    }
}

impl Error for KeyError {}

impl From<KeyRejected> for KeyError {
    fn from(cause: KeyRejected) -> Self {
        Self::Rejected(cause)
    }
}

/// A private key.
pub struct SigningKey {
    pair: Pair,
    public: VerifyKey,
}

enum Pair {
    /// The same key twice: ring signs messages only, and the rows of a whole document are not to
    /// be in memory at once, so their digest is signed by another library.
    Es256 {
        ring: Box<EcdsaKeyPair>,
        prehash: Box<p256::ecdsa::SigningKey>,
    },
    EdDsa(Ed25519KeyPair),
}

impl fmt::Debug for SigningKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a key: the PEM text of its PKCS#8 form (RFC 5958).
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn generate(algorithm: Algorithm, rng: &dyn SecureRandom) -> Result<String, KeyError> {
        let made = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, rng),
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(rng),
        };
        let made = made.map_err(|_| KeyError::Random)?;
        Ok(pem("PRIVATE KEY", made.as_ref()))
    }

    /// Reads the first private key of a PEM text: PKCS#8, or SEC1 as GoRTR wants it (RFC 5915).
    ///
    /// # Errors
    ///
    /// When there is none, or none that is supported.
    pub fn from_pem(text: &[u8], rng: &dyn SecureRandom) -> Result<Self, KeyError> {
        match PrivateKeyDer::from_pem_slice(text).map_err(|_| KeyError::NotPem)? {
            PrivateKeyDer::Pkcs8(der) => Self::from_pkcs8(der.secret_pkcs8_der(), rng),
            PrivateKeyDer::Sec1(der) => Self::from_pkcs8(&wrapped(der.secret_sec1_der()), rng),
            _ => Err(KeyError::Unsupported),
        }
    }

    fn from_pkcs8(der: &[u8], rng: &dyn SecureRandom) -> Result<Self, KeyError> {
        // Both kinds of PKCS#8 name their algorithm near the beginning.
        let head = der.get(..der.len().min(32)).unwrap_or_default();
        let names = |oid: &[u8]| head.windows(oid.len()).any(|part| part == oid);
        if names(&OID_P256) {
            let ring = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, rng)?;
            let prehash = p256::ecdsa::SigningKey::from_pkcs8_der(der);
            let prehash = prehash.map_err(|_| KeyError::Unsupported)?;
            let public = VerifyKey::new(Algorithm::Es256, ring.public_key().as_ref());
            let pair = Pair::Es256 {
                ring: Box::new(ring),
                prehash: Box::new(prehash),
            };
            return Ok(Self { pair, public });
        }
        if names(&OID_ED25519) {
            // OpenSSL writes no public key beside the private one.
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)?;
            let public = VerifyKey::new(Algorithm::EdDsa, pair.public_key().as_ref());
            let pair = Pair::EdDsa(pair);
            return Ok(Self { pair, public });
        }
        Err(KeyError::Unsupported)
    }

    /// Its public half.
    pub const fn public(&self) -> &VerifyKey {
        &self.public
    }

    /// The signature of a JWS: 64 octets (RFC 7518 §3.4, RFC 8037 §3.1). `None` when there is no
    /// randomness.
    pub(super) fn sign(&self, message: &[u8], rng: &dyn SecureRandom) -> Option<Vec<u8>> {
        match &self.pair {
            Pair::Es256 { ring, .. } => Some(ring.sign(rng, message).ok()?.as_ref().to_vec()),
            Pair::EdDsa(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// The ECDSA signature of what has this SHA-256, in DER, as GoRTR wants it. `None` for keys of
    /// another algorithm.
    pub(super) fn sign_digest(&self, sha256: &[u8; 32]) -> Option<Vec<u8>> {
        let Pair::Es256 { prehash, .. } = &self.pair else {
            return None;
        };
        let signature: p256::ecdsa::DerSignature = prehash.sign_prehash(sha256).ok()?;
        Some(signature.as_bytes().to_vec())
    }
}

/// A public key.
#[derive(Clone, Eq, PartialEq)]
pub struct VerifyKey {
    algorithm: Algorithm,
    octets: Box<[u8]>,
    id: Box<str>,
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyKey")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl VerifyKey {
    fn new(algorithm: Algorithm, octets: &[u8]) -> Self {
        Self {
            algorithm,
            octets: octets.into(),
            id: thumbprint(algorithm, octets).into(),
        }
    }

    /// Reads the first public key of a PEM text (SubjectPublicKeyInfo, RFC 5280 §4.1.2.7).
    ///
    /// # Errors
    ///
    /// When there is none, or none that is supported.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text).map_err(|_| KeyError::NotPem)?;
        let kinds = [
            (Algorithm::Es256, SPKI_P256.as_slice(), 65),
            (Algorithm::EdDsa, SPKI_ED25519.as_slice(), 32),
        ];
        let known = kinds.into_iter().find_map(|(algorithm, head, len)| {
            let key = der.as_ref().strip_prefix(head)?;
            // Of the forms of a point only the uncompressed one is in use.
            let sound =
                key.len() == len && (algorithm == Algorithm::EdDsa || key.first() == Some(&4));
            sound.then(|| Self::new(algorithm, key))
        });
        known.ok_or(KeyError::Unsupported)
    }

    /// Its PEM text.
    pub fn to_pem(&self) -> String {
        let head = match self.algorithm {
            Algorithm::Es256 => SPKI_P256.as_slice(),
            Algorithm::EdDsa => SPKI_ED25519.as_slice(),
        };
        pem("PUBLIC KEY", &[head, &self.octets].concat())
    }

    /// What it verifies.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name: the thumbprint of RFC 7638, 43 characters.
    pub const fn id(&self) -> &str {
        &self.id
    }

    /// Whether this is the signature of a JWS by this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let result = match self.algorithm {
            Algorithm::Es256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.octets)
                .verify(message, signature),
            Algorithm::EdDsa => {
                UnparsedPublicKey::new(&ED25519, &self.octets).verify(message, signature)
            }
        };
        result.is_ok()
    }

    /// Whether this is an ECDSA signature in DER, by this key, of what has this SHA-256.
    pub(super) fn verifies_digest(&self, sha256: &[u8; 32], signature: &[u8]) -> bool {
        if self.algorithm != Algorithm::Es256 {
            return false;
        }
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&self.octets);
        let signature = p256::ecdsa::DerSignature::try_from(signature);
        let result = key.ok().zip(signature.ok());
        result.is_some_and(|(key, signature)| key.verify_prehash(sha256, &signature).is_ok())
    }
}

/// RFC 7638 §3: the required members of the JWK in the order of their names.
fn thumbprint(algorithm: Algorithm, octets: &[u8]) -> String {
    let base64 = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
    let jwk = match algorithm {
        Algorithm::Es256 => {
            let (x, y) = octets
                .get(1..)
                .unwrap_or_default()
                .split_at(octets.len().saturating_sub(1) / 2);
            let (x, y) = (base64(x), base64(y));
            format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}")
        }
        Algorithm::EdDsa => {
            let x = base64(octets);
            format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{x}\"}}")
        }
    };
    base64(digest::digest(&digest::SHA256, jwk.as_bytes()).as_ref())
}

/// A PEM block (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.extend(line.iter().map(|octet| char::from(*octet)));
        text.push('\n');
    }
    text + "-----END " + label + "-----\n"
}

/// A SEC1 key of P-256 within PKCS#8; of another curve, something that is refused.
fn wrapped(sec1: &[u8]) -> Vec<u8> {
    let tagged = |tag: u8, content: &[u8]| {
        let len = content.len();
        let mut der = vec![tag];
        match u8::try_from(len) {
            Ok(len @ ..=0x7f) => der.push(len),
            Ok(len) => der.extend([0x81, len]),
            Err(_) => {
                der.push(0x82);
                der.extend(u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
            }
        }
        der.extend(content);
        der
    };
    let algorithm = tagged(0x30, &[&OID_EC[..], &OID_P256].concat());
    let key = tagged(0x04, sec1);
    tagged(0x30, &[&[0x02, 0x01, 0x00], &*algorithm, &key].concat())
}

/// id-ecPublicKey (RFC 5480 §2.1.1), with tag and length.
const OID_EC: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// secp256r1 (RFC 5480 §2.1.1.1), with tag and length.
const OID_P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// id-Ed25519 (RFC 8410 §3), with tag and length.
const OID_ED25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];

/// What stands before the 65 octets of a point.
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What stands before the 32 octets of a key.
const SPKI_ED25519: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    #[test]
    fn a_key_survives_its_texts() {
        let rng = SystemRandom::new();
        for algorithm in Algorithm::ALL {
            let text = SigningKey::generate(algorithm, &rng).unwrap();
            let key = SigningKey::from_pem(text.as_bytes(), &rng).unwrap();
            let public = VerifyKey::from_pem(key.public().to_pem().as_bytes()).unwrap();
            assert_eq!((&public, public.algorithm()), (key.public(), algorithm));
            assert_eq!(public.id().len(), 43);
            let signature = key.sign(b"message", &rng).unwrap();
            assert_eq!(signature.len(), 64);
            assert!(public.verifies(b"message", &signature));
            assert!(!public.verifies(b"massage", &signature));
            let der = key.sign_digest(&[7; 32]);
            assert_eq!(der.is_some(), algorithm == Algorithm::Es256);
            if let Some(der) = der {
                assert!(public.verifies_digest(&[7; 32], &der));
                assert!(!public.verifies_digest(&[8; 32], &der));
                assert!(!public.verifies_digest(&[7; 32], &der[1..]));
            }
        }
    }

    /// RFC 8037 appendix A.3.
    #[test]
    fn the_thumbprint_is_that_of_the_rfc() {
        let x = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        let id = thumbprint(Algorithm::EdDsa, &x);
        assert_eq!(id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let rng = SystemRandom::new();
        let damaged = pem("PRIVATE KEY", &[&OID_P256[..], &[1; 40]].concat());
        let other = pem("PRIVATE KEY", &[0x30, 0x03, 0x02, 0x01, 0x00]);
        let short = pem("EC PRIVATE KEY", &[0x30, 0x03, 0x02, 0x01, 0x01]);
        for text in ["", "garbage", &damaged, &other, &short] {
            assert!(
                SigningKey::from_pem(text.as_bytes(), &rng).is_err(),
                "{text}"
            );
        }
        let compressed = pem("PUBLIC KEY", &[&SPKI_P256[..], &[2; 65]].concat());
        let cut = pem("PUBLIC KEY", &SPKI_ED25519);
        for text in ["", "garbage", &compressed, &cut] {
            assert!(VerifyKey::from_pem(text.as_bytes()).is_err(), "{text}");
        }
    }
}
