//! Who may look, and who may change something.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use ring::hmac;

use crate::net::AccessList;
use crate::net::files;
use crate::net::tls::TlsAcceptor;

/// Who may connect over TCP and how, and what lets them change something.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    /// Who may connect.
    pub list: AccessList,
    /// The file with the bearer token, read at each use. Without one, only the control socket
    /// changes something.
    pub token: Option<PathBuf>,
    /// The handshake of TLS; without one HTTP is spoken in the clear. The control socket has none.
    pub tls: Option<TlsAcceptor>,
}

impl Access {
    /// Whether a request with this `Authorization` header may change something. Reads a file.
    pub(super) fn authorize(&self, header: Option<&[u8]>) -> Result<(), Denied> {
        let path = self.token.as_deref().ok_or(Denied::NoToken)?;
        let presented = header.and_then(bearer).ok_or(Denied::Missing)?;
        let token = files::read_secret(path);
        let token = token.map_err(|error| Denied::Unreadable(error.to_string()))?;
        // Compares digests in constant time, which hides the length as well. The digest only has
        // to be of both under one key; what the key is does not matter.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"rutter bearer token");
        let expected = hmac::sign(&key, &token);
        hmac::verify(&key, presented, expected.as_ref()).map_err(|_| Denied::Wrong)
    }
}

/// Why a request may not change anything.
#[derive(Debug)]
pub(super) enum Denied {
    /// No token is configured.
    NoToken,
    /// The request has none.
    Missing,
    /// The request has another one.
    Wrong,
    /// The file with the token cannot be used, for this reason.
    Unreadable(String),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => {
                "only the control socket may do this: no http token file is configured"
            }
            Self::Missing => "needs the header `Authorization: Bearer TOKEN`",
            Self::Wrong => "the bearer token is not the right one",
            Self::Unreadable(_) => "the server cannot read its token file, its log says why",
        })
    }
}

/// The token of `Bearer TOKEN` (RFC 6750 §2.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// Where a request comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Asker {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over the control socket, whose file permission is the authority.
    Control {
        /// The user, when the system says.
        uid: Option<u32>,
    },
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Control { uid: Some(uid) } => write!(f, "uid {uid}"),
            Self::Control { uid: None } => f.write_str("control socket"),
        }
    }
}
