//! What a file's faults and leniencies are called, and where they are.

use super::{FaultKind, FileError, Parsed, PrefixFilter, Reading, Rule, parse};

/// A file of version 1 with this list in place of an empty one.
fn with(list: &str, entries: &str) -> String {
    let lists = [
        "prefixFilters",
        "bgpsecFilters",
        "prefixAssertions",
        "bgpsecAssertions",
    ];
    let [a, b, c, d] = lists.map(|name| {
        let entries = if name == list { entries } else { "" };
        format!("\"{name}\": [{entries}]")
    });
    format!(
        "{{\"slurmVersion\": 1,\n\"validationOutputFilters\": {{{a}, {b}}},\n\
         \"locallyAddedAssertions\": {{{c}, {d}}}}}"
    )
}

fn strict(text: &str) -> Result<Parsed, FileError> {
    parse("slurm.json", text.as_bytes(), Reading::Strict)
}

fn lenient(text: &str) -> Result<Parsed, FileError> {
    parse("slurm.json", text.as_bytes(), Reading::Lenient)
}

#[track_caller]
fn faults(text: &str, expected: &str) {
    assert_eq!(strict(text).unwrap_err().to_string(), expected);
}

#[track_caller]
fn notes(text: &str, expected: &[&str]) -> Parsed {
    let parsed = lenient(text).unwrap();
    let found: Vec<String> = parsed.leniencies.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
    assert_eq!(parsed.leniency_count, expected.len());
    parsed
}

#[test]
fn all_faults_are_named_at_once() {
    let text = with(
        "prefixFilters",
        "\n  {\"prefix\": \"10.0.0.1/8\"},\n  {\"comment\": \"ö\", \"asn\": \"AS1\"},\n  {}",
    );
    faults(
        &text,
        "slurm.json:3:14: validationOutputFilters.prefixFilters[0].prefix: expected no bits \
         behind the prefix length, found 10.0.0.1/8; 10.0.0.0/8 may be meant\n\
         slurm.json:4:27: validationOutputFilters.prefixFilters[1].asn: expected an AS number \
         from 0 to 4294967295, found the text \"AS1\"\n\
         slurm.json:5:3: validationOutputFilters.prefixFilters[2]: expected prefix or asn or both \
         in a filter, found neither",
    );
}

#[test]
fn misspelt_members_are_recognised() {
    faults(
        &with("prefixFilters", "{\"prefx\": \"10.0.0.0/8\", \"asn\": 1}"),
        "slurm.json:2:48: validationOutputFilters.prefixFilters[0].prefx: unknown member, did you \
         mean prefix",
    );
    faults(
        &with("prefixFilters", "{\"ASN\": 1}").replace("slurmVersion", "slurmversion"),
        "slurm.json:1:2: slurmversion: unknown member, it is called slurmVersion\n\
         slurm.json:2:48: validationOutputFilters.prefixFilters[0].ASN: unknown member, it is \
         called asn",
    );
    faults(
        &with("prefixFilters", "{\"asn\": 1, \"mnt-by\": null}"),
        "slurm.json:2:58: validationOutputFilters.prefixFilters[0].mnt-by: unknown member, \
         expected one of prefix, asn, comment",
    );
}

#[test]
fn a_misspelt_member_never_widens_a_filter() {
    let text = with("prefixFilters", "{\"prefx\": \"10.0.0.0/8\", \"asn\": 1}");
    let error = lenient(&text).unwrap_err();
    assert_eq!(error.faults[0].kind, FaultKind::UnknownMember);
    assert!(error.to_string().ends_with("probably prefix is meant"));
}

#[test]
fn no_reading_knows_a_filter_without_fields() {
    for (list, entry) in [
        ("prefixFilters", "{}"),
        ("prefixFilters", "{\"comment\": \"all\"}"),
        ("prefixFilters", "{\"prefix\": null}"),
        ("prefixFilters", "{\"asn\": \"\"}"),
        ("prefixFilters", "{\"source\": \"x\"}"),
        ("prefixFilters", "{\"prefix\": \"10.0.0.0/33\"}"),
        ("bgpsecFilters", "{}"),
        ("bgpsecFilters", "{\"SKI\": \"<some base64 SKI>\"}"),
        ("bgpsecFilters", "{\"SKI\": \"Zm9v\"}"),
    ] {
        let text = with(list, entry);
        assert!(strict(&text).is_err(), "{entry}");
        assert!(lenient(&text).is_err(), "{entry}");
    }
}

#[test]
fn what_is_not_json_has_one_fault() {
    faults(
        "{\n  \"slurmVersion\": 1,\n}",
        "slurm.json:2:20: a comma with nothing behind it is not JSON",
    );
    faults(
        "",
        "slurm.json:1:1: expected a JSON value, found the end of the file",
    );
    faults(
        "{} x",
        "slurm.json:1:4: expected the end of the file, found \"x\"",
    );
    faults(
        "\u{feff}{}",
        "slurm.json:1:1: a byte order mark is not JSON",
    );
    faults("{\"a\": 01}", "slurm.json:1:7: expected a number, found 01");
    faults(
        "{\"a\": \"\n\"}",
        "slurm.json:1:8: a control character in a text must be escaped",
    );
    faults(
        "{\"ä\": \"\\ud800\"}",
        "slurm.json:1:8: expected the four hexadecimal digits of a character",
    );
    faults(&"[".repeat(40), "slurm.json:1:33: nested deeper than 32");
    let error = parse("a", b"{\"\n\xff\"}", Reading::Strict).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a:2:1: expected UTF-8, found an octet that is none"
    );
}

