//! Manifests.

use ring::rand::SystemRandom;

use super::super::advance::{Advance, Mark, RollbackError};
use super::super::manifest::{Manifest, ManifestError};
use super::{Random, manifest, serials};
use crate::payload::UnixTime;
use crate::rtr::{HistoryName, Serial};
use crate::sign::jws;
use crate::sign::{Algorithm, Digest, JwsError, SigningKey, hex};

fn example() -> Manifest {
    let mut random = Random::new(11);
    manifest(&serials(&mut random, 6), 2, Some(3))
}

fn key() -> SigningKey {
    let rng = SystemRandom::new();
    let pem = SigningKey::generate(Algorithm::EdDsa, &rng).unwrap();
    SigningKey::from_pem(pem.as_bytes(), &rng).unwrap()
}

/// A plain manifest that was changed by somebody who knows how.
fn changed(manifest: &Manifest, from: &str, to: &str) -> Result<Manifest, ManifestError> {
    let text = manifest.to_plain();
    let (body, _) = text.rsplit_once(",\"check\"").unwrap();
    assert!(body.contains(from), "{body}");
    let body = body.replacen(from, to, 1);
    let check = hex::encode(&Digest::of(body.as_bytes()).sha256);
    Manifest::read_plain(format!("{body},\"check\":\"{check}\"}}").as_bytes())
}

#[test]
fn both_forms_come_back() {
    let manifest = example();
    assert!(manifest.deltas.iter().any(|delta| delta.replaced.is_some()));
    let plain = manifest.to_plain();
    assert_eq!(
        Manifest::read_plain(plain.as_bytes()).as_ref(),
        Ok(&manifest)
    );
    let json: serde_json::Value = serde_json::from_str(&plain).unwrap();
    assert_eq!(json["rutter-feed"], 1);
    assert_eq!(json["history"], "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a");
    assert_eq!(
        json["snapshot"]["name"],
        format!("{}-4294967295.snapshot", manifest.history)
    );
    let (rng, right, other) = (SystemRandom::new(), key(), key());
    let text = manifest.sign(&right, &rng).unwrap();
    let keys = [right.public().clone()];
    let verify = |keys, now| Manifest::verify(text.as_bytes(), keys, UnixTime::new(now));
    assert_eq!(verify(&keys, 2_000).as_ref(), Ok(&manifest));
    let others = [other.public().clone()];
    let unknown = verify(&others, 2_000);
    assert_eq!(unknown, Err(ManifestError::Jws(JwsError::UnknownKey)));
    let ended = UnixTime::new(9_200);
    assert_eq!(verify(&keys, 9_200), Err(ManifestError::Expired(ended)));
    assert!(verify(&keys, 9_199).is_ok());
    let begins = UnixTime::new(2_000);
    assert_eq!(verify(&keys, 1_699), Err(ManifestError::NotYet(begins)));
    assert!(verify(&keys, 1_700).is_ok());
    // Signed for one purpose is signed for no other.
    let text = jws::sign(&right, "rutter-export", plain.as_bytes(), &rng).unwrap();
    let error = Manifest::verify(text.as_bytes(), &keys, begins).unwrap_err();
    assert_eq!(error, ManifestError::Jws(JwsError::Type));
}

#[test]
fn what_is_unknown_is_passed_over_and_another_format_is_not() {
    let manifest = example();
    let more = changed(&manifest, "{\"rutter", "{\"news\":[{\"a\":1}],\"rutter");
    assert_eq!(more.as_ref(), Ok(&manifest));
    let more = changed(&manifest, "{\"from\"", "{\"news\":null,\"from\"");
    assert_eq!(more.as_ref(), Ok(&manifest));
    let newer = changed(&manifest, "\"rutter-feed\":1", "\"rutter-feed\":2");
    let error = newer.unwrap_err();
    assert_eq!(error, ManifestError::Format(2));
    assert_eq!(error.to_string(), "format 2, and only 1 is known here");
    // Whatever a later format looks like otherwise.
    let error = Manifest::read_plain(b"{\"rutter-feed\":7,\"a\":[]}").unwrap_err();
    assert_eq!(error, ManifestError::Format(7));
}

