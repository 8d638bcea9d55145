//! What values and texts of documents mean.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::cursor::{Value, hex_digit};
use super::error::RowError;
use super::prefix::Prefix;
use crate::payload::asn::AsnError;
use crate::payload::{Asn, UnixTime};

// Routinator leaves the padding out, rpki-client writes it.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(false);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// An AS number as a number or a text with or without `AS`, `None` for null.
#[inline]
pub(super) fn asn(value: &Value<'_>) -> Result<Option<Asn>, RowError> {
    match value {
        Value::Number(number) => {
            let number = number.and_then(|number| u32::try_from(number).ok());
            number
                .map(|number| Some(Asn::new(number)))
                .ok_or(RowError::Asn(AsnError))
        }
        Value::Text(text) => Asn::from_ascii(text).map(Some).map_err(RowError::Asn),
        Value::Null => Ok(None),
        Value::Bool | Value::Container => Err(RowError::Asn(AsnError)),
    }
}

/// A prefix, `None` for null.
#[inline]
pub(super) fn prefix(value: &Value<'_>) -> Result<Option<Prefix>, RowError> {
    match value {
        Value::Text(text) => Prefix::from_ascii(text).map(Some).ok_or(RowError::Prefix),
        Value::Null => Ok(None),
        _ => Err(RowError::Prefix),
    }
}

/// A max length as a number or a text, `None` for null.
#[inline]
pub(super) fn max_len(value: &Value<'_>) -> Result<Option<u8>, RowError> {
    let number = match value {
        Value::Number(Some(number)) => *number,
        Value::Text(text) => digits(text).ok_or(RowError::MaxLen)?,
        Value::Null => return Ok(None),
        _ => return Err(RowError::MaxLen),
    };
    u8::try_from(number).map(Some).map_err(|_| RowError::MaxLen)
}

/// A time as seconds or as RFC 3339 text, `None` for null.
#[inline]
pub(super) fn time(value: &Value<'_>) -> Result<Option<UnixTime>, RowError> {
    match value {
        Value::Number(Some(seconds)) => Ok(Some(UnixTime::new(*seconds))),
        Value::Text(text) => time_from_ascii(text).map(Some).ok_or(RowError::Expires),
        Value::Null => Ok(None),
        _ => Err(RowError::Expires),
    }
}

/// A time as digits or as RFC 3339 text. What is before 1970 is the first second of it.
pub(super) fn time_from_ascii(text: &[u8]) -> Option<UnixTime> {
    if let Some(seconds) = digits(text) {
        return Some(UnixTime::new(seconds));
    }
    let moment: jiff::Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(UnixTime::new(
        u64::try_from(moment.as_second()).unwrap_or(0),
    ))
}

/// A key identifier in hexadecimal of either case.
pub(super) fn ski(text: &[u8]) -> Option<[u8; 20]> {
    let mut ski = [0; 20];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != ski.len() || !rest.is_empty() {
        return None;
    }
    for (octet, [high, low]) in ski.iter_mut().zip(pairs) {
        *octet = (hex_digit(*high)? << 4) | hex_digit(*low)?;
    }
    Some(ski)
}

/// A key in either alphabet of base64, padded or not.
pub(super) fn key(text: &[u8]) -> Option<Vec<u8>> {
    let url_safe = text.iter().any(|octet| matches!(octet, b'-' | b'_'));
    let engine = if url_safe { URL_SAFE } else { STANDARD };
    engine.decode(text).ok()
}

/// A number of nothing but digits.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