#[test]
fn repeated_members_are_faults_in_both_readings() {
    let text = with("prefixFilters", "{\"asn\": 1, \"\\u0061sn\": 1}");
    let fault = "slurm.json:2:58: validationOutputFilters.prefixFilters[0].asn: the member is \
                 there twice";
    faults(&text, fault);
    assert_eq!(lenient(&text).unwrap_err().to_string(), fault);
    let text = with("prefixFilters", "{\"asn\": 1, \"ASN\": 1}");
    let error = lenient(&text).unwrap_err();
    assert!(error.to_string().ends_with("under two names"), "{error}");
}

#[test]
fn versions_are_one_and_two() {
    let text = with("", "").replace("n\": 1", "n\": 3");
    faults(
        &text,
        "slurm.json:1:18: slurmVersion: expected the number 1 or 2, found the number 3",
    );
    assert_eq!(
        lenient(&text).unwrap_err().faults[0].kind,
        FaultKind::Version
    );
    // Any object would else be a file of no exceptions.
    assert!(lenient("{}").is_err());
}

#[test]
fn base64_names_its_character() {
    let key = |ski: &str| with("bgpsecFilters", &format!("{{\"SKI\": \"{ski}\"}}"));
    let expected = |found: &str| {
        format!(
            "slurm.json:2:76: validationOutputFilters.bgpsecFilters[0].SKI: expected base64url \
             without padding, found {found}"
        )
    };
    for (ski, found) in [
        ("tGejmZ6176Zx3gAy8Iqcnl79oO/", "\"/\" as character 27"),
        ("tGejmZ6176Zx3gAy8Iqcnl79oOE=", "\"=\" as character 28"),
        (
            "tGejmZ6176Zx3gAy8Iqcnl79oOF",
            "\"F\" as character 27, which has bits that mean nothing",
        ),
        (
            "tGejmZ6176Zx3gAy8Iqcnl79o",
            "25 characters, which no octets give",
        ),
    ] {
        faults(&key(ski), &expected(found));
    }
}

#[test]
fn long_lists_of_faults_are_cut() {
    let entries = vec!["{}"; 250].join(",");
    let error = strict(&with("prefixFilters", &entries)).unwrap_err();
    assert_eq!((error.faults.len(), error.count), (100, 250));
    assert!(error.to_string().ends_with("\nslurm.json: and 150 more"));
}

#[test]
fn texts_of_a_file_cannot_break_a_line() {
    let text = with(
        "prefixFilters",
        "{\"prefix\": \"a\\nb\\u2028c\\u001b[31m\"}",
    );
    let error = strict(&text).unwrap_err().to_string();
    assert!(
        error.contains("found \"a\\u{a}b\\u{2028}c\\u{1b}[31m\""),
        "{error}"
    );
    let long = "x".repeat(1000);
    let error = strict(&with("prefixFilters", &format!("{{\"{long}\": 1}}"))).unwrap_err();
    assert!(error.to_string().len() < 400);
}

#[test]
fn lenient_reading_notes_what_it_lets_pass() {
    let text = "\u{feff}{ // ours\n\"slurmVersion\": \"1\", # and\n\"validationOutputFilters\": \
                {\"prefixFilters\": [\n{\"prefix\": \"10.1.2.3/8\", \"asn\": \"AS64496\", \
                \"x\": {}},\n], /* none */\n}, \"_comments\": []}";
    let parsed = notes(
        text,
        &[
            "line 1, column 1: a byte order mark",
            "line 1, column 1: locallyAddedAssertions: no member locallyAddedAssertions, read as \
             empty",
            "line 1, column 3: a comment",
            "line 2, column 17: slurmVersion: a text read as a number",
            "line 2, column 22: a comment",
            "line 3, column 28: validationOutputFilters.bgpsecFilters: no member bgpsecFilters, \
             read as empty",
            "line 4, column 12: validationOutputFilters.prefixFilters[0].prefix: 10.1.2.3/8 read \
             as 10.0.0.0/8",
            "line 4, column 33: validationOutputFilters.prefixFilters[0].asn: the text \
             \"AS64496\" read as a number",
            "line 4, column 44: validationOutputFilters.prefixFilters[0].x: unknown member, left \
             out",
            "line 4, column 52: a comma with nothing behind it",
            "line 5, column 2: a comma with nothing behind it",
            "line 5, column 4: a comment",
            "line 6, column 4: _comments: unknown member, left out",
        ],
    );
    let [record] = parsed.file.records() else {
        panic!("{parsed:?}");
    };
    let filter = PrefixFilter::Both("10.0.0.0/8".parse().unwrap(), "64496".parse().unwrap());
    assert_eq!(record.rule, Rule::PrefixFilter(filter));
}

