//! The RTR client: what a router does, for programs.
//!
//! [`fetch`] gets one complete set; a [`Follower`] stays with a cache and tells what changes.

pub mod connection;
pub mod follower;

pub use self::connection::{FetchError, Progress, fetch};
pub use self::follower::{Follower, FollowerConfig, News};
