//! The RTR client: what a router does, for programs.

pub mod connection;

pub use self::connection::{FetchError, Progress, fetch};
