//! The signatures of GoRTR, which were never written down: two of them, over all rows in one text,
//! and over that text between two dates.
//!
//! A row is `prefix,maxLength,asn,` as the reader of its document would print it: an AS that is a
//! text stays as it is, and one that is a number is printed as Go prints a number of floating
//! point, so that 4200000000 becomes `4.2e+09`. The rows are sorted as octets and joined. The
//! names of the two are exchanged: `signatureDate` is the one without dates.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Write};

use super::hex;
use super::key::{SigningKey, VerifyKey};
use super::statement::{Digest, Digester};
use crate::payload::{PayloadSet, UnixTime, Vrp};

/// What GoRTR's signatures are over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GortrDigest {
    data: Digest,
    dated: Digest,
}

/// The two fields of a document, hexadecimal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GortrSignature {
    /// `signature`: over the rows and the dates.
    pub signature: String,
    /// `signatureDate`: over the rows alone, whatever its name says.
    pub signature_date: String,
}

/// Why a document is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GortrError {
    /// A field is missing, or is not hexadecimal.
    Malformed,
    /// None of the keys has signed these rows.
    Data,
    /// None of the keys has signed these rows with these dates.
    Dates,
}

impl fmt::Display for GortrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "no signature and signatureDate in hexadecimal digits",
            Self::Data => "the rows are signed by none of the keys that are trusted",
            Self::Dates => "the dates are signed by none of the keys that are trusted",
        })
    }
}

impl Error for GortrError {}

impl GortrDigest {
    /// Of the VRPs of a set, in a document that writes an AS as a number and has these dates.
    ///
    /// It takes four octets a VRP and the text of the largest group of prefixes that begin alike:
    /// a few megabytes for 800,000 VRPs.
    pub fn of(set: &PayloadSet, generated: UnixTime, valid: UnixTime) -> Self {
        let mut build = Build::new(generated);
        let mut text = String::new();
        let mut rows: Vec<(usize, usize)> = Vec::new();
        for group in groups(set) {
            text.clear();
            rows.clear();
            for vrp in group {
                let begin = text.len();
                row(&mut text, &vrp);
                rows.push((begin, text.len()));
            }
            let row = |(begin, end): (usize, usize)| text.get(begin..end).unwrap_or_default();
            rows.sort_unstable_by_key(|place| row(*place));
            for place in &rows {
                build.update(row(*place).as_bytes());
            }
        }
        build.finish(valid)
    }

    /// Of rows as a document has them, in the order of their octets: prefix, longest length and AS
    /// with a comma behind each.
    pub fn of_sorted(
        rows: impl IntoIterator<Item: AsRef<[u8]>>,
        generated: UnixTime,
        valid: UnixTime,
    ) -> Self {
        let mut build = Build::new(generated);
        for row in rows {
            build.update(row.as_ref());
        }
        build.finish(valid)
    }

    /// Signs both. `None` when the key is not one of P-256.
    pub fn sign(&self, key: &SigningKey) -> Option<GortrSignature> {
        let sign = |digest: &Digest| Some(hex::encode(&key.sign_digest(&digest.sha256)?));
        Some(GortrSignature {
            signature: sign(&self.dated)?,
            signature_date: sign(&self.data)?,
        })
    }

    /// Whether one of the keys has signed the rows, and the dates with them.
    ///
    /// # Errors
    ///
    /// When none has.
    pub fn verify(&self, fields: &GortrSignature, keys: &[VerifyKey]) -> Result<(), GortrError> {
        let read = |text: &str| hex::decode(text).filter(|octets| !octets.is_empty());
        let both = read(&fields.signature).zip(read(&fields.signature_date));
        let (dated, data) = both.ok_or(GortrError::Malformed)?;
        let signed = |digest: &Digest, signature: &[u8]| {
            let mut keys = keys.iter();
            keys.any(|key| key.verifies_digest(&digest.sha256, signature))
        };
        if !signed(&self.data, &data) {
            return Err(GortrError::Data);
        }
        match signed(&self.dated, &dated) {
            true => Ok(()),
            false => Err(GortrError::Dates),
        }
    }
}

/// Both digests on their way.
struct Build {
    data: Digester,
    dated: Digester,
}

impl Build {
    fn new(generated: UnixTime) -> Self {
        let mut dated = Digester::default();
        dated.update(format!("{},", generated.seconds()).as_bytes());
        Self {
            data: Digester::default(),
            dated,
        }
    }

    fn update(&mut self, row: &[u8]) {
        self.data.update(row);
        self.dated.update(row);
    }

    fn finish(mut self, valid: UnixTime) -> GortrDigest {
        // The last row ends in a comma, so there is none before.
        let valid = valid.seconds().to_string();
        self.dated.update(valid.as_bytes());
        GortrDigest {
            data: self.data.finish(),
            dated: self.dated.finish(),
        }
    }
}

/// The VRPs in groups of prefixes that begin alike, in the order of their texts.
///
/// A text begins with the first part of the address and what ends it, `.` or `:`. No such beginning
/// is the beginning of another one, so their order is that of the texts.
fn groups(set: &PayloadSet) -> impl Iterator<Item = Vec<Vrp>> {
    let mut places: BTreeMap<Box<str>, Vec<u32>> = BTreeMap::new();
    let mut text = String::new();
    for (place, vrp) in set.vrps().enumerate() {
        text.clear();
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", vrp.prefix().addr());
        let end = text.find(['.', ':']).map_or(text.len(), |dot| dot + 1);
        let first = text.get(..end).unwrap_or_default();
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        match places.get_mut(first) {
            Some(places) => places.push(place),
            None => drop(places.insert(first.into(), vec![place])),
        }
    }
    let (v4, v6) = (set.v4(), set.v6());
    let vrp = move |place: &u32| {
        let place = usize::try_from(*place).unwrap_or(usize::MAX);
        let of_v6 = || v6.get(place - v4.len()).map(|vrp| Vrp::V6(*vrp));
        v4.get(place).map(|vrp| Vrp::V4(*vrp)).or_else(of_v6)
    };
    let group = move |places: Vec<u32>| places.iter().filter_map(vrp).collect();
    places.into_values().map(group)
}

