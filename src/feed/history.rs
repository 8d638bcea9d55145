//! From files to what is served.

use std::sync::Arc;

use super::attributes::Attributes;
use super::error::FeedError;
use super::manifest::{DeltaRef, Manifest};
use super::snapshot;
use crate::payload::rows::TrustAnchorId;
use crate::payload::{Attribute, DataSet, Delta, PayloadSet};
use crate::rtr::snapshot::restore::Restored;
use crate::rtr::snapshot::{Entry, Known};
use crate::rtr::{Serial, Snapshot};
use crate::sign::Digest;

/// What was read of the files that a manifest names.
#[derive(Debug)]
pub struct Parts {
    /// The snapshot.
    pub snapshot: PayloadSet,
    /// The attributes, if there are any.
    pub attributes: Option<Attributes>,
    /// The steps, oldest first. Those before the snapshot may be missing, the oldest of them
    /// first; then as many serials fewer are answered.
    pub deltas: Vec<Delta>,
}

/// The history that a manifest and its files are. Costs a pass over the set for its digest, and
/// two more when the snapshot is older than the serial.
///
/// A payload of which no attributes are known expires when the manifest does: what nobody can
/// tell the end of is not kept for ever. Session IDs of version 0 begin at 0, which whoever serves
/// the history has to change.
///
/// # Errors
///
/// When the parts do not belong together.
pub fn compose(manifest: &Manifest, parts: Parts) -> Result<Restored, FeedError> {
    let missing = manifest.deltas.len().checked_sub(parts.deltas.len());
    let missing = missing.ok_or(FeedError::Missing)?;
    let named = manifest.deltas.get(missing..).unwrap_or_default();
    let before = manifest.steps_before_snapshot().checked_sub(missing);
    let forwards = parts.deltas.get(before.ok_or(FeedError::Missing)?..);
    let forwards: Vec<&Delta> = forwards.unwrap_or_default().iter().collect();
    let known = parts.attributes.is_some().then(|| known(manifest));
    let data = data(manifest, parts.snapshot, parts.attributes, &forwards)?;
    let steps = named
        .iter()
        .zip(parts.deltas)
        .map(|(named, delta)| entry(named, delta));
    Ok(restored(manifest, data, known.flatten(), steps.collect()))
}

/// What leads on from what is served already.
#[derive(Debug, Default)]
pub struct News {
    /// The steps from there to the serial of the manifest, oldest first.
    pub deltas: Vec<Delta>,
    /// The attributes that the manifest names, `None` to go on with those that are known.
    pub attributes: Option<Attributes>,
}

/// What a manifest makes of a snapshot of the same history. Costs two passes over the set where
/// there are steps, and with attributes one more for its digest.
///
/// Of the older steps those stay that the manifest names. A payload that comes and of which no
/// attributes are known expires when the manifest does, as [`compose`] has it. Without attributes
/// nothing shows whether the snapshot really is what the history was at its serial, unless a step
/// does not fit.
///
/// # Errors
///
/// When the news do not lead from the snapshot to the serial.
pub fn compose_after(
    manifest: &Manifest,
    previous: &Snapshot,
    news: News,
) -> Result<Restored, FeedError> {
    if previous.name() != manifest.history {
        return Err(FeedError::Missing);
    }
    let place = manifest.place_of(previous.serial());
    let named = place.and_then(|place| manifest.deltas.get(place..));
    let named = named.ok_or(FeedError::Missing)?;
    if named.len() != news.deltas.len() {
        return Err(FeedError::Missing);
    }
    let deltas: Vec<&Delta> = news.deltas.iter().collect();
    let known = match news.attributes {
        Some(_) => known(manifest),
        None => previous.known(),
    };
    let data = data_after(manifest, previous, news.attributes, &deltas)?;
    let fresh = named.iter().zip(news.deltas);
    let fresh = fresh.map(|(named, delta)| entry(named, delta));
    let steps = kept(manifest, previous).cloned().chain(fresh).collect();
    Ok(restored(manifest, data, known, steps))
}

/// Where a manifest says that a history stands.
fn restored(
    manifest: &Manifest,
    data: DataSet,
    known: Option<Known>,
    steps: Vec<Arc<Entry>>,
) -> Restored {
    Restored {
        v0_turn: 0,
        name: manifest.history,
        serial: manifest.serial,
        revision: manifest.revision,
        data,
        known,
        steps,
    }
}

