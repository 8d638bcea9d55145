//! What a client thinks of a server: whether its key is the right one, and what it may not do.

use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, ChannelOpenHandle, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, Error};
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

use super::client_error::{ClientError, ShownKey};
use super::known_hosts::{self, KnownHosts, Verdict};
use crate::net::host::HostPort;

/// What a session ended with, as its task tells it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending {
    error: Arc<Mutex<Option<ClientError>>>,
}

impl Ending {
    /// Takes what is told. `None` is a good end.
    pub(super) fn take(&self) -> Option<ClientError> {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.take()
    }

    fn tell(&self, error: ClientError) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Looks at the server's key, and refuses what a server has no reason to do.
pub(super) struct Greeter {
    at: HostPort,
    known: Option<Arc<KnownHosts>>,
    ending: Ending,
}

impl Greeter {
    /// For a host; without hosts that are known, any will do.
    pub(super) fn new(at: HostPort, known: Option<Arc<KnownHosts>>, ending: Ending) -> Self {
        Self { at, known, ending }
    }

    fn judge(&self, key: &KeyData) -> Result<(), ClientError> {
        let Some(known) = &self.known else {
            return Ok(());
        };
        let verdict = known.judge(&self.at, key);
        if verdict == Verdict::Known {
            return Ok(());
        }
        let public = PublicKey::from(key.clone());
        let shown = ShownKey {
            host: known_hosts::name(&self.at).into(),
            key: public.to_openssh().map_err(Error::from)?.trim_end().into(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string().into(),
        };
        Err(match verdict {
            Verdict::Changed(place) => ClientError::changed(shown, &place),
            Verdict::Revoked(place) => ClientError::revoked(shown, &place),
            Verdict::Known | Verdict::Unknown => ClientError::UnknownHost {
                shown,
                file: known.file().to_owned(),
            },
        })
    }
}

impl client::Handler for Greeter {
    type Error = ClientError;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, ClientError> {
        match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                self.judge(key.key_data()).map(|()| true)
            }
            // None is asked for.
            PublicKeyOrCertificate::Certificate(_) => Ok(self.known.is_none()),
        }
    }

    async fn disconnected(
        &mut self,
        reason: client::DisconnectReason<ClientError>,
    ) -> Result<(), ClientError> {
        match reason {
            client::DisconnectReason::Error(ClientError::Gone)
            | client::DisconnectReason::ReceivedDisconnect(_) => {}
            client::DisconnectReason::Error(error) => self.ending.tell(error),
        }
        Ok(())
    }

    // russh accepts these, without end, unless told otherwise.

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Err(ClientError::Intrusive)
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Err(ClientError::Intrusive)
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Err(ClientError::Intrusive)
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Err(ClientError::Intrusive)
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Err(ClientError::Intrusive)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Err(ClientError::Intrusive)
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Err(ClientError::Intrusive)
    }
}
