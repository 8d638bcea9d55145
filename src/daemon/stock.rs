//! What the disk holds of the history that is served.

use std::path::Path;
use std::sync::Arc;

use super::authority::Authority;
use crate::feed::Manifest;

/// The state that the disk holds, of which a feed is made. The pipeline tells of it whenever it
/// changes, after routers were told of the serial.
#[derive(Clone, Debug)]
pub struct Stock {
    /// What names the files. Its times are those of the disk, and no followers are told them.
    pub manifest: Manifest,
    /// The folder with the files.
    pub folder: Arc<Path>,
    /// Whose history it is.
    pub authority: Authority,
    /// Whether routers get it: while data are withheld, followers get none either.
    pub served: bool,
}
