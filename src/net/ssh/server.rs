//! From a socket to a session of the subsystem, or to a reason why not.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{Config, run_stream};
use russh::{AlgorithmKind, Error, Limits, MethodKind, MethodSet, SshId};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::super::files::FileError;
use super::super::peer::{Identity, Peer};
use super::super::refused::{Reason, Refused};
use super::super::stream::Stream;
use super::authority::Authority;
use super::handler::{Granted, Handler, Login, MAX_INPUT};
use super::host_keys::{self, Fingerprint};
use super::link::{Link, Wire};
use super::{Preset, ServerOptions, SshStream, UnknownAlgorithm};

/// The handshake of a listener that speaks SSH. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SshAcceptor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Arc<Config>,
    authority: Authority,
    fingerprints: Box<[Fingerprint]>,
    warnings: Box<[String]>,
}

/// What we call ourselves. A version would help nobody but those who look for old ones.
const SERVER_ID: &str = "SSH-2.0-rutter";

/// Octets in one direction after which keys are exchanged anew (RFC 4253 §9). Never by time, as
/// with OpenSSH: old clients end idle sessions over it.
const REKEY_OCTETS: usize = 1 << 30;

/// How long a failed attempt takes at least, whatever it failed of, so that the time does not say
/// who is known. The first `none` is no attempt, and is answered at once.
const FAILURE_TIME: Duration = Duration::from_millis(300);

/// Silence after which a peer is asked whether it is there. The kernel asks too, but a proxy in
/// between may answer for a peer that is gone.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Questions without an answer that end the connection.
const KEEPALIVE_PROBES: usize = 3;

/// The largest packet that a peer may send on the channel, which every peer has to be able to
/// send (RFC 4253 §6.1).
const MAX_PACKET: u32 = 32 * 1024;

/// Slices that wait for russh. One: what waits there is not on its way to the socket.
const QUEUE: usize = 1;

/// Messages of russh about the channel that wait for us: none ever does, see [`Handler`].
const UNUSED_QUEUE: usize = 1;

impl SshAcceptor {
    /// Reads the files. Blocks, and makes a missing ed25519 host key.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, is wrong, or lets everybody at a secret; or when a list of
    /// algorithms has a name that is not to be had.
    pub fn load(options: &ServerOptions) -> Result<Self, FileError> {
        Self::load_with(options, REKEY_OCTETS)
    }

    /// Reads the files as [`load`](Self::load) does, and makes nothing: all that is wrong with
    /// them, and all that there is to say of what is not. Blocks.
    pub fn inspect(options: &ServerOptions) -> (Vec<FileError>, Vec<String>) {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        let unknown = options.algorithms.preferred().err();
        errors.extend(unknown.map(unknown_algorithm));
        match host_keys::inspect(&options.host_keys) {
            Ok(host) => warnings.extend(host.warnings),
            Err(error) => errors.push(error),
        }
        // One after the other, for a fault in the one says nothing of the other.
        let keys = Authority::load(options.keys.as_ref(), None);
        let passwords = Authority::load(None, options.passwords.as_ref());
        for authority in [keys, passwords] {
            match authority {
                Ok(authority) => warnings.extend_from_slice(authority.warnings()),
                Err(error) => errors.push(error),
            }
        }
        warnings.extend(legacy_warning(options));
        (errors, warnings)
    }

    /// As [`load`](Self::load), with new keys after so many octets, at most 2^30.
    pub(super) fn load_with(options: &ServerOptions, rekey: usize) -> Result<Self, FileError> {
        let preferred = options.algorithms.preferred();
        let preferred = preferred.map_err(unknown_algorithm)?;
        let host = host_keys::load(&options.host_keys)?;
        let authority = Authority::load(options.keys.as_ref(), options.passwords.as_ref())?;
        let mut warnings = host.warnings;
        warnings.extend_from_slice(authority.warnings());
        warnings.extend(legacy_warning(options));
        let methods = methods(&authority);
        if methods.is_empty() {
            warnings.push("neither keys nor passwords are taken: nobody can log in".into());
        }
        let config = Config {
            server_id: SshId::Standard(SERVER_ID.into()),
            methods,
            auth_rejection_time: FAILURE_TIME,
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: host.keys,
            certificates: Vec::new(),
            limits: Limits::new(rekey, rekey, Duration::MAX),
            window_size: u32::try_from(MAX_INPUT).unwrap_or(u32::MAX),
            maximum_packet_size: MAX_PACKET,
            channel_buffer_size: UNUSED_QUEUE,
            event_buffer_size: QUEUE,
            preferred,
            // The `none` that most clients begin with counts as a failure with russh.
            max_auth_attempts: options.auth_attempts.saturating_add(1),
            inactivity_timeout: None,
            keepalive_interval: Some(KEEPALIVE),
            keepalive_max: KEEPALIVE_PROBES,
            nodelay: false,
        };
        Ok(Self(Arc::new(Inner {
            config: Arc::new(config),
            authority,
            fingerprints: host.fingerprints.into(),
            warnings: warnings.into(),
        })))
    }

