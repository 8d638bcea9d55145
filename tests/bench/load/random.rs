//! A small seeded generator of pseudo-random numbers (splitmix64), so that a list is the same
//! everywhere and for ever. It must not be used where chance has to be real.

/// The generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The next 128 bits.
    pub(crate) fn next_wide(&mut self) -> u128 {
        (u128::from(self.next()) << 64) | u128::from(self.next())
    }

    /// A number from 0 to `limit` - 1; 0 when `limit` is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        let scaled = (u128::from(self.next()) * u128::from(limit)) >> 64;
        u64::try_from(scaled).unwrap_or(0)
    }

    /// A number from 0 to `limit` - 1, for values that fit 32 bits.
    pub(crate) fn below_u32(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(u64::from(limit))).unwrap_or(0)
    }

    /// One of the values of a table of (weight, value) pairs, by weight.
    pub(crate) fn weighted<T: Copy>(&mut self, table: &[(u32, T)]) -> Option<T> {
        let total = table.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below_u32(total);
        for (weight, value) in table {
            if left < *weight {
                return Some(*value);
            }
            left -= weight;
        }
        None
    }

    /// Octets.
    pub(crate) fn octets(&mut self, count: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.next().to_le_bytes())
            .flatten()
            .take(count)
            .collect()
    }

    /// Puts a slice into random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            let limit = u64::try_from(place).unwrap_or(u64::MAX).saturating_add(1);
            let other = usize::try_from(self.below(limit)).unwrap_or(place);
            items.swap(place, other);
        }
    }
}
