//! THE WIRE: byte streams to and from peers. Knows nothing of RPKI.
//!
//! An [`Endpoint`] is what an operator writes. Read in this order: [`endpoint`] with [`host`] and
//! [`url`].

pub mod endpoint;
pub mod host;
pub mod url;

pub use self::endpoint::{Endpoint, EndpointError};
pub use self::host::{Host, HostPort};
pub use self::url::Url;
