//! The few things that we do with storage. The only file that names its client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ClientOptions, Error, GetOptions, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutOptions, RetryConfig, UpdateVersion,
};
use rustls::crypto::ring::default_provider;

use super::MANIFEST;
use crate::config::Bucket;
use crate::daemon::publish::PublishError;
use crate::net::files::FileError;
use crate::sign::Digest;

/// A bucket and a prefix.
#[derive(Debug)]
pub(super) struct Store {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// An object as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) octets: Bytes,
    pub(super) tag: Tag,
}

/// One version of an object.
#[derive(Clone, Debug)]
pub(super) struct Tag(UpdateVersion);

impl Tag {
    fn of(meta: &ObjectMeta) -> Self {
        Self(UpdateVersion {
            e_tag: meta.e_tag.clone(),
            version: meta.version.clone(),
        })
    }
}

impl PartialEq for Tag {
    /// Not every answer names the version beside the tag.
    fn eq(&self, other: &Self) -> bool {
        self.0.e_tag.is_some() && self.0.e_tag == other.0.e_tag
    }
}

/// What an object has to do with a content.
#[derive(Debug)]
pub(super) enum Content {
    /// There is no such object.
    None,
    /// It has it.
    Same,
    /// It has another one.
    Other(Tag),
}

/// When an object is put.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// When there is none.
    Absent,
    /// When this one is there.
    Is(Tag),
}

/// What became of an object.
#[derive(Debug)]
pub(super) enum Put {
    /// It is there.
    Done(Tag),
    /// The condition does not hold.
    Refused,
}

/// How long an exchange may take: a set goes through a slow line.
const EXCHANGE: Duration = Duration::from_secs(240);

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Further attempts at an exchange; whoever called us makes more, later.
const RETRIES: usize = 2;

impl Store {
    /// The place that a configuration names. Nobody is spoken to yet, but the file with the
    /// credentials is read: it blocks.
    pub(super) fn connect(bucket: &Bucket) -> Result<Self, FileError> {
        // The client has no cryptography of its own; there is only ring in this program.
        let _ = default_provider().install_default();
        let credentials = bucket.credentials()?;
        let client = ClientOptions::new()
            .with_timeout(EXCHANGE)
            .with_connect_timeout(CONNECT);
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: EXCHANGE,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&*bucket.name)
            .with_region(&*bucket.region)
            .with_access_key_id(credentials.id.as_str())
            .with_secret_access_key(credentials.secret.as_str())
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder
                .with_endpoint(endpoint.to_string().trim_end_matches('/'))
                .with_allow_http(!endpoint.is_secure());
        }
        let fault = |error: Error| FileError::new(&bucket.credentials, error);
        Ok(Self {
            store: Arc::new(builder.build().map_err(fault)?),
            prefix: Path::from(&*bucket.prefix),
        })
    }

    /// One for tests.
    #[cfg(test)]
    pub(super) fn with(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let prefix = Path::from(prefix);
        Self { store, prefix }
    }

    /// An object of at most so many octets; `None` when there is none.
    pub(super) async fn get(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Option<Found>, PublishError> {
        let at = self.prefix.clone().join(name);
        let found = match self.store.get_opts(&at, GetOptions::default()).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(storage)?,
        };
        if usize::try_from(found.meta.size).is_ok_and(|octets| octets <= limit) {
            let tag = Tag::of(&found.meta);
            let octets = found.bytes().await.map_err(storage)?;
            return Ok(Some(Found { octets, tag }));
        }
        let (octets, what) = (found.meta.size, format!("{name} there is too long"));
        let error = format!("{what} (found {octets} octets, expected at most {limit})");
        Err(PublishError::Storage(error.into()))
    }

    /// Whether an object has this content.
    pub(super) async fn compare(
        &self,
        name: &str,
        digest: &Digest,
    ) -> Result<Content, PublishError> {
        let at = self.prefix.clone().join(name);
        let found = match self.store.get_opts(&at, GetOptions::default()).await {
            Err(Error::NotFound { .. }) => return Ok(Content::None),
            found => found.map_err(storage)?,
        };
        let tag = Tag::of(&found.meta);
        // What is longer is not read.
        if found.meta.size != digest.octets {
            return Ok(Content::Other(tag));
        }
        let octets = found.bytes().await.map_err(storage)?;
        match Digest::of(&octets) == *digest {
            true => Ok(Content::Same),
            false => Ok(Content::Other(tag)),
        }
    }

    /// A part of an object, whose end may be beyond its own.
    pub(super) async fn get_part(
        &self,
        name: &str,
        part: std::ops::Range<u64>,
    ) -> Result<Bytes, PublishError> {
        let at = self.prefix.clone().join(name);
        self.store.get_range(&at, part).await.map_err(storage)
    }

    /// Puts an object under a condition.
    pub(super) async fn put(
        &self,
        name: &str,
        octets: Bytes,
        condition: Condition,
    ) -> Result<Put, PublishError> {
        let at = self.prefix.clone().join(name);
        let mode = match condition {
            Condition::Absent => PutMode::Create,
            Condition::Is(Tag(version)) => PutMode::Update(version),
        };
        let options = PutOptions {
            mode,
            attributes: attributes(name),
            ..PutOptions::default()
        };
        match self.store.put_opts(&at, octets.into(), options).await {
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Put::Refused),
            Err(error) => Err(storage(error)),
            Ok(put) if put.e_tag.is_none() => {
                let error = "there are no entity tags, so that nobody can be told from another";
                Err(PublishError::Storage(error.into()))
            }
            Ok(put) => Ok(Put::Done(Tag(put.into()))),
        }
    }

    /// The names of the objects.
    pub(super) async fn list(&self) -> Result<Vec<String>, PublishError> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix));
        let objects = listed.await.map_err(storage)?.objects.into_iter();
        let name = |at: Path| at.filename().map(str::to_owned);
        Ok(objects.filter_map(|meta| name(meta.location)).collect())
    }

    /// Removes an object, which may be gone already.
    pub(super) async fn remove(&self, name: &str) -> Result<(), PublishError> {
        let at = self.prefix.clone().join(name);
        match self.store.delete(&at).await {
            Err(Error::NotFound { .. }) => Ok(()),
            removed => removed.map_err(storage),
        }
    }
}

/// The text of an error has those of its causes in it, and perhaps what the other end has said.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what errors are mapped with"
)]
fn storage(error: Error) -> PublishError {
    const LONGEST: usize = 400;
    let text = error.to_string();
    let text = text.chars().take(LONGEST);
    let text: String = text
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    PublishError::Storage(text.into())
}

/// What caches and followers are told: a file never changes, and the manifest does.
fn attributes(name: &str) -> Attributes {
    let (cache, kind) = match name {
        MANIFEST => ("public, max-age=5", "application/jose"),
        _ => (
            "public, max-age=31536000, immutable",
            "application/octet-stream",
        ),
    };
    Attributes::from_iter([
        (Attribute::CacheControl, cache),
        (Attribute::ContentType, kind),
    ])
}
