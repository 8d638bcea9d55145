//! The texts of VRP rows, for signatures that are over what a row says and not over what it means.

use super::cursor::{Cursor, Stop, Value};
use super::limits::Limits;
use super::shape::Field;

/// What is kept of a document.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Keep {
    /// Its rows.
    #[default]
    Rows,
    /// The texts of its VRP rows, too: some 30 octets for each.
    Texts,
}

/// The VRP rows of a document as GoRTR prints them to sign them: prefix, longest length and AS as
/// they stand there, with a comma behind each. Bad rows and repeated ones are among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowTexts {
    octets: Vec<u8>,
    /// Where each row begins, and how long it is.
    places: Vec<(u32, u32)>,
    ambiguous: bool,
}

impl RowTexts {
    /// The rows in the order of their octets. `None` when one row could pass for others: nothing
    /// stands between two rows, so what has a comma of its own may read like several, and a
    /// signature on these would cover it.
    pub fn sorted(&mut self) -> Option<impl Iterator<Item = &[u8]>> {
        let octets = &self.octets;
        let row = |(begin, length): (u32, u32)| {
            let begin = usize::try_from(begin).unwrap_or(usize::MAX);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let rest = octets.get(begin..).unwrap_or_default();
            rest.get(..length).unwrap_or_default()
        };
        self.places.sort_unstable_by_key(|place| row(*place));
        let rows = self.places.iter().map(move |place| row(*place));
        (!self.ambiguous).then_some(rows)
    }

    /// Takes the row that these octets are.
    pub(super) fn add(&mut self, row: &[u8]) {
        let begin = self.octets.len();
        let taken = self.print(row).is_ok();
        let length = u32::try_from(self.octets.len() - begin);
        match (u32::try_from(begin), length) {
            (Ok(begin), Ok(length)) if taken => self.places.push((begin, length)),
            // What cannot be printed is not signed.
            _ => self.ambiguous = true,
        }
    }

    fn print(&mut self, row: &[u8]) -> Result<(), Stop> {
        let mut cursor = Cursor::new(row, 0, Limits::MAX_DEPTH);
        let (mut prefix, mut max_len, mut asn) = (Value::Null, Value::Null, Value::Null);
        let mut first = true;
        cursor.peek()?;
        cursor.enter()?;
        // By the same names, and the last of each, as the row is read.
        while let Some(name) = cursor.member(&mut first)? {
            cursor.peek()?;
            let value = cursor.value()?;
            match Field::named(&name) {
                Field::Prefix => prefix = value,
                Field::MaxLen => max_len = value,
                Field::Asn => asn = value,
                _ => {}
            }
        }
        for value in [prefix, max_len] {
            self.put(&value, |number| number.to_string());
        }
        self.put(&asn, float);
        Ok(())
    }

    fn put(&mut self, value: &Value<'_>, print: impl Fn(u64) -> String) {
        match value {
            Value::Text(text) => {
                self.ambiguous |= text.contains(&b',');
                self.octets.extend_from_slice(text);
            }
            Value::Number(Some(number)) => {
                self.octets.extend_from_slice(print(*number).as_bytes());
            }
            // GoRTR's form of what is absent is not ours to guess.
            Value::Null | Value::Number(None) | Value::Bool | Value::Container => {
                self.ambiguous = true;
            }
        }
        self.octets.push(b',');
    }
}

/// A number as GoRTR has it, which reads one of floating point.
fn float(number: u64) -> String {
    match u32::try_from(number) {
        Ok(asn) => crate::payload::Asn::new(asn).as_float(),
        Err(_) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::decompress::read_and_show;
    use super::*;

    /// The rows of a document, and how many of them are good; `None` when they are ambiguous.
    fn texts(rows: &str) -> (usize, Option<String>) {
        let text = format!(r#"{{"roas":[{rows}]}}"#);
        let limits = Limits {
            bad_rows_percent: 100,
            ..Limits::default()
        };
        let document = read_and_show(text.as_bytes(), &limits, Keep::Texts, |_| {}).unwrap();
        let mut texts = document.texts.unwrap();
        let sorted = texts.sorted();
        let all = sorted.map(|rows| rows.flatten().copied().collect());
        (
            document.rows.len(),
            all.map(|all| String::from_utf8(all).unwrap()),
        )
    }

    #[test]
    fn rows_are_as_they_stand_there_and_sorted() {
        let some = |count, text: &str| (count, Some(text.to_owned()));
        assert_eq!(
            texts(
                r#"{"prefix":"10.1.0.0/25","maxLength":26,"asn":"AS65001"},
                   {"asn":"AS65000","ta":"x","prefix":"10.0.0.0\/25","maxLength":26},
                   {"prefix":"10.1.0.0/25","maxLength":26,"asn":"AS65001"}"#
            ),
            some(
                2,
                "10.0.0.0/25,26,AS65000,10.1.0.0/25,26,AS65001,10.1.0.0/25,26,AS65001,"
            )
        );
        assert_eq!(
            texts(
                r#"{"prefix":"2001:DB8::/32","maxLength":48,"asn":4200000000},
                   {"prefix":"192.0.2.0/24","maxLength":24,"asn":1,"asn":"as65001"},
                   {"prefix":"bad","maxLength":24,"asn":65001}"#
            ),
            some(
                2,
                "192.0.2.0/24,24,as65001,2001:DB8::/32,48,4.2e+09,bad,24,65001,"
            )
        );
        assert_eq!(texts(""), some(0, ""));
    }

    /// Two rows that are signed must not hide in one that is bad.
    #[test]
    fn no_row_passes_for_two() {
        let hidden = r#"{"prefix":"10.0.0.0/8,8,AS1,11.0.0.0/8","maxLength":8,"asn":"AS2"}"#;
        assert_eq!(texts(hidden), (0, None));
        let hidden = r#"{"prefix":"10.0.0.0/8","maxLength":8,"asn":"AS1,11.0.0.0/8,8,AS2"}"#;
        assert_eq!(texts(hidden), (0, None));
        let absent = r#"{"prefix":"10.0.0.0/8","asn":"AS1"}"#;
        assert_eq!(texts(absent), (1, None));
    }

    /// Rows that look like signed ones in a list of another name are signed, too, or nothing is.
    #[test]
    fn all_lists_of_vrps_count() {
        let text = r#"{"roas":[{"prefix":"10.0.0.0/8","maxLength":8,"asn":"AS1"}],
            "data":[{"prefix":"11.0.0.0/8","maxLength":8,"asn":"AS2"}]}"#;
        let limits = Limits::default();
        let document = read_and_show(text.as_bytes(), &limits, Keep::Texts, |_| {}).unwrap();
        assert_eq!(document.rows.len(), 2);
        assert_eq!(document.texts.unwrap().sorted().unwrap().count(), 2);
        let document = read_and_show(text.as_bytes(), &limits, Keep::Rows, |_| {}).unwrap();
        assert_eq!(document.texts, None);
    }
}