#[test]
fn a_plain_manifest_shows_accidents() {
    let text = example().to_plain().into_bytes();
    // White space at the end may come and go.
    for end in 0..text.len() - 1 {
        assert!(Manifest::read_plain(&text[..end]).is_err(), "{end}");
    }
    for bit in 0..(text.len() - 1) * 8 {
        let mut wrong = text.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(Manifest::read_plain(&wrong).is_err(), "{bit}");
    }
    let long = vec![b' '; Manifest::MAX_LEN + 1];
    assert_eq!(Manifest::read_plain(&long), Err(ManifestError::TooLong));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let manifest = example();
    let history = manifest.history.to_string();
    for (from, to, what) in [
        (
            "\"serial\":3,",
            "\"serial\":4,",
            "the last step does not lead to the serial",
        ),
        ("\"serial\":3,", "\"serial\":0,", "serial 0 is never issued"),
        (
            "\"from\":4294967294,\"to\":4294967295",
            "\"from\":4294967294,\"to\":1",
            "a file does not have the name that it must have",
        ),
        (
            "\"cause\":\"",
            "\"cause\":\"x",
            "a step has an unknown cause",
        ),
        (
            "\"sha256\":\"",
            "\"sha256\":\"00",
            "a digest is not 256 bits",
        ),
        (
            "\"history\":\"",
            "\"history\":\"00",
            "the history is not 128 bits",
        ),
        (
            "\"expire\":7200",
            "\"expire\":1",
            "RFC 8210 forbids its timers",
        ),
        (
            "\"issued\":2000",
            "\"issued\":99999",
            "it ends before it begins",
        ),
        (
            &format!("\"{history}-4294967295.snapshot"),
            "\"../../etc/passwd",
            "a file does not have the name that it must have",
        ),
        (
            &format!("\"{history}-1-2.delta"),
            &format!("\"{history}-1-2.snapshot"),
            "a file does not have the name that it must have",
        ),
        ("\"length\":", "\"length\":9999999999", "a file is too long"),
    ] {
        let error = changed(&manifest, from, to).unwrap_err();
        assert_eq!(error, ManifestError::Inconsistent(what), "{from}");
    }
    let wrong = |change: fn(&mut Manifest)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        match Manifest::read_plain(manifest.to_plain().as_bytes()) {
            Err(ManifestError::Inconsistent(what)) => what,
            other => panic!("{other:?}"),
        }
    };
    let chain = wrong(|manifest| manifest.deltas.retain(|delta| delta.from != Serial::new(1)));
    assert_eq!(chain, "the steps are no chain");
    let apart = wrong(|manifest| drop(manifest.deltas.drain(..3)));
    assert_eq!(apart, "no steps lead from the snapshot to the serial");
    let stray = |serial| {
        move |manifest: &mut Manifest| {
            manifest.attributes.as_mut().unwrap().serial = Serial::new(serial);
        }
    };
    let mut other = manifest.clone();
    stray(u32::MAX - 1)(&mut other);
    let error = Manifest::read_plain(other.to_plain().as_bytes()).unwrap_err();
    let between = "the attributes are not between the snapshot and the serial";
    assert_eq!(error, ManifestError::Inconsistent(between));
    let later = wrong(|manifest| {
        let attributes = manifest.attributes.as_mut().unwrap();
        (attributes.serial, attributes.revision) = (manifest.serial, manifest.revision + 1);
    });
    assert_eq!(later, "the attributes are of a later revision");
}

#[test]
fn the_longest_history_fits() {
    let mut manifest = example();
    let digest = Digest {
        octets: 99_999_999,
        sha256: [0xff; 32],
    };
    let step = |number: u32| super::DeltaRef {
        from: Serial::new(4_294_900_000 + number),
        to: Serial::new(4_294_900_001 + number),
        time: UnixTime::new(9_999_999_999),
        trigger: crate::rtr::snapshot::Trigger::Approval,
        digest: Digest {
            octets: 99_999,
            ..digest
        },
        replaced: number.is_multiple_of(2).then_some(digest),
    };
    manifest.deltas = (0..3_000).map(step).collect();
    manifest.serial = Serial::new(4_294_903_000);
    manifest.revision = u64::MAX;
    manifest.snapshot.serial = Serial::new(4_294_902_000);
    manifest.attributes = None;
    manifest.trim(Manifest::MAX_STEP_FILES);
    assert_eq!(manifest.deltas.len(), Manifest::MAX_STEP_FILES * 2 / 3);
    let (rng, key) = (SystemRandom::new(), key());
    let text = manifest.sign(&key, &rng).unwrap();
    assert!(text.len() <= jws::MAX_LEN, "{}", text.len());
    let keys = [key.public().clone()];
    let read = Manifest::verify(text.as_bytes(), &keys, manifest.issued);
    assert_eq!(read.as_ref(), Ok(&manifest));
    // What leads from the snapshot to the serial is never forgotten.
    manifest.trim(0);
    assert_eq!(manifest.deltas.len(), 1_000);
    assert_eq!(manifest.steps_before_snapshot(), 0);
}

#[test]
fn a_follower_goes_back_for_nobody() {
    let here = Mark {
        history: HistoryName::new([1; 16]),
        serial: Serial::new(u32::MAX),
        revision: 5,
        issued: UnixTime::new(100),
    };
    let to = |history: u8, serial, revision, issued| {
        let mut manifest = example();
        manifest.history = HistoryName::new([history; 16]);
        manifest.serial = Serial::new(serial);
        manifest.revision = revision;
        manifest.issued = UnixTime::new(issued);
        manifest.advances(&here)
    };
    assert_eq!(to(1, u32::MAX, 5, 100), Ok(Advance::Same));
    assert_eq!(to(1, u32::MAX, 5, 101), Ok(Advance::Same));
    assert_eq!(to(1, u32::MAX, 6, 100), Ok(Advance::Revision));
    // Past the end of the numbers.
    assert_eq!(to(1, 1, 0, 99), Ok(Advance::Serial));
    assert_eq!(to(2, 1, 0, 100), Ok(Advance::Afresh));
    let serial = |found| {
        Err(RollbackError::Serial {
            reached: here.serial,
            found: Serial::new(found),
        })
    };
    assert_eq!(to(1, u32::MAX - 1, 9, 200), serial(u32::MAX - 1));
    // Half the numbers away has no order.
    assert_eq!(to(1, 0x7fff_ffff, 0, 200), serial(0x7fff_ffff));
    assert_eq!(
        to(1, u32::MAX, 4, 200),
        Err(RollbackError::Revision {
            reached: 5,
            found: 4
        })
    );
    let issued = Err(RollbackError::Issued {
        reached: UnixTime::new(100),
        found: UnixTime::new(99),
    });
    for older in [
        to(1, u32::MAX, 5, 99),
        to(1, u32::MAX, 6, 99),
        to(2, 1, 0, 99),
    ] {
        assert_eq!(older, issued);
    }
}
