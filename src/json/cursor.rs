//! JSON tokens from octets that lie in memory.
//!
//! The cursor knows the grammar of RFC 8259 and nothing of VRPs. It never waits: where the octets
//! end inside of something it says so, and the caller comes back with more from the start of that.

use std::borrow::Cow;

/// Why the cursor cannot go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    /// The octets end inside of what was to be read.
    Incomplete,
    /// What stands there is wrong.
    Fault {
        /// Octets from the wrong one to the end.
        left: usize,
        fault: Fault,
    },
}

/// What can be wrong with a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    Expected(&'static str),
    TooDeep,
    TooLong(usize),
    TooManyRows,
}

/// A value of JSON as far as rows care for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool,
    /// A number, `None` when it is not one of the integers from 0 to 2⁶⁴-1 in plain digits.
    Number(Option<u64>),
    /// A text without its escapes, which is valid UTF-8.
    Text(Cow<'a, [u8]>),
    /// An object or a list that was read over.
    Container,
}

/// A place in octets, at some depth of objects and lists.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    depth: usize,
    max_depth: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(octets: &'a [u8], depth: usize, max_depth: usize) -> Self {
        Self {
            rest: octets,
            depth,
            max_depth,
        }
    }

    /// What is not read yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) const fn fault(&self, fault: Fault) -> Stop {
        Stop::Fault {
            left: self.rest.len(),
            fault,
        }
    }

    pub(super) const fn expected(&self, expected: &'static str) -> Stop {
        self.fault(Fault::Expected(expected))
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// The next octet that is not white space, left where it is.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, Stop> {
        self.skip_space();
        self.rest.first().copied().ok_or(Stop::Incomplete)
    }

    /// Goes past the octet that [`peek`](Self::peek) found.
    #[inline]
    pub(super) fn pass(&mut self) {
        if let [_, rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Goes past this many octets.
    #[inline]
    pub(super) fn pass_all(&mut self, octets: usize) {
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }

    #[inline]
    fn take(&mut self, octet: u8, expected: &'static str) -> Result<(), Stop> {
        if self.peek()? != octet {
            return Err(self.expected(expected));
        }
        self.pass();
        Ok(())
    }

    /// What stands behind the opening octet that is next, `None` when it is too deep to go there.
    #[inline]
    pub(super) const fn within(&self) -> Option<&'a [u8]> {
        match self.rest {
            [_, within @ ..] if self.depth < self.max_depth => Some(within),
            _ => None,
        }
    }

    /// Goes into the object or list whose opening octet is next.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), Stop> {
        if self.depth >= self.max_depth {
            return Err(self.fault(Fault::TooDeep));
        }
        self.depth += 1;
        self.pass();
        Ok(())
    }

    /// Leaves the object whose closing brace was passed.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The name of the next member of the object that was entered, its value being next; `None`
    /// past the closing brace.
    #[inline]
    pub(super) fn member(&mut self, first: &mut bool) -> Result<Option<Cow<'a, [u8]>>, Stop> {
        let mut next = self.peek()?;
        if next == b'}' {
            self.pass();
            self.leave();
            return Ok(None);
        }
        if !*first {
            if next != b',' {
                return Err(self.expected("a comma or a closing brace"));
            }
            self.pass();
            next = self.peek()?;
        }
        *first = false;
        if next != b'"' {
            return Err(self.expected("a member's name"));
        }
        let name = self.string()?;
        self.take(b':', "a colon")?;
        Ok(Some(name))
    }

    /// Whether another element of the list that was entered is next; else it is left.
    #[inline]
    pub(super) fn element(&mut self, first: &mut bool) -> Result<bool, Stop> {
        let next = self.peek()?;
        if next == b']' {
            self.pass();
            self.leave();
            return Ok(false);
        }
        if !*first {
            if next != b',' {
                return Err(self.expected("a comma or a closing bracket"));
            }
            self.pass();
            // A bracket after a comma is refused where the value is read.
            self.peek()?;
        }
        *first = false;
        Ok(true)
    }

    /// The next value; an object or a list is read over.
    #[inline]
    pub(super) fn value(&mut self) -> Result<Value<'a>, Stop> {
        match self.peek()? {
            b'"' => self.string().map(Value::Text),
            b'{' | b'[' => self.container(),
            _ => self.bare(),
        }
    }

    fn container(&mut self) -> Result<Value<'a>, Stop> {
        let object = self.peek()? == b'{';
        self.enter()?;
        let mut first = true;
        if object {
            while self.member(&mut first)?.is_some() {
                self.value()?;
            }
        } else {
            while self.element(&mut first)? {
                self.value()?;
            }
        }
        Ok(Value::Container)
    }

    /// A number, `null`, `true` or `false`. It is complete when something stands behind it.
    #[inline]
    pub(super) fn bare(&mut self) -> Result<Value<'a>, Stop> {
        match self.rest.first() {
            Some(b'1'..=b'9') => self.digits(),
            Some(b'0' | b'-') => self.number(),
            Some(b'n') => self.literal(b"null", Value::Null),
            Some(b't') => self.literal(b"true", Value::Bool),
            Some(b'f') => self.literal(b"false", Value::Bool),
            Some(_) => Err(self.expected("a value")),
            None => Err(Stop::Incomplete),
        }
    }

    #[inline]
    fn digits(&mut self) -> Result<Value<'a>, Stop> {
        let mut rest = self.rest;
        let mut number = 0u64;
        let mut overflow = false;
        while let [digit @ b'0'..=b'9', tail @ ..] = rest {
            let (tens, past) = number.overflowing_mul(10);
            let (sum, beyond) = tens.overflowing_add(u64::from(digit - b'0'));
            overflow |= past | beyond;
            number = sum;
            rest = tail;
        }
        match rest.first() {
            None => Err(Stop::Incomplete),
            Some(b'.' | b'e' | b'E') => self.number(),
            Some(_) => {
                self.rest = rest;
                Ok(Value::Number((!overflow).then_some(number)))
            }
        }
    }

    /// Any number, by the letter of the grammar.
    fn number(&mut self) -> Result<Value<'a>, Stop> {
        let whole = self.rest;
        if let [b'-', rest @ ..] = self.rest {
            self.rest = rest;
        }
        if let [b'0', rest @ ..] = self.rest {
            self.rest = rest;
            if let [b'0'..=b'9', ..] = rest {
                return Err(self.expected("a number without leading zeros"));
            }
        } else {
            self.some_digits()?;
        }
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            self.some_digits()?;
        }
        if let [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            if let [b'+' | b'-', rest @ ..] = self.rest {
                self.rest = rest;
            }
            self.some_digits()?;
        }
        if self.rest.is_empty() {
            return Err(Stop::Incomplete);
        }
        let zero = whole.len() - self.rest.len() == 1 && whole.first() == Some(&b'0');
        Ok(Value::Number(zero.then_some(0)))
    }

    fn some_digits(&mut self) -> Result<(), Stop> {
        match self.rest.first() {
            None => return Err(Stop::Incomplete),
            Some(octet) if octet.is_ascii_digit() => {}
            Some(_) => return Err(self.expected("a digit")),
        }
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
        Ok(())
    }

    fn literal(&mut self, word: &'static [u8], value: Value<'a>) -> Result<Value<'a>, Stop> {
        if let Some(rest) = self.rest.strip_prefix(word) {
            self.rest = rest;
            return Ok(value);
        }
        if word.starts_with(self.rest) {
            return Err(Stop::Incomplete);
        }
        Err(self.expected("null, true or false"))
    }

    /// The text whose opening quote is next.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Cow<'a, [u8]>, Stop> {
        if let Some((text, rest)) = plain_text(self.rest) {
            self.rest = rest;
            return Ok(Cow::Borrowed(text));
        }
        if self.rest.is_empty() {
            return Err(Stop::Incomplete);
        }
        self.pass();
        self.rich_string()
    }

    /// A text with escapes or past ASCII, or one that does not end, behind its opening quote.
    #[cold]
    fn rich_string(&mut self) -> Result<Cow<'a, [u8]>, Stop> {
        let body = self.rest;
        let mut escapes = false;
        loop {
            match self.rest {
                [b'"', ..] => break,
                [b'\\', rest @ ..] => {
                    escapes = true;
                    self.rest = rest;
                    self.escape()?;
                }
                [0..0x20, ..] => return Err(self.expected("no control character in a text")),
                [_, rest @ ..] => self.rest = rest,
                [] => return Err(Stop::Incomplete),
            }
        }
        let length = body.len() - self.rest.len();
        let text = body.get(..length).unwrap_or_default();
        if let Err(reason) = std::str::from_utf8(text) {
            self.rest = body.get(reason.valid_up_to()..).unwrap_or_default();
            return Err(self.expected("UTF-8"));
        }
        self.pass();
        if escapes {
            return Ok(Cow::Owned(unescaped(text)));
        }
        Ok(Cow::Borrowed(text))
    }

    /// Checks what stands behind a backslash and goes past it.
    fn escape(&mut self) -> Result<(), Stop> {
        match self.rest {
            [
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                rest @ ..,
            ] => {
                self.rest = rest;
                Ok(())
            }
            [b'u', rest @ ..] => {
                self.rest = rest;
                let high = self.four_hex_digits()?;
                match high {
                    0xDC00..0xE000 => Err(self.expected("no lone surrogate before here")),
                    0xD800..0xDC00 => self.low_surrogate(),
                    _ => Ok(()),
                }
            }
            [] => Err(Stop::Incomplete),
            _ => Err(self.expected("an escape that JSON has")),
        }
    }

    fn low_surrogate(&mut self) -> Result<(), Stop> {
        for octet in [b'\\', b'u'] {
            match self.rest {
                [next, rest @ ..] if *next == octet => self.rest = rest,
                [] => return Err(Stop::Incomplete),
                _ => return Err(self.expected("the second half of a surrogate pair")),
            }
        }
        match self.four_hex_digits()? {
            0xDC00..0xE000 => Ok(()),
            _ => Err(self.expected("the second half of a surrogate pair before here")),
        }
    }

    fn four_hex_digits(&mut self) -> Result<u16, Stop> {
        let mut value = 0;
        for _ in 0..4 {
            let (digit, rest) = self.rest.split_first().ok_or(Stop::Incomplete)?;
            let Some(digit) = hex_digit(*digit) else {
                return Err(self.expected("four hexadecimal digits"));
            };
            value = (value << 4) | u16::from(digit);
            self.rest = rest;
        }
        Ok(value)
    }
}

