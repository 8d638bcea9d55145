//! The program from outside: what is typed, what it prints, and its exit code.

#[cfg(test)]
mod caches;
#[cfg(test)]
mod certs;
#[cfg(test)]
mod config;
#[cfg(test)]
mod control;
#[cfg(test)]
mod dump;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod hash_password;
#[cfg(test)]
mod program;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod secure;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod sign;
#[cfg(test)]
mod slurm;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod validate;
