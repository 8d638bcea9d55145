//! TLS (RFC 8210 §9.2) with rustls and ring: versions 1.2 and 1.3, without early data and without
//! resumption, so that every connection is checked anew.
//!
//! The options are here. [`server`] and [`client`] make of them what shakes hands; `stream` is what
//! comes of that, and `io` is how hyper sees it. `pem` reads their files, [`facts`] is what there is to say of these, with `x509`
//! to look into them, and `verdict` is why a handshake comes to nothing.

pub mod client;
pub mod facts;
mod io;
mod pem;
pub mod server;
pub mod stream;
mod verdict;
mod x509;

use std::path::PathBuf;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

pub use self::client::TlsConnector;
pub use self::facts::{CertificateFacts, Role, Stage, expiry_stage};
pub use self::server::TlsAcceptor;
pub use self::stream::TlsStream;

/// The versions spoken (BCP 195).
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// How a listener speaks TLS. Files are read when the acceptor is made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerOptions {
    /// What the server shows.
    pub certificate: Certificate,
    /// What it asks of its clients.
    pub clients: ClientAuth,
}

/// The certificate of a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Certificate {
    /// PEM files: the chain, its own certificate first, and the key (PKCS#8, SEC1 or PKCS#1).
    Files {
        /// The chain.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// Made at the start and gone with the process, for demonstrations: self-signed, for
    /// `localhost` and the loopback addresses.
    Minted,
}

/// What a server asks of its clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientAuth {
    /// Nothing.
    None,
    /// A certificate that is checked if it is shown.
    Optional(ClientCheck),
    /// A certificate.
    Required(ClientCheck),
}

/// How the certificate of a client is checked, beyond its signatures, time and usage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCheck {
    /// PEM files of the CAs that are trusted for this; at least one.
    pub ca: Vec<PathBuf>,
    /// Files of revoked certificates, PEM or DER; may be empty. With some, every certificate of a
    /// chain has to be covered by one that is not over.
    pub crl: Vec<PathBuf>,
    /// Whether one of the iPAddress names has to be the address of the peer (RFC 8210 §9.2).
    pub match_address: bool,
}

/// How a client speaks TLS.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientOptions {
    /// PEM files of the CAs that are trusted; none means those of the system.
    pub ca: Vec<PathBuf>,
    /// What the client shows: chain and key, PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name that the certificate of the server has to be for, where it is not the one that is
    /// connected to.
    pub server_name: Option<Box<str>>,
    /// Whether anybody is taken for the server. Loud, and for laboratories only.
    pub insecure: bool,
}

#[cfg(test)]
mod tests;
