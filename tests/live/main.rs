//! The server as it runs: real files, real sockets, real processes, real data.
//!
//! What the protocol says is tested in memory, with a virtual clock. Here is what only a running
//! server shows: that a file reaches routers, that slow and broken routers cost nobody else
//! anything, how it starts and stops, and that real lists of years go through it unharmed.
//!
//! Routers are raw sockets with literal octets. Nothing sleeps for what can be awaited, and every
//! wait has an end.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod behind_nginx;
#[cfg(test)]
mod bucket;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod carriers;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod doubts;
#[cfg(test)]
mod exceptions;
#[cfg(test)]
mod expiry;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod followers;
#[cfg(test)]
mod guarding;
#[cfg(test)]
mod http;
#[cfg(test)]
mod https;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod merging;
#[cfg(test)]
mod octets;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod pki;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod real;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod router;
#[cfg(test)]
mod secure;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod ssh;
#[cfg(test)]
mod state_faults;
#[cfg(test)]
mod stayrtr;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod strangers;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod web;
