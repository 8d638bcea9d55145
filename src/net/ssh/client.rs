//! The client end: whose key a server has to show, and how a session begins.

use std::borrow::Cow;
use std::env;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult, Handle, Msg};
use russh::keys::PrivateKeyWithHashAlg;
use russh::{Channel, ChannelMsg, Error, Limits, MethodSet, Preferred, SshId};
use russh::{cipher, compression, kex, mac};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::ClientOptions;
use super::client_error::ClientError;
use super::connection::SshConnection;
use super::cut;
use super::greeter::{Ending, Greeter};
use super::key::{self, Strength};
use super::known_hosts::KnownHosts;
use super::warnings::Warnings;
use crate::net::files::{self, Content, FileError};
use crate::net::host::HostPort;

/// What a client needs to begin sessions. Cheap to clone.
#[derive(Clone)]
pub struct SshConnector {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` when any host will do.
    known: Option<Arc<KnownHosts>>,
    key: Option<Arc<PrivateKey>>,
    password: Option<Zeroizing<String>>,
    warnings: Box<[String]>,
}

impl SshConnector {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or there is neither a key nor a password.
    pub fn load(options: &ClientOptions) -> Result<Self, FileError> {
        let mut warnings = Warnings::default();
        let key = options.key.as_deref();
        let key = key.map(|path| read_key(path, &mut warnings)).transpose()?;
        let password = options.password_file.as_deref();
        let password = password.map(|path| read_password(path, &mut warnings));
        let password = password.transpose()?;
        if key.is_none() && password.is_none() {
            let cause = "logging in takes a key or a password, and there is neither: give key or \
                         password-file in a configuration, --ssh-key or --password-file elsewhere";
            return Err(FileError::new(Path::new("ssh://"), cause));
        }
        let known = match (options.insecure, options.known_hosts.as_slice()) {
            (true, _) => {
                warnings.push("any host is taken for the right one over ssh");
                None
            }
            (false, []) => {
                let home = env::home_dir().filter(|home| !home.as_os_str().is_empty());
                let home = home.ok_or_else(|| {
                    let cause = "there is no home folder; set known-hosts";
                    FileError::new(Path::new("~/.ssh/known_hosts"), cause)
                })?;
                Some(KnownHosts::of_user(&home, &mut warnings)?)
            }
            (false, files) => Some(KnownHosts::load(files, &mut warnings)?),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                known: known.map(Arc::new),
                key: key.map(Arc::new),
                password,
                warnings: warnings.into_lines(),
            }),
        })
    }

    /// What is worth saying about the files: a few lines, lower case, with the name of the file
    /// and perhaps the number of the line.
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }

    /// Begins a session of the subsystem `rpki-rtr` on a socket that is connected to `at`, as a
    /// user. It takes as long as the server likes: the caller sets the deadline.
    ///
    /// # Errors
    ///
    /// When the server is not the right one, does not let the user in, or goes away.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped has closed the connection.
    pub async fn connect(
        &self,
        socket: TcpStream,
        at: &HostPort,
        user: &str,
    ) -> Result<SshConnection, ClientError> {
        let ending = Ending::default();
        let greeter = Greeter::new(at.clone(), self.inner.known.clone(), ending.clone());
        let kinds = match &self.inner.known {
            Some(known) => known.algorithms(at),
            None => Vec::new(),
        };
        let (cut, socket) = cut::cuttable(socket);
        let config = Arc::new(config(&kinds));
        // Boxed: russh's first steps hold its whole session in their future.
        let mut session = Box::pin(client::connect_stream(config, socket, greeter)).await?;
        let begin = async {
            self.log_in(&mut session, user).await?;
            open(&session, user).await
        };
        // What the connection broke of says more than that it is gone.
        let channel = Box::pin(begin).await;
        let channel = channel.map_err(|error| ending.take().unwrap_or(error))?;
        Ok(SshConnection::new(cut, session, channel, ending))
    }

    /// RFC 4252: with the key first, for nobody learns a secret from it.
    async fn log_in(&self, session: &mut Handle<Greeter>, user: &str) -> Result<(), ClientError> {
        let mut tried = Vec::new();
        let mut takes = MethodSet::empty();
        let mut weak = false;
        if let Some(key) = &self.inner.key {
            match signature(session, key).await? {
                None => weak = true,
                Some(hash) => {
                    tried.push("publickey");
                    let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
                    match session.authenticate_publickey(user, key).await? {
                        AuthResult::Success => return Ok(()),
                        AuthResult::Failure {
                            remaining_methods, ..
                        } => takes = remaining_methods,
                    }
                }
            }
        }
        if let Some(password) = self
            .inner
            .password
            .as_ref()
            .filter(|_| !session.is_closed())
        {
            tried.push("password");
            match session
                .authenticate_password(user, password.as_str())
                .await?
            {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure {
                    remaining_methods, ..
                } => takes = remaining_methods,
            }
        }
        if weak && tried.is_empty() {
            return Err(ClientError::WeakSignatures);
        }
        Err(ClientError::Denied {
            user: user.into(),
            tried,
            takes: takes.iter().map(Into::into).collect(),
        })
    }
}

impl fmt::Debug for SshConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshConnector")
            .field("has_key", &self.inner.key.is_some())
            .field("has_password", &self.inner.password.is_some())
            .field("insecure", &self.inner.known.is_none())
            .finish_non_exhaustive()
    }
}

/// The hash to sign with, which only RSA has a choice of; `None` when the server takes RSA with
/// SHA-1 only. A server that does not say what it takes is offered SHA-512 (RFC 8332 §3.3).
async fn signature(
    session: &Handle<Greeter>,
    key: &PrivateKey,
) -> Result<Option<Option<HashAlg>>, Error> {
    if !key.algorithm().is_rsa() {
        return Ok(Some(None));
    }
    Ok(match session.best_supported_rsa_hash().await? {
        Some(None) => None,
        Some(hash) => Some(hash),
        None => Some(Some(HashAlg::Sha512)),
    })
}

/// RFC 8210 §9.1: a channel with the subsystem.
async fn open(session: &Handle<Greeter>, user: &str) -> Result<Channel<Msg>, ClientError> {
    let none = || ClientError::NoSubsystem { user: user.into() };
    let mut channel = match session.channel_open_session().await {
        Err(Error::ChannelOpenFailure(_)) => return Err(none()),
        opened => opened?,
    };
    channel.request_subsystem(true, "rpki-rtr").await?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return Ok(channel),
            Some(ChannelMsg::WindowAdjusted { .. }) => {}
            Some(_) => return Err(none()),
            None => return Err(ClientError::Gone),
        }
    }
}

fn read_key(path: &Path, warnings: &mut Warnings) -> Result<PrivateKey, FileError> {
    let content = files::read(path, MAX_KEY_FILE)?;
    let fault = |cause: &str| FileError::new(path, cause);
    let text = str::from_utf8(&content).map_err(|_| fault(NO_KEY))?;
    let key = russh::keys::decode_secret_key(text, None).map_err(|error| match error {
        russh::keys::Error::KeyIsEncrypted => fault(PASSPHRASE),
        _ if text.contains("ENCRYPTED") => fault(PASSPHRASE),
        _ => fault(NO_KEY),
    })?;
    if key.is_encrypted() {
        return Err(fault(PASSPHRASE));
    }
    if key::strength(key.public_key().key_data()) != Strength::Strong {
        return Err(fault(
            "the key is none of ed25519, ecdsa, and rsa of 2048 to 8192 bits",
        ));
    }
    warn_if_public(path, &content, warnings);
    Ok(key)
}

fn read_password(path: &Path, warnings: &mut Warnings) -> Result<Zeroizing<String>, FileError> {
    let password = files::read_secret(path)?;
    let text =
        str::from_utf8(&password).map_err(|_| FileError::new(path, "the password is not UTF-8"))?;
    warn_if_public(path, &password, warnings);
    Ok(Zeroizing::new(text.to_owned()))
}

fn warn_if_public(path: &Path, content: &Content, warnings: &mut Warnings) {
    if content.is_public() {
        warnings.file(path, "everybody can read it, and it is secret");
    }
}

/// What is negotiated: all that is not known to be weak, as the server is the one that is old.
/// Groups of more than 4096 bits, and those of the server's choice, are too costly to compute.
fn config(kinds: &[Algorithm]) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed("SSH-2.0-rutter")),
        // By time no keys are changed: OpenSSH does not do so either, and sessions live for weeks.
        limits: Limits::new(1 << 30, 1 << 30, Duration::from_secs(u32::MAX.into())),
        window_size: WINDOW,
        channel_buffer_size: UNREAD_PACKETS,
        preferred: Preferred {
            kex: Cow::Borrowed(KEY_EXCHANGES),
            key: host_keys(kinds).into(),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::default()
        },
        keepalive_interval: Some(Duration::from_secs(60)),
        keepalive_max: 3,
        ..client::Config::default()
    }
}

/// The kinds of host keys, first those that the host is known to have: it may have others.
fn host_keys(kinds: &[Algorithm]) -> Vec<Algorithm> {
    let family = |algorithm: &Algorithm| match algorithm {
        Algorithm::Rsa { .. } => Algorithm::Rsa { hash: None },
        other => other.clone(),
    };
    let all = [
        Algorithm::Ed25519,
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP384,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP521,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha512),
        },
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha256),
        },
    ];
    let (mut known, unknown): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|algorithm| kinds.contains(&family(algorithm)));
    known.extend(unknown);
    known
}

const KEY_EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::ECDH_SHA2_NISTP256,
    kex::DH_G16_SHA512,
    kex::DH_G15_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

const MACS: &[mac::Name] = &[
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512,
    mac::HMAC_SHA256,
];

/// What the server may send before we have read it, in octets.
const WINDOW: u32 = 1 << 20;

/// The packets that wait to be read. With more of them no octet is taken from the socket; as none
/// has more than 32 KiB, they are 2 MiB at most.
const UNREAD_PACKETS: usize = 64;

/// The most octets of a file with a private key.
const MAX_KEY_FILE: u64 = 64 << 10;

const NO_KEY: &str = "there is no private key in it in the form of OpenSSH or PKCS#8";

const PASSPHRASE: &str = "the key has a passphrase, and there is nobody to ask for it; \
                          ssh-keygen -p -N '' takes it away";

#[cfg(test)]
mod tests;
