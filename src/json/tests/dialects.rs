//! Each real document is read as what it is.

use super::{own, read, read_in, shared, unpacked};
use crate::json::{Dialect, Document, Limits};
use crate::payload::{UnixTime, Vrp};

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

#[test]
fn shared_documents_have_the_rows_they_are_known_for() {
    use Dialect::{Csv, Gortr, Plain, Routinator, RpkiClient};
    let Some(folder) = shared() else { return };
    let expected: [(&str, Counts); 12] = [
        // Two AS numbers became negative at the source.
        (
            "global-2020-02-17.bgpsquelch-roa.csv.xz",
            (Csv, 130_043, 2, 111_357, 18_684, 0, 0),
        ),
        (
            "global-2020-02-17.routinator.csv.xz",
            (Csv, 130_043, 2, 111_357, 18_684, 0, 0),
        ),
        (
            "derived-440k.rpki-client.json.xz",
            (RpkiClient, 440_556, 0, 350_096, 90_460, 0, 0),
        ),
        (
            "afrinic-2024-01-01.routinator.json.xz",
            (Routinator, 9_760, 0, 9_085, 675, 0, 0),
        ),
        // Two without AS, one without prefix, and one twice.
        (
            "dn42-2022-01-29.export_dn42.json.xz",
            (Gortr, 3_312, 3, 1_756, 1_552, 0, 0),
        ),
        (
            "neonetwork-2026-08-21.roa46.json",
            (Gortr, 190, 0, 108, 82, 0, 0),
        ),
        // 48 is no max length for IPv4, and 24 none for a /26.
        (
            "dialects/dn42-2018-12-10-maxlength-strings.json.xz",
            (Plain, 1_875, 1_561, 314, 0, 0, 0),
        ),
        (
            "dialects/dn42-2019-01-05-comments-mixed-maxlength.json.xz",
            (Plain, 2_597, 0, 1_890, 707, 0, 0),
        ),
        (
            "dialects/bgpsec-keys-2021-11-21.rpkilog.json",
            (RpkiClient, 2, 0, 0, 0, 2, 0),
        ),
        (
            "dialects/aspas-real-assembled.rpki-client.json",
            (RpkiClient, 16, 0, 0, 0, 0, 16),
        ),
        ("dialects/frr-topotest-vrps.csv", (Csv, 4, 0, 3, 1, 0, 0)),
        (
            "dialects/three-column.rpki-irr-bgp-stats-roas.csv",
            (Csv, 49, 0, 45, 4, 0, 0),
        ),
    ];
    for (name, expected) in expected {
        let document = read(&unpacked(&folder.join(name))).unwrap();
        assert_eq!(counts(&document), expected, "{name}");
    }
}

#[test]
fn a_series_has_the_lists_it_is_known_for() {
    let Some(folder) = shared() else { return };
    let archive = unpacked(&folder.join("series/global-2017-weekly.csv.tar.xz"));
    let unique: Vec<usize> = members(&archive)
        .map(|member| read(member).unwrap().rows.len())
        .collect();
    let known = [
        38_575, 38_840, 38_980, 39_140, 39_319, 39_570, 40_025, 40_203, 40_335,
    ];
    assert_eq!(unique, known);
    for (name, members_known) in [
        ("series/dn42-2021-05.export_dn42.tar.xz", 87),
        ("series/neonetwork-2020-07.roa46.tar.xz", 90),
    ] {
        let archive = unpacked(&folder.join(name));
        for member in members(&archive) {
            let document = read_in(member, &Limits::default(), &mut || 4096).unwrap();
            assert!(document.skipped.count <= 3 && document.metadata.valid.is_some());
        }
        assert_eq!(members(&archive).count(), members_known);
    }
}

/// The files of a tar archive.
fn members(archive: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = archive;
    std::iter::from_fn(move || {
        loop {
            let (header, body) = rest.split_at_checked(512)?;
            let size = header[124..136].split(|octet| *octet == 0).next()?;
            let size = usize::from_str_radix(std::str::from_utf8(size).ok()?.trim(), 8).ok()?;
            rest = body.get(size.next_multiple_of(512)..)?;
            if matches!(header[156], b'0' | 0) {
                return body.get(..size);
            }
        }
    })
}

