//! Each real document is read as what it is.

use super::{lenient, own, read, read_in, shared, unpacked};
use crate::json::{Dialect, Document, Limits};
use crate::payload::UnixTime;

/// Dialect, rows listed, bad ones, IPv4 and IPv6 VRPs, router keys, ASPA records.
type Counts = (Dialect, usize, usize, usize, usize, usize, usize);

fn counts(document: &Document) -> Counts {
    let rows = &document.rows;
    (
        document.dialect,
        document.listed,
        document.skipped.count,
        rows.v4().len(),
        rows.v6().len(),
        rows.router_keys().len(),
        rows.aspas().len(),
    )
}

#[test]
fn own_documents_have_the_rows_they_are_known_for() {
    use Dialect::{Array, Csv, CsvExt, Gortr, Routinator, RoutinatorExt, RpkiClient, Validator3};
    let expected: [(&str, Counts); 16] = [
        ("bgpalerter-roas.after.json", (Array, 2, 0, 1, 1, 0, 0)),
        ("bgpalerter-roas.before.json", (Array, 5, 1, 2, 2, 0, 0)),
        ("bgpalerter-vrp.correct.json", (Array, 3, 0, 3, 0, 0, 0)),
        ("bgpalerter-vrp.wrong.json", (Array, 2, 1, 1, 0, 0, 0)),
        (
            "gortr-signed.rtrtr-vrps-metadata.json",
            (Gortr, 2, 0, 1, 1, 0, 0),
        ),
        ("gortr-test.rpki.json", (Gortr, 2, 0, 2, 0, 0, 0)),
        (
            "prefix-array.rpki-validator-test.json.xz",
            (Array, 5000, 0, 4455, 545, 0, 0),
        ),
        (
            "ripe-2018-02-01.validator3-roas-response.json.xz",
            (Validator3, 31_898, 0, 28_013, 3_885, 0, 0),
        ),
        (
            "ripe-validator3-roas-response-0-10.json",
            (Validator3, 10, 0, 10, 0, 0, 0),
        ),
        ("routinator-output-000.json", (Routinator, 0, 0, 0, 0, 0, 0)),
        ("routinator-output-111.json", (Routinator, 6, 0, 1, 0, 1, 1)),
        (
            "routinator-output-111.jsonext",
            (RoutinatorExt, 6, 0, 1, 0, 1, 1),
        ),
        ("routinator-output-100.csvcompat", (Csv, 2, 0, 1, 0, 0, 0)),
        ("routinator-output-100.csvext", (CsvExt, 2, 0, 1, 0, 0, 0)),
        (
            "rpki-client-2020.rtrtr-vrps-metadata.json",
            (RpkiClient, 2, 0, 1, 1, 0, 0),
        ),
        (
            "rpki-client-2024.apnic-rpki-rtr-demo.json",
            (RpkiClient, 11, 0, 7, 0, 1, 3),
        ),
    ];
    for (name, expected) in expected {
        assert_eq!(counts(&read(&own(name)).unwrap()), expected, "{name}");
    }
}
