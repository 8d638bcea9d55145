//! The built server against other people's programs.
//!
//! Each test starts the server on a free port, lets one router program or client load 1,500 VRPs
//! from it, replaces the file (+30 −20), and, over plain TCP, then kills the server and starts it
//! again on another list (+10 −5). After every step the whole set that the program holds must
//! become the set that is served, within a time that the program's own habits allow. Over TLS, SSH
//! and signed TCP the keys are made by our own script for them. What a program does not know is
//! asked of it, too, and all of it makes the README's table (`table`).
//!
//! The programs are Debian's, started with their own sockets in temporary folders; no system
//! service is touched. Each wants its own seed and its own patience, so they run side by side.

#[cfg(test)]
mod bird;
#[cfg(test)]
mod door;
#[cfg(test)]
mod frr;
#[cfg(test)]
mod gobgp;
#[cfg(test)]
mod held;
#[cfg(test)]
mod one_shot;
#[cfg(test)]
mod openbgpd;
#[cfg(test)]
mod pipes;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod rpki_rs;
#[cfg(test)]
mod rtr_client;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod static_tables;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod table;
