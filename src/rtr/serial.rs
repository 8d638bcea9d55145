//! Serial numbers.

use std::cmp::Ordering;
use std::fmt;

/// The serial number of a set: RFC 1982 with 32 bits.
///
/// There is no addition but [`next`](Self::next) and [`jump`](Self::jump), and the order is partial:
/// two serials that are half the number space apart cannot be compared (RFC 1982 §3.2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Serial(u32);

impl Serial {
    /// The first serial of a history. It is not 0: a router that lost its first answer may come
    /// back with 0, and then an empty increment would strand it (CONFORMANCE decision 5.22).
    pub const FIRST: Self = Self(1);

    /// How far a serial jumps when another server takes a history over. The one before may have
    /// told routers serials that nobody else has heard of, and may still do so: at one a second
    /// it takes twelve days to come so far. There is room for two thousand jumps among the
    /// numbers that can be compared.
    pub const JUMP: u32 = 1 << 20;

    /// The serial with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn into_u32(self) -> u32 {
        self.0
    }

    /// The serial of the next update; 0 is skipped.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.wrapping_add(1) {
            0 => Self::FIRST,
            next => Self(next),
        }
    }

    /// The serial with which another server takes over; 0 is skipped.
    #[must_use]
    pub const fn jump(self) -> Self {
        match self.0.wrapping_add(Self::JUMP) {
            0 => Self::FIRST,
            far => Self(far),
        }
    }
}

impl PartialOrd for Serial {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        const HALF: u32 = 0x8000_0000;
        match other.0.wrapping_sub(self.0) {
            0 => Some(Ordering::Equal),
            HALF => None,
            ahead if ahead < HALF => Some(Ordering::Less),
            _ => Some(Ordering::Greater),
        }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
