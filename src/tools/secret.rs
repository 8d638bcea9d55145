//! Secrets from standard input: typed at a terminal without being shown, or a line of a pipe.
//!
//! Standard input is read without a buffer of its own, so that what was read is wiped from memory
//! with the text that is given.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

/// Asks for a secret twice at the terminal that standard input is. The questions go to standard
/// error. Of more than `longest` octets one too many is given.
///
/// # Errors
///
/// When it is typed differently the second time, or is given up, or the terminal cannot be read.
pub fn ask_twice(what: &str, longest: usize) -> Result<Zeroizing<String>, SecretError> {
    let first = ask(what, longest)?;
    if first.is_empty() {
        return Ok(first);
    }
    match *ask(&format!("{what} again"), longest)? == *first {
        true => Ok(first),
        false => Err(SecretError::Different),
    }
}

/// Reads the first line of standard input, of which it takes nothing more. Of more than `longest`
/// octets one too many is given.
///
/// # Errors
///
/// When there is none, or it cannot be read.
pub fn read_line(longest: usize) -> Result<Zeroizing<String>, SecretError> {
    let stdin = io::stdin();
    let mut input = unbuffered(stdin.as_fd())?;
    line(&mut input, longest)
}

fn ask(what: &str, longest: usize) -> Result<Zeroizing<String>, SecretError> {
    let stdin = io::stdin();
    let mut input = unbuffered(stdin.as_fd())?;
    let silent = Silent::new(stdin.as_fd())?;
    eprint!("{what}: ");
    let typed = typed(&mut input, longest);
    eprintln!();
    drop(silent);
    typed
}

fn unbuffered(stdin: BorrowedFd<'_>) -> io::Result<File> {
    stdin.try_clone_to_owned().map(File::from)
}

/// A terminal that shows nothing and hands over each key, until this is dropped.
///
/// The keys that would end or stop the process are keys like others: it would leave behind a
/// terminal that shows nothing.
struct Silent<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: BorrowedFd<'a>) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before the question is no answer.
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Reads a line from a terminal that hands over each key.
fn typed(input: &mut impl Read, longest: usize) -> Result<Zeroizing<String>, SecretError> {
    let mut secret = Secret::new(longest);
    loop {
        match next(input)? {
            Some(b'\n' | b'\r') => return secret.text(),
            Some(CONTROL_C) => return Err(SecretError::GivenUp),
            Some(CONTROL_D) | None if secret.octets.is_empty() => return Err(SecretError::GivenUp),
            None => return secret.text(),
            Some(BACKSPACE | DELETE) => secret.shorten(),
            Some(CONTROL_U) => secret.octets.clear(),
            // Other control characters are slips.
            Some(octet) if octet < b' ' => {}
            Some(octet) => secret.push(octet),
        }
    }
}

/// Reads a line.
fn line(input: &mut impl Read, longest: usize) -> Result<Zeroizing<String>, SecretError> {
    // A carriage return before the end of the line may be one more.
    let mut secret = Secret::new(longest + 1);
    loop {
        match next(input)? {
            None if secret.octets.is_empty() => return Err(SecretError::Nothing),
            Some(b'\n') | None => break,
            Some(octet) => secret.push(octet),
        }
    }
    if secret.octets.last() == Some(&b'\r') {
        secret.octets.pop();
    }
    secret.text()
}

fn next(input: &mut impl Read) -> io::Result<Option<u8>> {
    let mut octet = Zeroizing::new([0]);
    loop {
        match input.read(&mut *octet) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(octet.first().copied()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What a terminal says that is gone.
            Err(error) => return Err(error),
        }
    }
}

/// What was read so far, of which at most one octet more than is wanted is kept.
struct Secret {
    octets: Zeroizing<Vec<u8>>,
    most: usize,
}

impl Secret {
    fn new(longest: usize) -> Self {
        let most = longest + 1;
        // With room for all of it, no part is left behind in memory by growing.
        let octets = Zeroizing::new(Vec::with_capacity(most));
        Self { octets, most }
    }

    fn push(&mut self, octet: u8) {
        if self.octets.len() < self.most {
            self.octets.push(octet);
        }
    }

    /// Takes away the last character, which may have several octets.
    fn shorten(&mut self) {
        while let Some(octet) = self.octets.pop() {
            let continues = octet & 0xc0 == 0x80;
            if !continues {
                break;
            }
        }
    }

    fn text(&self) -> Result<Zeroizing<String>, SecretError> {
        // A character that was cut is one of a secret that is too long.
        let text = match str::from_utf8(&self.octets) {
            Ok(text) => text.to_owned(),
            Err(_) if self.octets.len() == self.most => "?".repeat(self.most),
            Err(_) => return Err(SecretError::NotText),
        };
        Ok(Zeroizing::new(text))
    }
}

const CONTROL_C: u8 = 0x03;
const CONTROL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CONTROL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// Why there is no secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum SecretError {
    /// It was typed differently the second time.
    Different,
    /// Whoever was asked gave up.
    GivenUp,
    /// Standard input is empty.
    Nothing,
    /// It is not UTF-8.
    NotText,
    /// Standard input cannot be read.
    Input(io::Error),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Different => "it was not typed the same both times",
            Self::GivenUp => "given up",
            Self::Nothing => "there is nothing on standard input",
            Self::NotText => "what is on standard input is not UTF-8",
            Self::Input(_) => "standard input cannot be read",
        })
    }
}

impl Error for SecretError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Input(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for SecretError {
    fn from(error: io::Error) -> Self {
        Self::Input(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(read: Result<Zeroizing<String>, SecretError>) -> String {
        match read {
            Ok(secret) => secret.to_string(),
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn keys_make_a_line() {
        for (keys, expected) in [
            ("secret\n", "secret"),
            ("secret\rmore", "secret"),
            (" a b \n", " a b "),
            ("secret", "secret"),
            ("\n", ""),
            ("abc\x7f\x08d\n", "ad"),
            ("a\u{fc}\u{1f511}\x7f\x7fb\n", "ab"),
            ("\x7f\x7fa\n", "a"),
            ("wrong\x15right\n", "right"),
            ("a\x04b\x1a\x1b\n", "ab"),
            ("", "! given up"),
            ("\x04", "! given up"),
            ("secret\x03\n", "! given up"),
            ("12345678\n", "12345678"),
            ("123456789\n", "123456789"),
            ("1234567890abc\n", "123456789"),
        ] {
            assert_eq!(show(typed(&mut keys.as_bytes(), 8)), expected, "{keys:?}");
        }
        let latin = typed(&mut &b"\xfc\n"[..], 8);
        assert_eq!(show(latin), "! what is on standard input is not UTF-8");
    }

    #[test]
    fn a_pipe_has_a_line() {
        for (text, expected) in [
            ("secret\nmore\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret", "secret"),
            (" a \x03 \n", " a \x03 "),
            ("\n", ""),
            ("\r\n", ""),
            ("", "! there is nothing on standard input"),
            ("12345678\r\n", "12345678"),
            ("123456789\n", "123456789"),
            ("1234567890abc\n", "1234567890"),
            ("1234567\u{fc}\n", "1234567\u{fc}"),
            ("123456789\u{fc}\n", "??????????"),
        ] {
            assert_eq!(show(line(&mut text.as_bytes(), 8)), expected, "{text:?}");
        }
        let mut rest = &b"secret\nmore"[..];
        line(&mut rest, 8).unwrap();
        assert_eq!(rest, b"more");
    }
}
