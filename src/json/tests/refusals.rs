//! What is skipped, what is refused, and what is said of it.

use std::io::{Read, Write};
use std::path::Path;

use super::{own, read, read_in};
use crate::json::{Limits, ReadError, Reader, decompress};

fn refusal(document: &[u8]) -> String {
    read(document).unwrap_err().to_string()
}

fn first_skipped(document: &str) -> String {
    let document = read(document.as_bytes()).unwrap();
    document.skipped.first.unwrap().to_string()
}

#[test]
fn bad_rows_are_named() {
    let vrp = |row: &str| first_skipped(&format!(r#"{{"roas":[{row}]}}"#));
    for (row, reason) in [
        (r#"null"#, "roas[0]: not an object"),
        (r#"[{"asn":1}]"#, "roas[0]: not an object"),
        (r#"{"asn":1}"#, "roas[0]: no prefix"),
        (r#"{"asn":1,"prefix":null}"#, "roas[0]: no prefix"),
        (r#"{"prefix":"10.0.0.0/8"}"#, "roas[0]: no asn"),
        (r#"{"asn":1,"prefix":"10.0.0/8"}"#, "roas[0]: not a prefix"),
        (
            r#"{"asn":1,"prefix":"10.0.0.1/8"}"#,
            "roas[0]: address bits past the prefix length are set",
        ),
        (
            r#"{"asn":1,"prefix":"10.0.0.0/8","maxLength":7}"#,
            "roas[0]: max length 7 is not between 8 and 32",
        ),
        (
            r#"{"asn":1,"prefix":"10.0.0.0/8","maxLength":256}"#,
            "roas[0]: not a max length",
        ),
        (
            r#"{"asn":1,"prefix":"10.0.0.0/8","expires":"soon"}"#,
            "roas[0]: not an expiry time",
        ),
        (
            r#"{"asn":1,"prefix":"10.0.0.0/8","ta":{}}"#,
            "roas[0]: not a trust anchor's name",
        ),
    ] {
        assert_eq!(vrp(row), reason);
        // A good row before it moves it, and nothing else.
        let second = vrp(&format!(r#"{{"asn":1,"prefix":"10.0.0.0/8"}}, {row}"#));
        assert_eq!(second, reason.replace("[0]", "[1]"));
    }
    let wrong = vrp(r#"{"asn":"AS","prefix":"10.0.0.0/8"}"#);
    assert!(wrong.starts_with("roas[0]: not an AS number"), "{wrong}");
}

#[test]
fn bad_keys_and_aspas_are_named() {
    for (document, reason) in [
        (
            r#"{"aspas":[{"customer_asid":1,"providers":[1]}]}"#,
            "aspas[0]: the customer is among its own providers",
        ),
        (
            r#"{"aspas":[{"customer":"AS0","providers":["AS1"]}]}"#,
            "aspas[0]: the customer is AS0",
        ),
        (
            r#"{"aspas":[{"customer":1,"providers":[]}]}"#,
            "aspas[0]: there is no provider",
        ),
        (
            r#"{"provider_authorizations":{"ipv6":[{"customer_asid":1,"providers":2}]}}"#,
            "provider_authorizations.ipv6[0]: not a list of providers, or too long a one",
        ),
        (
            r#"{"bgpsec_keys":[{"asn":1,"ski":"00","pubkey":"AAAA"}]}"#,
            "bgpsec_keys[0]: not a key identifier of 40 hexadecimal digits",
        ),
        (
            r#"{"routerKeys":[{"asn":1,"routerPublicKey":"A"}]}"#,
            "routerKeys[0]: a public key that is not base64",
        ),
    ] {
        assert_eq!(first_skipped(document), reason);
    }
}

#[test]
fn too_many_bad_rows_spoil_a_document() {
    let document = own("bgpalerter-roas.before.json");
    let strict = read_in(&document, &Limits::default(), &mut || usize::MAX);
    assert_eq!(
        strict.unwrap_err().to_string(),
        "1 of 5 rows are bad, the first is [4]: address bits past the prefix length are set"
    );
    let row = r#"{"asn":1,"prefix":"10.0.0.0/8"}"#;
    let rows = [row; 19].join(",");
    let just = format!(r#"{{"roas":[{rows},{{}}]}}"#);
    let document = read_in(just.as_bytes(), &Limits::default(), &mut || usize::MAX);
    assert_eq!(document.unwrap().skipped.count, 1);
}

#[test]
fn says_where_the_syntax_breaks() {
    assert_eq!(
        refusal(b"{\n \"roas\": [\n  {\"asn\" 1}]}"),
        "line 3, column 10 (offset 22): expected a colon"
    );
    assert_eq!(
        refusal(b"{\"roas\":[]} x"),
        "line 1, column 13 (offset 12): expected the end of the document"
    );
    assert_eq!(
        refusal(b"{\"roas\":["),
        "line 1, column 10 (offset 9): the document is cut short"
    );
    assert_eq!(
        refusal(b"{\"roas\":{}}"),
        "line 1, column 9 (offset 8): expected a list of rows"
    );
}

#[test]
fn says_what_something_else_looks_like() {
    let looks_like = |document: &[u8]| {
        let error = refusal(document);
        let (_, form) = error.split_once("it looks like ").unwrap();
        form.to_owned()
    };
    let bird = "a BIRD configuration";
    assert_eq!(looks_like(&own("routinator-output-100.bird1")), bird);
    assert_eq!(looks_like(&own("routinator-output-100.bird2")), bird);
    let openbgpd = own("routinator-output-100.openbgpd");
    assert_eq!(looks_like(&openbgpd), "an OpenBGPD configuration");
    let page = b"\n<!DOCTYPE html><title>502</title>";
    assert_eq!(looks_like(page), "an HTML or XML page");
    assert_eq!(looks_like(b"\nroute: 10.0.0.0/8\n"), "RPSL objects");
    assert_eq!(looks_like(b" \n"), "an empty file");
    assert_eq!(looks_like(b"Not Found"), "nothing known");
    assert_eq!(looks_like(b"\x1f\x8b\x08\n"), "compressed data");
    assert_eq!(looks_like(&[b'x'; 100_000]), "nothing known");
    assert_eq!(
        refusal(b"{\"error\":\"not yet\",\"announced\":[]}"),
        "no roas, routerKeys, bgpsec_keys, aspas or metadata"
    );
}

#[test]
fn nothing_is_taken_after_a_refusal() {
    let mut reader = Reader::new(Limits::default());
    assert!(reader.feed(b"{\"roas\":[}").is_err());
    assert!(matches!(reader.feed(b"]}"), Err(ReadError::Refused)));
    assert!(matches!(reader.finish(), Err(ReadError::Refused)));
}

#[test]
fn limits_hold() {
    let rows = r#"[{"asn":1,"prefix":"10.0.0.0/8"},{"asn":2,"prefix":"10.0.0.0/8"}]"#;
    let two = Limits {
        rows: 2,
        ..Limits::default()
    };
    let one = Limits {
        rows: 1,
        ..Limits::default()
    };
    assert!(read_in(rows.as_bytes(), &two, &mut || 1).is_ok());
    let error = read_in(rows.as_bytes(), &one, &mut || 1).unwrap_err();
    assert_eq!(error.to_string(), "more than 1 rows");

    let deep = format!("{{\"roas\":[{{\"x\":{}", "[".repeat(100_000));
    assert!(refusal(deep.as_bytes()).ends_with("nested deeper than 32"));
    let deep = format!("{{\"other\":{}", "[".repeat(100_000));
    assert!(refusal(deep.as_bytes()).ends_with("nested deeper than 32"));
    let long = format!("{{\"other\":\"{}\"}}", "x".repeat(100_000));
    assert!(refusal(long.as_bytes()).ends_with("longer than 65536 octets"));
    let numbers = ["7"; 16_381].join(",");
    let many = format!(r#"{{"aspas":[{{"customer":1,"providers":[{numbers}]}}]}}"#);
    assert!(first_skipped(&many).ends_with("or too long a one"));
}

#[test]
fn decompresses_what_it_is_given() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vrp");
    let name = "prefix-array.rpki-validator-test.json.xz";
    let xz = std::fs::read(folder.join(name)).unwrap();
    let plain = own(name);
    let expected = read(&plain).unwrap();
    let limits = Limits::default();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
    for octets in [plain, gzip, xz, zstd] {
        let document = decompress::read(octets.as_slice(), &limits).unwrap();
        assert_eq!(document, expected);
        for end in [1, 7, octets.len() / 2, octets.len() - 1] {
            let cut = &octets[..end];
            assert!(decompress::read(cut, &limits).is_err(), "{end}");
        }
    }
    let empty = decompress::read([].as_slice(), &limits);
    assert!(matches!(empty, Err(ReadError::Unreadable { .. })));
}

#[test]
fn a_bomb_does_not_go_off() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let head = br#"{"roas":[],"x":["#.as_slice();
    let body = std::io::repeat(b' ').take(50_000_000);
    std::io::copy(&mut head.chain(body), &mut gzip).unwrap();
    let gzip = gzip.finish().unwrap();
    assert!(gzip.len() < 100_000);
    let limits = Limits {
        octets: 1_000_000,
        ..Limits::default()
    };
    let error = decompress::read(gzip.as_slice(), &limits).unwrap_err();
    assert!(matches!(error, ReadError::TooLarge { limit: 1_000_000 }));
}