/// The value of a hexadecimal digit in either case.
pub(super) const fn hex_digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

/// The text that is next and what stands behind it, when it is ASCII without escapes.
#[inline(always)]
pub(super) fn plain_text(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = octets.strip_prefix(b"\"")?;
    let (text, rest) = body.split_at_checked(plain_run(body))?;
    Some((text, rest.strip_prefix(b"\"")?))
}

/// The number that is next and what stands behind it, when it is nothing but a few digits.
#[inline(always)]
pub(super) fn short_number(octets: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut digits) = leading_digits(u64::from_le_bytes(*octets.first_chunk()?));
    let mut rest = octets.get(digits..)?;
    // Times have ten digits.
    if digits == 8 {
        while let [digit @ b'0'..=b'9', tail @ ..] = rest {
            number = number * 10 + u64::from(digit - b'0');
            digits += 1;
            rest = tail;
            if digits > 18 {
                return None;
            }
        }
    }
    let starts = matches!(octets, [b'1'..=b'9', ..]);
    let ends = matches!(rest, [b',' | b' ' | b'}' | b']' | b'\n' | b'\r', ..]);
    (starts && ends).then_some((number, rest))
}

/// How many octets come before the first that a text may not simply contain or that is not ASCII.
#[inline]
fn plain_run(octets: &[u8]) -> usize {
    let mut rest = octets;
    let mut length = 0;
    // Eight at a time: half of a document is texts, and most of them are shorter than a vector.
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let marks = special_octets(u64::from_le_bytes(*word));
        if marks != 0 {
            let place = marks.trailing_zeros() / 8;
            return length + usize::try_from(place).unwrap_or(0);
        }
        length += 8;
        rest = tail;
    }
    let plain = |octet: &&u8| matches!(octet, 0x20..0x80) && **octet != b'"' && **octet != b'\\';
    length + rest.iter().take_while(plain).count()
}

