//! HTTP: how a running rutter is spoken to.
//!
//! One [`Server`] for TCP and for the control socket, which speaks the [`shape`]s of the API and
//! the text of [`metrics`]; and [`control`], the client for that socket. The server must not know
//! the daemon it speaks for: the daemon hands it a [`Backend`]. Read in this order: [`shape`],
//! [`backend`], [`server`], [`metrics`], [`control`]; [`explain`] is why a route is what it is.
//! What is large or keeps is answered by `documents` and `feed`, which share `files`.
//!
//! | path | is |
//! |---|---|
//! | `GET /` | the paths, for people |
//! | `GET /metrics` | Prometheus text, or OpenMetrics when asked for |
//! | `GET /healthz` | 200 while the process works |
//! | `GET /readyz` | [`shape::Ready`]; 200 when routers can rely on it, else 503 |
//! | `GET /api/v1/status` | [`shape::Status`] |
//! | `GET /api/v1/explain/PREFIX?asn=` | what becomes of a prefix, and why |
//! | `GET /api/v1/disagreement?limit=` | what the sources disagree on |
//! | `GET /rpki.json` | what is served, in rpki-client's dialect; `/rpki.json.jws` signs for it |
//! | `GET /rpki.csv` `/rpki.bird` `/rpki.openbgpd` | the same for others |
//! | `GET /feed/manifest.jws?wait=` | what followers are told; `manifest.json` when it is not signed |
//! | `GET /feed/NAME` | a file that a manifest names |
//! | `POST /api/v1/reload` | reads the configuration again |
//! | `POST /api/v1/refresh?source=` | asks the sources now |
//! | `POST /api/v1/approve?digest=` | lets a held update through; `{"digest":…}` is taken as well |
//!
//! A `POST` is answered when it is done: 200 with a summary, else [`shape::Problem`] with 409 when
//! it was refused. Over TCP it needs a bearer token.
//!
//! Documents, manifests and files have validators: a client that has them already gets 304. They
//! say how long caches may keep them; nothing else is to be kept.

mod access;
pub mod backend;
pub mod control;
mod counts;
mod documents;
pub mod explain;
mod fault;
mod feed;
mod files;
pub mod metrics;
mod routes;
pub mod server;
pub mod shape;
mod socket;
mod stall;
#[cfg(test)]
mod tests;

pub use self::access::Access;
pub use self::backend::{Backend, Command, Refusal, RefusalKind, Request};
pub use self::server::{BindError, Limits, Server};
