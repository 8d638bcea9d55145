//! How the rows of a list are laid out.
//!
//! A program writes every row alike: the same members in the same order with the same white space.
//! What stands between two values is therefore compared with what stood there before, as a whole.
//! A row that is laid out otherwise, or has a value that is not plain, is left to the reader that
//! knows the whole grammar and remembers what it found between the values.

use super::cursor::{plain_text, short_number};
use super::prefix::Prefix;
use crate::payload::Asn;

/// A member of a row by its meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Field {
    Asn,
    Customer,
    Expires,
    Key,
    MaxLen,
    Prefix,
    Providers,
    Ski,
    Source,
    TrustAnchor,
    Other,
}

impl Field {
    pub(super) fn named(name: &[u8]) -> Self {
        match name {
            b"asn" => Self::Asn,
            b"customer_asid" | b"customer" => Self::Customer,
            b"expires" => Self::Expires,
            // The last spelling is Fort's.
            b"pubkey" | b"routerPublicKey" | b"spki" => Self::Key,
            b"maxLength" | b"length" => Self::MaxLen,
            b"prefix" => Self::Prefix,
            b"providers" => Self::Providers,
            b"ski" | b"SKI" => Self::Ski,
            b"source" => Self::Source,
            b"ta" | b"trustAnchor" => Self::TrustAnchor,
            _ => Self::Other,
        }
    }
}

/// What stood between the values of the row before.
#[derive(Debug, Default)]
pub(super) struct Shape {
    gaps: Vec<Gap>,
}

/// The members of a VRP's row in which nothing is unusual.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PlainVrp<'a> {
    pub(super) asn: Option<Asn>,
    pub(super) prefix: Option<Prefix>,
    pub(super) max_len: Option<u8>,
    pub(super) expires: Option<u64>,
    /// Empty when the row names none.
    pub(super) trust_anchor: &'a [u8],
}

impl Shape {
    /// More members than rows of any program have.
    const MAX_GAPS: usize = 16;

    /// Forgets how the row before was laid out.
    pub(super) fn forget(&mut self) {
        self.gaps.clear();
    }

    /// Remembers what stands before the value of a member, or before the end of the row (`None`):
    /// the octets that `before` has and `after` has not.
    pub(super) fn learn(&mut self, before: &[u8], after: &[u8], field: Option<Field>) {
        let length = before.len() - after.len();
        if self.gaps.len() < Self::MAX_GAPS
            && let Some(gap) = Gap::new(before, length, field)
        {
            self.gaps.push(gap);
        }
    }

    /// The row that is next behind its opening brace, and what stands behind the row, when it is
    /// laid out like the row before and has plain values only.
    #[inline]
    pub(super) fn vrp<'a>(&self, octets: &'a [u8]) -> Option<(PlainVrp<'a>, &'a [u8])> {
        let mut row = PlainVrp::default();
        let mut rest = octets;
        for gap in &self.gaps {
            rest = gap.after(rest)?;
            match gap.field {
                Some(Field::Asn) => {
                    let asn;
                    (asn, rest) = plain_asn(rest)?;
                    row.asn = Some(asn);
                }
                Some(Field::Prefix) => {
                    let (prefix, tail) = Prefix::scan(rest.strip_prefix(b"\"")?)?;
                    rest = tail.strip_prefix(b"\"")?;
                    row.prefix = Some(prefix);
                }
                Some(Field::MaxLen) => {
                    let number;
                    (number, rest) = short_number(rest)?;
                    row.max_len = Some(u8::try_from(number).ok()?);
                }
                Some(Field::TrustAnchor) => (row.trust_anchor, rest) = plain_text(rest)?,
                Some(Field::Expires) => {
                    let seconds;
                    (seconds, rest) = short_number(rest)?;
                    row.expires = Some(seconds);
                }
                Some(_) => return None,
                None => return Some((row, rest)),
            }
        }
        None
    }
}

#[inline]
fn plain_asn(octets: &[u8]) -> Option<(Asn, &[u8])> {
    if let Some((number, rest)) = short_number(octets) {
        return Some((Asn::new(u32::try_from(number).ok()?), rest));
    }
    let (text, rest) = plain_text(octets)?;
    Some((Asn::from_ascii(text).ok()?, rest))
}

/// The octets from one value to the next, or to the end of the row.
#[derive(Clone, Copy, Debug)]
struct Gap {
    /// The octets in two halves, and which bits of the halves are theirs.
    halves: [u128; 2],
    masks: [u128; 2],
    length: usize,
    /// `None` at the end of the row.
    field: Option<Field>,
}

impl Gap {
    const HALF: usize = 16;

    /// The gap at the beginning of these octets, `None` when it is too long to be kept.
    fn new(octets: &[u8], length: usize, field: Option<Field>) -> Option<Self> {
        let mut kept = [0; 2 * Self::HALF];
        let mut mask = [0; 2 * Self::HALF];
        let gap = octets.get(..length)?;
        kept.get_mut(..length)?.copy_from_slice(gap);
        mask.get_mut(..length)?.fill(0xff);
        Some(Self {
            halves: halves(kept)?,
            masks: halves(mask)?,
            length,
            field,
        })
    }

    /// What stands behind the gap in octets that begin with it.
    #[inline(always)]
    fn after<'a>(&self, octets: &'a [u8]) -> Option<&'a [u8]> {
        if self.begins(octets) {
            octets.get(self.length..)
        } else {
            None
        }
    }

    /// Whether these octets begin with the gap; `false` too when they are too few to tell fast.
    #[inline(always)]
    fn begins(&self, octets: &[u8]) -> bool {
        let [low, high] = self.halves;
        let [low_mask, high_mask] = self.masks;
        let Some((half, rest)) = octets.split_first_chunk::<{ Self::HALF }>() else {
            return false;
        };
        if (u128::from_le_bytes(*half) ^ low) & low_mask != 0 {
            return false;
        }
        if self.length <= Self::HALF {
            return true;
        }
        let Some(half) = rest.first_chunk::<{ Self::HALF }>() else {
            return false;
        };
        (u128::from_le_bytes(*half) ^ high) & high_mask == 0
    }
}

fn halves(octets: [u8; 2 * Gap::HALF]) -> Option<[u128; 2]> {
    let (low, rest) = octets.split_first_chunk()?;
    let (high, _) = rest.split_first_chunk()?;
    Some([u128::from_le_bytes(*low), u128::from_le_bytes(*high)])
}
