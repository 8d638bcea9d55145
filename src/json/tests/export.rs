//! What is exported is what others read, and what we read again without loss.

use super::{own, read};
use crate::json::export::{ExportMetadata, bird, csv, json, openbgpd};
use crate::json::{Dialect, Metadata};
use crate::payload::rows::RowsBuilder;
use crate::payload::{Asn, Aspa, Attribute, DataSet, RouterKey, Rows, UnixTime, Vrp};

const ABOUT: ExportMetadata<'static> = ExportMetadata {
    generated: Some(UnixTime::new(1_700_000_000)),
    valid: Some(UnixTime::new(1_700_007_200)),
    serial: Some(42),
    session_id: Some(7),
    gortr: None,
};

fn sample() -> DataSet {
    let mut rows = RowsBuilder::new();
    let ripe = rows.trust_anchor("ripe");
    let odd = rows.trust_anchor("a\"b,c");
    let until = |seconds| Some(UnixTime::new(seconds));
    let vrp = |prefix: &str, max_len, asn| {
        Vrp::new(prefix.parse().unwrap(), max_len, Asn::new(asn)).unwrap()
    };
    rows.push_vrp(
        vrp("192.0.2.0/24", 24, 64_496),
        Attribute::new(until(1_700_001_000), ripe),
    );
    rows.push_vrp(
        vrp("2001:db8::/32", 48, 4_200_000_000),
        Attribute::new(None, odd),
    );
    let key = RouterKey::new([0xab; 20], Asn::new(64_497), &[1, 2, 3]);
    rows.push_router_key(key.unwrap(), Attribute::new(until(1_700_002_000), ripe));
    for (customer, providers) in [(64_500, vec![64_501, 64_502]), (64_510, vec![0])] {
        let providers = providers.into_iter().map(Asn::new).collect();
        let aspa = Aspa::new(Asn::new(customer), providers);
        rows.push_aspa(aspa.unwrap(), Attribute::new(until(1_700_003_000), ripe));
    }
    DataSet::new(&rows.finish())
}

fn written(data: &DataSet, about: &ExportMetadata<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    json(&mut out, data, about).unwrap();
    out
}

#[test]
fn an_export_has_what_every_reader_looks_for() {
    let about = ExportMetadata {
        gortr: Some(("aa", "bb")),
        ..ABOUT
    };
    let value: serde_json::Value = serde_json::from_slice(&written(&sample(), &about)).unwrap();
    let expected = serde_json::json!({
        "metadata": {
            "buildmachine": "rutter",
            "buildtime": "2023-11-14T22:13:20Z",
            "generated": 1_700_000_000,
            "generatedTime": "2023-11-14T22:13:20Z",
            "valid": 1_700_007_200,
            "counts": 2,
            "vrps": 2,
            "uniquevrps": 2,
            "bgpsec_pubkeys": 1,
            "aspas": 2,
            "serial": 42,
            "sessionid": 7,
            "signature": "aa",
            "signatureDate": "bb",
        },
        "roas": [
            {"prefix": "192.0.2.0/24", "maxLength": 24, "asn": 64_496,
             "ta": "ripe", "expires": 1_700_001_000},
            {"prefix": "2001:db8::/32", "maxLength": 48, "asn": 4_200_000_000_u32,
             "ta": "a\"b,c", "expires": 4_294_967_295_u32},
        ],
        "bgpsec_keys": [
            {"asn": 64_497, "ski": "AB".repeat(20), "pubkey": "AQID",
             "ta": "ripe", "expires": 1_700_002_000},
        ],
        "aspas": [
            {"customer_asid": 64_500, "providers": [64_501, 64_502],
             "ta": "ripe", "expires": 1_700_003_000},
            {"customer_asid": 64_510, "providers": [0],
             "ta": "ripe", "expires": 1_700_003_000},
        ],
    });
    assert_eq!(value, expected);
}

#[test]
fn nothing_is_lost_on_the_way_out_and_in() {
    let data = sample();
    let document = read(&written(&data, &ABOUT)).unwrap();
    assert_eq!(document.dialect, Dialect::RpkiClient);
    assert_eq!(document.metadata.buildtime, ABOUT.generated);
    assert_eq!(document.metadata.valid, ABOUT.valid);
    assert_eq!(document.metadata.serial, Some(42));
    assert_eq!(&document.rows, data.rows());
    let data = DataSet::new(&read(&own("routinator-output-111.json")).unwrap().rows);
    let again = read(&written(&data, &ABOUT)).unwrap();
    assert_eq!(&again.rows, data.rows());
}

