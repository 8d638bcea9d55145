//! What a client may do: log in as somebody who is known, and open the subsystem `rpki-rtr` once.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use russh::keys::ssh_key::public::RsaPublicKey;
use russh::keys::ssh_key::{Algorithm, Certificate, Fingerprint, HashAlg, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Session};
use russh::server::{Response, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, Error, MethodSet, Pty, Sig};
use tokio::sync::oneshot;

use super::super::refused::{Reason, Refused};
use super::authority::Authority;
use super::link::Link;
use super::stream;

/// The rules of one connection.
pub(super) struct Handler {
    link: Arc<Link>,
    authority: Authority,
    from: IpAddr,
    /// The methods that are offered after a failure.
    methods: MethodSet,
    /// Who has logged in, and with which key; `None` means with a password.
    user: Box<str>,
    key: Option<Fingerprint>,
    stage: Stage,
    /// Where the channel goes when the subsystem is granted.
    granted: Option<oneshot::Sender<Granted>>,
}

/// What a peer comes out of the handshake with.
pub(super) struct Granted {
    pub(super) login: Login,
    pub(super) channel: ChannelWriteHalf<Msg>,
    /// How many octets at once are good for it.
    pub(super) slice: usize,
}

/// How a peer has logged in.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// As whom.
    pub(super) user: Box<str>,
    /// With which key; `None` means with a password.
    pub(super) key: Option<Fingerprint>,
}

/// How far a connection has come. There is no way back: it has one channel, and that one
/// subsystem.
enum Stage {
    /// No channel was opened.
    Start,
    /// The channel is open.
    Open(ChannelWriteHalf<Msg>),
    /// The subsystem runs on this channel.
    Running(ChannelId),
    /// The channel is closed.
    Over,
}

/// The name of the subsystem (RFC 8210 §9.1).
const SUBSYSTEM: &str = "rpki-rtr";

/// The most octets of input that wait to be read. A router has one query of 12 octets under way;
/// it may have sent thousands during an answer before this ends it. The window of the channel is
/// as large, so that nothing less than that is ever too much.
pub(super) const MAX_INPUT: usize = 64 * 1024;

/// The most characters of a name: it goes to logs.
const MAX_USER: usize = 128;

/// The most octets of a password. What is longer is not hashed.
const MAX_PASSWORD: usize = 1024;

/// The fewest octets of a packet, and of the first window, that a peer may want.
const MIN_PACKET: usize = 128;

/// Octets of the answer to the offer of a key, the key aside.
const KEY_ANSWER: usize = 256;

/// The bits of an RSA key of a client: fewer are weak, and more cost us too much to check.
const RSA_BITS: RangeInclusive<u32> = 2048..=16_384;

impl Handler {
    pub(super) fn new(
        link: &Arc<Link>,
        authority: Authority,
        from: IpAddr,
        methods: MethodSet,
        granted: oneshot::Sender<Granted>,
    ) -> Self {
        Self {
            link: Arc::clone(link),
            authority,
            from,
            methods,
            user: Box::default(),
            key: None,
            stage: Stage::Start,
            granted: Some(granted),
        }
    }

    fn judge_key(&self, user: &str, key: &PublicKey, algorithm: &Algorithm) -> Auth {
        let verdict = if !self.authority.takes_keys() {
            Err(Reason::NoMethod)
        } else if is_weak(key, algorithm) {
            Err(Reason::WeakKey)
        } else {
            known_name(user).and_then(|()| self.authority.key(user, key, self.from))
        };
        let print = key.fingerprint(HashAlg::Sha256);
        self.auth(verdict, format_args!("user `{user}`, {algorithm} {print}"))
    }

    fn auth(&self, verdict: Result<(), Reason>, detail: impl fmt::Display) -> Auth {
        match verdict {
            Ok(()) => Auth::Accept,
            Err(reason) => {
                self.link.state().refusal = Some(Refused::new(reason, detail));
                self.reject()
            }
        }
    }

    fn remember(&mut self, user: &str, key: Option<Fingerprint>, auth: &Auth) {
        if *auth == Auth::Accept {
            self.user = user.into();
            self.key = key;
        }
    }

    /// Refuses a method that is never taken, which says less of the peer than any other failure.
    fn no_method(&self, user: &str, method: &str) -> Auth {
        let refused = || Refused::new(Reason::NoMethod, format_args!("user `{user}`, {method}"));
        self.link.state().refusal.get_or_insert_with(refused);
        self.reject()
    }

    fn reject(&self) -> Auth {
        // russh waits before it says so.
        self.link.waits();
        Auth::Reject {
            // Said each time: russh takes a method off its list when it failed once.
            proceed_with_methods: Some(self.methods.clone()),
            partial_success: false,
        }
    }

    /// Answers a request of the channel with a failure.
    fn refuse(
        &self,
        channel: ChannelId,
        what: impl fmt::Display,
        session: &mut Session,
    ) -> Result<(), Error> {
        self.asked_for(what);
        session.channel_failure(channel)
    }

    /// Remembers what a peer wanted in place of the subsystem.
    fn asked_for(&self, what: impl fmt::Display) {
        if !matches!(self.stage, Stage::Running(_)) {
            let detail = format_args!("user `{}` asked for {what}", self.user);
            self.link.state().refusal = Some(Refused::new(Reason::Subsystem, detail));
        }
    }

    fn runs_on(&self, channel: ChannelId) -> bool {
        matches!(self.stage, Stage::Running(own) if own == channel)
    }

