//! What other servers are told, said in our words: their flags, environment or file in, a
//! configuration file of ours out.
//!
//! What did nothing there, or is refused or different here, becomes a comment; what nobody knows
//! is an error, for it may matter.

mod draft;
mod go;
mod pyrtr;
mod rtrtr;
mod shell;

use std::fmt;

/// A server that one may come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// StayRTR.
    StayRtr,
    /// GoRTR, which StayRTR grew out of.
    GoRtr,
    /// pyRTR.
    PyRtr,
    /// RTRTR.
    Rtrtr,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::StayRtr, Self::GoRtr, Self::PyRtr, Self::Rtrtr];

    /// The name as it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StayRtr => "stayrtr",
            Self::GoRtr => "gortr",
            Self::PyRtr => "pyrtr",
            Self::Rtrtr => "rtrtr",
        }
    }

    /// The peer of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.name() == name)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a server was told.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The text of a file with its environment: `NAME=VALUE` lines as systemd and shells read them.
    pub environment: Option<String>,
    /// The text of its configuration file.
    pub file: Option<String>,
}

/// A configuration file of ours that does the same.
///
/// # Errors
///
/// With everything that has no meaning, a reason each.
pub fn convert(peer: Peer, given: &Given) -> Result<String, Vec<String>> {
    match peer {
        Peer::StayRtr => go::convert(go::Flavour::StayRtr, given),
        Peer::GoRtr => go::convert(go::Flavour::GoRtr, given),
        Peer::PyRtr => pyrtr::convert(given),
        Peer::Rtrtr => rtrtr::convert(given),
    }
}

#[cfg(test)]
mod tests;
