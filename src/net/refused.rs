//! Why a peer did not come to a session.

use std::error::Error;
use std::fmt;

/// A reason to refuse a peer, for a counter. The words are stable: they are label values.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// It went away before it was done.
    Gone,
    /// It took too long.
    Deadline,
    /// It does not speak the protocol of the listener, or breaks it.
    Protocol,
    /// It shares no version or algorithm with us.
    Algorithms,
    /// The header of the PROXY protocol is missing or damaged.
    Proxy,
    /// It showed no certificate.
    NoCertificate,
    /// Its certificate is from no CA that is trusted here.
    UnknownCa,
    /// Its certificate is over, or is not valid yet.
    CertificateTime,
    /// Its certificate is revoked.
    Revoked,
    /// Its certificate is not for clients.
    CertificateUsage,
    /// Its address is not in its certificate.
    CertificateAddress,
    /// Its certificate is refused for another cause.
    Certificate,
    /// Nobody has that name, or that name may not log in from there.
    UnknownUser,
    /// The key is not one of that user.
    UnknownKey,
    /// The key or its signature is of a kind that is not taken, such as RSA with SHA-1.
    WeakKey,
    /// The password is wrong.
    Password,
    /// Too many others were waiting to be tried.
    Busy,
    /// It tried no method that is offered: nothing but `none`, as a rule.
    NoMethod,
    /// It was logged in and asked for something else than the subsystem `rpki-rtr`.
    Subsystem,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Gone,
        Self::Deadline,
        Self::Protocol,
        Self::Algorithms,
        Self::Proxy,
        Self::NoCertificate,
        Self::UnknownCa,
        Self::CertificateTime,
        Self::Revoked,
        Self::CertificateUsage,
        Self::CertificateAddress,
        Self::Certificate,
        Self::UnknownUser,
        Self::UnknownKey,
        Self::WeakKey,
        Self::Password,
        Self::Busy,
        Self::NoMethod,
        Self::Subsystem,
    ];

    /// A word for a log or a metric.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Deadline => "deadline",
            Self::Protocol => "protocol",
            Self::Algorithms => "algorithms",
            Self::Proxy => "proxy header",
            Self::NoCertificate => "no certificate",
            Self::UnknownCa => "unknown ca",
            Self::CertificateTime => "certificate time",
            Self::Revoked => "certificate revoked",
            Self::CertificateUsage => "certificate usage",
            Self::CertificateAddress => "certificate address",
            Self::Certificate => "certificate",
            Self::UnknownUser => "unknown user",
            Self::UnknownKey => "unknown key",
            Self::WeakKey => "weak key",
            Self::Password => "password",
            Self::Busy => "busy",
            Self::NoMethod => "no method",
            Self::Subsystem => "subsystem",
        }
    }
}

/// A handshake that came to nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// What is counted.
    pub reason: Reason,
    /// What is logged: a line of at most [`Self::LONGEST`] characters, whatever the peer said.
    detail: Box<str>,
}

impl Refused {
    /// The characters of a detail that are kept.
    pub const LONGEST: usize = 200;

    /// A refusal. Of the detail, which may quote the peer, only so much is kept as fits a line of
    /// a log, and nothing that would break one.
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        let detail = detail.to_string();
        let tame = |c: char| if c.is_control() { '?' } else { c };
        Self {
            reason,
            detail: detail.chars().map(tame).take(Self::LONGEST).collect(),
        }
    }

    /// What is logged.
    pub const fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.word(), self.detail)
    }
}

impl Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_write_lines_of_its_own() {
        let said = format!("a\nb\u{1b}[2J{}", "x".repeat(1_000));
        let refused = Refused::new(Reason::Protocol, said);
        assert!(refused.to_string().starts_with("protocol: a?b?[2Jx"));
        assert_eq!(refused.detail().chars().count(), Refused::LONGEST);
    }

    #[test]
    fn words_differ() {
        let mut words: Vec<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
