//! The state directory on a disk that fails.

mod cuts;
mod damage;
mod faults;
mod files;
mod server;
mod sim;

use crate::feed::tests::Random;
use crate::payload::{Asn, Attribute, DataSet, RowsBuilder, Vrp};

/// So many VRPs, each of another prefix and AS.
pub(in crate::daemon) fn data(count: u32) -> DataSet {
    let mut rows = RowsBuilder::new();
    for number in 0..count {
        let prefix = format!("10.{}.{}.0/24", number / 256, number % 256).parse();
        let vrp = Vrp::new(prefix.unwrap(), 24, Asn::new(number)).unwrap();
        rows.push_vrp(vrp, Attribute::default());
    }
    DataSet::new(&rows.finish())
}
