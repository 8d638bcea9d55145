//! What rustls and russh do by themselves: servers that know no protocol and send one prepared
//! answer, all of it in one call, to whoever sends eight octets.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use rcgen::{CertificateParams, KeyPair};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session};
use russh::{Channel, ChannelId, ChannelMsg, MethodKind, MethodSet};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::secure::{LIFETIME, Transport};

/// Sends a prepared answer to whoever asks, over TLS or SSH
#[derive(Args, Clone, Debug)]
pub(crate) struct Alone {
    /// What protects the octets
    #[arg(long, value_enum)]
    transport: Transport,
    /// The answer, as `record` writes it
    #[arg(long)]
    file: PathBuf,
    /// Port on loopback
    #[arg(long)]
    port: u16,
}

impl Alone {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let answer = Bytes::from(std::fs::read(&self.file)?);
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        let serving = async {
            match self.transport {
                Transport::Tls => tls(&listener, &answer).await,
                Transport::Ssh => ssh(&listener, &answer).await,
            }
        };
        // To be ended from outside is the usual way; this is for when nobody does.
        timeout(LIFETIME, serving).await.unwrap_or(Ok(()))
    }
}

async fn tls(listener: &TcpListener, answer: &Bytes) -> Result<(), Box<dyn Error>> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        // A client that leaves is no failure.
        tokio::task::spawn_local(async move { over_tls(&acceptor, socket, &answer).await.ok() });
    }
}

async fn over_tls(acceptor: &TlsAcceptor, socket: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut stream = acceptor.accept(socket).await?;
    let mut query = [0; 8];
    loop {
        stream.read_exact(&mut query).await?;
        stream.write_all(answer).await?;
        stream.flush().await?;
    }
}

async fn ssh(listener: &TcpListener, answer: &Bytes) -> Result<(), Box<dyn Error>> {
    // A server that lives for minutes on loopback needs no secret.
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
    let config = Arc::new(server::Config {
        keys: vec![key],
        methods: MethodSet::from(&[MethodKind::Password][..]),
        ..server::Config::default()
    });
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let handler = Anybody(answer.clone());
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            if let Ok(session) = server::run_stream(config, socket, handler).await {
                session.await.ok();
            }
        });
    }
}

/// Lets everybody in and sends the answer.
struct Anybody(Bytes);

impl server::Handler for Anybody {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        mut channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let answer = self.0.clone();
        tokio::spawn(async move {
            while let Some(message) = channel.wait().await {
                if let ChannelMsg::Data { .. } = message
                    && channel.data_bytes(answer.clone()).await.is_err()
                {
                    return;
                }
            }
        });
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }
}
