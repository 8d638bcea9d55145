//! The server's end of the handshake.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, RootCertStore, ServerConfig, ServerConnection};
use tokio::net::TcpStream;

use super::facts::{CertificateFacts, Findings, Role};
use super::stream::TlsStream;
use super::x509;
use super::{Certificate, ClientAuth, ClientCheck, ServerOptions, VERSIONS, pem};
use crate::net::files::FileError;
use crate::net::peer::{Identity, Peer};
use crate::net::refused::{Reason, Refused};
use crate::net::stream::Stream;

/// The handshake of a listener. Cheap to clone; the files are read once, when it is made.
#[derive(Clone)]
pub struct TlsAcceptor(Arc<Terms>);

struct Terms {
    config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
    /// Whether the address of a client has to be in its certificate.
    match_address: bool,
    findings: Findings,
}

impl TlsAcceptor {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used, with what was expected of it.
    pub fn load(options: &ServerOptions) -> Result<Self, FileError> {
        let provider = Arc::new(ring::default_provider());
        let mut findings = Findings::new(SystemTime::now());
        let shown = shown(&options.certificate, &provider, &mut findings)?;
        let check = match &options.clients {
            ClientAuth::None => None,
            ClientAuth::Optional(check) | ClientAuth::Required(check) => Some(check),
        };
        let verifier = match check {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(check) => {
                let need = match &options.clients {
                    ClientAuth::Required(_) => Need::Required,
                    _ => Need::Optional,
                };
                verifier(check, need, &provider, &mut findings)?
            }
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .map_err(|error| unusable(&options.certificate, &error))?;
        let mut config = builder
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        // A session that is resumed would be one whose certificate is not looked at again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Self(Arc::new(Terms {
            config: Arc::new(config),
            verifier,
            match_address: check.is_some_and(|check| check.match_address),
            findings,
        })))
    }

    /// The same terms for a protocol above that has a name (RFC 7301), such as `http/1.1`: a client
    /// that names others, and not this one, is refused.
    #[must_use]
    pub fn speaking(&self, protocol: &str) -> Self {
        let terms = &*self.0;
        let mut config = (*terms.config).clone();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Self(Arc::new(Terms {
            config: Arc::new(config),
            verifier: Arc::clone(&terms.verifier),
            match_address: terms.match_address,
            findings: terms.findings.clone(),
        }))
    }

    /// Shakes hands with a client, and says who it has proven to be. It takes as long as the
    /// client likes: the caller sets the deadline.
    ///
    /// # Errors
    ///
    /// When the client is refused, or goes away.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped has closed the connection.
    pub async fn accept(
        &self,
        socket: TcpStream,
        peer: Peer,
    ) -> Result<(Stream, Identity), Refused> {
        let (stream, identity) = self.accept_tls(socket, peer).await?;
        Ok((Stream::Tls(stream), identity))
    }

    /// The same for whoever reads and writes as tokio does.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// As [`accept`](Self::accept).
    pub async fn accept_tls(
        &self,
        socket: TcpStream,
        peer: Peer,
    ) -> Result<(Box<TlsStream>, Identity), Refused> {
        let terms = &*self.0;
        let tls = ServerConnection::new(Arc::clone(&terms.config))
            .map_err(|error| Refused::new(Reason::Protocol, error))?;
        let stream = TlsStream::open(socket, tls).await?;
        match terms.identity(&stream, peer.address().ip()) {
            Ok(identity) => Ok((stream, identity)),
            Err(refused) => {
                stream.finish().await;
                Err(refused)
            }
        }
    }

    /// Whether the client of a stream that another acceptor has made would be let in by this one.
    pub(crate) fn still_admits(&self, stream: &TlsStream, address: IpAddr) -> bool {
        let Terms { verifier, .. } = &*self.0;
        let Some((own, others)) = stream.chain().split_first() else {
            return !(verifier.offer_client_auth() && verifier.client_auth_mandatory());
        };
        if !verifier.offer_client_auth() {
            return true;
        }
        let verified = verifier.verify_client_cert(own, others, UnixTime::now());
        let good = match verified {
            Ok(_) => true,
            // A list that came too late says nothing against those who are there already.
            Err(error) => is_of_late_list(&error),
        };
        good && self.0.identity(stream, address).is_ok()
    }

    /// The certificates and revocation lists in use.
    pub fn certificates(&self) -> &[CertificateFacts] {
        &self.0.findings.certificates
    }

    /// What looks wrong with the files, a line each.
    pub fn warnings(&self) -> &[String] {
        &self.0.findings.warnings
    }
}

