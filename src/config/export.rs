//! `[export]`: what is given out beside RTR, for followers and for everybody who reads documents.

use std::path::PathBuf;
use std::time::Duration;

use crate::net::Url;

/// What is given out beside RTR.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Export {
    /// Where the JSON document is written, too, `None` for nowhere.
    pub file: Option<PathBuf>,
    /// The private key, PEM, of ES256 or EdDSA, that signs the statement of the document and the
    /// manifest of the feed; `None` for neither.
    pub sign_key: Option<PathBuf>,
    /// The private key, PEM, of P-256, that signs the document as GoRTR does; `None` for not.
    pub gortr_key: Option<PathBuf>,
    /// How long a document counts after it was made, and a statement after it was signed.
    pub valid: Duration,
    /// How long a manifest of the feed counts after it was made; `None` for as long as routers
    /// keep their data (`rtr.expire`).
    pub feed_valid: Option<Duration>,
    /// Whether the feed is served over HTTP. Takes a state directory.
    pub feed: bool,
    /// A folder where the feed is laid out for a web server, `None` for none.
    pub folder: Option<PathBuf>,
    /// Storage where it is, `None` for none.
    pub bucket: Option<Bucket>,
}

impl Default for Export {
    /// Unsigned, over HTTP alone, and good for a day.
    fn default() -> Self {
        Self {
            file: None,
            sign_key: None,
            gortr_key: None,
            valid: Duration::from_secs(86_400),
            feed_valid: None,
            feed: true,
            folder: None,
            bucket: None,
        }
    }
}

/// S3-compatible storage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bucket {
    /// Its name.
    pub name: Box<str>,
    /// What the names of its objects begin with, without a slash at the end; may be empty.
    pub prefix: Box<str>,
    /// Where it is, `None` for AWS.
    pub endpoint: Option<Url>,
    /// Its region.
    pub region: Box<str>,
    /// The file with the access key id and the secret access key, a line each.
    pub credentials: PathBuf,
}
