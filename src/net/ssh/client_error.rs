//! Why there is no session with a server.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::known_hosts::Place;

/// Why there is no session with a server.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The host is not known, so whether it is the right one is not known either.
    UnknownHost {
        /// What it shows.
        shown: ShownKey,
        /// The file to add it to.
        file: PathBuf,
    },
    /// The host has shown another key than it is known to have.
    ChangedHost {
        /// What it shows.
        shown: ShownKey,
        /// Where it says what it had, as `file:line`.
        place: Box<str>,
    },
    /// The host has shown a key that is not to be trusted any more.
    RevokedHost {
        /// What it shows.
        shown: ShownKey,
        /// Where it says so, as `file:line`.
        place: Box<str>,
    },
    /// The server lets the user in neither with the key nor with the password.
    Denied {
        /// The user.
        user: Box<str>,
        /// What was tried: `publickey`, `password` or both.
        tried: Vec<&'static str>,
        /// What the server says it takes.
        takes: Vec<&'static str>,
    },
    /// The server takes RSA only with SHA-1, and the key is one of RSA.
    WeakSignatures,
    /// The user is in, and the server has no subsystem `rpki-rtr` for it.
    NoSubsystem {
        /// The user.
        user: Box<str>,
    },
    /// The server opens channels of its own.
    Intrusive,
    /// The server has closed the connection.
    Gone,
    /// The server shares no algorithm with us, breaks the protocol, or the connection broke.
    Protocol(russh::Error),
}

/// A key that a host has shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownKey {
    /// The host as the files have it: `host` or `[host]:port`.
    pub host: Box<str>,
    /// The algorithm and the key in Base64.
    pub key: Box<str>,
    /// `SHA256:` and the digest of the key in Base64, as `ssh-keygen -l` shows it.
    pub fingerprint: Box<str>,
}

impl ClientError {
    pub(super) fn changed(shown: ShownKey, place: &Place) -> Self {
        let place = place.to_string().into();
        Self::ChangedHost { shown, place }
    }

    pub(super) fn revoked(shown: ShownKey, place: &Place) -> Self {
        let place = place.to_string().into();
        Self::RevokedHost { shown, place }
    }
}

impl From<russh::Error> for ClientError {
    fn from(error: russh::Error) -> Self {
        use russh::Error::{Disconnect, HUP, IO, RecvError, SendError};
        match error {
            Disconnect | HUP | RecvError | SendError => Self::Gone,
            IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Self::Gone,
            error => Self::Protocol(error),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownHost { shown, file } => write!(
                f,
                "the host {} is not known, it shows {}; if that is right, add this line to {}: {}",
                shown.host,
                shown.fingerprint,
                file.display(),
                shown.line()
            ),
            Self::ChangedHost { shown, place } => write!(
                f,
                "the host {} shows another key than {place} says, {}; if that is right, make the \
                 line: {}",
                shown.host,
                shown.fingerprint,
                shown.line()
            ),
            Self::RevokedHost { shown, place } => write!(
                f,
                "the host {} shows the key {}, which {place} revokes",
                shown.host, shown.fingerprint
            ),
            Self::Denied { user, tried, takes } => write!(
                f,
                "the server does not let {user} in with {}, it takes {}",
                list(tried),
                list(takes)
            ),
            Self::WeakSignatures => {
                f.write_str("the server takes keys of RSA only with SHA-1; use one of ed25519")
            }
            Self::NoSubsystem { user } => {
                write!(f, "the server has no subsystem rpki-rtr for {user}")
            }
            Self::Intrusive => f.write_str("the server opens channels of its own"),
            Self::Gone => f.write_str("the server has closed the connection"),
            Self::Protocol(_) => f.write_str("ssh is broken"),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

impl ShownKey {
    /// The line of a file that makes the host known.
    fn line(&self) -> String {
        format!("{} {}", self.host, self.key)
    }
}

fn list(methods: &[&str]) -> String {
    match methods {
        [] => "nothing".to_owned(),
        methods => methods.join(" and "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_to_do() {
        let shown = ShownKey {
            host: "[h.example]:2222".into(),
            key: "ssh-ed25519 AAAA".into(),
            fingerprint: "SHA256:abc".into(),
        };
        let unknown = ClientError::UnknownHost {
            shown: shown.clone(),
            file: "/etc/hosts.ssh".into(),
        };
        assert_eq!(
            unknown.to_string(),
            "the host [h.example]:2222 is not known, it shows SHA256:abc; if that is right, add \
             this line to /etc/hosts.ssh: [h.example]:2222 ssh-ed25519 AAAA"
        );
        let changed = ClientError::ChangedHost {
            shown,
            place: "/etc/hosts.ssh:7".into(),
        };
        assert_eq!(
            changed.to_string(),
            "the host [h.example]:2222 shows another key than /etc/hosts.ssh:7 says, SHA256:abc; \
             if that is right, make the line: [h.example]:2222 ssh-ed25519 AAAA"
        );
        let denied = ClientError::Denied {
            user: "rpki".into(),
            tried: vec!["publickey", "password"],
            takes: Vec::new(),
        };
        assert_eq!(
            denied.to_string(),
            "the server does not let rpki in with publickey and password, it takes nothing"
        );
    }
}
