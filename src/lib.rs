//! rutter: an RPKI-to-Router (RTR) cache server, and the library under it.
//!
//! This page is the map. A pure core turns values into values and octets into octets; an async
//! shell around it moves them. Read the core from the bottom up and the shell from the top down:
//!
//! 1. [`payload`]: what we carry. VRPs, router keys, ASPAs; sets of them in wire order, the
//!    differences between sets, origin validation.
//! 2. [`rtr`]: how it is spoken. PDUs, snapshots with their histories and shared images, and the
//!    two sides of a session as machines without I/O.
//! 3. [`json`]: documents of validators in, ours out. [`slurm`]: local exceptions. [`sign`]:
//!    signatures of what we give out. [`feed`]: what is served as files, for followers and for
//!    the next start.
//! 4. [`net`]: the wire, which knows nothing of RPKI: endpoints, streams, listeners.
//! 5. [`config`]: what the operator's words mean. [`client`]: an RTR client on a connection.
//!    [`http`]: how a running server is spoken to.
//! 6. [`daemon`]: how it runs. Sources, the pipeline, the store, sessions, start and stop.
//!    [`tools`]: what a command runs when it is longer than a file.
//! 7. [`cmd`], [`cli`], [`log`]: the front door.
//!
//! The rules, which a test keeps: a file uses its own folder and lower rows, never its own row
//! and never upwards. The rows are `cli cmd log` › `daemon tools` › `http client config` › `net` › `feed` ›
//! `rtr slurm json sign` › `payload`; `net` uses nothing of ours. The core (`payload`, `rtr`, `slurm`, `json`, `sign`, `feed`) names no socket,
//! file, task, thread, log or clock: the moment and the randomness are arguments.

pub mod cli;
pub mod client;
pub mod cmd;
pub mod config;
pub mod daemon;
pub mod feed;
pub mod http;
pub mod json;
pub mod log;
pub mod net;
pub mod payload;
pub mod rtr;
pub mod sign;
pub mod slurm;
pub mod tools;
