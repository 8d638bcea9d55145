//! The keys that a leader signs with.

use std::path::PathBuf;

use super::super::error::SourceError;
use crate::net::files;
use crate::sign::VerifyKey;

/// The longest file with a public key, in octets.
const MAX_OCTETS: u64 = 64 * 1024;

/// Reads the keys anew. Blocks.
///
/// # Errors
///
/// When one of the files cannot be used: with fewer keys a leader that changes its key would be
/// lost.
pub(super) fn load(paths: &[PathBuf]) -> Result<Vec<VerifyKey>, SourceError> {
    let load = |path: &PathBuf| {
        let refused = |error: String| SourceError::Secret {
            what: "public key of the leader".into(),
            path: path.clone(),
            error: error.into(),
        };
        let text = files::read(path, MAX_OCTETS);
        let text = text.map_err(|error| refused(error.cause.into()))?;
        VerifyKey::from_pem(&text).map_err(|error| refused(error.to_string()))
    };
    paths.iter().map(load).collect()
}
