//! From files to what is served.

use super::attributes::Attributes;
use super::error::FeedError;
use super::manifest::Manifest;
use super::snapshot;
use crate::payload::rows::TrustAnchorId;
use crate::payload::{Attribute, DataSet, Delta, PayloadSet};
use crate::rtr::Serial;
use crate::rtr::snapshot::Entry;
use crate::rtr::snapshot::restore::Restored;
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
    let data = data(manifest, parts.snapshot, parts.attributes, &forwards)?;
    let steps = named
        .iter()
        .zip(parts.deltas)
        .map(|(named, delta)| Entry::new(named.from, named.time, named.trigger, delta));
    Ok(Restored {
        v0_turn: 0,
        name: manifest.history,
        serial: manifest.serial,
        revision: manifest.revision,
        data,
        steps: steps.collect(),
    })
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
    let steps = steps_between(manifest.snapshot.serial, named.serial, forwards.len());
    let (until, after) = forwards.split_at_checked(steps).ok_or(FeedError::Missing)?;
    let (payload, digest) = applied(manifest, base, until)?;
    let digest = digest.unwrap_or_else(|| snapshot::digest(&payload));
    let data = attributes.join(payload, &digest)?;
    if after.is_empty() {
        return Ok(data);
    }
    let payload = Delta::chain(after)?.apply(data.payload())?;
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
    Ok((Delta::chain(steps)?.apply(&base)?, None))
}

/// How many steps lead from one serial to another, at most so many.
fn steps_between(from: Serial, to: Serial, most: usize) -> usize {
    let serials = std::iter::successors(Some(from), |serial| Some(serial.next()));
    serials
        .take(most)
        .take_while(|serial| *serial != to)
        .count()
}
