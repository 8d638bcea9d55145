//! Prefixes from ASCII, without a detour over text and without allocating.

use crate::payload::asn::Asn;
use crate::payload::vrp::{Vrp, VrpError, VrpV4, VrpV6};

/// An address and a prefix length that need not fit each other yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Prefix {
    V4(u32, u8),
    V6(u128, u8),
}

impl Prefix {
    /// Reads `192.0.2.0/24` or `2001:db8::/32`: addresses as [`std::net`] reads them, lengths
    /// without leading zeros.
    pub(super) fn from_ascii(text: &[u8]) -> Option<Self> {
        let (prefix, rest) = Self::scan(text)?;
        rest.is_empty().then_some(prefix)
    }

    /// Reads a prefix at the beginning of a text, and returns what stands behind it.
    #[inline(always)]
    pub(super) fn scan(text: &[u8]) -> Option<(Self, &[u8])> {
        let mut scan = Scan { rest: text };
        let prefix = if let Some(address) = scan.v4() {
            Self::V4(address, scan.length()?)
        } else {
            let (address, rest) = v6(text)?;
            scan.rest = rest;
            Self::V6(address, scan.length()?)
        };
        Some((prefix, scan.rest))
    }

    /// Reads an address and its length from two texts.
    pub(super) fn from_parts(address: &[u8], length: &[u8]) -> Option<Self> {
        let length = number(length)?;
        let mut scan = Scan { rest: address };
        let prefix = if let Some(address) = scan.v4() {
            Self::V4(address, length)
        } else {
            let (address, rest) = v6(address)?;
            scan.rest = rest;
            Self::V6(address, length)
        };
        scan.rest.is_empty().then_some(prefix)
    }

    /// The VRP of this prefix; without a max length the prefix length is meant (RFC 6482 §3.3).
    #[inline]
    pub(super) fn vrp(self, max_len: Option<u8>, asn: Asn) -> Result<Vrp, VrpError> {
        match self {
            Self::V4(address, length) => {
                VrpV4::new(address, length, max_len.unwrap_or(length), asn).map(Vrp::V4)
            }
            Self::V6(address, length) => {
                VrpV6::new(address, length, max_len.unwrap_or(length), asn).map(Vrp::V6)
            }
        }
    }
}

/// A number up to 255 of one to three digits, without leading zeros.
fn number(text: &[u8]) -> Option<u8> {
    let mut scan = Scan { rest: text };
    let number = scan.octet()?;
    scan.rest.is_empty().then_some(number)
}

/// An IPv6 address and what stands behind it.
fn v6(text: &[u8]) -> Option<(u128, &[u8])> {
    let mut scan = Scan { rest: text };
    let address = scan.v6()?;
    Some((address, scan.rest))
}

struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    #[inline(always)]
    fn v4(&mut self) -> Option<u32> {
        let mut address = u32::from(self.octet()?);
        for _ in 0..3 {
            self.take(b'.')?;
            address = (address << 8) | u32::from(self.octet()?);
        }
        Some(address)
    }

    fn v6(&mut self) -> Option<u128> {
        let (head, groups, ended) = self.groups(8);
        if groups == 8 {
            return Some(head);
        }
        if ended {
            return None;
        }
        self.take(b':')?;
        self.take(b':')?;
        // `::` stands for at least one group.
        let (tail, _, _) = self.groups(7 - groups);
        let high = head.checked_shl(128 - 16 * groups).unwrap_or(0);
        Some(high | tail)
    }

    /// Up to `limit` groups of four hexadecimal digits, the last two of which may be an IPv4
    /// address; stops before what is not one of them. Returns their bits, how many they are and
    /// whether an IPv4 address ended them, behind which nothing may come.
    fn groups(&mut self, limit: u32) -> (u128, u32, bool) {
        let mut bits = 0u128;
        let mut groups = 0;
        while groups < limit {
            let before = self.rest;
            if groups > 0 && self.take(b':').is_none() {
                break;
            }
            if let Some((group, after)) = self.group() {
                // A dot says that this was the first octet of an IPv4 address.
                if after != Some(b'.') {
                    bits = (bits << 16) | u128::from(group);
                    groups += 1;
                    continue;
                }
            }
            self.rest = before;
            if groups + 2 <= limit
                && let Some(v4) = self.embedded(groups > 0)
            {
                return ((bits << 32) | u128::from(v4), groups + 2, true);
            }
            self.rest = before;
            break;
        }
        (bits, groups, false)
    }

    fn embedded(&mut self, after_colon: bool) -> Option<u32> {
        if after_colon {
            self.take(b':')?;
        }
        self.v4()
    }

    /// One to four hexadecimal digits, and the octet after them.
    fn group(&mut self) -> Option<(u16, Option<u8>)> {
        let mut value = 0u16;
        let mut digits = 0;
        loop {
            let digit = match self.rest.first() {
                Some(digit @ b'0'..=b'9') => digit - b'0',
                Some(digit @ b'a'..=b'f') => digit - b'a' + 10,
                Some(digit @ b'A'..=b'F') => digit - b'A' + 10,
                next => {
                    return (digits > 0).then_some((value, next.copied()));
                }
            };
            if digits == 4 {
                return None;
            }
            value = (value << 4) | u16::from(digit);
            digits += 1;
            self.rest = self.rest.get(1..)?;
        }
    }

    /// One to three digits up to 255 without leading zeros.
    #[inline(always)]
    fn octet(&mut self) -> Option<u8> {
        let (&first, mut rest) = self.rest.split_first()?;
        if !first.is_ascii_digit() {
            return None;
        }
        let mut value = u16::from(first - b'0');
        while let [digit @ b'0'..=b'9', tail @ ..] = rest {
            value = value * 10 + u16::from(digit - b'0');
            if first == b'0' || value > 255 {
                return None;
            }
            rest = tail;
        }
        self.rest = rest;
        u8::try_from(value).ok()
    }

    /// A slash and a length.
    #[inline(always)]
    fn length(&mut self) -> Option<u8> {
        self.take(b'/')?;
        self.octet()
    }

    #[inline(always)]
    fn take(&mut self, octet: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        (*first == octet).then(|| self.rest = rest)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::json::tests::Random;

    fn by_std(text: &str) -> Option<Prefix> {
        let (address, length) = text.split_once('/')?;
        let length: u8 = length.parse().ok()?;
        if let Ok(address) = address.parse::<Ipv4Addr>() {
            return Some(Prefix::V4(address.to_bits(), length));
        }
        let address = address.parse::<Ipv6Addr>().ok()?;
        Some(Prefix::V6(address.to_bits(), length))
    }

    #[test]
    fn reads_the_forms_that_documents_have() {
        for text in [
            "0.0.0.0/0",
            "255.255.255.255/32",
            "::/0",
            "fd00:0801:3000::/40",
            "2001:DB8::/32",
            "::ffff:192.0.2.0/120",
            "1:2:3:4:5:6:7::/112",
            "::2:3:4:5:6:7:8/128",
            "1:2:3:4:5:6:192.0.2.0/120",
        ] {
            let found = Prefix::from_ascii(text.as_bytes());
            assert!(found.is_some() && found == by_std(text), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_prefix() {
        for text in [
            "",
            "/",
            "1.2.3.4",
            "1.2.3/24",
            "1.2.3.04/24",
            "1.2.3.4/",
            "1.2.3.4/024",
            "1.2.3.4/24 ",
            " 1.2.3.4/24",
            "1.2.3.256/8",
            "::1",
            ":::/0",
            "1::2::3/64",
            "12345::/16",
            "1:2/16",
            "1:2:3:4:5:6:7:8::/64",
            "1.2.3.4::/64",
            "::1.2.3.4:1/128",
            "1.2.3.4/+8",
            "g::/16",
            "1:2:3:4:5:6:7:1.2.3.4/128",
            "1.2.3.4/256",
        ] {
            assert_eq!(Prefix::from_ascii(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn agrees_with_std_on_random_text() {
        let mut random = Random::new(1);
        let alphabet = b"0123456789abcdefABF:::::....//";
        for _ in 0..300_000 {
            let mut text = match random.below(4) {
                0 => Ipv4Addr::from_bits(u32::try_from(random.next() >> 32).unwrap()).to_string(),
                1 => {
                    let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
                    // Zero groups make `::`.
                    let mask = random.next() & random.next();
                    let keep = (0..8).fold(0u128, |keep, group| {
                        let group_mask = if mask >> group & 1 == 1 { 0xffff } else { 0 };
                        (keep << 16) | group_mask
                    });
                    Ipv6Addr::from_bits(bits & keep).to_string()
                }
                2 => String::from("::ffff:192.0.2.0"),
                _ => String::new(),
            };
            for _ in 0..random.below(3) + usize::from(text.is_empty()) * 12 {
                let at = random.below(text.len() + 1);
                let octet = alphabet[random.below(alphabet.len())];
                text.insert(at, char::from(octet));
            }
            if random.below(2) == 0 && !text.is_empty() {
                text.remove(random.below(text.len()));
            }
            text.push_str("/24");
            // Lengths differ on purpose: std would take `+24`; the address alone is compared.
            if text.matches('/').count() == 1 {
                assert_eq!(Prefix::from_ascii(text.as_bytes()), by_std(&text), "{text}");
            }
        }
    }
}
