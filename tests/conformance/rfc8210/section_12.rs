//! Errors.

use rutter::rtr::server::Close;

use crate::pair::{Conn, World, kinds, reset_query, serial_query};

fn header(version: u8, kind: u8, length: u32) -> Vec<u8> {
    let mut octets = vec![version, kind, 0, 0];
    octets.extend(length.to_be_bytes());
    octets
}

fn report(version: u8, code: u16, enclosed: &[u8], text: &[u8]) -> Vec<u8> {
    let mut octets = header(version, 10, (16 + enclosed.len() + text.len()) as u32);
    octets[2..4].copy_from_slice(&code.to_be_bytes());
    for part in [enclosed, text] {
        octets.extend((part.len() as u32).to_be_bytes());
        octets.extend(part);
    }
    octets
}

/// ERR-01 to ERR-04: no octet comes back, whatever it says and however broken it is.
#[test]
fn an_error_report_is_never_answered() {
    let mut reports = Vec::new();
    for version in [0, 1, 2, 3, 7, 255] {
        for code in (0..15).chain([200, 65535]) {
            reports.push(report(version, code, &reset_query(version), b"text"));
        }
        // rtrlib 0.8 sends 3,328 octets.
        reports.push(report(version, 0, &[0xaa; 3000], &[b'x'; 312]));
        reports.push(report(version, 0, &[], &[0xff, 0xfe]));
        reports.push(report(version, 0, &report(version, 1, &[], b""), b""));
        let mut broken = report(version, 0, &[], b"text");
        broken[11] = 200;
        reports.push(broken);
        for length in [0, 7, 8, 15, 65_536, u32::MAX] {
            reports.push(header(version, 10, length));
        }
    }
    for report in reports {
        for opened in [None, Some(0), Some(1), Some(2)] {
            let world = World::of("10.0.0.0/8 1");
            let mut conn = Conn::open(&world);
            if let Some(version) = opened {
                conn.reset(&world, version);
            }
            assert_eq!(conn.ask(&world, &report), [], "{report:02x?}");
            assert_eq!(conn.closed, Some(Close::ReportReceived), "{report:02x?}");
        }
    }
}

/// ERR-09, ERR-10: each type that is no query gets the code for it.
#[test]
fn unknown_types_get_code_5_and_foreign_directions_code_3() {
    let world = World::of("10.0.0.0/8 1");
    for version in 0..3u8 {
        for kind in (0..=255).filter(|kind| ![1, 2, 10].contains(kind)) {
            let known = match kind {
                0 | 3 | 4 | 6 | 7 | 8 => true,
                9 => version >= 1,
                11 => version == 2,
                _ => false,
            };
            for opened in [false, true] {
                let mut conn = Conn::open(&world);
                if opened {
                    conn.reset(&world, version);
                }
                let pdu = header(version, kind, 8);
                let frames = conn.ask(&world, &pdu);
                assert_eq!(
                    frames[0].field(),
                    if known { 3 } else { 5 },
                    "{version} {kind}"
                );
                assert_eq!(frames[0].version(), version);
                assert_eq!(frames[0].report().0, pdu);
                assert!(frames.len() == 1 && conn.closed.is_some());
            }
        }
    }
}

/// ERR-11, ERR-12: from the header alone, without waiting or allocating.
#[test]
fn wrong_lengths_are_judged_from_the_header() {
    let world = World::of("10.0.0.0/8 1");
    for version in 0..3 {
        for (kind, right) in [(1, 12), (2, 8)] {
            for length in [0, 1, 7, 8, 9, 12, 13, 16, 65_535, 65_536, 1 << 31, u32::MAX] {
                if length == right {
                    continue;
                }
                let mut conn = Conn::open(&world);
                let frames = conn.ask(&world, &header(version, kind, length));
                assert_eq!((frames[0].kind(), frames[0].field()), (10, 0), "{length}");
                assert!(conn.closed.is_some());
            }
        }
    }
}

/// VER-15 over everything a header can say: no code that the session's version does not have,
/// and no version but the session's, or our highest in error 4.
#[test]
fn no_foreign_codes_whatever_arrives() {
    let world = World::of("10.0.0.0/8 1");
    let versions = [0, 1, 2, 3, 4, 255];
    for opened in [None, Some(0), Some(1), Some(2)] {
        for version in versions {
            for kind in (0..=12).chain([255]) {
                for length in [0, 7, 8, 12, 16, 20, 24, 65_535, 65_536, u32::MAX] {
                    let mut conn = Conn::open(&world);
                    if let Some(opened) = opened {
                        conn.reset(&world, opened);
                    }
                    let mut octets = header(version, kind, length);
                    octets.extend([0; 300]);
                    let frames = conn.ask(&world, &octets);
                    for report in frames.iter().filter(|frame| frame.kind() == 10).take(1) {
                        let code = report.field();
                        let spoken = opened.or_else(|| (version < 3).then_some(version));
                        match spoken {
                            Some(spoken) => {
                                assert_eq!(report.version(), spoken);
                                assert!(code <= [7, 8, 13][usize::from(spoken)]);
                                assert_ne!(code, 4);
                            }
                            None => assert_eq!((report.version(), code), (2, 4)),
                        }
                        let (enclosed, _) = report.report();
                        // A valid query is answered, and then the zeros behind it are wrong.
                        let place = if frames[0].kind() == 10 {
                            0
                        } else {
                            length as usize
                        };
                        assert!(octets[place..].starts_with(&enclosed));
                        assert!(enclosed.len() >= 8);
                        assert!(report.0.len() <= 512);
                    }
                }
            }
        }
    }
}

/// INTEROP rule 8: old clients have small buffers, so of a large PDU only its beginning is
/// enclosed (8210bis §5.8).
#[test]
fn reports_are_small_and_enclose_the_beginning() {
    let world = World::of("10.0.0.0/8 1");
    for (length, enclosed) in [(8u32, 8), (255, 255), (256, 256), (257, 256), (60_000, 256)] {
        let mut conn = Conn::open(&world);
        let mut octets = header(2, 4, length);
        octets.resize(70_000, 0xee);
        let frames = conn.ask(&world, &octets);
        assert_eq!(kinds(&frames), [10]);
        assert_eq!(frames[0].report().0, octets[..enclosed]);
        assert!(frames[0].0.len() <= 512);
    }
}

/// ERR-13: what came behind the culprit changes nothing.
#[test]
fn nothing_is_answered_behind_an_error() {
    let world = World::of("10.0.0.0/8 1");
    let mut octets = header(1, 5, 8);
    octets.extend(reset_query(1));
    octets.extend(serial_query(1, 1, 1));
    let mut conn = Conn::open(&world);
    assert_eq!(kinds(&conn.ask(&world, &octets)), [10]);
    assert!(conn.closed.is_some());
}
