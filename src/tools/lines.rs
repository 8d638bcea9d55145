//! Lines of an input that may never end.

use std::io::{self, BufRead, BufReader, Read};

use memchr::memchr;

/// Reads lines one at a time, in constant memory.
#[derive(Debug)]
pub struct Lines<R> {
    input: BufReader<R>,
    text: Vec<u8>,
    number: u64,
}

/// A line of an input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// What is on it, without its end.
    pub text: &'a [u8],
    /// How it ends.
    pub end: End,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// With a newline.
    Newline,
    /// With the input, as lines do when an input is cut short.
    Input,
    /// With a newline that is past the longest line: what is on it is not complete.
    TooFar,
}

impl<R: Read> Lines<R> {
    /// The longest line, in octets.
    pub const LONGEST: usize = 64 * 1024;

    /// Octets read at a time.
    const CHUNK: usize = 64 * 1024;

    /// The lines of this input.
    pub fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(Self::CHUNK, input),
            text: Vec::new(),
            number: 0,
        }
    }

    /// Whether the next line may have to be waited for.
    pub fn may_wait(&self) -> bool {
        memchr(b'\n', self.input.buffer()).is_none()
    }

    /// The next line, `None` when there are no more.
    ///
    /// # Errors
    ///
    /// When the input cannot be read any further.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.text.clear();
        let mut end = End::Newline;
        loop {
            let octets = match self.input.fill_buf() {
                Ok(octets) => octets,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => return Err(cause),
            };
            if octets.is_empty() {
                if self.text.is_empty() {
                    return Ok(None);
                }
                end = if end == End::Newline { End::Input } else { end };
                break;
            }
            let newline = memchr(b'\n', octets);
            let part = octets.get(..newline.unwrap_or(octets.len()));
            let part = part.unwrap_or_default();
            let room = Self::LONGEST.saturating_sub(self.text.len());
            if part.len() > room {
                end = End::TooFar;
            }
            self.text
                .extend_from_slice(part.get(..room).unwrap_or(part));
            let taken = newline.map_or(octets.len(), |place| place + 1);
            self.input.consume(taken);
            if newline.is_some() {
                break;
            }
        }
        self.number += 1;
        Ok(Some(Line {
            number: self.number,
            text: &self.text,
            end,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(u64, Vec<u8>, End)> {
        let mut lines = Lines::new(text);
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push((line.number, line.text.to_vec(), line.end));
        }
        found
    }

    #[test]
    fn lines_end_with_a_newline_or_the_input() {
        assert_eq!(lines(b""), []);
        assert_eq!(
            lines(b"a\n\nb"),
            [
                (1, b"a".to_vec(), End::Newline),
                (2, b"".to_vec(), End::Newline),
                (3, b"b".to_vec(), End::Input),
            ]
        );
        assert_eq!(lines(b"a\n").len(), 1);
    }

    #[test]
    fn a_line_that_is_too_long_costs_no_more_than_the_longest() {
        let longest = Lines::<&[u8]>::LONGEST;
        let mut text = vec![b'x'; longest];
        text.extend(b"\ny\n");
        let found = lines(&text);
        assert_eq!(
            (found[0].1.len(), found[0].2, found[1].2),
            (longest, End::Newline, End::Newline)
        );
        let mut text = vec![b'x'; 3 * longest];
        text.extend(b"\ny\n");
        let found = lines(&text);
        assert_eq!(
            (found[0].1.len(), found[0].2, found[1].1.as_slice()),
            (longest, End::TooFar, &b"y"[..])
        );
        let text = vec![b'x'; 3 * longest];
        assert_eq!(lines(&text)[0].2, End::TooFar);
    }
}
