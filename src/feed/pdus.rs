//! Payload PDUs of version 2 as a file has them: strict, because the same content has one form.

use std::cmp::Ordering;

use super::error::FeedError;
use super::name::FileName;
use crate::payload::vrp::{VrpV4, VrpV6};
use crate::payload::{Asn, Aspa, Kind, RouterKey, Vrp};
use crate::rtr::decoder::Header;
use crate::rtr::pdu::{self, Action, Pdu};
use crate::rtr::{ProtocolError, Version};

/// The most octets of a file for which there is memory before they come.
const RESERVED: u64 = 1 << 26;

/// What a file may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Content {
    /// Announcements only.
    Announcements,
    /// Announcements, then withdrawals, of each kind.
    Changes,
}

/// Payloads of a file, each list in the order of announcements.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) v4: Pair<VrpV4>,
    pub(super) v6: Pair<VrpV6>,
    pub(super) router_keys: Pair<RouterKey>,
    pub(super) aspas: Vec<Aspa>,
    pub(super) withdrawn_aspas: Vec<Asn>,
}

/// What comes and what goes.
#[derive(Debug)]
pub(super) struct Pair<T> {
    pub(super) announced: Vec<T>,
    pub(super) withdrawn: Vec<T>,
}

impl<T> Default for Pair<T> {
    fn default() -> Self {
        Self {
            announced: Vec::new(),
            withdrawn: Vec::new(),
        }
    }
}

/// Reads a file as its octets come. Nothing of it counts before [`finish`](Self::finish), and
/// before its digest is found right.
#[derive(Debug)]
pub(super) struct Reader {
    content: Content,
    /// How many octets it shall have.
    expected: u64,
    /// The beginning of a PDU of which the rest has not come.
    cut: Vec<u8>,
    /// How many octets came, without that beginning.
    taken: u64,
    place: Option<(Kind, bool)>,
    lists: Lists,
}

impl Reader {
    /// Expects a file of that many octets.
    pub(super) fn new(content: Content, expected: u64) -> Self {
        let mut lists = Lists::default();
        if content == Content::Announcements {
            // Most of a set, in most cases. Memory that is not used is not taken: growing would
            // move what is there, and every thread would wait for that.
            let most = usize::try_from(expected.min(RESERVED) / 20).unwrap_or(0);
            lists.v4.announced.reserve_exact(most);
        }
        Self {
            content,
            expected,
            cut: Vec::new(),
            taken: 0,
            place: None,
            lists,
        }
    }

    /// Takes the next octets.
    pub(super) fn push(&mut self, octets: &[u8]) -> Result<(), FeedError> {
        let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let found = self.taken + number(self.cut.len()) + number(octets.len());
        if found > self.expected.min(FileName::MAX_OCTETS) {
            let expected = self.expected;
            return Err(FeedError::Length { expected, found });
        }
        let mut rest = octets;
        while !self.cut.is_empty() {
            // No octet past the end of that PDU is copied.
            let known = Header::read(&self.cut).map(length);
            let known = known.transpose().map_err(|cause| self.wrong(cause))?;
            let lacking = known.unwrap_or(Header::LEN).saturating_sub(self.cut.len());
            let Some((end, others)) = rest.split_at_checked(lacking) else {
                self.cut.extend_from_slice(rest);
                return Ok(());
            };
            let mut whole = std::mem::take(&mut self.cut);
            whole.extend_from_slice(end);
            self.take(&whole)?;
            rest = others;
        }
        self.take(rest)
    }

    /// Takes whole PDUs, and keeps what is left for later.
    fn take(&mut self, octets: &[u8]) -> Result<(), FeedError> {
        let mut rest = octets;
        while !rest.is_empty() {
            let length = match self.announced_prefix(rest) {
                Some(length) => length,
                None => match self.pdu(rest)? {
                    Some(length) => length,
                    None => break,
                },
            };
            self.taken += u64::try_from(length).unwrap_or(0);
            rest = rest.get(length..).unwrap_or_default();
        }
        self.cut = rest.to_vec();
        Ok(())
    }

    /// The way of almost all PDUs: one that announces a prefix, and is right in all. Says how long
    /// it was, and `None` for everything else, wrong or not.
    fn announced_prefix(&mut self, octets: &[u8]) -> Option<usize> {
        match *octets {
            [
                2,
                4,
                0,
                0,
                0,
                0,
                0,
                20,
                1,
                len,
                max,
                0,
                a,
                b,
                c,
                d,
                e,
                f,
                g,
                h,
                ..,
            ] => {
                let asn = Asn::new(u32::from_be_bytes([e, f, g, h]));
                let address = u32::from_be_bytes([a, b, c, d]);
                let vrp = VrpV4::new(address, len, max, asn).ok()?;
                let list = &mut self.lists.v4.announced;
                let ordered = list.last().is_none_or(|last| *last < vrp);
                let first = matches!(self.place, None | Some((Kind::Ipv4, false)));
                (ordered && first).then(|| list.push(vrp))?;
                self.place = Some((Kind::Ipv4, false));
                Some(20)
            }
            [2, 6, 0, 0, 0, 0, 0, 32, 1, len, max, 0, ref rest @ ..] => {
                let (address, rest) = rest.split_first_chunk()?;
                let asn = Asn::new(u32::from_be_bytes(*rest.first_chunk()?));
                let vrp = VrpV6::new(u128::from_be_bytes(*address), len, max, asn).ok()?;
                let list = &mut self.lists.v6.announced;
                let ordered = list.last().is_none_or(|last| *last < vrp);
                let first = matches!(
                    self.place,
                    None | Some((Kind::Ipv4, _) | (Kind::Ipv6, false))
                );
                (ordered && first).then(|| list.push(vrp))?;
                self.place = Some((Kind::Ipv6, false));
                Some(32)
            }
            _ => None,
        }
    }