/// Bit 7 of the lowest octet of the word that is a quote, a backslash, a control character or not
/// ASCII; octets above it may be marked in error, because a borrow reaches them.
const fn special_octets(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5c);
    let marks = (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * 0x20) & !word)
        | word;
    marks & TOPS
}

/// The number that the octets of a word begin with, and how many digits it has, without a branch
/// that depends on that.
#[inline(always)]
fn leading_digits(word: u64) -> (u64, usize) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let values = word ^ (ONES * 0x30);
    let past_nine = ((values & (ONES * 0x7f)) + ONES * 0x76) | values;
    let digits = (past_nine & (ONES << 7)).trailing_zeros() / 8;
    // What comes first is worth most: zeros are put before it.
    let padded = values.checked_shl(64 - 8 * digits).unwrap_or(0);
    // Neighbours are joined: digits to pairs, pairs to fours, fours to eight.
    let pairs = padded.wrapping_mul((10 << 8) + 1) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul((100 << 16) + 1) >> 16;
    let eight = (fours & 0x0000_ffff_0000_ffff).wrapping_mul((10_000 << 32) + 1) >> 32;
    (eight, usize::try_from(digits).unwrap_or(0))
}

/// A text whose escapes were checked, without them.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [octet, tail @ ..] = rest {
        rest = tail;
        if *octet != b'\\' {
            out.push(*octet);
            continue;
        }
        let [escape, tail @ ..] = rest else { break };
        rest = tail;
        match escape {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let mut code = u32::from(unit(&mut rest));
                if (0xD800..0xDC00).contains(&code) {
                    rest = rest.get(2..).unwrap_or_default();
                    let low = u32::from(unit(&mut rest));
                    code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
                }
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(*other),
        }
    }
    out
}

