//! What we write is what we read.

use std::sync::Arc;

use super::{own, read};
use crate::json::Dialect;
use crate::json::write::{DumpMetadata, csv, json};
use crate::payload::{DataSet, PayloadSet, Rows};

fn written(set: &PayloadSet, metadata: &DumpMetadata) -> Vec<u8> {
    let mut out = Vec::new();
    json(&mut out, set, metadata).unwrap();
    out
}

#[test]
fn a_dump_has_the_shape_of_rtrdump() {
    let set = read(&own("routinator-output-111.json")).unwrap().rows;
    let metadata = DumpMetadata {
        session_id: Some(7),
        serial: Some(42),
    };
    let dump = written(DataSet::new(&set).payload(), &metadata);
    let expected = format!(
        concat!(
            r#"{{"metadata":{{"vrps":1,"bgpsec_pubkeys":1,"aspas":1,"sessionid":7,"serial":42}},"#,
            "\n\"roas\":[\n",
            r#"{{"prefix":"12.34.56.0/24","maxLength":24,"asn":1234}}"#,
            "\n],\n\"bgpsec_keys\":[\n",
            r#"{{"asn":1234,"ski":"{}","pubkey":"{}"}}"#,
            "\n],\n\"aspas\":[\n",
            r#"{{"customer_asid":1234,"providers":[1,2,3,4]}}"#,
            "\n]}}\n"
        ),
        "0".repeat(40),
        "A".repeat(91 * 4 / 3 + 1) + "=="
    );
    let key = own("routinator-output-111.json");
    let key = String::from_utf8(key).unwrap();
    let (_, key) = key.split_once("routerPublicKey\": \"").unwrap();
    let (key, _) = key.split_once('"').unwrap();
    let padded = key.to_owned() + &"=".repeat((4 - key.len() % 4) % 4);
    let expected = expected.replace(&("A".repeat(91 * 4 / 3 + 1) + "=="), &padded);
    assert_eq!(String::from_utf8(dump).unwrap(), expected);
}

#[test]
fn an_empty_dump_is_json_too() {
    let dump = written(&PayloadSet::default(), &DumpMetadata::default());
    let value: serde_json::Value = serde_json::from_slice(&dump).unwrap();
    let expected = r#"{"metadata":{"vrps":0,"bgpsec_pubkeys":0,"aspas":0},
        "roas":[],"bgpsec_keys":[],"aspas":[]}"#;
    assert_eq!(
        value,
        serde_json::from_str::<serde_json::Value>(expected).unwrap()
    );
    assert!(read(&dump).unwrap().rows.is_empty());
}

#[test]
fn reading_back_gives_the_same_set() {
    for name in [
        "rpki-client-2024.apnic-rpki-rtr-demo.json",
        "rpki-client-2023.stayrtr-test.rpki.json",
        "ripe-2018-02-01.validator3-roas-response.json.xz",
        "prefix-array.rpki-validator-test.json.xz",
    ] {
        let set = DataSet::new(&read(&own(name)).unwrap().rows);
        let set = set.payload();
        let dump = written(set, &DumpMetadata::default());
        assert!(serde_json::from_slice::<serde_json::Value>(&dump).is_ok());
        let back = read(&dump).unwrap();
        assert_eq!(back.dialect, Dialect::RpkiClient);
        assert_eq!(DataSet::new(&back.rows).payload(), set, "{name}");

        let mut list = Vec::new();
        csv(&mut list, set).unwrap();
        let back: Rows = read(&list).unwrap().rows;
        assert_eq!(back.v4().records(), &Arc::new(set.v4().to_vec()), "{name}");
        assert_eq!(back.v6().records(), &Arc::new(set.v6().to_vec()), "{name}");
    }
}