/// Terms are the same when they come from one reading of the files.
impl PartialEq for TlsAcceptor {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TlsAcceptor {}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificates = self.certificates();
        f.debug_tuple("TlsAcceptor").field(&certificates).finish()
    }
}

impl Terms {
    /// Who a client has proven to be. Its certificate, if it has shown one, is good.
    fn identity(&self, stream: &TlsStream, address: IpAddr) -> Result<Identity, Refused> {
        let Some(own) = stream.peer_certificates().next() else {
            return Ok(Identity::Unproven);
        };
        let read = x509::Certificate::read(own)
            .map_err(|error| Refused::new(Reason::Certificate, error))?;
        // RFC 8210 §9.2: each of its addresses is compared.
        if self.match_address && !read.addresses.contains(&address) {
            let detail = match &*read.names() {
                [] => "it names no address".to_owned(),
                names => format!("it is for {}, and not for {address}", names.join(", ")),
            };
            return Err(Refused::new(Reason::CertificateAddress, detail));
        }
        Ok(Identity::Certificate(read.dns_names.into()))
    }
}

const fn is_of_late_list(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(
            CertificateError::ExpiredRevocationList
                | CertificateError::ExpiredRevocationListContext { .. }
        )
    )
}

/// Whether a client has to show a certificate.
#[derive(Clone, Copy)]
enum Need {
    Optional,
    Required,
}

fn shown(
    certificate: &Certificate,
    provider: &CryptoProvider,
    findings: &mut Findings,
) -> Result<Arc<CertifiedKey>, FileError> {
    let (shown, file) = match certificate {
        Certificate::Files { chain, key } => {
            let (shown, visible) = pem::certified_key(chain, key, provider)?;
            findings.key(key, visible);
            (shown, Some(&**chain))
        }
        Certificate::Minted => (
            minted(provider).map_err(|error| unusable(certificate, &error))?,
            None,
        ),
    };
    let chain = shown.cert.iter().map(AsRef::as_ref);
    findings.chain(Role::Server, file, chain)?;
    Ok(shown)
}

fn verifier(
    check: &ClientCheck,
    need: Need,
    provider: &Arc<CryptoProvider>,
    findings: &mut Findings,
) -> Result<Arc<dyn ClientCertVerifier>, FileError> {
    let mut roots = RootCertStore::empty();
    for path in &check.ca {
        let certificates = pem::trusted(path, &mut roots)?;
        let certificates = certificates.iter().map(AsRef::as_ref);
        findings.authorities(Role::ClientCa, path, certificates)?;
    }
    let roots = Arc::new(roots);
    let builder = || {
        let (roots, provider) = (Arc::clone(&roots), Arc::clone(provider));
        WebPkiClientVerifier::builder_with_provider(roots, provider)
    };
    let mut lists = Vec::new();
    for path in &check.crl {
        for list in pem::revocation_lists(path)? {
            findings.revocation_list(path, &list)?;
            // Alone, so that a list that cannot be used is named.
            let tried = builder().with_crls([list.clone()]).build();
            tried.map_err(|error| FileError::new(path, error))?;
            lists.push(list);
        }
    }
    let mut builder = builder().with_crls(lists).enforce_revocation_expiration();
    if matches!(need, Need::Optional) {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| {
        let first = check.ca.first().map(PathBuf::as_path);
        FileError::new(first.unwrap_or_else(|| Path::new("client CA")), error)
    })
}

/// The certificate of this process, the same for all listeners and after each reload.
fn minted(provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Box<dyn std::error::Error>> {
    static MINTED: OnceLock<Arc<CertifiedKey>> = OnceLock::new();
    if let Some(minted) = MINTED.get() {
        return Ok(Arc::clone(minted));
    }
    let minted = mint(provider)?;
    Ok(Arc::clone(MINTED.get_or_init(|| minted)))
}

/// A certificate for this host, signed by itself. ECDSA over P-256 is what every client knows.
fn mint(provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Box<dyn std::error::Error>> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = provider.key_provider.load_private_key(key)?;
    Ok(Arc::new(CertifiedKey::new(
        vec![certificate.der().clone()],
        key,
    )))
}

fn unusable(certificate: &Certificate, error: &dyn fmt::Display) -> FileError {
    let path = match certificate {
        Certificate::Files { chain, .. } => chain,
        Certificate::Minted => Path::new("minted certificate"),
    };
    FileError::new(path, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_certificate_is_the_same_after_a_reload() {
        let provider = ring::default_provider();
        let (first, second) = (minted(&provider).unwrap(), minted(&provider).unwrap());
        assert_eq!(first.cert, second.cert);
    }
}
