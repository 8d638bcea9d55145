//! The client's end of the handshake.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;

use super::facts::{CertificateFacts, Findings, Role};
use super::stream::TlsStream;
use super::{ClientOptions, VERSIONS, pem};
use crate::net::files::FileError;
use crate::net::host::Host;
use crate::net::refused::{Reason, Refused};
use crate::net::stream::Stream;

/// The handshake with servers. Cheap to clone; the files are read once, when it is made.
#[derive(Clone)]
pub struct TlsConnector(Arc<Terms>);

struct Terms {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    findings: Findings,
}

impl TlsConnector {
    /// Reads the files, or the certificates of the system. Blocks.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used, with what was expected of it.
    pub fn load(options: &ClientOptions) -> Result<Self, FileError> {
        let provider = Arc::new(ring::default_provider());
        let mut findings = Findings::new(SystemTime::now());
        let verifier = verifier(options, &provider, &mut findings)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(VERSIONS)
            .map_err(|error| FileError::new(Path::new("TLS"), error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &options.certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let (shown, visible) = pem::certified_key(chain, key, &provider)?;
                findings.key(key, visible);
                let certificates = shown.cert.iter().map(AsRef::as_ref);
                findings.chain(Role::Client, Some(chain), certificates)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
            }
        };
        config.resumption = Resumption::disabled();
        let server_name = options.server_name.as_deref().map(named).transpose();
        Ok(Self(Arc::new(Terms {
            config: Arc::new(config),
            server_name: server_name
                .map_err(|cause| FileError::new(Path::new("server name"), cause))?,
            findings,
        })))
    }

    /// Shakes hands with a server, whose certificate has to be for the configured name or else for
    /// this host (RFC 8210 §9.2). It takes as long as the server likes: the caller sets the
    /// deadline.
    ///
    /// A server of TLS 1.3 looks at the certificate of a client when the handshake is over here:
    /// that it is refused is what the first octets are waited for in vain.
    ///
    /// # Errors
    ///
    /// When the server or its certificate is refused, refuses us, or goes away.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped has closed the connection.
    pub async fn connect(&self, socket: TcpStream, host: &Host) -> Result<Stream, Refused> {
        let terms = &*self.0;
        let refused = |cause: String| Refused::new(Reason::Certificate, cause);
        let name = match (&terms.server_name, host) {
            (Some(name), _) => name.clone(),
            (None, Host::Ip(address)) => ServerName::from(*address),
            (None, Host::Name(name)) => named(name).map_err(refused)?,
        };
        let tls = ClientConnection::new(Arc::clone(&terms.config), name)
            .map_err(|error| Refused::new(Reason::Protocol, error))?;
        let stream = TlsStream::open(socket, tls).await?;
        Ok(Stream::Tls(stream))
    }

    /// The certificates in use, without those of the system.
    pub fn certificates(&self) -> &[CertificateFacts] {
        &self.0.findings.certificates
    }

    /// What looks wrong with the options and their files, a line each.
    pub fn warnings(&self) -> &[String] {
        &self.0.findings.warnings
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificates = self.certificates();
        f.debug_tuple("TlsConnector").field(&certificates).finish()
    }
}

/// A name or an address as certificates have it; the dot at the end of a name is none of it.
fn named(text: &str) -> Result<ServerName<'static>, String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    ServerName::try_from(bare.unwrap_or(text).to_owned())
        .map_err(|_| format!("expected a DNS name or an address, found {text:?}"))
}

fn verifier(
    options: &ClientOptions,
    provider: &Arc<CryptoProvider>,
    findings: &mut Findings,
) -> Result<Arc<dyn ServerCertVerifier>, FileError> {
    let mut roots = RootCertStore::empty();
    for path in &options.ca {
        let certificates = pem::trusted(path, &mut roots)?;
        let certificates = certificates.iter().map(AsRef::as_ref);
        findings.authorities(Role::ServerCa, path, certificates)?;
    }
    if options.insecure {
        findings.warn(
            None,
            "the certificate of the server is not checked: anybody may be it",
        );
        return Ok(Arc::new(Anybody(Arc::clone(provider))));
    }
    let provider = Arc::clone(provider);
    match options.ca.first() {
        None => match Verifier::new(provider) {
            Ok(verifier) => Ok(Arc::new(verifier)),
            Err(error) => Err(FileError::new(
                Path::new("certificates of the system"),
                error,
            )),
        },
        Some(first) => {
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
            match builder.build() {
                Ok(verifier) => Ok(verifier),
                Err(error) => Err(FileError::new(first, error)),
            }
        }
    }
}

/// Takes any certificate; that the server has the key of it is still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
