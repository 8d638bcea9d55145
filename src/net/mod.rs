//! THE WIRE: byte streams to and from peers. Knows nothing of RPKI.
//!
//! An [`Endpoint`] is what an operator writes, a [`Stream`] is what comes of it, and a [`Peer`] is
//! who is at its other end. [`Listener`] and [`dial()`] make streams. Read in this order:
//! [`endpoint`] with [`host`] and [`url`], [`peer`], [`stream`], [`sys`], [`access`], [`gate`],
//! [`files`], [`md5`], [`listen`], [`refused`], [`proxy`], [`acceptor`] with [`tls`] and [`ssh`], [`dial`](mod@dial).
//!
//! Streams carry octets in both directions and know when the transport takes them; what the
//! octets mean, and how long a peer may be silent, is for the caller to know.

pub mod acceptor;
pub mod access;
pub mod dial;
pub mod endpoint;
pub mod files;
pub mod gate;
pub mod host;
pub mod listen;
pub mod md5;
pub mod peer;
pub mod proxy;
pub mod refused;
pub mod secret;
pub mod ssh;
pub mod stream;
pub mod sys;
pub mod tls;
pub mod url;

pub use self::acceptor::Acceptor;
pub use self::access::AccessList;
pub use self::dial::{DialError, Target, dial};
pub use self::endpoint::{Endpoint, EndpointError};
pub use self::gate::Gate;
pub use self::host::{Host, HostPort};
pub use self::listen::Listener;
pub use self::md5::Md5Key;
pub use self::peer::{Identity, Peer, Transport};
pub use self::refused::{Reason, Refused};
pub use self::secret::Secret;
pub use self::stream::Stream;
pub use self::sys::TcpOptions;
pub use self::url::Url;
