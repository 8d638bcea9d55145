//! Octets as hexadecimal digits, in lower case.

use std::fmt::Write;

/// Two digits an octet.
pub(crate) fn encode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// The octets of digits in either case; `None` when there is anything else.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let octets = [0, 1, 0x7f, 0xa5, 0xff];
        assert_eq!(encode(&octets), "00017fa5ff");
        assert_eq!(decode("00017Fa5fF").unwrap(), octets);
        for bad in ["0", "0g", "é0", " 00"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
