//! AS numbers.

use std::fmt;
use std::str::FromStr;

/// An autonomous system number of 32 bits (RFC 6793). AS0 is a value like any other here.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Asn(u32);

impl Asn {
    /// AS0: in a VRP it says that nobody may originate the prefix (RFC 6483 §4), in an ASPA that
    /// the customer has no providers.
    pub const ZERO: Self = Self(0);

    /// The AS with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn into_u32(self) -> u32 {
        self.0
    }

    /// The number as Go prints one of floating point, for GoRTR's signatures: plain below a
    /// million, then with an exponent and as few digits as tell it from others, which are all but
    /// the zeros at its end.
    pub fn as_float(self) -> String {
        let digits = self.0.to_string();
        if self.0 < 1_000_000 {
            return digits;
        }
        let (first, rest) = digits.split_at(1);
        let rest = rest.trim_end_matches('0');
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e+{:02}", digits.len() - 1)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

impl FromStr for Asn {
    type Err = AsnError;

    /// Reads `64496` and, in any case, `AS64496`.
    fn from_str(text: &str) -> Result<Self, AsnError> {
        Self::from_ascii(text.as_bytes())
    }
}

impl Asn {
    /// Reads the same forms as [`FromStr`] from octets that need not be UTF-8.
    ///
    /// # Errors
    ///
    /// When there is no digit, anything but digits after the optional `AS`, or a number past
    /// 4,294,967,295.
    pub fn from_ascii(text: &[u8]) -> Result<Self, AsnError> {
        let digits = match text {
            [b'A' | b'a', b'S' | b's', rest @ ..] => rest,
            all => all,
        };
        if digits.is_empty() || digits.len() > 10 {
            return Err(AsnError);
        }
        let mut number = 0u64;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(AsnError);
            }
            number = number * 10 + u64::from(digit - b'0');
        }
        u32::try_from(number).map(Self).map_err(|_| AsnError)
    }
}

/// A text that is no AS number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AsnError;

impl fmt::Display for AsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an AS number from 0 to 4294967295, with or without AS before it")
    }
}

impl std::error::Error for AsnError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_go_prints_them() {
        for (asn, printed) in [
            (0, "0"),
            (65_001, "65001"),
            (999_999, "999999"),
            (1_000_000, "1e+06"),
            (1_234_567, "1.234567e+06"),
            (4_200_000_000, "4.2e+09"),
            (4_200_000_001, "4.200000001e+09"),
            (4_294_967_295, "4.294967295e+09"),
        ] {
            assert_eq!(Asn::new(asn).as_float(), printed);
        }
    }

    #[test]
    fn reads_what_documents_contain() {
        for text in ["64496", "AS64496", "as64496", "As64496", "0064496"] {
            assert_eq!(text.parse(), Ok(Asn::new(64496)), "{text}");
        }
        assert_eq!("4294967295".parse(), Ok(Asn::new(u32::MAX)));
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "AS",
            "4294967296",
            "-1",
            "+1",
            "1.5",
            "ASAS1",
            " 1",
            "1 ",
            "99999999999",
        ] {
            assert_eq!(text.parse::<Asn>(), Err(AsnError), "{text}");
        }
    }
}
