//! `rutter hash-password`.

use std::ops::RangeInclusive;

use clap::Args;
use clap::builder::RangedI64ValueParser;

use crate::net::ssh::{self, password::Cost};

/// `rutter hash-password`.
#[derive(Args, Debug)]
pub struct HashPassword {
    /// Print a whole line of a users file, for this user
    #[arg(long, value_name = "NAME", value_parser = user_name)]
    pub user: Option<String>,
    /// The memory that trying a password takes, in KiB
    #[arg(long, value_name = "KIB", default_value_t = Cost::default().memory_kib, value_parser = within(Cost::MEMORY_KIB))]
    pub memory: u32,
    /// The passes over that memory
    #[arg(long, value_name = "NUMBER", default_value_t = Cost::default().passes, value_parser = within(Cost::PASSES))]
    pub passes: u32,
    /// The lanes of that memory
    #[arg(long, value_name = "NUMBER", default_value_t = Cost::default().lanes, value_parser = within(Cost::LANES))]
    pub lanes: u32,
}

fn within(range: RangeInclusive<u32>) -> RangedI64ValueParser<u32> {
    let (start, end) = (i64::from(*range.start()), i64::from(*range.end()));
    clap::value_parser!(u32).range(start..=end)
}

fn user_name(name: &str) -> Result<String, &'static str> {
    ssh::check_name(name).map(|()| name.to_owned())
}

pub(super) const HASH_PASSWORD_EXAMPLES: &str = "\
Examples:
  rutter hash-password --user router1 >> /etc/rutter/ssh-users
      Ask for a password twice, without showing it, and add the user.
  rutter hash-password --memory 65536 --passes 3
      A hash that costs more to try; the server tries one password at a time.
  pwgen -s 24 1 | tee password | rutter hash-password --user router1
      Take the first line of a pipe.

The password is hashed with Argon2id and a new salt. It has 1 to 1024 octets of UTF-8, and never
stands on the command line, where others could read it.

Exit status: 0 when the hash is printed; 2 when there is none: the password was empty, too long or
not typed twice the same.";
