//! The names of files: what they are, so that one name never has two contents.

use std::fmt;

use crate::rtr::{HistoryName, Serial};
use crate::sign::hex;

/// The name of a file of a feed, without a folder.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FileName {
    /// The set at a serial.
    Snapshot {
        /// The history.
        history: HistoryName,
        /// The serial.
        serial: Serial,
    },
    /// The step from a serial to a later one.
    Delta {
        /// The history.
        history: HistoryName,
        /// The serial where it begins.
        from: Serial,
        /// The serial that it leads to.
        to: Serial,
    },
    /// The ASPAs that a step takes away or replaces.
    Replaced {
        /// The history.
        history: HistoryName,
        /// The serial where the step begins.
        from: Serial,
        /// The serial that it leads to.
        to: Serial,
    },
    /// What is known of the payloads of a revision.
    Attributes {
        /// The history.
        history: HistoryName,
        /// The serial.
        serial: Serial,
        /// The revision of that serial.
        revision: u64,
    },
}

impl FileName {
    /// The most octets of a file, of whatever kind: 16 million IPv6 VRPs.
    pub const MAX_OCTETS: u64 = 1 << 29;

    /// The name that this text is, `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (stem, kind) = text.rsplit_once('.')?;
        let (history, numbers) = stem.split_once('-')?;
        let history = HistoryName::new(hex::decode(history)?.try_into().ok()?);
        let (first, second) = match numbers.split_once('-') {
            Some((first, second)) => (first, Some(second)),
            None => (numbers, None),
        };
        let serial = Serial::new(first.parse().ok()?);
        let name = match (kind, second) {
            ("snapshot", None) => Self::Snapshot { history, serial },
            ("delta", Some(to)) => Self::Delta {
                history,
                from: serial,
                to: later(serial, to)?,
            },
            ("replaced", Some(to)) => Self::Replaced {
                history,
                from: serial,
                to: later(serial, to)?,
            },
            ("attributes", Some(revision)) => Self::Attributes {
                history,
                serial,
                revision: revision.parse().ok()?,
            },
            _ => return None,
        };
        // Digits have several forms; names have one.
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot { history, serial } => write!(f, "{history}-{serial}.snapshot"),
            Self::Delta { history, from, to } => write!(f, "{history}-{from}-{to}.delta"),
            Self::Replaced { history, from, to } => write!(f, "{history}-{from}-{to}.replaced"),
            Self::Attributes {
                history,
                serial,
                revision,
            } => write!(f, "{history}-{serial}-{revision}.attributes"),
        }
    }
}

/// The serial that this text is, if a step can lead there.
fn later(from: Serial, text: &str) -> Option<Serial> {
    let to = Serial::new(text.parse().ok()?);
    (to != Serial::new(0) && from < to).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let history = HistoryName::new([0xab; 16]);
        let serial = Serial::new(u32::MAX);
        let stem = "abababababababababababababababab-4294967295";
        for (name, text) in [
            (
                FileName::Snapshot { history, serial },
                format!("{stem}.snapshot"),
            ),
            // 0 is skipped.
            (
                FileName::Delta {
                    history,
                    from: serial,
                    to: serial.next(),
                },
                format!("{stem}-1.delta"),
            ),
            (
                FileName::Replaced {
                    history,
                    from: serial,
                    to: serial.next(),
                },
                format!("{stem}-1.replaced"),
            ),
            // Another server has taken over.
            (
                FileName::Delta {
                    history,
                    from: serial,
                    to: serial.jump(),
                },
                format!("{stem}-1048575.delta"),
            ),
            (
                FileName::Attributes {
                    history,
                    serial,
                    revision: 70,
                },
                format!("{stem}-70.attributes"),
            ),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(FileName::parse(&text), Some(name));
            for wrong in [
                text.to_uppercase(),
                text.replace("-4294967295", "-04294967295"),
                text.replace("-4294967295", "-4294967296"),
                text.replace("ab-", "-"),
                format!("../{text}"),
                format!("{text}.new"),
            ] {
                assert_eq!(FileName::parse(&wrong), None, "{wrong}");
            }
        }
        // No step leads to 0, nowhere, back, or to where there is no order.
        for to in ["0", "4294967295", "4294967294", "2147483647", "x", ""] {
            for kind in ["delta", "replaced"] {
                assert_eq!(
                    FileName::parse(&format!("{stem}-{to}.{kind}")),
                    None,
                    "{to}"
                );
            }
        }
        assert_eq!(FileName::parse("manifest.json"), None);
    }
}