#[test]
fn what_is_not_known_is_left_out() {
    let document = written(&sample(), &ExportMetadata::default());
    let value: serde_json::Value = serde_json::from_slice(&document).unwrap();
    let expected = serde_json::json!({
        "buildmachine": "rutter",
        "counts": 2,
        "vrps": 2,
        "uniquevrps": 2,
        "bgpsec_pubkeys": 1,
        "aspas": 2,
    });
    assert_eq!(value["metadata"], expected);
    let document = read(&document).unwrap();
    assert_eq!(document.dialect, Dialect::RpkiClient);
    assert_eq!(document.metadata, Metadata::default());
}

/// What is known of each payload, with the names of trust anchors: their numbers follow the order
/// in which they come.
fn known(data: &DataSet) -> Vec<(Option<UnixTime>, Option<&str>)> {
    let anchors = data.trust_anchors();
    let known = |attribute: &Attribute| {
        let anchor = anchors.name(attribute.trust_anchor());
        (attribute.expires(), anchor)
    };
    data.attributes().map(known).collect()
}

#[test]
fn real_lists_come_back_as_they_were() {
    for name in [
        "rpki-client-2024.apnic-rpki-rtr-demo.json",
        "rpki-client-2023.stayrtr-test.rpki.json",
        "ripe-2018-02-01.validator3-roas-response.json.xz",
        "prefix-array.rpki-validator-test.json.xz",
    ] {
        let data = DataSet::new(&read(&own(name)).unwrap().rows);
        let back = DataSet::new(&read(&written(&data, &ABOUT)).unwrap().rows);
        assert_eq!(back.payload(), data.payload(), "{name}");
        assert!(known(&back) == known(&data), "{name}");

        let mut list = Vec::new();
        csv(&mut list, &data).unwrap();
        let back = DataSet::new(&read(&list).unwrap().rows);
        assert_eq!(back.payload().v4(), data.payload().v4(), "{name}");
        assert_eq!(back.payload().v6(), data.payload().v6(), "{name}");
    }
}

#[test]
fn an_empty_export_is_json_too() {
    let data = DataSet::new(&Rows::default());
    assert!(read(&written(&data, &ABOUT)).unwrap().rows.is_empty());
}

#[test]
fn csv_keeps_its_columns_whatever_a_name_has_in_it() {
    let mut out = Vec::new();
    csv(&mut out, &sample()).unwrap();
    let expected = "ASN,IP Prefix,Max Length,Trust Anchor,Expires\n\
         AS64496,192.0.2.0/24,24,ripe,1700001000\n\
         AS4200000000,2001:db8::/32,48,a b c,4294967295\n";
    assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
    assert_eq!(read(&out).unwrap().rows.len(), 2);
}

#[test]
fn tables_are_those_of_the_routers() {
    let data = sample();
    let text = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    };
    let roas = "roa4 table ROAS4;\nroa6 table ROAS6;\n\n\
         protocol static {\n\troa4 { table ROAS4; };\n\
         \troute 192.0.2.0/24 max 24 as 64496;\n}\n\n\
         protocol static {\n\troa6 { table ROAS6; };\n\
         \troute 2001:db8::/32 max 48 as 4200000000;\n}\n";
    let aspas = "\naspa table ASPAS;\n\nprotocol static {\n\taspa { table ASPAS; };\n\
         \troute aspa 64500 providers 64501, 64502;\n\
         \troute aspa 64510 transit;\n}\n";
    assert_eq!(text(&|out| bird(out, &data, false).unwrap()), roas);
    let both = format!("{roas}{aspas}");
    assert_eq!(text(&|out| bird(out, &data, true).unwrap()), both);

    let roas = "roa-set {\n\t192.0.2.0/24 source-as 64496 expires 1700001000\n\
         \t2001:db8::/32 maxlen 48 source-as 4200000000\n}\n";
    let aspas = "\naspa-set {\n\
         \tcustomer-as 64500 expires 1700003000 provider-as { 64501 64502 }\n\
         \tcustomer-as 64510 expires 1700003000 provider-as { 0 }\n}\n";
    assert_eq!(text(&|out| openbgpd(out, &data, false).unwrap()), roas);
    let both = format!("{roas}{aspas}");
    assert_eq!(text(&|out| openbgpd(out, &data, true).unwrap()), both);
}
