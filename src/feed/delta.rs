//! A step between two serials as files: the PDUs of the increment, and what they replace.
//!
//! An increment announces the ASPA that a customer has now, and does not say which one it had
//! (8210bis §5.12). Whoever goes on from the serial before knows that. Whoever comes from the
//! serial behind, to keep the step for others, does not, and needs it to tell changes that cancel
//! out: it is in a second file, which is there only when a step replaces or withdraws an ASPA.

use std::io::{self, Write};

use super::error::FeedError;
use super::pdus::{Content, Lists, Pair, Reader};
use super::seal::Octets;
use crate::payload::delta::{AspaChange, Changes};
use crate::payload::{Asn, Aspa, Delta, Kind, Kinds};
use crate::rtr::Version;
use crate::rtr::image::Image;
use crate::rtr::pdu::{self, Action};

/// Writes the increment.
///
/// # Errors
///
/// Those of the writer.
pub fn write(delta: &Delta, out: &mut impl Write) -> io::Result<()> {
    let image = Image::increment(Version::V2, delta);
    let mut segments = image.segments(Kinds::ALL);
    segments.try_for_each(|segment| out.write_all(segment))
}

/// Whether a step has a second file.
pub fn replaces(delta: &Delta) -> bool {
    delta.aspas().iter().any(|change| change.before().is_some())
}

/// Writes the second file: the ASPAs that the step replaces or withdraws, as announcements.
///
/// # Errors
///
/// Those of the writer.
pub fn write_replaced(delta: &Delta, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = Vec::new();
    let (octet, comes) = (Version::V2.octet(), Action::Announce);
    for aspa in delta.aspas().iter().filter_map(AspaChange::before) {
        pdu::encode_aspa(octet, comes, aspa.customer(), aspa.providers(), &mut buffer);
        out.write_all(&buffer)?;
        buffer.clear();
    }
    Ok(())
}

/// Reads a step. Costs a pass over it.
///
/// # Errors
///
/// When a file is not the one that is meant, a PDU is wrong, out of order or there twice, or the
/// two files contradict each other.
pub fn read(step: Octets<'_>, replaced: Option<Octets<'_>>) -> Result<Delta, FeedError> {
    let lists = lists(step, Content::Changes)?;
    let before = match replaced {
        None => Vec::new(),
        Some(replaced) => only_aspas(self::lists(replaced, Content::Announcements)?)?,
    };
    let v4 = changes(lists.v4, Kind::Ipv4)?;
    let v6 = changes(lists.v6, Kind::Ipv6)?;
    let keys = changes(lists.router_keys, Kind::RouterKey)?;
    let aspas = aspas(lists.aspas, lists.withdrawn_aspas, before);
    let delta = aspas.and_then(|aspas| Delta::new(v4, v6, keys, aspas));
    delta.ok_or(FeedError::Contradiction(Kind::Aspa))
}

fn changes<T: Ord>(pair: Pair<T>, kind: Kind) -> Result<Changes<T>, FeedError> {
    let changes = Changes::new(pair.announced, pair.withdrawn);
    changes.ok_or(FeedError::Contradiction(kind))
}

fn lists(file: Octets<'_>, content: Content) -> Result<Lists, FeedError> {
    file.check()?;
    let mut reader = Reader::new(content, file.digest.octets);
    reader.push(file.octets)?;
    reader.finish()
}

fn only_aspas(lists: Lists) -> Result<Vec<Aspa>, FeedError> {
    let others = [
        (Kind::Ipv4, lists.v4.announced.len()),
        (Kind::Ipv6, lists.v6.announced.len()),
        (Kind::RouterKey, lists.router_keys.announced.len()),
    ];
    match others.into_iter().find(|(_, count)| *count > 0) {
        Some((kind, _)) => Err(FeedError::Contradiction(kind)),
        None => Ok(lists.aspas),
    }
}

/// The changes of ASPAs; `None` unless everything that is withdrawn was there, and everything
/// that was there changes.
fn aspas(announced: Vec<Aspa>, withdrawn: Vec<Asn>, before: Vec<Aspa>) -> Option<Vec<AspaChange>> {
    let mut before = before.into_iter().peekable();
    let mut announced = announced.into_iter().peekable();
    let mut withdrawn = withdrawn.into_iter().peekable();
    let mut changes = Vec::new();
    loop {
        let comes = announced.peek().map(Aspa::customer);
        let goes = withdrawn.peek().copied();
        let customer = match (comes, goes) {
            (None, None) => break,
            (Some(comes), Some(goes)) if comes == goes => return None,
            (Some(comes), Some(goes)) => comes.min(goes),
            (one, other) => one.or(other)?,
        };
        let after = announced.next_if(|aspa| aspa.customer() == customer);
        withdrawn.next_if_eq(&customer);
        let was = before.next_if(|aspa| aspa.customer() == customer);
        changes.push(AspaChange::new(was, after)?);
    }
    before.next().is_none().then_some(changes)
}