    /// Whether the client of a stream that another acceptor has made could log in here.
    pub(crate) fn still_admits(&self, login: &Login, address: IpAddr) -> bool {
        let authority = &self.0.authority;
        match login.key {
            Some(key) => authority.has_key(&login.user, key, address),
            None => authority.has_password(&login.user),
        }
    }

    /// How clients know the keys of this host.
    pub fn fingerprints(&self) -> &[Fingerprint] {
        &self.0.fingerprints
    }

    /// What an operator should hear of the keys, the users and the algorithms, a line each.
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// Makes a stream of a socket: returns when the peer has logged in and was granted the
    /// subsystem `rpki-rtr`. Everything else that it asks for is refused.
    ///
    /// # Errors
    ///
    /// When the peer breaks the protocol, cannot log in, or goes away without the subsystem.
    ///
    /// # Cancel safety
    ///
    /// A future that was dropped has closed the connection.
    pub async fn accept(
        &self,
        socket: TcpStream,
        peer: Peer,
    ) -> Result<(Stream, Identity), Refused> {
        let link = Link::new(socket);
        let mut guard = CutOnDrop(Some(Arc::clone(&link)));
        let (grant, granted) = oneshot::channel();
        let handler = Handler::new(
            &link,
            self.0.authority.clone(),
            peer.address().ip(),
            self.0.config.methods.clone(),
            grant,
        );
        let config = Arc::clone(&self.0.config);
        // Boxed: russh's first steps hold its whole session in their future.
        let wire = Wire::new(&link, peer.address().ip(), &config.preferred);
        let start = Box::pin(run_stream(config, wire, handler));
        let session = start.await.map_err(|error| refused(&link, Err(error)))?;
        match granted.await {
            Ok(Granted {
                login,
                channel,
                slice,
            }) => {
                guard.0 = None;
                let user = login.user.clone();
                let stream = SshStream::new(link, channel, session, login, slice);
                Ok((Stream::Ssh(Box::new(stream)), Identity::User(user)))
            }
            // russh is done, and has dropped the handler.
            Err(_) => Err(refused(&link, session.await)),
        }
    }
}

/// Ends the connection with a handshake that is given up.
struct CutOnDrop(Option<Arc<Link>>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            link.cut();
        }
    }
}

fn unknown_algorithm(error: UnknownAlgorithm) -> FileError {
    FileError::new(Path::new("algorithms"), error)
}

fn legacy_warning(options: &ServerOptions) -> Option<String> {
    let weak = options.algorithms.preset == Preset::Legacy;
    weak.then(|| "legacy algorithms are on: SHA-1, CBC and a small group".into())
}

/// The methods that are offered; never `none` (RFC 8210 §9.1).
fn methods(authority: &Authority) -> MethodSet {
    let mut methods = MethodSet::empty();
    if authority.takes_keys() {
        methods.push(MethodKind::PublicKey);
    }
    if authority.takes_passwords() {
        methods.push(MethodKind::Password);
    }
    methods
}

/// Why a connection came to nothing, from what russh ended with and what was noted before.
fn refused(link: &Link, result: Result<(), Error>) -> Refused {
    let noted = link.state().refusal.take();
    match result {
        Err(Error::NoCommonAlgo { kind, theirs, .. }) => {
            let kind = kind_name(&kind);
            let detail = format!("no common {kind}, the peer has {}", theirs.join(","));
            Refused::new(Reason::Algorithms, detail)
        }
        Err(error) if !is_loss(&error) => Refused::new(Reason::Protocol, error),
        Err(error) => noted.unwrap_or_else(|| Refused::new(Reason::Gone, error)),
        Ok(()) => noted.unwrap_or_else(|| Refused::new(Reason::Gone, "disconnected")),
    }
}

const fn kind_name(kind: &AlgorithmKind) -> &'static str {
    match kind {
        AlgorithmKind::Kex => "key exchange",
        AlgorithmKind::Key => "host key algorithm",
        AlgorithmKind::Cipher => "cipher",
        AlgorithmKind::Compression => "compression",
        AlgorithmKind::Mac => "mac",
    }
}

/// Whether an error is the end of a connection and no more.
fn is_loss(error: &Error) -> bool {
    match error {
        Error::Disconnect | Error::HUP | Error::KeepaliveTimeout => true,
        Error::IO(error) => error.kind() != io::ErrorKind::InvalidData,
        _ => false,
    }
}
