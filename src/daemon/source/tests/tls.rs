//! A cache over TLS.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::super::{Source, SourceError};
use super::{PATIENCE, list, source, start};
use crate::net::tls::{Certificate, ClientAuth, ServerOptions, TlsAcceptor};
use crate::net::{Peer, Stream, Transport};
use crate::payload::{Asn, Vrp};
use crate::rtr::pdu::Action;
use crate::rtr::view::SessionId;
use crate::rtr::{Pdu, Serial, Timing, Version};

/// A cache at 127.0.0.1 with one payload.
struct Cache {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Cache {
    /// Its certificate goes to `chain` of a folder, and is its own CA.
    async fn start(folder: &Path) -> Self {
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let (chain, key) = (folder.join("chain"), folder.join("key"));
        fs::write(&chain, params.self_signed(&pair).unwrap().pem()).unwrap();
        fs::write(&key, pair.serialize_pem()).unwrap();
        let options = ServerOptions {
            certificate: Certificate::Files { chain, key },
            clients: ClientAuth::None,
        };
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::load(&options).unwrap(),
        }
    }

    fn source(&self, ca: &Path) -> Source {
        let mut source = source(&format!("tls://{}", self.listener.local_addr().unwrap()));
        source.tls.ca = vec![ca.to_owned()];
        source
    }

    async fn accept(&self) -> Option<Stream> {
        let accepted = async {
            let (socket, address) = self.listener.accept().await.unwrap();
            let peer = Peer::new(address, Transport::Tls);
            let accepted = self.acceptor.accept(socket, peer).await;
            accepted.ok().map(|(stream, _)| stream)
        };
        timeout(PATIENCE, accepted).await.unwrap()
    }
}

/// Answers the first query.
async fn answer(stream: &mut Stream) {
    let version = Version::V2;
    let mut query = [0; 8];
    assert_eq!(stream.recv(&mut query).await.unwrap(), 8);
    assert_eq!(Pdu::decode(version, &query).unwrap(), Pdu::ResetQuery);
    let session = SessionId::new(7);
    let (action, vrp) = (
        Action::Announce,
        Vrp::new("192.0.2.0/24".parse().unwrap(), 24, Asn::new(1)).unwrap(),
    );
    let end = Pdu::EndOfData {
        session,
        serial: Serial::new(5),
        timing: Some(Timing::RECOMMENDED),
    };
    let pdus = [
        Pdu::CacheResponse { session },
        Pdu::Prefix { action, vrp },
        end,
    ];
    for pdu in pdus {
        let mut octets = Bytes::from(pdu.octets(version).to_vec());
        while !octets.is_empty() {
            stream.send(&mut octets).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_cache_is_followed_when_its_certificate_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::start(folder.path()).await;
    let mut running = start(cache.source(&folder.path().join("chain")));
    let mut stream = cache.accept().await.unwrap();
    answer(&mut stream).await;
    let found = list(running.next().await);
    assert_eq!((found.listed, found.serial), (1, Some(5)));
    stream.finish().await;
    assert_eq!(running.error().await.kind(), "cut_short");
    running.stop().await;
}

#[tokio::test]
async fn files_are_read_again_until_they_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::start(folder.path()).await;
    let chain = folder.path().join("chain");
    let ca = folder.path().join("ca");
    let mut running = start(cache.source(&ca));
    let error = running.error().await;
    assert_eq!(error.kind(), "secret");
    let SourceError::Secret { path, .. } = &error else {
        unreachable!("{error}");
    };
    assert_eq!(path, &ca);

    // One that this cache is not from.
    let other = tempfile::tempdir().unwrap();
    let _other = Cache::start(other.path()).await;
    fs::copy(other.path().join("chain"), &ca).unwrap();
    running.requests.send_replace(1);
    assert!(cache.accept().await.is_none());
    assert_eq!(running.error().await.kind(), "certificate");

    fs::copy(chain, &ca).unwrap();
    running.requests.send_replace(2);
    answer(&mut cache.accept().await.unwrap()).await;
    assert_eq!(list(running.next().await).listed, 1);
}
