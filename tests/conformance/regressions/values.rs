//! Values as they show themselves.

use rutter::payload::{DataSet, Delta};

use crate::pair::{aspa, data, key, vrp};

/// The `Debug` of a VRP called itself until the stack ended, and with it the process.
#[test]
fn values_can_be_shown() {
    let v4 = vrp("192.0.2.0/24-26 64496");
    assert_eq!(format!("{v4:?}"), "V4(192.0.2.0/24-26 AS64496)");
    let v6 = vrp("2001:db8::/32 64496");
    assert_eq!(format!("{v6:?}"), "V6(2001:db8::/32-32 AS64496)");
    assert_eq!(
        format!("{:?}", key(0xab, "5")),
        format!("{} AS5", "ab".repeat(20))
    );
    assert_eq!(format!("{:?}", aspa("5", &["1"])), "AS5 by [Asn(1)]");
    let data = data("192.0.2.0/24 1; 2001:db8::/32 1; key 1 2; aspa 3 4");
    let delta = Delta::between(DataSet::default().payload(), data.payload());
    for text in [format!("{data:?}"), format!("{delta:?}")] {
        assert!(text.contains("192.0.2.0/24-24 AS1"), "{text}");
        assert!(text.contains("2001:db8::/32-32 AS1"), "{text}");
    }
}
