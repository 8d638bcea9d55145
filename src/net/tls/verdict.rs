//! Why a handshake came to nothing, in one place.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

use crate::net::refused::{Reason, Refused};

/// What breaks a TLS connection.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection below.
    Socket(io::Error),
    /// What the peer sent.
    Tls(Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Socket(error) => error,
            Broken::Tls(error) => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

impl From<Broken> for Refused {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Socket(error) => Self::new(Reason::Gone, error),
            Broken::Tls(error) => Self::new(reason(&error), detail(&error)),
        }
    }
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::NoCertificatesPresented => Reason::NoCertificate,
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidCertRevocationList(_) => Reason::Certificate,
        Error::PeerIncompatible(_) => Reason::Algorithms,
        Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => Reason::Algorithms,
        // It has refused us, and gone.
        Error::AlertReceived(_) => Reason::Gone,
        _ => Reason::Protocol,
    }
}

fn of_certificate(error: &CertificateError) -> Reason {
    match error {
        // A CA that was made anew under its old name looks like a bad signature; a peer whose own
        // signature is bad is rare beside that.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Reason::UnknownCa,
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Reason::CertificateTime,
        CertificateError::Revoked => Reason::Revoked,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Reason::CertificateUsage
        }
        _ => Reason::Certificate,
    }
}

fn detail(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => format!("the peer refuses with the alert {alert:?}"),
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "it is not signed by the CA of that name that is trusted here".to_owned()
        }
        Error::InvalidCertificate(CertificateError::UnknownRevocationStatus) => {
            "no revocation list covers it".to_owned()
        }
        Error::InvalidCertificate(CertificateError::ExpiredRevocationListContext { .. }) => {
            "the revocation list that covers it is over".to_owned()
        }
        error => error.to_string(),
    }
}
