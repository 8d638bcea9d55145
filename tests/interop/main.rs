//! The built server against other people's programs.
//!
//! Each test starts the server on a free port, lets one router program or client load 1,500 VRPs
//! from it, replaces the file (+30 −20), and then kills the server and starts it again on another
//! list (+10 −5). After every step the whole set that the program holds must become the set that
//! is served, within a time that the program's own habits allow.
//!
//! The programs are Debian's, started with their own sockets in temporary folders; no system
//! service is touched. Each wants its own seed and its own patience, so they run side by side.

#[cfg(test)]
mod bird;
#[cfg(test)]
mod frr;
#[cfg(test)]
mod gobgp;
#[cfg(test)]
mod one_shot;
#[cfg(test)]
mod openbgpd;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod rpki_rs;
#[cfg(test)]
mod scenario;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
