//! Reading certificates, keys and revocation lists from files.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use zeroize::Zeroize;

use crate::net::files::{self, FileError};

/// All certificates of a PEM file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let octets = files::read(path, files::MAX_FILE)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(FileError::new(
            path,
            "expected a PEM certificate, found none",
        )),
        Err(_) => Err(FileError::new(
            path,
            "expected PEM certificates, found damaged PEM",
        )),
    }
}

/// The certificates of a PEM file, each as one that is trusted.
pub(super) fn trusted(
    path: &Path,
    roots: &mut RootCertStore,
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let found = certificates(path)?;
    for (place, certificate) in found.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|error| {
            let cause = format!("certificate {} cannot be trusted: {error}", place + 1);
            FileError::new(path, cause)
        })?;
    }
    Ok(found)
}

/// The revocation lists of a file: all of a PEM file, at least one, or the one of a DER file.
pub(super) fn revocation_lists(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, FileError> {
    let octets = files::read(path, files::MAX_FILE)?;
    if memchr::memmem::find(&octets, b"-----BEGIN").is_none() {
        return Ok(vec![octets.to_vec().into()]);
    }
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&octets).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(FileError::new(
            path,
            "expected a revocation list in PEM or DER, found none",
        )),
    }
}

/// A chain with its key, which have to fit each other.
pub(super) fn certified_key(
    chain: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<(Arc<CertifiedKey>, Visible), FileError> {
    let certificates = certificates(chain)?;
    let (mut octets, visible) = private_key(key)?;
    let loaded = provider.key_provider.load_private_key(octets.clone_key());
    octets.zeroize();
    let loaded = loaded.map_err(|error| {
        let cause = format!("expected an RSA, ECDSA or Ed25519 key that can sign: {error}");
        FileError::new(key, cause)
    })?;
    let certified = CertifiedKey::new(certificates, loaded);
    match certified.keys_match() {
        // A key that does not tell its public half is found out in the first handshake.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok((Arc::new(certified), visible))
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            let cause = format!(
                "expected the key of the first certificate in {}, found another one",
                chain.display()
            );
            Err(FileError::new(key, cause))
        }
        Err(error) => {
            let cause = format!("the first certificate cannot be used: {error}");
            Err(FileError::new(chain, cause))
        }
    }
}

/// Who can read the file of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Visible {
    /// Its owner, and perhaps its group.
    ToFew,
    /// Everybody.
    ToAll,
}

fn private_key(path: &Path) -> Result<(PrivateKeyDer<'static>, Visible), FileError> {
    let octets = files::read(path, files::MAX_FILE)?;
    // PKCS#8 says it in the first line, PKCS#1 and SEC1 in the header below.
    if memchr::memmem::find(&octets, b"ENCRYPTED").is_some() {
        let cause = "expected a key without a passphrase, found an encrypted one";
        return Err(FileError::new(path, cause));
    }
    let visible = match octets.is_public() {
        true => Visible::ToAll,
        false => Visible::ToFew,
    };
    let key = PrivateKeyDer::from_pem_slice(&octets).map_err(|_| {
        let cause = "expected a private key in PEM (PKCS#8, SEC1 or PKCS#1), found none";
        FileError::new(path, cause)
    })?;
    Ok((key, visible))
}
