//! HTTP clients, and the certificates that they show and trust.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, Client, ClientBuilder, Identity, redirect};
use tokio::task::spawn_blocking;

use super::Place;
use crate::config::Proxy;
use crate::daemon::source::error::{Cause, SourceError};
use crate::net::Url;
use crate::net::tls::ClientOptions;

/// Connections that are kept where any are: as many as are asked on at once.
const IDLE: usize = 8;

/// What we call ourselves.
const USER_AGENT: &str = concat!("rutter/", env!("CARGO_PKG_VERSION"));

/// The clients for one place.
#[derive(Clone)]
pub(super) struct Clients {
    ours: Client,
    /// The files that its certificates come from, as they were.
    stamps: Vec<Option<Stamp>>,
}

type Stamp = (u64, u64, u64, i64, i64);

/// Whether a client shows the certificate of the operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shown {
    Certificate,
    Nothing,
}

impl Clients {
    /// The same clients, or others when the files of certificates have changed. Blocks: making
    /// them reads the certificates of the system, which takes a while.
    pub(super) fn renewed(old: Option<Self>, place: &Place) -> Result<Self, SourceError> {
        let stamps: Vec<Option<Stamp>> = files(&place.tls).map(|path| stamp(path)).collect();
        match old {
            Some(old) if old.stamps == stamps => Ok(old),
            _ => Ok(Self {
                ours: client(place, Shown::Certificate)?,
                stamps,
            }),
        }
    }

    /// For the server that was asked for.
    pub(super) fn ours(&self) -> Client {
        self.ours.clone()
    }

    /// For servers that it sends us to.
    pub(super) async fn others(&self, place: &Place) -> Result<Client, SourceError> {
        if place.tls.certificate.is_none() {
            return Ok(self.ours.clone());
        }
        let place = place.clone();
        let made = spawn_blocking(move || client(&place, Shown::Nothing)).await;
        made.map_err(|_| SourceError::Reader)?
    }
}

/// The URL as the client has it, user and password included.
pub(super) fn parsed(url: &Url) -> Result<reqwest::Url, SourceError> {
    url.with_credentials()
        .parse()
        .map_err(|_| SourceError::Client {
            error: format!("{url} is no url").into(),
        })
}

fn files(tls: &ClientOptions) -> impl Iterator<Item = &PathBuf> {
    let own = tls.certificate.iter();
    let own = own.flat_map(|(chain, key)| [chain, key]);
    own.chain(&tls.ca)
}

/// What tells a file from what it was before, `None` when it is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some((
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime(),
        file.mtime_nsec(),
    ))
}

fn client(place: &Place, shown: Shown) -> Result<Client, SourceError> {
    install_provider();
    let secure = place.url.is_secure();
    let trusted = trusted(&place.tls)?;
    let identity = match shown {
        Shown::Certificate => identity(&place.tls)?,
        Shown::Nothing => None,
    };
    let builder = || {
        let builder = builder(place)?.https_only(secure);
        Ok(match &identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        })
    };
    let merged = |builder: ClientBuilder| match trusted.is_empty() {
        true => builder,
        false => builder.tls_certs_merge(trusted.clone()),
    };
    let built = builder().and_then(|builder| merged(builder).build());
    let built = match built {
        // A machine without certificates, as small containers are, can do without TLS, and with
        // those that it was given.
        Err(_) if !secure || !trusted.is_empty() => {
            builder().and_then(|builder| builder.tls_certs_only(trusted.clone()).build())
        }
        built => built,
    };
    built.map_err(|error| SourceError::Client {
        error: error.into(),
    })
}

fn builder(place: &Place) -> Result<ClientBuilder, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(place.connect_timeout)
        .referer(false)
        // The next one might be another server, which is not to get what this one gets.
        .redirect(redirect::Policy::none())
        // Servers need not keep a connection for us until a request that is minutes away.
        .pool_max_idle_per_host(usize::from(!place.keep.is_zero()) * IDLE)
        .pool_idle_timeout(place.keep);
    match &place.web.proxy {
        Proxy::Environment => Ok(builder),
        Proxy::Direct => Ok(builder.no_proxy()),
        Proxy::Through(proxy) => {
            let proxy = reqwest::Proxy::all(proxy.with_credentials())?;
            Ok(builder.proxy(proxy))
        }
    }
}

/// The extra certificates.
fn trusted(tls: &ClientOptions) -> Result<Vec<Certificate>, SourceError> {
    let mut all = Vec::new();
    for path in &tls.ca {
        let refused = |error: Cause| unusable("certificates to trust", path, error);
        let pem = fs::read(path).map_err(|error| refused(error.into()))?;
        let found = Certificate::from_pem_bundle(&pem).map_err(|error| refused(error.into()))?;
        if found.is_empty() {
            return Err(refused("there is no PEM certificate in it".into()));
        }
        all.extend(found);
    }
    Ok(all)
}

/// The certificate to show; its key may be PKCS#8, PKCS#1 or SEC1.
fn identity(tls: &ClientOptions) -> Result<Option<Identity>, SourceError> {
    let Some((chain, key)) = &tls.certificate else {
        return Ok(None);
    };
    let mut pem =
        fs::read(chain).map_err(|error| unusable("client certificate", chain, error.into()))?;
    let refused = |error: Cause| unusable("key of the client certificate", key, error);
    let key_pem = fs::read(key).map_err(|error| refused(error.into()))?;
    // One file may have both.
    if chain != key {
        pem.push(b'\n');
        pem.extend_from_slice(&key_pem);
    }
    let identity = Identity::from_pem(&pem).map_err(|error| refused(error.into()))?;
    Ok(Some(identity))
}

fn unusable(what: &str, path: &Path, error: Cause) -> SourceError {
    SourceError::Secret {
        what: what.into(),
        path: path.into(),
        error,
    }
}

/// The HTTP client has no cryptography of its own and takes that of the process. Whoever was
/// first with that has the same: there is only ring in this program.
fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
