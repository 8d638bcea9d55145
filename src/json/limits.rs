//! What a document may cost.

/// Bounds that hold before anything is kept in memory; a document past one of them is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The longest document, in octets after decompression.
    pub octets: u64,
    /// The most rows of all lists together, good and bad.
    pub rows: usize,
    /// The longest row in octets, from brace to brace.
    pub row_octets: usize,
    /// The longest text or number outside of rows and the longest CSV line, in octets.
    pub token_octets: usize,
    /// How deep objects and lists may nest; more than [`MAX_DEPTH`](Self::MAX_DEPTH) counts as
    /// that.
    pub depth: usize,
    /// The most providers that an ASPA row may name; a longer one is a bad row.
    pub providers: usize,
    /// How many percent of the rows may be bad before the whole document is distrusted.
    pub bad_rows_percent: u8,
}

impl Limits {
    /// The deepest nesting that can be asked for: rows are read by recursion.
    pub const MAX_DEPTH: usize = 128;
}

impl Default for Limits {
    /// Room for some twenty times of what the RPKI holds today.
    fn default() -> Self {
        Self {
            octets: 1 << 30,
            rows: 20_000_000,
            // 16,380 providers, each on a line of its own and far to the right.
            row_octets: 1 << 20,
            token_octets: 1 << 16,
            depth: 32,
            // What an ASPA PDU can carry (8210bis §5.12).
            providers: 16_380,
            bad_rows_percent: 5,
        }
    }
}
