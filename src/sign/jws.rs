//! Compact JWS (RFC 7515 §7.1): one signature over one payload, in one line.

use std::error::Error;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom;
use serde::Deserialize;

use super::key::{SigningKey, VerifyKey};

/// The longest JWS that is read, in octets: a manifest with every delta of a long history.
pub const MAX_LEN: usize = 1 << 20;

/// Why a JWS is not believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JwsError {
    /// It is longer than [`MAX_LEN`].
    TooLong,
    /// It is not three parts of base64url, or its header is not one.
    Malformed,
    /// It is signed for another purpose.
    Type,
    /// Its header asks for something that must be understood and is not (RFC 7515 §4.1.11).
    Critical,
    /// It is signed by none of the keys that are trusted.
    UnknownKey,
    /// The signature is wrong.
    Signature,
}

impl fmt::Display for JwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {MAX_LEN} octets"),
            Self::Malformed => f.write_str("not a compact JWS"),
            Self::Type => f.write_str("signed for another purpose"),
            Self::Critical => f.write_str("signed with extensions that are not known here"),
            Self::UnknownKey => f.write_str("signed by none of the keys that are trusted"),
            Self::Signature => f.write_str("the signature is wrong"),
        }
    }
}

impl Error for JwsError {}

/// Signs a payload for a purpose: the `typ` of the header (RFC 7515 §4.1.9), which keeps what was
/// signed for one thing from being taken for another. `None` when there is no randomness.
pub fn sign(
    key: &SigningKey,
    purpose: &str,
    payload: &[u8],
    rng: &dyn SecureRandom,
) -> Option<String> {
    let (algorithm, id) = (key.public().algorithm(), key.public().id());
    let header = format!("{{\"alg\":\"{algorithm}\",\"kid\":\"{id}\",\"typ\":\"{purpose}\"}}");
    let mut text = URL_SAFE_NO_PAD.encode(header);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    let signature = key.sign(text.as_bytes(), rng)?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Some(text)
}

/// The header, as far as it matters. The algorithm is that of the key, never the one that is
/// named: it only has to be the same.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
    b64: Option<serde_json::Value>,
}

/// The payload of a JWS, and the key that has signed it. White space around the text is allowed.
///
/// # Errors
///
/// When it is not one, is for another purpose, or none of the keys has signed it.
pub fn verify<'k>(
    text: &[u8],
    purpose: &str,
    keys: &'k [VerifyKey],
) -> Result<(Vec<u8>, &'k VerifyKey), JwsError> {
    let text = text.trim_ascii();
    if text.len() > MAX_LEN {
        return Err(JwsError::TooLong);
    }
    let mut parts = text.split(|octet| *octet == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(JwsError::Malformed);
    };
    let signed = text.get(..header.len() + 1 + payload.len());
    let decode = |part: &[u8]| {
        let octets = URL_SAFE_NO_PAD.decode(part);
        octets.map_err(|_| JwsError::Malformed)
    };
    let head: Header = serde_json::from_slice(&decode(header)?).map_err(|_| JwsError::Malformed)?;
    if head.crit.is_some() || head.b64.is_some() {
        return Err(JwsError::Critical);
    }
    if head.typ.as_deref() != Some(purpose) {
        return Err(JwsError::Type);
    }
    let signature = decode(signature)?;
    let payload = decode(payload)?;
    let meant = |key: &&VerifyKey| {
        let named = head.kid.as_deref().is_none_or(|id| id == key.id());
        named && key.algorithm().name() == head.alg
    };
    let mut wrong = JwsError::UnknownKey;
    for key in keys.iter().filter(meant) {
        if key.verifies(signed.unwrap_or_default(), &signature) {
            return Ok((payload, key));
        }
        wrong = JwsError::Signature;
    }
    Err(wrong)
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::super::key::Algorithm;
    use super::*;

    fn key(algorithm: Algorithm) -> SigningKey {
        let rng = SystemRandom::new();
        let pem = SigningKey::generate(algorithm, &rng).unwrap();
        SigningKey::from_pem(pem.as_bytes(), &rng).unwrap()
    }

    /// RFC 8037 appendix A.4: the key, and a JWS without `typ`.
    const RFC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
        -----END PUBLIC KEY-----\n";
    const RFC_JWS: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    #[test]
    fn the_signature_of_the_rfc_is_good() {
        let key = VerifyKey::from_pem(RFC_KEY.as_bytes()).unwrap();
        let (signed, signature) = RFC_JWS.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(key.verifies(signed.as_bytes(), &signature));
        // It is signed for no purpose, so not for ours.
        let keys = [key];
        let error = verify(RFC_JWS.as_bytes(), "test", &keys).unwrap_err();
        assert_eq!(error, JwsError::Type);
    }

    #[test]
    fn what_was_signed_comes_back_with_its_key() {
        let rng = SystemRandom::new();
        let (old, new) = (key(Algorithm::Es256), key(Algorithm::EdDsa));
        let keys = [old.public().clone(), new.public().clone()];
        for key in [&old, &new] {
            let text = sign(key, "test", b"payload", &rng).unwrap();
            let (payload, by) = verify(format!("{text}\n").as_bytes(), "test", &keys).unwrap();
            assert_eq!((&*payload, by), (&b"payload"[..], key.public()));
            let error = |keys: &[VerifyKey], purpose: &str, text: &str| {
                verify(text.as_bytes(), purpose, keys).unwrap_err()
            };
            assert_eq!(error(&keys, "other", &text), JwsError::Type);
            assert_eq!(error(&[], "test", &text), JwsError::UnknownKey);
            let (_, rest) = text.split_once('.').unwrap();
            let header = |text: &str| format!("{}.{rest}", URL_SAFE_NO_PAD.encode(text));
            let alg = key.public().algorithm();
            for (head, wrong) in [
                (
                    format!(r#"{{"alg":"{alg}","typ":"test"}}"#),
                    JwsError::Signature,
                ),
                (
                    r#"{"alg":"none","typ":"test"}"#.into(),
                    JwsError::UnknownKey,
                ),
                (
                    r#"{"alg":"HS256","typ":"test"}"#.into(),
                    JwsError::UnknownKey,
                ),
                (
                    format!(r#"{{"alg":"{alg}","typ":"test","crit":["b64"],"b64":false}}"#),
                    JwsError::Critical,
                ),
                ("{}".into(), JwsError::Malformed),
            ] {
                assert_eq!(error(&keys, "test", &header(&head)), wrong, "{head}");
            }
        }
    }

    #[test]
    fn a_changed_character_is_found() {
        let rng = SystemRandom::new();
        let key = key(Algorithm::EdDsa);
        let keys = [key.public().clone()];
        let text = sign(&key, "test", b"a payload of some length", &rng).unwrap();
        for place in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            assert!(verify(&other, "test", &keys).is_err(), "{place}");
            assert!(verify(&other[..place], "test", &keys).is_err(), "{place}");
        }
        assert_eq!(
            verify(&vec![b'a'; MAX_LEN + 1], "test", &keys).unwrap_err(),
            JwsError::TooLong
        );
    }
}
