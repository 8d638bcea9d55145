//! SSH (RFC 8210 §9.1) with russh and ring: the subsystem `rpki-rtr` and nothing else.
//!
//! Read in this order: `server` (from a socket to a stream), `handler` (what a client may do),
//! `link` (the socket that russh and we share) with `clear`, `queue` and `first_keys`, `stream`; then `algorithms`,
//! `host_keys` and `authority`.

mod algorithms;
mod authority;
mod authorized_keys;
mod clear;
mod client;
mod client_error;
mod connection;
mod cut;
mod first_keys;
mod greeter;
mod handler;
mod host_keys;
mod key;
mod known_hosts;
mod link;
pub mod password;
mod pattern;
mod penalty;
mod queue;
mod server;
mod stream;
#[cfg(test)]
mod tests;
mod users;
mod warnings;

use std::path::PathBuf;

use super::secret::Secret;

pub use self::algorithms::UnknownAlgorithm;
pub use self::authority::Authority;
pub use self::client::SshConnector;
pub use self::client_error::{ClientError, ShownKey};
pub use self::connection::SshConnection;
pub use self::host_keys::Fingerprint;
pub use self::server::SshAcceptor;
pub use self::stream::SshStream;
pub use self::users::check_name;

/// How a listener speaks SSH. Files are read when the acceptor is made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerOptions {
    /// The keys of the host.
    pub host_keys: HostKeys,
    /// Who may log in with a key; `None` when that method is not offered.
    pub keys: Option<Keys>,
    /// Who may log in with a password; `None` when that method is not offered.
    pub passwords: Option<Passwords>,
    /// What is negotiated.
    pub algorithms: Algorithms,
    /// Failed attempts to log in that end a connection.
    pub auth_attempts: usize,
}

/// The keys of an SSH host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HostKeys {
    /// Private keys in OpenSSH or PKCS#8 PEM files, at most one of each algorithm. One whose name
    /// says that it is an ed25519 key (`…ed25519…`) is made when there is none.
    Files(Vec<PathBuf>),
    /// Made at the start and gone with the process, for demonstrations.
    Minted,
}

/// Who may log in with a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Keys {
    /// Files in the format of OpenSSH's `authorized_keys`. One whose file name holds `%u` stands
    /// for all files of its folder that match, each for the user in that place; the others are for
    /// every user.
    Authorized(Vec<PathBuf>),
    /// Anybody with any key, under any name, as StayRTR's bypass does it. Dangerous.
    Any,
}

/// Who may log in with a password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Passwords {
    /// A file of lines `name:$argon2id$…`.
    Users(PathBuf),
    /// One user, whose password is the first line of a file.
    Single {
        /// The name.
        user: Box<str>,
        /// The file.
        file: PathBuf,
    },
    /// One user, whose password was made at the start and is gone with the process, for
    /// demonstrations.
    Minted {
        /// The name.
        user: Box<str>,
        /// The password.
        password: Secret,
    },
}

/// What is offered in the negotiation, the preferred first, by the names of the IANA registry.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Algorithms {
    /// Where what is not listed comes from.
    pub preset: Preset,
    /// Key exchanges, when listed.
    pub key_exchanges: Option<Vec<Box<str>>>,
    /// Ciphers, when listed.
    pub ciphers: Option<Vec<Box<str>>>,
    /// Message authentication codes, when listed.
    pub macs: Option<Vec<Box<str>>>,
}

/// A choice of algorithms.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Preset {
    /// What every router client that is packaged today gets through with: no key exchange and no
    /// code with SHA-256, which FRR on Debian computes wrongly.
    #[default]
    Default,
    /// With what is newest: ML-KEM and Curve25519.
    Modern,
    /// With what old routers need: SHA-1, CBC and a small group. Weak.
    Legacy,
}

/// How a client speaks SSH.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientOptions {
    /// Files in the format of OpenSSH's `known_hosts`; none means that of the user.
    pub known_hosts: Vec<PathBuf>,
    /// The private key, without a passphrase.
    pub key: Option<PathBuf>,
    /// The file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Whether any host key is taken. Loud, and for laboratories only.
    pub insecure: bool,
}