#[test]
fn lenient_reading_knows_old_names_and_other_base64() {
    let text = "{\"slurmVersion\": 1, \"validationOutputFilters\": {\"prefixFilters\": [], \
                \"bgpsecFilters\": [{\"ski\": \"B4:67:a3:99:9e:b5:ef:a6:71:de:00:32:f0:8a:9c:9e:\
                5e:fd:a0:e1\"}, {\"SKI\": \"XUJQ4tgdREjYop786R0p/wdeyeI=\"}], \
                \"aspaFilter\": [{\"customerAsid\": 1}, {\"customerAsn\": 1}]}, \
                \"locallyAddedAssertions\": {\"prefixAssertions\": [], \"bgpsecAssertions\": [], \
                \"aspaAssertions\": [{\"customerAsid\": 5, \"providers\": [2, 1, 2]}]}}";
    let parsed = lenient(text).unwrap();
    let rules: Vec<String> = parsed
        .file
        .records()
        .iter()
        .map(|record| format!("{}[{}] {}", record.list(), record.index, record.rule))
        .collect();
    assert_eq!(
        rules,
        [
            "bgpsecFilters[0] b467a3999eb5efa671de0032f08a9c9e5efda0e1",
            "bgpsecFilters[1] 5d4250e2d81d4448d8a29efce91d29ff075ec9e2",
            "aspaFilters[0] AS1",
            "aspaFilters[1] AS1",
            "aspaAssertions[0] AS5 by AS1, AS2",
        ]
    );
    let notes: Vec<&str> = parsed
        .leniencies
        .iter()
        .map(|leniency| leniency.message.as_str())
        .collect();
    assert_eq!(
        notes,
        [
            "read as SKI",
            "40 hexadecimal digits, not base64",
            "base64 with + and / in place of - and _",
            "base64 with padding",
            "read as aspaFilters",
            "a member of version 2 in version 1, read as there",
            "read as customerAsn",
            "says the same as aspaFilters[0]",
            "a member of version 2 in version 1, read as there",
            "read as customerAsn",
            "read as providerAsns",
            "providers brought into ascending order",
        ]
    );
}

#[test]
fn version_2_may_have_the_keys_of_its_draft() {
    let key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEgFcjQ/g//LAQerAH2Mpp+GucoDAGBbhIqD33wNPsXxnAG\
               b+mtZ7XQrVO9DQ6UlAShtig5+QfEKpTtFgiqfiAFQ";
    let entry = format!(
        "{{\"asn\": 1, \"SKI\": \"XUJQ4tgdREjYop786R0p_wdeyeI\", \"routerPublicKey\": \"{key}\"}}"
    );
    let v1 = with("bgpsecAssertions", &entry);
    assert_eq!(strict(&v1).unwrap_err().faults[0].kind, FaultKind::Base64);
    let v2 = v1
        .replace("n\": 1,\n", "n\": 2,\n")
        .replace(
            "\"bgpsecFilters\": []",
            "\"bgpsecFilters\": [], \"aspaFilters\": []",
        )
        .replace("]}}", "], \"aspaAssertions\": []}}");
    let parsed = strict(&v2).unwrap();
    assert_eq!(parsed.leniency_count, 1);
    // The identifier may not: nobody prints it so.
    let bad = v2.replace("0p_w", "0p/w");
    assert_eq!(strict(&bad).unwrap_err().faults[0].kind, FaultKind::Base64);
}

/// splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const EXAMPLES: [&[u8]; 2] = [
    include_bytes!("../../tests/data/slurm/rpki-rs-full_v2.json"),
    include_bytes!("../../tests/data/slurm/stayrtr-prefixfile-slurm.json"),
];

#[test]
fn every_cut_of_a_file_is_refused() {
    for example in EXAMPLES {
        let text = example.trim_ascii_end();
        for end in 0..text.len() {
            for reading in [Reading::Strict, Reading::Lenient] {
                let error = parse("cut", &text[..end], reading).unwrap_err();
                assert!(error.count > 0 && !error.faults.is_empty(), "{end}");
            }
        }
    }
}

#[test]
fn mutations_are_read_or_refused() {
    let mut state = 1;
    let (mut read, mut refused) = (0, 0);
    for round in 0..4_000u32 {
        let mut text = EXAMPLES[usize::try_from(round).unwrap() % 2].to_vec();
        for _ in 0..=next(&mut state) % 4 {
            let length = u64::try_from(text.len()).unwrap();
            let at = usize::try_from(next(&mut state) % length).unwrap();
            let octet = next(&mut state).to_be_bytes()[0];
            match next(&mut state) % 5 {
                0 => text[at] = octet,
                1 => text.insert(at, octet),
                2 => drop(text.remove(at)),
                3 => text[at] = b"{}[],:\"\\ /#0-"[usize::from(octet) % 13],
                _ => text.swap(at, 0),
            }
        }
        for reading in [Reading::Strict, Reading::Lenient] {
            match parse("mutation", &text, reading) {
                Ok(_) => read += 1,
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
    }
    assert!(read > 100 && refused > 1_000, "{read} {refused}");
}
