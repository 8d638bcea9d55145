//! `[export]`: what is given out beside RTR, for followers and for everybody who reads documents.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::report::Report;
use super::scalars::{self, EVER};
use super::value::{self, Raw};
use crate::net::{Endpoint, Url};

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
    /// Whether the feed is served over HTTP. Never without a state directory.
    pub feed: bool,
    /// A folder where the feed is laid out for a web server, `None` for none.
    pub folder: Option<PathBuf>,
    /// Storage where it is laid out, `None` for none. Never without `sign_key`.
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

impl Export {
    /// Whether there is a feed anywhere.
    pub const fn has_feed(&self) -> bool {
        self.feed || self.folder.is_some() || self.bucket.is_some()
    }
}

impl Bucket {
    /// The region where none is named: what most that is not AWS takes.
    const REGION: &str = "us-east-1";

    /// Its name and its prefix, as they are written.
    pub fn place(&self) -> String {
        match &*self.prefix {
            "" => self.name.to_string(),
            prefix => format!("{}/{prefix}", self.name),
        }
    }
}

/// The keys of storage as far as they are there.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) place: Option<(Box<str>, Box<str>)>,
    pub(super) endpoint: Option<Url>,
    pub(super) region: Option<Box<str>>,
    pub(super) credentials: Option<PathBuf>,
}

/// How long may what is said count: long enough for whoever asks every few minutes.
pub(super) const VALID: std::ops::RangeInclusive<Duration> = Duration::from_secs(600)..=EVER;

/// Reads where in storage things go: `bucket` or `bucket/prefix`.
pub(super) fn place(raw: Raw<'_>) -> Result<(Box<str>, Box<str>), String> {
    const EXPECTED: &str = "the name of a bucket, and perhaps a prefix behind a slash";
    let text = value::text(raw, EXPECTED)?;
    let (name, prefix) = text.split_once('/').unwrap_or((text, ""));
    let prefix = prefix.trim_end_matches('/');
    // The rules of S3 for names.
    let ends = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let good = |letter: u8| ends(letter) || b".-".contains(&letter);
    let name_fits = (3..=63).contains(&name.len())
        && name.bytes().all(good)
        && [name.bytes().next(), name.bytes().next_back()]
            .into_iter()
            .flatten()
            .all(ends);
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"._-".contains(&letter);
    let part =
        |part: &str| !part.is_empty() && ![".", ".."].contains(&part) && part.bytes().all(plain);
    let prefix_fits = prefix.len() <= 512 && (prefix.is_empty() || prefix.split('/').all(part));
    match name_fits && prefix_fits {
        true => Ok((name.into(), prefix.into())),
        false => Err(value::wrong("not a place in storage", raw, EXPECTED)),
    }
}

/// Reads where the service is that has the bucket.
pub(super) fn endpoint(raw: Raw<'_>) -> Result<Url, String> {
    const EXPECTED: &str = "an https:// or http:// URL without user and path";
    let text = value::text(raw, EXPECTED)?;
    let bare = |url: &Url| {
        let shown = url.to_string();
        let rest = shown.split_once("://").map_or("", |(_, rest)| rest);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        url.with_credentials() == shown && !rest.contains(['/', '?', '#'])
    };
    match text.parse::<Endpoint>() {
        Ok(Endpoint::Web(url)) if bare(&url) => Ok(url),
        _ => Err(value::wrong("not an endpoint", raw, EXPECTED)),
    }
}

/// Reads the region of a bucket.
pub(super) fn region(raw: Raw<'_>) -> Result<Box<str>, String> {
    const EXPECTED: &str = "a region such as \"eu-central-1\"";
    let text = value::text(raw, EXPECTED)?;
    let good = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
    match text.len() <= 64 && text.bytes().all(good) {
        true => Ok(text.into()),
        false => Err(value::wrong("not a region", raw, EXPECTED)),
    }
}

/// The whole. What cannot be is reported where the operator wrote it.
pub(super) fn settle(draft: &mut scalars::Draft, report: &mut Report) -> Export {
    let mut export = std::mem::take(&mut draft.export);
    export.bucket = bucket(std::mem::take(&mut draft.bucket), &export, report);
    if draft.state_dir.is_none() && !report.is_tried("state-dir") {
        let wanted = [
            ("feed", export.feed),
            ("folder", export.folder.is_some()),
            ("bucket", export.bucket.is_some()),
        ];
        for (key, _) in wanted.iter().filter(|(_, wanted)| *wanted) {
            let key = format!("export.{key}");
            if report.is_set(&key) {
                report.contradiction(&key, "needs state-dir: the feed is made of what is there");
            }
        }
        // By default there is none then.
        export.feed = false;
    }
    // What is laid out has times of its own, and would take the place of what the next start needs.
    let inside = |folder: &PathBuf| {
        let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
        let state = draft
            .state_dir
            .as_deref()
            .and_then(|state| whole(state).ok());
        let folder = whole(folder).ok();
        state
            .zip(folder)
            .is_some_and(|(state, folder)| folder.starts_with(state))
    };
    if export.folder.as_ref().is_some_and(inside) {
        let reason = "inside state-dir (expected a folder elsewhere)";
        report.contradiction("export.folder", reason);
    }
    if !export.has_feed() && report.is_set("export.feed-valid") {
        report.contradiction("export.feed-valid", "means nothing without a feed");
    }
    let http = !draft.http.addresses.is_empty();
    if report.is_set("export.feed") && export.feed && !http {
        let warning = "export.feed does nothing without http.address";
        report.warnings.push(warning.to_owned());
    }
    let given = http || export.file.is_some();
    let laid = export.folder.is_some() || export.bucket.is_some();
    for (key, used) in [("sign-key", given || laid), ("gortr-key", given)] {
        if !used && report.is_set(&format!("export.{key}")) {
            let warning = format!("export.{key} signs nothing: nothing is given out");
            report.warnings.push(warning);
        }
    }
    export
}

fn bucket(draft: Draft, export: &Export, report: &mut Report) -> Option<Bucket> {
    let Some((name, prefix)) = draft.place else {
        for key in ["bucket-endpoint", "bucket-region", "bucket-credentials"] {
            let key = format!("export.{key}");
            if report.is_set(&key) && !report.is_tried("export.bucket") {
                report.contradiction(&key, "means nothing without export.bucket");
            }
        }
        return None;
    };
    if !cfg!(feature = "object-store") {
        let reason = "this build has no storage (expected one with the cargo feature object-store)";
        report.contradiction("export.bucket", reason);
    }
    if export.sign_key.is_none() && !report.is_tried("export.sign-key") {
        let reason = "needs export.sign-key: what is stored elsewhere is believed by its signature";
        report.contradiction("export.bucket", reason);
    }
    if draft.credentials.is_none() && !report.is_tried("export.bucket-credentials") {
        let reason = "needs export.bucket-credentials: a file with the access key id and the \
                      secret access key, a line each";
        report.contradiction("export.bucket", reason);
    }
    Some(Bucket {
        name,
        prefix,
        endpoint: draft.endpoint,
        region: draft.region.unwrap_or_else(|| Bucket::REGION.into()),
        credentials: draft.credentials?,
    })
}