fn unit(rest: &mut &[u8]) -> u16 {
    let (digits, tail) = rest.split_at_checked(4).unwrap_or_default();
    *rest = tail;
    digits.iter().fold(0, |unit, digit| {
        (unit << 4) | u16::from(hex_digit(*digit).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::Random;

    #[test]
    fn short_numbers_are_what_their_digits_say() {
        let mut random = Random::new(5);
        for _ in 0..20_000 {
            let number = random.next() >> (random.below(64));
            let text = format!("{number} , 12345678");
            let due = (number > 0 && number < 1_000_000_000_000_000_000)
                .then(|| (number, " , 12345678".as_bytes()));
            assert_eq!(short_number(text.as_bytes()), due);
        }
        for text in [
            "",
            "7",
            "1234567",
            "012345678",
            "12x45678",
            "1.000000",
            "-1000000",
            "x",
        ] {
            assert_eq!(short_number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn plain_texts_end_at_the_first_telling_octet() {
        for place in 0..40 {
            for octet in 0..=255u8 {
                let mut text = vec![b'x'; 41];
                text[0] = b'"';
                text[place + 1] = octet;
                text.push(b'"');
                let plain = matches!(octet, 0x20..0x80) && octet != b'\\';
                let due = plain.then_some(if octet == b'"' { place } else { 40 });
                let found = plain_text(&text).map(|(text, _)| text.len());
                assert_eq!(found, due, "{octet} at {place}");
            }
        }
    }
}