#[test]
fn metadata_is_kept() {
    let of = |name: &str| read(&own(name)).unwrap().metadata;
    let client = of("rpki-client-2024.apnic-rpki-rtr-demo.json");
    assert_eq!(client.buildtime, Some(UnixTime::new(1_710_644_073)));
    let gortr = of("gortr-test.rpki.json");
    assert_eq!(gortr.generated, Some(UnixTime::new(1_577_865_600)));
    assert_eq!(gortr.valid, Some(UnixTime::new(1_577_866_200)));
    assert_eq!(gortr.serial, Some(1));
    let routinator = of("routinator-output-000.json");
    assert_eq!(routinator.generated, Some(UnixTime::new(0)));
    let broken = read(br#"{"metadata":{"buildtime":"now","serial":4294967296}}"#);
    assert_eq!(broken.unwrap().metadata, Default::default());
}

#[test]
fn sources_say_when_a_row_expires() {
    let row = |sources: &str| {
        let document =
            format!(r#"{{"roas":[{{"asn":"AS1","prefix":"10.0.0.0/8","source":{sources}}}]}}"#);
        let document = read(document.as_bytes()).unwrap();
        let rows = document.rows;
        let (_, attribute) = rows.v4().iter().next()?;
        let name = rows.trust_anchors().name(attribute.trust_anchor());
        let expires = attribute.expires().map(UnixTime::seconds);
        Some((expires, name.map(str::to_owned)))
    };
    let source = |tal: &str, own: u8, chain: u8, stale: u8| {
        format!(
            r#"{{"type":"roa","uri":"rsync://x/y","tal":"{tal}",
            "validity":{{"notBefore":"1970-01-01T00:00:00Z","notAfter":"1970-01-01T00:00:{own}Z"}},
            "chainValidity":{{"notAfter":"1970-01-01T00:00:{chain}Z"}},
            "stale":"1970-01-01T00:00:{stale}Z"}}"#
        )
    };
    let (a, b) = (source("ripe", 50, 40, 30), source("arin", 50, 35, 45));
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(row(&format!("[{a}]")), Some((Some(30), named("ripe"))));
    assert_eq!(row(&format!("[{a},{b}]")), Some((Some(35), named("ripe"))));
    // What an operator's own exception asserts does not expire.
    let exception = r#"{"type":"exception","path":null}"#;
    let both = format!("[{a},{exception}]");
    assert_eq!(row(&both), Some((None, named("ripe"))));
    assert_eq!(row("[]"), Some((None, None)));
    assert_eq!(row("7"), Some((None, None)));
    assert_eq!(row(r#"[{"stale":"later"}]"#), None);
}

#[test]
fn providers_of_both_families_are_united() {
    let document = br#"{"provider_authorizations":{
        "ipv4":[{"customer_asid":1,"providers":[2,3]}],
        "ipv6":[{"customer_asid":1,"providers":[3,4]}]}}"#;
    let set = crate::payload::DataSet::new(&read(document).unwrap().rows);
    let [aspa] = set.payload().aspas() else {
        panic!("{set:?}")
    };
    let providers: Vec<u32> = aspa.providers().iter().map(|asn| asn.into_u32()).collect();
    assert_eq!(providers, [2, 3, 4]);
}

#[test]
fn odd_but_good_json_is_read() {
    let document = "\u{feff}\r\n{ \"roas\" : null, \"roas\":[{\"pre\\u0066ix\":\"10.0.0.0\\/8\",
        \"asn\":\"as7\",\"maxLength\":null,\"ta\":\"\\ud83d\\ude00\",\"x\":{\"y\":[1e5,-0.1,{}]}}],
        \"x\":[[],{\"roas\":[1]},\"\\\"\\\\\"],\"roas\":[{\"asn\":0,\"prefix\":\"::/0\"}]}\n";
    for size in [1, 2, 3, usize::MAX] {
        let document = read_in(document.as_bytes(), &Limits::default(), &mut || size).unwrap();
        assert_eq!((document.listed, document.skipped.count), (2, 0));
        let (vrp, attribute) = document.rows.v4().iter().next().unwrap();
        assert_eq!(Vrp::V4(*vrp).to_string(), "10.0.0.0/8-8 AS7");
        let name = document.rows.trust_anchors().name(attribute.trust_anchor());
        assert_eq!(name, Some("😀"));
        assert_eq!(document.rows.v6().len(), 1);
    }
}

#[test]
fn csv_comes_in_many_forms() {
    for (document, expected) in [
        ("AS1,10.0.0.0/8,24\r\n", "10.0.0.0/8-24 AS1 None"),
        ("1,10.0.0.0/8,,ripe\n", "10.0.0.0/8-8 AS1 None"),
        ("10.0.0.0, 8, 24, 1\n", "10.0.0.0/8-24 AS1 None"),
        (
            "# hand made\nAS1,10.0.0.0/8,24,ripe,77\n",
            "10.0.0.0/8-24 AS1 Some(UnixTime(77))",
        ),
        (
            "rsync://x,AS1,10.0.0.0/8,24,1970-01-01T00:00:00Z,1970-01-01T00:01:00Z\n",
            "10.0.0.0/8-24 AS1 Some(UnixTime(60))",
        ),
        (
            "\u{feff}\"IP Prefix\",\"Trust, \"\"Anchor\"\"\",\"expires\" , ASN\n\
             \"10.0.0.0/8\",\"a,b\",\"60\",\"AS1\"\n",
            "10.0.0.0/8-8 AS1 Some(UnixTime(60))",
        ),
    ] {
        let read = read(document.as_bytes()).unwrap();
        assert_eq!(read.skipped.first, None, "{document}");
        let (vrp, attribute) = read.rows.v4().iter().next().unwrap();
        assert_eq!(
            format!("{} {:?}", Vrp::V4(*vrp), attribute.expires()),
            expected
        );
    }
    let odd = read(b"ASN,IP Prefix,Max Length\nAS1,10.0.0.0/8,8\nAS1,10.0.0.0/8\n").unwrap();
    assert_eq!(
        odd.skipped.first.unwrap().to_string(),
        "line 3: other columns than before, or an open quote"
    );
}