/// A row as GoRTR prints it when it has read ours, in which an AS is a number.
fn row(text: &mut String, vrp: &Vrp) {
    let (prefix, max_len, asn) = (vrp.prefix(), vrp.max_len(), vrp.asn().as_float());
    // Writing to a string cannot fail.
    let _ = write!(text, "{prefix},{max_len},{asn},");
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::super::key::Algorithm;
    use super::*;
    use crate::payload::{Asn, Attribute, DataSet, RowsBuilder};

    fn set(vrps: &[(&str, u8, u32)]) -> PayloadSet {
        let mut rows = RowsBuilder::new();
        for (prefix, max_len, asn) in vrps {
            let vrp = Vrp::new(prefix.parse().unwrap(), *max_len, Asn::new(*asn)).unwrap();
            rows.push_vrp(vrp, Attribute::default());
        }
        DataSet::new(&rows.finish()).payload().clone()
    }

    fn hexes(digest: &GortrDigest) -> (String, String) {
        let hex = |digest: &Digest| hex::encode(&digest.sha256);
        (hex(&digest.data), hex(&digest.dated))
    }

    /// The digests that GoRTR's own tests state.
    #[test]
    fn digests_are_those_of_gortr() {
        let rows = ["10.0.0.0/25,26,AS65000,", "10.1.0.0/25,26,AS65001,"];
        let (generated, valid) = (UnixTime::new(1_577_865_600), UnixTime::new(1_577_866_200));
        assert_eq!(
            hexes(&GortrDigest::of_sorted(rows, generated, valid)),
            (
                "77c8915f906c1a2ea5c62ead10dd66d1bd9bbee889a436d5e23ce56046f577d5".into(),
                "7fb9c0f11b431d8b28fde2eff2fff21c7c594132d88d8486f616a9031a0aee38".into()
            )
        );
    }

    /// A group after the other gives the order of all texts, whatever the order of the set is.
    #[test]
    fn groups_give_the_order_of_the_texts() {
        let vrps = [
            ("1.0.0.0/24", 24, 65_001),
            ("1.0.0.0/24", 25, 4_200_000_000),
            ("10.0.0.0/8", 8, 1),
            ("100.0.0.0/8", 8, 1),
            ("2.0.0.0/8", 8, 1),
            ("0.0.0.0/0", 0, 1),
            ("::/0", 0, 1),
            ("::1/128", 128, 1),
            ("0:1::/32", 32, 1),
            ("1::/16", 16, 1),
            ("10::/16", 16, 1),
            ("2001:db8::/32", 48, 1_000_000),
            ("2a00::/12", 12, 1),
            ("200::/12", 12, 1),
        ];
        let set = set(&vrps);
        let (generated, valid) = (UnixTime::new(1), UnixTime::new(2));
        let texts = set.vrps().map(|vrp| {
            let mut text = String::new();
            row(&mut text, &vrp);
            text
        });
        let mut texts: Vec<String> = texts.collect();
        texts.sort_unstable();
        let whole = GortrDigest::of_sorted(texts, generated, valid);
        assert_eq!(GortrDigest::of(&set, generated, valid), whole);
    }

    #[test]
    fn an_empty_set_has_digests_too() {
        let (generated, valid) = (UnixTime::new(1), UnixTime::new(2));
        let digest = GortrDigest::of(&set(&[]), generated, valid);
        assert_eq!(digest.data, Digest::of(b""));
        assert_eq!(digest.dated, Digest::of(b"1,2"));
    }

    #[test]
    fn signatures_hold_for_rows_and_dates() {
        let rng = SystemRandom::new();
        let key = |algorithm| {
            let pem = SigningKey::generate(algorithm, &rng).unwrap();
            SigningKey::from_pem(pem.as_bytes(), &rng).unwrap()
        };
        let (right, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
        let keys = [other.public().clone(), right.public().clone()];
        let of = |vrps: &[(&str, u8, u32)], valid| {
            GortrDigest::of(&set(vrps), UnixTime::new(1), UnixTime::new(valid))
        };
        let vrps = [("192.0.2.0/24", 24, 65_001)];
        let digest = of(&vrps, 2);
        let fields = digest.sign(&right).unwrap();
        assert_eq!(digest.verify(&fields, &keys), Ok(()));
        assert_eq!(digest.verify(&fields, &keys[..1]), Err(GortrError::Data));
        assert_eq!(of(&vrps, 3).verify(&fields, &keys), Err(GortrError::Dates));
        assert_eq!(of(&[], 2).verify(&fields, &keys), Err(GortrError::Data));
        let exchanged = GortrSignature {
            signature: fields.signature_date.clone(),
            signature_date: fields.signature.clone(),
        };
        assert_eq!(digest.verify(&exchanged, &keys), Err(GortrError::Data));
        for bad in ["", "0", "xy"] {
            let signature_date = bad.to_owned();
            let fields = GortrSignature {
                signature_date,
                ..fields.clone()
            };
            assert_eq!(digest.verify(&fields, &keys), Err(GortrError::Malformed));
        }
        assert_eq!(digest.sign(&key(Algorithm::EdDsa)), None);
    }
}
