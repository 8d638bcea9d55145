//! What is worth knowing of the files in use: until when they count, and what looks wrong.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::pem::Visible;
use super::x509::{Certificate, RevocationList};
use crate::net::files::FileError;

/// A certificate or revocation list in use, for metrics.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFacts {
    /// What it is used for.
    pub role: Role,
    /// The file it comes from; `None` when it was made at the start.
    pub file: Option<PathBuf>,
    /// Its dNSNames and iPAddresses, or else its common name; that of the issuer for a revocation
    /// list. It may have none.
    pub names: Box<[Box<str>]>,
    /// Until when it counts, in seconds since 1970. For a revocation list, when there is to be a
    /// newer one.
    pub not_after: u64,
}

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// A server shows it.
    Server,
    /// A client shows it.
    Client,
    /// It stands between one that is shown and a CA.
    Intermediate,
    /// Clients are trusted that have one from it.
    ClientCa,
    /// Servers are trusted that have one from it.
    ServerCa,
    /// It lists revoked certificates of clients.
    Crl,
}

impl Role {
    /// A word for a log or a metric; it stays the same.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Intermediate => "intermediate",
            Self::ClientCa => "client-ca",
            Self::ServerCa => "server-ca",
            Self::Crl => "crl",
        }
    }
}

/// How near the end of a certificate is, the farthest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Stage {
    /// More than thirty days away.
    Fine,
    /// At most thirty days away.
    Month,
    /// At most seven days away.
    Week,
    /// At most a day away.
    Day,
    /// It has come.
    Over,
}

/// How near the end of a certificate is at a time, both in seconds since 1970. Each stage after
/// [`Stage::Fine`] is worth a warning when it is first seen.
pub const fn expiry_stage(not_after: u64, now: u64) -> Stage {
    const DAY: u64 = 86_400;
    // The last second still counts (RFC 5280 §4.1.2.5).
    let Some(left) = not_after.checked_sub(now) else {
        return Stage::Over;
    };
    if left <= DAY {
        Stage::Day
    } else if left <= 7 * DAY {
        Stage::Week
    } else if left <= 30 * DAY {
        Stage::Month
    } else {
        Stage::Fine
    }
}

/// What is found while files are read.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    /// In seconds since 1970.
    now: u64,
    pub(super) certificates: Vec<CertificateFacts>,
    pub(super) warnings: Vec<String>,
}

impl Findings {
    /// Nothing yet; what is over is over at this time.
    pub(super) fn new(now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        Self {
            now: since.unwrap_or(Duration::ZERO).as_secs(),
            certificates: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A chain from a file, its own certificate first.
    pub(super) fn chain<'c>(
        &mut self,
        own: Role,
        file: Option<&Path>,
        chain: impl IntoIterator<Item = &'c [u8]>,
    ) -> Result<(), FileError> {
        let roles = std::iter::once(own).chain(std::iter::repeat(Role::Intermediate));
        for (octets, role) in chain.into_iter().zip(roles) {
            let read = self.certificate(role, file, octets)?;
            if role == Role::Server {
                self.server(file, &read);
            }
        }
        Ok(())
    }

    /// CAs from a file.
    pub(super) fn authorities<'c>(
        &mut self,
        role: Role,
        file: &Path,
        certificates: impl IntoIterator<Item = &'c [u8]>,
    ) -> Result<(), FileError> {
        for octets in certificates {
            self.certificate(role, Some(file), octets)?;
        }
        Ok(())
    }

    /// A revocation list from a file.
    pub(super) fn revocation_list(&mut self, file: &Path, octets: &[u8]) -> Result<(), FileError> {
        let read = RevocationList::read(octets).map_err(|error| {
            let cause = format!("expected a revocation list in PEM or DER: {error}");
            FileError::new(file, cause)
        })?;
        // Without a next update nobody can say that it is over; such a list is refused.
        let Some(not_after) = read.next_update else {
            let cause = "expected a revocation list with a next update, found one without";
            return Err(FileError::new(file, cause));
        };
        if not_after < self.now {
            self.warn(
                Some(file),
                "the revocation list is over: clients are refused",
            );
        }
        self.certificates.push(CertificateFacts {
            role: Role::Crl,
            file: Some(file.to_owned()),
            names: read.issuer.into_iter().collect(),
            not_after,
        });
        Ok(())
    }

    /// A file with a key.
    pub(super) fn key(&mut self, file: &Path, visible: Visible) {
        if visible == Visible::ToAll {
            self.warn(Some(file), "the key can be read by everybody");
        }
    }

    /// Something that looks wrong.
    pub(super) fn warn(&mut self, file: Option<&Path>, what: impl fmt::Display) {
        self.warnings.push(match file {
            Some(file) => format!("{}: {what}", file.display()),
            None => what.to_string(),
        });
    }

    fn certificate(
        &mut self,
        role: Role,
        file: Option<&Path>,
        octets: &[u8],
    ) -> Result<Certificate, FileError> {
        let read = Certificate::read(octets).map_err(|error| {
            let cause = format!("expected a certificate: {error}");
            FileError::new(file.unwrap_or_else(|| Path::new("-")), cause)
        })?;
        let mut names = read.names();
        if names.is_empty() {
            names = read.common_name.iter().cloned().collect();
        }
        let called = names.first().map_or("without a name", |name| name);
        let word = role.word();
        if read.not_after < self.now {
            self.warn(
                file,
                format_args!("the {word} certificate {called} is over"),
            );
        }
        if read.not_before > self.now {
            let what = format_args!("the {word} certificate {called} is not valid yet");
            self.warn(file, what);
        }
        self.certificates.push(CertificateFacts {
            role,
            file: file.map(Path::to_owned),
            names,
            not_after: read.not_after,
        });
        Ok(read)
    }

    /// What routers look for in the certificate of a server (RFC 8210 §9.2, RFC 9525).
    fn server(&mut self, file: Option<&Path>, read: &Certificate) {
        if read.dns_names.is_empty() {
            let what = "the certificate has no dNSName: routers find no name to check in it";
            self.warn(file, what);
        }
        if let Some(name) = read.dns_names.iter().find(|name| name.contains('*')) {
            let what =
                format_args!("the certificate is for any host of {name}: better one for each");
            self.warn(file, what);
        }
        if !read.for_servers {
            self.warn(
                file,
                "the certificate is not for servers: routers refuse it",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_comes_nearer_in_stages() {
        const DAY: u64 = 86_400;
        let end = 100 * DAY;
        for (now, stage) in [
            (0, Stage::Fine),
            (70 * DAY - 1, Stage::Fine),
            (70 * DAY, Stage::Month),
            (93 * DAY - 1, Stage::Month),
            (93 * DAY, Stage::Week),
            (99 * DAY - 1, Stage::Week),
            (99 * DAY, Stage::Day),
            (end, Stage::Day),
            (end + 1, Stage::Over),
            (u64::MAX, Stage::Over),
        ] {
            assert_eq!(expiry_stage(end, now), stage, "{now}");
        }
        assert!(Stage::Over > Stage::Day);
    }
}
