//! Full syncs over TLS and SSH: all log in first, then all ask, and each reads to End of Data. Who
//! the server is is not checked: the server is what is measured.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use russh::client::{self, Handle, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelMsg};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::process::Usage;
use crate::report::{figure, median, millis};
use crate::session::Target;
use crate::sync::SETTLE;
use crate::wire::{self, Digest, Event, Framer};

/// What protects the octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Transport {
    Tls,
    Ssh,
}

/// Full syncs of many routers at once, over TLS or SSH
#[derive(Args, Clone, Debug)]
pub(crate) struct Secure {
    #[command(flatten)]
    target: Target,
    /// What protects the octets
    #[arg(long, value_enum)]
    transport: Transport,
    /// Routers that ask at the same time
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// Repeat, and report medians
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// User of SSH
    #[arg(long, default_value = "rpki")]
    user: String,
    /// File with the password of that user
    #[arg(long)]
    password_file: Option<PathBuf>,
}

impl Secure {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let deadline = self.target.deadline();
        let password = match &self.password_file {
            Some(path) => std::fs::read_to_string(path)?.trim().to_owned(),
            None => String::new(),
        };
        let (mut walls, mut cpus, mut logins) = (Vec::new(), Vec::new(), Vec::new());
        let (mut octets, mut rows) = (0, 0);
        for _ in 0..self.runs {
            let mut routers = Vec::with_capacity(self.clients);
            let before = self.usage();
            for _ in 0..self.clients {
                let router = timeout_at(deadline, self.router(&password)).await??;
                routers.push(router);
            }
            tokio::time::sleep(SETTLE).await;
            let ready = self.usage();
            let started = Instant::now();
            let mut tasks = JoinSet::new();
            for mut router in routers {
                let version = self.target.version;
                tasks.spawn_local(async move {
                    let answer = timeout_at(deadline, router.sync(version)).await;
                    (router, answer)
                });
            }
            let mut kept = Vec::new();
            while let Some(joined) = tasks.join_next().await {
                let (router, answer) = joined?;
                (octets, rows) = answer??;
                kept.push(router);
            }
            walls.push(started.elapsed());
            tokio::time::sleep(SETTLE).await;
            if let (Some(before), Some(ready), Some(after)) = (before, ready, self.usage()) {
                logins.push(ready.cpu_since(&before));
                cpus.push(after.cpu_since(&ready));
            }
        }
        let clients = u32::try_from(self.clients).unwrap_or(u32::MAX).max(1);
        figure("clients", self.clients);
        figure("octets_each", octets);
        figure("payloads_each", rows);
        millis("median_wall_ms", median(&mut walls));
        if !cpus.is_empty() {
            millis("median_cpu_ms_each", median(&mut cpus) / clients);
            millis("median_login_cpu_ms_each", median(&mut logins) / clients);
        }
        Ok(())
    }

    fn usage(&self) -> Option<Usage> {
        self.target.pid.and_then(Usage::of)
    }

    async fn router(&self, password: &str) -> Result<Router, Box<dyn Error>> {
        let socket = TcpStream::connect(self.target.address).await?;
        socket.set_nodelay(true)?;
        match self.transport {
            Transport::Tls => {
                let name = ServerName::from(self.target.address.ip());
                let stream = TlsConnector::from(trusting()?)
                    .connect(name, socket)
                    .await?;
                Ok(Router::Tls(Box::new(stream)))
            }
            Transport::Ssh => {
                let config = Arc::new(client::Config::default());
                let mut handle = client::connect_stream(config, socket, Anybody).await?;
                let login = handle.authenticate_password(&self.user, password).await?;
                if !login.success() {
                    return Err("the server takes no such user or password".into());
                }
                let channel = handle.channel_open_session().await?;
                channel.request_subsystem(false, "rpki-rtr").await?;
                Ok(Router::Ssh(handle, channel))
            }
        }
    }
}

/// A connection that is logged in.
enum Router {
    Tls(Box<TlsStream<TcpStream>>),
    Ssh(Handle<Anybody>, Channel<Msg>),
}

impl Router {
    /// Asks, and reads the whole answer: how many octets and payloads it has.
    async fn sync(&mut self, version: u8) -> io::Result<(u64, u64)> {
        let query = wire::reset_query(version);
        let mut framer = Framer::new(Digest::No);
        let mut octets = 0;
        let mut take = |mut part: &[u8]| {
            octets += u64::try_from(part.len()).unwrap_or(u64::MAX);
            match framer.feed(&mut part) {
                None => Ok(None),
                Some(Event::EndOfData(_)) => Ok(Some((octets, framer.take().payload()))),
                Some(other) => Err(io::Error::other(format!("no answer but {other:?}"))),
            }
        };
        match self {
            Self::Tls(stream) => {
                stream.write_all(&query).await?;
                let mut buffer = vec![0; 64 << 10];
                loop {
                    let read = stream.read(&mut buffer).await?;
                    let part = buffer.get(..read).unwrap_or_default();
                    if part.is_empty() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    if let Some(answer) = take(part)? {
                        return Ok(answer);
                    }
                }
            }
            Self::Ssh(_handle, channel) => {
                let sent = channel.data_bytes(Bytes::copy_from_slice(&query)).await;
                sent.map_err(io::Error::other)?;
                loop {
                    match channel.wait().await {
                        Some(ChannelMsg::Data { data }) => {
                            if let Some(answer) = take(&data)? {
                                return Ok(answer);
                            }
                        }
                        Some(_) => {}
                        None => return Err(io::ErrorKind::UnexpectedEof.into()),
                    }
                }
            }
        }
    }
}

/// Takes any host key.
struct Anybody;

impl client::Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

fn trusting() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Takes any certificate.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// How long a bare server lives when nobody ends it.
pub(crate) const LIFETIME: Duration = Duration::from_secs(7200);
