//! The form of a manifest in JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AttributesRef, DeltaRef, Manifest, SnapshotRef};
use crate::payload::UnixTime;
use crate::rtr::snapshot::Trigger;
use crate::rtr::{HistoryName, Serial, Timing};
use crate::sign::{Digest, hex};

/// A manifest; members that are not here are passed over.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Form {
    rutter_feed: u64,
    history: String,
    serial: u32,
    revision: u64,
    timing: TimingForm,
    issued: u64,
    valid_until: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mirrored: bool,
    snapshot: SnapshotForm,
    attributes: Option<AttributesForm>,
    deltas: Vec<DeltaForm>,
}

#[derive(Deserialize, Serialize)]
struct TimingForm {
    refresh: u32,
    retry: u32,
    expire: u32,
}

/// Files are named although their names follow from the rest: so that whoever copies a feed need
/// not know how.
#[derive(Deserialize, Serialize)]
struct SnapshotForm {
    serial: u32,
    name: String,
    length: u64,
    sha256: String,
}

#[derive(Deserialize, Serialize)]
struct AttributesForm {
    serial: u32,
    revision: u64,
    name: String,
    length: u64,
    sha256: String,
}

#[derive(Deserialize, Serialize)]
struct DeltaForm {
    from: u32,
    to: u32,
    time: u64,
    cause: String,
    name: String,
    length: u64,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<ReplacedForm>,
}

#[derive(Deserialize, Serialize)]
struct ReplacedForm {
    name: String,
    length: u64,
    sha256: String,
}

impl Form {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let [refresh, retry, expire] = manifest.timing.seconds();
        let delta = |delta: &DeltaRef| DeltaForm {
            from: delta.from.into_u32(),
            to: delta.to.into_u32(),
            time: delta.time.seconds(),
            cause: delta.trigger.to_string(),
            name: manifest.delta_name(delta).to_string(),
            length: delta.digest.octets,
            sha256: hex::encode(&delta.digest.sha256),
            replaced: delta.replaced.map(|digest| ReplacedForm {
                name: manifest.replaced_name(delta).to_string(),
                length: digest.octets,
                sha256: hex::encode(&digest.sha256),
            }),
        };
        Self {
            rutter_feed: Manifest::FORMAT,
            history: hex::encode(manifest.history.octets()),
            serial: manifest.serial.into_u32(),
            revision: manifest.revision,
            timing: TimingForm {
                refresh,
                retry,
                expire,
            },
            issued: manifest.issued.seconds(),
            valid_until: manifest.valid_until.seconds(),
            mirrored: manifest.mirrored,
            snapshot: SnapshotForm {
                serial: manifest.snapshot.serial.into_u32(),
                name: manifest.snapshot_name().to_string(),
                length: manifest.snapshot.digest.octets,
                sha256: hex::encode(&manifest.snapshot.digest.sha256),
            },
            attributes: manifest.attributes.map(|attributes| AttributesForm {
                serial: attributes.serial.into_u32(),
                revision: attributes.revision,
                name: manifest.attributes_name(&attributes).to_string(),
                length: attributes.digest.octets,
                sha256: hex::encode(&attributes.digest.sha256),
            }),
            deltas: manifest.deltas.iter().map(delta).collect(),
        }
    }

    /// What it says; whether it is consistent is another question.
    pub(super) fn manifest(self) -> Result<Manifest, &'static str> {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let TimingForm {
            refresh,
            retry,
            expire,
        } = self.timing;
        let timing = Timing::new(seconds(refresh), seconds(retry), seconds(expire));
        let history = hex::decode(&self.history).and_then(|octets| octets.try_into().ok());
        let mut names = vec![self.snapshot.name];
        names.extend(self.attributes.iter().map(|form| form.name.clone()));
        let mut deltas = Vec::with_capacity(self.deltas.len());
        for form in self.deltas {
            names.push(form.name);
            let mut causes = Trigger::ALL.into_iter();
            let cause = causes.find(|cause| cause.to_string() == form.cause);
            let replaced = match form.replaced {
                None => None,
                Some(form) => {
                    names.push(form.name);
                    Some(digest(form.length, &form.sha256)?)
                }
            };
            deltas.push(DeltaRef {
                from: Serial::new(form.from),
                to: Serial::new(form.to),
                time: UnixTime::new(form.time),
                trigger: cause.ok_or("a step has an unknown cause")?,
                digest: digest(form.length, &form.sha256)?,
                replaced,
            });
        }
        let attributes = match self.attributes {
            None => None,
            Some(form) => Some(AttributesRef {
                serial: Serial::new(form.serial),
                revision: form.revision,
                digest: digest(form.length, &form.sha256)?,
            }),
        };
        let manifest = Manifest {
            history: HistoryName::new(history.ok_or("the history is not 128 bits")?),
            serial: Serial::new(self.serial),
            revision: self.revision,
            timing: timing.map_err(|_| "RFC 8210 forbids its timers")?,
            issued: UnixTime::new(self.issued),
            valid_until: UnixTime::new(self.valid_until),
            mirrored: self.mirrored,
            snapshot: SnapshotRef {
                serial: Serial::new(self.snapshot.serial),
                digest: digest(self.snapshot.length, &self.snapshot.sha256)?,
            },
            attributes,
            deltas,
        };
        let rule = manifest.files().map(|(name, _)| name.to_string());
        match rule.eq(names) {
            true => Ok(manifest),
            false => Err("a file does not have the name that it must have"),
        }
    }
}

fn digest(octets: u64, sha256: &str) -> Result<Digest, &'static str> {
    let sha256 = hex::decode(sha256).and_then(|octets| octets.try_into().ok());
    let sha256 = sha256.ok_or("a digest is not 256 bits")?;
    Ok(Digest { octets, sha256 })
}
