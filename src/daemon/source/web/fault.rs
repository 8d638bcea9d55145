//! What the errors of the HTTP client mean.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::AlertDescription;

use super::Place;
use crate::daemon::source::error::{Phase, RefusedBy, SourceError};
use crate::net::Url;

/// Of a request that got no answer.
pub(super) fn of_request(place: &Place, error: reqwest::Error) -> SourceError {
    if error.is_connect() && error.is_timeout() {
        return timed_out(&place.url, Phase::Connect, place.connect_timeout);
    }
    let url = place.url.clone();
    let refused_by = refused_by(&error);
    let error = error.without_url().into();
    match refused_by {
        Some(by) => SourceError::Certificate { url, by, error },
        None => SourceError::Connect { url, error },
    }
}

/// Of an answer that has begun.
pub(super) fn of_transfer(place: &Place, error: reqwest::Error) -> SourceError {
    SourceError::Transfer {
        url: place.url.clone(),
        error: error.without_url().into(),
    }
}

pub(super) fn timed_out(url: &Url, phase: Phase, limit: Duration) -> SourceError {
    SourceError::Timeout {
        url: url.clone(),
        phase,
        limit,
    }
}

/// Whether a certificate was not accepted, somewhere down the causes.
fn refused_by(error: &(dyn Error + 'static)) -> Option<RefusedBy> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return by_whom(error);
        }
        next = match error.downcast_ref::<io::Error>() {
            // Its own cause would be that of the error in it.
            Some(error) => error.get_ref().map(|inner| {
                let inner: &(dyn Error + 'static) = inner;
                inner
            }),
            None => error.source(),
        };
    }
    None
}

fn by_whom(error: &rustls::Error) -> Option<RefusedBy> {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Some(RefusedBy::Us)
        }
        rustls::Error::AlertReceived(
            AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => Some(RefusedBy::Server),
        _ => None,
    }
}