/// Of which moment the attributes of a manifest are.
fn known(manifest: &Manifest) -> Option<Known> {
    let named = manifest.attributes?;
    let (serial, revision) = (named.serial, named.revision);
    Some(Known { serial, revision })
}

/// The steps of a snapshot that a manifest still names. Both end where steps lead on or end.
fn kept<'s>(manifest: &Manifest, previous: &'s Snapshot) -> impl Iterator<Item = &'s Arc<Entry>> {
    let oldest = manifest.deltas.first().map(|delta| delta.from);
    let begins = previous.entries().next().map(|entry| entry.from());
    let all = begins.is_some_and(|begins| manifest.place_of(begins).is_some());
    let steps = previous.entries();
    steps.skip_while(move |entry| !all && Some(entry.from()) != oldest)
}

fn data_after(
    manifest: &Manifest,
    previous: &Snapshot,
    attributes: Option<Attributes>,
    deltas: &[&Delta],
) -> Result<DataSet, FeedError> {
    let unknown = Attribute::new(Some(manifest.valid_until), TrustAnchorId::default());
    let known = attributes.zip(manifest.attributes);
    let Some((attributes, named)) = known else {
        return match deltas {
            [] => Ok(previous.data().clone()),
            steps => {
                let payload = stepped(previous.payload(), steps)?;
                Ok(previous.data().carried_to(payload, unknown))
            }
        };
    };
    let steps = steps_between(manifest, previous.serial(), named.serial);
    let split = steps.and_then(|steps| deltas.split_at_checked(steps));
    let (until, after) = split.ok_or(FeedError::Missing)?;
    let payload = match until {
        [] => previous.payload().clone(),
        steps => stepped(previous.payload(), steps)?,
    };
    let digest = snapshot::digest(&payload);
    let data = attributes.join(payload, &digest)?;
    match after {
        [] => Ok(data),
        steps => {
            let payload = stepped(data.payload(), steps)?;
            Ok(data.carried_to(payload, unknown))
        }
    }
}

/// What a set becomes; of several steps only what they amount to is applied.
fn stepped(set: &PayloadSet, steps: &[&Delta]) -> Result<PayloadSet, FeedError> {
    match steps {
        [step] => Ok(step.apply(set)?),
        steps => Ok(Delta::chain(steps)?.apply(set)?),
    }
}

fn entry(named: &DeltaRef, delta: Delta) -> Arc<Entry> {
    let DeltaRef { from, to, .. } = *named;
    Arc::new(Entry::new(from, to, named.time, named.trigger, delta))
}

/// The set at the serial, with what is known of it.
fn data(
    manifest: &Manifest,
    base: PayloadSet,
    attributes: Option<Attributes>,
    forwards: &[&Delta],
) -> Result<DataSet, FeedError> {
    let unknown = Attribute::new(Some(manifest.valid_until), TrustAnchorId::default());
    let known = attributes.zip(manifest.attributes);
    let Some((attributes, named)) = known else {
        let (payload, _) = applied(manifest, base, forwards)?;
        return Ok(DataSet::default().carried_to(payload, unknown));
    };
    let steps = steps_between(manifest, manifest.snapshot.serial, named.serial);
    let split = steps.and_then(|steps| forwards.split_at_checked(steps));
    let (until, after) = split.ok_or(FeedError::Missing)?;
    let (payload, digest) = applied(manifest, base, until)?;
    let digest = digest.unwrap_or_else(|| snapshot::digest(&payload));
    let data = attributes.join(payload, &digest)?;
    if after.is_empty() {
        return Ok(data);
    }
    let payload = stepped(data.payload(), after)?;
    Ok(data.carried_to(payload, unknown))
}

/// What the snapshot becomes, and its digest where it is known.
fn applied(
    manifest: &Manifest,
    base: PayloadSet,
    steps: &[&Delta],
) -> Result<(PayloadSet, Option<Digest>), FeedError> {
    if steps.is_empty() {
        return Ok((base, Some(manifest.snapshot.digest)));
    }
    Ok((stepped(&base, steps)?, None))
}

/// How many steps lead from one serial to another; `None` when none do.
fn steps_between(manifest: &Manifest, from: Serial, to: Serial) -> Option<usize> {
    let (from, to) = (manifest.place_of(from)?, manifest.place_of(to)?);
    to.checked_sub(from)
}