    /// Grants the subsystem, if it is the one on the one channel and somebody waits for it.
    fn grant(&mut self, name: &str, channel: ChannelId, slice: usize) -> Option<()> {
        if name != SUBSYSTEM || !matches!(&self.stage, Stage::Open(own) if own.id() == channel) {
            return None;
        }
        let granted = self.granted.take()?;
        let Stage::Open(channel) = std::mem::replace(&mut self.stage, Stage::Running(channel))
        else {
            return None;
        };
        let login = Login {
            user: self.user.clone(),
            key: self.key,
        };
        let granting = Granted {
            login,
            channel,
            slice,
        };
        granted.send(granting).ok()
    }
}

impl server::Handler for Handler {
    type Error = Error;

    /// RFC 8210 §9.1: never accepted. Clients ask with it what else there is.
    async fn auth_none(&mut self, user: &str) -> Result<Auth, Error> {
        Ok(self.no_method(user, "none"))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Error> {
        let verdict = if !self.authority.takes_passwords() {
            Err(Reason::NoMethod)
        } else if password.len() > MAX_PASSWORD {
            Err(Reason::Password)
        } else if let Err(reason) = known_name(user) {
            Err(reason)
        } else {
            self.authority.password(user, password, self.from).await
        };
        // The hash was waited for.
        self.link.waits();
        let auth = self.auth(verdict, format_args!("user `{user}`, password"));
        self.remember(user, None, &auth);
        Ok(auth)
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Error> {
        let auth = self.judge_key(user, offer.public_key, offer.algorithm);
        if auth == Auth::Accept {
            // The answer has the key in it.
            let size = offer.public_key.to_bytes().map_or(0, |key| key.len());
            self.link.grant(size.saturating_add(KEY_ANSWER));
        }
        Ok(auth)
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Error> {
        let auth = self.judge_key(user, key.public_key, key.algorithm);
        let print = key.public_key.fingerprint(HashAlg::Sha256);
        self.remember(user, Some(print), &auth);
        Ok(auth)
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        _: &Certificate,
    ) -> Result<Auth, Error> {
        let detail = format_args!("user `{user}`, certificate");
        Ok(self.auth(Err(Reason::UnknownKey), detail))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        _: Option<Response<'a>>,
    ) -> Result<Auth, Error> {
        Ok(self.no_method(user, "keyboard-interactive"))
    }

    async fn auth_succeeded(&mut self, _: &mut Session) -> Result<(), Error> {
        self.link.logged_in();
        self.asked_for("nothing");
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        if !matches!(self.stage, Stage::Start) {
            self.asked_for("a second channel");
            reply
                .reject(ChannelOpenFailure::AdministrativelyProhibited)
                .await;
            return Ok(());
        }
        // RFC 4254 §5.1: the peer says how large packets may be; with a few octets in each, an
        // answer would cost a hundred times what it has to. russh tells the smaller one of this
        // and the first window, and no client is known that begins without one.
        if channel.writable_packet_size().await < MIN_PACKET {
            self.asked_for("tiny packets");
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        // What comes in is taken from the calls below: russh stops for a reader that is slow, and
        // then nothing goes out either.
        let (_, channel) = channel.split();
        self.stage = Stage::Open(channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        let slice = stream::slice(session.remote_sshid());
        match self.grant(name, channel, slice) {
            Some(()) => session.channel_success(channel),
            None => self.refuse(channel, format_args!("the subsystem `{name}`"), session),
        }
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        octets: &[u8],
        _: &mut Session,
    ) -> Result<(), Error> {
        if !self.runs_on(channel) {
            return Err(Error::WrongChannel);
        }
        self.link.tell(|state| {
            if state.input.len().saturating_add(octets.len()) > MAX_INPUT {
                let text = format!("more than {MAX_INPUT} octets of input wait");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
            }
            state.input.extend_from_slice(octets);
            Ok(())
        })
    }

    async fn window_adjusted(
        &mut self,
        _: ChannelId,
        _: u32,
        _: &mut Session,
    ) -> Result<(), Error> {
        self.link.news.notify_one();
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), Error> {
        if self.runs_on(channel) {
            self.link.tell(|state| state.eof = true);
        }
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), Error> {
        if self.runs_on(channel) {
            self.link.tell(|state| state.closed = true);
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Running(_) => Ok(()),
            // There is no other channel to come.
            _ => Err(Error::Disconnect),
        }
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse(channel, "a terminal", session)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse(channel, "x11", session)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse(channel, "an environment", session)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse(channel, "a shell", session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse(channel, "a command", session)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        session.channel_failure(channel)
    }

    async fn agent_request(&mut self, _: ChannelId, _: &mut Session) -> Result<bool, Error> {
        self.asked_for("agent forwarding");
        Ok(false)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        _: Sig,
        session: &mut Session,
    ) -> Result<(), Error> {
        session.channel_failure(channel)
    }
}

/// Whether a name is one that anybody can have.
fn known_name(user: &str) -> Result<(), Reason> {
    if user.chars().count() > MAX_USER || user.chars().any(char::is_control) {
        return Err(Reason::UnknownUser);
    }
    Ok(())
}

/// Whether a key or its signature is too weak, or too large. RFC 8332: `ssh-rsa` names the
/// signature with SHA-1.
fn is_weak(key: &PublicKey, algorithm: &Algorithm) -> bool {
    let few_bits = |key: &RsaPublicKey| !RSA_BITS.contains(&key.key_size());
    matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa)
        || key.key_data().rsa().is_some_and(few_bits)
}