    /// Takes any PDU. Says how long it was, `None` when its end has not come.
    fn pdu(&mut self, octets: &[u8]) -> Result<Option<usize>, FeedError> {
        let offset = self.taken;
        let Some(header) = Header::read(octets) else {
            return Ok(None);
        };
        let length = length(header).map_err(|cause| self.wrong(cause))?;
        let Some(octets) = octets.get(..length) else {
            return Ok(None);
        };
        let pdu = Pdu::decode(Version::V2, octets).map_err(|cause| self.wrong(cause))?;
        if !is_canonical(&pdu, octets) {
            return Err(FeedError::Reserved { offset });
        }
        self.put(pdu)?;
        Ok(Some(length))
    }

    /// The payloads, once all octets have come.
    pub(super) fn finish(mut self) -> Result<Lists, FeedError> {
        if !self.cut.is_empty() {
            let offset = self.taken;
            return Err(FeedError::Truncated { offset });
        }
        self.lists.v4.withdrawn.reverse();
        self.lists.v6.withdrawn.reverse();
        Ok(self.lists)
    }

    const fn wrong(&self, cause: ProtocolError) -> FeedError {
        let offset = self.taken;
        FeedError::Pdu { offset, cause }
    }

    fn put(&mut self, pdu: Pdu) -> Result<(), FeedError> {
        let pdu_type = pdu.pdu_type();
        let (kind, action) = match &pdu {
            Pdu::Prefix { action, vrp } => match vrp {
                Vrp::V4(_) => (Kind::Ipv4, *action),
                Vrp::V6(_) => (Kind::Ipv6, *action),
            },
            Pdu::RouterKey { action, .. } => (Kind::RouterKey, *action),
            Pdu::AnnounceAspa(_) => (Kind::Aspa, Action::Announce),
            Pdu::WithdrawAspa { .. } => (Kind::Aspa, Action::Withdraw),
            _ => return Err(self.wrong(ProtocolError::Unexpected { pdu_type })),
        };
        let goes = action == Action::Withdraw;
        if goes && self.content == Content::Announcements {
            return Err(self.wrong(ProtocolError::UnknownWithdrawal));
        }
        // 8210bis §11.2: by kind, and within a kind announcements first.
        let offset = self.taken;
        let order = FeedError::Order { offset, kind };
        if self.place.is_some_and(|before| before > (kind, goes)) {
            return Err(order);
        }
        self.place = Some((kind, goes));
        let (up, down) = (Ordering::Less, Ordering::Greater);
        let lists = &mut self.lists;
        let ordered = match (pdu, action) {
            (Pdu::Prefix { vrp, .. }, Action::Announce) => match vrp {
                Vrp::V4(vrp) => append(&mut lists.v4.announced, vrp, up),
                Vrp::V6(vrp) => append(&mut lists.v6.announced, vrp, up),
            },
            (Pdu::Prefix { vrp, .. }, Action::Withdraw) => match vrp {
                Vrp::V4(vrp) => append(&mut lists.v4.withdrawn, vrp, down),
                Vrp::V6(vrp) => append(&mut lists.v6.withdrawn, vrp, down),
            },
            (Pdu::RouterKey { key, .. }, Action::Announce) => {
                append(&mut lists.router_keys.announced, key, up)
            }
            (Pdu::RouterKey { key, .. }, Action::Withdraw) => {
                append(&mut lists.router_keys.withdrawn, key, up)
            }
            (Pdu::AnnounceAspa(aspa), _) => {
                let customer = aspa.customer();
                let last = lists.aspas.last();
                let ordered = last.is_none_or(|last| last.customer() < customer);
                lists.aspas.push(aspa);
                ordered
            }
            (Pdu::WithdrawAspa { customer }, _) => append(&mut lists.withdrawn_aspas, customer, up),
            _ => false,
        };
        ordered.then_some(()).ok_or(order)
    }
}

/// The length of a PDU in a file, before its body is waited for.
fn length(header: Header) -> Result<usize, ProtocolError> {
    if header.version != Version::V2.octet() {
        let found = header.version;
        return Err(ProtocolError::UnexpectedVersion { found });
    }
    let wrong = ProtocolError::Length {
        pdu_type: header.pdu_type,
        found: header.length,
    };
    let length = usize::try_from(header.length).unwrap_or(usize::MAX);
    match header.length <= pdu::MAX_LEN && length >= Header::LEN {
        true => Ok(length),
        false => Err(wrong),
    }
}

/// Whether all that a reader would pass over is 0.
fn is_canonical(pdu: &Pdu, octets: &[u8]) -> bool {
    match pdu {
        Pdu::Prefix { .. } => {
            matches!(octets, [_, _, 0, 0, _, _, _, _, 0 | 1, _, _, 0, ..])
        }
        _ => matches!(octets, [_, _, 0 | 1, 0, ..]),
    }
}

fn append<T: Ord>(list: &mut Vec<T>, item: T, order: Ordering) -> bool {
    let ordered = list.last().is_none_or(|last| last.cmp(&item) == order);
    list.push(item);
    ordered
}
