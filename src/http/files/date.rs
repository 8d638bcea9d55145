//! Dates of HTTP (RFC 9110 §5.6.7).

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::fmt::strtime::BrokenDownTime;

use crate::payload::UnixTime;

/// The form that is written, and the two of old that must still be read.
const FORMS: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// What time it is.
pub(in crate::http) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::new(since.map_or(0, |since| since.as_secs()))
}

/// The date that is this moment; `None` when its year has no four digits.
pub(super) fn write(moment: UnixTime) -> Option<String> {
    let moment = i64::try_from(moment.seconds()).ok()?;
    let moment = Timestamp::from_second(moment).ok()?;
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&moment)
        .ok()
}

/// The moment that is this date; `None` when it is none, or before 1970.
pub(super) fn read(text: &str) -> Option<UnixTime> {
    let moment = FORMS.iter().find_map(|form| {
        let read = BrokenDownTime::parse(form, text).ok()?;
        read.to_datetime().ok()
    })?;
    let moment = moment.in_tz("UTC").ok()?.timestamp().as_second();
    u64::try_from(moment).ok().map(UnixTime::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_one_moment() {
        let moment = UnixTime::new(784_111_777);
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read(text), Some(moment), "{text}");
        }
        assert_eq!(write(moment).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
        for text in [
            "",
            "0",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 +0100",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Thu, 06 Nov 1894 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(write(UnixTime::new(u64::MAX)), None);
    }
}
