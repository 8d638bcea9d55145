//! How the rows of a list are laid out.
//!
//! A program writes every row alike: the same members in the same order with the same white space.
//! What stands between two values is therefore compared with what stood there before, as a whole,
//! and taken apart only when it differs.

use super::cursor::{Cursor, Stop};

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
    fn named(name: &[u8]) -> Self {
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

/// What stood between the values of the rows so far.
#[derive(Debug, Default)]
pub(super) struct Shape {
    gaps: Vec<Gap>,
}

impl Shape {
    /// More members than rows of any program have.
    const MAX_GAPS: usize = 16;

    /// The next member of the row that was entered, its value being next; `None` past the closing
    /// brace. `place` counts the members before it.
    #[inline]
    pub(super) fn field(
        &mut self,
        place: usize,
        cursor: &mut Cursor<'_>,
    ) -> Result<Option<Field>, Stop> {
        if let Some(gap) = self.gaps.get(place)
            && gap.is_next(cursor.rest())
        {
            cursor.pass_all(gap.length);
            if gap.field.is_none() {
                cursor.leave();
            }
            return Ok(gap.field);
        }
        self.learn(place, cursor)
    }

    #[cold]
    fn learn(&mut self, place: usize, cursor: &mut Cursor<'_>) -> Result<Option<Field>, Stop> {
        let before = cursor.rest();
        let name = cursor.member(&mut (place == 0))?;
        let field = name.map(|name| Field::named(&name));
        if field.is_some() {
            cursor.skip_space();
        }
        let length = before.len() - cursor.rest().len();
        let Some(gap) = Gap::new(before, length, field) else {
            return Ok(field);
        };
        let known = self.gaps.len();
        if let Some(old) = self.gaps.get_mut(place) {
            *old = gap;
        } else if place == known && known < Self::MAX_GAPS {
            self.gaps.push(gap);
        }
        Ok(field)
    }
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

    /// Whether these octets begin with the gap; `false` too when they are too few to tell fast.
    #[inline]
    fn is_next(&self, octets: &[u8]) -> bool {
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
