//! The state directory on a disk that fails.

mod cuts;
mod damage;
mod faults;
mod files;
mod server;
mod sim;

use crate::feed::tests::Random;
